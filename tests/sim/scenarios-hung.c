/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scenarios of changes that cannot be made in whole: what was done of them is given back at once, and waits for nothing that it need not wait for. */
#include <errno.h>

#include "scenario.h"
#include "transition.h"

/* Its memory nodes are narrowed to node 0, then a rule wants it on node 1: its CPUs are written, its memory nodes are not. */
static void widened_in_part(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "rules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '0', memory: strict}\n");
        struct sim_spec p = spec("app.service", 2, 2 * GIB);
        p.owner = OWNER_CGROUPFS;
        p.start = node_set_of(0);
        struct sim_service *v = add(r, &p);
        pass(r, MINUTES(2));
        expect_home_count(r, v, 1);
        expect(r, node_set_count(&v->allowed_mems) == 1, "its memory nodes were not narrowed");
        v->fail_mems = -EIO;
        rules(r, "rules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1', memory: strict}\n");
        for (unsigned i = 0; i < 600 && r->n_given_up == 0; i++)
                pass(r, SECONDS(1));
        expect(r, r->n_given_up == 1 && v->moved_bytes == 0, "it was not given up");
        pass(r, SECONDS(5));
        expect_home_count(r, v, 4);
        v->fail_mems = 0;
        pass(r, MINUTES(20));
        expect_home_count(r, v, 1);
        expect_local(r, v, 0.99);
}

/* The service manager says yes and does nothing: it must not do it later, when nobody reckons with it. */
static void widened_not_at_all(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: compact}\n");
        struct sim_spec p = spec("app.service", 2, 2 * GIB);
        p.start = topology_nodes(sim_topology(r->sim));
        struct sim_service *v = add(r, &p);
        v->lose_changes = true;
        for (unsigned i = 0; i < 600 && r->n_given_up == 0; i++)
                pass(r, SECONDS(1));
        expect(r, r->n_given_up == 1 && v->moved_bytes == 0, "it was not given up");
        pass(r, SECONDS(5));
        expect(r, !v->settings.cpus_set, "the unit's setting stays");
        expect(r, sim_manager(r->sim)->record->n_entries == 0, "still on record");
}

/* A rule that restricts nothing any more, and a thread that hangs, so that memory nodes have to wait: CPUs do not. */
static void freed_while_hung(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: nodes, nodes: '0', memory: strict}\n");
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        pass(r, MINUTES(2));
        expect_home_count(r, v, 1);
        expect(r, node_set_count(&v->allowed_mems) == 1, "its memory nodes were not narrowed");
        v->fail_mems = -EAGAIN;
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: nodes, nodes: '0', cpus: free}\n");
        pass(r, MINUTES(2));
        expect_home_count(r, v, 4);
        expect(r, node_set_count(&v->allowed_mems) == 1, "the simulation changed what it must not");
        v->fail_mems = 0;
        pass(r, MINUTES(20));
        expect(r, node_set_count(&v->allowed_mems) == 4, "its memory nodes are still narrowed");
}

/* The administrator asks for what cannot be given back at the moment: CPUs are, and the rest once it can be, without being asked for again. */
static void ask_while_hung(struct run *r, bool all) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: nodes, nodes: '0', memory: strict}\n");
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0), *other = service(r, "other.service", 2, 2 * GIB, 0);
        pass(r, MINUTES(2));
        expect(r, node_set_count(&v->allowed_mems) == 1, "its memory nodes were not narrowed");
        v->fail_mems = -EAGAIN;
        expect(r, manager_restore_request(sim_manager(r->sim), all ? "" : "app.service", NULL) >= 0, "not begun");
        pass(r, SECONDS(20));
        expect_home_count(r, v, 4);
        expect_home_count(r, other, all ? 4 : 1);
        expect(r, r->n_restore_failed == 1 && node_set_count(&v->allowed_mems) == 1, "it was said to be done");
        pass(r, MINUTES(30));
        expect(r, r->n_restore_failed >= 3 && r->n_restore_failed <= 8, "tried %u times in half an hour", r->n_restore_failed);
        v->fail_mems = 0;
        pass(r, MINUTES(40));
        expect(r, node_set_count(&v->allowed_mems) == 4, "its memory nodes are still narrowed");
        expect_home_count(r, v, 4);
        expect(r, sim_manager(r->sim)->record->n_entries == (all ? 0 : 1), "still on record");
}

static void all_restored_while_hung(struct run *r) {
        ask_while_hung(r, true);
}

static void one_restored_while_hung(struct run *r) {
        ask_while_hung(r, false);
}

/* Reading it does not return: whoever holds it up need not wait as act/waiting would find him, and a change of memory nodes might hang all cgroups. */
static void restored_while_stuck(struct run *r) {
        struct sim_spec p = spec("app.service", 2, 4 * GIB);
        p.start = node_set_of(0);
        p.growth_bytes = (int64_t) (6 * GIB);
        p.limit_bytes = 10 * GIB;
        p.owner = dice(r, 2) ? OWNER_SYSTEMD : OWNER_CGROUPFS;
        machine(r, 2, 16, 8 * GIB);
        rules(r, "rules:\n- {name: s, match: {unit: app.service}, place: compact, memory: strict, max-nodes: 1}\n");
        struct sim_service *v = add(r, &p);
        pass(r, MINUTES(10));
        v->stuck_usec = MINUTES(50);
        const struct service_note *n = manager_find_note(sim_manager(r->sim), v->cgroup);
        for (unsigned i = 0; i < 3000 && n && !n->stuck; i++)
                pass(r, SECONDS(1));
        expect(r, n && n->stuck && node_set_count(&v->allowed_mems) == 1, "it was not read while it was narrowed");
        v->stuck_usec = 0;
        expect(r, manager_restore_request(sim_manager(r->sim), "", NULL) >= 0, "not begun");
        pass(r, SECONDS(20));
        expect_home_count(r, v, 2);
        expect(r, r->n_restore_failed == 1, "said %u times that it failed", r->n_restore_failed);
        for (unsigned i = 0; i < 6000 && n && n->stuck; i++) {
                expect(r, node_set_count(&v->allowed_mems) == 1, "its memory nodes were changed");
                pass(r, SECONDS(1));
        }
        pass(r, MINUTES(40));
        expect(r, node_set_count(&v->allowed_mems) == 2, "its memory is still narrowed");
        expect(r, sim_manager(r->sim)->record->n_entries == 0, "still on record");
}

/* The look that verifies its move does not return: its memory nodes are not narrowed then. */
static void narrowed_while_stuck(struct run *r) {
        machine(r, 4, 8, 16 * GIB);
        rules(r, "rules:\n- {name: all, match: {unit: '*'}, place: nodes, nodes: '1', memory: strict}\n");
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        const struct transition *t = NULL;
        for (unsigned i = 0; i < 6000 && (!t || t->phase != PHASE_VERIFY); i++) {
                pass(r, 10 * USEC_PER_MSEC);
                t = transition_find(sim_manager(r->sim), v->cgroup);
        }
        expect(r, t && node_set_count(&v->allowed_mems) == 4, "it was narrowed before it was verified");
        v->stuck_usec = MINUTES(30);
        pass(r, MINUTES(25));
        expect(r, manager_find_note(sim_manager(r->sim), v->cgroup)->stuck, "it is not stuck");
        expect(r, node_set_count(&v->allowed_mems) == 4, "its memory nodes were changed");
        expect(r, r->n_given_up == 1, "said %u times that it was given up", r->n_given_up);
        v->stuck_usec = 0;
        pass(r, MINUTES(40));
        expect(r, node_set_count(&v->allowed_mems) == 1, "its memory nodes were not narrowed when it was over");
}

/* Two guests, and a switch that has mapped the first one's memory: all to node 2, with what they share. */
#define N_BONDED 3
static void share_memory(struct run *r, const char *rate, struct sim_service **ret) {
        static const char *const units[N_BONDED] = { "vm0.service", "vm1.service", "switch.service" };
        _cleanup_free_ char *text =
                format_string("daemon: {migrate-rate: %s}\n"
                              "rules:\n- {name: vm, match: {unit: 'vm*'}, place: nodes, nodes: '2', shared-pages: move}\n"
                              "- {name: switch, match: {unit: 'switch*'}, place: nodes, nodes: '2', shared-pages: move, "
                              "together-with: vm}\n",
                              rate);
        machine(r, 4, 8, 8 * GIB);
        rules(r, text);
        for (unsigned i = 0; i < N_BONDED; i++)
                ret[i] = service(r, units[i], 1, GIB, i % 2);
        ret[2]->lender = ret[0];
}

/* Nobody is kept on CPUs away from its memory while it waits until those that it shares memory with have been moved. */
static void waits_unrestricted(struct run *r) {
        struct sim_service *v[N_BONDED];
        share_memory(r, "128M", v);
        unsigned n_at_once = 0;
        for (unsigned i = 0; i < 900; i++) {
                pass(r, 100 * USEC_PER_MSEC);
                unsigned n_waiting = 0, n_moving = 0;
                for (unsigned k = 0; k < ARRAY_SIZE(v); k++) {
                        const struct transition *t = transition_find(sim_manager(r->sim), v[k]->cgroup);
                        n_moving += t && t->mover;
                        n_waiting += t && !t->mover && t->n_passes == 0;
                        expect(r, !t || t->mover || t->changing || t->n_passes > 0 || !v[k]->settings.cpus_set,
                               "%s is restricted and waits", v[k]->unit);
                }
                expect(r, n_moving <= 1, "%u are moved at once", n_moving);
                n_at_once += n_moving > 0 && n_waiting > 0;
        }
        expect(r, n_at_once > 50, "none had to wait");
        for (unsigned k = 0; k < ARRAY_SIZE(v); k++)
                expect_local(r, v[k], 0.99);
        expect_good_manners(r);
}

/* What comes with another is no room of its own: who has too little of that does not begin before the other has brought it, only to need another pass. */
static void brought_along(struct run *r) {
        struct sim_service *v[N_BONDED];
        unsigned n_passes[N_BONDED] = { 0 };
        machine(r, 4, 8, 8 * GIB);
        rules(r, "daemon: {migrate-rate: 256M}\n"
                 "rules:\n- {name: vm, match: {unit: 'b*'}, place: nodes, nodes: '2', shared-pages: move}\n"
                 "- {name: all, match: {unit: '*'}, place: nodes, nodes: '2', shared-pages: move, together-with: vm}\n");
        for (unsigned i = 0; i < N_BONDED; i++) {
                static const char *const units[N_BONDED] = { "b.service", "a.service", "c.service" };
                struct sim_spec p = spec(units[i], 1, GIB);
                p.start = node_set_of(i == 0 ? 0 : 1);
                p.shared_permille = i == 0 ? 750 : 0;
                v[i] = add(r, &p);
        }
        v[1]->lender = v[2]->lender = v[0];
        for (unsigned i = 0; i < 3000; i++) {
                pass(r, 20 * USEC_PER_MSEC);
                for (unsigned k = 0; k < N_BONDED; k++) {
                        const struct transition *t = transition_find(sim_manager(r->sim), v[k]->cgroup);
                        n_passes[k] = t ? MAX2(n_passes[k], t->n_passes) : n_passes[k];
                }
        }
        for (unsigned k = 0; k < N_BONDED; k++) {
                expect(r, n_passes[k] == 1, "%s: %u passes", v[k]->unit, n_passes[k]);
                expect_local(r, v[k], 0.99);
        }
        expect_good_manners(r);
}

/* How many of them, as last seen, have company that is said to have been moved, and how many have company? */
static unsigned count_moved_company(const struct run *r, struct sim_service *const *v, size_t n, unsigned *ret_n_bonded) {
        const struct manager *m = sim_manager(r->sim);
        unsigned n_moved = 0;
        *ret_n_bonded = 0;
        for (size_t i = 0; i < n; i++) {
                ssize_t at = m->last ? cycle_find(m->last, v[i]->cgroup) : -1;
                for (size_t k = 0; at >= 0 && k < m->last->observation->n_services; k++)
                        if (cycle_is_bonded(m->last, (size_t) at, k)) {
                                ++*ret_n_bonded;
                                n_moved += cycle_company_moved_usec(m, m->last, (size_t) at) > 0;
                                break;
                        }
        }
        return n_moved;
}

/* Who waits for its turn, and is then told to stop, has moved nothing: what is known of the others' memory still holds. */
static void waited_only(struct run *r) {
        struct sim_service *v[N_BONDED];
        share_memory(r, "16M", v);
        struct manager *m = sim_manager(r->sim);
        const struct transition *moving = NULL;
        for (unsigned i = 0; i < 1200 && (!moving || m->n_transitions < ARRAY_SIZE(v)); i++) {
                pass(r, 50 * USEC_PER_MSEC);
                moving = NULL;
                for (unsigned k = 0; k < ARRAY_SIZE(v); k++) {
                        const struct transition *t = transition_find(m, v[k]->cgroup);
                        moving = t && t->n_passes > 0 ? t : moving;
                }
        }
        unsigned n_bonded;
        expect(r, moving && m->n_transitions == ARRAY_SIZE(v), "none is moved while the others wait");
        unsigned n_moved = count_moved_company(r, v, ARRAY_SIZE(v), &n_bonded);
        expect(r, n_bonded == ARRAY_SIZE(v) && n_moved == 2, "%u of %u have company that was moved", n_moved, n_bonded);
        expect(r, manager_bus_callbacks.pause(true, m) >= 0, "cannot be paused");
        pass(r, SECONDS(10));
        expect(r, m->n_transitions == 0, "something goes on in a pause");
        n_moved = count_moved_company(r, v, ARRAY_SIZE(v), &n_bonded);
        expect(r, n_bonded == ARRAY_SIZE(v) && n_moved == 2, "%u of %u have company that was moved", n_moved, n_bonded);
}

/* The other's process hangs, where the first's mover looks who shares its memory: the first is not to blame, and not taken for stuck. */
static void companion_hangs(struct run *r) {
        machine(r, 4, 8, 8 * GIB);
        rules(r, "rules:\n- {name: vm, match: {unit: 'vm*'}, place: nodes, nodes: '2', shared-pages: move}\n"
                 "- {name: switch, match: {unit: 'switch*'}, place: nodes, nodes: '2', shared-pages: move, together-with: vm}\n");
        struct sim_service *other = service(r, "switch.service", 1, GIB, 2);
        pass(r, MINUTES(2));
        expect_home_count(r, other, 1);
        struct sim_service *vm = service(r, "vm.service", 1, GIB, 0);
        const struct manager *m = sim_manager(r->sim);
        for (unsigned i = 0; i < 60000 && !transition_find(m, vm->cgroup); i++)
                pass(r, 10 * USEC_PER_MSEC);
        other->stuck_usec = MINUTES(20);
        pass(r, MINUTES(5));
        const struct service_note *n = manager_find_note(m, vm->cgroup);
        expect(r, n && n->without_companions && !n->stuck && r->n_stuck > 0, "it is not known who hangs");
        expect_home_count(r, vm, 4);
        other->stuck_usec = 0;
        pass(r, MINUTES(40));
        expect(r, n && !n->without_companions && !n->stuck, "it is over, and nobody knows");
        expect_local(r, vm, 0.99);
}

const struct scenario scenarios_hung[] = {
        { 130, "widened-in-part", "CPUs were written, memory nodes refused: all is given back", widened_in_part },
        { 131, "widened-not-at-all", "what did not take effect is asked back", widened_not_at_all },
        { 132, "freed-while-hung", "CPUs are given back while memory nodes have to wait", freed_while_hung },
        { 133, "waits-unrestricted", "who waits for companions keeps its CPUs", waits_unrestricted },
        { 134, "companion-hangs", "a process that hangs is not blamed on who shares memory with it", companion_hangs },
        { 135, "restored-while-hung", "what was asked for and had to wait is given back later", all_restored_while_hung },
        { 136, "one-restored", "the same of one service", one_restored_while_hung },
        { 137, "waited-only", "who only waited for its turn has moved nothing of what others share", waited_only },
        { 142, "brought-along", "who shares what another brings waits for that", brought_along },
        { 190, "restored-while-stuck", "memory nodes are given back once reading it returns", restored_while_stuck },
        { 191, "narrowed-while-stuck", "… and narrowed", narrowed_while_stuck },
        { 0 },
};
