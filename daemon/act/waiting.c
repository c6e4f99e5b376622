/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which threads are in state D, and whether they have been without a break: the kernel counts how often each has gone to sleep. */
#include "act/waiting.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/util.h"
#include "host/cgroup.h"
#include "host/io.h"
#include "host/proc.h"

/* They are looked at so often, so far apart: the usual wait for a disk is over at the first. */
#define LOOKS      10u
#define LOOK_USEC  (200 * USEC_PER_MSEC)
#define DEPTH_MAX  CGROUP_DEPTH_MAX
#define LIST_LIMIT (4 * MIB) /* of one cgroup's threads */

struct waiter {
        pid_t tid;
        uint64_t n_sleeps;
};

struct search {
        int proc_fd;
        struct waiter *waiters;
        size_t n_waiters, capacity;
};

/* How often the thread has gone to sleep so far. False where it does not wait uninterruptibly now, or has ended. */
static bool waits(const struct search *s, pid_t tid, uint64_t *ret_sleeps) {
        static const char key[] = "\nvoluntary_ctxt_switches:";
        char path[64];
        struct proc_stat st;
        _cleanup_free_ char *text = NULL;
        (void) snprintf(path, sizeof(path), "%d/task/%d/stat", (int) tid, (int) tid);
        if (proc_stat_read(s->proc_fd, path, &st) < 0 || st.state != 'D' || st.is_kernel)
                return false;
        (void) snprintf(path, sizeof(path), "%d/task/%d/status", (int) tid, (int) tid);
        if (read_file_at(s->proc_fd, path, 64 * KIB, &text, NULL) < 0)
                return false;
        const char *at = strstr(text, key);
        return at && leading_number(at + sizeof(key) - 1 + strspn(at + sizeof(key) - 1, " \t"), ret_sleeps);
}

static int look_at_threads(struct search *s, int cgroup_fd) {
        _cleanup_free_ char *text = NULL;
        int r = read_file_at(cgroup_fd, "cgroup.threads", LIST_LIMIT, &text, NULL);
        if (r < 0)
                return r == -ENOMEM ? r : 0; /* gone, or none of ours to tell */
        char *rest = text;
        for (const char *line; (line = next_line(&rest));) {
                uint64_t tid, n_sleeps;
                if (parse_u64(line, &tid) < 0 || tid == 0 || tid > INT_MAX || !waits(s, (pid_t) tid, &n_sleeps))
                        continue;
                r = array_reserve(&s->waiters, &s->capacity, s->n_waiters + 1, sizeof(*s->waiters));
                if (r < 0)
                        return r;
                s->waiters[s->n_waiters++] = (struct waiter) { (pid_t) tid, n_sleeps };
        }
        return 0;
}

/* A cgroup and those below it. Takes the descriptor. */
static int look_below(struct search *s, int fd, unsigned depth) {
        DIR *dir = fdopendir(fd);
        if (!dir) {
                (void) close(fd);
                return -ENOMEM;
        }
        int r = look_at_threads(s, fd);
        for (const struct dirent *e; r >= 0 && depth < DEPTH_MAX && (e = readdir(dir));) {
                if (e->d_type != DT_DIR || is_dot_or_dots(e->d_name))
                        continue;
                int child = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (child >= 0)
                        r = look_below(s, child, depth + 1);
        }
        (void) closedir(dir);
        return r;
}

/* Leaves those that still wait as they did. */
static void look_again(struct search *s) {
        size_t kept = 0;
        for (size_t i = 0; i < s->n_waiters; i++) {
                uint64_t n_sleeps;
                if (waits(s, s->waiters[i].tid, &n_sleeps) && n_sleeps == s->waiters[i].n_sleeps)
                        s->waiters[kept++] = s->waiters[i];
        }
        s->n_waiters = kept;
}

int cgroup_find_waiting(const struct host *h, const char *cgroup, pid_t *ret_tid) {
        struct search s = { .proc_fd = open_below(h->root_fd, "proc", O_PATH | O_DIRECTORY | O_CLOEXEC) };
        _cleanup_(close_fdp) int fd = cgroup_open(h, cgroup);
        int readable = s.proc_fd < 0 || fd < 0 ? -EBADF : openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = readable < 0 ? 0 : look_below(&s, readable, 0);
        for (unsigned i = 0; r >= 0 && i < LOOKS && s.n_waiters > 0; i++) {
                const struct timespec pause = { .tv_nsec = LOOK_USEC * 1000 };
                (void) nanosleep(&pause, NULL);
                look_again(&s);
        }
        if (r >= 0 && s.n_waiters > 0) {
                *ret_tid = s.waiters[0].tid;
                r = 1;
        }
        free(s.waiters);
        if (s.proc_fd >= 0)
                (void) close(s.proc_fd);
        return r;
}

static bool has_cpuset(const struct host *h, const char *cgroup) {
        _cleanup_(close_fdp) int fd = cgroup_open(h, cgroup);
        return fd < 0 || faccessat(fd, "cpuset.cpus", F_OK, 0) == 0; /* gone: nothing will be enabled */
}

int cpuset_find_waiting(const struct host *h, const char *cgroup, bool mems, bool enabling_waits, pid_t *ret_tid) {
        int r = mems ? cgroup_find_waiting(h, cgroup, ret_tid) : 0;
        if (r != 0 || !enabling_waits || has_cpuset(h, cgroup))
                return r;
        _cleanup_free_ char *above = strdup(cgroup);
        if (!above)
                return -ENOMEM;
        /* Up to the nearest that has it, or the root: all below it are given it on the way. */
        do {
                char *slash = strrchr(above, '/');
                *(slash ? slash : above) = 0;
        } while (above[0] && !has_cpuset(h, above));
        return cgroup_find_waiting(h, above, ret_tid);
}

bool enabling_cpuset_waits(const char *release) {
        uint64_t major, minor;
        const char *dot = strchr(release, '.');
        return dot && leading_number(release, &major) && leading_number(dot + 1, &minor) &&
               (major < 6 || (major == 6 && minor < 2));
}
