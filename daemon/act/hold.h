/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the administrator said that must outlive the daemon: that nothing is to be changed, or not these services, until resume. One JSON file in
 * the runtime directory, replaced atomically. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct hold {
        bool paused;
        char **cgroups; /* of services that were restored and are left alone, sorted, each once */
        size_t n_cgroups;
};

#define HOLD_CGROUPS_MAX 65536u /* more than can be on record */

/* Loads what an earlier run left; a missing file is { 0 }. -EBADMSG: what is there is nothing that we write; it was kept aside as PATH.bad.
 * `*ret` is set only on success. */
int hold_load(const char *path, struct hold *ret);
/* Where there is nothing to remember the file is removed. Returns 0 or negative errno. */
int hold_save(const char *path, const struct hold *h);
void hold_done(struct hold *h);
