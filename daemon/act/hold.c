/* SPDX-License-Identifier: GPL-2.0-or-later */
/* {"version": 1, "paused": BOOLEAN, "held": [CGROUP, …]} */
#include "act/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

#include "act/json-text.h"
#include "act/write-file.h"
#include "core/util.h"
#include "host/host.h"

#define HOLD_VERSION     1
#define FILE_BYTES_MAX   (16u << 20)
#define CGROUP_BYTES_MAX 4096u

void hold_done(struct hold *h) {
        for (size_t i = 0; i < h->n_cgroups; i++)
                free(h->cgroups[i]);
        free(h->cgroups);
        *h = (struct hold) { 0 };
}

static bool add(struct json_object *o, const char *key, struct json_object *value) {
        if (value && json_object_object_add(o, key, value) == 0)
                return true;
        json_object_put(value);
        return false;
}

static struct json_object *names_to_json(const struct hold *h) {
        struct json_object *names = json_object_new_array();
        for (size_t i = 0; names && i < h->n_cgroups; i++) {
                struct json_object *name = json_object_new_string(h->cgroups[i]);
                if (!name || json_object_array_add(names, name) != 0) {
                        json_object_put(name);
                        json_object_put(names);
                        return NULL;
                }
        }
        return names;
}

int hold_save(const char *path, const struct hold *h) {
        if (!h->paused && h->n_cgroups == 0)
                return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
        int r = -ENOMEM;
        struct json_object *o = json_object_new_object();
        if (o && add(o, "version", json_object_new_int(HOLD_VERSION)) && add(o, "paused", json_object_new_boolean(h->paused)) &&
            add(o, "held", names_to_json(h))) {
                const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
                _cleanup_free_ char *line = text ? format_string("%s\n", text) : NULL;
                if (line)
                        r = write_file_atomically(path, line, NULL);
        }
        json_object_put(o);
        return r;
}

static int name_from_json(struct json_object *o, struct hold *h) {
        if (!json_object_is_type(o, json_type_string))
                return -EBADMSG;
        const char *name = json_object_get_string(o);
        size_t n = (size_t) json_object_get_string_len(o);
        if (name[0] != '/' || n > CGROUP_BYTES_MAX || strlen(name) != n ||
            (h->n_cgroups > 0 && strcmp(h->cgroups[h->n_cgroups - 1], name) >= 0))
                return -EBADMSG;
        char *copy = strdup(name);
        if (!copy)
                return -ENOMEM;
        h->cgroups[h->n_cgroups++] = copy;
        return 0;
}

static int from_json(struct json_object *root, struct hold *h) {
        struct json_object *version, *paused, *held;
        if (!json_object_is_type(root, json_type_object) || !json_object_object_get_ex(root, "version", &version) ||
            !json_object_is_type(version, json_type_int) || json_object_get_int64(version) != HOLD_VERSION ||
            !json_object_object_get_ex(root, "paused", &paused) || !json_object_is_type(paused, json_type_boolean) ||
            !json_object_object_get_ex(root, "held", &held) || !json_object_is_type(held, json_type_array) ||
            json_object_array_length(held) > HOLD_CGROUPS_MAX)
                return -EBADMSG;
        size_t n = json_object_array_length(held);
        h->paused = json_object_get_boolean(paused);
        h->cgroups = calloc(n + 1, sizeof(*h->cgroups));
        int r = h->cgroups ? 0 : -ENOMEM;
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = name_from_json(json_object_array_get_idx(held, i), h);
        return r;
}

int hold_load(const char *path, struct hold *ret) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        struct hold h = { 0 };
        int r = read_file_at(AT_FDCWD, path, FILE_BYTES_MAX, &text, &size);
        if (r == -ENOENT) {
                *ret = h;
                return 0;
        }
        if (r >= 0) {
                struct json_object *root = NULL;
                r = json_of_text(text, size, 4, &root);
                if (r >= 0)
                        r = from_json(root, &h);
                json_object_put(root);
        }
        if (file_is_damaged(r))
                r = set_file_aside(path);
        if (r < 0)
                hold_done(&h);
        else
                *ret = h;
        return r;
}
