/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a capture has beside files that were read: when, on what kind of machine, what the daemon had changed and what it remembered. */
#pragma once

#include <json-c/json.h>

#include "capture/look.h"

#define CAPTURE_DIR   "capture" /* in the captured tree, beside proc, sys, etc */
#define CAPTURE_STATE CAPTURE_DIR "/state.json"
#define CAPTURE_PLAN  CAPTURE_DIR "/plan.json"
#define CAPTURE_LATER CAPTURE_DIR "/later" /* the tree at the second look */

struct capture_state {
        uint64_t page_bytes;
        unsigned ticks_per_sec;
        char *sysconfdir, *vendorconfdir;
        char *one_file; /* the configuration was this file alone, without drop-ins; NULL: it was in the standard places */
        uint64_t looked_usec[LOOKS];
        struct applied *applied; /* sorted by cgroup; names owned */
        size_t n_applied;
        struct history history;
};
void capture_state_done(struct capture_state *s);
/* Lets rules tell the files that they come from as they were called on the machine itself. 0 or -ENOMEM. */
int capture_rename_files(struct config *c, const char *root, const char *one_file);

/* As much as 10,000 services on 64 nodes need. Each value takes many times its text in memory once it is read, and a capture is somebody else's file: so its text
 * may have no more than so many bytes, and so many characters that begin a value or a member. */
#define CAPTURE_STATE_BYTES_MAX  (96u << 20)
#define CAPTURE_STATE_VALUES_MAX (4u << 20)
bool capture_state_fits(const char *text, size_t size);

struct json_object *capture_state_to_json(const struct capture_state *s); /* NULL: no memory */
/* Returns 0, -ENOMEM, or -EBADMSG: no state of a capture, or of a version that we do not know. `n_ids` of the topology. */
int capture_state_from_json(struct json_object *o, unsigned n_ids, struct capture_state *ret);
