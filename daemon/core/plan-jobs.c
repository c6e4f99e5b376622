/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sets up one planning: nodes as they are now, and each sample either told at once or made a job. */
#include "core/plan-internal.h"

#include <string.h>

void job_tell(struct job *j, enum service_state state, const char *format, ...) {
        struct strbuf b = { 0 };
        va_list args;
        va_start(args, format);
        strbuf_vprintf(&b, format, args);
        va_end(args);
        j->kind = JOB_TOLD;
        j->binds = false;
        j->placement->state = state;
        j->placement->reason = strbuf_steal(&b);
}

static void set_shares(const struct planner *pl, struct job *j) {
        const struct service_sample *s = j->sample;
        const struct history_entry *h = j->history;
        bool smoothed = h && h->share_by_node && h->n_ids == pl->topology->n_ids;
        double sum = 0;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                unsigned id = pl->nodes[i].id;
                j->share[i] = smoothed ? h->share_by_node[id] : s->cpu_share_by_node[id];
                sum += j->share[i];
        }
        j->has_share = sum > 0;
        for (unsigned i = 0; i < pl->n_nodes && sum > 0; i++)
                j->share[i] /= sum;
}

static void set_bytes(const struct planner *pl, struct job *j) {
        const struct service_sample *s = j->sample;
        const struct history_entry *h = j->history;
        for (unsigned i = 0; i < pl->n_nodes; i++) {
                unsigned id = pl->nodes[i].id;
                /* Without numa_maps, all of it might be ours to move, but for what the last deep read found not to be. */
                uint64_t fixed = h && h->n_ids == pl->topology->n_ids ? history_fixed_bytes(h, s, id) : 0;
                j->movable[i] = s->deep ? s->movable_by_node[id] : s->bytes_by_node[id] - fixed;
                j->huge[i] = s->deep ? MIN2(s->hugetlb_movable_by_node[id], j->movable[i]) : 0;
                j->resident[i] = MAX2(s->bytes_by_node[id], j->movable[i]);
                j->bytes += j->resident[i];
                j->movable_bytes += j->movable[i];
                j->huge_bytes += j->huge[i];
        }
        if (s->newcomer) /* all of it is elsewhere: it needs room wherever it goes */
                j->bytes = j->movable_bytes = s->coming_bytes;
        if (j->history && j->history->peak_bytes > j->bytes)
                j->growth_bytes = j->history->peak_bytes - j->bytes;
}

static struct node_set or_all(const struct planner *pl, const struct node_set *s) {
        return node_set_is_empty(s) ? pl->all_nodes : *s;
}

/* What is in force now is a limit where somebody else set it; where we did, it is ours to change, within what the cgroup above has. */
static void set_limits(const struct planner *pl, struct job *j) {
        const struct service_sample *s = j->sample;
        bool ours_cpus = j->applied_cpus && !s->admin_cpus, ours_mems = j->applied_mems && !s->admin_mems;
        j->may_cpus = or_all(pl, ours_cpus ? &s->above_cpu_nodes : &s->effective_cpu_nodes);
        struct node_set bound = node_set_intersect(&j->may_cpus, &s->thread_nodes);
        if (sample_binds_cpus(s) && !node_set_is_empty(&bound))
                j->may_cpus = bound;
        j->may_mems = or_all(pl, ours_mems ? &s->above_mems : &s->effective_mems);
        if (s->inner_mems) /* its processes cannot have memory anywhere else */
                j->may_mems = node_set_intersect(&j->may_mems, &s->inner_mems_allowed);
        if (j->rule->has_allowed)
                j->permitted = node_set_intersect(&j->permitted, &j->rule->allowed);
        j->permitted = node_set_subtract(&j->permitted, &j->rule->avoid);
}

/* The home it had: from the history, or, where a restart of ours has lost that, from what we left in force. */
static struct node_set former_home(const struct planner *pl, const struct job *j) {
        const struct history_entry *h = j->history;
        struct node_set home = { 0 };
        if (h && h->placed)
                home = h->home;
        else if (j->applied_cpus || j->applied_mems) {
                struct node_set cpus = j->applied_cpus ? j->sample->effective_cpu_nodes : home;
                struct node_set mems = j->applied_mems ? j->sample->effective_mems : cpus;
                home = j->restricts ? node_set_union(&cpus, &mems) : mems;
        }
        struct node_set cpus = job_cpus(pl, j, &home);
        if (j->restricts && j->applied_cpus && node_set_is_empty(&cpus) && !node_set_is_empty(&home))
                home = node_set_union(&home, &j->sample->effective_cpu_nodes);
        return home;
}

static void set_home(const struct planner *pl, struct job *j) {
        struct node_set home = former_home(pl, j);
        if (!j->restricts)
                home = node_set_intersect(&home, &pl->mem_nodes);
        if (node_set_is_empty(&home))
                return;
        struct node_set cpus = job_cpus(pl, j, &home), mems = job_mems(pl, j, &home), usable = node_set_union(&cpus, &mems);
        bool ok = !node_set_is_empty(&mems) && (!j->restricts || !node_set_is_empty(&cpus)) &&
                  node_set_is_subset(&home, j->restricts ? &usable : &mems) &&
                  (j->kind == JOB_NODES || (node_set_count(&home) >= j->rule->min_nodes &&
                                            (j->rule->max_nodes == 0 || node_set_count(&home) <= j->rule->max_nodes)));
        j->has_home = ok;
        j->home_lost = !ok;
        if (ok)
                j->home = home;
}

static void set_rest(const struct planner *pl, struct job *j) {
        const struct history_entry *h = j->history;
        uint64_t now = pl->in->now_usec;
        j->lasted_usec = h ? now - MIN2(h->since_usec, now) : 0;
        if (!h || !h->placed)
                return;
        j->under_way = h->started_usec > h->settled_usec;
        if (h->failed && now < h->retry_usec) {
                j->rest_usec = h->retry_usec - now;
                j->after_failure = true;
                return;
        }
        uint64_t last = MAX2(MAX2(h->placed_usec, h->started_usec), h->settled_usec);
        if (now < last || now - last < j->rule->cooldown_usec)
                j->rest_usec = now < last ? j->rule->cooldown_usec : j->rule->cooldown_usec - (now - last);
}

static enum job_kind kind_of(const struct rule *r, bool restricts) {
        switch (r->place) {
        case PLACE_NODES: return JOB_NODES;
        case PLACE_COMPACT: return restricts ? JOB_COMPACT : JOB_FOLLOW;
        case PLACE_SPREAD: return JOB_SPREAD;
        case PLACE_INTERLEAVE: return JOB_INTERLEAVE;
        case PLACE_NEAR: return JOB_NEAR;
        default: return JOB_FOLLOW;
        }
}

static bool wants_cpus(const struct planner *pl, const struct rule *r) {
        if (r->cpus != CPUS_RESTRICT || r->place == PLACE_FOLLOW || r->place == PLACE_INTERLEAVE)
                return false;
        if (r->place == PLACE_SPREAD || r->place == PLACE_NEAR)
                return true;
        struct node_set given = node_set_intersect(&r->nodes, &pl->cpu_nodes);
        return r->place == PLACE_COMPACT || !node_set_is_empty(&given);
}

/* No service has no memory: nothing is what was told where the cgroup has no memory controller, and its map was not read. */
static void tell_small(struct job *j, uint64_t bytes) {
        struct strbuf b = { 0 };
        if (bytes > 0 || j->sample->deep) {
                strbuf_append(&b, "uses ");
                text_bytes(&b, bytes);
                strbuf_append(&b, ", less than min-size ");
                text_bytes(&b, j->rule->min_size_bytes);
        } else
                strbuf_append(&b, "how much memory it uses is not known yet: its map has not been read");
        char *text = strbuf_steal(&b);
        bool binds = j->binds;
        job_tell(j, STATE_STABLE, "%s", text ? text : "");
        j->binds = binds;
        free(text);
}

static void set_up(const struct planner *pl, struct job *j) {
        const struct service_sample *s = j->sample;
        const char *stays =
                j->applied_cpus || j->applied_mems ? "; the cpusets that were set for it earlier stay until restored" : "";
        if (!s->rule || s->rule->place == PLACE_IGNORE) {
                job_tell(j, STATE_OBSERVED, "%s%s", s->rule ? "place: ignore" : "no rule matches", stays);
                return;
        }
        j->rule = s->rule;
        if (sample_is_left_alone(s)) {
                job_tell(j, STATE_STABLE, "self-managed: the application set its own memory policy (%s); left alone",
                         s->own_policy ? s->own_policy : "not default");
                return;
        }
        bool wants = wants_cpus(pl, j->rule);
        bool inner = sample_takes_inner_cpus(s);
        j->restricts = wants && !s->admin_cpus && !inner && !sample_binds_cpus(s);
        j->kind = kind_of(j->rule, j->restricts);
        j->binds = job_is_placed_kind(j) || j->kind == JOB_INTERLEAVE;
        set_limits(pl, j);
        set_home(pl, j);
        set_rest(pl, j);
        job_set_guard(pl, j);
        uint64_t bytes = MAX2(j->bytes + (s->deep ? 0 : s->hugetlb_bytes), s->shared_bytes);
        if (!j->has_home && bytes < j->rule->min_size_bytes)
                tell_small(j, bytes);
        else if (wants && s->owner == OWNER_NONE)
                job_tell(j, STATE_BLOCKED, "its CPUs cannot be restricted: %s; `place: follow` works there",
                         s->owner_detail ? s->owner_detail : "it has no cgroup with a cpuset");
        else if (!j->has_share && (j->kind == JOB_COMPACT || j->kind == JOB_FOLLOW))
                job_tell(j, STATE_STABLE, "none of its threads was seen on a CPU, so there is nothing to place it by");
        else if (wants && s->admin_cpus)
                strbuf_append(&j->notes, "; its CPUs are left as the administrator set them");
        else if (wants && inner)
                strbuf_append(&j->notes,
                              "; its CPUs are not restricted, because cgroups inside of it were given CPUs of their own");
        else if (wants && sample_binds_cpus(s))
                strbuf_append(&j->notes, "; its CPUs are left alone, because some of its threads are bound to CPUs already");
}

/* Both are sorted by cgroup: mostly the next is the one. */
static const struct history_entry *find_history(const struct history *h, const char *cgroup, size_t *next) {
        if (*next < h->n_entries && strcmp(h->entries[*next].cgroup, cgroup) == 0)
                return &h->entries[(*next)++];
        const struct history_entry *e = history_find(h, cgroup);
        if (e)
                *next = (size_t) (e - h->entries) + 1;
        return e;
}

static int init_jobs(struct planner *pl, struct plan *plan) {
        const struct plan_input *in = pl->in;
        size_t n = pl->n_nodes, per_job = 8 * n, next = 0;
        pl->n_jobs = in->n_samples;
        pl->jobs = calloc(pl->n_jobs + 1, sizeof *pl->jobs);
        /* Not zeroed, but for what is read before it is written: megabytes, of which most services need a part. */
        uint64_t *arrays = malloc((pl->n_jobs * per_job + 1) * sizeof *arrays);
        pl->job_arrays = arrays;
        if (!pl->jobs || !arrays)
                return -ENOMEM;
        _Static_assert(sizeof(double) == sizeof(uint64_t), "shares share the block");
        for (size_t i = 0; i < pl->n_jobs; i++) {
                struct job *j = &pl->jobs[i];
                const struct applied *a = applied_find(in->applied, in->n_applied, in->samples[i].cgroup);
                uint64_t *block = arrays + i * per_job;
                j->placement = &plan->placements[i];
                j->permitted = pl->all_nodes;
                j->sample = &in->samples[i];
                j->history = find_history(in->history, in->samples[i].cgroup, &next);
                /* A full set that was written to give back is no restriction, and tells of no home. */
                j->applied_cpus = a && a->cpus && !j->sample->whole_cpus;
                j->applied_mems = a && a->mems && !j->sample->whole_mems;
                j->share = (double *) block;
                j->resident = block + n;
                j->movable = block + 2 * n;
                j->huge = block + 3 * n;
                j->incoming = block + 4 * n;
                j->incoming_huge = block + 5 * n;
                j->uses = (double *) (block + 6 * n);
                memset(j->uses, 0, n * sizeof *j->uses);
                j->base = (double *) (block + 7 * n);
                j->placement->sample = i;
                if (job_is_looked_at(pl, j))
                        job_set_distance(pl, j);
                set_shares(pl, j);
                set_bytes(pl, j);
                set_up(pl, j);
                job_set_demand(pl, j);
                for (size_t k = 0; k < n; k++)
                        pl->nodes[k].seen_load += j->demand * j->share[k];
                /* Whoever is not given CPUs of its own may be anywhere. */
                if (!j->restricts || j->kind == JOB_TOLD)
                        job_release(pl, j);
        }
        return 0;
}

void job_set_distance(const struct planner *pl, struct job *j) {
        j->placement->distance_before = j->placement->distance_after = sample_distance(j->sample, pl->topology);
}

// NOLINTNEXTLINE(readability-non-const-parameter): written to by way of pl->look
int planner_init(struct planner *pl, const struct plan_input *in, bool *look, struct plan *plan) {
        const struct topology *t = in->topology;
        *pl = (struct planner) { .in = in, .topology = t, .look = look };
        pl->all_nodes = topology_nodes(t);
        pl->cpu_nodes = topology_nodes_with_cpus(t);
        pl->mem_nodes = topology_nodes_with_memory(t);
        size_t n = node_set_count(&pl->all_nodes);
        pl->nodes = calloc(n + 1, sizeof *pl->nodes);
        pl->distance = calloc(n * n + 1, sizeof *pl->distance);
        pl->index_of = calloc((size_t) t->n_ids + 1, sizeof *pl->index_of);
        pl->cpus.index = calloc(n + 1, sizeof *pl->cpus.index);
        pl->mems.index = calloc(n + 1, sizeof *pl->mems.index);
        pl->is_mem = calloc(n + 1, sizeof *pl->is_mem);
        pl->far_mixed = calloc(n + 1, sizeof *pl->far_mixed);
        pl->bounds = calloc(n + 1, sizeof *pl->bounds);
        pl->bounded = calloc(n + 1, sizeof *pl->bounded);
        pl->bytes_then = calloc(n + 1, sizeof *pl->bytes_then);
        pl->uses_then = calloc(n + 1, sizeof *pl->uses_then);
        pl->incoming = calloc(n + 1, sizeof *pl->incoming);
        pl->incoming_huge = calloc(n + 1, sizeof *pl->incoming_huge);
        pl->order_keys = calloc(n + 1, sizeof *pl->order_keys);
        pl->share_now = calloc(n + 1, sizeof *pl->share_now);
        pl->credit = calloc(n + 1, sizeof *pl->credit);
        if (!pl->nodes || !pl->distance || !pl->index_of || !pl->cpus.index || !pl->mems.index || !pl->is_mem || !pl->far_mixed ||
            !pl->bounds || !pl->bounded || !pl->bytes_then || !pl->uses_then || !pl->incoming || !pl->incoming_huge ||
            !pl->order_keys || !pl->share_now || !pl->credit)
                return -ENOMEM;
        pl->far = pl->far_mixed;
        NODE_SET_FOREACH (id, &pl->all_nodes) {
                const struct node_memory *m = &in->machine->nodes[id];
                pl->index_of[id] = (uint16_t) pl->n_nodes;
                pl->nodes[pl->n_nodes++] = (struct plan_node) {
                        .id = (unsigned) id,
                        .n_cores = t->nodes[id].n_cores,
                        .n_cpus = t->nodes[id].n_cpus,
                        .bytes_total = t->nodes[id].bytes_total,
                        .room_bytes =
                                t->nodes[id].bytes_total > 0 ? node_room_bytes(m, in->config->settings.keep_free_permille) : 0,
                        .huge_room_bytes = m->hugetlb_free_bytes,
                };
        }
        int r = planner_set_distances(pl);
        if (r < 0)
                return r;
        planner_set_bandwidths(pl);
        return init_jobs(pl, plan);
}

void planner_done(struct planner *pl) {
        for (size_t i = 0; i < pl->n_jobs && pl->jobs; i++) {
                strbuf_done(&pl->jobs[i].notes);
                free(pl->jobs[i].part);
        }
        constraints_done(pl);
        free(pl->nodes);
        free(pl->distance);
        free(pl->index_of);
        free(pl->cpus.index);
        free(pl->mems.index);
        free(pl->is_mem);
        free(pl->far_mixed);
        free(pl->bounds);
        free(pl->bounded);
        free(pl->bytes_then);
        free(pl->uses_then);
        free(pl->slit);
        free(pl->slit_mixed);
        free(pl->incoming);
        free(pl->incoming_huge);
        free(pl->order_keys);
        free(pl->share_now);
        free(pl->credit);
        for (unsigned i = 0; i < _GROWTH_MAX; i++)
                growth_done(&pl->growth[i]);
        free(pl->options);
        free(pl->jobs);
        free(pl->job_arrays);
}
