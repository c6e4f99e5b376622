/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may map what a service shares without keeping it from moving: services that its rule keeps together with it, whose shared pages are to be
 * moved as well, and that live where it does. */
#include <errno.h>
#include <stdlib.h>

#include "manager.h"

int cycle_find_bonds(struct cycle *c) {
        if (c->bonds)
                return 0;
        const struct observation *o = c->observation;
        size_t *bonds = calloc(o->n_services + 1, sizeof(*bonds));
        int r = bonds ? services_bond(c->config->config, o->services, o->n_services, bonds) : -ENOMEM;
        if (r < 0) {
                free(bonds);
                return r;
        }
        c->bonds = bonds;
        return 0;
}

bool cycle_is_bonded(const struct cycle *c, size_t index, size_t other) {
        return c->bonds && index != other && c->bonds[index] != SIZE_MAX && c->bonds[index] == c->bonds[other];
}

int cycle_companions(struct manager *m, struct cycle *c, size_t index, const struct transition *t, struct companions *ret) {
        const struct observation *obs = c->observation;
        const struct service_sample *s = &obs->services[index];
        const struct service_note *own = manager_find_note(m, s->cgroup);
        *ret = (struct companions) { 0 };
        if (!s->rule || s->rule->shared_pages != SHARED_PAGES_MOVE || s->n_processes >= DEEP_PROCESSES_MAX ||
            (own && own->without_companions))
                return 0;
        int r = cycle_find_bonds(c);
        for (size_t i = 0; i < obs->n_services && r >= 0; i++) {
                const struct service_sample *o = &obs->services[i];
                if (!is_companion(obs->services, c->bonds, index, i, &m->history, m->topology->n_ids, t != NULL) ||
                    (t && !transition_goes_to(t, o->cgroup)))
                        continue;
                const struct service_note *n = manager_find_note(m, o->cgroup);
                if (n && (n->held || n->stuck)) /* nothing of it is touched, or its maps are not to be read */
                        continue;
                r = companions_add(ret, o, s, n ? n->aside : NULL, n ? n->n_aside : 0, DEEP_PROCESSES_MAX - s->n_processes);
        }
        if (r < 0)
                companions_done(ret);
        return r;
}

uint64_t cycle_company_moved_usec(const struct manager *m, const struct cycle *c, size_t index) {
        uint64_t last = 0;
        for (size_t i = 0; i < c->observation->n_services; i++) {
                if (!cycle_is_bonded(c, index, i))
                        continue;
                const char *cgroup = c->observation->services[i].cgroup;
                const struct service_note *n = manager_find_note(m, cgroup);
                const struct transition *t = transition_find(m, cgroup);
                last = MAX2(last, MAX2(n ? n->moved_usec : 0, t ? transition_moves_since_usec(t) : 0));
        }
        return last;
}
