/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads numabalanced.yaml and its drop-ins into a fresh struct config. Nothing else is changed by a failed load. */
#pragma once

#include <stddef.h>

#include "core/rule.h"
#include "core/topology.h"

/* Every problem found, file by file, in the order of their places; texts are complete lines:
 * "FILE:LINE:COLUMN: what is wrong; expected …" (line and column from 1, columns in characters), or, where a file cannot be
 * read at all, "FILE: cannot read it: why". Of one file at most 20, then one that says how many more. Start with { 0 }. */
struct config_errors {
        char **lines;
        size_t n_lines;
};
void config_errors_done(struct config_errors *e);

struct config_source {
        const char *root;      /* "/" (or NULL), or a captured tree: prefix for all paths; links in it do not lead out of it */
        const char *main_file; /* NULL: /etc/numabalanced/numabalanced.yaml and the drop-in directories. Given: this file and no
                                * drop-ins (what `--config FILE` and `check FILE` mean), relative to the real root */
        /* The directories of a captured machine's build; NULL: this build's own. */
        const char *sysconfdir, *vendorconfdir;
        /* Told of each file that was read, with its path in the tree; text NULL: it is masked. */
        void (*seen)(const char *path, const char *text, size_t size, void *userdata);
        void *userdata;
        const struct topology *topology; /* to check node lists against; NULL: syntax only */
};

/* Returns 0 and a configuration that the caller frees; -EBADMSG with errors filled in for bad content; -ENOMEM; or another negative
 * errno, with an error line for each, when that files cannot be read is all that is wrong. A missing main file without main_file is an
 * empty one; with it, it is an error. `*ret` is set only on success. Blocks for as long as reading files does, on nothing else. */
int config_load(const struct config_source *source, struct config **ret, struct config_errors *errors);
