/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The event loop as the live environment has it: time, timers, what comes after each turn, and telling the service manager. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "core/util.h"
#include "environment-live.h"
#include "host/io.h"

/* Time */

uint64_t live_now(void *context) {
        const struct live *l = context;
        uint64_t usec;
        if (sd_event_now(l->event, CLOCK_BOOTTIME, &usec) < 0)
                return 0; /* cannot happen: the clock exists since Linux 2.6.39 */
        return usec;
}

uint64_t live_cpu_usec(void *context) {
        return thread_cpu_nsec() / 1000;
}

uint64_t live_monotonic_usec(void) {
        struct timespec ts;
        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

unsigned live_week_minute(void *context) {
        time_t now = time(NULL);
        struct tm tm;
        tzset(); /* localtime_r() need not notice that /etc/localtime is another */
        if (!localtime_r(&now, &tm))
                return 0;
        return (unsigned) ((tm.tm_wday + 6) % 7) * 24 * 60 + (unsigned) tm.tm_hour * 60 + (unsigned) tm.tm_min;
}

struct env_timer {
        sd_event_source *source;
        env_callback callback;
        void *userdata;
};

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        const struct env_timer *t = userdata;
        t->callback(t->userdata); /* may have freed it */
        return 0;
}

struct env_timer *live_timer_free(struct env_timer *t) {
        if (t)
                sd_event_source_disable_unref(t->source);
        free(t);
        return NULL;
}

int live_timer_new(void *context, uint64_t slack_usec, env_callback callback, void *userdata, struct env_timer **ret) {
        const struct live *l = context;
        struct env_timer *t = malloc(sizeof(*t));
        if (!t)
                return -ENOMEM;
        *t = (struct env_timer) { .callback = callback, .userdata = userdata };
        int r = sd_event_add_time(l->event, &t->source, CLOCK_BOOTTIME, 0, slack_usec, on_timer, t);
        if (r >= 0)
                r = sd_event_source_set_enabled(t->source, SD_EVENT_OFF);
        if (r < 0) {
                live_timer_free(t);
                return r;
        }
        *ret = t;
        return 0;
}

int live_timer_set(struct env_timer *t, uint64_t at_usec) {
        int r = sd_event_source_set_time(t->source, at_usec);
        return r < 0 ? r : sd_event_source_set_enabled(t->source, SD_EVENT_ONESHOT);
}

static int on_post(sd_event_source *source, void *userdata) {
        const struct live *l = userdata;
        l->after_each(l->after_each_userdata);
        return 0;
}

int live_after_each(void *context, env_callback callback, void *userdata) {
        struct live *l = context;
        l->after_each = callback;
        l->after_each_userdata = userdata;
        return sd_event_add_post(l->event, NULL, on_post, l);
}

int live_leave(void *context, int status) {
        const struct live *l = context;
        return sd_event_exit(l->event, status);
}

void live_notify(void *context, const char *state) {
        if (strncmp(state, "RELOADING=1", strlen("RELOADING=1")) != 0) {
                (void) sd_notify(false, state);
                return;
        }
        (void) sd_notifyf(false, "%s\nMONOTONIC_USEC=%" PRIu64, state, live_monotonic_usec());
}
