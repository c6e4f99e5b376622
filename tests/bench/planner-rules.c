/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the keys of a rule mean, a second time and as plainly as can be, from the manual page numabalanced.yaml(5) alone: for services of small
 * machines, pair by pair. */
#include <string.h>

#include "planner-bench.h"

static struct node_set nodes_with_cpus_for(const struct world *w, size_t i) {
        struct node_set s = topology_nodes_with_cpus(w->topology);
        return node_set_intersect(&s, &w->samples[i].effective_cpu_nodes);
}

static struct node_set nodes_with_memory_for(const struct world *w, size_t i) {
        struct node_set s = topology_nodes_with_memory(w->topology);
        return node_set_intersect(&s, &w->samples[i].effective_mems);
}

bool service_restricts(const struct world *w, size_t i) {
        const struct service_sample *s = &w->samples[i];
        if (!s->rule || s->rule->cpus != CPUS_RESTRICT || s->admin_cpus)
                return false;
        struct node_set cpus = topology_nodes_with_cpus(w->topology), given = node_set_intersect(&s->rule->nodes, &cpus);
        switch (s->rule->place) {
        case PLACE_COMPACT:
        case PLACE_SPREAD:
        case PLACE_NEAR: return true;
        case PLACE_NODES: return !node_set_is_empty(&given);
        default: return false;
        }
}

bool service_may_stay(const struct world *w, size_t i) {
        const struct rule *r = w->samples[i].rule;
        return r && (r->place == PLACE_FOLLOW || (r->place == PLACE_COMPACT && !service_restricts(w, i)));
}

bool service_is_bound(const struct world *w, size_t i) {
        const struct rule *r = w->samples[i].rule;
        return r && r->place != PLACE_IGNORE && r->place != PLACE_INTERLEAVE && !service_may_stay(w, i);
}

bool is_judged(const struct world *w, const struct plan_scorer *s, size_t i) {
        const struct rule *r = w->samples[i].rule;
        return plan_scorer_places(s, i) && r && r->place != PLACE_IGNORE && r->place != PLACE_INTERLEAVE;
}

/* Nodes of which it can use at least something: a home of others would be one in name alone. */
struct node_set service_usable(const struct world *w, size_t i) {
        const struct rule *r = w->samples[i].rule;
        struct node_set cpus = nodes_with_cpus_for(w, i), mems = nodes_with_memory_for(w, i);
        struct node_set s = service_restricts(w, i) ? node_set_union(&cpus, &mems) : mems;
        if (r->has_allowed)
                s = node_set_intersect(&s, &r->allowed);
        s = node_set_subtract(&s, &r->avoid);
        if (r->place == PLACE_NODES)
                s = node_set_intersect(&s, &r->nodes);
        return s;
}

bool own_rule_breaks(const struct world *w, size_t i, const struct node_set *home) {
        const struct rule *r = w->samples[i].rule;
        struct node_set cpus = nodes_with_cpus_for(w, i), mems = nodes_with_memory_for(w, i), usable = service_usable(w, i);
        struct node_set avoided = node_set_intersect(home, &r->avoid);
        unsigned n = node_set_count(home);
        if (!node_set_is_empty(&avoided) || (r->has_allowed && !node_set_is_subset(home, &r->allowed)))
                return true;
        cpus = node_set_intersect(&cpus, home);
        mems = node_set_intersect(&mems, home);
        if (node_set_is_empty(&mems) || (service_restricts(w, i) && node_set_is_empty(&cpus)))
                return true;
        if (r->place == PLACE_NODES)
                return !node_set_equal(home, &usable);
        return n < r->min_nodes || (r->max_nodes > 0 && n > r->max_nodes);
}

bool own_rule_allows(const struct world *w, size_t i, const struct node_set *home) {
        struct node_set usable = service_usable(w, i), cpus = nodes_with_cpus_for(w, i), mems = nodes_with_memory_for(w, i);
        struct node_set both = node_set_intersect(&cpus, &mems);
        both = node_set_intersect(&both, &usable);
        /* spread: all nodes with CPUs of its own, and memory on them; those with memory alone only where there are no others. */
        if (w->samples[i].rule->place == PLACE_SPREAD && !node_set_is_empty(&both))
                usable = node_set_intersect(&usable, service_restricts(w, i) ? &cpus : &both);
        return !own_rule_breaks(w, i, home) && node_set_is_subset(home, &usable);
}

static bool names(const struct string_list *l, const char *name) {
        for (size_t k = 0; k < l->n_items; k++)
                if (strcmp(l->items[k], name) == 0)
                        return true;
        return false;
}

/* One of the two rules names the other; both may be the same. */
static bool related(const struct string_list *a, const char *name_a, const struct string_list *b, const char *name_b) {
        return names(a, name_b) || names(b, name_a);
}

static bool is_bound(const struct world *w, const struct plan_scorer *s, size_t i) {
        return is_judged(w, s, i) && service_is_bound(w, i);
}

/* Sharing a home is symmetric and, as equality is, transitive: by way of services that there are, and that can have a home at all. */
struct rulebook rulebook_new(const struct world *w, const struct plan_scorer *s) {
        struct rulebook b = { w, calloc(w->n_samples + 1, sizeof *b.bond) };
        bool changed = b.bond != NULL;
        if (!b.bond)
                abort();
        for (size_t i = 0; i < w->n_samples; i++)
                b.bond[i] = i;
        while (changed) {
                changed = false;
                for (size_t i = 0; i < w->n_samples; i++)
                        for (size_t k = 0; k < w->n_samples; k++) {
                                const struct rule *x = w->samples[i].rule, *y = w->samples[k].rule;
                                if (!is_bound(w, s, i) || !is_bound(w, s, k) || b.bond[k] <= b.bond[i])
                                        continue;
                                if (!related(&x->together_with, x->name, &y->together_with, y->name))
                                        continue;
                                b.bond[k] = b.bond[i];
                                changed = true;
                        }
        }
        return b;
}

void rulebook_done(struct rulebook *b) {
        free(b->bond);
}

bool pair_together(const struct rulebook *b, size_t i, size_t k) {
        return i != k && b->bond[i] == b->bond[k];
}

bool pair_apart(const struct rulebook *b, size_t i, size_t k) {
        const struct rule *x = b->w->samples[i].rule, *y = b->w->samples[k].rule;
        if (i == k || pair_together(b, i, k) || (!service_is_bound(b->w, i) && !service_is_bound(b->w, k)))
                return false;
        return related(&x->apart_from, x->name, &y->apart_from, y->name);
}

bool pair_exclusive(const struct rulebook *b, size_t i, size_t k) {
        const struct rule *x = b->w->samples[i].rule, *y = b->w->samples[k].rule;
        if (i == k || pair_together(b, i, k) || (!service_is_bound(b->w, i) && !service_is_bound(b->w, k)))
                return false;
        return x->exclusive || y->exclusive;
}

bool pair_allows(const struct rulebook *b, size_t i, const struct node_set *home_i, size_t k, const struct node_set *home_k) {
        struct node_set both = node_set_intersect(home_i, home_k);
        if (node_set_is_empty(home_i) || node_set_is_empty(home_k))
                return true;
        if (pair_together(b, i, k))
                return node_set_equal(home_i, home_k);
        return node_set_is_empty(&both) || (!pair_apart(b, i, k) && !pair_exclusive(b, i, k));
}

char *rulebook_check_score(const struct rulebook *b, const struct plan_scorer *s, const struct node_set *homes,
                           const struct plan_score *score) {
        unsigned own = 0, together = 0, apart = 0, exclusive = 0, left = 0;
        for (size_t i = 0; i < b->w->n_samples; i++) {
                bool placed = plan_scorer_places(s, i);
                left += placed && node_set_is_empty(&homes[i]);
                if (!placed || node_set_is_empty(&homes[i]))
                        continue;
                own += own_rule_breaks(b->w, i, &homes[i]);
                for (size_t k = 0; k < i; k++) {
                        struct node_set both = node_set_intersect(&homes[i], &homes[k]);
                        if (node_set_is_empty(&homes[k]))
                                continue;
                        together += pair_together(b, i, k) && !node_set_equal(&homes[i], &homes[k]);
                        apart += !node_set_is_empty(&both) && pair_apart(b, i, k);
                        exclusive += !node_set_is_empty(&both) && pair_exclusive(b, i, k) && !pair_apart(b, i, k);
                }
        }
        unsigned theirs = 0;
        for (unsigned c = CONSTRAINT_CPUSET; c <= CONSTRAINT_MAX_NODES; c++)
                theirs += score->broken[c];
        if (own != theirs)
                return format_string("%u services break their own rule, the scorer says %u", own, theirs);
        if ((together > 0) != (score->broken[CONSTRAINT_TOGETHER] > 0))
                return format_string("%u pairs are not together, the scorer says %u services", together,
                                     score->broken[CONSTRAINT_TOGETHER]);
        if (apart != score->broken[CONSTRAINT_APART] || exclusive != score->broken[CONSTRAINT_EXCLUSIVE])
                return format_string("%u pairs are not apart and %u not exclusive, the scorer says %u and %u", apart, exclusive,
                                     score->broken[CONSTRAINT_APART], score->broken[CONSTRAINT_EXCLUSIVE]);
        if (left != score->n_left)
                return format_string("%u have no home, the scorer says %u", left, score->n_left);
        return NULL;
}
