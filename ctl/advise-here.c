/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Advice without a daemon: two looks at the machine, for what services use in between. */
#include "advise-here.h"

#include <string.h>
#include <time.h>

#include "config/config-load.h"
#include "core/plan.h"
#include "described.h"
#include "host/described.h"
#include "host/host.h"
#include "host/observe.h"
#include "out.h"
#include "report/view.h"

#define LOOKS 2u

struct scene {
        struct host *host;
        struct topology *topology;
        struct config *loaded;
        struct config config; /* the same without rules */
        struct observer *observer;
        struct observation *seen;
        struct history history;
        uint64_t now_usec;
};

static void scene_done(struct scene *s) {
        observation_free(s->seen);
        observer_free(s->observer);
        history_done(&s->history);
        config_free(s->loaded);
        topology_free(s->topology);
        host_free(s->host);
}

static uint64_t boottime_usec(void) {
        struct timespec ts;
        (void) clock_gettime(CLOCK_BOOTTIME, &ts); /* cannot fail for this clock */
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

/* Only keep-free is wanted of it: with errors in it the default has to do. */
static int load_config(struct scene *s, const char *root) {
        struct config_source source = { .root = root, .topology = s->topology };
        struct config_errors errors = { 0 };
        int r = config_load(&source, &s->loaded, &errors);
        config_errors_done(&errors);
        if (r < 0 && r != -ENOMEM) {
                (void) out_error(0, "the configuration has errors (numabalancectl check), so the default of keep-free counts");
                s->loaded = config_new();
        }
        if (!s->loaded)
                return -ENOMEM;
        s->config = (struct config) { .settings = s->loaded->settings };
        return 0;
}

static int look(struct scene *s) {
        s->seen = observation_free(s->seen);
        s->now_usec = boottime_usec();
        int r = observer_screen(s->observer, &s->config, NULL, 0, s->now_usec, &s->seen);
        if (r >= 0)
                r = history_update(&s->history, s->seen->services, s->seen->n_services, s->topology->n_ids, s->now_usec);
        return r;
}

static int observe(struct scene *s) {
        const char *root = described_root();
        int r = host_open(root, &s->host);
        if (r >= 0)
                r = topology_load(s->host, &s->topology);
        if (r >= 0)
                r = load_config(s, root);
        if (r >= 0)
                r = observer_new(s->host, s->topology, &s->observer);
        for (unsigned i = 0; r >= 0 && i < LOOKS; i++) {
                if (i > 0) {
                        struct timespec second = { .tv_sec = 1 };
                        (void) clock_nanosleep(CLOCK_BOOTTIME, 0, &second, NULL); /* cut short by a signal, less is known */
                }
                r = look(s);
        }
        return r;
}

int advise_here(uint64_t mcpu, uint64_t bytes, struct json_object **ret) {
        _cleanup_(scene_done) struct scene s = { 0 };
        _cleanup_(advice_freep) struct advice *a = NULL;
        if (check_described() != EXIT_SUCCESS)
                return EXIT_FAILURE;
        int r = observe(&s);
        if (r < 0)
                return out_error(EXIT_FAILURE, "cannot observe the machine: %s", strerror(-r));
        struct plan_input in = {
                .topology = s.topology,
                .machine = &s.seen->machine,
                .config = &s.config,
                .samples = s.seen->services,
                .n_samples = s.seen->n_services,
                .history = &s.history,
                .now_usec = s.now_usec,
        };
        r = plan_advise(&in, mcpu, bytes, &a);
        if (r < 0)
                return out_error(EXIT_FAILURE, "cannot make a plan: %s", strerror(-r));
        *ret = view_advice(a, mcpu, bytes);
        return *ret ? EXIT_SUCCESS : out_error(EXIT_FAILURE, "out of memory");
}
