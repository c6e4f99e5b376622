/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The service manager's signals wake us early: a unit that a rule can match has come, was started anew, or is gone. */
#include <string.h>

#include "manager.h"
#include "report/journal.h"

static void wake_for(struct manager *m, const char *unit) {
        const char *dot = strrchr(unit, '.');
        if (dot && (strcmp(dot, ".service") == 0 || strcmp(dot, ".scope") == 0) && config_may_match_unit(m->config->config, unit))
                manager_wake_by_event(m, WAKE_UNIT, unit);
}

/* UnitNew(s id, o unit), UnitRemoved(s id, o unit) */
static int on_unit(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *unit;
        if (sd_bus_message_read_basic(message, 's', &unit) >= 0)
                wake_for(userdata, unit);
        return 0;
}

/* JobRemoved(u id, o job, s unit, s result): a unit that stays loaded, as managed ones mostly do, is started and stopped without being new. */
static int on_job(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *unit;
        uint32_t id;
        if (sd_bus_message_read(message, "uos", &id, NULL, &unit) >= 0)
                wake_for(userdata, unit);
        return 0;
}

static int on_subscribed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(message);
        if (e)
                log_warning(0, "The service manager does not tell of new units, they are seen at the next cycle: %s", e->message);
        return 0;
}

int manager_watch_units(struct manager *m) {
        static const char destination[] = "org.freedesktop.systemd1", path[] = "/org/freedesktop/systemd1",
                          interface[] = "org.freedesktop.systemd1.Manager";
        static const struct {
                const char *member;
                sd_bus_message_handler_t handler;
        } signals[] = { { "UnitNew", on_unit }, { "UnitRemoved", on_unit }, { "JobRemoved", on_job } };
        if (!m->host->has_systemd)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
                int r = sd_bus_match_signal_async(m->bus, NULL, destination, path, interface, signals[i].member,
                                                  signals[i].handler, NULL, m);
                if (r < 0)
                        return r;
        }
        return sd_bus_call_method_async(m->bus, NULL, destination, path, interface, "Subscribe", on_subscribed, m, NULL);
}
