/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A scenario as YAML (numabalancectl(1), "Scenarios"): services that arrive, change and end on a simulated machine, and the rules to try on them.
 * Strict as the configuration is: what is unknown or does not fit is an error with its place. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "config/config-load.h"
#include "sim/simulation.h"

#define SCENARIO_FILE_BYTES_MAX (1u << 20)
#define SCENARIO_EVENTS_MAX     10000u
#define SCENARIO_SPAN_MAX_USEC  (366 * 24 * 60 * USEC_PER_MINUTE)

struct scenario_service {
        struct sim_spec spec; /* its texts are those below */
        char *unit, *slice, *policy;
        unsigned count;                   /* more than one: "%" in the unit is the number, from 1 */
        uint64_t arrives_usec, ends_usec; /* from the start; 0: is there, never */
};

enum scenario_action {
        ACTION_END,
        ACTION_RESTART,
        ACTION_CHANGE, /* CPUs, memory, growth */
        ACTION_FORK,
        ACTION_STUCK,   /* its processes do not respond … */
        ACTION_RESPOND, /* … and do again */
        ACTION_REFUSE_CPUSET,
        ACTION_ALLOW_CPUSET,
        ACTION_PAUSE, /* of the daemon: pause, resume, kill -9, start */
        ACTION_RESUME,
        ACTION_KILL,
        ACTION_START,
        _SCENARIO_ACTION_MAX,
        _SCENARIO_ACTION_INVALID = -EINVAL,
};

struct scenario_event {
        uint64_t at_usec;
        unsigned line, column; /* where it is written */
        enum scenario_action action;
        char *unit; /* NULL: of the daemon */
        bool has_cpus, has_memory, has_growth;
        double cpus;
        uint64_t memory_bytes, growth_bytes;
};

struct scenario_file {
        struct sim_settings settings;
        uint64_t until_usec; /* how long it should run */
        struct scenario_service *services;
        size_t n_services, services_capacity;
        struct scenario_event *events;
        size_t n_events, events_capacity;
        bool has_rules;    /* there is `rules` or `daemon` */
        char *config_text; /* the file with all but these blanked, so that places stay what they are */
        size_t config_size;
};

/* `t`: to check node lists against. 0; -EBADMSG with errors filled in as by config_load(); -ENOMEM. */
int scenario_parse(const char *name, const char *text, size_t size, const struct topology *t, struct scenario_file **ret,
                   struct config_errors *errors);
struct scenario_file *scenario_free(struct scenario_file *s);
static inline void scenario_freep(struct scenario_file **s) {
        scenario_free(*s);
}
/* Is there, at some time, a service of that name? */
bool scenario_names(const struct scenario_file *f, const char *unit);
/* Puts services and events into the simulation, from its present moment on; the scenario must outlive it. Returns 0 or negative errno. */
int scenario_begin(const struct scenario_file *f, struct sim *s);
