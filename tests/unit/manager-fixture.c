/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running the manager of manager-fixture.h: its time, timers and jobs, the peer on its bus, and starting and ending it. */
#include "manager-fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "report/journal.h"

struct manager_fixture fx;

static uint64_t fx_now(void *context) {
        return fx.now;
}

static unsigned fx_week_minute(void *context) {
        return 0;
}

static int fx_timer_new(void *context, uint64_t slack_usec, env_callback callback, void *userdata, struct env_timer **ret) {
        for (size_t i = 0; i < TIMERS_MAX; i++)
                if (!fx.timers[i].used) {
                        fx.timers[i] = (struct env_timer) { .used = true, .callback = callback, .userdata = userdata };
                        *ret = &fx.timers[i];
                        return 0;
                }
        return -ENOMEM;
}

static int fx_timer_set(struct env_timer *t, uint64_t at_usec) {
        t->armed = true;
        t->at_usec = at_usec;
        return 0;
}

static struct env_timer *fx_timer_free(struct env_timer *t) {
        if (t)
                *t = (struct env_timer) { 0 };
        return NULL;
}

static int fx_after_each(void *context, env_callback callback, void *userdata) {
        fx.each.callback = callback;
        fx.each.userdata = userdata;
        return 0;
}

static int fx_leave(void *context, int status) {
        fx.n_left++;
        return 0;
}

static void fx_notify(void *context, const char *state) {
}

static int fx_submit(void *context, const struct job_ops *ops, void *arg, uint64_t deadline_usec) {
        assert_true(fx.n_jobs < JOBS_MAX);
        if (fx.full && !ops->vital)
                return -EAGAIN;
        fx.jobs[fx.n_jobs].ops = ops;
        fx.jobs[fx.n_jobs].hangs = false;
        fx.jobs[fx.n_jobs].deadline_usec = deadline_usec;
        fx.jobs[fx.n_jobs].late_usec = deadline_usec > 0 ? fx.now + deadline_usec : 0;
        fx.jobs[fx.n_jobs++].arg = arg;
        return 0;
}

static bool fx_stop_jobs(void *context, uint64_t wait_usec) {
        for (unsigned i = 0; i < fx.n_jobs; i++)
                fx.jobs[i].ops->done(-ECANCELED, fx.jobs[i].arg);
        fx.n_jobs = 0;
        return true;
}

static struct environment_ops fx_ops = {
        /* fx_machine_ops() puts in the rest */
        .now = fx_now,
        .week_minute = fx_week_minute,
        .timer_new = fx_timer_new,
        .timer_set = fx_timer_set,
        .timer_free = fx_timer_free,
        .after_each = fx_after_each,
        .leave = fx_leave,
        .notify = fx_notify,
        .submit = fx_submit,
        .stop_jobs = fx_stop_jobs,
};

/* Does every thread hang, none of them for long enough to have been replaced? */
static bool fx_is_full(void) {
        unsigned n = 0;
        for (unsigned i = 0; i < fx.n_jobs; i++)
                n += fx.jobs[i].hangs && fx.jobs[i].late_usec > 0;
        return fx.n_threads > 0 && fx.stuck_pid > 0 && n >= fx.n_threads;
}

bool fx_run_job(void) {
        for (unsigned i = 0; i < fx.n_jobs; i++) {
                if (fx.jobs[i].hangs && (fx.stuck_pid > 0 || fx.moved_pid > 0))
                        continue;
                if (fx_is_full())
                        return false;
                const struct job_ops *ops = fx.jobs[i].ops;
                void *arg = fx.jobs[i].arg;
                int result = ops->run(arg);
                if (result == -EINPROGRESS) {
                        fx.jobs[i].hangs = true;
                        if (fx.jobs[i].deadline_usec > 0) /* counts from when it begins */
                                fx.jobs[i].late_usec = fx.now + fx.jobs[i].deadline_usec;
                        continue;
                }
                memmove(fx.jobs + i, fx.jobs + i + 1, (--fx.n_jobs - i) * sizeof(fx.jobs[0]));
                ops->done(result, arg);
                return true;
        }
        return false;
}

void fx_settle(void) {
        for (bool busy = true; busy;) {
                busy = false;
                for (unsigned i = 0; i < fx.n_jobs; i++)
                        if ((fx.hangs || fx.jobs[i].hangs) && fx.jobs[i].late_usec > 0 && fx.now >= fx.jobs[i].late_usec) {
                                fx.jobs[i].late_usec = 0;
                                if (fx.jobs[i].ops->late)
                                        fx.jobs[i].ops->late(fx.jobs[i].arg);
                        }
                busy = (!fx.hangs && fx_run_job()) || busy;
                for (size_t i = 0; i < TIMERS_MAX; i++)
                        if (fx.timers[i].armed && fx.timers[i].at_usec <= fx.now) {
                                fx.timers[i].armed = false;
                                fx.timers[i].callback(fx.timers[i].userdata);
                                busy = true;
                        }
                /* The peer's answers come back by its own callbacks. */
                while (sd_bus_process(fx.env.bus, NULL) > 0 || sd_bus_process(fx.client, NULL) > 0)
                        busy = true;
        }
}

void fx_pass(uint64_t usec) {
        uint64_t end = fx.now + usec;
        fx_settle();
        while (fx.now < end) {
                uint64_t next = end;
                for (size_t i = 0; i < TIMERS_MAX; i++)
                        if (fx.timers[i].armed && fx.timers[i].at_usec < next)
                                next = MAX2(fx.timers[i].at_usec, fx.now + 1);
                for (unsigned i = 0; i < fx.n_jobs; i++)
                        if (fx.jobs[i].hangs && fx.jobs[i].late_usec > fx.now && fx.jobs[i].late_usec < next)
                                next = fx.jobs[i].late_usec;
                fx.now = next;
                fx_settle();
        }
}

int fx_try_manager(void) {
        fx.options.runtime_dir = fx.directory;
        int r = manager_new(&fx.options, &fx.env, &fx.manager);
        return r < 0 ? r : manager_start(fx.manager);
}

void fx_start_manager(void) {
        assert_int_equal(fx_try_manager(), 0);
}

void fx_make_record(void) {
        static const struct target t = { .cgroup = "/system.slice/managed.service",
                                         .unit = "managed.service",
                                         .owner = OWNER_SYSTEMD };
        _cleanup_free_ char *path = format_string("%s/record.json", fx.directory);
        struct cpuset_change c = { .change_mems = true, .value.mems_set = true };
        struct cpuset_state now;
        struct record *r;
        node_set_add(&c.value.mems, 0);
        assert_int_equal(record_open(path, &r), 0);
        assert_int_equal(fx_get_cpuset(NULL, &t, &now), 0);
        assert_int_equal(record_before_change(r, &t, &now, &c), 0);
        record_free(r);
}

void fx_connect(void) {
        int fds[2];
        sd_id128_t id;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
        assert_true(sd_id128_randomize(&id) >= 0);
        assert_true(sd_bus_new(&fx.env.bus) >= 0);
        assert_true(sd_bus_set_fd(fx.env.bus, fds[0], fds[0]) >= 0);
        assert_true(sd_bus_set_server(fx.env.bus, true, id) >= 0);
        assert_true(sd_bus_start(fx.env.bus) >= 0);
        assert_true(sd_bus_new(&fx.client) >= 0);
        assert_true(sd_bus_set_fd(fx.client, fds[1], fds[1]) >= 0);
        assert_true(sd_bus_start(fx.client) >= 0);
}

void fx_stop_manager(void) {
        fx.manager = manager_free(fx.manager);
        fx.client = sd_bus_close_unref(fx.client);
        fx.env.bus = sd_bus_close_unref(fx.env.bus);
}

void fx_restart(void) {
        fx_stop_manager();
        fx_connect();
        fx_start_manager();
}

int fx_setup(void **state) {
        memset(&fx, 0, sizeof(fx));
        (void) snprintf(fx.directory, sizeof(fx.directory), "/tmp/numabalanced-test-XXXXXX");
        assert_non_null(mkdtemp(fx.directory));
        log_open(LOG_TARGET_CONSOLE, LOG_CRIT);
        fx.host = (struct host) {
                .root_fd = -EBADF,
                .live = true,
                .has_cpuset = true,
                .has_memory_controller = true,
                .has_systemd = true,
                .page_bytes = 4096,
                .ticks_per_sec = 100,
        };
        fx_machine_ops(&fx_ops);
        fx.env = (struct environment) { .ops = &fx_ops, .host = &fx.host, .act = { .ops = &fx_act_ops } };
        fx.now = 100 * USEC_PER_SEC;
        fx.interval_usec = 10 * USEC_PER_SEC;
        fx_connect();
        return 0;
}

int fx_teardown(void **state) {
        static const char *const names[] = { "lock", "record.json", "hold.json", "hold.json.bad" };
        fx_stop_manager();
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                _cleanup_free_ char *path = format_string("%s/%s", fx.directory, names[i]);
                (void) unlink(path);
        }
        return rmdir(fx.directory);
}
