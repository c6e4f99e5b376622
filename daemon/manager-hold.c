/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A pause, and services that are left alone after a restore, outlive the daemon: an upgrade must not end what the administrator began. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "act/hold.h"
#include "manager.h"
#include "report/journal.h"

static char *hold_path(const struct manager *m) {
        return format_string("%s/hold.json", m->options.runtime_dir);
}

int manager_hold_load(struct manager *m) {
        struct hold h = { 0 };
        if (!m->options.runtime_dir)
                return 0;
        _cleanup_free_ char *path = hold_path(m);
        int r = path ? hold_load(path, &h) : -ENOMEM;
        if (r == -EBADMSG) {
                log_error(r,
                          "%s is damaged; it was kept as %s.bad. It may have said that nothing is to be changed: paused until "
                          "\"numabalancectl resume\"",
                          path, path);
                m->paused = true;
                manager_hold_save(m); /* the next start finds no damaged file any more */
                return 0;
        }
        if (r < 0)
                return log_error(r, "Cannot read %s: %s", path ? path : "what is paused", strerror(-r));
        m->paused = h.paused;
        for (size_t i = 0; r >= 0 && i < h.n_cgroups; i++) {
                struct service_note *n = manager_note(m, h.cgroups[i]);
                if (n) /* what is still on record was asked for and not given back */
                        n->held = n->restore_asked = true;
                else
                        r = log_error(-ENOMEM, "Out of memory while reading %s", path);
        }
        if (h.paused)
                log_notice("Still paused: nothing is changed until resume");
        else if (h.n_cgroups > 0)
                log_notice("%zu restored services are still left alone until resume", h.n_cgroups);
        hold_done(&h);
        return r;
}

void manager_hold_save(struct manager *m) {
        if (m->options.once || !m->options.runtime_dir)
                return;
        struct hold h = { .paused = m->paused };
        _cleanup_free_ char *path = hold_path(m);
        _cleanup_free_ char **cgroups = calloc(m->n_notes + 1, sizeof(*cgroups));
        int r = path && cgroups ? 0 : -ENOMEM;
        if (r >= 0) {
                h.cgroups = cgroups; /* borrowed, in the notes' order: sorted */
                for (size_t i = 0; i < m->n_notes && h.n_cgroups < HOLD_CGROUPS_MAX; i++)
                        if (m->notes[i]->held)
                                cgroups[h.n_cgroups++] = m->notes[i]->cgroup;
                r = hold_save(path, &h);
        }
        /* A dry run has had no need for the directory so far. */
        if (r == -ENOENT)
                r = mkdir(m->options.runtime_dir, 0755) < 0 && errno != EEXIST ? -errno : hold_save(path, &h);
        if (r < 0)
                log_warning(r, "Could not write %s, so a restart of the daemon will not know of it: %s",
                            path ? path : "what is paused", strerror(-r));
}
