/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asking the manager over its bus: one question at a time, and reading what it answered. */
#pragma once

#include "manager-fixture.h"

extern struct json_object *answer; /* to the last question; NULL: none, or an error */
extern char error_name[128];       /* the error's; "" without one */
extern bool answered;

/* Asks, and lets happen what is due at once; the answer may come later. `types` and what follows as of sd_bus_message_append(3); NULL: no arguments. */
void ask(const char *member, const char *types, ...);
int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error); /* the callback for it */
const char *text_at(struct json_object *o, const char *key);           /* "" where it has no such key */
int64_t number_at(struct json_object *o, const char *key);             /* -1 where it has none */
