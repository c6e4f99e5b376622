/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How many CPUs a service wants: those that it used, and those that it waited for. PSI "some" of p percent (Documentation/accounting/psi.rst)
 * says that p percent of the time at least one thread was ready to run and did not: on average p/100 CPUs more would have been in use, or
 * more. Where we hold the service on nodes whose CPUs it fills, its waiting tells no number, and what it wants is taken to be up to
 * twice what it has. */
#include "core/plan-internal.h"

/* An idle service counts for so much, in CPUs: many idle ones are spread too, and none is divided by zero. */
#define WEIGHT_LEAST 0.02

/* Less than so much waiting comes of waking up. */
#define WAIT_NOISE_MCPU 50u

/* A service that we narrowed fills so much of its CPUs, and waits for them so much of the time (PSI "some"): it wants more than
 * it can show by its use. Without PSI its number of threads has to do. */
#define SATURATED               0.85
#define SATURATED_CENTIPERCENT  2500
#define SATURATED_THREADS_RATIO 2

/* Smoothed; for a service that is looking for a home at least what it uses now. One that has a home is not driven out by a moment. */
static double used_cpus(const struct planner *pl, const struct job *j) {
        const struct service_sample *s = j->sample;
        double now = 0, smoothed = j->history && j->history->demand_known ? (double) j->history->demand_mcpu / 1000 : -1;
        if (j->has_home && smoothed >= 0)
                return smoothed;
        if (s->cpu_window_usec > 0)
                now = (double) sum_by_node(s->cpu_usec_by_node, pl->topology->n_ids) / (double) s->cpu_window_usec;
        return MAX2(now, smoothed);
}

/* CPUs that its threads were ready to use and did not get: the least that the kernel's figure can mean. */
static double awaited_cpus(const struct job *j) {
        int now = j->sample->cpu_pressure_centipercent;
        uint64_t mcpu = j->history ? j->history->wait_mcpu : 0;
        if (now < 0)
                return 0;
        if (!j->has_home)
                mcpu = MAX2(mcpu, (uint64_t) now / 10);
        return mcpu >= WAIT_NOISE_MCPU ? (double) mcpu / 1000 : 0;
}

static double wanted_cpus(const struct planner *pl, const struct job *j, double used) {
        const struct service_sample *s = j->sample;
        double cpus = 0, threads = (double) s->n_threads;
        for (unsigned i = 0; i < pl->n_nodes; i++)
                if (node_set_has(&s->effective_cpu_nodes, pl->nodes[i].id))
                        cpus += pl->nodes[i].n_cpus;
        /* No more than it has threads; a sample that does not know their number does not bound it. */
        double wanted = used + awaited_cpus(j);
        if (threads > 0 && wanted > threads)
                wanted = MAX2(used, threads);
        if (!j->applied_cpus || cpus <= 0 || used < SATURATED * cpus || threads <= cpus)
                return wanted;
        bool waits = s->cpu_pressure_centipercent >= 0 ? s->cpu_pressure_centipercent >= SATURATED_CENTIPERCENT
                                                       : threads >= SATURATED_THREADS_RATIO * cpus;
        return waits ? MAX2(wanted, MIN2(threads, 2 * cpus)) : wanted;
}

void job_set_demand(const struct planner *pl, struct job *j) {
        j->demand = wanted_cpus(pl, j, used_cpus(pl, j));
        j->weight = MAX2(j->demand, WEIGHT_LEAST);
}
