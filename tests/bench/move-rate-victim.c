/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes with memory of a known place and kind, which then do nothing: what is measured is moving, not waiting for the process. */

#include <linux/mempolicy.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "move-rate.h"

#define REGION          ((uint64_t) 0x100000000000)
#define SPARSE_BYTES    ((uint64_t) 1 << 40)
#define MAPPINGS        200000u
#define MAPPINGS_FILLED 10u /* every tenth */

const char *const layout_names[] = {
        [LAYOUT_SMALL] = "4 KiB pages",  [LAYOUT_THP] = "transparent huge pages",     [LAYOUT_HUGETLB] = "hugetlb",
        [LAYOUT_MIX] = "fragmented mix", [LAYOUT_SPARSE] = "1 TiB, hardly populated", [LAYOUT_MAPPINGS] = "200,000 mappings",
};

static void *at(uint64_t address) {
        return (void *) (uintptr_t) address; /* NOLINT(performance-no-int-to-ptr) */
}

/* What of a block of the mix there is: a huge page; every second page home; every third page missing; all small. */
static bool mix_has(size_t block, size_t page) {
        return block % 4 == 0 ? page == 0 : block % 4 != 2 || page % 3 != 0;
}

static bool mix_home(size_t block, size_t page) {
        return block % 4 == 1 && page % 2 == 1;
}

static bool add_piece(struct victim *v, uint64_t address, bool home, bool huge) {
        if ((v->n & (v->n - 1)) == 0) {
                size_t capacity = v->n ? v->n * 2 : 1;
                struct piece *pieces = realloc(v->pieces, capacity * sizeof(*pieces));
                v->pieces = pieces ? pieces : v->pieces;
                bool *is_huge = realloc(v->is_huge, capacity * sizeof(*is_huge));
                v->is_huge = is_huge ? is_huge : v->is_huge;
                if (!pieces || !is_huge)
                        return false;
        }
        v->pieces[v->n] = (struct piece) { address, home };
        v->is_huge[v->n++] = huge;
        return true;
}

static bool list_pieces(struct victim *v, enum layout layout, uint64_t bytes) {
        bool ok = true;
        switch (layout) {
        case LAYOUT_SPARSE:
                for (uint64_t i = 0; ok && i < bytes / SMALL_BYTES; i++)
                        ok = add_piece(v, REGION + i * (SPARSE_BYTES / (bytes / SMALL_BYTES)) / SMALL_BYTES * SMALL_BYTES, false,
                                       false);
                return ok;
        case LAYOUT_MAPPINGS:
                for (uint64_t i = 0; ok && i < MAPPINGS; i += MAPPINGS_FILLED)
                        ok = add_piece(v, REGION + i * SMALL_BYTES, false, false);
                return ok;
        case LAYOUT_MIX:
                for (uint64_t b = 0; b < bytes / HUGE_BYTES; b++)
                        for (uint64_t p = 0; ok && p < HUGE_BYTES / SMALL_BYTES; p++)
                                if (mix_has(b, p))
                                        ok = add_piece(v, REGION + b * HUGE_BYTES + p * SMALL_BYTES, mix_home(b, p), b % 4 == 0);
                return ok;
        default: {
                uint64_t step = layout == LAYOUT_SMALL ? SMALL_BYTES : HUGE_BYTES;
                for (uint64_t a = 0; ok && a < bytes; a += step)
                        ok = add_piece(v, REGION + a, false, step == HUGE_BYTES);
                return ok;
        }
        }
}

static uint64_t mapping_bytes(enum layout layout, uint64_t bytes) {
        return layout == LAYOUT_SPARSE ? SPARSE_BYTES : layout == LAYOUT_MAPPINGS ? (uint64_t) MAPPINGS * SMALL_BYTES : bytes;
}

/* In the child. Small pages first, so that they stay small where the mapping may have huge ones. */
static bool populate(const struct victim *v, enum layout layout, uint64_t bytes, int node) {
        unsigned long mask = 1UL << node;
        bool hugetlb = layout == LAYOUT_HUGETLB, thp = layout == LAYOUT_THP || layout == LAYOUT_MIX;
        uint64_t size = mapping_bytes(layout, bytes);
        if (syscall(SYS_set_mempolicy, MPOL_BIND, &mask, sizeof(mask) * 8) < 0)
                return false;
        if (mmap(at(REGION), size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED | (hugetlb ? MAP_HUGETLB : 0), -1, 0) == MAP_FAILED)
                return false;
        if (!hugetlb)
                (void) madvise(at(REGION), size, MADV_NOHUGEPAGE);
        for (unsigned huge = 0; huge < 2; huge++) {
                if (huge && thp)
                        (void) madvise(at(REGION), size, MADV_HUGEPAGE);
                for (size_t i = 0; i < v->n; i++)
                        if (v->is_huge[i] == (huge > 0))
                                *(volatile char *) at(v->pieces[i].address) = 1;
        }
        for (uint64_t i = 1; layout == LAYOUT_MAPPINGS && i < MAPPINGS; i += 2)
                if (mprotect(at(REGION + i * SMALL_BYTES), SMALL_BYTES, PROT_READ) < 0)
                        return false;
        return syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0UL) == 0;
}

/* Is what should be a huge page one? The second page of each is there though only the first was touched. */
static bool has_huge_pages(const struct victim *v) {
        for (size_t i = 0; i < v->n; i++) {
                void *second = at(v->pieces[i].address + SMALL_BYTES);
                int status = -1;
                if (v->is_huge[i] && (syscall(SYS_move_pages, v->pid, 1UL, &second, NULL, &status, 0) < 0 || status < 0))
                        return false;
        }
        return true;
}

bool victim_start(struct victim *v, enum layout layout, size_t mib, int from) {
        uint64_t bytes = (uint64_t) mib << 20;
        *v = (struct victim) { .pid = -1 };
        if (!list_pieces(v, layout, bytes)) {
                (void) fprintf(stderr, "move-rate: out of memory\n");
                return false;
        }
        v->pid = fork();
        if (v->pid == 0) {
                if (!populate(v, layout, bytes, from)) {
                        perror("move-rate: populating");
                        _exit(1);
                }
                (void) raise(SIGSTOP);
                _exit(0);
        }
        int status = 0;
        if (v->pid < 0 || waitpid(v->pid, &status, WUNTRACED) != v->pid || !WIFSTOPPED(status)) {
                (void) fprintf(stderr, "move-rate: %s cannot be had here\n", layout_names[layout]);
                return false;
        }
        if (!has_huge_pages(v)) {
                (void) fprintf(stderr, "move-rate: %s: the kernel gave no huge pages\n", layout_names[layout]);
                return false;
        }
        return true;
}

void victim_end(struct victim *v) {
        if (v->pid > 0) {
                (void) kill(v->pid, SIGKILL);
                (void) waitpid(v->pid, NULL, 0);
        }
        free(v->pieces);
        free(v->is_huge);
        *v = (struct victim) { .pid = -1 };
}

size_t victim_piece_pages(const struct victim *v, size_t i) {
        return v->is_huge[i] ? HUGE_BYTES / SMALL_BYTES : 1;
}
