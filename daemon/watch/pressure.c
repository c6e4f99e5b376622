/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pressure triggers (Documentation/accounting/psi.rst): a line written to a cgroup's pressure file makes its descriptor tell, once in each window in which
 * tasks waited longer than that. Windows of two seconds are the one kind that needs no privilege (Linux 6.5 and later), and there the kernel counts them
 * along with its averages, without a thread for each cgroup. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/util.h"
#include "host/cgroup.h"
#include "host/io.h"
#include "watch/watch-internal.h"

static const struct {
        const char *file, *trigger;
} resources[_WATCH_KIND_MAX] = {
        [WATCH_PRESSURE] = { "memory.pressure", "some 200000 2000000" },
        [WATCH_CPU] = { "cpu.pressure", "some 500000 2000000" },
};

int pressure_trigger_open(int dir_fd, const char *path, const char *trigger) {
        int fd = open_below(dir_fd, path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return fd;
        /* The kernel takes it up to its NUL. */
        size_t size = strlen(trigger) + 1;
        ssize_t n = write(fd, trigger, size);
        int r = n < 0 ? -errno : (size_t) n < size ? -EIO : 0;
        if (r == 0)
                return fd;
        (void) close(fd);
        return r;
}

static void trigger_free(struct pressure_trigger *t) {
        if (!t)
                return;
        sd_event_source_disable_unref(t->source);
        if (t->fd >= 0)
                (void) close(t->fd);
        free(t->cgroup);
        free(t);
}

static void drop(struct watch *w, struct pressure_trigger *t) {
        for (size_t i = 0; i < w->n_triggers; i++)
                if (w->triggers[i] == t) {
                        w->triggers[i] = w->triggers[--w->n_triggers];
                        break;
                }
        trigger_free(t);
}

static int read_pressure(const struct watch *w, const struct pressure_trigger *t) {
        _cleanup_(close_fdp) int fd = cgroup_open(w->host, t->cgroup);
        return fd < 0 ? -1 : cgroup_read_pressure(fd, resources[t->kind].file);
}

static int on_pressure(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct pressure_trigger *t = userdata;
        struct watch *w = t->watch;
        if (revents & (EPOLLERR | EPOLLHUP)) {
                /* The cgroup is gone. (A descriptor without a trigger says so too.) */
                _cleanup_free_ char *cgroup = TAKE_PTR(t->cgroup);
                drop(w, t);
                const struct watch_event e = { .kind = WATCH_CGROUP, .cgroup = cgroup };
                w->callback(&e, w->userdata);
                return 0;
        }
        const struct watch_event e = { .kind = t->kind, .cgroup = t->cgroup, .centipercent = read_pressure(w, t) };
        w->callback(&e, w->userdata);
        return 0;
}

static int trigger_new(struct watch *w, const char *cgroup, enum watch_kind kind, struct pressure_trigger **ret) {
        struct pressure_trigger *t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        *t = (struct pressure_trigger) { .watch = w, .kind = kind, .fd = -EBADF, .cgroup = strdup(cgroup) };
        _cleanup_free_ char *path =
                format_string("%s%s/%s", w->host->cgroup_mount, strcmp(cgroup, "/") == 0 ? "" : cgroup, resources[kind].file);
        int r = t->cgroup && path ? 0 : -ENOMEM;
        if (r == 0)
                r = t->fd = pressure_trigger_open(w->host->root_fd, path, resources[kind].trigger);
        if (r >= 0)
                r = sd_event_add_io(w->event, &t->source, t->fd, EPOLLPRI, on_pressure, t);
        if (r >= 0)
                r = sd_event_source_set_ratelimit(t->source, kind == WATCH_CPU ? WATCH_CPU_REST_USEC : WATCH_REST_USEC, 1);
        if (r < 0) {
                trigger_free(t);
                return r;
        }
        *ret = t;
        return 0;
}

static struct pressure_trigger *find(const struct watch *w, const char *cgroup, enum watch_kind kind) {
        for (size_t i = 0; i < w->n_triggers; i++)
                if (w->triggers[i]->kind == kind && strcmp(w->triggers[i]->cgroup, cgroup) == 0)
                        return w->triggers[i];
        return NULL;
}

/* Is the cgroup that it was set for still there, or another of the same name? Its file then says that it is gone. */
static bool is_alive(const struct pressure_trigger *t) {
        char c;
        return pread(t->fd, &c, 1, 0) >= 0 || errno == EAGAIN || errno == ESPIPE;
}

/* A trigger for this cgroup: the one there is, or a new one. 1: it has one; 0: there is no such cgroup; -ENOMEM; other failures are noted. */
static int want(struct watch *w, const char *cgroup, enum watch_kind kind, bool above, struct watch_counts *counts) {
        struct pressure_trigger *t = find(w, cgroup, kind);
        if (t && !is_alive(t)) {
                drop(w, t);
                t = NULL;
        }
        if (!t) {
                int r = array_reserve(&w->triggers, &w->triggers_capacity, w->n_triggers + 1, sizeof(struct pressure_trigger *));
                if (r >= 0)
                        r = trigger_new(w, cgroup, kind, &t);
                if (r == -ENOMEM || host_vanished(r))
                        return r == -ENOMEM ? r : 0;
                if (r < 0) {
                        counts->error = r;
                        return r;
                }
                w->triggers[w->n_triggers++] = t;
        }
        if (!t->wanted) {
                *(kind == WATCH_CPU ? &counts->n_cpu : above ? &counts->n_memory_above : &counts->n_memory) += 1;
                t->above = above;
        }
        t->wanted = true;
        return 1;
}

static size_t count_wanted(const struct watch *w, enum watch_kind kind) {
        size_t n = 0;
        for (size_t i = 0; i < w->n_triggers; i++)
                n += w->triggers[i]->kind == kind && w->triggers[i]->wanted;
        return n;
}

/* What is above a cgroup: "/" for those at the top. */
static char *parent_of(const char *cgroup) {
        const char *slash = strrchr(cgroup, '/');
        return !slash || slash == cgroup ? strdup("/") : strndup(cgroup, (size_t) (slash - cgroup));
}

/* Watched by what is above it: whoever waits in it waits in the slice, too. The last place is the whole machine's. */
static int want_above(struct watch *w, const char *cgroup, struct watch_counts *counts) {
        _cleanup_free_ char *above = parent_of(cgroup);
        if (!above)
                return -ENOMEM;
        const struct pressure_trigger *t = find(w, above, WATCH_PRESSURE);
        bool room = count_wanted(w, WATCH_PRESSURE) + 1 < WATCH_MEMORY_MAX;
        return want(w, room || (t && t->wanted) ? above : "/", WATCH_PRESSURE, true, counts);
}

static int set_memory(struct watch *w, const struct watch_wish *wishes, size_t n, struct watch_counts *counts) {
        size_t n_wishes = 0, k = 0;
        for (size_t i = 0; i < n; i++)
                n_wishes += wishes[i].memory;
        size_t n_own = n_wishes <= WATCH_MEMORY_MAX ? n_wishes : WATCH_MEMORY_MAX / 2;
        for (size_t i = 0; i < n; i++) {
                if (!wishes[i].memory)
                        continue;
                int r = k++ < n_own ? want(w, wishes[i].cgroup, WATCH_PRESSURE, false, counts)
                                    : want_above(w, wishes[i].cgroup, counts);
                if (r == -ENOMEM)
                        return r;
                if (r < 0) { /* not permitted, or no descriptors left: no better with the next */
                        counts->memory_complete = false;
                        return 0;
                }
        }
        return 0;
}

static int set_cpu(struct watch *w, const struct watch_wish *wishes, size_t n, struct watch_counts *counts) {
        for (size_t i = 0; i < n; i++) {
                if (!wishes[i].cpu)
                        continue;
                if (counts->n_cpu >= WATCH_CPU_MAX) {
                        counts->n_left_out++;
                        continue;
                }
                int r = want(w, wishes[i].cgroup, WATCH_CPU, false, counts);
                if (r < 0)
                        return r == -ENOMEM ? r : 0;
        }
        return 0;
}

int watch_set_pressure(struct watch *w, const struct watch_wish *wishes, size_t n, struct watch_counts *counts) {
        if (!w->host->has_psi)
                return 0;
        for (size_t i = 0; i < w->n_triggers; i++)
                w->triggers[i]->wanted = false;
        int r = set_memory(w, wishes, n, counts);
        if (r >= 0)
                r = set_cpu(w, wishes, n, counts);
        for (size_t i = w->n_triggers; i > 0; i--)
                if (!w->triggers[i - 1]->wanted)
                        drop(w, w->triggers[i - 1]);
        return r;
}

void watch_done_pressure(struct watch *w) {
        for (size_t i = 0; i < w->n_triggers; i++)
                trigger_free(w->triggers[i]);
        free(w->triggers);
}
