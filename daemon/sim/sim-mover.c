/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moves a simulated service's bytes as act/mover.h has it for pages: within the room given, slice by slice, with an account of what would not go. Per
 * node it keeps what each may still take; a node that the kernel finds full is given up. */
#include <string.h>

#include "sim/sim-internal.h"

/* A call's own price, whatever it moves. */
#define SLICE_BASE_USEC 200u

struct env_mover {
        struct sim *sim;
        bool dry;
        char *cgroup;
        struct process_ref first;
        struct move_goal goal;
        struct move_result result;
        struct node_set denied;
        uint64_t *room, *withheld, *assigned, *want, *busy_left; /* by node; withheld: of the room, what others have */
        uint32_t *weight;                                        /* NULL: nearest first */
        struct companions companions;                            /* whose maps the first slice reads; then nobody */
        size_t waits_for_companion; /* the slice that runs: for this process of theirs; 0: for none */
};

struct env_mover *sim_mover_free(struct env_mover *m) {
        if (!m)
                return NULL;
        companions_done(&m->companions);
        free(m->cgroup);
        free(m->room);
        free(m->withheld);
        free(m->assigned);
        free(m->want);
        free(m->busy_left);
        free(m->weight);
        free(m);
        return NULL;
}

const struct move_result *sim_mover_result(const struct env_mover *m) {
        return &m->result;
}

void sim_mover_see_room(struct env_mover *m, const uint64_t *bytes_by_node) {
        for (unsigned n = 0; n < m->sim->n_ids; n++) {
                uint64_t all = m->room[n] + m->withheld[n];
                m->room[n] = MIN2(all, bytes_by_node[n]);
                m->withheld[n] = all - m->room[n];
        }
}

size_t sim_mover_waits_for_companion(const struct env_mover *m) {
        return m->waits_for_companion;
}

/* How long the first slice hangs at the companions. */
static uint64_t read_companions(struct env_mover *m) {
        uint64_t usec = 0;
        size_t n = 0;
        m->waits_for_companion = 0;
        for (size_t i = 0; m->goal.move_shared && i < m->companions.n_items; n += m->companions.items[i++].n_processes) {
                const struct sim_service *o = sim_by_cgroup(m->sim, m->companions.items[i].cgroup);
                if (!o || m->companions.items[i].n_processes == 0 || o->stuck_usec <= usec)
                        continue;
                usec = o->stuck_usec;
                m->waits_for_companion = n + 1;
        }
        companions_done(&m->companions);
        return usec;
}

/* What of it could be moved, and is not pinned. */
static uint64_t movable_on(const struct env_mover *m, const struct sim_service *v, unsigned node) {
        uint64_t sum = 0;
        for (int k = 0; k < _SIM_KIND_MAX; k++)
                if (k != SIM_PINNED && sim_kind_moves(v, (enum sim_kind) k, m->goal.move_shared, !m->goal.respect_own_policy))
                        sum += v->bytes[k][node];
        return sum + (m->goal.move_shared && v->lender ? v->lender->bytes[SIM_SHARED][node] : 0);
}

static void transfer_kind(struct env_mover *m, struct sim_service *v, enum sim_kind k, unsigned from, unsigned to,
                          uint64_t bytes) {
        sim_release(m->sim, v, k, from, bytes);
        sim_take(m->sim, to, bytes);
        v->bytes[k][to] += bytes;
}

static void transfer(struct env_mover *m, struct sim_service *v, unsigned from, unsigned to, uint64_t bytes) {
        for (int k = 0; k < _SIM_KIND_MAX && bytes > 0; k++) {
                if (k == SIM_PINNED || !sim_kind_moves(v, (enum sim_kind) k, m->goal.move_shared, !m->goal.respect_own_policy))
                        continue;
                uint64_t part = MIN2(bytes, v->bytes[k][from]);
                transfer_kind(m, v, (enum sim_kind) k, from, to, part);
                bytes -= part;
        }
        if (bytes > 0 && m->goal.move_shared && v->lender)
                transfer_kind(m, v->lender, SIM_SHARED, from, to, MIN2(bytes, v->lender->bytes[SIM_SHARED][from]));
}

/* Interleaving: as many bytes on each node as its weight says. Page by page more would have to move; by the byte this is the least. */
static void want_by_weight(struct env_mover *m, const struct sim_service *v, const uint32_t *weight) {
        uint64_t sum = 0, all = 0;
        for (unsigned n = 0; n < m->sim->n_ids; n++) {
                sum += weight[n];
                all += movable_on(m, v, n);
        }
        for (unsigned n = 0; sum > 0 && n < m->sim->n_ids; n++)
                m->want[n] = (uint64_t) ((double) all * weight[n] / (double) sum);
}

int sim_mover_new(void *context, const struct act *act, const struct topology *t, const char *cgroup,
                  const struct process_ref *processes, size_t n_processes, const struct move_goal *goal, struct env_mover **ret) {
        struct sim *s = context;
        const struct sim_service *v = sim_by_cgroup(s, cgroup);
        struct node_set with_memory = topology_nodes_with_memory(s->topology),
                        targets = node_set_intersect(&with_memory, &goal->home);
        if (node_set_is_empty(&targets))
                return -EINVAL;
        struct env_mover *m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;
        *m = (struct env_mover) { .sim = s, .dry = act->context != s, .goal = *goal };
        m->goal.move_shared = goal->move_shared && v && sim_shares_with(s, v, goal->companions);
        m->goal.companions = NULL; /* borrowed */
        m->goal.aside = NULL;
        m->goal.n_aside = 0;
        m->first = n_processes > 0 ? processes[0] : (struct process_ref) { 0 };
        m->cgroup = strdup(cgroup);
        m->room = calloc(s->n_ids, sizeof(*m->room));
        m->withheld = calloc(s->n_ids, sizeof(*m->withheld));
        m->assigned = calloc(s->n_ids, sizeof(*m->assigned));
        m->want = calloc(s->n_ids, sizeof(*m->want));
        m->busy_left = calloc(s->n_ids, sizeof(*m->busy_left));
        m->weight = goal->weight_by_node ? calloc(s->n_ids, sizeof(*m->weight)) : NULL;
        if (companions_copy(goal->companions, &m->companions) < 0 || !m->cgroup || !m->room || !m->withheld || !m->assigned ||
            !m->want || !m->busy_left || (goal->weight_by_node && !m->weight)) {
                sim_mover_free(m);
                return -ENOMEM;
        }
        memcpy(m->room, goal->room_bytes, s->n_ids * sizeof(*m->room));
        if (m->weight && goal->weight_by_node)
                memcpy(m->weight, goal->weight_by_node, s->n_ids * sizeof(*m->weight));
        if (v && goal->how == PAGES_BALANCE && goal->want_by_node)
                memcpy(m->want, goal->want_by_node, s->n_ids * sizeof(*m->want));
        if (v && goal->how == PAGES_INTERLEAVE && goal->interleave_by_node)
                want_by_weight(m, v, goal->interleave_by_node);
        for (unsigned n = 0; v && n < s->n_ids; n++)
                m->busy_left[n] = v->bytes[SIM_PLAIN][n] / 1000 * v->spec.busy_permille;
        *ret = m;
        return 0;
}

/* How much should leave a node. */
static uint64_t excess(const struct env_mover *m, const struct sim_service *v, unsigned from) {
        uint64_t have = movable_on(m, v, from), keep = m->busy_left[from];
        if (m->goal.how == PAGES_HOME)
                keep += node_set_has(&m->goal.home, from) ? have : 0;
        else
                keep += m->want[from];
        return have > keep ? have - keep : 0;
}

/* How much a node may still be given. */
static uint64_t capacity(const struct env_mover *m, const struct sim_service *v, unsigned to) {
        if (!node_set_has(&m->goal.home, to) || node_set_has(&m->denied, to))
                return 0;
        if (m->goal.how == PAGES_HOME)
                return m->room[to];
        uint64_t have = movable_on(m, v, to);
        return have < m->want[to] ? MIN2(m->want[to] - have, m->room[to]) : 0;
}

/* The nearest node that may take some; with weights the one that is furthest behind its part. */
static int choose_target(const struct env_mover *m, const struct sim_service *v, unsigned from) {
        const struct sim_node *n = &m->sim->nodes[from];
        int best = -1;
        double least = 0;
        for (unsigned i = 0; i < n->n_order; i++) {
                unsigned to = n->order[i];
                if (to == from || capacity(m, v, to) == 0)
                        continue;
                if (!m->weight || m->goal.how != PAGES_HOME)
                        return (int) to;
                double part = m->weight[to] > 0 ? (double) m->assigned[to] / m->weight[to] : 1e18;
                if (best < 0 || part < least) {
                        best = (int) to;
                        least = part;
                }
        }
        return best;
}

/* A move of ours must leave each node what keep-free says. Others allocate at the same time: what counts is at most what was moved. */
static void check_room(struct sim *s, unsigned to, uint64_t moved) {
        const struct config *config = s->manager->config->config;
        uint64_t keep = s->nodes[to].total / 1000 * config->settings.keep_free_permille;
        uint64_t reserve = MAX2(keep, s->nodes[to].total / 1000 * s->settings.low_mark_permille);
        uint64_t have = s->nodes[to].free + s->nodes[to].cache / 2;
        if (have < reserve)
                s->totals.past_keep_free_bytes = MAX2(s->totals.past_keep_free_bytes, MIN2(moved, reserve - have));
}

/* Moves some from one node. Returns how much; 0: nothing of it can go anywhere. */
static uint64_t move_some(struct env_mover *m, struct sim_service *v, unsigned from, uint64_t budget) {
        struct sim *s = m->sim;
        int to;
        while ((to = choose_target(m, v, from)) >= 0) {
                if (!node_set_has(&v->allowed_mems, (unsigned) to)) {
                        node_set_add(&m->denied, (unsigned) to);
                        continue;
                }
                uint64_t bytes = MIN2(MIN2(excess(m, v, from), budget), capacity(m, v, (unsigned) to));
                uint64_t usable = sim_usable(s, (unsigned) to);
                if (m->weight && m->goal.how == PAGES_HOME)
                        bytes = MIN2(bytes, 2 * MIB);
                if (usable < 4096) {
                        m->room[to] = 0; /* ENOMEM */
                        continue;
                }
                bytes = MIN2(bytes, usable);
                transfer(m, v, from, (unsigned) to, bytes);
                m->room[to] -= bytes;
                m->assigned[to] += bytes;
                m->result.moved_bytes += bytes;
                m->result.moved_pages += bytes / 4096;
                m->result.asked_pages += bytes / 4096;
                if (from < ARRAY_SIZE(m->result.moved_from))
                        m->result.moved_from[from] += bytes;
                v->moved_bytes += bytes;
                s->totals.moved_bytes += bytes;
                check_room(s, (unsigned) to, bytes);
                return bytes;
        }
        return 0;
}

static bool is_gone(const struct env_mover *m, const struct sim_service *v) {
        return !v || !v->running || v->pid != m->first.pid || v->start_ticks != m->first.start_ticks;
}

/* What is left at the end, and why. */
static void count_left(struct env_mover *m, const struct sim_service *v) {
        struct move_result *r = &m->result;
        bool any_room = false;
        NODE_SET_FOREACH (n, &m->goal.home)
                any_room |= m->room[n] > 0 && !node_set_has(&m->denied, (unsigned) n);
        for (unsigned n = 0; n < m->sim->n_ids; n++) {
                bool off = m->goal.how != PAGES_HOME || !node_set_has(&m->goal.home, n);
                uint64_t left = excess(m, v, n);
                if (!any_room)
                        r->skipped_room_bytes += left;
                else
                        r->failed_other += left / 4096;
                if (!off)
                        continue;
                r->failed_busy += (v->bytes[SIM_PINNED][n] + m->busy_left[n]) / 4096;
                r->failed_shared += m->goal.move_shared ? 0 : v->bytes[SIM_SHARED][n] / 4096;
                r->skipped_policy_bytes += m->goal.respect_own_policy ? v->bytes[SIM_BOUND][n] : 0;
        }
}

int sim_mover_slice(struct env_mover *m, uint64_t budget_bytes) {
        struct sim *s = m->sim;
        struct sim_service *v = sim_by_cgroup(s, m->cgroup);
        uint64_t left = MAX2(budget_bytes, (uint64_t) 4096), before = m->result.moved_bytes;
        bool more = false;
        if (m->dry)
                return -EROFS;
        int r = sim_operation(s);
        if (r < 0)
                return r;
        m->result.n_calls++;
        s->job_cost_usec = SLICE_BASE_USEC;
        if (is_gone(m, v)) {
                m->result.process_vanished = true;
                return 0;
        }
        if (v->policy && m->goal.respect_own_policy) {
                m->result.skipped_policy_bytes = sim_bytes(s, v);
                return 0;
        }
        for (unsigned from = 0; from < s->n_ids && left > 0; from++)
                while (left > 0 && excess(m, v, from) > 0) {
                        uint64_t moved = move_some(m, v, from, left);
                        if (moved == 0)
                                break;
                        left -= MIN2(left, moved);
                        more = left == 0;
                }
        uint64_t moved = m->result.moved_bytes - before;
        s->job_cost_usec += s->settings.move_rate_bytes > 0 ? moved * USEC_PER_SEC / s->settings.move_rate_bytes : 0;
        uint64_t hangs_usec = read_companions(m);
        s->job_cost_usec = MAX2(s->job_cost_usec, MAX2(v->stuck_usec, hangs_usec));
        m->result.last_slice_usec = s->job_cost_usec;
        m->result.calls_usec += s->job_cost_usec;
        m->result.longest_call_usec = MAX2(m->result.longest_call_usec, s->job_cost_usec);
        m->result.longest_slice_usec = MAX2(m->result.longest_slice_usec, s->job_cost_usec);
        v->memory_stalled_sec += (double) s->job_cost_usec / USEC_PER_SEC * v->move_stall_permille / 1000;
        v->cpu_stalled_sec += (double) s->job_cost_usec / USEC_PER_SEC * v->move_wait_permille / 1000;
        if (more)
                return 1;
        count_left(m, v);
        struct node_set allowed = node_set_subtract(&m->goal.home, &m->denied);
        return node_set_is_empty(&allowed) && m->result.moved_bytes == 0 ? -EACCES : 0;
}
