/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The JSON that others rely on, to the byte; and formatted numbers and texts. */
#include "report/view.h"

#include "report/format.h"
#include "report/history-json.h"
#include "report/json.h"
#include "unit.h"

static void assert_json(struct json_object *o, const char *expected) {
        assert_non_null(o);
        assert_string_equal(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), expected);
        json_object_put(o);
}

/* Three ids of which 1 is absent; node 2 has memory alone. */
static struct topology *sparse(void) {
        struct topology *t = topology_new(3, 4);
        assert_non_null(t);
        t->nodes[0] = (struct topology_node) { .present = true, .bytes_total = 4 * GIB, .n_cpus = 4, .n_cores = 2 };
        for (unsigned cpu = 0; cpu < 4; cpu++) {
                cpu_mask_add(&t->nodes[0].cpus, cpu);
                t->node_of_cpu[cpu] = 0;
        }
        t->nodes[2] = (struct topology_node) { .present = true, .bytes_total = 8 * GIB };
        t->distance[0 * 3 + 2] = t->distance[2 * 3 + 0] = 17;
        return t;
}

static void sample(struct service_sample *s) {
        service_sample_init(s);
        assert_int_equal(service_sample_alloc(s, 3), 0);
        s->cgroup = strdup("/system.slice/redis-server.service");
        s->unit = strdup("redis-server.service");
        s->owner = OWNER_SYSTEMD;
        s->n_processes = 1;
        s->n_threads = 5;
        s->bytes_by_node[0] = 25 * MIB;
        s->bytes_by_node[2] = 75 * MIB;
        s->movable_by_node[2] = 74 * MIB;
        s->cpu_share_by_node[0] = 1000000;
        s->cpu_usec_by_node[0] = 1234;
        s->cpu_window_usec = 10 * USEC_PER_SEC;
        s->effective_cpu_nodes = node_set_of(0);
        s->effective_mems = node_set_of(0);
        node_set_add(&s->effective_mems, 2);
}

static void test_observed(void **state) {
        _cleanup_(topology_freep) struct topology *t = sparse();
        _cleanup_(service_sample_done) struct service_sample s;
        sample(&s);
        assert_json(view_service(t, &s, NULL, STATE_OBSERVED, "no rule matches"),
                    "{\"unit\":\"redis-server.service\",\"cgroup\":\"/system.slice/"
                    "redis-server.service\",\"rule\":null,\"place\":null,"
                    "\"state\":\"observed\",\"reason\":\"no rule matches\",\"home_nodes\":[],\"bytes_total\":104857600,"
                    "\"bytes_by_node\":[26214400,0,78643200],\"bytes_by_node_age_usec\":0,\"cpu_by_node\":[1.0,0.0,0.0],\"cpu_by_"
                    "node_age_usec\":0,"
                    "\"locality\":0.25,\"distance\":15.25,"
                    "\"owner\":\"systemd\",\"processes\":1,\"threads\":5}");
}

static void test_placed(void **state) {
        _cleanup_(topology_freep) struct topology *t = sparse();
        _cleanup_(service_sample_done) struct service_sample s;
        struct rule rule;
        struct rule other = { .name = (char[]) { "db" } };
        struct candidate candidates[] = {
                { .nodes = node_set_of(0),
                  .cost = 10.5,
                  .terms = { .distance = 10, .bandwidth = 0.25, .load = 0.125, .fill = 0.1, .moving = 0.025 },
                  .feasible = true,
                  .chosen = true,
                  .verdict = VERDICT_CHOSEN },
                { .nodes = node_set_of(2), .cost = 1e300, .verdict = VERDICT_NO_CPUS },
                { .nodes = node_set_of(1), .verdict = VERDICT_EXCLUDED, .excluded_by = { CONSTRAINT_EXCLUSIVE, &other } },
        };
        char *changes[] = { (char[]) { "node 2 had 1.0G more free" } };
        struct explanation e = {
                .candidates = candidates,
                .n_candidates = 3,
                .would_change = changes,
                .n_would_change = 1,
        };
        struct placement p = {
                .state = STATE_PENDING,
                .act = true,
                .home_cpus = node_set_of(0),
                .home_mems = node_set_of(0),
                .restrict_cpus = true,
                .move_memory = true,
                .bytes_to_move = 74 * MIB,
                .bytes_fixed = MIB,
                .distance_before = 15.25,
                .distance_after = 10.0701,
                .reason = (char[]) { "its memory is elsewhere" },
        };
        sample(&s);
        rule_init(&rule);
        rule.name = strdup("cache");
        rule.place = PLACE_COMPACT;
        rule.file = strdup("/etc/numabalanced/numabalanced.yaml");
        rule.line = 7;
        s.rule = &rule;
        s.deep = true;
        s.cpu_pressure_centipercent = 1250;
        s.cpu_share_by_node[0] = 333333;
        s.cpu_share_by_node[2] = 666667;
        s.threads_age_usec = 20 * USEC_PER_SEC;
        s.bytes_age_usec = 3 * USEC_PER_MINUTE;
        assert_json(
                view_explain(t, &s, &p, &e, STATE_MOVING, "moving: 1M of 74M"),
                "{\"unit\":\"redis-server.service\",\"cgroup\":\"/system.slice/redis-server.service\",\"rule\":\"cache\","
                "\"place\":\"compact\",\"state\":\"moving\",\"reason\":\"moving: 1M of 74M\",\"home_nodes\":[0],"
                "\"bytes_total\":104857600,\"bytes_by_node\":[26214400,0,78643200],\"bytes_by_node_age_usec\":180000000,\"cpu_by_"
                "node\":[0.3333,0.0,0.6667],\"cpu_by_"
                "node_age_usec\":20000000,"
                "\"locality\":0.5833,\"distance\":12.9167,\"owner\":\"systemd\",\"processes\":1,\"threads\":5,"
                "\"seen\":{\"memory_map_read\":true,\"hugetlb_bytes\":0,\"movable_by_node\":[0,0,77594624],"
                "\"unmovable_bytes\":1048576,\"cpu_usec_by_node\":[1234,0,0],\"cpu_window_usec\":10000000,"
                "\"effective_cpu_nodes\":[0],\"effective_memory_nodes\":[0,2],\"cpus_set_by_administrator\":false,"
                "\"memory_nodes_set_by_administrator\":false,\"self_managed\":false,\"has_bound_mappings\":false,\"maps_"
                "incomplete\":false,"
                "\"binds_threads\":false,\"own_policy\":null,\"owner_detail\":null,\"memory_pressure_percent\":null,\"cpu_"
                "pressure_percent\":12.5},"
                "\"rule_detail\":{\"file\":\"/etc/numabalanced/numabalanced.yaml\",\"line\":7,\"memory\":\"prefer\","
                "\"cpus\":\"restrict\",\"min_size_bytes\":67108864,\"min_gain\":0.05,\"cooldown_usec\":60000000},"
                "\"decision\":{\"act\":true,\"home_cpu_nodes\":[0],\"home_memory_nodes\":[0],\"restrict_cpus\":true,"
                "\"narrow_memory_nodes\":false,\"widen_memory_nodes\":false,\"move_memory\":true,\"bytes_to_move\":77594624,"
                "\"distance_before\":15.25,\"distance_after\":10.0701},"
                "\"candidates\":[{\"nodes\":[0],\"cost\":10.5,\"feasible\":true,\"chosen\":true,\"verdict\":\"chosen: costs 10.5 "
                "(distance 10.0, bandwidth 0.2, CPU load 0.1, memory fill 0.1, moving 0.0)\",\"terms\":{\"distance\":10.0,"
                "\"bandwidth\":0.25,\"load\":0.125,\"fill\":0.1,\"moving\":0.025,\"breadth\":0.0,\"device\":0.0},\"excluded_by\":"
                "null},"
                "{\"nodes\":[2],\"cost\":null,\"feasible\":false,\"chosen\":false,"
                "\"verdict\":\"rejected: node 2 has no CPUs that it may use\",\"terms\":null,\"excluded_by\":null},"
                "{\"nodes\":[1],\"cost\":null,\"feasible\":false,\"chosen\":false,"
                "\"verdict\":\"rejected: node 1 is excluded by exclusive of rule db\",\"terms\":null,"
                "\"excluded_by\":{\"constraint\":\"exclusive\",\"rule\":\"db\"}}],"
                "\"would_change\":[\"node 2 had 1.0G more free\"]}");
        rule_done(&rule);
}

/* Names are chosen by others: JSON and D-Bus take UTF-8 only. */
static void test_hostile_names(void **state) {
        _cleanup_(topology_freep) struct topology *t = sparse();
        _cleanup_(service_sample_done) struct service_sample s;
        sample(&s);
        free(s.unit);
        s.unit = strdup("a\xff\n\033[31mb\"\xe2\x80\xae\xc3\xa9.service");
        struct json_object *o = view_service(t, &s, NULL, STATE_OBSERVED, NULL), *unit;
        assert_non_null(o);
        assert_true(json_object_object_get_ex(o, "unit", &unit));
        assert_string_equal(json_object_get_string(unit), "a\\xff\\x0a\\x1b[31mb\"\\xe2\\x80\\xae\xc3\xa9.service");
        json_object_put(o);
}

static void test_topology(void **state) {
        _cleanup_(topology_freep) struct topology *t = sparse();
        struct node_memory nodes[3] = { { .bytes_total = 4 * GIB - 1, .bytes_free = 1 }, { 0 }, { 0 } };
        struct machine_sample m = { .nodes = nodes };
        t->bandwidth_mibps = calloc(9, sizeof *t->bandwidth_mibps);
        t->devices = calloc(2, sizeof *t->devices);
        assert_true(t->bandwidth_mibps && t->devices);
        t->bandwidth_mibps[0] = 9000;
        t->devices[0].name = strdup("block/sda");
        t->devices[1] = (struct topology_device) { .name = strdup("net/e\xff"), .nodes = node_set_of(0) };
        t->n_devices = 2;
        assert_json(
                view_topology(t, &m),
                "{\"nodes\":[{\"id\":0,\"cpus\":\"0-3\",\"n_cpus\":4,\"n_cores\":2,\"bytes_total\":4294967295,\"bytes_free\":1,"
                "\"distances\":[10,null,17],\"latency\":null,\"bandwidth\":9000,\"latencies\":null,\"bandwidths\":[9000,null,"
                "null],"
                "\"devices\":[\"net/e\\\\xff\"]},{\"id\":2,\"cpus\":\"\",\"n_cpus\":0,\"n_cores\":0,\"bytes_total\":8589934592,"
                "\"bytes_free\":null,\"distances\":[17,null,10],\"latency\":null,\"bandwidth\":null,\"latencies\":null,"
                "\"bandwidths\":[null,null,null],\"devices\":[]}],"
                "\"devices\":[{\"name\":\"block/sda\",\"nodes\":[]},{\"name\":\"net/e\\\\xff\",\"nodes\":[0]}]}");
        struct kernel_memory kernel = { 0 };
        const uint64_t before = 1;
        struct json_object *machine = json_object_new_object();
        view_put_kernel(&machine, &kernel, NULL);
        assert_json(machine, "{\"kernel_balancing\":null,\"kernel_demotion\":null,\"memory_tiers\":[]}");
        kernel = (struct kernel_memory) { .has_balancing = true, .has_demotion = true, .demotion = true, .n_tiers = 1 };
        kernel.tiers[0] = (struct memory_tier) { 4, node_set_of(2) };
        machine = json_object_new_object();
        view_put_kernel(&machine, &kernel, &before);
        assert_json(machine, "{\"kernel_balancing\":0,\"kernel_balancing_before\":1,\"kernel_demotion\":true,"
                             "\"memory_tiers\":[{\"id\":4,\"nodes\":[2]}]}");
        t->nodes[2].bytes_total = 0; /* nothing there, and that is known */
        struct json_object *o = view_topology(t, NULL), *array, *free_bytes;
        assert_true(json_object_object_get_ex(o, "nodes", &array));
        assert_true(json_object_object_get_ex(json_object_array_get_idx(array, 0), "bytes_free", &free_bytes));
        assert_null(free_bytes);
        assert_true(json_object_object_get_ex(json_object_array_get_idx(array, 1), "bytes_free", &free_bytes));
        assert_int_equal(json_object_get_int64(free_bytes), 0);
        json_object_put(o);
}

static void test_numbers(void **state) {
        assert_json(json_new_number(0.1 + 0.2, 4), "0.3");
        assert_json(json_new_number(1, 4), "1.0");
        assert_json(json_new_number(0.99996, 4), "1.0");
        assert_json(json_new_number(0.99994, 4), "0.9999");
        assert_json(json_new_number(-1, 4), "0.0");
        assert_json(json_new_number(__builtin_nan(""), 4), "0.0");
        assert_json(json_new_number(__builtin_inf(), 4), "1000000000.0");
        assert_json(json_new_double_exact(0.1), "0.1");
        assert_json(json_new_double_exact(1.0 / 3), "0.33333333333333331");
}

static void test_formats(void **state) {
        static const struct {
                uint64_t bytes;
                const char *text;
        } bytes[] = {
                { 0, "0B" },
                { 1023, "1023B" },
                { KIB, "1.0K" },
                { 102966067, "98.2M" },
                { 100 * MIB - 1, "100M" },
                { 150 * MIB, "150M" },
                { 1023 * MIB + 512 * KIB - 1, "1023M" },
                { 1023 * MIB + 512 * KIB, "1.0G" },
                { GIB - 1, "1.0G" },
                { 3 * GIB / 2, "1.5G" },
                { UINT64_MAX, "16.0E" },
        };
        static const struct {
                uint64_t usec;
                const char *text;
        } usecs[] = {
                { 0, "0us" },
                { 999, "999us" },
                { 1000, "1ms" },
                { 999999, "999ms" },
                { USEC_PER_SEC, "1s" },
                { 3456789, "3.4s" },
                { USEC_PER_MINUTE - 1, "59.9s" },
                { 125 * USEC_PER_SEC, "2min 5s" },
                { 60 * USEC_PER_MINUTE, "1h" },
                { 200 * USEC_PER_MINUTE, "3h 20min" },
                { 49 * 60 * USEC_PER_MINUTE, "2d 1h" },
                { UINT64_MAX, "213503982d 8h" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(bytes); i++)
                assert_string_equal(FORMAT_BYTES(bytes[i].bytes), bytes[i].text);
        for (size_t i = 0; i < ARRAY_SIZE(usecs); i++)
                assert_string_equal(FORMAT_USEC(usecs[i].usec), usecs[i].text);

        struct node_set nodes = { 0 };
        _cleanup_free_ char *none = format_nodes(&nodes);
        node_set_add(&nodes, 3);
        _cleanup_free_ char *one = format_nodes(&nodes);
        node_set_add(&nodes, 0);
        node_set_add(&nodes, 1);
        _cleanup_free_ char *many = format_nodes(&nodes);
        assert_string_equal(none, "no node");
        assert_string_equal(one, "node 3");
        assert_string_equal(many, "nodes 0-1,3");
}

static void test_text_clean(void **state) {
        static const struct {
                const char *raw, *clean;
        } texts[] = {
                { "", "" },
                { "a-b@c.service", "a-b@c.service" },
                { "locality 0.02 → 1.00", "locality 0.02 → 1.00" },
                { "\xf0\x9f\x92\xa9", "\xf0\x9f\x92\xa9" },
                { "tab\tnew\n", "tab\\x09new\\x0a" },
                { "\x7f", "\\x7f" },
                { "\xc2\x9b"
                  "31m",
                  "\\xc2\\x9b31m" },                            /* C1 control sequence introducer */
                { "\xc0\xaf", "\\xc0\\xaf" },                   /* overlong */
                { "\xed\xa0\x80", "\\xed\\xa0\\x80" },          /* surrogate */
                { "\xef\xbf\xbf", "\\xef\\xbf\\xbf" },          /* noncharacter */
                { "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" }, /* past U+10FFFF */
                { "\xe2\x82", "\\xe2\\x82" },                   /* cut off */
                { "\xf8\x88", "\\xf8\\x88" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                _cleanup_free_ char *clean = text_clean(texts[i].raw, false);
                assert_string_equal(clean, texts[i].clean);
        }
        _cleanup_free_ char *lines = text_clean("a\n\tb\r", true);
        assert_string_equal(lines, "a\n\tb\\x0d");
}

/* What is remembered of a service goes over the bus, and comes back by the name that its cgroup has. */
static void test_remembered_names(void **state) {
        static const char *const names[] = { "/a.service", "/a.service/\xff\xc3(", "/\033[2J → é", "/\xed\xa0\x80" };
        struct history h = { 0 }, back = { 0 };
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                assert_non_null(history_get(&h, names[i]));
        struct json_object *o = history_to_json(&h);
        const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
        for (const char *c = text; *c; c += utf8_length(c))
                assert_true(utf8_length(c) > 0);
        struct json_object *read = json_tokener_parse(text);
        assert_int_equal(history_from_json(read, 4, &back), 0);
        assert_int_equal(back.n_entries, h.n_entries);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                assert_non_null(history_find(&back, names[i]));
        json_object_put(read);
        json_object_put(o);
        history_done(&h);
        history_done(&back);

        static const char *const nonsense[] = { "[{\"cgroup\":[47,256]}]",
                                                "[{\"cgroup\":[47,0,47]}]",
                                                "[{\"cgroup\":[\"a\"]}]",
                                                "[{\"cgroup\":[47,-1]}]",
                                                "[{\"cgroup\":[47]},{\"cgroup\":\"/\"}]",
                                                "[{}]",
                                                "[5]" };
        for (size_t i = 0; i < ARRAY_SIZE(nonsense); i++) {
                read = json_tokener_parse(nonsense[i]);
                assert_int_equal(history_from_json(read, 4, &back), -EBADMSG);
                json_object_put(read);
        }
}

/* Who prints the cost in tenths, as numabalancectl does, prints what the verdict beside it says. */
static void test_rounded_once(void **state) {
        for (unsigned i = 0; i < 40000; i++) {
                struct candidate c = { .verdict = VERDICT_CHOSEN, .chosen = true, .cost = 10 + i * 0.0000093 };
                const struct explanation e = { .candidates = &c, .n_candidates = 1 };
                struct json_object *all = view_candidates(&e), *cost, *verdict;
                assert_true(json_object_object_get_ex(json_object_array_get_idx(all, 0), "cost", &cost));
                assert_true(json_object_object_get_ex(json_object_array_get_idx(all, 0), "verdict", &verdict));
                _cleanup_free_ char *expected = format_string("chosen: costs %.1f (", json_object_get_double(cost));
                if (strncmp(json_object_get_string(verdict), expected, strlen(expected)) != 0)
                        fail_msg("%.6f: \"%s…\" beside \"%s\"", c.cost, expected, json_object_get_string(verdict));
                json_object_put(all);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_remembered_names), cmocka_unit_test(test_observed),   cmocka_unit_test(test_placed),
                cmocka_unit_test(test_hostile_names),    cmocka_unit_test(test_topology),   cmocka_unit_test(test_numbers),
                cmocka_unit_test(test_formats),          cmocka_unit_test(test_text_clean), cmocka_unit_test(test_rounded_once),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
