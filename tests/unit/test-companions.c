/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is whose companion by the rules, and lists of their processes. */
#include "core/companions.h"

#include <string.h>

#include "core/util.h"
#include "unit.h"

static struct rule rule(const char *name, const char *with, enum shared_pages shared) {
        struct rule r;
        rule_init(&r);
        r.name = strdup(name);
        r.place = PLACE_COMPACT;
        r.shared_pages = shared;
        if (with)
                assert_int_equal(string_list_add(&r.together_with, with), 0);
        return r;
}

static void test_bonds(void **state) {
        struct rule rules[] = {
                rule("alone", NULL, SHARED_PAGES_MOVE),     rule("vm", "switch", SHARED_PAGES_MOVE),
                rule("switch", NULL, SHARED_PAGES_MOVE),    rule("cache", "web", SHARED_PAGES_MOVE),
                rule("web", "db", SHARED_PAGES_SKIP),       rule("db", NULL, SHARED_PAGES_MOVE),
                rule("self", "self", SHARED_PAGES_MOVE),    rule("gone", "absent", SHARED_PAGES_MOVE),
                rule("absent", "alone", SHARED_PAGES_MOVE), rule("ignored", "self", SHARED_PAGES_MOVE),
        };
        const struct config config = { .rules = rules, .n_rules = ARRAY_SIZE(rules) };
        /* Of each rule one service; of "self" two, of "absent" none, and one that no rule matched. */
        static const int of[] = { 3, 0, 1, 6, 5, 2, 4, 6, -1, 7, 9 };
        struct service_sample samples[ARRAY_SIZE(of)];
        size_t bonds[ARRAY_SIZE(of)];
        rules[9].place = PLACE_IGNORE;
        for (size_t i = 0; i < ARRAY_SIZE(of); i++) {
                service_sample_init(&samples[i]);
                samples[i].rule = of[i] < 0 ? NULL : &rules[of[i]];
        }
        assert_int_equal(services_bond(&config, samples, ARRAY_SIZE(of), bonds), 0);
        assert_true(bonds[1] == SIZE_MAX && bonds[8] == SIZE_MAX && bonds[10] == SIZE_MAX);
        assert_true(bonds[9] == SIZE_MAX); /* whom it names is not here */
        assert_true(bonds[2] != SIZE_MAX && bonds[2] == bonds[5]);
        /* By way of one whose own shared pages stay. */
        assert_true(bonds[0] != SIZE_MAX && bonds[0] == bonds[4]);
        assert_true(bonds[6] == SIZE_MAX);
        assert_true(bonds[3] != SIZE_MAX && bonds[3] == bonds[7]);
        assert_true(bonds[0] != bonds[2] && bonds[0] != bonds[3] && bonds[2] != bonds[3]);
        /* Without the one in between nothing joins them. */
        samples[6].rule = NULL;
        assert_int_equal(services_bond(&config, samples, ARRAY_SIZE(of), bonds), 0);
        assert_true(bonds[0] == SIZE_MAX && bonds[4] == SIZE_MAX);
        for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
                rule_done(&rules[i]);
}

static void test_lists(void **state) {
        struct process_ref p[] = { { 1, 10 }, { 2, 20 }, { 3, 30 }, { 4, 40 } }, other[] = { { 2, 20 }, { 3, 31 } };
        const struct service_sample a = { .cgroup = (char *) "/a", .processes = p, .n_processes = 4 },
                                    own = { .cgroup = (char *) "/own", .processes = other, .n_processes = 2 };
        struct companions c = { 0 }, copy, none;
        assert_true(companions_key(&c) == 0);
        assert_int_equal(companions_add(&c, &a, &own, &p[3], 1, 100), 0);
        assert_int_equal(c.n_processes, 2); /* not 2, which is the service's own, nor 4; 3 is another than its 3 */
        assert_int_equal(c.items[0].processes[0].pid, 1);
        assert_int_equal(c.items[0].processes[1].pid, 3);
        uint64_t key = companions_key(&c);
        assert_true(key != 0);
        assert_int_equal(companions_copy(&c, &copy), 0);
        assert_true(companions_key(&copy) == key);
        assert_string_equal(copy.items[0].cgroup, "/a");
        assert_int_equal(companions_add(&copy, &a, NULL, NULL, 0, 5), 0);
        assert_int_equal(copy.n_processes, 5); /* no more than that in all */
        assert_true(companions_key(&copy) != key);
        assert_int_equal(companions_copy(NULL, &none), 0);
        assert_int_equal(none.n_items, 0);
        companions_done(&c);
        companions_done(&c);
        companions_done(&copy);
        companions_done(&none);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bonds),
                cmocka_unit_test(test_lists),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
