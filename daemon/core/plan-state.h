/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What one planning knows and has decided so far: nodes, options, groups, jobs. plan-internal.h says who makes what of it.
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
        uint64_t bytes_little;    /* too little to be moved each time, … */
        uint64_t little_usec;     /* … left for so long */
        bool little;              /* so little is off the home that it has */
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
