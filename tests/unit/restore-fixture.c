/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A service whose cpusets are set and given back: see restore-fixture.h. */
#include "restore-fixture.h"

struct fixture fx;
struct simulated *sim;
struct act act;
struct record *record;
struct target target;
struct seen seen;

void on_done(const char *cgroup, enum restore_outcome outcome, int error, const char *detail, void *userdata) {
        assert_string_equal(cgroup, CGROUP);
        assert_ptr_equal(userdata, &seen);
        seen.calls++;
        seen.outcome = outcome;
        seen.error = error;
        seen.detail = detail;
}

static int setup_owner(enum owner owner) {
        char path[128];
        fixture_new(&fx);
        (void) snprintf(path, sizeof(path), "%s/record.json", fx.path);
        assert_int_equal(record_open(path, &record), 0);
        assert_int_equal(simulated_new(4, 2, &sim), 0);
        assert_int_equal(simulated_add_cgroup(sim, CGROUP, owner == OWNER_SYSTEMD ? "x.service" : NULL), 0);
        simulated_act(sim, &act);
        simulated_knobs(sim)->answer_usec = 1000;
        simulated_knobs(sim)->apply_usec = 120000;
        target = (struct target) { CGROUP, "x.service", owner };
        memset(&seen, 0, sizeof(seen));
        return 0;
}

int setup_systemd(void **state) {
        return setup_owner(OWNER_SYSTEMD);
}

int setup_cgroupfs(void **state) {
        return setup_owner(OWNER_CGROUPFS);
}

int teardown(void **state) {
        record_free(record);
        simulated_free(sim);
        fixture_done(&fx);
        return 0;
}

void ignore_result(int result, void *userdata) {
        assert_int_equal(result, 0);
}

struct cpuset_change change_to(const char *cpus, const char *mems) {
        struct cpuset_change c = { .change_cpus = cpus, .change_mems = mems };
        c.value.cpus_set = cpus && cpu_mask_parse(cpus, &c.value.cpus) == 0 && !cpu_mask_is_empty(&c.value.cpus);
        c.value.mems_set = mems && node_set_parse(mems, &c.value.mems) == 0 && !node_set_is_empty(&c.value.mems);
        return c;
}

void admin_sets(const char *cpus, const char *mems) {
        struct cpuset_change c = change_to(cpus, mems);
        assert_int_equal(act.ops->set_cpuset(act.context, &target, &c, ignore_result, NULL), 0);
        simulated_advance(sim, USEC_PER_SEC);
}

void we_set(const char *cpus, const char *mems) {
        struct cpuset_state now;
        struct cpuset_change c = change_to(cpus, mems);
        assert_int_equal(act.ops->get_cpuset(act.context, &target, &now), 0);
        assert_int_equal(record_before_change(record, &target, &now, &c), 0);
        admin_sets(cpus, mems);
}

void restore_now(enum restore_outcome expected) {
        assert_int_equal(restore_start(record, &act, CGROUP, NULL, on_done, &seen), 0);
        simulated_advance(sim, USEC_PER_MINUTE);
        assert_int_equal(seen.calls, 1);
        assert_int_equal(seen.outcome, expected);
        if (expected == RESTORE_FAILED)
                assert_non_null(record_find(record, CGROUP));
        else
                assert_null(record_find(record, CGROUP));
}

void assert_effective(const char *cpus, const char *mems) {
        struct cpuset_state s;
        assert_int_equal(act.ops->get_cpuset(act.context, &target, &s), 0);
        _cleanup_free_ char *c = cpu_mask_format(&s.effective_cpus), *m = node_set_format(&s.effective_mems);
        assert_string_equal(c, cpus);
        assert_string_equal(m, mems);
}

void assert_settings(bool cpus_set, bool mems_set) {
        struct cpuset_value v;
        assert_int_equal(simulated_unit_settings(sim, "x.service", &v), 0);
        assert_int_equal(v.cpus_set, cpus_set);
        assert_int_equal(v.mems_set, mems_set);
}
