/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The walk over the cgroup tree: iterative, with one open directory per level, so that a tree of any shape costs bounded memory and
 * a cgroup that is removed meanwhile is just not there. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/util.h"
#include "host/cgroup-path.h"
#include "host/cgroup.h"
#include "host/io.h"

#define NO_CGROUP2 "no cgroup v2 on this machine"

struct level {
        int fd;
        DIR *dir;           /* owns the descriptor; NULL: there are no cgroups in it, so it need not be listed */
        size_t path_length; /* of the cgroup at this level; 0: root */
        struct rights rights;
        bool in_service; /* it is a service or inside of one, as the names above tell */
};

struct walk {
        const struct host *host;
        const struct config *config;
        struct found_services *out;
        struct level levels[CGROUP_DEPTH_MAX + 1];
        unsigned depth; /* levels[0…depth] are open */
        char path[PATH_MAX];
        size_t n_cgroups, n_pids;
        bool counts_links; /* a directory's links tell how many there are in it */
};

/* Opens the directory for listing, where there is something to be found. Takes the descriptor in any case. */
static int level_open(const struct walk *w, int fd, struct level *l) {
        struct stat st;
        l->fd = fd;
        if (w->counts_links && fstat(fd, &st) == 0 && st.st_nlink == 2)
                return 0;
        l->dir = fdopendir(fd);
        if (l->dir)
                return 0;
        (void) close(fd);
        return -ENOMEM;
}

static void level_close(struct level *l) {
        if (l->dir)
                (void) closedir(l->dir);
        else
                (void) close(l->fd);
}

/* The process ids in the text of cgroup.procs; 0 stands for one outside our pid namespace. */
static int take_pids(struct walk *w, struct found_service *f, char *text) {
        char *rest = text, *line;
        while ((line = next_line(&rest))) {
                uint64_t pid;
                if (parse_u64(line, &pid) < 0 || pid == 0 || pid > INT_MAX)
                        continue;
                if (w->n_pids >= PROCESS_COUNT_MAX) {
                        w->out->truncated = true;
                        return 0;
                }
                if (array_reserve(&f->pids, &f->pids_capacity, f->n_pids + 1, sizeof *f->pids) < 0)
                        return -ENOMEM;
                f->pids[f->n_pids++] = (pid_t) pid;
                w->n_pids++;
        }
        return 0;
}

/* Why the cgroup at some level has no cpuset and cannot be given one; NULL: it has, or we may enable it in those above. */
static const char *why_no_cpuset(const struct walk *w, unsigned depth) {
        for (; !cgroup_lists_controller(w->levels[depth].fd, "cgroup.controllers", "cpuset"); depth--) {
                if (depth == 0)
                        return "the cpuset controller is not enabled above its cgroup";
                enum realm above = w->levels[depth - 1].rights.children;
                if (above == REALM_HOST)
                        return "the cpuset controller is not enabled above its cgroup, where only the service manager may do "
                               "that";
                if (above != REALM_DELEGATED && above != REALM_FOREIGN)
                        return "the cpuset controller is not enabled above its cgroup, which was not delegated with it";
        }
        return NULL;
}

/* Who may change the service at some level of the path we are at. */
static int set_owner(const struct walk *w, struct found_service *f, unsigned depth) {
        const struct level *l = &w->levels[depth];
        f->owner = l->rights.owner;
        if (f->owner == OWNER_NONE) {
                f->owner_detail = rights_explain(&l->rights, f->cgroup);
                return f->owner_detail ? 0 : -ENOMEM;
        }
        const char *why = "no cpuset controller in the cgroup v2 hierarchy";
        if (w->host->has_cpuset)
                why = f->owner == OWNER_CGROUPFS ? why_no_cpuset(w, depth) : NULL;
        if (!why)
                return 0;
        f->owner = OWNER_NONE;
        f->owner_detail = strdup(why);
        return f->owner_detail ? 0 : -ENOMEM;
}

/* Names the service that a cgroup belongs to. */
static int describe(const struct walk *w, const char *path, struct found_service *f, unsigned *ret_depth) {
        struct service_key k;
        int r = service_key_of(w->config, path, &k);
        if (r < 0)
                return r;
        f->unit = TAKE_PTR(k.unit);
        f->slice = TAKE_PTR(k.slice);
        f->is_unit = k.is_unit;
        f->cgroup = strndup(path, k.length);
        *ret_depth = k.depth;
        service_key_done(&k);
        return f->cgroup ? 0 : -ENOMEM;
}

/* Has somebody given the cgroup at the present level, which is inside of a service, a cpuset of its own? The service is told, whether there are processes in it
 * (a guest's virtual CPUs are threads) or further inside. */
static int visit_inner(struct walk *w) {
        struct inner_cpuset inner;
        struct service_key k;
        if (!w->host->has_cpuset || w->depth < 2 || !w->levels[w->depth - 1].in_service)
                return 0;
        int r = service_key_of(w->config, w->path, &k);
        unsigned depth = k.depth;
        if (r < 0)
                return r;
        service_key_done(&k);
        if (depth == 0 || depth >= w->depth || !cgroup_read_inner_cpuset(w->levels[w->depth].fd, w->levels[depth - 1].fd, &inner))
                return 0;
        struct found_service *f = found_services_add(w->out);
        if (!f)
                return -ENOMEM;
        f->inner = malloc(sizeof *f->inner);
        if (!f->inner)
                return -ENOMEM;
        *f->inner = inner;
        r = describe(w, w->path, f, &depth);
        return r < 0 ? r : set_owner(w, f, depth);
}

/* The processes of the cgroup at the present level. */
static int visit(struct walk *w) {
        const struct level *l = &w->levels[w->depth];
        _cleanup_free_ char *text = NULL;
        uint64_t usage_usec = USEC_INFINITY;
        if (w->depth > 0)
                (void) cgroup_read_cpu_usec(l->fd, &usage_usec);
        int r = visit_inner(w);
        if (r < 0)
                return r;
        r = read_file_at(l->fd, "cgroup.procs", CGROUP_PROCS_LIMIT, &text, NULL);
        if (r == -ENOMEM)
                return r;
        if (r == -EFBIG)
                w->out->truncated = true;
        /* Removed meanwhile, or threaded (EOPNOTSUPP): its processes are then listed by the domain above. */
        if (r < 0 || text[0] < '0' || text[0] > '9')
                return 0;
        struct found_service *f = found_services_add(w->out);
        if (!f)
                return -ENOMEM;
        r = take_pids(w, f, text);
        if (r < 0 || w->depth == 0)
                return r;
        unsigned depth;
        r = describe(w, w->path, f, &depth);
        if (r == 0 && depth == w->depth)
                f->usage_usec = usage_usec;
        return r < 0 ? r : set_owner(w, f, depth);
}

/* Goes down into a child directory, if it is one. */
static int enter(struct walk *w, const char *name) {
        struct level *parent = &w->levels[w->depth];
        size_t n = strlen(name);
        if (w->depth == CGROUP_DEPTH_MAX || parent->path_length + 1 + n >= sizeof w->path || w->n_cgroups >= CGROUP_COUNT_MAX) {
                w->out->truncated = true;
                return 0;
        }
        int fd = open_below(parent->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return 0; /* a file, or gone */
        struct level child = { 0 };
        if (level_open(w, fd, &child) < 0)
                return -ENOMEM;
        w->path[parent->path_length] = '/';
        memcpy(w->path + parent->path_length + 1, name, n + 1);
        bool delegated = rights_needs_delegation(&parent->rights, name) && cgroup_is_delegated(fd, name);
        w->depth++;
        w->n_cgroups++;
        child.path_length = parent->path_length + 1 + n;
        child.rights = rights_of_child(&parent->rights, name, w->depth, delegated);
        const char *unit;
        size_t unit_n;
        child.in_service =
                parent->in_service || component_is_unit(name, n, &unit, &unit_n) || config_selects_cgroup(w->config, w->path);
        w->levels[w->depth] = child;
        return visit(w);
}

static int walk_tree(struct walk *w) {
        int fd = open_below(w->host->root_fd, w->host->cgroup_mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return fd;
        /* The kernel's own file system counts them; one that a captured tree lies on need not. */
        struct statfs fs;
        w->counts_links = fstatfs(fd, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
        w->levels[0] = (struct level) { .rights = rights_of_root(w->host->has_systemd) };
        if (level_open(w, fd, &w->levels[0]) < 0)
                return -ENOMEM;
        int r = visit(w);
        while (r == 0) {
                struct level *l = &w->levels[w->depth];
                const struct dirent *e = l->dir ? readdir(l->dir) : NULL;
                if (e) {
                        if (!is_dot_or_dots(e->d_name) && (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN))
                                r = enter(w, e->d_name);
                        continue;
                }
                level_close(l);
                if (w->depth == 0)
                        return 0;
                w->depth--;
        }
        for (unsigned i = 0; i <= w->depth; i++)
                level_close(&w->levels[i]);
        return r;
}

/* Without cgroup v2: every process, by its path in systemd's own v1 hierarchy. */
static int place_process(struct walk *w, pid_t pid) {
        _cleanup_free_ char *path = NULL;
        char digits[16];
        int r = host_process_cgroup(w->host, pid, &path);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        (void) snprintf(digits, sizeof digits, "%d", (int) pid);
        struct found_service *f = found_services_add(w->out);
        if (!f)
                return -ENOMEM;
        r = take_pids(w, f, digits);
        if (r < 0 || path[0] != '/' || !path[1])
                return r;
        f->owner_detail = strdup(NO_CGROUP2);
        unsigned ignored;
        return f->owner_detail ? describe(w, path, f, &ignored) : -ENOMEM;
}

static int walk_proc(struct walk *w) {
        int fd = open_below(w->host->root_fd, "proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return fd;
        DIR *dir = fdopendir(fd);
        if (!dir) {
                (void) close(fd);
                return -ENOMEM;
        }
        int r = 0;
        for (const struct dirent *e = readdir(dir); e && r == 0; e = readdir(dir)) {
                uint64_t pid;
                if (parse_u64(e->d_name, &pid) == 0 && pid > 0 && pid <= INT_MAX)
                        r = place_process(w, (pid_t) pid);
        }
        (void) closedir(dir);
        return r;
}

int find_services(const struct host *h, const struct config *c, struct found_services *ret) {
        struct found_services found = { 0 };
        struct walk *w = calloc(1, sizeof *w);
        if (!w)
                return -ENOMEM;
        w->host = h;
        w->config = c;
        w->out = &found;
        int r = h->cgroup_mount ? walk_tree(w) : walk_proc(w);
        free(w);
        if (r == 0)
                r = found_services_merge(&found);
        if (r < 0) {
                found_services_done(&found);
                return r;
        }
        *ret = found;
        return 0;
}
