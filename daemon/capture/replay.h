/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plan of a captured machine, made again. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "capture/look.h"

struct replay {
        struct topology *topology;
        struct config *config;
        struct captured_look look;
};

/* Is there a capture below this root, or a part of one? */
bool replay_is_capture(const char *root);
/* Looks twice at the captured tree, with its times, configuration and history. `config_file` NULL: the captured configuration; given: what that
 * one would have made of it. Returns 0 or negative errno; `ret_why` gets a text to be freed, or NULL. -ENOENT: it is not whole; -EBADMSG: it is no
 * capture that we understand, or (then there is a text) the configuration has errors. */
int replay_run(const char *root, const char *config_file, struct replay *ret, char **ret_why);
void replay_done(struct replay *r);
