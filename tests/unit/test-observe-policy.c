/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The deep read: whose a policy is, of a process, of one thread or of a mapping, and what it means for the service. */
#include "observe-deep-fixture.h"

static void put_thread_maps(struct setup *s, pid_t pid, pid_t tid, const char *text) {
        char path[64];
        (void) snprintf(path, sizeof path, "proc/%d/task/%d/numa_maps", (int) pid, (int) tid);
        tree_put(&s->tree, path, text);
}

static void test_policies_overridden(void **state) {
        static const struct deep_options override = { .override_policy = true };
        struct setup s;
        setup_make(&s);
        add(&s, 820, 7002);
        s.options = &override;
        put_maps(&s, 820, "1000 bind:0 N0=1\n2000 interleave:0-3 stack N0=1 N1=2\n3000 local mapmax=2 N2=7\n");
        const struct deep_sample *d = deep(&s);
        assert_true(d->self_managed); /* it is, all the same */
        assert_by_node(d->movable_by_node, 2 * KIB4, 2 * KIB4, 0, 0);
        setup_done(&s);
}

static void test_policies(void **state) {
        static const struct {
                const char *maps, *own;
                bool self, bound;
                uint64_t movable;
        } all[] = {
                { "1000 default N0=1\n2000 default stack N0=1\n", NULL, false, false, 2 },
                /* every mapping alike: the task's */
                { "1000 bind:0 N0=1\n2000 bind:0 stack N0=1\n", "bind:0", true, false, 0 },
                /* one has none of its own: the others' are theirs */
                { "1000 bind:0 N0=1\n2000 default stack N0=1\n", "bind:0", false, true, 1 },
                { "1000 default N0=1\n2000 prefer (many):1-2 N0=5\n3000 bind:1\n", "prefer (many):1-2", false, true, 1 },
                /* a task policy and mappings with another: the stack tells the task's */
                { "1000 bind:0 N0=1\n2000 interleave:0-3 stack N0=1\n3000 local", "interleave:0-3", true, false, 0 },
                { "1000 bind:0 N0=1\n2000 interleave:0-3 N0=1\n", "bind:0", true, false, 0 },
                /* one mapping alone, one that this program does not know */
                { "1000 prefer:1", "prefer:1", true, false, 0 },
                { "1000 quantum leap:1 N0=1\n2000 default", "quantum leap:1", false, true, 0 },
        };
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                struct setup s;
                setup_make(&s);
                add(&s, 820, 7002);
                put_maps(&s, 820, all[i].maps);
                const struct deep_sample *d = deep(&s);
                assert_int_equal(d->self_managed, all[i].self);
                assert_int_equal(d->has_bound_mappings, all[i].bound);
                if (all[i].own)
                        assert_string_equal(d->own_policy, all[i].own);
                else
                        assert_null(d->own_policy);
                assert_int_equal(d->movable_by_node[0], all[i].movable * KIB4);
                setup_done(&s);
        }
}

static void test_one_of_several(void **state) {
        struct setup s;
        setup_make(&s);
        add(&s, 400, 3000);
        add(&s, 401, 3001);
        add(&s, 402, 3002);
        put_maps(&s, 400, "1000 default N0=1\n2000 bind:2 N0=1\n");
        put_maps(&s, 401, "1000 interleave:0-1 N0=1\n2000 interleave:0-1 N0=1\n");
        const struct deep_sample *d = deep(&s);
        assert_true(d->self_managed);
        assert_true(d->has_bound_mappings);
        assert_string_equal(d->own_policy, "interleave:0-1"); /* the task's policy says more */
        setup_done(&s);
}

static void test_threads(void **state) {
        static const struct {
                const char *leader, *thread, *own;
        } all[] = {
                { "1000 default N0=1\n2000 default\n", "1000 bind:1 N0=1\n2000 bind:1\n", "bind:1" },
                { "1000 default N0=1\n2000 default\n", "1000 default N0=1\n2000 default\n", NULL },
                /* the first mapping has a policy of its own: the same for both, the second tells */
                { "1000 bind:0 N0=1\n2000 default\n", "1000 bind:0 N0=1\n2000 default\n", NULL },
                { "1000 bind:0 N0=1\n2000 default\n", "1000 bind:0 N0=1\n2000 local\n", "local" },
                { "1000 bind:0 N0=1\n2000 default\n", "1000 bind:0 N0=1\n2000 bind:0\n", "bind:0" },
                /* it was unmapped meanwhile: what is there now proves nothing … */
                { "1000 default\n", "3000 bind:0\n", NULL },
                { "2000 default\n", "1000 bind:0\n", NULL },
                /* … but the text of a thread that is ending, or nonsense, neither */
                { "1000 default\n", "", NULL },
                { "1000 default\n", "garbage\n", NULL },
                { "1000 default\n", "1000 bind:1 N77=1\n", NULL },
        };
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                struct setup s;
                setup_make(&s);
                add(&s, 300, 2000);
                put_maps(&s, 300, all[i].leader);
                for (pid_t tid = 301; tid <= 302; tid++)
                        put_thread_maps(&s, 300, tid, all[i].leader);
                put_thread_maps(&s, 300, 303, all[i].thread);
                put_thread_maps(&s, 300, 300, "1000 bind:3\n"); /* the leader's is known: not asked again */
                const struct deep_sample *d = deep(&s);
                assert_int_equal(d->self_managed, all[i].own != NULL);
                if (all[i].own)
                        assert_string_equal(d->own_policy, all[i].own);
                assert_int_equal(d->n_processes_read, 1);
                setup_done(&s);
        }
}

/* The first line is longer than the first piece read, and many mappings with their own policy come before the one that tells. */
static void test_thread_far_down(void **state) {
        struct setup s;
        setup_make(&s);
        add(&s, 300, 2000);
        struct strbuf leader = { 0 };
        for (unsigned i = 0; i < 300; i++)
                strbuf_printf(
                        &leader,
                        "%x000 bind:0 file=/a/rather/long/name/that/makes/the/line/longer/than/one/hundred/and/twenty/eight/"
                        "bytes/so/that/it/must/be/read/in/two N0=1\n",
                        i + 16);
        _cleanup_free_ char *bound = strbuf_steal(&leader), *text = format_string("%sfffff000 default\n", bound);
        _cleanup_free_ char *local = format_string("%sfffff000 local\n", bound);
        put_maps(&s, 300, text);
        for (pid_t tid = 301; tid <= 303; tid++)
                put_thread_maps(&s, 300, tid, text);
        assert_false(deep(&s)->self_managed);
        put_thread_maps(&s, 300, 302, local);
        const struct deep_sample *d = deep(&s);
        assert_true(d->self_managed);
        assert_string_equal(d->own_policy, "local");
        setup_done(&s);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_policies_overridden), cmocka_unit_test(test_policies),
                cmocka_unit_test(test_one_of_several),      cmocka_unit_test(test_threads),
                cmocka_unit_test(test_thread_far_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
