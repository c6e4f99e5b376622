/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Simple ways to choose homes, for perspective: anyhow, as numad does it, not at all. All keep to the rules, or they are not counted. */
#include <string.h>

#include "planner-bench.h"

#define ATTEMPTS 200u

static size_t sets_of(const struct rulebook *b, size_t i, const struct node_set *homes, struct node_set *ret) {
        const struct world *w = b->w;
        struct node_set usable = service_usable(w, i);
        unsigned ids[SMALL_NODES + 1], n = 0;
        size_t n_sets = 0;
        NODE_SET_FOREACH (id, &usable)
                ids[n++] = (unsigned) id;
        for (unsigned bits = 1; bits < 1u << n; bits++) {
                struct node_set s = { 0 };
                bool ok = true;
                for (unsigned k = 0; k < n; k++)
                        if (bits >> k & 1)
                                node_set_add(&s, ids[k]);
                for (size_t k = 0; k < w->n_samples && ok; k++)
                        ok = k == i || pair_allows(b, i, &s, k, &homes[k]);
                if (ok && own_rule_allows(w, i, &s))
                        ret[n_sets++] = s;
        }
        return n_sets;
}

bool rival_random(const struct rulebook *b, struct plan_scorer *s, uint64_t *seed, struct node_set *homes, double *ret_cost) {
        for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
                struct node_set sets[SMALL_SETS];
                size_t start = random_below(seed, b->w->n_samples);
                memset(homes, 0, b->w->n_samples * sizeof *homes);
                for (size_t k = 0; k < b->w->n_samples; k++) {
                        size_t i = (start + k) % b->w->n_samples;
                        if (!is_judged(b->w, s, i))
                                continue;
                        size_t n = sets_of(b, i, homes, sets);
                        if (n > 0)
                                homes[i] = sets[random_below(seed, n)];
                }
                if (homes_are_valid(b, s, homes, ret_cost))
                        return true;
        }
        return false;
}

struct room {
        double cores[SMALL_NODES + 1], bytes[SMALL_NODES + 1];
};

static double cpus_of(const struct world *w, size_t i) {
        const struct service_sample *s = &w->samples[i];
        return (double) sum_by_node(s->cpu_usec_by_node, w->topology->n_ids) / (double) s->cpu_window_usec;
}

/* numad(8): the nodes with the largest product of free CPUs and free memory, as few as hold the service; here, of the sets that may be, those of
 * the fewest nodes that hold it, and of them the one with the most. */
static const struct node_set *most_free(const struct world *w, size_t i, const struct room *r, const struct node_set *sets,
                                        size_t n_sets) {
        const struct node_set *best = NULL;
        double best_sum = -1, demand = cpus_of(w, i),
               bytes = (double) sum_by_node(w->samples[i].bytes_by_node, w->topology->n_ids);
        unsigned best_size = 0;
        for (size_t k = 0; k < n_sets; k++) {
                double cores = 0, room = 0, sum = 0;
                unsigned size = node_set_count(&sets[k]);
                NODE_SET_FOREACH (id, &sets[k]) {
                        cores += r->cores[id];
                        room += r->bytes[id] + (double) w->samples[i].bytes_by_node[id];
                        sum += r->cores[id] * r->bytes[id];
                }
                bool holds = room >= bytes && (cores >= demand || size == node_set_count(&sets[n_sets - 1]));
                if (!holds || (best && size > best_size) || (best && size == best_size && sum <= best_sum))
                        continue;
                best = &sets[k];
                best_sum = sum;
                best_size = size;
        }
        return best ? best : n_sets > 0 ? &sets[n_sets - 1] : NULL;
}

static void take_room(const struct world *w, size_t i, const struct node_set *home, struct room *r) {
        unsigned n = node_set_count(home);
        NODE_SET_FOREACH (id, home) {
                double bytes = (double) sum_by_node(w->samples[i].bytes_by_node, w->topology->n_ids) / n;
                r->cores[id] -= MIN2(cpus_of(w, i) / n, r->cores[id]);
                r->bytes[id] -= MIN2(bytes, r->bytes[id]);
        }
}

bool rival_greedy(const struct rulebook *b, struct plan_scorer *s, struct node_set *homes, double *ret_cost) {
        const struct world *w = b->w;
        struct room r = { 0 };
        for (unsigned id = 0; id < w->topology->n_ids; id++) {
                r.cores[id] = w->topology->nodes[id].n_cores;
                r.bytes[id] = (double) node_room_bytes(&w->machine.nodes[id], w->config->settings.keep_free_permille);
        }
        memset(homes, 0, w->n_samples * sizeof *homes);
        for (size_t i = 0; i < w->n_samples; i++) {
                struct node_set sets[SMALL_SETS];
                if (!is_judged(w, s, i))
                        continue;
                size_t n = sets_of(b, i, homes, sets);
                const struct node_set *best = most_free(w, i, &r, sets, n);
                if (!best)
                        return false;
                homes[i] = *best;
                take_room(w, i, best, &r);
        }
        return homes_are_valid(b, s, homes, ret_cost);
}

bool rival_stay(const struct rulebook *b, struct plan_scorer *s, struct node_set *homes, double *ret_cost) {
        struct plan_score score;
        memset(homes, 0, b->w->n_samples * sizeof *homes);
        if (plan_scorer_score(s, homes, &score) < 0)
                return false;
        *ret_cost = score.cost;
        return true;
}
