/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one sentence for each placement: what is done or why not, with the numbers that decided. */
#include "core/plan-internal.h"

/* Every program shares libraries: a smaller share of its memory that stays behind explains nothing. */
#define FIXED_SHARE 20
/* So much farther than usual is worth a word. */
#define PASSING_SHARE 0.1

static void add_deed(struct strbuf *b, const char *deed) {
        if (b->length > 0)
                strbuf_append(b, " and ");
        strbuf_append(b, deed);
}

/* " by weights 3:3:1", in order of the nodes; nothing where all are the same. */
static void add_weights(struct strbuf *b, const struct planner *pl, const struct job *j) {
        const char *before = " by weights ";
        uint64_t most = 0;
        for (unsigned i = 0; i < pl->n_nodes && j->kind == JOB_INTERLEAVE; i++)
                most = MAX2(most, j->part[i]);
        for (unsigned i = 0; i < pl->n_nodes && most > 1; i++)
                if (j->part[i] > 0) {
                        strbuf_printf(b, "%s%u", before, (unsigned) j->part[i]);
                        before = ":";
                }
}

static void add_devices(struct strbuf *b, const struct job *j) {
        for (size_t k = 0; k < j->rule->devices.n_items; k++)
                strbuf_printf(b, "%s%s",
                              k > 0                       ? " and "
                              : j->chosen.device_cost > 0 ? ", as close to "
                                                          : ", closest to ",
                              j->rule->devices.items[k]);
        if (j->chosen.device_cost > 0)
                strbuf_append(b, " as it fits");
}

static void add_deeds(struct strbuf *b, const struct planner *pl, const struct job *j, const struct due *d) {
        if (d->move) {
                add_deed(b, "moves ");
                text_bytes(b, j->placement->bytes_to_move);
                strbuf_append(b, j->kind == JOB_SPREAD       ? " to spread it over "
                                 : j->kind == JOB_INTERLEAVE ? " to interleave it over "
                                                             : " to ");
                text_nodes(b, &d->mems);
                add_weights(b, pl, j);
        }
        if (d->restrict_cpus) {
                add_deed(b, "restricts its CPUs to ");
                text_nodes(b, &d->cpus);
        }
        if (d->narrow_mems) {
                add_deed(b, "narrows its memory to ");
                text_nodes(b, &d->mems);
        }
        if (d->give_back_cpus)
                add_deed(b, "gives its CPUs back");
        if (d->give_back_mems)
                add_deed(b, "gives its memory nodes back");
}

/* What else than distance it goes for; NULL: for distance. */
static const char *relief(const struct planner *pl, const struct job *j, const struct due *d) {
        double before = j->placement->distance_before, after = j->chosen.slit_distance;
        bool farther = after - before >= before / 100;
        if ((!d->move && !farther) || j->kind == JOB_NODES || before - after >= before / 100)
                return NULL;
        double by_memory = j->present.bandwidth_cost - j->chosen.bandwidth_cost,
               by_cpus = j->present.load_cost - j->chosen.load_cost, by_latency = j->present.distance - j->chosen.distance;
        if (j->present.cost > 0 && by_memory > 0 && by_memory >= by_cpus && by_memory >= by_latency)
                return ", where memory is less busy";
        if (pl->slit && j->present.cost > 0 && by_latency > 0 && by_latency >= by_cpus)
                return ", where memory answers sooner";
        if (!d->move && (j->present.cost <= 0 || by_cpus <= 0)) /* something else speaks for it */
                return NULL;
        return j->kind == JOB_COMPACT ? ", where its CPUs are less crowded" : NULL;
}

/* Most of its memory is where others must not meet it. */
static bool is_kept_away(const struct planner *pl, const struct job *j, struct bar *ret) {
        unsigned most = 0;
        for (unsigned i = 1; i < pl->n_nodes; i++)
                if (j->movable[i] > j->movable[most])
                        most = i;
        struct node_set there = node_set_of(pl->nodes[most].id);
        if (j->has_home || !j->group || j->group->n > 1 || !pl->contested || node_set_has(&j->chosen.nodes, pl->nodes[most].id))
                return false;
        return job_standing(pl, j, &there, ret) != STANDING_FREE && ret->other;
}

/* It goes back within the guard's time: that has a reason to be stated. */
static const char *back_cause(const struct job *j) {
        if (!node_set_equal(&j->chosen.nodes, &j->former) || j->home_lost)
                return NULL;
        return j->guard_usec > 0 ? "its home has no room for it" : j->back_why;
}

/* 0: it has used no CPU time yet, or its memory is not known. */
static void add_distance(struct strbuf *b, const char *lead, double distance) {
        if (distance > 0)
                strbuf_printf(b, "%sdistance %.1f", lead, told(distance));
        else
                strbuf_printf(b, "%sdistance unknown", lead);
}

static void add_cause(struct strbuf *b, const struct planner *pl, const struct job *j, const struct due *d) {
        if (!j->assigned)
                return;
        const char *why = relief(pl, j, d), *back = back_cause(j);
        struct bar bar;
        if (d->same_home)
                strbuf_append(b, ", its home");
        else if (j->displaced && j->lost_to.constraint != CONSTRAINT_NONE) {
                strbuf_append(b, ", because ");
                text_bar(b, j, &j->lost_to);
        } else if (j->home_lost)
                strbuf_append(b, ", because its former home is no longer possible");
        else if (j->kind == JOB_NODES)
                strbuf_append(b, ", as the rule says");
        else if (j->kind == JOB_NEAR)
                add_devices(b, j);
        else if (back) {
                strbuf_append(b, ", back after ");
                text_duration(b, pl->in->now_usec - MIN2(j->history->left_usec, pl->in->now_usec));
                strbuf_printf(b, " because %s", back);
        } else if (why && is_kept_away(pl, j, &bar)) {
                strbuf_append(b, ", because ");
                text_bar(b, j, &bar);
        } else if (why)
                strbuf_append(b, why);
        add_distance(b, ": ", j->placement->distance_before);
        /* Memory follows the share of some minutes: where its threads happen to be nearer at this moment, the numbers alone would say that it is made worse. */
        if (j->kind == JOB_FOLLOW && !pl->slit && !d->same_home && j->placement->distance_after > j->placement->distance_before)
                strbuf_printf(b, " (%.1f of late)", told(j->present.distance));
        strbuf_printf(b, " → %.1f", told(j->placement->distance_after));
}

/* Its threads run elsewhere than they mostly did: memory follows the share of some minutes (HISTORY_SHARE_TAU_USEC), the distance told is of now. */
static void add_passing(struct strbuf *b, const struct planner *pl, const struct job *j) {
        /* Without a home what it has now is known by latency alone, where that is known, which is no number to put beside. */
        double usual = j->assigned ? j->chosen.slit_distance : pl->slit ? 0 : j->present.distance;
        if (j->kind == JOB_FOLLOW && usual > 0 && j->placement->distance_before > usual * (1 + PASSING_SHARE))
                strbuf_printf(
                        b, "; its threads run elsewhere at the moment (of late it was %.1f), and memory follows only what lasts",
                        told(usual));
}

static void add_standing(struct strbuf *b, const struct planner *pl, const struct job *j, const struct due *d) {
        double distance = j->placement->distance_before;
        if (!j->assigned) {
                add_distance(b, "left where it is, at ", distance);
                return;
        }
        if (job_divides(j)) {
                strbuf_append(b, j->kind == JOB_SPREAD ? "spread over " : "interleaved over ");
                text_nodes(b, &d->mems);
                add_weights(b, pl, j);
                add_distance(b, ", ", distance);
                return;
        }
        struct node_set all = node_set_intersect(&pl->cpu_nodes, &j->may_cpus);
        struct node_set cpus = job_cpus(pl, j, &j->chosen.nodes);
        if (j->restricts && node_set_is_subset(&all, &cpus)) {
                strbuf_append(b, "on all its nodes: ");
                text_nodes(b, &j->chosen.nodes);
                add_distance(b, ", ", distance);
                return;
        }
        uint64_t off = d->bytes_fixed + d->bytes_unmovable + d->bytes_without_room + d->bytes_undone;
        strbuf_append(b, off > j->bytes / 2 ? "most of its memory is not at its home, " : "at home on ");
        text_nodes(b, &j->chosen.nodes);
        if (j->kind == JOB_NEAR)
                add_devices(b, j);
        add_distance(b, ", ", distance);
}

void text_unpaid(struct strbuf *b, const struct planner *pl, const struct job *j, uint64_t bytes, double gain) {
        strbuf_append(b, " would not pay for itself: moving ");
        text_bytes(b, bytes);
        strbuf_append(b, " takes ");
        text_duration(b, (uint64_t) (job_move_seconds(pl, j, bytes) * (double) USEC_PER_SEC));
        strbuf_printf(b, " for a gain of %.1f%% over ", MAX2(gain, 0.0) * 100);
        text_duration(b, (uint64_t) (job_horizon_seconds(j) * (double) USEC_PER_SEC));
}

static void add_waiting_better(struct strbuf *b, const struct planner *pl, const struct job *j) {
        strbuf_append(b, "; ");
        text_nodes(b, &j->better.nodes);
        strbuf_printf(b, " would be better (distance %.1f, cost %.1f)", told(j->better.slit_distance), told(j->better.cost));
        if (j->guarded) {
                uint64_t now = pl->in->now_usec;
                strbuf_append(b, ", but it left there ");
                text_duration(b, now - MIN2(j->history->left_usec, now));
                strbuf_append(b, " ago and does not go back for another ");
                text_duration(b, j->guard_usec);
        } else if (j->rest_usec > 0) {
                strbuf_append(b, ", in cooldown for ");
                text_duration(b, j->rest_usec);
        } else if (j->patience_usec > 0) {
                strbuf_append(b, ", but its threads have led it from home to home, so it waits another ");
                text_duration(b, j->patience_usec);
        } else
                strbuf_append(b, ", waits to see whether that lasts");
}

/* What it looked at and did not take: the threshold that held, by the numbers that were compared. */
static void add_declined(struct strbuf *b, const struct job *j) {
        const struct option *now = &j->present, *o = &j->better;
        double nearer = distance_gain(now->distance, o->distance), gain = option_gain(now->cost, now->distance, o);
        strbuf_append(b, ": ");
        text_nodes(b, &o->nodes);
        if (o->cost >= now->cost && nearer >= job_min_gain(j))
                strbuf_printf(b, " would be nearer (%.1f%%), and costs more than staying, %.1f against %.1f", nearer * 100,
                              told(o->cost), told(now->cost));
        else if (gain < job_min_gain(j))
                strbuf_printf(b, " would gain %.1f%%, less than min-gain %.1f%%", gain * 100, job_min_gain(j) * 100);
        else /* only for memory that follows: a controller that is less busy has to be worth more, and to a service that is not idle */
                strbuf_printf(b, " would be less busy (%.1f%%) and not nearer, which is too little for a move", gain * 100);
}

static void add_better(struct strbuf *b, const struct planner *pl, const struct job *j) {
        if (j->unpaid) {
                const struct option *now = &j->present;
                strbuf_append(b, "; ");
                text_nodes(b, &j->better.nodes);
                double gain = option_gain(now->cost, now->distance, &j->better);
                text_unpaid(b, pl, j, j->better.bytes_in, MAX2(gain, distance_gain(now->distance, j->better.distance)));
        } else if (j->guarded || j->waits)
                add_waiting_better(b, pl, j);
        else if (j->declined && !node_set_is_empty(&j->better.nodes) && !j->assigned)
                add_declined(b, j);
}

static void add_obstacles(struct strbuf *b, const struct planner *pl, const struct job *j, const struct due *d) {
        if (d->bytes_without_room > 0) {
                strbuf_append(b, "; ");
                text_bytes(b, d->bytes_without_room);
                strbuf_append(b, " of its memory finds no room there above keep-free");
        }
        if (d->bytes_unpaid > 0) {
                strbuf_append(b, "; bringing the rest home");
                text_unpaid(b, pl, j, d->bytes_unpaid, d->gain_unpaid);
        }
        if (d->little_usec > 0) {
                strbuf_append(b, "; ");
                text_bytes(b, d->bytes_little);
                strbuf_append(b, " elsewhere is little, tidied up in ");
                text_duration(b, d->little_usec);
        }
        if (d->bytes_fixed > MAX2(job_tolerated_bytes(j), j->bytes / FIXED_SHARE)) {
                strbuf_append(b, "; ");
                text_bytes(b, d->bytes_fixed);
                strbuf_append(b, " of its memory cannot be moved (shared with others, or bound)");
        }
        if (d->bytes_unmovable > job_tolerated_bytes(j)) {
                strbuf_append(b, "; ");
                text_bytes(b, d->bytes_unmovable);
                strbuf_append(b, " of its memory would not move (pinned, shared or busy), tried again in ");
                text_duration(b, j->history->retry_usec - pl->in->now_usec);
        }
}

static void add_waiting(struct strbuf *b, const struct job *j, bool any) {
        if (j->under_way)
                strbuf_append(b, "; a move is under way");
        else if (any && !j->placement->act && !j->placement->wants_deep && j->rest_usec > 0) {
                strbuf_append(b, j->after_failure ? "; the last attempt had no effect, tried again in " : "; in cooldown for ");
                text_duration(b, j->rest_usec);
        } else if (j->placement->wants_deep && !j->placement->act)
                strbuf_append(b, "; its memory map is read first");
}

static void add_no_room(struct strbuf *b, const struct planner *pl, const struct job *j) {
        uint64_t movable = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++)
                movable += j->movable[i];
        strbuf_append(b, "no node that it may use has room for its ");
        text_bytes(b, movable);
        strbuf_append(b, " above keep-free");
        if (j->rule->max_nodes > 0)
                strbuf_printf(b, " (max-nodes %u)", j->rule->max_nodes);
}

void reason_write(const struct planner *pl, struct job *j, const struct due *d) {
        struct strbuf b = { 0 };
        add_deeds(&b, pl, j, d);
        bool any = b.length > 0;
        if (any)
                add_cause(&b, pl, j, d);
        else if (!j->assigned && j->barred) {
                strbuf_append(&b, "left where it is: ");
                text_bar(&b, j, &j->lost_to);
        } else if (!j->assigned && !j->declined && !j->waits && !j->unpaid)
                add_no_room(&b, pl, j);
        else {
                add_standing(&b, pl, j, d);
                add_better(&b, pl, j);
                add_passing(&b, pl, j);
        }
        add_obstacles(&b, pl, j, d);
        if (j->assigned && j->restricts && !j->chosen.fits_cpus && j->kind == JOB_COMPACT)
                strbuf_printf(&b, "; oversubscribed: %.1f CPUs of load on %.0f", j->chosen.load, j->chosen.n_cpus);
        kernel_note(pl, j, d, &b);
        if (j->assigned)
                text_given_up(&b, j);
        add_waiting(&b, j, any);
        if (j->notes.length > 0)
                strbuf_append(&b, j->notes.text);
        j->placement->reason = strbuf_steal(&b);
}
