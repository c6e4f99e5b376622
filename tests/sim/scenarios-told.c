/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scenarios of what is told and what is tried again: it must not depend on what happened to be read last. */
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "core/plan.h"
#include "scenario.h"

/* What is said of a service at present; borrowed, until time passes. */
static const struct placement *placement_of(const struct run *r, const struct sim_service *v) {
        const struct cycle *c = sim_manager(r->sim)->last;
        ssize_t i = c ? cycle_find(c, v->cgroup) : -1;
        return i < 0 ? NULL : &c->plan->placements[i];
}

/* Some of it is shared, some bound, one service looks after itself: that is told by every cycle, and its state stays. */
static void told(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1', memory: strict}\n");
        struct sim_service *v[3];
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
                _cleanup_free_ char *unit = format_string("app%u.service", i);
                struct sim_spec p = spec(unit, 1, 2 * GIB);
                p.start = node_set_of(0);
                p.shared_permille = i == 0 ? 300 : 0;
                p.bound_permille = i == 1 ? 300 : 0;
                p.policy = i == 2 ? "bind:0" : NULL;
                v[i] = add(r, &p);
        }
        pass(r, MINUTES(20));
        char *said[ARRAY_SIZE(v)] = { 0 };
        enum service_state states[ARRAY_SIZE(v)];
        for (unsigned k = 0; k < 360; k++) {
                for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
                        const struct placement *p = placement_of(r, v[i]);
                        expect(r, p != NULL, "%s is not seen", v[i]->unit);
                        if (p && !said[i]) {
                                said[i] = strdup(p->reason);
                                states[i] = p->state;
                        }
                        if (!p || !said[i])
                                continue;
                        expect(r, p->state == states[i], "%s was %s, now it is %s", v[i]->unit,
                               service_state_to_string(states[i]), service_state_to_string(p->state));
                        expect(r, text_same_but_for_amounts(said[i], p->reason), "%s: \"%s\" became \"%s\"", v[i]->unit, said[i],
                               p->reason);
                }
                pass(r, SECONDS(20));
        }
        expect(r, said[0] && strstr(said[0], "cannot be moved"), "shared pages are not told: %s", said[0]);
        expect(r, said[1] && strstr(said[1], "cannot be moved"), "bound pages are not told: %s", said[1]);
        expect(r, said[2] && strstr(said[2], "self-managed"), "its own policy is not told: %s", said[2]);
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++)
                free(said[i]);
}

/* Its map takes longer to read than a cycle waits: it is placed all the same, and nobody waits for it. */
static void slow_map(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "daemon: {max-interval: 10s}\nrules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_spec p = spec("slow.service", 2, 4 * GIB);
        p.start = topology_nodes(sim_topology(r->sim));
        struct sim_service *v = add(r, &p);
        v->map_usec = SECONDS(11) + dice(r, SECONDS(50));
        pass(r, MINUTES(5));
        expect_local(r, v, 0.99);
        expect_home_count(r, v, 1);
        expect(r, r->n_moved == 1 && r->n_given_up == 0, "%u moves, %u given up", r->n_moved, r->n_given_up);
        expect(r, r->n_stuck <= 1, "said %u times that it is stuck", r->n_stuck);
        /* From now on it holds up no cycle: a newcomer is at home soon. */
        p.unit = "quick.service";
        p.bytes = GIB;
        struct sim_service *other = add(r, &p);
        sim_fork(r->sim, v, 3, MINUTES(1)); /* much of the slow one is not to be moved for a while: it is looked into again */
        pass(r, SECONDS(45));
        expect_local(r, other, 0.99);
        uint64_t cycles = sim_manager(r->sim)->stats.n_cycles;
        pass(r, HOURS(3));
        expect(r, sim_manager(r->sim)->stats.n_cycles - cycles <= 1300, "%u cycles in three quiet hours",
               (unsigned) (sim_manager(r->sim)->stats.n_cycles - cycles));
        expect(r, r->n_stuck <= 1, "said %u times that it is stuck", r->n_stuck);
        /* One that does not come back is told as stuck, beside the cycles too. */
        v->map_usec = HOURS(1);
        pass(r, HOURS(1));
        expect(r, r->n_stuck <= 2, "said %u times that it is stuck", r->n_stuck);
        v->map_usec = 0;
        expect_good_manners(r);
}

/* A restart in the meantime: what was read of the former processes is not used. */
static void slow_restart(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_spec p = spec("slow.service", 2, 4 * GIB);
        p.start = topology_nodes(sim_topology(r->sim));
        struct sim_service *v = add(r, &p);
        v->map_usec = SECONDS(30);
        pass(r, SECONDS(15));
        sim_end(r->sim, v);
        pass(r, SECONDS(1));
        if (sim_restart(r->sim, v) < 0)
                abort();
        uint64_t moved = v->moved_bytes;
        pass(r, SECONDS(20)); /* the first read has come back, the second has not */
        expect(r, v->moved_bytes == moved, "moved by what was read of its predecessor");
        pass(r, MINUTES(5));
        expect_local(r, v, 0.99);
        expect_home_count(r, v, 1);
        expect_good_manners(r);
}

/* Writes to cgroups that do not return: said once each, and others are served. */
static void stuck_writes(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "daemon: {max-interval: 10s}\nrules:\n- {name: all, match: {unit: '*'}, place: compact, min-size: 64M}\n");
        struct sim_service *v[12];
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
                _cleanup_free_ char *unit = format_string("app%02u.service", i);
                struct sim_spec p = spec(unit, 1, GIB);
                p.start = topology_nodes(sim_topology(r->sim));
                p.owner = OWNER_CGROUPFS;
                v[i] = add(r, &p);
                v[i]->write_usec = i < 6 ? HOURS(1) : 0;
        }
        pass(r, MINUTES(20));
        for (unsigned i = 6; i < ARRAY_SIZE(v); i++)
                expect_local(r, v[i], 0.99);
        expect(r, r->n_stuck == 6, "said %u times of six that they are stuck", r->n_stuck);
        struct json_object *status = manager_bus_callbacks.status(sim_manager(r->sim)), *stuck = NULL;
        size_t n = status && json_object_object_get_ex(status, "stuck", &stuck) ? json_object_array_length(stuck) : 0;
        expect(r, n == 6, "the status tells of %zu", n);
        json_object_put(status);
        expect(r, sim_totals(r->sim).n_cpuset_writes <= 18, "%u writes", sim_totals(r->sim).n_cpuset_writes);
        for (unsigned i = 0; i < 6; i++)
                v[i]->write_usec = 0;
        pass(r, HOURS(2));
        for (unsigned i = 0; i < 6; i++)
                expect_local(r, v[i], 0.99);
        expect(r, r->n_stuck == 6, "said %u times of six that they are stuck", r->n_stuck);
        expect_good_manners(r);
}

/* Refused, while the kernel takes its memory back each time: what was moved before anybody knew is all that is moved. */
static void refused_drifts(struct run *r) {
        r->settings.balancing_rate_bytes = 4 * MIB;
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_spec p = spec("stubborn.service", 2, 2 * GIB);
        p.start = topology_nodes(sim_topology(r->sim));
        struct sim_service *v = add(r, &p);
        v->fail_set = -EACCES;
        pass(r, HOURS(24));
        expect(r, r->n_given_up >= 4, "tried only %u times", r->n_given_up);
        expect(r, v->moved_bytes <= GIB + 64 * MIB, "moved %" PRIu64 " MiB of 2 GiB for a service that cannot be restricted",
               (uint64_t) (v->moved_bytes / MIB));
        v->fail_set = 0;
        pass(r, HOURS(18));
        expect_local(r, v, 0.99);
        expect_home_count(r, v, 1);
}

/* Three that each want a node for themselves, and two nodes: which of them the third is kept from changes with where its threads are. */
static void wavers(struct run *r) {
        machine(r, 2, 8, 8 * GIB);
        rules(r, "rules:\n- {name: alone, match: {unit: '*'}, place: compact, exclusive: true, min-size: 0}\n");
        for (unsigned i = 0; i < 3; i++) {
                _cleanup_free_ char *unit = format_string("alone%u.service", i);
                struct sim_spec p = spec(unit, 1, 0);
                p.n_threads = 64;
                p.start = node_set_of(1);
                add(r, &p);
        }
        pass(r, DAYS(1));
        expect(r, r->n_blocked >= 1 && r->n_blocked <= 6 + 24, "said %u times in a day why one has no node", r->n_blocked);
}

/* Lets time pass until its pages are home and that is about to be looked at. */
static const struct transition *until_verified(struct run *r, const struct sim_service *v) {
        const struct transition *t = NULL;
        while ((!t || !transition_wants_observation(t)) && sim_elapsed(r->sim) < MINUTES(5)) {
                pass(r, 10 * USEC_PER_MSEC);
                t = transition_find(sim_manager(r->sim), v->cgroup);
        }
        expect(r, t && transition_wants_observation(t), "%s is not looked at in the end", v->unit);
        return t;
}

/* What has come home is told as soon as it was looked at, with the time that narrowing took; and nothing was refused. */
static void told_soon(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1', memory: strict}\n");
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        v->write_usec = SECONDS(3);
        (void) until_verified(r, v);
        pass(r, SECONDS(6)); /* memory nodes are narrowed when it was looked at, and then it is once more */
        expect(r, r->n_moved == 1, "told %u times that it was moved", r->n_moved);
        struct json_object *effort = last_effort(r, v, NULL), *usec = NULL;
        int64_t narrow = effort && json_object_object_get_ex(effort, "narrow_usec", &usec) ? json_object_get_int64(usec) : 0;
        expect(r, narrow >= (int64_t) SECONDS(3) && narrow < (int64_t) SECONDS(4), "narrowed in %" PRId64 " us", narrow);
        json_object_put(effort);
        const struct history_entry *h = history_find(&sim_manager(r->sim)->history, v->cgroup);
        expect(r, h && !h->refused, "taken to be refused");
}

/* Blocked, and blocked for another reason: that is told, too. */
static void told_anew(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1'}\n");
        struct sim_spec p = spec("app.service", 1, 2 * GIB);
        p.start = node_set_of(0);
        p.pinned_permille = 500;
        struct sim_service *v = add(r, &p);
        pass(r, MINUTES(10));
        expect(r, r->n_blocked == 1, "told %u times that it is blocked", r->n_blocked);
        r->listen = "finds no room there";
        sim_take_bytes(r->sim, 1, (int64_t) sim_free_bytes(r->sim, 1));
        v->bytes[SIM_PLAIN][0] += v->bytes[SIM_PINNED][0];
        v->bytes[SIM_PINNED][0] = 0;
        pass(r, MINUTES(20));
        expect(r, r->n_blocked == 2 && r->n_heard == 1, "told %u times that it is blocked, and %u times for want of room",
               r->n_blocked, r->n_heard);
}

/* It is done when the kernel says so: CPUs that its slice has lost meanwhile are not where it was put. */
static void not_in_force(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1'}\n");
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        r->listen = "the CPU restriction did not take effect";
        (void) until_verified(r, v);
        v->spec.parent_cpu_nodes = node_set_of(0);
        pass(r, SECONDS(5));
        expect(r, r->n_moved == 0 && r->n_heard == 1, "told %u times that it was moved, and %u times that it is not there",
               r->n_moved, r->n_heard);
}

/* It ends when all is done but for a look: that is told, and waited for no longer. */
static void ends_at_last(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1'}\n");
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        r->listen = "the service ended";
        (void) until_verified(r, v);
        sim_end(r->sim, v);
        pass(r, SECONDS(5));
        expect(r, sim_manager(r->sim)->n_transitions == 0 && r->n_heard == 1, "told %u times that it ended", r->n_heard);
}

const struct scenario scenarios_told[] = {
        { 50, "told", "what cannot move is told by every cycle", told },
        { 51, "slow-map", "a memory map that takes longer than a cycle waits", slow_map },
        { 52, "slow-restart", "a late memory map of processes that are gone", slow_restart },
        { 53, "stuck-writes", "changes of cpusets that do not return", stuck_writes },
        { 54, "refused-drifts", "a refused cpuset, and memory that drifts back", refused_drifts },
        { 55, "wavers", "what is blocked now by this and now by that", wavers },
        { 178, "told-soon", "what is done is told at once, with what narrowing took", told_soon },
        { 179, "not-in-force", "CPUs that are not what was asked for in the end", not_in_force },
        { 180, "ends-at-last", "a service that ends when all is done but for a look", ends_at_last },
        { 183, "told-anew", "blocked for one reason, then for another", told_anew },
        { 0 },
};
