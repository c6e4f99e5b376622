/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process whose first thread has ended (pthread_exit() in main()) while others live on. That one is a zombie then: what /proc/PID shows of memory is
 * empty, and move_pages(2) finds none by this number. Any of the others speaks for the process: /proc/PID/task/TID has the same files, and their
 * number does for move_pages(2). Everybody else speaks for himself, and is not looked at for it. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "core/sample.h"
#include "host/host.h"
#include "host/proc.h"

/* Whose stat `s` is: he himself, or of the other threads that live the one with the lowest number. -ESRCH: there is none (any more); other negative errno. */
pid_t process_speaker(const struct host *h, pid_t pid, const struct proc_stat *s);
/* Who speaks for the very process instead of `was`, which did not show something and may have ended since. -ESRCH: nobody, or `was` still does; other negative
 * errno. */
pid_t process_other_speaker(const struct host *h, const struct process_ref *p, pid_t was);
/* "proc/PID/NAME", or below its task/TID where that is another thread's. To be freed; NULL when memory ran out. */
char *speaker_path(pid_t pid, pid_t speaker, const char *name);
/* Opens a file for good: of this very process, its start time is looked at when it is open. The fd, or negative errno (-ESRCH: it has ended). `ret_speaker`
 * may be NULL. */
int process_open(const struct host *h, const struct process_ref *p, const char *name, pid_t *ret_speaker);
