/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Journal entries: the sentence and the fields, caught on their way to the journal. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <stdio.h>
#include <systemd/sd-journal.h>

#include "report/journal.h"
#include "report/message-ids.h"
#include "unit.h"

/* ---- catching ---- */

static char caught[16384];
static unsigned n_caught;

/* Stands in for libsystemd's. */
int sd_journal_sendv(const struct iovec *iov, int n) {
        size_t used = 0;
        n_caught++;
        for (int i = 0; i < n; i++)
                used += (size_t) snprintf(caught + used, sizeof(caught) - used, "\n%.*s", (int) iov[i].iov_len,
                                          (const char *) iov[i].iov_base);
        assert_true(used + 2 < sizeof(caught));
        caught[used] = '\n';
        caught[used + 1] = 0;
        return 0;
}

static void assert_field(const char *field) {
        _cleanup_free_ char *line = format_string("\n%s\n", field);
        if (!strstr(caught, line))
                fail_msg("no %s in:%s", field, caught);
}

static void assert_no_field(const char *key) {
        _cleanup_free_ char *start = format_string("\n%s=", key);
        if (strstr(caught, start))
                fail_msg("%s in:%s", key, caught);
}

static int to_journal(void **state) {
        log_open(LOG_TARGET_JOURNAL, LOG_INFO);
        n_caught = 0;
        caught[0] = 0;
        return 0;
}

static struct rule rule = { .name = (char[]) { "cache" }, .place = PLACE_NODES };

static void sample(struct service_sample *s) {
        service_sample_init(s);
        assert_int_equal(service_sample_alloc(s, 4), 0);
        s->cgroup = strdup("/system.slice/redis-server.service");
        s->unit = strdup("redis-server.service");
        s->owner = OWNER_SYSTEMD;
        s->rule = &rule;
        s->bytes_by_node[2] = 98 * MIB;
        s->cpu_share_by_node[1] = 1000000;
}

/* ---- fields ---- */

static void test_decision(void **state) {
        _cleanup_(service_sample_done) struct service_sample s;
        sample(&s);
        struct placement p = {
                .home_cpus = node_set_of(1),
                .home_mems = node_set_of(1),
                .move_memory = true,
                .restrict_cpus = true,
                .bytes_to_move = 98 * MIB,
                .distance_before = 21,
                .distance_after = 10,
                .reason = (char[]) { "moves 98M to node 1, as the rule says" },
        };
        journal_decision(&s, &p, 4, false);
        assert_field("MESSAGE=redis-server.service: moves 98M to node 1, as the rule says (rule cache)");
        assert_field("MESSAGE_ID=" MESSAGE_ID_DECISION);
        assert_field("PRIORITY=6");
        assert_field("SYSLOG_IDENTIFIER=numabalanced");
        assert_field("CODE_FILE=daemon/report/journal.c");
        assert_field("CODE_FUNC=journal_decision");
        assert_field("NUMABALANCED_UNIT=redis-server.service");
        assert_field("NUMABALANCED_CGROUP=/system.slice/redis-server.service");
        assert_field("NUMABALANCED_RULE=cache");
        assert_field("NUMABALANCED_PLACE=nodes");
        assert_field("OBJECT_SYSTEMD_UNIT=redis-server.service");
        assert_field("FROM_NODES=2");
        assert_field("TO_NODES=1");
        assert_field("BYTES_TO_MOVE=102760448");
        assert_field("LOCALITY_BEFORE=0.0000");
        assert_field("DISTANCE_BEFORE=21.00");
        assert_field("DISTANCE_AFTER=10.00");
        assert_field("REASON=moves 98M to node 1, as the rule says");
        assert_field("DRY_RUN=no");

        journal_decision(&s, &p, 4, true);
        assert_field("DRY_RUN=yes");
        assert_field("MESSAGE=redis-server.service: would act: moves 98M to node 1, as the rule says (rule cache)");

        p.reason = (char[]) { "" };
        journal_decision(&s, &p, 4, false);
        assert_field("MESSAGE=redis-server.service: 98.0M to be moved to node 1 (rule cache)");

        /* Memory nodes given back: by a rule that no longer wants them narrow, and by one that does. */
        p.widen_mems = true;
        journal_decision(&s, &p, 4, false);
        assert_field("MESSAGE_ID=" MESSAGE_ID_DECISION);
        rule.memory = MEMORY_STRICT;
        journal_decision(&s, &p, 4, false);
        rule.memory = MEMORY_PREFER;
        assert_field("MESSAGE_ID=" MESSAGE_ID_WIDENED_PRESSURE);

        /* Memory left alone: the home is that of its CPUs. */
        p.home_mems = (struct node_set) { 0 };
        journal_decision(&s, &p, 4, false);
        assert_field("TO_NODES=1");
        assert_int_equal(n_caught, 6);
}

static void test_moved(void **state) {
        _cleanup_(service_sample_done) struct service_sample s;
        sample(&s);
        struct move_result moved = { .moved_bytes = 102966067, .moved_pages = 25138, .moved_from = { [2] = 102966067 } };
        struct move_report r = {
                .sample = &s,
                .from = node_set_of(2),
                .to = node_set_of(1),
                .moved = &moved,
                .duration_usec = 3456789,
                .locality_before = 0.02,
                .locality_after = 1,
                .distance_after = 10,
                .verified = true,
                .cpus_asked = true,
                .cpus_in_force = true,
                .reason = "the rule wants it there",
        };
        journal_moved(&r);
        assert_field(
                "MESSAGE=redis-server.service: moved 98.2M from node 2 to node 1 in 3.4s, locality 0.02 → 1.00 (rule cache)");
        assert_field("MESSAGE_ID=" MESSAGE_ID_MOVED);
        assert_field("BYTES=102966067");
        assert_field("PAGES=25138");
        assert_field("FAILED_SHARED=0");
        assert_field("DURATION_USEC=3456789");
        assert_field("LOCALITY_BEFORE=0.0200");
        assert_field("LOCALITY_AFTER=1.0000");
        assert_field("DISTANCE_AFTER=10.00");
        assert_field("CPUS_IN_FORCE=yes");
        assert_no_field("MEMS_IN_FORCE"); /* nobody asked for that: "no" would look like a failure */
        assert_no_field("ERRNO");

        assert_no_field("BYTES_PER_SEC"); /* nothing is known of how it went */

        struct move_effort effort = {
                .moving_usec = 2 * USEC_PER_SEC,
                .held_usec = { [HOLD_RATE] = 500000, [HOLD_MEMORY] = 400000, [HOLD_CPU] = 1600000 },
                .memory_before_permille = 0,
                .memory_during_permille = 43,
                .cpu_before_permille = -1,
                .cpu_during_permille = -1,
        };
        r.effort = &effort;
        moved.longest_slice_usec = 21000;
        moved.longest_call_usec = 9000;
        journal_moved(&r);
        assert_field("LONGEST_SLICE_USEC=21000");
        assert_field("LONGEST_CALL_USEC=9000");
        assert_field("BYTES_PER_SEC=51483033");
        assert_field("HELD_USEC=2500000");
        assert_field("HELD_BY=cpu-pressure,migrate-rate,memory-pressure");
        assert_field("MEMORY_PRESSURE_BEFORE=0.0");
        assert_field("MEMORY_PRESSURE_DURING=4.3");
        assert_no_field("CPU_PRESSURE_BEFORE");
        assert_no_field("CPU_PRESSURE_DURING");
        assert_non_null(strstr(caught, "locality 0.02 → 1.00, held back 2s for memory-pressure, cpu-pressure (rule cache)"));
        effort.held_usec[HOLD_CPU] = 0; /* waiting for the rate is no news */
        journal_moved(&r);
        assert_null(strstr(caught, "held back"));
        r.effort = NULL;

        r.cpus_asked = false;
        r.mems_asked = true;
        journal_moved(&r);
        assert_no_field("CPUS_IN_FORCE");
        assert_field("MEMS_IN_FORCE=no");

        moved.failed_shared = 300;
        moved.failed_busy = 4;
        moved.skipped_policy_bytes = MIB;
        r.verified = false;
        journal_moved(&r);
        assert_field("MESSAGE=redis-server.service: moved 98.2M from node 2 to node 1 in 3.4s, locality 0.02 before, not "
                     "measured after; "
                     "stayed: 300 pages shared with others, 4 pages busy or pinned, 1.0M bound by the application itself (rule "
                     "cache)");
        assert_no_field("LOCALITY_AFTER");

        moved = (struct move_result) { 0 };
        r.verified = true;
        journal_moved(&r);
        assert_non_null(strstr(caught, "placed on node 1 in 3.4s, no page was moved, locality"));
        assert_field("FROM_NODES=2");
}

static void test_move_failed(void **state) {
        static const struct {
                int error;
                const char *priority;
        } errors[] = {
                { -ECANCELED, "PRIORITY=5" }, { -ESRCH, "PRIORITY=5" }, { -EPERM, "PRIORITY=4" }, { -EXDEV, "PRIORITY=4" }
        };
        _cleanup_(service_sample_done) struct service_sample s;
        sample(&s);
        struct move_result moved = { .moved_bytes = MIB, .moved_from = { [2] = MIB } };
        struct move_report r = { .sample = &s, .to = node_set_of(1), .moved = &moved, .reason = "not permitted" };
        for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
                r.error = errors[i].error;
                journal_moved(&r);
                assert_field("MESSAGE_ID=" MESSAGE_ID_MOVE_FAILED);
                assert_field(errors[i].priority);
        }
        assert_field(
                "MESSAGE=redis-server.service: did not come to rest on node 1: not permitted; moved 1.0M before (rule cache)");
        assert_field("ERRNO=18");
}

/* Which host unit an entry belongs to, for journalctl -u. */
static void test_host_unit(void **state) {
        static const struct {
                const char *cgroup, *field;
        } units[] = {
                { "/system.slice/a.service", "OBJECT_SYSTEMD_UNIT=a.service" },
                { "/system.slice/system-db.slice/db@1.service", "OBJECT_SYSTEMD_UNIT=db@1.service" },
                { "/system.slice/docker-12.scope/system.slice/inner.service", "OBJECT_SYSTEMD_UNIT=docker-12.scope" },
                { "/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", "OBJECT_SYSTEMD_UNIT=user@1000.service" },
                { "/system.slice/_cpu.service", "OBJECT_SYSTEMD_UNIT=cpu.service" },
                { "/lxc/web", NULL },
                { "/.service", NULL },
                { "pid:1234", NULL },
                { "", NULL },
        };
        for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
                journal_stuck("inner.service", units[i].cgroup, false, "reading its memory map");
                assert_field("NUMABALANCED_UNIT=inner.service");
                if (units[i].field)
                        assert_field(units[i].field);
                else
                        assert_no_field("OBJECT_SYSTEMD_UNIT");
        }
}

static void test_others(void **state) {
        _cleanup_(service_sample_done) struct service_sample s;
        sample(&s);
        journal_stuck("a.service", "/a.service", false, "moving its pages");
        assert_field(
                "MESSAGE=a.service: a process of it does not respond while moving its pages; it is left alone until it does");
        journal_stuck("a.service", "/a.service", true, "reading its memory map");
        assert_field("MESSAGE=a.service: a process of a service that it is kept together with does not respond while reading its "
                     "memory map; it is left alone until it does");
        journal_restored("a.service", "/a.service", RESTORE_DONE, 0, NULL);
        assert_field("MESSAGE=a.service: has its former cpusets back");
        assert_field("OUTCOME=restored");
        journal_restored("a.service", "/a.service", RESTORE_FAILED, -ENOSPC, NULL);
        assert_field("MESSAGE_ID=" MESSAGE_ID_RESTORE_FAILED);
        assert_field("ERRNO=28");
        assert_field("PRIORITY=3");
        journal_blocked(&s, "node 1 is full");
        assert_field("MESSAGE=redis-server.service: stays where it is: node 1 is full (rule cache)");
        struct undone_report r = { .sample = &s,
                                   .home = node_set_of(1),
                                   .to = node_set_of(3),
                                   .bytes = 3 * MIB,
                                   .by = UNDONE_BY_DEMOTION,
                                   .wait_usec = 120 * USEC_PER_SEC };
        journal_undone(&r);
        assert_field(
                "MESSAGE=redis-server.service: the kernel's demotion to slower memory has taken back 3.0M of what was moved; "
                "moved again in 2min (rule cache)");
        assert_field("MESSAGE_ID=" MESSAGE_ID_UNDONE);
        assert_field("KERNEL_CAUSE=demotion");
        assert_field("FROM_NODES=1");
        assert_field("TO_NODES=3");
        assert_field("WAIT_USEC=120000000");
        r.by = UNDONE_BY_BALANCING;
        r.wait_usec = 0;
        journal_undone(&r);
        assert_field("MESSAGE=redis-server.service: the kernel's own balancing has taken back 3.0M of what was moved; "
                     "moved again now, as the rule says (rule cache)");
        assert_field("KERNEL_CAUSE=balancing");
        assert_no_field("KERNEL_CAUSE_ALSO");
        r.by = UNDONE_BY_BALANCING_AND_DEMOTION;
        journal_undone(&r);
        assert_field("MESSAGE=redis-server.service: the kernel's own balancing and its demotion to slower memory have taken back "
                     "3.0M of what was moved; moved again now, as the rule says (rule cache)");
        assert_field("KERNEL_CAUSE=balancing");
        assert_field("KERNEL_CAUSE_ALSO=demotion");
        journal_limitation("no cgroup v2");
        assert_field("MESSAGE_ID=" MESSAGE_ID_LIMITATION);
        journal_config_loaded("x.yaml", 1);
        assert_field("MESSAGE=Read x.yaml: 1 rule");
        const char *const lines[] = { "x.yaml:1:2: wrong", "x.yaml:3:4: \x1b[2J" };
        journal_config_rejected("x.yaml", lines, 2);
        assert_field("MESSAGE=The configuration has errors, nothing of it is applied: x.yaml\nx.yaml:1:2: wrong\nx.yaml:3:4: "
                     "\\x1b[2J");
        assert_field("N_ERRORS=2");
}

/* A name with a line break forges neither a line of the message nor a field. */
static void test_hostile_fields(void **state) {
        _cleanup_(service_sample_done) struct service_sample s;
        sample(&s);
        free(s.unit);
        s.unit = strdup("a\n\x1b]0;x\a\xff.service");
        journal_blocked(&s, "why");
        assert_field("MESSAGE=a\\x0a\\x1b]0;x\\x07\\xff.service: stays where it is: why (rule cache)");
        /* journalctl -x shows it as it is */
        assert_field("NUMABALANCED_UNIT=a\\x0a\\x1b]0;x\\x07\\xff.service");
}

static void test_plain(void **state) {
        assert_int_equal(log_error(-ENOENT, "no %s", "file"), -ENOENT);
        assert_field("MESSAGE=no file");
        assert_field("ERRNO=2");
        assert_field("CODE_FUNC=test_plain");
        assert_field("PRIORITY=3");
        assert_no_field("MESSAGE_ID");
        log_debug("not wanted");
        assert_int_equal(n_caught, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_decision, to_journal),       cmocka_unit_test_setup(test_moved, to_journal),
                cmocka_unit_test_setup(test_move_failed, to_journal),    cmocka_unit_test_setup(test_host_unit, to_journal),
                cmocka_unit_test_setup(test_others, to_journal),         cmocka_unit_test_setup(test_plain, to_journal),
                cmocka_unit_test_setup(test_hostile_fields, to_journal),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
