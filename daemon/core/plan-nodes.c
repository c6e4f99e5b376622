/* SPDX-License-Identifier: GPL-2.0-or-later */
/* place: nodes: the administrator chose; what is left is to say why it cannot be, where it cannot. The search then assigns it: others can
 * have a stronger claim to the nodes. */
#include "core/plan-internal.h"

static void tell_blocked(struct job *j, const char *before, const struct node_set *nodes, const char *after) {
        struct strbuf b = { 0 };
        strbuf_append(&b, before);
        text_nodes(&b, nodes);
        strbuf_append(&b, after);
        char *text = strbuf_steal(&b);
        job_tell(j, STATE_BLOCKED, "%s", text ? text : "");
        free(text);
}

static void note_left_out(struct job *j, const struct node_set *nodes, const char *why) {
        if (node_set_is_empty(nodes))
                return;
        strbuf_append(&j->notes, "; ");
        text_nodes(&j->notes, nodes);
        strbuf_append(&j->notes, why);
}

static void plan_one(struct planner *pl, struct job *j) {
        struct node_set given = j->rule->nodes, there = node_set_intersect(&given, &pl->all_nodes);
        struct node_set missing = node_set_subtract(&given, &there);
        struct node_set cpus = job_cpus(pl, j, &there), mems = job_mems(pl, j, &there);
        if (node_set_is_empty(&there)) {
                tell_blocked(j, "the rule gives ", &given, ", which this machine does not have");
                return;
        }
        if (node_set_is_empty(&mems)) {
                tell_blocked(j, "the rule gives ", &there, ", where there is no memory that it may use");
                return;
        }
        if (j->restricts && node_set_is_empty(&cpus)) {
                tell_blocked(j, "the rule gives ", &there, ", whose CPUs are not among those left to it");
                return;
        }
        struct node_set usable = j->restricts ? node_set_union(&cpus, &mems) : mems;
        struct node_set barred = node_set_subtract(&there, &usable);
        if (!j->restricts) { /* nodes without memory are of no use to it, which is nothing to tell */
                struct node_set memory = node_set_intersect(&barred, &pl->mem_nodes);
                barred = memory;
        }
        note_left_out(j, &missing, " of the rule is not on this machine");
        note_left_out(j, &barred, " of the rule is not open to it");
        j->has_home = j->has_home && node_set_equal(&j->home, &usable);
        j->permitted = usable;
}

void plan_nodes(struct planner *pl) {
        for (size_t i = 0; i < pl->n_jobs; i++)
                if (pl->jobs[i].kind == JOB_NODES)
                        plan_one(pl, &pl->jobs[i]);
}
