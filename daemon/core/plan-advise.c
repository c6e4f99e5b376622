/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a new service should start: a plan is made as if it were there already, under a rule of its own that gives way to all others. */
#include <string.h>

#include "core/plan-internal.h"

/* Sorts behind every cgroup ("/…") and lone process ("pid:…"). */
static const char newcomer_key[] = "~new service";
static const char newcomer_rule[] = "(new service)";

/* The input with one more rule and one more service; strings and arrays of the others are borrowed. */
struct question {
        struct plan_input in;
        struct config config;
        struct rule *rules;
        struct service_sample *samples;
};

static void question_done(struct question *q) {
        if (q->samples)
                service_sample_done(&q->samples[q->in.n_samples - 1]);
        free(q->samples);
        if (q->rules)
                rule_done(&q->rules[q->config.n_rules - 1]);
        free(q->rules);
}

static int add_rule(struct question *q, const struct config *config) {
        size_t n = config->n_rules;
        q->config = *config;
        q->rules = calloc(n + 1, sizeof *q->rules);
        if (!q->rules)
                return -ENOMEM;
        if (n > 0)
                memcpy(q->rules, config->rules, n * sizeof *q->rules);
        struct rule *r = &q->rules[n];
        rule_init(r);
        r->priority = 0;
        r->min_size_bytes = 0;
        r->min_gain_permille = 0;
        r->cooldown_usec = 0;
        q->config.rules = q->rules;
        q->config.n_rules = n + 1;
        r->name = strdup(newcomer_rule);
        return r->name ? 0 : -ENOMEM;
}

/* What it will use, as if it ran evenly everywhere now: that prefers no node. */
static int fill_newcomer(struct service_sample *s, const struct topology *t, uint64_t mcpu, uint64_t bytes) {
        struct node_set all = topology_nodes(t);
        uint64_t n_cpus = 0;
        service_sample_init(s);
        int r = service_sample_alloc(s, t->n_ids);
        if (r < 0)
                return r;
        s->cgroup = strdup(newcomer_key);
        s->unit = strdup(newcomer_key);
        if (!s->cgroup || !s->unit)
                return -ENOMEM;
        s->owner = OWNER_SYSTEMD;
        s->deep = s->newcomer = true;
        s->coming_bytes = bytes;
        s->n_threads = (size_t) (mcpu + 999) / 1000;
        s->effective_cpu_nodes = s->effective_mems = all;
        s->memory_pressure_centipercent = s->cpu_pressure_centipercent = -1;
        s->cpu_window_usec = USEC_PER_SEC;
        for (unsigned i = 0; i < t->n_ids; i++)
                n_cpus += t->nodes[i].n_cpus;
        for (unsigned i = 0; i < t->n_ids && n_cpus > 0; i++) {
                s->cpu_usec_by_node[i] = mcpu * (USEC_PER_SEC / 1000) * t->nodes[i].n_cpus / n_cpus;
                s->cpu_share_by_node[i] = (uint32_t) (1000000ULL * t->nodes[i].n_cpus / n_cpus);
        }
        return 0;
}

/* Rules of the configuration have their place in the longer list; others stay what they are. */
static const struct rule *moved_rule(const struct question *q, const struct config *config, const struct rule *r) {
        uintptr_t first = (uintptr_t) config->rules, end = first + config->n_rules * sizeof *config->rules, at = (uintptr_t) r;
        return at >= first && at < end ? &q->rules[(at - first) / sizeof *r] : r;
}

static int add_newcomer(struct question *q, const struct plan_input *in, uint64_t mcpu, uint64_t bytes) {
        size_t n = in->n_samples;
        q->samples = calloc(n + 1, sizeof *q->samples);
        if (!q->samples)
                return -ENOMEM;
        q->in.samples = q->samples;
        q->in.n_samples = n + 1;
        for (size_t i = 0; i < n; i++) {
                q->samples[i] = in->samples[i];
                q->samples[i].rule = moved_rule(q, in->config, in->samples[i].rule);
        }
        struct service_sample *s = &q->samples[n];
        int r = fill_newcomer(s, in->topology, mcpu, bytes);
        s->rule = &q->rules[q->config.n_rules - 1];
        return r;
}

/* The first is the chosen one, where there is one. */
static const struct candidate *chosen_of(const struct explanation *e) {
        return e->n_candidates > 0 && e->candidates[0].chosen ? &e->candidates[0] : NULL;
}

/* Why it cannot be: for want of memory, or, with room enough in all, because no rule leaves it a place. */
static void say_none(struct strbuf *b, const struct plan_input *in, uint64_t bytes) {
        uint64_t room = 0;
        for (unsigned i = 0; i < in->topology->n_ids; i++)
                if (in->topology->nodes[i].present && in->topology->nodes[i].bytes_total > 0)
                        room += node_room_bytes(&in->machine->nodes[i], in->config->settings.keep_free_permille);
        if (bytes > room) {
                strbuf_append(b, "no nodes hold ");
                text_bytes(b, bytes);
                strbuf_append(b, ": all together have room for ");
                text_bytes(b, room);
                strbuf_append(b, " above keep-free");
        } else
                strbuf_append(b, "no nodes are left for it: they lack room, or are others' alone");
}

static void say_where(struct strbuf *b, const struct advice *a, const struct question *q, const struct candidate *chosen,
                      uint64_t mcpu) {
        const struct service_sample *s = &q->samples[a->placement->sample];
        _cleanup_free_ char *verdict = candidate_verdict(chosen);
        text_nodes(b, &a->nodes);
        strbuf_printf(b, " for %.4g %s", (double) mcpu / 1000, mcpu == 1000 ? "CPU" : "CPUs");
        if (s->coming_bytes > 0) {
                strbuf_append(b, " and ");
                text_bytes(b, s->coming_bytes);
        }
        if (!a->fits)
                strbuf_append(b, ", though so many CPUs are not left there, nor elsewhere");
        strbuf_printf(b, "; %s", verdict ? verdict : "");
        b->failed |= !verdict;
}

/* The question's rules end with it; the configuration's have the same places. */
static void borrow_rule(struct exclusion *x, const struct question *q, const struct config *config) {
        if (!x->rule || x->rule < q->rules || x->rule >= q->rules + config->n_rules)
                x->rule = x->rule == &q->rules[config->n_rules] ? NULL : x->rule;
        else
                x->rule = &config->rules[x->rule - q->rules];
}

static int answer(struct advice *a, const struct question *q, const struct plan_input *in, uint64_t mcpu, uint64_t bytes) {
        int r = plan_make(&q->in, &a->plan);
        if (r >= 0)
                r = plan_explain(&q->in, in->n_samples, &a->explanation);
        if (r < 0)
                return r;
        struct strbuf b = { 0 };
        a->placement = &a->plan->placements[in->n_samples];
        const struct candidate *chosen = chosen_of(&a->explanation);
        if (chosen)
                a->nodes = chosen->nodes;
        a->fits = chosen && chosen->feasible;
        if (chosen)
                say_where(&b, a, q, chosen, mcpu);
        else
                say_none(&b, in, bytes);
        for (size_t i = 0; i < a->explanation.n_candidates; i++)
                borrow_rule(&a->explanation.candidates[i].excluded_by, q, in->config);
        a->reason = strbuf_steal(&b);
        return a->reason ? 0 : -ENOMEM;
}

int plan_advise(const struct plan_input *in, uint64_t mcpu, uint64_t bytes, struct advice **ret) {
        if (mcpu == 0 || mcpu > ADVISE_MCPU_MAX || bytes > ADVISE_BYTES_MAX || !in->topology || !in->config)
                return -EINVAL;
        struct question q = { .in = *in };
        struct advice *a = calloc(1, sizeof *a);
        int r = a ? add_rule(&q, in->config) : -ENOMEM;
        if (r >= 0) {
                q.in.config = &q.config;
                r = add_newcomer(&q, in, mcpu, bytes);
        }
        if (r >= 0)
                r = answer(a, &q, in, mcpu, bytes);
        question_done(&q);
        if (r < 0)
                advice_free(a);
        else
                *ret = a;
        return r;
}

struct advice *advice_free(struct advice *a) {
        if (!a)
                return NULL;
        plan_free(a->plan);
        explanation_done(&a->explanation);
        free(a->reason);
        free(a);
        return NULL;
}
