/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One service of the made-up machine, of which a process does not let itself be read. */
#pragma once

#include "manager-fixture.h"
#include "transition.h"

#define UNIT   "managed.service"
#define CGROUP "/system.slice/" UNIT

static inline const struct service_note *note(void) {
        const struct service_note *n = manager_find_note(fx.manager, CGROUP);
        assert_non_null(n);
        return n;
}

static inline void begin(size_t n_processes, pid_t stuck) {
        fx.services[0] = "another.service";
        fx.services[1] = UNIT;
        fx.n_processes = n_processes;
        fx.stuck_pid = stuck;
        fx_start_manager();
        fx_pass(DEEP_DEADLINE_USEC - USEC_PER_SEC);
}

/* Does the status name this process, and nothing else that is stuck? 0: nothing at all. */
static inline bool status_names(pid_t pid) {
        struct json_object *status = manager_bus_callbacks.status(fx.manager), *stuck = NULL;
        _cleanup_free_ char *text = format_string(CGROUP ": process %d of it does not respond", (int) pid);
        assert_non_null(text);
        assert_true(json_object_object_get_ex(status, "stuck", &stuck));
        size_t n = json_object_array_length(stuck);
        bool named = pid == 0 ? n == 0 : n == 1 && strcmp(json_object_get_string(json_object_array_get_idx(stuck, 0)), text) == 0;
        json_object_put(status);
        return named;
}

/* Left out by itself, after so many were read without it. */
static inline void assert_left_out(pid_t pid, unsigned n_read) {
        assert_int_equal(note()->n_aside, 1);
        assert_int_equal(note()->aside[0].pid, pid);
        assert_true(status_names(pid));
        assert_false(note()->stuck);
        assert_int_equal(fx.n_read, n_read);
        assert_int_equal(fx.n_jobs, 1); /* no second thread hangs */
        assert_int_equal(fx.n_changes, 0);
}

/* It answers: all are read, and what was held back is done. */
static inline void let_it_answer(unsigned n_read) {
        fx.stuck_pid = 0;
        fx_pass(10 * USEC_PER_MINUTE);
        assert_int_equal(note()->n_aside, 0);
        assert_true(status_names(0));
        assert_int_equal(fx.n_read, n_read);
        assert_true(fx.n_changes > 0);
}
