/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a service shares with other processes does not move, and is often its own again soon: a process forks to write a snapshot, say. It is looked at
 * again when fewer processes are left than shared it, and now and then. */
#include "core/history.h"
#include "core/util.h"

/* A part of its memory as large as this that is shared and off home is worth another look when processes have ended, but not more often than this. */
#define SHARED_MUCH       4
#define SHARED_LEAST_USEC (60 * USEC_PER_SEC)

uint64_t history_fixed_bytes(const struct history_entry *e, const struct service_sample *s, unsigned node) {
        if (!e->fixed_by_node || node >= e->n_ids)
                return 0;
        uint64_t borrowed = e->borrowed_by_node ? e->borrowed_by_node[node] : 0, fixed = e->fixed_by_node[node];
        uint64_t untold = borrowed - MIN2(borrowed, s->borrowed_by_node ? s->borrowed_by_node[node] : 0);
        return MIN2(fixed - MIN2(fixed, untold), s->bytes_by_node[node]);
}

void history_look_again(struct history_entry *e) {
        e->retry_usec = 0;
        e->unmovable_bytes = 0;
        e->deep_again = true;
}

static void await_sharers(struct history_entry *e, uint64_t now_usec) {
        e->shared_again_usec = now_usec + (HISTORY_SHARED_USEC << MIN2(e->n_shared_looks, HISTORY_RETRY_DOUBLINGS));
        e->n_shared_looks++;
}

/* A large part of it is off home, and by its memory map not ours to move. */
static bool has_much_fixed(const struct history_entry *e, uint64_t bytes) {
        uint64_t off = 0;
        for (unsigned i = 0; e->placed && e->fixed_by_node && i < e->n_ids; i++)
                off += node_set_has(&e->home, i) ? 0 : e->fixed_by_node[i];
        return off > bytes / SHARED_MUCH;
}

void history_update_shared(struct history_entry *e, const struct service_sample *s, uint64_t bytes, uint64_t now_usec) {
        unsigned n = (unsigned) MIN2(s->n_processes, (size_t) UINT32_MAX);
        if (e->shared_processes > 0 && (n < e->shared_processes || now_usec >= e->shared_again_usec)) {
                history_look_again(e);
                if (n < e->shared_processes)
                        e->n_shared_looks = 0;
                e->shared_processes = MAX2(n, 1u);
                await_sharers(e, now_usec);
        } else if (n < e->deep_processes && now_usec - MIN2(e->deep_usec, now_usec) >= SHARED_LEAST_USEC &&
                   has_much_fixed(e, bytes))
                e->deep_again = true;
}

void history_record_shared(struct history *h, const char *cgroup, size_t n_processes, uint64_t now_usec) {
        struct history_entry *e = history_find(h, cgroup);
        if (!e)
                return;
        e->shared_processes = (unsigned) MIN2(n_processes, (size_t) UINT32_MAX);
        if (n_processes == 0) {
                e->n_shared_looks = 0;
                return;
        }
        await_sharers(e, now_usec);
        if (e->unmovable_bytes > 0)
                e->retry_usec = MIN2(e->retry_usec, e->shared_again_usec);
}
