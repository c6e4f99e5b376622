/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The managed service of the system tests: memory whose place, kind and policy are known, and threads that use it.
 *
 * Populates its memory where it is told to, tells systemd that it is ready (sd_notify protocol, with the region's address
 * as the status text), and then touches every page again and again in threads that sleep in between: on an emulated
 * machine a thread that never sleeps makes every TLB flush, and so every page move, take ages.
 *
 * By raw system calls only, so that it can be linked statically and runs in any guest; it knows nothing of the daemon.
 */

#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/io_uring.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "workload-stats.h"

#define NODES_MAX     1024U
#define THREADS_MAX   256
#define BITS_PER_LONG (8 * sizeof(unsigned long))
#define MIB           ((size_t) 1 << 20)
#define THP_SIZE      (2 * MIB)
#define GROW_STEP_MS  100

typedef struct NodeMask {
        unsigned long bits[NODES_MAX / BITS_PER_LONG];
} NodeMask;

typedef enum PageKind {
        PAGE_KIND_SYSTEM, /* whatever transparent_hugepage/enabled says */
        PAGE_KIND_THP,
        PAGE_KIND_SMALL,
        PAGE_KIND_HUGETLB,
} PageKind;

typedef struct Options {
        size_t size;        /* bytes */
        const char *slices; /* node list, in the order of the slices; NULL: first touch decides */
        const char *task_policy;
        const char *shm;
        const char *populate_cpus;
        const char *affinity;
        const char *start_cpus;
        const char *stats;
        PageKind kind;
        bool keep_policy;
        int threads;
        long run_ms, sleep_ms; /* duty cycle of each thread */
        size_t read;           /* bytes of each page that a pass reads */
        size_t grow;           /* bytes per second */
        size_t grow_limit;     /* bytes in all */
        size_t pin_pages;      /* from the start of the region */
        unsigned exit_after;   /* seconds */
        size_t churn;          /* bytes of each short-lived process */
        unsigned churn_count;  /* of them at a time */
        long churn_ms;         /* that each lives */
        const char *hold;
} Options;

typedef struct Worker {
        pthread_t thread;
        volatile char *start;
        size_t size;
        const Options *options;
        const cpu_set_t *cpus; /* where it may run once it has begun */
        StatsSlot *slot;
} Worker;

static void die(const char *what) {
        fprintf(stderr, "workload: %s: %s\n", what, strerror(errno));
        exit(EXIT_FAILURE);
}

static void usage(FILE *to) {
        fputs("workload [OPTIONS]\n"
              "  --size MB               memory (default 100)\n"
              "  --node N                populate on node N, then go back to the default policy\n"
              "  --slices N,N,...        the same with equal slices, one on each of these nodes\n"
              "  --keep-policy           leave the pages' mbind(MPOL_BIND) in place\n"
              "  --task-policy bind:LIST|prefer:N|interleave:LIST   set_mempolicy, and keep it\n"
              "  --thp | --no-thp | --hugetlb   the kind of pages (default: the system's)\n"
              "  --shm PATH              share the memory with others that map the same file\n"
              "  --cpus LIST             run there while populating only\n"
              "  --affinity LIST         run there for ever\n"
              "  --start-cpus LIST       the threads begin there, and are free at once\n"
              "  --threads T             threads, each using its part of the memory (default 1)\n"
              "  --duty RUN_MS:SLEEP_MS  of each thread (default 10:90; 0:MS only sleeps)\n"
              "  --read BYTES            read so much of each page in every pass, too (default 0: a pass writes one byte)\n"
              "  --grow MB               populate so much more every second ...\n"
              "  --grow-limit MB         ... until it is so much more (default 256)\n"
              "  --pin PAGES             pin the first pages for good (io_uring registered buffers)\n"
              "  --exit-after S          exit with status 0\n"
              "  --churn N:MB:MS         N processes beside it all the time that live so long and use so much memory of their "
              "own\n"
              "  --hold FILE             write to a shared mapping of this file and change its protection, again and again: "
              "while the\n"
              "                          file's file system is frozen, the address space is locked and whoever reads its map "
              "waits\n"
              "  --stats FILE            say there what each thread has done, and its longest stall (workload-stats.h)\n",
              to);
}

/* ---- reading options --------------------------------------------------------------------------------------------- */

static unsigned long parse_number(const char *text, const char **ret_rest) {
        char *end;

        errno = 0;
        unsigned long value = strtoul(text, &end, 10);
        if (errno || end == text || *text == '-' || (!ret_rest && *end)) {
                fprintf(stderr, "workload: '%s': expected a number\n", text);
                exit(2);
        }
        if (ret_rest)
                *ret_rest = end;
        return value;
}

/* Calls f(number, userdata) for each member of a list in kernel format, 0-1,3, in the order given. */
static void for_each_in_list(const char *list, unsigned max, void (*f)(unsigned, void *), void *userdata) {
        for (const char *p = list;;) {
                unsigned long first = parse_number(p, &p), last = first;

                if (*p == '-')
                        last = parse_number(p + 1, &p);
                if (last < first || last >= max || (*p && *p != ',')) {
                        fprintf(stderr, "workload: '%s': expected a list like 0-1,3\n", list);
                        exit(2);
                }
                for (unsigned long i = first; i <= last; i++)
                        f((unsigned) i, userdata);
                if (!*p)
                        return;
                p++;
        }
}

static void node_mask_add(unsigned node, void *mask) {
        ((NodeMask *) mask)->bits[node / BITS_PER_LONG] |= 1UL << (node % BITS_PER_LONG);
}

static void cpu_set_add(unsigned cpu, void *set) {
        CPU_SET(cpu, (cpu_set_t *) set);
}

static void parse_duty(const char *text, Options *o) {
        const char *p;

        o->run_ms = (long) parse_number(text, &p);
        if (*p != ':') {
                fprintf(stderr, "workload: --duty '%s': expected RUN_MS:SLEEP_MS\n", text);
                exit(2);
        }
        o->sleep_ms = (long) parse_number(p + 1, NULL);
}

static void parse_churn(const char *text, Options *o) {
        const char *p;

        o->churn_count = (unsigned) parse_number(text, &p);
        if (*p == ':')
                o->churn = parse_number(p + 1, &p) * MIB;
        if (o->churn_count > THREADS_MAX || o->churn == 0 || *p != ':') {
                fprintf(stderr, "workload: --churn '%s': expected N:MB:MS\n", text);
                exit(2);
        }
        o->churn_ms = (long) parse_number(p + 1, NULL);
}

static void parse_options(int argc, char **argv, Options *o) {
        enum {
                SIZE = 1,
                NODE,
                SLICES,
                KEEP,
                TASK,
                THP,
                NO_THP,
                HUGETLB,
                SHM,
                CPUS,
                AFFINITY,
                THREADS,
                DUTY,
                READ,
                GROW,
                GROW_LIMIT,
                PIN,
                EXIT_AFTER,
                START_CPUS,
                STATS,
                CHURN,
                HOLD,
                HELP
        };
        static const struct option table[] = { { "size", required_argument, NULL, SIZE },
                                               { "node", required_argument, NULL, NODE },
                                               { "slices", required_argument, NULL, SLICES },
                                               { "keep-policy", no_argument, NULL, KEEP },
                                               { "task-policy", required_argument, NULL, TASK },
                                               { "thp", no_argument, NULL, THP },
                                               { "no-thp", no_argument, NULL, NO_THP },
                                               { "hugetlb", no_argument, NULL, HUGETLB },
                                               { "shm", required_argument, NULL, SHM },
                                               { "cpus", required_argument, NULL, CPUS },
                                               { "affinity", required_argument, NULL, AFFINITY },
                                               { "threads", required_argument, NULL, THREADS },
                                               { "duty", required_argument, NULL, DUTY },
                                               { "read", required_argument, NULL, READ },
                                               { "grow", required_argument, NULL, GROW },
                                               { "grow-limit", required_argument, NULL, GROW_LIMIT },
                                               { "pin", required_argument, NULL, PIN },
                                               { "exit-after", required_argument, NULL, EXIT_AFTER },
                                               { "start-cpus", required_argument, NULL, START_CPUS },
                                               { "stats", required_argument, NULL, STATS },
                                               { "churn", required_argument, NULL, CHURN },
                                               { "hold", required_argument, NULL, HOLD },
                                               { "help", no_argument, NULL, HELP },
                                               {} };

        for (int c; (c = getopt_long(argc, argv, "", table, NULL)) >= 0;)
                switch (c) {
                case SIZE: o->size = parse_number(optarg, NULL) * MIB; break;
                case NODE:
                case SLICES: o->slices = optarg; break;
                case KEEP: o->keep_policy = true; break;
                case TASK: o->task_policy = optarg; break;
                case THP: o->kind = PAGE_KIND_THP; break;
                case NO_THP: o->kind = PAGE_KIND_SMALL; break;
                case HUGETLB: o->kind = PAGE_KIND_HUGETLB; break;
                case SHM: o->shm = optarg; break;
                case CPUS: o->populate_cpus = optarg; break;
                case AFFINITY: o->affinity = optarg; break;
                case THREADS: o->threads = (int) parse_number(optarg, NULL); break;
                case DUTY: parse_duty(optarg, o); break;
                case READ: o->read = parse_number(optarg, NULL); break;
                case GROW: o->grow = parse_number(optarg, NULL) * MIB; break;
                case GROW_LIMIT: o->grow_limit = parse_number(optarg, NULL) * MIB; break;
                case PIN: o->pin_pages = parse_number(optarg, NULL); break;
                case EXIT_AFTER: o->exit_after = (unsigned) parse_number(optarg, NULL); break;
                case START_CPUS: o->start_cpus = optarg; break;
                case STATS: o->stats = optarg; break;
                case CHURN: parse_churn(optarg, o); break;
                case HOLD: o->hold = optarg; break;
                case HELP: usage(stdout); exit(EXIT_SUCCESS);
                default: usage(stderr); exit(2);
                }
        if (optind < argc || o->size == 0 || o->read > (size_t) sysconf(_SC_PAGESIZE) || o->threads < 1 ||
            o->threads > THREADS_MAX) {
                usage(stderr);
                exit(2);
        }
}

/* ---- policies and CPUs ------------------------------------------------------------------------------------------- */

/* maxnode is one more than the kernel reads: it takes the number of bits plus one. */
static void bind_pages(char *start, size_t size, const NodeMask *nodes) {
        long r = nodes ? syscall(SYS_mbind, start, size, MPOL_BIND, nodes->bits, NODES_MAX + 1, 0)
                       : syscall(SYS_mbind, start, size, MPOL_DEFAULT, NULL, 0, 0);
        if (r < 0)
                die("mbind");
}

static void set_task_policy(const char *text) {
        static const struct {
                const char *name;
                int mode;
        } modes[] = { { "bind:", MPOL_BIND }, { "prefer:", MPOL_PREFERRED }, { "interleave:", MPOL_INTERLEAVE } };
        NodeMask nodes = {};

        for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
                size_t length = strlen(modes[i].name);

                if (strncmp(text, modes[i].name, length) != 0)
                        continue;
                for_each_in_list(text + length, NODES_MAX, node_mask_add, &nodes);
                if (syscall(SYS_set_mempolicy, modes[i].mode, nodes.bits, NODES_MAX + 1) < 0)
                        die("set_mempolicy");
                return;
        }
        fprintf(stderr, "workload: --task-policy '%s': expected bind:LIST, prefer:N or interleave:LIST\n", text);
        exit(2);
}

static void run_on(const char *cpus) {
        cpu_set_t set;

        CPU_ZERO(&set);
        for_each_in_list(cpus, CPU_SETSIZE, cpu_set_add, &set);
        if (sched_setaffinity(0, sizeof(set), &set) < 0)
                die("sched_setaffinity");
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* A store and not an increment: reading first would map the huge zero page, which a write then splits for good. */
static void touch(volatile char *start, size_t size) {
        const size_t page = (size_t) sysconf(_SC_PAGESIZE);

        for (size_t i = 0; i < size; i += page)
                start[i] = 1;
}

/* Maps size bytes at a 2 MiB boundary, so that every transparent huge page that fits can be one, and between guards, so
 * that the kernel doesn't merge the mapping with a neighbour: it has a line of its own in numa_maps. */
static char *map_region(const Options *o) {
        int flags = o->shm ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
        int fd = -1;

        if (o->kind == PAGE_KIND_HUGETLB && !o->shm)
                flags |= MAP_HUGETLB;
        if (o->shm) {
                fd = open(o->shm, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
                if (fd < 0 || ftruncate(fd, (off_t) o->size) < 0)
                        die(o->shm);
        }

        char *reserved = mmap(NULL, o->size + 3 * THP_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (reserved == MAP_FAILED)
                die("mmap");
        char *start = (char *) (((uintptr_t) reserved + 2 * THP_SIZE - 1) & ~(uintptr_t) (THP_SIZE - 1));
        start = mmap(start, o->size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
        if (start == MAP_FAILED)
                die("mmap");
        if (fd >= 0)
                close(fd);

        if (o->kind == PAGE_KIND_THP && madvise(start, o->size, MADV_HUGEPAGE) < 0)
                die("madvise");
        if (o->kind == PAGE_KIND_SMALL && madvise(start, o->size, MADV_NOHUGEPAGE) < 0)
                die("madvise");
        return start;
}

typedef struct Slices {
        char *next, *end;
        size_t size;
        unsigned count;
} Slices;

static void count_slice(unsigned node, void *slices) {
        (void) node;
        ((Slices *) slices)->count++;
}

static void populate_slice(unsigned node, void *userdata) {
        Slices *slices = userdata;
        NodeMask mask = {};
        size_t size = slices->size;

        if (--slices->count == 0)
                size = (size_t) (slices->end - slices->next); /* the last one takes the rest */
        node_mask_add(node, &mask);
        bind_pages(slices->next, size, &mask);
        touch(slices->next, size);
        slices->next += size;
}

static void populate(char *start, const Options *o) {
        if (!o->slices) {
                touch(start, o->size);
                return;
        }

        Slices slices = { .next = start, .end = start + o->size };
        for_each_in_list(o->slices, NODES_MAX, count_slice, &slices);
        slices.size = o->size / slices.count & ~(THP_SIZE - 1); /* no huge page belongs to two */
        for_each_in_list(o->slices, NODES_MAX, populate_slice, &slices);
        if (!o->keep_policy)
                bind_pages(start, o->size, NULL);
}

/* Registered buffers hold a long-term reference, as vfio and RDMA do, and need no hardware. The ring stays open. */
static void pin(const char *start, size_t pages) {
        struct io_uring_params params = {};
        struct iovec buffer = { .iov_base = (void *) (uintptr_t) start, .iov_len = pages * (size_t) sysconf(_SC_PAGESIZE) };

        int ring = (int) syscall(SYS_io_uring_setup, 1, &params);
        if (ring < 0)
                die("io_uring_setup");
        if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &buffer, 1) < 0)
                die("io_uring_register");
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void sleep_ms(long ms) {
        struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

        nanosleep(&t, NULL);
}

static long now_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What follows one address translation: without it a pass is little but TLB misses, which an emulated machine takes ages for. */
static void read_page(const volatile char *start, size_t bytes) {
        for (size_t i = 0; i + sizeof(uint64_t) <= bytes; i += sizeof(uint64_t))
                (void) *(const volatile uint64_t *) (start + i);
}

/* Touches a part again and again, and sleeps between; until a time by now_ms(), 0 for ever. */
static void use(volatile char *start, size_t size, const Options *o, StatsSlot *slot, long until) {
        const size_t page = (size_t) sysconf(_SC_PAGESIZE), batch = 256 * page;
        uint64_t last = stats_now_usec();
        size_t place = 0;

        while (until == 0 || now_ms() < until) {
                long end = now_ms() + o->run_ms;

                while (size > 0 && now_ms() < end) {
                        size_t n = size - place < batch ? size - place : batch;

                        for (size_t done = 0; done < n; done += page) {
                                start[place + done] = 1;
                                read_page(start + place + done, o->read);
                        }
                        stats_done(slot, &last, n, 0);
                        place = place + n < size ? place + n : 0;
                }
                if (o->sleep_ms > 0)
                        sleep_ms(o->sleep_ms);
                stats_done(slot, &last, 0, (uint64_t) o->sleep_ms * 1000);
        }
}

static void *work(void *userdata) {
        const Worker *w = userdata;

        atomic_store(&w->slot->start, (uintptr_t) w->start);
        atomic_store(&w->slot->size, w->size);
        atomic_store(&w->slot->tid, (uint64_t) syscall(SYS_gettid));
        if (w->options->start_cpus) {
                run_on(w->options->start_cpus);
                if (sched_setaffinity(0, sizeof(*w->cpus), w->cpus) < 0)
                        die("sched_setaffinity");
        }
        use(w->start, w->size, w->options, w->slot, 0);
        return NULL;
}

static void short_life(const Options *o, StatsSlot *slot) {
        char *start = mmap(NULL, o->churn, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (start == MAP_FAILED)
                _exit(EXIT_FAILURE);
        use(start, o->churn, o, slot, now_ms() + o->churn_ms);
        _exit(EXIT_SUCCESS);
}

/* Has so many short-lived processes beside it, always: a new one for each that ended. */
static void *churn(void *userdata) {
        const Worker *w = userdata;

        for (unsigned running = 0;;) {
                if (running == w->options->churn_count) {
                        if (waitpid(-1, NULL, 0) < 0)
                                die("waitpid");
                        running--;
                }

                pid_t pid = fork();
                if (pid < 0)
                        die("fork");
                if (pid == 0)
                        short_life(w->options, w->slot);
                running++;
        }
        return NULL;
}

static void *grow(void *userdata) {
        const Options *o = userdata;
        const size_t step = o->grow * GROW_STEP_MS / 1000;

        for (size_t grown = 0; grown < o->grow_limit; grown += step) {
                char *more = mmap(NULL, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

                if (more == MAP_FAILED)
                        die("mmap");
                touch(more, step);
                sleep_ms(GROW_STEP_MS);
        }
        return NULL;
}

/* ---- an address space that locks up ------------------------------------------------------------------------------ */

/* The kernel lets nobody write to a frozen file system: a write to a page that was clean waits in its fault, with the mapping locked ... */
static void *write_always(void *page) {
        for (unsigned char n = 0;; n++) {
                *(volatile unsigned char *) page = n;
                sleep_ms(5);
        }
        return NULL;
}

/* ... and who would change the mapping waits for that, with all of the address space locked. */
static void *protect_always(void *page) {
        for (unsigned n = 0;; n++) {
                if (mprotect(page, (size_t) sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE | (n % 2 ? PROT_EXEC : 0)) < 0)
                        die("mprotect");
                sleep_ms(5);
        }
        return NULL;
}

static void hold(const char *path) {
        const size_t size = (size_t) sysconf(_SC_PAGESIZE);
        pthread_t writer, protector;

        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || ftruncate(fd, (off_t) size) < 0)
                die(path);
        void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (page == MAP_FAILED)
                die("mmap");
        close(fd);
        if (pthread_create(&writer, NULL, write_always, page) != 0 || pthread_create(&protector, NULL, protect_always, page) != 0)
                die("pthread_create");
}

static void notify_ready(const char *start, size_t size) {
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char message[128];

        int length = snprintf(message, sizeof(message), "READY=1\nSTATUS=region %p %zu\n", (const void *) start, size);
        printf("%s", strchr(message, '\n') + 1);
        fflush(stdout);
        if (!path || strlen(path) >= sizeof(address.sun_path))
                return;

        memcpy(address.sun_path, path, strlen(path));
        if (address.sun_path[0] == '@')
                address.sun_path[0] = 0;
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || sendto(fd, message, (size_t) length, 0, (struct sockaddr *) &address,
                             (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(path))) < 0)
                die("NOTIFY_SOCKET");
        close(fd);
}

int main(int argc, char **argv) {
        Options options = { .size = 100 * MIB, .threads = 1, .run_ms = 10, .sleep_ms = 90, .grow_limit = 256 * MIB };
        static Worker workers[THREADS_MAX];
        static Worker churner;
        static cpu_set_t before;
        pthread_t grower;

        parse_options(argc, argv, &options);
        if (options.task_policy)
                set_task_policy(options.task_policy);
        if (options.affinity)
                run_on(options.affinity);
        if (sched_getaffinity(0, sizeof(before), &before) < 0)
                die("sched_getaffinity");
        if (options.populate_cpus)
                run_on(options.populate_cpus);

        char *start = map_region(&options);
        populate(start, &options);
        if (options.pin_pages)
                pin(start, options.pin_pages);
        if (options.populate_cpus && sched_setaffinity(0, sizeof(before), &before) < 0)
                die("sched_setaffinity");

        StatsSlot *slots = stats_map(options.stats);
        if (!slots)
                die(options.stats ? options.stats : "mmap");

        /* Whole huge pages for each, so that no two threads share one. */
        size_t part = options.size / (size_t) options.threads & ~(THP_SIZE - 1);
        for (int i = 0; i < options.threads; i++) {
                Worker *w = workers + i;
                bool last = i + 1 == options.threads;

                w->options = &options;
                w->cpus = &before;
                w->slot = slots + i;
                w->start = start + (size_t) i * part;
                w->size = last ? options.size - (size_t) i * part : part;
                if (pthread_create(&w->thread, NULL, work, w) != 0)
                        die("pthread_create");
        }
        if (options.grow && pthread_create(&grower, NULL, grow, &options) != 0)
                die("pthread_create");
        churner = (Worker){ .options = &options, .slot = slots + THREADS_MAX };
        if (options.churn && pthread_create(&churner.thread, NULL, churn, &churner) != 0)
                die("pthread_create");
        if (options.hold)
                hold(options.hold);
        notify_ready(start, options.size);

        if (options.exit_after) {
                sleep(options.exit_after);
                return EXIT_SUCCESS;
        }
        for (;;)
                pause();
}
