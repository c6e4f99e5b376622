/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How many processes of a service, and of its companions, map the same thing: a hash table, open addressing, at most half full. The kernel tells how often a page is
 * mapped, not by whom; where that is no more than these processes account for, nobody else is taken to map it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "host/cgroup.h"
#include "host/io.h"
#include "host/maps.h"
#include "host/speaker.h"

#define N_SLOTS (2 * MAPPERS_MAX) /* a power of two */
/* A process can choose its addresses so that all of them meet in one place, and fork: what is not found within so many slots is not kept. */
#define PROBES_MAX 256u
/* So many processes that have come since are looked at; with more, what all of them map is left alone, as it was mapped by somebody unknown. */
#define NEWCOMERS_MAX 256u

struct mapped {
        uint64_t device, inode, address; /* address: where it is of no file */
        size_t n, last;                  /* processes, and the last one counted + 1; n 0: free */
};

struct mappers {
        struct mapped *slots;
        size_t n_used, process;
        bool files_only; /* of a companion: it is no fork of the service, so the same address says nothing */
};

static struct mapped key_of(const struct maps_entry *e) {
        return (struct mapped) { .device = e->device, .inode = e->inode, .address = e->inode == 0 ? e->start : 0 };
}

/* The finalizer of splitmix64, over all three. */
static size_t hash(const struct mapped *k) {
        uint64_t h = k->device * 0x9e3779b97f4a7c15ULL ^ k->inode;
        h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ULL + k->address;
        h = (h ^ h >> 27) * 0x94d049bb133111ebULL;
        return (size_t) ((h ^ h >> 31) % N_SLOTS);
}

/* The slot of a key, or the free one where it belongs. NULL: too many others are there. */
static struct mapped *find_slot(const struct mappers *m, const struct mapped *k) {
        size_t first = hash(k);
        for (size_t i = 0; i < PROBES_MAX; i++) {
                struct mapped *s = &m->slots[(first + i) % N_SLOTS];
                if (s->n == 0 || (s->device == k->device && s->inode == k->inode && s->address == k->address))
                        return s;
        }
        return NULL;
}

static int take_entry(const struct maps_entry *e, void *userdata) {
        struct mappers *m = userdata;
        struct mapped key = key_of(e), *slot;
        if (m->files_only && key.inode == 0)
                return 0;
        slot = find_slot(m, &key);
        if (!slot)
                return 0;
        if (slot->n == 0) {
                if (m->n_used >= MAPPERS_MAX)
                        return 0;
                m->n_used++;
                *slot = key;
        }
        if (slot->last == m->process + 1)
                return 0; /* again, by the same process */
        slot->last = m->process + 1;
        slot->n++;
        return 0;
}

/* `cgroup`: NULL, or where it must be. The start time last: if it is the same process now, it was when its cgroup was read. */
static void read_process(struct mappers *m, const struct host *h, const struct process_ref *p, const char *cgroup) {
        if (cgroup && host_process_is_in(h, p->pid, cgroup) != 1)
                return;
        _cleanup_(close_fdp) int fd = process_open(h, p, "maps", NULL);
        if (fd < 0)
                return;
        /* One that ends meanwhile maps nothing any more; to count too few errs on the side of leaving pages alone. */
        (void) maps_read(fd, take_entry, m);
}

static int compare_pids(const void *a, const void *b) {
        pid_t x = *(const pid_t *) a, y = *(const pid_t *) b;
        return (x > y) - (x < y);
}

/* Whoever is in the service's cgroup by now (not in those below it) and is not one of `known`, sorted. */
static void read_listed(struct mappers *m, const struct host *h, const char *cgroup, char *text, const pid_t *known,
                        size_t n_known) {
        char *rest = text, *line;
        for (size_t n = 0; n < NEWCOMERS_MAX && (line = next_line(&rest));) {
                uint64_t number;
                if (parse_u64(line, &number) < 0 || number == 0 || number > INT_MAX)
                        continue;
                pid_t pid = (pid_t) number;
                if (bsearch(&pid, known, n_known, sizeof pid, compare_pids))
                        continue;
                _cleanup_(close_fdp) int fd = maps_open(h, pid, pid, false);
                if (fd < 0 || host_process_is_in(h, pid, cgroup) != 1)
                        continue;
                (void) maps_read(fd, take_entry, m);
                m->process++;
                n++;
        }
}

/* Services fork: between the list of processes and the reading of their maps, and all the time. */
static int read_newcomers(struct mappers *m, const struct host *h, const char *cgroup, const struct process_ref *processes,
                          size_t n_processes) {
        _cleanup_free_ char *text = NULL;
        _cleanup_free_ pid_t *known = calloc(n_processes + 1, sizeof *known);
        if (!known)
                return -ENOMEM;
        for (size_t i = 0; i < n_processes; i++)
                known[i] = processes[i].pid;
        qsort(known, n_processes, sizeof *known, compare_pids);
        _cleanup_(close_fdp) int fd = cgroup_open(h, cgroup);
        int r = fd < 0 ? fd : read_file_at(fd, "cgroup.procs", CGROUP_PROCS_LIMIT, &text, NULL);
        if (r >= 0)
                read_listed(m, h, cgroup, text, known, n_processes);
        return r == -ENOMEM ? r : 0;
}

/* `first`: how many processes the service has; with so many newcomers beside them. */
static void read_companions(struct mappers *m, const struct host *h, const struct companions *companions, size_t first,
                            size_t n_newcomers, atomic_size_t *reading) {
        m->files_only = true;
        m->process = first + n_newcomers;
        for (size_t i = 0; i < companions->n_items; i++) {
                const struct companion *c = &companions->items[i];
                const char *cgroup = strncmp(c->cgroup, "pid:", 4) == 0 ? NULL : c->cgroup;
                for (size_t k = 0; k < c->n_processes; k++, m->process++) {
                        if (reading)
                                atomic_store(reading, m->process - n_newcomers + 1);
                        read_process(m, h, &c->processes[k], cgroup);
                }
        }
}

int mappers_read(const struct host *h, const char *cgroup, const struct process_ref *processes, size_t n_processes,
                 const struct companions *companions, atomic_size_t *reading, struct mappers **ret) {
        struct mappers *m = calloc(1, sizeof *m);
        if (!m)
                return -ENOMEM;
        m->slots = calloc(N_SLOTS, sizeof *m->slots);
        if (!m->slots) {
                mappers_free(m);
                return -ENOMEM;
        }
        for (size_t i = 0; i < n_processes; i++) {
                m->process = i;
                if (reading)
                        atomic_store(reading, i + 1);
                read_process(m, h, &processes[i], NULL);
        }
        size_t first = n_processes;
        if (cgroup) {
                m->process = n_processes;
                if (reading)
                        atomic_store(reading, (size_t) 0); /* whose, nobody has a number for */
                int r = read_newcomers(m, h, cgroup, processes, n_processes);
                if (r < 0) {
                        mappers_free(m);
                        return r;
                }
                first = m->process;
        }
        if (companions)
                read_companions(m, h, companions, n_processes, first - n_processes, reading);
        *ret = m;
        return 0;
}

struct mappers *mappers_free(struct mappers *m) {
        if (!m)
                return NULL;
        free(m->slots);
        free(m);
        return NULL;
}

size_t mappers_count(const struct mappers *m, const struct maps_entry *e) {
        struct mapped key = key_of(e), *slot = find_slot(m, &key);
        return slot ? slot->n : 0;
}
