/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What kind of machine is this: where cgroup v2 is mounted, which controllers it has, what the kernel lacks. */
#include "host/host.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/util.h"
#include "host/io.h"
#include "host/recorder.h"

#define MOUNTINFO_LIMIT (4 * MIB) /* container hosts have thousands of mounts */
#define CGROUP_LIMIT    (64 * KIB)

/* Mount points are printed with space, tab, newline and backslash as three octal digits (proc(5)). In place. */
static void unescape_octal(char *s) {
        char *out = s;
        while (*s) {
                if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
                        *out++ = (char) ((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
                        s += 4;
                } else
                        *out++ = *s++;
        }
        *out = 0;
}

static bool is_cgroup2(const struct host *h, const char *mount) {
        char path[PATH_MAX], ignored[1024];
        int n = snprintf(path, sizeof path, "%s/cgroup.controllers", mount);
        return n > 0 && (size_t) n < sizeof path && read_small_file_at(h->root_fd, path, ignored, sizeof ignored) >= 0;
}

/* How good a place a mount is: the system's own are preferred to copies that containers have. */
static int mount_rank(const char *point) {
        if (strcmp(point, "sys/fs/cgroup") == 0)
                return 3;
        if (strcmp(point, "sys/fs/cgroup/unified") == 0) /* hybrid: the controllers are in v1 hierarchies */
                return 2;
        return 1;
}

/* proc(5): id parent major:minor root point options [tags…] - type source options. */
static bool mountinfo_line_is_cgroup2(char *line, const char **ret_root, char **ret_point) {
        char *dash = strstr(line, " - ");
        if (!dash || strncmp(dash + 3, "cgroup2 ", 8) != 0)
                return false;
        char *root = NULL, *point = NULL, *rest = line;
        for (unsigned i = 0; i < 5; i++) {
                char *word = next_word(&rest);
                if (!word)
                        return false;
                if (i == 3)
                        root = word;
                if (i == 4)
                        point = word;
        }
        if (!point || point[0] != '/')
                return false;
        unescape_octal(point);
        *ret_root = root;
        *ret_point = point + 1;
        return true;
}

static int find_cgroup_mount(struct host *h) {
        _cleanup_free_ char *text = NULL;
        bool renamed = false;
        int best = 0;
        int r = read_file_at(h->root_fd, "proc/self/mountinfo", MOUNTINFO_LIMIT, &text, NULL);
        if (r == -ENOMEM)
                return r;
        char *rest = text, *line;
        while ((line = next_line(&rest))) {
                const char *root;
                char *point;
                if (!mountinfo_line_is_cgroup2(line, &root, &point) || mount_rank(point) <= best || !is_cgroup2(h, point))
                        continue;
                if (strcmp(root, "/") != 0) { /* of a captured tree, too: it is read as it was on the machine */
                        renamed = true;
                        continue;
                }
                char *copy = strdup(point);
                if (!copy)
                        return -ENOMEM;
                free(h->cgroup_mount);
                h->cgroup_mount = copy;
                best = mount_rank(point);
        }
        h->cgroups_renamed = renamed && !h->cgroup_mount;
        if (h->cgroup_mount || h->live || renamed)
                return 0;
        /* A captured tree may have been taken without /proc/self. */
        static const char *const usual[] = { "sys/fs/cgroup", "sys/fs/cgroup/unified" };
        for (size_t i = 0; i < ARRAY_SIZE(usual) && !h->cgroup_mount; i++)
                if (is_cgroup2(h, usual[i])) {
                        h->cgroup_mount = strdup(usual[i]);
                        if (!h->cgroup_mount)
                                return -ENOMEM;
                }
        return 0;
}

static void find_controllers(struct host *h) {
        char path[PATH_MAX], text[1024];
        int n = snprintf(path, sizeof path, "%s/cgroup.controllers", h->cgroup_mount);
        if (n < 0 || (size_t) n >= sizeof path || read_small_file_at(h->root_fd, path, text, sizeof text) < 0)
                return;
        text[strcspn(text, "\n")] = 0;
        char *rest = text, *word;
        while ((word = next_word(&rest))) {
                h->has_cpuset = h->has_cpuset || strcmp(word, "cpuset") == 0;
                h->has_memory_controller = h->has_memory_controller || strcmp(word, "memory") == 0;
        }
}

static bool exists_at(int dir_fd, const char *path) {
        return faccessat(dir_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_running_root(int fd) {
        struct stat a, b;
        return fstat(fd, &a) == 0 && stat("/", &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int host_open(const char *root, struct host **ret) {
        _cleanup_(host_freep) struct host *h = calloc(1, sizeof *h);
        if (!h)
                return -ENOMEM;
        h->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (h->root_fd < 0)
                return -errno;
        h->live = is_running_root(h->root_fd);
        long page = sysconf(_SC_PAGESIZE), ticks = sysconf(_SC_CLK_TCK);
        h->page_bytes = page > 0 ? (uint64_t) page : 4096;
        h->ticks_per_sec = ticks > 0 ? (unsigned) ticks : 100;
        h->has_systemd = exists_at(h->root_fd, "run/systemd/system");
        if (h->has_systemd)
                record_directory(h->root_fd, "run/systemd/system");
        h->has_psi = exists_at(h->root_fd, "proc/pressure/memory");
        if (h->has_psi)
                record_file(h->root_fd, "proc/pressure/memory", "", 0);
        int r = find_cgroup_mount(h);
        if (r < 0)
                return r;
        if (h->cgroup_mount)
                find_controllers(h);
        *ret = TAKE_PTR(h);
        return 0;
}

struct host *host_free(struct host *h) {
        if (!h)
                return NULL;
        if (h->root_fd >= 0)
                (void) close(h->root_fd);
        free(h->cgroup_mount);
        free(h);
        return NULL;
}

void host_limitations_freep(char ***lines) {
        if (!*lines)
                return;
        for (char **l = *lines; *l; l++)
                free(*l);
        free(*lines);
        *lines = NULL;
}

char **host_limitations(const struct host *h) {
        const struct {
                bool missing;
                const char *text;
        } all[] = {
                { !h->live, "reading a captured machine: nothing can be changed" },
                { h->cgroups_renamed,
                  "the control groups that are mounted here have other names than processes are told (a cgroup namespace of our "
                  "own: "
                  "run in the host's, as with docker run --cgroupns=host); as without cgroup v2, services cannot be told "
                  "apart or restricted" },
                { !h->cgroup_mount && !h->cgroups_renamed,
                  "no cgroup v2: services cannot be restricted to nodes and their memory is known only from "
                  "numa_maps; memory can still be moved (place: follow)" },
                { h->cgroup_mount && !h->has_cpuset, "no cpuset controller in the cgroup v2 hierarchy: services cannot be "
                                                     "restricted to nodes; memory can still be moved (place: follow)" },
                { h->cgroup_mount && !h->has_memory_controller,
                  "no memory controller in the cgroup v2 hierarchy: a service's memory by node is known only from numa_maps" },
                { !h->has_systemd, "systemd is not the service manager here: services are told apart by cgroup, or process by "
                                   "process, and changed through cgroup files" },
                { !h->has_psi, "no pressure stall information (/proc/pressure): memory pressure cannot be noticed" },
        };
        _cleanup_(host_limitations_freep) char **lines = calloc(ARRAY_SIZE(all) + 1, sizeof *lines);
        if (!lines)
                return NULL;
        size_t n = 0;
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                if (all[i].missing) {
                        lines[n] = strdup(all[i].text);
                        if (!lines[n++])
                                return NULL;
                }
        return TAKE_PTR(lines);
}

char *host_online(const struct host *h) {
        static const char *const files[] = { "node/online", "node/has_memory", "cpu/online" };
        struct strbuf b = { 0 };
        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                char path[64], text[4096];
                (void) snprintf(path, sizeof path, "sys/devices/system/%s", files[i]);
                if (read_small_file_at(h->root_fd, path, text, sizeof text) >= 0)
                        strbuf_printf(&b, "%s %s", files[i], text);
        }
        /* What a partition takes (cgroup-v2.rst, cpuset.cpus.partition) is left out of the root's. */
        char path[PATH_MAX], text[4096];
        int n = h->has_cpuset ? snprintf(path, sizeof path, "%s/cpuset.cpus.effective", h->cgroup_mount) : -1;
        if (n > 0 && (size_t) n < sizeof path && read_small_file_at(h->root_fd, path, text, sizeof text) >= 0)
                strbuf_printf(&b, "cpuset %s", text);
        return strbuf_steal(&b);
}

/* In a text as of /proc/PID/cgroup, which is cut up: "0::/path" is v2's line, "N:name=systemd:/path" that of systemd's own hierarchy (cgroups(7)). */
static const char *find_cgroup(const struct host *h, char *text) {
        const char *wanted = h->cgroup_mount ? "0::" : ":name=systemd:";
        char *line;
        while ((line = next_line(&text))) {
                if (h->cgroup_mount ? strncmp(line, wanted, strlen(wanted)) == 0 : strstr(line, wanted) != NULL) {
                        const char *found = strchr(line, '/');
                        return found ? found : "";
                }
        }
        return "";
}

int host_process_cgroup(const struct host *h, pid_t pid, char **ret) {
        char path[64];
        _cleanup_free_ char *text = NULL;
        (void) snprintf(path, sizeof path, "proc/%d/cgroup", (int) pid);
        int r = read_file_at(h->root_fd, path, CGROUP_LIMIT, &text, NULL);
        if (r < 0)
                return r;
        char *copy = strdup(find_cgroup(h, text));
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}

static bool is_below(const char *path, const char *cgroup) {
        size_t n = strlen(cgroup);
        while (n > 0 && cgroup[n - 1] == '/')
                n--;
        return strncmp(path, cgroup, n) == 0 && (path[n] == 0 || path[n] == '/');
}

int host_process_is_in(const struct host *h, pid_t pid, const char *cgroup) {
        _cleanup_free_ char *path = NULL;
        int r = host_process_cgroup(h, pid, &path);
        return r < 0 ? r : is_below(path, cgroup);
}

int host_process_open_cgroup(const struct host *h, pid_t pid) {
        char path[64];
        (void) snprintf(path, sizeof path, "proc/%d/cgroup", (int) pid);
        return open_file_at(h->root_fd, path);
}

int host_process_is_still_in(const struct host *h, int fd, const char *cgroup) {
        char text[2 * PATH_MAX]; /* one line with v2; with v1 some more */
        ssize_t n;
        do
                n = pread(fd, text, sizeof text, 0);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        if ((size_t) n == sizeof text)
                return -EFBIG;
        text[n] = 0;
        return is_below(find_cgroup(h, text), cgroup);
}
