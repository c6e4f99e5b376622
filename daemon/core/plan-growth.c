/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a set of nodes grows from one of them: by the node that is nearest to all that are in it, both ways, again and again. Worked out as far as
 * was asked for, and kept for as long as the nodes to be had are the same: with most services they are. */
#include "core/plan-internal.h"

static bool set_up(const struct planner *pl, struct growth *g) {
        size_t n = pl->n_nodes;
        g->row = calloc(n * n + 1, sizeof *g->row);
        g->n = calloc(n + 1, sizeof *g->n);
        g->sum = calloc(n * n + 1, sizeof *g->sum);
        return g->row && g->n && g->sum;
}

void growth_done(struct growth *g) {
        free(g->row);
        free(g->n);
        free(g->sum);
        *g = (struct growth) { 0 };
}

struct growth *growth_of(struct planner *pl, enum growing which, const struct node_set *nodes) {
        struct growth *g = &pl->growth[which];
        if (g->row && node_set_equal(&g->of, nodes))
                return g;
        if (!g->row && !set_up(pl, g)) {
                growth_done(g);
                pl->failed = true;
                return NULL;
        }
        g->of = *nodes;
        for (unsigned i = 0; i < pl->n_nodes; i++)
                g->n[i] = 0;
        return g;
}

static unsigned nearest(const double *sum, unsigned n) {
        double best_sum = -1;
        unsigned best = 0;
        for (unsigned i = 0; i < n; i++)
                if (sum[i] >= 0 && (best_sum < 0 || sum[i] < best_sum)) {
                        best = i;
                        best_sum = sum[i];
                }
        return best;
}

static void extend(const struct planner *pl, struct growth *g, unsigned seed) {
        size_t n = pl->n_nodes;
        double *sum =
                g->sum + seed * n; /* of the distances from and to those that are in it; negative: taken, or not to be had */
        unsigned last = seed;
        if (g->n[seed] == 0)
                for (unsigned i = 0; i < n; i++)
                        sum[i] = node_set_has(&g->of, pl->nodes[i].id) ? 0 : -1;
        else
                last = nearest(sum, pl->n_nodes);
        g->row[seed * n + g->n[seed]++] = (uint16_t) last;
        sum[last] = -1;
        for (unsigned i = 0; i < n; i++)
                if (sum[i] >= 0)
                        sum[i] += pl->distance[i * n + last] + pl->distance[last * n + i];
}

unsigned growth_next(const struct planner *pl, struct growth *g, unsigned seed, unsigned k) {
        while (g->n[seed] <= k)
                extend(pl, g, seed);
        return g->row[(size_t) seed * pl->n_nodes + k];
}

struct node_set grown_from(struct planner *pl, enum growing which, const struct node_set *nodes, unsigned id, unsigned size) {
        struct node_set s = node_set_of(id);
        struct growth *g = growth_of(pl, which, nodes);
        for (unsigned k = 1; g && k < size; k++)
                node_set_add(&s, pl->nodes[growth_next(pl, g, pl->index_of[id], k)].id);
        return s;
}
