/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One journal entry while it is put together: fields, and a sentence for people. Inside of report/. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/util.h"

struct log_entry {
        int priority;
        char *fields[48]; /* "KEY=value" */
        size_t n_fields;
        struct strbuf message; /* several lines where log_entry_break() made them */
        bool failed;           /* out of memory: the message is still said, fields may be missing */
};

/* Starts an entry; CODE_… tell the caller. `id` may be NULL. */
#define log_entry_begin(e, priority, id) log_entry_init((e), (priority), (id), __FILE__, __LINE__, __func__)
void log_entry_init(struct log_entry *e, int priority, const char *id, const char *file, int line, const char *function);
/* A field, cleaned (text_clean) like the sentence: the journal could carry whatever it holds, but "journalctl -x" puts it as it is into the catalog's text. */
void log_entry_put(struct log_entry *e, const char *key, const char *format, ...) _printf_(3, 4);
/* Appends to the sentence, cleaned (text_clean): what it is made of can be chosen by a process, and must not forge lines or drive a terminal. */
void log_entry_say(struct log_entry *e, const char *format, ...) _printf_(2, 3);
/* Begins a further line of the same entry. */
void log_entry_break(struct log_entry *e);
/* Sends it to the target of log_open() where its priority is wanted, and frees it. */
void log_entry_send(struct log_entry *e);
