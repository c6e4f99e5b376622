/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a set of homes is worth, in the terms that the search minimises: for referees that look for a better one. Homes are assigned in the
 * order in which the search would, and weighed by the same functions. */

#include "core/plan-internal.h"

struct plan_scorer {
        struct planner pl;
        struct plan plan; /* what the planner tells as it sets up; not used further */
        struct job **order;
        size_t n_order;
        struct plan_score_part *parts; /* one per sample, of the last score */
};

static size_t list_order(struct plan_scorer *s) {
        struct planner *pl = &s->pl;
        size_t n = 0;
        for (size_t i = 0; i < pl->n_groups; i++)
                for (size_t k = 0; k < pl->order[i]->n; k++)
                        s->order[n++] = pl->order[i]->members[k];
        for (size_t i = 0; i < pl->n_jobs; i++)
                if (pl->jobs[i].kind != JOB_TOLD && !pl->jobs[i].group)
                        s->order[n++] = &pl->jobs[i];
        return n;
}

int plan_scorer_new(const struct plan_input *in, struct plan_scorer **ret) {
        if (!plan_input_is_consistent(in))
                return -EINVAL;
        struct plan_scorer *s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;
        s->plan.placements = calloc(in->n_samples + 1, sizeof *s->plan.placements);
        s->plan.n_placements = in->n_samples;
        s->order = calloc(in->n_samples + 1, sizeof(struct job *));
        s->parts = calloc(in->n_samples + 1, sizeof *s->parts);
        int r = s->plan.placements && s->order && s->parts ? planner_init(&s->pl, in, NULL, &s->plan) : -ENOMEM;
        if (r >= 0) {
                plan_nodes(&s->pl);
                plan_near(&s->pl);
                plan_spread(&s->pl);
                if (!constraints_init(&s->pl))
                        r = -ENOMEM;
        }
        if (r < 0) {
                plan_scorer_free(s);
                return r;
        }
        s->n_order = list_order(s);
        *ret = s;
        return 0;
}

struct plan_scorer *plan_scorer_free(struct plan_scorer *s) {
        if (!s)
                return NULL;
        planner_done(&s->pl);
        for (size_t i = 0; i < s->plan.n_placements && s->plan.placements; i++)
                free(s->plan.placements[i].reason);
        free(s->plan.placements);
        free(s->order);
        free(s->parts);
        free(s);
        return NULL;
}

bool plan_scorer_places(const struct plan_scorer *s, size_t sample) {
        return sample < s->pl.n_jobs && s->pl.jobs[sample].kind != JOB_TOLD;
}

static bool meet_first_at(const struct node_set *a, const struct node_set *b, unsigned id) {
        struct node_set both = node_set_intersect(a, b);
        return node_set_next(&both, 0) == (int) id;
}

/* Those assigned before, and each pair once. */
static void count_conflicts(const struct planner *pl, const struct job *j, const struct node_set *home, struct plan_score *ret) {
        for (unsigned i = 0; i < pl->n_nodes && pl->contested; i++) {
                const struct occupants *o = &pl->occupants[i];
                for (size_t k = 0; k < o->n && node_set_has(home, pl->nodes[i].id); k++) {
                        const struct job *other = &pl->jobs[o->jobs[k]];
                        struct bar bar;
                        if (jobs_conflict(pl, j, other, &bar) && meet_first_at(home, &other->chosen.nodes, pl->nodes[i].id))
                                ret->broken[bar.constraint]++;
                }
        }
}

static void count_broken(const struct planner *pl, const struct job *j, const struct node_set *home, const struct node_set *homes,
                         struct plan_score *ret) {
        struct node_set cpus = job_cpus(pl, j, home), mems = job_mems(pl, j, home);
        struct bar bar;
        if (job_bars(j, home, &bar))
                ret->broken[bar.constraint]++;
        else if (node_set_is_empty(&mems) || (j->restricts && node_set_is_empty(&cpus)))
                ret->broken[CONSTRAINT_CPUSET]++;
        for (size_t k = 0; j->group && k < j->group->n; k++) {
                const struct job *first = j->group->members[k];
                const struct node_set *there = &homes[first - pl->jobs];
                if (first == j)
                        break;
                if (!node_set_is_empty(there)) {
                        ret->broken[CONSTRAINT_TOGETHER] += !node_set_equal(there, home);
                        break;
                }
        }
        count_conflicts(pl, j, home, ret);
}

static bool fits_cpus(const struct planner *pl, const struct job *j) {
        struct node_set cpus = job_cpus(pl, j, &j->chosen.nodes);
        double load = 0, n_cpus = 0;
        NODE_SET_FOREACH (id, &cpus) {
                load += pl->nodes[pl->index_of[id]].pinned_load;
                n_cpus += pl->nodes[pl->index_of[id]].n_cpus;
        }
        return !j->restricts || load <= n_cpus + 1e-9;
}

static void add_part(struct plan_scorer *s, const struct job *j, const struct option *o, bool fits, struct plan_score *ret) {
        struct plan_score_part *part = &s->parts[j - s->pl.jobs];
        *part = (struct plan_score_part) { j->weight * o->cost, fits };
        ret->cost += part->cost;
        ret->memory_fits &= fits;
}

static void add_left(struct plan_scorer *s, struct job *j, struct plan_score *ret) {
        struct option o;
        option_present(&s->pl, j, &o);
        add_part(s, j, &o, true, ret);
        ret->n_left++;
}

/* As they were: what is not assigned counts as traffic where it is, if it is not ours to restrict. */
static void clear(struct planner *pl) {
        for (size_t i = 0; i < pl->n_jobs; i++) {
                struct job *j = &pl->jobs[i];
                bool was = j->assigned;
                job_unassign(pl, j);
                if (was && !j->restricts)
                        traffic_put(pl, j, TRAFFIC_PRESENT);
        }
}

int plan_scorer_score(struct plan_scorer *s, const struct node_set *homes, struct plan_score *ret) {
        struct planner *pl = &s->pl;
        struct plan_score score = { .memory_fits = true, .cpus_fit = true };
        for (size_t i = 0; i < pl->n_jobs; i++)
                if (!node_set_is_empty(&homes[i]) &&
                    (pl->jobs[i].kind == JOB_TOLD || !node_set_is_subset(&homes[i], &pl->all_nodes)))
                        return -EINVAL;
        for (size_t i = 0; i < s->n_order; i++) {
                struct job *j = s->order[i];
                struct option o = { .nodes = homes[j - pl->jobs] };
                score.weight += j->weight;
                if (node_set_is_empty(&o.nodes))
                        continue;
                count_broken(pl, j, &o.nodes, homes, &score);
                if (j->kind == JOB_INTERLEAVE) {
                        struct node_set mems = job_mems(pl, j, &o.nodes);
                        if (!interleave_set_parts(pl, j, &mems))
                                break;
                }
                job_assign(pl, j, &o);
                add_part(s, j, &j->chosen, j->chosen.fits_memory, &score);
        }
        for (size_t i = 0; i < s->n_order; i++) {
                if (s->order[i]->assigned)
                        score.cpus_fit &= fits_cpus(pl, s->order[i]);
                else
                        add_left(s, s->order[i], &score);
        }
        clear(pl);
        *ret = score;
        return pl->failed ? -ENOMEM : 0;
}

struct plan_score_part plan_scorer_part(const struct plan_scorer *s, size_t sample) {
        return plan_scorer_places(s, sample) ? s->parts[sample] : (struct plan_score_part) { .memory_fits = true };
}

int plan_score(const struct plan_input *in, const struct node_set *homes, struct plan_score *ret) {
        struct plan_scorer *s;
        int r = plan_scorer_new(in, &s);
        if (r < 0)
                return r;
        struct node_set *placed = calloc(in->n_samples + 1, sizeof *placed);
        for (size_t i = 0; i < in->n_samples && placed; i++)
                if (plan_scorer_places(s, i))
                        placed[i] = homes[i];
        r = placed ? plan_scorer_score(s, placed, ret) : -ENOMEM;
        free(placed);
        plan_scorer_free(s);
        return r;
}
