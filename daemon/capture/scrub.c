/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of each file of /proc a decision needs. */
#include "capture/scrub.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "core/util.h"
#include "host/io.h"
#include "host/kernel-balancing.h"
#include "host/proc.h"

struct scrubber {
        struct json_object *files; /* name of a mapped file → number */
};

struct scrubber *scrubber_new(void) {
        struct scrubber *s = calloc(1, sizeof *s);
        if (!s)
                return NULL;
        s->files = json_object_new_object();
        return s->files ? s : scrubber_free(s);
}

struct scrubber *scrubber_free(struct scrubber *s) {
        if (!s)
                return NULL;
        json_object_put(s->files);
        free(s);
        return NULL;
}

static int replace(struct recorded *item, struct strbuf *text) {
        size_t size = text->length;
        char *bytes = strbuf_steal(text);
        if (!bytes)
                return -ENOMEM;
        free(item->bytes);
        item->bytes = bytes;
        item->size = item->capacity = size;
        return 0;
}

/* Keeps the lines that some function wants. It is given a copy that it may cut. */
static int keep_lines(struct recorded *item, bool (*wanted)(char *line)) {
        struct strbuf kept = { 0 };
        char *rest = item->bytes, *line;
        while ((line = next_line(&rest))) {
                _cleanup_free_ char *copy = strdup(line);
                if (!copy) {
                        strbuf_done(&kept);
                        return -ENOMEM;
                }
                if (wanted(copy))
                        strbuf_printf(&kept, "%s\n", line);
        }
        return replace(item, &kept);
}

static bool is_cgroup2_mount(char *line) {
        return strstr(line, " - cgroup2 ") != NULL;
}

static bool is_watermark(char *line) {
        char *words = line;
        if (strncmp(line, "Node ", 5) == 0)
                return true;
        const char *name = next_word(&words);
        return name && strcmp(name, "low") == 0;
}

/* What the kernel's own balancing has moved, and its demotion: of the machine, and in memory.stat of a service. */
static bool is_balancing_counter(char *line) {
        return strncmp(line, KERNEL_MOVED_COUNTER " ", strlen(KERNEL_MOVED_COUNTER " ")) == 0 ||
               strncmp(line, KERNEL_DEMOTED_COUNTERS, strlen(KERNEL_DEMOTED_COUNTERS)) == 0;
}

static bool is_wanted_status(char *line) {
        static const char *const names[] = {
                "Uid:",
                "HugetlbPages:",
                "RssShmem:",
                "Mems_allowed_list:",
                "State:",
                "Cpus_allowed_list:",
                ("Name:\t" IO_URING_COMM), /* of the kernel's making */
        };
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (strncmp(line, names[i], strlen(names[i])) == 0)
                        return true;
        return false;
}

static bool is_own_cgroup(char *line) {
        return strncmp(line, "0::", 3) == 0 || strstr(line, ":name=systemd:") != NULL;
}

/* A process's name is kept, those of its threads are not. Addresses, parents, sessions, faults are zeros. */
static int scrub_stat(struct recorded *item, bool is_thread) {
        struct proc_stat s;
        struct strbuf b = { 0 };
        if (proc_stat_parse(item->bytes, &s) < 0) {
                item->path[0] = 0;
                return 0;
        }
        const unsigned long long flags = s.is_kernel ? 0x00200000ULL : 0;
        strbuf_printf(&b, "0 (%s) %c 0 0 0 0 0 %llu 0 0 0 0 %" PRIu64 " 0 0 0 0 0 %u 0 %" PRIu64, is_thread ? "thread" : s.comm,
                      s.state, flags, s.cpu_ticks, s.n_threads, s.start_ticks);
        for (unsigned field = 23; field < 39; field++)
                strbuf_append(&b, " 0");
        strbuf_printf(&b, " %d 0\n", s.last_cpu);
        return replace(item, &b);
}

/* The number that stands for a name, or negative. */
static int64_t pseudonym(struct scrubber *s, const char *name) {
        struct json_object *number;
        if (json_object_object_get_ex(s->files, name, &number))
                return json_object_get_int64(number);
        int64_t next = json_object_object_length(s->files) + 1;
        number = json_object_new_int64(next);
        if (!number || json_object_object_add(s->files, name, number) != 0) {
                json_object_put(number);
                return -ENOMEM;
        }
        return next;
}

/* Each mapped file's name becomes a number: the same everywhere, since a file that several processes map is counted once. A
 * thread's is read in part: its last line, without an end, was not looked at. */
static int scrub_numa_maps(struct scrubber *s, struct recorded *item, bool is_thread) {
        struct strbuf b = { 0 };
        if (is_thread && item->size > 0 && item->bytes[item->size - 1] != '\n') {
                char *end = strrchr(item->bytes, '\n');
                item->bytes[end ? end + 1 - item->bytes : 0] = 0;
        }
        for (char *at = item->bytes; *at;) {
                char *file = strstr(at, " file=");
                if (!file) {
                        strbuf_append(&b, at);
                        break;
                }
                char *name = file + 6, *end = name + strcspn(name, " \n"), saved = *end;
                *file = *end = 0;
                int64_t number = pseudonym(s, name);
                if (number < 0) {
                        strbuf_done(&b);
                        return -ENOMEM;
                }
                strbuf_printf(&b, "%s file=/%" PRId64, at, number);
                *end = saved;
                at = end;
        }
        return replace(item, &b);
}

/* Where a mapping lies and which file it is of, by number: a file's name is not needed, nor is the one that a process gave to memory. */
static int scrub_maps(struct recorded *item) {
        static const char *const special[] = { " [vdso]", " [vvar]", " [vvar_vclock]", " [vsyscall]" };
        struct strbuf b = { 0 };
        char *rest = item->bytes, *line;
        while ((line = next_line(&rest))) {
                char *name = line;
                for (unsigned i = 0; i < 5; i++) { /* range, permissions, offset, device, inode */
                        name = name + strspn(name, " ");
                        name += strcspn(name, " ");
                }
                const char *kept = "";
                for (size_t i = 0; i < ARRAY_SIZE(special); i++) {
                        size_t n = strlen(name), m = strlen(special[i]);
                        if (n >= m && strcmp(name + n - m, special[i]) == 0)
                                kept = special[i];
                }
                *name = 0;
                strbuf_printf(&b, "%s%s\n", line, kept);
        }
        return replace(item, &b);
}

/* `name` is what follows the process's id. What a thread shows of its process is the same (host/speaker.h). */
static int scrub_process(struct scrubber *s, struct recorded *item, const char *name) {
        size_t digits = strncmp(name, "task/", 5) == 0 ? strspn(name + 5, "0123456789") : 0;
        bool is_thread = digits > 0 && name[5 + digits] == '/';
        if (is_thread)
                name += 5 + digits + 1;
        if (strcmp(name, "stat") == 0)
                return scrub_stat(item, is_thread);
        if (strcmp(name, "status") == 0)
                return keep_lines(item, is_wanted_status);
        if (strcmp(name, "numa_maps") == 0)
                return scrub_numa_maps(s, item, is_thread);
        if (strcmp(name, "maps") == 0)
                return scrub_maps(item);
        if (strcmp(name, "cgroup") == 0)
                return keep_lines(item, is_own_cgroup);
        if (strcmp(name, "exe") == 0 && item->type == RECORDED_LINK) /* read only where a rule asks for it */
                return 0;
        item->path[0] = 0;
        return 0;
}

static bool begins_with(const char *path, const char *prefix) {
        return strncmp(path, prefix, strlen(prefix)) == 0;
}

int scrub(struct scrubber *s, struct recorded *item) {
        const char *path = item->path;
        const char *name = strrchr(path, '/');
        if (strcmp(path, "proc/vmstat") == 0 || (name && strcmp(name, "/memory.stat") == 0))
                return keep_lines(item, is_balancing_counter);
        if (begins_with(path, "sys/") || begins_with(path, "run/systemd/system") || strcmp(path, "etc/passwd") == 0)
                return 0;
        if (strcmp(path, "proc/self/mountinfo") == 0)
                return keep_lines(item, is_cgroup2_mount);
        if (strcmp(path, "proc/zoneinfo") == 0)
                return keep_lines(item, is_watermark);
        if (strcmp(path, "proc/meminfo") == 0 || strcmp(path, "proc/sys/kernel/numa_balancing") == 0 ||
            strcmp(path, "proc/pressure/memory") == 0)
                return 0;
        size_t digits = begins_with(path, "proc/") ? strspn(path + 5, "0123456789") : 0;
        if (digits > 0 && path[5 + digits] == '/')
                return scrub_process(s, item, path + 5 + digits + 1);
        item->path[0] = 0;
        return 0;
}
