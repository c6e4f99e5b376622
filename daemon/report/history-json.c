/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every field by a table: one that is added to struct history_entry belongs here, too. */
#include "report/history-json.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "core/util.h"
#include "report/json.h"

#define ENTRIES_MAX 65536u

/* The numbers of a history entry: all uint64_t, bool, unsigned or node sets by name. */
enum field_type { FIELD_U64, FIELD_BOOL, FIELD_UNSIGNED, FIELD_NODES };
static const struct field {
        const char *name;
        enum field_type type;
        size_t offset;
} fields[] = {
/* Versions of clang-format differ on macros in braces. */
/* clang-format off */
#define FIELD(type, member)                                                                                                      \
        { #member, type, offsetof(struct history_entry, member) }
        /* clang-format on */
        FIELD(FIELD_BOOL, has_former),
        FIELD(FIELD_NODES, former_home),
        FIELD(FIELD_U64, left_usec),
        FIELD(FIELD_U64, since_usec),
        FIELD(FIELD_U64, rule_key),
        FIELD(FIELD_U64, rule_usec),
        FIELD(FIELD_U64, crowded_usec),
        FIELD(FIELD_UNSIGNED, crowded_plans),
        FIELD(FIELD_U64, wait_mcpu),
        FIELD(FIELD_BOOL, placed),
        FIELD(FIELD_NODES, home),
        FIELD(FIELD_U64, placed_usec),
        FIELD(FIELD_U64, started_usec),
        FIELD(FIELD_U64, settled_usec),
        FIELD(FIELD_U64, widened_usec),
        FIELD(FIELD_UNSIGNED, n_widened),
        FIELD(FIELD_U64, demand_mcpu),
        FIELD(FIELD_BOOL, demand_known),
        FIELD(FIELD_U64, peak_bytes),
        FIELD(FIELD_U64, unmovable_bytes),
        FIELD(FIELD_U64, retry_usec),
        FIELD(FIELD_UNSIGNED, n_failed_moves),
        FIELD(FIELD_UNSIGNED, restless),
        FIELD(FIELD_BOOL, failed),
        FIELD(FIELD_U64, deep_usec),
        FIELD(FIELD_U64, last_seen_usec),
        FIELD(FIELD_U64, interleave_key),
        FIELD(FIELD_U64, deep_start_ticks),
        FIELD(FIELD_BOOL, self_managed),
        FIELD(FIELD_BOOL, refused),
        FIELD(FIELD_BOOL, has_bound_mappings),
        FIELD(FIELD_BOOL, maps_incomplete),
        FIELD(FIELD_BOOL, binds_threads),
        FIELD(FIELD_NODES, thread_nodes),
        FIELD(FIELD_UNSIGNED, n_undone),
        FIELD(FIELD_U64, undone_usec),
        FIELD(FIELD_U64, undone_bytes),
        FIELD(FIELD_BOOL, kept_known),
        FIELD(FIELD_BOOL, kept_own),
        FIELD(FIELD_U64, kept_bytes),
        FIELD(FIELD_U64, kept_off_bytes),
        FIELD(FIELD_U64, kept_kernel_bytes),
        FIELD(FIELD_U64, kept_demoted_bytes),
        FIELD(FIELD_BOOL, undone_by_demotion),
        FIELD(FIELD_BOOL, undone_by_both),
        FIELD(FIELD_UNSIGNED, n_balanced),
        FIELD(FIELD_UNSIGNED, n_demoted),
        FIELD(FIELD_U64, balanced_usec),
        FIELD(FIELD_U64, demoted_usec),
        FIELD(FIELD_UNSIGNED, n_little),
        FIELD(FIELD_U64, little_usec),
        FIELD(FIELD_UNSIGNED, shared_processes),
        FIELD(FIELD_UNSIGNED, n_shared_looks),
        FIELD(FIELD_U64, shared_again_usec),
        FIELD(FIELD_UNSIGNED, deep_processes),
        FIELD(FIELD_BOOL, deep_again),
#undef FIELD
};

static struct json_object *entry_to_json(const struct history_entry *e) {
        struct json_object *o = json_object_new_object();
        json_put_exact(&o, "cgroup", e->cgroup);
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                const void *at = (const char *) e + fields[i].offset;
                switch (fields[i].type) {
                case FIELD_U64: json_put(&o, fields[i].name, json_object_new_uint64(*(const uint64_t *) at)); break;
                case FIELD_BOOL: json_put_bool(&o, fields[i].name, *(const bool *) at); break;
                case FIELD_UNSIGNED: json_put_int(&o, fields[i].name, *(const unsigned *) at); break;
                case FIELD_NODES: json_put_nodes(&o, fields[i].name, at); break;
                }
        }
        if (e->share_by_node) {
                struct json_object *shares = json_object_new_array();
                for (unsigned i = 0; shares && i < e->n_ids; i++)
                        json_append(&shares, json_object_new_int64(e->share_by_node[i]));
                json_put(&o, "share_by_node", shares);
        }
        if (e->fixed_by_node)
                json_put_u64s(&o, "fixed_by_node", e->fixed_by_node, e->n_ids);
        if (e->borrowed_by_node)
                json_put_u64s(&o, "borrowed_by_node", e->borrowed_by_node, e->n_ids);
        if (e->own_policy)
                json_put_string(&o, "own_policy", e->own_policy);
        return o;
}

/* NULL where there is none, or of another number of nodes. */
static int read_u64s(struct json_object *o, const char *name, unsigned n_ids, uint64_t **ret) {
        struct json_object *list = json_get_list(o, name);
        if (!list || json_object_array_length(list) != n_ids)
                return 0;
        uint64_t *values = calloc((size_t) n_ids + 1, sizeof *values);
        if (!values)
                return -ENOMEM;
        for (unsigned i = 0; i < n_ids; i++)
                values[i] = json_list_u64(list, i);
        *ret = values;
        return 0;
}

static int read_arrays(struct json_object *o, struct history_entry *e, unsigned n_ids) {
        struct json_object *shares = json_get_list(o, "share_by_node");
        e->n_ids = n_ids;
        if (shares && json_object_array_length(shares) == n_ids) {
                e->share_by_node = calloc((size_t) n_ids + 1, sizeof *e->share_by_node);
                if (!e->share_by_node)
                        return -ENOMEM;
                for (unsigned i = 0; i < n_ids; i++)
                        e->share_by_node[i] = (uint32_t) MIN2(json_list_u64(shares, i), (uint64_t) UINT32_MAX);
        }
        int r = read_u64s(o, "fixed_by_node", n_ids, &e->fixed_by_node);
        return r < 0 ? r : read_u64s(o, "borrowed_by_node", n_ids, &e->borrowed_by_node);
}

static int read_entry(struct json_object *o, struct history *h, unsigned n_ids) {
        _cleanup_free_ char *cgroup = NULL;
        int r = json_get_exact(o, "cgroup", &cgroup);
        if (r < 0 || history_find(h, cgroup))
                return r < 0 ? r : -EBADMSG;
        struct history_entry *e = history_get(h, cgroup);
        if (!e)
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                void *at = (char *) e + fields[i].offset;
                struct json_object *nodes;
                switch (fields[i].type) {
                case FIELD_U64: *(uint64_t *) at = json_get_u64(o, fields[i].name); break;
                case FIELD_BOOL: *(bool *) at = json_get_flag(o, fields[i].name); break;
                case FIELD_UNSIGNED:
                        *(unsigned *) at = (unsigned) MIN2(json_get_u64(o, fields[i].name), (uint64_t) UINT_MAX);
                        break;
                case FIELD_NODES:
                        nodes = json_get_list(o, fields[i].name);
                        for (size_t k = 0; nodes && k < json_object_array_length(nodes); k++)
                                node_set_add(at, (unsigned) MIN2(json_list_u64(nodes, k), (uint64_t) UINT_MAX));
                        break;
                }
        }
        const char *policy = json_get_text(o, "own_policy");
        if (policy && !(e->own_policy = strdup(policy)))
                return -ENOMEM;
        return read_arrays(o, e, n_ids);
}

int history_from_json(struct json_object *list, unsigned n_ids, struct history *ret) {
        struct history h = { 0 };
        int r = 0;
        for (size_t i = 0; r == 0 && list && i < MIN2(json_object_array_length(list), (size_t) ENTRIES_MAX); i++)
                r = read_entry(json_object_array_get_idx(list, i), &h, n_ids);
        if (r < 0) {
                history_done(&h);
                return r;
        }
        *ret = h;
        return 0;
}

struct json_object *history_to_json(const struct history *h) {
        struct json_object *array = json_object_new_array();
        for (size_t i = 0; array && i < h->n_entries; i++)
                json_append(&array, entry_to_json(&h->entries[i]));
        return array;
}
