/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keeping the record in memory, sorted by cgroup; and what is noted in it. On disk: record-file.c. */
#include "act/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "act/cpuset.h"
#include "act/record-file.h"
#include "act/record-json.h"
#include "core/util.h"

/* In memory */

static struct record_entry *entry_free(struct record_entry *e) {
        free(e->cgroup);
        free(e->unit);
        free(e);
        return NULL;
}

struct record *record_free(struct record *r) {
        if (!r)
                return NULL;
        for (size_t i = 0; i < r->n_entries; i++)
                entry_free(r->entries[i]);
        free(r->entries);
        free(r->path);
        free(r);
        return NULL;
}

int record_open(const char *path, struct record **ret) {
        struct record *r = calloc(1, sizeof(*r));
        if (!r)
                return -ENOMEM;
        r->few = RECORD_FEW;
        int k = 0;
        if (path) {
                r->path = strdup(path);
                k = r->path ? record_read(r) : -ENOMEM;
        }
        if (k < 0 && k != -ENOENT) {
                record_free(r);
                return k;
        }
        *ret = r;
        return 0;
}

/* The index of the first entry whose cgroup is not less. */
static size_t lower_bound(const struct record *r, const char *cgroup) {
        return FIRST_NOT_BEFORE(i, r->n_entries, strcmp(r->entries[i]->cgroup, cgroup) < 0);
}

struct record_entry *record_find(const struct record *r, const char *cgroup) {
        size_t i = lower_bound(r, cgroup);
        return i < r->n_entries && strcmp(r->entries[i]->cgroup, cgroup) == 0 ? r->entries[i] : NULL;
}

/* There is room. */
static void put_in(struct record *r, struct record_entry *e) {
        size_t i = lower_bound(r, e->cgroup);
        memmove(&r->entries[i + 1], &r->entries[i], (r->n_entries - i) * sizeof(void *));
        r->entries[i] = e;
        r->n_entries++;
}

static void take_out(struct record *r, const struct record_entry *e) {
        size_t i = lower_bound(r, e->cgroup);
        r->n_entries--;
        memmove(&r->entries[i], &r->entries[i + 1], (r->n_entries - i) * sizeof(void *));
}

int record_insert(struct record *r, char *cgroup, char *unit, struct record_entry **ret) {
        if (record_find(r, cgroup))
                return -EEXIST;
        int k = array_reserve(&r->entries, &r->capacity, r->n_entries + 1, sizeof(void *));
        struct record_entry *e = k < 0 ? NULL : calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        e->cgroup = cgroup;
        e->unit = unit;
        put_in(r, e);
        *ret = e;
        return 0;
}

void record_remove(struct record *r, struct record_entry *e) {
        take_out(r, e);
        entry_free(e);
}

int record_settle(struct record *r) {
        /* Also what a crash left unfinished at the end. */
        return r->n_lines > 0 || (r->file_bytes > 0 && !r->can_append) ? record_write(r) : 0;
}

/* To disk, once it is so in memory. */

/* What says `of` as a line, to be freed; NULL when memory ran out. */
typedef char *(*line_maker)(const void *of);

static int save_line(struct record *r, line_maker line_of, const void *of) {
        _cleanup_free_ char *line = line_of(of);
        return line ? record_append(r, line) : -ENOMEM;
}

/* As a line, or all of it; where that fails, the other way round. */
static int save(struct record *r, line_maker line_of, const void *of) {
        bool as_line = record_takes_line(r);
        int k = as_line ? save_line(r, line_of, of) : record_write(r);
        if (k < 0 && as_line)
                return record_write(r);
        return k < 0 && record_bears_line(r) ? save_line(r, line_of, of) : k;
}

static char *entry_line(const void *entry) {
        return record_entry_line(entry);
}

static char *forget_line(const void *cgroup) {
        return record_forget_line(cgroup);
}

static char *balancing_line(const void *record) {
        return record_balancing_line(record);
}

static int save_entry(struct record *r, const struct record_entry *e) {
        return save(r, entry_line, e);
}

static int save_forgotten(struct record *r, const char *cgroup) {
        return save(r, forget_line, cgroup);
}

static int save_balancing(struct record *r) {
        return save(r, balancing_line, r);
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
                        return -EFBIG;
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
        int k = save_entry(r, e);
        if (k < 0 && is_new)
                record_remove(r, e);
        else if (k < 0)
                *e = was;
        return k;
}

int record_forget(struct record *r, const char *cgroup) {
        struct record_entry *e = record_find(r, cgroup);
        if (!e)
                return -ENOENT;
        take_out(r, e);
        int k = save_forgotten(r, cgroup);
        if (k < 0)
                put_in(r, e);
        else
                entry_free(e);
        return k;
}

int record_take_back(struct record *r, const char *cgroup, const struct record_entry *was) {
        struct record_entry *e = record_find(r, cgroup);
        if (!e || !was)
                return record_forget(r, cgroup);
        struct record_entry noted = *e;
        *e = *was;
        e->cgroup = noted.cgroup;
        e->unit = noted.unit;
        int k = save_entry(r, e);
        if (k < 0)
                *e = noted;
        return k;
}

int record_before_balancing(struct record *r, unsigned before, unsigned ours) {
        bool was = r->balancing_changed;
        unsigned former = r->balancing_before, former_ours = r->balancing_ours;
        r->balancing_changed = true;
        r->balancing_before = was ? former : before;
        r->balancing_ours = ours;
        int k = save_balancing(r);
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
        int k = save_balancing(r);
        if (k < 0)
                r->balancing_changed = was;
        return k;
}
