/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A sorted array of what is known of each service. Smoothing is y += (x − y) · dt/(dt + tau): the implicit step of
 * the exponential filter, which needs no libm, is stable for any dt, and depends on time rather than on cycles. */
#include "core/history.h"

#include <string.h>

#include "core/util.h"

/* Index of the first entry that is not before the key. */
static size_t lower_bound(const struct history *h, const char *cgroup) {
        return FIRST_NOT_BEFORE(i, h->n_entries, strcmp(h->entries[i].cgroup, cgroup) < 0);
}

struct history_entry *history_find(const struct history *h, const char *cgroup) {
        size_t i = lower_bound(h, cgroup);
        if (i >= h->n_entries || strcmp(h->entries[i].cgroup, cgroup) != 0)
                return NULL;
        return &h->entries[i];
}

struct history_entry *history_get(struct history *h, const char *cgroup) {
        size_t i = lower_bound(h, cgroup);
        if (i < h->n_entries && strcmp(h->entries[i].cgroup, cgroup) == 0)
                return &h->entries[i];
        if (array_reserve(&h->entries, &h->capacity, h->n_entries + 1, sizeof *h->entries) < 0)
                return NULL;
        char *key = strdup(cgroup);
        if (!key)
                return NULL;
        memmove(h->entries + i + 1, h->entries + i, (h->n_entries - i) * sizeof *h->entries);
        h->n_entries++;
        h->entries[i] = (struct history_entry) { .cgroup = key };
        return &h->entries[i];
}

/* value moved towards target by dt/(dt + tau) of the difference. */
static uint64_t smooth(uint64_t value, uint64_t target, uint64_t dt_usec, uint64_t tau_usec) {
        double share = (double) dt_usec / ((double) dt_usec + (double) tau_usec);
        double result = (double) value + ((double) target - (double) value) * share;
        return result > 0 ? (uint64_t) (result + 0.5) : 0;
}

/* The arrays for another number of nodes (which only a restart could bring) hold nothing worth keeping. */
static void fit_arrays(struct history_entry *e, unsigned n_ids) {
        if (e->n_ids == n_ids)
                return;
        free(e->share_by_node);
        free(e->fixed_by_node);
        free(e->borrowed_by_node);
        e->share_by_node = NULL;
        e->fixed_by_node = e->borrowed_by_node = NULL;
        e->n_ids = n_ids;
}

/* The first shares are taken as they are; a sample without threads changes nothing. */
static int update_shares(struct history_entry *e, const struct service_sample *s, unsigned n_ids) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < n_ids; i++)
                sum += s->cpu_share_by_node[i];
        if (sum == 0)
                return 0;
        if (!e->share_by_node) {
                e->share_by_node = calloc((size_t) n_ids + 1, sizeof *e->share_by_node);
                if (!e->share_by_node)
                        return -ENOMEM;
                memcpy(e->share_by_node, s->cpu_share_by_node, n_ids * sizeof *e->share_by_node);
                return 0;
        }
        for (unsigned i = 0; i < n_ids; i++)
                e->share_by_node[i] = (uint32_t) smooth(e->share_by_node[i], s->cpu_share_by_node[i], s->cpu_window_usec,
                                                        HISTORY_SHARE_TAU_USEC);
        return 0;
}

static int update_borrowed(struct history_entry *e, const struct service_sample *s, unsigned n_ids) {
        if (sum_by_node(s->borrowed_by_node, n_ids) == 0) {
                free(e->borrowed_by_node);
                e->borrowed_by_node = NULL;
                return 0;
        }
        if (!e->borrowed_by_node)
                e->borrowed_by_node = calloc((size_t) n_ids + 1, sizeof *e->borrowed_by_node);
        if (!e->borrowed_by_node)
                return -ENOMEM;
        memcpy(e->borrowed_by_node, s->borrowed_by_node, n_ids * sizeof *e->borrowed_by_node);
        return 0;
}

static int update_fixed(struct history_entry *e, const struct service_sample *s, unsigned n_ids, uint64_t now_usec) {
        if (!s->deep)
                return 0;
        if (!e->fixed_by_node)
                e->fixed_by_node = calloc((size_t) n_ids + 1, sizeof *e->fixed_by_node);
        if (!e->fixed_by_node)
                return -ENOMEM;
        for (unsigned i = 0; i < n_ids; i++)
                e->fixed_by_node[i] = s->bytes_by_node[i] - MIN2(s->bytes_by_node[i], s->movable_by_node[i]);
        int r = update_borrowed(e, s, n_ids);
        if (r < 0)
                return r;
        e->deep_usec = MAX2(now_usec, (uint64_t) 1);
        e->deep_processes = (unsigned) MIN2(s->n_processes, (size_t) UINT32_MAX);
        e->deep_again = false;
        return 0;
}

static uint64_t first_start_ticks(const struct service_sample *s) {
        return s->n_processes > 0 ? s->processes[0].start_ticks : 0;
}

static int update_policy(struct history_entry *e, const struct service_sample *s) {
        if (!s->deep)
                return 0;
        char *policy = s->own_policy ? strdup(s->own_policy) : NULL;
        if (s->own_policy && !policy)
                return -ENOMEM;
        free(e->own_policy);
        e->own_policy = policy;
        e->self_managed = s->self_managed;
        e->has_bound_mappings = s->has_bound_mappings;
        e->maps_incomplete = s->maps_incomplete;
        e->binds_threads = s->binds_threads;
        e->thread_nodes = s->thread_nodes;
        e->deep_start_ticks = first_start_ticks(s);
        return 0;
}

static void recall_borrowed(const struct history_entry *e, struct service_sample *s, unsigned n_ids) {
        if (!e->borrowed_by_node || e->n_ids != n_ids || !s->rule || s->rule->shared_pages != SHARED_PAGES_MOVE)
                return;
        for (unsigned i = 0; i < n_ids; i++) {
                s->borrowed_by_node[i] = e->borrowed_by_node[i];
                s->bytes_by_node[i] += e->borrowed_by_node[i];
        }
}

int history_recall(const struct history *h, struct service_sample *s, unsigned n_ids) {
        const struct history_entry *e = history_find(h, s->cgroup);
        if (s->deep || !e || e->deep_usec == 0 || e->deep_start_ticks != first_start_ticks(s))
                return 0;
        char *policy = e->own_policy ? strdup(e->own_policy) : NULL;
        if (e->own_policy && !policy)
                return -ENOMEM;
        free(s->own_policy);
        s->own_policy = policy;
        s->self_managed = e->self_managed;
        s->has_bound_mappings = e->has_bound_mappings;
        s->maps_incomplete = e->maps_incomplete;
        s->binds_threads = e->binds_threads;
        s->thread_nodes = e->thread_nodes;
        recall_borrowed(e, s, n_ids);
        return 0;
}

/* FNV-1a. */
static uint64_t hash(uint64_t h, const void *data, size_t n) {
        const uint8_t *bytes = data;
        for (size_t i = 0; i < n; i++)
                h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
        return h;
}

static uint64_t hash_list(uint64_t h, const struct string_list *l) {
        for (size_t i = 0; i < l->n_items; i++)
                h = hash(h, l->items[i], strlen(l->items[i]) + 1);
        return hash(h, &l->n_items, sizeof l->n_items);
}

/* All of a rule that has a say in where its services live. Never 0. */
static uint64_t rule_key(const struct rule *r) {
        const uint64_t numbers[] = { (uint64_t) r->place,
                                     (uint64_t) r->memory,
                                     (uint64_t) r->cpus,
                                     r->max_nodes,
                                     r->min_nodes,
                                     r->exclusive,
                                     r->has_allowed,
                                     r->priority,
                                     r->min_gain_permille,
                                     (uint64_t) r->shared_pages,
                                     (uint64_t) r->app_policy,
                                     (uint64_t) r->kernel_balancing };
        uint64_t h = UINT64_C(0xcbf29ce484222325);
        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
                h = (h ^ numbers[i]) * UINT64_C(0x100000001b3);
        h = hash(h, &r->nodes, sizeof r->nodes);
        h = hash(h, &r->allowed, sizeof r->allowed);
        h = hash(h, &r->avoid, sizeof r->avoid);
        h = hash_list(h, &r->together_with);
        h = hash_list(h, &r->apart_from);
        h = hash_list(h, &r->devices);
        return MAX2(h, (uint64_t) 1);
}

/* A rule that demands something else than before lifts what was decided under the other. */
static void update_rule(struct history_entry *e, const struct rule *r, uint64_t now_usec) {
        uint64_t key = r ? rule_key(r) : 0;
        if (e->rule_key != 0 && key != e->rule_key) {
                e->rule_usec = now_usec;
                e->restless = 0;
                e->n_little = 0;
        }
        e->rule_key = key;
}

static int update_entry(struct history_entry *e, const struct service_sample *s, unsigned n_ids, uint64_t now_usec) {
        if (s->cpu_window_usec > 0) {
                double usec = (double) sum_by_node(s->cpu_usec_by_node, n_ids);
                uint64_t mcpu = (uint64_t) (usec * 1000.0 / (double) s->cpu_window_usec + 0.5);
                e->demand_mcpu =
                        e->demand_known ? smooth(e->demand_mcpu, mcpu, s->cpu_window_usec, HISTORY_DEMAND_TAU_USEC) : mcpu;
                if (s->cpu_pressure_centipercent >= 0) {
                        uint64_t wait = (uint64_t) s->cpu_pressure_centipercent / 10;
                        e->wait_mcpu =
                                e->demand_known ? smooth(e->wait_mcpu, wait, s->cpu_window_usec, HISTORY_DEMAND_TAU_USEC) : wait;
                }
                e->demand_known = true;
        }
        uint64_t bytes = sum_by_node(s->bytes_by_node, n_ids);
        uint64_t dt = now_usec > e->last_seen_usec ? now_usec - e->last_seen_usec : 0;
        if (bytes >= e->peak_bytes)
                e->peak_bytes = bytes;
        else
                e->peak_bytes = smooth(e->peak_bytes, bytes, dt, HISTORY_PEAK_TAU_USEC);
        if (e->last_seen_usec == 0)
                e->since_usec = now_usec;
        e->last_seen_usec = now_usec;
        e->seen = true;
        update_rule(e, s->rule, now_usec);
        history_update_shared(e, s, bytes, now_usec);
        fit_arrays(e, n_ids);
        int r = update_fixed(e, s, n_ids, now_usec);
        if (r >= 0)
                r = update_policy(e, s);
        return r < 0 ? r : update_shares(e, s, n_ids);
}

static void entry_done(struct history_entry *e) {
        free(e->cgroup);
        free(e->share_by_node);
        free(e->fixed_by_node);
        free(e->borrowed_by_node);
        free(e->own_policy);
}

static bool is_forgotten(const struct history_entry *e, uint64_t now_usec) {
        return !e->seen && now_usec > e->last_seen_usec && now_usec - e->last_seen_usec > HISTORY_FORGET_USEC;
}

static void forget(struct history *h, uint64_t now_usec) {
        size_t kept = 0;
        for (size_t i = 0; i < h->n_entries; i++) {
                if (is_forgotten(&h->entries[i], now_usec))
                        entry_done(&h->entries[i]);
                else
                        h->entries[kept++] = h->entries[i];
        }
        h->n_entries = kept;
}

int history_update(struct history *h, const struct service_sample *samples, size_t n_samples, unsigned n_ids, uint64_t now_usec) {
        for (size_t i = 0; i < h->n_entries; i++)
                h->entries[i].seen = false;
        for (size_t i = 0; i < n_samples; i++) {
                struct history_entry *e = history_get(h, samples[i].cgroup);
                if (!e || update_entry(e, &samples[i], n_ids, now_usec) < 0)
                        return -ENOMEM;
        }
        forget(h, now_usec);
        return 0;
}

bool history_is_placed(const struct history *h, const char *cgroup) {
        const struct history_entry *e = history_find(h, cgroup);
        return e && e->placed;
}

void history_done(struct history *h) {
        for (size_t i = 0; i < h->n_entries; i++)
                entry_done(&h->entries[i]);
        free(h->entries);
        *h = (struct history) { 0 };
}

static bool copy_entry(const struct history_entry *from, struct history_entry *to) {
        size_t n = from->n_ids;
        *to = *from;
        to->cgroup = strdup(from->cgroup);
        to->share_by_node = from->share_by_node ? calloc(n + 1, sizeof *to->share_by_node) : NULL;
        to->fixed_by_node = from->fixed_by_node ? calloc(n + 1, sizeof *to->fixed_by_node) : NULL;
        to->borrowed_by_node = from->borrowed_by_node ? calloc(n + 1, sizeof *to->borrowed_by_node) : NULL;
        if (to->borrowed_by_node)
                memcpy(to->borrowed_by_node, from->borrowed_by_node, n * sizeof *to->borrowed_by_node);
        if (to->share_by_node)
                memcpy(to->share_by_node, from->share_by_node, n * sizeof *to->share_by_node);
        if (to->fixed_by_node)
                memcpy(to->fixed_by_node, from->fixed_by_node, n * sizeof *to->fixed_by_node);
        to->own_policy = from->own_policy ? strdup(from->own_policy) : NULL;
        return to->cgroup && !from->share_by_node == !to->share_by_node && !from->fixed_by_node == !to->fixed_by_node &&
               !from->borrowed_by_node == !to->borrowed_by_node && !from->own_policy == !to->own_policy;
}

int history_copy(const struct history *h, struct history *ret) {
        struct history copy = { .entries = calloc(h->n_entries + 1, sizeof *copy.entries), .capacity = h->n_entries + 1 };
        if (!copy.entries)
                return -ENOMEM;
        for (size_t i = 0; i < h->n_entries; i++) {
                copy.n_entries++;
                if (!copy_entry(&h->entries[i], &copy.entries[i])) {
                        history_done(&copy);
                        return -ENOMEM;
                }
        }
        *ret = copy;
        return 0;
}
