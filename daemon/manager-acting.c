/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What changes need before they can be made: the lock, the record read under it, and the table of operations. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager.h"
#include "report/journal.h"

static int read_record(struct manager *m) {
        struct record *record;
        _cleanup_free_ char *path = format_string("%s/record.json", m->options.runtime_dir);
        if (!path)
                return -ENOMEM;
        int r = record_open(path, &record);
        if (r == -EACCES && manager_is_dry(m)) {
                log_warning(r, "%s is root's to read: what it set is shown as the administrator's", path);
                _cleanup_free_ char *none = format_string("%s.none", path); /* an empty one, which a dry run never writes */
                r = none ? record_open(none, &record) : -ENOMEM;
        }
        if (r == -EBADMSG) {
                log_error(r, "%s is damaged; it was kept as %s.bad. Cpusets changed by an earlier run cannot be restored from it",
                          path, path);
                r = record_open(path, &record);
        }
        if (r < 0)
                return log_error(r, "Cannot read %s: %s", path, strerror(-r));
        record_free(m->record);
        m->record = record;
        return 0;
}

/* The runtime directory and its lock: two daemons that change the same machine would record each other's changes as the administrator's. */
int manager_take_lock(struct manager *m) {
        if (m->lock_fd >= 0)
                return 0;
        _cleanup_free_ char *path = format_string("%s/lock", m->options.runtime_dir);
        if (!path)
                return -ENOMEM;
        if (mkdir(m->options.runtime_dir, 0755) < 0 && errno != EEXIST)
                return log_error(-errno, "Cannot make %s: %s", m->options.runtime_dir, strerror(errno));
        m->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (m->lock_fd < 0)
                return log_error(-errno, "Cannot open %s: %s", path, strerror(errno));
        int r = flock(m->lock_fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
        if (r < 0 && !m->lock_denied)
                log_error(r, r == -EWOULDBLOCK ? "Another numabalanced is running (it holds %s)" : "Cannot lock %s", path);
        /* What was read without the lock may be old: whoever held it wrote on. Nothing of ours is under way yet. */
        if (r >= 0 && m->record)
                r = read_record(m);
        if (r < 0) {
                close(m->lock_fd);
                m->lock_fd = -EBADF;
                return r;
        }
        m->lock_denied = false;
        return 0;
}

int manager_open_acting(struct manager *m) {
        int r = act_null_new(&m->env->act, &m->dry);
        if (r < 0)
                return r;
        m->have_dry = true;

        if (!manager_is_dry(m)) {
                r = manager_take_lock(m);
                if (r < 0)
                        return r;
        }
        return read_record(m);
}
