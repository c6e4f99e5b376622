/* SPDX-License-Identifier: GPL-2.0-or-later */
/* json-c's own strict mode is not used: since 0.18 it takes every byte above 0x7f in a string for a control character, where char is
 * signed, and one name like that would make the whole file unreadable. What else it refuses is looked at by who reads the values. */
#include "act/json-text.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <string.h>

int json_at_start(const char *text, size_t size, int depth, struct json_object **ret, size_t *ret_end) {
        if (size >= INT_MAX)
                return -EBADMSG;
        struct json_tokener *tokener = json_tokener_new_ex(depth);
        if (!tokener)
                return -ENOMEM;
        struct json_object *o = json_tokener_parse_ex(tokener, text, (int) size);
        *ret_end = json_tokener_get_parse_end(tokener);
        json_tokener_free(tokener);
        *ret = o;
        return o ? 0 : -EBADMSG;
}

int json_of_text(const char *text, size_t size, int depth, struct json_object **ret) {
        struct json_object *o;
        size_t end;
        int r = json_at_start(text, size, depth, &o, &end);
        if (r < 0)
                return r;
        while (end < size && strchr(" \t\r\n", text[end]) && text[end] != 0)
                end++;
        if (end != size) {
                json_object_put(o);
                return -EBADMSG;
        }
        *ret = o;
        return 0;
}
