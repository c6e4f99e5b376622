/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The deep read: every mapping of every process of a service. Reading numa_maps holds the process's mmap lock and walks its page
 * tables (34 ms per GiB of small pages), so it is done only where it can change a decision, one process after the other. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/util.h"
#include "host/deep.h"
#include "host/io.h"
#include "host/recorder.h"
#include "host/speaker.h"

int deep_set_policy(struct deep_sample *d, const char *text, size_t length) {
        if (d->own_policy)
                return 0;
        d->own_policy = strndup(text, length);
        return d->own_policy ? 0 : -ENOMEM;
}

void deep_add_bytes(uint64_t *into, const struct numa_mapping *m) {
        for (unsigned i = m->first_node; i < m->end_node; i++)
                into[i] = saturating_add(into[i], saturating_mul(m->pages_by_node[i], m->kernel_page_bytes));
}

/* Once each file that several processes map, everything else as it comes. */
static int count_bytes(struct deep_read *r, const struct numa_mapping *m) {
        struct deep_sample *d = r->sample;
        struct shared_files *shared = m->is_hugetlb ? &r->shared_hugetlb : &r->shared;
        if (m->is_file && m->mapmax > 1) {
                int error = shared_files_add(shared, r->process, m);
                if (error != -ENOSPC)
                        return error;
        }
        deep_add_bytes(d->bytes_by_node, m);
        if (m->is_hugetlb)
                deep_add_bytes(d->hugetlb_by_node, m);
        return 0;
}

static int take_mapping(const struct numa_mapping *m, void *userdata) {
        struct deep_read *r = userdata;
        struct deep_sample *d = r->sample;
        if (m->start < r->told_below)
                return 0;
        r->last_start = m->start;
        r->any_mapping = true;
        d->truncated = d->truncated || m->truncated;
        int error = count_bytes(r, m);
        if (error == 0)
                error = deep_count_open(r, m);
        if (error < 0)
                return error;
        if (m->policy != POLICY_DEFAULT) {
                /* Its own or its task's: known when all of the process were seen. */
                if (!r->any_policy || m->is_stack) {
                        r->policy_length = MIN2(m->policy_length, sizeof r->policy);
                        memcpy(r->policy, m->policy_text, r->policy_length);
                }
                r->any_policy = true;
                return r->options.override_policy ? deep_count_movable(r, m) : 0;
        }
        if (!r->any_default) {
                r->any_default = true;
                r->default_start = m->start;
        }
        return deep_count_movable(r, m);
}

/* Feeds a whole file to the parser, up to the limit. */
static int feed_file(struct deep_read *r, int fd) {
        uint64_t total = 0;
        for (;;) {
                ssize_t n = read_some(fd, r->buffer, DEEP_BUFFER_SIZE);
                if (n < 0)
                        return (int) n;
                if (n == 0)
                        return numa_maps_parser_finish(r->parser);
                record_part_of_file(fd, total == 0, r->buffer, (size_t) n);
                int error = numa_maps_parser_feed(r->parser, r->buffer, (size_t) n);
                if (error < 0)
                        return error;
                total += (uint64_t) n;
                if (total >= DEEP_TEXT_LIMIT) {
                        r->sample->truncated = r->sample->incomplete = true;
                        return 0;
                }
        }
}

static int judge_policy(struct deep_read *r) {
        struct deep_sample *d = r->sample;
        if (!r->any_policy)
                return 0;
        if (r->any_default) {
                d->has_bound_mappings = true;
                if (!d->self_managed)
                        return deep_set_policy(d, r->policy, r->policy_length);
                return 0;
        }
        if (!d->self_managed) { /* says more than a bound mapping found before */
                free(d->own_policy);
                d->own_policy = NULL;
        }
        d->self_managed = true;
        return deep_set_policy(d, r->policy, r->policy_length);
}

/* Opens numa_maps, and has read maps. Where who spoke has ended in between, from another, once. The fd, or negative errno. */
static int open_process(struct deep_read *r, const struct process_ref *p, pid_t *ret_speaker) {
        for (bool again = false;; again = true) {
                int fd = process_open(r->host, p, "numa_maps", ret_speaker);
                int error = fd < 0 ? fd : deep_read_entries(r, p->pid, *ret_speaker);
                if (fd < 0 || error == 0 || (error == -ESRCH && (again || process_other_speaker(r->host, p, *ret_speaker) < 0)))
                        return fd;
                (void) close(fd);
                if (error != -ESRCH)
                        return error;
        }
}

/* What whoever spoke has shown of it was nothing, or not all: the rest from another, if there is one. As feed_file(). */
static int feed_rest(struct deep_read *r, const struct process_ref *p, pid_t *speaker, int error) {
        if ((error == 0 && r->any_mapping) || (error < 0 && !host_vanished(error)) ||
            process_other_speaker(r->host, p, *speaker) < 0)
                return error;
        _cleanup_(close_fdp) int fd = process_open(r->host, p, "numa_maps", speaker);
        numa_maps_parser_reset(r->parser);
        r->told_below = r->any_mapping ? r->last_start + 1 : 0;
        return fd < 0 ? error : feed_file(r, fd);
}

/* One process. Returns 0 (also when it vanished), -EACCES or -ENOMEM. */
static int read_process(struct deep_read *r, const struct process_ref *p) {
        pid_t speaker;
        _cleanup_(close_fdp) int fd = open_process(r, p, &speaker);
        if (fd < 0) {
                if (fd == -EACCES || fd == -EPERM)
                        return -EACCES;
                if (fd == -ENOMEM)
                        return fd;
                r->sample->n_vanished++;
                return 0;
        }
        r->any_mapping = r->any_default = r->any_policy = false;
        r->told_below = 0;
        numa_maps_parser_reset(r->parser);
        int error = feed_file(r, fd);
        error = feed_rest(r, p, &speaker, error);
        if (error == -ENOMEM)
                return error;
        if (error == -EACCES || error == -EPERM)
                return -EACCES;
        if (!r->any_mapping) { /* its memory is gone already */
                r->sample->n_vanished++;
                return 0;
        }
        if (error < 0 && !host_vanished(error))
                r->sample->truncated = r->sample->incomplete = true; /* nonsense, or a node that we don't know */
        r->sample->n_processes_read++;
        error = judge_policy(r);
        if (error == 0 && r->any_default && !r->sample->self_managed)
                error = deep_read_threads(r, p->pid, speaker);
        return error;
}

static int read_all(struct deep_read *r, const struct process_ref *processes, size_t n_processes) {
        struct deep_sample *d = r->sample;
        bool denied = false;
        int error = deep_know_mappers(r, processes, n_processes);
        if (error < 0)
                return error;
        for (size_t i = 0; i < n_processes; i++) {
                if (i >= DEEP_PROCESSES_MAX) {
                        d->truncated = d->incomplete = true;
                        break;
                }
                r->process = i;
                if (r->options.reading)
                        atomic_store(&r->options.reading->number, i + 1);
                error = read_process(r, &processes[i]);
                denied = denied || error == -EACCES;
                if (error != -ENOMEM)
                        error = deep_look_again(r, processes, n_processes);
                if (error == -ENOMEM)
                        return error;
        }
        if (denied && d->n_processes_read == 0)
                return -EACCES;
        d->truncated = d->truncated || denied;
        d->incomplete = d->incomplete || denied;
        shared_files_sum(&r->shared_hugetlb, d->hugetlb_by_node);
        shared_files_sum(&r->shared_hugetlb, d->bytes_by_node);
        shared_files_sum(&r->shared, d->bytes_by_node);
        shared_files_sum(&r->movable_hugetlb, d->hugetlb_movable_by_node);
        shared_files_sum(&r->movable_hugetlb, d->movable_by_node);
        shared_files_sum(&r->movable, d->movable_by_node);
        shared_files_sum(&r->open, d->open_by_node);
        return 0;
}

static struct deep_sample *deep_sample_new(unsigned n_ids) {
        struct deep_sample *d = calloc(1, sizeof *d);
        size_t n = (size_t) n_ids + 1;
        if (!d)
                return NULL;
        d->n_ids = n_ids;
        d->bytes_by_node = calloc(n, sizeof *d->bytes_by_node);
        d->movable_by_node = calloc(n, sizeof *d->movable_by_node);
        d->hugetlb_by_node = calloc(n, sizeof *d->hugetlb_by_node);
        d->hugetlb_movable_by_node = calloc(n, sizeof *d->hugetlb_movable_by_node);
        d->open_by_node = calloc(n, sizeof *d->open_by_node);
        if (d->bytes_by_node && d->movable_by_node && d->hugetlb_by_node && d->hugetlb_movable_by_node && d->open_by_node)
                return d;
        return deep_sample_free(d);
}

struct deep_sample *deep_sample_free(struct deep_sample *d) {
        if (!d)
                return NULL;
        free(d->bytes_by_node);
        free(d->movable_by_node);
        free(d->hugetlb_by_node);
        free(d->hugetlb_movable_by_node);
        free(d->open_by_node);
        free(d->own_policy);
        free(d);
        return NULL;
}

static void deep_read_done(struct deep_read *r) {
        numa_maps_parser_free(r->parser);
        shared_files_done(&r->shared);
        shared_files_done(&r->shared_hugetlb);
        shared_files_done(&r->movable);
        shared_files_done(&r->movable_hugetlb);
        shared_files_done(&r->open);
        deep_shared_done(r);
        free(r->buffer);
        if (r->proc_fd >= 0)
                (void) close(r->proc_fd);
}

int observe_deep(const struct host *h, unsigned n_ids, const struct process_ref *processes, size_t n_processes,
                 const struct deep_options *options, struct deep_sample **ret) {
        uint64_t began = thread_cpu_nsec();
        _cleanup_(deep_sample_freep) struct deep_sample *d = deep_sample_new(n_ids);
        _cleanup_(deep_read_done) struct deep_read r = {
                .sample = d,
                .shared = { .n_ids = n_ids },
                .shared_hugetlb = { .n_ids = n_ids },
                .movable = { .n_ids = n_ids },
                .movable_hugetlb = { .n_ids = n_ids },
                .open = { .n_ids = n_ids },
                .options = options ? *options : (struct deep_options) { 0 },
                .host = h,
                .proc_fd = open_below(h->root_fd, "proc", O_PATH | O_DIRECTORY | O_CLOEXEC),
        };
        if (r.proc_fd < 0)
                return r.proc_fd;
        r.buffer = malloc(DEEP_BUFFER_SIZE);
        r.parser = numa_maps_parser_new(n_ids, h->page_bytes, take_mapping, &r);
        if (!d || !r.buffer || !r.parser)
                return -ENOMEM;
        (void) take_shortage();
        int error = read_all(&r, processes, n_processes);
        if (error == 0 && r.options.topology && r.options.cgroup)
                error = deep_read_affinity(&r, processes, n_processes);
        int shortage = take_shortage();
        if (error == 0)
                error = shortage; /* what could not be read has not ended */
        if (error < 0)
                return error;
        d->cpu_usec = (thread_cpu_nsec() - began) / 1000;
        *ret = TAKE_PTR(d);
        return 0;
}

bool service_sample_needs_deep(const struct service_sample *s, unsigned n_ids) {
        return !s->deep && s->n_processes > 0 && sum_by_node(s->bytes_by_node, n_ids) == 0;
}

void service_sample_merge_deep(struct service_sample *s, const struct deep_sample *d, bool has_memory_controller) {
        /* Where the controller is not enabled for this very cgroup, there are no numbers either. */
        for (unsigned i = 0; i < d->n_ids; i++) { /* what was recalled: now it is known */
                s->bytes_by_node[i] = saturating_sub(s->bytes_by_node[i], s->borrowed_by_node[i]);
                s->borrowed_by_node[i] = 0;
        }
        bool have_stat = has_memory_controller && sum_by_node(s->bytes_by_node, d->n_ids) > 0;
        for (unsigned i = 0; i < d->n_ids; i++) {
                uint64_t small = saturating_sub(d->movable_by_node[i], d->hugetlb_movable_by_node[i]);
                if (have_stat) {
                        s->borrowed_by_node[i] = saturating_sub(d->open_by_node[i], s->mapped_file_by_node[i]);
                        s->bytes_by_node[i] = saturating_add(s->bytes_by_node[i], s->borrowed_by_node[i]);
                        small = MIN2(small, s->bytes_by_node[i]);
                        s->bytes_by_node[i] = saturating_add(s->bytes_by_node[i], d->hugetlb_by_node[i]);
                } else
                        s->bytes_by_node[i] = d->bytes_by_node[i];
                s->hugetlb_movable_by_node[i] = d->hugetlb_movable_by_node[i];
                s->movable_by_node[i] = saturating_add(small, d->hugetlb_movable_by_node[i]);
        }
        s->hugetlb_bytes = sum_by_node(d->hugetlb_by_node, d->n_ids);
        s->deep = true;
        s->self_managed = d->self_managed;
        s->has_bound_mappings = d->has_bound_mappings;
        s->maps_incomplete = d->incomplete;
        s->binds_threads = d->binds_threads;
        s->thread_nodes = d->thread_nodes;
        free(s->own_policy);
        s->own_policy = d->own_policy ? strdup(d->own_policy) : NULL;
}
