/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture/look.h"

#include "core/util.h"
#include "report/json.h"
#include "report/view.h"

void look_done(struct captured_look *l) {
        explanations_free(l->explanations, l->observation ? l->observation->n_services : 0);
        observation_free(l->observation);
        plan_free(l->plan);
        *l = (struct captured_look) { 0 };
}

static int find_companions(const struct look_input *in, const struct observation *o, const struct history *history,
                           const size_t *bonds, size_t index, struct companions *ret) {
        const struct service_sample *s = &o->services[index];
        *ret = (struct companions) { 0 };
        int r = 0;
        for (size_t i = 0; i < o->n_services && s->n_processes < DEEP_PROCESSES_MAX && r == 0; i++)
                if (is_companion(o->services, bonds, index, i, history, in->topology->n_ids, false))
                        r = companions_add(ret, &o->services[i], s, NULL, 0, DEEP_PROCESSES_MAX - s->n_processes);
        if (r < 0)
                companions_done(ret);
        return r;
}

/* A service whose map cannot be read is judged without, as the daemon does. */
static int read_maps(const struct look_input *in, const struct history *history, struct observation *o) {
        const struct host *h = in->hosts[LOOKS - 1];
        _cleanup_free_ size_t *bonds = calloc(o->n_services + 1, sizeof *bonds);
        if (!bonds || services_bond(in->config, o->services, o->n_services, bonds) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < o->n_services; i++) {
                struct service_sample *s = &o->services[i];
                if (!s->rule || s->rule->place == PLACE_IGNORE || s->n_processes == 0)
                        continue;
                _cleanup_(deep_sample_freep) struct deep_sample *d = NULL;
                _cleanup_(companions_done) struct companions companions;
                struct deep_options options = deep_options_of(s, in->topology);
                int r = find_companions(in, o, history, bonds, i, &companions);
                if (r < 0)
                        return r;
                options.companions = &companions;
                options.cgroup = s->cgroup;
                r = in->patience ? patient_read(in->patience, h, in->topology->n_ids, s->processes, s->n_processes, &options, &d)
                                 : observe_deep(h, in->topology->n_ids, s->processes, s->n_processes, &options, &d);
                if (r == -ENOMEM)
                        return r;
                /* One that was given up is not in the capture, and reads there as nothing. */
                if (r >= 0 && d->n_processes_read > 0)
                        service_sample_merge_deep(s, d, h->has_memory_controller);
        }
        return 0;
}

static int decide(const struct look_input *in, const struct history *history, uint64_t now, struct captured_look *l) {
        const struct plan_input p = {
                .topology = in->topology,
                .machine = &l->observation->machine,
                .config = in->config,
                .samples = l->observation->services,
                .n_samples = l->observation->n_services,
                .history = history,
                .applied = in->applied,
                .n_applied = in->n_applied,
                .now_usec = now,
        };
        int r = plan_make(&p, &l->plan);
        return r < 0 ? r : plan_explain_all(&p, &l->explanations);
}

int look_twice(const struct look_input *in, struct history *history, struct captured_look *ret) {
        _cleanup_(observer_freep) struct observer *observer = NULL;
        struct captured_look l = { 0 };
        int r = observer_new(in->hosts[0], in->topology, &observer);
        for (unsigned i = 0; i < LOOKS && r >= 0; i++) {
                uint64_t now;
                l.observation = observation_free(l.observation);
                r = in->begin(i, &now, in->userdata);
                if (r >= 0)
                        r = observer_set_host(observer, in->hosts[i]);
                if (r >= 0)
                        r = observer_screen(observer, in->config, in->applied, in->n_applied, now, &l.observation);
                if (r >= 0 && i == LOOKS - 1)
                        r = read_maps(in, history, l.observation);
                if (r >= 0)
                        r = history_update(history, l.observation->services, l.observation->n_services, in->topology->n_ids, now);
                if (r >= 0 && i == LOOKS - 1)
                        r = decide(in, history, now, &l);
        }
        if (r < 0) {
                look_done(&l);
                return r;
        }
        *ret = l;
        return 0;
}

struct json_object *look_json(const struct topology *t, const struct captured_look *l) {
        struct json_object *o = json_object_new_object(), *services = json_object_new_array();
        for (size_t i = 0; services && i < l->observation->n_services; i++) {
                const struct placement *p = &l->plan->placements[i];
                struct json_object *s = view_explain(t, &l->observation->services[i], p, &l->explanations[i], p->state, NULL);
                if (!s || json_object_array_add(services, s) != 0) {
                        json_object_put(s);
                        json_object_put(services);
                        services = NULL;
                }
        }
        json_put(&o, "topology", view_topology(t, &l->observation->machine));
        json_put(&o, "services", services);
        return o;
}
