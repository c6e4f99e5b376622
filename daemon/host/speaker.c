/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who speaks for a process, and opening the files that he shows. That a thread belongs to the process the path says: the kernel finds in
 * /proc/PID/task only those that do. */
#include "host/speaker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/util.h"
#include "host/io.h"

/* Another one may end as well while we look: so often it is tried. */
#define TRIES 4u

static bool is_dead(const struct proc_stat *s) {
        return s->state == 'Z' || s->state == 'X' || s->state == 'x';
}

struct search {
        bool ordered; /* procfs lists threads by number, a captured tree does not */
        pid_t speaker;
};

static int take_thread(pid_t pid, pid_t tid, const struct proc_stat *s, void *userdata) {
        struct search *search = userdata;
        if (tid == pid || is_dead(s) || (search->speaker > 0 && tid > search->speaker))
                return 0;
        search->speaker = tid;
        return search->ordered ? -ECANCELED : 0;
}

pid_t process_speaker(const struct host *h, pid_t pid, const struct proc_stat *s) {
        struct search search = { .ordered = h->live };
        if (!is_dead(s))
                return pid;
        if (proc_stat_is_dead(s))
                return -ESRCH;
        _cleanup_(close_fdp) int fd = open_below(h->root_fd, "proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        int r = fd < 0 ? fd : proc_for_each_thread(fd, pid, take_thread, &search);
        return search.speaker > 0 ? search.speaker : r == 0 || host_vanished(r) ? -ESRCH : r;
}

/* Who does now: of this very process, or -ESRCH. */
static pid_t speaker_of(const struct host *h, const struct process_ref *p) {
        char path[32];
        struct proc_stat st;
        (void) snprintf(path, sizeof path, "proc/%d/stat", (int) p->pid);
        int r = proc_stat_read(h->root_fd, path, &st);
        if (r < 0)
                return r;
        return st.start_ticks == p->start_ticks ? process_speaker(h, p->pid, &st) : -ESRCH;
}

pid_t process_other_speaker(const struct host *h, const struct process_ref *p, pid_t was) {
        pid_t now = speaker_of(h, p);
        return now == was ? -ESRCH : now;
}

char *speaker_path(pid_t pid, pid_t speaker, const char *name) {
        return speaker == pid ? format_string("proc/%d/%s", (int) pid, name)
                              : format_string("proc/%d/task/%d/%s", (int) pid, (int) speaker, name);
}

/* Opens it as `speaker` shows it, and looks who speaks then: another one, and it is to be opened again. */
static int try_open(const struct host *h, const struct process_ref *p, const char *name, pid_t *speaker) {
        _cleanup_free_ char *path = speaker_path(p->pid, *speaker, name);
        if (!path)
                return -ENOMEM;
        int fd = open_file_at(h->root_fd, path);
        pid_t r = speaker_of(h, p);
        if (r == *speaker)
                return fd;
        if (fd >= 0)
                (void) close(fd);
        if (r < 0)
                return r;
        *speaker = r;
        return -EAGAIN;
}

int process_open(const struct host *h, const struct process_ref *p, const char *name, pid_t *ret_speaker) {
        pid_t speaker = p->pid;
        int fd = -EAGAIN;
        for (unsigned i = 0; i < TRIES && fd == -EAGAIN; i++)
                fd = try_open(h, p, name, &speaker);
        if (fd >= 0 && ret_speaker)
                *ret_speaker = speaker;
        return fd == -EAGAIN ? -ESRCH : fd;
}
