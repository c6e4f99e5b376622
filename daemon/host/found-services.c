/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of services that a walk makes: one entry per cgroup at first, then those of one service put together. */
#include "core/util.h"
#include "host/cgroup.h"

#include <string.h>

static void found_service_done(struct found_service *f) {
        free(f->cgroup);
        free(f->unit);
        free(f->slice);
        free(f->owner_detail);
        free(f->pids);
        free(f->inner);
        *f = (struct found_service) { 0 };
}

void found_services_done(struct found_services *s) {
        for (size_t i = 0; i < s->n_items; i++)
                found_service_done(&s->items[i]);
        free(s->items);
        *s = (struct found_services) { 0 };
}

struct found_service *found_services_add(struct found_services *s) {
        if (array_reserve(&s->items, &s->capacity, s->n_items + 1, sizeof *s->items) < 0)
                return NULL;
        s->items[s->n_items] = (struct found_service) { .owner = OWNER_NONE, .usage_usec = USEC_INFINITY };
        return &s->items[s->n_items++];
}

static int compare_services(const void *a, const void *b) {
        const struct found_service *x = a, *y = b;
        if (!x->cgroup || !y->cgroup)
                return (x->cgroup != NULL) - (y->cgroup != NULL);
        return strcmp(x->cgroup, y->cgroup);
}

static int compare_pids(const void *a, const void *b) {
        pid_t x = *(const pid_t *) a, y = *(const pid_t *) b;
        return (x > y) - (x < y);
}

static void sort_pids(struct found_service *f) {
        size_t kept = 0;
        if (f->n_pids > 0)
                qsort(f->pids, f->n_pids, sizeof *f->pids, compare_pids);
        for (size_t i = 0; i < f->n_pids; i++)
                if (kept == 0 || f->pids[kept - 1] != f->pids[i])
                        f->pids[kept++] = f->pids[i];
        f->n_pids = kept;
}

static int append_pids(struct found_service *into, const struct found_service *from) {
        if (from->n_pids == 0)
                return 0;
        int r = array_reserve(&into->pids, &into->pids_capacity, into->n_pids + from->n_pids, sizeof *from->pids);
        if (r < 0)
                return r;
        memcpy(into->pids + into->n_pids, from->pids, from->n_pids * sizeof *from->pids);
        into->n_pids += from->n_pids;
        return 0;
}

int found_services_merge(struct found_services *s) {
        size_t kept = 0;
        if (s->n_items > 0)
                qsort(s->items, s->n_items, sizeof *s->items, compare_services);
        for (size_t i = 0; i < s->n_items; i++) {
                struct found_service *f = &s->items[i];
                if (kept > 0 && compare_services(&s->items[kept - 1], f) == 0) {
                        int r = append_pids(&s->items[kept - 1], f);
                        if (s->items[kept - 1].inner && f->inner)
                                inner_cpuset_merge(s->items[kept - 1].inner, f->inner);
                        else if (f->inner)
                                s->items[kept - 1].inner = TAKE_PTR(f->inner);
                        s->items[kept - 1].usage_usec = MIN2(s->items[kept - 1].usage_usec, f->usage_usec);
                        if (r < 0)
                                return r;
                        found_service_done(f);
                        continue;
                }
                struct found_service moved = *f;
                *f = (struct found_service) { 0 };
                s->items[kept++] = moved;
        }
        s->n_items = kept;
        for (size_t i = 0; i < kept; i++)
                sort_pids(&s->items[i]);
        return 0;
}
