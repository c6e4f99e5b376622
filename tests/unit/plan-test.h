/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the planner's tests have in common. */
#pragma once

#include "../sim/world.h"
#include "unit.h"

static inline struct plan *free_and_plan(struct plan *old, struct world *w) {
        plan_free(old);
        return world_plan(w);
}

static inline struct rule *named_rule(struct world *w, enum place place, const char *name, unsigned priority) {
        struct rule *r = world_rule(w, place);
        free(r->name);
        r->name = strdup(name);
        assert_non_null(r->name);
        r->priority = priority;
        return r;
}

static inline void add_name(struct string_list *l, const char *name) {
        assert_int_equal(string_list_add(l, name), 0);
}

/* So much memory and CPU time, all on one node. */
static inline struct service_sample *service_on(struct world *w, const char *name, const struct rule *r, unsigned node,
                                                uint64_t bytes, double cpus) {
        struct service_sample *s = world_service(w, name, r);
        world_memory(w, s, node, bytes);
        world_cpu(w, s, node, cpus);
        return s;
}

static inline const struct placement *placement_of(const struct world *w, const struct plan *p, const char *name) {
        return &p->placements[world_index(w, name)];
}

#define assert_home(world, plan, name, expected) assert_nodes(placement_of(world, plan, name)->home, expected)

#define assert_nodes(set, expected)                                                                                              \
        do {                                                                                                                     \
                struct node_set _set = (set);                                                                                    \
                char *_list = node_set_format(&_set);                                                                            \
                assert_string_equal(_list, (expected));                                                                          \
                free(_list);                                                                                                     \
        } while (0)

#define assert_state(placement, expected)                                                                                        \
        assert_string_equal(service_state_to_string((placement)->state), service_state_to_string(expected))

/* `part` occurs in the text. */
#define assert_says(text, part)                                                                                                  \
        do {                                                                                                                     \
                if (!strstr((text), (part)))                                                                                     \
                        print_error("\"%s\" does not say \"%s\"\n", (text), (part));                                             \
                assert_non_null(strstr((text), (part)));                                                                         \
        } while (0)
