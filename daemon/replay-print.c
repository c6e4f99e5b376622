/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Prints what a captured machine's plan is, so that it can be compared with the one that was made there. */
#include "replay-print.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "list-table.h"
#include "report/format.h"
#include "report/journal.h"
#include "report/view.h"

#define EXIT_CONFIG 78 /* EX_CONFIG of sysexits(3) */

static int print_json(const struct replay *r, bool pretty) {
        struct json_object *o = look_json(r->topology, &r->look);
        const char *text = o ? json_object_to_json_string_ext(o, (pretty ? JSON_C_TO_STRING_PRETTY : JSON_C_TO_STRING_PLAIN) |
                                                                         JSON_C_TO_STRING_NOSLASHESCAPE)
                             : NULL;
        int result = text ? 0 : -ENOMEM;
        if (text)
                (void) puts(text);
        json_object_put(o);
        return result;
}

static struct json_object *services_json(const struct replay *r) {
        const struct observation *o = r->look.observation;
        struct json_object *array = json_object_new_array();
        for (size_t i = 0; array && i < o->n_services; i++) {
                const struct placement *p = &r->look.plan->placements[i];
                struct json_object *s = view_service(r->topology, &o->services[i], p, p->state, NULL);
                if (!s || json_object_array_add(array, s) != 0) {
                        json_object_put(s);
                        json_object_put(array);
                        array = NULL;
                }
        }
        return array;
}

static int print_text(const struct replay *r) {
        const struct options options = { .json = JSON_OFF, .legend = true, .colour = false };
        const struct observation *o = r->look.observation;
        struct json_object *services = services_json(r);
        if (!services)
                return -ENOMEM;
        int status = list_table_print(services, &options);
        json_object_put(services);
        if (status != 0)
                return -EIO;
        (void) printf("\nWhat was decided then:\n");
        for (size_t i = 0; i < o->n_services; i++) {
                if (!o->services[i].rule)
                        continue;
                const struct placement *p = &r->look.plan->placements[i];
                _cleanup_free_ char *unit = text_clean(o->services[i].unit, false), *reason = text_clean(p->reason, false);
                (void) printf("  %s: %s: %s\n", unit ? unit : "?", service_state_to_string(p->state), reason ? reason : "?");
        }
        return 0;
}

static const char *explain(int error) {
        switch (error) {
        case -ENOENT: return "it is not whole (was the archive cut short?)";
        case -EFBIG: return "what it says of its services is more than any capture has";
        case -EBADMSG:
        case -EINVAL: return "it is damaged, or of another version of numabalanced";
        default: return strerror(-error);
        }
}

int replay_print(const char *root, const char *config_file, const char *json) {
        struct replay replay;
        _cleanup_free_ char *why = NULL;
        int r = replay_run(root, config_file, &replay, &why);
        if (r == -EBADMSG && why) { /* one error a line, as --check prints them */
                (void) fprintf(stderr, "%s\n", why);
                return EXIT_CONFIG;
        }
        if (r < 0) {
                log_error(r, "Cannot decide again upon the capture below %s: %s", root, why ? why : explain(r));
                return EXIT_FAILURE;
        }
        r = json ? print_json(&replay, strcmp(json, "pretty") == 0) : print_text(&replay);
        replay_done(&replay);
        if (r == 0 && fflush(stdout) != 0)
                r = -errno;
        return r < 0 ? log_error(r, "Cannot print the plan: %s", strerror(-r)), EXIT_FAILURE : EXIT_SUCCESS;
}
