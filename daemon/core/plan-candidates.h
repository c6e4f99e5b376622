/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of plan-candidates*.c: for whom sets of nodes are made. */
#pragma once

#include "core/plan-internal.h"

/* For whom: one job, or its whole group. What the sets have to hold is summed over it. */
struct asking {
        struct group *group; /* NULL: the job alone */
        const struct job *job;
        struct node_set usable;         /* nodes that are of any use to all */
        unsigned n_usable, least, most; /* nodes; number of nodes of a set */
        double demand;
};

/* Evaluates the set and adds it to pl->options, where it is not among those from `same_size_from` on already. True where it is roomy, and nobody is in
 * the way. Without memory pl->failed is set. */
bool candidates_push_for(struct planner *pl, const struct asking *a, const struct node_set *nodes, size_t same_size_from);
/* Those of the n ids whose bit is set. */
struct node_set candidates_subset(const unsigned *ids, unsigned n, unsigned bits);
/* Adds sets that grow from the nodes that do best alone. */
void candidates_grow(struct planner *pl, const struct asking *a);
