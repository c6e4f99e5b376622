/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A reader that may be left behind borrows nothing: it has its own descriptor of the root, list of processes and recorder. Whoever of the two
 * comes last, the reader or the one who waits, frees it. */
#include "capture/patient.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/util.h"
#include "host/recorder.h"

struct reading {
        pthread_mutex_t mutex;
        pthread_cond_t ended;
        bool has_ended, is_left;
        deep_function read;
        struct host host;
        unsigned n_ids;
        struct process_ref *processes;
        size_t n_processes;
        struct deep_options options;
        struct companions companions;
        char *cgroup;
        struct process_ref *aside;
        struct topology *topology;
        struct recorder recorder;
        bool records;
        struct deep_sample *sample;
        int result;
};

static void reading_free(struct reading *r) {
        if (r->host.root_fd >= 0)
                (void) close(r->host.root_fd);
        free(r->host.cgroup_mount);
        free(r->processes);
        companions_done(&r->companions);
        free(r->cgroup);
        free(r->aside);
        topology_free(r->topology);
        recorder_done(&r->recorder);
        deep_sample_free(r->sample);
        (void) pthread_cond_destroy(&r->ended);
        (void) pthread_mutex_destroy(&r->mutex);
        free(r);
}

static void *run(void *arg) {
        struct reading *r = arg;
        if (r->records)
                recorder_use(&r->recorder);
        r->result = r->read(&r->host, r->n_ids, r->processes, r->n_processes, &r->options, &r->sample);
        recorder_use(NULL);
        (void) pthread_mutex_lock(&r->mutex);
        r->has_ended = true;
        bool is_left = r->is_left;
        (void) pthread_cond_signal(&r->ended);
        (void) pthread_mutex_unlock(&r->mutex);
        if (is_left)
                reading_free(r);
        return NULL;
}

static int init_condition(pthread_cond_t *c) {
        pthread_condattr_t attributes;
        int r = pthread_condattr_init(&attributes);
        if (r != 0)
                return -r;
        r = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        if (r == 0)
                r = pthread_cond_init(c, &attributes);
        (void) pthread_condattr_destroy(&attributes);
        return -r;
}

static int reading_new(deep_function read, const struct host *h, const struct process_ref *processes, size_t n_processes,
                       struct reading **ret) {
        struct reading *r = calloc(1, sizeof *r);
        if (!r)
                return -ENOMEM;
        int error = -pthread_mutex_init(&r->mutex, NULL);
        if (error < 0 || (error = init_condition(&r->ended)) < 0) {
                free(r);
                return error;
        }
        r->read = read;
        r->host = *h;
        r->host.cgroup_mount = h->cgroup_mount ? strdup(h->cgroup_mount) : NULL;
        r->host.root_fd = fcntl(h->root_fd, F_DUPFD_CLOEXEC, 3);
        r->processes = calloc(n_processes + 1, sizeof *processes);
        r->n_processes = n_processes;
        r->records = recorder_in_use();
        if (r->host.root_fd < 0)
                error = -errno;
        else if (!r->processes || (h->cgroup_mount && !r->host.cgroup_mount))
                error = -ENOMEM;
        else if (r->records)
                error = recorder_init(&r->recorder, r->host.root_fd);
        if (error < 0) {
                reading_free(r);
                return error;
        }
        if (n_processes > 0)
                memcpy(r->processes, processes, n_processes * sizeof *processes);
        *ret = r;
        return 0;
}

static uint64_t monotonic_usec(void) {
        struct timespec ts;
        return clock_gettime(CLOCK_MONOTONIC, &ts) < 0 ? 0 : (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

/* True: it has ended; false: it is on its own from now on. */
static bool await(struct reading *r, uint64_t deadline_usec) {
        const struct timespec deadline = { .tv_sec = (time_t) (deadline_usec / USEC_PER_SEC),
                                           .tv_nsec = (long) (deadline_usec % USEC_PER_SEC * 1000) };
        (void) pthread_mutex_lock(&r->mutex);
        while (!r->has_ended && pthread_cond_timedwait(&r->ended, &r->mutex, &deadline) == 0)
                ;
        bool ended = r->has_ended;
        r->is_left = !ended;
        (void) pthread_mutex_unlock(&r->mutex);
        return ended;
}

/* As much of it as options need: which CPUs there are, and where. */
static int copy_topology(struct reading *r, const struct topology *t) {
        if (!t)
                return 0;
        r->options.topology = r->topology = topology_new(t->n_ids, t->n_cpu_ids);
        if (!r->topology)
                return -ENOMEM;
        memcpy(r->topology->nodes, t->nodes, t->n_ids * sizeof *t->nodes);
        memcpy(r->topology->node_of_cpu, t->node_of_cpu, t->n_cpu_ids * sizeof *t->node_of_cpu);
        return 0;
}

/* Options that borrow nothing; who waits is told no more than that it takes too long. */
static int copy_options(struct reading *r, const struct deep_options *o) {
        r->options = *o;
        r->options.reading = NULL;
        r->options.companions = &r->companions;
        r->options.cgroup = r->cgroup = o->cgroup ? strdup(o->cgroup) : NULL;
        r->options.aside = r->aside = calloc(o->n_aside + 1, sizeof *r->aside);
        if (!r->aside || (o->cgroup && !r->cgroup))
                return -ENOMEM;
        if (o->n_aside > 0)
                memcpy(r->aside, o->aside, o->n_aside * sizeof *r->aside);
        int error = copy_topology(r, o->topology);
        return error < 0 ? error : companions_copy(o->companions, &r->companions);
}

int patient_read(struct patience *p, const struct host *h, unsigned n_ids, const struct process_ref *processes,
                 size_t n_processes, const struct deep_options *options, struct deep_sample **ret) {
        struct reading *r;
        pthread_t thread;
        int error = reading_new(p->read, h, processes, n_processes, &r);
        if (error < 0)
                return error;
        r->n_ids = n_ids;
        error = copy_options(r, options);
        if (error >= 0)
                error = -pthread_create(&thread, NULL, run, r);
        if (error < 0) {
                reading_free(r);
                return error;
        }
        (void) pthread_detach(thread);
        uint64_t patience = MAX2(p->left_usec / 2, USEC_PER_MSEC * 100), began = monotonic_usec();
        if (!await(r, began + patience)) {
                p->left_usec -= MIN2(patience, p->left_usec);
                p->n_given_up++;
                return -ETIMEDOUT;
        }
        error = r->result;
        recorder_adopt(&r->recorder);
        if (error >= 0)
                *ret = TAKE_PTR(r->sample);
        reading_free(r);
        return error;
}
