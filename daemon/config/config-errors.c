/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Complaints. Those of one file are kept in the order of their places, since a contradiction is found only after the keys behind it
 * were read; and only the first of them, since one missing indentation can bring hundreds. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "config/config-private.h"
#include "core/text.h"

void config_errors_done(struct config_errors *e) {
        for (size_t i = 0; i < e->n_lines; i++)
                free(e->lines[i]);
        free(e->lines);
        *e = (struct config_errors) { 0 };
}

/* A file's name can hold anything, and a captured tree is somebody else's: what is told of it goes to terminals, JSON and D-Bus. */
int config_errors_add(struct config_errors *errors, char *line) {
        _cleanup_free_ char *text = line, *clean = text ? text_clean(text, false) : NULL;
        char **lines = clean ? reallocarray(errors->lines, errors->n_lines + 1, sizeof(*lines)) : NULL;
        if (!lines)
                return -ENOMEM;
        errors->lines = lines;
        errors->lines[errors->n_lines++] = TAKE_PTR(clean);
        return 0;
}

static bool position_before(struct position a, struct position b) {
        return a.line != b.line ? a.line < b.line : a.column < b.column;
}

/* Takes ownership of the text. */
static void error_list_insert(struct error_list *l, struct position at, char *text) {
        size_t i = l->n_entries;
        l->n_found++;
        while (i > 0 && position_before(at, l->entries[i - 1].at))
                i--;
        if (i == ARRAY_SIZE(l->entries)) {
                free(text);
                return;
        }
        if (l->n_entries == ARRAY_SIZE(l->entries))
                free(l->entries[--l->n_entries].text);
        memmove(&l->entries[i + 1], &l->entries[i], (l->n_entries - i) * sizeof(l->entries[0]));
        l->entries[i] = (struct error_entry) { .at = at, .text = text };
        l->n_entries++;
}

bool error_note(struct config_file *f, struct position at, const char *format, ...) {
        char *text = NULL;
        va_list args;
        va_start(args, format);
        int n = vasprintf(&text, format, args);
        va_end(args);
        if (n < 0)
                return false;
        error_list_insert(&f->errors, at, text);
        return true;
}

int config_file_flush_errors(struct config_file *f, struct config_errors *errors) {
        const struct error_list *l = &f->errors;
        for (size_t i = 0; i < MIN2(l->n_entries, CONFIG_ERRORS_MAX); i++) {
                const struct error_entry *e = &l->entries[i];
                int r = config_errors_add(errors, format_string("%s:%u:%u: %s", f->name, e->at.line, e->at.column, e->text));
                if (r < 0)
                        return r;
        }
        if (l->n_found > CONFIG_ERRORS_MAX) {
                struct position at = l->entries[CONFIG_ERRORS_MAX].at;
                size_t n_more = l->n_found - CONFIG_ERRORS_MAX;
                int r = config_errors_add(errors, format_string("%s:%u:%u: … and %zu more error%s from here on", f->name, at.line,
                                                                at.column, n_more, n_more == 1 ? "" : "s"));
                if (r < 0)
                        return r;
        }
        error_list_done(&f->errors);
        return 0;
}

void error_list_done(struct error_list *l) {
        for (size_t i = 0; i < l->n_entries; i++)
                free(l->entries[i].text);
        *l = (struct error_list) { 0 };
}

char *quote_text(const char *text, size_t length) {
        const size_t limit = 64;
        size_t shown = length;
        if (shown > limit) {
                shown = limit;
                /* not in the middle of a character */
                while (shown > 0 && ((unsigned char) text[shown] & 0xc0) == 0x80)
                        shown--;
        }
        struct strbuf b = { 0 };
        strbuf_append(&b, "\"");
        for (size_t i = 0; i < shown; i++) {
                unsigned char c = (unsigned char) text[i];
                if (c == '\n')
                        strbuf_append(&b, "\\n");
                else if (c == '\t')
                        strbuf_append(&b, "\\t");
                else if (c < 0x20 || c == 0x7f)
                        strbuf_printf(&b, "\\x%02x", c);
                else if (c == 0xc2 && i + 1 < shown && (unsigned char) text[i + 1] < 0xa0) /* C1 controls, U+0080…9F */
                        strbuf_printf(&b, "\\x%02x", (unsigned char) text[++i]);
                else
                        strbuf_printf(&b, "%c", c);
        }
        strbuf_append(&b, shown < length ? "…\"" : "\"");
        return strbuf_steal(&b);
}

#define WORD_MAX 24u

/* Edit distance where two neighbours exchanged count as one mistake (optimal string alignment), case ignored. */
static unsigned edit_distance(const char *a, size_t na, const char *b, size_t nb) {
        unsigned d[WORD_MAX + 1][WORD_MAX + 1];
        for (size_t i = 0; i <= na; i++)
                d[i][0] = (unsigned) i;
        for (size_t j = 0; j <= nb; j++)
                d[0][j] = (unsigned) j;
        for (size_t i = 1; i <= na; i++)
                for (size_t j = 1; j <= nb; j++) {
                        int ca = tolower((unsigned char) a[i - 1]), cb = tolower((unsigned char) b[j - 1]);
                        unsigned best = d[i - 1][j - 1] + (ca != cb);
                        best = MIN2(best, d[i - 1][j] + 1);
                        best = MIN2(best, d[i][j - 1] + 1);
                        if (i > 1 && j > 1 && ca == tolower((unsigned char) b[j - 2]) && cb == tolower((unsigned char) a[i - 2]))
                                best = MIN2(best, d[i - 2][j - 2] + 1);
                        d[i][j] = best;
                }
        return d[na][nb];
}

const char *suggest_word(const char *word, const char *const *words, size_t n_words) {
        size_t length = strlen(word);
        if (length < 2 || length > WORD_MAX)
                return NULL;
        const char *best = NULL;
        unsigned best_distance = length <= 3 ? 2 : 3; /* less than this */
        for (size_t i = 0; i < n_words; i++) {
                size_t n = strlen(words[i]);
                if (n > WORD_MAX)
                        continue;
                unsigned distance = edit_distance(word, length, words[i], n);
                if (distance < best_distance) {
                        best = words[i];
                        best_distance = distance;
                }
        }
        for (size_t i = 0; i < n_words && !best; i++) /* "mem" for "memory" */
                if (length >= 3 && strncmp(word, words[i], length) == 0)
                        best = words[i];
        return best;
}
