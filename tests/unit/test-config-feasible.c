/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random rules for a machine of three nodes against a search of all homes: what is refused has no solution; and of two rules, one service
 * each, what has no solution is refused. */
#include "test-config.h"

#define N_NODES 3u
#define N_HOMES (1u << N_NODES) /* as bits; 0 is none */

struct random_rule {
        unsigned nodes, allowed, avoid, min, max; /* nodes as bits; 0: not given */
        unsigned together, apart;                 /* rules as bits, never the rule itself */
        bool exclusive;
};

static unsigned draw(uint64_t *seed, unsigned n) {
        *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
        return (unsigned) (*seed >> 33) % n;
}

static struct random_rule draw_rule(uint64_t *seed, unsigned self, unsigned n_rules) {
        struct random_rule r = { .allowed = 1 + draw(seed, N_HOMES - 1) };
        if (draw(seed, 3) == 0)
                r.nodes = 1 + draw(seed, N_HOMES - 1);
        if (draw(seed, 4) == 0)
                r.avoid = 1 + draw(seed, N_HOMES - 1);
        if (draw(seed, 4) == 0)
                r.min = 1 + draw(seed, N_NODES);
        if (draw(seed, 4) == 0)
                r.max = 1 + draw(seed, N_NODES);
        if (draw(seed, 2) == 0)
                r.together = draw(seed, 1u << n_rules) & ~(1u << self);
        if (draw(seed, 2) == 0)
                r.apart = draw(seed, 1u << n_rules) & ~(1u << self);
        r.exclusive = draw(seed, 8) == 0;
        return r;
}

static bool rule_holds(const struct random_rule *r, unsigned home) {
        unsigned n = (unsigned) __builtin_popcount(home);
        return home != 0 && (home & ~r->allowed) == 0 && (home & r->avoid) == 0 && (r->nodes == 0 || home == r->nodes) &&
               n >= r->min && (r->max == 0 || n <= r->max);
}

/* Rules that share a home, also by way of a third one. */
static unsigned together_with(const struct random_rule *rules, unsigned n, unsigned i) {
        unsigned group = 1u << i, before;
        do {
                before = group;
                for (unsigned a = 0; a < n; a++)
                        for (unsigned b = 0; b < n; b++)
                                if ((rules[a].together & (1u << b)) && (group & (1u << a | 1u << b)))
                                        group |= 1u << a | 1u << b;
        } while (group != before);
        return group;
}

static bool all_hold(const struct random_rule *rules, unsigned n, const unsigned *homes) {
        for (unsigned i = 0; i < n; i++) {
                unsigned group = together_with(rules, n, i);
                if (!rule_holds(&rules[i], homes[i]))
                        return false;
                for (unsigned j = 0; j < n; j++) {
                        bool member = group & (1u << j);
                        if (member && homes[j] != homes[i])
                                return false;
                        if (j != i && ((rules[i].apart & (1u << j)) || (rules[i].exclusive && !member)) && (homes[i] & homes[j]))
                                return false;
                }
        }
        return true;
}

static bool is_feasible(const struct random_rule *rules, unsigned n) {
        for (unsigned code = 0; code < 1u << (N_NODES * n); code++) {
                unsigned homes[3];
                for (unsigned i = 0; i < n; i++)
                        homes[i] = code >> (N_NODES * i) & (N_HOMES - 1);
                if (all_hold(rules, n, homes))
                        return true;
        }
        return false;
}

static void put_list(struct strbuf *b, const char *key, unsigned bits, const char *quote, char first) {
        if (bits == 0)
                return;
        strbuf_printf(b, ", %s: %s", key, quote[0] ? "\"" : "[");
        for (unsigned i = 0, n = 0; i < 3; i++)
                if (bits & (1u << i))
                        strbuf_printf(b, "%s%c", n++ ? "," : "", (char) (first + (char) i));
        strbuf_append(b, quote[0] ? "\"" : "]");
}

static char *write_rules(const struct random_rule *rules, unsigned n) {
        struct strbuf b = { 0 };
        strbuf_append(&b, "rules:\n");
        for (unsigned i = 0; i < n; i++) {
                const struct random_rule *r = &rules[i];
                strbuf_printf(&b, "- {name: %c, match: {user: a}, place: %s", (char) ('a' + (char) i),
                              r->nodes ? "nodes" : "compact");
                put_list(&b, "nodes", r->nodes, "\"", '0');
                put_list(&b, "allowed-nodes", r->allowed, "\"", '0');
                put_list(&b, "avoid-nodes", r->avoid, "\"", '0');
                put_list(&b, "together-with", r->together, "", 'a');
                put_list(&b, "apart-from", r->apart, "", 'a');
                if (r->min)
                        strbuf_printf(&b, ", min-nodes: %u", r->min);
                if (r->max)
                        strbuf_printf(&b, ", max-nodes: %u", r->max);
                strbuf_printf(&b, ", exclusive: %s}\n", r->exclusive ? "true" : "false");
        }
        char *text = strbuf_steal(&b);
        assert_non_null(text);
        return text;
}

static struct topology *make_topology(void) {
        struct topology *t = topology_new(N_NODES, N_NODES);
        assert_non_null(t);
        for (unsigned i = 0; i < N_NODES; i++) {
                t->nodes[i] = (struct topology_node) { .present = true, .bytes_total = GIB, .n_cpus = 1, .n_cores = 1 };
                cpu_mask_add(&t->nodes[i].cpus, i);
                t->node_of_cpu[i] = (int16_t) i;
        }
        return t;
}

struct tally {
        unsigned n_feasible, n_refused, n_missed;
};

static struct tally try_rules(unsigned n_rules, unsigned n_tries, uint64_t seed) {
        struct topology *t = make_topology();
        struct tally tally = { 0 };
        for (unsigned k = 0; k < n_tries; k++) {
                uint64_t start = seed;
                struct random_rule rules[3];
                struct config_errors errors = { 0 };
                struct config *c = NULL;
                for (unsigned i = 0; i < n_rules; i++)
                        rules[i] = draw_rule(&seed, i, n_rules);
                _cleanup_free_ char *text = write_rules(rules, n_rules);
                int r = config_parse_buffer("FILE", text, strlen(text), t, &c, &errors);
                bool feasible = is_feasible(rules, n_rules);
                if (r < 0 && feasible)
                        fail_msg("seed %llu: refused, though it can hold: %s\n%s", (unsigned long long) start,
                                 errors.n_lines ? errors.lines[0] : "", text);
                if (r >= 0 && !feasible && n_rules == 2)
                        fail_msg("seed %llu: accepted, though it cannot hold:\n%s", (unsigned long long) start, text);
                tally.n_feasible += feasible;
                tally.n_refused += r < 0;
                tally.n_missed += r >= 0 && !feasible;
                config_errors_done(&errors);
                config_free(c);
        }
        topology_free(t);
        print_message("# %u rules: %u can hold, %u are refused, %u are left to the planner\n", n_rules, tally.n_feasible,
                      tally.n_refused, tally.n_missed);
        return tally;
}

static void test_two_rules(void **state) {
        struct tally t = try_rules(2, 20000, 1);
        assert_true(t.n_feasible > 1000 && t.n_refused > 1000);
}

static void test_three_rules(void **state) {
        struct tally t = try_rules(3, 20000, 2);
        assert_true(t.n_feasible > 1000 && t.n_refused > 1000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_two_rules),
                cmocka_unit_test(test_three_rules),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
