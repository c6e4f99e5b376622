/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A real process of several threads with some memory, whose threads, the first too, end when they are told to: for the tests of who speaks for it. */
#pragma once

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "act-fixture.h"
#include "act/mover.h"
#include "core/topology.h"
#include "host/speaker.h"

#define BYTES     (16 * MIB)
#define N_THREADS 4 /* its first included */

static struct host host;
static struct topology *topology;
static pid_t child;
static struct process_ref process;
static void *memory;               /* of the child, and at the same address here: it was mapped before the fork */
static int commands[N_THREADS][2]; /* a byte: this thread of the child ends; the last is its first */
static bool in_cgroup;             /* the mover is to make sure of the process's cgroup, and keeps that open */
static _Atomic pid_t *tids;        /* shared with the child; 0: it is not there yet */

static inline void *wait_for_command(void *userdata) {
        size_t i = (size_t) (uintptr_t) userdata;
        char c;
        tids[i] = (pid_t) syscall(SYS_gettid);
        while (read(commands[i][0], &c, 1) < 0)
                ;
        return NULL;
}

static inline void live_on(void) {
        pthread_t threads[N_THREADS];
        memset(memory, 1, BYTES);
        for (size_t i = 0; i < N_THREADS - 1; i++)
                if (pthread_create(&threads[i], NULL, wait_for_command, (void *) (uintptr_t) i) != 0)
                        _exit(1);
        pthread_exit(wait_for_command((void *) (uintptr_t) (N_THREADS - 1)));
}

static inline int stat_of(pid_t pid, struct proc_stat *ret) {
        char path[64];
        (void) snprintf(path, sizeof(path), "proc/%d/stat", pid);
        return proc_stat_read(host.root_fd, path, ret);
}

static inline pid_t speaker_now(void) {
        struct proc_stat st;
        assert_int_equal(stat_of(child, &st), 0);
        return process_speaker(&host, child, &st);
}

/* It is gone when this returns; the first thread remains, as a zombie. */
static inline void end_thread(pid_t tid) {
        struct proc_stat st;
        size_t i = 0;
        while (i < N_THREADS && tids[i] != tid)
                i++;
        assert_true(i < N_THREADS);
        assert_int_equal(stat_of(child, &st), 0);
        unsigned n = st.n_threads;
        assert_int_equal(write(commands[i][1], "x", 1), 1);
        do {
                (void) usleep(1000);
                assert_int_equal(stat_of(child, &st), 0);
        } while (tid == child ? st.state != 'Z' : st.n_threads == n);
}

/* All its threads live. */
static inline int setup_alive(void **state) {
        struct proc_stat st;
        host = (struct host) { .root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC),
                               .live = true,
                               .page_bytes = (uint64_t) sysconf(_SC_PAGESIZE) };
        for (size_t i = 0; i < N_THREADS; i++)
                assert_int_equal(pipe(commands[i]), 0);
        tids = mmap(NULL, N_THREADS * sizeof(*tids), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(tids != MAP_FAILED);
        memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(memory != MAP_FAILED);
        (void) madvise(memory, BYTES, MADV_NOHUGEPAGE);
        child = fork();
        if (child == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                live_on();
        }
        assert_true(child > 0);
        for (size_t i = 0; i < N_THREADS; i++)
                while (tids[i] == 0)
                        (void) usleep(1000);
        assert_int_equal(stat_of(child, &st), 0);
        process = (struct process_ref) { child, st.start_ticks };
        /* With more nodes than any machine has: home is where nothing is. */
        topology = topology_new(NODE_ID_MAX + 1, 1);
        assert_non_null(topology);
        for (unsigned n = 0; n <= NODE_ID_MAX; n++)
                topology->nodes[n] = (struct topology_node) { .present = true, .bytes_total = GIB };
        if (faccessat(host.root_fd, "proc/self/numa_maps", R_OK, 0) < 0)
                skip();
        return 0;
}

static inline int teardown(void **state) {
        (void) kill(child, SIGKILL);
        (void) waitpid(child, NULL, 0);
        (void) munmap(memory, BYTES);
        (void) munmap((void *) tids, N_THREADS * sizeof(*tids));
        for (size_t i = 0; i < N_THREADS; i++) {
                (void) close(commands[i][0]);
                (void) close(commands[i][1]);
        }
        topology_free(topology);
        (void) close(host.root_fd);
        in_cgroup = false;
        return 0;
}

static inline int setup_in_cgroup(void **state) {
        int r = setup_alive(state);
        in_cgroup = true;
        return r;
}

/* A mover of all the process's memory by these operations, which are the real ones but for what the test has put in their place. */
static inline struct mover *mover_of_child(const struct act_ops *ops, void *context) {
        static uint64_t room[NODE_ID_MAX + 1];
        struct move_goal goal = { .home = node_set_of(NODE_ID_MAX), .room_bytes = room, .respect_own_policy = true };
        struct act act = { .ops = ops, .context = context };
        char cgroup[32];
        struct mover *m;
        for (size_t i = 0; i < ARRAY_SIZE(room); i++)
                room[i] = GIB;
        (void) snprintf(cgroup, sizeof(cgroup), in_cgroup ? "/" : "pid:%d", child);
        assert_int_equal(mover_new(&act, &host, topology, cgroup, &process, 1, &goal, &m), 0);
        return m;
}
