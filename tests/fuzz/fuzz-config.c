/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any text as a configuration: no crash, and the contract of config_load() holds. */
#include <string.h>

#include "config/config-private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Node 1 is absent, node 2 has memory only, node 3 CPUs only. */
static struct topology *make_topology(void) {
        struct topology *t = topology_new(4, 2);
        if (!t)
                abort();
        for (unsigned i = 0; i < 4; i++)
                t->nodes[i] = (struct topology_node) { .present = i != 1, .bytes_total = i == 1 || i == 3 ? 0 : GIB };
        for (unsigned i = 0; i < 2; i++) {
                unsigned node = i == 0 ? 0 : 3;
                cpu_mask_add(&t->nodes[node].cpus, i);
                t->nodes[node].n_cpus = t->nodes[node].n_cores = 1;
                t->node_of_cpu[i] = (int16_t) node;
        }
        return t;
}

static void require(bool condition) {
        if (!condition)
                abort();
}

static const struct rule *find_rule(const struct config *c, const char *name) {
        for (size_t i = 0; i < c->n_rules; i++)
                if (strcmp(c->rules[i].name, name) == 0)
                        return &c->rules[i];
        return NULL;
}

static bool meet(const struct node_set *a, const struct node_set *b) {
        struct node_set common = node_set_intersect(a, b);
        return !node_set_is_empty(&common);
}

/* What a planner may rely on. */
static void check_nodes(const struct rule *r) {
        struct node_set outside = node_set_subtract(&r->nodes, &r->allowed);
        require(r->min_nodes <= NODE_ID_MAX + 1 && r->max_nodes <= NODE_ID_MAX + 1 && r->priority <= RULE_PRIORITY_MAX);
        require(r->max_nodes == 0 || r->min_nodes <= r->max_nodes);
        require(r->has_allowed ? !node_set_is_subset(&r->allowed, &r->avoid) : node_set_is_empty(&r->allowed));
        require(!r->has_allowed || node_set_is_empty(&outside));
        require(!meet(&r->nodes, &r->avoid));
        require((r->place == PLACE_NEAR) == (r->devices.n_items > 0) && r->devices.n_items <= CONFIG_DEVICES_MAX);
        require((r->n_weights > 0) == (r->interleave_by == INTERLEAVE_GIVEN) && r->n_weights <= CONFIG_WEIGHTS_MAX);
        require(r->place == PLACE_INTERLEAVE || r->interleave_by == INTERLEAVE_EQUAL);
        require((r->place != PLACE_FOLLOW && r->place != PLACE_IGNORE && r->place != PLACE_INTERLEAVE) || r->cpus == CPUS_FREE);
        for (size_t i = 0; i < r->n_weights; i++) {
                const struct node_weight *w = &r->weights[i];
                require(w->weight >= 1 && w->weight <= RULE_WEIGHT_MAX && w->node <= NODE_ID_MAX);
                require(i == 0 || w->node > w[-1].node);
                require((!r->has_allowed || node_set_has(&r->allowed, w->node)) && !node_set_has(&r->avoid, w->node));
        }
}

static void check_relations(const struct config *c, const struct rule *r) {
        require(r->together_with.n_items <= CONFIG_RULE_NAMES_MAX && r->apart_from.n_items <= CONFIG_RULE_NAMES_MAX);
        for (size_t i = 0; i < r->together_with.n_items; i++) {
                const struct rule *with = find_rule(c, r->together_with.items[i]);
                require(with && with->place != PLACE_FOLLOW && with->place != PLACE_INTERLEAVE && with->place != PLACE_IGNORE);
                require(r->place != PLACE_NODES || with->place != PLACE_NODES || node_set_equal(&r->nodes, &with->nodes));
                require(!r->has_allowed || !with->has_allowed || meet(&r->allowed, &with->allowed));
                for (size_t k = 0; k < r->apart_from.n_items; k++)
                        require(strcmp(with->name, r->apart_from.items[k]) != 0);
        }
        for (size_t i = 0; i < r->apart_from.n_items; i++) {
                const struct rule *from = find_rule(c, r->apart_from.items[i]);
                require(from && !meet(&r->nodes, &from->nodes));
        }
}

static void check_rule(const struct config *c, const struct rule *r) {
        size_t n_patterns = 0;
        require(r->name && *r->name && strlen(r->name) <= CONFIG_NAME_BYTES_MAX && r->file && r->line > 0);
        require((int) r->place >= 0 && r->place < _PLACE_MAX && (int) r->memory >= 0 && r->memory < _MEMORY_MODE_MAX);
        require((r->place == PLACE_NODES) == !node_set_is_empty(&r->nodes));
        for (size_t k = 0; k < _MATCH_KEY_MAX; k++) {
                n_patterns += r->match.patterns[k].n_items;
                for (size_t i = 0; i < r->match.patterns[k].n_items; i++)
                        require(*r->match.patterns[k].items[i]);
        }
        require(n_patterns > 0 && n_patterns <= (size_t) CONFIG_PATTERNS_MAX * _MATCH_KEY_MAX);
        for (const struct rule *other = c->rules; other < r; other++)
                require(strcmp(other->name, r->name) != 0);
        check_nodes(r);
        check_relations(c, r);
}

static void check_config(const struct config *c) {
        const struct settings *s = &c->settings;
        require(s->interval_usec > 0 && s->interval_usec <= s->max_interval_usec);
        require(s->scan_cpu_permille > 0 && s->scan_cpu_permille <= 1000 && s->keep_free_permille <= 900 &&
                s->migrate_rate_bytes > 0);
        for (size_t i = 0; i < s->n_windows; i++)
                require(s->windows[i].start_minute < WEEK_MINUTES && s->windows[i].end_minute > s->windows[i].start_minute &&
                        s->windows[i].end_minute - s->windows[i].start_minute <= 24 * 60);
        require(c->n_rules <= CONFIG_RULES_MAX);
        for (size_t i = 0; i < c->n_rules; i++)
                check_rule(c, &c->rules[i]);
        const struct service_identity id = { .unit = "a.service", .slice = "system.slice", .cgroup = "/system.slice/a.service" };
        (void) config_match(c, &id);
}

/* "input:LINE:COLUMN: text", one printable line, in the order of the places. */
static void check_errors(const struct config_errors *e) {
        unsigned long line = 1, column = 1;
        require(e->n_lines > 0 && e->n_lines <= CONFIG_ERRORS_MAX + 1); /* … and more */
        for (size_t i = 0; i < e->n_lines; i++) {
                char *p = e->lines[i];
                require(strncmp(p, "input:", 6) == 0);
                unsigned long l = strtoul(p + 6, &p, 10);
                require(*p == ':');
                unsigned long c = strtoul(p + 1, &p, 10);
                require(strncmp(p, ": ", 2) == 0 && p[2] && l >= 1 && c >= 1);
                require(l > line || (l == line && c >= column));
                line = l;
                column = c;
                for (; *p; p++)
                        require((unsigned char) *p >= 0x20 && *p != 0x7f);
        }
}

static void try_config(const uint8_t *data, size_t size, const struct topology *t) {
        struct config *c = NULL;
        struct config_errors errors = { 0 };
        int r = config_parse_buffer("input", (const char *) data, size, t, &c, &errors);
        require(r == 0 || r == -EBADMSG);
        require((r == 0) == (c != NULL) && (r == 0) == (errors.n_lines == 0));
        if (r == 0)
                check_config(c);
        else
                check_errors(&errors);
        config_errors_done(&errors);
        config_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct topology *t = make_topology();
        try_config(data, size, NULL);
        try_config(data, size, t);
        topology_free(t);
        return 0;
}
