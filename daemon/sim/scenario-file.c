/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading a scenario, with the means of the configuration's own reader: one table of keys for each kind of mapping. */
#include "sim/scenario-file.h"

#include <string.h>

#include "config/config-private.h"
#include "sim/scenario-fields.h"

#define COUNT_OF(words_)                                                                                                         \
        &(const struct choices) {                                                                                                \
                .words = (words_), .n_words = ARRAY_SIZE(words_)                                                                 \
        }
#define RANGE(min_, max_, text_)                                                                                                 \
        &(const struct range) {                                                                                                  \
                .min = (min_), .max = (max_), .text = (text_)                                                                    \
        }
#define SPAN RANGE(0, SCENARIO_SPAN_MAX_USEC, "0s to 366d")
#define SIZE RANGE(0, 1024 * 1024 * GIB, "at most 1024T")
#define PART RANGE(0, 1000, "0% to 100%")
#define KEY(name_, parse_, type_, member_, data_)                                                                                \
        { .name = (name_), .parse = (parse_), .offset = offsetof(type_, member_), .data = (data_) }
/* Versions of clang-format differ on macros in braces. */
/* clang-format off */
#define IDLE(name_, parse_, data_)                                                                                               \
        { .name = (name_), .parse = (parse_), .offset = SIZE_MAX, .data = (data_) }
/* clang-format on */

struct scenario_file *scenario_free(struct scenario_file *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n_services; i++) {
                free(s->services[i].unit);
                free(s->services[i].slice);
                free(s->services[i].policy);
        }
        for (size_t i = 0; i < s->n_events; i++)
                free(s->events[i].unit);
        free(s->services);
        free(s->events);
        free(s->config_text);
        free(s);
        return NULL;
}

/* ---- the machine ---- */

static const struct key machine_keys[] = {
        KEY("start", field_week_minute, struct sim_settings, start_week_minute, NULL),
        KEY("tick", field_duration, struct sim_settings, tick_usec,
            RANGE(10 * USEC_PER_MSEC, 10 * USEC_PER_MINUTE, "10ms to 10min")),
        KEY("wander", field_duration, struct sim_settings, wander_usec, SPAN),
        KEY("move-rate", field_rate, struct sim_settings, move_rate_bytes, RANGE(MIB, 1024 * GIB, "1M to 1T per second")),
        KEY("kernel-balancing", field_rate, struct sim_settings, balancing_rate_bytes,
            RANGE(0, 1024 * GIB, "0 to 1T per second")),
        KEY("page-cache", field_percent, struct sim_settings, page_cache_permille, RANGE(0, 900, "0% to 90%")),
        KEY("refuse-clear", field_boolean, struct sim_settings, refuse_clear, NULL),
};

static int field_machine(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        struct seen seen;
        if (v->kind != VALUE_MAPPING)
                return wrong_kind(f, k, v, "a mapping");
        return mapping_read(f, "machine", v, machine_keys, ARRAY_SIZE(machine_keys), &((struct scenario_file *) field)->settings,
                            &seen);
}

/* ---- services ---- */

static const char *const owner_words[] = { "systemd", "cgroup", "none" };

#define SPEC(name_, parse_, member_, data_)                                                                                      \
        { .name = (name_), .parse = (parse_), .offset = offsetof(struct scenario_service, spec.member_), .data = (data_) }

enum { SERVICE_UNIT };
static const struct key service_keys[] = {
        [SERVICE_UNIT] = KEY("unit", field_text, struct scenario_service, unit, NULL),
        KEY("count", field_number, struct scenario_service, count, RANGE(1, SIM_SERVICES_MAX, "1 to 10000")),
        KEY("slice", field_text, struct scenario_service, slice, NULL),
        KEY("policy", field_text, struct scenario_service, policy, NULL),
        KEY("arrives", field_duration, struct scenario_service, arrives_usec, SPAN),
        KEY("ends", field_duration, struct scenario_service, ends_usec, SPAN),
        SPEC("owner", field_choice, owner, COUNT_OF(owner_words)),
        SPEC("cpus", field_cpus, cpus, NULL),
        SPEC("threads", field_number, n_threads, RANGE(1, 100000, "1 to 100000")),
        SPEC("processes", field_number, n_processes, RANGE(1, SIM_PROCESSES_MAX, "1 to 64")),
        SPEC("memory", field_size, bytes, SIZE),
        SPEC("starts-on", field_nodes, start, NULL),
        SPEC("growth", field_size, growth_bytes, SIZE),
        SPEC("limit", field_size, limit_bytes, SIZE),
        SPEC("duty", field_hours, duty, NULL),
        SPEC("memory-by-hour", field_hours, memory, NULL),
        SPEC("pinned", field_percent, pinned_permille, PART),
        SPEC("shared", field_percent, shared_permille, PART),
        SPEC("bound", field_percent, bound_permille, PART),
        SPEC("busy", field_percent, busy_permille, PART),
        SPEC("allowed-cpu-nodes", field_nodes, parent_cpu_nodes, NULL),
        SPEC("allowed-memory-nodes", field_nodes, parent_mems, NULL),
};

static int check_service(struct config_file *f, const struct value *v, struct scenario_service *s, const struct seen *seen) {
        const struct sim_spec *p = &s->spec;
        if (!s->unit)
                return seen->keys[SERVICE_UNIT] ? -EBADMSG : complain(f, v->at, "a service without unit; expected one");
        if (s->count > 1 && !strchr(s->unit, '%'))
                return complain(f, v->at, "count needs a %% in the unit, for the number; expected such as \"web-%%.service\"");
        if (s->ends_usec > 0 && s->ends_usec <= s->arrives_usec)
                return complain(f, v->at, "it ends before it arrives; expected ends to be later than arrives");
        if (p->pinned_permille + p->shared_permille + p->bound_permille > 1000)
                return complain(f, v->at, "pinned, shared and bound are more than all; expected at most 100%% together");
        return 0;
}

static int read_service(struct config_file *f, const struct value *v, struct scenario_file *file) {
        struct seen seen;
        if (v->kind != VALUE_MAPPING)
                return complain(f, v->at, "a service is %s; expected a mapping with unit, cpus and memory", value_kind_name(v));
        int r = array_reserve(&file->services, &file->services_capacity, file->n_services + 1, sizeof(*file->services));
        if (r < 0)
                return r;
        struct scenario_service *s = &file->services[file->n_services++];
        *s = (struct scenario_service) { .count = 1 };
        sim_spec_init(&s->spec);
        r = mapping_read(f, "a service", v, service_keys, ARRAY_SIZE(service_keys), s, &seen);
        return r < 0 ? r : check_service(f, v, s, &seen);
}

/* ---- events ---- */

static const char *const action_words[] = { "end",           "restart",      "change", "fork",   "stuck", "respond",
                                            "refuse-cpuset", "allow-cpuset", "pause",  "resume", "kill",  "start" };
_Static_assert(ARRAY_SIZE(action_words) == _SCENARIO_ACTION_MAX, "a word for each action");

enum { EVENT_AT, EVENT_DO, EVENT_UNIT, EVENT_CPUS, EVENT_MEMORY, EVENT_GROWTH };
static const struct key event_keys[] = {
        [EVENT_AT] = KEY("at", field_duration, struct scenario_event, at_usec, SPAN),
        [EVENT_DO] = KEY("do", field_choice, struct scenario_event, action, COUNT_OF(action_words)),
        [EVENT_UNIT] = KEY("unit", field_text, struct scenario_event, unit, NULL),
        [EVENT_CPUS] = KEY("cpus", field_cpus, struct scenario_event, cpus, NULL),
        [EVENT_MEMORY] = KEY("memory", field_size, struct scenario_event, memory_bytes, SIZE),
        [EVENT_GROWTH] = KEY("growth", field_size, struct scenario_event, growth_bytes, SIZE),
};

static int read_event(struct config_file *f, const struct value *v, struct scenario_file *file) {
        struct seen seen;
        if (v->kind != VALUE_MAPPING)
                return complain(f, v->at, "an event is %s; expected a mapping with at and do", value_kind_name(v));
        int r = array_reserve(&file->events, &file->events_capacity, file->n_events + 1, sizeof(*file->events));
        if (r < 0)
                return r;
        struct scenario_event *e = &file->events[file->n_events++];
        *e = (struct scenario_event) { .line = v->at.line, .column = v->at.column };
        r = mapping_read(f, "an event", v, event_keys, ARRAY_SIZE(event_keys), e, &seen);
        if (r < 0)
                return r;
        e->has_cpus = seen.keys[EVENT_CPUS];
        e->has_memory = seen.keys[EVENT_MEMORY];
        e->has_growth = seen.keys[EVENT_GROWTH];
        bool values = e->has_cpus || e->has_memory || e->has_growth;
        if (!seen.keys[EVENT_AT] || !seen.keys[EVENT_DO])
                return complain(f, v->at, "an event needs at and do");
        if (seen.bad)
                return -EBADMSG;
        if ((e->action < ACTION_PAUSE) != (e->unit != NULL))
                return complain(f, v->at, "do: %s %s", action_words[e->action],
                                e->unit ? "is the daemon's; expected no unit" : "needs a unit");
        if ((e->action == ACTION_CHANGE) != values)
                return complain(f, v->at,
                                values ? "cpus, memory and growth belong to do: change"
                                       : "do: change needs cpus, memory or growth");
        return 0;
}

/* ---- lists, and the top ---- */

static int each_item(struct config_file *f, const struct key *k, const struct value *v, struct scenario_file *file, size_t limit,
                     int (*read)(struct config_file *f, const struct value *v, struct scenario_file *file)) {
        size_t n = 0;
        int result = 0;
        if (value_is_null(v))
                return 0;
        if (v->kind != VALUE_LIST)
                return wrong_kind(f, k, v, "a list, each entry beginning with \"-\"");
        for (const struct value *item = v->first; item; item = item->next) {
                if (item->kind == VALUE_REFUSED)
                        continue;
                if (++n > limit)
                        return complain(f, item->at, "more than %zu entries; expected fewer", limit);
                int r = read(f, item, file);
                if (r < 0 && r != -EBADMSG)
                        return r;
                result = r < 0 ? r : result;
        }
        return result;
}

static int field_services(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        return each_item(f, k, v, field, SIM_SERVICES_MAX, read_service);
}

static int field_events(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        return each_item(f, k, v, field, SCENARIO_EVENTS_MAX, read_event);
}

/* Services may be written after the events. */
static int check_names(struct config_file *f, const struct scenario_file *file) {
        int result = 0;
        for (size_t i = 0; i < file->n_events; i++) {
                const struct scenario_event *e = &file->events[i];
                if (!e->unit || scenario_names(file, e->unit))
                        continue;
                const struct position at = { e->line, e->column };
                int r = complain(f, at, "an event of %s, and no service is called so; expected one of services", e->unit);
                if (r != -EBADMSG)
                        return r;
                result = r;
        }
        return result;
}

/* Read by the configuration's own reader, later. */
static int field_later(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        return 0;
}

static int field_seed(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        unsigned seed = 0;
        int r = field_number(f, k, v, &seed);
        if (r >= 0)
                ((struct scenario_file *) field)->settings.seed = seed;
        return r;
}

enum { TOP_VERSION, TOP_DAEMON, TOP_RULES, TOP_UNTIL };
static const struct key top_keys[] = {
        [TOP_VERSION] = IDLE("version", field_later, NULL),
        [TOP_DAEMON] = IDLE("daemon", field_later, NULL),
        [TOP_RULES] = IDLE("rules", field_later, NULL),
        [TOP_UNTIL] = KEY("until", field_duration, struct scenario_file, until_usec,
                          RANGE(USEC_PER_SEC, SCENARIO_SPAN_MAX_USEC, "1s to 366d")),
        { .name = "seed", .parse = field_seed, .offset = 0, .data = RANGE(0, UINT32_MAX, "a number from 0 to 4294967295") },
        { .name = "machine", .parse = field_machine, .offset = 0 },
        { .name = "services", .parse = field_services, .offset = 0 },
        { .name = "events", .parse = field_events, .offset = 0 },
};

/* Bytes of the line break at `p`, 0: none there. All that the YAML reader counts as one: LF, CR LF, CR, NEL, LS, PS. */
static size_t line_break(const char *p, size_t left) {
        static const char *const breaks[] = { "\n", "\r\n", "\r", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9" };
        for (size_t i = 0; i < ARRAY_SIZE(breaks); i++) {
                size_t n = strlen(breaks[i]);
                if (left >= n && memcmp(p, breaks[i], n) == 0)
                        return n;
        }
        return 0;
}

/* Blanks all lines but those of some top-level keys. Every such key must begin its own line for that. */
static int keep_config(struct config_file *f, const struct value *tree, const char *text, size_t size,
                       struct scenario_file *file) {
        file->config_text = malloc(size + 1);
        if (!file->config_text)
                return -ENOMEM;
        memcpy(file->config_text, text, size);
        file->config_text[size] = 0;
        file->config_size = size;
        const struct value *key = tree->first;
        bool keep = false;
        unsigned line = 1;
        for (size_t i = 0; i < size; line++) {
                while (key && key->at.line < line)
                        key = key->next->next;
                if (key && key->at.line == line) {
                        if (key->at.column != 1)
                                return complain(
                                        f, key->at,
                                        "this key does not begin its line; expected each of the file's own keys to do so");
                        /* A key that is no text has been complained about, and has none. */
                        keep = key->kind == VALUE_SCALAR && (strcmp(key->text, "version") == 0 ||
                                                             strcmp(key->text, "daemon") == 0 || strcmp(key->text, "rules") == 0);
                }
                size_t ended = 0;
                for (; i < size && (ended = line_break(text + i, size - i)) == 0; i++)
                        if (!keep)
                                file->config_text[i] = ' ';
                i += ended;
        }
        return 0;
}

static int parse_tree(struct config_file *f, const char *text, size_t size, struct scenario_file *file) {
        _cleanup_(value_freep) struct value *tree = NULL;
        const struct position start = { 1, 1 };
        struct seen seen;
        if (size > SCENARIO_FILE_BYTES_MAX)
                return complain(f, start, "a file of more than 1 MiB; expected less");
        int r = value_tree_parse(f, text, size, &tree);
        if (r < 0)
                return r;
        if (!tree || tree->kind != VALUE_MAPPING)
                return complain(f, tree ? tree->at : start,
                                "the file is no scenario; expected a mapping with services and rules");
        r = mapping_read(f, "the scenario", tree, top_keys, ARRAY_SIZE(top_keys), file, &seen);
        if (r >= 0 && !seen.bad)
                r = check_names(f, file);
        if (r < 0)
                return r;
        file->has_rules = seen.keys[TOP_RULES] || seen.keys[TOP_DAEMON];
        return keep_config(f, tree, text, size, file);
}

int scenario_parse(const char *name, const char *text, size_t size, const struct topology *t, struct scenario_file **ret,
                   struct config_errors *errors) {
        _cleanup_(scenario_freep) struct scenario_file *file = calloc(1, sizeof(*file));
        struct loader loader = { .topology = t, .errors = errors };
        struct config_file f = { .name = (char *) name, .loader = &loader };
        if (!file)
                return -ENOMEM;
        sim_settings_init(&file->settings);
        file->until_usec = 60 * USEC_PER_MINUTE;
        int r = parse_tree(&f, text, size, file);
        if (r == -ENOMEM) {
                error_list_done(&f.errors);
                return r;
        }
        bool wrong = r < 0 || f.errors.n_found > 0;
        r = config_file_flush_errors(&f, errors);
        if (r < 0)
                return r;
        if (wrong)
                return -EBADMSG;
        *ret = TAKE_PTR(file);
        return 0;
}
