/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The small files of one cgroup (Documentation/admin-guide/cgroup-v2.rst). */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/util.h"
#include "host/cgroup-path.h"
#include "host/cgroup.h"
#include "host/io.h"
#include "host/recorder.h"

#define NUMA_STAT_LIMIT (1 * MIB) /* about 30 lines with one number per node */
#define LIST_LIMIT      (64 * KIB)

int cgroup_open(const struct host *h, const char *cgroup) {
        char path[PATH_MAX];
        int n = snprintf(path, sizeof path, "%s%s", h->cgroup_mount, cgroup);
        if (n < 0 || (size_t) n >= sizeof path)
                return -ENAMETOOLONG;
        return open_below(h->root_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

bool cgroup_is_delegated(int fd, const char *name) {
        char value[2];
        /* A captured tree has the mark as a file: archives lose attributes. */
        if (fgetxattr(fd, "trusted.delegate", value, sizeof value) == 1 ||
            fgetxattr(fd, "user.delegate", value, sizeof value) == 1 ||
            read_small_file_at(fd, "user.delegate", value, sizeof value) == 1) {
                record_file(fd, "user.delegate", value, 1);
                return value[0] == '1';
        }
        return name_is_container_scope(name);
}

/* "N0=123" → node and number. */
static bool parse_node_pair(const char *word, uint64_t *ret_node, uint64_t *ret_value) {
        const char *equals = strchr(word, '=');
        return word[0] == 'N' && equals && leading_number(word + 1, ret_node) && parse_u64(equals + 1, ret_value) == 0;
}

int cgroup_read_numa_stat(int cgroup_fd, unsigned n_ids, uint64_t *bytes_by_node, uint64_t *mapped_file_by_node) {
        _cleanup_free_ char *long_text = NULL;
        char text[8192];
        ssize_t r = read_small_file_at(cgroup_fd, "memory.numa_stat", text, sizeof text);
        if (r == -EFBIG)
                r = read_file_at(cgroup_fd, "memory.numa_stat", NUMA_STAT_LIMIT, &long_text, NULL);
        if (r < 0)
                return (int) r;
        char *rest = long_text ? long_text : text, *line;
        while ((line = next_line(&rest))) {
                char *words = line;
                const char *name = next_word(&words);
                /* Mapped file pages include mapped shared memory; anon includes transparent huge pages. */
                bool mapped_file = name && strcmp(name, "file_mapped") == 0;
                if (!name || (!mapped_file && strcmp(name, "anon") != 0))
                        continue;
                const char *word;
                uint64_t node, value;
                while ((word = next_word(&words)))
                        if (parse_node_pair(word, &node, &value) && node < n_ids) {
                                bytes_by_node[node] = saturating_add(bytes_by_node[node], value);
                                if (mapped_file && mapped_file_by_node)
                                        mapped_file_by_node[node] = saturating_add(mapped_file_by_node[node], value);
                        }
        }
        return 0;
}

int cgroup_read_cpu_usec(int cgroup_fd, uint64_t *ret) {
        char text[4096];
        ssize_t n = read_small_file_at(cgroup_fd, "cpu.stat", text, sizeof text);
        if (n < 0)
                return (int) n;
        char *rest = text, *line;
        while ((line = next_line(&rest)))
                if (strncmp(line, "usage_usec ", 11) == 0)
                        return parse_u64(line + 11, ret);
        return -ENODATA;
}

/* The first line of a pressure file: "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345". Without its newline, NULL where there is none. */
static const char *read_some_line(int cgroup_fd, const char *file, char *text, size_t size) {
        if (read_small_file_at(cgroup_fd, file, text, size) < 0 || strncmp(text, "some ", 5) != 0)
                return NULL;
        text[strcspn(text, "\n")] = 0;
        return text;
}

int cgroup_read_pressure(int cgroup_fd, const char *file) {
        char text[512];
        const char *line = read_some_line(cgroup_fd, file, text, sizeof text);
        if (!line || strncmp(line, "some avg10=", 11) != 0)
                return -1;
        const char *number = line + 11;
        const char *point = number + strspn(number, "0123456789");
        uint64_t whole;
        /* The kernel prints two decimals. */
        if (!leading_number(number, &whole) || whole > 100 || point[0] != '.' || point[1] < '0' || point[1] > '9' ||
            point[2] < '0' || point[2] > '9')
                return -1;
        return (int) whole * 100 + (point[1] - '0') * 10 + (point[2] - '0');
}

static bool read_stall(int cgroup_fd, const char *file, uint64_t *ret) {
        char text[512];
        const char *line = read_some_line(cgroup_fd, file, text, sizeof text), *total = line ? strstr(line, " total=") : NULL;
        return total && parse_u64(total + 7, ret) == 0;
}

void cgroup_read_stalls(const struct host *h, const char *cgroup, struct pressure_totals *ret) {
        *ret = (struct pressure_totals) { 0 };
        if (!h->has_psi || cgroup[0] != '/')
                return;
        _cleanup_(close_fdp) int fd = cgroup_open(h, cgroup);
        if (fd < 0)
                return;
        ret->has_memory = read_stall(fd, "memory.pressure", &ret->memory_usec);
        ret->has_cpu = read_stall(fd, "cpu.pressure", &ret->cpu_usec);
}

bool cgroup_lists_controller(int cgroup_fd, const char *file, const char *controller) {
        char text[1024];
        if (read_small_file_at(cgroup_fd, file, text, sizeof text) < 0)
                return false;
        text[strcspn(text, "\n")] = 0;
        char *rest = text;
        const char *word;
        while ((word = next_word(&rest)))
                if (strcmp(word, controller) == 0)
                        return true;
        return false;
}

/* False where there is no such file, or its set is empty. */
static bool read_cpus(int fd, const char *file, struct cpu_mask *ret) {
        _cleanup_free_ char *text = NULL;
        return read_file_at(fd, file, LIST_LIMIT, &text, NULL) == 0 && cpu_mask_parse(text, ret) == 0 && !cpu_mask_is_empty(ret);
}

static bool read_nodes(int fd, const char *file, struct node_set *ret) {
        _cleanup_free_ char *text = NULL;
        return read_file_at(fd, file, LIST_LIMIT, &text, NULL) == 0 && node_set_parse(text, ret) == 0 && !node_set_is_empty(ret);
}

/* Cuts the last component off a path; false at the root. */
static bool go_up(char *path) {
        char *slash = strrchr(path, '/');
        if (!slash)
                return false;
        *slash = 0;
        return true;
}

/* Is a cgroup's own set given, and does it leave out some of what the parent has? A set with all of the parent's narrows
 * nothing: it is what restoring leaves behind where the kernel refuses to clear. */
static void read_own(const struct host *h, const char *cgroup, struct cgroup_cpuset *c) {
        struct cpu_mask cpus = { 0 };
        struct node_set mems = { 0 };
        _cleanup_(close_fdp) int fd = cgroup_open(h, cgroup);
        if (fd < 0)
                return;
        c->narrows_cpus = read_cpus(fd, "cpuset.cpus", &cpus);
        c->narrows_mems = read_nodes(fd, "cpuset.mems", &mems);
        if (!c->narrows_cpus && !c->narrows_mems)
                return;
        _cleanup_free_ char *path = strdup(cgroup);
        _cleanup_(close_fdp) int parent_fd = path && go_up(path) ? cgroup_open(h, path) : -1;
        if (parent_fd < 0)
                return;
        if (c->narrows_cpus && read_cpus(parent_fd, "cpuset.cpus.effective", &c->parent_cpus))
                c->narrows_cpus = !cpu_mask_is_subset(&c->parent_cpus, &cpus);
        if (c->narrows_mems && read_nodes(parent_fd, "cpuset.mems.effective", &c->parent_mems))
                c->narrows_mems = !node_set_is_subset(&c->parent_mems, &mems);
}

bool cgroup_read_inner_cpuset(int fd, int above_fd, struct inner_cpuset *ret) {
        struct cpu_mask above_cpus = { 0 };
        struct node_set above_mems = { 0 };
        struct inner_cpuset inner = { 0 };
        char text[256];
        bool cpus = read_cpus(fd, "cpuset.cpus", &inner.cpus) && read_cpus(above_fd, "cpuset.cpus.effective", &above_cpus) &&
                    !cpu_mask_is_subset(&above_cpus, &inner.cpus);
        if (!cpus)
                inner.cpus = (struct cpu_mask) { 0 };
        inner.mems = read_nodes(fd, "cpuset.mems", &inner.mems_allowed) &&
                     read_nodes(above_fd, "cpuset.mems.effective", &above_mems) &&
                     !node_set_is_subset(&above_mems, &inner.mems_allowed);
        /* Container managers leave empty ones behind, and make some before they are used. */
        if ((!cpus && !inner.mems) || read_small_file_at(fd, "cgroup.events", text, sizeof text) < 0 ||
            !strstr(text, "populated 1"))
                return false;
        *ret = inner;
        return true;
}

void inner_cpuset_merge(struct inner_cpuset *into, const struct inner_cpuset *from) {
        if (from->mems)
                into->mems_allowed =
                        into->mems ? node_set_intersect(&into->mems_allowed, &from->mems_allowed) : from->mems_allowed;
        cpu_mask_or(&into->cpus, &from->cpus);
        into->mems |= from->mems;
}

void cgroup_read_cpuset(const struct host *h, const char *cgroup, struct cgroup_cpuset *ret) {
        *ret = (struct cgroup_cpuset) { 0 };
        if (!h->has_cpuset)
                return;
        read_own(h, cgroup, ret);
        _cleanup_free_ char *path = strdup(cgroup);
        while (path && (!ret->have_cpus || !ret->have_mems)) {
                _cleanup_(close_fdp) int fd = cgroup_open(h, path);
                if (fd >= 0) {
                        ret->have_cpus = ret->have_cpus || read_cpus(fd, "cpuset.cpus.effective", &ret->effective_cpus);
                        ret->have_mems = ret->have_mems || read_nodes(fd, "cpuset.mems.effective", &ret->effective_mems);
                }
                if (!go_up(path))
                        break;
        }
}
