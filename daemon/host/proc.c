/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /proc/PID/stat, task/TID/stat, status, exe. Text from here is not trusted: a process chooses its own name. */
#include "host/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "core/util.h"
#include "host/host.h"
#include "host/io.h"
#include "host/recorder.h"

#define PF_KTHREAD 0x00200000u /* include/linux/sched.h; shown in field 9 */

enum {
        FIELD_STATE = 3,
        FIELD_FLAGS = 9,
        FIELD_UTIME = 14,
        FIELD_STIME = 15,
        FIELD_N_THREADS = 20,
        FIELD_START = 22,
        FIELD_PROCESSOR = 39,
};

static void copy_comm(char *to, size_t size, const char *from, size_t n) {
        n = MIN2(n, size - 1);
        memcpy(to, from, n);
        to[n] = 0;
}

int proc_stat_parse(const char *text, struct proc_stat *ret) {
        const char *open = strchr(text, '('), *close = strrchr(text, ')');
        if (!open || !close || close < open)
                return -EBADMSG;
        struct proc_stat s = { .last_cpu = -1 };
        copy_comm(s.comm, sizeof s.comm, open + 1, (size_t) (close - open - 1));

        const char *p = close + 1;
        unsigned field = FIELD_STATE;
        for (; *p == ' '; field++) {
                p++;
                uint64_t value = 0;
                bool negative = *p == '-';
                if (field == FIELD_STATE) {
                        if (*p < 'A' || *p > 'z')
                                return -EBADMSG;
                        s.state = *p++;
                        continue;
                }
                p += negative;
                if (!leading_number(p, &value))
                        return -EBADMSG;
                p += strspn(p, "0123456789");
                if (field == FIELD_FLAGS)
                        s.is_kernel = (value & PF_KTHREAD) != 0;
                else if (field == FIELD_UTIME || field == FIELD_STIME)
                        s.cpu_ticks = saturating_add(s.cpu_ticks, negative ? 0 : value);
                else if (field == FIELD_N_THREADS)
                        s.n_threads = (unsigned) MIN2(value, (uint64_t) UINT_MAX);
                else if (field == FIELD_START)
                        s.start_ticks = value;
                else if (field == FIELD_PROCESSOR) {
                        s.last_cpu = negative || value > INT_MAX ? -1 : (int) value;
                        break;
                }
        }
        if (field <= FIELD_START)
                return -EBADMSG;
        *ret = s;
        return 0;
}

int proc_stat_read(int proc_fd, const char *path, struct proc_stat *ret) {
        char text[2048]; /* 52 numbers of at most 20 digits, and the name */
        ssize_t n = read_small_file_at(proc_fd, path, text, sizeof text);
        if (n < 0)
                return (int) n;
        return n == 0 ? -ESRCH : proc_stat_parse(text, ret);
}

int proc_for_each_thread(int proc_fd, pid_t pid, thread_callback callback, void *userdata) {
        char path[64];
        (void) snprintf(path, sizeof path, "%d/task", (int) pid);
        int fd = open_below(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return fd;
        DIR *dir = fdopendir(fd);
        if (!dir) {
                (void) close(fd);
                return -ENOMEM;
        }
        int r = 0;
        for (const struct dirent *e = readdir(dir); e && r >= 0; e = readdir(dir)) {
                uint64_t tid;
                struct proc_stat s;
                if (parse_u64(e->d_name, &tid) < 0 || tid > INT_MAX)
                        continue;
                (void) snprintf(path, sizeof path, "%d/stat", (int) tid);
                if (proc_stat_read(dirfd(dir), path, &s) == 0)
                        r = callback(pid, (pid_t) tid, &s, userdata);
        }
        (void) closedir(dir);
        return r;
}

int proc_status_read(int proc_fd, pid_t pid, struct proc_status *ret) {
        char path[32], text[16384]; /* its longest lines are masks of up to 8192 CPUs */
        (void) snprintf(path, sizeof path, "%d/status", (int) pid);
        ssize_t n = read_small_file_at(proc_fd, path, text, sizeof text);
        if (n < 0)
                return (int) n;
        struct proc_status s = { 0 };
        char *rest = text, *line;
        while ((line = next_line(&rest))) {
                char *words = line;
                const char *name = next_word(&words), *first = next_word(&words), *second = next_word(&words);
                uint64_t value;
                if (!name || !first)
                        continue;
                if (strcmp(name, "Mems_allowed_list:") == 0)
                        s.have_mems = node_set_parse(first, &s.mems_allowed) == 0;
                else if (!second)
                        continue;
                else if (strcmp(name, "Uid:") == 0 && parse_u64(second, &value) == 0 && value <= UINT32_MAX) {
                        s.uid = (uid_t) value;
                        s.have_uid = true;
                } else if (strcmp(name, "HugetlbPages:") == 0 && parse_u64(first, &value) == 0)
                        s.hugetlb_bytes = saturating_mul(value, KIB);
                else if (strcmp(name, "RssShmem:") == 0 && parse_u64(first, &value) == 0)
                        s.shared_bytes = saturating_mul(value, KIB);
        }
        *ret = s;
        return 0;
}

int proc_exe_read(int proc_fd, pid_t pid, char **ret) {
        static const char deleted[] = " (deleted)";
        char path[32], target[PATH_MAX];
        (void) snprintf(path, sizeof path, "%d/exe", (int) pid);
        ssize_t n = readlinkat(proc_fd, path, target, sizeof target);
        if (n < 0)
                return -errno;
        size_t length = (size_t) n, suffix = sizeof deleted - 1;
        if (length == sizeof target)
                return -ENAMETOOLONG;
        record_link(proc_fd, path, target, length);
        if (length > suffix && memcmp(target + length - suffix, deleted, suffix) == 0)
                length -= suffix;
        char *copy = strndup(target, length);
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}

/* Some name services can block (LDAP): asked once per user, as long as the daemon runs. */
static char *look_up(uid_t uid) {
        struct passwd pw, *found = NULL;
        char buffer[16384];
        if (getpwuid_r(uid, &pw, buffer, sizeof buffer, &found) == 0 && found)
                return strdup(found->pw_name);
        return format_string("%u", (unsigned) uid);
}

/* On a captured machine: in the users that were captured with it. */
static char *look_up_below(int root_fd, uid_t uid) {
        int fd = root_fd >= 0 ? open_file_at(root_fd, "etc/passwd") : -1;
        FILE *file = fd >= 0 ? fdopen(fd, "re") : NULL;
        struct passwd pw, *found = NULL;
        char buffer[16384], *name = NULL;
        if (!file && fd >= 0)
                (void) close(fd);
        while (file && !name && fgetpwent_r(file, &pw, buffer, sizeof buffer, &found) == 0 && found)
                if (found->pw_uid == uid)
                        name = strdup(found->pw_name);
        if (file)
                (void) fclose(file);
        return name ? name : format_string("%u", (unsigned) uid);
}

const char *user_cache_get(struct user_cache *c, uid_t uid) {
        for (size_t i = 0; i < c->n_users; i++)
                if (c->users[i].uid == uid)
                        return c->users[i].name;
        if (array_reserve(&c->users, &c->capacity, c->n_users + 1, sizeof *c->users) < 0)
                return NULL;
        char *name = c->captured ? look_up_below(c->root_fd, uid) : look_up(uid);
        if (!name)
                return NULL;
        record_user(uid, name);
        c->users[c->n_users++] = (struct user_name){ .uid = uid, .name = name };
        return name;
}

void user_cache_done(struct user_cache *c) {
        for (size_t i = 0; i < c->n_users; i++)
                free(c->users[i].name);
        free(c->users);
        *c = (struct user_cache){ .captured = c->captured, .root_fd = c->root_fd };
}
