/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of this room share. The way of a configuration through it:
 *
 *     config-files.c     which files, in which order; their text
 *     config-yaml.c      text → a tree of values, each with its line and column
 *     config-schema.c    the tree against the tables of keys: daemon settings, rules, match
 *     config-fields.c    one value of the tree → one field, with the complaint where it does not fit
 *     config-lists.c     the same for the names of rules, devices, and the weights of nodes
 *     config-values.c    durations, sizes, percents, windows: text → number, pure
 *     config-patterns.c  globs that can match nothing
 *     config-rules.c     what one rule must have, and what contradicts itself
 *     config-nodes.c     which nodes a rule may have, and how many: what cannot hold
 *     config-relations.c what rules say about each other, once all are read
 *     config-loader.c    the files together: their errors, and what goes across them
 *     config-errors.c    complaints, in the order of the file, not too many
 *     config-warnings.c  what the kernel would undo (config-warnings.h), of a configuration that was read
 *
 * Return values: 0; -EBADMSG where something was wrong and is already noted in the file's errors (go on with the next value, to
 * find more); anything else negative, -ENOMEM as a rule, ends the load. */
#pragma once

#include "config/config-load.h"
#include "core/util.h"

/* Limits on what a file can make us do. All are documented in numabalanced.yaml(5). */
#define CONFIG_FILE_BYTES_MAX    (1u << 20)
#define CONFIG_DROPINS_MAX       1000u
#define CONFIG_DEPTH_MAX         10u     /* the schema needs 5 */
#define CONFIG_VALUES_MAX        100000u /* keys, entries and values in one file */
#define CONFIG_RULES_MAX         1000u
#define CONFIG_PATTERNS_MAX      256u /* of one key of one match */
#define CONFIG_PATTERN_BYTES_MAX 1024u
#define CONFIG_WINDOWS_MAX       64u
#define CONFIG_NAME_BYTES_MAX    64u
#define CONFIG_RULE_NAMES_MAX    64u /* in one list of rules */
#define CONFIG_DEVICES_MAX       16u
#define CONFIG_WEIGHTS_MAX       1024u
#define CONFIG_SUGGESTIONS_MAX   100u /* names of rules that were probably meant, in one load */
#define CONFIG_ERRORS_MAX        20u  /* shown of one file */

/* -------- errors -------- */

struct position {
        unsigned line, column; /* from 1; columns count characters */
};

struct error_entry {
        struct position at;
        char *text;
};

/* The first CONFIG_ERRORS_MAX errors of a file by position, whatever the order in which they were found, and one
 * more for the place where the rest begins. */
struct error_list {
        struct error_entry entries[CONFIG_ERRORS_MAX + 1];
        size_t n_entries, n_found;
};

struct loader;

/* One file, until everything is read: what is wrong across files is noted where it stands. */
struct config_file {
        char *name;       /* as shown in errors */
        char *unreadable; /* a complete line instead of errors, for a file without text */
        struct loader *loader;
        struct error_list errors;
};

/* Notes an error: false when memory ran out. */
bool error_note(struct config_file *f, struct position at, const char *format, ...) _printf_(3, 4);
/* The same, for `return complain(…)`: -EBADMSG or -ENOMEM. A macro so that static analysis sees that it never is 0. */
#define complain(file, at, ...) (error_note((file), (at), __VA_ARGS__) ? -EBADMSG : -ENOMEM)
/* Appends the lines of the file's errors to `errors` and empties the list. */
int config_file_flush_errors(struct config_file *f, struct config_errors *errors);
void error_list_done(struct error_list *l);
/* Appends one complete line; takes ownership of it, also when it fails. NULL is -ENOMEM. */
int config_errors_add(struct config_errors *errors, char *line);

/* The text in double quotes for an error: control characters escaped, cut after 64 bytes. Caller frees. */
char *quote_text(const char *text, size_t length);
/* The word of the list that was probably meant, or NULL. */
const char *suggest_word(const char *word, const char *const *words, size_t n_words);

/* -------- the tree -------- */

enum value_kind {
        VALUE_SCALAR,
        VALUE_LIST,
        VALUE_MAPPING, /* children: key, value, key, value … */
        VALUE_REFUSED, /* an alias: complained about where it was found, and skipped from then on */
};

struct value {
        enum value_kind kind;
        struct position at;
        bool plain;  /* scalar: not quoted, so that it can be null */
        char *text;  /* scalar, NUL-terminated */
        size_t size; /* of the text; differs from strlen() where it holds "\0" */
        struct value *first, *next;
};

/* Returns 0 and the tree (NULL for a file without content), -EBADMSG or -ENOMEM. */
int value_tree_parse(struct config_file *f, const char *text, size_t size, struct value **ret);
struct value *value_free(struct value *v);
static inline void value_freep(struct value **v) {
        value_free(*v);
}
bool value_is_null(const struct value *v);
const char *value_kind_name(const struct value *v); /* "a list", … */

/* -------- text to values: config-values.c -------- */

/* Each returns 0 and sets `*ret`, or -EINVAL or -ERANGE and sets `*ret_why` to a static text that completes the
 * sentence «"10" …». A fraction has up to three digits; what is finer than the result's unit is cut off, except for
 * percents, where it is an error. */
int parse_duration(const char *text, uint64_t *ret_usec, const char **ret_why);      /* "250ms", "2h 30min" */
int parse_size(const char *text, uint64_t *ret_bytes, const char **ret_why);         /* "64M", "1.5GiB", "4096" */
int parse_rate(const char *text, uint64_t *ret_bytes_per_sec, const char **ret_why); /* "1G", "1G/s" */
int parse_percent(const char *text, unsigned *ret_permille, const char **ret_why);   /* "0.5%" → 5 */
int parse_boolean(const char *text, bool *ret, const char **ret_why);                /* true false yes no on off */
/* "Mon..Fri,Sun 22:00-06:00": one window for each day, in the order of the week. */
int parse_window(const char *text, struct week_window ret[7], size_t *ret_n, const char **ret_why);
/* The way a person would write it: "90s", "5min"; NULL when memory ran out. */
char *format_duration(uint64_t usec);

/* A reason why this pattern can match nothing, or NULL. `*ret_expected` says what could. */
const char *pattern_problem(enum match_key key, const char *pattern, const char **ret_expected);

/* -------- the schema -------- */

struct key;
typedef int (*field_parser)(struct config_file *f, const struct key *k, const struct value *v, void *field);

struct range {
        uint64_t min, max;
        const char *text; /* "100ms to 1d" */
};

/* The words of an enum, in the order of its constants. */
struct choices {
        const char *const *words;
        size_t n_words;
};

struct key {
        const char *name;
        field_parser parse;
        size_t offset;    /* of the field in the mapping's target */
        const void *data; /* struct range, struct choices, or nothing, as the parser wants */
};

#define KEYS_MAX 32u

/* What a mapping held: for each entry of the table the node of its key, or NULL. */
struct seen {
        const struct value *keys[KEYS_MAX];
        uint32_t bad; /* bit i: the value of key i was not accepted */
};

/* Reads a mapping by its table into `target`. `where` ("a rule") is for errors. Returns 0 also where single keys were bad. */
int mapping_read(struct config_file *f, const char *where, const struct value *v, const struct key *keys, size_t n_keys,
                 void *target, struct seen *ret_seen);

/* Field parsers; the field's type is behind each. */
int field_duration(struct config_file *f, const struct key *k, const struct value *v, void *field); /* uint64_t; range */
int field_size(struct config_file *f, const struct key *k, const struct value *v, void *field);     /* uint64_t; range */
int field_rate(struct config_file *f, const struct key *k, const struct value *v, void *field);     /* uint64_t; range */
int field_percent(struct config_file *f, const struct key *k, const struct value *v, void *field);  /* unsigned; range */
int field_number(struct config_file *f, const struct key *k, const struct value *v, void *field);   /* unsigned; range */
int field_boolean(struct config_file *f, const struct key *k, const struct value *v, void *field);  /* bool */
int field_choice(struct config_file *f, const struct key *k, const struct value *v, void *field);   /* an enum; choices */
int field_nodes(struct config_file *f, const struct key *k, const struct value *v, void *field);    /* struct node_set */
int field_windows(struct config_file *f, const struct key *k, const struct value *v, void *field);  /* struct settings */
int field_name(struct config_file *f, const struct key *k, const struct value *v, void *field);     /* char * */
int field_patterns(struct config_file *f, const struct key *k, const struct value *v, void *field); /* struct string_list */
int field_names(struct config_file *f, const struct key *k, const struct value *v,
                void *field); /* struct string_list, of rules */
int field_devices(struct config_file *f, const struct key *k, const struct value *v, void *field); /* struct string_list */
int field_weights(struct config_file *f, const struct key *k, const struct value *v, void *field); /* struct rule */

/* What field parsers are made of. The complaints return as complain() does. */
int wrong_kind(struct config_file *f, const struct key *k, const struct value *v, const char *expected);
int wrong_text(struct config_file *f, const struct key *k, const struct value *v, const char *why, const char *expected);
int wrong_word(struct config_file *f, const struct key *k, const struct value *v, const struct choices *c, const char *expected);
/* The text of a single value that is really there. */
int scalar(struct config_file *f, const struct key *k, const struct value *v, const char *expected, const char **ret);
int check_name(struct config_file *f, const struct key *k, const struct value *v, const char *text);
typedef int (*text_parser)(struct config_file *f, const struct key *k, const struct value *v, const char *text, void *field);
/* Calls `one` for a single text, or for each of a list. -EBADMSG if any was bad, after all were looked at. */
int each_text(struct config_file *f, const struct key *k, const struct value *v, const char *expected, size_t limit,
              text_parser one, void *field);

enum rule_key {
        RULE_NAME,
        RULE_MATCH,
        RULE_PLACE,
        RULE_MEMORY,
        RULE_CPUS,
        RULE_NODES,
        RULE_MAX_NODES,
        RULE_MIN_SIZE,
        RULE_MIN_GAIN,
        RULE_COOLDOWN,
        RULE_MIGRATE_RATE,
        RULE_SHARED_PAGES,
        RULE_APP_POLICY,
        RULE_DEVICE,
        RULE_WEIGHTS,
        RULE_MIN_NODES,
        RULE_ALLOWED_NODES,
        RULE_AVOID_NODES,
        RULE_TOGETHER_WITH,
        RULE_APART_FROM,
        RULE_EXCLUSIVE,
        RULE_PRIORITY,
        RULE_KERNEL_BALANCING,
        _RULE_KEY_MAX,
};

/* The key of the mapping, NULL where it is not given. Its value is its `next`. */
static inline const struct value *key_at(const struct seen *seen, enum rule_key key) {
        return seen->keys[key];
}
/* Given, and its value is in its field. */
static inline bool accepted(const struct seen *seen, enum rule_key key) {
        return seen->keys[key] && !(seen->bad & (1u << key));
}

/* What is missing from the rule, and what contradicts itself. The rule is the last one of the loader's. */
int rule_check(struct config_file *f, const struct value *v, struct rule *r, const struct seen *seen);
/* Its part about nodes, for every place but ignore. Returns -EBADMSG where something was wrong. */
int rule_check_nodes(struct config_file *f, const struct rule *r, const struct seen *seen);
/* The nodes that the rule's own keys leave it, of all that Linux can have: what a machine has is another matter, or no rule with
 * apart-from could be loaded where there is only one node. */
struct node_set rule_may_have(const struct rule *r);
/* Nodes that its home will be exactly, whatever the planner thinks; empty where it is free to choose. */
struct node_set rule_fixed_nodes(const struct rule *r);

/* -------- the whole -------- */

/* Where a rule was written, for errors that are found once all are read. */
struct rule_origin {
        struct config_file *file;
        struct position *together_at, *apart_at; /* of each name of those lists; NULL where the key was not accepted */
        struct position exclusive_at;
        bool sure; /* nothing was wrong with it by itself */
};

struct loader {
        struct config *config;
        size_t rules_capacity;
        struct rule_origin *origins; /* one for each rule, until those of drop-ins are put first */
        size_t n_origins, origins_capacity;
        struct config_file **files; /* in the order in which they are read */
        size_t n_files, files_capacity;
        const struct topology *topology; /* NULL: node lists are checked for their form only */
        struct config_errors *errors;
        /* Where interval or max-interval was set last: they are compared once all files are read. */
        struct config_file *interval_file;
        struct position interval_at;
        bool interval_unsure; /* one of the two was not accepted: no comparison */
        bool names_unsure;    /* a rule's name could not be read: an unknown name may be that one */
};

/* `errors` is added to. Returns 0 or -ENOMEM. */
int loader_init(struct loader *l, const struct topology *topology, struct config_errors *errors);
void loader_done(struct loader *l);
/* Reads one file's text: its settings replace those read before, its rules come after them. 0 or -ENOMEM; what is
 * wrong is in the errors. */
int loader_read(struct loader *l, const char *name, const char *text, size_t size);
/* A file that has no text to read, with a complete line that says why; takes ownership of it, also when it fails. NULL is -ENOMEM. */
int loader_note_unreadable(struct loader *l, char *line);
/* Moves the errors of all files to where the caller wants them. 0 or -ENOMEM. */
int loader_flush(struct loader *l);
/* Checks that go across files. The first `n_last` rules are put behind all others. Sets `*ret` and returns 0 where there is no error
 * at all; -EBADMSG or -ENOMEM otherwise. */
int loader_finish(struct loader *l, size_t n_last, struct config **ret);

/* The parts of it. The tree of a file, NULL where it is empty, into the configuration. 0, -EBADMSG or -ENOMEM. */
int schema_read(struct config_file *f, const struct value *v);
/* Notes what rules say about each other that cannot hold. 0 or -ENOMEM. */
int relations_check(struct loader *l);

/* One text as a whole configuration: what tests and the fuzzer use. */
int config_parse_buffer(const char *name, const char *text, size_t size, const struct topology *topology, struct config **ret,
                        struct config_errors *errors);
