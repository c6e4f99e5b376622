/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What happened to services, each in one entry: a sentence for people and fields for everything else. journal-machine.c: to all of it. */
#include "report/journal.h"

#include <inttypes.h>
#include <string.h>

#include "report/entry.h"
#include "report/format.h"
#include "report/message-ids.h"

static void put_nodes(struct log_entry *e, const char *key, const struct node_set *nodes) {
        _cleanup_free_ char *list = node_set_format(nodes);
        log_entry_put(e, key, "%s", list ? list : "");
}

static void put_bool(struct log_entry *e, const char *key, bool value) {
        log_entry_put(e, key, "%s", value ? "yes" : "no");
}

static void put_u64(struct log_entry *e, const char *key, uint64_t value) {
        log_entry_put(e, key, "%" PRIu64, value);
}

/* The host's unit is the first component of the path that is one: a unit name further down is a container's, or a user manager's. */
static void put_host_unit(struct log_entry *e, const char *cgroup) {
        static const char *const suffixes[] = { ".service", ".scope", ".socket", ".mount", ".swap" };
        for (const char *s = cgroup; *s == '/';) {
                s++;
                size_t n = strcspn(s, "/");
                const char *name = *s == '_' ? s + 1 : s; /* systemd's escape for names that the kernel could mistake for files */
                size_t length = n - (size_t) (name - s);
                for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
                        size_t k = strlen(suffixes[i]);
                        if (length > k && memcmp(name + length - k, suffixes[i], k) == 0) {
                                log_entry_put(e, "OBJECT_SYSTEMD_UNIT", "%.*s", (int) length, name);
                                return;
                        }
                }
                s += n;
        }
}

static void put_names(struct log_entry *e, const char *unit, const char *cgroup) {
        log_entry_put(e, "NUMABALANCED_UNIT", "%s", unit);
        log_entry_put(e, "NUMABALANCED_CGROUP", "%s", cgroup);
        put_host_unit(e, cgroup);
}

static void put_service(struct log_entry *e, const struct service_sample *s) {
        put_names(e, s->unit, s->cgroup);
        if (s->rule) {
                log_entry_put(e, "NUMABALANCED_RULE", "%s", s->rule->name);
                log_entry_put(e, "NUMABALANCED_PLACE", "%s", place_to_string(s->rule->place));
        }
}

static const char *rule_name(const struct service_sample *s) {
        return s->rule && s->rule->name ? s->rule->name : "none";
}

void journal_decision(const struct service_sample *s, const struct placement *p, unsigned n_ids, bool dry_run) {
        struct node_set home = node_set_is_empty(&p->home_mems) ? p->home_cpus : p->home_mems;
        struct node_set with_bytes = sample_nodes_with_bytes(s, n_ids), from = node_set_subtract(&with_bytes, &home);
        _cleanup_free_ char *to_text = format_nodes(&home);
        struct log_entry e;

        /* The rule wants them narrow and they are given back all the same: worth an entry of its own kind. */
        bool against_rule = p->widen_mems && s->rule && s->rule->memory == MEMORY_STRICT;
        log_entry_begin(&e, LOG_INFO, against_rule ? MESSAGE_ID_WIDENED_PRESSURE : MESSAGE_ID_DECISION);
        put_service(&e, s);
        put_nodes(&e, "FROM_NODES", &from);
        put_nodes(&e, "TO_NODES", &home);
        put_nodes(&e, "CPU_NODES", &p->home_cpus);
        put_u64(&e, "BYTES_TO_MOVE", p->bytes_to_move);
        log_entry_put(&e, "LOCALITY_BEFORE", "%.4f", sample_locality(s, n_ids));
        log_entry_put(&e, "DISTANCE_BEFORE", "%.2f", p->distance_before);
        log_entry_put(&e, "DISTANCE_AFTER", "%.2f", p->distance_after);
        log_entry_put(&e, "REASON", "%s", p->reason ? p->reason : "");
        put_bool(&e, "DRY_RUN", dry_run);

        /* The planner's sentence says it all, numbers included. */
        log_entry_say(&e, "%s: %s", s->unit, dry_run ? "would act: " : "");
        if (p->reason && *p->reason)
                log_entry_say(&e, "%s", p->reason);
        else
                log_entry_say(&e, "%s to be moved to %s", FORMAT_BYTES(p->bytes_to_move), to_text ? to_text : "its home");
        log_entry_say(&e, " (rule %s)", rule_name(s));
        log_entry_send(&e);
}

/* "300 pages shared, 4 busy" and what was left by intent; nothing where all moved. */
static void say_left(struct log_entry *e, const struct move_result *r) {
        const struct {
                uint64_t n;
                const char *what;
        } causes[] = {
                { r->failed_shared, "shared with others" },
                { r->failed_busy, "busy or pinned" },
                { r->failed_no_memory, "without room on the node" },
                { r->failed_other, "for other causes" },
        };
        const char *before = "; stayed: ";
        for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
                if (causes[i].n > 0) {
                        log_entry_say(e, "%s%" PRIu64 " pages %s", before, causes[i].n, causes[i].what);
                        before = ", ";
                }
        if (r->skipped_policy_bytes > 0) {
                log_entry_say(e, "%s%s bound by the application itself", before, FORMAT_BYTES(r->skipped_policy_bytes));
                before = ", ";
        }
        if (r->skipped_room_bytes > 0)
                log_entry_say(e, "%s%s for lack of free memory", before, FORMAT_BYTES(r->skipped_room_bytes));
}

struct node_set move_report_from(const struct move_report *r) {
        struct node_set from = { 0 };
        for (unsigned i = 0; i < ARRAY_SIZE(r->moved->moved_from); i++)
                if (r->moved->moved_from[i] > 0)
                        node_set_add(&from, i);
        return node_set_is_empty(&from) ? node_set_subtract(&r->from, &r->to) : from;
}

/* Things that end a move without anything being wrong. */
static int priority_of(int error) {
        return error == 0 ? LOG_INFO : error == -ECANCELED || error == -ESRCH || error == -ESTALE ? LOG_NOTICE : LOG_WARNING;
}

uint64_t move_effort_held_usec(const struct move_effort *e) {
        uint64_t sum = 0;
        for (int i = 0; i < _HOLD_CAUSE_MAX; i++)
                sum += e->held_usec[i];
        return sum;
}

char *move_effort_held_by(const struct move_effort *e) {
        struct strbuf b = { 0 };
        bool said[_HOLD_CAUSE_MAX] = { false };
        for (int n = 0; n < _HOLD_CAUSE_MAX; n++) {
                int most = -1;
                for (int i = 0; i < _HOLD_CAUSE_MAX; i++)
                        if (!said[i] && e->held_usec[i] > 0 && (most < 0 || e->held_usec[i] > e->held_usec[most]))
                                most = i;
                if (most < 0)
                        break;
                said[most] = true;
                strbuf_printf(&b, "%s%s", b.length > 0 ? "," : "", hold_cause_to_string((enum hold_cause) most));
        }
        return b.length > 0 || b.failed ? strbuf_steal(&b) : strdup("");
}

uint64_t move_report_bytes_per_sec(const struct move_report *r) {
        uint64_t usec = r->effort ? r->effort->moving_usec : 0;
        return usec > 0 ? (uint64_t) ((double) r->moved->moved_bytes * USEC_PER_SEC / (double) usec) : 0;
}

static void put_percent(struct log_entry *e, const char *key, int permille) {
        if (permille >= 0)
                log_entry_put(e, key, "%d.%d", permille / 10, permille % 10);
}

static void put_effort(struct log_entry *e, const struct move_report *r) {
        const struct move_effort *f = r->effort;
        if (!f)
                return;
        _cleanup_free_ char *by = move_effort_held_by(f);
        put_u64(e, "BYTES_PER_SEC", move_report_bytes_per_sec(r));
        put_u64(e, "HELD_USEC", move_effort_held_usec(f));
        log_entry_put(e, "HELD_BY", "%s", by ? by : "");
        put_percent(e, "MEMORY_PRESSURE_BEFORE", f->memory_before_permille);
        put_percent(e, "MEMORY_PRESSURE_DURING", f->memory_during_permille);
        put_percent(e, "CPU_PRESSURE_BEFORE", f->cpu_before_permille);
        put_percent(e, "CPU_PRESSURE_DURING", f->cpu_during_permille);
}

/* Waiting for the rate is as configured; anything else is worth a word. */
static void say_held(struct log_entry *e, const struct move_effort *f) {
        uint64_t held = f ? move_effort_held_usec(f) - f->held_usec[HOLD_RATE] - f->held_usec[HOLD_TURN] : 0;
        const char *before = " for ";
        if (held < USEC_PER_SEC)
                return;
        log_entry_say(e, ", held back %s", FORMAT_USEC(held));
        for (int i = HOLD_MEMORY; i < _HOLD_CAUSE_MAX; i++)
                if (f->held_usec[i] > 0) {
                        log_entry_say(e, "%s%s", before, hold_cause_to_string((enum hold_cause) i));
                        before = ", ";
                }
}

static void put_move(struct log_entry *e, const struct move_report *r, const struct node_set *from) {
        const struct move_result *m = r->moved;
        put_service(e, r->sample);
        put_nodes(e, "FROM_NODES", from);
        put_nodes(e, "TO_NODES", &r->to);
        put_u64(e, "BYTES", m->moved_bytes);
        put_u64(e, "PAGES", m->moved_pages);
        put_u64(e, "HUGE_PAGES", m->huge_moved);
        put_u64(e, "ASKED_PAGES", m->asked_pages);
        put_u64(e, "LONGEST_SLICE_USEC", m->longest_slice_usec);
        put_u64(e, "LONGEST_CALL_USEC", m->longest_call_usec);
        put_u64(e, "FAILED_SHARED", m->failed_shared);
        put_u64(e, "FAILED_BUSY", m->failed_busy);
        put_u64(e, "FAILED_NO_MEMORY", m->failed_no_memory);
        put_u64(e, "FAILED_GONE", m->failed_gone);
        put_u64(e, "FAILED_OTHER", m->failed_other);
        put_u64(e, "SKIPPED_POLICY_BYTES", m->skipped_policy_bytes);
        put_u64(e, "SKIPPED_ROOM_BYTES", m->skipped_room_bytes);
        put_u64(e, "DURATION_USEC", r->duration_usec);
        put_u64(e, "NARROW_USEC", r->narrow_usec);
        put_effort(e, r);
        log_entry_put(e, "LOCALITY_BEFORE", "%.4f", r->locality_before);
        if (r->verified) {
                log_entry_put(e, "LOCALITY_AFTER", "%.4f", r->locality_after);
                log_entry_put(e, "DISTANCE_AFTER", "%.2f", r->distance_after);
        }
        if (r->cpus_asked)
                put_bool(e, "CPUS_IN_FORCE", r->cpus_in_force);
        if (r->mems_asked)
                put_bool(e, "MEMS_IN_FORCE", r->mems_in_force);
        log_entry_put(e, "REASON", "%s", r->reason ? r->reason : "");
        if (r->error < 0)
                put_u64(e, "ERRNO", (uint64_t) -r->error);
}

void journal_moved(const struct move_report *r) {
        const struct move_result *m = r->moved;
        struct node_set from = move_report_from(r);
        _cleanup_free_ char *from_text = format_nodes(&from), *to_text = format_nodes(&r->to);
        const char *to = to_text ? to_text : "its home";
        struct log_entry e;

        log_entry_begin(&e, priority_of(r->error), r->error < 0 ? MESSAGE_ID_MOVE_FAILED : MESSAGE_ID_MOVED);
        put_move(&e, r, &from);
        log_entry_say(&e, "%s: ", r->sample->unit);
        if (r->error < 0) {
                log_entry_say(&e, "did not come to rest on %s: %s", to, r->reason ? r->reason : strerror(-r->error));
                if (m->moved_bytes > 0)
                        log_entry_say(&e, "; moved %s before", FORMAT_BYTES(m->moved_bytes));
        } else if (m->moved_bytes > 0)
                log_entry_say(&e, "moved %s from %s to %s in %s", FORMAT_BYTES(m->moved_bytes),
                              from_text ? from_text : "elsewhere", to, FORMAT_USEC(r->duration_usec));
        else
                log_entry_say(&e, "placed on %s in %s, no page was moved", to, FORMAT_USEC(r->duration_usec));
        if (r->verified)
                log_entry_say(&e, ", locality %.2f → %.2f", r->locality_before, r->locality_after);
        else if (r->error == 0)
                log_entry_say(&e, ", locality %.2f before, not measured after", r->locality_before);
        say_held(&e, r->effort);
        say_left(&e, m);
        log_entry_say(&e, " (rule %s)", rule_name(r->sample));
        log_entry_send(&e);
}

void journal_restored(const char *unit, const char *cgroup, enum restore_outcome outcome, int error, const char *detail) {
        static const struct {
                const char *word, *sentence;
                int priority;
        } outcomes[] = {
                [RESTORE_DONE] = { "restored", "has its former cpusets back", LOG_INFO },
                [RESTORE_GONE] = { "gone", "is gone, so nothing is left to restore", LOG_INFO },
                [RESTORE_NOT_OURS] = { "changed-by-others", "was changed by somebody else meanwhile and is left as it is",
                                       LOG_NOTICE },
                [RESTORE_FAILED] = { "failed", "did not get its former cpusets back", LOG_ERR },
        };
        bool failed = outcome == RESTORE_FAILED;
        struct log_entry e;
        log_entry_begin(&e, outcomes[outcome].priority, failed ? MESSAGE_ID_RESTORE_FAILED : MESSAGE_ID_RESTORED);
        put_names(&e, unit, cgroup);
        log_entry_put(&e, "OUTCOME", "%s", outcomes[outcome].word);
        log_entry_put(&e, "DETAIL", "%s", detail ? detail : "");
        if (error < 0)
                put_u64(&e, "ERRNO", (uint64_t) -error);
        log_entry_say(&e, "%s: %s", unit, outcomes[outcome].sentence);
        if (detail && *detail)
                log_entry_say(&e, ": %s", detail);
        else if (error < 0)
                log_entry_say(&e, ": %s", strerror(-error));
        log_entry_send(&e);
}

void journal_blocked(const struct service_sample *s, const char *reason) {
        struct log_entry e;
        log_entry_begin(&e, LOG_NOTICE, MESSAGE_ID_BLOCKED);
        put_service(&e, s);
        log_entry_put(&e, "REASON", "%s", reason);
        log_entry_say(&e, "%s: stays where it is: %s (rule %s)", s->unit, reason, rule_name(s));
        log_entry_send(&e);
}

void journal_stuck(const char *unit, const char *cgroup, bool companion, const char *while_doing) {
        struct log_entry e;
        log_entry_begin(&e, LOG_WARNING, MESSAGE_ID_PROCESS_STUCK);
        put_names(&e, unit, cgroup);
        log_entry_put(&e, "REASON", "%s", while_doing);
        log_entry_say(&e, "%s: a process of %s does not respond while %s; it is left alone until it does", unit,
                      companion ? "a service that it is kept together with" : "it", while_doing);
        log_entry_send(&e);
}

void journal_change_late(const char *unit, const char *cgroup, const char *what) {
        struct log_entry e;
        log_entry_begin(&e, LOG_WARNING, MESSAGE_ID_PROCESS_STUCK);
        put_names(&e, unit, cgroup);
        log_entry_put(&e, "REASON", "%s", what);
        log_entry_say(&e, "%s: %s does not come to an end; it is left alone until that does", unit, what);
        log_entry_send(&e);
}

void journal_undone(const struct undone_report *r) {
        const struct service_sample *s = r->sample;
        struct log_entry e;
        log_entry_begin(&e, LOG_NOTICE, MESSAGE_ID_UNDONE);
        put_service(&e, s);
        put_nodes(&e, "FROM_NODES", &r->home);
        put_nodes(&e, "TO_NODES", &r->to);
        put_u64(&e, "BYTES", r->bytes);
        log_entry_put(&e, "KERNEL_BALANCING", "%u", r->balancing);
        log_entry_put(&e, "KERNEL_CAUSE", "%s", undone_by_name(undone_mostly_by(r->by)));
        if (undone_also_by(r->by) != UNDONE_BY_NOBODY)
                log_entry_put(&e, "KERNEL_CAUSE_ALSO", "%s", undone_by_name(undone_also_by(r->by)));
        put_u64(&e, "WAIT_USEC", r->wait_usec);
        log_entry_say(&e, "%s: %s taken back %s of what was moved; moved again %s%s (rule %s)", s->unit,
                      undone_by_to_string(r->by), FORMAT_BYTES(r->bytes), r->wait_usec > 0 ? "in " : "now, as the rule says",
                      r->wait_usec > 0 ? FORMAT_USEC(r->wait_usec) : "", rule_name(s));
        log_entry_send(&e);
}
