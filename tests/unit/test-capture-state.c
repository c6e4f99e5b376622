/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a capture says of services beside its files: enough for large machines, and no more than can be read. */
#include "capture-fixture.h"
#include "capture/state.h"

#define N_SERVICES 500u
#define N_IDS      64u

static uint64_t many[N_IDS];
static uint32_t shares[N_IDS];

/* As long as they get: all arrays, numbers with as many digits as such numbers have, a name of a hundred letters. */
static struct history_entry entry_of(unsigned i) {
        struct history_entry e = { .n_ids = N_IDS, .share_by_node = shares, .fixed_by_node = many, .borrowed_by_node = many };
        e.cgroup = format_string("/system.slice/system-some.slice/%060u@instance.service", i);
        e.rule_key = e.interleave_key = UINT64_MAX;
        e.since_usec = e.deep_usec = e.placed_usec = e.settled_usec = e.started_usec = e.last_seen_usec = many[0];
        e.peak_bytes = e.unmovable_bytes = e.kept_bytes = many[0];
        e.home = node_set_of(63);
        return e;
}

static void test_large_machine(void **state) {
        struct capture_state s = {
                .page_bytes = 4096, .ticks_per_sec = 100, .sysconfdir = (char *) "/etc", .vendorconfdir = (char *) "/usr/lib"
        };
        for (unsigned i = 0; i < N_IDS; i++) {
                many[i] = 999999999999;
                shares[i] = 15625;
        }
        s.history.entries = calloc(N_SERVICES, sizeof(*s.history.entries));
        s.history.n_entries = N_SERVICES;
        for (unsigned i = 0; i < N_SERVICES; i++)
                s.history.entries[i] = entry_of(i);
        struct json_object *o = capture_state_to_json(&s);
        const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
        size_t size = strlen(text), n = 20; /* times as much: 10,000 services */
        struct strbuf whole = { 0 };
        for (size_t i = 0; i < n; i++)
                strbuf_append(&whole, text);
        _cleanup_free_ char *copy = strbuf_steal(&whole);
        assert_non_null(copy);
        assert_true(capture_state_fits(copy, n * size));
        json_object_put(o);
        for (unsigned i = 0; i < N_SERVICES; i++)
                free(s.history.entries[i].cgroup);
        free(s.history.entries);
}

static void assert_replay(const struct machine *m, const char *text, int result) {
        struct replay replay;
        char *why;
        tree_put(&m->copy, CAPTURE_STATE, text);
        assert_int_equal(replay_run(m->copy.root, NULL, &replay, &why), result);
        free(why);
}

/* Somebody else's file: it is not read into memory that takes fifty times as much. */
static void test_hostile(void **state) {
        struct machine m;
        put_machine(&m);
        take(&m, NULL, NULL);
        travel(&m);
        for (unsigned more = 0; more < 2; more++) { /* as many as may be, and none of them what is wanted; and one more */
                struct strbuf b = { 0 };
                strbuf_append(&b, "[0");
                for (unsigned i = 1; i < CAPTURE_STATE_VALUES_MAX + more; i++)
                        strbuf_append(&b, ",0");
                strbuf_append(&b, "]");
                _cleanup_free_ char *text = strbuf_steal(&b);
                assert_non_null(text);
                assert_replay(&m, text, more ? -EFBIG : -EBADMSG);
        }
        assert_replay(&m, "{\"version\":1,\"history\":[[[[[[[[[[0]]]]]]]]]]}", -EBADMSG);
        assert_replay(&m, "{} {}", -EBADMSG);
        assert_replay(&m, "null", -EBADMSG);
        _cleanup_free_ char *path = format_string("%s/" CAPTURE_STATE, m.copy.root);
        assert_int_equal(truncate(path, (off_t) CAPTURE_STATE_BYTES_MAX + 1), 0);
        struct replay replay;
        char *why;
        assert_int_equal(replay_run(m.copy.root, NULL, &replay, &why), -EFBIG);
        tree_done(&m.copy);
}

/* The name of the one file that the configuration was in comes back as it was. */
static void test_odd_name(void **state) {
        struct capture_state s = { .page_bytes = 4096,
                                   .ticks_per_sec = 100,
                                   .sysconfdir = (char *) "/etc",
                                   .vendorconfdir = (char *) "/usr/lib",
                                   .one_file = (char *) "/etc/\xff.yaml" },
                             back;
        struct json_object *o = capture_state_to_json(&s);
        _cleanup_free_ char *text = strdup(json_object_to_json_string(o));
        json_object_put(o);
        assert_null(strchr(text, '\xff'));
        o = json_tokener_parse(text);
        assert_int_equal(capture_state_from_json(o, 1, &back), 0);
        assert_string_equal(back.one_file, s.one_file);
        capture_state_done(&back);
        json_object_put(o);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_large_machine),
                cmocka_unit_test(test_hostile),
                cmocka_unit_test(test_odd_name),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
