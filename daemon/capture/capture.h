/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Taking a capture: two looks at the machine with everything that was read for them, and the plan that came of it. */
#pragma once

#include <json-c/json.h>

#include "capture/patient.h"
#include "capture/state.h"
#include "host/recorder.h"

struct capture_options {
        const char *root;        /* "/" */
        const char *config_file; /* NULL: the standard places */
        const char *record_file; /* of the daemon's changes; missing: none */
        uint64_t pause_usec;     /* between the looks */
        /* Called after the pause; for tests. */
        void (*paused)(void *userdata);
        void *userdata;
        deep_function read_deep;     /* NULL: observe_deep; for tests */
        uint64_t deep_usec;          /* how long memory maps may keep it waiting in all */
        struct json_object *history; /* an array as capture_state_to_json() makes it; NULL: nothing is remembered */
};

/* Files by path below the captured root, ready to be archived. */
struct capture {
        struct recorded *items;
        size_t n_items, capacity;
        size_t n_services, n_managed, n_processes, n_given_up; /* services whose memory maps did not come in time */
};

/* Returns 0 or negative errno; `ret_why` gets a text to be freed that says more, or NULL. -EBADMSG: the configuration has errors. */
int capture_take(const struct capture_options *options, struct capture *ret, char **ret_why);
void capture_done(struct capture *c);
/* Writes them below a directory of this name as a tar archive. Returns 0 or negative errno. */
int capture_write(const struct capture *c, int fd, const char *directory);
