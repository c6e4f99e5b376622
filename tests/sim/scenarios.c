/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbered scenarios: the real core and the real manager on a simulated machine in virtual time. Each asserts convergence (where it
 * should come to rest, and at what cost) and refusal (what must not be done). A failure names its scenario and seed, and
 *     scenarios NUMBER SEED
 * replays it with all that was said. Without arguments all run, each with some seeds; `scenarios --list` names them. */
#include "scenario.h"

#include <dirent.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "report/journal.h"
#include "report/message-ids.h"

#define SEEDS_DEFAULT (SANITIZED ? 1u : 3u)

static void no_memory(void) {
        (void) fprintf(stderr, "out of memory\n");
        abort();
}

static void *need(void *p) {
        if (!p)
                no_memory();
        return p;
}

uint64_t dice(struct run *r, uint64_t limit) {
        return sim_random(&r->seed) % limit;
}

void expect(struct run *r, bool holds, const char *format, ...) {
        va_list args;
        if (holds)
                return;
        struct strbuf b = { 0 };
        strbuf_printf(&b, "after %.1f min: ", (double) sim_elapsed(r->sim) / USEC_PER_MINUTE);
        va_start(args, format);
        strbuf_vprintf(&b, format, args);
        va_end(args);
        char *text = need(strbuf_steal(&b));
        if (r->verbose)
                (void) printf("BROKEN %s\n", text);
        if (r->failure)
                free(text);
        else
                r->failure = text;
}

/* What the manager says. */
static void on_said(int priority, const char *message, char *const *fields, size_t n_fields, void *userdata) {
        struct run *r = userdata;
        const char *id = "";
        for (size_t i = 0; i < n_fields; i++) {
                if (strncmp(fields[i], "MESSAGE_ID=", 11) == 0)
                        id = fields[i] + 11;
        }
        r->n_decisions += strcmp(id, MESSAGE_ID_DECISION) == 0 || strcmp(id, MESSAGE_ID_WIDENED_PRESSURE) == 0;
        r->n_moved += strcmp(id, MESSAGE_ID_MOVED) == 0;
        r->n_given_up += strcmp(id, MESSAGE_ID_MOVE_FAILED) == 0;
        r->n_blocked += strcmp(id, MESSAGE_ID_BLOCKED) == 0;
        r->n_stuck += strcmp(id, MESSAGE_ID_PROCESS_STUCK) == 0;
        r->n_restored += strcmp(id, MESSAGE_ID_RESTORED) == 0;
        r->n_restore_failed += strcmp(id, MESSAGE_ID_RESTORE_FAILED) == 0;
        r->n_heard += r->listen && strstr(message, r->listen);
        r->n_warnings += priority <= LOG_WARNING;
        for (const char *c = message; *c; c++)
                r->digest = (r->digest ^ (unsigned char) *c) * UINT64_C(0x100000001b3);
        r->digest ^= r->sim ? sim_elapsed(r->sim) : 0;
        if (r->verbose)
                (void) printf("%10.3f s  %s\n", r->sim ? (double) sim_elapsed(r->sim) / USEC_PER_SEC : 0.0, message);
}

void machine_of(struct run *r, struct topology *t) {
        const char *why = "";
        if (topology_validate(need(t), &why) < 0) {
                (void) fprintf(stderr, "the scenario's topology is none: %s\n", why);
                abort();
        }
        if (sim_new(t, &r->settings, &r->sim) < 0)
                no_memory();
}

void machine(struct run *r, unsigned n_nodes, unsigned n_cpus, uint64_t bytes) {
        struct topology *t = need(topology_new(n_nodes, n_nodes * n_cpus));
        for (unsigned n = 0; n < n_nodes; n++) {
                t->nodes[n] =
                        (struct topology_node) { .present = true, .bytes_total = bytes, .n_cores = n_cpus, .n_cpus = n_cpus };
                for (unsigned cpu = n * n_cpus; cpu < (n + 1) * n_cpus; cpu++) {
                        cpu_mask_add(&t->nodes[n].cpus, cpu);
                        t->node_of_cpu[cpu] = (int16_t) n;
                }
        }
        machine_of(r, t);
}

void on_disk(struct run *r) {
        /* As /run is: nothing there waits for a disk. */
        const char *dir = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
        r->runtime_dir = need(format_string("%s/numabalanced-sim-XXXXXX", dir && *dir ? dir : "/tmp"));
        if (!mkdtemp(r->runtime_dir)) {
                perror(r->runtime_dir);
                abort();
        }
}

static void remove_dir(const char *path) {
        DIR *d = opendir(path);
        if (!d)
                return;
        struct dirent *e;
        while ((e = readdir(d)))
                if (e->d_name[0] != '.')
                        (void) unlinkat(dirfd(d), e->d_name, 0);
        (void) closedir(d);
        (void) rmdir(path);
}

void rules(struct run *r, const char *text) {
        if (sim_set_config(r->sim, "rules", text, strlen(text)) < 0)
                no_memory();
        int k = sim_manager(r->sim) ? manager_reload(sim_manager(r->sim), NULL) : sim_start_manager(r->sim, r->runtime_dir);
        expect(r, k >= 0, "the manager does not take its rules: %s", strerror(-k));
        if (r->record_lines && sim_manager(r->sim))
                sim_manager(r->sim)->record->few = 0;
}

struct sim_spec spec(const char *unit, double cpus, uint64_t bytes) {
        struct sim_spec p;
        sim_spec_init(&p);
        p.unit = unit;
        p.cpus = cpus;
        p.bytes = bytes;
        return p;
}

struct sim_service *add(struct run *r, const struct sim_spec *p) {
        struct sim_service *v = NULL;
        int k = sim_add(r->sim, p, &v);
        if (k < 0) {
                (void) fprintf(stderr, "cannot add %s: %s\n", p->unit, strerror(-k));
                abort();
        }
        return v;
}

struct sim_service *service(struct run *r, const char *unit, double cpus, uint64_t bytes, unsigned node) {
        struct sim_spec p = spec(unit, cpus, bytes);
        p.start = node_set_of(node);
        return add(r, &p);
}

struct sim_service *scattered(struct run *r, const char *unit, uint64_t bytes) {
        struct sim_spec p = spec(unit, 2, bytes);
        p.start = topology_nodes(sim_topology(r->sim));
        return add(r, &p);
}

void pass(struct run *r, uint64_t usec) {
        sim_run(r->sim, usec);
}

struct node_set cpu_nodes(const struct run *r, const struct sim_service *v) {
        struct node_set s = { 0 };
        for (unsigned n = 0; n < sim_topology(r->sim)->n_ids; n++)
                if (v->allowed_cpus[n] > 0)
                        node_set_add(&s, n);
        return s;
}

void expect_local(struct run *r, const struct sim_service *v, double at_least) {
        double local = sim_locality(r->sim, v);
        expect(r, local >= at_least, "%s: locality %.3f, at least %.3f was expected", v->unit, local, at_least);
}

void expect_home_count(struct run *r, const struct sim_service *v, unsigned n) {
        struct node_set nodes = cpu_nodes(r, v);
        expect(r, node_set_count(&nodes) == n, "%s: may run on %u nodes, %u were expected", v->unit, node_set_count(&nodes), n);
}

void expect_good_manners(struct run *r) {
        struct sim_totals t = sim_totals(r->sim);
        expect(r, t.past_keep_free_bytes == 0, "a move went %" PRIu64 " KiB past keep-free",
               (uint64_t) (t.past_keep_free_bytes / KIB));
        expect(r, t.forced_bytes <= MIB, "the kernel had to move %" PRIu64 " MiB when a cpuset was narrowed",
               (uint64_t) (t.forced_bytes / MIB));
        expect(r, t.n_returns == 0, "%u services went back to a home that they had just left", t.n_returns);
        expect(r, t.n_hasty == 0, "%u changes of home came within the cooldown", t.n_hasty);
        expect(r, t.unplaced_bytes == 0, "%" PRIu64 " MiB could not be had", (uint64_t) (t.unplaced_bytes / MIB));
}

void expect_moved_at_most(struct run *r, double factor) {
        struct sim_totals t = sim_totals(r->sim);
        expect(r, (double) t.moved_bytes <= factor * (double) t.least_bytes,
               "%" PRIu64 " MiB were moved, the least is %" PRIu64 " MiB", (uint64_t) (t.moved_bytes / MIB),
               (uint64_t) (t.least_bytes / MIB));
}

/* The runner */

struct json_object *last_effort(const struct run *r, const struct sim_service *v, const char **ret_reason) {
        struct json_object *events = events_list(sim_manager(r->sim)->events, v->unit), *effort = NULL, *found = NULL, *reason;
        if (!events)
                abort();
        for (size_t i = 0; i < json_object_array_length(events); i++) {
                struct json_object *e = json_object_array_get_idx(events, i);
                if (!json_object_object_get_ex(e, "effort", &effort) || !effort)
                        continue;
                found = effort;
                if (ret_reason && json_object_object_get_ex(e, "reason", &reason))
                        *ret_reason = json_object_get_string(reason);
        }
        (void) json_object_get(found);
        json_object_put(events); /* its texts live on in the manager's */
        return found;
}

int64_t held_usec(const struct run *r, const struct sim_service *v, enum hold_cause cause) {
        struct json_object *effort = last_effort(r, v, NULL), *by, *usec;
        int64_t held = 0;
        if (effort && json_object_object_get_ex(effort, "held_by", &by) &&
            json_object_object_get_ex(by, hold_cause_to_string(cause), &usec))
                held = json_object_get_int64(usec);
        json_object_put(effort);
        return held;
}

static uint64_t run_one(const struct scenario *s, uint64_t seed, bool verbose, char **ret_failure) {
        struct run r = { .seed = seed * UINT64_C(0x9e3779b97f4a7c15) + s->number, .verbose = verbose };
        sim_settings_init(&r.settings);
        r.settings.seed = seed;
        log_divert(on_said, &r);
        s->run(&r);
        r.sim = sim_free(r.sim);
        log_divert(NULL, NULL);
        if (r.runtime_dir)
                remove_dir(r.runtime_dir);
        free(r.runtime_dir);
        *ret_failure = r.failure;
        return r.digest;
}

static const struct scenario *const tables[] = { scenarios_place,   scenarios_trouble, scenarios_refused, scenarios_administrator,
                                                 scenarios_waiting, scenarios_life,    scenarios_rules,   scenarios_told,
                                                 scenarios_events,  scenarios_kernel,  scenarios_pace,    scenarios_pressure,
                                                 scenarios_rest,    scenarios_hung,    scenarios_killed,  scenarios_long };

static const struct scenario *find(unsigned number) {
        for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
                for (const struct scenario *s = tables[i]; s->run; s++)
                        if (s->number == number)
                                return s;
        return NULL;
}

static double seconds(void) {
        struct timespec ts;
        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}

/* What is asked for by its number must be the one that failed. */
static bool is_only_one(const struct scenario *s) {
        if (find(s->number) == s)
                return true;
        (void) printf("FAIL s%02u %s: another has this number\n", s->number, s->name);
        return false;
}

/* The first seed runs twice: the same must come out. Of what is long it is the only one, once. */
static bool run_seeds(const struct scenario *s, bool is_long) {
        double began = seconds();
        uint64_t first = 0;
        unsigned n = is_long ? 1 : SEEDS_DEFAULT;
        for (unsigned i = 0; i <= n; i++) {
                char *failure = NULL;
                uint64_t seed = i == n ? 1 : i + 1, digest = 0;
                if (i < n || !is_long)
                        digest = run_one(s, seed, false, &failure);
                if (i == 0)
                        first = digest;
                if (!failure && i == n && !is_long && digest != first)
                        failure = need(strdup("the same seed took another course"));
                if (failure) {
                        (void) printf("FAIL s%02u %s, seed %" PRIu64 ": %s\n     replay: scenarios %u %" PRIu64 "\n", s->number,
                                      s->name, seed, failure, s->number, seed);
                        free(failure);
                        return false;
                }
        }
        (void) printf("ok   s%02u %-24s %6.2f s  %s\n", s->number, s->name, seconds() - began, s->what);
        return true;
}

static int replay(const char *number_text, const char *seed_text) {
        unsigned number;
        uint64_t seed = 1;
        char *failure = NULL;
        const struct scenario *s;
        if (parse_uint(number_text + (*number_text == 's'), &number) < 0 || !(s = find(number)) ||
            (seed_text && parse_u64(seed_text, &seed) < 0)) {
                (void) fprintf(stderr, "usage: scenarios [--list | NUMBER [SEED]]\n");
                return 2;
        }
        (void) run_one(s, seed, true, &failure);
        (void) printf("%s s%02u %s\n", failure ? "FAIL" : "ok  ", s->number, failure ? failure : s->name);
        bool failed = failure;
        free(failure);
        return failed;
}

int main(int argc, char **argv) {
        bool list = argc > 1 && strcmp(argv[1], "--list") == 0, failed = false;
        (void) setvbuf(stdout, NULL, _IOLBF, 0);
        if (argc > 1 && !list)
                return replay(argv[1], argc > 2 ? argv[2] : NULL);
        for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
                /* What goes on for long, or is done again for each of its operations: one seed, once. */
                bool is_long = tables[i] == scenarios_long || tables[i] == scenarios_killed;
                for (const struct scenario *s = tables[i]; s->run; s++)
                        if (list)
                                (void) printf("s%02u %-24s %s\n", s->number, s->name, s->what);
                        else
                                failed |= !is_only_one(s) || !run_seeds(s, is_long);
        }
        return failed;
}
