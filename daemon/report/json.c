/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Building JSON objects so that running out of memory is checked once, at the end. */
#include "report/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "report/format.h"

void json_put(struct json_object **o, const char *key, struct json_object *value) {
        if (*o && value && json_object_object_add(*o, key, value) == 0)
                return;
        json_object_put(value);
        json_object_put(*o);
        *o = NULL;
}

void json_put_null(struct json_object **o, const char *key) {
        if (*o && json_object_object_add(*o, key, NULL) != 0) {
                json_object_put(*o);
                *o = NULL;
        }
}

void json_put_string(struct json_object **o, const char *key, const char *text) {
        if (!text) {
                json_put_null(o, key);
                return;
        }
        _cleanup_free_ char *clean = text_clean(text, false);
        json_put(o, key, clean ? json_object_new_string(clean) : NULL);
}

void json_put_exact(struct json_object **o, const char *key, const char *text) {
        size_t n = 0;
        for (size_t k = 1; k > 0 && text[n]; n += k)
                k = utf8_length(text + n);
        if (!text[n]) {
                json_put(o, key, json_object_new_string(text));
                return;
        }
        struct json_object *bytes = json_object_new_array();
        for (const char *c = text; *c; c++)
                json_append(&bytes, json_object_new_int64((unsigned char) *c));
        json_put(o, key, bytes);
}

void json_append(struct json_object **array, struct json_object *item) {
        if (*array && item && json_object_array_add(*array, item) == 0)
                return;
        json_object_put(item);
        json_object_put(*array);
        *array = NULL;
}

void json_append_string(struct json_object **array, const char *text) {
        _cleanup_free_ char *clean = text ? text_clean(text, false) : NULL;
        json_append(array, clean ? json_object_new_string(clean) : NULL);
}

void json_append_null(struct json_object **array) {
        if (*array && json_object_array_add(*array, NULL) != 0) {
                json_object_put(*array);
                *array = NULL;
        }
}

static struct json_object *new_int(uint64_t value) {
        return json_object_new_int64((int64_t) MIN2(value, (uint64_t) INT64_MAX));
}

void json_put_int(struct json_object **o, const char *key, uint64_t value) {
        json_put(o, key, new_int(value));
}

void json_put_bool(struct json_object **o, const char *key, bool value) {
        json_put(o, key, json_object_new_boolean(value));
}

void json_put_number(struct json_object **o, const char *key, double value, unsigned decimals) {
        json_put(o, key, json_new_number(value, decimals));
}

void json_put_nodes(struct json_object **o, const char *key, const struct node_set *nodes) {
        struct json_object *array = json_object_new_array();
        NODE_SET_FOREACH (node, nodes) {
                struct json_object *id = json_object_new_int(node);
                if (!array || !id || json_object_array_add(array, id) != 0) {
                        json_object_put(id);
                        json_object_put(array);
                        array = NULL;
                        break;
                }
        }
        json_put(o, key, array);
}

void json_put_u64s(struct json_object **o, const char *key, const uint64_t *values, size_t n) {
        struct json_object *array = json_object_new_array();
        for (size_t i = 0; array && i < n; i++) {
                struct json_object *number = new_int(values ? values[i] : 0);
                if (!number || json_object_array_add(array, number) != 0) {
                        json_object_put(number);
                        json_object_put(array);
                        array = NULL;
                }
        }
        json_put(o, key, array);
}

struct json_object *json_new_number(double value, unsigned decimals) {
        static const double powers[] = { 1, 10, 100, 1000, 10000, 100000, 1000000 };
        double power = powers[MIN2((size_t) decimals, ARRAY_SIZE(powers) - 1)];
        if (!(value > 0)) /* also NaN */
                value = 0;
        if (value < 1e9) /* larger ones have no decimals worth keeping, and infinity becomes a bound */
                value = (double) (int64_t) (value * power + 0.5) / power;
        else
                value = 1e9;
        return json_new_double_exact(value);
}

struct json_object *json_new_double_exact(double value) {
        char text[FORMAT_NUMBER_MAX];
        struct json_object *o = json_object_new_double(value);
        (void) snprintf(text, sizeof(text), "%.15g", value);
        if (o && strtod(text, NULL) == value)
                /* json-c does not change what userdata points to. */
                json_object_set_serializer(o, json_object_double_to_json_string, (void *) (uintptr_t) "%.15g", NULL);
        return o;
}

uint64_t json_get_u64(struct json_object *o, const char *name) {
        struct json_object *value;
        if (!json_object_object_get_ex(o, name, &value) || !json_object_is_type(value, json_type_int))
                return 0;
        return json_object_get_uint64(value); /* 0 where it is negative */
}

bool json_get_flag(struct json_object *o, const char *name) {
        struct json_object *value;
        return json_object_object_get_ex(o, name, &value) && json_object_get_boolean(value);
}

struct json_object *json_get_list(struct json_object *o, const char *name) {
        struct json_object *value;
        return json_object_object_get_ex(o, name, &value) && json_object_is_type(value, json_type_array) ? value : NULL;
}

const char *json_get_text(struct json_object *o, const char *name) {
        struct json_object *value;
        return json_object_object_get_ex(o, name, &value) && json_object_is_type(value, json_type_string)
                       ? json_object_get_string(value)
                       : NULL;
}

uint64_t json_list_u64(struct json_object *list, size_t i) {
        int64_t n = json_object_get_int64(json_object_array_get_idx(list, i));
        return n > 0 ? (uint64_t) n : 0;
}

int json_get_exact(struct json_object *o, const char *name, char **ret) {
        const char *text = json_get_text(o, name);
        struct json_object *bytes = text ? NULL : json_get_list(o, name);
        if (!text && !bytes)
                return -EBADMSG;
        size_t n = text ? strlen(text) : json_object_array_length(bytes);
        char *copy = calloc(n + 1, 1);
        if (!copy)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                uint64_t byte = text ? (unsigned char) text[i] : json_list_u64(bytes, i);
                if (byte == 0 || byte > UINT8_MAX) {
                        free(copy);
                        return -EBADMSG;
                }
                copy[i] = (char) byte;
        }
        *ret = copy;
        return 0;
}
