/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Room on a transition's home nodes: what is free there above keep-free, and for hugetlb pages what their pools have. */
#include "core/sample.h"
#include "transition.h"

/* The home nodes' free memory is looked at so often, and more often where it runs out. */
#define ROOM_CHECK_EVERY_USEC USEC_PER_SEC
/* With less room than this it is about to run out, whatever the rate. */
#define ROOM_NEAR_BYTES (32 * MIB)

/* In hugetlb pages, what may have to move as of the latest observation. */
static uint64_t hugetlb_to_move(const struct transition *t) {
        const struct placement *p = transition_placement(t);
        const struct service_sample *s = &t->seen->observation->services[t->seen_index];
        uint64_t bytes = 0;
        for (unsigned n = 0; n < t->m->topology->n_ids; n++)
                if (p->pages_how != PAGES_HOME || !node_set_has(&p->home_mems, n))
                        bytes += s->hugetlb_movable_by_node[n];
        return bytes;
}

/* Does the mover have to be told what there is on each node? Of several one can fill up while the others have room; and while hugetlb pages go on, others must not
 * where there is nothing left for them. Where there is but one node, that it has nothing is waited for: see backoff. */
static bool needs_account(const struct transition *t) {
        return t->mover && (node_set_count(&transition_placement(t)->home_mems) > 1 || t->pool_left_bytes > 0);
}

/* What t has moved is room that others have no more who saw the same: who has none left by that moves a page, and looks again. */
static void take_room_of_others(const struct transition *t, uint64_t moved_bytes) {
        struct transition *o;
        LIST_FOREACH(o, &t->m->transitions, entry) {
                struct node_set both =
                        node_set_intersect(&transition_placement(o)->home_mems, &transition_placement(t)->home_mems);
                if (o != t && !node_set_is_empty(&both))
                        o->room_left_bytes -= MIN2(o->room_left_bytes, moved_bytes);
        }
}

void transition_take_room(struct transition *t, uint64_t moved_bytes) {
        t->room_left_bytes -= MIN2(t->room_left_bytes, moved_bytes);
        t->pool_left_bytes -= MIN2(t->pool_left_bytes, moved_bytes);
        take_room_of_others(t, moved_bytes);
}

bool transition_look_at_room(struct transition *t) {
        uint64_t now = manager_now(t->m);
        if (now < t->next_room_check_usec && t->room_left_bytes + t->pool_left_bytes > 0)
                return false;
        unsigned keep_free = t->m->config->config->settings.keep_free_permille;
        struct machine_sample machine = { 0 };
        t->next_room_check_usec = now + ROOM_CHECK_EVERY_USEC;
        if (t->m->env->ops->read_machine(t->m->env->context, t->m->topology, &machine) < 0) {
                t->room_left_bytes = MAX2(t->room_left_bytes, UINT64_C(1)); /* the mover keeps its own count all the same */
                return false;
        }
        uint64_t room[NODE_ID_MAX + 1] = { 0 }, pools = 0;
        t->room_left_bytes = 0;
        NODE_SET_FOREACH (node, &transition_placement(t)->home_mems) {
                room[node] = node_room_bytes(&machine.nodes[node], keep_free);
                t->room_left_bytes += room[node];
                pools += machine.nodes[node].hugetlb_free_bytes;
        }
        machine_sample_done(&machine);
        t->pool_left_bytes = MIN2(pools, hugetlb_to_move(t));
        if (needs_account(t))
                t->m->env->ops->mover_see_room(t->mover, room);
        return true;
}

uint64_t transition_near_bytes(const struct transition *t) {
        uint64_t in_all = t->total.moved_bytes + t->mover_moved_bytes;
        uint64_t usec = t->moving_usec + manager_now(t->m) - t->pass_began_usec;
        uint64_t per_sec = usec >= USEC_PER_MSEC ? in_all / (usec / 1000) * 1000 : 0;
        return MAX2(per_sec * (ROOM_CHECK_EVERY_USEC / USEC_PER_SEC), (uint64_t) ROOM_NEAR_BYTES);
}
