/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading and writing cpusets in the cgroup file system.
 *
 * Writing is for cgroups that systemd does not own: those below a unit with Delegate=, and those outside its tree (cgroup-delegation in
 * systemd's documentation: "single writer"). Whoever decided that a cgroup is of this kind, it is looked at again here. */
#include "act/cgroupfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/util.h"
#include "host/cgroup-path.h"
#include "host/cgroup.h"
#include "host/io.h"

/* A list of 8192 alternating CPUs takes 39 KiB. */
#define CPUSET_FILE_LIMIT (64 * KIB)

static bool path_is_sound(const char *cgroup) {
        if (cgroup[0] != '/')
                return false;
        for (const char *p = cgroup; p; p = strchr(p + 1, '/'))
                if (strncmp(p, "/../", 4) == 0 || strcmp(p, "/..") == 0)
                        return false;
        return true;
}

/* Opens the first `length` bytes of the cgroup's path ("" is the root). Returns an O_PATH fd or negative errno. */
static int open_cgroup(const struct host *h, const char *cgroup, size_t length) {
        if (!h->cgroup_mount || !path_is_sound(cgroup))
                return -EOPNOTSUPP;
        _cleanup_free_ char *path = strndup(cgroup, length);
        return path ? cgroup_open(h, path) : -ENOMEM;
}

/* The length of the parent's path; 0 is the root. */
static size_t parent_length(const char *cgroup, size_t length) {
        while (length > 0 && cgroup[length - 1] != '/')
                length--;
        while (length > 0 && cgroup[length - 1] == '/')
                length--;
        return length;
}

static size_t path_length(const char *cgroup) {
        size_t length = strlen(cgroup);
        while (length > 0 && cgroup[length - 1] == '/')
                length--;
        return length;
}

/* A cgroup that is removed while it is read answers ENODEV. */
static int gone_is_enoent(int r) {
        return r == -ENODEV ? -ENOENT : r;
}

static int read_cpus(int dir_fd, const char *name, struct cpu_mask *ret) {
        _cleanup_free_ char *text = NULL;
        int r = read_file_at(dir_fd, name, CPUSET_FILE_LIMIT, &text, NULL);
        return r < 0 ? gone_is_enoent(r) : cpu_mask_parse(text, ret);
}

static int read_mems(int dir_fd, const char *name, struct node_set *ret) {
        _cleanup_free_ char *text = NULL;
        int r = read_file_at(dir_fd, name, CPUSET_FILE_LIMIT, &text, NULL);
        return r < 0 ? gone_is_enoent(r) : node_set_parse(text, ret);
}

static int read_effective(int dir_fd, struct cpu_mask *ret_cpus, struct node_set *ret_mems) {
        int r = read_cpus(dir_fd, "cpuset.cpus.effective", ret_cpus);
        return r < 0 ? r : read_mems(dir_fd, "cpuset.mems.effective", ret_mems);
}

/* What is effective in the nearest cgroup above that has cpuset files; the root has them where there is a controller at all. */
static int read_effective_above(const struct host *h, const char *cgroup, size_t length, struct cpu_mask *ret_cpus,
                                struct node_set *ret_mems) {
        int r;
        do {
                length = parent_length(cgroup, length);
                int fd = open_cgroup(h, cgroup, length);
                if (fd < 0)
                        return fd;
                r = read_effective(fd, ret_cpus, ret_mems);
                close(fd);
        } while (r == -ENOENT && length > 0);
        return r == -ENOENT ? -EOPNOTSUPP : r;
}

static int read_configured(int dir_fd, struct cpuset_value *ret) {
        int r = read_cpus(dir_fd, "cpuset.cpus", &ret->cpus);
        if (r >= 0)
                r = read_mems(dir_fd, "cpuset.mems", &ret->mems);
        if (r < 0)
                return r;
        ret->cpus_set = !cpu_mask_is_empty(&ret->cpus);
        ret->mems_set = !node_set_is_empty(&ret->mems);
        return 0;
}

/* The root has no such file, and is never empty. */
static bool is_populated(int dir_fd) {
        char text[256];
        return read_small_file_at(dir_fd, "cgroup.events", text, sizeof(text)) < 0 || !strstr(text, "populated 0");
}

int cgroupfs_get_cpuset(const struct host *h, const char *cgroup, struct cpuset_state *ret) {
        struct cpuset_state s = { 0 };
        size_t length = path_length(cgroup);

        _cleanup_(close_fdp) int fd = open_cgroup(h, cgroup, length);
        if (fd < 0)
                return fd;
        int r = read_effective(fd, &s.effective_cpus, &s.effective_mems);
        if (r >= 0)
                r = read_configured(fd, &s.configured);
        bool root_or_disabled = r == -ENOENT;
        if (root_or_disabled)
                /* No files: never enabled here, just disabled, or the cgroup was removed while we looked. */
                r = faccessat(fd, "cgroup.procs", F_OK, 0) < 0 ? -ENOENT : 0;
        if (r < 0)
                return r;

        s.populated = is_populated(fd);
        if (length == 0) {
                if (cpu_mask_is_empty(&s.effective_cpus))
                        return -EOPNOTSUPP;
                s.parent_effective_cpus = s.effective_cpus;
                s.parent_effective_mems = s.effective_mems;
        } else {
                r = read_effective_above(h, cgroup, length, &s.parent_effective_cpus, &s.parent_effective_mems);
                if (r < 0)
                        return r;
                if (root_or_disabled) {
                        s.configured = (struct cpuset_value) { 0 };
                        s.effective_cpus = s.parent_effective_cpus;
                        s.effective_mems = s.parent_effective_mems;
                }
        }
        *ret = s;
        return 0;
}

/* Writing */

static int write_file_at(int dir_fd, const char *name, const char *text) {
        int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        size_t size = strlen(text);
        ssize_t n;
        do
                n = write(fd, text, size);
        while (n < 0 && errno == EINTR);
        int r = n < 0 ? -errno : (size_t) n < size ? -EIO : 0;
        close(fd);
        return gone_is_enoent(r);
}

/* Whose the first `length` bytes of the path are, and what is below them. */
static int find_rights(const struct host *h, const char *cgroup, size_t length, struct rights *ret) {
        struct rights rights = rights_of_root(h->has_systemd);
        size_t offset = 0, n;
        unsigned depth = 0;
        const char *component;

        while (offset < length && next_component(cgroup, &offset, &component, &n)) {
                _cleanup_free_ char *name = strndup(component, n);
                if (!name)
                        return -ENOMEM;
                bool delegated = false;
                if (rights_needs_delegation(&rights, name)) {
                        _cleanup_(close_fdp) int fd = open_cgroup(h, cgroup, offset);
                        _cleanup_(close_fdp) int readable = fd < 0 ? fd : openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                        if (readable < 0)
                                return fd < 0 ? fd : -errno;
                        delegated = cgroup_is_delegated(readable, name);
                }
                rights = rights_of_child(&rights, name, ++depth, delegated);
        }
        *ret = rights;
        return 0;
}

/* Makes cpuset available in the children of the first `length` bytes of the path: here, and before that in those above as far as needed.
 * -EOPNOTSUPP where that would have to happen in a cgroup of systemd's: Delegate= did not include cpuset. */
static int enable_below(const struct host *h, const char *cgroup, size_t length) {
        struct rights rights = { 0 };
        _cleanup_(close_fdp) int fd = open_cgroup(h, cgroup, length);
        if (fd < 0)
                return fd;
        if (cgroup_lists_controller(fd, "cgroup.subtree_control", "cpuset"))
                return 0;
        int r = find_rights(h, cgroup, length, &rights);
        if (r >= 0 && rights.children != REALM_DELEGATED && rights.children != REALM_FOREIGN)
                r = -EOPNOTSUPP;
        if (r >= 0 && !cgroup_lists_controller(fd, "cgroup.controllers", "cpuset"))
                r = length > 0 ? enable_below(h, cgroup, parent_length(cgroup, length)) : -EOPNOTSUPP;
        return r < 0 ? r : write_file_at(fd, "cgroup.subtree_control", "+cpuset");
}

static int write_list(int dir_fd, const char *name, char *list) {
        if (!list)
                return -ENOMEM;
        /* A write of no bytes at all does not reach the kernel's parser. */
        int r = write_file_at(dir_fd, name, list[0] ? list : "\n");
        free(list);
        return r;
}

int cgroupfs_set_cpuset(const struct host *h, const char *cgroup, const struct cpuset_change *c) {
        size_t length = path_length(cgroup);
        struct rights rights = { 0 };
        _cleanup_(close_fdp) int fd = open_cgroup(h, cgroup, length);
        if (fd < 0)
                return fd;
        int r = find_rights(h, cgroup, length, &rights);
        if (r >= 0 && rights.owner != OWNER_CGROUPFS)
                r = -EPERM;
        if (r >= 0 && faccessat(fd, "cpuset.cpus", F_OK, 0) < 0) {
                bool clears_only = (!c->change_cpus || !c->value.cpus_set) && (!c->change_mems || !c->value.mems_set);
                if (clears_only) /* it is clear already */
                        return 0;
                r = enable_below(h, cgroup, parent_length(cgroup, length));
        }
        int r_mems = r;
        if (r >= 0 && c->change_cpus)
                r = write_list(fd, "cpuset.cpus", c->value.cpus_set ? cpu_mask_format(&c->value.cpus) : strdup(""));
        if (r_mems >= 0 && c->change_mems)
                r_mems = write_list(fd, "cpuset.mems", c->value.mems_set ? node_set_format(&c->value.mems) : strdup(""));
        return r < 0 ? r : r_mems;
}
