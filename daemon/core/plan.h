/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The planner: a pure function of (topology, machine, configuration, samples, history, now). The same input gives the same plan,
 * byte for byte. Each placement says why; which candidates lost, and why, is made when somebody asks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/history.h"
#include "core/rule.h"
#include "core/sample.h"
#include "core/topology.h"

enum service_state {
        STATE_OBSERVED, /* looked at only: no rule, or place: ignore */
        STATE_STABLE,   /* where it belongs, or not worth a change */
        STATE_PENDING,  /* a change is decided and waits (window, cooldown, dry run, another move) */
        STATE_MOVING,   /* set by the manager while a transition runs */
        STATE_BLOCKED,  /* belongs elsewhere and cannot go; the reason says why */
        _SERVICE_STATE_MAX,
        _SERVICE_STATE_INVALID = -EINVAL,
};
const char *service_state_to_string(enum service_state s);

/* What a candidate costs, in units of distance (10 = all local), term by term; plan-cost.c says what each is. */
struct cost_terms {
        double distance, bandwidth, load, fill, moving, breadth, device;
};

/* What forbids a service a set of nodes, whatever it would cost. */
enum constraint {
        CONSTRAINT_NONE,
        CONSTRAINT_CPUSET, /* the administrator's, or that of a cgroup above */
        CONSTRAINT_NODES,
        CONSTRAINT_ALLOWED,
        CONSTRAINT_AVOID,
        CONSTRAINT_MIN_NODES,
        CONSTRAINT_MAX_NODES,
        CONSTRAINT_TOGETHER,
        CONSTRAINT_APART,
        CONSTRAINT_EXCLUSIVE,
        _CONSTRAINT_MAX,
        _CONSTRAINT_INVALID = -EINVAL,
};
const char *constraint_to_string(enum constraint c); /* as it is written in a rule */

struct exclusion {
        enum constraint constraint; /* CONSTRAINT_NONE: nothing forbids it */
        const struct rule *rule;    /* whose: its own, or another's that is stronger; NULL: no rule's */
};

enum verdict {
        VERDICT_CHOSEN,
        VERDICT_EXCLUDED, /* excluded_by */
        VERDICT_NO_MEMORY,
        VERDICT_NO_CPUS,
        VERDICT_NO_ROOM,    /* bytes_room, bytes_needed */
        VERDICT_OVERLOADED, /* load, n_cpus */
        VERDICT_CRAMPED,    /* n_cores, demand */
        VERDICT_COSTS_MORE, /* cost, against */
        VERDICT_SMALL_GAIN, /* the same; min_gain */
        VERDICT_CROWDING,   /* the same: enough, were anything nearer there */
        VERDICT_COOLDOWN,   /* the same; wait_usec */
        VERDICT_MUST_LAST,  /* the same */
        VERDICT_GUARDED,    /* the same; wait_usec */
        VERDICT_UNPAID,     /* the same; move_usec, gain, horizon_usec */
        _VERDICT_MAX,
        _VERDICT_INVALID = -EINVAL,
};

/* A set of nodes that was looked at, in numbers: candidate_verdict() makes the sentence. Each enum verdict names the members that hold. */
struct candidate {
        struct node_set nodes;
        double cost; /* the sum of the terms; lower is better. Meaningless where not feasible */
        struct cost_terms terms;
        bool feasible;
        bool chosen;
        enum verdict verdict;
        struct exclusion excluded_by;
        double against; /* what the chosen one costs, or being where it is */
        double load, n_cpus, n_cores, demand;
        uint64_t bytes_room, bytes_needed;
        double gain, min_gain; /* as shares */
        uint64_t wait_usec, move_usec, horizon_usec;
};

/* Where each page belongs that is to be moved. */
enum pages_how {
        PAGES_HOME,    /* onto any home node: those off home move to the nearest with room */
        PAGES_BALANCE, /* onto home_mems by amount: want_by_node; pages move from nodes with too many to nodes with too few */
        PAGES_INTERLEAVE, /* one by one over home_mems: page number (address / page size) modulo the sum of weight_by_node tells the node */
};

struct placement {
        size_t sample; /* index into plan_input.samples */
        bool changed; /* looked at again because it had changed since the last whole plan: so it is once more where it has changed back */
        enum service_state state;
        bool act;             /* a change is due now: the manager starts a transition */
        bool wants_deep;      /* a change is wanted and waits for a deep read: the manager makes one, whatever the screen says */
        struct node_set home; /* both of the following: what history_record_placed() is to be told */
        struct node_set home_cpus; /* empty: CPUs untouched */
        struct node_set home_mems; /* where its memory belongs; empty: memory untouched */
        bool restrict_cpus;        /* narrow the CPUs to home_cpus at the end; false: give back what we had narrowed */
        bool narrow_mems;          /* narrow cpuset.mems to home_mems at the end; false: give back what we had narrowed */
        bool crowded;              /* less crowding alone speaks for another home: plan_remember() tells the history */
        bool widen_mems;           /* memory nodes that we had narrowed are to be given back now (pressure, or another rule) */
        bool relieves;             /* … because memory runs short: that is not to be put off, whatever has to wait otherwise */
        bool mems_alone;           /* the manager's: of all that, only memory nodes are given back now */
        bool move_memory;
        bool little;            /* it brings little to the home that it has: history_record_little() is to be told */
        uint64_t bytes_to_move; /* that are off home, movable, and have room there */
        uint64_t
                bytes_fixed; /* that are off home and not ours to move, by the last deep read, or would not move when last tried */
        bool undone_alone;   /* blocked, and by nothing but what the kernel has undone, which was told when it was found */
        uint64_t *room_by_node; /* n_ids entries: how much this placement may put on each node. The sum over all placements never
                                 * exceeds node_room_bytes(). NULL where nothing is to be moved */
        enum pages_how pages_how;
        uint64_t *want_by_node;   /* PAGES_BALANCE: movable bytes that belong on each node, n_ids entries; else NULL */
        uint32_t *weight_by_node; /* PAGES_INTERLEAVE: n_ids entries, 0: none there; else NULL */
        double distance_before, distance_after; /* now, and expected once done */
        char *reason;                           /* one sentence for the journal and `list` */
};

struct plan {
        struct placement *placements; /* one per sample, same order */
        size_t n_placements;
};

struct plan_input {
        const struct topology *topology;
        const struct machine_sample *machine;
        const struct config *config;
        const struct service_sample *samples; /* sorted by cgroup */
        size_t n_samples;
        const struct history *history; /* already updated with these samples */
        const struct applied *applied; /* sorted by cgroup */
        size_t n_applied;
        uint64_t now_usec; /* CLOCK_BOOTTIME or virtual */
};

/* Returns 0, -ENOMEM, or -EINVAL (inconsistent input). The plan is set only on success; free with plan_free(). */
int plan_make(const struct plan_input *in, struct plan **ret);
struct plan *plan_free(struct plan *p);
static inline void plan_freep(struct plan **p) {
        plan_free(*p);
}

/* What a set of homes is worth, by the planner's own terms. The search minimises, in this order: broken constraints (the stronger
 * rule's first), services that find no home, cost. What a plan adds to that is hysteresis alone: a home that holds is left only for
 * min-gain and after the cooldown, a service without a home gets one only for min-gain, unless a constraint asks for it; and on machines
 * too large for every set of nodes to be tried, the search is a heuristic. */
struct plan_score {
        double cost;   /* sum over services of weight × cost (plan-cost.c); weight: CPUs of demand, with a floor */
        double weight; /* sum of the weights: cost / weight reads like a distance */
        unsigned broken[_CONSTRAINT_MAX]; /* services whose home breaks it; apart-from and exclusive: pairs of services */
        unsigned n_left; /* services that a rule manages, without a home: at the cost of where they are, breaking nothing */
        bool memory_fits, cpus_fit; /* every service's; oversubscribed CPUs are in the cost as well */
};

/* For many sets of homes over one input, which must stay as it is meanwhile. Pure, like the rest. */
struct plan_scorer;
/* Returns 0, -ENOMEM, -EINVAL as plan_make(). */
int plan_scorer_new(const struct plan_input *in, struct plan_scorer **ret);
struct plan_scorer *plan_scorer_free(struct plan_scorer *s);
static inline void plan_scorer_freep(struct plan_scorer **s) {
        plan_scorer_free(*s);
}
/* Does the planner look for a home for this sample at all? Not for those that no rule manages, too small ones, …: give them an empty
 * set. */
bool plan_scorer_places(const struct plan_scorer *s, size_t sample);
/* `homes`: one set per sample; empty: left where it is. 0 or -EINVAL (a home for a sample that is not placed, or of absent nodes). */
int plan_scorer_score(struct plan_scorer *s, const struct node_set *homes, struct plan_score *ret);
/* What one sample was to the last score: weight × cost (its part of the sum; 0 where it is not placed at all), and whether its home holds
 * its memory (true without a home). */
struct plan_score_part {
        double cost;
        bool memory_fits;
};
struct plan_score_part plan_scorer_part(const struct plan_scorer *s, size_t sample);
/* Both at once, for one set of homes. Homes of samples that are not placed are passed over here. */
int plan_score(const struct plan_input *in, const struct node_set *homes, struct plan_score *ret);
/* The plan after some services changed, from the plan before: much cheaper than a plan from the beginning. The samples must be of the same
 * services in the same order, under the same rules on the same topology; `changed` tells (by index) whose numbers are not what they were
 * when `previous` was made. Holds of the result: constraints and room as in any plan; those that changed, those whose last placement
 * was not at rest (STATE_STABLE, STATE_OBSERVED, nothing due) and those that a constraint drives out are placed as plan_make() would with everybody else
 * where the last plan has them. All others keep their placement, reason and all, also where plan_make() would by now send them
 * elsewhere: so make a whole plan now and then. Returns 0, -ENOMEM or -EINVAL. */
int plan_update(const struct plan_input *in, const struct plan *previous, const size_t *changed, size_t n_changed,
                struct plan **ret);

/* The plan of a cycle that follows others: a whole one, or, where since the last whole plan only few services changed by more than what comes and goes
 * (and for a minute at most), plan_update() of `previous`, the last plan. `whole`: what the last whole plan was made from; it and `previous`
 * may be NULL. Returns as plan_make(); `*ret_whole`: this plan was made whole, so `in` is what the next is to be compared with. */
int plan_next(const struct plan_input *in, const struct plan_input *whole, const struct plan *previous, struct plan **ret,
              bool *ret_whole);

/* Why one service's placement is as it is. */
struct explanation {
        struct candidate *candidates; /* the chosen, the best few, then some that cannot be */
        size_t n_candidates;
        char **would_change; /* what would bring another decision: "node 1 had 2.1G more free", … */
        size_t n_would_change;
};

/* Plans once more from the same input, and tells how it came to the placement of samples[index]. Returns 0, -ENOMEM or -EINVAL; `*ret` is set
 * only on success, to be ended with explanation_done(). What it says of rules borrows from the configuration. */
int plan_explain(const struct plan_input *in, size_t index, struct explanation *ret);
void explanation_done(struct explanation *e);
/* The same of every sample: an array of n_samples, to be freed by explanations_free(). */
int plan_explain_all(const struct plan_input *in, struct explanation **ret);
struct explanation *explanations_free(struct explanation *all, size_t n);
/* "chosen: …", "rejected: …". The caller frees; NULL when memory ran out. */
char *candidate_verdict(const struct candidate *c);

/* What the next plan has to know and no transition tells. Where less crowding alone speaks for another home, that it does; and a home where
 * nothing is to be done (all the nodes that a service may have, or memory that is divided as it should be) starts no transition that
 * would tell of it: the next plan would choose anew. 0 or -ENOMEM. */
int plan_remember(const struct plan *p, const struct service_sample *samples, struct history *h, uint64_t now_usec);

/* The cheap screen: can reading this service's numa_maps change the decision? True for matched, managed services
 * that are large enough and not yet seen to sit at home (previous entry may be NULL). It knows less than the planner: where the last
 * plan said wants_deep, read too. */
bool plan_wants_deep(const struct service_sample *s, const struct history_entry *previous, unsigned n_ids, uint64_t now_usec);

/* How many of a service's movable bytes are not where the placement has them: off home, or beyond what belongs on their node. `s` must be deep. */
uint64_t placement_misplaced_bytes(const struct placement *p, const struct service_sample *s, unsigned n_ids);
/* Where memory is divided among nodes (spread, interleave), so much of it out of place is left so. */
uint64_t division_tolerated_bytes(const struct rule *r, uint64_t movable_bytes);
/* A number that tells weights from others; never 0. For history_record_interleaved(). */
uint64_t interleave_key(const uint32_t *weight_by_node, unsigned n_ids);

/* Memory pressure "some avg10", in hundredths of a percent, from which on memory nodes that were narrowed are given back. */
#define PLAN_PRESSURE_CENTIPERCENT 1000
/* Half of keep-free is gone on all of these nodes: memory nodes that were narrowed to them are given back, too. */
bool plan_nodes_short(const struct machine_sample *m, const struct node_set *nodes, unsigned keep_free_permille);
/* How many bytes a node can still take from us without going below keep_free (a part of what is not set aside for hugetlb) and its low watermark. Droppable page cache
 * counts by half: dropping all of it would have the kernel look for anonymous memory to swap first. */
uint64_t node_room_bytes(const struct node_memory *m, unsigned keep_free_permille);

/* Where should a new service start that will use so many thousandths of a CPU and so much memory? */
struct advice {
        struct plan *plan;                 /* made with the new service in mind */
        const struct placement *placement; /* its own, part of that plan */
        struct node_set nodes;             /* where to start it; empty: no nodes hold its memory */
        bool fits;                         /* false with nodes: they hold its memory, but too few CPUs are left */
        char *reason;                      /* one sentence */
        struct explanation explanation;    /* the candidates, and why they lost */
};
/* The plan is made as if a service of that size had just appeared under a rule of its own, the last and weakest: place: compact, anything else
 * left open. So it keeps clear of what is placed, of exclusive nodes and of keep-free. Nothing is changed in `in`.
 * `bytes` may be 0. Returns 0, -ENOMEM or -EINVAL (no CPU asked for, more than ADVISE_MCPU_MAX, or inconsistent input). Free with advice_free(). */
#define ADVISE_MCPU_MAX  ((CPU_ID_MAX + 1ULL) * 1000)
#define ADVISE_BYTES_MAX (1ULL << 60)
int plan_advise(const struct plan_input *in, uint64_t mcpu, uint64_t bytes, struct advice **ret);
struct advice *advice_free(struct advice *a);
static inline void advice_freep(struct advice **a) {
        advice_free(*a);
}
