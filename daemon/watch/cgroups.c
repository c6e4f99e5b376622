/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cgroup.events of those that somebody cares for, and the directories in which cgroups can appear, by inotify(7): the kernel tells of a change of
 * cgroup.events as of a write to it. A new cgroup is followed until it has processes, because only then it is a service. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "core/util.h"
#include "host/cgroup.h"
#include "host/io.h"
#include "watch/watch-internal.h"

/* One reading: the kernel queues 16,384 events and then says that it lost some. */
#define READ_MAX_BYTES (1u << 20)

struct cgroup_watch {
        int wd;
        char *cgroup; /* "" for the root of the tree */
        bool is_directory;
        bool is_new; /* nobody has asked for it yet */
        bool wanted; /* by the wishes of this time */
};

static ssize_t position(const struct watch *w, int wd) {
        return (ssize_t) FIRST_NOT_BEFORE(i, w->n_cgroups, w->cgroups[i].wd < wd);
}

static struct cgroup_watch *by_descriptor(const struct watch *w, int wd) {
        size_t i = (size_t) position(w, wd);
        return i < w->n_cgroups && w->cgroups[i].wd == wd ? &w->cgroups[i] : NULL;
}

static void forget(struct watch *w, struct cgroup_watch *c) {
        w->n_new -= c->is_new;
        free(c->cgroup);
        size_t i = (size_t) (c - w->cgroups);
        memmove(c, c + 1, (--w->n_cgroups - i) * sizeof(*c));
}

/* Watches a cgroup's events or what appears in it; one that is watched already is found again by its descriptor. NULL in `ret`: there is
 * no such cgroup. The entry is valid until the next. */
static int watch_one(struct watch *w, const char *cgroup, bool directory, struct cgroup_watch **ret) {
        *ret = NULL;
        _cleanup_free_ char *path = format_string("%s%s%s", w->base, cgroup, directory ? "" : "/cgroup.events");
        if (!path)
                return -ENOMEM;
        int r = array_reserve(&w->cgroups, &w->cgroups_capacity, w->n_cgroups + 1, sizeof(*w->cgroups));
        if (r < 0)
                return r;
        int wd = inotify_add_watch(w->inotify_fd, path, directory ? IN_CREATE | IN_ONLYDIR : IN_MODIFY);
        if (wd < 0)
                return host_vanished(-errno) ? 0 : -errno;
        size_t i = (size_t) position(w, wd);
        if (i < w->n_cgroups && w->cgroups[i].wd == wd) {
                *ret = &w->cgroups[i];
                return 0;
        }
        char *copy = strdup(cgroup);
        if (!copy) {
                (void) inotify_rm_watch(w->inotify_fd, wd);
                return -ENOMEM;
        }
        memmove(&w->cgroups[i + 1], &w->cgroups[i], (w->n_cgroups - i) * sizeof(*w->cgroups));
        w->n_cgroups++;
        w->cgroups[i] = (struct cgroup_watch) { .wd = wd, .cgroup = copy, .is_directory = directory };
        *ret = &w->cgroups[i];
        return 0;
}

static void tell(const struct watch *w, const char *cgroup) {
        const struct watch_event e = { .kind = WATCH_CGROUP, .cgroup = cgroup };
        w->callback(&e, w->userdata);
}

static bool is_populated(const struct watch *w, const char *cgroup) {
        char text[256];
        _cleanup_(close_fdp) int fd = cgroup_open(w->host, cgroup);
        return fd >= 0 && read_small_file_at(fd, "cgroup.events", text, sizeof(text)) >= 0 && strstr(text, "populated 1") != NULL;
}

static void give_up(struct watch *w, struct cgroup_watch *c) {
        (void) inotify_rm_watch(w->inotify_fd, c->wd);
        forget(w, c);
}

static bool is_gone(const struct watch *w, const struct cgroup_watch *c) {
        _cleanup_(close_fdp) int fd = cgroup_open(w->host, c->cgroup);
        return fd < 0;
}

/* Is there room for another new one, once those that have come and gone (a timer's short work) are given up? */
static bool has_room_for_new(struct watch *w) {
        for (size_t i = w->n_cgroups; w->n_new + 2 > WATCH_NEW_MAX && i > 0; i--)
                if (w->cgroups[i - 1].is_new && is_gone(w, &w->cgroups[i - 1]))
                        give_up(w, &w->cgroups[i - 1]);
        return w->n_new + 2 <= WATCH_NEW_MAX;
}

/* A cgroup has appeared: told when it has processes, which can be by now. `cgroup` is consumed. */
static int follow(struct watch *w, char *cgroup) {
        _cleanup_free_ char *owned = cgroup;
        for (unsigned directory = 0; directory < 2; directory++) {
                struct cgroup_watch *c;
                int r = watch_one(w, owned, directory, &c);
                if (r < 0)
                        tell(w, "");
                if (r < 0 || !c)
                        return r;
                w->n_new += !c->is_new && !c->wanted;
                c->is_new = !c->wanted;
        }
        if (is_populated(w, owned))
                tell(w, owned);
        return 0;
}

/* Returns false where nothing more is to be done with this reading. */
static bool take_event(struct watch *w, const struct inotify_event *e) {
        if (e->mask & IN_Q_OVERFLOW) {
                tell(w, "");
                return true;
        }
        struct cgroup_watch *c = by_descriptor(w, e->wd);
        if (!c)
                return true; /* was given up meanwhile */
        if (e->mask & IN_IGNORED) {
                forget(w, c);
                return true;
        }
        if (!c->is_directory) {
                tell(w, c->cgroup);
                return true;
        }
        if (!(e->mask & IN_ISDIR) || e->len == 0)
                return true;
        char *child = format_string("%s/%s", c->cgroup, e->name);
        if (child && has_room_for_new(w))
                return follow(w, child) >= 0;
        /* So many at once: look, and be asked anew. */
        free(child);
        tell(w, "");
        return false;
}

static int on_inotify(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct watch *w = userdata;
        union {
                struct inotify_event event; /* for its alignment */
                char bytes[16384];
        } buffer;
        bool more = true;
        /* What follows a flood is read, so that it is gone, and nothing is made of it. */
        for (size_t all = 0; all < READ_MAX_BYTES;) {
                ssize_t n = read(fd, buffer.bytes, sizeof(buffer.bytes));
                if (n <= 0)
                        break;
                all += (size_t) n;
                for (size_t at = 0; more && at < (size_t) n;) {
                        const struct inotify_event *e = (const struct inotify_event *) (buffer.bytes + at);
                        more = take_event(w, e);
                        at += sizeof(*e) + e->len;
                }
        }
        return 0;
}

int watch_open_cgroups(struct watch *w) {
        w->base = format_string("/proc/self/fd/%d/%s", w->host->root_fd, w->host->cgroup_mount);
        if (!w->base)
                return -ENOMEM;
        w->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (w->inotify_fd < 0)
                return -errno;
        int r = sd_event_add_io(w->event, &w->inotify_source, w->inotify_fd, EPOLLIN, on_inotify, w);
        return r < 0 ? r : sd_event_source_set_ratelimit(w->inotify_source, WATCH_REST_USEC, 1);
}

/* Where a cgroup is among the wishes, or would be. */
static size_t place_of(const char *cgroup, const struct watch_wish *wishes, size_t n) {
        return FIRST_NOT_BEFORE(i, n, strcmp(wishes[i].cgroup, cgroup) < 0);
}

static bool is_named(const char *cgroup, const struct watch_wish *wishes, size_t n) {
        size_t i = place_of(cgroup, wishes, n);
        return i < n && strcmp(wishes[i].cgroup, cgroup) == 0;
}

static bool is_above_a_wish(const char *cgroup, const struct watch_wish *wishes, size_t n) {
        _cleanup_free_ char *prefix = format_string("%s/", cgroup);
        size_t i = prefix ? place_of(prefix, wishes, n) : n;
        return i < n && strncmp(wishes[i].cgroup, prefix, strlen(prefix)) == 0;
}

/* What was there, and empty, before its directory was watched is as good as new. Best effort: what is missed is seen at the next cycle. */
static void follow_empty(struct watch *w, const char *cgroup, const struct watch_wish *wishes, size_t n) {
        _cleanup_(close_fdp) int fd = cgroup_open(w->host, cgroup);
        int readable = fd < 0 ? fd : openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = readable < 0 ? NULL : fdopendir(readable);
        if (!dir && readable >= 0)
                (void) close(readable);
        for (const struct dirent *e = dir ? readdir(dir) : NULL; e && w->n_new + 2 <= WATCH_NEW_MAX / 2; e = readdir(dir)) {
                if (e->d_type != DT_DIR || is_dot_or_dots(e->d_name))
                        continue;
                char *child = format_string("%s/%s", cgroup, e->d_name);
                if (!child || is_named(child, wishes, n) || is_above_a_wish(child, wishes, n) || is_populated(w, child))
                        free(child);
                else
                        (void) follow(w, child); /* has told itself what it could not watch */
        }
        if (dir)
                (void) closedir(dir);
}

/* Asks for one of those wished for. Past the limit, or where the kernel has no more, it is counted as left out. */
static int want(struct watch *w, const char *cgroup, bool directory, size_t *n, size_t limit, struct watch_counts *counts) {
        struct cgroup_watch *c = NULL;
        if (*n >= limit) {
                counts->n_left_out++;
                return 0;
        }
        int r = watch_one(w, cgroup, directory, &c);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                counts->n_left_out++;
                counts->error = r;
                return 0;
        }
        if (!c)
                return 0;
        *n += !c->wanted;
        c->wanted = true;
        w->n_new -= c->is_new;
        c->is_new = false;
        return 0;
}

/* All that is above a cgroup: new ones appear there. */
static int want_above(struct watch *w, const char *cgroup, const struct watch_wish *wishes, size_t n,
                      struct watch_counts *counts) {
        _cleanup_free_ char *path = strdup(cgroup);
        if (!path)
                return -ENOMEM;
        for (char *slash = strrchr(path, '/'); slash; slash = strrchr(path, '/')) {
                *slash = 0;
                size_t before = w->n_cgroups;
                int r = want(w, path, true, &counts->n_directories, WATCH_DIRECTORIES_MAX, counts);
                if (r < 0)
                        return r;
                if (w->n_cgroups > before)
                        follow_empty(w, path, wishes, n);
        }
        return 0;
}

static bool same_parent(const char *a, const char *b) {
        const char *end_a = strrchr(a, '/'), *end_b = strrchr(b, '/');
        return end_a && end_b && end_a - a == end_b - b && strncmp(a, b, (size_t) (end_a - a)) == 0;
}

static int set_all(struct watch *w, const struct watch_wish *wishes, size_t n, struct watch_counts *counts) {
        int r = want_above(w, "/", wishes, n, counts); /* the root itself, whatever there is in it */
        for (size_t i = 0; r >= 0 && i < n; i++) {
                if (wishes[i].cgroup[0] != '/') /* a lone process is no cgroup */
                        continue;
                if (i == 0 || !same_parent(wishes[i - 1].cgroup, wishes[i].cgroup))
                        r = want_above(w, wishes[i].cgroup, wishes, n, counts);
                if (r >= 0 && wishes[i].populated)
                        r = want(w, wishes[i].cgroup, false, &counts->n_populated, WATCH_CGROUPS_MAX, counts);
        }
        return r;
}

/* Who has processes is known to whoever wishes; the others, new ones and those that have been emptied, are followed as long as they are there: they
 * can be filled again. Slices that are there to stay, and cgroups that nobody ever fills, must not keep others from being followed: the oldest are given up. Descriptors
 * are given out in ascending order. */
static void make_room_for_new(struct watch *w) {
        for (size_t i = 0; w->n_new > WATCH_NEW_MAX / 2 && i < w->n_cgroups;)
                if (w->cgroups[i].is_new)
                        give_up(w, &w->cgroups[i]);
                else
                        i++;
}

int watch_set_cgroups(struct watch *w, const struct watch_wish *wishes, size_t n, struct watch_counts *counts) {
        for (size_t i = 0; i < w->n_cgroups; i++)
                w->cgroups[i].wanted = false;
        int r = set_all(w, wishes, n, counts);
        for (size_t i = w->n_cgroups; i > 0; i--) {
                struct cgroup_watch *c = &w->cgroups[i - 1];
                if (c->wanted)
                        continue;
                if (is_named(c->cgroup, wishes, n) || is_gone(w, c)) {
                        give_up(w, c);
                        continue;
                }
                w->n_new += !c->is_new;
                c->is_new = true;
        }
        make_room_for_new(w);
        return r;
}

void watch_done_cgroups(struct watch *w) {
        sd_event_source_disable_unref(w->inotify_source);
        if (w->inotify_fd >= 0)
                (void) close(w->inotify_fd);
        for (size_t i = 0; i < w->n_cgroups; i++)
                free(w->cgroups[i].cgroup);
        free(w->cgroups);
        free(w->base);
}
