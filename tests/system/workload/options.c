/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The workload's command line: what --help says, and reading it. What is wrong with it ends the program with status 2.
 */

#define _GNU_SOURCE

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "workload.h"

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

void for_each_in_list(const char *list, unsigned max, void (*f)(unsigned, void *), void *userdata) {
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

void parse_options(int argc, char **argv, Options *o) {
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
