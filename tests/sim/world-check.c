/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is promised of every plan and of every explanation, whatever the world: rooms that are kept, rules that are obeyed, reasons that are
 * given. */
#include "world-internal.h"

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

/* What every explanation has: one chosen candidate at most, which comes first, terms that add up, a sentence for each. */
const char *world_check_explanation(const struct explanation *e) {
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
