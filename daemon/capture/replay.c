/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "act/json-text.h"
#include "capture/state.h"
#include "config/config-load.h"
#include "core/util.h"
#include "host/io.h"

#define STATE_DEPTH 8 /* {history: [{own: [number]}]} has less */

struct replaying {
        const char *root;
        struct host *hosts[LOOKS];
        struct capture_state state;
};

static char *below(const char *root, const char *path) {
        return format_string("%s/%s", root, path);
}

static bool has(const char *root, const char *name) {
        _cleanup_free_ char *path = below(root, name);
        return path && access(path, F_OK) == 0;
}

/* Also what there is of one that was cut short: to look at that as at any tree would be another decision, with no word of it. */
bool replay_is_capture(const char *root) {
        return has(root, CAPTURE_STATE) || has(root, CAPTURE_LATER);
}

void replay_done(struct replay *r) {
        look_done(&r->look);
        config_free(r->config);
        topology_free(r->topology);
        *r = (struct replay) { 0 };
}

static int read_state(struct replaying *p, unsigned n_ids) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r = read_file_at(p->hosts[0]->root_fd, CAPTURE_STATE, CAPTURE_STATE_BYTES_MAX, &text, &size);
        if (r >= 0 && !capture_state_fits(text, size))
                r = -EFBIG;
        struct json_object *o = NULL;
        if (r >= 0)
                r = json_of_text(text, size, STATE_DEPTH, &o);
        if (r >= 0)
                r = capture_state_from_json(o, n_ids, &p->state);
        json_object_put(o);
        return r;
}

/* Is what this path names what has that name inside of the capture? */
static int check_inside(const struct replaying *p, const char *name, const char *path) {
        struct stat inside, outside;
        _cleanup_(close_fdp) int fd = open_below(p->hosts[0]->root_fd, name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return fd;
        if (fstat(fd, &inside) < 0 || stat(path, &outside) < 0)
                return -errno;
        return inside.st_dev == outside.st_dev && inside.st_ino == outside.st_ino ? 0 : -ELOOP;
}

static int load_config(const struct replaying *p, const char *config_file, struct replay *ret, char **ret_why) {
        _cleanup_free_ char *one_file = below(p->root, CAPTURE_DIR "/numabalanced.yaml");
        struct config_errors errors = { 0 };
        int r = !one_file                           ? -ENOMEM
                : !config_file && p->state.one_file ? check_inside(p, CAPTURE_DIR "/numabalanced.yaml", one_file)
                                                    : 0;
        if (r < 0)
                return r;
        const struct config_source source = {
                .root = p->root,
                .main_file = config_file         ? config_file
                             : p->state.one_file ? one_file
                                                 : NULL,
                .sysconfdir = p->state.sysconfdir,
                .vendorconfdir = p->state.vendorconfdir,
                .topology = ret->topology,
        };
        r = config_load(&source, &ret->config, &errors);
        if (r < 0 && r != -ENOMEM) {
                struct strbuf b = { 0 };
                for (size_t i = 0; i < errors.n_lines; i++)
                        strbuf_printf(&b, "%s%s", i > 0 ? "\n" : "", errors.lines[i]);
                *ret_why = strbuf_steal(&b);
                r = -EBADMSG;
        }
        config_errors_done(&errors);
        return r < 0 || config_file ? r : capture_rename_files(ret->config, p->root, p->state.one_file);
}

static int begin_look(unsigned look, uint64_t *ret_usec, void *userdata) {
        const struct replaying *p = userdata;
        *ret_usec = p->state.looked_usec[look];
        return 0;
}

static int look_again(struct replaying *p, struct replay *ret) {
        for (unsigned i = 0; i < LOOKS; i++) {
                p->hosts[i]->page_bytes = p->state.page_bytes;
                p->hosts[i]->ticks_per_sec = p->state.ticks_per_sec;
        }
        const struct look_input in = {
                .hosts = { p->hosts[0], p->hosts[1] },
                .topology = ret->topology,
                .config = ret->config,
                .applied = p->state.applied,
                .n_applied = p->state.n_applied,
                .begin = begin_look,
                .userdata = p,
        };
        return look_twice(&in, &p->state.history, &ret->look);
}

/* By the descriptor: by its name a link in it could lead out of the capture. */
static int open_later(struct replaying *p) {
        char path[64];
        _cleanup_(close_fdp) int fd =
                open_below(p->hosts[0]->root_fd, CAPTURE_LATER, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return fd;
        (void) snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        return host_open(path, &p->hosts[1]);
}

static int run(struct replaying *p, const char *config_file, struct replay *ret, char **ret_why) {
        int r = host_open(p->root, &p->hosts[0]);
        if (r >= 0 && !has(p->root, CAPTURE_STATE))
                r = -ENOENT;
        if (r >= 0)
                r = open_later(p);
        if (r >= 0)
                r = topology_load(p->hosts[0], &ret->topology);
        if (r >= 0)
                r = read_state(p, ret->topology->n_ids);
        if (r >= 0)
                r = load_config(p, config_file, ret, ret_why);
        return r < 0 ? r : look_again(p, ret);
}

int replay_run(const char *root, const char *config_file, struct replay *ret, char **ret_why) {
        struct replaying p = { .root = root };
        struct replay result = { 0 };
        *ret_why = NULL;
        int r = run(&p, config_file, &result, ret_why);
        for (unsigned i = 0; i < LOOKS; i++)
                host_free(p.hosts[i]);
        capture_state_done(&p.state);
        if (r < 0) {
                replay_done(&result);
                return r;
        }
        *ret = result;
        return 0;
}
