/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numabalancectl reload: the daemon reads its configuration again, and its objections come back to who asked. */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "out.h"
#include "report/json.h"

/* Each line of the text is one error. */
static struct json_object *answer_json(const char *error) {
        struct json_object *o = json_object_new_object(), *lines = json_object_new_array();
        json_put_bool(&o, "reloaded", !error);
        for (const char *s = error; lines && s && *s;) {
                size_t n = strcspn(s, "\n");
                struct json_object *line = json_object_new_string_len(s, (int) n);
                if (!line || json_object_array_add(lines, line) != 0) {
                        json_object_put(line);
                        json_object_put(lines);
                        lines = NULL;
                }
                s += n + (s[n] == '\n');
        }
        json_put(&o, "errors", lines);
        return o;
}

static int run(char **arguments, const struct options *o) {
        _cleanup_free_ char *error = NULL;
        int r = client_call("Reload", 0, NULL, o->json == JSON_OFF ? NULL : &error, NULL);
        if (o->json == JSON_OFF || (r != EXIT_SUCCESS && r != EXIT_CONFIG))
                return r;
        _cleanup_json_ struct json_object *answer = answer_json(error);
        if (!answer)
                return out_error(EXIT_FAILURE, "out of memory");
        int written = out_json(answer, o);
        return r != EXIT_SUCCESS ? r : written;
}

const struct verb verb_reload = {
        .name = "reload",
        .arguments = "",
        .summary = "read the configuration again",
        .help = "Lets the daemon read its configuration again. With any error in it the daemon keeps the one that it has, the "
                "errors are printed and "
                "the exit status is 78.",
        .run = run,
};
