/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The planner's world: making one, what services have and use in it, and planning. world-check.c holds every plan to what is promised,
 * world-apply.c does what it says. */
#include "world-internal.h"

struct world *world_of(struct topology *t, size_t n_rules) {
        struct world *w = need(calloc(1, sizeof *w));
        w->topology = t;
        w->config = need(config_new());
        w->config->rules = need(calloc(n_rules + 1, sizeof *w->config->rules));
        for (size_t i = 0; i < n_rules; i++)
                rule_init(&w->config->rules[i]);
        w->config->n_rules = n_rules;
        w->machine.nodes = need(calloc(t->n_ids + 1, sizeof *w->machine.nodes));
        w->samples = need(calloc(WORLD_SERVICES_MAX, sizeof *w->samples));
        w->applied = need(calloc(WORLD_SERVICES_MAX, sizeof *w->applied));
        w->rules = need(calloc(WORLD_SERVICES_MAX, sizeof(struct rule *)));
        w->now_usec = 1000 * USEC_PER_SEC;
        for (unsigned n = 0; n < t->n_ids; n++)
                w->machine.nodes[n] =
                        (struct node_memory) { .bytes_total = t->nodes[n].bytes_total, .bytes_free = t->nodes[n].bytes_total };
        return w;
}

struct world *world_new(unsigned n_nodes, unsigned n_cores, unsigned n_cpus, uint64_t bytes) {
        struct world *w = need(calloc(1, sizeof *w));
        struct topology *t = need(topology_new(n_nodes, n_nodes * n_cpus));
        w->topology = t;
        w->config = need(config_new());
        w->machine.nodes = need(calloc(n_nodes, sizeof *w->machine.nodes));
        w->samples = need(calloc(WORLD_SERVICES_MAX, sizeof *w->samples));
        w->applied = need(calloc(WORLD_SERVICES_MAX, sizeof *w->applied));
        w->rules = need(calloc(WORLD_SERVICES_MAX, sizeof(struct rule *)));
        w->now_usec = 1000 * USEC_PER_SEC;
        for (unsigned n = 0; n < n_nodes; n++) {
                struct topology_node *node = &t->nodes[n];
                *node = (struct topology_node) { .present = true, .bytes_total = bytes, .n_cores = n_cores, .n_cpus = n_cpus };
                for (unsigned cpu = n * n_cpus; cpu < (n + 1) * n_cpus; cpu++) {
                        cpu_mask_add(&node->cpus, cpu);
                        t->node_of_cpu[cpu] = (int16_t) n;
                }
                w->machine.nodes[n] = (struct node_memory) { .bytes_total = bytes, .bytes_free = bytes };
        }
        return w;
}

struct world *world_free(struct world *w) {
        if (!w)
                return NULL;
        for (size_t i = 0; i < w->n_samples; i++)
                service_sample_done(&w->samples[i]);
        for (size_t i = 0; i < w->n_rules; i++) {
                rule_done(w->rules[i]);
                free(w->rules[i]);
        }
        free(w->samples);
        free(w->applied);
        free(w->rules);
        free(w->machine.nodes);
        history_done(&w->history);
        config_free(w->config);
        topology_free(w->topology);
        free(w);
        return NULL;
}

void world_take_cpus(struct world *w, unsigned node) {
        struct topology_node *n = &w->topology->nodes[node];
        CPU_MASK_FOREACH (cpu, &n->cpus)
                w->topology->node_of_cpu[cpu] = -1;
        n->cpus = (struct cpu_mask) { 0 };
        n->n_cpus = n->n_cores = 0;
}

void world_take_memory(struct world *w, unsigned node) {
        w->topology->nodes[node].bytes_total = 0;
        w->machine.nodes[node] = (struct node_memory) { 0 };
}

void world_take_node(struct world *w, unsigned node) {
        world_take_cpus(w, node);
        world_take_memory(w, node);
        w->topology->nodes[node].present = false;
}

void world_set_distance(struct world *w, unsigned a, unsigned b, uint32_t distance) {
        unsigned n = w->topology->n_ids;
        w->topology->distance[(size_t) a * n + b] = w->topology->distance[(size_t) b * n + a] = distance;
}

struct rule *world_rule(struct world *w, enum place place) {
        struct rule *r = need(calloc(1, sizeof *r));
        rule_init(r);
        r->place = place;
        r->name = need(strdup(place_to_string(place)));
        w->rules[w->n_rules++] = r;
        return r;
}

struct service_sample *world_service(struct world *w, const char *name, const struct rule *rule) {
        size_t i = w->n_samples++;
        struct service_sample *s = &w->samples[i];
        service_sample_init(s);
        need_zero(service_sample_alloc(s, w->topology->n_ids));
        s->cgroup = need(format_string("/system.slice/%s.service", name));
        s->unit = need(format_string("%s.service", name));
        s->rule = rule;
        s->owner = OWNER_SYSTEMD;
        s->processes = need(calloc(1, sizeof *s->processes));
        s->processes[0].pid = (pid_t) i + 1;
        s->n_processes = 1;
        s->n_threads = 2;
        s->deep = true;
        s->cpu_window_usec = WORLD_WINDOW_USEC;
        s->effective_cpu_nodes = topology_nodes_with_cpus(w->topology);
        s->effective_mems = topology_nodes_with_memory(w->topology);
        w->applied[i].cgroup = s->cgroup;
        return s;
}

void world_memory(struct world *w, struct service_sample *s, unsigned node, uint64_t bytes) {
        w->machine.nodes[node].bytes_free += s->bytes_by_node[node];
        if (w->machine.nodes[node].bytes_free < bytes) {
                fprintf(stderr, "node %u has no room for what the test puts there\n", node);
                abort();
        }
        w->machine.nodes[node].bytes_free -= bytes;
        s->bytes_by_node[node] = s->movable_by_node[node] = bytes;
}

static void set_shares(struct service_sample *s, unsigned n_ids) {
        uint64_t sum = sum_by_node(s->cpu_usec_by_node, n_ids), left = 1000000;
        unsigned last = 0;
        if (sum == 0)
                return;
        for (unsigned n = 0; n < n_ids; n++) {
                s->cpu_share_by_node[n] = (uint32_t) (s->cpu_usec_by_node[n] * 1000000 / sum);
                left -= s->cpu_share_by_node[n];
                if (s->cpu_usec_by_node[n] > 0)
                        last = n;
        }
        s->cpu_share_by_node[last] += (uint32_t) left;
}

void world_cpu(struct world *w, struct service_sample *s, unsigned node, double cpus) {
        s->cpu_usec_by_node[node] = (uint64_t) (cpus * (double) s->cpu_window_usec);
        set_shares(s, w->topology->n_ids);
}

void world_spread(struct world *w, struct service_sample *s, uint64_t bytes, double cpus) {
        struct node_set mems = topology_nodes_with_memory(w->topology), nodes = topology_nodes_with_cpus(w->topology);
        NODE_SET_FOREACH (n, &mems)
                world_memory(w, s, (unsigned) n, bytes);
        NODE_SET_FOREACH (n, &nodes)
                world_cpu(w, s, (unsigned) n, cpus);
}

size_t world_index(const struct world *w, const char *name) {
        for (size_t i = 0; i < w->n_samples; i++) {
                size_t n = strlen(name);
                if (strncmp(w->samples[i].unit, name, n) == 0 && strcmp(w->samples[i].unit + n, ".service") == 0)
                        return i;
        }
        fprintf(stderr, "no service %s\n", name);
        abort();
}

struct plan_input world_input(const struct world *w) {
        return (struct plan_input) {
                .topology = w->topology,
                .machine = &w->machine,
                .config = w->config,
                .samples = w->samples,
                .n_samples = w->n_samples,
                .history = &w->history,
                .applied = w->applied,
                .n_applied = w->n_samples,
                .now_usec = w->now_usec,
        };
}

struct plan *world_plan(struct world *w) {
        struct plan_input in = world_input(w);
        struct plan *p = NULL;
        need_zero(history_update(&w->history, w->samples, w->n_samples, w->topology->n_ids, w->now_usec));
        need_zero(plan_make(&in, &p));
        char *broken = world_check_plan(w, p);
        if (broken) {
                fprintf(stderr, "broken promise: %s\n", broken);
                abort();
        }
        return p;
}

struct explanation world_explain(struct world *w, size_t index) {
        struct plan_input in = world_input(w);
        struct explanation e;
        need_zero(plan_explain(&in, index, &e));
        const char *broken = world_check_explanation(&e);
        if (broken) {
                fprintf(stderr, "broken promise: %s\n", broken);
                abort();
        }
        return e;
}

static void add_nodes(struct strbuf *b, const struct node_set *s) {
        char *list = need(node_set_format(s));
        strbuf_printf(b, "[%s]", list);
        free(list);
}

char *plan_to_text(const struct plan *p) {
        struct strbuf b = { 0 };
        for (size_t i = 0; i < p->n_placements; i++) {
                const struct placement *x = &p->placements[i];
                strbuf_printf(&b, "%zu %s%s%s%s%s%s%s %a %a %llu ", x->sample, service_state_to_string(x->state),
                              x->act ? " act" : "", x->wants_deep ? " deep" : "", x->restrict_cpus ? " restrict" : "",
                              x->narrow_mems ? " narrow" : "", x->widen_mems ? " widen" : "", x->move_memory ? " move" : "",
                              x->distance_before, x->distance_after, (unsigned long long) x->bytes_to_move);
                add_nodes(&b, &x->home);
                add_nodes(&b, &x->home_cpus);
                add_nodes(&b, &x->home_mems);
                strbuf_printf(&b, " %s\n", x->reason);
        }
        return need(strbuf_steal(&b));
}

uint64_t random_next(uint64_t *seed) {
        uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

uint64_t random_below(uint64_t *seed, uint64_t limit) {
        return random_next(seed) % limit;
}
