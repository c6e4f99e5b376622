/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A capture decides like the machine that it was taken of, and does not have what it should not. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "capture/capture.h"
#include "capture/replay.h"
#include "core/util.h"
#include "report/history-json.h"
#include "test-host-tree.h"
#include "unit.h"

static const char config[] =
        "rules:\n"
        "  - {name: cache, match: {unit: 'redis*', comm: redis-server}, place: compact, shared-pages: move}\n"
        "  - {name: db, match: {user: postgres, exe: /usr/lib/postgresql/*}, place: compact, memory: strict}\n"
        "  - {name: rest, match: {slice: system.slice}, place: follow, min-size: 1K}\n";

/* What must not be found anywhere in an archive. */
static const char *const secrets[] = { "redis-server.conf",    "libc.so.6",         "hidden-thread", "SECRET",
                                       "18446744073709551615", "supersecret-mount", "nobody-asked" };

struct machine {
        struct tree tree, copy;
        struct capture capture;
};

static void put_machine(struct machine *m) {
        tree_make(&m->tree, "bookworm");
        tree_put(&m->tree, &(SYSCONFDIR "/numabalanced/numabalanced.yaml")[1], "daemon: {dry-run: true}\n");
        tree_put(&m->tree, &(SYSCONFDIR "/numabalanced/numabalanced.d/a.yaml")[1], config);
        tree_link(&m->tree, &(SYSCONFDIR "/numabalanced/numabalanced.d/b.yaml")[1], "/dev/null");
        tree_put(&m->tree, &(VENDORCONFDIR "/numabalanced.d/b.yaml")[1],
                 "rules: [{name: masked, match: {unit: '*'}, place: ignore}]\n");
        tree_put(&m->tree, "etc/passwd", "root:x:0:0:SECRET:/:\npostgres:x:105:105::/var/lib:\nnobody-asked:x:9:9:::\n");
        tree_put(&m->tree, "proc/300/cmdline", "redis-server\0--password\0SECRET\0");
        tree_put(&m->tree, "proc/300/environ", "PASSWORD=SECRET");
        tree_put(&m->tree, "proc/self/mountinfo",
                 "20 1 0:20 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n21 1 0:21 / /mnt/supersecret-mount rw - cifs //a/b "
                 "rw,user=SECRET\n");
        for (int pid = 400; pid <= 402; pid++) {
                char link[64];
                (void) snprintf(link, sizeof link, "proc/%d/exe", pid);
                tree_link(&m->tree, link, "/usr/lib/postgresql/15/bin/postgres");
        }
        tree_put(&m->tree, "proc/300/maps",
                 "55d000000000-55d000400000 r-xp 00000000 08:01 77 /usr/bin/redis-server SECRET\n"
                 "7f0000000000-7f0000400000 rw-p 00000000 00:00 0 [anon:SECRET]\n"
                 "7f1000000000-7f1000200000 r--p 00000000 08:01 78 /usr/lib/libc.so.6\n"
                 "7ffc00010000-7ffc00012000 r-xp 00000000 00:00 0 [vdso]\n");
}

/* Between the looks threads ran, and a process came. */
static void time_passes(void *userdata) {
        struct machine *m = userdata;
        tree_put_thread(&m->tree, 300, 301, 500, 2000, 5);
        tree_put_thread(&m->tree, 300, 302, 90, 2000, 4);
        tree_put_stat(&m->tree, 400, "postgres", 1, 333, 3000, 7);
        tree_put(&m->tree, "sys/fs/cgroup/system.slice/redis-server.service/cpu.pressure", "some avg10=99.00 avg60=0.00\n");
}

static void take(struct machine *m, struct json_object *history, const char *config_file) {
        const struct capture_options options = {
                .root = m->tree.root,
                .config_file = config_file,
                .pause_usec = 20 * USEC_PER_MSEC,
                .paused = time_passes,
                .userdata = m,
                .history = history,
                .deep_usec = USEC_PER_MINUTE,
        };
        char *why;
        int r = capture_take(&options, &m->capture, &why);
        if (r < 0)
                fail_msg("%s: %s", strerror(-r), why ? why : "?");
}

static void copy_entry(struct machine *m, struct archive *a, struct archive_entry *e) {
        const char *path = archive_entry_pathname(e);
        assert_int_equal(strncmp(path, "report/", 7), 0);
        assert_true(archive_entry_perm(e) == 0644 || archive_entry_perm(e) == 0755);
        path += 7;
        if (archive_entry_filetype(e) == AE_IFLNK) {
                tree_link(&m->copy, path, archive_entry_symlink(e));
        } else if (archive_entry_filetype(e) == AE_IFREG) {
                size_t size = (size_t) archive_entry_size(e);
                _cleanup_free_ char *bytes = malloc(size + 1);
                assert_non_null(bytes);
                assert_int_equal(archive_read_data(a, bytes, size), size);
                bytes[size] = 0;
                for (size_t i = 0; i < ARRAY_SIZE(secrets); i++)
                        if (memmem(bytes, size, secrets[i], strlen(secrets[i])) && strcmp(path, "capture/plan.json") != 0)
                                fail_msg("%s has %s", path, secrets[i]);
                tree_put_bytes(&m->copy, path, bytes, size);
        } else {
                char keep[PATH_MAX];
                (void) snprintf(keep, sizeof keep, "%s/.keep", path);
                tree_put(&m->copy, keep, "");
        }
}

/* Through an archive into a fresh directory. */
static void travel(struct machine *m) {
        char file[PATH_MAX];
        (void) snprintf(file, sizeof file, "%s/x.tar", m->tree.root);
        int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(capture_write(&m->capture, fd, "report"), 0);
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        capture_done(&m->capture);
        tree_make(&m->copy, "");
        struct archive *a = archive_read_new();
        struct archive_entry *e;
        assert_non_null(a);
        assert_int_equal(archive_read_support_format_tar(a), ARCHIVE_OK);
        assert_int_equal(archive_read_open_fd(a, fd, 10240), ARCHIVE_OK);
        while (archive_read_next_header(a, &e) == ARCHIVE_OK)
                copy_entry(m, a, e);
        (void) archive_read_free(a);
        (void) close(fd);
        tree_done(&m->tree);
}

static char *slurp(const struct tree *t, const char *path) {
        char full[PATH_MAX], *text;
        (void) snprintf(full, sizeof full, "%s/%s", t->root, path);
        assert_int_equal(read_file_at(AT_FDCWD, full, 64 * MIB, &text, NULL), 0);
        return text;
}

static char *replay_text(const char *root, const char *config_file) {
        struct replay r;
        char *why;
        assert_true(replay_is_capture(root));
        int error = replay_run(root, config_file, &r, &why);
        if (error < 0)
                fail_msg("%s: %s", strerror(-error), why ? why : "?");
        struct json_object *o = look_json(r.topology, &r.look);
        assert_non_null(o);
        char *text =
                format_string("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
        json_object_put(o);
        replay_done(&r);
        return text;
}

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
        *e = (struct history_entry){ .cgroup = e->cgroup,
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
                                     .own_policy = (char[]){ "bind:0" },
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
        assert_int_equal(sizeof(struct history_entry), 624);
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
        assert_int_equal(y.crowded_plans, 19);
        assert_true(y.rule_key == UINT64_MAX - 1);
        assert_true(y.placed && y.failed && y.demand_known);
        assert_int_equal(y.last_seen_usec, 11);
        assert_int_equal(y.interleave_key, 16);
        assert_int_equal(y.deep_start_ticks, 17);
        assert_true(y.refused && y.self_managed && y.has_bound_mappings);
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
        char *why;
        assert_int_equal(capture_take(&options, &m.capture, &why), -EBADMSG);
        assert_non_null(strstr(why, "mine.yaml:1:8"));
        free(why);
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

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_same_plan), cmocka_unit_test(test_kernel_balancing),
                cmocka_unit_test(test_history),   cmocka_unit_test(test_one_file),
                cmocka_unit_test(test_stuck),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
