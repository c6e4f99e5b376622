/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A ring of the last events, each kept as the JSON that is told of it. */
#include "report/events.h"

#include <string.h>

#include "report/format.h"
#include "report/json.h"

#define SHARE_DECIMALS 4

struct event {
        char *unit, *cgroup; /* as they are, for asking */
        struct json_object *json;
};

struct events {
        struct event ring[EVENTS_MAX];
        size_t first, n;
};

static void event_done(struct event *v) {
        free(v->unit);
        free(v->cgroup);
        json_object_put(v->json);
        *v = (struct event) { 0 };
}

struct events *events_new(void) {
        return calloc(1, sizeof(struct events));
}

struct events *events_free(struct events *e) {
        for (size_t i = 0; e && i < EVENTS_MAX; i++)
                event_done(&e->ring[i]);
        free(e);
        return NULL;
}

/* Takes the object. */
static int add(struct events *e, const char *unit, const char *cgroup, struct json_object *json) {
        struct event v = { .unit = strdup(unit), .cgroup = strdup(cgroup), .json = json };
        if (!v.unit || !v.cgroup || !v.json) {
                event_done(&v);
                return -ENOMEM;
        }
        size_t at = (e->first + e->n) % EVENTS_MAX;
        if (e->n == EVENTS_MAX) {
                event_done(&e->ring[at]);
                e->first = (e->first + 1) % EVENTS_MAX;
        } else
                e->n++;
        e->ring[at] = v;
        return 0;
}

static struct json_object *begin(uint64_t time_usec, const char *unit, const char *cgroup, const struct rule *rule,
                                 const char *event) {
        struct json_object *o = json_object_new_object();
        json_put_int(&o, "time_usec", time_usec);
        json_put_string(&o, "unit", unit);
        json_put_string(&o, "cgroup", cgroup);
        json_put_string(&o, "rule", rule ? rule->name : NULL);
        json_put_string(&o, "event", event);
        return o;
}

/* A locality below 0 is not known. */
static void put_locality(struct json_object **o, const char *key, double locality) {
        if (locality >= 0)
                json_put_number(o, key, locality, SHARE_DECIMALS);
        else
                json_put_null(o, key);
}

static void finish(struct json_object **o, const struct node_set *from, const struct node_set *to, uint64_t bytes, double before,
                   double after, const char *reason) {
        json_put_nodes(o, "from_nodes", from);
        json_put_nodes(o, "to_nodes", to);
        json_put_int(o, "bytes", bytes);
        put_locality(o, "locality_before", before);
        put_locality(o, "locality_after", after);
        json_put_string(o, "reason", reason ? reason : "");
}

int events_add_decision(struct events *e, uint64_t time_usec, const struct service_sample *s, const struct placement *p,
                        unsigned n_ids, bool dry_run) {
        struct node_set home = node_set_is_empty(&p->home_mems) ? p->home_cpus : p->home_mems;
        struct node_set with_bytes = sample_nodes_with_bytes(s, n_ids), from = node_set_subtract(&with_bytes, &home);
        struct json_object *o = begin(time_usec, s->unit, s->cgroup, s->rule, dry_run ? "would-act" : "decided");
        finish(&o, &from, &home, p->bytes_to_move, sample_locality(s, n_ids), -1, p->reason);
        return add(e, s->unit, s->cgroup, o);
}

static void put_percent(struct json_object **o, const char *key, int permille) {
        if (permille >= 0)
                json_put_number(o, key, permille / 10.0, 1);
}

/* What the move was like for the service. */
static void put_effort(struct json_object **o, const struct move_report *r) {
        const struct move_effort *f = r->effort;
        struct json_object *held = json_object_new_object(), *e = json_object_new_object();
        for (int i = 0; f && i < _HOLD_CAUSE_MAX; i++)
                if (f->held_usec[i] > 0)
                        json_put_int(&held, hold_cause_to_string((enum hold_cause) i), f->held_usec[i]);
        json_put_int(&e, "duration_usec", r->duration_usec);
        json_put_int(&e, "narrow_usec", r->narrow_usec);
        json_put_int(&e, "longest_slice_usec", r->moved->longest_slice_usec);
        json_put_int(&e, "longest_call_usec", r->moved->longest_call_usec);
        if (f) {
                json_put_int(&e, "bytes_per_sec", move_report_bytes_per_sec(r));
                json_put_int(&e, "held_usec", move_effort_held_usec(f));
                put_percent(&e, "memory_pressure_before_percent", f->memory_before_permille);
                put_percent(&e, "memory_pressure_during_percent", f->memory_during_permille);
                put_percent(&e, "cpu_pressure_before_percent", f->cpu_before_permille);
                put_percent(&e, "cpu_pressure_during_percent", f->cpu_during_permille);
        }
        json_put(&e, "held_by", held);
        json_put(o, "effort", e);
}

int events_add_moved(struct events *e, uint64_t time_usec, const struct move_report *r) {
        const struct service_sample *s = r->sample;
        struct node_set from = move_report_from(r);
        struct json_object *o = begin(time_usec, s->unit, s->cgroup, s->rule, r->error < 0 ? "failed" : "moved");
        finish(&o, &from, &r->to, r->moved->moved_bytes, r->locality_before, r->verified ? r->locality_after : -1, r->reason);
        put_effort(&o, r);
        return add(e, s->unit, s->cgroup, o);
}

int events_add_blocked(struct events *e, uint64_t time_usec, const struct service_sample *s, const char *reason) {
        struct node_set none = { 0 };
        struct json_object *o = begin(time_usec, s->unit, s->cgroup, s->rule, "blocked");
        finish(&o, &none, &none, 0, -1, -1, reason);
        return add(e, s->unit, s->cgroup, o);
}

int events_add_undone(struct events *e, uint64_t time_usec, const struct undone_report *r) {
        const struct service_sample *s = r->sample;
        struct strbuf reason = { 0 };
        strbuf_printf(&reason, "%s taken it back; moved again ", undone_by_to_string(r->by));
        if (r->wait_usec > 0)
                strbuf_printf(&reason, "in %s", FORMAT_USEC(r->wait_usec));
        else
                strbuf_append(&reason, "now, as the rule says");
        _cleanup_free_ char *text = strbuf_steal(&reason);
        if (!text)
                return -ENOMEM;
        struct json_object *o = begin(time_usec, s->unit, s->cgroup, s->rule, "undone");
        finish(&o, &r->home, &r->to, r->bytes, -1, -1, text);
        json_put_string(&o, "undone_by", undone_by_name(undone_mostly_by(r->by)));
        json_put_string(&o, "undone_also_by", undone_by_name(undone_also_by(r->by)));
        return add(e, s->unit, s->cgroup, o);
}

int events_add_restored(struct events *e, uint64_t time_usec, const char *unit, const char *cgroup, enum restore_outcome outcome,
                        const char *detail) {
        static const char *const words[] = {
                [RESTORE_DONE] = "has its former cpusets back",
                [RESTORE_GONE] = "it is gone, so nothing is left to restore",
                [RESTORE_NOT_OURS] = "changed by somebody else meanwhile, and left as it is",
                [RESTORE_FAILED] = "did not get its former cpusets back",
        };
        struct node_set none = { 0 };
        bool more = detail && *detail;
        _cleanup_free_ char *reason = format_string("%s%s%s", words[outcome], more ? ": " : "", more ? detail : "");
        if (!reason)
                return -ENOMEM;
        struct json_object *o = begin(time_usec, unit, cgroup, NULL, outcome == RESTORE_FAILED ? "not-restored" : "restored");
        finish(&o, &none, &none, 0, -1, -1, reason);
        return add(e, unit, cgroup, o);
}

struct json_object *events_list(const struct events *e, const char *unit) {
        struct json_object *array = json_object_new_array();
        for (size_t i = 0; array && i < e->n; i++) {
                const struct event *v = &e->ring[(e->first + i) % EVENTS_MAX];
                if (*unit && !text_matches(v->unit, unit) && !text_matches(v->cgroup, unit))
                        continue;
                if (json_object_array_add(array, json_object_get(v->json)) != 0) {
                        json_object_put(v->json);
                        json_object_put(array);
                        array = NULL;
                }
        }
        return array;
}
