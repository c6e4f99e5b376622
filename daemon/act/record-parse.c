/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record from text. Whatever is not as we write it makes the whole record a bad one: half a record would restore half. But for the last line that was
 * appended: where we were killed while we wrote it, the change that it is about was not made. */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "act/json-text.h"
#include "act/record-json.h"
#include "core/util.h"
#include "host/kernel-balancing.h"

#define STRING_MAX_BYTES 8192u
#define RECORD_DEPTH     8

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

static int whole_from_json(struct json_object *root, struct record *r) {
        int k = entries_from_json(root, r);
        return k < 0 ? k : balancing_from_json(root, r);
}

/* Lines */

static int line_to_entry(struct json_object *o, struct record *r) {
        const char *cgroup = string_at(o, "cgroup");
        struct record_entry *former = cgroup ? record_find(r, cgroup) : NULL;
        if (former)
                record_remove(r, former);
        return r->n_entries >= RECORD_ENTRIES_MAX ? -EBADMSG : entry_from_json(o, r);
}

static int line_from_json(const char *text, size_t size, struct record *r) {
        struct json_object *o, *value;
        int k = text[0] == '{' ? json_of_text(text, size, RECORD_DEPTH, &o) : -EBADMSG;
        if (k < 0)
                return k;
        if (json_object_object_get_ex(o, "forget", &value)) {
                const char *cgroup = string_of(value);
                struct record_entry *e = cgroup ? record_find(r, cgroup) : NULL;
                if (e)
                        record_remove(r, e);
                k = e ? 0 : -EBADMSG;
        } else if (json_object_object_get_ex(o, "kernel_balancing", &value)) {
                r->balancing_changed = false;
                k = value ? balancing_from_json(o, r) : 0;
        } else
                k = line_to_entry(o, r);
        json_object_put(o);
        return k;
}

static bool is_space(char c) {
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Finds where the first line begins, after the whole that ends at `at` or, where white space was read with it, before. -EBADMSG: it is on the same line. */
static int find_lines(const char *text, size_t size, size_t at, const char **ret) {
        size_t first = at;
        while (first < size && is_space(text[first]))
                first++;
        while (at > 0 && is_space(text[at - 1]))
                at--;
        if (first < size && !memchr(text + at, '\n', first - at))
                return -EBADMSG;
        *ret = text + first;
        return 0;
}

/* What was appended: nothing, or lines. */
static int lines_from_json(const char *line, const char *end, struct record *r) {
        r->can_append = end[-1] == '\n';
        while (line < end) {
                const char *next = memchr(line, '\n', (size_t) (end - line));
                if (!next) /* not finished */
                        return line[0] == '{' ? 0 : -EBADMSG;
                int k = line_from_json(line, (size_t) (next - line), r);
                if (k < 0)
                        return k;
                r->n_lines++;
                line = next + 1;
        }
        return 0;
}

int record_from_json(const char *text, size_t size, struct record *r) {
        struct json_object *root = NULL;
        const char *line;
        size_t end = 0;
        int k = size < RECORD_FILE_MAX_BYTES ? json_at_start(text, size, RECORD_DEPTH, &root, &end) : -EBADMSG;
        if (k >= 0)
                k = whole_from_json(root, r);
        json_object_put(root);
        if (k >= 0)
                k = find_lines(text, size, end, &line);
        return k < 0 ? k : lines_from_json(line, text + size, r);
}
