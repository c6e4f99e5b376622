/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From one screen to the next: what of a service's processes is taken over, and what is kept of them. */
#include <string.h>

#include "core/util.h"
#include "host/io.h"
#include "host/screen.h"

unsigned screen_identity(const struct screen *s) {
        return (config_needs(s->config, MATCH_USER) ? KNOWN_USERS : 0U) | (config_needs(s->config, MATCH_EXE) ? KNOWN_EXES : 0U) |
               (config_needs(s->config, MATCH_COMM) ? KNOWN_COMMS : 0U) | (s->hugetlb_in_use > 0 ? KNOWN_HUGETLB : 0U);
}

static void *copy_of(const void *from, size_t n, size_t size) {
        void *copy = calloc(n + 1, size);
        if (copy && n > 0)
                memcpy(copy, from, n * size);
        return copy;
}

static int copy_list(const struct string_list *from, struct string_list *to) {
        int r = 0;
        for (size_t i = 0; i < from->n_items && r == 0; i++)
                r = string_list_add(to, from->items[i]);
        return r;
}

static int copy_tally(const struct cpu_tally *from, struct cpu_tally *to) {
        int r = cpu_tally_alloc(to, from->n_ids);
        if (r < 0)
                return r;
        memcpy(to->delta_ticks, from->delta_ticks, from->n_ids * sizeof *to->delta_ticks);
        memcpy(to->life_ticks, from->life_ticks, from->n_ids * sizeof *to->life_ticks);
        memcpy(to->threads, from->threads, from->n_ids * sizeof *to->threads);
        to->stray_delta_ticks = from->stray_delta_ticks;
        to->stray_life_ticks = from->stray_life_ticks;
        to->stray_threads = from->stray_threads;
        to->n_threads = from->n_threads;
        return 0;
}

int reading_remember(struct reading *r, const struct found_service *f) {
        const struct service_sample *s = &r->service.sample;
        struct known_service k = {
                .cgroup = strdup(s->cgroup),
                .listed = copy_of(f->pids, f->n_pids, sizeof *f->pids),
                .n_listed = f->n_pids,
                .processes = copy_of(s->processes, s->n_processes, sizeof *s->processes),
                .n_processes = s->n_processes,
                .allowed_cpus = copy_of(r->service.allowed_cpus, r->service.tally.n_ids, sizeof *r->service.allowed_cpus),
                .hugetlb_bytes = s->hugetlb_bytes,
                .identity = screen_identity(r->screen),
                .read_usec = r->screen->now_usec,
                .read_usage_usec = r->service.usage_usec,
        };
        int error = k.cgroup && k.listed && k.processes && k.allowed_cpus ? copy_tally(&r->service.tally, &k.tally) : -ENOMEM;
        if (error == 0)
                error = copy_list(&r->users, &k.users);
        if (error == 0)
                error = copy_list(&r->exes, &k.exes);
        if (error == 0)
                error = copy_list(&r->comms, &k.comms);
        /* What limits left out must not pass for all that there is. */
        if (error == 0 && !r->screen->truncated)
                error = known_services_append(&r->screen->known, &k);
        known_service_done(&k);
        return error;
}

/* The next time that it is read its threads are compared with what they were at the last. */
static int keep_records(struct screen *s, pid_t pid) {
        const struct thread_table *t = &s->observer->threads;
        size_t low = FIRST_NOT_BEFORE(i, t->n_records, t->records[i].pid < pid);
        int error = 0;
        for (; error == 0 && low < t->n_records && t->records[low].pid == pid; low++)
                error = thread_table_add(&s->threads, &t->records[low]);
        return error;
}

int reading_reuse(struct reading *r, struct known_service *k, bool idle) {
        struct screen *s = r->screen;
        struct service_sample *sample = &r->service.sample;
        struct cpu_tally tally = { 0 };
        int error = copy_tally(&k->tally, &tally);
        if (error < 0)
                return error;
        cpu_tally_done(&r->service.tally);
        r->service.tally = tally;
        if (idle) {
                memset(tally.delta_ticks, 0, tally.n_ids * sizeof *tally.delta_ticks);
                r->service.tally.stray_delta_ticks = 0;
        } else
                sample->threads_age_usec = saturating_sub(s->now_usec, k->read_usec);
        sample->processes = copy_of(k->processes, k->n_processes, sizeof *k->processes);
        if (!sample->processes)
                return -ENOMEM;
        sample->n_processes = k->n_processes;
        sample->hugetlb_bytes = k->hugetlb_bytes;
        error = copy_list(&k->users, &r->users);
        if (error == 0)
                error = copy_list(&k->exes, &r->exes);
        if (error == 0)
                error = copy_list(&k->comms, &r->comms);
        for (size_t i = 0; i < k->n_processes && error == 0; i++)
                error = keep_records(s, k->processes[i].pid);
        k->used = true;
        return error;
}

/* How many threads the budget pays for, beside what a screen costs in any case; a quarter of the budget at least. */
static size_t affordable_threads(const struct observer *o, const struct config *c) {
        if (!o->sparing || o->thread_nsec == 0)
                return SIZE_MAX;
        uint64_t budget_nsec = saturating_mul(c->settings.interval_usec, c->settings.scan_cpu_permille);
        uint64_t left_nsec = saturating_sub(budget_nsec, saturating_mul(o->base_usec, 1000));
        return (size_t) (MAX2(left_nsec, budget_nsec / 4) / o->thread_nsec);
}

/* Where the walk has not seen it: all of a service's processes are in cgroups below its own. */
static uint64_t read_usage(const struct screen *s, const struct found_service *f) {
        const struct host *h = s->observer->host;
        uint64_t usage;
        if (!f->cgroup || !h->cgroup_mount || f->usage_usec != USEC_INFINITY)
                return f->usage_usec;
        _cleanup_(close_fdp) int fd = cgroup_open(h, f->cgroup);
        return fd >= 0 && cgroup_read_cpu_usec(fd, &usage) == 0 ? usage : USEC_INFINITY;
}

int screen_plan_reading(struct screen *s, const struct found_services *found) {
        struct observer *o = s->observer;
        int r = reading_plan_alloc(&s->plan, found->n_items);
        if (r < 0)
                return r;
        for (size_t i = 0; i < found->n_items; i++)
                s->plan.usages_usec[i] = read_usage(s, &found->items[i]);
        if (!o->incremental)
                return 0;
        for (size_t i = 0; i < o->known.n_items; i++)
                o->known.items[i].used = false;
        unsigned identity = screen_identity(s);
        const struct reading_limits limits = {
                .now_usec = s->now_usec,
                /* A process can rename itself, or map a huge page, in less than a tick. */
                .slack_usec = identity != 0 ? 0 : USEC_PER_SEC / o->host->ticks_per_sec - 1,
                .identity = identity,
                .n_threads = affordable_threads(o, s->config),
        };
        return reading_plan_make(&o->known, found, &limits, &s->plan);
}
