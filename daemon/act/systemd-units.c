/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asking systemd to change a unit's cpuset, or to start one, without ever waiting for it: PID 1 can be busy for long. */
#include "act/systemd-units.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

/* While PID 1 writes cpuset.mems of some unit with memory left behind, which takes seconds for each gigabyte, it answers nobody. */
#define ANSWER_LIMIT_USEC (90 * USEC_PER_SEC)

struct unit_change {
        LIST_ENTRY(unit_change) entry;
        sd_bus_slot *slot;
        sd_event_source *limit;
        ops_done done; /* NULL: told already */
        ops_later over;
        void *userdata;
};

size_t systemd_bit_array(const uint64_t *words, size_t n_words, uint8_t *bytes) {
        size_t used = 0;
        for (size_t i = 0; i < n_words * 8; i++) {
                bytes[i] = (uint8_t) (words[i / 8] >> (i % 8 * 8));
                if (bytes[i])
                        used = i + 1;
        }
        return used;
}

static int append_set(sd_bus_message *m, const char *property, bool is_set, const uint64_t *words, size_t n_words) {
        uint8_t bytes[sizeof(struct cpu_mask)];
        size_t used = is_set ? systemd_bit_array(words, n_words, bytes) : 0;

        int r = sd_bus_message_open_container(m, 'r', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", property);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "ay");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', bytes, used);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_change(sd_bus_message *m, const char *unit, const void *arg) {
        const struct cpuset_change *c = arg;
        const struct cpuset_value *v = &c->value;
        int r = sd_bus_message_append(m, "sb", unit, true /* until the next boot */);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0 && c->change_cpus)
                r = append_set(m, "AllowedCPUs", v->cpus_set, v->cpus.words, ARRAY_SIZE(v->cpus.words));
        if (r >= 0 && c->change_mems)
                r = append_set(m, "AllowedMemoryNodes", v->mems_set, v->mems.words, ARRAY_SIZE(v->mems.words));
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r;
}

static int errno_of(const sd_bus_error *e) {
        /* libsystemd knows the errno of D-Bus's own errors only. */
        if (sd_bus_error_has_name(e, "org.freedesktop.systemd1.NoSuchUnit"))
                return -ENOENT;
        if (sd_bus_error_has_name(e, "org.freedesktop.systemd1.UnitMasked"))
                return -ERFKILL;
        int error = sd_bus_error_get_errno(e);
        return error > 0 ? -error : -EIO;
}

static struct unit_change *unit_change_free(struct unit_change *u) {
        sd_event_source_disable_unref(u->limit);
        sd_bus_slot_unref(u->slot);
        free(u);
        return NULL;
}

/* The last that is heard of it, also when the bus goes. */
static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        struct unit_change *u = userdata;
        int result = sd_bus_message_is_method_error(m, NULL) ? errno_of(sd_bus_message_get_error(m)) : 0;

        LIST_REMOVE(u, entry);
        if (u->done)
                u->done(result, u->userdata);
        if (u->over)
                u->over(u->userdata);
        unit_change_free(u);
        return 0;
}

/* Whoever asked waits no longer. The call stays open, as it does on the bus. */
static int on_limit(sd_event_source *source, uint64_t usec, void *userdata) {
        struct unit_change *u = userdata;
        ops_done done = u->done;
        u->done = NULL;
        done(-ETIMEDOUT, u->userdata);
        return 0;
}

/* A method of the service manager's. `append` gives it its arguments. */
static int call_manager(sd_bus *bus, struct unit_change_list *pending, const char *method,
                        int (*append)(sd_bus_message *m, const char *unit, const void *arg), const char *unit, const void *arg,
                        const struct unit_change *like) {
        uint64_t limit = pending->limit_usec > 0 ? pending->limit_usec : ANSWER_LIMIT_USEC;
        sd_bus_message *m = NULL;
        if (!bus)
                return -ENOTCONN;
        struct unit_change *u = malloc(sizeof(*u));
        if (!u)
                return -ENOMEM;
        *u = *like;

        int r = sd_event_add_time_relative(sd_bus_get_event(bus), &u->limit, CLOCK_MONOTONIC, limit, 0, on_limit, u);
        if (r >= 0)
                r = sd_bus_message_new_method_call(bus, &m, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                                                   "org.freedesktop.systemd1.Manager", method);
        if (r >= 0)
                r = append(m, unit, arg);
        if (r >= 0)
                r = sd_bus_call_async(bus, &u->slot, m, on_answer, u, UINT64_MAX);
        sd_bus_message_unref(m);
        if (r < 0) {
                unit_change_free(u);
                return r;
        }
        LIST_INSERT_HEAD(&pending->open, u, entry);
        return 0;
}

int systemd_set_cpuset(sd_bus *bus, struct unit_change_list *pending, const char *unit, const struct cpuset_change *c,
                       ops_done done, ops_later over, void *userdata) {
        const struct unit_change like = { .done = done, .over = over, .userdata = userdata };
        return call_manager(bus, pending, "SetUnitProperties", append_change, unit, c, &like);
}

static int append_start(sd_bus_message *m, const char *unit, const void *arg) {
        return sd_bus_message_append(m, "ss", unit, "replace");
}

int systemd_start_unit(sd_bus *bus, struct unit_change_list *pending, const char *unit, ops_done done, void *userdata) {
        const struct unit_change like = { .done = done, .userdata = userdata };
        return call_manager(bus, pending, "StartUnit", append_start, unit, NULL, &like);
}

void systemd_abandon(struct unit_change_list *pending) {
        struct unit_change *u;
        while ((u = LIST_FIRST(&pending->open))) {
                LIST_REMOVE(u, entry);
                unit_change_free(u);
        }
}
