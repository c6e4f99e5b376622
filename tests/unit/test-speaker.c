/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A real process whose first thread has ended while others live on: its memory is read and moved all the same. */
#include "host/speaker.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "act-fixture.h"
#include "act/mover.h"
#include "core/topology.h"
#include "host/maps.h"
#include "host/observe.h"

#define BYTES     (16 * MIB)
#define N_THREADS 3

static struct host host;
static struct topology *topology;
static pid_t child;
static struct process_ref process;
static void *memory;               /* of the child, and at the same address here: it was mapped before the fork */
static int commands[N_THREADS][2]; /* a byte: this thread of the child ends */
static _Atomic pid_t *tids;        /* shared with the child; 0: it is not there yet */

static void *wait_for_command(void *userdata) {
        size_t i = (size_t) (uintptr_t) userdata;
        char c;
        tids[i] = (pid_t) syscall(SYS_gettid);
        while (read(commands[i][0], &c, 1) < 0)
                ;
        return NULL;
}

static void live_on(void) {
        pthread_t threads[N_THREADS];
        memset(memory, 1, BYTES);
        for (size_t i = 0; i < N_THREADS; i++)
                if (pthread_create(&threads[i], NULL, wait_for_command, (void *) (uintptr_t) i) != 0)
                        _exit(1);
        pthread_exit(NULL);
}

static int stat_of(pid_t pid, struct proc_stat *ret) {
        char path[64];
        (void) snprintf(path, sizeof(path), "proc/%d/stat", pid);
        return proc_stat_read(host.root_fd, path, ret);
}

static int setup(void **state) {
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
        do {
                (void) usleep(1000);
                assert_int_equal(stat_of(child, &st), 0);
        } while (st.state != 'Z' || tids[0] == 0 || tids[1] == 0 || tids[2] == 0);
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

static int teardown(void **state) {
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
        return 0;
}

static pid_t speaker_now(void) {
        struct proc_stat st;
        assert_int_equal(stat_of(child, &st), 0);
        return process_speaker(&host, child, &st);
}

/* It is gone when this returns. */
static void end_thread(pid_t tid) {
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
        } while (st.n_threads == n);
}

static void test_who_speaks(void **state) {
        struct proc_stat st;
        assert_int_equal(stat_of(getpid(), &st), 0);
        assert_int_equal(process_speaker(&host, getpid(), &st), getpid());
        pid_t speaker = speaker_now();
        assert_true(speaker > 0 && speaker != child);
        for (int i = 0; i < N_THREADS; i++)
                end_thread(speaker_now());
        assert_int_equal(speaker_now(), -ESRCH); /* a zombie altogether */
        assert_int_equal(process_open(&host, &process, "numa_maps", NULL), -ESRCH);
}

static void test_deep(void **state) {
        struct deep_sample *d;
        assert_int_equal(observe_deep(&host, NODE_ID_MAX + 1, &process, 1, NULL, &d), 0);
        assert_int_equal(d->n_processes_read, 1);
        assert_int_equal(d->n_vanished, 0);
        assert_true(sum_by_node(d->bytes_by_node, d->n_ids) >= BYTES);
        assert_true(sum_by_node(d->movable_by_node, d->n_ids) >= BYTES);
        assert_false(d->self_managed || d->truncated);
        deep_sample_free(d);
        /* Somebody else's number is nobody's. */
        const struct process_ref other = { child, process.start_ticks + 1 };
        assert_int_equal(observe_deep(&host, NODE_ID_MAX + 1, &other, 1, NULL, &d), 0);
        assert_int_equal(d->n_processes_read, 0);
        deep_sample_free(d);
}

static int find_memory(const struct maps_entry *e, void *userdata) {
        if (e->start <= (uintptr_t) memory && e->end > (uintptr_t) memory)
                *(struct maps_entry *) userdata = *e;
        return 0;
}

static void test_mappers(void **state) {
        struct maps_entry entry = { 0 };
        struct mappers *m;
        int fd = process_open(&host, &process, "maps", NULL);
        assert_true(fd >= 0);
        assert_int_equal(maps_read(fd, find_memory, &entry), 0);
        (void) close(fd);
        assert_true(entry.end > entry.start);
        const struct mappers_of of = { .processes = &process, .n_processes = 1 };
        assert_int_equal(mappers_read(&host, &of, &m), 0);
        assert_int_equal(mappers_count(m, &entry), 1);
        mappers_free(m);
}

/* Asked, the kernel answers by itself; what is to be moved is said to have been, as there may be one node only. */
static struct act real;
static pid_t moved_by;
static uint64_t moved;

static long ask_or_pretend(void *context, pid_t pid, size_t n, void *const *addresses, const int *nodes, bool all, int *status) {
        long r = real.ops->move_pages(context, pid, n, addresses, NULL, all, status);
        if (r < 0 || !nodes)
                return r;
        for (size_t i = 0; i < n; i++)
                status[i] = status[i] < 0 ? status[i] : nodes[i];
        moved += n;
        moved_by = pid;
        return 0;
}

static void test_mover(void **state) {
        static uint64_t room[NODE_ID_MAX + 1];
        const struct node_set home = node_set_of(NODE_ID_MAX);
        struct move_goal goal = { .home = home, .room_bytes = room, .respect_own_policy = true };
        char cgroup[32];
        struct mover *m;
        for (size_t i = 0; i < ARRAY_SIZE(room); i++)
                room[i] = GIB;
        (void) snprintf(cgroup, sizeof(cgroup), "pid:%d", child);
        assert_int_equal(act_real_new(&host, NULL, &real), 0);
        struct act_ops ops = *real.ops;
        ops.move_pages = ask_or_pretend;
        struct act act = { .ops = &ops, .context = real.context };
        assert_int_equal(mover_new(&act, &host, topology, cgroup, &process, 1, &goal, &m), 0);
        pid_t first = 0;
        int r;
        moved = 0;
        do {
                r = mover_slice(m, MIB);
                if (moved > 0 && first == 0) { /* whoever spoke so far ends: another one does */
                        first = moved_by;
                        end_thread(first);
                }
        } while (r > 0);
        if (r == -ENOSYS || r == -EPERM) /* a sandbox */
                skip();
        assert_int_equal(r, 0);
        assert_true(first > 0 && first != child && moved_by != child && moved_by != first);
        assert_true(moved * host.page_bytes >= BYTES);
        assert_false(mover_result(m)->process_vanished);
        mover_free(m);
        act_real_done(&real);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = { TEST(test_who_speaks), TEST(test_deep), TEST(test_mappers), TEST(test_mover) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
