/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is whose companion, by the rules, and lists of their processes. */
#include "core/companions.h"

#include <string.h>

#include "core/util.h"

/* A rule that has services here. */
struct bound {
        const struct rule *rule;
        size_t parent; /* index of another in the same bond; its own: the root */
        bool together; /* with itself at the least */
};

static int by_rule(const void *a, const void *b) {
        const struct rule *x = ((const struct bound *) a)->rule, *y = ((const struct bound *) b)->rule;
        return ((uintptr_t) x > (uintptr_t) y) - ((uintptr_t) x < (uintptr_t) y);
}

static size_t root(struct bound *bounds, size_t i) {
        while (bounds[i].parent != i)
                i = bounds[i].parent = bounds[bounds[i].parent].parent;
        return i;
}

/* The rules of these services, each once. */
static size_t collect(const struct service_sample *samples, size_t n, struct bound *bounds) {
        size_t n_bounds = 0, distinct = 0;
        for (size_t i = 0; i < n; i++)
                if (samples[i].rule && samples[i].rule->place != PLACE_IGNORE)
                        bounds[n_bounds++].rule = samples[i].rule;
        qsort(bounds, n_bounds, sizeof *bounds, by_rule);
        for (size_t i = 0; i < n_bounds; i++)
                if (distinct == 0 || bounds[distinct - 1].rule != bounds[i].rule)
                        bounds[distinct++].rule = bounds[i].rule;
        for (size_t i = 0; i < distinct; i++)
                bounds[i].parent = i;
        return distinct;
}

static void join(struct bound *bounds, size_t n) {
        for (size_t i = 0; i < n; i++) {
                const struct string_list *l = &bounds[i].rule->together_with;
                for (size_t k = 0; k < l->n_items; k++)
                        for (size_t o = 0; o < n; o++)
                                if (strcmp(bounds[o].rule->name, l->items[k]) == 0) {
                                        bounds[root(bounds, i)].parent = root(bounds, o);
                                        bounds[i].together = bounds[o].together = true;
                                }
        }
}

int services_bond(const struct config *config, const struct service_sample *samples, size_t n, size_t *ret_bonds) {
        bool any = false;
        for (size_t i = 0; i < n; i++)
                ret_bonds[i] = SIZE_MAX;
        for (size_t i = 0; i < config->n_rules; i++)
                any |= config->rules[i].together_with.n_items > 0;
        if (!any || n == 0)
                return 0;
        struct bound *bounds = calloc(n, sizeof *bounds);
        if (!bounds)
                return -ENOMEM;
        size_t n_bounds = collect(samples, n, bounds);
        join(bounds, n_bounds);
        for (size_t i = 0; i < n; i++) {
                const struct bound key = { .rule = samples[i].rule };
                if (!key.rule || key.rule->shared_pages != SHARED_PAGES_MOVE)
                        continue;
                const struct bound *b = bsearch(&key, bounds, n_bounds, sizeof *bounds, by_rule);
                if (b && b->together)
                        ret_bonds[i] = root(bounds, (size_t) (b - bounds));
        }
        free(bounds);
        return 0;
}

static bool have_one_home(const struct service_sample *s, const struct service_sample *o, const struct history *history,
                          unsigned n_ids, bool now) {
        const struct history_entry *x = history_find(history, s->cgroup), *y = history_find(history, o->cgroup);
        bool s_placed = x && x->placed, o_placed = y && y->placed;
        if (s_placed && o_placed)
                return node_set_equal(&x->home, &y->home);
        return !now && (o_placed || sample_size_bytes(o, n_ids) >= o->rule->min_size_bytes);
}

bool is_companion(const struct service_sample *samples, const size_t *bonds, size_t index, size_t other,
                  const struct history *history, unsigned n_ids, bool now) {
        const struct service_sample *s = &samples[index], *o = &samples[other];
        if (index == other || bonds[index] == SIZE_MAX || bonds[index] != bonds[other])
                return false;
        return !(o->self_managed && o->rule->app_policy == APP_POLICY_RESPECT) && have_one_home(s, o, history, n_ids, now);
}

static bool is_among(const struct process_ref *p, const struct process_ref *all, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (process_ref_equal(p, &all[i]))
                        return true;
        return false;
}

int companions_add(struct companions *c, const struct service_sample *s, const struct service_sample *own,
                   const struct process_ref *except, size_t n_except, size_t limit) {
        if (array_reserve(&c->items, &c->capacity, c->n_items + 1, sizeof *c->items) < 0)
                return -ENOMEM;
        struct companion x = {
                .cgroup = strdup(s->cgroup),
                .processes = calloc(s->n_processes + 1, sizeof *x.processes),
        };
        if (!x.cgroup || !x.processes) {
                free(x.cgroup);
                free(x.processes);
                return -ENOMEM;
        }
        for (size_t i = 0; i < s->n_processes && c->n_processes < limit; i++)
                if (!is_among(&s->processes[i], except, n_except) &&
                    !(own && is_among(&s->processes[i], own->processes, own->n_processes))) {
                        x.processes[x.n_processes++] = s->processes[i];
                        c->n_processes++;
                }
        c->items[c->n_items++] = x;
        return 0;
}

int companions_copy(const struct companions *from, struct companions *ret) {
        *ret = (struct companions) { 0 };
        for (size_t i = 0; from && i < from->n_items; i++) {
                const struct companion *x = &from->items[i];
                const struct service_sample s = { .cgroup = x->cgroup, .processes = x->processes, .n_processes = x->n_processes };
                int r = companions_add(ret, &s, NULL, NULL, 0, SIZE_MAX);
                if (r < 0) {
                        companions_done(ret);
                        return r;
                }
        }
        return 0;
}

/* FNV-1a over what tells a process for good. */
uint64_t companions_key(const struct companions *c) {
        uint64_t h = UINT64_C(0xcbf29ce484222325);
        for (size_t i = 0; i < c->n_items; i++)
                for (size_t k = 0; k < c->items[i].n_processes; k++) {
                        const struct process_ref *p = &c->items[i].processes[k];
                        h = (h ^ (uint64_t) p->pid) * UINT64_C(0x100000001b3);
                        h = (h ^ p->start_ticks) * UINT64_C(0x100000001b3);
                }
        return c->n_processes == 0 ? 0 : MAX2(h, (uint64_t) 1);
}

void companions_done(struct companions *c) {
        for (size_t i = 0; i < c->n_items; i++) {
                free(c->items[i].cgroup);
                free(c->items[i].processes);
        }
        free(c->items);
        *c = (struct companions) { 0 };
}
