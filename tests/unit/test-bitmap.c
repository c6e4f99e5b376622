/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sets and the kernel's list format: what goes in comes out, and what is not in the format is refused. */
#include "core/bitmap.h"

#include "core/util.h"
#include "unit.h"

static struct node_set nodes(const char *list) {
        struct node_set s = { 0 };
        assert_int_equal(node_set_parse(list, &s), 0);
        return s;
}

static void test_add_and_next(void **state) {
        struct node_set s = { 0 };
        assert_true(node_set_is_empty(&s));
        assert_int_equal(node_set_next(&s, 0), -1);
        static const unsigned ids[] = { 0, 63, 64, 127, 500, NODE_ID_MAX };
        for (size_t i = ARRAY_SIZE(ids); i-- > 0;)
                node_set_add(&s, ids[i]);
        assert_int_equal(node_set_count(&s), ARRAY_SIZE(ids));
        size_t n = 0;
        NODE_SET_FOREACH (id, &s)
                assert_int_equal(id, ids[n++]);
        assert_int_equal(n, ARRAY_SIZE(ids));
        assert_int_equal(node_set_next(&s, 65), 127);
        assert_int_equal(node_set_next(&s, NODE_ID_MAX), NODE_ID_MAX);
        assert_int_equal(node_set_next(&s, NODE_ID_MAX + 1), -1);
        assert_int_equal(node_set_next(&s, UINT32_MAX), -1);
        node_set_remove(&s, 64);
        assert_false(node_set_has(&s, 64));
        assert_true(node_set_has(&s, 63));
        assert_int_equal(node_set_count(&s), ARRAY_SIZE(ids) - 1);
}

static void test_past_the_limit(void **state) {
        struct node_set s = node_set_of(3), before = s;
        node_set_add(&s, NODE_ID_MAX + 1);
        node_set_add(&s, UINT32_MAX);
        node_set_remove(&s, NODE_ID_MAX + 1);
        assert_true(node_set_equal(&s, &before));
        assert_false(node_set_has(&s, NODE_ID_MAX + 1));
        assert_false(node_set_has(&s, UINT32_MAX));
        struct cpu_mask m = { 0 };
        cpu_mask_add(&m, CPU_ID_MAX + 1);
        assert_true(cpu_mask_is_empty(&m));
        cpu_mask_add(&m, CPU_ID_MAX);
        assert_true(cpu_mask_has(&m, CPU_ID_MAX));
        assert_int_equal(cpu_mask_count(&m), 1);
}

static void test_algebra(void **state) {
        struct node_set a = nodes("0-3,64"), b = nodes("2-5,1023"), r;
        r = node_set_union(&a, &b);
        struct node_set expected = nodes("0-5,64,1023");
        assert_true(node_set_equal(&r, &expected));
        r = node_set_intersect(&a, &b);
        expected = nodes("2-3");
        assert_true(node_set_equal(&r, &expected));
        r = node_set_subtract(&a, &b);
        expected = nodes("0-1,64");
        assert_true(node_set_equal(&r, &expected));
        assert_true(node_set_is_subset(&r, &a));
        assert_false(node_set_is_subset(&a, &r));
        struct node_set empty = { 0 };
        assert_true(node_set_is_subset(&empty, &r));
        assert_false(node_set_is_subset(&r, &empty));
        assert_false(node_set_equal(&a, &b));
}

static void test_cpu_masks(void **state) {
        struct cpu_mask a, b;
        assert_int_equal(cpu_mask_parse("0-7,4096-8191", &a), 0);
        assert_int_equal(cpu_mask_count(&a), 8 + 4096);
        assert_int_equal(cpu_mask_parse("7-8,8191", &b), 0);
        assert_false(cpu_mask_is_subset(&b, &a));
        struct cpu_mask both = a;
        cpu_mask_and(&both, &b);
        _cleanup_free_ char *text = cpu_mask_format(&both);
        assert_string_equal(text, "7,8191");
        assert_true(cpu_mask_is_subset(&both, &a));
        cpu_mask_or(&a, &b);
        assert_true(cpu_mask_is_subset(&b, &a));
        assert_int_equal(cpu_mask_next(&a, 9), 4096);
        assert_false(cpu_mask_equal(&a, &b));
}

static void test_parse_and_format(void **state) {
        static const struct {
                const char *in, *out;
        } cases[] = {
                { "", "" },           { "\n", "" },   { "0", "0" },   { "0-1,3", "0-1,3" },   { "0-1,3\n", "0-1,3" },
                { "3,1,0", "0-1,3" }, /* any order, overlaps: as the kernel */
                { "0-4,2-6", "0-6" }, { "5-5", "5" }, { "007", "7" }, { "0-1023", "0-1023" }, { "1023", "1023" },
                { "62-65", "62-65" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct node_set s = nodes(cases[i].in);
                _cleanup_free_ char *out = node_set_format(&s);
                assert_string_equal(out, cases[i].out);
        }
}

static void test_parse_refuses(void **state) {
        static const struct {
                const char *in;
                int error;
        } cases[] = {
                { ",", -EINVAL },          { "0,", -EINVAL },
                { ",0", -EINVAL },         { "0,,1", -EINVAL },
                { "1-0", -EINVAL },        { "0-", -EINVAL },
                { "-1", -EINVAL },         { "0-1-2", -EINVAL },
                { " 0", -EINVAL },         { "0 ", -EINVAL },
                { "0, 1", -EINVAL },       { "+1", -EINVAL },
                { "0x1", -EINVAL },        { "all", -EINVAL },
                { "0-7:1/2", -EINVAL },    { "0\n\n", -EINVAL },
                { "0\n1", -EINVAL },       { "\n\n", -EINVAL },
                { "1024", -ERANGE },       { "0-1024", -ERANGE },
                { "4294967296", -ERANGE }, { "99999999999999999999999999999999", -ERANGE },
        };
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct node_set s = node_set_of(9), before = s;
                assert_int_equal(node_set_parse(cases[i].in, &s), cases[i].error);
                assert_true(node_set_equal(&s, &before)); /* set only on success */
        }
        struct cpu_mask m = { 0 };
        assert_int_equal(cpu_mask_parse("8191", &m), 0);
        assert_int_equal(cpu_mask_parse("8192", &m), -ERANGE);
        assert_true(cpu_mask_has(&m, 8191));
}

static void test_round_trip(void **state) {
        uint64_t seed = 1;
        for (unsigned round = 0; round < 200; round++) {
                struct node_set s = { 0 }, back = { 0 };
                for (unsigned i = 0; i < 40; i++) {
                        seed = seed * UINT64_C(6364136223846793005) + 1;
                        node_set_add(&s, (unsigned) (seed >> 33) & NODE_ID_MAX);
                }
                _cleanup_free_ char *text = node_set_format(&s);
                assert_int_equal(node_set_parse(text, &back), 0);
                assert_true(node_set_equal(&s, &back));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_add_and_next),     cmocka_unit_test(test_past_the_limit),
                cmocka_unit_test(test_algebra),          cmocka_unit_test(test_cpu_masks),
                cmocka_unit_test(test_parse_and_format), cmocka_unit_test(test_parse_refuses),
                cmocka_unit_test(test_round_trip),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
