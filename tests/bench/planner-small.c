/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random small machines with all that a machine can have of oddities, and services under rules with all keys that bear on homes. The same seed makes
 * the same. */
#include <stdio.h>
#include <string.h>

#include "planner-bench.h"

struct making {
        struct world *w;
        uint64_t seed;
        bool asked, tight, uniform;
        unsigned n_services, n_follow;
        double demand[SMALL_SERVICES]; /* CPUs */
        uint64_t bytes[SMALL_SERVICES];
};

bool chance(uint64_t *seed, unsigned percent) {
        return random_below(seed, 100) < percent;
}

double random_between(uint64_t *seed, double low, double high) {
        return low + (high - low) * (double) (random_next(seed) >> 11) * 0x1p-53;
}

void rule_rename(struct rule *r, const char *prefix, size_t number) {
        free(r->name);
        r->name = format_string("%s%zu", prefix, number);
        if (!r->name)
                abort();
}

void random_parts(uint64_t *seed, const struct node_set *nodes, unsigned n_ids, double *ret) {
        unsigned how = (unsigned) random_below(seed, 3), n = node_set_count(nodes), k = 0;
        unsigned pile = n > 0 ? (unsigned) random_below(seed, n) : 0;
        double sum = 0;
        for (unsigned id = 0; id < n_ids; id++) {
                ret[id] = 0;
                if (!node_set_has(nodes, id))
                        continue;
                ret[id] = how == 0 ? k == pile : how == 1 ? 1 : random_between(seed, 0.01, 1);
                sum += ret[id];
                k++;
        }
        for (unsigned id = 0; id < n_ids && sum > 0; id++)
                ret[id] /= sum;
}

static struct node_set random_nodes(struct making *m, const struct node_set *of) {
        struct node_set s = { 0 };
        unsigned n = node_set_count(of), pick = (unsigned) random_below(&m->seed, n), k = 0;
        NODE_SET_FOREACH (id, of) {
                if (k++ == pick || chance(&m->seed, 40))
                        node_set_add(&s, (unsigned) id);
        }
        return s;
}

/* A node of half as many CPUs and cores. */
static void halve_cpus(struct world *w, unsigned node) {
        struct topology_node *n = &w->topology->nodes[node];
        struct cpu_mask kept = { 0 };
        unsigned k = 0;
        CPU_MASK_FOREACH (cpu, &n->cpus) {
                if (k++ < n->n_cpus / 2)
                        cpu_mask_add(&kept, (unsigned) cpu);
                else
                        w->topology->node_of_cpu[cpu] = -1;
        }
        n->cpus = kept;
        n->n_cpus /= 2;
        n->n_cores /= 2;
}

static void make_distances(struct making *m) {
        struct world *w = m->w;
        unsigned n = w->topology->n_ids, how = (unsigned) random_below(&m->seed, 3);
        for (unsigned a = 0; a < n && how > 0; a++)
                for (unsigned b = 0; b < a; b++)
                        world_set_distance(w, a, b,
                                           how == 1 ? (a / 2 == b / 2 ? 12 : 28) : 11 + (uint32_t) random_below(&m->seed, 25));
}

/* What HMAT would tell, some pairs left out. */
static void make_attributes(struct making *m) {
        struct topology *t = m->w->topology;
        size_t pairs = (size_t) t->n_ids * t->n_ids;
        bool latency = chance(&m->seed, 25), bandwidth = chance(&m->seed, 25);
        if (latency && !(t->latency_nsec = calloc(pairs, sizeof *t->latency_nsec)))
                abort();
        if (bandwidth && !(t->bandwidth_mibps = calloc(pairs, sizeof *t->bandwidth_mibps)))
                abort();
        for (size_t i = 0; i < pairs; i++) {
                unsigned to = (unsigned) (i % t->n_ids);
                bool has_cpus = t->nodes[to].n_cpus > 0;
                if (latency && !chance(&m->seed, 10))
                        t->latency_nsec[i] = (has_cpus ? 8 : 14) * t->distance[i] + (uint32_t) random_below(&m->seed, 20);
                if (bandwidth && !chance(&m->seed, 10))
                        t->bandwidth_mibps[i] = (has_cpus ? 2000000 : 500000) / t->distance[i];
        }
}

static void make_devices(struct making *m) {
        struct topology *t = m->w->topology;
        struct node_set all = topology_nodes_with_cpus(t);
        t->devices = calloc(2, sizeof *t->devices);
        t->n_devices = 2;
        for (unsigned i = 0; i < 2 && t->devices; i++) {
                t->devices[i].name = format_string("net/eth%u", i);
                t->devices[i].nodes = random_nodes(m, &all);
        }
        if (!t->devices || !t->devices[0].name || !t->devices[1].name)
                abort();
}

static void make_machine(struct making *m, uint64_t bytes_per_node) {
        static const unsigned core_counts[] = { 2, 4, 8 };
        unsigned dice = (unsigned) random_below(&m->seed, 20), n = dice == 0 ? 1 : dice < 6 ? 2 : dice < 12 ? 3 : 4;
        unsigned cores = core_counts[random_below(&m->seed, ARRAY_SIZE(core_counts))];
        bool sparse = n < SMALL_NODES && chance(&m->seed, 20);
        struct world *w = m->w = world_new(n + sparse, cores, cores * (1 + chance(&m->seed, 50)), bytes_per_node);
        unsigned absent = sparse ? (unsigned) random_below(&m->seed, n + 1) : UINT32_MAX;
        if (sparse)
                world_take_node(w, absent);
        make_distances(m);
        for (unsigned id = 0; id < w->topology->n_ids; id++) {
                if (id == absent)
                        continue;
                if (chance(&m->seed, 15))
                        halve_cpus(w, id);
                if (chance(&m->seed, 15)) {
                        w->machine.nodes[id].bytes_free /= 2;
                        w->machine.nodes[id].bytes_total /= 2;
                        w->topology->nodes[id].bytes_total /= 2;
                }
        }
        struct node_set all = topology_nodes(w->topology);
        unsigned last = absent == n ? n - 1 : n + sparse - 1, first = (unsigned) node_set_next(&all, 0);
        if (n > 1 && chance(&m->seed, 20))
                world_take_cpus(w, last);
        else if (n > 2 && chance(&m->seed, 8))
                world_take_memory(w, first);
        make_attributes(m);
        make_devices(m);
}

static void add_name(struct string_list *l, const char *name) {
        if (string_list_add(l, name) < 0)
                abort();
}

static bool names(const struct string_list *l, const char *name) {
        for (size_t i = 0; i < l->n_items; i++)
                if (strcmp(l->items[i], name) == 0)
                        return true;
        return false;
}

static bool has_home(const struct rule *r) {
        return r->cpus == CPUS_RESTRICT && r->place != PLACE_FOLLOW && r->place != PLACE_INTERLEAVE && r->place != PLACE_IGNORE;
}

/* Nothing that a configuration file would be refused for: not both with and apart from the same. */
static void relate(struct making *m, struct rule *r) {
        struct world *w = m->w;
        size_t n = w->n_rules;
        bool binds = has_home(r);
        for (size_t i = 0; i < n; i++) {
                struct rule *other = w->rules[i];
                bool both = binds && has_home(other);
                bool nodes = r->place == PLACE_NODES && other->place == PLACE_NODES;
                if (both && !nodes && chance(&m->seed, 7) && !names(&other->apart_from, r->name))
                        add_name(&r->together_with, other->name);
                else if (both && !nodes && chance(&m->seed, 9) && !names(&other->together_with, r->name))
                        add_name(&r->apart_from, other->name);
        }
        if (binds && r->place != PLACE_NODES && r->place != PLACE_SPREAD && chance(&m->seed, 6))
                r->exclusive = true;
}

#define FOLLOW_MOST 2u /* each multiplies what there is to try */

static enum place random_place(struct making *m) {
        static const enum place others[] = { PLACE_NODES, PLACE_SPREAD, PLACE_NEAR, PLACE_FOLLOW };
        if (m->uniform || chance(&m->seed, 65))
                return PLACE_COMPACT;
        if (chance(&m->seed, 20))
                return chance(&m->seed, 50) ? PLACE_INTERLEAVE : PLACE_IGNORE;
        enum place p = others[random_below(&m->seed, ARRAY_SIZE(others))];
        return p == PLACE_FOLLOW && m->n_follow++ >= FOLLOW_MOST ? PLACE_COMPACT : p;
}

static void bound_nodes(struct making *m, struct rule *r, const struct node_set *all) {
        unsigned n = node_set_count(all);
        if (m->uniform || r->place == PLACE_NODES || r->place == PLACE_IGNORE)
                return;
        if (chance(&m->seed, 20)) {
                r->has_allowed = true;
                r->allowed = random_nodes(m, all);
        } else if (chance(&m->seed, 10) && n > 1)
                r->avoid = node_set_of((unsigned) node_set_next(all, 0));
        if (chance(&m->seed, 15))
                r->max_nodes = 1 + (unsigned) random_below(&m->seed, n);
        if (chance(&m->seed, 8) && has_home(r))
                r->min_nodes = 1 + (unsigned) random_below(&m->seed, n);
        if (r->max_nodes > 0)
                r->min_nodes = MIN2(r->min_nodes, r->max_nodes);
}

static const struct rule *make_rule(struct making *m) {
        static const unsigned priorities[] = { 10, 50, 200, 900 };
        struct world *w = m->w;
        struct node_set all = topology_nodes(w->topology);
        if (w->n_rules > 0 && chance(&m->seed, 25)) {
                const struct rule *again = w->rules[random_below(&m->seed, w->n_rules)];
                if (again->place != PLACE_FOLLOW && again->cpus == CPUS_RESTRICT)
                        return again;
        }
        struct rule *r = world_rule(w, random_place(m));
        rule_rename(r, "r", w->n_rules - 1);
        r->min_size_bytes = 1;
        if (r->place == PLACE_NODES)
                r->nodes = random_nodes(m, &all);
        if (r->place == PLACE_NEAR)
                add_name(&r->devices, chance(&m->seed, 50) ? "net/eth0" : "net/eth1");
        if (r->place == PLACE_NEAR && chance(&m->seed, 25) && !names(&r->devices, "net/eth1"))
                add_name(&r->devices, "net/eth1");
        if (chance(&m->seed, 30))
                r->priority = priorities[random_below(&m->seed, ARRAY_SIZE(priorities))];
        if (r->place == PLACE_COMPACT && chance(&m->seed, 4) && m->n_follow++ < FOLLOW_MOST)
                r->cpus = CPUS_FREE;
        bound_nodes(m, r, &all);
        if (!m->uniform)
                relate(m, r);
        if (m->asked && r->place != PLACE_NODES && !r->has_allowed) {
                r->has_allowed = true;
                r->allowed = all;
        }
        return r;
}

/* Whose CPUs are not ours to restrict has no home that it could share or keep to itself: the file cannot ask for it. */
static bool relates(const struct rule *r) {
        return r->together_with.n_items + r->apart_from.n_items > 0 || r->exclusive || r->min_nodes > 0;
}

static void make_service(struct making *m, unsigned i) {
        struct world *w = m->w;
        struct topology *t = w->topology;
        struct node_set mems = topology_nodes_with_memory(t), cpus = topology_nodes_with_cpus(t);
        double part[SMALL_NODES + 1];
        char *name = format_string("s%u", i);
        struct service_sample *s = world_service(w, name ? name : "", make_rule(m));
        free(name);
        s->n_threads = 1 + (size_t) m->demand[i] + random_below(&m->seed, 8);
        s->cpu_pressure_centipercent = 0; /* it has what it wants: what it uses is what it asks for */
        random_parts(&m->seed, &cpus, t->n_ids, part);
        NODE_SET_FOREACH (id, &cpus)
                world_cpu(w, s, (unsigned) id, m->demand[i] * part[id]);
        random_parts(&m->seed, &mems, t->n_ids, part);
        bool stuck = chance(&m->seed, 15);
        NODE_SET_FOREACH (id, &mems) {
                uint64_t most = w->machine.nodes[id].bytes_free * 3 / 4;
                world_memory(w, s, (unsigned) id, MIN2(most, (uint64_t) ((double) m->bytes[i] * part[id])));
                if (stuck)
                        s->movable_by_node[id] = (uint64_t) ((double) s->bytes_by_node[id] * random_between(&m->seed, 0, 1));
        }
        if (chance(&m->seed, 5)) {
                s->effective_mems = random_nodes(m, &mems);
                s->admin_mems = true;
        }
        if (!relates(s->rule) && chance(&m->seed, 3) && m->n_follow++ < FOLLOW_MOST) {
                s->effective_cpu_nodes = random_nodes(m, &cpus);
                s->admin_cpus = true;
        }
}

/* What is measured is the search, not its patience: crowding has lasted for long enough to count. */
static void make_history(struct world *w) {
        for (size_t i = 0; i < w->n_samples; i++) {
                struct history_entry *e = history_get(&w->history, w->samples[i].cgroup);
                if (!e)
                        abort();
                e->crowded_usec = 1;
                e->crowded_plans = 1000;
        }
        w->now_usec = MAX2(w->now_usec, 3600 * USEC_PER_SEC);
}

struct world *small_world(uint64_t seed, unsigned max_services, bool asked) {
        struct making m = { .seed = seed, .asked = asked };
        uint64_t sum = 0;
        double busy = random_between(&m.seed, 0.1, chance(&m.seed, 20) ? 1.2 : 0.7), parts = 0;
        m.tight = chance(&m.seed, 35);
        m.uniform = chance(&m.seed, 15); /* plain compact services, which only differ in size */
        m.n_services = 1 + (unsigned) random_below(&m.seed, MIN2(max_services, SMALL_SERVICES));
        for (unsigned i = 0; i < m.n_services; i++) {
                m.bytes[i] = (64 + random_below(&m.seed, 512)) * MIB << random_below(&m.seed, 4);
                m.demand[i] = random_between(&m.seed, 0.02, 1);
                sum += m.bytes[i];
                parts += m.demand[i];
        }
        uint64_t node = sum / SMALL_NODES * (m.tight ? 13 + random_below(&m.seed, 12) : 100) / 10;
        make_machine(&m, MAX2(node, 256 * MIB));
        struct node_set all = topology_nodes(m.w->topology);
        for (unsigned i = 0; i < m.n_services; i++) {
                m.demand[i] *= busy * topology_n_cores(m.w->topology, &all) / parts;
                make_service(&m, i);
        }
        make_history(m.w);
        return m.w;
}

static void describe_rule(struct strbuf *b, const struct rule *r) {
        char *nodes = node_set_format(r->place == PLACE_NODES ? &r->nodes : &r->allowed), *avoid = node_set_format(&r->avoid);
        strbuf_printf(b, "%s %s priority %u%s%s", r->name, place_to_string(r->place), r->priority,
                      r->exclusive ? " exclusive" : "", r->cpus == CPUS_FREE ? " cpus free" : "");
        if (r->place == PLACE_NODES || r->has_allowed)
                strbuf_printf(b, " %s %s", r->has_allowed ? "allowed" : "nodes", nodes ? nodes : "");
        if (!node_set_is_empty(&r->avoid))
                strbuf_printf(b, " avoid %s", avoid ? avoid : "");
        if (r->min_nodes > 0 || r->max_nodes > 0)
                strbuf_printf(b, " nodes %u...%u", r->min_nodes, r->max_nodes);
        for (size_t i = 0; i < r->together_with.n_items; i++)
                strbuf_printf(b, " with %s", r->together_with.items[i]);
        for (size_t i = 0; i < r->apart_from.n_items; i++)
                strbuf_printf(b, " apart %s", r->apart_from.items[i]);
        for (size_t i = 0; i < r->devices.n_items; i++)
                strbuf_printf(b, " %s", r->devices.items[i]);
        free(nodes);
        free(avoid);
}

char *service_describe(const struct world *w, size_t i) {
        const struct service_sample *s = &w->samples[i];
        struct strbuf b = { 0 };
        strbuf_printf(&b, "%s:", s->unit);
        for (unsigned id = 0; id < w->topology->n_ids; id++)
                strbuf_printf(&b, " %.2f/%llu", (double) s->cpu_usec_by_node[id] / (double) s->cpu_window_usec,
                              (unsigned long long) (s->bytes_by_node[id] / MIB));
        strbuf_printf(&b, "%s%s; ", s->admin_cpus ? " admin cpus" : "", s->admin_mems ? " admin mems" : "");
        describe_rule(&b, s->rule);
        return strbuf_steal(&b);
}
