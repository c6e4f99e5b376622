/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which candidates a service had, and why each lost: looked at once more with everybody else where the plan has them. A plan says
 * this of nobody, because nobody asks for most of it: who asks has the plan made again, which is the same plan, and then this. */
#include "core/plan-internal.h"

#define FEASIBLE_MAX   8u /* kept for the report: the best, the chosen among them */
#define INFEASIBLE_MAX 4u
#define EXCLUDED_MAX   8u

/* What is needed to tell the verdicts of one job. */
struct context {
        struct planner *pl;
        struct job *j;
        const struct option *home; /* among the options; NULL: none */
        struct option reference;   /* what it has: the chosen, or where it is */
        struct explanation *e;
        bool *taken; /* options that have been told of */
};

static enum verdict verdict_of_lacking(const struct job *j, const struct option *o) {
        if (!o->has_memory)
                return VERDICT_NO_MEMORY;
        if (j->restricts && !o->has_cpus)
                return VERDICT_NO_CPUS;
        if (!o->fits_memory)
                return VERDICT_NO_ROOM;
        return o->load > o->n_cpus ? VERDICT_OVERLOADED : VERDICT_CRAMPED;
}

static double gain_of(const struct context *c, const struct option *o) {
        return MAX2(option_gain(c->reference.cost, c->reference.distance, o), distance_gain(c->reference.distance, o->distance));
}

/* It costs less, and was not what came nearest to being chosen: the first threshold that holds. */
static enum verdict verdict_of_cheaper(const struct context *c, const struct option *o) {
        const struct job *j = c->j;
        double gain = gain_of(c, o);
        if (gain < job_min_gain(j))
                return VERDICT_SMALL_GAIN;
        if (distance_gain(c->reference.distance, o->distance) < job_min_gain(j))
                return VERDICT_CROWDING;
        if (j->rest_usec > 0)
                return VERDICT_COOLDOWN;
        return move_pays(c->pl, j, gain, o->bytes_in) ? VERDICT_MUST_LAST : VERDICT_UNPAID;
}

static enum verdict verdict_of_beaten(const struct context *c, const struct option *o) {
        const struct job *j = c->j;
        bool was_better = node_set_equal(&o->nodes, &j->better.nodes);
        if (guard_bars(j, c->home, o) && o->cost < c->reference.cost)
                return VERDICT_GUARDED;
        if (was_better && j->unpaid)
                return VERDICT_UNPAID;
        if (was_better && j->waits)
                return j->rest_usec > 0 ? VERDICT_COOLDOWN : VERDICT_MUST_LAST;
        return o->cost >= c->reference.cost ? VERDICT_COSTS_MORE : verdict_of_cheaper(c, o);
}

static struct candidate *add(const struct context *c, const struct option *o, enum verdict verdict) {
        const struct job *j = c->j;
        struct candidate *x = &c->e->candidates[c->e->n_candidates++];
        /* What its companions bring along for it needs no room of its own: neither is told of it. */
        uint64_t credit = MIN2(job_credit_bytes(c->pl, j, &o->nodes), MIN2(o->bytes_needed, o->bytes_room));
        *x = (struct candidate) {
                .nodes = o->nodes,
                .cost = o->cost,
                .terms = { o->distance, o->bandwidth_cost, o->load_cost, o->fill_cost, o->moving_cost, o->breadth_cost,
                           o->device_cost },
                .feasible = option_fits(o) && verdict != VERDICT_EXCLUDED,
                .chosen = verdict == VERDICT_CHOSEN,
                .verdict = verdict,
                .against = c->reference.cost,
                .load = o->load,
                .n_cpus = o->n_cpus,
                .n_cores = o->n_cores,
                .demand = j->demand,
                .bytes_room = o->bytes_room - credit,
                .bytes_needed = o->bytes_needed - credit,
                .gain = gain_of(c, o),
                .min_gain = job_min_gain(j),
                .wait_usec = verdict == VERDICT_GUARDED ? j->guard_usec : j->rest_usec,
                .move_usec = (uint64_t) (job_move_seconds(c->pl, j, o->bytes_in) * (double) USEC_PER_SEC),
                .horizon_usec = (uint64_t) (job_horizon_seconds(j) * (double) USEC_PER_SEC),
        };
        return x;
}

static bool is_open(const struct option *o) {
        return option_fits(o) && o->standing == STANDING_FREE;
}

/* The best that has not been taken yet: fitting ones by cost, others in the order in which they were tried (fewest nodes, lowest ids). */
static struct option *next_option(const struct context *c, bool fitting) {
        struct option *best = NULL;
        for (size_t i = 0; i < c->pl->n_options; i++) {
                struct option *o = &c->pl->options[i];
                if (c->taken[i] || is_open(o) != fitting)
                        continue;
                if (!best || (fitting && option_better(c->j, o, best)))
                        best = o;
        }
        return best;
}

static void add_options(struct context *c) {
        for (unsigned pass = 0; pass < 2; pass++) {
                bool fitting = pass == 0;
                unsigned limit = fitting ? FEASIBLE_MAX - (unsigned) c->e->n_candidates : INFEASIBLE_MAX;
                for (unsigned n = 0; n < limit; n++) {
                        struct option *o = next_option(c, fitting);
                        if (!o)
                                break;
                        c->taken[o - c->pl->options] = true;
                        if (o->standing != STANDING_FREE)
                                add(c, o, VERDICT_EXCLUDED)->excluded_by = (struct exclusion) { o->bar.constraint, o->bar.rule };
                        else
                                (void) add(c, o, fitting ? verdict_of_beaten(c, o) : verdict_of_lacking(c->j, o));
                }
        }
}

static bool is_told(const struct explanation *e, const struct node_set *nodes) {
        for (size_t i = 0; i < e->n_candidates; i++)
                if (node_set_equal(&e->candidates[i].nodes, nodes))
                        return true;
        return false;
}

/* Nodes that no candidate could have, because something forbids them. */
static void add_excluded(struct context *c) {
        struct exclusion why;
        unsigned n = 0;
        for (unsigned i = 0; i < c->pl->n_nodes && n < EXCLUDED_MAX; i++) {
                struct option o = { .nodes = node_set_of(c->pl->nodes[i].id) };
                if (is_told(c->e, &o.nodes) || !job_excluded(c->pl, c->j, &o.nodes, &why))
                        continue;
                add(c, &o, VERDICT_EXCLUDED)->excluded_by = why;
                n++;
        }
}

static void find_options(struct planner *pl, const struct job *j) {
        pl->n_options = 0;
        if (j->kind == JOB_COMPACT || j->kind == JOB_NEAR)
                candidates_of_set(pl, j);
        else if (j->kind == JOB_FOLLOW)
                candidates_of_memory(pl, j);
}

static int explain_candidates(struct context *c, bool was_assigned, const struct option *chosen) {
        struct planner *pl = c->pl;
        find_options(pl, c->j);
        c->taken = calloc(pl->n_options + 1, sizeof *c->taken);
        c->e->candidates = calloc(FEASIBLE_MAX + INFEASIBLE_MAX + EXCLUDED_MAX + 1, sizeof *c->e->candidates);
        if (!c->taken || !c->e->candidates)
                return -ENOMEM;
        if (was_assigned)
                c->reference = *chosen;
        else
                option_present(pl, c->j, &c->reference);
        for (size_t i = 0; i < pl->n_options; i++) {
                if (c->j->has_home && node_set_equal(&pl->options[i].nodes, &c->j->home))
                        c->home = &pl->options[i];
                c->taken[i] = was_assigned && node_set_equal(&pl->options[i].nodes, &chosen->nodes);
        }
        if (was_assigned)
                (void) add(c, chosen, VERDICT_CHOSEN);
        add_options(c);
        add_excluded(c);
        return 0;
}

static int explain(struct planner *pl, struct job *j, struct explanation *e) {
        struct context c = { .pl = pl, .j = j, .e = e };
        struct sentences changes = { 0 };
        bool was_assigned = j->assigned;
        struct option chosen = j->chosen;
        int r = 0;
        if (j->kind != JOB_TOLD) {
                job_unassign(pl, j);
                if (was_assigned) {
                        job_give_credit(pl, j, &chosen.nodes);
                        job_evaluate(pl, j, &chosen.nodes, &chosen);
                }
                r = explain_candidates(&c, was_assigned, &chosen);
        }
        if (r >= 0)
                changes_find(pl, j, was_assigned ? &chosen : NULL, &changes);
        group_take_back_credit(pl);
        if (was_assigned && j->kind != JOB_TOLD)
                job_assign_again(pl, j, &chosen); /* as it was, for whoever is asked about next */
        e->would_change = changes.texts;
        e->n_would_change = changes.n;
        free(c.taken);
        return r < 0 || pl->failed ? -ENOMEM : 0;
}

int plan_explain(const struct plan_input *in, size_t index, struct explanation *ret) {
        struct planner pl;
        struct plan *plan;
        struct explanation e = { 0 };
        if (index >= in->n_samples)
                return -EINVAL;
        int r = planner_run(&pl, in, NULL, &plan);
        if (r >= 0) {
                r = explain(&pl, &pl.jobs[index], &e);
                plan_free(plan);
        }
        planner_done(&pl);
        if (r < 0)
                explanation_done(&e);
        else
                *ret = e;
        return r;
}

int plan_explain_all(const struct plan_input *in, struct explanation **ret) {
        struct planner pl;
        struct plan *plan = NULL;
        struct explanation *all = calloc(in->n_samples + 1, sizeof *all);
        int r = planner_run(&pl, in, NULL, &plan);
        if (r >= 0 && !all)
                r = -ENOMEM;
        for (size_t i = 0; r >= 0 && i < in->n_samples; i++)
                r = explain(&pl, &pl.jobs[i], &all[i]);
        plan_free(plan);
        planner_done(&pl);
        if (r < 0)
                explanations_free(all, in->n_samples);
        else
                *ret = all;
        return r;
}

struct explanation *explanations_free(struct explanation *all, size_t n) {
        for (size_t i = 0; i < n && all; i++)
                explanation_done(&all[i]);
        free(all);
        return NULL;
}

void explanation_done(struct explanation *e) {
        for (size_t i = 0; i < e->n_would_change; i++)
                free(e->would_change[i]);
        free(e->would_change);
        free(e->candidates);
        *e = (struct explanation) { 0 };
}
