/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon on the system bus (names in bus-names.h): reading for everyone, changing for root.
 * Knows nothing of the manager: it is given a table of callbacks. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-bus.h>

struct bus_callbacks {
        struct json_object *(*status)(void *userdata); /* object */
        struct json_object *(*list)(void *userdata);   /* array of objects */
        struct json_object *(*explain)(const char *unit,
                                       void *userdata);  /* object, NULL: no such service (errno ENOENT) or no memory */
        int (*reload)(char **ret_error, void *userdata); /* negative: kept the old one; error text for the caller */
        int (*pause)(bool paused, void *userdata);
        /* Restores one unit (or all where unit is ""); answers the message later by bus_reply_restore(). -ENOENT: nothing of that name is on
         * record, -EBUSY: another restore runs, -EPERM: this daemon does not hold the lock. */
        int (*restore)(const char *unit, sd_bus_message *call, void *userdata);
        /* These two answer by bus_reply_object(), perhaps later: the next plan, not applied; and where a service of that size should start
         * (ranges are checked already). -EBUSY: too many ask. */
        int (*plan)(sd_bus_message *call, void *userdata);
        int (*advise)(uint64_t mcpu, uint64_t bytes, sd_bus_message *call, void *userdata);
        struct json_object *(*history)(const char *unit,
                                       void *userdata);    /* array of objects; "": of all units. NULL: no memory */
        struct json_object *(*remembered)(void *userdata); /* what the planner remembers, for a capture; NULL: no memory */
};

/* Publishes the object and takes the name; on a connection without a bus daemon (tests) there is no name to take. `callbacks` must stay valid.
 * Returns 0 or negative errno: -EEXIST when another one has the name, -EACCES when the bus policy is not installed. Does not log. */
struct bus_service;
int bus_service_new(sd_bus *bus, const struct bus_callbacks *callbacks, void *userdata, struct bus_service **ret);
struct bus_service *bus_service_free(struct bus_service *b);
/* Answers a Restore() call with an array of {unit, cgroup, outcome, detail}. */
int bus_reply_restore(sd_bus_message *call, struct json_object *results);
/* Answers a call with an object, or, where it does not fit into a message, with an error; takes the object. NULL: out of memory. */
int bus_reply_object(sd_bus_message *call, struct json_object *object);
/* For answers that take long and come later: what those who are not root may cost the daemon is limited. Between begin and end the CPU time of
 * this thread is counted; false: used up, and this caller is not root. `b` NULL: no limit. */
#define BUS_BUSY_TEXT "Too much is being asked; try again in a few seconds"
bool bus_may_answer(struct bus_service *b, sd_bus_message *call);
uint64_t bus_answer_begin(void);
void bus_answer_end(struct bus_service *b, uint64_t began);
int bus_reply_error(sd_bus_message *call, int error, const char *text); /* negative errno */

/* JSON ⇄ D-Bus, shared by the client and the daemon: integers x, doubles d, booleans b, strings s, arrays av, objects a{sv}. null members of
 * objects and null elements of arrays are left out; integers past 63 bits are capped; texts that are no UTF-8 are cleaned, because D-Bus refuses them. */
int bus_append_json(sd_bus_message *m, struct json_object *value);           /* as one variant */
int bus_append_json_object(sd_bus_message *m, struct json_object *object);   /* as a{sv} */
int bus_append_json_objects(sd_bus_message *m, struct json_object *objects); /* an array of objects as aa{sv} */
/* Reads the next value of a message: a variant, a basic type, an array or a dictionary with string keys. The caller puts it.
 * -ENODATA: at the end; -EBADMSG: a type with no counterpart in JSON, or nested too deep. */
int bus_read_json(sd_bus_message *m, struct json_object **ret);

/* As many bytes as the value takes in a message as one variant; more only for texts that must be cleaned. The bus disconnects who sends more than 32 MiB. */
size_t bus_json_size(struct json_object *value);
#define BUS_REPLY_BYTES_MAX (16u << 20)
