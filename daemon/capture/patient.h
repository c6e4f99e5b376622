/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading memory maps beside this thread: one of a process that does not let go of its address space's lock is not waited for forever. */
#pragma once

#include "host/observe.h"

typedef int (*deep_function)(const struct host *h, unsigned n_ids, const struct process_ref *processes, size_t n_processes,
                             const struct deep_options *options, struct deep_sample **ret);

/* For all services together; the wait for each is half of what is left. */
struct patience {
        deep_function read; /* observe_deep */
        uint64_t left_usec;
        size_t n_given_up;
};

/* As p->read(), which it calls on a thread of its own; what that reads is noted in the recorder that this thread uses. -ETIMEDOUT: given up, and
 * nothing of it is noted; the thread ends when the kernel lets it. */
int patient_read(struct patience *p, const struct host *h, unsigned n_ids, const struct process_ref *processes,
                 size_t n_processes, const struct deep_options *options, struct deep_sample **ret);
