/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where entries go: the journal with all fields (systemd's native protocol, https://systemd.io/JOURNAL_NATIVE_PROTOCOL), or standard error in
 * words. Called from the event loop's thread only. */
#define SD_JOURNAL_SUPPRESS_LOCATION /* we pass CODE_… of who logs, not of this file */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "report/entry.h"
#include "report/format.h"
#include "report/journal.h"

/* How long a line waits for the reader of standard error. */
#define CONSOLE_WAIT_MSEC 200
/* Longest line on the console: a pipe takes this much at once or nothing (pipe(7), PIPE_BUF), so that a write after poll() does not block. */
#define CONSOLE_LINE_MAX 4096u

static enum log_target log_target = LOG_TARGET_CONSOLE;
static int log_max_priority = LOG_INFO;
static bool console_is_journal;
static unsigned n_lost;
static log_sink log_diverted;
static void *log_diverted_userdata;

/* Is standard error the stream that the service manager connected to the journal (systemd.exec(5), $JOURNAL_STREAM)? */
static bool stderr_is_journal(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        struct stat st;
        if (!stream || fstat(STDERR_FILENO, &st) < 0)
                return false;
        _cleanup_free_ char *ours = format_string("%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
        return ours && strcmp(ours, stream) == 0;
}

void log_open(enum log_target target, int max_priority) {
        log_target = target;
        log_max_priority = max_priority;
        console_is_journal = stderr_is_journal();
        n_lost = 0;
}

/* ---- an entry ---- */

void log_divert(log_sink sink, void *userdata) {
        log_diverted = sink;
        log_diverted_userdata = userdata;
}

static void put_field(struct log_entry *e, char *field) {
        if (!field || e->n_fields == ARRAY_SIZE(e->fields)) {
                e->failed = true;
                free(field);
                return;
        }
        e->fields[e->n_fields++] = field;
}

/* The build may name files by any path; what is left of it is the same everywhere. */
static const char *source_name(const char *file) {
        const char *name = strstr(file, "daemon/");
        return name ? name : file;
}

void log_entry_init(struct log_entry *e, int priority, const char *id, const char *file, int line, const char *function) {
        *e = (struct log_entry) { .priority = priority };
        put_field(e, format_string("PRIORITY=%d", priority));
        put_field(e, format_string("SYSLOG_IDENTIFIER=numabalanced"));
        put_field(e, format_string("CODE_FILE=%s", source_name(file)));
        put_field(e, format_string("CODE_LINE=%d", line));
        put_field(e, format_string("CODE_FUNC=%s", function));
        if (id)
                put_field(e, format_string("MESSAGE_ID=%s", id));
}

static _printf_(1, 0) char *format_va(const char *format, va_list args) {
        char *text;
        return vasprintf(&text, format, args) < 0 ? NULL : text;
}

void log_entry_put(struct log_entry *e, const char *key, const char *format, ...) {
        va_list args;
        va_start(args, format);
        _cleanup_free_ char *raw = format_va(format, args), *value = raw ? text_clean(raw, false) : NULL;
        va_end(args);
        put_field(e, value ? format_string("%s=%s", key, value) : NULL);
}

void log_entry_say(struct log_entry *e, const char *format, ...) {
        va_list args;
        va_start(args, format);
        _cleanup_free_ char *raw = format_va(format, args), *text = raw ? text_clean(raw, false) : NULL;
        va_end(args);
        if (text)
                strbuf_append(&e->message, text);
        else
                e->failed = true;
}

void log_entry_break(struct log_entry *e) {
        strbuf_append(&e->message, "\n");
}

/* ---- console ---- */

static const char *priority_word(int priority) {
        return priority <= LOG_ERR ? "error: " : priority == LOG_WARNING ? "warning: " : priority == LOG_DEBUG ? "debug: " : "";
}

/* Writes one line or, where nobody reads, nothing. */
static bool write_line(const char *line, size_t n) {
        struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
        if (poll(&p, 1, CONSOLE_WAIT_MSEC) <= 0 || !(p.revents & POLLOUT))
                return false;
        ssize_t w;
        do
                w = write(STDERR_FILENO, line, n);
        while (w < 0 && errno == EINTR);
        return w >= 0; /* a short write, on a full disk, is not worth a loop that could hang */
}

static void console_line(int priority, const char *word, const char *text, size_t n) {
        char prefix[8] = "", line[CONSOLE_LINE_MAX];
        if (console_is_journal)
                (void) snprintf(prefix, sizeof(prefix), "<%d>", priority);
        int length = snprintf(line, sizeof(line), "%s%s%.*s", prefix, console_is_journal ? "" : word,
                              (int) MIN2(n, (size_t) CONSOLE_LINE_MAX), text);
        size_t used = MIN2((size_t) MAX2(length, 0), sizeof(line) - 1);
        line[used++] = '\n'; /* in the place of the terminating zero, if it comes to that */
        if (!write_line(line, used))
                n_lost++;
}

static void console_send(int priority, const char *message) {
        if (n_lost > 0) {
                char text[64];
                unsigned lost = n_lost;
                n_lost = 0;
                int n = snprintf(text, sizeof(text), "%u lines were lost, nobody read them", lost);
                console_line(LOG_WARNING, priority_word(LOG_WARNING), text, (size_t) n);
                if (n_lost > 0)
                        n_lost = lost; /* still nobody there */
        }
        const char *word = priority_word(priority);
        for (const char *s = message;;) {
                size_t n = strcspn(s, "\n");
                console_line(priority, word, s, n);
                if (!s[n])
                        return;
                s += n + 1;
                word = "  ";
        }
}

/* ---- sending ---- */

static void journal_send(struct log_entry *e, const char *message) {
        put_field(e, format_string("MESSAGE=%s", message));
        struct iovec iov[ARRAY_SIZE(e->fields)];
        for (size_t i = 0; i < e->n_fields; i++)
                iov[i] = (struct iovec) { .iov_base = e->fields[i], .iov_len = strlen(e->fields[i]) };
        /* Where there is no journal at all sd_journal_sendv() succeeds: who opens the log sees to that. */
        if (sd_journal_sendv(iov, (int) e->n_fields) < 0)
                console_send(e->priority, message);
}

void log_entry_send(struct log_entry *e) {
        if (e->priority <= log_max_priority) {
                _cleanup_free_ char *said = strbuf_steal(&e->message);
                const char *message = said ? said : "Out of memory while logging";
                if (log_diverted)
                        log_diverted(e->priority, message, e->fields, e->n_fields, log_diverted_userdata);
                else if (log_target == LOG_TARGET_JOURNAL)
                        journal_send(e, message);
                else
                        console_send(e->priority, message);
        }
        strbuf_done(&e->message);
        for (size_t i = 0; i < e->n_fields; i++)
                free(e->fields[i]);
        e->n_fields = 0;
}

int log_internal(int priority, int error, const char *file, int line, const char *function, const char *format, ...) {
        if (priority > log_max_priority)
                return error;
        struct log_entry e;
        log_entry_init(&e, priority, NULL, file, line, function);
        if (error < 0)
                log_entry_put(&e, "ERRNO", "%" PRId64, -(int64_t) error);
        va_list args;
        va_start(args, format);
        _cleanup_free_ char *text = format_va(format, args);
        va_end(args);
        log_entry_say(&e, "%s", text ? text : format);
        log_entry_send(&e);
        return error;
}
