/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numabalancectl pause, resume: whether anything is changed. */
#include <stdbool.h>

#include "client.h"
#include "out.h"
#include "report/json.h"

static int set_paused(bool paused, const struct options *o) {
        int r = client_call("Pause", 0, NULL, NULL, "b", (int) paused);
        if (r != EXIT_SUCCESS || o->json == JSON_OFF)
                return r;
        _cleanup_json_ struct json_object *answer = json_object_new_object();
        json_put_bool(&answer, "paused", paused);
        return answer ? out_json(answer, o) : out_error(EXIT_FAILURE, "out of memory");
}

static int run_pause(char **arguments, const struct options *o) {
        return set_paused(true, o);
}

static int run_resume(char **arguments, const struct options *o) {
        return set_paused(false, o);
}

const struct verb verb_pause = {
        .name = "pause",
        .arguments = "",
        .summary = "change nothing until resume",
        .help = "Stops what is being moved and changes nothing more until \"resume\"; services are still observed. Cpusets stay "
                "as they are.",
        .run = run_pause,
};

const struct verb verb_resume = {
        .name = "resume",
        .arguments = "",
        .summary = "go on after pause or restore",
        .help = "Goes on after \"pause\", and places again what \"restore\" gave back.",
        .run = run_resume,
};
