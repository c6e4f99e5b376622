/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether a cycle needs a whole plan, or only another look at the few services that changed. Changes are counted from the last whole plan, not from
 * the last cycle, so that what creeps is seen as well. */
#include <string.h>

#include "core/plan-internal.h"

/* The services that nothing was seen of are taken up again after so long: what only time changes (a wait that is over) is seen then. */
#define WHOLE_USEC (60 * USEC_PER_SEC)
/* From this share of services on (and more than the floor) a whole plan is as cheap. */
#define CHANGED_SHARE 16u
#define CHANGED_FLOOR 4u
/* Less than this share of a service's memory or CPU demand, or less than the floor, is no change. */
#define SAME_SHARE          64u
#define SAME_BYTES          MIB
#define SAME_MCPU           50u
#define SAME_MILLIONTHS     20000u
#define SAME_CENTIPERCENT   200
#define is_same(a, b, most) ((a) > (b) ? (a) - (b) <= (most) : (b) - (a) <= (most))

static bool same_array(const uint64_t *a, const uint64_t *b, unsigned n, uint64_t most) {
        if (!a || !b)
                return a == b;
        for (unsigned i = 0; i < n; i++)
                if (!is_same(a[i], b[i], most))
                        return false;
        return true;
}

static bool same_text(const char *a, const char *b) {
        return a && b ? strcmp(a, b) == 0 : a == b;
}

/* What was seen of it. A deep read always counts as something new. */
static bool same_sample(const struct service_sample *a, const struct service_sample *b, unsigned n_ids) {
        uint64_t bytes = MAX2(sum_by_node(a->bytes_by_node, n_ids) / SAME_SHARE, SAME_BYTES);
        return !a->deep && !b->deep && a->owner == b->owner && (a->n_processes == 0) == (b->n_processes == 0) &&
               a->admin_cpus == b->admin_cpus && a->admin_mems == b->admin_mems && a->whole_cpus == b->whole_cpus &&
               a->partial_cpus == b->partial_cpus && a->whole_mems == b->whole_mems && a->self_managed == b->self_managed &&
               a->has_bound_mappings == b->has_bound_mappings && a->maps_incomplete == b->maps_incomplete &&
               a->binds_threads == b->binds_threads && node_set_equal(&a->thread_nodes, &b->thread_nodes) &&
               same_text(a->own_policy, b->own_policy) && node_set_equal(&a->effective_cpu_nodes, &b->effective_cpu_nodes) &&
               node_set_equal(&a->effective_mems, &b->effective_mems) &&
               node_set_equal(&a->above_cpu_nodes, &b->above_cpu_nodes) && node_set_equal(&a->above_mems, &b->above_mems) &&
               node_set_equal(&a->inner_cpu_nodes, &b->inner_cpu_nodes) && a->inner_mems == b->inner_mems &&
               node_set_equal(&a->inner_mems_allowed, &b->inner_mems_allowed) && a->holds_services == b->holds_services &&
               same_array(a->bytes_by_node, b->bytes_by_node, n_ids, bytes) &&
               is_same(a->hugetlb_bytes, b->hugetlb_bytes, bytes) && is_same(a->shared_bytes, b->shared_bytes, bytes) &&
               is_same(a->memory_pressure_centipercent, b->memory_pressure_centipercent, SAME_CENTIPERCENT) &&
               (a->memory_pressure_centipercent >= PLAN_PRESSURE_CENTIPERCENT) ==
                       (b->memory_pressure_centipercent >= PLAN_PRESSURE_CENTIPERCENT) &&
               is_same(a->cpu_pressure_centipercent, b->cpu_pressure_centipercent, SAME_CENTIPERCENT);
}

static bool same_shares(const uint32_t *a, const uint32_t *b, unsigned n) {
        if (!a || !b)
                return a == b;
        for (unsigned i = 0; i < n; i++)
                if (!is_same(a[i], b[i], SAME_MILLIONTHS))
                        return false;
        return true;
}

static bool has_come(uint64_t at_usec, uint64_t then, uint64_t now) {
        return at_usec > then && at_usec <= now;
}

/* What is remembered of it. `then`, `now`: a wait that ended between them is a change. */
static bool same_history(const struct history_entry *a, const struct history_entry *b, uint64_t then, uint64_t now) {
        if (!a || !b)
                return a == b;
        uint64_t mcpu = MAX2(a->demand_mcpu / SAME_SHARE, (uint64_t) SAME_MCPU);
        return a->placed == b->placed && node_set_equal(&a->home, &b->home) && a->started_usec == b->started_usec &&
               a->settled_usec == b->settled_usec && a->placed_usec == b->placed_usec && a->widened_usec == b->widened_usec &&
               a->rule_key == b->rule_key && a->failed == b->failed && a->refused == b->refused &&
               a->interleave_key == b->interleave_key && a->demand_known == b->demand_known && a->deep_usec == b->deep_usec &&
               a->unmovable_bytes == b->unmovable_bytes && a->retry_usec == b->retry_usec && a->n_undone == b->n_undone &&
               a->n_little == b->n_little && a->shared_processes == b->shared_processes && a->deep_again == b->deep_again &&
               a->crowded_plans == 0 && b->crowded_plans == 0 && /* each plan has to say anew whether it is crowded */
               !has_come(b->retry_usec, then, now) && !has_come(b->shared_again_usec, then, now) &&
               is_same(a->demand_mcpu, b->demand_mcpu, mcpu) && is_same(a->wait_mcpu, b->wait_mcpu, mcpu) &&
               same_shares(a->share_by_node, b->share_by_node, MIN2(a->n_ids, b->n_ids));
}

/* What is free on a node matters the more the less it is. */
static bool same_node(const struct node_memory *a, const struct node_memory *b) {
        uint64_t then = a->bytes_free + a->bytes_droppable, now = b->bytes_free + b->bytes_droppable;
        uint64_t huge = MIN2(a->hugetlb_free_bytes, b->hugetlb_free_bytes) / 8;
        return a->bytes_total == b->bytes_total && is_same(then, now, MIN2(then, now) / 8) &&
               is_same(a->hugetlb_bytes, b->hugetlb_bytes, MIN2(then, now) / 8) && /* a part of it is what is kept free */
               is_same(a->hugetlb_free_bytes, b->hugetlb_free_bytes, huge);
}

static bool same_machine(const struct plan_input *a, const struct plan_input *b) {
        if (a->machine->kernel_balancing != b->machine->kernel_balancing ||
            a->machine->kernel_demotes != b->machine->kernel_demotes)
                return false;
        for (unsigned i = 0; i < a->topology->n_ids; i++)
                if (!same_node(&a->machine->nodes[i], &b->machine->nodes[i]))
                        return false;
        return true;
}

/* Memory nodes that are narrowed are given back when they run short, however little it was that did it. */
static bool same_shortness(const struct plan_input *a, const struct service_sample *then, const struct plan_input *b,
                           const struct service_sample *now) {
        return plan_nodes_short(a->machine, &then->effective_mems, a->config->settings.keep_free_permille) ==
               plan_nodes_short(b->machine, &now->effective_mems, b->config->settings.keep_free_permille);
}

/* The same services under the same rules on the same machine, with the same cpusets of ours. */
static bool is_comparable(const struct plan_input *whole, const struct plan_input *in) {
        if (whole->topology != in->topology || whole->config != in->config || whole->n_samples != in->n_samples ||
            whole->n_applied != in->n_applied || in->now_usec - MIN2(whole->now_usec, in->now_usec) >= WHOLE_USEC)
                return false;
        for (size_t i = 0; i < in->n_applied; i++)
                if (whole->applied[i].cpus != in->applied[i].cpus || whole->applied[i].mems != in->applied[i].mems ||
                    strcmp(whole->applied[i].cgroup, in->applied[i].cgroup) != 0)
                        return false;
        for (size_t i = 0; i < in->n_samples; i++)
                if (whole->samples[i].rule != in->samples[i].rule || strcmp(whole->samples[i].cgroup, in->samples[i].cgroup) != 0)
                        return false;
        return same_machine(whole, in);
}

int plan_next(const struct plan_input *in, const struct plan_input *whole, const struct plan *previous, struct plan **ret,
              bool *ret_whole) {
        size_t n = 0, most = MAX2(in->n_samples / CHANGED_SHARE, (size_t) CHANGED_FLOOR);
        unsigned n_ids = in->topology->n_ids;
        bool few = whole && previous && previous->n_placements == in->n_samples && is_comparable(whole, in);
        size_t *changed = few ? calloc(most + 1, sizeof *changed) : NULL;
        if (few && !changed)
                return -ENOMEM;
        for (size_t i = 0; few && i < in->n_samples; i++) {
                const struct service_sample *then = &whole->samples[i], *now = &in->samples[i];
                if (same_sample(then, now, n_ids) && same_shortness(whole, then, in, now) &&
                    same_history(history_find(whole->history, then->cgroup), history_find(in->history, now->cgroup),
                                 whole->now_usec, in->now_usec))
                        continue;
                few = n < most;
                changed[n++] = i;
        }
        int r = few ? plan_update(in, previous, changed, n, ret) : plan_make(in, ret);
        free(changed);
        if (r >= 0)
                *ret_whole = !few;
        return r;
}
