/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What changes need before they can be made: the lock, the record read under it, and the table of operations. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "act/cpuset.h"
#include "manager.h"
#include "report/journal.h"

static int read_record(struct manager *m) {
        struct record *record;
        if (!m->options.runtime_dir)
                return record_open(NULL, &m->record);
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
        if (m->lock_fd >= 0 || !m->options.runtime_dir)
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

static bool are_as_many(const struct service_sample *s, const struct cpu_mask *cpus) {
        return s->n_effective_cpus == 0 || s->n_effective_cpus == cpu_mask_count(cpus);
}

/* Our sets are whole nodes, so what the samples say is enough to tell that nothing happened; only where they differ the kernel is asked. */
static bool looks_ours(const struct manager *m, const struct service_sample *s, const struct record_entry *e) {
        struct node_set cpus = topology_nodes_of_cpus(m->topology, &e->ours.cpus);
        return (!e->changed_cpus || !e->ours.cpus_set ||
                (node_set_equal(&s->effective_cpu_nodes, &cpus) && are_as_many(s, &e->ours.cpus))) &&
               (!e->changed_mems || !e->ours.mems_set || node_set_equal(&s->effective_mems, &e->ours.mems));
}

/* Has somebody else set a side that we had set? */
static bool has_foreign_side(const struct record_entry *e, const struct cpuset_value *now) {
        return (e->changed_cpus && now->cpus_set && !record_explains_cpus(e, now)) ||
               (e->changed_mems && now->mems_set && !record_explains_mems(e, now));
}

void manager_find_foreign(struct manager *m, struct cycle *c, struct applied *applied) {
        const struct act *act = manager_act(m);
        for (size_t i = 0; i < m->record->n_entries; i++) {
                const struct record_entry *e = m->record->entries[i];
                struct service_note *n = manager_find_note(m, e->cgroup);
                ssize_t k = cycle_find(c, e->cgroup);
                /* While a change of ours is under way it is not told apart from one of somebody else's. */
                if (k < 0 || transition_find(m, e->cgroup) || (n && n->restoring))
                        continue;
                struct service_sample *s = &c->observation->services[k];
                const struct target t = { .cgroup = e->cgroup, .unit = e->unit, .owner = e->owner };
                struct cpuset_state state;
                bool doubted = n && n->doubted;
                if ((!doubted && looks_ours(m, s, e)) || act->ops->get_cpuset(act->context, &t, &state) < 0)
                        continue;
                if (doubted)
                        n->doubted = has_foreign_side(e, &state.configured);
                if (applied[i].cpus && state.configured.cpus_set && !record_explains_cpus(e, &state.configured)) {
                        applied[i].cpus = false;
                        s->admin_cpus = !s->whole_cpus;
                }
                if (applied[i].mems && state.configured.mems_set && !record_explains_mems(e, &state.configured)) {
                        applied[i].mems = false;
                        s->admin_mems = !s->whole_mems;
                }
        }
}

bool manager_is_foreign(const struct record_entry *e, const struct cpuset_state *now, const struct cpuset_change *c) {
        const struct cpuset_value *v = &now->configured;
        bool our_cpus = e && e->changed_cpus && e->ours.cpus_set && record_explains_cpus(e, v);
        bool our_mems = e && e->changed_mems && e->ours.mems_set && record_explains_mems(e, v);
        return (c->change_cpus && !our_cpus && !cpuset_cpus_are_free(now)) ||
               (c->change_mems && !our_mems && !cpuset_mems_are_free(now));
}
