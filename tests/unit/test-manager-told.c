/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the manager is told: a pause that outlives it, whatever becomes of the file, and units that come and go, a few or many at once. */
#include <unistd.h>

#include "manager-asking.h"

static bool is_paused(void) {
        ask("Status", NULL);
        struct json_object *paused;
        assert_true(json_object_object_get_ex(answer, "paused", &paused));
        return json_object_get_boolean(paused);
}

static void test_pause_outlives_us(void **state) {
        fx.services[0] = "managed.service";
        fx_start_manager();
        ask("Pause", "b", 1);
        fx_restart();
        assert_true(is_paused());
        fx_pass(10 * USEC_PER_MINUTE);
        assert_int_equal(fx.n_changes, 0);
        ask("Pause", "b", 0);
        fx_restart();
        assert_false(is_paused());
        fx_pass(USEC_PER_MINUTE);
        assert_true(fx.n_changes > 0);
}

static void test_held_outlives_us(void **state) {
        fx.services[0] = "managed.service";
        fx_start_manager();
        struct service_note *n = manager_note(fx.manager, "/system.slice/managed.service");
        n->held = true;
        manager_hold_save(fx.manager);
        fx_restart();
        fx_pass(10 * USEC_PER_MINUTE);
        assert_int_equal(fx.n_changes, 0);
        ask("Explain", "s", "managed.service");
        assert_non_null(strstr(text_at(answer, "reason"), "waits for resume"));
        ask("Pause", "b", 0);
        fx_restart();
        fx_pass(USEC_PER_MINUTE);
        assert_true(fx.n_changes > 0);
}

/* What was undone because it made things worse waits, until the administrator has changed something or asks for it. */
static void test_undone_is_forgiven(void **state) {
        fx.services[0] = "managed.service";
        fx_start_manager();
        struct service_note *n = manager_note(fx.manager, "/system.slice/managed.service");
        n->undone_until_usec = fx.now + 15 * USEC_PER_MINUTE;
        fx_pass(USEC_PER_MINUTE);
        assert_int_equal(fx.n_changes, 0);
        ask("Explain", "s", "managed.service");
        assert_non_null(strstr(text_at(answer, "reason"), "made things worse"));
        ask("Pause", "b", 0);
        fx_pass(USEC_PER_MINUTE);
        assert_true(fx.n_changes > 0);
}

/* Which file it has its configuration from, by a path that is one for whoever asks; none where it reads the standard ones. */
static void test_config_file(void **state) {
        struct json_object *file;
        fx_start_manager();
        ask("Status", NULL);
        assert_false(json_object_object_get_ex(answer, "config_file", &file));
        fx.manager->options.config_file = "some/own.yaml";
        ask("Status", NULL);
        _cleanup_free_ char *here = getcwd(NULL, 0), *expected = format_string("%s/some/own.yaml", here);
        assert_string_equal(text_at(answer, "config_file"), expected);
        assert_string_equal(text_at(answer, "config"), "some/own.yaml");
        fx.manager->options.config_file = "/etc/own.yaml";
        ask("Status", NULL);
        assert_string_equal(text_at(answer, "config_file"), "/etc/own.yaml");
        fx.manager->options.config_file = NULL;
}

/* Nobody can tell what it said: the careful reading is that nothing may be changed. */
static void test_damaged_hold(void **state) {
        _cleanup_free_ char *path = format_string("%s/hold.json", fx.directory);
        FILE *f = fopen(path, "we");
        assert_non_null(f);
        assert_true(fputs("{\"version\": 1, \"pau", f) >= 0);
        assert_int_equal(fclose(f), 0);
        fx.services[0] = "managed.service";
        fx_start_manager();
        assert_true(is_paused());
        fx_pass(USEC_PER_MINUTE);
        assert_int_equal(fx.n_changes, 0);
        fx_restart(); /* until resume, it was said */
        assert_true(is_paused());
        fx_pass(USEC_PER_MINUTE);
        assert_int_equal(fx.n_changes, 0);
        ask("Pause", "b", 0);
        fx_restart();
        assert_false(is_paused());
}

static void tell(const char *member, const char *unit) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        assert_true(sd_bus_message_new_signal(fx.client, &m, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                                              member) >= 0);
        assert_true(sd_bus_message_set_sender(m, "org.freedesktop.systemd1") >= 0);
        if (strcmp(member, "JobRemoved") == 0)
                assert_true(sd_bus_message_append(m, "uoss", 7, "/org/freedesktop/systemd1/job/7", unit, "done") >= 0);
        else
                assert_true(sd_bus_message_append(m, "so", unit, "/org/freedesktop/systemd1/unit/x") >= 0);
        assert_true(sd_bus_send(fx.client, m, NULL) >= 0);
        fx_settle();
}

static void test_units(void **state) {
        static const struct {
                const char *member, *unit;
                bool wakes;
        } cases[] = {
                { "UnitNew", "managed.service", true },    { "UnitRemoved", "managed2.service", true },
                { "JobRemoved", "managed.service", true }, { "UnitNew", "other.service", false },
                { "JobRemoved", "other.service", false },  { "UnitNew", "ignored.service", false },
                { "JobRemoved", "managed.timer", false },  { "UnitNew", "managed.service.d", false },
                { "JobNew", "managed.service", false },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                if (i > 0) {
                        (void) fx_teardown(state);
                        (void) fx_setup(state);
                }
                fx.services[0] = "other.service";
                fx_start_manager();
                fx_pass(3 * USEC_PER_MINUTE);
                assert_true(fx.manager->next_cycle_usec > fx.now + 5 * USEC_PER_SEC);
                tell(cases[i].member, cases[i].unit);
                bool woken = fx.manager->next_cycle_usec <= fx.now + 2 * USEC_PER_SEC;
                if (woken != cases[i].wakes)
                        fail_msg("%s of %s: %s", cases[i].member, cases[i].unit, woken ? "woken" : "not woken");
        }
}

/* However many come: no more than one cycle in an interval, and one early look at what is new. */
static void test_storm(void **state) {
        fx.services[0] = "other.service";
        fx_start_manager();
        fx_pass(5 * USEC_PER_MINUTE);
        uint64_t before = fx.manager->stats.n_cycles;
        for (unsigned i = 0; i < 1000; i++) {
                tell(i % 2 ? "UnitRemoved" : "UnitNew", "managed.service");
                fx_pass(USEC_PER_SEC / 10);
        }
        assert_in_range(fx.manager->stats.n_cycles - before, 9, 11);

        /* The same with services that are there, each new to us. */
        static char names[64][32];
        before = fx.manager->stats.n_cycles;
        for (unsigned i = 0; i < 60; i++) {
                (void) snprintf(names[i], sizeof(names[i]), "managed-%02u.service", i);
                fx.services[0] = names[i];
                ask("Pause", "b", 1);
                tell("JobRemoved", names[i]);
                fx_pass(USEC_PER_SEC);
        }
        assert_in_range(fx.manager->stats.n_cycles - before, 6, 20);
}

static unsigned n_printed;

static bool is_complete(const struct manager *m) {
        return m->stats.n_cycles >= 3;
}

static int print(struct manager *m) {
        n_printed++;
        return 0;
}

/* --once: when enough is known, and not before; then it is told, and all ends. */
static void test_once(void **state) {
        fx.services[0] = "other.service";
        fx.options = (struct manager_options) { .once = true, .once_is_complete = is_complete, .once_print = print };
        n_printed = 0;
        fx_start_manager();
        for (unsigned i = 0; i < 600 && fx.n_left == 0; i++)
                fx_pass(USEC_PER_SEC);
        assert_int_equal(fx.n_left, 1);
        assert_int_equal(n_printed, 1);
        assert_int_equal(fx.manager->stats.n_cycles, 3);
        assert_int_equal(fx.manager->exit_status, 0);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                EACH(test_pause_outlives_us),
                EACH(test_held_outlives_us),
                EACH(test_undone_is_forgiven),
                EACH(test_config_file),
                EACH(test_damaged_hold),
                EACH(test_units),
                EACH(test_storm),
                EACH(test_once),
        };
        int r = cmocka_run_group_tests(tests, NULL, NULL);
        json_object_put(answer);
        return r;
}
