/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two looks at a machine and the plan that follows: what a capture does on the living machine, and a replay on the captured one. Where a
 * cycle of the daemon reads memory maps only where its screen says so, every service with a rule is read here: a report should have all. */
#pragma once

#include <json-c/json.h>

#include "capture/patient.h"
#include "core/history.h"
#include "core/plan.h"
#include "host/host.h"
#include "host/observe.h"

#define LOOKS 2u

struct look_input {
        const struct host *hosts[LOOKS]; /* the machine at each look */
        const struct topology *topology;
        const struct config *config;
        const struct applied *applied; /* sorted by cgroup */
        size_t n_applied;
        /* Called before each look: lets time pass, and tells the time (CLOCK_BOOTTIME). */
        int (*begin)(unsigned look, uint64_t *ret_usec, void *userdata);
        void *userdata;
        struct patience *patience; /* with the living; NULL: files do not keep anybody waiting */
};

struct captured_look {
        struct observation *observation; /* of the second */
        struct plan *plan;
        struct explanation *explanations; /* one for each service */
};

/* Takes both looks into the history, too. Returns 0 or negative errno. */
int look_twice(const struct look_input *in, struct history *history, struct captured_look *ret);
void look_done(struct captured_look *l);

/* {topology, services: [as explain shows them]}: the same look gives the same bytes. NULL: no memory. */
struct json_object *look_json(const struct topology *t, const struct captured_look *l);
