/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What processes share, in a deep read: whether nobody but the service's own and their companions' map it, so that it may move. Who comes while all this is
 * read is a stranger at first; a mapping that only processes forked from each other can have in common waits until it is known who came. */
#include <string.h>

#include "core/util.h"
#include "host/deep.h"
#include "host/io.h"
#include "host/recorder.h"

/* So often who maps what is looked at again, at so many processes in all: a service with more does not come and go as a whole. */
#define LOOKS_AGAIN_MAX 8u
#define LOOKED_AT_MAX   512u
/* Mappings of one process that wait for that; of more the rest stays. */
#define PUT_OFF_MAX 256u

/* A copy of a mapping. */
struct put_off {
        struct maps_entry entry;
        struct numa_mapping mapping;
        uint64_t *pages_by_node;
        char *file;
};

static int take_entry(const struct maps_entry *e, void *userdata) {
        struct deep_read *r = userdata;
        int error = array_reserve(&r->entries, &r->entries_capacity, r->n_entries + 1, sizeof *r->entries);
        if (error == 0)
                r->entries[r->n_entries++] = *e;
        return error;
}

int deep_read_entries(struct deep_read *r, pid_t pid, pid_t speaker) {
        r->n_entries = r->next_entry = 0;
        if (!r->mappers)
                return 0;
        _cleanup_(close_fdp) int fd = maps_open(r->host, pid, speaker, false);
        int error = fd < 0 ? fd : maps_read(fd, take_entry, r);
        if (host_vanished(error) || (error >= 0 && r->n_entries == 0))
                return -ESRCH;
        return error == -ENOMEM ? error : 0;
}

/* What maps says of the mapping; both come in order of address. NULL: nothing, or maps was not read. */
static const struct maps_entry *find_entry(struct deep_read *r, const struct numa_mapping *m) {
        while (r->next_entry < r->n_entries && r->entries[r->next_entry].start < m->start)
                r->next_entry++;
        return r->next_entry < r->n_entries && r->entries[r->next_entry].start == m->start ? &r->entries[r->next_entry] : NULL;
}

/* What too many different files leave out is taken to be charged here. */
int deep_count_open(struct deep_read *r, const struct numa_mapping *m) {
        const struct maps_entry *e = m->is_file && !m->is_hugetlb ? find_entry(r, m) : NULL;
        int error = e && e->shared ? shared_files_add(&r->open, r->process, m) : 0;
        return error == -ENOSPC ? 0 : error;
}

static int add_movable(struct deep_read *r, const struct numa_mapping *m) {
        struct deep_sample *d = r->sample;
        if (m->is_file && m->mapmax > 1) {
                struct shared_files *shared = m->is_hugetlb ? &r->movable_hugetlb : &r->movable;
                int error = shared_files_add(shared, r->process, m);
                if (error != -ENOSPC)
                        return error;
        }
        deep_add_bytes(d->movable_by_node, m);
        if (m->is_hugetlb)
                deep_add_bytes(d->hugetlb_movable_by_node, m);
        return 0;
}

/* Private mappings of a file are a program's or a library's: whoever else maps them is not likely to be a fork. */
static bool may_be_of_forks(const struct maps_entry *e) {
        return e->shared || e->inode == 0;
}

static int put_off(struct deep_read *r, const struct numa_mapping *m, const struct maps_entry *e) {
        unsigned n_ids = r->sample->n_ids;
        if (!r->options.cgroup || r->n_put_off >= PUT_OFF_MAX)
                return 0;
        if (array_reserve(&r->put_off, &r->put_off_capacity, r->n_put_off + 1, sizeof *r->put_off) < 0)
                return -ENOMEM;
        struct put_off p = {
                .entry = *e,
                .mapping = *m,
                .pages_by_node = calloc((size_t) n_ids + 1, sizeof *p.pages_by_node),
                .file = calloc(m->file_length + 1, 1),
        };
        if (!p.pages_by_node || !p.file) {
                free(p.pages_by_node);
                free(p.file);
                return -ENOMEM;
        }
        memcpy(p.pages_by_node, m->pages_by_node, n_ids * sizeof *p.pages_by_node);
        if (m->file_length > 0)
                memcpy(p.file, m->file, m->file_length);
        p.mapping.pages_by_node = p.pages_by_node;
        p.mapping.file = m->file ? p.file : NULL;
        p.mapping.policy_text = NULL;
        r->put_off[r->n_put_off++] = p;
        return 0;
}

static void forget_put_off(struct deep_read *r) {
        for (; r->n_put_off > 0; r->n_put_off--) {
                free(r->put_off[r->n_put_off - 1].pages_by_node);
                free(r->put_off[r->n_put_off - 1].file);
        }
}

/* Does nobody but those who are known map it, as far as can be told? */
static bool is_own(const struct deep_read *r, const struct numa_mapping *m, const struct maps_entry *e) {
        return m->mapmax <= mappers_count(r->mappers, e);
}

int deep_count_movable(struct deep_read *r, const struct numa_mapping *m) {
        if (m->mapmax <= 1)
                return add_movable(r, m);
        const struct maps_entry *e = find_entry(r, m);
        if (!e)
                return 0;
        if (is_own(r, m, e))
                return add_movable(r, m);
        return may_be_of_forks(e) ? put_off(r, m, e) : 0;
}

/* With more processes than are read nobody knows who is new. */
static struct mappers_of mappers_of(const struct deep_read *r, const struct process_ref *processes, size_t n_processes) {
        const struct deep_options *o = &r->options;
        return (struct mappers_of) {
                .processes = processes,
                .n_processes = MIN2(n_processes, (size_t) DEEP_PROCESSES_MAX),
                .cgroup = n_processes > DEEP_PROCESSES_MAX ? NULL : o->cgroup,
                .aside = o->aside,
                .n_aside = o->n_aside,
                .companions = o->companions,
                .reading = o->reading,
        };
}

int deep_know_mappers(struct deep_read *r, const struct process_ref *processes, size_t n_processes) {
        const struct mappers_of of = mappers_of(r, processes, n_processes);
        return r->options.move_shared ? mappers_read(r->host, &of, &r->mappers) : 0;
}

/* Is another look worth its price? What a capture records it has once only, and so is looked at once. */
static bool may_look_again(const struct deep_read *r, const struct mappers_of *of) {
        return r->n_looks < LOOKS_AGAIN_MAX && r->n_looked_at + mappers_n_read(r->mappers) <= LOOKED_AT_MAX &&
               !recorder_in_use() && mappers_is_outdated(r->mappers, r->host, of);
}

int deep_look_again(struct deep_read *r, const struct process_ref *processes, size_t n_processes) {
        const struct mappers_of of = mappers_of(r, processes, n_processes);
        int error = 0;
        if (r->n_put_off == 0)
                return 0;
        if (may_look_again(r, &of)) {
                r->mappers = mappers_free(r->mappers);
                error = mappers_read(r->host, &of, &r->mappers);
                if (error < 0)
                        return error;
                r->n_looks++;
                r->n_looked_at += mappers_n_read(r->mappers);
                for (size_t i = 0; i < r->n_put_off && error == 0; i++)
                        if (is_own(r, &r->put_off[i].mapping, &r->put_off[i].entry))
                                error = add_movable(r, &r->put_off[i].mapping);
        }
        forget_put_off(r);
        return error;
}

void deep_shared_done(struct deep_read *r) {
        forget_put_off(r);
        free(r->put_off);
        mappers_free(r->mappers);
        free(r->entries);
}
