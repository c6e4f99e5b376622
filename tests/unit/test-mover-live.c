/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mover and the real move_pages(2) on this machine: a child whose memory is all at home is looked at and left alone. On a machine with
 * several nodes it is also moved for real. */
#include "act/mover.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "act-fixture.h"
#include "core/topology.h"
#include "host/proc.h"

#define BYTES (8 * MIB)

static struct host host;
static struct topology *topology;
static struct node_set nodes;
static pid_t child;

static int setup(void **state) {
        _cleanup_free_ char *online = NULL;
        host = (struct host) { .root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC),
                               .live = true,
                               .page_bytes = (uint64_t) sysconf(_SC_PAGESIZE) };
        if (read_file_at(host.root_fd, "sys/devices/system/node/has_memory", KIB, &online, NULL) < 0 ||
            node_set_parse(online, &nodes) < 0)
                nodes = node_set_of(0);
        topology = topology_new(NODE_ID_MAX + 1, 1);
        assert_non_null(topology);
        NODE_SET_FOREACH (n, &nodes)
                topology->nodes[n] = (struct topology_node) { .present = true, .bytes_total = GIB };
        child = fork();
        if (child == 0) {
                char *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                memset(p, 1, BYTES);
                (void) raise(SIGSTOP);
                _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, WUNTRACED), child);
        assert_true(WIFSTOPPED(status));
        return 0;
}

static int teardown(void **state) {
        (void) kill(child, SIGKILL);
        (void) waitpid(child, NULL, 0);
        topology_free(topology);
        close(host.root_fd);
        return 0;
}

static struct move_result move_to(const struct node_set *home) {
        struct act act;
        struct mover *m;
        struct proc_stat stat;
        char path[64], cgroup[32];
        uint64_t *room = calloc(NODE_ID_MAX + 1, sizeof(*room));
        assert_non_null(room);
        for (size_t i = 0; i <= NODE_ID_MAX; i++)
                room[i] = GIB;
        (void) snprintf(path, sizeof(path), "proc/%d/stat", child);
        (void) snprintf(cgroup, sizeof(cgroup), "pid:%d", child);
        assert_int_equal(proc_stat_read(host.root_fd, path, &stat), 0);
        struct process_ref p = { child, stat.start_ticks };
        struct move_goal goal = { .home = *home, .room_bytes = room, .respect_own_policy = true };

        assert_int_equal(act_real_new(&host, NULL, &act), 0);
        assert_int_equal(mover_new(&act, &host, topology, cgroup, &p, 1, &goal, &m), 0);
        int r;
        do
                r = mover_slice(m, 2 * MIB);
        while (r > 0);
        struct move_result result = *mover_result(m);
        mover_free(m);
        act_real_done(&act);
        free(room);
        if (r == -ENOSYS || r == -EPERM) /* a sandbox */
                skip();
        assert_int_equal(r, 0);
        return result;
}

static void test_all_at_home(void **state) {
        struct move_result r = move_to(&nodes);
        assert_int_equal(r.asked_pages, 0);
        assert_int_equal(r.moved_pages, 0);
        assert_false(r.process_vanished);
}

static void test_to_each_node(void **state) {
        if (node_set_count(&nodes) < 2)
                skip();
        NODE_SET_FOREACH (n, &nodes) {
                struct node_set home = node_set_of((unsigned) n);
                (void) move_to(&home);
                struct move_result again = move_to(&home);
                assert_int_equal(again.moved_pages, 0);
                assert_int_equal(again.asked_pages, 0);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_all_at_home, setup, teardown),
                cmocka_unit_test_setup_teardown(test_to_each_node, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
