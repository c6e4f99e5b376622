/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scenarios of an administrator who sets cpusets himself: before ours, after, and in the middle. What he sets stays, and is not given back for him. */
#include "scenario.h"

#include <string.h>

#define ALL_COMPACT "rules:\n- {name: all, match: {unit: '*'}, place: compact}\n"

/* The administrator sets CPUs himself in the middle of it: they stay as he set them. */
static void administrator(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, ALL_COMPACT);
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        pass(r, MINUTES(5));
        expect_home_count(r, v, 1);
        struct node_set two = node_set_of(2);
        struct cpu_mask cpus = { 0 };
        topology_cpus_of(sim_topology(r->sim), &two, &cpus);
        cpus.words[0] &= UINT64_C(0x0f0f0f0f0f0f0f0f); /* not whole nodes, as ours always are */
        expect(r, sim_write_cpuset(r->sim, v, &cpus, NULL) >= 0, "cannot write its cpuset");
        pass(r, HOURS(2));
        expect(r, cpu_mask_equal(&v->configured.cpus, &cpus), "the administrator's CPUs were changed");
        int k = sim_stop_manager(r->sim);
        expect(r, k == 0, "leaving ended with %d", k);
        expect(r, cpu_mask_equal(&v->configured.cpus, &cpus), "the administrator's CPUs were changed on leaving");
}

/* While changes of ours wait for their turn: these are not made, also where they were to be given back by then. */
static void administrator_first(struct run *r) {
        struct sim_service *v[2];
        on_disk(r);
        machine(r, 4, 8, 16 * GIB);
        struct node_set home = node_set_of(1);
        struct cpu_mask theirs = { 0 };
        cpu_mask_add(&theirs, dice(r, 8));
        if (dice(r, 2) == 0) /* just what ours was to be */
                topology_cpus_of(sim_topology(r->sim), &home, &theirs);
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
                v[i] = service(r, i ? "b.service" : "a.service", 2, 2 * GIB, 0);
                v[i]->spec.owner = dice(r, 2) == 0 ? OWNER_CGROUPFS : OWNER_SYSTEMD;
                v[i]->queue_usec = SECONDS(5);
        }
        rules(r, "daemon: {on-exit: restore}\nrules:\n- {name: n, match: {unit: '*'}, place: nodes, nodes: '1'}\n");
        const struct transition *t;
        do {
                pass(r, SECONDS(1));
                t = transition_find(sim_manager(r->sim), v[1]->cgroup);
        } while (!t || !transition_is_changing(t));
        expect(r, manager_restore_request(sim_manager(r->sim), v[0]->unit, NULL) >= 0, "restoring was not begun");
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++) {
                expect(r, !v[i]->configured.cpus_set, "nothing waits");
                expect(r, sim_write_cpuset(r->sim, v[i], &theirs, NULL) >= 0, "cannot write its cpuset");
        }
        pass(r, SECONDS(20));
        expect(r, r->n_given_up == 2 && r->n_warnings == 0 && r->n_restored == 0,
               "%u times said that it was given up, %u that something is wrong", r->n_given_up, r->n_warnings);
        expect(r, sim_manager(r->sim)->n_awaited == 0, "who asked for it to be restored is never answered");
        pass(r, HOURS(1));
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++)
                expect(r, cpu_mask_equal(&v[i]->configured.cpus, &theirs), "the administrator's CPUs were changed");
        (void) sim_stop_manager(r->sim);
        for (unsigned i = 0; i < ARRAY_SIZE(v); i++)
                expect(r, cpu_mask_equal(&v[i]->configured.cpus, &theirs), "the administrator's CPUs were changed on leaving");
}

/* And in the middle of a move: the end of that is not a change of ours any more. */
static void administrator_midway(struct run *r) {
        on_disk(r);
        machine(r, 4, 8, 16 * GIB);
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        struct node_set nodes = node_set_of(2);
        struct cpu_mask cpus = { 0 };
        cpu_mask_add(&cpus, 3);
        bool of_mems = dice(r, 2) == 0;
        v->spec.owner = dice(r, 2) == 0 ? OWNER_CGROUPFS : OWNER_SYSTEMD;
        rules(r,
              "daemon: {on-exit: restore, migrate-rate: 100M}\nrules:\n- {name: n, match: {unit: 'app.service'}, place: nodes, "
              "nodes: '0-1', memory: strict}\n");
        pass(r, MINUTES(5));
        rules(r,
              "daemon: {on-exit: restore, migrate-rate: 100M}\nrules:\n- {name: n, match: {unit: 'app.service'}, place: nodes, "
              "nodes: '3', memory: strict}\n");
        while (sim_bytes_on(v, 3) < 512 * MIB)
                pass(r, SECONDS(1));
        if (of_mems)
                node_set_add(&nodes, 3); /* wider than its home is to be, so that what is moved still can be */
        unsigned n = r->n_given_up;
        expect(r, sim_write_cpuset(r->sim, v, of_mems ? NULL : &cpus, of_mems ? &nodes : NULL) >= 0, "cannot write its cpuset");
        pass(r, MINUTES(2));
        expect(r, r->n_given_up == n + 1, "said %u times that it was given up", r->n_given_up - n);
        pass(r, HOURS(1));
        bool kept = of_mems ? node_set_equal(&v->configured.mems, &nodes) : cpu_mask_equal(&v->configured.cpus, &cpus);
        expect(r, kept, "the administrator's were changed");
        (void) sim_stop_manager(r->sim);
        kept = of_mems ? node_set_equal(&v->configured.mems, &nodes) : cpu_mask_equal(&v->configured.cpus, &cpus);
        expect(r, kept, "the administrator's were changed on leaving");
}

/* He restricts the slice that the service is in, after it was given a home elsewhere: what that leaves is where it lives from then on, and of what we
 * had set nothing is left, which would come into force again with the end of it. */
static void administrator_slice(struct run *r) {
        bool strict = dice(r, 2) == 0;
        machine(r, 4, 8, 16 * GIB);
        rules(r, strict ? "rules:\n- {name: all, match: {unit: '*'}, place: compact, memory: strict}\n" : ALL_COMPACT);
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        v->spec.owner = dice(r, 2) == 0 ? OWNER_CGROUPFS : OWNER_SYSTEMD;
        struct node_set left = node_set_of(2), all = { 0 };
        pass(r, MINUTES(20));
        expect_home_count(r, v, 1);
        sim_restrict_slice(r->sim, v, &left, strict ? &left : &all);
        pass(r, HOURS(3));
        expect_local(r, v, 0.99);
        expect(r, r->n_decisions <= 4 && r->n_warnings == 0, "%u decisions and %u warnings for one change of home",
               r->n_decisions, r->n_warnings);
        struct node_set may = cpu_nodes(r, v);
        expect(r, node_set_equal(&may, &left), "it does not run where its slice may");
        sim_restrict_slice(r->sim, v, &all, &all);
        may = cpu_nodes(r, v);
        expect(r, node_set_has(&may, 2) || node_set_count(&may) == 4,
               "a cpuset of ours for a home that it has not got came into force");
        pass(r, HOURS(1));
        expect_local(r, v, 0.99);
}

/* He gives it a memory policy (NUMAPolicy=) that has nothing to do with the home it had, and starts it again: whoever is left alone is left alone, and
 * not held on CPUs that we chose for memory it has no more. */
static void administrator_policy(struct run *r) {
        on_disk(r);
        machine(r, 4, 8, 16 * GIB);
        rules(r, dice(r, 2) == 0 ? ALL_COMPACT : "rules:\n- {name: all, match: {unit: '*'}, place: compact, memory: strict}\n");
        struct sim_spec p = spec("app.service", 2, 2 * GIB);
        p.start = node_set_of(0);
        struct sim_service *v = add(r, &p);
        pass(r, MINUTES(10));
        expect_home_count(r, v, 1);
        sim_end(r->sim, v);
        v->policy = strdup("bind:3"); /* freed with the service */
        v->spec.policy = v->policy;
        v->spec.start = node_set_of(3);
        expect(r, sim_restart(r->sim, v) >= 0, "it cannot be started");
        pass(r, MINUTES(45)); /* narrowed memory nodes keep it where it was, so that nothing but the time has its map read */
        struct node_set may = cpu_nodes(r, v);
        expect(r, node_set_has(&may, 3) && node_set_has(&v->allowed_mems, 3),
               "it is kept away from the memory that it was bound to");
        expect(r, sim_manager(r->sim)->record->n_entries == 0, "something is still on record");
}

#define TO_NODE(n, more)                                                                                                         \
        "daemon: {on-exit: restore" more "}\nrules:\n- {name: n, match: {unit: '*'}, place: nodes, nodes: '" n                   \
        "', memory: strict}\n"

/* Between the look that a first change is decided on and that change: memory maps take their time. */
static void between(struct run *r, const char *unit, bool of_mems, enum owner owner) {
        struct sim_service *v = service(r, unit, 2, 2 * GIB, 0);
        struct manager *m = sim_manager(r->sim);
        struct node_set nodes = node_set_of(2);
        struct cpu_mask cpus = { 0 };
        cpu_mask_add(&cpus, 3);
        v->spec.owner = owner;
        v->map_usec = SECONDS(3);
        rules(r, TO_NODE("1", ", dry-run: true"));
        pass(r, MINUTES(1));
        rules(r, TO_NODE("1", ""));
        while (m->n_deep_pending == 0 || m->cycle->config != m->config)
                pass(r, SECONDS(1) / 10);
        expect(r, sim_write_cpuset(r->sim, v, of_mems ? NULL : &cpus, of_mems ? &nodes : NULL) >= 0, "cannot write its cpuset");
        pass(r, HOURS(1));
        expect(r, of_mems ? node_set_equal(&v->configured.mems, &nodes) : cpu_mask_equal(&v->configured.cpus, &cpus),
               "the administrator's were changed");
        if (!of_mems)
                expect(r, sim_bytes_on(v, 1) == sim_bytes(r->sim, v), "no new plan was made that leaves its CPUs alone");
        (void) sim_stop_manager(r->sim);
        expect(r, of_mems ? node_set_equal(&v->configured.mems, &nodes) : cpu_mask_equal(&v->configured.cpus, &cpus),
               "the administrator's were changed on leaving");
        sim_end(r->sim, v);
}

static void administrator_between(struct run *r) {
        on_disk(r);
        machine(r, 4, 8, 16 * GIB);
        static const char *const units[] = { "a.service", "b.service", "c.service", "d.service" };
        for (unsigned i = 0; i < ARRAY_SIZE(units); i++) {
                rules(r, "rules: []\n");
                between(r, units[i], i & 1, i & 2 ? OWNER_CGROUPFS : OWNER_SYSTEMD);
        }
        expect(r, r->n_warnings == 0, "%u times said that something is wrong", r->n_warnings);
}

/* Some of the CPUs that it has of us: not all of a node's, as ours are, but of no other node. It does not go along when its home is another. */
static void administrator_within(struct run *r) {
        on_disk(r);
        machine(r, 4, 8, 16 * GIB);
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        struct node_set home = node_set_of(1);
        struct cpu_mask cpus;
        rules(r, TO_NODE("1", ""));
        pass(r, MINUTES(5));
        expect(r, v->configured.cpus_set, "its CPUs were not restricted");
        topology_cpus_of(sim_topology(r->sim), &home, &cpus);
        cpus.words[0] &= UINT64_C(0x0f0f0f0f0f0f0f0f);
        expect(r, sim_write_cpuset(r->sim, v, &cpus, NULL) >= 0, "cannot write its cpuset");
        pass(r, MINUTES(5));
        rules(r, TO_NODE("2", ""));
        pass(r, HOURS(1));
        expect(r, cpu_mask_equal(&v->configured.cpus, &cpus), "the administrator's CPUs were changed");
        expect(r, sim_bytes_on(v, 2) == sim_bytes(r->sim, v), "its memory did not follow the rule");
        expect(r, r->n_warnings == 0, "%u times said that something is wrong", r->n_warnings);
        (void) sim_stop_manager(r->sim);
        expect(r, cpu_mask_equal(&v->configured.cpus, &cpus), "the administrator's CPUs were changed on leaving");
}

/* He gives it CPUs with the same effect as ours: those of its home, and others that its slice has not got. They are not ours, which the kernel is asked for
 * once that shows. */
static void administrator_alike(struct run *r) {
        on_disk(r);
        machine(r, 4, 8, 16 * GIB);
        struct sim_spec p = spec("app.service", 2, 2 * GIB);
        p.parent_cpu_nodes = node_set_of(1);
        node_set_add(&p.parent_cpu_nodes, 2);
        struct sim_service *v = add(r, &p);
        struct node_set nodes = node_set_of(1);
        struct cpu_mask cpus;
        rules(r, TO_NODE("1", ""));
        pass(r, MINUTES(5));
        expect(r, v->configured.cpus_set, "its CPUs were not restricted");
        node_set_add(&nodes, 3);
        topology_cpus_of(sim_topology(r->sim), &nodes, &cpus);
        expect(r, sim_write_cpuset(r->sim, v, &cpus, NULL) >= 0, "cannot write its cpuset");
        pass(r, MINUTES(5));
        rules(r, TO_NODE("2", ""));
        pass(r, HOURS(3));
        expect(r, cpu_mask_equal(&v->configured.cpus, &cpus), "the administrator's CPUs were changed");
        expect(r, sim_bytes_on(v, 2) == sim_bytes(r->sim, v), "its memory did not follow the rule");
        expect(r, r->n_given_up <= 1, "given up %u times", r->n_given_up);
}

/* The slice leaves nodes 1 and 2. Restricted to the one by us, it is crowded there: it goes to the other, and not to those that are empty but not allowed. */
static void inside_slice_crowded(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "rules:\n- {name: big, match: {unit: 'big*'}, place: nodes, nodes: '1', priority: 500}\n"
                 "- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_spec p = spec("app.service", 4, 2 * GIB);
        p.parent_cpu_nodes = node_set_of(1);
        node_set_add(&p.parent_cpu_nodes, 2);
        p.start = node_set_of(1);
        struct sim_service *v = add(r, &p);
        pass(r, MINUTES(10));
        struct node_set nodes = cpu_nodes(r, v), two = node_set_of(2);
        expect(r, v->configured.cpus_set && node_set_has(&nodes, 1), "it is not at home on node 1");
        (void) service(r, "big.service", 7, 4 * GIB, 1);
        pass(r, HOURS(1));
        nodes = cpu_nodes(r, v);
        expect(r, node_set_equal(&nodes, &two), "it did not go to the other node that its slice allows");
        expect_local(r, v, 0.99);
        expect(r, r->n_given_up == 0, "given up %u times", r->n_given_up);
        expect_good_manners(r);
}

/* Somebody gives cgroups inside of it CPUs of their own, or makes other services there: what was restricted is given back, and its memory follows. */
static void set_inside(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_service *a = service(r, "a.service", 4, 2 * GIB, 1), *b = service(r, "b.service", 4, 2 * GIB, 2);
        pass(r, MINUTES(10));
        expect(r, a->configured.cpus_set && b->configured.cpus_set, "they are not restricted to homes");
        a->inner_cpu_nodes = node_set_of(3);
        b->holds_services = true;
        pass(r, HOURS(1));
        expect_home_count(r, a, 4);
        expect_home_count(r, b, 4);
        expect(r, r->n_decisions <= 8, "%u decisions", r->n_decisions);
        unsigned writes = sim_totals(r->sim).n_cpuset_writes;
        pass(r, HOURS(2));
        expect(r, sim_totals(r->sim).n_cpuset_writes == writes, "cpusets are written again and again");
        a->inner_cpu_nodes = (struct node_set) { 0 };
        b->holds_services = false;
        pass(r, HOURS(1));
        expect_home_count(r, a, 1);
        expect_home_count(r, b, 1);
        expect_good_manners(r);
}

/* Somebody gives cgroups inside of it memory nodes (c: and CPUs) that its rule does not have, or none that all of them have: there is no home for it any more, and what
 * we set would have the kernel pass over what they were given. */
static void memory_set_inside(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "rules:\n- {name: a, match: {unit: 'a*'}, place: nodes, nodes: '1', memory: strict}\n"
                 "- {name: c, match: {unit: 'c*'}, place: nodes, nodes: '1'}\n"
                 "- {name: all, match: {unit: '*'}, place: spread, allowed-nodes: '2-3', memory: strict}\n");
        struct sim_service *all[] = { service(r, "a.service", 2, 2 * GIB, 1), service(r, "b.service", 2, 2 * GIB, 2) },
                           *c = service(r, "c.service", 2, 2 * GIB, 1);
        pass(r, MINUTES(10));
        expect_home_count(r, c, 1);
        c->inner_mems = true;
        c->inner_cpu_nodes = c->inner_mems_allowed = node_set_of(0);
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                expect(r, all[i]->configured.mems_set, "%s is not confined to its home", all[i]->unit);
                all[i]->inner_mems = true;
        }
        all[0]->inner_mems_allowed = node_set_of(0);
        pass(r, HOURS(1));
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                expect(r, node_set_count(&all[i]->allowed_mems) == 4, "the memory nodes of %s were not given back", all[i]->unit);
        expect_home_count(r, c, 4);
        unsigned writes = sim_totals(r->sim).n_cpuset_writes;
        pass(r, HOURS(2));
        expect(r, sim_totals(r->sim).n_cpuset_writes == writes, "cpusets are written again and again");
        expect_good_manners(r);
}

/* What was restored is listed so at once, also where the last look, which can be minutes old, found it at home. */
static void restored_is_listed(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, ALL_COMPACT);
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        pass(r, HOURS(1));
        expect_home_count(r, v, 1);
        for (unsigned when = 0; when < 2; when++) {
                if (when == 0)
                        expect(r, manager_restore_request(sim_manager(r->sim), "app.service", NULL) >= 0, "not begun");
                pass(r, when == 0 ? SECONDS(1) : HOURS(1));
                struct json_object *list = manager_list_json(sim_manager(r->sim)), *reason = NULL;
                (void) json_object_object_get_ex(json_object_array_get_idx(list, 0), "reason", &reason);
                const char *text = reason ? json_object_get_string(reason) : "";
                expect(r, strstr(text, MANAGER_HELD_TEXT), "listed as: %s", text);
                json_object_put(list);
        }
}

const struct scenario scenarios_administrator[] = {
        { 196, "administrator-policy", "who is given a policy of its own is given back what he had", administrator_policy },
        { 199, "administrator-slice", "what the administrator leaves a slice is where its services live", administrator_slice },
        { 24, "administrator", "what the administrator sets stays", administrator },
        { 171, "administrator-first", "what the administrator sets while ours waits for its turn stays", administrator_first },
        { 172, "administrator-midway", "what the administrator sets during a move stays", administrator_midway },
        { 197, "administrator-between", "what the administrator sets between a look and the first change stays",
          administrator_between },
        { 174, "administrator-within", "a part of what we set is not ours", administrator_within },
        { 250, "administrator-alike", "what the administrator sets with the same effect as ours is not ours",
          administrator_alike },
        { 175, "inside-slice-crowded", "restricted by us inside a slice that allows two nodes: no further than that",
          inside_slice_crowded },
        { 176, "set-inside", "CPUs given to cgroups inside of a service, and services inside of one: these are left alone",
          set_inside },
        { 240, "memory-set-inside",
          "memory nodes given to cgroups inside of a service, so that it has no home: these are left alone", memory_set_inside },
        { 210, "restored-is-listed", "what was restored is listed so at once", restored_is_listed },
        { 0 },
};
