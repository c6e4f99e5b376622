/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "world.h"

#include <stdio.h>
#include <string.h>

static void *need(void *p) {
        if (!p) {
                fprintf(stderr, "out of memory\n");
                abort();
        }
        return p;
}

static void need_zero(int r) {
        if (r < 0) {
                fprintf(stderr, "unexpected error: %s\n", strerror(-r));
                abort();
        }
}

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
                        (struct node_memory){ .bytes_total = t->nodes[n].bytes_total, .bytes_free = t->nodes[n].bytes_total };
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
                *node = (struct topology_node){ .present = true, .bytes_total = bytes, .n_cores = n_cores, .n_cpus = n_cpus };
                for (unsigned cpu = n * n_cpus; cpu < (n + 1) * n_cpus; cpu++) {
                        cpu_mask_add(&node->cpus, cpu);
                        t->node_of_cpu[cpu] = (int16_t) n;
                }
                w->machine.nodes[n] = (struct node_memory){ .bytes_total = bytes, .bytes_free = bytes };
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
        n->cpus = (struct cpu_mask){ 0 };
        n->n_cpus = n->n_cores = 0;
}

void world_take_memory(struct world *w, unsigned node) {
        w->topology->nodes[node].bytes_total = 0;
        w->machine.nodes[node] = (struct node_memory){ 0 };
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

static char *check_room(const struct world *w, const struct plan *p) {
        for (unsigned n = 0; n < w->topology->n_ids; n++) {
                uint64_t taken = 0;
                for (size_t i = 0; i < p->n_placements; i++)
                        if (p->placements[i].room_by_node)
                                taken += p->placements[i].room_by_node[n];
                const struct node_memory *m = &w->machine.nodes[n];
                uint64_t room = node_room_bytes(m, w->config->settings.keep_free_permille) + m->hugetlb_free_bytes;
                if (taken > room)
                        return format_string("node %u: %llu bytes promised, room for %llu", n, (unsigned long long) taken,
                                             (unsigned long long) room);
        }
        return NULL;
}

static const char *check_placement(const struct world *w, const struct service_sample *s, const struct placement *p) {
        struct node_set cpu_nodes = topology_nodes_with_cpus(w->topology), mem_nodes = topology_nodes_with_memory(w->topology);
        if (!p->reason || !*p->reason)
                return "no reason is given";
        if (p->act && p->state != STATE_PENDING)
                return "something is due in a state that is not pending";
        if ((!s->rule || s->rule->place == PLACE_IGNORE) && (p->state != STATE_OBSERVED || p->act))
                return "a service that no rule manages is not merely observed";
        if (p->act && s->self_managed && s->rule->app_policy == APP_POLICY_RESPECT)
                return "a self-managed service is touched";
        if (!node_set_is_subset(&p->home_cpus, &cpu_nodes) || !node_set_is_subset(&p->home_mems, &mem_nodes))
                return "the home has nodes without what it needs of them";
        if (p->restrict_cpus && node_set_is_empty(&p->home_cpus))
                return "CPUs are restricted to nothing";
        if (p->narrow_mems && node_set_is_empty(&p->home_mems))
                return "memory is narrowed to nothing";
        if (p->restrict_cpus && s->admin_cpus)
                return "CPUs that the administrator set are restricted";
        if (s->admin_mems && (p->narrow_mems || p->widen_mems))
                return "memory nodes that the administrator set are changed";
        if (p->narrow_mems && (!s->rule || (s->has_bound_mappings && s->rule->app_policy == APP_POLICY_RESPECT) ||
                               s->rule->memory != MEMORY_STRICT))
                return "memory is narrowed that must not be";
        if (s->rule && s->rule->place == PLACE_COMPACT && s->rule->max_nodes > 0 && node_set_count(&p->home) > s->rule->max_nodes)
                return "more nodes than max-nodes";
        if (p->move_memory != (p->bytes_to_move > 0) || p->move_memory != (p->room_by_node != NULL))
                return "moving memory, bytes to move and room disagree";
        if ((p->pages_how == PAGES_BALANCE) != (p->want_by_node != NULL) ||
            (p->pages_how == PAGES_INTERLEAVE) != (p->weight_by_node != NULL))
                return "how pages are divided, and into what, disagree";
        return NULL;
}

static bool names(const struct string_list *l, const char *name) {
        for (size_t i = 0; i < l->n_items; i++)
                if (strcmp(l->items[i], name) == 0)
                        return true;
        return false;
}

/* Its home is one that others must heed. */
static bool has_place(const struct service_sample *s, const struct placement *p) {
        const struct rule *r = s->rule;
        return r && !node_set_is_empty(&p->home) && !s->admin_cpus &&
               (r->place == PLACE_NODES || r->place == PLACE_SPREAD ||
                ((r->place == PLACE_COMPACT || r->place == PLACE_NEAR) && r->cpus == CPUS_RESTRICT));
}

static bool says(const struct placement *p, const char *text) {
        return strstr(p->reason, text) != NULL;
}

/* Does it look for a home, or would it if it were large enough? Some have none by their own rule alone: of absent nodes, of more than there are. */
static bool can_bind(const struct service_sample *s, const struct placement *p) {
        bool barred = p->state == STATE_BLOCKED && node_set_is_empty(&p->home) && !says(p, "has room for its") &&
                      !says(p, "left where it is");
        return s->rule && !s->admin_cpus && !barred;
}

/* Whom rules bind together, directly or through others: the same number. The caller frees. */
static size_t *find_bonds(const struct world *w, const struct plan *p) {
        size_t *bond = need(calloc(w->n_samples + 1, sizeof *bond)), *todo = need(calloc(w->n_samples + 1, sizeof *todo));
        for (size_t first = 0; first < w->n_samples; first++) {
                size_t n = 0;
                if (bond[first] != 0)
                        continue;
                bond[first] = first + 1;
                if (can_bind(&w->samples[first], &p->placements[first]))
                        todo[n++] = first;
                while (n > 0) {
                        const struct rule *a = w->samples[todo[--n]].rule;
                        for (size_t k = 0; k < w->n_samples; k++) {
                                const struct rule *b = w->samples[k].rule;
                                if (bond[k] != 0 || !can_bind(&w->samples[k], &p->placements[k]) ||
                                    (!names(&a->together_with, b->name) && !names(&b->together_with, a->name)))
                                        continue;
                                bond[k] = first + 1;
                                todo[n++] = k;
                        }
                }
        }
        free(todo);
        return bond;
}

static const char *check_pair(const struct world *w, const struct plan *p, size_t i, size_t k, bool bonded) {
        const struct placement *x = &p->placements[i], *y = &p->placements[k];
        const struct rule *a = w->samples[i].rule, *b = w->samples[k].rule;
        struct node_set both = node_set_intersect(&x->home, &y->home);
        if (bonded && a->together_with.n_items + b->together_with.n_items > 0 && !node_set_equal(&x->home, &y->home) &&
            !says(x, "together-with is given up") && !says(y, "together-with is given up"))
                return "they are to share a home";
        if (node_set_is_empty(&both) || bonded)
                return NULL;
        if (a->exclusive && !says(x, "exclusive is given up"))
                return "the first has its nodes for itself";
        if (names(&a->apart_from, b->name) && !says(x, "apart-from is given up"))
                return "the first is to be apart from the second";
        return NULL;
}

static char *check_pairs(const struct world *w, const struct plan *p) {
        bool any = false;
        char *broken = NULL;
        for (size_t i = 0; i < w->n_rules; i++) {
                const struct rule *r = w->rules[i];
                any |= r->exclusive || r->apart_from.n_items > 0 || r->together_with.n_items > 0;
        }
        if (!any)
                return NULL;
        size_t *bond = find_bonds(w, p);
        for (size_t i = 0; i < p->n_placements && !broken; i++)
                for (size_t k = 0; k < p->n_placements && !broken; k++) {
                        if (i == k || !has_place(&w->samples[i], &p->placements[i]) ||
                            !has_place(&w->samples[k], &p->placements[k]))
                                continue;
                        const char *why = check_pair(w, p, i, k, bond[i] == bond[k]);
                        if (why)
                                broken = format_string("%s, %s: %s (%s; %s)", w->samples[i].unit, w->samples[k].unit, why,
                                                       p->placements[i].reason, p->placements[k].reason);
                }
        free(bond);
        return broken;
}

static const char *check_nodes(const struct service_sample *s, const struct placement *p) {
        const struct rule *r = s->rule;
        if (!r || node_set_is_empty(&p->home))
                return NULL;
        struct node_set avoided = node_set_intersect(&p->home, &r->avoid);
        if (!node_set_is_empty(&avoided))
                return "it is on nodes that its rule avoids";
        if (r->has_allowed && !node_set_is_subset(&p->home, &r->allowed))
                return "it is on nodes that its rule does not allow";
        return r->place != PLACE_NODES && node_set_count(&p->home) < r->min_nodes ? "fewer nodes than min-nodes" : NULL;
}

char *world_check_plan(const struct world *w, const struct plan *p) {
        if (p->n_placements != w->n_samples)
                return format_string("%zu placements for %zu services", p->n_placements, w->n_samples);
        for (size_t i = 0; i < p->n_placements; i++) {
                const char *why = check_placement(w, &w->samples[i], &p->placements[i]);
                why = why ? why : check_nodes(&w->samples[i], &p->placements[i]);
                if (why)
                        return format_string("%s: %s (%s)", w->samples[i].unit, why, p->placements[i].reason);
        }
        char *broken = check_pairs(w, p);
        return broken ? broken : check_room(w, p);
}

struct plan_input world_input(const struct world *w) {
        return (struct plan_input){
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

/* What every explanation has: one chosen candidate at most, which comes first, terms that add up, a sentence for each. */
static const char *check_explanation(const struct explanation *e) {
        for (size_t i = 0; i < e->n_candidates; i++) {
                const struct candidate *c = &e->candidates[i];
                const struct cost_terms *t = &c->terms;
                double sum = t->distance + t->bandwidth + t->load + t->fill + t->moving + t->breadth + t->device;
                _cleanup_free_ char *verdict = candidate_verdict(c);
                if (c->chosen && i > 0)
                        return "a candidate that is not the first is chosen";
                if (c->feasible && (sum < c->cost - 1e-6 || sum > c->cost + 1e-6))
                        return "the terms do not add up to the cost";
                if (!verdict || !*verdict)
                        return "a candidate without verdict";
        }
        return NULL;
}

struct explanation world_explain(struct world *w, size_t index) {
        struct plan_input in = world_input(w);
        struct explanation e;
        need_zero(plan_explain(&in, index, &e));
        const char *broken = check_explanation(&e);
        if (broken) {
                fprintf(stderr, "broken promise: %s\n", broken);
                abort();
        }
        return e;
}

/* Pages go to the home nodes in order of id, as far as each has room. */
static void carry(struct world *w, struct service_sample *s, struct placement *p, unsigned from, unsigned to, uint64_t bytes) {
        uint64_t n = MIN2(bytes, p->room_by_node[to]);
        p->room_by_node[to] -= n;
        s->bytes_by_node[from] -= n;
        s->movable_by_node[from] -= n;
        w->machine.nodes[from].bytes_free += n;
        s->bytes_by_node[to] += n;
        s->movable_by_node[to] += n;
        w->machine.nodes[to].bytes_free -= n;
        if (p->pages_how == PAGES_INTERLEAVE)
                p->room_by_node[from] += n;
}

/* From where there is more than belongs there to where there is less. */
static void apply_division(struct world *w, struct service_sample *s, struct placement *p) {
        unsigned n_ids = w->topology->n_ids;
        uint64_t total = sum_by_node(s->movable_by_node, n_ids), parts = 0;
        for (unsigned n = 0; n < n_ids; n++)
                parts += p->pages_how == PAGES_BALANCE ? p->want_by_node[n] : p->weight_by_node[n];
        for (unsigned from = 0; from < n_ids; from++)
                for (unsigned to = 0; to < n_ids; to++) {
                        const uint64_t *want = p->want_by_node;
                        uint64_t leave = want ? want[from] : total * p->weight_by_node[from] / parts;
                        uint64_t reach = want ? want[to] : total * p->weight_by_node[to] / parts;
                        if (s->movable_by_node[from] > leave && s->movable_by_node[to] < reach)
                                carry(w, s, p, from, to, MIN2(s->movable_by_node[from] - leave, reach - s->movable_by_node[to]));
                }
}

static void apply_move(struct world *w, struct service_sample *s, struct placement *p) {
        if (p->pages_how != PAGES_HOME) {
                apply_division(w, s, p);
                return;
        }
        struct node_memory *nodes = w->machine.nodes;
        for (unsigned from = 0; from < w->topology->n_ids; from++) {
                if (node_set_has(&p->home_mems, from))
                        continue;
                NODE_SET_FOREACH (to, &p->home_mems) {
                        uint64_t n = MIN2(s->movable_by_node[from], p->room_by_node[to]);
                        p->room_by_node[to] -= n;
                        s->bytes_by_node[from] -= n;
                        s->movable_by_node[from] -= n;
                        nodes[from].bytes_free += n;
                        s->bytes_by_node[to] += n;
                        s->movable_by_node[to] += n;
                        nodes[to].bytes_free -= n;
                }
        }
}

static void apply_cpus(struct world *w, struct service_sample *s, const struct node_set *cpus) {
        double used = (double) sum_by_node(s->cpu_usec_by_node, w->topology->n_ids) / (double) s->cpu_window_usec;
        double cores = topology_n_cores(w->topology, cpus);
        if (sum_by_node(s->cpu_usec_by_node, w->topology->n_ids) == 0) {
                memset(s->cpu_share_by_node, 0, w->topology->n_ids * sizeof *s->cpu_share_by_node);
                s->cpu_share_by_node[node_set_next(cpus, 0)] = 1000000;
        }
        for (unsigned n = 0; n < w->topology->n_ids; n++)
                s->cpu_usec_by_node[n] = 0;
        NODE_SET_FOREACH (n, cpus)
                world_cpu(w, s, (unsigned) n, used * w->topology->nodes[n].n_cores / cores);
}

static uint64_t movable_off(const struct world *w, const struct service_sample *s, const struct node_set *home) {
        uint64_t off = 0;
        for (unsigned n = 0; n < w->topology->n_ids; n++)
                if (!node_set_has(home, n))
                        off += s->movable_by_node[n];
        return off;
}

void world_apply(struct world *w, const struct plan *p) {
        struct node_set all_cpus = topology_nodes_with_cpus(w->topology), all_mems = topology_nodes_with_memory(w->topology);
        for (size_t i = 0; i < p->n_placements; i++) {
                const struct placement *x = &p->placements[i];
                struct service_sample *s = &w->samples[i];
                if (!x->act)
                        continue;
                need_zero(history_record_placed(&w->history, s->cgroup, &x->home, w->now_usec));
                if (x->move_memory)
                        apply_move(w, s, &p->placements[i]);
                if (x->restrict_cpus) {
                        w->applied[i].cpus = true;
                        s->effective_cpu_nodes = x->home_cpus;
                        apply_cpus(w, s, &x->home_cpus);
                } else if (w->applied[i].cpus) {
                        w->applied[i].cpus = false;
                        s->effective_cpu_nodes = all_cpus;
                }
                if (x->narrow_mems) {
                        w->applied[i].mems = true;
                        s->effective_mems = x->home_mems;
                } else if (w->applied[i].mems) {
                        w->applied[i].mems = false;
                        s->effective_mems = all_mems;
                        history_record_widened(&w->history, s->cgroup, w->now_usec);
                }
                bool divided = x->pages_how != PAGES_HOME;
                uint64_t off = divided          ? placement_misplaced_bytes(x, s, w->topology->n_ids)
                               : x->move_memory ? movable_off(w, s, &x->home_mems)
                                                : 0;
                if (divided && off <= division_tolerated_bytes(s->rule, sum_by_node(s->movable_by_node, w->topology->n_ids)))
                        off = 0;
                history_record_settled(&w->history, s->cgroup, off, w->now_usec);
                if (x->move_memory)
                        history_record_interleaved(&w->history, s->cgroup,
                                                   x->weight_by_node ? interleave_key(x->weight_by_node, w->topology->n_ids) : 0);
        }
        need_zero(plan_remember(p, w->samples, &w->history, w->now_usec));
}

size_t world_cycle(struct world *w, uint64_t pause_usec) {
        struct plan *p = world_plan(w);
        size_t n = 0;
        for (size_t i = 0; i < p->n_placements; i++)
                n += p->placements[i].act;
        world_apply(w, p);
        plan_free(p);
        w->now_usec += pause_usec;
        return n;
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
