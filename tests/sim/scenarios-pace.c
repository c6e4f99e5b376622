/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scenarios of pace: how moves share the rate, hold back for the service, and what is tried again when. */
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "core/plan.h"
#include "scenario.h"

static const struct placement *placement_of(const struct run *r, const struct sim_service *v) {
        const struct cycle *c = sim_manager(r->sim)->last;
        ssize_t i = c ? cycle_find(c, v->cgroup) : -1;
        return i < 0 ? NULL : &c->plan->placements[i];
}

/* What history tells of its last move that has ended; NULL: none yet. The caller puts it. */
static struct json_object *last_effort(const struct run *r, const struct sim_service *v, const char **ret_reason) {
        struct json_object *events = events_list(sim_manager(r->sim)->events, v->unit), *effort = NULL, *found = NULL, *reason;
        if (!events)
                abort();
        for (size_t i = 0; i < json_object_array_length(events); i++) {
                struct json_object *e = json_object_array_get_idx(events, i);
                if (!json_object_object_get_ex(e, "effort", &effort) || !effort)
                        continue;
                found = effort;
                if (ret_reason && json_object_object_get_ex(e, "reason", &reason))
                        *ret_reason = json_object_get_string(reason);
        }
        (void) json_object_get(found);
        json_object_put(events); /* its texts live on in the manager's */
        return found;
}

static int64_t held_usec(const struct run *r, const struct sim_service *v, enum hold_cause cause) {
        struct json_object *effort = last_effort(r, v, NULL), *by, *usec;
        int64_t held = 0;
        if (effort && json_object_object_get_ex(effort, "held_by", &by) &&
            json_object_object_get_ex(by, hold_cause_to_string(cause), &usec))
                held = json_object_get_int64(usec);
        json_object_put(effort);
        return held;
}

static struct sim_service *scattered(struct run *r, const char *unit, uint64_t bytes) {
        struct sim_spec p = spec(unit, 2, bytes);
        p.start = topology_nodes(sim_topology(r->sim));
        return add(r, &p);
}

/* One rate for the machine: all get the same of it, whatever the size of their slices. */
static void shared_rate(struct run *r) {
        struct sim_service *v[3];
        machine(r, 4, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 48M}\nrules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
                _cleanup_free_ char *unit = format_string("app%u.service", i);
                v[i] = scattered(r, unit, 4 * GIB);
        }
        v[1]->stuck_usec = 40 * USEC_PER_MSEC; /* a call of its own takes as long, so its slices are others' */
        pass(r, SECONDS(60));
        uint64_t most = 0, least = UINT64_MAX, all = sim_totals(r->sim).moved_bytes;
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
                most = MAX2(most, v[i]->moved_bytes);
                least = MIN2(least, v[i]->moved_bytes);
        }
        expect(r, all <= 60 * 48 * MIB + 32 * MIB, "%" PRIu64 " MiB in a minute at 48 a second", (uint64_t) (all / MIB));
        expect(r, all >= 50 * 48 * MIB, "only %" PRIu64 " MiB in a minute at 48 a second", (uint64_t) (all / MIB));
        expect(r, most - least <= most / 5 + 16 * MIB, "between %" PRIu64 " and %" PRIu64 " MiB each", (uint64_t) (least / MIB),
               (uint64_t) (most / MIB));
        v[1]->stuck_usec = 0;
        pass(r, MINUTES(10));
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
                expect_local(r, v[i], 0.99);
                expect(r, held_usec(r, v[i], HOLD_RATE) > (int64_t) SECONDS(30), "%s says that it waited %" PRId64 " us",
                       v[i]->unit, held_usec(r, v[i], HOLD_RATE));
        }
        expect_good_manners(r);
}

/* The rule's own rate, with and without company, through several moves: none begins with a new allowance. */
static void rule_rate(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: slow, match: {unit: 'slow*'}, place: compact, migrate-rate: 16M}\n"
                 "- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_service *slow = scattered(r, "slow.service", 2 * GIB), *fast = scattered(r, "fast.service", 2 * GIB);
        pass(r, SECONDS(33));
        expect(r, slow->moved_bytes <= 32 * 16 * MIB, "%" PRIu64 " MiB at 16 a second", (uint64_t) (slow->moved_bytes / MIB));
        expect(r, slow->moved_bytes >= 24 * 16 * MIB, "only %" PRIu64 " MiB", (uint64_t) (slow->moved_bytes / MIB));
        expect(r, fast->moved_bytes + 16 * MIB >= GIB, "the slow one held up the other");
        uint64_t before = slow->moved_bytes;
        for (unsigned i = 0; i < 5; i++) { /* each reload ends the move, and the next begins */
                rules(r, "rules:\n- {name: slow, match: {unit: 'slow*'}, place: compact, migrate-rate: 16M, cooldown: 0s}\n"
                         "- {name: all, match: {unit: '*'}, place: compact}\n");
                pass(r, SECONDS(2));
        }
        expect(r, slow->moved_bytes - before <= 10 * 16 * MIB + 8 * MIB, "%" PRIu64 " MiB in ten seconds of reloads",
               (uint64_t) ((slow->moved_bytes - before) / MIB));
        pass(r, MINUTES(10));
        expect_local(r, slow, 0.99);
        expect_good_manners(r);
}

/* What is slow to move waits for itself alone. */
static void slow_one(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 256M}\nrules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_service *slow = scattered(r, "aslow.service", 2 * GIB);
        slow->stuck_usec = 2 * USEC_PER_SEC;
        struct sim_service *fine = scattered(r, "fine.service", 2 * GIB);
        pass(r, SECONDS(25));
        expect_local(r, fine, 0.99);
        expect(r, slow->moved_bytes > 0 && slow->moved_bytes < 256 * MIB, "the slow one is not slow");
        slow->stuck_usec = 0;
        pass(r, MINUTES(5));
        expect_local(r, slow, 0.99);
}

/* Memory pressure that rises with each move: held back, then given up and told why; and done when it no longer does. */
static void hurts(struct run *r) {
        machine(r, 2, 8, 32 * GIB);
        rules(r, "daemon: {migrate-rate: 1G}\nrules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        sim_settings(r->sim)->move_rate_bytes = 64 * MIB;
        struct sim_service *v = scattered(r, "app.service", 16 * GIB), *other = scattered(r, "other.service", GIB);
        v->move_stall_permille = 4000; /* however slowly */
        pass(r, MINUTES(10));
        const char *reason = NULL;
        struct json_object *effort = last_effort(r, v, &reason);
        expect(r, effort && r->n_given_up >= 1 && reason && strstr(reason, "memory pressure"), "not given up, but: %s",
               reason ? reason : "nothing");
        json_object_put(effort);
        expect(r, held_usec(r, v, HOLD_MEMORY) > (int64_t) SECONDS(2), "held back for %" PRId64 " us",
               held_usec(r, v, HOLD_MEMORY));
        expect(r, v->moved_bytes < 4 * GIB, "moved %" PRIu64 " MiB of a service that suffers", (uint64_t) (v->moved_bytes / MIB));
        expect_local(r, other, 0.99);
        expect_home_count(r, v, 2); /* what tried whether it can be restricted restrains nothing */
        v->move_stall_permille = 0;
        pass(r, HOURS(1));
        expect_local(r, v, 0.99);
}

/* A little is no reason to stop: slower, and home all the same. */
static void hurts_a_little(struct run *r) {
        machine(r, 2, 8, 32 * GIB);
        rules(r, "daemon: {migrate-rate: 1G}\nrules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        sim_settings(r->sim)->move_rate_bytes = 64 * MIB;
        struct sim_service *v = scattered(r, "app.service", 8 * GIB);
        v->move_wait_permille = 350;
        pass(r, MINUTES(12));
        expect_local(r, v, 0.99);
        expect(r, held_usec(r, v, HOLD_CPU) > (int64_t) SECONDS(5), "held back for %" PRId64 " us", held_usec(r, v, HOLD_CPU));
        expect(r, r->n_given_up == 0, "given up");
        struct json_object *effort = last_effort(r, v, NULL), *during;
        expect(r,
               effort && json_object_object_get_ex(effort, "cpu_pressure_during_percent", &during) &&
                       json_object_get_double(during) > 1,
               "its pressure is not told");
        json_object_put(effort);
        expect_good_manners(r);
}

/* However slowly it is moved it waits for CPUs, as all do where none is idle: home all the same, at the least speed, and asked now and then. */
static void takes_cpus(struct run *r) {
        machine(r, 2, 8, 32 * GIB);
        rules(r, "daemon: {migrate-rate: 1G}\nrules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        sim_settings(r->sim)->move_rate_bytes = 256 * MIB;
        struct sim_service *v = scattered(r, "app.service", 8 * GIB);
        v->move_wait_permille = 8000;
        pass(r, MINUTES(1));
        expect(r, v->moved_bytes < 5 * GIB, "%" PRIu64 " MiB in a minute, not slowed", (uint64_t) (v->moved_bytes / MIB));
        pass(r, MINUTES(5));
        expect_local(r, v, 0.99);
        expect(r, r->n_given_up == 0, "given up");
        int64_t held = held_usec(r, v, HOLD_CPU);
        expect(r, held > (int64_t) SECONDS(30), "held back for %" PRId64 " us", held);
        expect_good_manners(r);
}

/* A kernel that tells nothing of pressure: moved at the rate, and nothing is made up. */
static void nothing_told(struct run *r) {
        r->settings.no_psi = true;
        machine(r, 2, 8, 32 * GIB);
        rules(r, "daemon: {migrate-rate: 128M}\nrules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_service *v = scattered(r, "app.service", 4 * GIB);
        v->move_wait_permille = 900;
        pass(r, MINUTES(1));
        expect_local(r, v, 0.99);
        struct json_object *effort = last_effort(r, v, NULL), *value;
        expect(r,
               effort && json_object_object_get_ex(effort, "bytes_per_sec", &value) &&
                       json_object_get_int64(value) > (int64_t) (100 * MIB),
               "its speed is not told");
        expect(r, effort && !json_object_object_get_ex(effort, "cpu_pressure_during_percent", &value),
               "pressure is told that nobody knows");
        json_object_put(effort);
        expect(r, held_usec(r, v, HOLD_CPU) == 0, "held back for what nobody knows");
}

static void get_busy(struct sim *s, void *userdata) {
        ((struct sim_service *) userdata)->spec.cpus = 40;
}

/* Its load grows while it is moved, and so does its pressure: none of our doing, and found out. */
static void busy_by_itself(struct run *r) {
        machine(r, 2, 8, 32 * GIB);
        rules(r,
              "daemon: {migrate-rate: 64M}\nrules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1', cpus: free}\n");
        struct sim_service *v = service(r, "app.service", 2, 8 * GIB, 0);
        expect(r, sim_at(r->sim, SECONDS(20), get_busy, v) >= 0, "no memory");
        pass(r, MINUTES(6));
        expect(r, v->bytes[SIM_PLAIN][1] + 64 * MIB >= 8 * GIB, "%" PRIu64 " MiB moved", (uint64_t) (v->moved_bytes / MIB));
        expect(r, r->n_given_up == 0, "given up");
        int64_t held = held_usec(r, v, HOLD_CPU);
        expect(r, held > 0 && held < (int64_t) SECONDS(60), "held back for %" PRId64 " us", held);
}

static void take_it(struct sim *s, void *userdata) {
        sim_take_bytes(s, 1, (int64_t) (sim_free_bytes(s, 1) - GIB / 2));
}
static void give_it_back(struct sim *s, void *userdata) {
        sim_take_bytes(s, 1, -(int64_t) (8 * GIB));
}

/* The home fills up for a few seconds: waited for, and gone on with. */
static void room_comes_back(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 128M}\nrules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1'}\n");
        struct sim_service *v = service(r, "app.service", 2, 4 * GIB, 0);
        expect(r, sim_at(r->sim, SECONDS(10), take_it, NULL) >= 0 && sim_at(r->sim, SECONDS(16), give_it_back, NULL) >= 0,
               "no memory");
        pass(r, SECONDS(15));
        uint64_t then = v->moved_bytes;
        expect(r, then > 0 && then < 2 * GIB, "%" PRIu64 " MiB moved by then", (uint64_t) (then / MIB));
        pass(r, MINUTES(2));
        expect_local(r, v, 0.99);
        expect(r, held_usec(r, v, HOLD_ROOM) >= (int64_t) SECONDS(4), "held back for %" PRId64 " us", held_usec(r, v, HOLD_ROOM));
        expect(r, r->n_decisions == 1, "%u decisions for one move", r->n_decisions);
}

/* Two home nodes, and somebody else fills one of them while the other has room: what is still to come goes to that. */
static void one_of_two_fills_up(struct run *r) {
        machine(r, 3, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 128M}\nrules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1-2'}\n");
        struct sim_service *v = service(r, "app.service", 2, 8 * GIB, 0);
        expect(r, sim_at(r->sim, SECONDS(10), take_it, NULL) >= 0, "no memory");
        pass(r, SECONDS(9));
        expect(r, sim_bytes_on(v, 1) > 256 * MIB && sim_bytes_on(v, 2) > 256 * MIB, "it does not go to both");
        pass(r, SECONDS(3)); /* it is looked each second */
        uint64_t then = sim_bytes_on(v, 1);
        pass(r, MINUTES(5));
        expect(r, sim_bytes_on(v, 1) == then, "%" PRIu64 " MiB more were put on a node that is full",
               (uint64_t) ((sim_bytes_on(v, 1) - then) / MIB));
        expect(r, sim_bytes_on(v, 0) < 64 * MIB, "%" PRIu64 " MiB stayed behind", (uint64_t) (sim_bytes_on(v, 0) / MIB));
}

/* A process that went from one cgroup into one below it is in two observations: never in two movers. */
static void two_services_one_process(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 64M}\nrules:\n- {name: all, match: {unit: '*'}, place: nodes, nodes: '1'}\n");
        struct sim_spec p = spec("a.service", 1, GIB);
        p.start = node_set_of(0);
        p.n_processes = 3;
        struct sim_service *a = add(r, &p);
        p.unit = "b.service";
        p.n_processes = 1;
        struct sim_service *b = add(r, &p);
        b->pid = a->pid + 2; /* the last of the other's */
        b->start_ticks = a->start_ticks;
        bool both = false;
        for (unsigned i = 0; i < 600; i++) {
                pass(r, 100 * USEC_PER_MSEC);
                both |= transition_find(sim_manager(r->sim), a->cgroup) && transition_find(sim_manager(r->sim), b->cgroup);
        }
        expect(r, !both, "both are moved at once");
        expect_local(r, a, 0.99);
        pass(r, MINUTES(2));
        expect_local(r, b, 0.99);
}

/* More services than turns: those of higher priority begin. */
static void by_priority(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 64M}\nrules:\n- {name: first, match: {unit: 'z*'}, place: compact, priority: 300}\n"
                 "- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_service *last[6], *first[2];
        for (unsigned i = 0; i < ARRAY_SIZE(last); i++) {
                _cleanup_free_ char *unit = format_string("app%u.service", i);
                last[i] = scattered(r, unit, GIB);
        }
        for (unsigned i = 0; i < ARRAY_SIZE(first); i++) {
                _cleanup_free_ char *unit = format_string("z%u.service", i);
                first[i] = scattered(r, unit, GIB);
        }
        pass(r, SECONDS(10));
        for (unsigned i = 0; i < ARRAY_SIZE(first); i++)
                expect(r, first[i]->moved_bytes > 0, "%s waits for others of lower priority", first[i]->unit);
        pass(r, MINUTES(10));
        for (unsigned i = 0; i < ARRAY_SIZE(last); i++)
                expect_local(r, last[i], 0.99);
        expect_good_manners(r);
}

static void snapshot(struct sim *s, void *userdata) {
        struct sim_service *v = userdata;
        v->n_ending = 1;
        sim_fork(s, v, 1, SECONDS(40));
}

/* A fork in the middle of the move, for a snapshot: what was shared then is home soon after the child has ended. */
static void forks_for_a_while(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 128M}\nrules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_service *v = scattered(r, "app.service", 4 * GIB);
        expect(r, sim_at(r->sim, SECONDS(10), snapshot, v) >= 0, "no memory");
        pass(r, SECONDS(48));
        expect(r, v->n_processes == 2 && v->moved_bytes > 0 && v->moved_bytes < 3 * GIB / 2, "not in the middle of it");
        pass(r, SECONDS(100)); /* cooldown, and moving what is left */
        expect_local(r, v, 0.99);
        expect_good_manners(r);
}

/* Shared for longer: not tried all the time; and at once when the administrator asks for it. */
static void resumed(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: compact, cooldown: 1s}\n");
        struct sim_spec p = spec("app.service", 2, 4 * GIB);
        p.start = topology_nodes(sim_topology(r->sim));
        p.pinned_permille = 400; /* looks movable, and is not */
        struct sim_service *v = add(r, &p);
        pass(r, MINUTES(3));
        const struct placement *q = placement_of(r, v);
        expect(r, q && q->state == STATE_BLOCKED, "%s", q ? q->reason : "not seen");
        for (unsigned n = 0; n < 2; n++) { /* let go of */
                v->bytes[SIM_PLAIN][n] += v->bytes[SIM_PINNED][n];
                v->bytes[SIM_PINNED][n] = 0;
        }
        pass(r, MINUTES(2));
        expect(r, sim_locality(r->sim, v) < 0.95, "tried again by itself so soon");
        expect(r, manager_reload(sim_manager(r->sim), NULL) >= 0, "cannot reload");
        pass(r, MINUTES(1));
        expect_local(r, v, 0.99);
}

/* memory: strict, where much will not move, and where much is allocated elsewhere meanwhile: the kernel is left next to nothing to move at once. */
static void strict_with_rest(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 128M}\n"
                 "rules:\n- {name: s, match: {unit: '*'}, place: nodes, nodes: '1', memory: strict, cpus: free}\n");
        const struct node_set both = topology_nodes(sim_topology(r->sim));
        struct sim_spec p = spec("pinned.service", 1, GIB);
        p.start = node_set_of(0);
        p.pinned_permille = 400;
        struct sim_service *pinned = add(r, &p);
        p = spec("grows.service", 2, 2 * GIB);
        p.start = node_set_of(0);
        p.growth_bytes = (int64_t) (3600 * 64 * MIB); /* in a second 64 MiB */
        p.limit_bytes = 4 * GIB;
        struct sim_service *grows = add(r, &p);
        /* Where there was no set before the kernel moves nothing. */
        expect(r, sim_write_cpuset(r->sim, pinned, NULL, &both) >= 0 && sim_write_cpuset(r->sim, grows, NULL, &both) >= 0,
               "cannot write their cpusets");
        pass(r, MINUTES(10));
        uint64_t forced = sim_totals(r->sim).forced_bytes;
        expect(r, node_set_count(&grows->allowed_mems) == 1, "what grows is not narrowed");
        expect(r, node_set_count(&pinned->allowed_mems) == 2, "narrowed with 400 MiB left behind");
        expect(r, forced <= 128 * MIB, "the kernel had to move %" PRIu64 " MiB", (uint64_t) (forced / MIB));
        const char *reason = NULL;
        struct json_object *effort = last_effort(r, pinned, &reason);
        expect(r, reason && strstr(reason, "still elsewhere"), "said: %s", reason ? reason : "nothing");
        json_object_put(effort);
        expect(r, r->n_given_up >= 1 && r->n_given_up <= 8, "given up %u times in ten minutes", r->n_given_up);
}

/* A small service whose libraries are elsewhere is at rest, and its state says so; a large part of it is another matter. */
static void small_rest(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: nodes, nodes: '1'}\n");
        struct sim_spec p = spec("small.service", 1, 70 * MIB);
        p.start = node_set_of(0);
        p.pinned_permille = 100;
        struct sim_service *small = add(r, &p);
        p.unit = "stuck.service";
        p.pinned_permille = 700;
        struct sim_service *stuck = add(r, &p);
        pass(r, MINUTES(5));
        const struct placement *a = placement_of(r, small), *b = placement_of(r, stuck);
        expect(r, a && a->state == STATE_STABLE, "7 MiB left make it %s", a ? service_state_to_string(a->state) : "unseen");
        expect(r, b && b->state == STATE_BLOCKED, "49 MiB of 70 left make it %s",
               b ? service_state_to_string(b->state) : "unseen");
        expect(r, b && !strstr(b->reason, "at home on"), "most of it is elsewhere, and it says: %s", b ? b->reason : "");
}

/* Where most of its memory is home already its CPUs go there first; where it still has most of it they come last. */
static void cpus_first_or_last(struct run *r) {
        machine(r, 2, 8, 32 * GIB);
        rules(r, "daemon: {migrate-rate: 64M}\nrules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1'}\n");
        struct sim_service *far = service(r, "far.service", 2, 2 * GIB, 1), *near = service(r, "near.service", 2, 4 * GIB, 0);
        far->bytes[SIM_PLAIN][0] += GIB;
        sim_take_bytes(r->sim, 0, GIB);
        pass(r, SECONDS(15));
        struct node_set home = topology_nodes(sim_topology(r->sim)), one = { 0 }, cpus = cpu_nodes(r, far);
        node_set_add(&one, 1);
        expect(r, far->moved_bytes > 0 && far->moved_bytes < GIB && near->moved_bytes > 0 && near->moved_bytes < 2 * GIB,
               "it is not in the middle of its moves");
        expect(r, node_set_equal(&cpus, &one), "its threads do not go to the memory that is home already");
        cpus = cpu_nodes(r, near);
        expect(r, node_set_equal(&cpus, &home), "its threads go away from most of its memory");
        pass(r, MINUTES(5));
        expect_local(r, far, 0.99);
        expect_local(r, near, 0.99);
        cpus = cpu_nodes(r, near);
        expect(r, node_set_equal(&cpus, &one), "its CPUs were not restricted in the end");
}

/* Without a limit, on eight CPUs: slice by slice in turn, so that both wait for the other, and both are home at about the same time. */
static void in_turn(struct run *r) {
        machine(r, 2, 4, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 100G}\nrules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        sim_settings(r->sim)->move_rate_bytes = 64 * MIB;
        struct sim_service *v[2] = { scattered(r, "app0.service", 2 * GIB), scattered(r, "app1.service", 2 * GIB) };
        pass(r, SECONDS(15));
        uint64_t a = v[0]->moved_bytes, b = v[1]->moved_bytes;
        expect(r, MIN2(a, b) > 0 && MAX2(a, b) - MIN2(a, b) <= 64 * MIB, "moved %" PRIu64 " and %" PRIu64 " MiB",
               (uint64_t) (a / MIB), (uint64_t) (b / MIB));
        expect(r, a + b <= 15 * 64 * MIB, "moved faster than one at a time can");
        pass(r, MINUTES(5));
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
                expect_local(r, v[i], 0.99);
                expect(r, held_usec(r, v[i], HOLD_TURN) > (int64_t) SECONDS(2), "%s waited for %" PRId64 " us", v[i]->unit,
                       held_usec(r, v[i], HOLD_TURN));
        }
        expect_good_manners(r);
}

/* Later some of its memory is elsewhere, and moving it hurts: given up, and the restriction that held before stays. */
static void strays_that_hurt(struct run *r) {
        machine(r, 2, 8, 32 * GIB);
        rules(r, "daemon: {migrate-rate: 1G}\nrules:\n- {name: all, match: {unit: '*'}, place: compact, cooldown: 10s}\n");
        sim_settings(r->sim)->move_rate_bytes = 64 * MIB;
        struct sim_service *v = scattered(r, "app.service", 4 * GIB);
        pass(r, MINUTES(5));
        expect_local(r, v, 0.99);
        expect_home_count(r, v, 1);
        struct node_set home = cpu_nodes(r, v);
        unsigned other = node_set_has(&home, 0) ? 1 : 0;
        v->bytes[SIM_PLAIN][other] += 3 * GIB;
        sim_take_bytes(r->sim, other, 3 * GIB);
        v->move_stall_permille = 4000;
        pass(r, MINUTES(10));
        expect(r, r->n_given_up > 0, "not given up");
        expect_home_count(r, v, 1);
}

const struct scenario scenarios_pace[] = {
        { 100, "shared-rate", "services under one rate have the same of it", shared_rate },
        { 101, "rule-rate", "a rule's rate, through several moves", rule_rate },
        { 102, "slow-one", "a service that is slow to move holds up no other", slow_one },
        { 103, "hurts", "memory pressure that rises with each move: given up", hurts },
        { 104, "hurts-a-little", "CPU pressure that rises somewhat: slowed", hurts_a_little },
        { 105, "busy-by-itself", "pressure that is not our doing", busy_by_itself },
        { 106, "room-comes-back", "a home that is full for some seconds", room_comes_back },
        { 118, "one-of-two", "one of two home nodes fills up", one_of_two_fills_up },
        { 107, "two-services", "a process that is in two services", two_services_one_process },
        { 108, "priority", "more services than turns", by_priority },
        { 109, "snapshot", "a fork in the middle of a move", forks_for_a_while },
        { 110, "asked-again", "a reload forgives what would not move", resumed },
        { 111, "strict-rest", "strict memory with much that stays: not left to the kernel", strict_with_rest },
        { 112, "small-rest", "a small service whose libraries are elsewhere is stable", small_rest },
        { 113, "nothing-told", "a kernel without pressure information", nothing_told },
        { 114, "cpus-first", "CPUs go home first, or last, by where the memory is", cpus_first_or_last },
        { 115, "strays-hurt", "what is settled stays restricted where a later move is given up", strays_that_hurt },
        { 116, "in-turn", "two services without a limit take turns", in_turn },
        { 117, "takes-cpus", "CPU pressure that rises however slowly it goes: home all the same", takes_cpus },
        { 0 },
};
