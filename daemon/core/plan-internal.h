/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the planner share; nobody else includes this.
 *
 * A plan is made in this order, each step in a file of its own:
 *   plan-jobs        each sample is either told at once (no rule, self-managed, too small, …) or becomes a job
 *   plan-constraints which services must share a home (groups), which must not meet, and who is the stronger
 *   plan-search      homes for all groups, the strongest first: plan-exact tries every way on small machines, plan-eject
 *                    makes room for one by sending others elsewhere, plan-compact looks again at what was found
 *   plan-nodes       place: nodes: the home is given
 *   plan-near, plan-spread  place: near, place: spread; plan-interleave place: interleave; what memory they divide is in plan-division
 *   plan-follow      memory goes where the threads are: place: follow, or CPUs that are not ours to restrict
 *   plan-kernel      what is left to the kernel's own balancing, and what it undoes
 *   plan-conclude    what is due now for each job; plan-reason: why
 * When somebody asks: plan-explain: the candidates, and why they lost; plan-verdicts: in words; plan-change: what would change it.
 * plan-score tells what any set of homes is worth, in the terms that the search minimises.
 * They stand on plan-capacity (what nodes hold, and what this plan has put there so far), plan-cost (what a candidate
 * would cost; plan-distance and plan-bandwidth: what the machine makes of it; plan-demand: what the service asks for), plan-candidates
 * (which candidates there are; plan-choose: which is taken), plan-horizon (whether a move pays for itself), plan-crowding (whether less
 * crowding alone is a reason) and plan-guard (no way back for a while).
 *
 * Arrays "by index" have one entry per present node, in order of id: ids can be sparse. CPU load and demand are in CPUs. */
#pragma once

#include "core/plan.h"
#include "core/util.h"

struct plan_node {
        unsigned id;
        double n_cores, n_cpus;
        uint64_t bytes_total;
        uint64_t room_bytes, huge_room_bytes; /* not yet given to anyone in this plan */
        double pinned_load;                   /* of services whose CPUs this plan restricts to nodes */
        double free_load;                     /* of everyone else, where it was seen */
        double seen_load;                     /* of all services, where they were seen */
        double even_load;                     /* of everyone else, were it spread evenly, as the scheduler could */
        double bandwidth, traffic;            /* what its memory can bear and has to, in CPUs that use it: plan-bandwidth.c */
        double free_traffic;                  /* of services whose CPUs are not restricted: their memory goes after them */
        double traffic_price;
        uint64_t changed; /* when a group last came or left while homes were looked at again: plan-compact.c */
};

/* Nodes as a list of indexes. */
struct members {
        unsigned n;
        uint16_t *index;
};

/* Why a service may not live on a set of nodes. */
struct bar {
        enum constraint constraint;
        const struct rule *rule; /* that asks for it: its own, or that of … */
        const struct job *other; /* … the service in the way; NULL where there is none */
};

/* How a home would stand to those of other groups as they are now. From best to worst. */
enum standing {
        STANDING_FREE,             /* meets nobody that it must not meet */
        STANDING_DISPLACES,        /* only weaker ones, which would have to leave */
        STANDING_BREAKS_APART,     /* its own apart-from against a stronger one that does not mind */
        STANDING_BREAKS_EXCLUSIVE, /* its own exclusive, the same way */
        STANDING_FORBIDDEN,        /* what a stronger one asks for, or its own allowed-nodes, min-nodes, … */
};

/* A set of nodes that a service might live on, and what that would be like with all others where the plan has them. */
struct option {
        struct node_set nodes;
        double distance;                          /* expected, 10 = all local */
        double slit_distance;                     /* the same by SLIT alone: what is reported */
        double load_cost, fill_cost, moving_cost; /* see plan-cost.c */
        double breadth_cost;                      /* of more nodes than one; place: spread: of fewer than could be */
        double device_cost;                       /* place: near */
        double bandwidth_cost;
        double cost;                       /* the sum of these, but for slit_distance */
        uint64_t bytes_off;                /* movable bytes that are elsewhere */
        uint64_t bytes_in;                 /* those of them that have room here */
        uint64_t bytes_needed, bytes_room; /* with room to grow into; room in the whole set */
        double load, n_cores, n_cpus;      /* pinned to its CPUs, this service included */
        bool has_cpus, has_memory;
        bool fits_memory, fits_cpus;
        bool cramped;           /* smaller than the present home, and would leave too little to spare */
        bool roomy;             /* fits, without SMT siblings */
        enum standing standing; /* how it stands to the homes of others */
        struct bar bar;         /* what makes that other than free */
};

/* Services that share one home: those that together-with binds, else one alone. Given up, it falls into its members. */
struct group {
        struct job **members; /* strongest first */
        size_t n;
        size_t bond;       /* number of the rules' bond, which the members keep when a group falls apart; SIZE_MAX: none */
        unsigned priority; /* of its strongest member */
        size_t strength;   /* place in the order of all groups, 0 is strongest */
        bool assigned, has_home;
        bool look;            /* is it looked at? Others stay where they are */
        bool homeless;        /* nothing could be found for it */
        bool fixed;           /* some rule of its members gives the nodes */
        bool contests;        /* some rule of its members is exclusive or apart from another */
        bool locked;          /* not to be sent elsewhere at the moment */
        bool settles;         /* a transition of a member is under way, or too recent to be disturbed without need */
        struct node_set home; /* where all its members are at home, if has_home */
        double hardness;
        double cost;       /* sum over its members of weight × cost, when last assigned */
        uint64_t reviewed; /* when its new home was last looked at again; 0: not yet */
        bool at_ease;      /* it was roomy then, and in nobody's way */
        bool borrows;      /* some member has memory that is charged to another: plan-lent.c */
};

/* A rule that has services, and how it stands to the others. */
struct rule_state {
        const struct rule *rule;
        size_t rank;                 /* order in the configuration */
        size_t n_jobs;               /* that could have a home */
        size_t together;             /* its bond: see struct group */
        size_t first_apart, n_apart; /* in planner.apart: rules (by number) that it must not meet by its own word or theirs */
};

enum job_kind {
        JOB_TOLD, /* the placement is complete: nothing to plan */
        JOB_NODES,
        JOB_COMPACT,
        JOB_FOLLOW,
        JOB_SPREAD,
        JOB_INTERLEAVE,
        JOB_NEAR,
};

/* Where a job counts as using memory: plan-bandwidth.c. */
enum traffic {
        TRAFFIC_NONE,
        TRAFFIC_PRESENT, /* where its bytes are */
        TRAFFIC_CHOSEN,  /* where they will be once it is where `chosen` says */
};

struct job {
        enum job_kind kind;
        struct placement *placement;
        const struct service_sample *sample;
        const struct rule *rule;
        const struct history_entry *history; /* NULL: not known yet */

        double demand;         /* CPUs that it uses, or would with more of them */
        double weight;         /* the same with a floor: an idle service counts a little too */
        struct option present; /* where it is, CPUs free: what a new home is compared with */
        double *base;          /* by index: see single_least_cost(); holds if has_base */
        bool has_base;
        double *share;                                                  /* of its CPU time, by index; sums to 1, or all 0 */
        uint64_t *resident, *movable, *huge, *incoming, *incoming_huge; /* bytes by index; huge: part of movable */
        uint64_t bytes, growth_bytes;                                   /* resident in all; what it had at its peak beyond that */
        uint64_t movable_bytes, huge_bytes;                             /* in all */
        uint64_t rest_usec;                                             /* cooldown left */
        uint64_t lasted_usec;                                           /* so long it has been as it is now */
        uint64_t guard_usec;                                            /* so long it may not go back to `former`; 0: it may */
        struct strbuf notes;                                            /* "; …" to append to the reason */

        struct node_set may_cpus, may_mems; /* nodes that the administrator, or the cgroups above, leave to it */
        struct node_set permitted;          /* by its rule: allowed-nodes without avoid-nodes */
        size_t rule_number;                 /* in planner.rules */
        size_t bond;                        /* as its rule's */
        struct group *group;                /* NULL: no home is looked for */
        struct bar lost_to;                 /* why its home, or any home, is barred; CONSTRAINT_NONE: it is not */
        bool gave_up[_CONSTRAINT_MAX];      /* its own constraints that stronger ones made impossible */
        struct node_set home;
        struct node_set former; /* the home before this one; see plan-guard.c */
        struct node_set
                planned; /* JOB_FOLLOW: what is best for all together, if it can still be had; empty: nothing in particular */
        struct option chosen; /* where it goes or stays, if `assigned` */
        struct option better; /* what was looked at but not taken: see `waits`, `declined` */

        /* Where memory is divided (plan-division.c), by index, on the heap: each node's part, as a weight; and movable bytes that are to be on it. */
        uint64_t *part, *want;                /* `want` is part of the block that begins with `part` */
        uint64_t interleave_key, stray_bytes; /* stray: movable, on nodes where none of it belongs */

        bool applied_cpus, applied_mems; /* cpusets of ours are in force */
        bool has_share;
        bool binds;         /* it could have a home that other homes are related to, though it may be too small for one as yet */
        bool restricts;     /* its CPUs go with it */
        bool has_home;      /* `home` holds and still obeys the rule */
        bool home_lost;     /* it had one that no longer does: a new one is due whatever the gain */
        bool under_way;     /* a transition has started and not ended */
        bool after_failure; /* the last one had no effect: rest_usec is the wait for the next */
        bool assigned;      /* `chosen` holds */
        bool has_incoming;  /* so do `incoming` and `incoming_huge`, what this plan has given it; otherwise nothing is to come */
        bool hold_memory;   /* leave its memory as it is for now */
        bool crowded;       /* less crowding alone speaks for another home */
        bool waits;         /* `better` would be taken if the home were older */
        uint64_t patience_usec; /* with `waits`: so long yet, because its home changed often; 0: not for that */
        bool declined;          /* `better` is too little of a gain */
        bool displaced;         /* a stronger rule took its home: `lost_to` */
        bool barred;            /* constraints leave it no home: `lost_to` says which */
        bool guarded;           /* `better` is where it came from a short time ago */
        bool unpaid;            /* `better` would gain less than moving there costs */
        enum traffic traffic;
        double *uses;         /* what it adds to each node's traffic, by index */
        const char *back_why; /* static text: why it may go back within the guard's time; NULL: nothing to state */
};

/* What is to be done about a job now. */
struct due {
        bool move, restrict_cpus, narrow_mems, give_back_cpus, give_back_mems;
        bool pressure;  /* the home nodes run out of memory: giving back does not wait */
        bool same_home; /* nothing was decided anew */
        uint64_t bytes_without_room;
        uint64_t bytes_unmovable; /* would not move when last tried */
        uint64_t bytes_fixed;     /* not ours to move: mapped by others too, or bound */
        uint64_t bytes_unpaid;    /* not worth what moving them takes */
        uint64_t bytes_undone;    /* left where the kernel's own balancing has put them, … */
        uint64_t undone_usec;     /* … for so long */
        bool left_to_kernel;      /* on which of its home nodes each page is */
        double gain_unpaid;
        struct node_set cpus, mems; /* its home, as CPUs (empty: untouched) and memory */
};

/* Jobs whose home has a node, by their index. */
struct occupants {
        uint32_t *jobs;
        size_t n, capacity;
        size_t n_exclusive; /* of them, by rules that are */
};

/* How sets of nodes grow from each node: plan-growth.c. Row = seed, then its nearest, and the nearest to both, … */
struct growth {
        struct node_set of; /* the nodes to be had */
        uint16_t *row;
        unsigned *n; /* so long the row of each seed is */
        double *sum;
};

enum growing {
        GROWTH_ALL,    /* all nodes */
        GROWTH_USABLE, /* those that the services at hand may use … */
        GROWTH_LEFT,   /* … and that others leave to them */
        _GROWTH_MAX,
};

struct planner {
        const struct plan_input *in;
        const struct topology *topology;
        struct plan_node *nodes;
        unsigned n_nodes;
        double *distance; /* n_nodes × n_nodes, row = from: by latency where that is known */
        double *slit;     /* the same by SLIT alone; NULL: no latency is known, `distance` is by SLIT */
        double *slit_mixed;
        struct node_set cpu_nodes, mem_nodes, all_nodes;
        double bandwidth, free_traffic; /* of all nodes */
        double remoteness;              /* mean distance of remote memory, beyond local; 10 on one node */
        struct job *jobs;               /* one per sample */
        size_t n_jobs;
        void *job_arrays;
        struct rule_state *rules;
        size_t n_rules;
        uint32_t *apart;      /* see rule_state */
        struct group *groups; /* room for all that can come of splitting: pointers stay valid */
        size_t n_groups;
        struct job **members;
        struct group **order;        /* in which groups choose: higher priority, then fixed homes, then the hardest to place */
        bool *look;                  /* by sample: is it looked at again? NULL: all */
        uint64_t clock;              /* of changes of homes as they are looked at again */
        bool exact;                  /* new homes are the best there are: nothing to improve */
        unsigned n_ejections;        /* tried so far */
        bool contested;              /* some rule is exclusive or apart from another: */
        struct occupants *occupants; /* by index; else NULL */
        struct option *options;      /* the candidates of one job at a time */
        size_t n_options, capacity;
        /* For one evaluation at a time, by index where not said otherwise */
        struct members cpus, mems; /* of the set that is looked at */
        bool *is_mem;
        const double *far; /* expected distance from the service's CPUs: a row of `distance`, or far_mixed */
        double *far_mixed;
        double *bounds;              /* of single nodes, for one job at a time, … */
        uint16_t *bounded;           /* … and their ids */
        double cutoff;               /* what costs more is not looked for; 0: no limit */
        bool free_only;              /* sets that others bar are of no interest */
        bool thorough;               /* all candidates are wanted, not only those that could be the best */
        const struct job *mixed_job; /* whose CPU shares far_mixed was made from, if they were its own; else NULL */
        const double *mixed_share;
        double *bytes_then, *uses_then; /* the job's bytes, and what it asks of the controllers, were it there */
        uint64_t *incoming, *incoming_huge;
        uint64_t *order_keys;
        double *share_now;
        uint64_t *credit;
        uint16_t *index_of; /* by id */
        struct growth growth[_GROWTH_MAX];
        bool failed; /* memory ran out */
};

/* plan.c: plans, and leaves the planner as it is then. To be ended by planner_done() whatever comes back. */
/* `look`: which samples are looked at again (plan-update.c), added to where others must be; NULL: all. */
int planner_run(struct planner *pl, const struct plan_input *in, bool *look, struct plan **ret);

/* plan-change.c: what would bring another decision for this job, which is not assigned at the moment; `reference`: what it has, NULL: nothing.
 * Sentences are added to `*texts` (array_reserve); memory that runs out is noted in pl->failed. */
struct sentences {
        char **texts;
        size_t n, capacity;
};
void changes_find(struct planner *pl, struct job *j, const struct option *reference, struct sentences *ret);
/* plan.c */
bool plan_input_is_consistent(const struct plan_input *in);

/* plan-lent.c */
/* Movable, on this node (by index), and charged to another service. */
uint64_t job_borrowed_bytes(const struct planner *pl, const struct job *j, unsigned i);
bool group_borrows(const struct planner *pl, const struct group *g);
/* What the members so far have elsewhere and share: borrowed from others, and that with what others may have borrowed from them. */
struct lent {
        uint64_t borrowed_bytes, shared_bytes;
};
/* Assigns one member of a group that borrows, after those before it, and adds it to `lent`. */
void group_assign_member(struct planner *pl, struct group *g, size_t k, const struct option *o, struct lent *lent);
/* For looking at one member anew, which is not assigned, with the others of its group where they are: until it is taken back, the room that it finds
 * includes what those before it bring along for it as well, were it on these nodes. Nothing of the kind: nothing is done. */
void job_give_credit(struct planner *pl, const struct job *j, const struct node_set *nodes);
void group_take_back_credit(struct planner *pl);
uint64_t job_credit_bytes(const struct planner *pl, const struct job *j, const struct node_set *nodes); /* such room there */
/* As it was assigned with its group, or alone. */
void job_assign_again(struct planner *pl, struct job *j, const struct option *o);

/* plan-jobs.c */
/* `look`: as planner_run(). */
int planner_init(struct planner *pl, const struct plan_input *in, bool *look, struct plan *plan);
void job_set_distance(const struct planner *pl, struct job *j); /* how far its memory is now */
void planner_done(struct planner *pl);

/* This and what follows in parentheses is all that is said of the service. */
void job_tell(struct job *j, enum service_state state, const char *format, ...) _printf_(3, 4);

/* plan-rules.c */
/* Once all jobs are known: rules, groups, and the order in which they choose. False when memory ran out. */
bool constraints_init(struct planner *pl);
void constraints_done(struct planner *pl);

/* plan-constraints.c */
/* A job's home is taken note of, and given up: by job_assign() and job_unassign(). */
void constraints_enter(struct planner *pl, struct job *j);
void constraints_leave(struct planner *pl, struct job *j);
bool rule_is_apart(const struct planner *pl, size_t a, size_t b); /* rules by number, either way */

enum standing group_standing(const struct planner *pl, const struct group *g, const struct node_set *nodes, struct bar *ret);
/* The same for one member, with the others of its group where they are: it must be there too. */
enum standing job_standing(const struct planner *pl, const struct job *j, const struct node_set *nodes, struct bar *ret);
/* For a job without a group (follow, interleave): the nodes that others have for themselves. */
struct node_set job_barred_nodes(const struct planner *pl, const struct job *j, struct bar *ret);
/* What its rule alone says against this set, whatever others do. False: nothing. */
bool job_bars(const struct job *j, const struct node_set *nodes, struct bar *ret);
/* Do the two exclude each other's nodes? Tells which constraint and whose: `a`'s own first. */
bool jobs_conflict(const struct planner *pl, const struct job *a, const struct job *b, struct bar *ret);
bool job_is_placed_kind(const struct job *j); /* its home is one that other homes can meet */

bool job_is_looked_at(const struct planner *pl, const struct job *j);

/* plan-group.c: a group as if it were one service */
bool groups_init(struct planner *pl);
double group_weight(const struct group *g);
/* CPUs for all who need some, and memory: could the whole group live there, leaving aside how it stands to others? */
bool group_holds(const struct group *g, const struct option *o);
/* option_evaluate(), and where memory is divided how. */
void job_evaluate(struct planner *pl, struct job *j, const struct node_set *nodes, struct option *ret);
void group_evaluate(struct planner *pl, struct group *g, const struct node_set *nodes, struct option *ret);
void group_assign(struct planner *pl, struct group *g, const struct node_set *nodes);
void group_unassign(struct planner *pl, struct group *g);
/* Leaves it its n_left strongest members; the others become a group of their own, with the same bond. Neither may be assigned. */
struct group *group_split(struct planner *pl, struct group *g, size_t n_left);
/* Does a constraint forbid the job to live on these nodes? What does is told in *ret. */
bool job_excluded(const struct planner *pl, const struct job *j, const struct node_set *nodes, struct exclusion *ret);

/* plan-capacity.c */
struct node_set job_cpus(const struct planner *pl, const struct job *j, const struct node_set *nodes);
struct node_set job_mems(const struct planner *pl, const struct job *j, const struct node_set *nodes);
/* Load of services that may run anywhere, as it counts for this one: where it was seen for one that looks for a home; spread
 * evenly, as it could be at any moment, for one that has a home and must not flee from what moves by itself. */
double node_free_load(const struct plan_node *n, const struct job *j);
/* So much of a node is not ours to fill. */
uint64_t node_reserve_bytes(const struct node_memory *m, unsigned keep_free_permille);
/* Divides bytes among nodes, nearest first and equally near ones by cores, within their room. Returns what found room. */
uint64_t pour(const struct planner *pl, const struct members *mems, bool huge, uint64_t bytes, uint64_t *into);
void members_of(const struct planner *pl, const struct node_set *nodes, struct members *ret);
void job_assign(struct planner *pl, struct job *j, const struct option *o);
void job_unassign(struct planner *pl, struct job *j);
/* Where it is at home, for a group that is not looked at: much cheaper than group_assign(). */
void group_put_at_rest(struct planner *pl, struct group *g);
/* Its load is where it was seen, free to go anywhere. */
void job_release(struct planner *pl, struct job *j);

/* plan-distance.c */
int planner_set_distances(struct planner *pl);

/* plan-bandwidth.c */
void planner_set_bandwidths(struct planner *pl); /* after the distances */
/* What it adds to the potentials of the memory controllers, per CPU of its demand: with its bytes as in pl->bytes_then and a home as in
 * pl->is_mem; with its bytes where they are. */
double traffic_cost(struct planner *pl, const struct job *j);
double traffic_cost_at(const struct planner *pl, const struct job *j, unsigned i); /* all that may move on one node: at least */
double traffic_cost_now(const struct planner *pl, const struct job *j);
double traffic_least_slope(const struct planner *pl, const struct job *j);
/* A job counts at most once. TRAFFIC_CHOSEN: right after its option_evaluate(). */
void traffic_put(struct planner *pl, struct job *j, enum traffic where);
void traffic_take(struct planner *pl, struct job *j);

/* plan-demand.c */
void job_set_demand(const struct planner *pl, struct job *j);

/* plan-horizon.c: does a move pay for itself? */
double job_move_seconds(const struct planner *pl, const struct job *j, uint64_t bytes);
double job_horizon_seconds(const struct job *j);
/* `gain`: the share of its time that the service is to win. */
bool move_pays(const struct planner *pl, const struct job *j, double gain, uint64_t bytes);
/* The candidate that would be gain enough, were it not for what moving there takes; NULL: none. */
const struct option *best_unpaid(const struct planner *pl, const struct job *j, const struct option *from);

/* plan-guard.c: no way back for a while */
void job_set_guard(const struct planner *pl, struct job *j); /* once its home is known */
/* Is this where it came from, too short a time ago? `home`: what its present home would be like; one that does not fit is left. */
bool guard_bars(const struct job *j, const struct option *home, const struct option *o);

/* plan-cost.c */
/* Expected distance of each node's memory from the CPUs that the job would have (pl->cpus, with so many cores): a row of the matrix, or mixed. */
const double *expected_far(struct planner *pl, const struct job *j, double n_cores, const double *matrix, double *mixed);
void option_evaluate(struct planner *pl, const struct job *j, const struct node_set *nodes, struct option *ret);
/* The same terms for where the service is now, CPUs free. */
double present_cost(const struct planner *pl, const struct job *j, double *ret_distance);
/* All its terms: distance, load_cost, bandwidth_cost, fill_cost, cost. */
void option_present(const struct planner *pl, const struct job *j, struct option *ret);
/* Were its CPUs there and its memory where it is: distance, bandwidth_cost, and the sum of both as cost. */
void option_unmoved(struct planner *pl, const struct job *j, const struct option *o, struct option *ret);
/* What would be gained by moving its memory there, were its CPUs there: a share, by cost or by distance. */
double option_gain_by_moving(struct planner *pl, const struct job *j, const struct option *o);
/* A home on the one node of this index, with CPUs restricted, costs no less, if it holds the memory: much cheaper to find. */
double single_least_cost(const struct planner *pl, struct job *j, unsigned i);
/* No candidate can cost less than this. */
double least_cost(const struct planner *pl, const struct job *j);
/* Order of preference: what fits before what does not, then by cost, then the present home, then less to move, then lower ids. */
bool option_better(const struct job *j, const struct option *a, const struct option *b);
bool option_fits(const struct option *o);
/* How much better b is, as a share of a: by cost or by distance, whichever is more; 0 where b costs more. */
double option_gain(double cost_a, double distance_a, const struct option *b);
double distance_gain(double before, double after); /* as a share; negative: farther */
double job_min_gain(const struct job *j);
/* Bytes off home that are not worth a move. */
uint64_t job_tolerated_bytes(const struct job *j);

/* plan-candidates.c */
void candidates_of_group(struct planner *pl, struct group *g);   /* sets of nodes for the whole group, into pl->options */
void candidates_of_set(struct planner *pl, const struct job *j); /* the same for one job, wherever its group is */
/* Evaluates the set for this job alone and adds it. True where it is roomy, and nobody is in the way. */
bool candidates_push(struct planner *pl, const struct job *j, const struct node_set *nodes);
/* plan-candidates-memory.c: sets of memory nodes for follow */
void candidates_of_memory(struct planner *pl, const struct job *j);
/* plan-choose.c */
const struct option *option_of(const struct planner *pl, const struct node_set *nodes); /* among pl->options; NULL: not there */
/* The best of pl->options that stands exactly so and can hold it; NULL: none. */
const struct option *candidates_choose(const struct planner *pl, const struct group *g, enum standing standing);
const struct option *candidates_best(const struct planner *pl, const struct job *j); /* NULL: none holds its memory */
/* The one that only the guard (plan-guard.c) keeps it from; NULL: none. */
const struct option *candidates_barred(const struct planner *pl, const struct job *j);

/* plan-growth.c */
/* Growing among these nodes only; NULL when memory ran out. Good until asked for others by the same name. */
struct growth *growth_of(struct planner *pl, enum growing which, const struct node_set *nodes);
/* The k-th (less than the number of the nodes to be had) of the seed's row; both by index. */
unsigned growth_next(const struct planner *pl, struct growth *g, unsigned seed, unsigned k);
/* A set of this size (at most all of them) of the nodes, around the one of this id. */
struct node_set grown_from(struct planner *pl, enum growing which, const struct node_set *nodes, unsigned id, unsigned size);
void growth_done(struct growth *g);

/* plan-nodes.c: sets `permitted` of such jobs to what can be had of the nodes that their rules give, or tells why nothing can */
void plan_nodes(struct planner *pl);
void plan_search(struct planner *pl);
/* plan-exact.c: the best homes for all groups that have none, and nodes for memory that follows (job.planned), if the machine is small, every constraint can hold and the effort stays
 * within bounds. False, with nothing changed, otherwise. */
bool plan_exact(struct planner *pl);
/* plan-eject.c: assigns the group by sending others in its way elsewhere, where all that they ask for holds too. False, with nothing
 * changed, otherwise. */
bool plan_eject(struct planner *pl, struct group *g);
/* The home of its members is lost to what another rule asks for. */
void group_lose_home(struct planner *pl, struct group *g, const struct bar *to);
/* plan-compact.c: looks again at what is assigned; declines what is not worth a change */
/* plan-division.c: memory that is divided among nodes by amount */
bool job_divides(const struct job *j);
/* Makes j->part and j->want. -ENOMEM. */
int job_make_parts(const struct planner *pl, struct job *j);
/* Corrects what option_evaluate() has just found for the job, in the option and in pl->incoming, by j->part. */
void division_evaluate(struct planner *pl, struct job *j, struct option *o);
/* Puts the division into the placement. -ENOMEM. */
int division_conclude(const struct planner *pl, struct job *j);

/* plan-kernel.c: the kernel's own balancing */
/* Does it bring pages to threads, and is it to be respected for this job? Then memory that follows its threads is the kernel's as well. */
bool kernel_brings_pages(const struct planner *pl, const struct job *j);
/* Is it left to it on which of the home's nodes each page is? */
bool kernel_divides(const struct planner *pl, const struct job *j);
/* So long nothing is moved within the home, because it has undone that of late; 0: it may be. */
uint64_t kernel_undone_wait(const struct planner *pl, const struct job *j);
/* What is to be said of it in the reason: "; …", or nothing. */
void kernel_note(const struct planner *pl, const struct job *j, const struct due *d, struct strbuf *b);

/* plan-near.c: looks up the devices of such jobs, or tells what is wrong with them */
void plan_near(struct planner *pl);
/* What being farther from its devices than could be costs it. */
double near_cost(const struct planner *pl, const struct job *j, const struct node_set *nodes);

/* plan-spread.c: makes such jobs ready, or tells why there is nothing to spread over */
void plan_spread(struct planner *pl);
struct node_set spread_nodes(const struct planner *pl, const struct job *j); /* all that it could use */
/* What having fewer nodes than it could costs it. */
double spread_cost(const struct planner *pl, const struct job *j, const struct node_set *nodes);
void spread_set_parts(const struct planner *pl, struct job *j, const struct node_set *nodes);
void spread_note_full(const struct planner *pl, struct job *j);

/* plan-interleave.c: the weights of these nodes, as j->part. False when memory ran out. */
bool interleave_set_parts(struct planner *pl, struct job *j, const struct node_set *mems);
void plan_interleave(struct planner *pl);
void plan_compact(struct planner *pl);
/* plan-crowding.c: is less crowding, where nothing gets nearer, reason enough by now to move these services? `relieves`: there they would
 * have the CPUs that they wait for. */
bool crowding_counts(const struct planner *pl, const struct group *g, bool relieves);
bool job_crowding_counts(const struct planner *pl, const struct job *j);
/* plan-accept.c: declines new homes that are not worth a change */
void plan_accept(struct planner *pl);
double group_min_gain(const struct group *g);
/* Are the bytes of all worth what moving them takes? */
bool group_pays(const struct planner *pl, const struct group *g, double gain, uint64_t bytes_in);
void plan_follow(struct planner *pl);
/* Where memory that follows would go as things stand, cheapest first, among it staying where it is (an empty set). `max` is at least 1. */
struct follow_way {
        struct node_set nodes;
        double cost;
};
size_t follow_ways(struct planner *pl, struct job *j, struct follow_way *ret, size_t max);
void plan_conclude(struct planner *pl);

/* plan-reason.c */
void reason_write(const struct planner *pl, struct job *j, const struct due *due);

void text_unpaid(struct strbuf *b, const struct planner *pl, const struct job *j, uint64_t bytes, double gain);

/* plan-barred.c */
void text_rule(struct strbuf *b, const struct rule *r); /* "rule db (priority 200)" */
void text_bar(struct strbuf *b, const struct job *j, const struct bar *bar);
void text_given_up(struct strbuf *b, const struct job *j);

/* plan-text.c: pieces of sentences */
void text_bytes(struct strbuf *b, uint64_t bytes);               /* "120M" */
void text_nodes(struct strbuf *b, const struct node_set *nodes); /* "node 2", "nodes 0-1" */
void text_duration(struct strbuf *b, uint64_t usec);             /* "40s", "9min" */
