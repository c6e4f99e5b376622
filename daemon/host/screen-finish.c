/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What can be said only when all services are known: a cgroup's counters include those of the cgroups in it, and a service can
 * contain another (a container's scope and the services inside), so what is counted for the inner is taken off the outer. */
#include <string.h>

#include "core/util.h"
#include "host/io.h"
#include "host/screen.h"

static int compare_services(const void *a, const void *b) {
        const struct screened_service *x = a, *y = b;
        return strcmp(x->sample.cgroup, y->sample.cgroup);
}

static int compare_cgroup(const void *key, const void *element) {
        return strcmp(key, ((const struct screened_service *) element)->sample.cgroup);
}

/* The service that another's cgroup is in, or NULL. `path` is cut short on the way. */
static struct screened_service *find_outer(const struct screen *s, char *path) {
        for (char *slash = strrchr(path, '/'); slash && slash != path; slash = strrchr(path, '/')) {
                *slash = 0;
                struct screened_service *found = bsearch(path, s->services, s->n_services, sizeof *s->services, compare_cgroup);
                if (found)
                        return found;
        }
        return NULL;
}

/* What a service's cgroup is given holds for all that is in it, other services too: these are not its rule's to restrict. */
static int note_holds(struct screened_service *outer, const struct screened_service *inner) {
        struct service_sample *s = &outer->sample;
        if (s->holds_services)
                return 0;
        s->holds_services = true;
        s->owner = OWNER_NONE;
        free(s->owner_detail);
        s->owner_detail = format_string("other services are inside of its cgroup (%s), and would be restricted with it",
                                        inner->sample.unit);
        return s->owner_detail ? 0 : -ENOMEM;
}

/* Outer ones sort first, so each still has its whole count when it is taken off the one around it. */
static int take_off_outer(struct screen *s) {
        unsigned n_ids = s->observer->topology->n_ids;
        for (size_t i = 0; i < s->n_services; i++) {
                struct screened_service *inner = &s->services[i];
                _cleanup_free_ char *path = strdup(inner->sample.cgroup);
                if (!path)
                        return -ENOMEM;
                struct screened_service *outer = inner->is_cgroup ? find_outer(s, path) : NULL;
                if (!outer)
                        continue;
                if (note_holds(outer, inner) < 0)
                        return -ENOMEM;
                for (unsigned id = 0; id < n_ids; id++) {
                        outer->sample.bytes_by_node[id] =
                                saturating_sub(outer->sample.bytes_by_node[id], inner->sample.bytes_by_node[id]);
                        outer->sample.mapped_file_by_node[id] =
                                saturating_sub(outer->sample.mapped_file_by_node[id], inner->sample.mapped_file_by_node[id]);
                }
                if (outer->window_usage_usec != USEC_INFINITY && inner->window_usage_usec != USEC_INFINITY)
                        outer->window_usage_usec = saturating_sub(outer->window_usage_usec, inner->window_usage_usec);
        }
        return 0;
}

static int compare_usage(const void *key, const void *element) {
        return strcmp(key, ((const struct usage_record *) element)->cgroup);
}

static void set_window_usage(struct screened_service *s, const struct usage_table *previous) {
        if (!s->have_usage || previous->n_records == 0)
                return;
        const struct usage_record *before =
                bsearch(s->sample.cgroup, previous->records, previous->n_records, sizeof *previous->records, compare_usage);
        if (before) /* less than before: the cgroup was made anew meanwhile */
                s->window_usage_usec = s->usage_usec >= before->usage_usec ? s->usage_usec - before->usage_usec : s->usage_usec;
}

int screen_finish(struct screen *s, uint64_t window_usec, const struct usage_table *previous) {
        if (s->n_services > 0)
                qsort(s->services, s->n_services, sizeof *s->services, compare_services);
        for (size_t i = 0; i < s->n_services; i++)
                set_window_usage(&s->services[i], previous);
        int r = take_off_outer(s);
        for (size_t i = 0; i < s->n_services && r == 0; i++) {
                struct screened_service *f = &s->services[i];
                r = cpu_tally_finish(&f->tally, f->allowed_cpus, window_usec, f->window_usage_usec,
                                     s->observer->host->ticks_per_sec, &f->sample);
        }
        return r;
}

void usage_table_done(struct usage_table *t) {
        for (size_t i = 0; i < t->n_records; i++)
                free(t->records[i].cgroup);
        free(t->records);
        *t = (struct usage_table) { 0 };
}

int screen_usages(const struct screen *s, struct usage_table *ret) {
        struct usage_table t = { 0 };
        for (size_t i = 0; i < s->n_services; i++) {
                if (!s->services[i].have_usage)
                        continue;
                char *cgroup = strdup(s->services[i].sample.cgroup);
                if (!cgroup || array_reserve(&t.records, &t.capacity, t.n_records + 1, sizeof *t.records) < 0) {
                        free(cgroup);
                        usage_table_done(&t);
                        return -ENOMEM;
                }
                t.records[t.n_records++] = (struct usage_record) { .cgroup = cgroup, .usage_usec = s->services[i].usage_usec };
        }
        *ret = t;
        return 0;
}
