/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scenarios of cpusets that are refused, lost, or cannot be recorded: nothing is done in vain, nothing without a record, and nothing is
 * tried again and again. */
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scenario.h"

#define ALL_COMPACT "rules:\n- {name: all, match: {unit: '*'}, place: compact}\n"

/* The cpuset is refused: we back off, others are served; when it works again it is done. */
static void refused(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, ALL_COMPACT);
        struct sim_spec p = spec("stubborn.service", 2, 2 * GIB);
        p.start = topology_nodes(sim_topology(r->sim));
        struct sim_service *v = add(r, &p), *other = service(r, "willing.service", 2, 2 * GIB, 1);
        v->fail_set = -EACCES;
        r->listen = "its cpuset could not be changed";
        pass(r, HOURS(8));
        expect_local(r, other, 0.99);
        expect(r, r->n_given_up <= 24, "tried %u times in eight hours what is refused", r->n_given_up);
        expect(r, r->n_heard == r->n_given_up, "%u times it was not said why", r->n_given_up - r->n_heard);
        expect(r, r->n_given_up >= 2, "tried only %u times", r->n_given_up);
        /* Half of it was elsewhere: whether it can be restricted is found out first. */
        expect(r, v->moved_bytes == 0, "moved %" PRIu64 " MiB of 2 GiB for a service that cannot be restricted",
               (uint64_t) (v->moved_bytes / MIB));
        v->fail_set = 0;
        pass(r, HOURS(3));
        expect_local(r, v, 0.99);
        expect_home_count(r, v, 1);
        expect_good_manners(r);
}

/* The service manager says yes and does nothing. */
static void lost(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, ALL_COMPACT);
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        v->lose_changes = true;
        pass(r, HOURS(8));
        expect_home_count(r, v, 2);
        expect(r, r->n_moved == 0, "it was reported as done");
        expect(r, r->n_given_up >= 1 && r->n_given_up <= 24, "given up %u times in eight hours", r->n_given_up);
}

/* … from the middle of a move on, which is found out when its memory is at home: next time before anything is moved. */
static void lost_again(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, "daemon: {migrate-rate: 256M}\nrules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1'}\n");
        struct sim_service *v = service(r, "app.service", 12, 2 * GIB, 0); /* threads on both nodes: its CPUs come last */
        while (v->moved_bytes == 0 && sim_elapsed(r->sim) < MINUTES(5))
                pass(r, SECONDS(1));
        v->lose_changes = true;
        r->listen = "did not take effect";
        while (r->n_given_up == 0 && sim_elapsed(r->sim) < MINUTES(10))
                pass(r, SECONDS(1));
        uint64_t moved = v->moved_bytes, bytes = v->bytes[SIM_PLAIN][1];
        expect(r, r->n_heard == 1 && moved >= GIB, "%" PRIu64 " MiB were moved", (uint64_t) (moved / MIB));
        sim_take_bytes(r->sim, 0, (int64_t) bytes);
        sim_take_bytes(r->sim, 1, -(int64_t) bytes);
        v->bytes[SIM_PLAIN][0] += bytes;
        v->bytes[SIM_PLAIN][1] = 0;
        pass(r, HOURS(8));
        expect(r, r->n_given_up >= 2, "not tried again");
        expect(r, v->moved_bytes == moved, "moved %" PRIu64 " MiB for a service whose CPUs cannot be restricted",
               (uint64_t) ((v->moved_bytes - moved) / MIB));
}

/* Nothing is changed that is not on record. */
static void no_record(struct run *r) {
        on_disk(r);
        machine(r, 2, 8, 16 * GIB);
        _cleanup_free_ char *in_the_way = format_string("%s/record.json.tmp", r->runtime_dir);
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        rules(r, "rules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1'}\n");
        expect(r, mkdir(in_the_way, 0700) == 0, "cannot make a directory");
        r->listen = "could not be recorded";
        pass(r, HOURS(2));
        expect(r, r->n_given_up >= 2 && r->n_heard == r->n_given_up, "given up %u times, and said %u times why", r->n_given_up,
               r->n_heard);
        struct sim_totals t = sim_totals(r->sim);
        expect(r, t.n_cpuset_writes == 0 && t.moved_bytes == 0, "%u cpusets were written", t.n_cpuset_writes);
        expect(r, rmdir(in_the_way) == 0, "cannot remove a directory");
        pass(r, HOURS(2));
        expect_home_count(r, v, 1);
        expect_local(r, v, 0.99);
}

/* Somebody was faster by so little that it is told at once: nothing was changed, and nothing is kept on record as ours. */
static void too_late(struct run *r) {
        bool found = false;
        for (uint64_t n = 1; n < 20 && !found; n++) {
                machine(r, 2, 8, 16 * GIB);
                service(r, "app.service", 2, 2 * GIB, 0);
                r->listen = "somebody else has set its cpuset meanwhile";
                r->n_heard = 0;
                sim_fail_at(r->sim, n, -ESTALE);
                rules(r, "rules:\n- {name: here, match: {unit: '*'}, place: nodes, nodes: '1'}\n");
                pass(r, SECONDS(30));
                found = r->n_heard > 0 && sim_totals(r->sim).n_cpuset_writes == 0;
                expect(r, !found || sim_manager(r->sim)->record->n_entries == 0, "what was not changed is on record");
                r->sim = sim_free(r->sim);
        }
        expect(r, found, "no operation was a change");
}

/* What cannot be given back when its rule is gone is tried less and less often. */
static void not_given_back(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, ALL_COMPACT);
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        pass(r, MINUTES(5));
        expect_home_count(r, v, 1);
        v->fail_set = -EACCES;
        rules(r, "rules:\n- {name: none, match: {unit: none.service}, place: compact}\n");
        pass(r, MINUTES(10));
        expect(r, r->n_restore_failed >= 2, "tried %u times in ten minutes", r->n_restore_failed);
        pass(r, HOURS(8));
        expect(r, r->n_restore_failed >= 6 && r->n_restore_failed <= 12, "tried %u times in eight hours", r->n_restore_failed);
        v->fail_set = 0;
        pass(r, HOURS(3));
        expect_home_count(r, v, 2);
        expect(r, sim_manager(r->sim)->record->n_entries == 0, "still on record");
}

/* Managed again while it is being given back, which takes long: the one comes to its end before the other begins. */
static void wanted_again(struct run *r) {
        machine(r, 2, 8, 16 * GIB);
        rules(r, ALL_COMPACT);
        struct sim_service *v = service(r, "app.service", 2, 2 * GIB, 0);
        pass(r, MINUTES(5));
        v->write_usec = SECONDS(25);
        rules(r, "rules:\n- {name: none, match: {unit: none.service}, place: compact}\n");
        struct service_note *n = manager_note(sim_manager(r->sim), v->cgroup);
        while (n && !n->restoring && sim_elapsed(r->sim) < MINUTES(10))
                pass(r, SECONDS(1));
        rules(r, ALL_COMPACT);
        unsigned seen = 0;
        for (; n && n->restoring && seen < 100; seen++) {
                expect(r, sim_manager(r->sim)->n_transitions == 0, "moved while it is given back");
                pass(r, SECONDS(1));
        }
        expect(r, seen >= 10 && seen < 100, "given back for %u seconds", seen);
        pass(r, MINUTES(5));
        expect_home_count(r, v, 1);
}

const struct scenario scenarios_refused[] = {
        { 14, "refused", "a cpuset that is refused: backs off, then does it", refused },
        { 15, "lost", "a service manager that answers and does nothing", lost },
        { 198, "lost-again", "changes that are lost, found out after a move: not moved again", lost_again },
        { 186, "no-record", "a record that cannot be written: nothing is changed", no_record },
        { 187, "too-late", "somebody sets its cpuset just before us: nothing is ours", too_late },
        { 188, "not-given-back", "what cannot be given back is tried less and less often", not_given_back },
        { 189, "wanted-again", "managed again while it is being given back", wanted_again },
        { 0 },
};
