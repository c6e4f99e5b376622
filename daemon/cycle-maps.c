/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory maps that a cycle reads: which, within the budget for observing, and what of those read before it uses instead. */
#include <errno.h>
#include <string.h>

#include "manager.h"

/* What reading a memory map costs as long as it was not measured: between huge pages (2 ms for a GiB) and small ones (34 ms). */
#define DEEP_COST_BASE_USEC    500u
#define DEEP_COST_PER_GIB_USEC 10000u
/* What was found beside the cycles is used for so long after it began to be read, and compared by so many processes. */
#define DEEP_KEPT_USEC    (6 * USEC_PER_MINUTE)
#define KEPT_COMPARED_MAX 256u

/* Kept results */

void cycle_free_kept(struct service_note *n) {
        n->kept = deep_sample_free(n->kept);
        n->kept_cycle = cycle_unref(n->kept_cycle);
}

void cycle_forget_kept(struct service_note *n, uint64_t now_usec) {
        if (n->kept && now_usec - MIN2(n->kept_began_usec, now_usec) > DEEP_KEPT_USEC)
                cycle_free_kept(n);
}

static bool has_process(const struct service_sample *s, const struct process_ref *p) {
        for (size_t i = 0; i < s->n_processes; i++)
                if (process_ref_equal(&s->processes[i], p))
                        return true;
        return false;
}

/* Is it of these processes, young enough, and from after what we moved? A few processes that come and go do not spoil it. */
static bool kept_holds(const struct manager *m, const struct service_note *n, const struct service_sample *s,
                       uint64_t company_moved, uint64_t now) {
        if (!n->kept || n->kept_began_usec < company_moved || now - MIN2(n->kept_began_usec, now) > DEEP_KEPT_USEC)
                return false;
        const struct history_entry *h = history_find(&m->history, s->cgroup);
        const struct transition *t = transition_find(m, s->cgroup);
        if ((h && n->kept_began_usec < MAX2(h->settled_usec, h->started_usec)) ||
            (t && !transition_accepts(t, n->kept_began_usec)))
                return false;
        const struct service_sample *then = &n->kept_cycle->observation->services[n->kept_index];
        size_t same = 0, n_compared = MIN2(then->n_processes, (size_t) KEPT_COMPARED_MAX);
        for (size_t i = 0; i < n_compared; i++)
                same += has_process(s, &then->processes[i]);
        return then->rule && s->rule && strcmp(then->rule->name, s->rule->name) == 0 && same * 10 >= n_compared * 9 &&
               s->n_processes * 9 <= then->n_processes * 10;
}

static bool use_kept(struct manager *m, struct cycle *c, size_t index, struct service_note *n, uint64_t now) {
        struct service_sample *s = &c->observation->services[index];
        struct companions companions;
        if (!n || (!n->kept && !n->rest) || cycle_companions(m, c, index, NULL, &companions) < 0)
                return false;
        uint64_t key = companions_key(&companions), company_moved = cycle_company_moved_usec(m, c, index);
        companions_done(&companions);
        if (!kept_holds(m, n, s, company_moved, now))
                cycle_free_kept(n);
        const struct deep_sample *map = n->kept ? n->kept : rest_find(m, n, s, key, company_moved, now);
        if (!map)
                return false;
        if (service_sample_needs_deep(s, m->topology->n_ids)) {
                uint64_t began = n->kept ? n->kept_began_usec : rest_began_usec(n->rest);
                s->bytes_age_usec = now - MIN2(began, now);
        }
        service_sample_merge_deep(s, map, m->host->has_memory_controller);
        n->wants_deep = n->deep_put_off = false;
        return true;
}

/* What cannot wait: a transition's verification, and services of which nothing is known without. */
static bool must_read(const struct manager *m, const struct service_sample *s) {
        const struct transition *t = transition_find(m, s->cgroup);
        if (t)
                return transition_wants_observation(t);
        return s->rule && s->rule->place != PLACE_IGNORE && service_sample_needs_deep(s, m->topology->n_ids);
}

static bool should_read(const struct manager *m, const struct service_sample *s, const struct service_note *n, uint64_t now) {
        if (transition_find(m, s->cgroup))
                return false;
        return (n && (n->wants_deep || n->keep_deep)) ||
               plan_wants_deep(s, history_find(&m->history, s->cgroup), m->topology->n_ids, now);
}

/* What it cost the last time, or about so much. */
static uint64_t deep_cost_usec(const struct manager *m, const struct service_sample *s, const struct service_note *n) {
        if (n && n->deep_cost_usec > 0)
                return n->deep_cost_usec;
        return DEEP_COST_BASE_USEC + sum_by_node(s->bytes_by_node, m->topology->n_ids) / (GIB / DEEP_COST_PER_GIB_USEC);
}

/* Those that can wait are read as far as the budget goes, in turn: reading all of a large machine at once would put off the next cycle, and
 * with it the verification of what is under way, by minutes. One is read in any case. `ret_left`: those that were put off begin here. */
static int start_reads(struct manager *m, struct cycle *c, bool must, size_t first, uint64_t *budget, size_t *ret_left) {
        const struct observation *o = c->observation;
        uint64_t now = manager_now(m);
        bool any = false, over = false;
        int failed = 0;

        for (size_t k = 0; k < o->n_services; k++) {
                size_t i = (first + k) % o->n_services;
                struct service_sample *s = &o->services[i];
                struct service_note *n = manager_find_note(m, s->cgroup);
                if (must && n && n->n_aside > 0) /* before any read: later they belong to the readers */
                        aside_leave_out(n, s);
                bool cannot_wait = must_read(m, s);
                if (cannot_wait != must || (!must && !should_read(m, s, n, now)) || use_kept(m, c, i, n, now) ||
                    (n && (n->stuck || n->reading || n->deep_again_usec > now)))
                        continue;
                uint64_t cost = deep_cost_usec(m, s, n);
                if (!must && any && !over && cost > *budget) {
                        over = true;
                        *ret_left = i;
                }
                if (n)
                        n->deep_put_off = over;
                if (over)
                        continue;
                any = true;
                *budget -= MIN2(*budget, cost);
                if (n)
                        n->wants_deep = false;
                int r = cycle_start_deep(m, c, i);
                if (r < 0 && (!n || n->n_deep_failed == 0)) /* said when it begins */
                        failed = r;
                if (r < 0 && n) /* else the next cycle would come soon for it, and so on */
                        cycle_put_off_deep(m, n);
        }
        return failed;
}

void cycle_read_maps(struct manager *m, struct cycle *c) {
        uint64_t available = throttle_available(&m->scan_budget, manager_now(m));
        uint64_t budget = m->options.once ? UINT64_MAX : available - MIN2(available, m->cycle_cpu_usec);
        size_t first = m->deep_turn;
        int failed = start_reads(m, c, true, 0, &budget, &m->deep_turn);
        int r = start_reads(m, c, false, first, &budget, &m->deep_turn);
        failed = r < 0 ? r : failed;
        if (failed < 0)
                log_warning(failed, "Could not read every memory map that was wanted: %s", strerror(-failed));
}
