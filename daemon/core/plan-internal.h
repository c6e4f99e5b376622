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
 * They stand on plan-capacity (what nodes hold, and what this plan has put there so far), plan-cost (what a candidate would cost;
 * plan-compare: which is better; plan-distance and plan-bandwidth: what the machine makes of it; plan-demand: what the service asks for),
 * plan-candidates (which candidates there are; plan-choose: which is taken), plan-horizon (whether a move pays for itself), plan-crowding
 * (whether less crowding alone is a reason) and plan-guard (no way back for a while).
 * What they work on is in plan-state.h. */
#pragma once

#include "core/plan-state.h"

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
/* May this group live there at all, by its rules and by what others leave to it? */
bool group_may_be_on(const struct planner *pl, const struct group *g, const struct node_set *nodes);
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
/* Right after that, with other bytes_then, incoming and bytes_in than it found: what depends on these, and the cost. */
void option_weigh_again(struct planner *pl, const struct job *j, struct option *o);
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

/* plan-compare.c */
#define COST_EPSILON 1e-9 /* costs that differ by less are equal */
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
/* A distance or a cost, as it is told to others: with four decimals (report/view.c). Who writes tenths of that writes the same here as elsewhere. */
double told(double value);
