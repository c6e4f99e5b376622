/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A table from an array of JSON objects and a description of its columns, laid out by libsmartcols, which cuts columns to the terminal's width and shows
 * control characters as \xNN. Which columns a narrow terminal can have at all is chosen here. */
#include "table.h"

#include <libsmartcols.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

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

static char *cell_text(const struct column *c, struct json_object *row) {
        if (c->text)
                return c->text(row);
        const char *s = get_string(row, c->key);
        return strdup(s && *s ? s : "-");
}

/* In terminal cells; bytes where the locale cannot tell. */
static size_t width_of(const char *text) {
        size_t n = mbstowcs(NULL, text, 0);
        if (n == (size_t) -1)
                return strlen(text);
        _cleanup_free_ wchar_t *wide = calloc(n + 1, sizeof(*wide));
        int width = wide && mbstowcs(wide, text, n + 1) == n ? wcswidth(wide, n) : -1;
        return width >= 0 ? (size_t) width : strlen(text);
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

static size_t least_width(const struct column *columns, const struct cells *c) {
        size_t sum = 0;
        for (size_t k = 0; k < c->n_columns; k++)
                if (c->width[k] > 0)
                        sum += 1 + (columns[k].shrink ? MIN2(c->width[k], (size_t) SHRUNK_WIDTH) : c->width[k]);
        return sum > 0 ? sum - 1 : 0;
}

/* Leaves out what does not fit, in the columns' own order. */
static void choose_columns(const struct column *columns, struct cells *c, size_t terminal) {
        while (least_width(columns, c) > terminal) {
                ssize_t first = -1;
                for (size_t k = 0; k < c->n_columns; k++)
                        if (columns[k].drop > 0 && c->width[k] > 0 && (first < 0 || columns[k].drop < columns[first].drop))
                                first = (ssize_t) k;
                if (first < 0)
                        return;
                c->width[first] = 0;
        }
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
                /* Our texts are escaped already, and the \x2d of a unit's name is its own. */
                if (!column || scols_column_set_safechars(column, "\\") != 0)
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
        if (terminal > 0)
                choose_columns(columns, &c, terminal);
        if (scols_table_enable_noheadings(table, !o->legend) != 0 || scols_table_enable_colors(table, o->colour) != 0 ||
            fill(table, columns, &c, rows) != 0)
                return out_error(EXIT_FAILURE, "out of memory");
        if (scols_print_table(table) != 0)
                return out_error(EXIT_FAILURE, "cannot write to standard output");
        return out_finish();
}
