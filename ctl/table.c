/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A table from an array of JSON objects and a description of its columns, laid out by libsmartcols, which also knows the terminal's
 * width and shows control characters as \xNN. */
#include "table.h"

#include <libsmartcols.h>
#include <string.h>

#include "out.h"

static void table_unrefp(struct libscols_table **t) {
        scols_unref_table(*t);
}

static char *cell_text(const struct column *c, struct json_object *row) {
        if (c->text)
                return c->text(row);
        const char *s = get_string(row, c->key);
        return strdup(s && *s ? s : "-");
}

static int add_row(struct libscols_table *table, const struct column *columns, size_t n_columns, struct json_object *row) {
        struct libscols_line *line = scols_table_new_line(table, NULL);
        if (!line)
                return -ENOMEM;
        for (size_t i = 0; i < n_columns; i++) {
                char *text = cell_text(&columns[i], row);
                if (!text)
                        return -ENOMEM;
                int r = scols_line_refer_data(line, i, text);
                if (r != 0) {
                        free(text);
                        return r;
                }
                const char *colour = columns[i].colour ? columns[i].colour(row) : NULL;
                if (colour && (r = scols_cell_set_color(scols_line_get_cell(line, i), colour)) != 0)
                        return r;
        }
        return 0;
}

static int fill(struct libscols_table *table, const struct column *columns, size_t n_columns, struct json_object *rows) {
        for (size_t i = 0; i < n_columns; i++) {
                int flags = (columns[i].right ? SCOLS_FL_RIGHT : 0) | (columns[i].shrink ? SCOLS_FL_TRUNC : 0);
                if (!scols_table_new_column(table, columns[i].name, 0, flags))
                        return -ENOMEM;
        }
        for (size_t i = 0; i < array_length(rows); i++) {
                int r = add_row(table, columns, n_columns, json_object_array_get_idx(rows, i));
                if (r < 0)
                        return r;
        }
        return 0;
}

int table_print(const struct column *columns, size_t n_columns, struct json_object *rows, const struct options *o) {
        _cleanup_(table_unrefp) struct libscols_table *table = scols_new_table();
        if (!table || scols_table_enable_noheadings(table, !o->legend) != 0 || scols_table_enable_colors(table, o->colour) != 0 ||
            fill(table, columns, n_columns, rows) != 0)
                return out_error(EXIT_FAILURE, "out of memory");
        if (scols_print_table(table) != 0)
                return out_error(EXIT_FAILURE, "cannot write to standard output");
        return out_finish();
}
