/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cpusets of units, through the service manager's SetUnitProperties() (org.freedesktop.systemd1(5)). */
#pragma once

#include <sys/queue.h>
#include <systemd/sd-bus.h>

#include "act/ops.h"

struct unit_change;
LIST_HEAD(unit_change_head, unit_change);

/* Calls that the bus waits for an answer to. */
struct unit_change_list {
        struct unit_change_head open;
        uint64_t limit_usec; /* whoever asked waits no longer; 0: 90 s */
};

/* Asks for AllowedCPUs= and AllowedMemoryNodes= of the unit, as runtime settings: they outlive the service's restart and this process,
 * and end with the next boot. The manager answers before it has written the cgroup. Pending calls are kept in the list.
 * Returns and results as act_ops.set_cpuset. The bus must be attached to an event loop.
 * `over`, once after done(): nobody waits for an answer any more. As a rule that is at once; after -ETIMEDOUT the bus still does (dbus-daemon has
 * no limit of its own for that), until there is one after all or the bus is gone. Where the service manager's own connection ends, as with daemon-reexec,
 * the bus answers for it (NoReply). */
int systemd_set_cpuset(sd_bus *bus, struct unit_change_list *pending, const char *unit, const struct cpuset_change *c,
                       ops_done done, ops_later over, void *userdata);
/* Asks for the unit to be started, and is told that the job was taken, not that it has ended. -ENOENT: there is no such unit. */
int systemd_start_unit(sd_bus *bus, struct unit_change_list *pending, const char *unit, ops_done done, void *userdata);
/* Drops the pending calls; neither done() nor over() is called. */
void systemd_abandon(struct unit_change_list *pending);

/* A set of ids as the manager wants it: bit i%8 of byte i/8, no zero bytes at the end; none at all means "not given".
 * `bytes` must have room for n_words × 8. Returns how many are used. */
size_t systemd_bit_array(const uint64_t *words, size_t n_words, uint8_t *bytes);
