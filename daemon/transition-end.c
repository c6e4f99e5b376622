/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a transition ends: what the kernel says now is told, and what was learnt of the service is remembered. */
#include <errno.h>
#include <string.h>

#include "core/sample.h"
#include "transition.h"

/* More than this part of its memory shared with other processes is likely to be a fork that has not ended yet. */
#define SHARED_SHARE 20
/* Memory nodes that could not be given back while memory runs short: tried again after this, doubled each time, up to some five minutes. */
#define RELIEF_AGAIN_USEC      (20 * USEC_PER_SEC)
#define RELIEF_AGAIN_DOUBLINGS 4u

/* The sample's pressure is the average over ten seconds before. */
static struct move_effort effort_of(const struct transition *t) {
        const struct service_sample *s = transition_sample(t);
        struct move_effort e = {
                .moving_usec = t->moving_usec,
                .memory_before_permille = s->memory_pressure_centipercent >= 0 ? s->memory_pressure_centipercent / 10 : -1,
                .cpu_before_permille = s->cpu_pressure_centipercent >= 0 ? s->cpu_pressure_centipercent / 10 : -1,
                .memory_during_permille = pressure_share_of_all(&t->memory_meter),
                .cpu_during_permille = pressure_share_of_all(&t->cpu_meter),
        };
        memcpy(e.held_usec, t->held_usec, sizeof(e.held_usec));
        return e;
}

uint64_t transition_refused_bytes(const struct transition *t) {
        const struct move_result *r = &t->total;
        uint64_t pages = r->failed_shared + r->failed_busy + r->failed_no_memory + r->failed_other;
        return pages * t->m->host->page_bytes + r->skipped_room_bytes;
}

/* What would not move; what the kernel's own balancing has taken back meanwhile is another matter. That can be no more than was brought home: what was neither moved
 * nor refused, as the kernel was just moving it itself, was elsewhere all the time. */
static uint64_t left_to_us(const struct transition *t, const struct service_sample *now) {
        uint64_t left = transition_left_bytes(t, now), refused = transition_refused_bytes(t);
        uint64_t before = placement_misplaced_bytes(transition_placement(t), transition_sample(t), t->m->topology->n_ids);
        uint64_t stayed = before - MIN2(before, t->total.moved_bytes);
        uint64_t undone = manager_balancing_settled(t->m, t->decided, t->index, t->seen, t->seen_index, MAX2(refused, stayed));
        left -= MIN2(left, undone);
        return undone > 0 ? MIN2(left, refused) : left;
}

static void record_settled(struct transition *t, const struct service_sample *now) {
        struct manager *m = t->m;
        bool moved = now && transition_placement(t)->move_memory;
        uint64_t shared = t->total.failed_shared * m->host->page_bytes,
                 all = moved ? sum_by_node(now->bytes_by_node, m->topology->n_ids) : 0;
        history_record_settled(&m->history, t->target.cgroup, moved ? left_to_us(t, now) : 0, manager_now(m));
        if (moved)
                history_record_shared(&m->history, t->target.cgroup, shared > all / SHARED_SHARE ? now->n_processes : 0,
                                      manager_now(m));
}

/* As the kernel has it now. Borrows from `t` and `effort`. */
static struct move_report report_of(const struct transition *t, const struct service_sample *now,
                                    const struct move_effort *effort) {
        struct manager *m = t->m;
        unsigned n_ids = m->topology->n_ids;
        const struct service_sample *then = transition_sample(t);
        const struct placement *p = transition_placement(t);
        const bool restricts = p->restrict_cpus && !p->mems_alone;
        struct cpuset_state state;
        bool have_state =
                m->host->has_cpuset && manager_act(m)->ops->get_cpuset(manager_act(m)->context, &t->target, &state) >= 0;
        struct node_set effective =
                have_state ? topology_nodes_of_cpus(m->topology, &state.effective_cpus) : (struct node_set) { 0 };
        struct move_report report = {
                .sample = then,
                .from = sample_nodes_with_bytes(then, n_ids),
                .to = p->home_mems,
                .moved = &t->total,
                .effort = t->n_passes > 0 && p->move_memory ? effort : NULL,
                .duration_usec = manager_now(m) - t->started_usec,
                .narrow_usec = t->narrow_usec,
                .locality_before = sample_locality(then, n_ids),
                .locality_after = now ? sample_locality(now, n_ids) : 0,
                .distance_after = now ? sample_distance(now, m->topology) : 0,
                .verified = now != NULL,
                .cpus_asked = restricts,
                .mems_asked = p->narrow_mems,
                .cpus_in_force = restricts && have_state && node_set_is_subset(&effective, &p->home_cpus),
                .mems_in_force = p->narrow_mems && have_state && node_set_is_subset(&state.effective_mems, &p->home_mems),
                .error = t->error,
                .reason = t->why           ? t->why
                          : t->why_partial ? t->why_partial
                                           : p->reason,
        };
        if (t->error == 0 && restricts && !report.cpus_in_force) {
                report.error = -EREMOTEIO;
                report.reason = "the CPU restriction did not take effect";
        }
        return report;
}

/* What gave relief and failed is tried again soon, and less and less often: the planner asks for it in each cycle. */
static void remember_relief(struct transition *t, int error) {
        struct service_note *n = t->note;
        if (!transition_placement(t)->relieves)
                return;
        n->n_relief_failed = error < 0 && !t->cancelled ? n->n_relief_failed + 1 : 0;
        n->relief_again_usec =
                n->n_relief_failed > 0
                        ? manager_now(t->m) + (RELIEF_AGAIN_USEC << MIN2(n->n_relief_failed - 1, RELIEF_AGAIN_DOUBLINGS))
                        : 0;
}

/* What the planner is to know of it. `error`: what it came to. */
static void remember(struct transition *t, const struct service_sample *now, int error) {
        struct manager *m = t->m;
        const struct placement *p = transition_placement(t);
        /* One that ended early has pages that no pass has looked at. */
        bool interleaved = p->weight_by_node && error == 0 && !t->why_partial;
        if (p->move_memory && (interleaved || p->pages_how != PAGES_INTERLEAVE))
                history_record_interleaved(&m->history, t->target.cgroup,
                                           interleaved ? interleave_key(p->weight_by_node, m->topology->n_ids) : 0);
        /* What the kernel or the service manager refused it will refuse again: not at each cooldown, with a line each. */
        if (error < 0 && t->unable && !t->cancelled)
                history_record_unable(&m->history, t->target.cgroup, manager_now(m));
        else if (error < 0 && !t->cancelled && error != -ESRCH && error != -ENOENT)
                history_record_failed(&m->history, t->target.cgroup, manager_now(m));
        else
                record_settled(t, now);
}

void transition_finish(struct transition *t, const struct service_sample *now) {
        struct manager *m = t->m;
        transition_end_pass_time(t);
        transition_take_result(t); /* of a pass that was cut short */
        const struct move_effort effort = effort_of(t);
        const struct move_report report = report_of(t, now, &effort);
        t->refused |= report.error < 0 && t->error == 0;
        if (t->refused || report.cpus_in_force)
                history_record_refused(&m->history, t->target.cgroup, t->refused);
        manager_tell_moved(m, &report);
        m->stats.moved_bytes += t->total.moved_bytes;
        if (report.error < 0 && !t->cancelled) /* a window that ends, a reload: nothing has failed */
                m->stats.n_failed++;
        else
                m->stats.n_moves++;
        struct service_note *note = manager_find_note(m, t->target.cgroup);
        if (note && t->n_passes > 0)
                note->moved_usec = manager_now(m);
        remember_relief(t, report.error);
        remember(t, now, report.error);
        transition_free(t);
        manager_restore_waiting(m, note);
        manager_update_status(m);
        if (!m->exiting)
                manager_wake(m, m->config->config->settings.interval_usec);
}
