/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A captured machine and its observer: screens of it, and what they say of one service. */
#pragma once

#include "host/observe.h"

#include "core/plan.h"
#include "core/util.h"
#include "host/host.h"
#include "test-host-tree.h"
#include "unit.h"

#define CG       "sys/fs/cgroup/system.slice/"
#define REDIS    "/system.slice/redis-server.service"
#define POSTGRES "/system.slice/system-postgresql.slice/postgresql@15-main.service"
#define DOCKER   "/system.slice/docker-0123.scope"
#define NGINX    DOCKER "/system.slice/nginx.service"
#define BOOT     (1000 * USEC_PER_SEC) /* time of the first screen: everything in the tree began before */

struct setup {
        struct tree tree;
        struct host *host;
        struct topology *topology;
        struct observer *observer;
        struct config *config;
        struct observation *seen;
};

static inline void setup_make(struct setup *s, const char *name) {
        *s = (struct setup) { 0 };
        tree_make(&s->tree, name);
        assert_int_equal(host_open(s->tree.root, &s->host), 0);
        assert_int_equal(topology_load(s->host, &s->topology), 0);
        assert_int_equal(observer_new(s->host, s->topology, &s->observer), 0);
        s->config = config_new();
        assert_non_null(s->config);
}

static inline void setup_done(struct setup *s) {
        observation_free(s->seen);
        observer_free(s->observer);
        config_free(s->config);
        topology_free(s->topology);
        host_free(s->host);
        tree_done(&s->tree);
}

static inline void screen_applied(struct setup *s, uint64_t now_usec, const struct applied *applied, size_t n_applied) {
        s->seen = observation_free(s->seen);
        assert_int_equal(observer_screen(s->observer, s->config, applied, n_applied, now_usec, &s->seen), 0);
        for (size_t i = 0; i < s->seen->n_services; i++) {
                const struct service_sample *x = &s->seen->services[i];
                assert_true(i == 0 || strcmp(x[-1].cgroup, x->cgroup) < 0);
                uint64_t shares = 0;
                for (unsigned id = 0; id < s->topology->n_ids; id++)
                        shares += x->cpu_share_by_node[id];
                assert_int_equal(shares, x->n_threads > 0 ? 1000000 : 0);
                assert_true(x->n_processes > 0);
                assert_false(x->deep || x->self_managed || x->has_bound_mappings);
                assert_false(node_set_is_empty(&x->effective_cpu_nodes));
                assert_false(node_set_is_empty(&x->effective_mems));
        }
}

static inline void screen(struct setup *s, uint64_t now_usec) {
        screen_applied(s, now_usec, NULL, 0);
}

static inline const struct service_sample *find(const struct setup *s, const char *cgroup) {
        for (size_t i = 0; i < s->seen->n_services; i++)
                if (strcmp(s->seen->services[i].cgroup, cgroup) == 0)
                        return &s->seen->services[i];
        return NULL;
}

static inline void assert_shares(const struct service_sample *x, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
        const uint32_t want[] = { a, b, c, d };
        assert_non_null(x);
        assert_memory_equal(x->cpu_share_by_node, want, sizeof want);
}

static inline void assert_by_node(const uint64_t *have, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
        const uint64_t want[] = { a, b, c, d };
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(have[i], want[i]);
}

static inline void add_rule(struct setup *s, enum match_key key, const char *pattern) {
        struct config *c = s->config;
        c->rules = realloc(c->rules, (c->n_rules + 1) * sizeof *c->rules);
        rule_init(&c->rules[c->n_rules]);
        assert_int_equal(string_list_add(&c->rules[c->n_rules].match.patterns[key], pattern), 0);
        c->n_rules++;
}
