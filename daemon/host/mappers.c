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
#include "host/proc.h"
#include "host/recorder.h"
#include "host/speaker.h"

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
        bool files_only;                /* of a companion: it is no fork of the service, so the same address says nothing */
        pid_t newcomers[NEWCOMERS_MAX]; /* who was looked at though not listed */
        size_t n_newcomers;
};

/* Tells who waits whose maps are read from now on. */
static void tell(struct maps_reading *reading, size_t number, const struct process_ref *newcomer) {
        if (!reading)
                return;
        atomic_store(&reading->newcomer, 0);
        atomic_store(&reading->number, number);
        if (!newcomer)
                return;
        atomic_store(&reading->newcomer_start_ticks, newcomer->start_ticks);
        atomic_store(&reading->newcomer, newcomer->pid);
}

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

static int read_start(const struct host *h, pid_t pid, uint64_t *ret) {
        char path[48];
        struct proc_stat st;
        (void) snprintf(path, sizeof path, "proc/%d/stat", (int) pid);
        int r = proc_stat_read(h->root_fd, path, &st);
        if (r >= 0)
                *ret = st.start_ticks;
        return r;
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

/* Who is in the service's cgroup by now (not in those below it), and whom we know of. */
struct attendance {
        char *text, *rest;
        pid_t *known; /* sorted */
        size_t n_known;
};

static void attendance_done(struct attendance *a) {
        free(a->text);
        free(a->known);
}

/* A captured machine has the list as it was then, if anybody asked for it; what lists the service's processes there is older. */
static int read_list(const struct host *h, const char *cgroup, char **ret) {
        size_t size;
        _cleanup_(close_fdp) int fd = strncmp(cgroup, "pid:", 4) == 0 ? -ENOENT : cgroup_open(h, cgroup);
        if (fd < 0)
                return fd;
        int r = h->live ? -ENOENT : read_file_at(fd, NEWCOMERS_FILE, CGROUP_PROCS_LIMIT, ret, &size);
        if (r == -ENOENT)
                r = read_file_at(fd, "cgroup.procs", CGROUP_PROCS_LIMIT, ret, &size);
        if (r >= 0)
                record_file(fd, NEWCOMERS_FILE, *ret, size);
        return r;
}

/* Into an empty one. 1; 0: there is nobody, as nothing can be read; or -ENOMEM. */
static int attend(const struct host *h, const struct mappers_of *of, struct attendance *ret) {
        if (!of->cgroup)
                return 0;
        int r = read_list(h, of->cgroup, &ret->text);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        ret->rest = ret->text;
        ret->known = calloc(of->n_processes + 1, sizeof *ret->known);
        if (!ret->known)
                return -ENOMEM;
        for (size_t i = 0; i < of->n_processes; i++)
                ret->known[ret->n_known++] = of->processes[i].pid;
        qsort(ret->known, ret->n_known, sizeof *ret->known, compare_pids);
        return 1;
}

/* The next one that was not listed; 0: there are no more. */
static pid_t next_newcomer(struct attendance *a) {
        const char *line;
        while ((line = next_line(&a->rest))) {
                uint64_t number;
                if (parse_u64(line, &number) < 0 || number == 0 || number > INT_MAX)
                        continue;
                pid_t pid = (pid_t) number;
                if (!bsearch(&pid, a->known, a->n_known, sizeof pid, compare_pids))
                        return pid;
        }
        return 0;
}

static bool is_aside(const struct mappers_of *of, const struct process_ref *p) {
        for (size_t i = 0; i < of->n_aside; i++)
                if (process_ref_equal(&of->aside[i], p))
                        return true;
        return false;
}

/* Services fork: between the list of processes and the reading of their maps, and all the time. */
static int read_newcomers(struct mappers *m, const struct host *h, const struct mappers_of *of) {
        _cleanup_(attendance_done) struct attendance a = { 0 };
        struct process_ref p;
        tell(of->reading, 0, NULL); /* who is there is asked of the kernel's list, not of a process */
        int r = attend(h, of, &a);
        while (r > 0 && m->n_newcomers < NEWCOMERS_MAX && (p.pid = next_newcomer(&a)) > 0) {
                m->newcomers[m->n_newcomers++] = p.pid;
                tell(of->reading, 0, NULL);
                if (read_start(h, p.pid, &p.start_ticks) < 0 || is_aside(of, &p))
                        continue;
                tell(of->reading, 0, &p);
                read_process(m, h, &p, of->cgroup);
                m->process++;
        }
        return MIN2(r, 0);
}

bool mappers_is_outdated(const struct mappers *m, const struct host *h, const struct mappers_of *of) {
        _cleanup_(attendance_done) struct attendance a = { 0 };
        pid_t pid = attend(h, of, &a) > 0 ? next_newcomer(&a) : 0;
        for (; pid > 0; pid = next_newcomer(&a)) {
                size_t i = 0;
                while (i < m->n_newcomers && m->newcomers[i] != pid)
                        i++;
                if (i == m->n_newcomers)
                        return true;
        }
        return false;
}

static void read_companions(struct mappers *m, const struct host *h, const struct mappers_of *of) {
        size_t number = of->n_processes + 1;
        m->files_only = true;
        for (size_t i = 0; i < of->companions->n_items; i++) {
                const struct companion *c = &of->companions->items[i];
                const char *cgroup = strncmp(c->cgroup, "pid:", 4) == 0 ? NULL : c->cgroup;
                for (size_t k = 0; k < c->n_processes; k++, m->process++) {
                        tell(of->reading, number++, NULL);
                        read_process(m, h, &c->processes[k], cgroup);
                }
        }
}

int mappers_read(const struct host *h, const struct mappers_of *of, struct mappers **ret) {
        struct mappers *m = calloc(1, sizeof *m);
        if (!m)
                return -ENOMEM;
        m->slots = calloc(N_SLOTS, sizeof *m->slots);
        if (!m->slots) {
                mappers_free(m);
                return -ENOMEM;
        }
        for (size_t i = 0; i < of->n_processes; i++, m->process++) {
                tell(of->reading, i + 1, NULL);
                read_process(m, h, &of->processes[i], NULL);
        }
        int r = read_newcomers(m, h, of);
        if (r < 0) {
                mappers_free(m);
                return r;
        }
        tell(of->reading, 0, NULL);
        if (of->companions)
                read_companions(m, h, of);
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

size_t mappers_n_read(const struct mappers *m) {
        return m->process;
}

size_t mappers_count(const struct mappers *m, const struct maps_entry *e) {
        struct mapped key = key_of(e), *slot = find_slot(m, &key);
        return slot ? slot->n : 0;
}
