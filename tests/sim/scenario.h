/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the numbered scenarios share: a machine made in a line, rules as text, services, and expectations that say what they found instead. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util.h"
#include "manager.h"
#include "sim/simulation.h"

#define MINUTES(n) (USEC_PER_MINUTE * (uint64_t) (n))
#define SECONDS(n) (USEC_PER_SEC * (uint64_t) (n))
#define HOURS(n)   (60 * USEC_PER_MINUTE * (uint64_t) (n))
#define DAYS(n)    (24 * HOURS(n))

/* Sanitizers look for other things, and make everything slow: fewer seeds and shorter runs then. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

struct run {
        struct sim *sim;
        struct sim_settings settings; /* before machine(): for it */
        uint64_t seed;                /* for the scenario's own dice; the machine has its own from it */
        bool verbose;
        char *failure; /* the first */
        char *runtime_dir;
        bool record_lines; /* what is on record is appended to, however few there are */
        /* What was said. */
        unsigned n_decisions, n_moved, n_given_up, n_blocked, n_stuck, n_restored, n_restore_failed, n_warnings;
        const char *listen; /* … so often with this in its text; NULL: not listened for */
        unsigned n_heard;
        uint64_t digest; /* of all that was said, with its time */
};

struct scenario {
        unsigned number;
        const char *name, *what;
        void (*run)(struct run *r);
};

extern const struct scenario scenarios_place[], scenarios_trouble[], scenarios_refused[], scenarios_administrator[],
        scenarios_waiting[], scenarios_life[], scenarios_rules[], scenarios_told[], scenarios_events[], scenarios_kernel[],
        scenarios_pace[], scenarios_pressure[], scenarios_rest[], scenarios_hung[], scenarios_killed[], scenarios_long[];

/* Nodes 0 … n−1, each with so many cores of one CPU each and so much memory; distances 10 and 20. */
void machine(struct run *r, unsigned n_nodes, unsigned n_cpus, uint64_t bytes);
/* A topology of one's own, taken over. */
void machine_of(struct run *r, struct topology *t);
/* YAML, with the daemon's part and the rules. Starts the manager where there is none, and has it reload otherwise. */
void rules(struct run *r, const char *text);
void on_disk(struct run *r); /* before rules(): the record is kept in a directory */
struct sim_spec spec(const char *unit, double cpus, uint64_t bytes);
struct sim_service *add(struct run *r, const struct sim_spec *p);
/* A service whose memory is on `node` when it begins. */
struct sim_service *service(struct run *r, const char *unit, double cpus, uint64_t bytes, unsigned node);
/* One whose memory is on all nodes. */
struct sim_service *scattered(struct run *r, const char *unit, uint64_t bytes);
void pass(struct run *r, uint64_t usec);
void expect(struct run *r, bool holds, const char *format, ...) _printf_(3, 4);
uint64_t dice(struct run *r, uint64_t limit);

/* Expectations that come again and again. */
void expect_local(struct run *r, const struct sim_service *v, double at_least);
void expect_home_count(struct run *r, const struct sim_service *v, unsigned n); /* runs on n nodes */
/* Nothing that must never be: no node filled past keep-free, nothing forced by the kernel, no ping-pong, no haste. */
void expect_good_manners(struct run *r);
void expect_moved_at_most(struct run *r, double factor);
struct node_set cpu_nodes(const struct run *r, const struct sim_service *v); /* where it may run now */

/* What history tells of the effort of its last move that has ended; NULL: none yet. The caller puts it. `ret_reason` may be NULL; borrowed from
 * the manager, and left alone where there is none. */
struct json_object *last_effort(const struct run *r, const struct sim_service *v, const char **ret_reason);
int64_t held_usec(const struct run *r, const struct sim_service *v, enum hold_cause cause); /* of that move; 0 also without one */
