/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a home to what is due now: what differs from what is in force, may be done, and is worth it. */
#include "core/plan-internal.h"

#include <string.h>

/* A cpuset.mems write has the kernel move what is left elsewhere, in one blocking call: not with more than this. */
#define NARROW_LEFT_MAX_BYTES (64 * MIB)
/* With less room than needed, a move is begun for so much at least: 1/16 of it, or this. */
#define PARTIAL_SHARE     16
#define PARTIAL_MAX_BYTES (32 * MIB)
/* A service grows while it is moved: so much more may come, where there is room. */
#define SLACK_SHARE 16
#define SLACK_BYTES (2 * MIB)
/* More than this share of its memory that cannot be moved is worth an administrator's look; of a small service so much is no more than the libraries that
 * it shares with others, unless it is a quarter. */
#define UNMOVABLE_SHARE       20
#define UNMOVABLE_LEAST_BYTES (16 * MIB)
#define UNMOVABLE_LEAST_SHARE 4

static uint64_t bytes_left_behind(const struct planner *pl, const struct job *j, const struct node_set *mems) {
        uint64_t left = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++)
                if (!node_set_has(mems, pl->nodes[i].id))
                        left += j->resident[i] - (job_divides(j) ? j->movable[i] : 0);
        if (job_divides(j)) /* what moves among them does not come from elsewhere */
                return left + j->chosen.bytes_off - j->chosen.bytes_in;
        return left > j->chosen.bytes_in ? left - j->chosen.bytes_in : 0;
}

bool plan_nodes_short(const struct machine_sample *m, const struct node_set *nodes, unsigned keep_free_permille) {
        NODE_SET_FOREACH (id, nodes)
                if (node_room_bytes(&m->nodes[id], keep_free_permille / 2) > 0)
                        return false;
        return true;
}

/* Others need the memory more than we need it local. */
static bool home_is_short(const struct planner *pl, const struct node_set *mems) {
        return plan_nodes_short(pl->in->machine, mems, pl->in->config->settings.keep_free_permille);
}

static bool recently_widened(const struct planner *pl, const struct job *j) {
        const struct history_entry *h = j->history;
        uint64_t now = pl->in->now_usec;
        return h && h->widened_usec > 0 &&
               (now < h->widened_usec || now - h->widened_usec < history_widened_wait_usec(h, j->rule->cooldown_usec));
}

static bool is_pressed(const struct planner *pl, const struct service_sample *s, const struct node_set *mems) {
        return s->memory_pressure_centipercent >= PLAN_PRESSURE_CENTIPERCENT || home_is_short(pl, mems);
}

/* memory: strict, where nothing stands against it. */
static bool wants_narrow(const struct planner *pl, struct job *j, struct due *d) {
        const struct service_sample *s = j->sample;
        if (j->rule->memory != MEMORY_STRICT || !j->assigned)
                return false;
        bool in_force = node_set_is_subset(&s->effective_mems, &d->mems);
        if (s->admin_mems)
                strbuf_append(&j->notes, "; its memory nodes are left as the administrator set them");
        else if (s->owner == OWNER_NONE)
                strbuf_append(&j->notes, "; its memory nodes cannot be narrowed");
        else if (s->inner_mems)
                strbuf_append(
                        &j->notes,
                        "; its memory nodes are not narrowed, because cgroups inside of it were given memory nodes of their own");
        else if (s->has_bound_mappings && j->rule->app_policy == APP_POLICY_RESPECT)
                strbuf_append(&j->notes, "; its memory nodes are not narrowed, because it bound some of its memory itself");
        else if (s->maps_incomplete && !in_force && j->rule->app_policy == APP_POLICY_RESPECT) /* in force: not back and forth */
                strbuf_append(&j->notes, "; its memory nodes are not narrowed, because not all of its memory maps could be read");
        else if (s->memory_pressure_centipercent >= PLAN_PRESSURE_CENTIPERCENT) {
                d->pressure = true;
                strbuf_printf(&j->notes, "; memory pressure is %d.%02d%%, so its memory nodes are not narrowed",
                              s->memory_pressure_centipercent / 100, s->memory_pressure_centipercent % 100);
        } else if (home_is_short(pl, &d->mems)) {
                d->pressure = true;
                strbuf_append(&j->notes, "; ");
                text_nodes(&j->notes, &d->mems);
                strbuf_append(&j->notes, " is short of memory, so its memory nodes are not narrowed");
        } else if (recently_widened(pl, j))
                strbuf_printf(&j->notes, "; its memory nodes were given back under pressure %s",
                              j->history->n_widened > 1 ? "more than once of late" : "a short time ago");
        else if (!in_force && bytes_left_behind(pl, j, &d->mems) > NARROW_LEFT_MAX_BYTES) {
                strbuf_append(&j->notes, "; its memory nodes are not narrowed, because ");
                text_bytes(&j->notes, bytes_left_behind(pl, j, &d->mems));
                strbuf_append(&j->notes, " would stay behind");
        } else
                return true;
        return false;
}

/* What this plan has room for on its home nodes. */
static uint64_t bytes_with_room(const struct planner *pl, const struct job *j) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < pl->n_nodes && j->has_incoming; i++)
                sum += j->incoming[i] + j->incoming_huge[i];
        return sum;
}

static uint64_t bytes_elsewhere(const struct planner *pl, const struct job *j, const struct node_set *mems) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++)
                sum += node_set_has(mems, pl->nodes[i].id) ? 0 : j->movable[i];
        return sum;
}

/* What is to come. Where the kernel sorts pages within the home it is what is on none of its nodes; none of them leaves another for it. */
static uint64_t bytes_coming(const struct planner *pl, const struct job *j, const struct due *d) {
        return d->left_to_kernel ? MIN2(bytes_elsewhere(pl, j, &d->mems), bytes_with_room(pl, j)) : j->chosen.bytes_in;
}

/* Bytes that are off home, have room there, and did not just resist. */
static void find_move(struct planner *pl, const struct job *j, struct due *d) {
        const struct option *o = &j->chosen;
        const struct history_entry *h = j->history;
        if (!j->assigned || j->hold_memory)
                return;
        uint64_t tolerated = job_tolerated_bytes(j), without_room = o->bytes_off - o->bytes_in;
        d->left_to_kernel = kernel_divides(pl, j);
        uint64_t worth = bytes_coming(pl, j, d);
        if (d->left_to_kernel)
                without_room = bytes_elsewhere(pl, j, &d->mems) - worth;
        if (d->same_home && h && pl->in->now_usec < h->retry_usec) {
                d->bytes_unmovable = MIN2(h->unmovable_bytes, o->bytes_off);
                worth -= MIN2(worth, d->bytes_unmovable);
        }
        if (without_room > tolerated) {
                d->bytes_without_room = without_room;
                tolerated = MAX2(tolerated, MIN2(o->bytes_off / PARTIAL_SHARE, (uint64_t) PARTIAL_MAX_BYTES));
        }
        d->move = worth > tolerated;
        d->little = d->same_home && history_is_little(worth + without_room, j->bytes);
        d->bytes_little = worth;
        d->undone_usec = d->move && d->same_home ? kernel_undone_wait(pl, j) : 0;
        if (d->undone_usec > 0) {
                d->bytes_undone = worth;
                d->move = false;
                return;
        }
        /* What the administrator chose is carried out, and who lost its home goes. Where memory is divided, distance is not what it is for. */
        if (!d->move || j->kind == JOB_NODES || j->kind == JOB_NEAR || job_divides(j) || j->home_lost)
                return;
        double gain = option_gain_by_moving(pl, j, o);
        if (!move_pays(pl, j, gain, worth)) {
                d->move = false;
                d->bytes_unpaid = worth;
                d->gain_unpaid = MAX2(gain, 0.0);
        }
}

static uint64_t bytes_fixed(const struct planner *pl, const struct job *j, const struct node_set *mems) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++)
                if (!node_set_has(mems, pl->nodes[i].id))
                        sum += j->resident[i] - j->movable[i];
        return sum;
}

/* Are the CPUs that we want in force? A parent can grant less: once a transition to this home has ended, less will do. */
static bool cpus_in_force(const struct job *j, const struct due *d) {
        const struct node_set *now = &j->sample->effective_cpu_nodes;
        const struct history_entry *h = j->history;
        bool tried = d->same_home && h && h->placed && h->settled_usec > 0 && h->settled_usec >= h->started_usec;
        if (!j->applied_cpus || j->sample->partial_cpus)
                return false;
        return tried ? node_set_is_subset(now, &d->cpus) : node_set_equal(now, &d->cpus);
}

/* Little is brought home with whatever else is due, and by itself the more seldom the more often it came. */
static void put_off_little(const struct planner *pl, const struct job *j, struct due *d) {
        bool alone = !d->restrict_cpus && !d->narrow_mems && !d->give_back_cpus && !d->give_back_mems;
        if (d->move && d->little && alone && !j->under_way)
                d->little_usec = history_little_wait_usec(j->history, j->rule->cooldown_usec, pl->in->now_usec);
        d->move &= d->little_usec == 0;
}

static void find_due(struct planner *pl, struct job *j, struct due *d) {
        const struct service_sample *s = j->sample;
        *d = (struct due) { .same_home = j->assigned && j->has_home && node_set_equal(&j->chosen.nodes, &j->home) };
        if (j->assigned) {
                d->mems = job_mems(pl, j, &j->chosen.nodes);
                d->bytes_fixed = bytes_fixed(pl, j, &d->mems);
                if (j->restricts)
                        d->cpus = job_cpus(pl, j, &j->chosen.nodes);
                /* All that it may have anyway: nothing to restrict. */
                struct node_set all = node_set_intersect(&pl->cpu_nodes, &j->may_cpus);
                if (node_set_is_subset(&all, &d->cpus))
                        d->cpus = (struct node_set) { 0 };
        }
        find_move(pl, j, d);
        bool restricts = !node_set_is_empty(&d->cpus);
        d->restrict_cpus = restricts && !cpus_in_force(j, d);
        /* Where nothing else can be had it is left as it is, but for memory that runs out. */
        bool left = !j->assigned && j->barred;
        d->pressure |= left && j->applied_mems && is_pressed(pl, s, &s->effective_mems);
        d->give_back_cpus = !restricts && j->applied_cpus && !s->admin_cpus && !left;
        bool narrows = wants_narrow(pl, j, d);
        d->narrow_mems = narrows && !node_set_is_subset(&s->effective_mems, &d->mems);
        d->give_back_mems = !narrows && j->applied_mems && !s->admin_mems && (!left || d->pressure);
        put_off_little(pl, j, d);
        j->placement->restrict_cpus = restricts;
        j->placement->narrow_mems = narrows;
        j->placement->widen_mems = d->give_back_mems;
}

/* What this placement may put on each node. */
static int grant_room(struct planner *pl, struct job *j) {
        uint64_t *room = calloc((size_t) pl->topology->n_ids + 1, sizeof *room);
        if (!room)
                return -ENOMEM;
        for (unsigned i = 0; i < pl->n_nodes && j->has_incoming; i++) {
                struct plan_node *n = &pl->nodes[i];
                uint64_t in = j->incoming[i] + j->incoming_huge[i];
                if (in == 0)
                        continue;
                uint64_t slack = MIN2(j->incoming[i] / SLACK_SHARE + SLACK_BYTES, n->room_bytes);
                n->room_bytes -= slack;
                room[n->id] = in + slack;
        }
        j->placement->room_by_node = room;
        return 0;
}

static void set_state(struct job *j, const struct due *d) {
        struct placement *p = j->placement;
        bool any = d->move || d->restrict_cpus || d->narrow_mems || d->give_back_cpus || d->give_back_mems;
        bool urgent = d->pressure && d->give_back_mems;
        bool rests = j->rest_usec > 0 && (d->same_home || !j->assigned);
        p->relieves = urgent;
        p->act = any && (urgent || !j->under_way) && (urgent || !rests) && (urgent || j->sample->deep);
        p->wants_deep = any && !j->under_way && !rests && !j->sample->deep;

        bool homeless = !j->assigned && !j->declined && !j->waits && !j->unpaid; /* nothing has room for it */
        uint64_t some = MIN2(j->bytes / UNMOVABLE_LEAST_SHARE, (uint64_t) UNMOVABLE_LEAST_BYTES);
        bool obstructed = d->bytes_without_room > 0 || d->bytes_unmovable > MAX2(j->bytes / UNMOVABLE_SHARE, some);
        if (any)
                p->state = STATE_PENDING;
        else if (homeless || obstructed || d->bytes_undone > 0)
                p->state = STATE_BLOCKED;
        else
                p->state = j->waits || j->guarded || j->under_way ? STATE_PENDING : STATE_STABLE;
        p->undone_alone = p->state == STATE_BLOCKED && !homeless && !obstructed;
}

static void conclude(struct planner *pl, struct job *j) {
        struct placement *p = j->placement;
        struct due d;
        find_due(pl, j, &d);
        p->home_cpus = d.cpus;
        p->home_mems = d.mems;
        /* The whole home, also where its CPUs are all that it may have: what it is compared with next time. */
        p->home = j->assigned ? j->chosen.nodes : (struct node_set) { 0 };
        p->bytes_fixed = d.bytes_fixed + d.bytes_unmovable;
        set_state(j, &d);
        p->crowded = j->crowded;
        if (d.move) {
                p->move_memory = true;
                p->little = d.little;
                p->bytes_to_move = bytes_coming(pl, j, &d);
                if (grant_room(pl, j) < 0 || (job_divides(j) && !d.left_to_kernel && division_conclude(pl, j) < 0))
                        pl->failed = true;
        }
        if (j->assigned && (d.move || d.restrict_cpus))
                p->distance_after = j->chosen.slit_distance;
        reason_write(pl, j, &d);
}

void plan_conclude(struct planner *pl) {
        for (size_t i = 0; i < pl->n_jobs && !pl->failed; i++) {
                struct job *j = &pl->jobs[i];
                if (j->kind == JOB_TOLD || !job_is_looked_at(pl, j))
                        continue;
                conclude(pl, j);
                if (j->notes.failed || !j->placement->reason)
                        pl->failed = true;
        }
}
