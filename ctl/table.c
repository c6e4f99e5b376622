/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A table from an array of JSON objects and a description of its columns, laid out by libsmartcols. Which columns a narrow terminal can have at all, and
 * where long texts are cut, is chosen here: libsmartcols would leave six characters of each name, to have more of a long reason. */
#include "table.h"

#include <libsmartcols.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#include "core/text.h"
#include "out.h"

/* A column that can be cut still says something with so many characters. */
#define SHRUNK_WIDTH 20u

struct cells {
        char **text; /* rows × columns */
        size_t n_rows, n_columns;
        size_t *width; /* by column, in terminal cells; 0: left out */
};

static void cells_done(struct cells *c) {
        for (size_t i = 0; c->text && i < c->n_rows * c->n_columns; i++)
                free(c->text[i]);
        free(c->text);
        free(c->width);
}

static void table_unrefp(struct libscols_table **t) {
        scols_unref_table(*t);
}

/* The next character: its bytes, and the terminal cells that it takes. False: the locale cannot show it. */
static bool next_character(const char *text, size_t *ret_bytes, size_t *ret_cells) {
        mbstate_t state = { 0 };
        wchar_t c;
        size_t n = mbrtowc(&c, text, strnlen(text, MB_LEN_MAX), &state);
        bool known = n != (size_t) -1 && n != (size_t) -2;
        int width = known && iswprint((wint_t) c) ? wcwidth(c) : -1;
        *ret_bytes = known ? n : 1;
        *ret_cells = (size_t) MAX2(width, 0);
        return width >= 0;
}

/* As this terminal can show it: what is left is \xNN, byte by byte. */
static char *printable(const char *text) {
        struct strbuf b = { 0 };
        const char *rest = text;
        size_t n, width;
        while (*rest && next_character(rest, &n, &width))
                rest += n;
        if (!*rest)
                return strdup(text);
        for (; *text; text += n)
                if (next_character(text, &n, &width))
                        strbuf_printf(&b, "%.*s", (int) n, text);
                else
                        for (size_t i = 0; i < n; i++)
                                strbuf_printf(&b, "\\x%02x", (unsigned char) text[i]);
        return strbuf_steal(&b);
}

static char *cell_text(const struct column *c, struct json_object *row) {
        const char *s = c->text ? NULL : get_string(row, c->key);
        _cleanup_free_ char *made = c->text ? c->text(row) : strdup(s && *s ? s : "-");
        _cleanup_free_ char *clean = made ? text_clean(made, false) : NULL;
        return clean ? printable(clean) : NULL;
}

/* In terminal cells. */
static size_t width_of(const char *text) {
        size_t sum = 0;
        for (size_t n, width; *text; text += n) {
                (void) next_character(text, &n, &width);
                sum += width;
        }
        return sum;
}

static void cut(char *text, size_t cells) {
        size_t sum = 0;
        for (size_t n, width; *text; text += n) {
                (void) next_character(text, &n, &width);
                sum += width;
                if (sum > cells)
                        *text = n = 0;
        }
}

static int make_cells(const struct column *columns, size_t n_columns, struct json_object *rows, struct cells *c) {
        c->n_rows = array_length(rows);
        c->n_columns = n_columns;
        c->text = calloc(c->n_rows * n_columns + 1, sizeof(*c->text));
        c->width = calloc(n_columns + 1, sizeof(*c->width));
        if (!c->text || !c->width)
                return -ENOMEM;
        for (size_t k = 0; k < n_columns; k++)
                c->width[k] = width_of(columns[k].name);
        for (size_t i = 0; i < c->n_rows; i++)
                for (size_t k = 0; k < n_columns; k++) {
                        char *text = cell_text(&columns[k], json_object_array_get_idx(rows, i));
                        if (!text)
                                return -ENOMEM;
                        c->text[i * n_columns + k] = text;
                        c->width[k] = MAX2(c->width[k], width_of(text));
                }
        return 0;
}

/* How wide a line is where no column that can be cut is wider than `limit`, but for its heading. */
static size_t line_width(const struct column *columns, const struct cells *c, size_t limit) {
        size_t sum = 0;
        for (size_t k = 0; k < c->n_columns; k++)
                if (c->width[k] > 0)
                        sum += 1 + (columns[k].shrink ? MIN2(c->width[k], MAX2(limit, strlen(columns[k].name))) : c->width[k]);
        return sum > 0 ? sum - 1 : 0;
}

/* Leaves out what does not fit, in the columns' own order. */
static void choose_columns(const struct column *columns, struct cells *c, size_t terminal) {
        while (line_width(columns, c, SHRUNK_WIDTH) > terminal) {
                ssize_t first = -1;
                for (size_t k = 0; k < c->n_columns; k++)
                        if (columns[k].drop > 0 && c->width[k] > 0 && (first < 0 || columns[k].drop < columns[first].drop))
                                first = (ssize_t) k;
                if (first < 0)
                        return;
                c->width[first] = 0;
        }
}

/* Cuts texts so that lines fit: the widest columns to the same width, those that have less keep it. */
static void cut_columns(const struct column *columns, struct cells *c, size_t terminal) {
        size_t limit = terminal;
        while (limit > 0 && line_width(columns, c, limit) > terminal)
                limit--;
        for (size_t k = 0; k < c->n_columns; k++)
                for (size_t i = 0; i < c->n_rows && columns[k].shrink; i++)
                        cut(c->text[i * c->n_columns + k], MAX2(limit, strlen(columns[k].name)));
}

/* Of the terminal that standard output is; 0: it is none, and nothing needs to fit. */
static size_t terminal_width(void) {
        struct winsize size;
        return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static int add_row(struct libscols_table *table, const struct column *columns, struct cells *c, size_t i,
                   struct json_object *row) {
        struct libscols_line *line = scols_table_new_line(table, NULL);
        size_t at = 0;
        if (!line)
                return -ENOMEM;
        for (size_t k = 0; k < c->n_columns; k++) {
                if (c->width[k] == 0)
                        continue;
                char **text = &c->text[i * c->n_columns + k];
                int r = scols_line_refer_data(line, at, *text);
                if (r != 0)
                        return r;
                *text = NULL; /* the table's from now on */
                const char *colour = columns[k].colour ? columns[k].colour(row) : NULL;
                if (colour && (r = scols_cell_set_color(scols_line_get_cell(line, at), colour)) != 0)
                        return r;
                at++;
        }
        return 0;
}

static int fill(struct libscols_table *table, const struct column *columns, struct cells *c, struct json_object *rows) {
        for (size_t k = 0; k < c->n_columns; k++) {
                int flags = (columns[k].right ? SCOLS_FL_RIGHT : 0) | (columns[k].shrink ? SCOLS_FL_TRUNC : 0);
                if (c->width[k] == 0)
                        continue;
                struct libscols_column *column = scols_table_new_column(table, columns[k].name, 0, flags);
                if (!column)
                        return -ENOMEM;
        }
        for (size_t i = 0; i < c->n_rows; i++) {
                int r = add_row(table, columns, c, i, json_object_array_get_idx(rows, i));
                if (r < 0)
                        return r;
        }
        return 0;
}

int table_print(const struct column *columns, size_t n_columns, struct json_object *rows, const struct options *o) {
        _cleanup_(table_unrefp) struct libscols_table *table = scols_new_table();
        _cleanup_(cells_done) struct cells c = { 0 };
        if (!table || make_cells(columns, n_columns, rows, &c) < 0)
                return out_error(EXIT_FAILURE, "out of memory");
        size_t terminal = terminal_width();
        if (terminal > 0) {
                choose_columns(columns, &c, terminal);
                cut_columns(columns, &c, terminal);
        }
        /* Encoding is done. When it does that, libsmartcols takes the \x2d of a unit's name for its own, or counts the backslash as nothing. */
        if (scols_table_enable_noencoding(table, true) != 0 || scols_table_enable_noheadings(table, !o->legend) != 0 ||
            scols_table_enable_colors(table, o->colour) != 0 || fill(table, columns, &c, rows) != 0)
                return out_error(EXIT_FAILURE, "out of memory");
        if (scols_print_table(table) != 0)
                return out_error(EXIT_FAILURE, "cannot write to standard output");
        return out_finish();
}
