/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a cpuset change should lead to, and waiting until the kernel says that it has. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "act/ops.h"

/* One side of two configured values is the same (both unset, or the same set). */
bool cpuset_cpus_equal(const struct cpuset_value *a, const struct cpuset_value *b);
bool cpuset_mems_equal(const struct cpuset_value *a, const struct cpuset_value *b);
/* The configured side lets everything through that the parent has, so it restrains nothing. True where unset. */
bool cpuset_cpus_are_free(const struct cpuset_state *s);
bool cpuset_mems_are_free(const struct cpuset_state *s);

/* Does the premise of a change still hold? NULL always does. */
bool cpuset_premise_holds(const struct cpuset_premise *p, const struct cpuset_change *c, const struct cpuset_value *configured);
/* One value more. There must be room. */
void cpuset_premise_add(struct cpuset_premise *p, const struct cpuset_value *v);

/* Does the state show that the change took effect? A set value is in force when it is configured and exactly those of its members are effective that the
 * parent has, and at least one is: of a set wholly outside the parent's the kernel says nothing and uses the parent's (cgroup-v2.rst,
 * cpuset.cpus). An unset one when all that the parent has is effective, and what is configured leaves none of it out. */
bool cpuset_in_force(const struct cpuset_state *s, const struct cpuset_change *c);

/* 0: in force; -EREMOTEIO: not by the limit; other negative errno: reading failed (-ENOENT: the cgroup is gone). `last` is what the
 * kernel had at the end, NULL where nothing could be read. */
typedef void (*cpuset_wait_done)(int result, const struct cpuset_state *last, void *userdata);

/* A service manager answers before it has written the cgroup, so a change is waited for: reads the state now and then every 50 ms, later
 * up to every 500 ms, until the change is in force. Copies target and change. `done` is called exactly once, possibly before this returns.
 * Returns 0, or negative errno (then `done` is not called). */
int cpuset_wait(const struct act *act, const struct target *t, const struct cpuset_change *c, uint64_t limit_usec,
                cpuset_wait_done done, void *userdata);
