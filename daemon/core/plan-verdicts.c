/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Why a candidate was chosen or lost, in a sentence. */
#include "core/plan-internal.h"

const char *constraint_to_string(enum constraint c) {
        static const char *const table[_CONSTRAINT_MAX] = {
                [CONSTRAINT_NONE] = "none",           [CONSTRAINT_CPUSET] = "cpuset",
                [CONSTRAINT_NODES] = "nodes",         [CONSTRAINT_ALLOWED] = "allowed-nodes",
                [CONSTRAINT_AVOID] = "avoid-nodes",   [CONSTRAINT_MIN_NODES] = "min-nodes",
                [CONSTRAINT_MAX_NODES] = "max-nodes", [CONSTRAINT_TOGETHER] = "together-with",
                [CONSTRAINT_APART] = "apart-from",    [CONSTRAINT_EXCLUSIVE] = "exclusive",
        };
        return (int) c >= 0 && c < _CONSTRAINT_MAX ? table[c] : "invalid";
}

static void say_excluded(struct strbuf *b, const struct candidate *c) {
        const struct rule *r = c->excluded_by.rule;
        strbuf_append(b, "rejected: ");
        text_nodes(b, &c->nodes);
        if (c->excluded_by.constraint == CONSTRAINT_CPUSET)
                strbuf_append(b, " is not left to it by its cpuset");
        else if (!r || !r->name)
                strbuf_printf(b, " is excluded by %s", constraint_to_string(c->excluded_by.constraint));
        else
                strbuf_printf(b, " is excluded by %s of rule %s", constraint_to_string(c->excluded_by.constraint), r->name);
}

static void say_lacking(struct strbuf *b, const struct candidate *c) {
        strbuf_append(b, "rejected: ");
        text_nodes(b, &c->nodes);
        if (c->verdict == VERDICT_NO_MEMORY)
                strbuf_append(b, " has no memory that it may use");
        else if (c->verdict == VERDICT_NO_CPUS)
                strbuf_append(b, " has no CPUs that it may use");
        else if (c->verdict == VERDICT_NO_ROOM) {
                strbuf_append(b, " has room for ");
                text_bytes(b, c->bytes_room);
                strbuf_append(b, " above keep-free, needs ");
                text_bytes(b, c->bytes_needed);
        } else if (c->verdict == VERDICT_OVERLOADED)
                strbuf_printf(b, " has %.0f CPUs, %.1f would be used", c->n_cpus, c->load);
        else
                strbuf_printf(b, " has %.0f cores, which leaves too little to spare for a load of %.1f", c->n_cores, c->demand);
}

static void say_chosen(struct strbuf *b, const struct candidate *c) {
        const struct cost_terms *t = &c->terms;
        strbuf_printf(b, "chosen: costs %.1f (distance %.1f, bandwidth %.1f, CPU load %.1f, memory fill %.1f, moving %.1f",
                      told(c->cost), told(t->distance), told(t->bandwidth), told(t->load), told(t->fill), told(t->moving));
        if (t->breadth > 0)
                strbuf_printf(b, ", number of nodes %.1f", told(t->breadth));
        if (t->device > 0)
                strbuf_printf(b, ", distance from devices %.1f", told(t->device));
        strbuf_append(b, ")");
        if (c->bytes_needed > c->bytes_room)
                strbuf_append(b, ", though not all of its memory has room");
        else if (!c->feasible)
                strbuf_append(b, ", though oversubscribed: nothing else has room");
}

static void say_beaten(struct strbuf *b, const struct candidate *c) {
        bool for_now = c->verdict == VERDICT_COOLDOWN || c->verdict == VERDICT_MUST_LAST || c->verdict == VERDICT_GUARDED;
        strbuf_printf(b, "rejected%s: costs %.1f against %.1f", for_now ? " for now" : "", told(c->cost), told(c->against));
        switch (c->verdict) {
        case VERDICT_SMALL_GAIN:
                strbuf_printf(b, ", a gain of %.1f%%, below min-gain %.1f%%", c->gain * 100, c->min_gain * 100);
                break;
        case VERDICT_CROWDING:
                strbuf_printf(b, ", a gain of %.1f%% by less crowding alone, which has to be more, or to last", c->gain * 100);
                break;
        case VERDICT_COOLDOWN:
                strbuf_append(b, ", in cooldown for ");
                text_duration(b, c->wait_usec);
                break;
        case VERDICT_MUST_LAST: strbuf_append(b, ", waits to see whether that lasts"); break;
        case VERDICT_GUARDED:
                strbuf_append(b, ", but it came from there a short time ago: not back for another ");
                text_duration(b, c->wait_usec);
                break;
        case VERDICT_UNPAID:
                strbuf_append(b, ", but would not pay for itself: moving takes ");
                text_duration(b, c->move_usec);
                strbuf_printf(b, " for a gain of %.1f%% over ", c->gain * 100);
                text_duration(b, c->horizon_usec);
                break;
        default: break;
        }
}

char *candidate_verdict(const struct candidate *c) {
        struct strbuf b = { 0 };
        switch (c->verdict) {
        case VERDICT_CHOSEN: say_chosen(&b, c); break;
        case VERDICT_EXCLUDED: say_excluded(&b, c); break;
        case VERDICT_NO_MEMORY:
        case VERDICT_NO_CPUS:
        case VERDICT_NO_ROOM:
        case VERDICT_OVERLOADED:
        case VERDICT_CRAMPED: say_lacking(&b, c); break;
        default: say_beaten(&b, c); break;
        }
        return strbuf_steal(&b);
}
