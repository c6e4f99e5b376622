/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The planner's door: checks its input, drives the steps (plan-internal.h lists them), owns the result. */
#include "core/plan.h"

#include <string.h>

#include "core/plan-internal.h"

/* A service that sits well is looked into again after so long, in case its mappings changed without its numbers. */
#define DEEP_AGAIN_USEC (30 * USEC_PER_MINUTE)
/* A service without a home, that little can be gained for, or that looks after itself. */
#define DEEP_UNPLACED_USEC (5 * USEC_PER_MINUTE)
#define LOCALITY_GOOD      0.95
#define FOLLOW_LOSS_SMALL  0.04

const char *service_state_to_string(enum service_state s) {
        static const char *const table[_SERVICE_STATE_MAX] = {
                [STATE_OBSERVED] = "observed", [STATE_STABLE] = "stable",   [STATE_PENDING] = "pending",
                [STATE_MOVING] = "moving",     [STATE_BLOCKED] = "blocked",
        };
        return (int) s >= 0 && s < _SERVICE_STATE_MAX ? table[s] : "invalid";
}

bool plan_input_is_consistent(const struct plan_input *in) {
        const char *why;
        if (!in->topology || !in->machine || !in->config || !in->history || (in->n_samples > 0 && !in->samples) ||
            (in->n_applied > 0 && !in->applied) || (in->topology->n_ids > 0 && !in->machine->nodes))
                return false;
        for (size_t i = 0; i < in->n_samples; i++) {
                const struct service_sample *s = &in->samples[i];
                if (!s->cgroup || !s->bytes_by_node || !s->movable_by_node || !s->hugetlb_movable_by_node ||
                    !s->cpu_usec_by_node || !s->cpu_share_by_node)
                        return false;
                if (i > 0 && strcmp(in->samples[i - 1].cgroup, s->cgroup) >= 0)
                        return false;
        }
        for (size_t i = 1; i < in->n_applied; i++)
                if (strcmp(in->applied[i - 1].cgroup, in->applied[i].cgroup) >= 0)
                        return false;
        return topology_validate(in->topology, &why) >= 0;
}

static int make(struct planner *pl, const struct plan_input *in, bool *look, struct plan *plan) {
        int r = planner_init(pl, in, look, plan);
        if (r < 0)
                return r;
        plan_nodes(pl);
        plan_near(pl);
        plan_spread(pl);
        if (!constraints_init(pl))
                return -ENOMEM;
        plan_search(pl);
        plan_interleave(pl);
        plan_follow(pl);
        plan_conclude(pl);
        for (size_t i = 0; i < plan->n_placements; i++)
                if (!plan->placements[i].reason && (!look || look[i]))
                        return -ENOMEM;
        return pl->failed ? -ENOMEM : 0;
}

int planner_run(struct planner *pl, const struct plan_input *in, bool *look, struct plan **ret) {
        *pl = (struct planner) { 0 };
        if (!plan_input_is_consistent(in))
                return -EINVAL;
        struct plan *plan = calloc(1, sizeof *plan);
        if (!plan)
                return -ENOMEM;
        plan->placements = calloc(in->n_samples + 1, sizeof *plan->placements);
        if (!plan->placements) {
                plan_free(plan);
                return -ENOMEM;
        }
        plan->n_placements = in->n_samples;
        int r = make(pl, in, look, plan);
        if (r < 0)
                plan_free(plan);
        else
                *ret = plan;
        return r;
}

int plan_make(const struct plan_input *in, struct plan **ret) {
        struct planner pl;
        int r = planner_run(&pl, in, NULL, ret);
        planner_done(&pl);
        return r;
}

struct plan *plan_free(struct plan *p) {
        if (!p)
                return NULL;
        for (size_t i = 0; i < p->n_placements; i++) {
                struct placement *x = &p->placements[i];
                free(x->room_by_node);
                free(x->want_by_node);
                free(x->weight_by_node);
                free(x->reason);
        }
        free(p->placements);
        free(p);
        return NULL;
}

static bool wants_deep_unplaced(const struct service_sample *s, const struct history_entry *previous, unsigned n_ids,
                                uint64_t now_usec) {
        double locality = sample_locality(s, n_ids), best = 1;
        bool recently =
                previous && previous->deep_usec > 0 && now_usec - MIN2(previous->deep_usec, now_usec) < DEEP_UNPLACED_USEC;
        if (!recently)
                return true;
        /* By amounts the planner judges, and asks where it needs to know more. */
        if (s->rule->place == PLACE_SPREAD || s->rule->place == PLACE_INTERLEAVE)
                return false;
        if (s->rule->place == PLACE_FOLLOW || s->rule->cpus == CPUS_FREE || s->admin_cpus || sample_binds_cpus(s) ||
            !node_set_is_empty(&s->inner_cpu_nodes)) {
                /* The best that moving memory alone can do: all of it where most of the CPU time is. */
                uint64_t most = 0, sum = 0;
                for (unsigned i = 0; i < n_ids; i++) {
                        sum += s->cpu_share_by_node[i];
                        most = MAX2(most, s->cpu_share_by_node[i]);
                }
                best = sum > 0 ? (double) most / (double) sum : 0;
                return best - locality > FOLLOW_LOSS_SMALL;
        }
        return locality < LOCALITY_GOOD;
}

int plan_remember(const struct plan *p, const struct service_sample *samples, struct history *h, uint64_t now_usec) {
        for (size_t i = 0; i < p->n_placements; i++) {
                const struct placement *x = &p->placements[i];
                const char *cgroup = samples[x->sample].cgroup;
                history_record_crowded(h, cgroup, x->crowded && !x->act, now_usec);
                if (x->act || x->state != STATE_STABLE || node_set_is_empty(&x->home))
                        continue;
                const struct history_entry *e = history_find(h, cgroup);
                if (e && e->placed && node_set_equal(&e->home, &x->home))
                        continue;
                int r = history_record_placed(h, cgroup, &x->home, now_usec);
                if (r < 0)
                        return r;
                history_record_settled(h, cgroup, 0, now_usec);
        }
        return 0;
}

bool plan_wants_deep(const struct service_sample *s, const struct history_entry *previous, unsigned n_ids, uint64_t now_usec) {
        if (!s->rule || s->rule->place == PLACE_IGNORE || s->n_processes == 0)
                return false;
        bool long_ago = previous && now_usec - MIN2(previous->deep_usec, now_usec) >= DEEP_UNPLACED_USEC;
        if (sample_is_left_alone(s))
                return long_ago;
        uint64_t bytes = sample_size_bytes(s, n_ids), off = 0;
        bool placed = previous && previous->placed;
        if (bytes < s->rule->min_size_bytes && !placed)
                return false;
        if (!placed)
                return wants_deep_unplaced(s, previous, n_ids, now_usec);
        /* Nothing else tells that its threads are free again, or were only seen so while a cpuset was being changed. */
        if (sample_binds_cpus(s) && long_ago)
                return true;
        if (previous->deep_usec == 0 || previous->deep_again || now_usec - MIN2(previous->deep_usec, now_usec) >= DEEP_AGAIN_USEC)
                return true;
        for (unsigned i = 0; i < n_ids; i++)
                if (!node_set_has(&previous->home, i))
                        off += s->bytes_by_node[i] - history_fixed_bytes(previous, s, i);
        uint64_t known = now_usec < previous->retry_usec ? previous->unmovable_bytes : 0;
        off -= MIN2(off, known);
        if (history_is_little(off, bytes) && history_little_wait_usec(previous, s->rule->cooldown_usec, now_usec) > 0)
                return false;
        return off > MAX2(bytes / 500, 256 * KIB);
}
