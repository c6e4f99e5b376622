/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keeping the record: in memory sorted by cgroup, on disk replaced as a whole, so that at any moment one complete version is there. */
#include "act/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "act/cpuset.h"
#include "act/record-json.h"
#include "act/write-file.h"
#include "core/util.h"
#include "host/host.h"

/* In memory */

static void entry_done(struct record_entry *e) {
        free(e->cgroup);
        free(e->unit);
}

struct record *record_free(struct record *r) {
        if (!r)
                return NULL;
        for (size_t i = 0; i < r->n_entries; i++)
                entry_done(&r->entries[i]);
        free(r->entries);
        free(r->path);
        free(r);
        return NULL;
}

/* The index of the first entry whose cgroup is not less. */
static size_t lower_bound(const struct record *r, const char *cgroup) {
        return FIRST_NOT_BEFORE(i, r->n_entries, strcmp(r->entries[i].cgroup, cgroup) < 0);
}

struct record_entry *record_find(const struct record *r, const char *cgroup) {
        size_t i = lower_bound(r, cgroup);
        return i < r->n_entries && strcmp(r->entries[i].cgroup, cgroup) == 0 ? &r->entries[i] : NULL;
}

int record_insert(struct record *r, char *cgroup, char *unit, struct record_entry **ret) {
        size_t i = lower_bound(r, cgroup);
        if (i < r->n_entries && strcmp(r->entries[i].cgroup, cgroup) == 0)
                return -EEXIST;
        int k = array_reserve(&r->entries, &r->capacity, r->n_entries + 1, sizeof(*r->entries));
        if (k < 0)
                return k;
        memmove(&r->entries[i + 1], &r->entries[i], (r->n_entries - i) * sizeof(*r->entries));
        r->n_entries++;
        r->entries[i] = (struct record_entry) { 0 };
        r->entries[i].cgroup = cgroup;
        r->entries[i].unit = unit;
        *ret = &r->entries[i];
        return 0;
}

/* Takes the entry out, with its strings. */
static struct record_entry take_entry(struct record *r, size_t i) {
        struct record_entry e = r->entries[i];
        r->n_entries--;
        memmove(&r->entries[i], &r->entries[i + 1], (r->n_entries - i) * sizeof(*r->entries));
        return e;
}

/* On disk */

static int record_write(const struct record *r) {
        if (!r->path)
                return 0; /* in memory alone */
        _cleanup_free_ char *text = record_to_json(r);
        return text ? write_file_atomically(r->path, text) : -ENOMEM;
}

int record_open(const char *path, struct record **ret) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        struct record *r = calloc(1, sizeof(*r));
        if (!r)
                return -ENOMEM;
        if (!path) {
                *ret = r;
                return 0;
        }
        r->path = strdup(path);
        int k = r->path ? read_file_at(AT_FDCWD, path, RECORD_FILE_MAX_BYTES, &text, &size) : -ENOMEM;
        if (k >= 0)
                k = record_from_json(text, size, r);
        else if (k == -ENOENT)
                k = 0;
        if (file_is_damaged(k))
                k = set_file_aside(path);
        if (k < 0) {
                record_free(r);
                return k;
        }
        *ret = r;
        return 0;
}

/* What was, what is ours */

bool record_explains_cpus(const struct record_entry *e, const struct cpuset_value *configured) {
        return cpuset_cpus_equal(configured, &e->ours) || cpuset_cpus_equal(configured, &e->seen) ||
               cpuset_cpus_equal(configured, &e->before);
}

bool record_explains_mems(const struct record_entry *e, const struct cpuset_value *configured) {
        return cpuset_mems_equal(configured, &e->ours) || cpuset_mems_equal(configured, &e->seen) ||
               cpuset_mems_equal(configured, &e->before);
}

static void note_cpus(struct record_entry *e, const struct cpuset_state *now, const struct cpuset_value *wanted) {
        const struct cpuset_value *v = &now->configured;
        if (!e->changed_cpus || !record_explains_cpus(e, v)) {
                e->before.cpus_set = !cpuset_cpus_are_free(now);
                e->before.cpus = e->before.cpus_set ? v->cpus : (struct cpu_mask) { 0 };
        }
        e->changed_cpus = true;
        e->seen.cpus_set = v->cpus_set;
        e->seen.cpus = v->cpus;
        e->ours.cpus_set = wanted->cpus_set;
        e->ours.cpus = wanted->cpus;
}

static void note_mems(struct record_entry *e, const struct cpuset_state *now, const struct cpuset_value *wanted) {
        const struct cpuset_value *v = &now->configured;
        if (!e->changed_mems || !record_explains_mems(e, v)) {
                e->before.mems_set = !cpuset_mems_are_free(now);
                e->before.mems = e->before.mems_set ? v->mems : (struct node_set) { 0 };
        }
        e->changed_mems = true;
        e->seen.mems_set = v->mems_set;
        e->seen.mems = v->mems;
        e->ours.mems_set = wanted->mems_set;
        e->ours.mems = wanted->mems;
}

int record_before_change(struct record *r, const struct target *t, const struct cpuset_state *now,
                         const struct cpuset_change *c) {
        struct record_entry *e = record_find(r, t->cgroup), was;
        bool is_new = !e;

        if (!c->change_cpus && !c->change_mems)
                return -EINVAL;
        if (is_new) {
                if (r->n_entries >= RECORD_ENTRIES_MAX)
                        return -ENOSPC;
                char *cgroup = strdup(t->cgroup), *unit = strdup(t->unit ? t->unit : t->cgroup);
                int k = cgroup && unit ? record_insert(r, cgroup, unit, &e) : -ENOMEM;
                if (k < 0) {
                        free(cgroup);
                        free(unit);
                        return k;
                }
        }
        was = *e;
        e->owner = t->owner;
        if (c->change_cpus)
                note_cpus(e, now, &c->value);
        if (c->change_mems)
                note_mems(e, now, &c->value);
        int k = record_write(r);
        if (k < 0 && is_new) {
                struct record_entry taken = take_entry(r, (size_t) (e - r->entries));
                entry_done(&taken);
        } else if (k < 0)
                *e = was;
        return k;
}

int record_forget(struct record *r, const char *cgroup) {
        struct record_entry *e = record_find(r, cgroup);
        if (!e)
                return -ENOENT;
        size_t i = (size_t) (e - r->entries);
        struct record_entry taken = take_entry(r, i);
        int k = record_write(r);
        if (k >= 0) {
                entry_done(&taken);
                return 0;
        }
        memmove(&r->entries[i + 1], &r->entries[i], (r->n_entries - i) * sizeof(*r->entries));
        r->entries[i] = taken;
        r->n_entries++;
        return k;
}

int record_before_balancing(struct record *r, unsigned before, unsigned ours) {
        bool was = r->balancing_changed;
        unsigned former = r->balancing_before, former_ours = r->balancing_ours;
        r->balancing_changed = true;
        r->balancing_before = was ? former : before;
        r->balancing_ours = ours;
        int k = record_write(r);
        if (k < 0) {
                r->balancing_changed = was;
                r->balancing_before = former;
                r->balancing_ours = former_ours;
        }
        return k;
}

int record_forget_balancing(struct record *r) {
        bool was = r->balancing_changed;
        r->balancing_changed = false;
        int k = record_write(r);
        if (k < 0)
                r->balancing_changed = was;
        return k;
}
