/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What it costs a service to live on a set of nodes. The unit is distance as in SLIT (10 = local), so that terms can be
 * compared with what they trade against:
 *
 *   distance   expected access distance: CPU share × byte share × distance (plan-distance.c), summed. CPUs that we restrict are taken
 *              to share the load by cores; others stay where they were seen.
 *   bandwidth  congestion of the memory controllers: plan-bandwidth.c.
 *   load       congestion of the CPUs. Each node has a potential, convex in its load: quadratic while cores suffice, steep
 *              once SMT siblings must be used, steeper past the last CPU. Load of services that may run anywhere crowds (it counts
 *              in the quadratic part), but does not fill a node: the scheduler takes it elsewhere. A service pays what it adds
 *              to the potentials, per CPU of demand. Sums of such costs, weighted by demand, are then exactly the potential of the whole
 *              machine (that of the controllers included), so a service that improves its own cost improves the whole, and local
 *              improvement ends.
 *   fill       a little for memory on nodes that are nearly full.
 *   moving     what getting there costs, spread over the time that it is expected to be of use (plan-horizon.c), and a little for
 *              every byte to be moved: of two equal homes the nearer to the present state wins.
 *   breadth    for every node beyond the first, where the planner chooses how many: just more than what spreading a load that its cores
 *              can hold would save, so that a compact service takes the fewest nodes that hold it. place: spread, the other way round.
 *   device     place: near, for nodes that are farther from the devices than could be: more than crowding, less than CPUs that lack.
 *
 * The weights of load (while cores suffice), bandwidth, fill and moving are shares of `remoteness`, the mean price of remote memory on
 * this machine: where remote memory is nearly as fast as local, crowding and moving must not be dearer than it. */
#include "core/plan-internal.h"

#define SPREAD_WEIGHT      0.4   /* × remoteness × (load/cores)² per core */
#define SIBLING_WEIGHT     40.0  /* per CPU of load beyond the cores */
#define OVERLOAD_WEIGHT    100.0 /* per CPU of load beyond the CPUs */
#define FILL_WEIGHT        0.04  /* × remoteness × (share of the node in use)² */
#define MOVING_WEIGHT      0.05  /* × remoteness × share of its bytes that must move … */
#define MOVING_FOLLOW      0.01 /* … or where CPUs are left alone: then there is no crowding, which comes and goes, to run away from */
#define BREADTH_WEIGHT     0.2   /* × remoteness, per node beyond the first */
#define NEAR_OVERLOAD_COST 100.0 /* place: near: farther nodes are taken in before CPUs are oversubscribed */
#define HEADROOM           0.8   /* of the cores of a smaller home may be in use, or the service stays on the larger */
#define HOME_PATIENCE      1.2   /* times its cores or CPUs before a home is called too small: loads tremble */

/* `patience`: so much more load than cores or CPUs is overlooked. */
static double potential(const struct planner *pl, const struct plan_node *n, double patience, double pinned, double free_load) {
        double v = 0, all = pinned + free_load;
        if (n->n_cores > 0)
                v += SPREAD_WEIGHT * pl->remoteness * all * all / n->n_cores;
        if (pinned > n->n_cores * patience)
                v += SIBLING_WEIGHT * (pinned - n->n_cores * patience);
        if (pinned > n->n_cpus * patience)
                v += OVERLOAD_WEIGHT * (pinned - n->n_cpus * patience);
        return v;
}

static double added_potential(const struct planner *pl, const struct job *j, unsigned i, double patience, double load) {
        const struct plan_node *n = &pl->nodes[i];
        double free_load = node_free_load(n, j);
        return potential(pl, n, patience, n->pinned_load + load, free_load) -
               potential(pl, n, patience, n->pinned_load, free_load);
}

const double *expected_far(struct planner *pl, const struct job *j, double n_cores, const double *matrix, double *mixed) {
        size_t n = pl->n_nodes;
        if (j->restricts && pl->cpus.n == 1)
                return matrix + pl->cpus.index[0] * n;
        /* Where the CPUs stay, all candidates of a job are equally far. */
        bool main_matrix = matrix == pl->distance;
        if (main_matrix && !j->restricts && pl->mixed_job == j && pl->mixed_share == j->share)
                return mixed;
        if (main_matrix) {
                pl->mixed_job = j->restricts ? NULL : j;
                pl->mixed_share = j->share;
        }
        for (unsigned to = 0; to < n; to++)
                mixed[to] = 0;
        unsigned n_from = j->restricts ? pl->cpus.n : pl->n_nodes;
        for (unsigned k = 0; k < n_from; k++) {
                unsigned from = j->restricts ? pl->cpus.index[k] : k;
                double share = j->restricts ? pl->nodes[from].n_cores / n_cores : j->share[from];
                if (share <= 0)
                        continue;
                for (unsigned to = 0; to < n; to++)
                        mixed[to] += share * matrix[from * n + to];
        }
        return mixed;
}

static double fill_price(const struct planner *pl, unsigned i, uint64_t taken) {
        const struct plan_node *n = &pl->nodes[i];
        if (n->bytes_total == 0)
                return 0;
        uint64_t room = n->room_bytes > taken ? n->room_bytes - taken : 0;
        double used = 1 - (double) MIN2(room, n->bytes_total) / (double) n->bytes_total;
        return FILL_WEIGHT * pl->remoteness * used * used;
}

/* Would it be held there too tightly, coming from a home with more CPUs? */
static bool is_cramped(const struct planner *pl, const struct job *j, const struct option *o) {
        if (!j->has_home || j->demand <= HEADROOM * o->n_cores)
                return false;
        struct node_set home = job_cpus(pl, j, &j->home);
        double cpus = 0;
        NODE_SET_FOREACH (id, &home)
                cpus += pl->nodes[pl->index_of[id]].n_cpus;
        return o->n_cpus < cpus;
}

static void evaluate_cpus(const struct planner *pl, const struct job *j, struct option *o) {
        double patience = j->has_home && node_set_equal(&o->nodes, &j->home) ? HOME_PATIENCE : 1;
        if (!j->restricts) {
                o->fits_cpus = true;
                return;
        }
        for (unsigned k = 0; k < pl->cpus.n; k++) {
                const struct plan_node *n = &pl->nodes[pl->cpus.index[k]];
                o->n_cores += n->n_cores;
                o->n_cpus += n->n_cpus;
                o->load += n->pinned_load;
        }
        o->load += j->demand;
        o->has_cpus = o->n_cores > 0;
        if (!o->has_cpus)
                return;
        for (unsigned k = 0; k < pl->cpus.n; k++) {
                unsigned i = pl->cpus.index[k];
                o->load_cost += added_potential(pl, j, i, patience, j->weight * pl->nodes[i].n_cores / o->n_cores);
        }
        o->load_cost /= j->weight;
        o->cramped = is_cramped(pl, j, o);
        o->fits_cpus = o->load <= o->n_cpus * patience + COST_EPSILON && !o->cramped;
}

/* What must come, and what of it finds room. */
static void evaluate_room(const struct planner *pl, const struct job *j, struct option *o, uint64_t *ret_off,
                          uint64_t *ret_off_huge) {
        uint64_t here = 0, here_huge = 0;
        for (unsigned k = 0; k < pl->mems.n; k++) {
                unsigned i = pl->mems.index[k];
                o->bytes_room += pl->nodes[i].room_bytes;
                here += j->movable[i];
                here_huge += j->huge[i];
        }
        uint64_t off_huge = j->huge_bytes - here_huge, off = j->movable_bytes - here - off_huge;
        bool stays = j->has_home && node_set_equal(&o->nodes, &j->home);
        o->has_memory = pl->mems.n > 0;
        o->bytes_off = off + off_huge;
        o->bytes_needed = off + (stays ? 0 : j->growth_bytes);
        o->fits_memory = o->has_memory && o->bytes_needed <= o->bytes_room;
        *ret_off = off;
        *ret_off_huge = off_huge;
}

static double part_left(uint64_t whole, uint64_t gone) {
        return whole > 0 ? (double) (whole - gone) / (double) whole : 0;
}

/* Where its bytes would be. */
static void place_bytes(struct planner *pl, const struct job *j, double left, double left_huge) {
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                uint64_t in = pl->incoming[i] + pl->incoming_huge[i];
                pl->bytes_then[i] = 0;
                if (j->resident[i] == 0 && in == 0)
                        continue;
                double here = (double) j->resident[i] + (double) in;
                if (!pl->is_mem[i])
                        here += (double) (j->movable[i] - j->huge[i]) * (left - 1) + (double) j->huge[i] * (left_huge - 1);
                pl->bytes_then[i] = MAX2(here, 0.0);
        }
}

/* What that is worth: adds up distance, bandwidth and fill. */
static void weigh_bytes(struct planner *pl, const struct job *j, struct option *o) {
        double distance = 0, slit_distance = 0, fill = 0, bytes = (double) j->bytes;
        const double *slit_far = pl->slit ? expected_far(pl, j, o->n_cores, pl->slit, pl->slit_mixed) : NULL;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                double here = pl->bytes_then[i];
                if (here <= 0)
                        continue;
                distance += here * pl->far[i];
                if (slit_far)
                        slit_distance += here * slit_far[i];
                fill += here * fill_price(pl, i, pl->incoming[i]);
        }
        o->distance = distance / bytes;
        o->slit_distance = slit_far ? slit_distance / bytes : o->distance;
        o->fill_cost = fill / bytes;
        o->bandwidth_cost = traffic_cost(pl, j);
        double delay = o->distance * job_move_seconds(pl, j, o->bytes_in) / job_horizon_seconds(j);
        o->moving_cost = (j->restricts ? MOVING_WEIGHT : MOVING_FOLLOW) * pl->remoteness * (double) o->bytes_in / bytes + delay;
}

static void mark_mems(struct planner *pl, bool value) {
        for (unsigned k = 0; k < pl->mems.n; k++)
                pl->is_mem[pl->mems.index[k]] = value;
}

static double sum_of_costs(const struct option *o) {
        return o->distance + o->bandwidth_cost + o->load_cost + o->fill_cost + o->moving_cost + o->breadth_cost + o->device_cost;
}

void option_weigh_again(struct planner *pl, const struct job *j, struct option *o) {
        mark_mems(pl, true);
        weigh_bytes(pl, j, o);
        mark_mems(pl, false);
        o->cost = sum_of_costs(o);
}

void option_evaluate(struct planner *pl, const struct job *j, const struct node_set *nodes, struct option *ret) {
        struct option *o = ret;
        struct node_set cpus = job_cpus(pl, j, nodes), mems = job_mems(pl, j, nodes);
        uint64_t off, off_huge;
        *o = (struct option) { .nodes = *nodes };
        members_of(pl, &cpus, &pl->cpus);
        members_of(pl, &mems, &pl->mems);
        evaluate_cpus(pl, j, o);
        evaluate_room(pl, j, o, &off, &off_huge);
        pl->far = expected_far(pl, j, o->n_cores, pl->distance, pl->far_mixed);
        uint64_t in = pour(pl, &pl->mems, false, off, pl->incoming);
        uint64_t in_huge = pour(pl, &pl->mems, true, off_huge, pl->incoming_huge);
        o->bytes_in = in + in_huge;
        o->distance = o->slit_distance = DISTANCE_LOCAL;
        mark_mems(pl, true);
        if (j->bytes > 0) {
                place_bytes(pl, j, part_left(off, in), part_left(off_huge, in_huge));
                weigh_bytes(pl, j, o);
        }
        mark_mems(pl, false);
        if (j->kind == JOB_COMPACT || j->kind == JOB_NEAR)
                o->breadth_cost = BREADTH_WEIGHT * pl->remoteness * (node_set_count(nodes) - 1);
        else if (j->kind == JOB_SPREAD)
                o->breadth_cost = spread_cost(pl, j, nodes);
        if (j->kind == JOB_NEAR)
                o->device_cost = near_cost(pl, j, nodes) + (o->fits_cpus ? 0 : NEAR_OVERLOAD_COST);
        o->cost = sum_of_costs(o);
        o->roomy = option_fits(o) && (!j->restricts || o->load <= o->n_cores + COST_EPSILON);
}

/* The distance of its memory from each node's CPUs, if what may move were there. */
static void set_base(const struct planner *pl, struct job *j) {
        size_t n = pl->n_nodes;
        for (size_t i = 0; i < n; i++)
                j->base[i] = (double) j->movable_bytes * pl->distance[i * n + i];
        for (size_t k = 0; k < n; k++) {
                double fixed = (double) (j->resident[k] - j->movable[k]);
                for (size_t i = 0; i < n && fixed > 0; i++)
                        j->base[i] += fixed * pl->distance[i * n + k];
        }
        for (size_t i = 0; i < n; i++)
                j->base[i] = j->bytes > 0 ? j->base[i] / (double) j->bytes : DISTANCE_LOCAL;
        j->has_base = true;
}

double single_least_cost(const struct planner *pl, struct job *j, unsigned i) {
        if (!j->has_base)
                set_base(pl, j);
        double cost = j->base[i] + added_potential(pl, j, i, 1, j->weight) / j->weight;
        if (j->bytes == 0)
                return cost;
        uint64_t off = j->movable_bytes - j->movable[i];
        double bytes = (double) j->bytes;
        cost += traffic_cost_at(pl, j, i) + MOVING_WEIGHT * pl->remoteness * (double) off / bytes;
        if (off > pl->nodes[i].room_bytes)
                return cost; /* what finds no room is neither moved nor does it fill the node */
        return cost + fill_price(pl, i, 0) * (double) j->movable_bytes / bytes +
               j->base[i] * job_move_seconds(pl, j, off) / job_horizon_seconds(j);
}

double least_cost(const struct planner *pl, const struct job *j) {
        double least = -1;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                const struct plan_node *n = &pl->nodes[i];
                if (n->n_cores <= 0)
                        continue;
                /* The first bit of load that is added: the potentials are convex, so all further ones cost more. */
                double slope = 2 * SPREAD_WEIGHT * pl->remoteness * (n->pinned_load + node_free_load(n, j)) / n->n_cores;
                if (least < 0 || slope < least)
                        least = slope;
        }
        double bandwidth = j->bytes > 0 ? traffic_least_slope(pl, j) : 0;
        return DISTANCE_LOCAL + MAX2(least, 0.0) + bandwidth;
}

void option_present(const struct planner *pl, const struct job *j, struct option *ret) {
        struct option o = { .distance = DISTANCE_LOCAL };
        double distance = 0, bytes = (double) j->bytes;
        for (unsigned from = 0; from < pl->n_nodes; from++) {
                if (j->share[from] <= 0)
                        continue;
                double row = 0;
                for (unsigned to = 0; to < pl->n_nodes; to++)
                        row += (double) j->resident[to] * pl->distance[(size_t) from * pl->n_nodes + to];
                distance += row * j->share[from];
                if (j->restricts)
                        o.load_cost += added_potential(pl, j, from, 1, j->weight * j->share[from]) / j->weight;
        }
        for (unsigned i = 0; i < pl->n_nodes && bytes > 0; i++) {
                o.fill_cost += fill_price(pl, i, 0) * (double) j->resident[i] / bytes;
        }
        o.bandwidth_cost = traffic_cost_now(pl, j);
        if (bytes > 0)
                o.distance = distance / bytes;
        o.cost = o.distance + o.bandwidth_cost + o.load_cost + o.fill_cost;
        *ret = o;
}

void option_unmoved(struct planner *pl, const struct job *j, const struct option *o, struct option *ret) {
        struct node_set cpus = job_cpus(pl, j, &o->nodes), mems = job_mems(pl, j, &o->nodes);
        double bytes = (double) j->bytes;
        *ret = (struct option) { .nodes = o->nodes };
        members_of(pl, &cpus, &pl->cpus);
        members_of(pl, &mems, &pl->mems);
        const double *far = expected_far(pl, j, o->n_cores, pl->distance, pl->far_mixed);
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                pl->bytes_then[i] = (double) j->resident[i];
                if (j->resident[i] > 0)
                        ret->distance += (double) j->resident[i] / bytes * far[i];
        }
        mark_mems(pl, true);
        ret->bandwidth_cost = bytes > 0 ? traffic_cost(pl, j) : 0;
        mark_mems(pl, false);
        ret->cost = ret->distance + ret->bandwidth_cost;
}

double option_gain_by_moving(struct planner *pl, const struct job *j, const struct option *o) {
        struct option unmoved, moved = { .distance = o->distance, .cost = o->distance + o->bandwidth_cost };
        option_unmoved(pl, j, o, &unmoved);
        /* Nearer memory is what the rule asks for, also where the controller is then busier. */
        return MAX2(option_gain(unmoved.cost, unmoved.distance, &moved), distance_gain(unmoved.distance, moved.distance));
}

double present_cost(const struct planner *pl, const struct job *j, double *ret_distance) {
        struct option o;
        option_present(pl, j, &o);
        *ret_distance = o.distance;
        return o.cost;
}
