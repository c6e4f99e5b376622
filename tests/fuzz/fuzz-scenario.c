/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any text as a scenario: no crash, what the simulation may rely on holds, and its rules reach the configuration's reader. */
#include <string.h>

#include "config/config-private.h"
#include "sim/scenario-file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
        if (!condition)
                abort();
}

/* Node 1 is absent, node 2 has memory only. */
static struct topology *make_topology(void) {
        struct topology *t = topology_new(3, 2);
        require(t);
        for (unsigned i = 0; i < 3; i++)
                t->nodes[i] = (struct topology_node) { .present = i != 1, .bytes_total = i == 1 ? 0 : GIB };
        for (unsigned i = 0; i < 2; i++) {
                cpu_mask_add(&t->nodes[0].cpus, i);
                t->node_of_cpu[i] = 0;
        }
        t->nodes[0].n_cpus = t->nodes[0].n_cores = 2;
        return t;
}

static void check_service(const struct scenario_service *s) {
        const struct sim_spec *p = &s->spec;
        require(s->unit && *s->unit && !strchr(s->unit, '/') && s->count >= 1 && s->count <= SIM_SERVICES_MAX);
        require(s->count == 1 || strchr(s->unit, '%'));
        require(s->arrives_usec <= SCENARIO_SPAN_MAX_USEC && s->ends_usec <= SCENARIO_SPAN_MAX_USEC);
        require(p->cpus >= 0 && p->cpus <= CPU_ID_MAX + 2 && p->n_processes >= 1 && p->n_processes <= SIM_PROCESSES_MAX);
        require(p->pinned_permille + p->shared_permille + p->bound_permille <= 1000 && p->busy_permille <= 1000);
        for (unsigned h = 0; h < 24; h++)
                require(!p->duty.given || p->duty.permille[h] <= 1000);
}

/* The text that is left for the configuration has the file's own keys in the file's own places. */
static void check_rules(const struct scenario_file *s, const char *text, size_t size) {
        const char *end = memchr(text, 0, size) ? NULL : text + size;
        require(s->config_text && s->config_size == size);
        for (size_t i = 0; i < size; i++)
                require(s->config_text[i] == text[i] || s->config_text[i] == ' ');
        if (!end || !s->has_rules)
                return;
        struct config_errors errors = { 0 };
        struct loader loader = { .errors = &errors };
        struct config_file f = { .name = (char *) "input", .loader = &loader };
        _cleanup_(value_freep) struct value *tree = NULL;
        bool found = false;
        if (value_tree_parse(&f, s->config_text, s->config_size, &tree) >= 0 && tree && tree->kind == VALUE_MAPPING)
                for (const struct value *key = tree->first; key; key = key->next->next)
                        found |= strcmp(key->text, "rules") == 0 || strcmp(key->text, "daemon") == 0;
        require(found);
        error_list_done(&f.errors);
        config_errors_done(&errors);
}

static void check_scenario(const struct scenario_file *s, const char *text, size_t size) {
        require(s->until_usec >= USEC_PER_SEC && s->until_usec <= SCENARIO_SPAN_MAX_USEC);
        require(s->settings.tick_usec >= 10 * USEC_PER_MSEC);
        require(s->n_services <= SIM_SERVICES_MAX && s->n_events <= SCENARIO_EVENTS_MAX);
        for (size_t i = 0; i < s->n_services; i++)
                check_service(&s->services[i]);
        for (size_t i = 0; i < s->n_events; i++)
                require((s->events[i].action < ACTION_PAUSE) == (s->events[i].unit != NULL) &&
                        s->events[i].at_usec <= SCENARIO_SPAN_MAX_USEC);
        check_rules(s, text, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct topology *t = make_topology();
        struct scenario_file *s = NULL;
        struct config_errors errors = { 0 };
        int r = scenario_parse("input", (const char *) data, size, t, &s, &errors);
        require(r == 0 || r == -EBADMSG);
        require((r == 0) == (s != NULL) && (r == 0) == (errors.n_lines == 0));
        if (r == 0)
                check_scenario(s, (const char *) data, size);
        config_errors_done(&errors);
        scenario_free(s);
        topology_free(t);
        return 0;
}
