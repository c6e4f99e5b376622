/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The best homes there are, by trying every set of nodes for every service (branch and bound, which leaves out only what cannot be better).
 *
 * Why nothing better is left out. Services get homes in a fixed order; C(S) is what those in S cost with nobody else placed, and c(j, S) the
 * part of it that is j's. Placing one more never lowers what another costs, because load and bandwidth are convex potentials of what is on a
 * node, room only gets less, and fill prices only rise; so c(j, T) >= c(j, S) for T ⊇ S. Whatever homes the others get, the whole thus costs at least
 *
 *     C(S) + Σ over the others j of the least c(j, S + j) over all homes that j might have,
 *
 * and where that is not less than the best known, S leads nowhere. What was a bound for S is one for all T ⊇ S: values are kept and computed
 * anew only where they are the least. There are two exceptions:
 *   - Where memory is scarce, a home with memory of several nodes can become cheaper with less room: what goes to a nearer, fuller or dearer
 *     one goes to another. From such homes SLACK is taken off: the whole price of fill (4 % of a hop, plan-cost.c), and for
 *     place: spread, whose division also decides the distance, the whole range of distances.
 *   - Services whose memory follows their threads use memory where they are until they get another home. They come first, without a bound.
 * `prune` false tries all, for comparing both. Homes that a service's own rule or those before it bar are left out: no plan that breaks nothing has
 * them. A service whose memory a home does not hold cannot live there (and room only gets less), unless a rule gives the nodes. */
#include <math.h>
#include <string.h>

#include "planner-bench.h"

#define FILL_SHARE  0.04
#define EFFORT_MOST 300000u /* sets of homes scored: some seconds. Those that take longer are counted, not judged */

struct part {
        double cost;    /* at least so much is this home to it */
        unsigned depth; /* computed when so many had a home */
};

struct search {
        const struct rulebook *b;
        struct plan_scorer *s;
        bool prune, roomy;
        double range; /* of distances */
        size_t n, order[SMALL_SERVICES];
        size_t n_free; /* the first so many come without a bound */
        struct node_set sets[SMALL_SERVICES][SMALL_SETS + 1];
        double slack[SMALL_SERVICES][SMALL_SETS + 1];
        size_t n_sets[SMALL_SERVICES];
        bool given[SMALL_SERVICES]; /* its home need not hold its memory */
        double weight[SMALL_SERVICES];
        struct part part[SMALL_SERVICES + 1][SMALL_SERVICES][SMALL_SETS + 1]; /* by depth */
        struct node_set now[SMALL_SERVICES];                                  /* by sample, as are: */
        struct optimum best;
};

static double known_part(const struct search *x, size_t i) {
        struct plan_score_part p = plan_scorer_part(x->s, i);
        return p.memory_fits || x->given[i] || node_set_is_empty(&x->now[i]) ? p.cost : INFINITY;
}

static void score(struct search *x, struct plan_score *ret) {
        x->best.n_scored++;
        if (plan_scorer_score(x->s, x->now, ret) < 0)
                abort();
}

/* What those placed so far cost; infinite: somebody's memory does not fit. */
static double cost_so_far(struct search *x, size_t depth) {
        struct plan_score all;
        double sum = 0;
        score(x, &all);
        for (size_t k = 0; k < depth; k++)
                sum += known_part(x, x->order[k]);
        return sum;
}

static bool allowed_now(const struct search *x, size_t depth, size_t i, const struct node_set *home) {
        for (size_t k = 0; k < depth; k++)
                if (!pair_allows(x->b, i, home, x->order[k], &x->now[x->order[k]]))
                        return false;
        return true;
}

/* Of the parts that a service may cost the least, computed as things are now. */
static double least_part(struct search *x, size_t depth, size_t i) {
        struct part *parts = x->part[depth][i];
        for (;;) {
                size_t least = 0;
                for (size_t k = 1; k < x->n_sets[i]; k++)
                        if (parts[k].cost < parts[least].cost)
                                least = k;
                if (parts[least].depth == depth || isinf(parts[least].cost))
                        return parts[least].cost;
                struct plan_score all;
                double cost = INFINITY;
                if (allowed_now(x, depth, i, &x->sets[i][least])) {
                        x->now[i] = x->sets[i][least];
                        score(x, &all);
                        cost = known_part(x, i) - x->slack[i][least];
                        x->now[i] = (struct node_set) { 0 };
                }
                parts[least] = (struct part) { MAX2(cost, parts[least].cost), (unsigned) depth };
        }
}

/* At least so much will the whole cost. */
static double bound(struct search *x, size_t depth) {
        double sum = cost_so_far(x, depth);
        if (!x->prune || depth < x->n_free || isinf(sum))
                return sum;
        for (size_t k = 0; k < depth; k++) {
                size_t i = x->order[k];
                for (size_t m = 0; m < x->n_sets[i]; m++)
                        if (node_set_equal(&x->sets[i][m], &x->now[i]))
                                sum -= x->slack[i][m];
        }
        for (size_t k = depth; k < x->n && sum < x->best.cost; k++)
                sum += least_part(x, depth, x->order[k]);
        return sum;
}

static void descend(struct search *x, size_t depth) {
        x->best.proven &= x->best.n_scored <= EFFORT_MOST;
        if (!x->best.proven)
                return;
        if (depth == x->n) {
                double cost;
                x->best.n_scored++;
                if (homes_are_valid(x->b, x->s, x->now, &cost) && cost < x->best.cost) {
                        x->best.found = true;
                        x->best.cost = cost;
                        memcpy(x->best.homes, x->now, sizeof x->now);
                }
                return;
        }
        double least = bound(x, depth);
        if (isinf(least) || (x->prune && least >= x->best.cost * (1 - 1e-9)))
                return;
        size_t i = x->order[depth], n_tried = 0;
        bool tried[SMALL_SETS + 1] = { false };
        for (; n_tried < x->n_sets[i]; n_tried++) {
                size_t next = SIZE_MAX;
                for (size_t k = 0; k < x->n_sets[i]; k++)
                        if (!tried[k] && (next == SIZE_MAX || x->part[depth][i][k].cost < x->part[depth][i][next].cost))
                                next = k;
                tried[next] = true;
                if (!allowed_now(x, depth, i, &x->sets[i][next]))
                        continue;
                x->now[i] = x->sets[i][next];
                memcpy(x->part[depth + 1], x->part[depth], sizeof x->part[depth]);
                for (size_t k = 0; k < x->n && depth + 1 <= x->n_free; k++) /* those before it may have made room */
                        for (size_t m = 0; m <= SMALL_SETS; m++)
                                x->part[depth + 1][k][m] = (struct part) { 0, UINT32_MAX };
                descend(x, depth + 1);
                x->now[i] = (struct node_set) { 0 };
        }
}

static void add_sets(struct search *x, size_t i) {
        const struct world *w = x->b->w;
        const struct rule *r = w->samples[i].rule;
        unsigned ids[SMALL_NODES], n = 0;
        struct node_set all = topology_nodes(w->topology), mems = topology_nodes_with_memory(w->topology);
        NODE_SET_FOREACH (id, &all)
                ids[n++] = (unsigned) id;
        for (unsigned bits = 1; bits < 1u << n; bits++) {
                struct node_set s = { 0 };
                for (unsigned k = 0; k < n; k++)
                        if (bits >> k & 1)
                                node_set_add(&s, ids[k]);
                if (!own_rule_allows(w, i, &s))
                        continue;
                struct node_set several = node_set_intersect(&s, &mems);
                bool slack = !x->roomy && node_set_count(&several) > 1;
                double share = r && r->place == PLACE_SPREAD ? 1 : FILL_SHARE;
                x->slack[i][x->n_sets[i]] = slack ? share * x->range * x->weight[i] : 0;
                x->sets[i][x->n_sets[i]++] = s;
        }
        if (service_may_stay(w, i))
                x->sets[i][x->n_sets[i]++] = (struct node_set) { 0 };
}

/* A good order finds good homes early; any order finds the best. */
static double comes_early(const struct search *x, size_t i) {
        const struct world *w = x->b->w;
        const struct rule *r = w->samples[i].rule;
        return service_is_bound(w, i) ? r->priority * 1e6 + (r->place == PLACE_NODES) * 1e5 + x->weight[i] : 1e12;
}

static void set_order(struct search *x) {
        for (size_t i = 0; i < x->b->w->n_samples; i++) {
                if (!is_judged(x->b->w, x->s, i))
                        continue;
                size_t at = x->n++;
                x->n_free += !service_is_bound(x->b->w, i);
                for (; at > 0 && comes_early(x, x->order[at - 1]) < comes_early(x, i); at--)
                        x->order[at] = x->order[at - 1];
                x->order[at] = i;
        }
}

/* Whatever moves where, there is room: order and division do not matter. */
static bool is_roomy(const struct world *w) {
        uint64_t movable = 0;
        struct node_set mems = topology_nodes_with_memory(w->topology);
        bool roomy = true;
        for (size_t i = 0; i < w->n_samples; i++)
                movable += sum_by_node(w->samples[i].movable_by_node, w->topology->n_ids);
        NODE_SET_FOREACH (id, &mems)
                roomy &= node_room_bytes(&w->machine.nodes[id], w->config->settings.keep_free_permille) >= movable;
        return roomy;
}

static double range_of_distances(const struct world *w) {
        const struct topology *t = w->topology;
        double most = DISTANCE_LOCAL, least_nsec = 0;
        for (size_t i = 0; i < (size_t) t->n_ids * t->n_ids; i++) {
                most = MAX2(most, (double) t->distance[i]);
                if (t->latency_nsec && t->latency_nsec[i] > 0 && (least_nsec <= 0 || t->latency_nsec[i] < least_nsec))
                        least_nsec = t->latency_nsec[i];
        }
        for (size_t i = 0; i < (size_t) t->n_ids * t->n_ids && t->latency_nsec && least_nsec > 0; i++)
                most = MAX2(most, t->latency_nsec[i] / least_nsec * t->distance[i]);
        return most - DISTANCE_LOCAL;
}

bool homes_are_valid(const struct rulebook *b, struct plan_scorer *s, const struct node_set *homes, double *ret_cost) {
        const struct world *w = b->w;
        struct plan_score score;
        if (plan_scorer_score(s, homes, &score) < 0)
                return false;
        for (size_t i = 0; i < w->n_samples; i++) {
                bool given = false;
                if (!is_judged(w, s, i))
                        continue;
                if (node_set_is_empty(&homes[i])) {
                        if (service_is_bound(w, i))
                                return false;
                        continue;
                }
                if (own_rule_breaks(w, i, &homes[i]))
                        return false;
                for (size_t k = 0; k < w->n_samples; k++) {
                        if (k < i && is_judged(w, s, k) && !pair_allows(b, i, &homes[i], k, &homes[k]))
                                return false;
                        given |= (k == i || pair_together(b, i, k)) && w->samples[k].rule &&
                                 w->samples[k].rule->place == PLACE_NODES;
                }
                if (!given && !plan_scorer_part(s, i).memory_fits)
                        return false;
        }
        *ret_cost = score.cost;
        return true;
}

struct optimum optimum_search(const struct rulebook *b, struct plan_scorer *s, const struct node_set *planned, bool prune) {
        static struct search x;
        const struct world *w = b->w;
        x = (struct search) { .b = b, .s = s, .prune = prune, .roomy = is_roomy(w), .range = range_of_distances(w) };
        x.best.cost = INFINITY;
        x.best.proven = true;
        for (size_t i = 0; i < w->n_samples; i++) {
                const struct service_sample *sample = &w->samples[i];
                if (!is_judged(w, s, i))
                        continue;
                x.weight[i] =
                        (double) sum_by_node(sample->cpu_usec_by_node, w->topology->n_ids) / (double) sample->cpu_window_usec;
                x.weight[i] = MAX2(x.weight[i], 0.02);
                for (size_t k = 0; k < w->n_samples; k++)
                        x.given[i] |= (k == i || pair_together(b, i, k)) && w->samples[k].rule &&
                                      w->samples[k].rule->place == PLACE_NODES;
                add_sets(&x, i);
                for (size_t m = 0; m <= SMALL_SETS; m++)
                        x.part[0][i][m].depth = UINT32_MAX;
        }
        set_order(&x);
        if (homes_are_valid(b, s, planned, &x.best.cost)) {
                x.best.found = true;
                memcpy(x.best.homes, planned, w->n_samples * sizeof *planned);
        } else
                x.best.cost = INFINITY;
        descend(&x, 0);
        return x.best;
}
