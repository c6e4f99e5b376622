/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Puts the watcher together: what is wished for, of each kind. */
#include "watch/watch.h"

#include <errno.h>
#include <stdlib.h>

#include "core/util.h"
#include "watch/watch-internal.h"

int watch_new(sd_event *event, const struct host *h, watch_callback callback, void *userdata, struct watch **ret) {
        _cleanup_(watch_freep) struct watch *w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->event = sd_event_ref(event);
        w->host = h;
        w->callback = callback;
        w->userdata = userdata;
        w->inotify_fd = -EBADF;
        if (h->cgroup_mount) {
                int r = watch_open_cgroups(w);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(w);
        return 0;
}

int watch_set(struct watch *w, const struct watch_wish *wishes, size_t n, struct watch_counts *ret) {
        struct watch_counts counts = { .memory_complete = true };
        if (w->host->cgroup_mount) {
                int r = watch_set_cgroups(w, wishes, n, &counts);
                if (r < 0)
                        return r;
                r = watch_set_pressure(w, wishes, n, &counts);
                if (r < 0)
                        return r;
        }
        *ret = counts;
        return 0;
}

struct watch *watch_free(struct watch *w) {
        if (!w)
                return NULL;
        watch_done_pressure(w);
        watch_done_cgroups(w);
        sd_event_unref(w->event);
        free(w);
        return NULL;
}
