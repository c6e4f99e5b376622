/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state's text form. */
#include "capture/state.h"

#include <limits.h>
#include <string.h>

#include "core/util.h"
#include "report/history-json.h"
#include "report/json.h"

#define STATE_VERSION 1
#define ENTRIES_MAX   65536u

static int compare_applied(const void *a, const void *b) {
        return strcmp(((const struct applied *) a)->cgroup, ((const struct applied *) b)->cgroup);
}

void capture_state_done(struct capture_state *s) {
        free(s->sysconfdir);
        free(s->one_file);
        free(s->vendorconfdir);
        for (size_t i = 0; i < s->n_applied; i++)
                free((char *) s->applied[i].cgroup);
        free(s->applied);
        history_done(&s->history);
        *s = (struct capture_state) { 0 };
}

int capture_rename_files(struct config *c, const char *root, const char *one_file) {
        size_t n = strlen(root);
        while (n > 0 && root[n - 1] == '/')
                n--;
        for (size_t i = 0; i < c->n_rules; i++) {
                struct rule *r = &c->rules[i];
                const char *name = one_file ? one_file : strncmp(r->file, root, n) == 0 ? r->file + n : r->file;
                char *copy = strdup(name);
                if (!copy)
                        return -ENOMEM;
                free(r->file);
                r->file = copy;
        }
        return 0;
}

bool capture_state_fits(const char *text, size_t size) {
        size_t n = 0;
        for (size_t i = 0; i < size && n <= CAPTURE_STATE_VALUES_MAX; i++)
                n += text[i] == '{' || text[i] == '[' || text[i] == ',' || text[i] == ':';
        return size <= CAPTURE_STATE_BYTES_MAX && n <= CAPTURE_STATE_VALUES_MAX;
}

/* Text that must come back byte for byte: not cleaned. */
static void put_raw(struct json_object **o, const char *key, const char *text) {
        json_put(o, key, json_object_new_string(text));
}

static struct json_object *applied_to_json(const struct applied *a) {
        struct json_object *o = json_object_new_object();
        json_put_exact(&o, "cgroup", a->cgroup);
        json_put_bool(&o, "cpus", a->cpus);
        json_put_bool(&o, "mems", a->mems);
        return o;
}

struct json_object *capture_state_to_json(const struct capture_state *s) {
        struct json_object *o = json_object_new_object(), *applied = json_object_new_array();
        for (size_t i = 0; applied && i < s->n_applied; i++)
                json_append(&applied, applied_to_json(&s->applied[i]));
        json_put_int(&o, "version", STATE_VERSION);
        json_put_int(&o, "page_bytes", s->page_bytes);
        json_put_int(&o, "ticks_per_sec", s->ticks_per_sec);
        put_raw(&o, "sysconfdir", s->sysconfdir);
        put_raw(&o, "vendorconfdir", s->vendorconfdir);
        if (s->one_file)
                json_put_exact(&o, "one_file", s->one_file);
        json_put_u64s(&o, "looked_usec", s->looked_usec, LOOKS);
        json_put(&o, "applied", applied);
        json_put(&o, "history", history_to_json(&s->history));
        return o;
}

static int read_applied(struct json_object *list, struct capture_state *s) {
        size_t n = list ? MIN2(json_object_array_length(list), (size_t) ENTRIES_MAX) : 0;
        s->applied = calloc(n + 1, sizeof *s->applied);
        if (!s->applied)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                struct json_object *o = json_object_array_get_idx(list, i);
                char *copy;
                int r = json_get_exact(o, "cgroup", &copy);
                if (r < 0)
                        return r;
                s->applied[s->n_applied++] = (struct applied) { copy, json_get_flag(o, "cpus"), json_get_flag(o, "mems") };
        }
        if (s->n_applied > 0)
                qsort(s->applied, s->n_applied, sizeof *s->applied, compare_applied);
        return 0;
}

static int read_state(struct json_object *o, unsigned n_ids, struct capture_state *s) {
        struct json_object *looked = json_get_list(o, "looked_usec");
        const char *etc = json_get_text(o, "sysconfdir"), *lib = json_get_text(o, "vendorconfdir");
        s->page_bytes = json_get_u64(o, "page_bytes");
        s->ticks_per_sec = (unsigned) MIN2(json_get_u64(o, "ticks_per_sec"), (uint64_t) USEC_PER_SEC);
        if (json_get_u64(o, "version") != STATE_VERSION || s->page_bytes == 0 || s->ticks_per_sec == 0 || !etc || !lib ||
            !looked || json_object_array_length(looked) != LOOKS)
                return -EBADMSG;
        int r = json_object_object_get_ex(o, "one_file", NULL) ? json_get_exact(o, "one_file", &s->one_file) : 0;
        if (r < 0)
                return r;
        s->sysconfdir = strdup(etc);
        s->vendorconfdir = strdup(lib);
        if (!s->sysconfdir || !s->vendorconfdir)
                return -ENOMEM;
        for (unsigned i = 0; i < LOOKS; i++)
                s->looked_usec[i] = json_list_u64(looked, i);
        r = read_applied(json_get_list(o, "applied"), s);
        return r < 0 ? r : history_from_json(json_get_list(o, "history"), n_ids, &s->history);
}

int capture_state_from_json(struct json_object *o, unsigned n_ids, struct capture_state *ret) {
        struct capture_state s = { 0 };
        int r = json_object_is_type(o, json_type_object) ? read_state(o, n_ids, &s) : -EBADMSG;
        if (r < 0) {
                capture_state_done(&s);
                return r;
        }
        *ret = s;
        return 0;
}
