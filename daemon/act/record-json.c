/* SPDX-License-Identifier: GPL-2.0-or-later */
/* {"version": 1, "entries": [{"cgroup", "unit", "owner", "cpus": {"before", "ours", "seen"}, "mems": {…}}]}: sets in the kernel's list
 * format, null for unset; a side that was not changed is left out. Beside "entries",
 * where kernel.numa_balancing was changed: "kernel_balancing": {"before", "ours"}. */
#include "act/record-json.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "act/json-text.h"
#include "core/util.h"
#include "host/kernel-balancing.h"

#define RECORD_VERSION   1
#define STRING_MAX_BYTES 8192u

/* To text */

static int add(struct json_object *to, const char *key, struct json_object *value) {
        if (value && json_object_object_add(to, key, value) >= 0)
                return 0;
        json_object_put(value);
        return -ENOMEM;
}

static int add_string(struct json_object *to, const char *key, const char *value) {
        return add(to, key, json_object_new_string(value));
}

/* NULL is JSON's null, so a set that is not given needs no object. */
static int add_list(struct json_object *to, const char *key, bool is_set, char *list) {
        int r = is_set ? (list ? add_string(to, key, list) : -ENOMEM) : json_object_object_add(to, key, NULL) < 0 ? -ENOMEM : 0;
        free(list);
        return r;
}

static int add_cpus(struct json_object *to, const char *key, const struct cpuset_value *v) {
        return add_list(to, key, v->cpus_set, v->cpus_set ? cpu_mask_format(&v->cpus) : NULL);
}

static int add_mems(struct json_object *to, const char *key, const struct cpuset_value *v) {
        return add_list(to, key, v->mems_set, v->mems_set ? node_set_format(&v->mems) : NULL);
}

static int add_side(struct json_object *to, const char *key, const struct record_entry *e,
                    int (*add_value)(struct json_object *, const char *, const struct cpuset_value *)) {
        struct json_object *side = json_object_new_object();
        if (!side)
                return -ENOMEM;
        int r = add_value(side, "before", &e->before);
        if (r >= 0)
                r = add_value(side, "ours", &e->ours);
        if (r >= 0)
                r = add_value(side, "seen", &e->seen);
        if (r < 0) {
                json_object_put(side);
                return r;
        }
        return add(to, key, side);
}

static struct json_object *entry_to_json(const struct record_entry *e) {
        struct json_object *o = json_object_new_object();
        if (!o)
                return NULL;
        int r = add_string(o, "cgroup", e->cgroup);
        if (r >= 0)
                r = add_string(o, "unit", e->unit);
        if (r >= 0)
                r = add_string(o, "owner", owner_to_string(e->owner));
        if (r >= 0 && e->changed_cpus)
                r = add_side(o, "cpus", e, add_cpus);
        if (r >= 0 && e->changed_mems)
                r = add_side(o, "mems", e, add_mems);
        if (r < 0) {
                json_object_put(o);
                return NULL;
        }
        return o;
}

static int add_balancing(struct json_object *root, const struct record *r) {
        struct json_object *o = json_object_new_object();
        if (!o || add(o, "before", json_object_new_int64(r->balancing_before)) < 0 ||
            add(o, "ours", json_object_new_int64(r->balancing_ours)) < 0) {
                json_object_put(o);
                return -ENOMEM;
        }
        return add(root, "kernel_balancing", o);
}

char *record_to_json(const struct record *r) {
        char *text = NULL;
        struct json_object *root = json_object_new_object(), *entries = json_object_new_array();
        if (!root || add(root, "version", json_object_new_int(RECORD_VERSION)) < 0) {
                json_object_put(entries);
                goto out;
        }
        if (add(root, "entries", entries) < 0)
                goto out;
        for (size_t i = 0; i < r->n_entries; i++) {
                struct json_object *o = entry_to_json(&r->entries[i]);
                if (!o || json_object_array_add(entries, o) < 0) {
                        json_object_put(o);
                        goto out;
                }
        }
        if (r->balancing_changed && add_balancing(root, r) < 0)
                goto out;
        const char *s = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
        text = s ? format_string("%s\n", s) : NULL;
out:
        json_object_put(root);
        return text;
}

/* From text. Whatever is not as we write it makes the whole record a bad one: half a record would restore half. */

static const char *string_of(struct json_object *o) {
        if (!json_object_is_type(o, json_type_string))
                return NULL;
        const char *s = json_object_get_string(o);
        size_t n = (size_t) json_object_get_string_len(o);
        return n > 0 && n <= STRING_MAX_BYTES && strlen(s) == n ? s : NULL;
}

static const char *string_at(struct json_object *o, const char *key) {
        struct json_object *value;
        return json_object_object_get_ex(o, key, &value) ? string_of(value) : NULL;
}

static int owner_from_string(const char *s) {
        for (int o = 0; o < _OWNER_MAX; o++)
                if (strcmp(s, owner_to_string((enum owner) o)) == 0)
                        return o;
        return _OWNER_INVALID;
}

static int cpus_from_json(struct json_object *o, struct cpuset_value *v) {
        const char *s = json_object_get_string(o);
        v->cpus_set = true;
        return cpu_mask_parse(s, &v->cpus);
}

static int mems_from_json(struct json_object *o, struct cpuset_value *v) {
        const char *s = json_object_get_string(o);
        v->mems_set = true;
        return node_set_parse(s, &v->mems);
}

/* Returns 1 where the side is there, 0 where it is not. */
static int side_from_json(struct json_object *entry, const char *key, struct record_entry *e,
                          int (*parse)(struct json_object *, struct cpuset_value *)) {
        struct json_object *side, *value;
        if (!json_object_object_get_ex(entry, key, &side))
                return 0;
        struct {
                const char *key;
                struct cpuset_value *value;
        } const values[] = { { "before", &e->before }, { "ours", &e->ours }, { "seen", &e->seen } };
        if (!json_object_is_type(side, json_type_object))
                return -EBADMSG;
        for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
                if (!json_object_object_get_ex(side, values[i].key, &value))
                        return -EBADMSG;
                if (!value) /* null: unset */
                        continue;
                if (!json_object_is_type(value, json_type_string) || parse(value, values[i].value) < 0)
                        return -EBADMSG;
        }
        return 1;
}

static int entry_from_json(struct json_object *o, struct record *r) {
        const char *cgroup = string_at(o, "cgroup"), *unit = string_at(o, "unit"), *owner = string_at(o, "owner");
        struct record_entry *e, read = { 0 };

        if (!cgroup || cgroup[0] != '/' || !unit || !owner)
                return -EBADMSG;
        int known_owner = owner_from_string(owner);
        int cpus = side_from_json(o, "cpus", &read, cpus_from_json);
        int mems = side_from_json(o, "mems", &read, mems_from_json);
        if (known_owner < 0 || cpus < 0 || mems < 0 || cpus + mems == 0)
                return -EBADMSG;

        char *c = strdup(cgroup), *u = strdup(unit);
        int k = c && u ? record_insert(r, c, u, &e) : -ENOMEM;
        if (k < 0) {
                free(c);
                free(u);
                return k == -EEXIST ? -EBADMSG : k;
        }
        read.cgroup = c;
        read.unit = u;
        read.owner = (enum owner) known_owner;
        read.changed_cpus = cpus > 0;
        read.changed_mems = mems > 0;
        *e = read;
        return 0;
}

static int mode_from_json(struct json_object *o, const char *key, unsigned *ret) {
        struct json_object *value;
        if (!json_object_object_get_ex(o, key, &value) || !json_object_is_type(value, json_type_int))
                return -EBADMSG;
        int64_t number = json_object_get_int64(value);
        if (number < 0 || number > (int64_t) KERNEL_BALANCING_MODE_MAX)
                return -EBADMSG;
        *ret = (unsigned) number;
        return 0;
}

static int balancing_from_json(struct json_object *root, struct record *r) {
        struct json_object *o;
        if (!json_object_object_get_ex(root, "kernel_balancing", &o))
                return 0;
        if (!json_object_is_type(o, json_type_object) || mode_from_json(o, "before", &r->balancing_before) < 0 ||
            mode_from_json(o, "ours", &r->balancing_ours) < 0)
                return -EBADMSG;
        r->balancing_changed = true;
        return 0;
}

static int entries_from_json(struct json_object *root, struct record *r) {
        struct json_object *version, *entries;
        if (!json_object_is_type(root, json_type_object) || !json_object_object_get_ex(root, "version", &version) ||
            !json_object_is_type(version, json_type_int) || json_object_get_int64(version) != RECORD_VERSION ||
            !json_object_object_get_ex(root, "entries", &entries) || !json_object_is_type(entries, json_type_array))
                return -EBADMSG;
        size_t n = json_object_array_length(entries);
        int k = n > RECORD_ENTRIES_MAX ? -EBADMSG : 0;
        for (size_t i = 0; k >= 0 && i < n; i++) {
                struct json_object *o = json_object_array_get_idx(entries, i);
                k = json_object_is_type(o, json_type_object) ? entry_from_json(o, r) : -EBADMSG;
        }
        return k;
}

int record_from_json(const char *text, size_t size, struct record *r) {
        struct json_object *root = NULL;
        int k = size < RECORD_FILE_MAX_BYTES ? json_of_text(text, size, 8, &root) : -EBADMSG;
        if (k >= 0)
                k = entries_from_json(root, r);
        if (k >= 0)
                k = balancing_from_json(root, r);
        json_object_put(root);
        return k;
}
