/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What would bring another decision, found by trying: each obstacle is taken out of the way by as much as is missing, and is named if the
 * service would then go elsewhere. */
#include "core/plan-internal.h"

#define CHANGES_MAX 6u
/* Waiting that long is no condition that anybody waits for. */
#define WAIT_WORTH_SAYING_USEC (24 * 60 * USEC_PER_MINUTE)

static void say(struct planner *pl, struct sentences *s, struct strbuf *b) {
        if (s->n >= CHANGES_MAX) {
                strbuf_done(b);
                return;
        }
        char *text = strbuf_steal(b);
        if (!text || array_reserve(&s->texts, &s->capacity, s->n + 1, sizeof *s->texts) < 0) {
                free(text);
                pl->failed = true;
                return;
        }
        s->texts[s->n++] = text;
}

static _printf_(3, 4) void say_text(struct planner *pl, struct sentences *s, const char *format, ...) {
        struct strbuf b = { 0 };
        va_list args;
        va_start(args, format);
        strbuf_vprintf(&b, format, args);
        va_end(args);
        say(pl, s, &b);
}

/* Nothing was planned for it: what stood against that. */
static void change_of_told(struct planner *pl, const struct job *j, struct sentences *s) {
        const struct service_sample *x = j->sample;
        const struct rule *r = x->rule;
        struct strbuf b = { 0 };
        if (!r)
                say_text(pl, s, "a rule matched it");
        else if (r->place == PLACE_IGNORE)
                say_text(pl, s, "rule %s gave it another place than ignore", r->name);
        else if (x->self_managed) {
                say_text(pl, s, "it gave up its own memory policy");
                say_text(pl, s, "rule %s said app-policy: override", r->name);
        } else if (!j->has_home && MAX2(j->bytes, x->shared_bytes) < r->min_size_bytes) {
                strbuf_append(&b, "it used ");
                text_bytes(&b, r->min_size_bytes - MAX2(j->bytes, x->shared_bytes));
                strbuf_append(&b, " of memory more");
                say(pl, s, &b);
                say_text(pl, s, "rule %s had a smaller min-size", r->name);
        } else if (x->owner == OWNER_NONE)
                say_text(pl, s, "rule %s had place: follow", r->name);
        else
                say_text(pl, s, "its threads ran");
}

/* Would the service go there? `reference` is what it has; NULL: nothing. */
static bool would_go(const struct job *j, const struct option *reference, const struct option *o) {
        if (!option_fits(o) || (j->restricts && !o->has_cpus))
                return false;
        if (!reference)
                return true;
        return !option_fits(reference) || option_gain(reference->cost, reference->distance, o) >= job_min_gain(j);
}

/* So much must become free before there is room for so much more: a node can be below what is kept free. */
static uint64_t bytes_to_free(const struct planner *pl, unsigned i, uint64_t missing) {
        const struct node_memory *m = &pl->in->machine->nodes[pl->nodes[i].id];
        uint64_t reserve = node_reserve_bytes(m, pl->in->config->settings.keep_free_permille);
        uint64_t available = m->bytes_free + m->bytes_droppable / 2;
        return missing + (reserve > available ? reserve - available : 0);
}

static void try_room(struct planner *pl, const struct job *j, const struct option *reference, const struct option *o,
                     struct sentences *s) {
        uint64_t missing = o->bytes_needed - o->bytes_room;
        struct node_set mems = job_mems(pl, j, &o->nodes);
        struct option then;
        int id = node_set_next(&mems, 0);
        if (id < 0 || node_set_count(&mems) > 1) /* of several it does not matter which: the sets of one say it better */
                return;
        unsigned i = pl->index_of[id];
        pl->nodes[i].room_bytes += missing;
        option_evaluate(pl, j, &o->nodes, &then);
        pl->nodes[i].room_bytes -= missing;
        if (!would_go(j, reference, &then))
                return;
        struct strbuf b = { 0 };
        strbuf_printf(&b, "node %d had ", id);
        text_bytes(&b, bytes_to_free(pl, i, missing));
        strbuf_append(&b, " more free");
        say(pl, s, &b);
}

static void try_load(struct planner *pl, const struct job *j, const struct option *reference, const struct option *o,
                     struct sentences *s) {
        struct node_set cpus = job_cpus(pl, j, &o->nodes);
        struct option then;
        int id = node_set_next(&cpus, 0);
        if (id < 0 || node_set_count(&cpus) > 1)
                return;
        struct plan_node *n = &pl->nodes[pl->index_of[id]];
        double excess = o->load - o->n_cpus, before = n->pinned_load;
        if (excess > before) /* it is too large by itself */
                return;
        n->pinned_load -= excess;
        option_evaluate(pl, j, &o->nodes, &then);
        n->pinned_load = before;
        if (would_go(j, reference, &then))
                say_text(pl, s, "%.1f CPUs less were in use on node %d", excess, id);
}

static void try_obstacles(struct planner *pl, const struct job *j, const struct option *reference, struct sentences *s) {
        for (size_t i = 0; i < pl->n_options; i++) {
                struct option o = pl->options[i];
                if (o.has_memory && !o.fits_memory)
                        try_room(pl, j, reference, &o, s);
                else if (o.has_memory && o.has_cpus && o.load > o.n_cpus)
                        try_load(pl, j, reference, &o, s);
        }
}

/* Nodes that something forbids it, as if they were left to it. */
static void try_excluded(struct planner *pl, struct job *j, const struct option *reference, struct sentences *s) {
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                struct node_set one = node_set_of(pl->nodes[i].id), cpus = j->may_cpus, mems = j->may_mems,
                                permitted = j->permitted;
                struct exclusion why;
                struct option then;
                if (j->kind == JOB_NODES || !job_excluded(pl, j, &one, &why))
                        continue;
                node_set_add(&j->may_cpus, pl->nodes[i].id);
                node_set_add(&j->may_mems, pl->nodes[i].id);
                node_set_add(&j->permitted, pl->nodes[i].id);
                option_evaluate(pl, j, &one, &then);
                j->may_cpus = cpus;
                j->may_mems = mems;
                j->permitted = permitted;
                if (!would_go(j, reference, &then))
                        continue;
                if (!why.rule || why.constraint == CONSTRAINT_CPUSET)
                        say_text(pl, s, "its cpuset left node %u to it", pl->nodes[i].id);
                else if (why.rule == j->rule)
                        say_text(pl, s, "rule %s did not exclude node %u by %s", why.rule->name, pl->nodes[i].id,
                                 constraint_to_string(why.constraint));
                else
                        say_text(pl, s, "rule %s gave up node %u", why.rule->name, pl->nodes[i].id);
        }
}

static void change_of_waiting(struct planner *pl, const struct job *j, struct sentences *s) {
        struct strbuf b = { 0 };
        if (j->under_way)
                say_text(pl, s, "the move that is under way ended");
        else if (j->guarded) {
                strbuf_append(&b, "a quarter of an hour had passed since it left ");
                text_nodes(&b, &j->former);
                strbuf_append(&b, " (in ");
                text_duration(&b, j->guard_usec);
                strbuf_append(&b, ")");
                say(pl, s, &b);
        } else if (j->rest_usec > 0) {
                strbuf_append(&b, j->after_failure ? "the wait after the last failure ended (in " : "its cooldown ended (in ");
                text_duration(&b, j->rest_usec);
                strbuf_append(&b, ")");
                say(pl, s, &b);
        } else if (j->waits && j->patience_usec > 0) {
                strbuf_append(&b, "it had kept its home for longer (in ");
                text_duration(&b, j->patience_usec);
                strbuf_append(&b, ")");
                say(pl, s, &b);
        } else if (j->waits) {
                strbuf_append(&b, "what speaks for ");
                text_nodes(&b, &j->better.nodes);
                strbuf_append(&b, " lasted longer");
                say(pl, s, &b);
        }
}

/* The rate at which it would pay now, and how long until it does at the rate that there is. */
static void change_of_unpaid(struct planner *pl, const struct job *j, const struct option *from, struct sentences *s) {
        const struct option *o = &j->better;
        double gain = MAX2(option_gain(from->cost, from->distance, o), distance_gain(from->distance, o->distance));
        if (gain <= 0)
                return;
        double horizon = job_horizon_seconds(j), wait = job_move_seconds(pl, j, o->bytes_in) / gain - horizon;
        struct strbuf b = { 0 };
        if (wait > 0 && wait * (double) USEC_PER_SEC < (double) WAIT_WORTH_SAYING_USEC) {
                strbuf_append(&b, "things stayed as they are for another ");
                text_duration(&b, (uint64_t) (wait * (double) USEC_PER_SEC));
                say(pl, s, &b);
        }
        strbuf_append(&b, "migrate-rate allowed it ");
        text_bytes(&b, (uint64_t) ((double) o->bytes_in / (gain * horizon)) + 1);
        strbuf_append(&b, " a second");
        say(pl, s, &b);
}

/* The best place elsewhere gains too little: how far away it would have to be for that. */
static void change_of_small_gain(struct planner *pl, const struct job *j, const struct option *from, struct sentences *s) {
        const struct option *best = NULL;
        for (size_t i = 0; i < pl->n_options; i++) {
                const struct option *o = &pl->options[i];
                bool same = j->assigned && node_set_equal(&o->nodes, &from->nodes);
                if (option_fits(o) && !same && !node_set_equal(&o->nodes, &from->nodes) && (!best || option_better(j, o, best)))
                        best = o;
        }
        if (!best)
                return;
        double min = job_min_gain(j), gain = option_gain(from->cost, from->distance, best),
               grown = best->distance / (1 - min) - from->distance;
        if (gain < min && grown > 0)
                say_text(pl, s, "its distance grew by %.1f", MAX2(grown, 0.1));
        if (gain > 0.001 && gain < min)
                say_text(pl, s, "min-gain were below %.1f%%", gain * 100);
}

static void change_of_home(struct planner *pl, const struct job *j, const struct option *home, struct sentences *s) {
        uint64_t tolerated = job_tolerated_bytes(j), little = j->bytes / HISTORY_LITTLE_SHARE;
        uint64_t wait = history_little_wait_usec(j->history, j->rule->cooldown_usec, pl->in->now_usec);
        struct strbuf b = { 0 };
        if (wait > 0 && home->bytes_off > tolerated && home->bytes_off < little) {
                strbuf_append(&b, "the wait for the little that is elsewhere ended (in ");
                text_duration(&b, wait);
                strbuf_append(&b, ")");
                say(pl, s, &b);
        }
        if (wait > 0) /* less than that waits */
                tolerated = MAX2(tolerated, little);
        if (j->kind == JOB_FOLLOW || home->bytes_off > tolerated)
                return;
        text_bytes(&b, tolerated - home->bytes_off);
        strbuf_append(&b, home->bytes_off > 0 ? " more of its memory were elsewhere" : " of its memory were elsewhere");
        say(pl, s, &b);
}

void changes_find(struct planner *pl, struct job *j, const struct option *reference, struct sentences *ret) {
        if (j->kind == JOB_TOLD) {
                change_of_told(pl, j, ret);
                return;
        }
        struct option from;
        if (reference)
                from = *reference;
        else
                option_present(pl, j, &from);
        bool homeless = !reference && !j->declined && !j->waits && !j->unpaid;
        from.fits_memory = from.fits_cpus = reference ? option_fits(reference) : !homeless;
        change_of_waiting(pl, j, ret);
        if (j->unpaid)
                change_of_unpaid(pl, j, &from, ret);
        else if (!homeless && j->kind != JOB_NODES)
                change_of_small_gain(pl, j, &from, ret);
        if (reference)
                change_of_home(pl, j, reference, ret);
        try_obstacles(pl, j, homeless ? NULL : &from, ret);
        try_excluded(pl, j, homeless ? NULL : &from, ret);
}
