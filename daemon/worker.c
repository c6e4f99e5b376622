/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs wait in a queue, run on a thread, and come back over an eventfd. A timer on the loop looks after deadlines while any job
 * runs. Everything but `run` happens on the event loop. */
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "core/util.h"

/* How often deadlines are looked at while jobs run. */
#define DEADLINE_CHECK_USEC (250 * USEC_PER_MSEC)

struct job {
        TAILQ_ENTRY(job) entry;
        const struct job_ops *ops;
        void *arg;
        uint64_t deadline_usec, begun_usec; /* begun: 0 while queued */
        bool late;
        int result;
};
TAILQ_HEAD(job_list, job);

struct worker_pool {
        sd_event *event;
        sd_event_source *completion_source, *deadline_source;
        int completion_fd;
        unsigned n_threads_wanted, max_late;

        pthread_mutex_t lock; /* protects everything below */
        pthread_cond_t wake;
        struct job_list queued, running, finished;
        unsigned n_threads, n_idle, n_late, n_queued;
        bool stopping, abandoned;
};

static uint64_t now_monotonic_usec(void) {
        struct timespec ts;
        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

static void signal_completion(struct worker_pool *p) {
        uint64_t one = 1;
        /* The counter can only overflow after 2^64-1 completions; EINTR cannot happen, signals are blocked here. */
        ssize_t n = write(p->completion_fd, &one, sizeof(one));
        (void) n;
}

/* As many as there may be, and as are there beside a vital job's, are late. */
static bool is_stuck(const struct worker_pool *p) {
        return p->n_late >= p->n_threads_wanted + p->max_late;
}

/* Who would hang as those before it did does not begin: the thread that is left is for what is vital. */
static struct job *next_job(const struct worker_pool *p) {
        struct job *job = TAILQ_FIRST(&p->queued);
        return job && !job->ops->vital && is_stuck(p) ? NULL : job;
}

/* What is vital stands first, and has a thread more, however long those that are busy take. */
static bool is_vital_queued(const struct worker_pool *p) {
        const struct job *first = TAILQ_FIRST(&p->queued);
        return first && first->ops->vital;
}

static void *worker_main(void *userdata) {
        struct worker_pool *p = userdata;

        pthread_mutex_lock(&p->lock);
        while (!p->stopping) {
                /* A thread that outlived its late job may be one too many: the replacement stays, this one goes. */
                if (p->n_threads > p->n_threads_wanted + p->n_late + is_vital_queued(p))
                        break;
                struct job *job = next_job(p);
                if (!job) {
                        p->n_idle++;
                        pthread_cond_wait(&p->wake, &p->lock);
                        p->n_idle--;
                        continue;
                }
                TAILQ_REMOVE(&p->queued, job, entry);
                p->n_queued--;
                TAILQ_INSERT_TAIL(&p->running, job, entry);
                job->begun_usec = now_monotonic_usec();
                pthread_mutex_unlock(&p->lock);

                int result = job->ops->run(job->arg);

                pthread_mutex_lock(&p->lock);
                if (p->abandoned) /* the pool's owner is gone: touch nothing more, the process is exiting */
                        break;
                job->result = result;
                TAILQ_REMOVE(&p->running, job, entry);
                TAILQ_INSERT_TAIL(&p->finished, job, entry);
                if (job->late)
                        p->n_late--;
                signal_completion(p);
        }
        p->n_threads--;
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
        return NULL;
}

/* Called with the lock held. */
static int start_thread(struct worker_pool *p) {
        pthread_attr_t attr;
        int r = pthread_attr_init(&attr);
        if (r != 0)
                return -r;
        (void) pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        (void) pthread_attr_setstacksize(&attr, 256 * KIB);

        /* Signals belong to the event loop's signalfd. */
        sigset_t all, old;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        pthread_t thread;
        r = pthread_create(&thread, &attr, worker_main, p);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        pthread_attr_destroy(&attr);
        if (r != 0)
                return -r;
        p->n_threads++;
        return 0;
}

static unsigned thread_limit(const struct worker_pool *p) {
        return p->n_threads_wanted + MIN2(p->n_late, p->max_late) + is_vital_queued(p);
}

static void finish_jobs(struct worker_pool *p) {
        for (;;) {
                pthread_mutex_lock(&p->lock);
                struct job *job = TAILQ_FIRST(&p->finished);
                if (job)
                        TAILQ_REMOVE(&p->finished, job, entry);
                pthread_mutex_unlock(&p->lock);
                if (!job)
                        return;
                job->ops->done(job->result, job->arg);
                free(job);
        }
}

static int on_completion(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        uint64_t count;
        ssize_t n = read(fd, &count, sizeof(count));
        (void) n; /* only a wake-up; what is finished stands in the list */
        finish_jobs(userdata);
        return 0;
}

/* Nobody comes to what is queued: it is not to wait for that without a word. Called with the lock held. */
static void drop_queue(struct worker_pool *p) {
        struct job *job, *next;
        if (!is_stuck(p))
                return;
        for (job = TAILQ_FIRST(&p->queued); job; job = next) {
                next = TAILQ_NEXT(job, entry);
                if (job->ops->vital)
                        continue;
                TAILQ_REMOVE(&p->queued, job, entry);
                p->n_queued--;
                job->result = -EBUSY;
                TAILQ_INSERT_TAIL(&p->finished, job, entry);
        }
        signal_completion(p);
}

static int on_deadline_check(sd_event_source *source, uint64_t usec, void *userdata) {
        struct worker_pool *p = userdata;
        uint64_t now = now_monotonic_usec();
        bool busy;

        /* late() may submit jobs, so it is called without the lock: one job per round. */
        for (;;) {
                struct job *job, *found = NULL;
                pthread_mutex_lock(&p->lock);
                TAILQ_FOREACH(job, &p->running, entry)
                if (!job->late && job->deadline_usec > 0 && now > job->begun_usec + job->deadline_usec) {
                        found = job;
                        break;
                }
                if (found) {
                        found->late = true;
                        p->n_late++;
                        if (p->n_queued > p->n_idle && p->n_threads < thread_limit(p))
                                (void) start_thread(p); /* a failure leaves the queue to the other threads */
                } else
                        drop_queue(p);
                busy = !TAILQ_EMPTY(&p->running) || !TAILQ_EMPTY(&p->queued);
                pthread_mutex_unlock(&p->lock);
                if (!found)
                        break;
                /* `found` may finish meanwhile but is freed only on this loop, so its fields are safe to read. */
                if (found->ops->late)
                        found->ops->late(found->arg);
        }
        if (!busy)
                return sd_event_source_set_enabled(source, SD_EVENT_OFF);
        int r = sd_event_source_set_time_relative(source, DEADLINE_CHECK_USEC);
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int worker_pool_new(sd_event *event, unsigned n_threads, unsigned max_late, struct worker_pool **ret) {
        struct worker_pool *p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        TAILQ_INIT(&p->queued);
        TAILQ_INIT(&p->running);
        TAILQ_INIT(&p->finished);
        pthread_mutex_init(&p->lock, NULL);
        pthread_cond_init(&p->wake, NULL);
        p->event = sd_event_ref(event);
        p->n_threads_wanted = n_threads;
        p->max_late = max_late;
        p->completion_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        int r = p->completion_fd < 0 ? -errno : 0;
        if (r >= 0)
                r = sd_event_add_io(event, &p->completion_source, p->completion_fd, EPOLLIN, on_completion, p);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &p->deadline_source, CLOCK_MONOTONIC, DEADLINE_CHECK_USEC, 0,
                                               on_deadline_check, p);
        if (r >= 0)
                r = sd_event_source_set_enabled(p->deadline_source, SD_EVENT_OFF);
        if (r < 0) {
                worker_pool_free(p, 0);
                return r;
        }
        *ret = p;
        return 0;
}

/* Waits for all threads to end; true when none is left. */
static bool wait_for_threads(struct worker_pool *p, uint64_t wait_usec) {
        struct timespec until;
        (void) clock_gettime(CLOCK_REALTIME, &until);
        uint64_t nsec = (uint64_t) until.tv_nsec + (wait_usec % USEC_PER_SEC) * 1000;
        until.tv_sec += (time_t) (wait_usec / USEC_PER_SEC + nsec / 1000000000);
        until.tv_nsec = (long) (nsec % 1000000000);
        while (p->n_threads > 0)
                if (pthread_cond_timedwait(&p->wake, &p->lock, &until) == ETIMEDOUT)
                        break;
        return p->n_threads == 0;
}

bool worker_pool_free(struct worker_pool *p, uint64_t wait_usec) {
        if (!p)
                return true;
        pthread_mutex_lock(&p->lock);
        p->stopping = true;
        struct job *job;
        while ((job = TAILQ_FIRST(&p->queued))) {
                TAILQ_REMOVE(&p->queued, job, entry);
                p->n_queued--;
                job->result = -ECANCELED;
                TAILQ_INSERT_TAIL(&p->finished, job, entry);
        }
        pthread_cond_broadcast(&p->wake);
        bool all_ended = wait_for_threads(p, wait_usec);
        if (!all_ended)
                p->abandoned = true;
        pthread_mutex_unlock(&p->lock);

        finish_jobs(p);
        p->completion_source = sd_event_source_disable_unref(p->completion_source);
        p->deadline_source = sd_event_source_disable_unref(p->deadline_source);
        p->event = sd_event_unref(p->event);
        if (!all_ended)
                return false; /* a stuck thread still refers to the pool and its job: both are left to the exit */
        if (p->completion_fd >= 0)
                close(p->completion_fd);
        pthread_cond_destroy(&p->wake);
        pthread_mutex_destroy(&p->lock);
        free(p);
        return true;
}

int worker_submit(struct worker_pool *p, const struct job_ops *ops, void *arg, uint64_t deadline_usec) {
        struct job *job = malloc(sizeof(*job));
        if (!job)
                return -ENOMEM;
        *job = (struct job) { .ops = ops, .arg = arg, .deadline_usec = deadline_usec };

        int r = 0;
        pthread_mutex_lock(&p->lock);
        if (p->stopping)
                r = -ESHUTDOWN;
        else if (is_stuck(p) && !ops->vital)
                r = -EAGAIN; /* nobody would come to it, and its deadline would not begin */
        else if (p->n_idle <= p->n_queued && p->n_threads < thread_limit(p) + ops->vital) {
                /* An idle thread may have been woken for an earlier job already: count those too. */
                r = start_thread(p);
                if (r < 0 && p->n_threads > p->n_late)
                        r = 0; /* another thread will come to it */
        }
        if (r >= 0) {
                if (ops->vital)
                        TAILQ_INSERT_HEAD(&p->queued, job, entry);
                else
                        TAILQ_INSERT_TAIL(&p->queued, job, entry);
                p->n_queued++;
                pthread_cond_signal(&p->wake);
        }
        pthread_mutex_unlock(&p->lock);
        if (r < 0) {
                free(job);
                return r;
        }
        if (deadline_usec == 0)
                return 0;
        int enabled;
        if (sd_event_source_get_enabled(p->deadline_source, &enabled) >= 0 && enabled != SD_EVENT_OFF)
                return 0;
        /* Where the timer cannot be armed, a late job is noticed when the next is submitted: not worth failing this one for. */
        if (sd_event_source_set_time_relative(p->deadline_source, DEADLINE_CHECK_USEC) >= 0)
                (void) sd_event_source_set_enabled(p->deadline_source, SD_EVENT_ONESHOT);
        return 0;
}

unsigned worker_pool_n_late(const struct worker_pool *p) {
        struct worker_pool *q = (struct worker_pool *) p;
        pthread_mutex_lock(&q->lock);
        unsigned n = q->n_late;
        pthread_mutex_unlock(&q->lock);
        return n;
}
