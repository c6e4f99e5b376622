/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules that the kernel's own balancing goes against, and what to write. */
#include "config/config-warnings.h"

#include "config/config-private.h"

static bool has_cpus(const struct rule *r, const struct topology *t) {
        struct node_set with_cpus = topology_nodes_with_cpus(t), here = node_set_intersect(&r->nodes, &with_cpus);
        return r->place == PLACE_NEAR || !node_set_is_empty(&here);
}

/* What to write in the rule, beside what can be written below daemon: */
static const char *remedy(const struct rule *r, const struct topology *t) {
        bool apart = rule_memory_is_apart(r, t), respects = r->kernel_balancing == KERNEL_BALANCING_RESPECT;
        if (r->place == PLACE_INTERLEAVE && !respects)
                return apart ? "\"kernel-balancing: respect\" and \"memory: strict\"" : "\"kernel-balancing: respect\"";
        return r->place != PLACE_INTERLEAVE && has_cpus(r, t) ? "\"cpus: restrict\" or \"memory: strict\"" : "\"memory: strict\"";
}

static const char *what_happens(enum kernel_meeting m) {
        return m == MEETS_TIERS ? "brings memory that is used from slow nodes to fast ones"
                                : "brings memory to the threads that use it";
}

int config_warn_kernel(const struct config *c, const struct topology *t, const struct kernel_memory *kernel,
                       struct config_errors *warnings) {
        struct kernel_memory set = *kernel;
        if (c->settings.kernel_balancing == BALANCING_OFF)
                return 0;
        if (c->settings.kernel_balancing == BALANCING_ON && kernel->has_balancing)
                set.balancing |= BALANCING_THREADS;
        const char *is = set.balancing == kernel->balancing ? "is" : "is switched";
        for (size_t i = 0; i < c->n_rules; i++) {
                const struct rule *r = &c->rules[i];
                enum kernel_meeting m = rule_meets_kernel(r, t, &set);
                if (m == MEETS_NOTHING || r->kernel_balancing == KERNEL_BALANCING_OVERRIDE)
                        continue;
                int e = config_errors_add(warnings,
                                          format_string("%s:%u:%u: warning: the kernel's own balancing %s on "
                                                        "(kernel.numa_balancing=%u) and %s, away from where place: %s puts it; "
                                                        "write %s here, or \"kernel-balancing: off\" below daemon:",
                                                        r->file, r->place_line, r->place_column, is, set.balancing,
                                                        what_happens(m), place_to_string(r->place), remedy(r, t)));
                if (e < 0)
                        return e;
        }
        return 0;
}
