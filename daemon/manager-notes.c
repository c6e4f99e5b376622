/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is remembered of each service beside the planner's history. */
#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "manager.h"

static size_t note_position(const struct manager *m, const char *cgroup, bool *ret_found) {
        size_t at = FIRST_NOT_BEFORE(i, m->n_notes, strcmp(m->notes[i]->cgroup, cgroup) < 0);
        *ret_found = at < m->n_notes && strcmp(m->notes[at]->cgroup, cgroup) == 0;
        return at;
}

struct service_note *manager_find_note(const struct manager *m, const char *cgroup) {
        bool found;
        size_t i = note_position(m, cgroup, &found);
        return found ? m->notes[i] : NULL;
}

struct service_note *manager_note(struct manager *m, const char *cgroup) {
        bool found;
        size_t i = note_position(m, cgroup, &found);
        if (found)
                return m->notes[i];
        if (array_reserve(&m->notes, &m->notes_capacity, m->n_notes + 1, sizeof(void *)) < 0)
                return NULL;
        struct service_note *n = calloc(1, sizeof(*n));
        if (!n || !(n->cgroup = strdup(cgroup))) {
                free(n);
                return NULL;
        }
        memmove(m->notes + i + 1, m->notes + i, (m->n_notes - i) * sizeof(void *));
        m->notes[i] = n;
        m->n_notes++;
        return n;
}

void manager_forgive(struct manager *m) {
        history_forgive(&m->history);
        for (size_t i = 0; i < m->n_notes; i++) {
                m->notes[i]->stubborn = stubborn_free(m->notes[i]->stubborn); /* movers have their own copies */
                m->notes[i]->undone_until_usec = m->notes[i]->relief_again_usec = 0;
                m->notes[i]->n_relief_failed = 0;
        }
}

bool service_note_hangs(const struct service_note *n) {
        return n && (n->stuck || n->n_aside > 0);
}

void service_note_free(struct service_note *n) {
        free(n->cgroup);
        deep_sample_free(n->kept);
        cycle_unref(n->kept_cycle);
        rest_free(n->rest);
        free(n->last_reason);
        stubborn_free(n->stubborn);
        free(n);
}
