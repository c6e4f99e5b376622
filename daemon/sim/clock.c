/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtual time: a heap of what is due, in order of time and then of arming. Timers and jobs are events on it: a job runs at once and in one piece, and its
 * end comes when the time that it took has passed. */
#include "sim/sim-internal.h"

static bool is_before(const struct sim_event *a, const struct sim_event *b) {
        return a->when_usec != b->when_usec ? a->when_usec < b->when_usec : a->order < b->order;
}

static void put(struct sim *s, size_t i, struct sim_event *e) {
        s->heap[i] = e;
        e->index = i;
}

static void sift_up(struct sim *s, size_t i) {
        struct sim_event *e = s->heap[i];
        while (i > 0 && is_before(e, s->heap[(i - 1) / 2])) {
                put(s, i, s->heap[(i - 1) / 2]);
                i = (i - 1) / 2;
        }
        put(s, i, e);
}

static void sift_down(struct sim *s, size_t i) {
        struct sim_event *e = s->heap[i];
        for (;;) {
                size_t child = 2 * i + 1;
                if (child >= s->n_heap)
                        break;
                if (child + 1 < s->n_heap && is_before(s->heap[child + 1], s->heap[child]))
                        child++;
                if (!is_before(s->heap[child], e))
                        break;
                put(s, i, s->heap[child]);
                i = child;
        }
        put(s, i, e);
}

void sim_disarm(struct sim *s, struct sim_event *e) {
        if (!e->armed)
                return;
        e->armed = false;
        size_t i = e->index;
        struct sim_event *last = s->heap[--s->n_heap];
        if (last == e)
                return;
        put(s, i, last);
        sift_up(s, i);
        sift_down(s, last->index);
}

void sim_arm(struct sim *s, struct sim_event *e, uint64_t when_usec) {
        sim_disarm(s, e);
        if (array_reserve(&s->heap, &s->heap_capacity, s->n_heap + 1, sizeof(struct sim_event *)) < 0)
                sim_abort_no_memory();
        e->when_usec = MAX2(when_usec, s->now_usec);
        e->order = s->order++;
        e->armed = true;
        put(s, s->n_heap++, e);
        sift_up(s, e->index);
}

struct sim_event *sim_next_event(const struct sim *s) {
        return s->n_heap > 0 ? s->heap[0] : NULL;
}

/* Timers */

struct env_timer {
        struct sim *sim;
        struct sim_event event;
};

int sim_timer_new(void *context, uint64_t slack_usec, env_callback callback, void *userdata, struct env_timer **ret) {
        struct env_timer *t = malloc(sizeof(*t));
        if (!t)
                return -ENOMEM;
        *t = (struct env_timer) { .sim = context, .event = { .callback = callback, .userdata = userdata } };
        *ret = t;
        return 0;
}

int sim_timer_set(struct env_timer *t, uint64_t at_usec) {
        sim_arm(t->sim, &t->event, at_usec);
        return 0;
}

struct env_timer *sim_timer_free(struct env_timer *t) {
        if (t)
                sim_disarm(t->sim, &t->event);
        free(t);
        return NULL;
}

/* The machine's own */

static void run_later(void *userdata) {
        struct sim_later *l = userdata;
        struct sim *s = l->sim;
        TAILQ_REMOVE(&s->laters, l, entry);
        l->callback(s, l->userdata);
        if (l->owned)
                free(l->userdata);
        free(l);
}

int sim_call_at(struct sim *s, uint64_t when_usec, void (*callback)(struct sim *s, void *userdata), void *userdata, bool owned) {
        struct sim_later *l = malloc(sizeof(*l));
        if (!l)
                return -ENOMEM;
        *l = (struct sim_later) { .sim = s, .callback = callback, .userdata = userdata, .owned = owned };
        l->event = (struct sim_event) { .callback = run_later, .userdata = l };
        TAILQ_INSERT_TAIL(&s->laters, l, entry);
        sim_arm(s, &l->event, when_usec);
        return 0;
}

void sim_forget_laters(struct sim *s) {
        struct sim_later *l;
        while ((l = TAILQ_FIRST(&s->laters))) {
                TAILQ_REMOVE(&s->laters, l, entry);
                sim_disarm(s, &l->event);
                if (l->owned)
                        free(l->userdata);
                free(l);
        }
}

/* Jobs */

static void start_jobs(struct sim *s);

static void end_job(struct sim_job *j) {
        struct sim *s = j->sim;
        TAILQ_REMOVE(j->running ? &s->running : &s->queued, j, entry);
        sim_disarm(s, &j->step);
        sim_disarm(s, &j->limit);
        if (j->running && !j->late)
                s->n_busy--;
        j->ops->done(j->running ? j->result : -ECANCELED, j->arg);
        free(j);
}

static void on_job_end(void *userdata) {
        struct sim_job *j = userdata;
        struct sim *s = j->sim;
        end_job(j);
        start_jobs(s);
}

static void on_job_late(void *userdata) {
        struct sim_job *j = userdata;
        struct sim *s = j->sim;
        j->late = true;
        s->n_busy--;
        j->ops->late(j->arg);
        start_jobs(s);
}

static void on_job_begin(void *userdata) {
        struct sim_job *j = userdata;
        struct sim *s = j->sim;
        s->job_cost_usec = 0;
        j->result = j->ops->run(j->arg);
        uint64_t cost = s->job_cost_usec;
        j->step.callback = on_job_end;
        sim_arm(s, &j->step, s->now_usec + cost);
        if (j->deadline_usec > 0 && cost > j->deadline_usec && j->ops->late)
                sim_arm(s, &j->limit, s->now_usec + j->deadline_usec);
}

/* As many as there are threads; a late one has been replaced. */
static void start_jobs(struct sim *s) {
        struct sim_job *j;
        while (s->n_busy < SIM_WORKERS && (j = TAILQ_FIRST(&s->queued))) {
                TAILQ_REMOVE(&s->queued, j, entry);
                TAILQ_INSERT_TAIL(&s->running, j, entry);
                j->running = true;
                s->n_busy++;
                sim_arm(s, &j->step, s->now_usec);
        }
}

int sim_submit(void *context, const struct job_ops *ops, void *arg, uint64_t deadline_usec) {
        struct sim *s = context;
        if (s->stopping || s->dead)
                return -ESHUTDOWN;
        int r = sim_operation(s);
        if (r < 0)
                return r;
        struct sim_job *j = malloc(sizeof(*j));
        if (!j)
                return -ENOMEM;
        *j = (struct sim_job) { .sim = s, .ops = ops, .arg = arg, .deadline_usec = deadline_usec };
        j->step = (struct sim_event) { .callback = on_job_begin, .userdata = j };
        j->limit = (struct sim_event) { .callback = on_job_late, .userdata = j };
        TAILQ_INSERT_TAIL(&s->queued, j, entry);
        start_jobs(s);
        return 0;
}

bool sim_stop_jobs(void *context, uint64_t wait_usec) {
        struct sim *s = context;
        struct sim_job *j;
        s->stopping = true;
        while ((j = TAILQ_FIRST(&s->running)) || (j = TAILQ_FIRST(&s->queued))) {
                /* Given a thread, and not begun: like one in the queue. */
                if (j->running && j->step.callback == on_job_begin)
                        j->result = -ECANCELED;
                end_job(j);
        }
        return true;
}
