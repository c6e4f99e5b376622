/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the manager has itself told early: which cgroups it cares for, what their news mean, and a glance now and then at nodes that services were
 * narrowed to, because of a node that runs short no kernel tells. */
#include <errno.h>
#include <string.h>

#include "core/plan.h"
#include "host/cgroup-path.h"
#include "manager.h"
#include "report/journal.h"
#include "report/json.h"

/* The next glance comes when what is free could be used up, at so much a second; within these bounds. */
#define GLANCE_FILL_BYTES GIB
#define GLANCE_MIN_USEC   USEC_PER_SEC
#define GLANCE_MAX_USEC   (15 * USEC_PER_SEC)
/* Whoever waits for CPUs all the time is no news. */
#define CPU_QUIET_USEC USEC_PER_MINUTE

/* Of the nodes that we asked for those that are there: the record can be older than the topology. */
static struct node_set narrowed_to(const struct manager *m, const struct record_entry *e) {
        struct node_set there = topology_nodes_with_memory(m->topology);
        return node_set_intersect(&e->ours.mems, &there);
}

/* What we asked for leaves out nodes that were there before. Where none of it is there any more, the kernel goes by the cgroup above. */
static bool narrows_mems(const struct manager *m, const struct record_entry *e) {
        struct node_set all = e->before.mems_set ? e->before.mems : topology_nodes_with_memory(m->topology);
        struct node_set ours = narrowed_to(m, e);
        return e->changed_mems && e->ours.mems_set && !node_set_is_empty(&ours) && !node_set_is_subset(&all, &e->ours.mems);
}

/* And whoever it is about is there: the record keeps services that have ended, too. */
static bool narrows_now(const struct manager *m, const struct record_entry *e) {
        return narrows_mems(m, e) && m->last && cycle_find(m->last, e->cgroup) >= 0;
}

static bool narrows_cpus(const struct manager *m, const struct record_entry *e) {
        struct node_set nodes = topology_nodes(m->topology);
        struct cpu_mask all = e->before.cpus;
        if (!e->before.cpus_set)
                topology_cpus_of(m->topology, &nodes, &all);
        return e->changed_cpus && e->ours.cpus_set && !cpu_mask_is_subset(&all, &e->ours.cpus);
}

/* News */

static bool concerns_rules(const struct manager *m, const char *cgroup) {
        const struct config *c = m->config->config;
        struct service_key k;
        if (cgroup[0] != '/' || manager_find_note(m, cgroup))
                return true;
        if (service_key_of(c, cgroup, &k) < 0)
                return true;
        bool may = config_may_match_unit(c, k.unit);
        service_key_done(&k);
        return may;
}

static void told_of_cpu(struct manager *m, const char *cgroup) {
        struct service_note *n = manager_find_note(m, cgroup);
        uint64_t now = manager_now(m), before = n ? n->cpu_pressed_usec : 0;
        if (!n)
                return;
        n->cpu_pressed_usec = now;
        if (before > 0 && now - before < CPU_QUIET_USEC)
                return;
        /* It takes a while to be sure of it: the looks after this one come sooner, too. */
        m->interval_usec = m->config->config->settings.interval_usec;
        manager_wake_by_event(m, WAKE_CPU, cgroup);
}

static void on_told(const struct watch_event *e, void *userdata) {
        struct manager *m = userdata;
        switch (e->kind) {
        case WATCH_CGROUP:
                if (concerns_rules(m, e->cgroup))
                        manager_wake_by_event(m, WAKE_CGROUP, e->cgroup);
                break;
        case WATCH_PRESSURE:
                /* The trigger is quick, the planner goes by the average: it tells again while that rises. */
                if (e->centipercent >= PLAN_PRESSURE_CENTIPERCENT)
                        manager_wake_urgently(m, WAKE_PRESSURE, e->cgroup);
                break;
        case WATCH_CPU: told_of_cpu(m, e->cgroup); break;
        default: break;
        }
}

/* Glances */

static uint64_t room_bytes(const struct machine_sample *machine, const struct node_set *nodes, unsigned keep_free_permille) {
        uint64_t room = 0;
        NODE_SET_FOREACH (id, nodes)
                room += node_room_bytes(&machine->nodes[id], keep_free_permille / 2);
        return room;
}

/* Those that still have memory: one can go while we run. Of such ones alone the kernel goes by the cgroup above. */
static struct node_set with_memory(const struct machine_sample *machine, struct node_set nodes) {
        struct node_set left = { 0 };
        NODE_SET_FOREACH (id, &nodes)
                if (machine->nodes[id].bytes_total > 0)
                        node_set_add(&left, id);
        return left;
}

static void glance_later(struct manager *m, uint64_t delay_usec);

static void on_glance(void *userdata) {
        struct manager *m = userdata;
        unsigned keep_free = m->config->config->settings.keep_free_permille;
        struct machine_sample machine = { 0 };
        uint64_t least = UINT64_MAX;
        if (m->exiting)
                return;
        int r = m->env->ops->read_machine(m->env->context, m->topology, &machine);
        if (r < 0) {
                log_debug("Could not look at the nodes' memory, trying again: %s", strerror(-r));
                glance_later(m, GLANCE_MAX_USEC);
                return;
        }
        for (size_t i = 0; i < m->record->n_entries; i++) {
                const struct record_entry *e = m->record->entries[i];
                if (!narrows_now(m, e))
                        continue;
                struct node_set ours = with_memory(&machine, narrowed_to(m, e));
                if (node_set_is_empty(&ours))
                        continue;
                if (plan_nodes_short(&machine, &ours, keep_free) && !transition_find(m, e->cgroup))
                        manager_wake_urgently(m, WAKE_NODE, e->cgroup);
                least = MIN2(least, room_bytes(&machine, &ours, keep_free));
        }
        machine_sample_done(&machine);
        if (least < UINT64_MAX)
                glance_later(m, least / (GLANCE_FILL_BYTES / USEC_PER_SEC));
}

static void glance_later(struct manager *m, uint64_t delay_usec) {
        const struct environment *env = m->env;
        uint64_t at = manager_now(m) + MIN2(MAX2(delay_usec, GLANCE_MIN_USEC), GLANCE_MAX_USEC);
        int r = m->glance_timer ? 0 : env->ops->timer_new(env->context, 250 * USEC_PER_MSEC, on_glance, m, &m->glance_timer);
        if (r >= 0)
                r = env->ops->timer_set(m->glance_timer, at);
        if (r < 0)
                log_warning(r, "Cannot look after nodes that run short of memory between cycles: %s", strerror(-r));
}

/* Wishes */

static bool has_narrowed(const struct manager *m) {
        for (size_t i = 0; i < m->record->n_entries; i++)
                if (narrows_now(m, m->record->entries[i]))
                        return true;
        return false;
}

bool manager_is_blind(const struct manager *m) {
        /* Where the kernel has no pressure to tell of, looking more often shows none either; nodes are glanced at in any case. */
        return has_narrowed(m) && m->host->has_psi && (!m->watch || !m->watched.memory_complete);
}

/* Once for each way in which it is not all. */
static void tell_incomplete(struct manager *m) {
        int error = m->watched.error;
        bool left_out = m->watched.n_left_out > 0;
        const char *instead =
                m->watched.memory_complete
                        ? ": the rest is seen at the next cycle"
                        : ": while memory nodes are narrowed, memory pressure is looked at in each interval instead";
        if (error < 0 && error != m->watch_error)
                log_notice("Not all of what was to be watched can be (%s)%s",
                           error == -ENOSPC ? "no inotify watches left, fs.inotify.max_user_watches" : strerror(-error), instead);
        else if (error == 0 && left_out && !m->watch_left_out)
                log_notice("There is more to be watched than is watched at most (%zu are left out)%s", m->watched.n_left_out,
                           instead);
        m->watch_error = error;
        m->watch_left_out |= left_out;
}

static void set_wishes(struct manager *m, const struct observation *o) {
        _cleanup_free_ struct watch_wish *wishes = calloc(o->n_services + 1, sizeof(*wishes));
        int r = wishes ? 0 : -ENOMEM;
        for (size_t i = 0; r >= 0 && i < o->n_services; i++) {
                const struct service_sample *s = &o->services[i];
                const struct record_entry *e = record_find(m->record, s->cgroup);
                wishes[i] = (struct watch_wish) {
                        .cgroup = s->cgroup,
                        .populated = s->rule && s->rule->place != PLACE_IGNORE,
                        .memory = e && narrows_mems(m, e),
                        .cpu = e && narrows_cpus(m, e),
                };
        }
        if (r >= 0)
                r = m->env->ops->watch_set(m->watch, wishes, o->n_services, &m->watched);
        if (r < 0)
                log_warning(r, "Could not say what is to be watched, going on with what was: %s", strerror(-r));
        tell_incomplete(m);
}

bool manager_hotplugged(const struct manager *m) {
        return m->online_last && strcmp(m->online, m->online_last) != 0;
}

static void look_for_hotplug(struct manager *m) {
        char *now = host_online(m->host);
        if (!now) {
                log_warning(-ENOMEM, "Could not look whether nodes or CPUs have come or gone, trying again at the next cycle");
                return;
        }
        bool before = manager_hotplugged(m), same = m->online_last && strcmp(m->online_last, now) == 0;
        free(m->online_last);
        m->online_last = now;
        if (!same && manager_hotplugged(m))
                log_notice(HOTPLUGGED_TEXT);
        else if (before && !manager_hotplugged(m))
                log_notice("The machine's nodes and CPUs are again what they were at the start");
}

void manager_watch_update(struct manager *m, const struct cycle *c) {
        if (m->watch)
                set_wishes(m, c->observation);
        if (m->host->live && !m->options.once)
                look_for_hotplug(m);
        if (!m->options.once && has_narrowed(m))
                glance_later(m, GLANCE_MIN_USEC);
}

int manager_watch_begin(struct manager *m) {
        if (!m->env->ops->watch_new || !m->host->live)
                return 0;
        return m->env->ops->watch_new(m->env->context, on_told, m, &m->watch);
}

void manager_watch_done(struct manager *m) {
        if (m->watch)
                m->watch = m->env->ops->watch_free(m->watch);
        m->glance_timer = m->env->ops->timer_free(m->glance_timer);
}

struct json_object *manager_watch_json(const struct manager *m) {
        const struct {
                const char *key;
                size_t n;
        } all[] = {
                { "cgroups", m->watched.n_populated },      { "directories", m->watched.n_directories },
                { "memory_pressure", m->watched.n_memory }, { "memory_pressure_above", m->watched.n_memory_above },
                { "cpu_pressure", m->watched.n_cpu },       { "left_out", m->watched.n_left_out },
        };
        struct json_object *o = json_object_new_object();
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                json_put_int(&o, all[i].key, all[i].n);
        return o;
}
