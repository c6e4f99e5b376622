/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A thread's own task policy. /proc/PID/task/TID/numa_maps prints the thread's policy for each mapping that has none of its own, and we
 * know from the leader which one has none: usually the first, so that the first 128 bytes tell, for 0.2 ms. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/util.h"
#include "host/deep.h"
#include "host/io.h"
#include "host/recorder.h"

#define FIRST_READ 128u
#define TEXT_LIMIT 65536u /* mappings of their own before the one we look for: then it costs more, within reason */

struct thread_read {
        uint64_t start; /* the mapping that has no policy of its own */
        bool found;
        char policy[256];
        size_t length; /* 0: default */
};

/* Stops at the mapping looked for, at the first `default` (then the task's is that), or past it: the process changed meanwhile,
 * and what has taken the mapping's place may have a policy of its own. */
static int take_mapping(const struct numa_mapping *m, void *userdata) {
        struct thread_read *t = userdata;
        if (m->policy == POLICY_DEFAULT) {
                t->found = true;
                return -ECANCELED;
        }
        if (m->start < t->start)
                return 0;
        if (m->start == t->start) {
                t->found = true;
                t->length = MIN2(m->policy_length, sizeof t->policy);
                memcpy(t->policy, m->policy_text, t->length);
        }
        return -ECANCELED;
}

/* The line can be cut by the end of the first piece: whole lines alone are judged, so read on until there is one. */
static int read_thread(struct deep_read *r, int task_fd, pid_t tid, struct thread_read *t) {
        char path[48];
        (void) snprintf(path, sizeof path, "%d/numa_maps", (int) tid);
        _cleanup_(close_fdp) int fd = open_file_at(task_fd, path);
        if (fd < 0)
                return fd;
        struct numa_maps_parser *parser = numa_maps_parser_new(r->sample->n_ids, 4096, take_mapping, t);
        if (!parser)
                return -ENOMEM;
        int error = 0;
        size_t total = 0;
        while (error == 0 && total < TEXT_LIMIT) {
                ssize_t n = read_some(fd, r->buffer, total == 0 ? FIRST_READ : 4096);
                if (n <= 0) {
                        error = n < 0 ? (int) n : numa_maps_parser_finish(parser);
                        break;
                }
                record_part_of_file(fd, total == 0, r->buffer, (size_t) n);
                total += (size_t) n;
                error = numa_maps_parser_feed(parser, r->buffer, (size_t) n);
        }
        numa_maps_parser_free(parser);
        return error == -ECANCELED ? 0 : error;
}

static int judge_thread(struct deep_read *r, int task_fd, pid_t tid) {
        struct deep_sample *d = r->sample;
        struct thread_read t = { .start = r->default_start };
        int error = read_thread(r, task_fd, tid, &t);
        if (error == -ENOMEM)
                return error;
        if (!t.found || t.length == 0)
                return 0;
        free(d->own_policy);
        d->own_policy = NULL;
        d->self_managed = true;
        return deep_set_policy(d, t.policy, t.length);
}

int deep_read_threads(struct deep_read *r, pid_t pid, pid_t speaker) {
        char path[32];
        (void) snprintf(path, sizeof path, "%d/task", (int) pid);
        int fd = open_below(r->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return 0;
        DIR *dir = fdopendir(fd);
        if (!dir) {
                (void) close(fd);
                return -ENOMEM;
        }
        int error = 0;
        for (const struct dirent *e = readdir(dir); e && error == 0 && !r->sample->self_managed; e = readdir(dir)) {
                uint64_t tid;
                if (parse_u64(e->d_name, &tid) < 0 || tid > INT32_MAX || (pid_t) tid == speaker)
                        continue;
                if (r->n_threads++ >= DEEP_THREADS_MAX) {
                        r->sample->truncated = true;
                        break;
                }
                error = judge_thread(r, dirfd(dir), (pid_t) tid);
        }
        (void) closedir(dir);
        return error;
}
