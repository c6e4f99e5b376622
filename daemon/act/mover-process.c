/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which process: whether it is still the one that was meant, and still in its cgroup; and who speaks for it. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "act/mover-internal.h"
#include "core/util.h"
#include "host/proc.h"
#include "host/speaker.h"

static int ended(int r) {
        return host_vanished(r) ? -ESRCH : r;
}

/* Whoever speaks for it now; where another than the first thread does, he is whose end must be noticed: his cgroup is kept open. 1, or negative errno. */
static int find_speaker(struct mover *m, const struct process_ref *p, const struct proc_stat *stat) {
        m->speaker = process_speaker(m->host, p->pid, stat);
        if (m->speaker < 0)
                return m->speaker;
        if (m->speaker == p->pid || m->cgroup_fd < 0)
                return 1;
        close(m->cgroup_fd);
        m->cgroup_fd = process_open(m->host, p, "cgroup", &m->speaker);
        return m->cgroup_fd < 0 ? m->cgroup_fd : 1;
}

/* The same without what is kept open. */
static int check_anew(struct mover *m, const struct process_ref *p) {
        struct proc_stat stat;
        char path[64];
        int member = m->cgroup ? host_process_is_in(m->host, p->pid, m->cgroup) : 1;
        if (member < 0)
                return member;
        /* The start time last: if it still is the same process now, it was when the cgroup was read, and opened. */
        (void) snprintf(path, sizeof(path), "proc/%d/stat", p->pid);
        int r = proc_stat_read(m->host->root_fd, path, &stat);
        if (r < 0)
                return r;
        if (stat.start_ticks != p->start_ticks)
                return -ESRCH;
        r = find_speaker(m, p, &stat);
        return r < 0 ? r : member;
}

int mover_check_process(struct mover *m, const struct process_ref *p) {
        if (m->cgroup_fd >= 0) { /* of this process and no other; once it is a zombie, move_pages() says so */
                int r = host_process_is_still_in(m->host, m->cgroup_fd, m->cgroup);
                if (r != -EFBIG && (r >= 0 || m->speaker == p->pid))
                        return ended(r);
                if (r < 0 && r != -EFBIG) { /* a thread that spoke for it has ended: another one may */
                        close(m->cgroup_fd);
                        m->cgroup_fd = -EBADF;
                }
        }
        if (m->cgroup && m->cgroup_fd < 0)
                m->cgroup_fd = host_process_open_cgroup(m->host, p->pid);
        return ended(check_anew(m, p));
}

bool mover_other_speaker(struct mover *m) {
        const struct process_ref *p = &m->processes[m->current];
        const pid_t was = m->speaker;
        if (process_other_speaker(m->host, p, was) < 0)
                return false;
        if (m->cgroup_fd >= 0)
                close(m->cgroup_fd);
        m->cgroup_fd = m->cgroup ? host_process_open_cgroup(m->host, p->pid) : -EBADF;
        return check_anew(m, p) > 0 && m->speaker != was;
}
