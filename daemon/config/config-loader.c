/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files of one configuration together. Their errors are kept until all are read, because what contradicts something in another
 * file is to be shown in the order of the file it stands in. */
#include <string.h>

#include "config/config-private.h"

int loader_init(struct loader *l, const struct topology *topology, struct config_errors *errors) {
        *l = (struct loader) { .topology = topology, .errors = errors };
        l->config = config_new();
        return l->config ? 0 : -ENOMEM;
}

static struct config_file *config_file_free(struct config_file *f) {
        if (!f)
                return NULL;
        error_list_done(&f->errors);
        free(f->unreadable);
        free(f->name);
        free(f);
        return NULL;
}

void loader_done(struct loader *l) {
        for (size_t i = 0; i < l->n_origins; i++) {
                free(l->origins[i].together_at);
                free(l->origins[i].apart_at);
        }
        for (size_t i = 0; i < l->n_files; i++)
                config_file_free(l->files[i]);
        free(l->origins);
        free(l->files);
        config_free(l->config);
        *l = (struct loader) { 0 };
}

/* NULL when memory ran out. */
static struct config_file *add_file(struct loader *l) {
        if (array_reserve(&l->files, &l->files_capacity, l->n_files + 1, sizeof(struct config_file *)) < 0)
                return NULL;
        struct config_file *f = calloc(1, sizeof(*f));
        if (!f)
                return NULL;
        f->loader = l;
        l->files[l->n_files++] = f;
        return f;
}

int loader_note_unreadable(struct loader *l, char *line) {
        _cleanup_free_ char *text = line;
        struct config_file *f = text ? add_file(l) : NULL;
        if (!f)
                return -ENOMEM;
        f->unreadable = TAKE_PTR(text);
        l->names_unsure = true;
        return 0;
}

int loader_read(struct loader *l, const char *name, const char *text, size_t size) {
        _cleanup_(value_freep) struct value *tree = NULL;
        const struct position start = { 1, 1 };
        struct config_file *f = add_file(l);
        if (!f)
                return -ENOMEM;
        f->name = strdup(name);
        if (!f->name)
                return -ENOMEM;
        int r;
        if (size > CONFIG_FILE_BYTES_MAX)
                r = complain(f, start, "a file of more than 1 MiB; expected less");
        else
                r = value_tree_parse(f, text, size, &tree);
        if (r >= 0)
                r = schema_read(f, tree);
        if (r == -EBADMSG)
                l->names_unsure = true;
        return r == -EBADMSG ? 0 : r;
}

int loader_flush(struct loader *l) {
        for (size_t i = 0; i < l->n_files; i++) {
                struct config_file *f = l->files[i];
                int r = f->unreadable ? config_errors_add(l->errors, TAKE_PTR(f->unreadable))
                                      : config_file_flush_errors(f, l->errors);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_intervals(struct loader *l) {
        const struct settings *s = &l->config->settings;
        if (!l->interval_file || l->interval_unsure || s->interval_usec <= s->max_interval_usec)
                return 0;
        _cleanup_free_ char *shorter = format_duration(s->interval_usec), *longer = format_duration(s->max_interval_usec);
        if (!shorter || !longer)
                return -ENOMEM;
        bool noted = error_note(l->interval_file, l->interval_at,
                                "interval is %s and max-interval is %s; expected a max-interval at least as long as the interval",
                                shorter, longer);
        return noted ? 0 : -ENOMEM;
}

/* Rules of drop-ins before those of the main file, which is read first. */
static int put_last(struct config *c, size_t n_last) {
        if (n_last == 0 || n_last >= c->n_rules)
                return 0;
        struct rule *ordered = reallocarray(NULL, c->n_rules, sizeof(*ordered));
        if (!ordered)
                return -ENOMEM;
        size_t n_first = c->n_rules - n_last;
        memcpy(ordered, c->rules + n_last, n_first * sizeof(*ordered));
        memcpy(ordered + n_first, c->rules, n_last * sizeof(*ordered));
        free(c->rules);
        c->rules = ordered;
        return 0;
}

int loader_finish(struct loader *l, size_t n_last, struct config **ret) {
        int r = check_intervals(l);
        if (r >= 0)
                r = relations_check(l);
        if (r >= 0)
                r = loader_flush(l);
        if (r < 0)
                return r;
        if (l->errors->n_lines > 0)
                return -EBADMSG;
        r = put_last(l->config, n_last);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l->config);
        return 0;
}

int config_parse_buffer(const char *name, const char *text, size_t size, const struct topology *topology, struct config **ret,
                        struct config_errors *errors) {
        struct loader l;
        int r = loader_init(&l, topology, errors);
        if (r >= 0)
                r = loader_read(&l, name, text, size);
        if (r >= 0)
                r = loader_finish(&l, 0, ret);
        loader_done(&l);
        return r;
}
