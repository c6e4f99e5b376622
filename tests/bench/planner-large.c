/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Large machines: packages of four nodes, 32 cores and 64 CPUs a node, 60 % of the cores in use or more than there are. Services are of all sizes, and where they have come to be
 * by themselves: half on one node each, others on a few or all. */
#include <math.h>
#include <stdio.h>

#include "planner-bench.h"

#define CORES_PER_NODE    32u
#define PER_RULE          10u /* services */
#define MEMORY_HEADROOM   2.2
#define LARGE_NODES_MOST  128u
#define EXCLUSIVE_MOST(n) ((n) / 16) /* rules that have nodes for themselves */

struct making {
        struct world *w;
        uint64_t seed;
        bool mixed;
        unsigned n_nodes, n_exclusive;
};

static void make_distances(struct world *w, unsigned n) {
        for (unsigned a = 0; a < n; a++)
                for (unsigned b = 0; b < a; b++)
                        world_set_distance(w, a, b, a / 4 == b / 4 ? 12 : a / 16 == b / 16 ? 21 : 32);
}

static struct node_set some_nodes(struct making *m, unsigned n) {
        struct node_set s = { 0 };
        unsigned first = (unsigned) random_below(&m->seed, m->n_nodes);
        for (unsigned i = 0; i < n; i++)
                node_set_add(&s, (first + i) % m->n_nodes);
        return s;
}

static void add_name(struct string_list *l, const char *name) {
        if (string_list_add(l, name) < 0)
                abort();
}

static void mix(struct making *m, struct rule *r) {
        static const enum place places[] = { PLACE_COMPACT, PLACE_COMPACT, PLACE_COMPACT,    PLACE_COMPACT,
                                             PLACE_COMPACT, PLACE_COMPACT, PLACE_NODES,      PLACE_SPREAD,
                                             PLACE_NEAR,    PLACE_FOLLOW,  PLACE_INTERLEAVE, PLACE_IGNORE };
        struct world *w = m->w;
        r->place = places[random_below(&m->seed, ARRAY_SIZE(places))];
        r->priority = (unsigned) random_below(&m->seed, 4) * 100;
        if (r->place == PLACE_NODES)
                r->nodes = some_nodes(m, 1 + (unsigned) random_below(&m->seed, 2));
        if (r->place == PLACE_NEAR)
                add_name(&r->devices, "net/eth0");
        if (r->place == PLACE_SPREAD)
                r->max_nodes = MIN2(4u, m->n_nodes);
        if (r->place != PLACE_COMPACT)
                return;
        if (chance(&m->seed, 25)) {
                r->has_allowed = true;
                r->allowed = some_nodes(m, 1 + m->n_nodes / 2);
        } else if (chance(&m->seed, 10))
                r->avoid = node_set_of((unsigned) random_below(&m->seed, m->n_nodes));
        if (chance(&m->seed, 30))
                r->max_nodes = 1 + (unsigned) random_below(&m->seed, 3);
        struct rule *other = w->n_rules > 1 ? w->rules[random_below(&m->seed, w->n_rules - 1)] : NULL;
        if (other && other->place == PLACE_COMPACT && !other->exclusive && chance(&m->seed, 20))
                add_name(&r->apart_from, other->name);
        else if (m->n_exclusive < EXCLUSIVE_MOST(m->n_nodes) && chance(&m->seed, 5)) {
                r->exclusive = true;
                r->max_nodes = 1;
                r->priority = 500;
                add_name(&r->together_with, r->name);
                m->n_exclusive++;
        }
}

static void make_rules(struct making *m, unsigned n) {
        for (unsigned i = 0; i < n; i++) {
                struct rule *r = world_rule(m->w, PLACE_COMPACT);
                rule_rename(r, "r", i);
                if (m->mixed)
                        mix(m, r);
        }
}

static void make_service(struct making *m, unsigned i, double cpus, uint64_t bytes) {
        struct world *w = m->w;
        double part[LARGE_NODES_MOST];
        char *name = format_string("s%05u", i);
        struct service_sample *s = world_service(w, name ? name : "", w->rules[random_below(&m->seed, w->n_rules)]);
        struct node_set on = some_nodes(m, chance(&m->seed, 50) ? 1 : chance(&m->seed, 60) ? MIN2(4u, m->n_nodes) : m->n_nodes);
        free(name);
        s->n_threads = 2 + (size_t) (cpus * 2);
        s->cpu_pressure_centipercent = 0;
        random_parts(&m->seed, &on, m->n_nodes, part);
        NODE_SET_FOREACH (id, &on)
                world_cpu(w, s, (unsigned) id, cpus * part[id]);
        if (chance(&m->seed, 50))
                on = some_nodes(m, MIN2(4u, m->n_nodes));
        random_parts(&m->seed, &on, m->n_nodes, part);
        NODE_SET_FOREACH (id, &on)
                world_memory(w, s, (unsigned) id,
                             MIN2(w->machine.nodes[id].bytes_free / 4, (uint64_t) ((double) bytes * part[id])));
}

struct world *large_world(uint64_t seed, unsigned n_nodes, unsigned n_services, enum large_kind kind) {
        static const double busy[N_LARGE_KINDS] = {
                [LARGE_COMPACT] = 0.6, [LARGE_MIXED] = 0.6, [LARGE_BUSY] = 1.33, [LARGE_OVERLOADED] = 2.4
        };
        struct making m = { .seed = seed, .mixed = kind == LARGE_MIXED, .n_nodes = MIN2(n_nodes, LARGE_NODES_MOST) };
        double *cpus = calloc(n_services + 1, sizeof *cpus), sum = 0, bytes = 0;
        uint64_t *sizes = calloc(n_services + 1, sizeof *sizes);
        if (!cpus || !sizes)
                abort();
        for (unsigned i = 0; i < n_services; i++) {
                cpus[i] = exp2(random_between(&m.seed, 0, 7));
                sizes[i] = (uint64_t) ((double) (64 * MIB) * exp2(random_between(&m.seed, 0, 7)));
                sum += cpus[i];
                bytes += (double) sizes[i];
        }
        m.w = world_new(m.n_nodes, CORES_PER_NODE, 2 * CORES_PER_NODE, (uint64_t) (MEMORY_HEADROOM * bytes / m.n_nodes));
        make_distances(m.w, m.n_nodes);
        struct topology *t = m.w->topology;
        t->devices = calloc(1, sizeof *t->devices);
        if (!t->devices || !(t->devices[0].name = format_string("net/eth0")))
                abort();
        t->devices[0].nodes = node_set_of(0);
        t->n_devices = 1;
        make_rules(&m, 1 + n_services / PER_RULE);
        for (unsigned i = 0; i < n_services; i++)
                make_service(&m, i, MIN2(cpus[i] * busy[kind] * CORES_PER_NODE * m.n_nodes / sum, 2.0 * CORES_PER_NODE),
                             sizes[i]);
        free(cpus);
        free(sizes);
        return m.w;
}
