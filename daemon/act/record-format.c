/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record as text; its form is in the header. */
#include "act/record-json.h"

#include <errno.h>
#include <json-c/json.h>

#include "core/util.h"

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
        if (!r->balancing_changed)
                return json_object_object_add(root, "kernel_balancing", NULL) < 0 ? -ENOMEM : 0;
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
                struct json_object *o = entry_to_json(r->entries[i]);
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

/* One line for what `o` says; takes it over, NULL too. json-c escapes line ends in strings. */
static char *line_of(struct json_object *o) {
        const char *s = o ? json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;
        char *line = s ? format_string("%s\n", s) : NULL;
        json_object_put(o);
        return line;
}

char *record_entry_line(const struct record_entry *e) {
        return line_of(entry_to_json(e));
}

char *record_forget_line(const char *cgroup) {
        struct json_object *o = json_object_new_object();
        if (o && add_string(o, "forget", cgroup) < 0) {
                json_object_put(o);
                return NULL;
        }
        return line_of(o);
}

char *record_balancing_line(const struct record *r) {
        struct json_object *o = json_object_new_object();
        if (o && add_balancing(o, r) < 0) {
                json_object_put(o);
                return NULL;
        }
        return line_of(o);
}
