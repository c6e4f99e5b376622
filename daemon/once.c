/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Prints one cycle: the machine, what was seen of each service, and what is done or would be, with the reason. */
#include "once.h"

#include <errno.h>
#include <stdio.h>

#include "list-table.h"
#include "manager.h"
#include "report/format.h"

#define ONCE_CYCLES_MAX 50u

bool once_is_complete(const struct manager *m) {
        if (m->stats.n_cycles < 2 || manager_n_active(m) > 0 || m->n_restoring > 0)
                return false;
        /* Where services come and go all the time there is always one that was not measured yet. */
        if (m->stats.n_cycles >= ONCE_CYCLES_MAX)
                return true;
        /* Services whose memory map the planner still wants, or that wait for others to finish, get their turn. */
        const struct plan *p = m->last->plan;
        for (size_t i = 0; i < p->n_placements; i++) {
                const struct service_note *n = manager_find_note(m, m->last->observation->services[i].cgroup);
                if (n && (n->waits_for_turn || n->wants_deep))
                        return false;
        }
        return true;
}

static int print_machine(const struct manager *m) {
        const struct topology *t = m->topology;
        const struct machine_sample *machine = &m->last->observation->machine;
        for (unsigned n = 0; n < t->n_ids; n++) {
                if (!t->nodes[n].present)
                        continue;
                _cleanup_free_ char *cpus = cpu_mask_format(&t->nodes[n].cpus);
                if (!cpus)
                        return -ENOMEM;
                (void) printf("node %u: CPUs %s, memory %s, free %s\n", n, *cpus ? cpus : "none",
                              FORMAT_BYTES(t->nodes[n].bytes_total), FORMAT_BYTES(machine->nodes[n].bytes_free));
        }
        for (char **l = m->limitations; *l; l++)
                (void) printf("limitation: %s\n", *l);
        if (m->last->observation->truncated)
                (void) printf("limitation: %s\n", LEFT_OUT_TEXT);
        return 0;
}

static void print_decisions(const struct manager *m) {
        const struct observation *o = m->last->observation;
        const struct plan *p = m->last->plan;
        size_t managed = 0;
        for (size_t i = 0; i < o->n_services; i++)
                managed += o->services[i].rule != NULL;
        if (managed == 0) {
                (void) printf("\nNo rule matches any service: nothing %s.\n", manager_is_dry(m) ? "would be done" : "was done");
                return;
        }
        (void) printf("\n%s\n", manager_is_dry(m) ? "What would be done (a dry run):" : "What was done:");
        for (size_t i = 0; i < o->n_services; i++) {
                if (!o->services[i].rule)
                        continue;
                _cleanup_free_ char *unit = text_clean(o->services[i].unit, false),
                                    *reason = text_clean(p->placements[i].reason, false);
                (void) printf("  %s: %s: %s\n", unit ? unit : "?", service_state_to_string(p->placements[i].state),
                              reason ? reason : "?");
        }
}

int once_print(struct manager *m) {
        int r = print_machine(m);
        if (r < 0)
                return r;
        (void) putchar('\n');
        struct json_object *services = manager_list_json(m);
        if (!services)
                return -ENOMEM;
        const struct options options = { .json = JSON_OFF, .legend = true, .colour = false };
        int status = list_table_print(services, &options);
        json_object_put(services);
        if (status != 0)
                return -EIO;
        print_decisions(m);
        return fflush(stdout) == 0 ? 0 : -errno;
}
