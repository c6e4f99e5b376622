/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The simulated machine's processes and their pages; move_pages(2) after the kernel's do_pages_move(). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "act/simulated-internal.h"
#include "core/util.h"

uint64_t sim_page_bytes(const struct sim_mapping *m) {
        return m->m.page_bytes ? m->m.page_bytes : SIMULATED_PAGE_BYTES;
}

struct sim_process *sim_find_process(const struct simulated *s, pid_t pid) {
        struct sim_process *p;
        LIST_FOREACH(p, &s->processes, entry)
        if (p->pid == pid && !p->ended)
                return p;
        return NULL;
}

static struct sim_mapping *find_mapping(const struct sim_process *p, uint64_t address) {
        struct sim_mapping *m;
        LIST_FOREACH(m, &p->mappings, entry)
        if (address >= m->m.start && address < m->m.start + m->m.n_pages * sim_page_bytes(m))
                return m;
        return NULL;
}

static struct simulated_page *find_page(const struct sim_process *p, uint64_t address, struct sim_mapping **ret_mapping) {
        struct sim_mapping *m = find_mapping(p, address);
        if (ret_mapping)
                *ret_mapping = m;
        return m ? &m->pages[(address - m->m.start) / sim_page_bytes(m)] : NULL;
}

struct simulated_page *simulated_page(struct simulated *s, pid_t pid, uint64_t address) {
        struct sim_process *p = sim_find_process(s, pid);
        return p ? find_page(p, address, NULL) : NULL;
}

/* The pages that move together with this one: itself, or the whole transparent huge page. */
static struct simulated_page *folio_of(struct sim_mapping *m, struct simulated_page *page, size_t *ret_n) {
        *ret_n = 1;
        if (!page->thp)
                return page;
        size_t misaligned = m->m.start / SIMULATED_PAGE_BYTES % SIMULATED_HUGE_PAGES;
        size_t i = (size_t) (page - m->pages);
        *ret_n = SIMULATED_HUGE_PAGES;
        return &m->pages[(i + misaligned) / SIMULATED_HUGE_PAGES * SIMULATED_HUGE_PAGES - misaligned];
}

struct batch {
        struct simulated_page **pages; /* queued, one per address */
        struct sim_mapping **mappings;
        size_t n, first; /* first: index of the batch's first address */
        int target;
        bool all;
};

/* Moves what is queued. 0, the number that stayed, or -ENOMEM. */
static long flush(struct simulated *s, struct batch *b, int *status) {
        long stayed = 0;
        for (size_t i = 0; i < b->n; i++) {
                size_t n;
                struct simulated_page *folio = folio_of(b->mappings[i], b->pages[i], &n);
                uint64_t need = n * sim_page_bytes(b->mappings[i]) / SIMULATED_PAGE_BYTES;
                if (folio->pinned)
                        stayed++;
                else if (s->free_pages[b->target] < need)
                        return -ENOMEM;
                else {
                        if (folio->bounces)
                                continue;
                        s->free_pages[b->target] -= need;
                        s->free_pages[folio->node] += need;
                        for (size_t k = 0; k < n; k++)
                                folio[k].node = (int16_t) b->target;
                }
        }
        if (stayed == 0)
                for (size_t i = 0; i < b->n; i++)
                        status[b->first + i] = b->target;
        b->n = 0;
        return stayed;
}

static bool is_queued(const struct batch *b, const struct simulated_page *folio, struct sim_mapping *m) {
        for (size_t i = 0; i < b->n; i++) {
                size_t n;
                if (b->mappings[i] == m && folio_of(m, b->pages[i], &n) == folio)
                        return true;
        }
        return false;
}

/* Of a page that is not there. */
static int absent_status(const struct simulated *s) {
        return s->knobs.absent_is_fault ? -EFAULT : -ENOENT;
}

/* 1: queue it; otherwise the status. `*ret_home`: it is on its target already. */
static int look_at(const struct simulated *s, struct batch *b, struct sim_mapping *m, struct simulated_page *page, int target) {
        if (!m)
                return -EFAULT;
        size_t n;
        struct simulated_page *folio = folio_of(m, page, &n);
        if (page->node < 0)
                return absent_status(s);
        if (page->node == target)
                return 0;
        if (page->shared && !b->all)
                return -EACCES;
        if (page->busy > 0) {
                page->busy--;
                return -EBUSY;
        }
        if (page->thp && is_queued(b, folio, m))
                return -EBUSY; /* isolated already */
        return 1;
}

static long move(struct simulated *s, const struct sim_process *p, size_t n, void *const *addresses, const int *nodes, bool all,
                 int *status) {
        _cleanup_free_ struct simulated_page **pages = calloc(n, sizeof(struct simulated_page *));
        _cleanup_free_ struct sim_mapping **mappings = calloc(n, sizeof(struct sim_mapping *));
        struct batch b = { .pages = pages, .mappings = mappings, .all = all };
        if (!pages || !mappings)
                return -ENOMEM;

        bool may_be_forbidden = s->knobs.forbidden_pid == 0 || s->knobs.forbidden_pid == p->pid;
        for (size_t i = 0; i < n; i++) {
                if (may_be_forbidden && node_set_has(&s->knobs.forbidden, (unsigned) nodes[i]))
                        return -EACCES;
                struct sim_mapping *m;
                struct simulated_page *page = find_page(p, (uint64_t) (uintptr_t) addresses[i], &m);
                if (nodes[i] < 0 || (unsigned) nodes[i] >= s->topology->n_ids)
                        return -ENODEV;
                if (b.n > 0 && nodes[i] != b.target) {
                        long r = flush(s, &b, status);
                        if (r != 0)
                                return r < 0 ? r : r + (long) (n - i);
                }
                if (b.n == 0) {
                        b.first = i;
                        b.target = nodes[i];
                }
                int r = look_at(s, &b, m, page, nodes[i]);
                if (r == 1) {
                        b.mappings[b.n] = m;
                        b.pages[b.n++] = page;
                        continue;
                }
                if (r == 0)
                        s->counts.moved_home_pages++;
                status[i] = r == 0 ? page->node : r;
                if (b.n > 0) {
                        long k = flush(s, &b, status);
                        if (k != 0)
                                return k < 0 ? k : k + (long) (n - i - 1);
                }
        }
        return b.n > 0 ? flush(s, &b, status) : 0;
}

long sim_move_pages(void *context, pid_t pid, size_t n, void *const *addresses, const int *nodes, bool all, int *status) {
        struct simulated *s = context;
        if (nodes && s->knobs.on_move)
                s->knobs.on_move(s->knobs.on_move_data);
        const struct sim_process *p = sim_find_process(s, pid);
        s->counts.largest_call = MAX2(s->counts.largest_call, (uint64_t) n);
        if (!nodes) {
                s->counts.ask_calls++;
                s->counts.ask_pages += n;
                if (s->knobs.fail_ask < 0)
                        return s->knobs.fail_ask;
                if (!p)
                        return -ESRCH;
                for (size_t i = 0; i < n; i++) {
                        const struct simulated_page *page = find_page(p, (uint64_t) (uintptr_t) addresses[i], NULL);
                        status[i] = !page ? -EFAULT : page->node < 0 ? absent_status(s) : page->node;
                }
                return 0;
        }
        s->counts.move_calls++;
        s->counts.move_pages += n;
        if (s->knobs.fail_move < 0)
                return s->knobs.fail_move;
        return p ? move(s, p, n, addresses, nodes, all, status) : -ESRCH;
}

/* As the kernel does: neighbours of one kind are one stretch, also across mappings; a full answer ends the walk. */
long sim_scan_pages(void *context, pid_t pid, int pagemap_fd, uint64_t start, uint64_t end, struct page_stretch *ret,
                    size_t n_max, uint64_t *ret_end) {
        struct simulated *s = context;
        const struct sim_process *p = sim_find_process(s, pid);
        const struct sim_mapping *m;
        size_t n = 0;
        s->counts.scan_calls++;
        if (!s->knobs.scans)
                return -ENOTTY;
        if (!p)
                return -ESRCH;
        LIST_FOREACH(m, &p->mappings, entry)
        for (size_t i = 0; i < m->m.n_pages; i++) {
                uint64_t at = m->m.start + i * sim_page_bytes(m), to = at + sim_page_bytes(m);
                bool huge = m->m.page_bytes > 0 || m->pages[i].thp;
                if (at < start || at >= end || m->pages[i].node < 0)
                        continue;
                if (n > 0 && ret[n - 1].end == at && ret[n - 1].huge == huge) {
                        ret[n - 1].end = to;
                        continue;
                }
                if (n == n_max) {
                        *ret_end = ret[n - 1].end;
                        return (long) n;
                }
                ret[n++] = (struct page_stretch) { at, to, huge };
        }
        *ret_end = end;
        return (long) n;
}

void simulated_set_free_pages(struct simulated *s, unsigned node, uint64_t pages) {
        s->free_pages[node] = pages;
}

uint64_t simulated_free_pages(const struct simulated *s, unsigned node) {
        return s->free_pages[node];
}

uint64_t simulated_pages_on(const struct simulated *s, pid_t pid, unsigned node) {
        const struct sim_process *p = sim_find_process(s, pid);
        const struct sim_mapping *m;
        uint64_t sum = 0;
        if (!p)
                return 0;
        LIST_FOREACH(m, &p->mappings, entry)
        for (size_t i = 0; i < m->m.n_pages; i++)
                if (m->pages[i].node == (int) node)
                        sum += sim_page_bytes(m) / SIMULATED_PAGE_BYTES;
        return sum;
}

int simulated_add_process(struct simulated *s, pid_t pid, const char *cgroup) {
        struct sim_process *p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        p->pid = pid;
        p->start_ticks = (uint64_t) pid + 1000;
        p->cgroup = strdup(cgroup);
        LIST_INIT(&p->mappings);
        LIST_INSERT_HEAD(&s->processes, p, entry);
        return p->cgroup ? 0 : -ENOMEM;
}

void simulated_end_process(struct simulated *s, pid_t pid) {
        struct sim_process *p = sim_find_process(s, pid);
        if (p)
                p->ended = true;
}

int simulated_set_process(struct simulated *s, pid_t pid, const char *cgroup, uint64_t start_ticks) {
        struct sim_process *p = sim_find_process(s, pid);
        char *copy = p ? strdup(cgroup) : NULL;
        if (!copy)
                return p ? -ENOMEM : -ESRCH;
        free(p->cgroup);
        p->cgroup = copy;
        p->start_ticks = start_ticks;
        return 0;
}

/* In order of address. */
static void insert_mapping(struct sim_process *p, struct sim_mapping *m) {
        struct sim_mapping *last = NULL, *other;
        LIST_FOREACH(other, &p->mappings, entry)
        if (other->m.start < m->m.start)
                last = other;
        if (last)
                LIST_INSERT_AFTER(last, m, entry);
        else
                LIST_INSERT_HEAD(&p->mappings, m, entry);
}

int simulated_add_mapping(struct simulated *s, pid_t pid, const struct simulated_mapping *mapping) {
        struct sim_process *p = sim_find_process(s, pid);
        if (!p)
                return -ESRCH;
        struct sim_mapping *m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;
        m->m = *mapping;
        m->pages = calloc(mapping->n_pages, sizeof(*m->pages));
        if (!m->pages) {
                free(m);
                return -ENOMEM;
        }
        for (size_t i = 0; i < mapping->n_pages; i++) {
                size_t page = mapping->start / SIMULATED_PAGE_BYTES + i,
                       head = page / SIMULATED_HUGE_PAGES * SIMULATED_HUGE_PAGES;
                bool whole = head >= mapping->start / SIMULATED_PAGE_BYTES &&
                             head + SIMULATED_HUGE_PAGES <= mapping->start / SIMULATED_PAGE_BYTES + mapping->n_pages;
                m->pages[i] = (struct simulated_page) { .node = (int16_t) mapping->node, .thp = mapping->thp && whole };
        }
        insert_mapping(p, m);
        return 0;
}

int simulated_share_mapping(struct simulated *s, pid_t pid, uint64_t start, pid_t other) {
        const struct sim_process *p = sim_find_process(s, pid);
        struct sim_process *to = sim_find_process(s, other);
        struct sim_mapping *from = p ? find_mapping(p, start) : NULL;
        if (!p || !to)
                return -ESRCH;
        if (!from)
                return -ENOENT;
        struct sim_mapping *m = malloc(sizeof(*m));
        if (!m)
                return -ENOMEM;
        *m = *from;
        m->borrowed = true;
        insert_mapping(to, m);
        return 0;
}

void sim_free_processes(struct simulated *s) {
        struct sim_process *p;
        struct sim_mapping *m;
        while ((p = LIST_FIRST(&s->processes))) {
                LIST_REMOVE(p, entry);
                while ((m = LIST_FIRST(&p->mappings))) {
                        LIST_REMOVE(m, entry);
                        if (!m->borrowed)
                                free(m->pages);
                        free(m);
                }
                free(p->cgroup);
                free(p);
        }
}
