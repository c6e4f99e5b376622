/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What reading memory maps costs beside reading the same files and throwing them away: for a child with so many mappings, CPU time of this
 * thread, everything by turns within one round, medians. And the parsers alone, beside memchr(3) over the same text. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/util.h"
#include "host/host.h"
#include "host/io.h"
#include "host/maps.h"
#include "host/numa-maps.h"
#include "host/observe.h"
#include "host/proc.h"

#define ROUNDS     21u
#define ROUND_USEC 3000u /* each is repeated within a round until it took so long */
#define N_IDS      64u
#define PIECE      65536u

static char piece[PIECE];

_Noreturn static void die(const char *what) {
        (void) fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(EXIT_FAILURE);
}

static double cpu_usec(void) {
        struct timespec ts;
        (void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
        return (double) ts.tv_sec * 1e6 + (double) ts.tv_nsec / 1e3;
}

/* The children */

enum kind { ANONYMOUS, BOUND, FILES, LONG_NAMES };
static const char *const kind_names[] = { "anonymous", "anonymous, bound", "of a file", "long escaped names" };

/* A file whose path is as long as there can be, of characters that are escaped where it can be. */
static int open_long_name(void) {
        char name[250];
        memset(name, ' ', sizeof name - 1);
        name[sizeof name - 1] = 0;
        /* Nested without a path ever being handed over that is longer than allowed. */
        int dir = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
        for (unsigned i = 0; dir >= 0 && i < 15; i++) {
                (void) mkdirat(dir, name, 0700);
                int next = openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
                (void) close(dir);
                dir = next;
        }
        return dir < 0 ? -1 : openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static void map_many(enum kind kind, unsigned n) {
        char path[] = "/tmp/sampling-XXXXXX";
        int fd = kind == FILES ? mkstemp(path) : kind == LONG_NAMES ? open_long_name() : -1;
        if (kind >= FILES && (fd < 0 || ftruncate(fd, 4096) < 0))
                die("a file to map");
        if (kind == BOUND) {
                unsigned long mask = 1;
                if (syscall(SYS_set_mempolicy, 2 /* MPOL_BIND */, &mask, 8 * sizeof mask) < 0)
                        die("set_mempolicy");
        }
        for (unsigned i = 0; i < n; i++) {
                /* Every second one can be read only, so that neighbours stay apart. */
                volatile char *p =
                        mmap(NULL, 4096, PROT_READ | PROT_WRITE, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
                if (p == MAP_FAILED)
                        die("mmap");
                *p = 1;
                if (fd < 0 && i % 2 && mprotect((void *) p, 4096, PROT_READ) < 0)
                        die("mprotect");
        }
        if (kind == FILES)
                (void) unlink(path);
}

static pid_t make_child(enum kind kind, unsigned n) {
        int ready[2];
        char byte = 0;
        if (pipe2(ready, O_CLOEXEC) < 0)
                die("pipe");
        pid_t pid = fork();
        if (pid < 0)
                die("fork");
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                map_many(kind, n);
                if (write(ready[1], &byte, 1) != 1)
                        _exit(EXIT_FAILURE);
                for (;;)
                        (void) pause();
        }
        (void) close(ready[1]);
        if (read(ready[0], &byte, 1) != 1) {
                (void) fprintf(stderr, "the child with %u mappings could not be made\n", n);
                exit(EXIT_FAILURE);
        }
        (void) close(ready[0]);
        return pid;
}

/* What is compared */

struct subject {
        const struct host *host;
        struct process_ref process;
        uint64_t sum;
        size_t n_mappings, bytes;
        struct numa_maps_parser *parser;
};

static int open_of(const struct subject *s, const char *file) {
        char path[64];
        (void) snprintf(path, sizeof path, "proc/%d/%s", (int) s->process.pid, file);
        int fd = open_file_at(s->host->root_fd, path);
        if (fd < 0)
                die(path);
        return fd;
}

static void throw_away(struct subject *s, const char *file) {
        int fd = open_of(s, file);
        ssize_t n;
        s->bytes = 0;
        while ((n = read(fd, piece, sizeof piece)) > 0)
                s->bytes += (size_t) n;
        (void) close(fd);
}

static int add_mapping(const struct numa_mapping *m, void *userdata) {
        struct subject *s = userdata;
        s->n_mappings++;
        for (unsigned i = m->first_node; i < m->end_node; i++)
                s->sum += m->pages_by_node[i];
        return 0;
}

static int add_entry(const struct maps_entry *e, void *userdata) {
        struct subject *s = userdata;
        s->n_mappings++;
        s->sum += e->end - e->start;
        return 0;
}

static void raw_numa_maps(struct subject *s) {
        throw_away(s, "numa_maps");
}

static void parsed_numa_maps(struct subject *s) {
        int fd = open_of(s, "numa_maps"), r = 0;
        ssize_t n;
        s->n_mappings = 0;
        numa_maps_parser_reset(s->parser);
        while (r == 0 && (n = read(fd, piece, sizeof piece)) > 0)
                r = numa_maps_parser_feed(s->parser, piece, (size_t) n);
        if (r < 0 || numa_maps_parser_finish(s->parser) < 0)
                die("numa_maps was not understood");
        (void) close(fd);
}

/* All that the daemon does with it: whose pages are where and may move, and what the threads' policies are. */
static void deep_read(struct subject *s) {
        struct deep_sample *d;
        if (observe_deep(s->host, N_IDS, &s->process, 1, NULL, &d) < 0 || d->n_processes_read != 1 || d->truncated)
                die("the deep read failed");
        deep_sample_free(d);
}

static void raw_maps(struct subject *s) {
        throw_away(s, "maps");
}

static void parsed_maps(struct subject *s) {
        int fd = open_of(s, "maps");
        s->n_mappings = 0;
        if (maps_read(fd, add_entry, s) < 0)
                die("maps was not understood");
        (void) close(fd);
}

static int compare(const void *a, const void *b) {
        double x = *(const double *) a, y = *(const double *) b;
        return (x > y) - (x < y);
}

static double median(double *values) {
        qsort(values, ROUNDS, sizeof *values, compare);
        return values[ROUNDS / 2];
}

static double once(struct subject *s, void (*what)(struct subject *), unsigned times) {
        double began = cpu_usec();
        for (unsigned i = 0; i < times; i++)
                what(s);
        return (cpu_usec() - began) / times;
}

static void compare_one(enum kind kind, unsigned n) {
        static void (*const all[])(struct subject *) = { raw_numa_maps, parsed_numa_maps, deep_read, raw_maps, parsed_maps };
        struct subject s = { 0 };
        struct host *h;
        struct proc_stat st;
        double took[ARRAY_SIZE(all)][ROUNDS], ratio[ARRAY_SIZE(all)][ROUNDS];
        unsigned times[ARRAY_SIZE(all)];
        if (host_open("/", &h) < 0)
                die("/");
        s.host = h;
        s.parser = numa_maps_parser_new(N_IDS, h->page_bytes, add_mapping, &s);
        s.process.pid = make_child(kind, n);
        char path[32];
        (void) snprintf(path, sizeof path, "proc/%d/stat", (int) s.process.pid);
        if (!s.parser || proc_stat_read(h->root_fd, path, &st) < 0)
                die("the child");
        s.process.start_ticks = st.start_ticks;

        for (unsigned k = 0; k < ARRAY_SIZE(all); k++)
                times[k] = 1 + (unsigned) (ROUND_USEC / (once(&s, all[k], 1) + 1));
        for (unsigned i = 0; i < ROUNDS; i++)
                for (unsigned k = 0; k < ARRAY_SIZE(all); k++)
                        took[k][i] = once(&s, all[k], times[k]);
        for (unsigned i = 0; i < ROUNDS; i++)
                for (unsigned k = 0; k < ARRAY_SIZE(all); k++)
                        ratio[k][i] = took[k][i] / took[k < 3 ? 0 : 3][i];
        double parsed = median(ratio[1]), deep = median(ratio[2]), maps = median(ratio[4]);
        throw_away(&s, "numa_maps");
        (void) printf("| %-18s | %6u | %7.1f KiB | %9.1f us | %5.3f | %5.3f | %9.1f us | %5.3f |\n", kind_names[kind], n,
                      (double) s.bytes / 1024, median(took[0]), parsed, deep, median(took[3]), maps);
        (void) fflush(stdout);
        (void) kill(s.process.pid, SIGKILL);
        (void) waitpid(s.process.pid, NULL, 0);
        numa_maps_parser_free(s.parser);
        host_free(h);
}

/* The parser alone */

static char *read_whole(pid_t pid, size_t *ret_size) {
        char path[64], *text = NULL;
        size_t capacity = 0, size = 0;
        (void) snprintf(path, sizeof path, "/proc/%d/numa_maps", (int) pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n;
        do {
                if (array_reserve(&text, &capacity, size + PIECE, 1) < 0 || (n = read(fd, text + size, PIECE)) < 0)
                        die(path);
                size += (size_t) n;
        } while (n > 0);
        (void) close(fd);
        *ret_size = size;
        return text;
}

static void parser_alone(enum kind kind, unsigned n) {
        struct subject s = { 0 };
        size_t size;
        pid_t pid = make_child(kind, n);
        char *text = read_whole(pid, &size);
        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, 0);
        s.parser = numa_maps_parser_new(N_IDS, 4096, add_mapping, &s);
        double parsed[ROUNDS], newlines[ROUNDS];
        size_t lines = 0;
        for (unsigned i = 0; i < ROUNDS; i++) {
                double began = cpu_usec();
                for (const char *p = text; (p = memchr(p, '\n', size - (size_t) (p - text))); p++)
                        lines++;
                double between = cpu_usec();
                numa_maps_parser_reset(s.parser);
                for (size_t at = 0; at < size; at += PIECE)
                        if (numa_maps_parser_feed(s.parser, text + at, MIN2(size - at, (size_t) PIECE)) < 0)
                                die("numa_maps was not understood");
                parsed[i] = cpu_usec() - between;
                newlines[i] = between - began;
        }
        if (lines != s.n_mappings)
                die("lines are missing");
        double us = median(parsed);
        (void) printf("| %-18s | %5.1f MiB | %6.2f GB/s | %5.0f ns | %6.2f GB/s |\n", kind_names[kind], (double) size / MIB,
                      (double) size / us / 1e3, us * 1e3 * ROUNDS / (double) lines, (double) size / median(newlines) / 1e3);
        numa_maps_parser_free(s.parser);
        free(text);
}

int main(int argc, char *argv[]) {
        static const unsigned counts[] = { 10, 1000, 60000 };
        if (access("/proc/self/numa_maps", R_OK) < 0)
                die("/proc/self/numa_maps");
        (void) printf(
                "| mappings           | number | numa_maps   | thrown away  | parsed | deep read | maps thrown away | parsed |\n"
                "| ---                | ---    | ---         | ---          | ---    | ---       | ---              | ---    "
                "|\n");
        for (enum kind kind = ANONYMOUS; kind <= LONG_NAMES; kind++)
                for (unsigned i = 0; i < ARRAY_SIZE(counts); i++)
                        /* 60,000 of the longest names are 900 MB of text, of which the daemon reads 64 MiB */
                        compare_one(kind, kind == LONG_NAMES && counts[i] > 4000 ? 4000 : counts[i]);
        (void) printf("\n| text               | size      | parser      | a line   | memchr      |\n"
                      "| ---                | ---       | ---         | ---      | ---         |\n");
        for (enum kind kind = ANONYMOUS; kind <= LONG_NAMES; kind++)
                parser_alone(kind, kind == LONG_NAMES ? 1000 : 60000);
        return EXIT_SUCCESS;
}
