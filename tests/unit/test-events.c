/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What "numabalancectl plan", "history" and "advise" are told. */
#include "report/events.h"

#include <stdio.h>

#include "report/format.h"
#include "report/view.h"
#include "unit.h"

#define N_IDS 4u

static struct rule rule;

static void sample(struct service_sample *s, const char *unit) {
        service_sample_init(s);
        assert_int_equal(service_sample_alloc(s, N_IDS), 0);
        s->unit = strdup(unit);
        s->cgroup = format_string("/system.slice/%s", unit);
        rule_init(&rule);
        rule.name = (char *) "cache";
        s->rule = &rule;
        s->bytes_by_node[2] = 3 * MIB;
        s->bytes_by_node[1] = MIB;
        s->cpu_share_by_node[1] = 1000000;
}

static void assert_json(struct json_object *o, const char *expected) {
        assert_non_null(o);
        assert_string_equal(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), expected);
        json_object_put(o);
}

static void test_events(void **state) {
        _cleanup_(service_sample_done) struct service_sample s;
        struct events *e = events_new();
        struct placement p = { .home_mems = node_set_of(1), .bytes_to_move = 3 * MIB, .reason = (char *) "nearer" };
        struct move_result moved = {
                .moved_bytes = 3 * MIB, .moved_from = { [2] = 3 * MIB }, .longest_slice_usec = 21000, .longest_call_usec = 9000
        };
        sample(&s, "a.service");
        const struct move_effort effort = {
                .moving_usec = 2 * USEC_PER_SEC,
                .held_usec = { [HOLD_RATE] = 300, [HOLD_CPU] = 1200 },
                .memory_before_permille = -1,
                .memory_during_permille = -1,
                .cpu_before_permille = 5,
                .cpu_during_permille = 125,
        };
        struct move_report r = {
                .sample = &s,
                .to = node_set_of(1),
                .moved = &moved,
                .effort = &effort,
                .duration_usec = 3000000,
                .narrow_usec = 5000,
                .locality_before = 0.25,
                .locality_after = 1,
                .verified = true,
                .reason = "nearer",
        };
        assert_json(events_list(e, ""), "[]");
        assert_int_equal(events_add_decision(e, 1, &s, &p, N_IDS, false), 0);
        assert_int_equal(events_add_decision(e, 2, &s, &p, N_IDS, true), 0);
        assert_int_equal(events_add_moved(e, 3, &r), 0);
        r.verified = false;
        r.error = -EPERM;
        r.reason = "not permitted";
        r.effort = NULL;
        assert_int_equal(events_add_moved(e, 4, &r), 0);
        assert_int_equal(events_add_blocked(e, 5, &s, "no room"), 0);
        assert_int_equal(events_add_restored(e, 6, "b.service", "/b.service", RESTORE_DONE, NULL), 0);
        assert_int_equal(events_add_restored(e, 7, "b.service", "/b.service", RESTORE_FAILED, "no space"), 0);
#define A "\"unit\":\"a.service\",\"cgroup\":\"/system.slice/a.service\",\"rule\":\"cache\""
        assert_json(events_list(e, "a.service"),
                    "[{\"time_usec\":1," A ",\"event\":\"decided\",\"from_nodes\":[2],\"to_nodes\":[1],\"bytes\":3145728,"
                    "\"locality_before\":0.25,\"locality_after\":null,\"reason\":\"nearer\"},"
                    "{\"time_usec\":2," A ",\"event\":\"would-act\",\"from_nodes\":[2],\"to_nodes\":[1],\"bytes\":3145728,"
                    "\"locality_before\":0.25,\"locality_after\":null,\"reason\":\"nearer\"},"
                    "{\"time_usec\":3," A ",\"event\":\"moved\",\"from_nodes\":[2],\"to_nodes\":[1],\"bytes\":3145728,"
                    "\"locality_before\":0.25,\"locality_after\":1.0,\"reason\":\"nearer\",\"effort\":{\"duration_usec\":3000000,"
                    "\"narrow_usec\":5000,\"longest_slice_usec\":21000,\"longest_call_usec\":9000,\"bytes_per_sec\":1572864,"
                    "\"held_usec\":1500,"
                    "\"cpu_pressure_before_percent\":0.5,\"cpu_pressure_during_percent\":12.5,"
                    "\"held_by\":{\"migrate-rate\":300,\"cpu-pressure\":1200}}},"
                    "{\"time_usec\":4," A ",\"event\":\"failed\",\"from_nodes\":[2],\"to_nodes\":[1],\"bytes\":3145728,"
                    "\"locality_before\":0.25,\"locality_after\":null,\"reason\":\"not "
                    "permitted\",\"effort\":{\"duration_usec\":3000000,"
                    "\"narrow_usec\":5000,\"longest_slice_usec\":21000,\"longest_call_usec\":9000,\"held_by\":{}}},"
                    "{\"time_usec\":5," A ",\"event\":\"blocked\",\"from_nodes\":[],\"to_nodes\":[],\"bytes\":0,"
                    "\"locality_before\":null,\"locality_after\":null,\"reason\":\"no room\"}]");
#define B "\"unit\":\"b.service\",\"cgroup\":\"/b.service\",\"rule\":null"
        assert_json(events_list(e, "/b.service"),
                    "[{\"time_usec\":6," B ",\"event\":\"restored\",\"from_nodes\":[],\"to_nodes\":[],\"bytes\":0,"
                    "\"locality_before\":null,\"locality_after\":null,\"reason\":\"has its former cpusets back\"},"
                    "{\"time_usec\":7," B ",\"event\":\"not-restored\",\"from_nodes\":[],\"to_nodes\":[],\"bytes\":0,"
                    "\"locality_before\":null,\"locality_after\":null,"
                    "\"reason\":\"did not get its former cpusets back: no space\"}]");
        assert_json(events_list(e, "c.service"), "[]");
        events_free(e);
}

/* What the kernel took back: how much, from where to where, and when it is moved again. */
static void test_undone(void **state) {
        struct events *e = events_new();
        _cleanup_(service_sample_done) struct service_sample s;
        sample(&s, "a.service");
        struct undone_report r = { .sample = &s,
                                   .home = node_set_of(1),
                                   .to = node_set_of(2),
                                   .bytes = 3 * MIB,
                                   .by = UNDONE_BY_BALANCING,
                                   .balancing = 1,
                                   .wait_usec = 120 * USEC_PER_SEC };
        assert_int_equal(events_add_undone(e, 1, &r), 0);
        r.by = UNDONE_BY_DEMOTION;
        r.wait_usec = 0;
        assert_int_equal(events_add_undone(e, 2, &r), 0);
        r.by = UNDONE_BY_DEMOTION_AND_BALANCING;
        assert_int_equal(events_add_undone(e, 3, &r), 0);
        assert_json(events_list(e, "a.service"),
                    "[{\"time_usec\":1," A ",\"event\":\"undone\",\"from_nodes\":[1],\"to_nodes\":[2],\"bytes\":3145728,"
                    "\"locality_before\":null,\"locality_after\":null,\"reason\":\"the kernel's own balancing has taken it back; "
                    "moved again in 2min\",\"undone_by\":\"balancing\",\"undone_also_by\":null},"
                    "{\"time_usec\":2," A ",\"event\":\"undone\",\"from_nodes\":[1],\"to_nodes\":[2],\"bytes\":3145728,"
                    "\"locality_before\":null,\"locality_after\":null,\"reason\":\"the kernel's demotion to slower memory has "
                    "taken it back; moved again now, as the rule says\",\"undone_by\":\"demotion\",\"undone_also_by\":null},"
                    "{\"time_usec\":3," A ",\"event\":\"undone\",\"from_nodes\":[1],\"to_nodes\":[2],\"bytes\":3145728,"
                    "\"locality_before\":null,\"locality_after\":null,\"reason\":\"the kernel's demotion to slower memory and "
                    "its own balancing have taken it back; moved again now, as the rule says\",\"undone_by\":\"demotion\","
                    "\"undone_also_by\":\"balancing\"}]");
        events_free(e);
}

/* The oldest make room, and the order stays. */
static void test_ring(void **state) {
        struct events *e = events_new();
        _cleanup_(service_sample_done) struct service_sample s;
        sample(&s, "a.service");
        for (uint64_t i = 0; i < 3 * EVENTS_MAX + 5; i++) {
                assert_int_equal(events_add_blocked(e, i, &s, "no room"), 0);
                struct json_object *all = events_list(e, ""), *time_usec;
                size_t n = json_object_array_length(all);
                assert_int_equal(n, i + 1 < EVENTS_MAX ? i + 1 : EVENTS_MAX);
                for (size_t k = 0; k < n; k++) {
                        assert_true(json_object_object_get_ex(json_object_array_get_idx(all, k), "time_usec", &time_usec));
                        assert_int_equal(json_object_get_int64(time_usec), i + 1 - n + k);
                }
                json_object_put(all);
        }
        events_free(e);
}

static void test_names(void **state) {
        assert_true(text_matches("a.service", "a.service"));
        assert_false(text_matches("a.service", "b.service"));
        assert_true(text_matches("bad\xff.service", "bad\\xff.service"));
        assert_true(text_matches("bad\xff.service", "bad\xff.service"));
        assert_true(text_matches("a\nb", "a\\x0ab"));
        assert_true(text_matches("dev\\x2da.service", "dev\\x2da.service")); /* a backslash of its own */
        assert_false(text_matches("dev-a.service", "dev\\x2da.service"));
        assert_false(text_matches("", "\\x00"));
}

static void test_planned(void **state) {
        _cleanup_(topology_freep) struct topology *t = topology_new(N_IDS, 8);
        _cleanup_(service_sample_done) struct service_sample s, other;
        for (unsigned i = 0; i < N_IDS; i++) {
                t->nodes[i].present = true;
                cpu_mask_add(&t->nodes[i].cpus, 2 * i);
                cpu_mask_add(&t->nodes[i].cpus, 2 * i + 1);
        }
        sample(&s, "a.service");
        sample(&other, "b.service");
        struct placement p = {
                .home_cpus = node_set_of(1),
                .home_mems = node_set_of(1),
                .restrict_cpus = true,
                .bytes_to_move = 3 * MIB,
                .distance_before = 20,
                .distance_after = 10,
                .reason = (char *) "nearer",
        };
        struct placement stays = { .distance_before = 10, .distance_after = 10, .reason = (char *) "at home" };
        struct planned planned[] = {
                { .sample = &s, .placement = &p, .state = STATE_PENDING, .when = WHEN_LATER, .home = node_set_of(2) },
                { .sample = &other, .placement = &stays, .state = STATE_STABLE, .when = WHEN_NONE },
        };
        assert_json(
                view_plan(t, planned, 2, 5000, true, false),
                "{\"age_usec\":5000,\"dry_run\":true,\"paused\":false,\"services\":["
                "{" A ",\"place\":\"compact\",\"state\":\"pending\",\"when\":\"later\",\"home_nodes\":[2],\"next_nodes\":[1],"
                "\"cpus\":\"2-3\",\"bytes_to_move\":3145728,\"distance_before\":20.0,\"distance_after\":10.0,\"gain\":0.5,"
                "\"reason\":\"nearer\"},"
                "{\"unit\":\"b.service\",\"cgroup\":\"/system.slice/b.service\",\"rule\":\"cache\",\"place\":\"compact\","
                "\"state\":\"stable\",\"when\":\"none\",\"home_nodes\":[],\"next_nodes\":[],\"cpus\":null,\"bytes_to_move\":0,"
                "\"distance_before\":10.0,\"distance_after\":10.0,\"gain\":0.0,\"reason\":\"at home\"}],"
                "\"totals\":{\"services\":2,\"now\":0,\"later\":1,\"under_way\":0,\"blocked\":0,\"bytes_to_move\":3145728,"
                "\"distance_before\":15.0,\"distance_after\":10.0}}");
        planned[0].when = WHEN_BLOCKED; /* nothing will come of it */
        struct json_object *plan = view_plan(t, planned, 2, 0, false, true), *totals, *value;
        assert_true(json_object_object_get_ex(plan, "totals", &totals));
        assert_true(json_object_object_get_ex(totals, "bytes_to_move", &value));
        assert_int_equal(json_object_get_int64(value), 0);
        assert_true(json_object_object_get_ex(totals, "distance_after", &value));
        assert_true(json_object_get_double(value) > 14.9);
        json_object_put(plan);
        assert_json(view_plan(t, NULL, 0, 0, false, false),
                    "{\"age_usec\":0,\"dry_run\":false,\"paused\":false,\"services\":[],"
                    "\"totals\":{\"services\":0,\"now\":0,\"later\":0,\"under_way\":0,\"blocked\":0,\"bytes_to_move\":0,"
                    "\"distance_before\":0.0,\"distance_after\":0.0}}");
}

/* What D-Bus leaves out comes back; what is no plan does no harm. */
static void test_completing(void **state) {
        struct json_object *plan = json_tokener_parse("{\"services\":[{\"unit\":\"a\"},7]}");
        view_complete_plan(plan);
        assert_json(plan, "{\"services\":[{\"unit\":\"a\",\"rule\":null,\"place\":null,\"cpus\":null},7]}");
        struct json_object *events = json_tokener_parse("[{\"rule\":\"x\"},[]]");
        view_complete_history(events);
        assert_json(events, "[{\"rule\":\"x\",\"locality_before\":null,\"locality_after\":null,\"effort\":null,\"undone_by\":"
                            "null,\"undone_also_by\":null},[]]");
        static const char *const others[] = { "7", "[]", "{}", "{\"services\":7}", "\"x\"" };
        for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
                struct json_object *o = json_tokener_parse(others[i]);
                view_complete_plan(o);
                view_complete_history(o);
                view_complete_candidates(o);
                assert_json(o, others[i]);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_events), cmocka_unit_test(test_undone),  cmocka_unit_test(test_ring),
                cmocka_unit_test(test_names),  cmocka_unit_test(test_planned), cmocka_unit_test(test_completing),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
