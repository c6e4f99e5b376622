/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What time does to the machine, tick by tick: threads run and wander, memory grows where they run, the kernel balances after its own idea. */
#include <string.h>

#include "sim/sim-internal.h"

/* Pressure is the kernel's avg10. */
#define PRESSURE_TAU_SEC 10.0

unsigned sim_week_minute(const struct sim *s) {
        uint64_t minutes = s->settings.start_week_minute + sim_elapsed(s) / USEC_PER_MINUTE;
        return (unsigned) (minutes % WEEK_MINUTES);
}

unsigned sim_hour_of_day(const struct sim *s) {
        return sim_week_minute(s) / 60 % 24;
}

static double by_hour(const struct sim *s, const struct sim_hours *hours) {
        if (!hours->given)
                return 1;
        unsigned minute = sim_week_minute(s), hour = minute / 60 % 24;
        double part = minute % 60 / 60.0;
        return (hours->permille[hour] * (1 - part) + hours->permille[(hour + 1) % 24] * part) / 1000.0;
}

static double chance(struct sim *s) {
        return (double) (sim_random(&s->seed) >> 11) / (double) (UINT64_C(1) << 53);
}

static double smooth(double old, double fresh, double sec) {
        return old + (fresh - old) * sec / (sec + PRESSURE_TAU_SEC);
}

/* CPUs */

static int least_loaded(const struct sim *s, const struct sim_service *v) {
        int best = -1;
        double least = 0;
        for (unsigned n = 0; n < s->n_ids; n++) {
                if (v->allowed_cpus[n] == 0)
                        continue;
                double load = s->nodes[n].load / s->topology->nodes[n].n_cpus;
                if (best < 0 || load < least) {
                        best = (int) n;
                        least = load;
                }
        }
        return best;
}

/* A node that is full is left for one that is not; one in which all is well is left now and then all the same. */
static void place_group(struct sim *s, struct sim_service *v, unsigned g, double cpus, double sec) {
        int node = v->group_node[g];
        if (node < 0)
                return;
        struct sim_node *here = &s->nodes[node];
        int to = node;
        if (here->load > s->topology->nodes[node].n_cpus) {
                int idle = least_loaded(s, v);
                if (idle >= 0 && s->nodes[idle].load + cpus <= s->topology->nodes[idle].n_cpus)
                        to = idle;
        } else if (s->settings.wander_usec > 0 && chance(s) < sec * USEC_PER_SEC / (double) s->settings.wander_usec) {
                int other = sim_random_node(s, v);
                if (other >= 0 && s->nodes[other].load + cpus <= s->topology->nodes[other].n_cpus)
                        to = other;
        }
        if (to == node)
                return;
        here->load -= cpus;
        s->nodes[to].load += cpus;
        v->group_node[g] = (int16_t) to;
}

static void run_threads(struct sim *s, double sec) {
        for (unsigned n = 0; n < s->n_ids; n++)
                s->nodes[n].load = 0;
        for (size_t i = 0; i < s->n_services; i++) {
                struct sim_service *v = s->services[i];
                if (!v->running)
                        continue;
                v->wanted = v->spec.cpus * by_hour(s, &v->spec.duty) * (0.97 + 0.06 * chance(s));
                for (unsigned g = 0; g < v->n_groups; g++)
                        if (v->group_node[g] >= 0)
                                s->nodes[v->group_node[g]].load += v->wanted / v->n_groups;
        }
        for (size_t i = 0; i < s->n_services; i++) {
                struct sim_service *v = s->services[i];
                for (unsigned g = 0; v->running && g < v->n_groups; g++)
                        place_group(s, v, g, v->wanted / v->n_groups, sec);
        }
        for (size_t i = 0; i < s->n_services; i++) {
                struct sim_service *v = s->services[i];
                memset(v->used_on, 0, s->n_ids * sizeof(*v->used_on));
                v->used = 0;
                for (unsigned g = 0; v->running && g < v->n_groups; g++) {
                        int node = v->group_node[g];
                        if (node < 0)
                                continue;
                        double cpus = s->topology->nodes[node].n_cpus, load = s->nodes[node].load;
                        double used = v->wanted / v->n_groups * (load > cpus ? cpus / load : 1);
                        v->used_on[node] += used;
                        v->used += used;
                        v->group_usec[g] += (uint64_t) (used * sec * USEC_PER_SEC);
                }
                double lack = v->wanted > 0 ? 1 - v->used / v->wanted : 0;
                v->cpu_pressure = smooth(v->cpu_pressure, lack > 0 ? lack : 0, sec);
                v->cpu_stalled_sec += (lack > 0 ? lack : 0) * sec;
        }
}

/* Memory */

/* What it would have by now. */
static uint64_t wanted_bytes(struct sim *s, struct sim_service *v, double sec) {
        const struct sim_spec *p = &v->spec;
        if (p->growth_bytes != 0) {
                v->growth_rest += (double) p->growth_bytes * sec / 3600;
                int64_t whole = (int64_t) v->growth_rest;
                v->growth_rest -= (double) whole;
                if (whole > 0) {
                        uint64_t grown = v->base_bytes + (uint64_t) whole;
                        v->base_bytes = p->limit_bytes > 0 ? MIN2(grown, MAX2(p->limit_bytes, v->base_bytes)) : grown;
                } else {
                        uint64_t least = MIN2(p->limit_bytes, v->base_bytes), less = (uint64_t) -whole;
                        v->base_bytes = v->base_bytes > least + less ? v->base_bytes - less : least;
                }
        }
        return (uint64_t) ((double) v->base_bytes * by_hour(s, &p->memory));
}

static void grow(struct sim *s, struct sim_service *v, uint64_t bytes) {
        uint64_t got = 0;
        double all = 0;
        for (unsigned n = 0; n < s->n_ids; n++)
                all += v->used_on[n];
        for (unsigned n = 0; n < s->n_ids; n++) {
                double share = all > 0 ? v->used_on[n] / all : 0;
                if (share > 0)
                        got += sim_allocate(s, v, SIM_PLAIN, n, (uint64_t) ((double) bytes * share));
        }
        if (all == 0 && v->group_node[0] >= 0)
                got = sim_allocate(s, v, SIM_PLAIN, (unsigned) v->group_node[0], bytes);
        if (got + 4096 < bytes) {
                s->totals.unplaced_bytes += bytes - got;
                v->memory_pressure = MAX2(v->memory_pressure, 0.5);
        }
}

static void shrink(struct sim *s, struct sim_service *v, uint64_t bytes) {
        uint64_t plain = sum_by_node(v->bytes[SIM_PLAIN], s->n_ids);
        for (unsigned n = 0; n < s->n_ids && plain > 0; n++)
                sim_release(s, v, SIM_PLAIN, n,
                            (uint64_t) ((double) v->bytes[SIM_PLAIN][n] * MIN2((double) bytes / (double) plain, 1)));
}

/* Below its low watermark everywhere it may be, a service waits for reclaim. */
static bool is_cramped(const struct sim *s, const struct sim_service *v) {
        NODE_SET_FOREACH (n, &v->allowed_mems)
                if (sim_usable(s, (unsigned) n) > s->nodes[n].total / 200)
                        return false;
        return true;
}

static void live_on(struct sim *s, struct sim_service *v, double sec) {
        uint64_t have = sim_bytes(s, v), want = wanted_bytes(s, v, sec);
        double stall = MAX2(is_cramped(s, v) ? 0.5 : 0, v->memory_stall);
        v->memory_pressure = smooth(v->memory_pressure, stall, sec);
        v->memory_stalled_sec += stall * sec;
        sim_tell_pressure(s, v, stall, v->wanted > 0 ? 1 - v->used / v->wanted : 0);
        if (want > have + 64 * KIB)
                grow(s, v, want - have);
        else if (want + 64 * KIB < have)
                shrink(s, v, have - want);
        if (v->unshare_usec > 0 && v->unshare_usec <= s->now_usec) {
                v->unshare_usec = 0;
                v->n_processes -= MIN2(v->n_ending, v->n_processes - 1);
                v->n_ending = 0;
                for (unsigned n = 0; n < s->n_ids; n++) {
                        uint64_t kept = MIN2(v->bytes[SIM_SHARED][n], v->spec.bytes / 1000 * v->spec.shared_permille / s->n_ids);
                        v->bytes[SIM_PLAIN][n] += v->bytes[SIM_SHARED][n] - kept;
                        v->bytes[SIM_SHARED][n] = kept;
                }
        }
}

/* The kernel's own balancing: pages follow the CPU time of whoever touches them, and know of no service. */
static void balance(struct sim *s, struct sim_service *v, double sec) {
        uint64_t left = (uint64_t) ((double) s->settings.balancing_rate_bytes * sec);
        uint64_t plain = sum_by_node(v->bytes[SIM_PLAIN], s->n_ids);
        for (unsigned to = 0; to < s->n_ids && left > 0; to++) {
                if (v->used <= 0 || v->used_on[to] <= 0 || !node_set_has(&v->allowed_mems, to))
                        continue;
                uint64_t fair = (uint64_t) ((double) plain * v->used_on[to] / v->used);
                for (unsigned from = 0; from < s->n_ids && left > 0; from++) {
                        uint64_t have = v->bytes[SIM_PLAIN][to], part = v->bytes[SIM_PLAIN][from];
                        uint64_t fair_there = (uint64_t) ((double) plain * v->used_on[from] / v->used);
                        if (from == to || have >= fair || part <= fair_there)
                                continue;
                        part = MIN2(MIN2(part - fair_there, fair - have), MIN2(left, sim_usable(s, to)));
                        sim_release(s, v, SIM_PLAIN, from, part);
                        sim_take(s, to, part);
                        v->bytes[SIM_PLAIN][to] += part;
                        v->kernel_moved_bytes += part;
                        s->totals.kernel_moved_bytes += part;
                        left -= part;
                }
        }
}

/* Reclaim, of whoever asks for it: what is cold goes to memory without CPUs, in spite of cpusets, as most kernels do. */
static void demote(struct sim *s, struct sim_service *v, double sec) {
        uint64_t left = (uint64_t) ((double) s->settings.demotion_rate_bytes * sec), slow = 0;
        uint64_t cold = sum_by_node(v->bytes[SIM_PLAIN], s->n_ids) / 1000 * s->settings.cold_permille;
        struct node_set with_cpus = topology_nodes_with_cpus(s->topology), all = topology_nodes_with_memory(s->topology),
                        targets = node_set_subtract(&all, &with_cpus);
        NODE_SET_FOREACH (n, &targets)
                slow += v->bytes[SIM_PLAIN][n];
        left = MIN2(left, cold > slow ? cold - slow : 0);
        NODE_SET_FOREACH (to, &targets)
                NODE_SET_FOREACH (from, &with_cpus) {
                        uint64_t part = MIN2(MIN2(left, v->bytes[SIM_PLAIN][from]), sim_usable(s, (unsigned) to));
                        sim_release(s, v, SIM_PLAIN, (unsigned) from, part);
                        sim_take(s, (unsigned) to, part);
                        v->bytes[SIM_PLAIN][to] += part;
                        v->demoted_bytes += part;
                        s->totals.demoted_bytes += part;
                        left -= part;
                }
}

static void step(struct sim *s, uint64_t usec) {
        double sec = (double) usec / USEC_PER_SEC;
        run_threads(s, sec);
        for (size_t i = 0; i < s->n_services; i++) {
                struct sim_service *v = s->services[i];
                if (!v->running)
                        continue;
                live_on(s, v, sec);
                if (sim_balancing_mode(s) != 0 && !v->policy)
                        balance(s, v, sec);
                if (sim_demotes(s))
                        demote(s, v, sec);
        }
        sim_measure_tick(s, usec);
}

void sim_catch_up(struct sim *s) {
        while (s->physics_usec < s->now_usec) {
                uint64_t usec = MIN2(s->now_usec - s->physics_usec, MAX2(s->settings.tick_usec, USEC_PER_MSEC));
                s->physics_usec += usec;
                step(s, usec);
        }
}
