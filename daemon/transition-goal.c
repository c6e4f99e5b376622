/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a transition asks of the mover, and by what it measures how far it has come: by pages off home, or by the division among nodes that the
 * placement wants. */
#include <errno.h>
#include <stdlib.h>

#include "core/util.h"
#include "transition.h"

/* So much on nodes where nothing of it belongs is not worth another pass. */
#define STRAY_BYTES MIB
/* Memory nodes are narrowed where no more than this part of its memory is left elsewhere, in any case so much, and never more. */
#define NARROW_SHARE       20
#define NARROW_LEAST_BYTES (16 * MIB)
#define NARROW_MOST_BYTES  (256 * MIB)
/* Worse than before by more than this: undone. */
#define WORSE_FACTOR 1.05

void transition_goal_done(struct transition_goal *g) {
        free(g->room);
        free(g->weight);
        free(g->want);
        companions_done(&g->companions);
}

/* How the plan divides pages among several home nodes, nearest first and equally near ones by cores; in MiB, so that it fits. One home node needs no
 * division. */
static void set_weights(const struct transition *t, struct transition_goal *g) {
        const struct placement *p = transition_placement(t);
        unsigned n_ids = t->m->topology->n_ids;
        uint32_t weights = 0;
        for (unsigned n = 0; n < n_ids && p->room_by_node; n++) {
                g->weight[n] = (uint32_t) MIN2((p->room_by_node[n] + MIB - 1) / MIB, (uint64_t) UINT32_MAX / n_ids);
                weights += g->weight[n];
        }
        g->goal.weight_by_node = weights > 0 && node_set_count(&p->home_mems) > 1 ? g->weight : NULL;
}

/* The same division of what there is now: it has grown or shrunk since. */
static void set_want(const struct transition *t, const struct service_sample *s, struct transition_goal *g) {
        const struct placement *p = transition_placement(t);
        unsigned n_ids = t->m->topology->n_ids;
        uint64_t now = sum_by_node(s->movable_by_node, n_ids), then = sum_by_node(p->want_by_node, n_ids);
        for (unsigned n = 0; n < n_ids && then > 0; n++)
                g->want[n] = (uint64_t) ((double) p->want_by_node[n] * ((double) now / (double) then));
        g->goal.want_by_node = g->want;
        g->goal.have_by_node = s->movable_by_node;
}

int transition_make_goal(const struct transition *t, struct transition_goal *g) {
        const struct manager *m = t->m;
        const struct placement *p = transition_placement(t);
        const struct rule *rule = transition_sample(t)->rule;
        const struct observation *o = t->seen->observation;
        const struct service_note *note = manager_find_note(m, t->target.cgroup);
        unsigned n_ids = m->topology->n_ids;

        *g = (struct transition_goal) {
                .room = calloc(n_ids, sizeof(*g->room)),
                .weight = calloc(n_ids, sizeof(*g->weight)),
                .want = calloc(n_ids, sizeof(*g->want)),
        };
        int r = cycle_companions(t->m, t->seen, t->seen_index, t, &g->companions);
        if (r < 0 || !g->room || !g->weight || !g->want)
                return -ENOMEM;
        g->goal = (struct move_goal) {
                .how = p->pages_how,
                .home = p->home_mems,
                .room_bytes = g->room,
                .interleave_by_node = p->weight_by_node,
                .respect_own_policy = rule->app_policy == APP_POLICY_RESPECT,
                .move_shared = rule->shared_pages == SHARED_PAGES_MOVE,
                .companions = &g->companions,
                .aside = note ? note->aside : NULL,
                .n_aside = note ? note->n_aside : 0,
                .stubborn = note ? note->stubborn : NULL,
        };
        for (unsigned n = 0; n < n_ids; n++) {
                /* What the plan gave this service; later passes only sweep up, within what is free then. */
                uint64_t free_bytes = node_room_bytes(&o->machine.nodes[n], m->config->config->settings.keep_free_permille);
                g->room[n] = p->room_by_node && t->n_passes == 1 ? MIN2(p->room_by_node[n], free_bytes) : free_bytes;
        }
        if (p->pages_how == PAGES_HOME)
                set_weights(t, g);
        else if (p->pages_how == PAGES_BALANCE)
                set_want(t, &o->services[t->seen_index], g);
        return 0;
}

uint64_t transition_left_bytes(const struct transition *t, const struct service_sample *s) {
        const struct placement *p = transition_placement(t);
        unsigned n_ids = t->m->topology->n_ids;
        uint64_t left = placement_misplaced_bytes(p, s, n_ids), stray = 0;
        for (unsigned n = 0; n < n_ids; n++)
                stray += node_set_has(&p->home_mems, n) ? 0 : s->movable_by_node[n];
        /* By amounts nothing is ever exact: pages come and go, and huge ones count as one. */
        if (p->pages_how != PAGES_HOME && stray <= STRAY_BYTES &&
            left <= division_tolerated_bytes(transition_sample(t)->rule, sum_by_node(s->movable_by_node, n_ids)))
                return 0;
        return left;
}

/* Whatever its kind: a narrowing takes shared and bound pages along, too. */
bool transition_may_narrow(const struct transition *t, const struct service_sample *s) {
        unsigned n_ids = t->m->topology->n_ids;
        uint64_t left = 0, all = sum_by_node(s->bytes_by_node, n_ids);
        for (unsigned n = 0; n < n_ids; n++)
                left += node_set_has(&transition_placement(t)->home_mems, n) ? 0 : s->bytes_by_node[n];
        return left <= MIN2(MAX2(all / NARROW_SHARE, (uint64_t) NARROW_LEAST_BYTES), (uint64_t) NARROW_MOST_BYTES);
}

/* The farthest that a thread at home can be from memory at home: where in its home it runs is the scheduler's choice, and no fault of the
 * move. */
static double farthest_at_home(const struct topology *t, const struct placement *p) {
        double far = 0;
        NODE_SET_FOREACH (cpu, &p->home_cpus)
                NODE_SET_FOREACH (mem, &p->home_mems)
                        far = MAX2(far, (double) topology_distance(t, (unsigned) cpu, (unsigned) mem));
        return far;
}

/* Where its threads would run if its CPUs were given back. */
static struct node_set former_cpu_nodes(const struct transition *t, const struct service_sample *s) {
        const struct record_entry *e = record_find(t->m->record, t->target.cgroup);
        if (e && e->changed_cpus && e->before.cpus_set)
                return topology_nodes_of_cpus(t->m->topology, &e->before.cpus);
        return node_set_is_empty(&s->above_cpu_nodes) ? topology_nodes_with_cpus(t->m->topology) : s->above_cpu_nodes;
}

bool transition_made_worse(const struct transition *t, const struct service_sample *s) {
        const struct placement *p = transition_placement(t);
        const struct service_sample *then = transition_sample(t);
        if (!p->restrict_cpus || p->relieves || !then->rule) /* memory elsewhere was the wish, for relief */
                return false;
        switch (then->rule->place) {
        case PLACE_NODES:
        case PLACE_NEAR: /* the administrator's own wish, for better or worse */ return false;
        case PLACE_SPREAD:
        case PLACE_INTERLEAVE: /* distance is not what these are for */
                return transition_left_bytes(t, s) > 0 &&
                       (double) placement_misplaced_bytes(p, s, t->m->topology->n_ids) >
                               (double) placement_misplaced_bytes(p, then, t->m->topology->n_ids) * WORSE_FACTOR;
        default: break;
        }
        double before = sample_distance(then, t->m->topology), after = sample_distance(s, t->m->topology);
        /* What the plan knew, it found worth it: fewer others on its CPUs. */
        double meant = MAX2(p->distance_after, farthest_at_home(t->m->topology, p));
        if (before <= 0 || after <= MAX2(before, meant) * WORSE_FACTOR)
                return false;
        /* Its memory is where it is now: nothing is mended by giving its CPUs back where that leaves it farther still. */
        struct node_set former = former_cpu_nodes(t, s);
        return sample_distance_from(s, t->m->topology, &former) < after;
}
