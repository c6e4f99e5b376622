/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One service on a simulated machine of four nodes with two CPUs each, with its record on disk, whose cpusets are set by us or by somebody else
 * and given back: for the tests of act/restore.h. */
#pragma once

#include "act-fixture.h"
#include "act/cpuset.h"
#include "act/restore.h"
#include "act/simulated.h"
#include "core/util.h"

#define CGROUP "/system.slice/x.service"

extern struct fixture fx; /* where record.json is */
extern struct simulated *sim;
extern struct act act;
extern struct record *record;
extern struct target target;

/* What restoring came to. */
struct seen {
        unsigned calls;
        enum restore_outcome outcome;
        int error;
        const char *detail;
};
extern struct seen seen;

/* The service is the service manager's, or only a cgroup. */
int setup_systemd(void **state);
int setup_cgroupfs(void **state);
int teardown(void **state);
#define SYSTEMD(f)  cmocka_unit_test_setup_teardown(f, setup_systemd, teardown)
#define CGROUPFS(f) cmocka_unit_test_setup_teardown(f, setup_cgroupfs, teardown)
#define BOTH(f)     SYSTEMD(f), CGROUPFS(f)

/* Callbacks: into `seen`, which is the userdata; and for a change that is to succeed. */
void on_done(const char *cgroup, enum restore_outcome outcome, int error, const char *detail, void *userdata);
void ignore_result(int result, void *userdata);

/* List format; NULL: not that one, "": not set any more. */
struct cpuset_change change_to(const char *cpus, const char *mems);
/* Sets it as somebody would who is not us, through the owner. */
void admin_sets(const char *cpus, const char *mems);
void we_set(const char *cpus, const char *mems); /* and it is on record */
/* Gives it back, which is to end so; what failed stays on record, and nothing else does. */
void restore_now(enum restore_outcome expected);
void assert_effective(const char *cpus, const char *mems);
void assert_settings(bool cpus_set, bool mems_set); /* the service manager's */
