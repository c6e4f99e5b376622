/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory maps of services that do nothing. Who does not run touches no page, and the kernel moves few behind its back: as long as a service has
 * used less CPU time than a clock tick since its map was read, with the same processes and the same bytes by node (where the kernel tells
 * them), the map is not read again. */
#include <stdlib.h>
#include <string.h>

#include "host/io.h"
#include "manager.h"

/* Reclaiming and demoting can still take pages away: so long it is believed. */
#define REST_USEC (6 * USEC_PER_MINUTE)
/* So much CPU time is nothing. */
#define REST_CPU_USEC (10 * USEC_PER_MSEC)

struct rest {
        struct deep_sample *map;
        struct deep_options options;
        uint64_t began_usec, cpu_total_usec, companions_key;
        struct process_ref *processes;
        size_t n_processes;
        uint64_t *bytes_by_node; /* as the screen had them: 0 without a memory controller */
};

struct rest *rest_free(struct rest *r) {
        if (!r)
                return NULL;
        deep_sample_free(r->map);
        free(r->processes);
        free(r->bytes_by_node);
        free(r);
        return NULL;
}

static struct rest *rest_new(const struct manager *m, const struct service_sample *s, uint64_t began_usec) {
        unsigned n_ids = m->topology->n_ids;
        struct rest *r = calloc(1, sizeof *r);
        if (!r)
                return NULL;
        *r = (struct rest) {
                .options = deep_options_of(s, m->topology),
                .began_usec = began_usec,
                .cpu_total_usec = s->cpu_total_usec,
                .processes = calloc(s->n_processes + 1, sizeof *r->processes),
                .n_processes = s->n_processes,
                .bytes_by_node = calloc((size_t) n_ids + 1, sizeof *r->bytes_by_node),
        };
        if (!r->processes || !r->bytes_by_node)
                return rest_free(r);
        memcpy(r->processes, s->processes, s->n_processes * sizeof *r->processes);
        for (unsigned i = 0; i < n_ids; i++) /* what it borrows was recalled, not seen */
                r->bytes_by_node[i] = saturating_sub(s->bytes_by_node[i], s->borrowed_by_node[i]);
        return r;
}

void rest_keep(const struct manager *m, struct service_note *n, const struct service_sample *s, uint64_t began_usec,
               uint64_t companions_key, struct deep_sample **map) {
        n->rest = rest_free(n->rest);
        /* Where something is missing, the next look may find it. */
        if (s->cpu_total_usec == USEC_INFINITY || s->n_processes == 0 || (*map)->truncated || (*map)->n_vanished > 0)
                return;
        n->rest = rest_new(m, s, began_usec);
        if (!n->rest)
                return;
        n->rest->companions_key = companions_key;
        n->rest->map = TAKE_PTR(*map);
}

uint64_t rest_began_usec(const struct rest *r) {
        return r->began_usec;
}

static bool has_same_bytes(const struct rest *r, const struct service_sample *s) {
        for (unsigned i = 0; i < r->map->n_ids; i++) {
                uint64_t a = r->bytes_by_node[i], b = saturating_sub(s->bytes_by_node[i], s->borrowed_by_node[i]);
                if (MAX2(a, b) - MIN2(a, b) > MAX2(a, b) / 256)
                        return false;
        }
        return true;
}

static bool has_same_processes(const struct rest *r, const struct service_sample *s) {
        if (r->n_processes != s->n_processes)
                return false;
        for (size_t i = 0; i < s->n_processes; i++)
                if (!process_ref_equal(&r->processes[i], &s->processes[i]))
                        return false;
        return true;
}

const struct deep_sample *rest_find(const struct manager *m, const struct service_note *n, const struct service_sample *s,
                                    uint64_t companions_key, uint64_t company_moved_usec, uint64_t now_usec) {
        const struct rest *r = n->rest;
        if (!r || r->map->n_ids != m->topology->n_ids || now_usec - MIN2(r->began_usec, now_usec) > REST_USEC)
                return NULL;
        /* What we moved meanwhile, or are moving, is elsewhere, and so is what its company shares with it. */
        const struct history_entry *h = history_find(&m->history, s->cgroup);
        if (r->began_usec < company_moved_usec || transition_find(m, s->cgroup) ||
            (h && r->began_usec < MAX2(h->settled_usec, h->started_usec)))
                return NULL;
        const struct deep_options options = deep_options_of(s, m->topology);
        bool same = options.move_shared == r->options.move_shared && options.override_policy == r->options.override_policy &&
                    options.topology == r->options.topology && companions_key == r->companions_key &&
                    s->cpu_total_usec >= r->cpu_total_usec && s->cpu_total_usec - r->cpu_total_usec < REST_CPU_USEC &&
                    has_same_processes(r, s) && has_same_bytes(r, s);
        return same ? r->map : NULL;
}
