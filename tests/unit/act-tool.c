/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What act/ does, one step at a time, on a real machine: for tests/fixtures/act/guest, which runs in the virtual machine.
 *
 *     act-tool move CGROUP PID NODES        moves one process's pages, prints what became of them
 *     act-tool get CGROUP                   prints the cpusets
 *     act-tool set RECORD UNIT CGROUP systemd|cgroupfs CPUS MEMS   records and changes ("-": leave alone), waits until in force
 *     act-tool restore RECORD               gives everything on record back */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "act/cpuset.h"
#include "act/mover.h"
#include "act/record.h"
#include "act/restore.h"
#include "core/topology.h"
#include "core/util.h"
#include "host/proc.h"

static struct host *host;
static sd_event *event;
static sd_bus *bus;
static struct act act;

static int usage(void) {
        (void) fprintf(stderr, "see the head of act-tool.c\n");
        return 2;
}

static int move(const char *cgroup, const char *pid_text, const char *nodes) {
        _cleanup_(topology_freep) struct topology *t = NULL;
        _cleanup_free_ uint64_t *room = NULL;
        struct move_goal goal = { .respect_own_policy = true };
        struct proc_stat stat;
        struct mover *m;
        unsigned pid, slices = 0;
        char path[64];

        int r = parse_uint(pid_text, &pid);
        if (r >= 0)
                r = node_set_parse(nodes, &goal.home);
        if (r >= 0)
                r = topology_load(host, &t);
        if (r < 0)
                return r;
        room = calloc(t->n_ids, sizeof(*room));
        for (unsigned n = 0; n < t->n_ids; n++)
                room[n] = UINT64_MAX / 2;
        goal.room_bytes = room;
        (void) snprintf(path, sizeof(path), "proc/%u/stat", pid);
        r = proc_stat_read(host->root_fd, path, &stat);
        if (r < 0)
                return r;
        struct process_ref p = { (pid_t) pid, stat.start_ticks };
        r = mover_new(&act, host, t, cgroup, &p, 1, &goal, &m);
        if (r < 0)
                return r;
        do {
                r = mover_slice(m, 8 * MIB);
                slices++;
        } while (r > 0);
        const struct move_result *x = mover_result(m);
        printf("result=%d slices=%u moved_pages=%" PRIu64 " huge_moved=%" PRIu64 " asked_pages=%" PRIu64 " failed_shared=%" PRIu64
               " failed_busy=%" PRIu64 " failed_no_memory=%" PRIu64 " failed_gone=%" PRIu64 " failed_other=%" PRIu64
               " skipped_policy_bytes=%" PRIu64 " skipped_room_bytes=%" PRIu64 " n_calls=%" PRIu64 " longest_slice_usec=%" PRIu64
               " vanished=%d\n",
               r, slices, x->moved_pages, x->huge_moved, x->asked_pages, x->failed_shared, x->failed_busy, x->failed_no_memory,
               x->failed_gone, x->failed_other, x->skipped_policy_bytes, x->skipped_room_bytes, x->n_calls, x->longest_slice_usec,
               x->process_vanished);
        mover_free(m);
        return r;
}

static void print_state(const struct cpuset_state *s) {
        _cleanup_free_ char *c = cpu_mask_format(&s->configured.cpus), *m = node_set_format(&s->configured.mems),
                            *ec = cpu_mask_format(&s->effective_cpus), *em = node_set_format(&s->effective_mems),
                            *pc = cpu_mask_format(&s->parent_effective_cpus), *pm = node_set_format(&s->parent_effective_mems);
        printf("cpus=%s mems=%s effective_cpus=%s effective_mems=%s parent_cpus=%s parent_mems=%s\n", c, m, ec, em, pc, pm);
}

static int get(const char *cgroup) {
        struct target t = { .cgroup = cgroup };
        struct cpuset_state s;
        int r = act.ops->get_cpuset(act.context, &t, &s);
        if (r >= 0)
                print_state(&s);
        return r;
}

static void on_waited(int result, const struct cpuset_state *last, void *userdata) {
        if (last)
                print_state(last);
        (void) sd_event_exit(event, -result);
}

struct change {
        struct target target;
        struct cpuset_change change;
};

static void on_set(int result, void *userdata) {
        struct change *c = userdata;
        printf("answer=%d\n", result);
        if (result >= 0)
                result = cpuset_wait(&act, &c->target, &c->change, 5 * USEC_PER_SEC, on_waited, NULL);
        if (result < 0)
                (void) sd_event_exit(event, -result);
}

static int set(char **argv) {
        struct change c = { .target = { .unit = argv[1],
                                        .cgroup = argv[2],
                                        .owner = strcmp(argv[3], "systemd") == 0 ? OWNER_SYSTEMD : OWNER_CGROUPFS } };
        struct cpuset_state now;
        struct record *record;
        int r = 0;
        c.change.change_cpus = strcmp(argv[4], "-") != 0;
        c.change.change_mems = strcmp(argv[5], "-") != 0;
        if (c.change.change_cpus)
                r = cpu_mask_parse(argv[4], &c.change.value.cpus);
        if (r >= 0 && c.change.change_mems)
                r = node_set_parse(argv[5], &c.change.value.mems);
        c.change.value.cpus_set = !cpu_mask_is_empty(&c.change.value.cpus);
        c.change.value.mems_set = !node_set_is_empty(&c.change.value.mems);
        if (r >= 0)
                r = record_open(argv[0], &record);
        if (r < 0)
                return r;
        r = act.ops->get_cpuset(act.context, &c.target, &now);
        if (r >= 0)
                r = record_before_change(record, &c.target, &now, &c.change);
        if (r >= 0)
                r = act.ops->set_cpuset(act.context, &c.target, &c.change, on_set, &c);
        if (r >= 0)
                r = -sd_event_loop(event);
        record_free(record);
        return r;
}

static unsigned n_open;
static int worst;

static void on_restored(const char *cgroup, enum restore_outcome outcome, int error, const char *detail, void *userdata) {
        static const char *const words[] = { "done", "gone", "not-ours", "failed" };
        printf("%s outcome=%s error=%d detail=\"%s\"\n", cgroup, words[outcome], error, detail ? detail : "");
        if (outcome == RESTORE_FAILED)
                worst = -EIO;
        n_open--;
}

static int restore(const char *path) {
        struct record *record;
        int r = record_open(path, &record);
        if (r < 0)
                return r;
        size_t n = record->n_entries;
        char **names = calloc(n + 1, sizeof(*names));
        for (size_t i = 0; i < n; i++)
                names[i] = strdup(record->entries[i]->cgroup);
        for (size_t i = 0; i < n; i++) {
                n_open++;
                r = restore_start(record, &act, names[i], NULL, on_restored, NULL);
                if (r < 0) {
                        n_open--;
                        worst = r;
                }
                free(names[i]);
        }
        free(names);
        while (n_open > 0 && r >= 0)
                r = sd_event_run(event, UINT64_MAX);
        record_free(record);
        return r < 0 ? r : worst;
}

int main(int argc, char **argv) {
        int r = host_open("/", &host);
        if (r >= 0)
                r = sd_event_new(&event);
        if (r >= 0 && sd_bus_open_system(&bus) >= 0)
                r = sd_bus_attach_event(bus, event, 0);
        if (r >= 0)
                r = act_real_new_with(host, &(struct act_real_options) { .bus = bus, .event = event }, &act);
        if (r < 0)
                return 1;
        if (argc == 5 && strcmp(argv[1], "move") == 0)
                r = move(argv[2], argv[3], argv[4]);
        else if (argc == 3 && strcmp(argv[1], "get") == 0)
                r = get(argv[2]);
        else if (argc == 8 && strcmp(argv[1], "set") == 0)
                r = set(argv + 2);
        else if (argc == 3 && strcmp(argv[1], "restore") == 0)
                r = restore(argv[2]);
        else
                return usage();
        act_real_done(&act);
        sd_bus_flush_close_unref(bus);
        sd_event_unref(event);
        host_free(host);
        if (r < 0)
                (void) fprintf(stderr, "act-tool: %s\n", strerror(-r));
        return r < 0 ? 1 : 0;
}
