/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside of the live environment. `context` is a struct live in all of the functions, which environment_ops describes. */
#pragma once

#include "environment.h"

struct live {
        struct live_options options;
        sd_event *event;
        sd_bus *bus;
        struct host *host;
        struct observer *observer;
        struct worker_pool *pool, *writers;
        struct act act;
        bool have_act, stuck;
        bool stopping; /* jobs are being ended: no more are taken */
        env_callback after_each;
        void *after_each_userdata;
};

/* environment-live-loop.c */
uint64_t live_now(void *context);
uint64_t live_cpu_usec(void *context);
uint64_t live_monotonic_usec(void);
unsigned live_week_minute(void *context);
struct env_timer *live_timer_free(struct env_timer *t);
int live_timer_new(void *context, uint64_t slack_usec, env_callback callback, void *userdata, struct env_timer **ret);
int live_timer_set(struct env_timer *t, uint64_t at_usec);
int live_after_each(void *context, env_callback callback, void *userdata);
int live_leave(void *context, int status);
void live_notify(void *context, const char *state);
