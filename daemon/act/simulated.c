/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The simulated machine as a whole: time, and making and ending it. Cgroups and their service manager are in simulated-cgroups.c, memory
 * is in simulated-memory.c. */
#include "act/simulated.h"

#include <errno.h>
#include <stdlib.h>

#include "act/simulated-internal.h"
#include "core/util.h"

/* Time */

int sim_call_later(void *context, uint64_t delay_usec, ops_later callback, void *userdata) {
        struct simulated *s = context;
        struct sim_event *e = malloc(sizeof(*e)), *other;
        if (!e)
                return -ENOMEM;
        *e = (struct sim_event) { .when_usec = s->now_usec + delay_usec, .callback = callback, .userdata = userdata };
        TAILQ_FOREACH(other, &s->events, entry)
        if (other->when_usec > e->when_usec) {
                TAILQ_INSERT_BEFORE(other, e, entry);
                return 0;
        }
        TAILQ_INSERT_TAIL(&s->events, e, entry);
        return 0;
}

uint64_t simulated_now(const struct simulated *s) {
        return s->now_usec;
}

void simulated_advance(struct simulated *s, uint64_t usec) {
        uint64_t until = s->now_usec + usec;
        struct sim_event *e;
        while ((e = TAILQ_FIRST(&s->events)) && e->when_usec <= until) {
                TAILQ_REMOVE(&s->events, e, entry);
                s->now_usec = e->when_usec;
                e->callback(e->userdata);
                free(e);
        }
        s->now_usec = until;
}

/* What act/ may do to it */

static int sim_get_kernel_balancing(void *context, unsigned *ret) {
        const struct simulated *s = context;
        *ret = s->knobs.kernel_balancing;
        return 0;
}

static int sim_set_kernel_balancing(void *context, unsigned mode, ops_done done, void *userdata) {
        struct simulated *s = context;
        if (s->knobs.fail_balancing == 0)
                s->knobs.kernel_balancing = mode;
        else if (s->knobs.fail_balancing != -EAGAIN)
                return s->knobs.fail_balancing;
        done(0, userdata);
        return 0;
}

static const struct act_ops simulated_ops = {
        .name = "simulated",
        .get_cpuset = sim_get_cpuset,
        .set_cpuset = sim_set_cpuset,
        .move_pages = sim_move_pages,
        .get_kernel_balancing = sim_get_kernel_balancing,
        .set_kernel_balancing = sim_set_kernel_balancing,
        .scan_pages = sim_scan_pages,
        .call_later = sim_call_later,
};

/* Making and ending it */

int simulated_new(unsigned n_nodes, unsigned cpus_per_node, struct simulated **ret) {
        struct simulated *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->topology = topology_new(n_nodes, n_nodes * cpus_per_node);
        s->free_pages = calloc(n_nodes, sizeof(*s->free_pages));
        TAILQ_INIT(&s->events);
        if (!s->topology || !s->free_pages) {
                simulated_free(s);
                return -ENOMEM;
        }
        for (unsigned n = 0; n < n_nodes; n++) {
                struct topology_node *node = &s->topology->nodes[n];
                *node = (struct topology_node) {
                        .present = true, .bytes_total = 64 * GIB, .n_cpus = cpus_per_node, .n_cores = cpus_per_node
                };
                for (unsigned c = 0; c < cpus_per_node; c++) {
                        cpu_mask_add(&node->cpus, n * cpus_per_node + c);
                        s->topology->node_of_cpu[n * cpus_per_node + c] = (int16_t) n;
                }
                s->free_pages[n] = UINT64_MAX / 2;
        }
        *ret = s;
        return 0;
}

/* What has not fallen due by now never does; its callers' memory is theirs. */
struct simulated *simulated_free(struct simulated *s) {
        if (!s)
                return NULL;
        while (!TAILQ_EMPTY(&s->events)) {
                struct sim_event *e = TAILQ_FIRST(&s->events);
                TAILQ_REMOVE(&s->events, e, entry);
                sim_drop_job(e);
                free(e);
        }
        sim_free_cgroups(s);
        sim_free_processes(s);
        topology_free(s->topology);
        free(s->free_pages);
        free(s);
        return NULL;
}

void simulated_act(struct simulated *s, struct act *ret) {
        *ret = (struct act) { .ops = &simulated_ops, .context = s };
}

struct simulated_knobs *simulated_knobs(struct simulated *s) {
        return &s->knobs;
}

struct simulated_counts *simulated_counts(struct simulated *s) {
        return &s->counts;
}

const struct topology *simulated_topology(const struct simulated *s) {
        return s->topology;
}
