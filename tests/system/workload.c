/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The managed service of the system tests: memory whose place, kind and policy are known, and threads that use it.
 *
 * Populates its memory where it is told to, tells systemd that it is ready (sd_notify protocol, with the region's address
 * as the status text), and then touches every page again and again in threads that sleep in between: on an emulated
 * machine a thread that never sleeps makes every TLB flush, and so every page move, take ages.
 *
 * By raw system calls only, so that it can be linked statically and runs in any guest; it knows nothing of the daemon. Here is how it
 * begins; its parts are in workload/.
 */

#define _GNU_SOURCE

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "workload/workload.h"

void die(const char *what) {
        fprintf(stderr, "workload: %s: %s\n", what, strerror(errno));
        exit(EXIT_FAILURE);
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
        churner = (Worker) { .options = &options, .slot = slots + THREADS_MAX };
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
