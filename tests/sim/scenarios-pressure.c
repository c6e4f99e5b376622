/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scenarios of moves that hurt: held back for the service, given up, or gone on with where it is none of our doing. */
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "scenario.h"

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

/* Narrowed to a node that is gone since, before the daemon was started anew: on record, and no reason to look at memory that is not there. */
static void node_is_gone(struct run *r) {
        machine(r, 2, 8, 32 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: compact, memory: strict, cooldown: 10min}\n");
        struct sim_service *v = service(r, "app.service", 2, 4 * GIB, 0);
        pass(r, MINUTES(5));
        struct record_entry *e = record_find(sim_manager(r->sim)->record, v->cgroup);
        expect(r, e && e->ours.mems_set && node_set_count(&v->allowed_mems) == 1, "not narrowed");
        if (!e)
                return;
        e->ours.mems = e->seen.mems = v->configured.mems = v->settings.mems = node_set_of(2);
        v->allowed_mems = topology_nodes(sim_topology(r->sim));
        pass(r, MINUTES(5));
        unsigned n = (unsigned) sim_manager(r->sim)->stats.by_wake[WAKE_NODE];
        expect(r, n == 0, "looked %u times for want of memory", n);
}

#define DISPLACED_TO 3u

/* As soon as its pages have come home they go elsewhere, and stay there. */
struct displaced {
        struct sim_service *service;
        unsigned n_looks;
};

static void displace(struct sim *s, void *userdata) {
        struct displaced *d = userdata;
        struct sim_service *v = d->service;
        const struct transition *t = transition_find(sim_manager(s), v->cgroup);
        if (!t || !transition_wants_observation(t)) {
                if (d->n_looks++ < 600 && sim_at(s, sim_elapsed(s) + SECONDS(1) / 10, displace, d) < 0)
                        abort();
                return;
        }
        for (unsigned node = 0; node < DISPLACED_TO; node++) {
                uint64_t bytes = v->bytes[SIM_PLAIN][node];
                v->bytes[SIM_PLAIN][node] = 0;
                v->bytes[SIM_PINNED][DISPLACED_TO] += bytes;
                sim_take_bytes(s, node, -(int64_t) bytes);
                sim_take_bytes(s, DISPLACED_TO, (int64_t) bytes);
        }
}

/* Farther from its memory than before, or less even, whoever did it: its CPUs are given back at once, it is told, and the same is not tried again for a while. */
static void undone(struct run *r, const char *text, unsigned n_home) {
        machine(r, 4, 8, 32 * GIB);
        rules(r, text);
        struct displaced d = { .service = service(r, "app.service", 2, 4 * GIB, 0) };
        struct sim_service *v = d.service;
        v->bytes[SIM_PLAIN][0] -= GIB; /* there is something to move */
        v->bytes[SIM_PLAIN][2] += GIB;
        sim_take_bytes(r->sim, 0, -(int64_t) GIB);
        sim_take_bytes(r->sim, 2, (int64_t) GIB);
        displace(r->sim, &d);
        pass(r, MINUTES(1));
        const char *reason = NULL;
        json_object_put(last_effort(r, v, &reason));
        expect(r, r->n_given_up == 1 && reason && strstr(reason, "it made things worse"), "given up %u times, and said: %s",
               r->n_given_up, reason ? reason : "nothing");
        expect_home_count(r, v, 4);
        expect(r, r->n_restored == 1 && sim_manager(r->sim)->record->n_entries == 0, "restored %u times, and %zu on record",
               r->n_restored, sim_manager(r->sim)->record->n_entries);
        v->bytes[SIM_PLAIN][DISPLACED_TO] = v->bytes[SIM_PINNED][DISPLACED_TO]; /* it could move now */
        v->bytes[SIM_PINNED][DISPLACED_TO] = 0;
        pass(r, MINUTES(14));
        expect(r, r->n_decisions == 1, "tried again within a quarter of an hour");
        pass(r, HOURS(2));
        expect_home_count(r, v, n_home);
        expect(r, r->n_moved > 0 && sim_bytes_on(v, DISPLACED_TO) == 0, "%" PRIu64 " MiB are not at home",
               (uint64_t) (sim_bytes_on(v, DISPLACED_TO) / MIB));
}

static void made_worse(struct run *r) {
        undone(r, "rules:\n- {name: all, match: {unit: '*'}, place: compact, allowed-nodes: '0', cooldown: 1s}\n", 1);
}

static void made_uneven(struct run *r) {
        undone(r, "rules:\n- {name: all, match: {unit: '*'}, place: spread, allowed-nodes: '0-1', cooldown: 1s}\n", 2);
}

/* It gets memory nodes back because memory is short, and uses them: that its memory is farther then is what it was for. */
static void relieved(struct run *r) {
        machine(r, 4, 8, 32 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: compact, memory: strict, allowed-nodes: '0'}\n");
        struct displaced d = { .service = service(r, "app.service", 2, 4 * GIB, 0) };
        struct sim_service *v = d.service;
        pass(r, MINUTES(5));
        expect(r, node_set_count(&v->allowed_mems) == 1, "its memory nodes were not narrowed");
        v->memory_stall = 0.5;
        displace(r->sim, &d);
        for (unsigned i = 0; i < 600 && node_set_count(&v->allowed_mems) == 1; i++)
                pass(r, SECONDS(1) / 10);
        pass(r, SECONDS(20));
        expect(r, v->bytes[SIM_PINNED][DISPLACED_TO] > 0, "its memory is where it was");
        expect_home_count(r, v, 1);
        expect(r, r->n_given_up == 0 && r->n_restored == 0, "taken for a move that made things worse");
}

/* All of its memory is on that node, and would be moved if that were asked for. */
static void settle_memory(struct run *r, struct sim_service *v, unsigned node) {
        for (unsigned kind = 0; kind < _SIM_KIND_MAX; kind++)
                for (unsigned i = 0; i < sim_topology(r->sim)->n_ids; i++) {
                        uint64_t bytes = v->bytes[kind][i];
                        v->bytes[kind][i] = 0;
                        v->bytes[SIM_PLAIN][node] += bytes;
                        sim_take_bytes(r->sim, i, -(int64_t) bytes);
                        sim_take_bytes(r->sim, node, (int64_t) bytes);
                }
}

/* Its threads, too. */
static void settle_on(struct run *r, struct sim_service *v, unsigned node) {
        settle_memory(r, v, node);
        for (unsigned g = 0; g < v->n_groups; g++)
                v->group_node[g] = (int16_t) node;
}

/* Some of it is on node 2 and goes to node 0, where the rest is. */
static struct sim_service *partly_elsewhere(struct run *r) {
        r->settings.wander_usec = 0;
        machine(r, 4, 8, 32 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: compact, cooldown: 1s}\n");
        struct sim_service *v = service(r, "app.service", 2, 4 * GIB, 0);
        v->bytes[SIM_PLAIN][0] -= GIB;
        v->bytes[SIM_PLAIN][2] += GIB;
        sim_take_bytes(r->sim, 0, -(int64_t) GIB);
        sim_take_bytes(r->sim, 2, (int64_t) GIB);
        return v;
}

static void expect_left_on(struct run *r, const struct sim_service *v, unsigned node, uint64_t moved_bytes) {
        struct node_set nodes = cpu_nodes(r, v), one = node_set_of(node);
        expect(r, v->moved_bytes == moved_bytes, "moved %" PRIu64 " MiB for nothing",
               (uint64_t) ((v->moved_bytes - moved_bytes) / MIB));
        expect(r, node_set_equal(&nodes, &one), "its CPUs are not kept where it is");
        expect_good_manners(r);
}

/* Once a move is undone the home that it was for is no reason to go there: all of it is elsewhere now, and no nearer to its memory there. */
static void undone_then(struct run *r, void (*settle)(struct run *, struct sim_service *, unsigned)) {
        struct displaced d = { .service = partly_elsewhere(r) };
        displace(r->sim, &d);
        pass(r, MINUTES(1));
        expect(r, r->n_given_up == 1 && r->n_restored == 1, "given up %u times", r->n_given_up);
        settle(r, d.service, DISPLACED_TO);
        uint64_t moved_bytes = d.service->moved_bytes;
        pass(r, HOURS(3));
        expect_left_on(r, d.service, DISPLACED_TO, moved_bytes);
}

static void undone_and_elsewhere(struct run *r) {
        undone_then(r, settle_on);
}

/* Where its threads run as it happens its CPUs are restricted to where its memory is. */
static void undone_and_memory_elsewhere(struct run *r) {
        undone_then(r, settle_memory);
}

/* The same where its cpuset was refused. */
static void failed_and_elsewhere(struct run *r) {
        struct sim_service *v = partly_elsewhere(r);
        v->fail_set = -EACCES;
        pass(r, MINUTES(1));
        expect(r, r->n_given_up > 0, "nothing was refused");
        settle_on(r, v, DISPLACED_TO);
        uint64_t moved_bytes = v->moved_bytes;
        pass(r, MINUTES(20));
        v->fail_set = 0;
        pass(r, HOURS(3));
        expect_left_on(r, v, DISPLACED_TO, moved_bytes);
}

const struct scenario scenarios_pressure[] = {
        { 103, "hurts", "memory pressure that rises with each move: given up", hurts },
        { 104, "hurts-a-little", "CPU pressure that rises somewhat: slowed", hurts_a_little },
        { 105, "busy-by-itself", "pressure that is not our doing", busy_by_itself },
        { 113, "nothing-told", "a kernel without pressure information", nothing_told },
        { 115, "strays-hurt", "what is settled stays restricted where a later move is given up", strays_that_hurt },
        { 117, "takes-cpus", "CPU pressure that rises however slowly it goes: home all the same", takes_cpus },
        { 150, "node-is-gone", "memory that was narrowed to a node that is gone since", node_is_gone },
        { 151, "made-worse", "a move after which its memory is farther than before: undone", made_worse },
        { 153, "relieved", "memory that goes elsewhere because it is short at home: not undone", relieved },
        { 152, "made-uneven", "the same of place: spread", made_uneven },
        { 230, "undone-elsewhere", "a move is undone, and all of the service is elsewhere: it stays there",
          undone_and_elsewhere },
        { 232, "undone-memory", "the same of its memory alone: its CPUs are kept where that is", undone_and_memory_elsewhere },
        { 231, "failed-elsewhere", "the same after a cpuset that was refused", failed_and_elsewhere },
        { 0 },
};
