/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A daemon that is none, behind its real interface over a socket: what the tests of report/bus.h call, and what they find it was asked to do. */
#pragma once

#include <pthread.h>

#include "core/util.h"
#include "report/bus.h"

/* For an answer, instead of 25 seconds: a machine that is busy with something else can be late by more. */
#define PATIENCE_USEC (10 * USEC_PER_MINUTE)

/* What the daemon would be: what it answers, and how often it was asked. */
struct fake_daemon {
        struct json_object *list;
        int reload_result, restore_result;
        const char *reload_error;
        int n_paused, n_resumed, n_reloads, n_restores, n_looks, n_expensive;
        int plan_result, plan_error; /* at once, and later */
        uint64_t mcpu, bytes;
};
extern struct fake_daemon fake;
extern const char *const status_back; /* what Status says, as it arrives: without null */

struct fixture {
        pthread_t thread;
        int server_fd;
        sd_bus *client;
};
int setup(void **state);
int teardown(void **state);
/* Answers on the connection (int *) until the other end closes it. */
void *serve(void *arg);
/* Calls and returns the JSON of the answer; NULL for an empty one. The error's name, or "", goes to `error_name`. */
struct json_object *call(struct fixture *f, const char *member, char error_name[static 128], const char *types, ...);
/* Takes the reference. */
void assert_json(struct json_object *o, const char *expected);
