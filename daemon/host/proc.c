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

#define STATUS_LIMIT (1 * MIB) /* a process can be in 65,536 groups (NGROUPS_MAX) */

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

static void path_of(char *ret, size_t size, pid_t pid, pid_t speaker, const char *name) {
        if (speaker == pid)
                (void) snprintf(ret, size, "%d/%s", (int) pid, name);
        else
                (void) snprintf(ret, size, "%d/task/%d/%s", (int) pid, (int) speaker, name);
}

#define STATUS_SIZE 16384u /* its longest lines are masks of up to 8192 CPUs */

/* The file's text: in `text`, or where it does not fit in `ret_long`. NULL: negative errno in `ret_error`. */
static char *read_status(int proc_fd, pid_t pid, pid_t speaker, char text[static STATUS_SIZE], char **ret_long, int *ret_error) {
        char path[64];
        path_of(path, sizeof path, pid, speaker, "status");
        ssize_t n = read_small_file_at(proc_fd, path, text, STATUS_SIZE);
        if (n == -EFBIG) /* of a user in thousands of groups */
                n = read_file_at(proc_fd, path, STATUS_LIMIT, ret_long, NULL);
        if (n < 0) {
                *ret_error = (int) n;
                return NULL;
        }
        return *ret_long ? *ret_long : text;
}

int proc_status_read(int proc_fd, pid_t pid, pid_t speaker, struct proc_status *ret) {
        char text[STATUS_SIZE];
        _cleanup_free_ char *long_text = NULL;
        int error = 0;
        char *rest = read_status(proc_fd, pid, speaker, text, &long_text, &error), *line;
        if (!rest)
                return error;
        struct proc_status s = { 0 };
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

int proc_cpus_allowed_read(int proc_fd, pid_t pid, pid_t tid, struct cpu_mask *ret) {
        char text[STATUS_SIZE];
        _cleanup_free_ char *long_text = NULL;
        int error = 0;
        char *rest = read_status(proc_fd, pid, tid, text, &long_text, &error), *line;
        if (!rest)
                return error;
        while ((line = next_line(&rest))) {
                char *words = line;
                const char *name = next_word(&words), *first = next_word(&words);
                if (!name || !first)
                        continue;
                if (strcmp(name, "Name:") == 0 && strncmp(first, IO_URING_COMM, strlen(IO_URING_COMM)) == 0)
                        return -ENODATA;
                if (strcmp(name, "State:") == 0 && strchr("ZXx", first[0]))
                        return -ENODATA;
                if (strcmp(name, "Cpus_allowed_list:") == 0)
                        return cpu_mask_parse(first, ret) < 0 ? -ENODATA : 0;
        }
        return -ENODATA;
}

int proc_exe_read(int proc_fd, pid_t pid, pid_t speaker, char **ret) {
        static const char deleted[] = " (deleted)";
        char path[64], target[PATH_MAX];
        path_of(path, sizeof path, pid, speaker, "exe");
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

#define USERS_MAX    4096u /* containers have 65,536 each */
#define NAMED_USEC   (60 * USEC_PER_MINUTE)
#define UNNAMED_USEC USEC_PER_MINUTE

/* Some name services can block (LDAP): not asked for each process. NULL and 0: there is no such user. -EAGAIN: they do not answer. */
static int look_up(uid_t uid, char **ret) {
        struct passwd pw, *found = NULL;
        char buffer[16384];
        *ret = NULL;
        int error = getpwuid_r(uid, &pw, buffer, sizeof buffer, &found);
        if (error != 0 && error != ENOENT && error != ESRCH) /* which some give for "no such user", getpwuid_r(3) */
                return -EAGAIN;
        if (found)
                *ret = strdup(found->pw_name);
        return found && !*ret ? -ENOMEM : 0;
}

/* On a captured machine: in the users that were captured with it. */
static int look_up_below(int root_fd, uid_t uid, char **ret) {
        int fd = root_fd >= 0 ? open_file_at(root_fd, "etc/passwd") : -1;
        FILE *file = fd >= 0 ? fdopen(fd, "re") : NULL;
        struct passwd pw, *entry = NULL;
        char buffer[16384];
        bool found = false;
        *ret = NULL;
        if (!file && fd >= 0)
                (void) close(fd);
        while (file && !found && fgetpwent_r(file, &pw, buffer, sizeof buffer, &entry) == 0 && entry)
                if (entry->pw_uid == uid) {
                        found = true;
                        *ret = strdup(entry->pw_name);
                }
        if (file)
                (void) fclose(file);
        return found && !*ret ? -ENOMEM : 0;
}

static struct user_name *find_user(const struct user_cache *c, uid_t uid) {
        for (size_t i = 0; i < c->n_users; i++)
                if (c->users[i].uid == uid)
                        return &c->users[i];
        return NULL;
}

/* A place for one more. */
static struct user_name *add_user(struct user_cache *c, uid_t uid) {
        if (c->n_users == USERS_MAX)
                user_cache_done(c);
        if (array_reserve(&c->users, &c->capacity, c->n_users + 1, sizeof *c->users) < 0)
                return NULL;
        c->users[c->n_users] = (struct user_name) { .uid = uid };
        return &c->users[c->n_users++];
}

const char *user_cache_get(struct user_cache *c, uid_t uid, uint64_t now_usec) {
        struct user_name *u = find_user(c, uid);
        if (u && u->name && now_usec >= u->asked_usec && now_usec - u->asked_usec < u->wait_usec)
                return u->name;
        char *name;
        int r = c->captured ? look_up_below(c->root_fd, uid, &name) : look_up(uid, &name);
        bool named = r == 0 && name;
        if (r == -EAGAIN && u) { /* what was known holds until they do */
                u->asked_usec = now_usec;
                u->wait_usec = UNNAMED_USEC;
                return u->name;
        }
        if (r != -ENOMEM && !named)
                name = format_string("%u", (unsigned) uid);
        if (!u && name)
                u = add_user(c, uid);
        if (!u || !name) {
                free(name);
                return NULL;
        }
        free(u->name);
        uint64_t wait = named ? NAMED_USEC : MIN2(MAX2(2 * u->wait_usec, UNNAMED_USEC), NAMED_USEC);
        *u = (struct user_name) { .uid = uid, .name = name, .asked_usec = now_usec, .wait_usec = wait };
        record_user(uid, name);
        return name;
}

void user_cache_done(struct user_cache *c) {
        for (size_t i = 0; i < c->n_users; i++)
                free(c->users[i].name);
        free(c->users);
        *c = (struct user_cache) { .captured = c->captured, .root_fd = c->root_fd };
}
