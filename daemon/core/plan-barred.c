/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is said where a constraint decides: which, and the rule that won. */
#include "core/plan-internal.h"

void text_rule(struct strbuf *b, const struct rule *r) {
        strbuf_printf(b, "rule %s (priority %u)", r->name ? r->name : "without name", r->priority);
}

/* "rule db (priority 200) has node 1 for itself" */
static void add_other(struct strbuf *b, const struct job *j, const struct bar *bar) {
        const struct job *other = bar->other;
        text_rule(b, other->rule);
        if (bar->constraint == CONSTRAINT_TOGETHER)
                strbuf_append(b, ", whose home it shares, ");
        else if (bar->constraint == CONSTRAINT_APART)
                strbuf_printf(b, bar->rule == j->rule ? ", which it is to be apart from, " : ", which is to be apart from it, ");
        else if (bar->rule == other->rule)
                strbuf_append(b, " has ");
        else
                strbuf_append(b, ", which it is not to share nodes with, ");
        bool owns = bar->constraint == CONSTRAINT_EXCLUSIVE && bar->rule == other->rule;
        if (!owns)
                strbuf_append(b, "is on ");
        if (other->assigned)
                text_nodes(b, &other->chosen.nodes);
        else
                strbuf_append(b, "the same nodes");
        if (owns)
                strbuf_append(b, " for itself");
}

void text_bar(struct strbuf *b, const struct job *j, const struct bar *bar) {
        const struct rule *r = bar->rule;
        if (bar->other)
                add_other(b, j, bar);
        else if (bar->constraint == CONSTRAINT_MIN_NODES)
                strbuf_printf(b, "min-nodes of rule %s is %u, which cannot be had", r->name, r->min_nodes);
        else if (bar->constraint == CONSTRAINT_MAX_NODES)
                strbuf_printf(b, "max-nodes of rule %s is %u", r->name, r->max_nodes);
        else
                strbuf_printf(b, "%s of rule %s leaves it none", constraint_to_string(bar->constraint), r->name);
}

/* Its own constraints that do not hold, and who did not make room. */
void text_given_up(struct strbuf *b, const struct job *j) {
        for (enum constraint c = CONSTRAINT_NONE; c < _CONSTRAINT_MAX; c++)
                if (j->gave_up[c]) {
                        strbuf_printf(b, "; %s is given up: ", constraint_to_string(c));
                        text_bar(b, j, &j->lost_to);
                }
}
