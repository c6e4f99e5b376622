/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The screen: find the services, read each, compute, remember for the next time. */
#include "host/observe.h"

#include <fcntl.h>
#include <unistd.h>

#include "core/util.h"
#include "host/io.h"
#include "host/kernel-balancing.h"
#include "host/screen.h"

#define COSTS_LEARNED_FROM 100u /* threads */

int observer_new(const struct host *h, const struct topology *t, struct observer **ret) {
        _cleanup_(observer_freep) struct observer *o = calloc(1, sizeof *o);
        if (!o)
                return -ENOMEM;
        o->host = h;
        o->topology = t;
        o->thread_limit = THREAD_COUNT_MAX;
        o->users.captured = !h->live;
        o->users.root_fd = h->root_fd;
        o->proc_fd = open_below(h->root_fd, "proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (o->proc_fd < 0)
                return o->proc_fd;
        *ret = TAKE_PTR(o);
        return 0;
}

void observer_set_incremental(struct observer *o, bool sparing) {
        o->incremental = true;
        o->sparing = sparing;
}

int observer_set_host(struct observer *o, const struct host *h) {
        int fd = open_below(h->root_fd, "proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return fd;
        (void) close(o->proc_fd);
        o->proc_fd = fd;
        o->host = h;
        o->users.root_fd = h->root_fd;
        return 0;
}

struct observer *observer_free(struct observer *o) {
        if (!o)
                return NULL;
        if (o->proc_fd >= 0)
                (void) close(o->proc_fd);
        user_cache_done(&o->users);
        thread_table_done(&o->threads);
        usage_table_done(&o->usages);
        known_services_done(&o->known);
        free(o);
        return NULL;
}

struct observation *observation_free(struct observation *o) {
        if (!o)
                return NULL;
        for (size_t i = 0; i < o->n_services; i++)
                service_sample_done(&o->services[i]);
        free(o->services);
        machine_sample_done(&o->machine);
        free(o);
        return NULL;
}

static int add_lone_processes(struct screen *s, const struct found_service *f) {
        const char *why = s->observer->host->cgroup_mount ? "it is in the root cgroup, which cannot be restricted"
                                                          : "no cgroup v2 on this machine";
        for (size_t i = 0; i < f->n_pids; i++) {
                if (s->n_services >= LONE_PROCESS_MAX) {
                        s->truncated = true;
                        break;
                }
                int r = screen_add_lone(s, f->pids[i], why);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_services(struct screen *s) {
        _cleanup_(found_services_donep) struct found_services found = { 0 };
        int r = find_services(s->observer->host, s->config, &found);
        if (r < 0)
                return r;
        s->truncated = found.truncated;
        r = screen_plan_reading(s, &found);
        for (size_t i = 0; i < found.n_items && r == 0; i++)
                r = found.items[i].cgroup ? screen_add_service(s, &found.items[i], s->plan.needs[i], s->plan.usages_usec[i])
                                          : add_lone_processes(s, &found.items[i]);
        return r;
}

/* Moves the samples out of the screen. */
static int make_observation(struct screen *s, struct observation **ret) {
        _cleanup_(observation_freep) struct observation *o = calloc(1, sizeof *o);
        if (!o)
                return -ENOMEM;
        o->services = calloc(s->n_services + 1, sizeof *o->services);
        if (!o->services)
                return -ENOMEM;
        int r = machine_sample_read(s->observer->host, s->observer->topology, &o->machine);
        if (r < 0)
                return r;
        for (size_t i = 0; i < s->n_services; i++) {
                o->services[o->n_services++] = s->services[i].sample;
                service_sample_init(&s->services[i].sample);
        }
        if (kernel_moves_pages(&o->machine))
                kernel_balancing_sample_services(s->observer->host, o->services, o->n_services);
        o->truncated = s->truncated;
        o->n_put_off = s->plan.n_put_off;
        *ret = TAKE_PTR(o);
        return 0;
}

/* What the next screen may expect to pay. One that read little tells nothing of what a thread costs, unless it cost less: the first look finds nothing
 * in any cache, and where few threads are no other would ever correct it. */
static void learn_costs(struct observer *o, const struct screen *s, uint64_t whole_nsec) {
        o->base_usec = saturating_sub(whole_nsec, s->reading_nsec) / 1000;
        if (s->n_read == 0)
                return;
        uint64_t each_nsec = MAX2(s->reading_nsec / s->n_read, (uint64_t) 1);
        if (s->n_read >= COSTS_LEARNED_FROM || o->thread_nsec == 0 || each_nsec < o->thread_nsec)
                o->thread_nsec = each_nsec;
}

/* Nothing of the observer is changed before all went well. */
static int run_screen(struct screen *s, uint64_t now_usec, struct observation **ret) {
        struct observer *o = s->observer;
        struct usage_table usages = { 0 };
        uint64_t began = thread_cpu_nsec();
        int r = read_services(s), shortage = take_shortage();
        if (r == 0)
                r = shortage; /* who could not be read is not gone, nor without a cpuset */
        if (r == 0)
                r = screen_finish(s, s->have_previous ? saturating_sub(now_usec, o->previous_usec) : 0, &o->usages);
        if (r == 0)
                r = screen_usages(s, &usages);
        if (r == 0)
                r = make_observation(s, ret);
        if (r < 0) {
                usage_table_done(&usages);
                return r;
        }
        thread_table_sort(&s->threads);
        thread_table_done(&o->threads);
        o->threads = s->threads;
        s->threads = (struct thread_table) { 0 };
        usage_table_done(&o->usages);
        o->usages = usages;
        (void) known_services_update(&o->known, &s->known); /* -ENOMEM: then nothing is known, and all is read again */
        learn_costs(o, s, thread_cpu_nsec() - began);
        o->have_previous = true;
        o->previous_usec = now_usec;
        return 0;
}

int observer_screen(struct observer *o, const struct config *config, const struct applied *applied, size_t n_applied,
                    uint64_t now_usec, struct observation **ret) {
        (void) take_shortage();
        struct screen s = {
                .observer = o,
                .config = config,
                .applied = applied,
                .n_applied = n_applied,
                .now_usec = now_usec,
                .have_previous = o->have_previous,
                .previous_ticks = o->previous_usec / (USEC_PER_SEC / o->host->ticks_per_sec),
                .hugetlb_in_use = hugetlb_bytes_in_use(o->host),
        };
        if (o->host->cgroup_mount)
                cgroup_read_cpuset(o->host, "", &s.root_cpuset);
        int r = run_screen(&s, now_usec, ret);
        screen_done(&s);
        return r;
}
