/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every form of numa_maps, cut at every place; and what is no numa_maps is said to be none. */
#include "host/numa-maps.h"

#include <errno.h>
#include <stdio.h>

#include "core/util.h"
#include "unit.h"

#define N_IDS 8

/* What was called back, as text: one line per mapping, so that runs can be compared. */
struct seen {
        struct strbuf text;
        unsigned n;
        int fail_at; /* 0: never */
        struct numa_mapping last;
        uint64_t last_pages[N_IDS];
};

static int take(const struct numa_mapping *m, void *userdata) {
        struct seen *s = userdata;
        strbuf_printf(&s->text, "%llx %d [%.*s] %d%d%d%d [%.*s] %llu %llu %llu %llu %llu %llu %llu %llu t%d",
                      (unsigned long long) m->start, (int) m->policy, (int) m->policy_length, m->policy_text, m->is_file,
                      m->is_heap, m->is_stack, m->is_hugetlb, (int) m->file_length, m->file ? m->file : "",
                      (unsigned long long) m->anon_pages, (unsigned long long) m->dirty_pages,
                      (unsigned long long) m->mapped_pages, (unsigned long long) m->mapmax,
                      (unsigned long long) m->swapcache_pages, (unsigned long long) m->active_pages,
                      (unsigned long long) m->writeback_pages, (unsigned long long) m->kernel_page_bytes, m->truncated);
        for (unsigned i = 0; i < N_IDS; i++)
                strbuf_printf(&s->text, " %llu", (unsigned long long) m->pages_by_node[i]);
        strbuf_append(&s->text, "\n");
        s->last = *m;
        memcpy(s->last_pages, m->pages_by_node, sizeof s->last_pages);
        assert_true(m->first_node <= m->end_node && m->end_node <= N_IDS);
        for (unsigned i = 0; i < N_IDS; i++)
                assert_true(m->pages_by_node[i] == 0 || (i >= m->first_node && i < m->end_node));
        return (int) ++s->n == s->fail_at ? -ECANCELED : 0;
}

static void seen_done(struct seen *s) {
        strbuf_done(&s->text);
}

/* Parses in two pieces, cut at `cut`. */
static int parse_cut(const char *text, size_t size, size_t cut, struct seen *s) {
        _cleanup_(numa_maps_parser_freep) struct numa_maps_parser *p = numa_maps_parser_new(N_IDS, 4096, take, s);
        assert_non_null(p);
        int r = numa_maps_parser_feed(p, text, cut);
        if (r == 0)
                r = numa_maps_parser_feed(p, text + cut, size - cut);
        int finish = numa_maps_parser_finish(p);
        if (r < 0)
                assert_int_equal(finish, r); /* an error stays */
        return finish;
}

static int parse(const char *text, struct seen *s) {
        return parse_cut(text, strlen(text), strlen(text), s);
}

static void test_policies(void **state) {
        static const struct {
                const char *text;
                enum policy_mode mode;
        } all[] = {
                { "default", POLICY_DEFAULT },
                { "local", POLICY_LOCAL },
                { "prefer:1", POLICY_PREFERRED },
                { "prefer=static:1", POLICY_PREFERRED },
                { "prefer (many):1-2", POLICY_PREFERRED_MANY },
                { "prefer (many)=relative:1-2", POLICY_PREFERRED_MANY },
                { "bind:0-1", POLICY_BIND },
                { "bind=static:1", POLICY_BIND },
                { "bind=relative:1", POLICY_BIND },
                { "bind=balancing:0-1", POLICY_BIND },
                { "bind=static|balancing:0-1", POLICY_BIND },
                { "interleave:0-3", POLICY_INTERLEAVE },
                { "interleave:0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,", POLICY_INTERLEAVE }, /* cut by the kernel */
                { "weighted interleave:0-1", POLICY_WEIGHTED_INTERLEAVE },
                { "weighted interleave=static:0-1", POLICY_WEIGHTED_INTERLEAVE },
                { "weighted interleave", POLICY_WEIGHTED_INTERLEAVE },
                { "newfangled:0", POLICY_UNKNOWN },
                { "three word policy:0-1", POLICY_UNKNOWN },
                { "default=static:0", POLICY_UNKNOWN },
                { "defaults", POLICY_UNKNOWN },
                { "bin:0", POLICY_UNKNOWN },
        };
        static const char *const tails[] = { "", " file=/a:b(c) N1=3 kernelpagesize_kB=4",
                                             " heap anon=3 dirty=3 N1=3 kernelpagesize_kB=4", " stack",
                                             " huge N0=1 kernelpagesize_kB=2048" };
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                for (size_t k = 0; k < ARRAY_SIZE(tails); k++) {
                        _cleanup_free_ char *line = format_string("7f00 %s%s\n", all[i].text, tails[k]);
                        _cleanup_(seen_done) struct seen s = { 0 };
                        assert_int_equal(parse(line, &s), 0);
                        assert_int_equal(s.n, 1);
                        assert_int_equal(s.last.policy, all[i].mode);
                        assert_int_equal(s.last.policy_length, strlen(all[i].text));
                        assert_false(s.last.truncated);
                        assert_int_equal(s.last.is_file, k == 1);
                        assert_int_equal(s.last.is_heap, k == 2);
                        assert_int_equal(s.last.is_stack, k == 3);
                        assert_int_equal(s.last.is_hugetlb, k == 4);
                        _cleanup_free_ char *want = format_string("[%s]", all[i].text);
                        assert_non_null(strstr(s.text.text, want));
                }
}

static const char everything[] =
        "5590c7a3e000 default file=/usr/bin/a\\040b\\011c\\012d\\134\\075e mapped=2 mapmax=3 active=1 N0=1 N7=1 "
        "kernelpagesize_kB=4\n"
        "5590c7a60000 prefer (many):1-2 heap anon=4 dirty=5 swapcache=6 writeback=7 N2=4 kernelpagesize_kB=4\n"
        "7f5a00000000 weighted interleave:0-1 huge anon=3 dirty=3 N1=3 kernelpagesize_kB=1048576\n"
        "7f5b00000000 bind=static:1 file=/SYSV00000000\\040(deleted) dirty=9 mapped=8 N1=9\n"
        "7f5c00000000 default\n"
        "ffffffffff600000 default stack anon=18446744073709551615 N3=18446744073709551615 kernelpagesize_kB=64\n";

static void test_fields(void **state) {
        _cleanup_(seen_done) struct seen s = { 0 };
        assert_int_equal(parse(everything, &s), 0);
        assert_int_equal(s.n, 6);
        assert_string_equal(
                s.text.text,
                "5590c7a3e000 0 [default] 1000 [/usr/bin/a\\040b\\011c\\012d\\134\\075e] 0 0 2 3 0 1 0 4096 t0 1 0 0 0 0 0 0 1\n"
                "5590c7a60000 3 [prefer (many):1-2] 0100 [] 4 5 0 0 6 0 7 4096 t0 0 0 4 0 0 0 0 0\n"
                "7f5a00000000 6 [weighted interleave:0-1] 0001 [] 3 3 0 0 0 0 0 1073741824 t0 0 3 0 0 0 0 0 0\n"
                "7f5b00000000 4 [bind=static:1] 1000 [/SYSV00000000\\040(deleted)] 0 9 8 0 0 0 0 4096 t0 0 9 0 0 0 0 0 0\n"
                "7f5c00000000 0 [default] 0000 [] 0 0 0 0 0 0 0 4096 t0 0 0 0 0 0 0 0 0\n"
                "ffffffffff600000 0 [default] 0010 [] 18446744073709551615 0 0 0 0 0 0 65536 t0 0 0 0 "
                "18446744073709551615 0 0 0 0\n");
}

static void test_every_cut(void **state) {
        _cleanup_(seen_done) struct seen whole = { 0 };
        assert_int_equal(parse(everything, &whole), 0);
        for (size_t cut = 0; cut < sizeof everything; cut++) {
                _cleanup_(seen_done) struct seen s = { 0 };
                assert_int_equal(parse_cut(everything, sizeof everything - 1, cut, &s), 0);
                assert_string_equal(s.text.text, whole.text.text);
        }
        /* and byte by byte */
        _cleanup_(seen_done) struct seen s = { 0 };
        _cleanup_(numa_maps_parser_freep) struct numa_maps_parser *p = numa_maps_parser_new(N_IDS, 4096, take, &s);
        for (size_t i = 0; i < sizeof everything - 1; i++)
                assert_int_equal(numa_maps_parser_feed(p, everything + i, 1), 0);
        assert_int_equal(numa_maps_parser_finish(p), 0);
        assert_string_equal(s.text.text, whole.text.text);
}

static void test_last_line_without_newline(void **state) {
        _cleanup_(seen_done) struct seen s = { 0 };
        assert_int_equal(parse("1000 default N0=1\n2000 bind:1 N1=2", &s), 0);
        assert_int_equal(s.n, 2);
        assert_int_equal(s.last_pages[1], 2);
        assert_int_equal(s.last_pages[0], 0); /* nothing is left of the line before */
}

static void test_nothing(void **state) {
        _cleanup_(seen_done) struct seen s = { 0 };
        assert_int_equal(parse("", &s), 0);
        assert_int_equal(s.n, 0);
}

static void test_not_numa_maps(void **state) {
        static const char *const bad[] = { "\n",
                                           " default\n",
                                           "xyz default\n",
                                           "7f00\n",
                                           "7f00",
                                           "7f00 \n",
                                           "7f00  default\n",
                                           "11112222333344445 default\n",
                                           "7F00 default\n",
                                           "0x10 default\n",
                                           "-1 default\n" };
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                _cleanup_(seen_done) struct seen s = { 0 };
                assert_int_equal(parse(bad[i], &s), -EBADMSG);
                assert_int_equal(s.n, 0);
        }
        _cleanup_(seen_done) struct seen s = { 0 };
        assert_int_equal(parse("1000 default\n7f00\n2000 default\n", &s), -EBADMSG);
        assert_int_equal(s.n, 1);
}

static void test_not_understood(void **state) {
        static const char *const odd[] = {
                "1000 default N0=1 shiny",
                "1000 default N0=1 N0=",
                "1000 default N0=1 N=4",
                "1000 default N0=1 anon=-1",
                "1000 default N0=1 anon=99999999999999999999",
                "1000 default N0=1 kernelpagesize_kB=0",
                "1000 default N0=1 kernelpagesize_kB=18446744073709551615",
                "1000 default N0=1 future=7",
                "1000 default N0=1 =7",
                "1000 default N0=1 N0x=7",
                "1000 default shiny N0=1",
        };
        for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
                _cleanup_(seen_done) struct seen s = { 0 };
                assert_int_equal(parse(odd[i], &s), 0);
                assert_int_equal(s.n, 1);
                assert_true(s.last.truncated);
                assert_int_equal(s.last.policy, POLICY_DEFAULT); /* a newer kernel's flag does not make a policy of it */
                assert_int_equal(s.last_pages[0], 1);
                assert_int_equal(s.last.kernel_page_bytes, 4096);
        }
        _cleanup_(seen_done) struct seen s = { 0 };
        assert_int_equal(parse("1000 default N0=1 \n2000 default  N0=1\n", &s), 0); /* spaces alone are nothing */
        assert_false(s.last.truncated);
}

static void test_node_ids(void **state) {
        _cleanup_(seen_done) struct seen s = { 0 };
        assert_int_equal(parse("1000 default N7=1\n", &s), 0);
        assert_int_equal(parse("1000 default N8=1\n2000 default\n", &s), -ERANGE);
        assert_int_equal(s.n, 1); /* the line with an unknown node is not called back */
        assert_int_equal(parse("1000 default N4294967296=1\n", &s), -ERANGE);
}

static void test_callback_stops(void **state) {
        _cleanup_(seen_done) struct seen s = { .fail_at = 2 };
        _cleanup_(numa_maps_parser_freep) struct numa_maps_parser *p = numa_maps_parser_new(N_IDS, 4096, take, &s);
        assert_int_equal(numa_maps_parser_feed(p, everything, sizeof everything - 1), -ECANCELED);
        assert_int_equal(s.n, 2);
        assert_int_equal(numa_maps_parser_feed(p, everything, sizeof everything - 1), -ECANCELED);
        assert_int_equal(s.n, 2);
        numa_maps_parser_reset(p);
        assert_int_equal(numa_maps_parser_feed(p, everything, sizeof everything - 1), 0);
        assert_int_equal(s.n, 8);
}

/* The longest path that there can be, all of it escaped, is whole; more than that is cut, said so, and the next line is unharmed. */
static void test_long_lines(void **state) {
        static const size_t lengths[] = { 4096, 4096 + 16, 100000 };
        for (size_t k = 0; k < ARRAY_SIZE(lengths); k++) {
                struct strbuf b = { 0 };
                strbuf_append(&b, "1000 default file=");
                for (size_t i = 0; i < lengths[k]; i++)
                        strbuf_append(&b, "\\040");
                strbuf_append(&b, " N0=7 kernelpagesize_kB=4\n2000 default N1=1\n");
                _cleanup_free_ char *text = strbuf_steal(&b);
                _cleanup_(seen_done) struct seen s = { 0 };
                assert_int_equal(parse_cut(text, strlen(text), 65536 < strlen(text) ? 65536 : 1, &s), 0);
                assert_int_equal(s.n, 2);
                assert_false(s.last.truncated);
                assert_false(s.last.is_file);
                /* The same where the line stands in one piece, before another. */
                _cleanup_(seen_done) struct seen in_place = { 0 };
                assert_int_equal(parse(text, &in_place), 0);
                assert_string_equal(in_place.text.text, s.text.text);
                char *first_end = strchr(s.text.text, '\n');
                *first_end = 0;
                assert_int_equal(strstr(s.text.text, " t1 7 0") != NULL, k == 2);
                assert_int_equal(strstr(s.text.text, " t0 7 0") != NULL, k != 2);
                if (k == 0)
                        assert_true((size_t) (first_end - s.text.text) > 4 * 4096);
        }
        /* one policy of 300 bytes, one word of 100,000 that is nothing */
        struct strbuf b = { 0 };
        strbuf_append(&b, "1000 bind:");
        for (int i = 0; i < 300; i++)
                strbuf_append(&b, "1");
        strbuf_append(&b, " N0=1\n2000 default N0=2 ");
        for (int i = 0; i < 100000; i++)
                strbuf_append(&b, "9");
        strbuf_append(&b, " N1=3\n");
        _cleanup_free_ char *text = strbuf_steal(&b);
        _cleanup_(seen_done) struct seen s = { 0 };
        assert_int_equal(parse(text, &s), 0);
        assert_int_equal(s.n, 2);
        assert_non_null(strstr(s.text.text, "1000 4 ["));
        assert_true(s.last.truncated);
        assert_int_equal(s.last_pages[0], 2);
        assert_int_equal(s.last_pages[1], 3);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_policies),       cmocka_unit_test(test_fields),
                cmocka_unit_test(test_every_cut),      cmocka_unit_test(test_last_line_without_newline),
                cmocka_unit_test(test_nothing),        cmocka_unit_test(test_not_numa_maps),
                cmocka_unit_test(test_not_understood), cmocka_unit_test(test_node_ids),
                cmocka_unit_test(test_callback_stops), cmocka_unit_test(test_long_lines),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
