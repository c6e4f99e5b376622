/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numabalancectl: what its verbs share. A verb returns the exit status and has said on standard error what went wrong. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/util.h"

/* 0 and 1 are EXIT_SUCCESS and EXIT_FAILURE. */
#define EXIT_USAGE       2
#define EXIT_NOT_RUNNING 3
#define EXIT_CONFIG      78 /* EX_CONFIG of sysexits(3) */

enum json_mode { JSON_OFF, JSON_SHORT, JSON_PRETTY };

/* Only for simulate; NULL: not given. */
struct simulate_options {
        const char *topology, *scenario, *config, *until;
};

struct options {
        enum json_mode json;
        bool legend; /* headings and closing lines */
        bool colour;
        bool explain; /* only for verbs that take it */
        struct simulate_options simulate;
};

struct verb {
        const char *name;
        const char *arguments;            /* for --help */
        int min_arguments, max_arguments; /* max -1: any number */
        bool takes_explain, takes_simulate;
        const char *summary, *help;
        int (*run)(char **arguments, const struct options *o); /* NULL-terminated, counted already */
};

extern const struct verb verb_status, verb_list, verb_explain, verb_topology, verb_check, verb_reload, verb_pause, verb_resume,
        verb_restore, verb_plan, verb_history, verb_advise, verb_capture, verb_simulate;

static inline void json_putp(struct json_object **o) {
        json_object_put(*o);
}
#define _cleanup_json_ _cleanup_(json_putp)
