/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the planner's tests have in common. */
#pragma once

#include "../sim/world.h"
#include "unit.h"

static inline struct plan *free_and_plan(struct plan *old, struct world *w) {
        plan_free(old);
        return world_plan(w);
}

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
