/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON ⇄ D-Bus values. The message format is that of the D-Bus specification, "Marshaling". */
#include <errno.h>
#include <string.h>

#include "report/bus.h"
#include "report/format.h"
#include "report/json.h"

/* D-Bus allows 64 levels; what we exchange has five. */
#define DEPTH_MAX 16u

static const char *signature_of(struct json_object *value) {
        switch (json_object_get_type(value)) {
        case json_type_boolean: return "b";
        case json_type_int: return "x";
        case json_type_double: return "d";
        case json_type_string: return "s";
        case json_type_array: return "av";
        case json_type_object: return "a{sv}";
        default: return NULL;
        }
}

static int append_string(sd_bus_message *m, const char *text) {
        for (const char *s = text; *s;) {
                size_t n = utf8_length(s);
                if (n == 0) {
                        _cleanup_free_ char *clean = text_clean(text, true);
                        return clean ? sd_bus_message_append_basic(m, 's', clean) : -ENOMEM;
                }
                s += n;
        }
        return sd_bus_message_append_basic(m, 's', text);
}

static int append_variant(sd_bus_message *m, struct json_object *value, unsigned depth);

static int append_dict(sd_bus_message *m, struct json_object *object, unsigned depth) {
        int r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        json_object_object_foreach(object, key, member) {
                if (!member)
                        continue;
                if ((r = sd_bus_message_open_container(m, 'e', "sv")) < 0 || (r = append_string(m, key)) < 0 ||
                    (r = append_variant(m, member, depth)) < 0 || (r = sd_bus_message_close_container(m)) < 0)
                        return r;
        }
        return sd_bus_message_close_container(m);
}

static int append_array(sd_bus_message *m, struct json_object *array, unsigned depth) {
        int r = sd_bus_message_open_container(m, 'a', "v");
        if (r < 0)
                return r;
        for (size_t i = 0; i < json_object_array_length(array); i++) {
                struct json_object *element = json_object_array_get_idx(array, i);
                if (element && (r = append_variant(m, element, depth)) < 0)
                        return r;
        }
        return sd_bus_message_close_container(m);
}

static int append_bare(sd_bus_message *m, struct json_object *value, unsigned depth) {
        switch (json_object_get_type(value)) {
        case json_type_boolean: {
                int b = json_object_get_boolean(value);
                return sd_bus_message_append_basic(m, 'b', &b);
        }
        case json_type_int: {
                int64_t x = json_object_get_int64(value);
                return sd_bus_message_append_basic(m, 'x', &x);
        }
        case json_type_double: {
                double d = json_object_get_double(value);
                return sd_bus_message_append_basic(m, 'd', &d);
        }
        case json_type_string: return append_string(m, json_object_get_string(value));
        case json_type_array: return append_array(m, value, depth);
        case json_type_object: return append_dict(m, value, depth);
        default: return -EINVAL;
        }
}

static int append_variant(sd_bus_message *m, struct json_object *value, unsigned depth) {
        const char *signature = signature_of(value);
        if (!signature || depth >= DEPTH_MAX)
                return -EINVAL;
        int r = sd_bus_message_open_container(m, 'v', signature);
        if (r < 0)
                return r;
        r = append_bare(m, value, depth + 1);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int bus_append_json(sd_bus_message *m, struct json_object *value) {
        return append_variant(m, value, 0);
}

int bus_append_json_object(sd_bus_message *m, struct json_object *object) {
        if (!json_object_is_type(object, json_type_object))
                return -EINVAL;
        return append_dict(m, object, 0);
}

int bus_append_json_objects(sd_bus_message *m, struct json_object *objects) {
        if (!json_object_is_type(objects, json_type_array))
                return -EINVAL;
        int r = sd_bus_message_open_container(m, 'a', "a{sv}");
        for (size_t i = 0; r >= 0 && i < json_object_array_length(objects); i++)
                r = bus_append_json_object(m, json_object_array_get_idx(objects, i));
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* -------- how much of a message that takes: where the next byte would be after a value that begins at `at` -------- */

static size_t align(size_t at, size_t to) {
        return (at + to - 1) / to * to;
}

static size_t end_of_string(size_t at, const char *text) {
        size_t n = 0;
        bool clean = true;
        for (size_t k; clean && text[n]; n += k) {
                k = utf8_length(text + n);
                clean = k > 0;
        }
        if (!clean)
                n = 4 * strlen(text); /* four bytes for one at worst */
        return align(at, 4) + 4 + n + 1;
}

static size_t end_of_variant(size_t at, struct json_object *value) {
        const char *signature = signature_of(value);
        if (!signature) /* null is left out */
                return at;
        at += 1 + strlen(signature) + 1;
        switch (json_object_get_type(value)) {
        case json_type_boolean: return align(at, 4) + 4;
        case json_type_string: return end_of_string(at, json_object_get_string(value));
        case json_type_array:
                at = align(at, 4) + 4;
                for (size_t i = 0; i < json_object_array_length(value); i++)
                        at = end_of_variant(at, json_object_array_get_idx(value, i));
                return at;
        case json_type_object: {
                at = align(align(at, 4) + 4, 8);
                json_object_object_foreach(value, key, member) {
                        if (member)
                                at = end_of_variant(end_of_string(align(at, 8), key), member);
                }
                return at;
        }
        default: return align(at, 8) + 8;
        }
}

size_t bus_json_size(struct json_object *value) {
        return end_of_variant(0, value);
}

static int read_value(sd_bus_message *m, unsigned depth, struct json_object **ret);

/* One entry; keys are strings. */
static int read_entry(sd_bus_message *m, unsigned depth, struct json_object *object) {
        const char *contents, *key;
        struct json_object *member;
        char type;
        int r = sd_bus_message_peek_type(m, &type, &contents);
        if (r < 0)
                return r;
        if (type != 'e' || contents[0] != 's')
                return -EBADMSG;
        if ((r = sd_bus_message_enter_container(m, 'e', contents)) < 0 || (r = sd_bus_message_read_basic(m, 's', &key)) < 0 ||
            (r = read_value(m, depth, &member)) < 0)
                return r;
        if (json_object_object_add(object, key, member) != 0) {
                json_object_put(member);
                return -ENOMEM;
        }
        return sd_bus_message_exit_container(m);
}

static int read_dict(sd_bus_message *m, unsigned depth, struct json_object *object) {
        int r;
        while ((r = sd_bus_message_at_end(m, false)) == 0)
                if ((r = read_entry(m, depth, object)) < 0)
                        return r;
        return r < 0 ? r : 0;
}

static int read_array(sd_bus_message *m, unsigned depth, struct json_object *array) {
        int r;
        while ((r = sd_bus_message_at_end(m, false)) == 0) {
                struct json_object *element = NULL;
                if ((r = read_value(m, depth, &element)) < 0)
                        return r;
                if (json_object_array_add(array, element) != 0) {
                        json_object_put(element);
                        return -ENOMEM;
                }
        }
        return r < 0 ? r : 0;
}

static int read_container(sd_bus_message *m, const char *contents, unsigned depth, struct json_object **ret) {
        bool is_dict = contents[0] == '{';
        struct json_object *o = is_dict ? json_object_new_object() : json_object_new_array();
        if (!o)
                return -ENOMEM;
        int r = sd_bus_message_enter_container(m, 'a', contents);
        if (r >= 0)
                r = is_dict ? read_dict(m, depth, o) : read_array(m, depth, o);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0) {
                json_object_put(o);
                return r;
        }
        *ret = o;
        return 0;
}

static int read_basic(sd_bus_message *m, char type, struct json_object **ret) {
        union {
                uint8_t y;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                int b;
                double d;
                const char *s;
        } v;
        int r = sd_bus_message_read_basic(m, type, &v);
        if (r < 0)
                return r;
        struct json_object *o;
        switch (type) {
        case 'y': o = json_object_new_int64(v.y); break;
        case 'n': o = json_object_new_int64(v.n); break;
        case 'q': o = json_object_new_int64(v.q); break;
        case 'i': o = json_object_new_int64(v.i); break;
        case 'u': o = json_object_new_int64(v.u); break;
        case 'x': o = json_object_new_int64(v.x); break;
        case 't': o = json_object_new_uint64(v.t); break;
        case 'b': o = json_object_new_boolean(v.b); break;
        case 'd': o = json_new_double_exact(v.d); break;
        default: o = json_object_new_string(v.s); break;
        }
        if (!o)
                return -ENOMEM;
        *ret = o;
        return 0;
}

static int read_value(sd_bus_message *m, unsigned depth, struct json_object **ret) {
        char type;
        const char *contents;
        int r = sd_bus_message_peek_type(m, &type, &contents);
        if (r <= 0)
                return r < 0 ? r : -ENODATA;
        if (type == 'a' || type == 'v') {
                if (depth >= 2 * DEPTH_MAX) /* each level of ours is a variant and what is in it */
                        return -EBADMSG;
                if (type == 'a')
                        return read_container(m, contents, depth + 1, ret);
                struct json_object *value;
                r = sd_bus_message_enter_container(m, 'v', contents);
                if (r < 0 || (r = read_value(m, depth + 1, &value)) < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        json_object_put(value);
                else
                        *ret = value;
                return r < 0 ? r : 0;
        }
        return strchr("ynqiuxtbdsog", type) ? read_basic(m, type, ret) : -EBADMSG;
}

int bus_read_json(sd_bus_message *m, struct json_object **ret) {
        return read_value(m, 0, ret);
}
