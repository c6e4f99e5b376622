/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numabalancectl simulate: the daemon itself on a machine that one does not have, in virtual time; needs no daemon and touches nothing. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config-private.h"
#include "list-table.h"
#include "manager.h"
#include "out.h"
#include "report/format.h"
#include "report/journal.h"
#include "report/json.h"
#include "sim/scenario-file.h"
#include "simulate-read.h"

#define EVENTS_KEPT_MAX 100000u

struct simulation {
        const struct options *options;
        struct scenario_file *scenario;
        struct sim *sim;
        struct json_object *events; /* NULL: printed as they come */
        char *runtime_dir;          /* NULL: none is needed */
        bool failed;
};

/* ---- what is said ---- */

static void print_time(uint64_t usec) {
        uint64_t sec = usec / USEC_PER_SEC;
        if (sec >= 24 * 3600)
                (void) printf("%" PRIu64 "d ", sec / (24 * 3600));
        (void) printf("%02u:%02u:%02u  ", (unsigned) (sec / 3600 % 24), (unsigned) (sec / 60 % 60), (unsigned) (sec % 60));
}

static bool is_told(const char *field) {
        return strncmp(field, "CODE_", 5) != 0 && strncmp(field, "SYSLOG_", 7) != 0 && strncmp(field, "MESSAGE=", 8) != 0;
}

static void keep_event(struct simulation *x, uint64_t at_usec, const char *message, char *const *fields, size_t n_fields) {
        if (array_length(x->events) >= EVENTS_KEPT_MAX)
                return; /* the totals say how many there were */
        struct json_object *event = json_object_new_object(), *all = json_object_new_object();
        for (size_t i = 0; all && i < n_fields; i++) {
                const char *equals = strchr(fields[i], '=');
                if (!equals || !is_told(fields[i]))
                        continue;
                _cleanup_free_ char *key = strndup(fields[i], (size_t) (equals - fields[i]));
                if (!key) {
                        json_object_put(all);
                        all = NULL;
                        break;
                }
                json_put_string(&all, key, equals + 1);
        }
        json_put_int(&event, "at_usec", at_usec);
        json_put_string(&event, "message", message);
        json_put(&event, "fields", all);
        if (!event || json_object_array_add(x->events, event) != 0) {
                json_object_put(event);
                x->failed = true;
        }
}

static void on_said(int priority, const char *message, char *const *fields, size_t n_fields, void *userdata) {
        struct simulation *x = userdata;
        if (x->events) {
                keep_event(x, sim_elapsed(x->sim), message, fields, n_fields);
                return;
        }
        print_time(sim_elapsed(x->sim));
        (void) printf("%s%s\n", priority <= LOG_WARNING ? "warning: " : "", message);
}

/* ---- the end ---- */

static struct json_object *totals_json(const struct simulation *x) {
        struct sim_totals t = sim_totals(x->sim);
        size_t n_hours;
        const double *hours = sim_hours(x->sim, &n_hours);
        struct json_object *o = json_object_new_object(), *by_hour = json_object_new_array();
        for (size_t i = 0; by_hour && i < n_hours; i++)
                if (json_object_array_add(by_hour, json_new_number(hours[i], 4)) != 0) {
                        json_object_put(by_hour);
                        by_hour = NULL;
                }
        json_put_int(&o, "simulated_usec", sim_elapsed(x->sim));
        if (t.any_placed)
                json_put_number(&o, "locality", t.locality, 4);
        else
                json_put_null(&o, "locality");
        json_put(&o, "locality_by_hour", by_hour);
        json_put_int(&o, "moved_bytes", t.moved_bytes);
        json_put_int(&o, "least_bytes", t.least_bytes);
        json_put_int(&o, "kernel_moved_bytes", t.kernel_moved_bytes);
        json_put_int(&o, "past_keep_free_bytes", t.past_keep_free_bytes);
        json_put_int(&o, "unplaced_bytes", t.unplaced_bytes);
        json_put_int(&o, "home_changes", t.n_changes);
        json_put_int(&o, "home_returns", t.n_returns);
        json_put_int(&o, "cpuset_writes", t.n_cpuset_writes);
        return o;
}

static void print_totals(const struct simulation *x) {
        struct sim_totals t = sim_totals(x->sim);
        size_t n_hours;
        const double *hours = sim_hours(x->sim, &n_hours);
        if (t.any_placed)
                (void) printf("\nLocality over the whole time  %.3f\n", t.locality);
        else
                (void) printf("\nLocality over the whole time  -, as no rule places anything\n");
        if (t.any_placed && n_hours > 1) {
                (void) printf("  by hour                    ");
                for (size_t i = 0; i < n_hours && i < 24; i++)
                        (void) printf(" %.2f", hours[i]);
                (void) printf("%s\n", n_hours > 24 ? " …" : "");
        }
        (void) printf("Moved                         %s\n", FORMAT_BYTES(t.moved_bytes));
        (void) printf("  misplaced at their start    %s\n", FORMAT_BYTES(t.least_bytes));
        if (t.kernel_moved_bytes > 0)
                (void) printf("  by the kernel's balancing   %s\n", FORMAT_BYTES(t.kernel_moved_bytes));
        (void) printf("Changes of home               %u, %u of them back within 15 minutes\n", t.n_changes, t.n_returns);
        (void) printf("Changes of cpusets            %u\n", t.n_cpuset_writes);
        if (t.past_keep_free_bytes > 0)
                (void) printf("Past keep-free                %s at most\n", FORMAT_BYTES(t.past_keep_free_bytes));
        if (t.unplaced_bytes > 0)
                (void) printf("Not to be had (out of memory) %s\n", FORMAT_BYTES(t.unplaced_bytes));
}

static int print_end(struct simulation *x) {
        struct manager *m = sim_manager(x->sim);
        _cleanup_json_ struct json_object *services = m ? manager_list_json(m) : json_object_new_array();
        if (!services || x->failed)
                return out_error(EXIT_FAILURE, "out of memory");
        if (x->events) {
                _cleanup_json_ struct json_object *all = json_object_new_object();
                json_put(&all, "events", json_object_get(x->events));
                json_put(&all, "services", json_object_get(services));
                json_put(&all, "totals", totals_json(x));
                return all ? out_json(all, x->options) : out_error(EXIT_FAILURE, "out of memory");
        }
        (void) putchar('\n');
        int r = list_table_print(services, x->options);
        if (r != EXIT_SUCCESS)
                return r;
        print_totals(x);
        return out_finish();
}

/* A daemon that is killed and started again finds its record on disk; otherwise it is kept in memory, and nothing is written. */
static int make_runtime_dir(const struct simulation *x, char **ret) {
        const char *temporary = getenv("TMPDIR");
        bool kills = false;
        for (size_t i = 0; i < x->scenario->n_events; i++)
                kills |= x->scenario->events[i].action == ACTION_KILL;
        if (!kills)
                return 0;
        _cleanup_free_ char *path =
                format_string("%s/numabalancectl-simulate-XXXXXX", temporary && *temporary ? temporary : "/tmp");
        if (!path)
                return -ENOMEM;
        if (!mkdtemp(path))
                return -errno;
        *ret = TAKE_PTR(path);
        return 0;
}

static void remove_runtime_dir(const char *path) {
        DIR *d = opendir(path);
        int fd = d ? dirfd(d) : -1;
        for (struct dirent *e; fd >= 0 && (e = readdir(d));)
                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                        (void) unlinkat(fd, e->d_name, 0);
        if (d)
                (void) closedir(d);
        if (rmdir(path) < 0)
                (void) fprintf(stderr, "numabalancectl: cannot remove %s: %s\n", path, strerror(errno));
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
        interrupted = number;
}

/* The simulation ends at the first, and its directory is removed; by a second one, or where it hangs, the program is killed as usual. */
static void heed_interrupts(struct sim *s) {
        static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
        struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = (int) SA_RESETHAND };
        (void) sigemptyset(&action.sa_mask);
        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
                (void) sigaction(numbers[i], &action, NULL); /* cannot fail for these */
        sim_heed(s, &interrupted);
}

static int run_scenario(struct simulation *x, uint64_t until_usec) {
        int r = simulate_load_rules(x->sim, &x->options->simulate, x->scenario);
        if (r != EXIT_SUCCESS)
                return r;
        heed_interrupts(x->sim); /* before there is anything to leave behind */
        int k = make_runtime_dir(x, &x->runtime_dir);
        if (k < 0)
                return out_error(EXIT_FAILURE, "cannot make a directory for the daemon's record: %s", strerror(-k));
        log_divert(on_said, x);
        k = scenario_begin(x->scenario, x->sim);
        if (k >= 0)
                k = sim_start_manager(x->sim, x->runtime_dir);
        if (k < 0)
                return out_error(EXIT_FAILURE, "the simulation cannot begin: %s", strerror(-k));
        sim_run(x->sim, until_usec);
        return interrupted ? EXIT_FAILURE : print_end(x);
}

static int run(char **arguments, const struct options *o) {
        struct simulation x = { .options = o };
        struct topology *t = NULL;
        uint64_t until_usec = 0;
        const char *why;

        if (!o->simulate.scenario)
                return out_error(EXIT_USAGE, "simulate needs --scenario FILE (see --help)");
        if (o->simulate.until &&
            (parse_duration(o->simulate.until, &until_usec, &why) < 0 || until_usec == 0 || until_usec > SCENARIO_SPAN_MAX_USEC))
                return out_error(EXIT_USAGE, "--until takes a duration of at most 366d, such as 1h, not \"%s\" (see --help)",
                                 o->simulate.until);
        int r = simulate_load_topology(o->simulate.topology, &t);
        if (r != EXIT_SUCCESS)
                return r;
        r = simulate_load_scenario(o->simulate.scenario, t, &x.scenario);
        if (r != EXIT_SUCCESS) {
                topology_free(t);
                return r;
        }
        x.events = o->json != JSON_OFF ? json_object_new_array() : NULL;
        if (sim_new(t, &x.scenario->settings, &x.sim) < 0 || (o->json != JSON_OFF && !x.events))
                r = out_error(EXIT_FAILURE, "out of memory");
        else
                r = run_scenario(&x, until_usec > 0 ? until_usec : x.scenario->until_usec);
        log_divert(NULL, NULL);
        sim_free(x.sim);
        if (x.runtime_dir)
                remove_runtime_dir(x.runtime_dir);
        free(x.runtime_dir);
        json_object_put(x.events);
        scenario_free(x.scenario);
        if (interrupted)
                (void) raise(interrupted); /* the handler is gone: whoever waits for us sees what ended us */
        return r;
}

const struct verb verb_simulate = {
        .name = "simulate",
        .arguments = "--scenario FILE",
        .takes_simulate = true,
        .summary = "try rules on a machine that one does not have",
        .help = "Runs the daemon's own planner and manager on a simulated machine in virtual time: --topology (a file of hwloc's "
                "XML or a "
                "synthetic description such as \"node:4(memory=64GB) core:16 pu:1\"; without it this machine's) with the "
                "services of "
                "--scenario, by the scenario's own rules or those of --config, for as long as --until says. Prints decisions as "
                "they fall, the "
                "table of services at the end, and totals. Needs no daemon and touches nothing.",
        .run = run,
};
