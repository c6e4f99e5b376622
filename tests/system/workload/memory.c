/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The workload's memory: mapped, populated where it is told to, with policies and pins by raw system calls.
 */

#define _GNU_SOURCE

#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/mempolicy.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "workload.h"

#define NODES_MAX     1024U
#define BITS_PER_LONG (8 * sizeof(unsigned long))

typedef struct NodeMask {
        unsigned long bits[NODES_MAX / BITS_PER_LONG];
} NodeMask;

static void node_mask_add(unsigned node, void *mask) {
        ((NodeMask *) mask)->bits[node / BITS_PER_LONG] |= 1UL << (node % BITS_PER_LONG);
}

static void cpu_set_add(unsigned cpu, void *set) {
        CPU_SET(cpu, (cpu_set_t *) set);
}

/* maxnode is one more than the kernel reads: it takes the number of bits plus one. */
static void bind_pages(char *start, size_t size, const NodeMask *nodes) {
        long r = nodes ? syscall(SYS_mbind, start, size, MPOL_BIND, nodes->bits, NODES_MAX + 1, 0)
                       : syscall(SYS_mbind, start, size, MPOL_DEFAULT, NULL, 0, 0);
        if (r < 0)
                die("mbind");
}

void set_task_policy(const char *text) {
        static const struct {
                const char *name;
                int mode;
        } modes[] = { { "bind:", MPOL_BIND }, { "prefer:", MPOL_PREFERRED }, { "interleave:", MPOL_INTERLEAVE } };
        NodeMask nodes = {};

        for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
                size_t length = strlen(modes[i].name);

                if (strncmp(text, modes[i].name, length) != 0)
                        continue;
                for_each_in_list(text + length, NODES_MAX, node_mask_add, &nodes);
                if (syscall(SYS_set_mempolicy, modes[i].mode, nodes.bits, NODES_MAX + 1) < 0)
                        die("set_mempolicy");
                return;
        }
        fprintf(stderr, "workload: --task-policy '%s': expected bind:LIST, prefer:N or interleave:LIST\n", text);
        exit(2);
}

void run_on(const char *cpus) {
        cpu_set_t set;

        CPU_ZERO(&set);
        for_each_in_list(cpus, CPU_SETSIZE, cpu_set_add, &set);
        if (sched_setaffinity(0, sizeof(set), &set) < 0)
                die("sched_setaffinity");
}

/* A store and not an increment: reading first would map the huge zero page, which a write then splits for good. */
void touch(volatile char *start, size_t size) {
        const size_t page = (size_t) sysconf(_SC_PAGESIZE);

        for (size_t i = 0; i < size; i += page)
                start[i] = 1;
}

/* Maps size bytes at a 2 MiB boundary, so that every transparent huge page that fits can be one, and between guards, so
 * that the kernel doesn't merge the mapping with a neighbour: it has a line of its own in numa_maps. */
char *map_region(const Options *o) {
        int flags = o->shm ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
        int fd = -1;

        if (o->kind == PAGE_KIND_HUGETLB && !o->shm)
                flags |= MAP_HUGETLB;
        if (o->shm) {
                fd = open(o->shm, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
                if (fd < 0 || ftruncate(fd, (off_t) o->size) < 0)
                        die(o->shm);
        }

        char *reserved = mmap(NULL, o->size + 3 * THP_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (reserved == MAP_FAILED)
                die("mmap");
        char *start = (char *) (((uintptr_t) reserved + 2 * THP_SIZE - 1) & ~(uintptr_t) (THP_SIZE - 1));
        start = mmap(start, o->size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
        if (start == MAP_FAILED)
                die("mmap");
        if (fd >= 0)
                close(fd);

        if (o->kind == PAGE_KIND_THP && madvise(start, o->size, MADV_HUGEPAGE) < 0)
                die("madvise");
        if (o->kind == PAGE_KIND_SMALL && madvise(start, o->size, MADV_NOHUGEPAGE) < 0)
                die("madvise");
        return start;
}

typedef struct Slices {
        char *next, *end;
        size_t size;
        unsigned count;
} Slices;

static void count_slice(unsigned node, void *slices) {
        (void) node;
        ((Slices *) slices)->count++;
}

static void populate_slice(unsigned node, void *userdata) {
        Slices *slices = userdata;
        NodeMask mask = {};
        size_t size = slices->size;

        if (--slices->count == 0)
                size = (size_t) (slices->end - slices->next); /* the last one takes the rest */
        node_mask_add(node, &mask);
        bind_pages(slices->next, size, &mask);
        touch(slices->next, size);
        slices->next += size;
}

void populate(char *start, const Options *o) {
        if (!o->slices) {
                touch(start, o->size);
                return;
        }

        Slices slices = { .next = start, .end = start + o->size };
        for_each_in_list(o->slices, NODES_MAX, count_slice, &slices);
        slices.size = o->size / slices.count & ~(THP_SIZE - 1); /* no huge page belongs to two */
        for_each_in_list(o->slices, NODES_MAX, populate_slice, &slices);
        if (!o->keep_policy)
                bind_pages(start, o->size, NULL);
}

/* Registered buffers hold a long-term reference, as vfio and RDMA do, and need no hardware. The ring stays open. */
void pin(const char *start, size_t pages) {
        struct io_uring_params params = {};
        struct iovec buffer = { .iov_base = (void *) (uintptr_t) start, .iov_len = pages * (size_t) sysconf(_SC_PAGESIZE) };

        int ring = (int) syscall(SYS_io_uring_setup, 1, &params);
        if (ring < 0)
                die("io_uring_setup");
        if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &buffer, 1) < 0)
                die("io_uring_register");
}
