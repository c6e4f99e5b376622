/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asking the manager over its bus: see manager-asking.h. */
#include "manager-asking.h"

#include <stdio.h>

#include "report/bus-names.h"

struct json_object *answer;
char error_name[128];
bool answered;

int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        (void) snprintf(error_name, sizeof(error_name), "%s", e ? e->name : "");
        if (!e && !sd_bus_message_is_empty(m))
                assert_int_equal(bus_read_json(m, &answer), 0);
        answered = true;
        return 0;
}

void ask(const char *member, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        va_list args;
        json_object_put(answer);
        answer = NULL;
        answered = false;
        assert_true(sd_bus_message_new_method_call(fx.client, &m, NULL, BUS_PATH, BUS_INTERFACE, member) >= 0);
        va_start(args, types);
        assert_true(!types || sd_bus_message_appendv(m, types, args) >= 0);
        va_end(args);
        assert_true(sd_bus_call_async(fx.client, NULL, m, on_answer, NULL, 0) >= 0);
        fx_settle();
}

const char *text_at(struct json_object *o, const char *key) {
        struct json_object *value;
        return json_object_object_get_ex(o, key, &value) ? json_object_get_string(value) : "";
}

int64_t number_at(struct json_object *o, const char *key) {
        struct json_object *value;
        return json_object_object_get_ex(o, key, &value) ? json_object_get_int64(value) : -1;
}
