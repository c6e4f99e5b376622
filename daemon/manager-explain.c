/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a placement came about is made when somebody asks, by planning once more from what the plan was made from: the same input gives the
 * same plan. The observation and the configuration stay with the cycle anyway; the history and the record go on, so a copy is kept. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager.h"

struct cycle_input {
        struct history history;
        struct applied *applied; /* own strings */
        size_t n_applied;
        uint64_t now_usec;
};

struct cycle_input *cycle_input_free(struct cycle_input *i) {
        if (!i)
                return NULL;
        history_done(&i->history);
        for (size_t k = 0; k < i->n_applied; k++)
                free((char *) i->applied[k].cgroup);
        free(i->applied);
        free(i);
        return NULL;
}

static int copy_applied(struct cycle_input *i, const struct applied *applied, size_t n) {
        i->applied = calloc(n + 1, sizeof(*i->applied));
        if (!i->applied)
                return -ENOMEM;
        for (size_t k = 0; k < n; k++) {
                i->applied[k] = applied[k];
                i->applied[k].cgroup = strdup(applied[k].cgroup);
                if (!i->applied[k].cgroup)
                        return -ENOMEM;
                i->n_applied = k + 1;
        }
        return 0;
}

int cycle_keep_input(struct cycle *c, const struct plan_input *in) {
        struct cycle_input *i = calloc(1, sizeof(*i));
        if (!i)
                return -ENOMEM;
        i->now_usec = in->now_usec;
        int r = history_copy(in->history, &i->history);
        if (r >= 0)
                r = copy_applied(i, in->applied, in->n_applied);
        if (r < 0) {
                cycle_input_free(i);
                return r;
        }
        cycle_input_free(c->input);
        c->input = i;
        return 0;
}

bool cycle_plan_input(const struct manager *m, const struct cycle *c, struct plan_input *ret) {
        if (!c || !c->input || !c->observation)
                return false;
        *ret = (struct plan_input) {
                .topology = m->topology,
                .machine = &c->observation->machine,
                .config = c->config->config,
                .samples = c->observation->services,
                .n_samples = c->observation->n_services,
                .history = &c->input->history,
                .applied = c->input->applied,
                .n_applied = c->input->n_applied,
                .now_usec = c->input->now_usec,
        };
        return true;
}

int cycle_explain(const struct manager *m, const struct cycle *c, size_t index, struct explanation *ret) {
        struct plan_input in;
        return cycle_plan_input(m, c, &in) ? plan_explain(&in, index, ret) : -ENODATA;
}
