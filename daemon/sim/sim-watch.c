/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the simulated kernel tells early, as watch/ does of a real one: cgroups that are new, begin or end, and pressure once in its window of two
 * seconds. However much happens, the manager is woken once a second. */
#include "sim/sim-internal.h"

#define REST_USEC            USEC_PER_SEC
#define WINDOW_USEC          (2 * USEC_PER_SEC)
#define CPU_REST_USEC        (10 * USEC_PER_SEC)
#define MEMORY_STALL_PART    0.1
#define CPU_STALL_PART       0.25
#define PART_TO_CENTIPERCENT 10000

struct env_watch {
        struct sim *sim;
        watch_callback callback;
        void *userdata;
        struct sim_event wake;
        uint64_t woken_usec;
};

static void on_wake(void *userdata) {
        struct env_watch *w = userdata;
        struct sim *s = w->sim;
        w->woken_usec = s->now_usec;
        for (size_t i = 0; i < s->n_services; i++) {
                struct sim_service *v = s->services[i];
                for (int k = 0; k < _WATCH_KIND_MAX; k++) {
                        if (!v->news[k])
                                continue;
                        v->news[k] = false;
                        const struct watch_event e = { .kind = (enum watch_kind) k,
                                                       .cgroup = v->cgroup,
                                                       .centipercent = (int) (v->memory_pressure * PART_TO_CENTIPERCENT) };
                        w->callback(&e, w->userdata);
                }
        }
}

static void tell(struct sim *s, struct sim_service *v, enum watch_kind kind) {
        struct env_watch *w = s->watch;
        s->totals.n_events++;
        v->news[kind] = true;
        if (w && !w->wake.armed)
                sim_arm(s, &w->wake, MAX2(s->now_usec, w->woken_usec + REST_USEC));
}

void sim_tell_cgroup(struct sim *s, struct sim_service *v) {
        if (s->watch)
                tell(s, v, WATCH_CGROUP);
}

void sim_tell_pressure(struct sim *s, struct sim_service *v, double memory_stall, double cpu_stall) {
        if (!s->watch || !s->host.has_psi)
                return;
        if (v->watched.memory && memory_stall >= MEMORY_STALL_PART && s->now_usec >= v->told_memory_usec + WINDOW_USEC) {
                v->told_memory_usec = s->now_usec;
                tell(s, v, WATCH_PRESSURE);
        }
        if (v->watched.cpu && cpu_stall >= CPU_STALL_PART && s->now_usec >= v->told_cpu_usec + CPU_REST_USEC) {
                v->told_cpu_usec = s->now_usec;
                tell(s, v, WATCH_CPU);
        }
}

int sim_watch_new(void *context, watch_callback callback, void *userdata, struct env_watch **ret) {
        struct sim *s = context;
        struct env_watch *w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        *w = (struct env_watch) { .sim = s, .callback = callback, .userdata = userdata };
        w->wake = (struct sim_event) { .callback = on_wake, .userdata = w };
        s->watch = w;
        *ret = w;
        return 0;
}

int sim_watch_set(struct env_watch *w, const struct watch_wish *wishes, size_t n, struct watch_counts *ret) {
        struct sim *s = w->sim;
        bool psi = s->host.has_psi;
        *ret = (struct watch_counts) { .n_directories = 1, .memory_complete = true };
        for (size_t i = 0; i < s->n_services; i++)
                s->services[i]->watched.memory = s->services[i]->watched.cpu = false;
        for (size_t i = 0; i < n; i++) {
                struct sim_service *v = sim_by_cgroup(s, wishes[i].cgroup);
                if (!v)
                        continue;
                v->watched.memory = psi && wishes[i].memory;
                v->watched.cpu = psi && wishes[i].cpu;
                ret->n_populated += wishes[i].populated;
                ret->n_memory += v->watched.memory;
                ret->n_cpu += v->watched.cpu;
        }
        return 0;
}

struct env_watch *sim_watch_free(struct env_watch *w) {
        if (!w)
                return NULL;
        sim_disarm(w->sim, &w->wake);
        w->sim->watch = NULL;
        free(w);
        return NULL;
}
