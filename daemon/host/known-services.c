/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which services a screen reads again. A thread's stat counts in ticks: as long as all of a cgroup has used less than one since its processes
 * were read, with the same processes in it, their files say what they said. Where the rest is more than may be spent, those go first that
 * were not looked at for longest. */
#include "host/known-services.h"

#include <stdlib.h>
#include <string.h>

#include "core/util.h"

/* Of those that did nothing for long, so many of all are read again in one screen, and a few more. */
#define TRUSTED_PARTS 16u
#define TRUSTED_MORE  8u

void known_service_done(struct known_service *k) {
        free(k->cgroup);
        free(k->listed);
        free(k->processes);
        cpu_tally_done(&k->tally);
        free(k->allowed_cpus);
        string_list_done(&k->users);
        string_list_done(&k->exes);
        string_list_done(&k->comms);
        *k = (struct known_service) { 0 };
}

void known_services_done(struct known_services *t) {
        for (size_t i = 0; i < t->n_items; i++)
                known_service_done(&t->items[i]);
        free(t->items);
        *t = (struct known_services) { 0 };
}

static int compare_cgroup(const void *key, const void *element) {
        return strcmp(key, ((const struct known_service *) element)->cgroup);
}

struct known_service *known_services_find(const struct known_services *t, const char *cgroup) {
        return t->n_items > 0 ? bsearch(cgroup, t->items, t->n_items, sizeof *t->items, compare_cgroup) : NULL;
}

int known_services_append(struct known_services *t, struct known_service *k) {
        int r = array_reserve(&t->items, &t->capacity, t->n_items + 1, sizeof *t->items);
        if (r < 0)
                return r;
        t->items[t->n_items++] = *k;
        *k = (struct known_service) { 0 };
        return 0;
}

int known_services_update(struct known_services *t, struct known_services *newer) {
        struct known_services merged = { 0 };
        int r = 0;
        for (size_t i = 0, k = 0; r == 0 && (i < t->n_items || k < newer->n_items);) {
                int order = i == t->n_items ? 1 : k == newer->n_items ? -1 : strcmp(t->items[i].cgroup, newer->items[k].cgroup);
                if (order >= 0) {
                        r = known_services_append(&merged, &newer->items[k++]);
                        i += order == 0;
                        continue;
                }
                if (t->items[i].used) {
                        t->items[i].used = false;
                        r = known_services_append(&merged, &t->items[i]);
                }
                i++;
        }
        known_services_done(t);
        known_services_done(newer);
        if (r < 0)
                known_services_done(&merged);
        *t = merged;
        return r;
}

int reading_plan_alloc(struct reading_plan *p, size_t n) {
        *p = (struct reading_plan) { .needs = calloc(n + 1, sizeof *p->needs),
                                     .usages_usec = calloc(n + 1, sizeof *p->usages_usec) };
        if (p->needs && p->usages_usec)
                return 0;
        reading_plan_done(p);
        return -ENOMEM;
}

void reading_plan_done(struct reading_plan *p) {
        free(p->needs);
        free(p->usages_usec);
        *p = (struct reading_plan) { 0 };
}

struct candidate {
        size_t index, n_threads;
        uint64_t read_usec;
        bool idle; /* did nothing, and was trusted for long */
};

/* Those that ran come before those that did not; of each kind the one that was not looked at for longest. */
static int compare_candidates(const void *a, const void *b) {
        const struct candidate *x = a, *y = b;
        if (x->idle != y->idle)
                return x->idle ? 1 : -1;
        if (x->read_usec != y->read_usec)
                return x->read_usec < y->read_usec ? -1 : 1;
        return (x->index > y->index) - (x->index < y->index);
}

static bool has_same_processes(const struct known_service *k, const struct found_service *f) {
        return k->n_listed == f->n_pids && (f->n_pids == 0 || memcmp(k->listed, f->pids, f->n_pids * sizeof *f->pids) == 0);
}

/* Must it be read, whatever it costs? */
static bool must_read(const struct known_service *k, const struct found_service *f, uint64_t usage_usec, unsigned identity) {
        return !k || usage_usec == USEC_INFINITY || usage_usec < k->read_usage_usec || (k->identity & identity) != identity ||
               !has_same_processes(k, f);
}

static size_t spare(size_t limit, size_t n) {
        return limit == SIZE_MAX ? limit : limit - MIN2(limit, n);
}

/* Gives the candidates their turn. */
static void choose(struct reading_plan *plan, const struct candidate *c, size_t n, size_t n_threads, size_t n_idle) {
        bool any = false;
        for (size_t i = 0; i < n; i++) {
                bool affordable =
                        n_threads >= c[i].n_threads || (!any && !c[i].idle); /* one in any case: each comes to its turn */
                if (affordable && (!c[i].idle || n_idle > 0)) {
                        plan->needs[c[i].index] = READ_ALL;
                        n_threads = spare(n_threads, c[i].n_threads);
                        n_idle -= c[i].idle;
                        any = true;
                } else if (!c[i].idle)
                        plan->n_put_off++;
        }
}

int reading_plan_make(const struct known_services *known, const struct found_services *found, const struct reading_limits *limits,
                      struct reading_plan *plan) {
        _cleanup_free_ struct candidate *candidates = calloc(found->n_items + 1, sizeof *candidates);
        size_t n = 0, n_threads = limits->n_threads;
        if (!candidates)
                return -ENOMEM;
        plan->n_put_off = 0;
        for (size_t i = 0; i < found->n_items; i++) {
                const struct found_service *f = &found->items[i];
                const struct known_service *k = f->cgroup ? known_services_find(known, f->cgroup) : NULL;
                plan->needs[i] = READ_ALL;
                if (must_read(k, f, plan->usages_usec[i], limits->identity)) {
                        n_threads = spare(n_threads, k ? k->tally.n_threads : f->n_pids);
                        continue;
                }
                bool idle = plan->usages_usec[i] - k->read_usage_usec <= limits->slack_usec;
                plan->needs[i] = idle ? READ_NOTHING : READ_LATER;
                if (idle && limits->now_usec - MIN2(k->read_usec, limits->now_usec) < KNOWN_TRUSTED_USEC)
                        continue;
                candidates[n++] = (struct candidate) { i, k->tally.n_threads, k->read_usec, idle };
        }
        if (n > 0)
                qsort(candidates, n, sizeof *candidates, compare_candidates);
        choose(plan, candidates, n, n_threads, found->n_items / TRUSTED_PARTS + TRUSTED_MORE);
        return 0;
}
