/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How many processes of a service, and of its companions, map the same thing: a hash table, open addressing, at most half full. The kernel tells how often a page is
 * mapped, not by whom; where that is no more than these processes account for, nobody else is taken to map it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "host/io.h"
#include "host/maps.h"
#include "host/proc.h"

#define N_SLOTS (2 * MAPPERS_MAX) /* a power of two */
/* A process can choose its addresses so that all of them meet in one place, and fork: what is not found within so many slots is not kept. */
#define PROBES_MAX 256u

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
        return (struct mapped){ .device = e->device, .inode = e->inode, .address = e->inode == 0 ? e->start : 0 };
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

/* The descriptor first, then the start time: it is that process's for good. `cgroup`: NULL, or where it must be. */
static void read_process(struct mappers *m, const struct host *h, const struct process_ref *p, const char *cgroup) {
        _cleanup_(close_fdp) int fd = maps_open(h, p->pid, false);
        char path[48];
        struct proc_stat st;
        if (fd < 0 || (cgroup && host_process_is_in(h, p->pid, cgroup) != 1))
                return;
        (void) snprintf(path, sizeof path, "proc/%d/stat", (int) p->pid);
        if (proc_stat_read(h->root_fd, path, &st) < 0 || st.start_ticks != p->start_ticks)
                return;
        /* One that ends meanwhile maps nothing any more; to count too few errs on the side of leaving pages alone. */
        (void) maps_read(fd, take_entry, m);
}

static void read_companions(struct mappers *m, const struct host *h, const struct companions *companions, size_t first,
                            atomic_size_t *reading) {
        m->files_only = true;
        m->process = first;
        for (size_t i = 0; i < companions->n_items; i++) {
                const struct companion *c = &companions->items[i];
                const char *cgroup = strncmp(c->cgroup, "pid:", 4) == 0 ? NULL : c->cgroup;
                for (size_t k = 0; k < c->n_processes; k++, m->process++) {
                        if (reading)
                                atomic_store(reading, m->process + 1);
                        read_process(m, h, &c->processes[k], cgroup);
                }
        }
}

int mappers_read(const struct host *h, const struct process_ref *processes, size_t n_processes,
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
        if (companions)
                read_companions(m, h, companions, n_processes, reading);
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
