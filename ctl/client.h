/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls to the daemon over the system bus (report/bus-names.h). */
#pragma once

#include <stdint.h>
#include <systemd/sd-bus.h>

#include "ctl.h"

/* Calls a method of the daemon's interface with arguments as sd_bus_message_append(3) takes them; types NULL: none. `ret` NULL: the answer has no content; otherwise its
 * first value, to be put. `ret_error`, where not NULL, gets the daemon's text for what is wrong with its configuration, to be freed, and nothing
 * is printed of that. timeout_usec 0: the default of 25 s. Returns EXIT_SUCCESS, or what to exit with, said: EXIT_NOT_RUNNING without a bus or a
 * daemon, EXIT_CONFIG where the daemon refused a configuration, EXIT_FAILURE else. */
int client_call(const char *member, uint64_t timeout_usec, struct json_object **ret, char **ret_error, const char *types, ...);
/* Has the daemon switched the kernel's own balancing off, and what was it before? False also where nobody can be asked. Says nothing. */
bool client_balancing_before(uint64_t *ret);
/* The one file that the running daemon has its configuration from (its --config), to be freed; NULL: it reads the standard places, or there is none, or it is too old to say. That
 * it runs and does not answer is said. 0 or -ENOMEM. */
int client_config_file(char **ret);
/* Is there a daemon to ask? Says nothing. */
bool client_is_running(void);
/* The system bus, for what is nice to know: two seconds for opening it and for each call. 0, -ETIMEDOUT: it does not answer, or another negative errno. Says
 * nothing. */
int client_open_aside(sd_bus **ret);
