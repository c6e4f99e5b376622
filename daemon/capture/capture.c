/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "act/record-json.h"
#include "act/record.h"
#include "capture/scrub.h"
#include "config/config-load.h"
#include "core/util.h"
#include "report/history-json.h"
#include "report/json.h"

struct taking {
        const struct capture_options *options;
        struct capture *capture;
        struct recorder recorders[LOOKS];
        struct host *hosts[LOOKS];
        struct topology *topology;
        struct config *config;
        struct capture_state state;
        struct scrubber *scrubber;
        int config_error;
};

void capture_done(struct capture *c) {
        for (size_t i = 0; i < c->n_items; i++) {
                free(c->items[i].path);
                free(c->items[i].bytes);
        }
        free(c->items);
        *c = (struct capture) { 0 };
}

/* Takes over path and bytes, also when it fails. */
static int add(struct capture *c, enum recorded_type type, char *path, char *bytes, size_t size) {
        if (!path || (!bytes && type != RECORDED_DIRECTORY) ||
            array_reserve(&c->items, &c->capacity, c->n_items + 1, sizeof *c->items) < 0) {
                free(path);
                free(bytes);
                return -ENOMEM;
        }
        c->items[c->n_items++] = (struct recorded) { .path = path, .type = type, .bytes = bytes, .size = size };
        return 0;
}

static int add_text(struct capture *c, const char *path, char *text) {
        return add(c, RECORDED_FILE, strdup(path), text, text ? strlen(text) : 0);
}

static int add_json(struct capture *c, const char *path, struct json_object *o, int flags) {
        const char *text = o ? json_object_to_json_string_ext(o, flags | JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;
        return add_text(c, path, text ? format_string("%s\n", text) : NULL);
}

/* -------- the configuration -------- */

static void saw_config(const char *path, const char *text, size_t size, void *userdata) {
        struct taking *t = userdata;
        while (*path == '/')
                path++;
        /* One that was named may lie anywhere, and is kept under a name of ours. */
        char *name = t->options->config_file ? strdup(CAPTURE_DIR "/numabalanced.yaml") : strdup(path);
        char *copy = text ? malloc(size + 1) : strdup("/dev/null");
        if (copy && text) {
                memcpy(copy, text, size);
                copy[size] = 0;
        }
        int r = add(t->capture, text ? RECORDED_FILE : RECORDED_LINK, name, copy, text ? size : strlen("/dev/null"));
        if (r < 0)
                t->config_error = r;
}

static char *join(const struct config_errors *errors) {
        struct strbuf b = { 0 };
        for (size_t i = 0; i < errors->n_lines; i++)
                strbuf_printf(&b, "%s%s", i > 0 ? "\n" : "", errors->lines[i]);
        return strbuf_steal(&b);
}

static int take_config(struct taking *t, char **ret_why) {
        struct config_errors errors = { 0 };
        const struct config_source source = {
                .root = t->options->root,
                .main_file = t->options->config_file,
                .topology = t->topology,
                .seen = saw_config,
                .userdata = t,
        };
        int r = config_load(&source, &t->config, &errors);
        if (r < 0 && r != -ENOMEM) {
                *ret_why = join(&errors);
                r = -EBADMSG;
        }
        config_errors_done(&errors);
        t->state.sysconfdir = strdup(SYSCONFDIR);
        t->state.vendorconfdir = strdup(VENDORCONFDIR);
        t->state.one_file = t->options->config_file ? strdup(t->options->config_file) : NULL;
        if (r == 0 && (!t->state.sysconfdir || !t->state.vendorconfdir || (t->options->config_file && !t->state.one_file)))
                r = -ENOMEM;
        if (r == 0)
                r = capture_rename_files(t->config, t->options->root, t->state.one_file);
        return r < 0 ? r : t->config_error;
}

/* -------- what the daemon did and remembers -------- */

/* Read only: unlike record_open() nothing is put aside. */
static int take_applied(struct taking *t, char **ret_why) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        struct record *record = NULL;
        t->state.applied = calloc(1, sizeof *t->state.applied);
        if (!t->state.applied)
                return -ENOMEM;
        int r = t->options->record_file ? read_file_at(AT_FDCWD, t->options->record_file, RECORD_FILE_MAX_BYTES, &text, &size)
                                        : -ENOENT;
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        r = record_open(NULL, &record);
        if (r < 0)
                return r;
        r = record_from_json(text, size, record);
        if (r == -EBADMSG) {
                *ret_why = format_string("%s is damaged (the daemon puts it aside when it starts)", t->options->record_file);
                r = -EPROTO; /* another matter than errors in the configuration */
        }
        size_t capacity = 0;
        for (size_t i = 0; r == 0 && i < record->n_entries; i++) {
                const struct record_entry *e = record->entries[i];
                char *cgroup = strdup(e->cgroup);
                r = cgroup ? array_reserve(&t->state.applied, &capacity, t->state.n_applied + 1, sizeof *t->state.applied)
                           : -ENOMEM;
                if (r < 0) {
                        free(cgroup);
                        break;
                }
                t->state.applied[t->state.n_applied++] = (struct applied) {
                        .cgroup = cgroup,
                        .cpus = e->changed_cpus && e->ours.cpus_set,
                        .mems = e->changed_mems && e->ours.mems_set,
                };
        }
        record_free(record);
        return r;
}

/* -------- the looks -------- */

static int open_machine(struct taking *t) {
        int r = host_open(t->options->root, &t->hosts[0]);
        for (unsigned i = 0; i < LOOKS && r >= 0; i++)
                r = recorder_init(&t->recorders[i], t->hosts[0]->root_fd);
        /* Again, with what it reads noted: each look has a whole tree. */
        for (unsigned i = 0; i < LOOKS && r >= 0; i++) {
                t->hosts[i] = host_free(t->hosts[i]);
                recorder_use(&t->recorders[i]);
                r = host_open(t->options->root, &t->hosts[i]);
        }
        recorder_use(&t->recorders[0]);
        if (r >= 0)
                r = topology_load(t->hosts[0], &t->topology);
        recorder_use(NULL);
        char *xml = NULL;
        if (r >= 0)
                r = topology_export(t->hosts[0], &xml);
        if (r >= 0)
                r = add_text(t->capture, CAPTURED_TOPOLOGY, xml);
        if (r < 0)
                return r;
        t->state.page_bytes = t->hosts[0]->page_bytes;
        t->state.ticks_per_sec = t->hosts[0]->ticks_per_sec;
        return 0;
}

static int begin_look(unsigned look, uint64_t *ret_usec, void *userdata) {
        struct taking *t = userdata;
        struct timespec ts, pause = { .tv_sec = (time_t) (t->options->pause_usec / USEC_PER_SEC),
                                      .tv_nsec = (long) (t->options->pause_usec % USEC_PER_SEC * 1000) };
        recorder_use(NULL);
        if (look > 0) {
                while (nanosleep(&pause, &pause) < 0 && errno == EINTR)
                        ;
                if (t->options->paused)
                        t->options->paused(t->options->userdata);
        }
        if (clock_gettime(CLOCK_BOOTTIME, &ts) < 0)
                return -errno;
        recorder_use(&t->recorders[look]);
        *ret_usec = t->state.looked_usec[look] = (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
        return 0;
}

static int add_state(struct taking *t, char **ret_why) {
        struct json_object *state = capture_state_to_json(&t->state);
        int r = add_json(t->capture, CAPTURE_STATE, state, JSON_C_TO_STRING_PRETTY);
        json_object_put(state);
        const struct recorded *item = r >= 0 ? &t->capture->items[t->capture->n_items - 1] : NULL;
        if (item && !capture_state_fits(item->bytes, item->size)) {
                *ret_why = strdup("what the daemon remembers of its services is more than a capture can have");
                r = -EFBIG;
        }
        return r;
}

static int look(struct taking *t, char **ret_why) {
        struct patience patience = {
                .read = t->options->read_deep ? t->options->read_deep : observe_deep,
                .left_usec = t->options->deep_usec,
        };
        const struct look_input in = {
                .hosts = { t->hosts[0], t->hosts[1] },
                .topology = t->topology,
                .config = t->config,
                .applied = t->state.applied,
                .n_applied = t->state.n_applied,
                .begin = begin_look,
                .userdata = t,
                .patience = &patience,
        };
        struct captured_look look;
        int r = history_from_json(t->options->history, t->topology->n_ids, &t->state.history);
        if (r < 0)
                return r;
        /* As it was before the looks, which change it. */
        struct history history = { 0 };
        r = history_from_json(t->options->history, t->topology->n_ids, &history);
        if (r >= 0)
                r = look_twice(&in, &history, &look);
        recorder_use(NULL);
        history_done(&history);
        if (r < 0)
                return r;
        t->capture->n_given_up = patience.n_given_up;
        for (size_t i = 0; i < look.observation->n_services; i++) {
                t->capture->n_services++;
                t->capture->n_managed += look.observation->services[i].rule != NULL;
                t->capture->n_processes += look.observation->services[i].n_processes;
        }
        struct json_object *plan = look_json(t->topology, &look);
        r = add_state(t, ret_why);
        if (r >= 0) /* on one line: versions of json-c indent differently */
                r = add_json(t->capture, CAPTURE_PLAN, plan, JSON_C_TO_STRING_PLAIN);
        json_object_put(plan);
        look_done(&look);
        return r;
}

/* Moves what was recorded into the capture, scrubbed. */
static int take_recorded(struct taking *t, unsigned look) {
        struct recorder *r = &t->recorders[look];
        int error = recorder_finish(r);
        for (size_t i = 0; i < r->n_items && error >= 0; i++) {
                struct recorded *item = &r->items[i];
                error = scrub(t->scrubber, item);
                if (error < 0 || !item->path[0])
                        continue;
                char *path = look > 0 ? format_string("%s/%s", CAPTURE_LATER, item->path) : strdup(item->path);
                error = add(t->capture, item->type, path, TAKE_PTR(item->bytes), item->size);
        }
        return error;
}

/* The state comes last: an archive that was cut short has none, and is not taken for another machine. */
static int compare_paths(const void *a, const void *b) {
        const char *x = ((const struct recorded *) a)->path, *y = ((const struct recorded *) b)->path;
        bool last = strcmp(x, CAPTURE_STATE) == 0, other_last = strcmp(y, CAPTURE_STATE) == 0;
        return last != other_last ? last - other_last : strcmp(x, y);
}

static int take(struct taking *t, char **ret_why) {
        t->scrubber = scrubber_new();
        int r = t->scrubber ? open_machine(t) : -ENOMEM;
        if (r >= 0)
                r = take_config(t, ret_why);
        if (r >= 0)
                r = take_applied(t, ret_why);
        if (r >= 0)
                r = look(t, ret_why);
        for (unsigned i = 0; i < LOOKS && r >= 0; i++)
                r = take_recorded(t, i);
        if (r >= 0)
                qsort(t->capture->items, t->capture->n_items, sizeof *t->capture->items, compare_paths);
        return r;
}

int capture_take(const struct capture_options *options, struct capture *ret, char **ret_why) {
        struct capture capture = { 0 };
        struct taking t = { .options = options, .capture = &capture };
        *ret_why = NULL;
        int r = take(&t, ret_why);
        recorder_use(NULL);
        for (unsigned i = 0; i < LOOKS; i++) {
                recorder_done(&t.recorders[i]);
                host_free(t.hosts[i]);
        }
        topology_free(t.topology);
        config_free(t.config);
        capture_state_done(&t.state);
        scrubber_free(t.scrubber);
        if (r < 0) {
                capture_done(&capture);
                return r;
        }
        *ret = capture;
        return 0;
}
