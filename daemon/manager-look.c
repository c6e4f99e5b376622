/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers to who asks what would be done: the next plan, and where a new service should start. The last observation serves while it is younger
 * than an interval; otherwise one is made that decides nothing. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager.h"
#include "report/journal.h"
#include "report/view.h"

/* A cycle whose moves have ended meanwhile shows what is past. */
static bool is_fresh(const struct manager *m, const struct cycle *c) {
        uint64_t now = manager_now(m);
        if (!c || c->config != m->config || now - MIN2(c->started_usec, now) >= m->config->config->settings.interval_usec)
                return false;
        for (size_t i = 0; i < c->plan->n_placements; i++)
                if (c->plan->placements[i].state == STATE_MOVING && !transition_find(m, c->observation->services[i].cgroup))
                        return false;
        return true;
}

static const struct cycle *fresh_cycle(const struct manager *m) {
        if (m->looked && (!m->last || m->looked->started_usec > m->last->started_usec) && is_fresh(m, m->looked))
                return m->looked;
        return is_fresh(m, m->last) ? m->last : NULL;
}

/* Answers */

static enum plan_when when_of(const struct placement *p, bool moving) {
        if (moving)
                return WHEN_UNDER_WAY;
        if (p->act)
                return WHEN_NOW;
        return p->state == STATE_PENDING ? WHEN_LATER : p->state == STATE_BLOCKED ? WHEN_BLOCKED : WHEN_NONE;
}

static struct json_object *plan_json(const struct manager *m, const struct cycle *c) {
        size_t n = 0;
        bool failed = false;
        _cleanup_free_ struct planned *planned = calloc(c->plan->n_placements + 1, sizeof(*planned));
        if (!planned)
                return NULL;
        for (size_t i = 0; i < c->plan->n_placements; i++) {
                const struct service_sample *s = &c->observation->services[i];
                const struct placement *p = &c->plan->placements[i];
                const struct transition *t = transition_find(m, s->cgroup);
                const struct history_entry *h = history_find(&m->history, s->cgroup);
                if (!s->rule)
                        continue;
                if (h && h->placed)
                        planned[n].home = h->home;
                planned[n].sample = s;
                planned[n].placement = p;
                planned[n].state = t ? STATE_MOVING : p->state;
                planned[n].when = when_of(p, t);
                if (t && !(planned[n].reason = strdup(transition_describe(t))))
                        failed = true;
                n++;
        }
        uint64_t now = manager_now(m), age = now - MIN2(c->started_usec, now);
        struct json_object *o = failed ? NULL : view_plan(m->topology, planned, n, age, manager_is_dry(m), m->paused);
        for (size_t i = 0; i < n; i++)
                free(planned[i].reason);
        return o;
}

static struct json_object *advice_json(const struct manager *m, const struct cycle *c, const struct look *l) {
        _cleanup_(advice_freep) struct advice *a = NULL;
        _cleanup_free_ struct applied *applied = NULL;
        size_t n_applied;
        if (manager_applied(m, &applied, &n_applied) < 0)
                return NULL;
        struct plan_input in = {
                .topology = m->topology,
                .machine = &c->observation->machine,
                .config = c->config->config,
                .samples = c->observation->services,
                .n_samples = c->observation->n_services,
                .history = &m->history,
                .applied = applied,
                .n_applied = n_applied,
                .now_usec = c->started_usec,
        };
        return plan_advise(&in, l->mcpu, l->bytes, &a) < 0 ? NULL : view_advice(a, l->mcpu, l->bytes);
}

static void answer(struct manager *m, const struct cycle *c, const struct look *l) {
        int r = bus_reply_object(l->call, l->mcpu > 0 ? advice_json(m, c, l) : plan_json(m, c));
        if (r < 0)
                log_warning(r, "Could not answer what would be done, ignoring: %s", strerror(-r));
}

/* All that wait, with the cycle, or without one with an error. */
static void answer_all(struct manager *m, const struct cycle *c, int error) {
        unsigned n = m->n_looks;
        m->n_looks = 0;
        for (unsigned i = 0; i < n; i++) {
                uint64_t began = bus_answer_begin();
                if (c && !bus_may_answer(m->bus_service, m->looks[i].call))
                        (void) bus_reply_error(m->looks[i].call, -EBUSY, BUS_BUSY_TEXT);
                else if (c)
                        answer(m, c, &m->looks[i]);
                else
                        (void) bus_reply_error(m->looks[i].call, error, "The machine could not be observed");
                sd_bus_message_unref(m->looks[i].call);
                bus_answer_end(m->bus_service, began);
        }
}

/* Looking */

static void on_look_timer(void *userdata);

/* Begins an observation of our own where nothing else brings one soon. */
static int look(struct manager *m) {
        if (m->cycle || !m->last)
                return 0; /* the cycle that is under way, or about to begin, answers */
        uint64_t now = manager_now(m), at = throttle_when(&m->scan_budget, MAX2(m->cycle_cpu_usec, (uint64_t) 1), now);
        if (at >= m->next_cycle_usec)
                return 0;
        if (at > now) {
                int r = m->look_timer
                                ? 0
                                : m->env->ops->timer_new(m->env->context, 100 * USEC_PER_MSEC, on_look_timer, m, &m->look_timer);
                return r < 0 ? r : m->env->ops->timer_set(m->look_timer, at);
        }
        int r = cycle_begin(m);
        if (r < 0)
                return r;
        m->cycle->look_only = true;
        manager_woken(m, WAKE_REQUEST);
        return 0;
}

static void on_look_timer(void *userdata) {
        struct manager *m = userdata;
        int r = m->n_looks > 0 && !m->exiting ? look(m) : 0;
        if (r < 0)
                manager_look_failed(m, r);
}

void manager_look_failed(struct manager *m, int error) {
        answer_all(m, NULL, error);
}

void manager_looked(struct manager *m, struct cycle *c) {
        if (!c->look_only) {
                m->looked = cycle_unref(m->looked);
                if (m->n_looks > 0 && c->config == m->config) /* else the next one answers, which comes at once */
                        answer_all(m, c, 0);
                return;
        }
        for (size_t i = 0; i < c->plan->n_placements; i++)
                manager_foresee(m, c, i);
        bool outdated = c->config != m->config;
        cycle_unref(m->looked);
        m->looked = c;
        int r = outdated ? look(m) : 0;
        if (!outdated)
                answer_all(m, c, 0);
        else if (r < 0)
                manager_look_failed(m, r);
}

static int request(struct manager *m, struct look l) {
        if (m->exiting)
                return -ESHUTDOWN;
        const struct cycle *c = fresh_cycle(m);
        if (c) {
                answer(m, c, &l);
                return 0;
        }
        if (m->screen_late)
                return -ETIMEDOUT;
        if (m->n_looks >= LOOKS_MAX)
                return -EBUSY;
        int r = look(m);
        if (r < 0)
                return r;
        sd_bus_message_ref(l.call);
        m->looks[m->n_looks++] = l;
        return 0;
}

int manager_request_plan(struct manager *m, sd_bus_message *call) {
        return request(m, (struct look) { .call = call });
}

int manager_request_advice(struct manager *m, uint64_t mcpu, uint64_t bytes, sd_bus_message *call) {
        return request(m, (struct look) { .call = call, .mcpu = mcpu, .bytes = bytes });
}

void manager_look_done(struct manager *m) {
        answer_all(m, NULL, -ESHUTDOWN);
        m->look_timer = m->env->ops->timer_free(m->look_timer);
        m->looked = cycle_unref(m->looked);
}
