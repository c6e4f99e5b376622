/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's own balancing, kernel.numa_balancing: seen at every cycle; off or on while the daemon runs where the configuration says so, recorded before and
 * put back after. */
#include <errno.h>
#include <string.h>

#include "core/kernel-memory.h"
#include "manager.h"
#include "report/journal.h"

/* Setting it can take a unit of the service manager's: we look so often, and wait so long, whether it is in force. */
#define LOOK_USEC  (100 * USEC_PER_MSEC)
#define LIMIT_USEC (20 * USEC_PER_SEC)
/* What failed is tried again after this, doubled each time. */
#define AGAIN_USEC      USEC_PER_MINUTE
#define AGAIN_DOUBLINGS 7u
#define OFF             0u
#define NAME            "kernel.numa_balancing"

/* Always the real operations: what was set must be given back in a dry run, too. */
int manager_balancing_look(struct manager *m) {
        struct balancing *b = &m->balancing;
        const struct act *act = &m->env->act;
        unsigned mode = 0;
        int r = act->ops->get_kernel_balancing ? act->ops->get_kernel_balancing(act->context, &mode) : -ENOENT;
        b->there = r >= 0;
        b->mode = mode;
        return r;
}

static int forget(struct manager *m) {
        m->balancing.in_force = false;
        int r = record_forget_balancing(m->record);
        if (r < 0)
                log_warning(r, "Could not take " NAME " off the record: %s", strerror(-r));
        return r;
}

/* Changing it */

static void put_off(struct manager *m) {
        struct balancing *b = &m->balancing;
        b->again_usec = manager_now(m) + (AGAIN_USEC << MIN2(b->n_failed, AGAIN_DOUBLINGS));
        b->n_failed++;
}

static void finish_giving_back(struct manager *m, int result) {
        struct record *record = m->record;
        if (result >= 0) {
                journal_kernel_balancing(record->balancing_ours, record->balancing_before, "given back");
                if (forget(m) < 0)
                        put_off(m);
        } else
                log_warning(result, "Could not set " NAME " back to %u, it stays on record: %s", record->balancing_before,
                            strerror(-result));
        manager_restore_result(m, NAME, "", result >= 0 ? "restored" : "failed", result >= 0 ? NULL : strerror(-result));
        manager_restore_ended(m);
}

static void finish_switching(struct manager *m, int result) {
        struct balancing *b = &m->balancing;
        b->in_force = result >= 0;
        if (result >= 0) {
                journal_kernel_balancing(m->record->balancing_before, b->mode,
                                         b->wanted == OFF ? "kernel-balancing: off" : "kernel-balancing: on");
                return;
        }
        log_warning(result, "Could not set " NAME " to %u, tried again later: %s", b->wanted, strerror(-result));
        /* A writer that has not answered may write yet, and so may one that was only begun. */
        if (result != -ETIMEDOUT && b->n_unanswered == 0 && b->there && b->mode == m->record->balancing_before)
                (void) forget(m);
}

static void give_back_now(struct manager *m);

static void finish(struct manager *m, int result) {
        struct balancing *b = &m->balancing;
        b->changing = false;
        if (result >= 0)
                b->n_failed = 0;
        else
                put_off(m);
        if (b->giving_back) {
                b->giving_back = false;
                finish_giving_back(m, result);
                return;
        }
        finish_switching(m, result);
        if (b->give_back_next && b->n_unanswered == 0)
                give_back_now(m);
}

static void on_look(void *userdata) {
        struct manager *m = userdata;
        struct balancing *b = &m->balancing;
        if (!b->changing)
                return;
        int r = manager_balancing_look(m);
        if (r >= 0 && b->mode == b->wanted)
                finish(m, 0);
        else if (r < 0 || manager_now(m) >= b->until_usec)
                finish(m, r < 0 ? r : -ETIMEDOUT);
        else if ((r = m->env->ops->timer_set(b->timer, manager_now(m) + LOOK_USEC)) < 0)
                finish(m, r);
}

/* What the writer was told. That it worked is the truth only once the kernel says so; and what an earlier one was told says nothing of the last. */
static void on_set(int result, void *userdata) {
        struct manager *m = userdata;
        struct balancing *b = &m->balancing;
        if (--b->n_unanswered > 0)
                return;
        if (b->changing && result < 0)
                finish(m, result);
        else if (!b->changing && b->give_back_next)
                give_back_now(m);
}

static int begin(struct manager *m, unsigned mode, bool giving_back) {
        struct balancing *b = &m->balancing;
        const struct environment *env = m->env;
        int r = b->timer ? 0 : env->ops->timer_new(env->context, 0, on_look, m, &b->timer);
        if (r >= 0)
                r = env->ops->timer_set(b->timer, manager_now(m));
        if (r < 0)
                return r;
        b->changing = true;
        b->n_unanswered++;
        b->giving_back = giving_back;
        b->wanted = mode;
        b->until_usec = manager_now(m) + LIMIT_USEC;
        r = env->act.ops->set_kernel_balancing(env->act.context, mode, on_set, m);
        if (r < 0) {
                b->changing = b->giving_back = false;
                b->n_unanswered--;
        }
        return r;
}

static int give_back(struct manager *m) {
        struct balancing *b = &m->balancing;
        const struct record *record = m->record;
        int r = manager_balancing_look(m);
        if (r == -ENOENT || (r >= 0 && b->mode != record->balancing_ours && b->mode != record->balancing_before)) {
                manager_restore_result(m, NAME, "", "changed-by-others", "somebody has set it since");
                (void) forget(m);
                return 0;
        }
        m->n_restoring++;
        r = begin(m, record->balancing_before, true);
        if (r < 0) {
                put_off(m); /* as after one that was begun and failed: not in every cycle, with a line each */
                log_warning(r, "Could not begin to set " NAME " back to %u: %s", record->balancing_before, strerror(-r));
                manager_restore_result(m, NAME, "", "failed", strerror(-r));
                manager_restore_ended(m);
        }
        return r;
}

static void give_back_now(struct manager *m) {
        m->balancing.give_back_next = false;
        if (m->record->balancing_changed) /* else nothing came of it */
                (void) give_back(m);      /* says itself what goes wrong */
        manager_restore_ended(m);
}

int manager_balancing_restore(struct manager *m) {
        struct balancing *b = &m->balancing;
        if (!m->record->balancing_changed)
                return -ENOENT;
        if ((b->changing && b->giving_back) || b->give_back_next)
                return -EALREADY;
        /* One that is under way may be written after this one: finish() goes on with it. */
        if (b->n_unanswered > 0 || b->changing) {
                b->give_back_next = true;
                m->n_restoring++;
                return 0;
        }
        return give_back(m);
}

static void switch_to(struct manager *m, unsigned mode) {
        struct balancing *b = &m->balancing;
        int r = record_before_balancing(m->record, b->mode, mode);
        if (r >= 0)
                r = begin(m, mode, false);
        if (r < 0)
                finish(m, r);
}

static void yield_to_others(struct manager *m) {
        struct balancing *b = &m->balancing;
        b->yielded = true;
        b->yielded_from = m->record->balancing_ours;
        log_notice(NAME " was set to %u by somebody else: it is left so, and will not be put back", b->mode);
        (void) forget(m);
}

/* Which rules meet it, once for each configuration and setting. */
static void tell_rules(struct manager *m) {
        struct balancing *b = &m->balancing;
        const struct config *c = m->config->config;
        if (b->told && b->told_mode == b->mode && b->told_of == c)
                return;
        b->told = true;
        b->told_mode = b->mode;
        b->told_of = c;
        struct strbuf names = { 0 };
        const struct kernel_memory kernel = { .has_balancing = true, .balancing = b->mode };
        for (size_t i = 0; i < c->n_rules; i++)
                if (rule_meets_kernel(&c->rules[i], m->topology, &kernel) != MEETS_NOTHING)
                        strbuf_printf(&names, "%s%s", names.length > 0 ? ", " : "", c->rules[i].name ? c->rules[i].name : "?");
        _cleanup_free_ char *list = names.length > 0 ? strbuf_steal(&names) : NULL;
        strbuf_done(&names);
        if (list)
                journal_kernel_balancing_meets(b->mode, list);
}

static enum balancing_setting setting(const struct manager *m) {
        return m->config->config->settings.kernel_balancing;
}

/* What the configuration would have it be. On is that pages go to the threads that use them; whether those in use go to faster memory stays as it is. */
static unsigned wanted_mode(const struct manager *m) {
        unsigned own = m->record->balancing_changed ? m->record->balancing_before : m->balancing.mode;
        switch (setting(m)) {
        case BALANCING_OFF: return OFF;
        case BALANCING_ON: return own | BALANCING_THREADS;
        default: return own;
        }
}

void manager_balancing_check(struct manager *m, bool may_change) {
        struct balancing *b = &m->balancing;
        if (m->options.once || m->exiting || b->changing || b->give_back_next || manager_balancing_look(m) < 0)
                return;
        const struct record *record = m->record;
        bool may = !manager_is_dry(m) && !m->paused && b->again_usec <= manager_now(m);
        if (record->balancing_changed && b->mode != record->balancing_ours && !manager_is_dry(m) &&
            ((b->in_force && b->n_failed == 0) || b->mode != record->balancing_before))
                yield_to_others(m);
        else if (record->balancing_changed && b->mode == record->balancing_ours)
                b->in_force = true;
        unsigned wanted = wanted_mode(m);
        /* From one setting of ours to another by way of its own: on record there is one that is ours. */
        if (record->balancing_changed && (setting(m) == BALANCING_LEAVE || record->balancing_ours != wanted) && may)
                (void) manager_balancing_restore(m);
        else if (setting(m) != BALANCING_LEAVE && may && may_change && !b->yielded && b->mode != wanted)
                switch_to(m, wanted);
        else if (setting(m) != BALANCING_OFF || b->yielded || !may)
                tell_rules(m);
}

void manager_balancing_forgive(struct manager *m) {
        m->balancing.yielded = false;
        m->balancing.n_failed = 0;
        m->balancing.again_usec = 0;
}

void manager_balancing_done(struct manager *m) {
        m->balancing.changing = false;
        m->balancing.timer = m->env->ops->timer_free(m->balancing.timer);
}

/* Has some service a home of several nodes, within which nobody sorts its pages? */
static bool has_wide_home(const struct manager *m) {
        for (size_t i = 0; i < m->history.n_entries; i++)
                if (m->history.entries[i].placed && node_set_count(&m->history.entries[i].home) > 1)
                        return true;
        return false;
}

/* Why it is as it is: the end of the sentence, or NULL. Errors: none; without memory there is no such end. */
static char *why(const struct manager *m) {
        const struct balancing *b = &m->balancing;
        unsigned wanted = wanted_mode(m);
        if (b->yielded && b->yielded_from == OFF)
                return strdup(", set by somebody else after it was off for us");
        if (b->yielded)
                return format_string(", set by somebody else after it was on (%u) for us", b->yielded_from);
        if (b->mode != wanted)
                return format_string(", to be set to %u once changes may be made", wanted);
        if (b->mode != OFF)
                return strdup(", left so: it sorts pages within homes, and undoes what is interleaved");
        return setting(m) == BALANCING_LEAVE && has_wide_home(m)
                       ? strdup("; \"kernel-balancing: on\" would have it sort pages within homes of several nodes")
                       : NULL;
}

char *manager_balancing_describe(const struct manager *m) {
        const struct balancing *b = &m->balancing;
        const struct record *record = m->record;
        bool ours = record->balancing_changed && b->mode == record->balancing_ours;
        if (!b->there)
                return strdup("this kernel has none");
        if (b->changing)
                return format_string("%u, being set to %u", b->mode, b->wanted);
        if (ours && b->mode == OFF)
                return format_string("off while this runs, was %u", record->balancing_before);
        if (ours)
                return format_string("on (%u) while this runs, was %u", b->mode, record->balancing_before);
        _cleanup_free_ char *end = why(m);
        return b->mode == OFF ? format_string("off%s", end ? end : "") : format_string("on (%u)%s", b->mode, end ? end : "");
}
