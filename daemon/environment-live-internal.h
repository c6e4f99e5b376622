/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's own environment, as its two parts know it: environment-live.c makes and ends it, environment-live-ops.c is what the manager calls. */
#pragma once

#include "environment.h"

struct live {
        struct live_options options;
        sd_event *event;
        sd_bus *bus;
        struct host *host;
        struct observer *observer;
        struct worker_pool *pool;
        struct act act;
        bool have_act, stuck;
        env_callback after_each;
        void *after_each_userdata;
};

extern const struct environment_ops environment_live_ops;
