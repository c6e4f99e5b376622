/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A capture decides like the machine that it was taken of, and does not have what it should not. */
#include "capture-fixture.h"

#include <stdatomic.h>

static void test_same_plan(void **state) {
        struct machine m;
        put_machine(&m);
        assert_false(replay_is_capture(m.tree.root));
        take(&m, NULL, NULL);
        assert_true(m.capture.n_managed >= 3);
        travel(&m);
        _cleanup_free_ char *then = slurp(&m.copy, "capture/plan.json"), *now = replay_text(m.copy.root, NULL),
                            *again = replay_text(m.copy.root, NULL);
        assert_string_equal(then, now);
        assert_string_equal(now, again);
        assert_non_null(strstr(now, "\"rule\":\"cache\"")); /* comm */
        assert_non_null(strstr(now, "\"rule\":\"db\""));    /* user and exe */
        assert_null(strstr(now, "\"rule\":\"masked\""));
        assert_non_null(strstr(now, "\"memory_map_read\":true"));
        assert_non_null(strstr(now, "\"cpu_pressure_percent\":99")); /* the second look's */
        assert_non_null(strstr(now, "\"file\":\"" SYSCONFDIR "/numabalanced/numabalanced.d/a.yaml\""));
        _cleanup_free_ char *maps = slurp(&m.copy, "capture/later/proc/300/maps");
        assert_string_equal(maps,
                            "55d000000000-55d000400000 r-xp 00000000 08:01 77\n7f0000000000-7f0000400000 rw-p 00000000 00:00 0\n"
                            "7f1000000000-7f1000200000 r--p 00000000 08:01 78\n"
                            "7ffc00010000-7ffc00012000 r-xp 00000000 00:00 0 [vdso]\n");
        _cleanup_free_ char *users = slurp(&m.copy, "etc/passwd");
        assert_non_null(strstr(users, "postgres:x:105:0:::\n"));

        /* It depends on what was captured, not on where it is read. */
        tree_put(&m.copy, "capture/later/sys/fs/cgroup/system.slice/redis-server.service/memory.numa_stat", "anon N2=999424\n");
        _cleanup_free_ char *other = replay_text(m.copy.root, NULL);
        assert_string_not_equal(now, other);

        /* Another configuration, tried on it. */
        tree_put(&m.copy, "other.yaml", "rules: [{name: changed, match: {unit: 'redis*'}, place: nodes, nodes: '2'}]\n");
        _cleanup_free_ char *file = format_string("%s/other.yaml", m.copy.root), *tried = replay_text(m.copy.root, file);
        assert_non_null(strstr(tried, "\"rule\":\"changed\""));
        assert_null(strstr(tried, "\"rule\":\"cache\""));

        tree_put(&m.copy, "capture/state.json", "{\"version\":99}");
        struct replay bad;
        char *why;
        assert_int_equal(replay_run(m.copy.root, NULL, &bad, &why), -EBADMSG);
        assert_null(why);
        tree_done(&m.copy);
}

/* What another thread shows of a process comes along the same way, and without what it must not have. */
static void test_first_thread_ended(void **state) {
        struct machine m;
        put_machine(&m);
        static const char zombie[] =
                "300 (redis-server) Z 1 300 300 0 -1 4194560 100 0 0 0 160 0 0 0 20 0 4 0 2000 0 0 0 0 0 0 0 0 "
                "0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
        static const char *const names[] = { "maps", "numa_maps", "status" };
        tree_put(&m.tree, "proc/300/stat", zombie);
        tree_put(&m.tree, "proc/300/task/300/stat", zombie);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                _cleanup_free_ char *from = format_string("proc/300/%s", names[i]),
                                    *to = format_string("proc/300/task/301/%s", names[i]);
                _cleanup_free_ char *text = slurp(&m.tree, from);
                tree_put(&m.tree, to, text);
                tree_put(&m.tree, from, "");
        }
        take(&m, NULL, NULL);
        travel(&m);
        _cleanup_free_ char *then = slurp(&m.copy, "capture/plan.json"), *now = replay_text(m.copy.root, NULL);
        assert_string_equal(then, now);
        _cleanup_free_ char *maps = slurp(&m.copy, "capture/later/proc/300/task/301/maps"),
                            *numa_maps = slurp(&m.copy, "capture/later/proc/300/task/301/numa_maps");
        assert_non_null(strstr(maps, "7f0000000000-7f0000400000 rw-p 00000000 00:00 0\n"));
        assert_non_null(strstr(numa_maps, " file=/"));
        tree_done(&m.copy);
}

/* Which CPUs threads are bound to; a thread's name only where it is the kernel's. */
static void test_bound_threads(void **state) {
        struct machine m;
        put_machine(&m);
        static const char cgroup[] = "sys/fs/cgroup/system.slice/redis-server.service/";
        _cleanup_free_ char *set = format_string("%scpuset.cpus", cgroup),
                            *in_force = format_string("%scpuset.cpus.effective", cgroup);
        tree_put(&m.tree, set, "\n");
        tree_put(&m.tree, in_force, "0-7\n");
        tree_put(&m.tree, "proc/300/status",
                 "Name:\tredis-server\nState:\tS (sleeping)\nUid:\t0\t0\t0\t0\nCpus_allowed_list:\t0-7\n");
        tree_put(&m.tree, "proc/300/task/301/status", "Name:\tsecret\nState:\tS (sleeping)\nCpus_allowed_list:\t2\n");
        tree_put(&m.tree, "proc/300/task/302/status", "Name:\tiou-wrk-300\nState:\tS (sleeping)\nCpus_allowed_list:\t5\n");
        take(&m, NULL, NULL);
        travel(&m);
        _cleanup_free_ char *then = slurp(&m.copy, "capture/plan.json"), *now = replay_text(m.copy.root, NULL);
        assert_string_equal(then, now);
        assert_non_null(strstr(then, "bound to CPUs"));
        _cleanup_free_ char *own = slurp(&m.copy, "capture/later/proc/300/task/301/status"),
                            *kernels = slurp(&m.copy, "capture/later/proc/300/task/302/status");
        assert_string_equal(own, "State:\tS (sleeping)\nCpus_allowed_list:\t2\n");
        assert_string_equal(kernels, "Name:\tiou-wrk-300\nState:\tS (sleeping)\nCpus_allowed_list:\t5\n");
        tree_done(&m.copy);
}

/* So does whether the kernel's own balancing is on. */
static void test_kernel_balancing(void **state) {
        struct machine m;
        put_machine(&m);
        tree_put(&m.tree, "proc/sys/kernel/numa_balancing", "1\n");
        tree_put(&m.tree, "proc/vmstat", "nr_secret 1\nnuma_pages_migrated 77\nnuma_x 2\npgdemote_kswapd 5\n");
        tree_put(&m.tree, "sys/kernel/mm/numa/demotion_enabled", "true\n");
        tree_put(&m.tree, "sys/fs/cgroup/system.slice/redis-server.service/memory.stat", "anon 1\nnuma_pages_migrated 78\n");
        take(&m, NULL, NULL);
        travel(&m);
        _cleanup_free_ char *mode = slurp(&m.copy, "proc/sys/kernel/numa_balancing"), *all = slurp(&m.copy, "proc/vmstat"),
                            *own = slurp(&m.copy, "sys/fs/cgroup/system.slice/redis-server.service/memory.stat");
        assert_string_equal(mode, "1\n");
        assert_string_equal(all, "numa_pages_migrated 77\npgdemote_kswapd 5\n");
        _cleanup_free_ char *demotion = slurp(&m.copy, "sys/kernel/mm/numa/demotion_enabled");
        assert_string_equal(demotion, "true\n");
        assert_string_equal(own, "numa_pages_migrated 78\n");
        tree_done(&m.copy);
}

/* What the daemon remembered decides too: every field of it has to come along. */
static void test_history(void **state) {
        static uint64_t fixed[] = { 5, 6, 7, 8 };
        static uint64_t borrowed[] = { 0, 5 * MIB, 0, 7 };
        static uint32_t shares[] = { 1, 2, 3, 999994 };
        struct history h = { 0 }, back;
        struct history_entry *e = history_get(&h, "/system.slice/redis-server.service");
        assert_non_null(e);
        *e = (struct history_entry) { .cgroup = e->cgroup,
                                      .has_former = true,
                                      .former_home = node_set_of(2),
                                      .left_usec = 12,
                                      .since_usec = 13,
                                      .rule_key = UINT64_MAX - 1,
                                      .rule_usec = 14,
                                      .wait_mcpu = 15,
                                      .crowded_usec = 18,
                                      .crowded_plans = 19,
                                      .placed = true,
                                      .home = node_set_of(3),
                                      .placed_usec = 1,
                                      .started_usec = 2,
                                      .settled_usec = 3,
                                      .widened_usec = 4,
                                      .n_widened = 5,
                                      .n_little = 6,
                                      .little_usec = 26,
                                      .demand_mcpu = 5,
                                      .demand_known = true,
                                      .share_by_node = shares,
                                      .fixed_by_node = fixed,
                                      .borrowed_by_node = borrowed,
                                      .n_ids = 4,
                                      .peak_bytes = 6,
                                      .unmovable_bytes = 7,
                                      .retry_usec = 8,
                                      .n_failed_moves = 9,
                                      .failed = true,
                                      .deep_usec = 10,
                                      .deep_processes = 18,
                                      .deep_again = true,
                                      .shared_processes = 19,
                                      .n_shared_looks = 20,
                                      .shared_again_usec = 21,
                                      .interleave_key = 16,
                                      .deep_start_ticks = 17,
                                      .self_managed = true,
                                      .refused = true,
                                      .restless = 3,
                                      .has_bound_mappings = true,
                                      .maps_incomplete = true,
                                      .binds_threads = true,
                                      .thread_nodes = node_set_of(3),
                                      .kept_known = true,
                                      .kept_own = true,
                                      .kept_bytes = 18,
                                      .kept_off_bytes = 19,
                                      .kept_kernel_bytes = 20,
                                      .kept_demoted_bytes = 23,
                                      .undone_by_demotion = true,
                                      .n_undone = 4,
                                      .undone_usec = 21,
                                      .undone_bytes = 22,
                                      .undone_by_both = true,
                                      .n_balanced = 3,
                                      .n_demoted = 2,
                                      .balanced_usec = 24,
                                      .demoted_usec = 25,
                                      .own_policy = (char[]) { "bind:0" },
                                      .last_seen_usec = 11 };
        struct json_object *o = history_to_json(&h);
        assert_int_equal(history_from_json(o, 4, &back), 0);
        assert_int_equal(back.n_entries, 1);
        struct history_entry *b = &back.entries[0];
        assert_string_equal(b->cgroup, e->cgroup);
        assert_memory_equal(b->share_by_node, shares, sizeof shares);
        assert_memory_equal(b->fixed_by_node, fixed, sizeof fixed);
        assert_memory_equal(b->borrowed_by_node, borrowed, sizeof borrowed);
#ifdef __x86_64__
        /* A field was added? Then it belongs into report/history-json.c too, and into this test. */
        assert_int_equal(sizeof(struct history_entry), 776);
#endif
        struct history_entry x = *e, y = *b;
        x.cgroup = y.cgroup = NULL;
        x.share_by_node = y.share_by_node = NULL;
        x.fixed_by_node = y.fixed_by_node = NULL;
        x.borrowed_by_node = y.borrowed_by_node = NULL;
        struct json_object *again = history_to_json(&back);
        assert_string_equal(json_object_to_json_string(o), json_object_to_json_string(again));
        assert_memory_equal(&x.home, &y.home, sizeof x.home);
        assert_int_equal(y.n_failed_moves, 9);
        assert_int_equal(y.restless, 3);
        assert_int_equal(y.n_widened, 5);
        assert_true(y.n_little == 6 && y.little_usec == 26);
        assert_int_equal(y.crowded_plans, 19);
        assert_true(y.rule_key == UINT64_MAX - 1);
        assert_true(y.placed && y.failed && y.demand_known);
        assert_int_equal(y.last_seen_usec, 11);
        assert_int_equal(y.interleave_key, 16);
        assert_int_equal(y.deep_start_ticks, 17);
        assert_true(y.refused && y.self_managed && y.has_bound_mappings && y.maps_incomplete);
        assert_true(y.binds_threads && node_set_has(&y.thread_nodes, 3));
        assert_true(y.kept_known && y.kept_own);
        assert_int_equal(y.kept_bytes + y.kept_off_bytes + y.kept_kernel_bytes, 18 + 19 + 20);
        assert_true(y.kept_demoted_bytes == 23 && y.undone_by_demotion);
        assert_int_equal(y.n_undone, 4);
        assert_int_equal(y.undone_usec + y.undone_bytes, 21 + 22);
        assert_true(y.undone_by_both && y.n_balanced == 3 && y.n_demoted == 2);
        assert_int_equal(y.balanced_usec + y.demoted_usec, 24 + 25);
        assert_string_equal(y.own_policy, "bind:0");
        history_done(&back);
        json_object_put(again);
        e->share_by_node = NULL;
        e->fixed_by_node = NULL;
        e->borrowed_by_node = NULL;
        e->own_policy = NULL;

        struct machine m;
        put_machine(&m);
        take(&m, o, NULL);
        json_object_put(o);
        history_done(&h);
        travel(&m);
        _cleanup_free_ char *then = slurp(&m.copy, "capture/plan.json"), *now = replay_text(m.copy.root, NULL),
                            *kept = slurp(&m.copy, "capture/state.json");
        assert_string_equal(then, now);
        assert_non_null(strstr(kept, "\"share_by_node\""));
        tree_done(&m.copy);

        struct json_object *nonsense = json_tokener_parse("[{\"cgroup\": 5}]");
        assert_int_equal(history_from_json(nonsense, 4, &back), -EBADMSG);
        json_object_put(nonsense);
}

static void assert_refused(struct machine *m, const struct capture_options *options, int result, const char *reason) {
        char *why;
        assert_int_equal(capture_take(options, &m->capture, &why), result);
        assert_non_null(strstr(why, reason));
        free(why);
}

/* One configuration file, wherever it was; one with errors is said. */
static void test_one_file(void **state) {
        struct machine m;
        put_machine(&m);
        tree_put(&m.tree, "mine.yaml", "rules: [{name: mine, match: {unit: 'redis*'}, place: compact}]\n");
        _cleanup_free_ char *file = format_string("%s/mine.yaml", m.tree.root), *name = format_string("\"file\":\"%s\"", file);
        take(&m, NULL, file);
        travel(&m);
        _cleanup_free_ char *then = slurp(&m.copy, "capture/plan.json"), *now = replay_text(m.copy.root, NULL);
        assert_string_equal(then, now);
        assert_non_null(strstr(now, name));
        tree_done(&m.copy);

        put_machine(&m);
        tree_put(&m.tree, "mine.yaml", "rules: 5\n");
        _cleanup_free_ char *bad = format_string("%s/mine.yaml", m.tree.root);
        const struct capture_options options = { .root = m.tree.root, .config_file = bad };
        assert_refused(&m, &options, -EBADMSG, "mine.yaml:1:8");
        tree_done(&m.tree);
}

/* A record that cannot be read is no error in the configuration. */
static void test_damaged_record(void **state) {
        struct machine m;
        put_machine(&m);
        tree_put(&m.tree, "record.json", "{\"version\": 1, \"entries\": 5");
        _cleanup_free_ char *record = format_string("%s/record.json", m.tree.root);
        const struct capture_options options = { .root = m.tree.root, .record_file = record };
        assert_refused(&m, &options, -EPROTO, "record.json is damaged");
        tree_done(&m.tree);
}

/* As a process whose address space is locked does: nothing comes until it lets go, long after. */
static atomic_bool lets_go;
static atomic_uint n_ended;

static int stuck_deep(const struct host *h, unsigned n_ids, const struct process_ref *processes, size_t n_processes,
                      const struct deep_options *options, struct deep_sample **ret) {
        const struct timespec pause = { .tv_nsec = 1000000 };
        if (processes[0].pid != 300)
                return observe_deep(h, n_ids, processes, n_processes, options, ret);
        while (!lets_go)
                (void) nanosleep(&pause, NULL);
        int r = observe_deep(h, n_ids, processes, n_processes, options, ret);
        n_ended++;
        return r;
}

static void test_stuck(void **state) {
        struct machine m;
        put_machine(&m);
        const struct timespec pause = { .tv_nsec = 1000000 };
        const struct capture_options options = {
                .root = m.tree.root,
                .pause_usec = USEC_PER_MSEC,
                .paused = time_passes,
                .userdata = &m,
                .read_deep = stuck_deep,
                .deep_usec = 3 * USEC_PER_SEC,
        };
        char *why = NULL;
        assert_int_equal(capture_take(&options, &m.capture, &why), 0);
        assert_null(why);
        assert_int_equal(m.capture.n_given_up, 1);
        assert_int_equal(n_ended, 0);
        bool has_other = false;
        for (size_t i = 0; i < m.capture.n_items; i++) {
                assert_null(strstr(m.capture.items[i].path, "proc/300/numa_maps"));
                has_other |= strstr(m.capture.items[i].path, "proc/400/numa_maps") != NULL;
        }
        assert_true(has_other);
        lets_go = true; /* after the capture's end: touches nothing of it */
        while (n_ended == 0)
                (void) nanosleep(&pause, NULL);
        travel(&m);
        _cleanup_free_ char *then = slurp(&m.copy, "capture/plan.json"), *now = replay_text(m.copy.root, NULL);
        assert_string_equal(then, now);
        tree_done(&m.copy);
}

#define POSTGRES "sys/fs/cgroup/system.slice/system-postgresql.slice/postgresql@15-main.service/cgroup.procs"
static struct machine *machine_of_newcomer;

/* It comes between the screen and the reading of memory maps. */
static int come_and_read(const struct host *h, unsigned n_ids, const struct process_ref *processes, size_t n_processes,
                         const struct deep_options *options, struct deep_sample **ret) {
        tree_put(&machine_of_newcomer->tree, POSTGRES, "400\n401\n402\n");
        return observe_deep(h, n_ids, processes, n_processes, options, ret);
}

/* What was decided because of it is decided in the capture, too. */
static void test_newcomer(void **state) {
        static const char *const maps = "7f00000000-7f01000000 rw-s 00000000 00:01 2002 /dev/zero (deleted)\n";
        struct machine m;
        put_machine(&m);
        machine_of_newcomer = &m;
        tree_put(&m.tree, &(SYSCONFDIR "/numabalanced/numabalanced.d/a.yaml")[1],
                 "rules: [{name: db, match: {unit: 'postgresql*'}, place: compact, shared-pages: move}]\n");
        for (int pid = 400; pid <= 402; pid++) {
                _cleanup_free_ char *path = format_string("proc/%d/maps", pid), *cgroup = format_string("proc/%d/cgroup", pid);
                tree_put(&m.tree, path, maps);
                tree_put(&m.tree, cgroup, "0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n");
        }
        tree_put(&m.tree, POSTGRES, "400\n401\n");
        const struct capture_options options = {
                .root = m.tree.root,
                .pause_usec = USEC_PER_MSEC,
                .paused = time_passes,
                .userdata = &m,
                .read_deep = come_and_read,
                .deep_usec = USEC_PER_MINUTE,
        };
        char *why = NULL;
        assert_int_equal(capture_take(&options, &m.capture, &why), 0);
        travel(&m);
        _cleanup_free_ char *then = slurp(&m.copy, "capture/plan.json"), *now = replay_text(m.copy.root, NULL),
                            *listed = slurp(&m.copy, "capture/later/" POSTGRES),
                            *later = slurp(&m.copy, "capture/later/" POSTGRES ".later");
        assert_string_equal(then, now);
        assert_string_equal(listed, "400\n401\n");
        assert_string_equal(later, "400\n401\n402\n");
        tree_remove(&m.copy, "capture/later/" POSTGRES ".later");
        _cleanup_free_ char *without = replay_text(m.copy.root, NULL);
        assert_string_not_equal(then, without);
        tree_done(&m.copy);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_same_plan),     cmocka_unit_test(test_kernel_balancing),
                cmocka_unit_test(test_history),       cmocka_unit_test(test_one_file),
                cmocka_unit_test(test_stuck),         cmocka_unit_test(test_damaged_record),
                cmocka_unit_test(test_newcomer),      cmocka_unit_test(test_first_thread_ended),
                cmocka_unit_test(test_bound_threads),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
