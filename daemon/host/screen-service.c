/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads one service for the screen: its processes' and threads' stat, its cgroup's small files, and what the rules ask to know it by. */
#include <stdio.h>
#include <string.h>

#include "core/util.h"
#include "host/io.h"
#include "host/screen.h"
#include "host/speaker.h"

static void screened_service_done(struct screened_service *s) {
        service_sample_done(&s->sample);
        cpu_tally_done(&s->tally);
        free(s->allowed_cpus);
        s->allowed_cpus = NULL;
}

void screen_done(struct screen *s) {
        for (size_t i = 0; i < s->n_services; i++)
                screened_service_done(&s->services[i]);
        free(s->services);
        thread_table_done(&s->threads);
        known_services_done(&s->known);
        reading_plan_done(&s->plan);
        s->services = NULL;
        s->n_services = 0;
}

static void reading_done(struct reading *r) {
        screened_service_done(&r->service);
        string_list_done(&r->users);
        string_list_done(&r->exes);
        string_list_done(&r->comms);
}

static int reading_init(struct reading *r, struct screen *s) {
        unsigned n_ids = s->observer->topology->n_ids;
        *r = (struct reading) { .screen = s, .since_ticks = s->previous_ticks };
        service_sample_init(&r->service.sample);
        r->service.window_usage_usec = USEC_INFINITY;
        r->service.allowed_cpus = calloc((size_t) n_ids + 1, sizeof *r->service.allowed_cpus);
        if (!r->service.allowed_cpus || service_sample_alloc(&r->service.sample, n_ids) < 0 ||
            cpu_tally_alloc(&r->service.tally, n_ids) < 0)
                return -ENOMEM;
        return 0;
}

static int add_value(struct string_list *l, const char *value) {
        for (size_t i = 0; i < l->n_items; i++)
                if (strcmp(l->items[i], value) == 0)
                        return 0;
        return l->n_items < IDENTITY_VALUE_MAX ? string_list_add(l, value) : 0;
}

/* What the cpusets in force mean for this topology's nodes. Must come before the threads. */
static void set_allowed(struct reading *r) {
        const struct topology *t = r->screen->observer->topology;
        struct service_sample *s = &r->service.sample;
        if (r->cpuset.have_cpus) {
                s->effective_cpu_nodes = topology_nodes_of_cpus(t, &r->cpuset.effective_cpus);
                s->n_effective_cpus = cpu_mask_count(&r->cpuset.effective_cpus);
        }
        if (node_set_is_empty(&s->effective_cpu_nodes)) {
                /* No cpuset, or one of another machine than this topology (which can be synthetic). */
                r->cpuset.have_cpus = false;
                s->n_effective_cpus = 0;
                s->effective_cpu_nodes = topology_nodes_with_cpus(t);
        }
        NODE_SET_FOREACH (id, &s->effective_cpu_nodes) {
                struct cpu_mask cpus = t->nodes[id].cpus;
                if (r->cpuset.have_cpus)
                        cpu_mask_and(&cpus, &r->cpuset.effective_cpus);
                r->service.allowed_cpus[id] = MAX2(cpu_mask_count(&cpus), 1u); /* 1: isolated CPUs alone */
        }
}

/* What the cgroup above has of the nodes that some of its CPUs are on, and its own cpuset leaves out. */
static bool leaves_out_cpus(const struct reading *r) {
        const struct topology *t = r->screen->observer->topology;
        NODE_SET_FOREACH (id, &r->service.sample.effective_cpu_nodes) {
                struct cpu_mask cpus = t->nodes[id].cpus;
                cpu_mask_and(&cpus, &r->cpuset.parent_cpus);
                if (!cpu_mask_is_subset(&cpus, &r->cpuset.effective_cpus))
                        return true;
        }
        return false;
}

static void set_allowed_mems(struct reading *r) {
        struct node_set all = topology_nodes_with_memory(r->screen->observer->topology), mems = all;
        if (r->cpuset.have_mems)
                mems = node_set_intersect(&r->cpuset.effective_mems, &all);
        else if (r->have_mems_allowed)
                mems = node_set_intersect(&r->mems_allowed, &all);
        r->service.sample.effective_mems = node_set_is_empty(&mems) ? all : mems;
}

/* What is set elsewhere: above it, and inside of it. */
static void set_around(struct reading *r, const struct inner_cpuset *inner) {
        const struct topology *t = r->screen->observer->topology;
        struct service_sample *s = &r->service.sample;
        struct node_set with_memory = topology_nodes_with_memory(t);
        s->above_cpu_nodes = topology_nodes_of_cpus(t, &r->cpuset.parent_cpus);
        s->above_mems = node_set_intersect(&r->cpuset.parent_mems, &with_memory);
        if (!inner)
                return;
        s->inner_cpu_nodes = topology_nodes_of_cpus(t, &inner->cpus);
        s->inner_mems = inner->mems;
        s->inner_mems_allowed = node_set_intersect(&inner->mems_allowed, &with_memory);
}

/* The node of a thread's last CPU, or -1: unknown, or no longer one it may use (it sleeps since it was narrowed). */
static int node_of_thread(const struct reading *r, const struct proc_stat *st) {
        if (st->last_cpu < 0 || (r->cpuset.have_cpus && !cpu_mask_has(&r->cpuset.effective_cpus, (unsigned) st->last_cpu)))
                return -1;
        return topology_node_of_cpu(r->screen->observer->topology, (unsigned) st->last_cpu);
}

static int add_thread(pid_t pid, pid_t tid, const struct proc_stat *st, void *userdata) {
        struct reading *r = userdata;
        struct screen *s = r->screen;
        const struct thread_record record = {
                .pid = pid, .tid = tid, .start_ticks = st->start_ticks, .cpu_ticks = st->cpu_ticks
        };
        if (s->threads.n_records >= s->observer->thread_limit) {
                s->truncated = true;
                return -EFBIG;
        }
        uint64_t delta = s->have_previous ? thread_delta(&s->observer->threads, r->since_ticks, &record) : 0;
        cpu_tally_add(&r->service.tally, node_of_thread(r, st), delta, st->cpu_ticks);
        return thread_table_add(&s->threads, &record);
}

/* Both of whoever speaks for the process, or, where he has ended since, of another. */
static int read_status_of(const struct observer *o, const struct process_ref *p, pid_t speaker, struct proc_status *ret) {
        int r = proc_status_read(o->proc_fd, p->pid, speaker, ret);
        pid_t other = host_vanished(r) ? process_other_speaker(o->host, p, speaker) : -ESRCH;
        return other > 0 ? proc_status_read(o->proc_fd, p->pid, other, ret) : r;
}

static int read_exe_of(const struct observer *o, const struct process_ref *p, pid_t speaker, char **ret) {
        int r = proc_exe_read(o->proc_fd, p->pid, speaker, ret);
        pid_t other = host_vanished(r) ? process_other_speaker(o->host, p, speaker) : -ESRCH;
        return other > 0 ? proc_exe_read(o->proc_fd, p->pid, other, ret) : r;
}

static int add_from_status(struct reading *r, const struct process_ref *p, pid_t speaker) {
        const struct screen *s = r->screen;
        struct proc_status status;
        bool wants_user = config_needs(s->config, MATCH_USER);
        bool wants_mems = !s->observer->host->has_cpuset && !r->have_mems_allowed;
        if ((!wants_user && !wants_mems && s->hugetlb_in_use == 0) || read_status_of(s->observer, p, speaker, &status) < 0)
                return 0;
        struct service_sample *sample = &r->service.sample;
        sample->hugetlb_bytes = saturating_add(sample->hugetlb_bytes, status.hugetlb_bytes);
        if (wants_mems && status.have_mems) {
                r->mems_allowed = status.mems_allowed;
                r->have_mems_allowed = true;
        }
        if (!wants_user || !status.have_uid)
                return 0;
        const char *name = user_cache_get(&s->observer->users, status.uid, s->now_usec);
        return name ? add_value(&r->users, name) : -ENOMEM;
}

static int add_identity(struct reading *r, pid_t pid, const struct proc_stat *st) {
        const struct screen *s = r->screen;
        const struct process_ref p = { .pid = pid, .start_ticks = st->start_ticks };
        pid_t speaker = process_speaker(s->observer->host, pid, st);
        if (speaker < 0)
                speaker = pid; /* it is just ending, and shows little of itself */
        int error = add_from_status(r, &p, speaker);
        if (error == 0 && config_needs(s->config, MATCH_COMM))
                error = add_value(&r->comms, st->comm);
        if (error < 0 || !config_needs(s->config, MATCH_EXE))
                return error;
        _cleanup_free_ char *exe = NULL;
        error = read_exe_of(s->observer, &p, speaker, &exe);
        if (error < 0)
                return error == -ENOMEM ? error : 0; /* gone, or not ours to see */
        return add_value(&r->exes, exe);
}

/* One process. Returns 1 if it lives, 0 if it is not there (any more), or -ENOMEM. */
static int add_process(struct reading *r, pid_t pid, char *ret_comm, size_t comm_size) {
        struct screen *s = r->screen;
        struct service_sample *sample = &r->service.sample;
        struct proc_stat st;
        char path[32];
        (void) snprintf(path, sizeof path, "%d/stat", (int) pid);
        int error = proc_stat_read(s->observer->proc_fd, path, &st);
        if (error < 0 || st.is_kernel || proc_stat_is_dead(&st))
                return error == -ENOMEM ? error : 0;
        if (array_reserve(&sample->processes, &r->processes_capacity, sample->n_processes + 1, sizeof *sample->processes) < 0)
                return -ENOMEM;
        sample->processes[sample->n_processes++] = (struct process_ref) { .pid = pid, .start_ticks = st.start_ticks };
        error = st.n_threads > 1 ? proc_for_each_thread(s->observer->proc_fd, pid, add_thread, r) : add_thread(pid, 0, &st, r);
        if (error == -ENOMEM)
                return error;
        error = add_identity(r, pid, &st);
        if (error < 0)
                return error;
        if (ret_comm)
                (void) snprintf(ret_comm, comm_size, "%s", st.comm);
        return 1;
}

static void read_cgroup_files(struct reading *r, const char *cgroup) {
        const struct host *h = r->screen->observer->host;
        struct service_sample *s = &r->service.sample;
        _cleanup_(close_fdp) int fd = cgroup_open(h, cgroup);
        if (fd < 0)
                return;
        (void) cgroup_read_numa_stat(fd, r->screen->observer->topology->n_ids, s->bytes_by_node, s->mapped_file_by_node);
        if (h->has_psi) {
                s->memory_pressure_centipercent = cgroup_read_pressure(fd, "memory.pressure");
                s->cpu_pressure_centipercent = cgroup_read_pressure(fd, "cpu.pressure");
        }
        const struct applied *ours = applied_find(r->screen->applied, r->screen->n_applied, cgroup);
        s->admin_cpus = r->cpuset.narrows_cpus && !(ours && ours->cpus);
        s->admin_mems = r->cpuset.narrows_mems && !(ours && ours->mems);
        s->whole_cpus = !r->cpuset.narrows_cpus;
        s->whole_mems = !r->cpuset.narrows_mems;
        s->partial_cpus = r->cpuset.narrows_cpus && r->cpuset.have_cpus && leaves_out_cpus(r);
}

static void match_rule(struct reading *r, const char *unit, const char *slice) {
        struct service_sample *s = &r->service.sample;
        const struct service_identity id = {
                .unit = unit,
                .slice = slice,
                .cgroup = r->service.is_cgroup ? s->cgroup : "",
                .users = (const char *const *) r->users.items,
                .n_users = r->users.n_items,
                .exes = (const char *const *) r->exes.items,
                .n_exes = r->exes.n_items,
                .comms = (const char *const *) r->comms.items,
                .n_comms = r->comms.n_items,
        };
        s->rule = config_match(r->screen->config, &id);
}

/* Of whoever speaks for the process: its first thread may have ended. */
static int read_status(const struct observer *o, pid_t pid, struct proc_status *ret) {
        char path[32];
        struct proc_stat st;
        (void) snprintf(path, sizeof path, "%d/stat", (int) pid);
        int r = proc_stat_read(o->proc_fd, path, &st);
        pid_t speaker = r < 0 ? r : process_speaker(o->host, pid, &st);
        if (speaker < 0)
                return speaker;
        const struct process_ref p = { .pid = pid, .start_ticks = st.start_ticks };
        return read_status_of(o, &p, speaker, ret);
}

/* What is charged to whoever touched it first: the kernel's own count, of a few processes alone, as it is only to say whether a closer look is due. */
static void read_shared_size(struct reading *r) {
        struct service_sample *s = &r->service.sample;
        const struct observer *o = r->screen->observer;
        if (!s->rule || s->rule->place == PLACE_IGNORE || s->rule->shared_pages != SHARED_PAGES_MOVE)
                return;
        size_t step = (s->n_processes + SHARED_SIZE_OF - 1) / SHARED_SIZE_OF;
        for (size_t i = 0; i < s->n_processes; i += step) {
                struct proc_status status;
                if (read_status(o, s->processes[i].pid, &status) == 0)
                        s->shared_bytes = MAX2(s->shared_bytes, status.shared_bytes);
        }
}

/* Hands the finished reading to the screen. */
static int keep(struct reading *r) {
        struct screen *s = r->screen;
        r->service.sample.n_threads = r->service.tally.n_threads;
        if (r->service.have_usage)
                r->service.sample.cpu_total_usec = r->service.usage_usec;
        r->service.sample.hugetlb_bytes = MIN2(r->service.sample.hugetlb_bytes, s->hugetlb_in_use);
        set_allowed_mems(r);
        if (array_reserve(&s->services, &s->capacity, s->n_services + 1, sizeof *s->services) < 0)
                return -ENOMEM;
        s->services[s->n_services++] = r->service;
        r->service = (struct screened_service) { 0 };
        return 0;
}

static int read_processes(struct reading *r, const struct found_service *f) {
        struct screen *s = r->screen;
        uint64_t began = thread_cpu_nsec();
        for (size_t i = 0; i < f->n_pids; i++) {
                int error = add_process(r, f->pids[i], NULL, 0);
                if (error < 0)
                        return error;
        }
        s->reading_nsec += thread_cpu_nsec() - began;
        s->n_read += r->service.tally.n_threads;
        return s->observer->incremental && r->service.have_usage ? reading_remember(r, f) : 0;
}

/* Where CPUs are not told by a cpuset of v2, one of v1 can change what memory a process may use at any time. */
static void read_mems_allowed(struct reading *r) {
        const struct service_sample *s = &r->service.sample;
        struct proc_status status;
        if (r->screen->observer->host->has_cpuset || s->n_processes == 0 ||
            read_status(r->screen->observer, s->processes[0].pid, &status) < 0)
                return;
        r->mems_allowed = status.mems_allowed;
        r->have_mems_allowed = status.have_mems;
}

static int take_processes(struct reading *r, const struct found_service *f, enum reading_need need) {
        struct known_service *k = known_services_find(&r->screen->observer->known, f->cgroup);
        if (k)
                r->since_ticks = k->read_usec / (USEC_PER_SEC / r->screen->observer->host->ticks_per_sec);
        /* Which CPUs are its own is part of what was counted. */
        if (need == READ_ALL || !k ||
            memcmp(k->allowed_cpus, r->service.allowed_cpus, k->tally.n_ids * sizeof *k->allowed_cpus) != 0)
                return read_processes(r, f);
        int error = reading_reuse(r, k, need == READ_NOTHING);
        if (error == 0)
                read_mems_allowed(r);
        return error;
}

static int read_service(struct reading *r, const struct found_service *f, enum reading_need need, uint64_t usage_usec) {
        const struct host *h = r->screen->observer->host;
        struct service_sample *s = &r->service.sample;
        s->cgroup = strdup(f->cgroup);
        s->unit = strdup(f->is_unit ? f->unit : f->cgroup);
        s->owner = f->owner;
        s->owner_detail = f->owner_detail ? strdup(f->owner_detail) : NULL;
        if (!s->cgroup || !s->unit || (f->owner_detail && !s->owner_detail))
                return -ENOMEM;
        r->service.is_cgroup = true;
        r->service.have_usage = usage_usec != USEC_INFINITY;
        r->service.usage_usec = usage_usec;
        if (h->cgroup_mount)
                cgroup_read_cpuset(h, f->cgroup, &r->cpuset);
        set_allowed(r);
        set_around(r, f->inner);
        int error = take_processes(r, f, need);
        if (error < 0 || s->n_processes == 0)
                return error;
        if (h->cgroup_mount)
                read_cgroup_files(r, f->cgroup);
        match_rule(r, f->unit, f->slice);
        read_shared_size(r);
        return keep(r);
}

int screen_add_service(struct screen *s, const struct found_service *f, enum reading_need need, uint64_t usage_usec) {
        struct reading r;
        int error = reading_init(&r, s);
        if (error == 0)
                error = read_service(&r, f, need, usage_usec);
        reading_done(&r);
        return error;
}

static int read_lone(struct reading *r, pid_t pid, const char *owner_detail) {
        struct service_sample *s = &r->service.sample;
        char comm[64];
        r->cpuset = r->screen->root_cpuset;
        set_allowed(r);
        int error = add_process(r, pid, comm, sizeof comm);
        if (error <= 0)
                return error;
        s->cgroup = format_string("pid:%d", (int) pid);
        s->unit = format_string("%s[%d]", comm, (int) pid);
        s->owner_detail = strdup(owner_detail);
        if (!s->cgroup || !s->unit || !s->owner_detail)
                return -ENOMEM;
        match_rule(r, "", "");
        return keep(r);
}

int screen_add_lone(struct screen *s, pid_t pid, const char *owner_detail) {
        struct reading r;
        int error = reading_init(&r, s);
        if (error == 0)
                error = read_lone(&r, pid, owner_detail);
        reading_done(&r);
        return error;
}
