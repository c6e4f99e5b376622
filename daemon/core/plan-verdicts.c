/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which candidates there were, and why each lost: looked at once more with everybody where the plan has them. */
#include "core/plan-internal.h"

#define FEASIBLE_MAX   8u /* kept for the report: the best, the chosen among them */
#define INFEASIBLE_MAX 4u

static void say_lacking(struct strbuf *b, const struct job *j, const struct option *o) {
        strbuf_append(b, "rejected: ");
        text_nodes(b, &o->nodes);
        if (!o->has_memory)
                strbuf_append(b, " has no memory that it may use");
        else if (j->restricts && !o->has_cpus)
                strbuf_append(b, " has no CPUs that it may use");
        else if (!o->fits_memory) {
                strbuf_append(b, " has room for ");
                text_bytes(b, o->bytes_room);
                strbuf_append(b, " above keep-free, needs ");
                text_bytes(b, o->bytes_needed);
        } else if (o->load > o->n_cpus)
                strbuf_printf(b, " has %.0f CPUs, %.1f would be used", o->n_cpus, o->load);
        else
                strbuf_printf(b, " has %.0f cores, which leaves too little to spare for a load of %.1f", o->n_cores, j->demand);
}

static void say_chosen(struct strbuf *b, const struct option *o) {
        strbuf_printf(b, "chosen: costs %.1f (distance %.1f, CPU load %.1f, memory fill %.1f, moving %.1f)", o->cost, o->distance,
                      o->load_cost, o->fill_cost, o->moving_cost);
        if (!o->fits_memory)
                strbuf_append(b, ", though not all of its memory has room");
        else if (!o->fits_cpus)
                strbuf_append(b, ", though oversubscribed: nothing else has room");
}

static void say_beaten(struct strbuf *b, const struct job *j, const struct option *o) {
        if (!j->assigned)
                strbuf_printf(b, "rejected: costs %.1f against %.1f where it is, a gain below min-gain", o->cost,
                              j->present.cost);
        else if (o->cost >= j->chosen.cost)
                strbuf_printf(b, "rejected: costs %.1f against %.1f", o->cost, j->chosen.cost);
        else if (j->waits && node_set_equal(&o->nodes, &j->better.nodes))
                strbuf_printf(b, "rejected for now: costs %.1f against %.1f, in cooldown", o->cost, j->chosen.cost);
        else
                strbuf_printf(b, "rejected: costs %.1f against %.1f, a gain below min-gain", o->cost, j->chosen.cost);
}

static bool add_candidate(struct job *j, const struct option *o, bool feasible, bool chosen) {
        struct placement *p = j->placement;
        struct strbuf b = { 0 };
        if (chosen)
                say_chosen(&b, &j->chosen);
        else if (feasible)
                say_beaten(&b, j, o);
        else
                say_lacking(&b, j, o);
        char *verdict = strbuf_steal(&b);
        if (!verdict)
                return false;
        p->candidates[p->n_candidates++] = (struct candidate){
                .nodes = o->nodes,
                .cost = o->cost,
                .feasible = feasible,
                .chosen = chosen,
                .verdict = verdict,
        };
        return true;
}

/* The best that has not been taken yet: fitting ones by cost, others in the order in which they were tried (fewest nodes, lowest ids). */
static struct option *next_option(struct planner *pl, const struct job *j, const bool *taken, bool fitting) {
        struct option *best = NULL;
        for (size_t i = 0; i < pl->n_options; i++) {
                struct option *o = &pl->options[i];
                if (taken[i] || option_fits(o) != fitting)
                        continue;
                if (!best || (fitting && option_better(j, o, best)))
                        best = o;
        }
        return best;
}

static bool write_all(struct planner *pl, struct job *j, bool *taken) {
        struct option *chosen = NULL;
        for (size_t i = 0; i < pl->n_options && j->assigned; i++)
                if (node_set_equal(&pl->options[i].nodes, &j->chosen.nodes)) {
                        chosen = &pl->options[i];
                        taken[i] = true;
                }
        if (j->assigned && !add_candidate(j, chosen ? chosen : &j->chosen, option_fits(&j->chosen), true))
                return false;
        for (unsigned pass = 0; pass < 2; pass++) {
                bool fitting = pass == 0;
                unsigned limit = fitting ? FEASIBLE_MAX - (j->assigned ? 1 : 0) : INFEASIBLE_MAX;
                for (unsigned n = 0; n < limit; n++) {
                        struct option *o = next_option(pl, j, taken, fitting);
                        if (!o)
                                break;
                        taken[o - pl->options] = true;
                        if (!add_candidate(j, o, fitting, false))
                                return false;
                }
        }
        return true;
}

void plan_verdicts(struct planner *pl, struct job *j) {
        bool was_assigned = j->assigned;
        struct option chosen = j->chosen;
        job_unassign(pl, j);
        pl->n_options = 0;
        if (j->kind == JOB_COMPACT || j->kind == JOB_NEAR)
                candidates_of_set(pl, j);
        else if (j->kind == JOB_FOLLOW)
                candidates_of_memory(pl, j);
        if (was_assigned)
                job_assign(pl, j, &chosen);
        bool *taken = calloc(pl->n_options + 1, sizeof *taken);
        j->placement->candidates = calloc(FEASIBLE_MAX + INFEASIBLE_MAX, sizeof *j->placement->candidates);
        if (!taken || !j->placement->candidates || !write_all(pl, j, taken))
                pl->failed = true;
        free(taken);
}
