/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The manager that runs on the simulation: started, stopped, killed, and failed by an operation of its own. */
#include "sim/simulation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim-internal.h"

#define STOP_LIMIT_USEC USEC_PER_MINUTE

int sim_set_config(struct sim *s, const char *name, const char *text, size_t size) {
        _cleanup_free_ char *name_copy = strdup(name), *copy = malloc(size + 1);
        if (!name_copy || !copy)
                return -ENOMEM;
        memcpy(copy, text, size);
        copy[size] = 0;
        free(s->config_name);
        free(s->config_text);
        s->config_name = TAKE_PTR(name_copy);
        s->config_text = TAKE_PTR(copy);
        s->config_size = size;
        if (s->manager)
                s->manager->options.config_file = s->config_name;
        return 0;
}

int sim_start_manager(struct sim *s, const char *runtime_dir) {
        _cleanup_free_ char *dir = runtime_dir ? strdup(runtime_dir) : NULL;
        if (s->manager)
                return -EALREADY;
        if (!s->config_text || (runtime_dir && !dir))
                return s->config_text ? -ENOMEM : -EINVAL;
        free(s->runtime_dir);
        s->runtime_dir = TAKE_PTR(dir);
        s->left = s->dead = s->stopping = false;
        s->screened_usec = 0;
        const struct manager_options options = { .config_file = s->config_name, .runtime_dir = s->runtime_dir };
        int r = manager_new(&options, &s->env, &s->manager);
        return r < 0 ? r : manager_start(s->manager);
}

/* All that waits comes back with a failure, for the sake of what it holds; nothing that it then wants is done. */
void sim_kill_manager(struct sim *s) {
        if (!s->manager)
                return;
        s->dead = true;
        (void) sim_stop_jobs(s, 0);
        sim_finish_answers(s);
        s->after_each = NULL;
        s->manager = manager_free(s->manager);
}

void sim_die_at(struct sim *s, uint64_t n) {
        s->n_operations = 0;
        s->die_at = n;
}

void sim_fail_at(struct sim *s, uint64_t n, int error) {
        s->n_operations = 0;
        s->fail_at = n;
        s->fail_with = error;
}

void sim_call_after(struct sim *s, uint64_t n, void (*callback)(void *userdata), void *userdata) {
        s->n_operations = 0;
        s->call_after = n;
        s->called = callback;
        s->called_userdata = userdata;
}

uint64_t sim_n_operations(const struct sim *s) {
        return s->n_operations;
}

int sim_operation(struct sim *s) {
        if (s->dead || !s->manager)
                return s->dead ? -ECANCELED : 0;
        s->n_operations++;
        if (s->n_operations == s->fail_at)
                return s->fail_with;
        if (s->n_operations != s->die_at)
                return 0;
        s->dead = true;
        /* What it writes from here on, until it returns to the loop and is taken away, is not written. */
        s->manager->options.runtime_dir = NULL;
        free(s->manager->record->path);
        s->manager->record->path = NULL;
        return -ECANCELED;
}

int sim_stop_manager(struct sim *s) {
        uint64_t until = s->now_usec + STOP_LIMIT_USEC;
        manager_begin_exit(s->manager, EXIT_SUCCESS);
        while (!s->left && !s->dead && s->now_usec < until)
                sim_run(s, 10 * USEC_PER_MSEC);
        int r = s->left ? s->exit_status : -ETIME;
        sim_kill_manager(s);
        return r;
}
