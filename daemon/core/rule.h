/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration after parsing: daemon settings and rules, and which rule a service falls under.
 * Filled by config/, read by everyone; immutable once loaded. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bitmap.h"

enum place {
        PLACE_COMPACT,
        PLACE_NODES,
        PLACE_FOLLOW,
        PLACE_IGNORE,
        PLACE_SPREAD,
        PLACE_INTERLEAVE,
        PLACE_NEAR,
        _PLACE_MAX,
        _PLACE_INVALID = -EINVAL,
};
const char *place_to_string(enum place p);

enum memory_mode { MEMORY_PREFER, MEMORY_STRICT, _MEMORY_MODE_MAX, _MEMORY_MODE_INVALID = -EINVAL };
const char *memory_mode_to_string(enum memory_mode m);

enum cpus_mode { CPUS_RESTRICT, CPUS_FREE, _CPUS_MODE_MAX, _CPUS_MODE_INVALID = -EINVAL };
const char *cpus_mode_to_string(enum cpus_mode m);

/* Pages that several processes map: left, or moved with MPOL_MF_MOVE_ALL where all of them belong to the service. */
enum shared_pages { SHARED_PAGES_SKIP, SHARED_PAGES_MOVE, _SHARED_PAGES_MAX, _SHARED_PAGES_INVALID = -EINVAL };
const char *shared_pages_to_string(enum shared_pages s);

/* A memory policy that the application set by itself: respected, or its pages are moved all the same. */
enum app_policy { APP_POLICY_RESPECT, APP_POLICY_OVERRIDE, _APP_POLICY_MAX, _APP_POLICY_INVALID = -EINVAL };
const char *app_policy_to_string(enum app_policy p);

/* Where the kernel's own balancing is on (kernel.numa_balancing): for one service. RESPECT: its memory is brought onto its home nodes, and on which of them
 * each page is, is left to the kernel; OVERRIDE: the memory is divided and brought home as the place says, however often the kernel undoes it; AUTO:
 * place: spread as by RESPECT, all others as the place says, and more and more rarely where the kernel undoes it. */
enum kernel_balancing {
        KERNEL_BALANCING_AUTO,
        KERNEL_BALANCING_RESPECT,
        KERNEL_BALANCING_OVERRIDE,
        _KERNEL_BALANCING_MAX,
        _KERNEL_BALANCING_INVALID = -EINVAL,
};
const char *kernel_balancing_to_string(enum kernel_balancing b);

/* How place: interleave divides pages: as many on each node, by the nodes' read bandwidth (equal where it is not known), or as the rule
 * says. */
enum interleave_by { INTERLEAVE_EQUAL, INTERLEAVE_BANDWIDTH, INTERLEAVE_GIVEN, _INTERLEAVE_MAX, _INTERLEAVE_INVALID = -EINVAL };
const char *interleave_by_to_string(enum interleave_by b);

enum match_key {
        MATCH_UNIT,
        MATCH_SLICE,
        MATCH_CGROUP,
        MATCH_USER,
        MATCH_EXE,
        MATCH_COMM,
        _MATCH_KEY_MAX,
        _MATCH_KEY_INVALID = -EINVAL,
};
const char *match_key_to_string(enum match_key k);

struct string_list {
        char **items;
        size_t n_items;
};
/* The list keeps no capacity: only string_list_add() may grow it, from empty. */
int string_list_add(struct string_list *l, const char *text); /* copies; -ENOMEM */
void string_list_done(struct string_list *l);

struct match {
        struct string_list patterns[_MATCH_KEY_MAX]; /* shell globs; an empty list: key not given */
};

#define RULE_MIN_SIZE_BYTES_DEFAULT    (64ULL << 20)
#define RULE_MIN_GAIN_PERMILLE_DEFAULT 50u
#define RULE_COOLDOWN_USEC_DEFAULT     (60ULL * 1000000ULL)

#define RULE_PRIORITY_DEFAULT 100u
#define RULE_PRIORITY_MAX     1000u
#define RULE_WEIGHT_MAX       255u /* the kernel's own limit for weighted interleave */

/* A node's part of an interleaved service: `weight` pages there for every sum of weights. */
struct node_weight {
        unsigned node, weight; /* weight 1…RULE_WEIGHT_MAX */
};

struct rule {
        char *name;
        struct match match;
        enum place place;
        enum memory_mode memory;
        enum cpus_mode cpus;
        struct node_set nodes;          /* PLACE_NODES only */
        unsigned max_nodes;             /* 0: no limit */
        unsigned min_nodes;             /* 0: no limit */
        bool has_allowed;               /* allowed-nodes was given */
        struct node_set allowed, avoid; /* never outside the one, never on the other */
        struct string_list
                together_with; /* rules (by name) whose services share its home; its own name: all its services together */
        struct string_list
                apart_from; /* rules whose services never share a node with it; its own name: each of its services apart */
        bool exclusive;     /* no other service that a rule places is put on its home nodes */
        unsigned priority;  /* 0…1000; of rules that cannot all hold the lower gives way, then the later one */
        struct string_list devices;       /* PLACE_NEAR: "net/eth0", "block/nvme0n1", "pci/0000:3b:00.0" */
        enum interleave_by interleave_by; /* PLACE_INTERLEAVE */
        struct node_weight *weights;      /* INTERLEAVE_GIVEN: sorted by node, each once */
        size_t n_weights;
        enum shared_pages shared_pages;
        enum app_policy app_policy;
        enum kernel_balancing kernel_balancing;
        uint64_t min_size_bytes;
        unsigned min_gain_permille; /* of the present expected distance */
        uint64_t cooldown_usec;
        uint64_t migrate_rate_bytes; /* per second, for this service; 0: only the machine's limit */
        char *file;                  /* where it was written, for messages */
        unsigned line;
        unsigned place_line, place_column; /* the same of its place */
};

/* One span of the week in local time, in minutes from Monday 00:00; end > start; wraps past Sunday when
 * end > WEEK_MINUTES. */
#define WEEK_MINUTES (7u * 24u * 60u)
struct week_window {
        unsigned start_minute, end_minute;
};

enum on_exit { ON_EXIT_KEEP, ON_EXIT_RESTORE, _ON_EXIT_MAX, _ON_EXIT_INVALID = -EINVAL };
const char *on_exit_to_string(enum on_exit o);

/* The kernel's own balancing for the whole machine: left as it is, or off or on for as long as the daemon runs. */
enum balancing_setting {
        BALANCING_LEAVE,
        BALANCING_OFF,
        BALANCING_ON,
        _BALANCING_SETTING_MAX,
        _BALANCING_SETTING_INVALID = -EINVAL
};
const char *balancing_setting_to_string(enum balancing_setting s);

struct settings {
        uint64_t interval_usec;      /* 10 s */
        uint64_t max_interval_usec;  /* 5 min */
        struct week_window *windows; /* NULL: always */
        size_t n_windows;
        bool dry_run;
        unsigned scan_cpu_permille;  /* of one CPU: 10 */
        uint64_t migrate_rate_bytes; /* per second, whole machine: 1 GiB */
        unsigned keep_free_permille; /* of each node's memory: 50 */
        enum on_exit on_exit;
        enum balancing_setting kernel_balancing;
};

struct config {
        struct settings settings;
        struct rule *rules;
        size_t n_rules;
};

/* A configuration with every default and no rule; NULL when memory ran out. */
struct config *config_new(void);
struct config *config_free(struct config *c);
static inline void config_freep(struct config **c) {
        config_free(*c);
}
void rule_init(struct rule *r); /* defaults; name etc. NULL */
void rule_done(struct rule *r);

/* What a service is known by. Lists because a service has several processes. exe and comm and users are filled
 * only where a rule asks (config_needs). */
struct service_identity {
        const char *unit;   /* "redis-server.service"; "" where the cgroup belongs to no unit */
        const char *slice;  /* leaf-most slice, "system.slice"; "" if none */
        const char *cgroup; /* "/system.slice/redis-server.service" */
        const char *const *users;
        size_t n_users;
        const char *const *exes;
        size_t n_exes;
        const char *const *comms;
        size_t n_comms;
};

/* Does any rule look at this key? (Readers skip what nobody asks for.) */
bool config_needs(const struct config *c, enum match_key key);
/* The first rule that matches: every key given matches, a list matches if one pattern does against one value
 * (fnmatch(3); '*' also matches '/'; a backslash is literal, as unit names contain them). Empty values, such as the
 * unit of a plain cgroup, match no pattern, and a rule that gives no key matches no service. NULL: none. */
const struct rule *config_match(const struct config *c, const struct service_identity *id);
/* Can a service of this unit fall under a rule that does something with it? Where that hangs on more than the unit's name: true. */
bool config_may_match_unit(const struct config *c, const char *unit);
/* Does some rule's `cgroup` list match this path? Used to decide which cgroup is the service. */
bool config_selects_cgroup(const struct config *c, const char *cgroup);
/* Changes allowed at this minute of the week? True where no window is set. */
bool settings_window_open(const struct settings *s, unsigned week_minute);
/* In how many minutes one begins; 0: one is open. */
unsigned settings_window_opens_in(const struct settings *s, unsigned week_minute);
