/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is told of a simulation: locality over time, and what the manager did to get there. */
#include <string.h>

#include "sim/sim-internal.h"

/* Back home sooner than this is ping-pong. */
#define RETURN_USEC (15 * USEC_PER_MINUTE)

double sim_locality(const struct sim *s, const struct sim_service *v) {
        double all = (double) sim_bytes(s, v), sum = 0;
        if (all <= 0)
                return 0;
        if (v->used <= 0) {
                for (unsigned g = 0; g < v->n_groups; g++)
                        sum += v->group_node[g] >= 0 ? (double) sim_bytes_on(v, (unsigned) v->group_node[g]) / v->n_groups : 0;
                return sum / all;
        }
        for (unsigned n = 0; n < s->n_ids; n++)
                if (v->used_on[n] > 0)
                        sum += v->used_on[n] / v->used * (double) sim_bytes_on(v, n);
        return sum / all;
}

/* The k nodes that hold most of it already, k being the fewest that have CPUs and memory enough, whatever others want there. */
uint64_t sim_least_bytes(const struct sim *s, const struct sim_service *v) {
        struct node_set taken = { 0 };
        uint64_t all = sim_bytes(s, v), at_home = 0;
        double memory = 0, cpus = 0;
        while (memory < (double) all || cpus < v->spec.cpus) {
                int best = -1;
                for (unsigned n = 0; n < s->n_ids; n++)
                        if (!node_set_has(&taken, n) && s->nodes[n].total > 0 && s->topology->nodes[n].n_cpus > 0 &&
                            (best < 0 || sim_bytes_on(v, n) > sim_bytes_on(v, (unsigned) best)))
                                best = (int) n;
                if (best < 0)
                        break;
                node_set_add(&taken, (unsigned) best);
                at_home += sim_bytes_on(v, (unsigned) best);
                memory += (double) s->nodes[best].total;
                cpus += s->topology->nodes[best].n_cpus;
        }
        return all - at_home;
}

static void end_hour(struct sim *s) {
        if (s->n_hours < SIM_HOURS_MAX) {
                if (array_reserve(&s->hours, &s->hours_capacity, s->n_hours + 1, sizeof(*s->hours)) < 0)
                        sim_abort_no_memory();
                s->hours[s->n_hours++] = s->hour_weight > 0 ? s->hour_local / s->hour_weight : 0;
        }
        s->hour_local = s->hour_weight = 0;
        s->hour_at_usec += 60 * USEC_PER_MINUTE;
        if (s->each_hour)
                s->each_hour(s, s->each_hour_userdata);
}

void sim_measure_tick(struct sim *s, uint64_t usec) {
        double sec = (double) usec / USEC_PER_SEC;
        for (size_t i = 0; i < s->n_services; i++) {
                struct sim_service *v = s->services[i];
                if (!v->running || v->used <= 0)
                        continue;
                double weight = v->used * sec, local = sim_locality(s, v) * weight;
                v->local += local;
                v->local_weight += weight;
                if (!v->managed || !s->manager)
                        continue;
                s->local += local;
                s->local_weight += weight;
                s->hour_local += local;
                s->hour_weight += weight;
        }
        while (s->physics_usec >= s->hour_at_usec)
                end_hour(s);
}

static void note_home(struct sim *s, struct sim_service *v, const struct history_entry *e) {
        if (!e->placed || e->placed_usec == v->home_usec || node_set_equal(&e->home, &v->home))
                return;
        bool first = v->home_usec == 0;
        uint64_t since = e->placed_usec - v->home_usec;
        ssize_t i = s->manager->last ? cycle_find(s->manager->last, v->cgroup) : -1;
        const struct rule *rule = i >= 0 ? s->manager->last->observation->services[i].rule : NULL;
        s->totals.n_changes++;
        v->n_changes++;
        if (first)
                v->first_home_usec = e->placed_usec;
        else {
                s->totals.n_returns += node_set_equal(&e->home, &v->home_before) && since < RETURN_USEC;
                s->totals.n_hasty += rule && since < rule->cooldown_usec;
        }
        v->home_before = v->home;
        v->home = e->home;
        v->home_usec = e->placed_usec;
}

/* Both are sorted by cgroup. */
void sim_measure_homes(struct sim *s) {
        const struct history *h = s->manager ? &s->manager->history : NULL;
        size_t k = 0;
        for (size_t i = 0; h && i < s->n_services; i++) {
                while (k < h->n_entries && strcmp(h->entries[k].cgroup, s->services[i]->cgroup) < 0)
                        k++;
                if (k < h->n_entries && strcmp(h->entries[k].cgroup, s->services[i]->cgroup) == 0)
                        note_home(s, s->services[i], &h->entries[k]);
        }
}

struct sim_totals sim_totals(const struct sim *s) {
        struct sim_totals t = s->totals;
        t.any_placed = s->local_weight > 0;
        t.locality = t.any_placed ? s->local / s->local_weight : 0;
        return t;
}

const double *sim_hours(const struct sim *s, size_t *ret_n) {
        *ret_n = s->n_hours;
        return s->hours;
}
