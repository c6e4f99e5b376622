/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A zoo of machines: of each the topology is loaded as from the real one, and what random services with random rules get planned on it is
 * valid. "machines FILE.xml…" tries others, in hwloc's XML (lstopo) or as a captured tree (a directory); so does NUMABALANCED_TEST_XML. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "host/host.h"
#include "world.h"

#define SEEDS_EACH   12u
#define CYCLES       4u
#define SERVICES_MAX 24u
#define ATTEMPTS_MAX 8u
#define PAUSE_USEC   (90 * USEC_PER_SEC)

/* hwloc's synthetic descriptions (hwloc(7)); "n" nodes are expected of it, and "c" CPUs. */
static const struct synthetic {
        const char *text;
        unsigned nodes, cpus;
} synthetics[] = {
        { "pu:1", 1, 1 },
        { "core:8 pu:2", 1, 16 },
        { "node:1(memory=1GB) pu:4", 1, 4 },
        { "node:2(memory=8GB) core:4 pu:2", 2, 16 },
        { "node:3(memory=8GB) core:3 pu:1", 3, 9 },
        { "node:4(memory=8GB) core:8 pu:2", 4, 64 },
        { "node:5(memory=3GB) pu:1", 5, 5 },
        { "node:8(memory=64GB) core:16 pu:1", 8, 128 },
        { "node:16(memory=16GB) core:4 pu:2", 16, 128 },
        { "node:32(memory=16GB) core:8 pu:1", 32, 256 },
        { "node:64(memory=16GB) core:8 pu:2", 64, 1024 },
        { "node:64(memory=16GB) core:32 pu:2", 64, 4096 },
        { "pack:2 node:4(memory=32GB) core:4 pu:2", 8, 64 }, /* several nodes in a package */
        { "group:2 pack:4 node:2(memory=4GB) core:2 pu:1", 16, 32 },
        { "pack:4 [numa(memory=8GB)] l3:4 core:2 pu:2", 4, 64 },
        { "pack:2 [numa(memory=64GB)] [numa(memory=16GB)] core:4 pu:2", 4, 16 }, /* two kinds of memory in a package */
        { "pack:4 [numa(memory=4GB)] [numa(memory=2GB)] [numa(memory=64GB)] core:2 pu:1", 12, 8 },
        { "[numa(memory=256GB)] pack:2 [numa(memory=16GB)] core:4 pu:1", 3, 8 }, /* memory beside the whole machine */
        { "[numa(memory=256GB)] [numa(memory=128GB)] pack:4 [numa(memory=16GB)] core:2 pu:1", 6, 8 },
        { "[numa(memory=4GB)] group:2 [numa(memory=2GB)] pack:2 [numa(memory=1GB)] core:2 pu:1", 7, 8 },
        { "pack:4 [numa(memory=8GB indexes=0,2,8,63)] core:2 pu:2", 4, 16 }, /* sparse ids */
        { "node:4(memory=8GB indexes=1,300,700,1023) core:2 pu:1", 4, 8 },
        { "node:2(memory=8GB indexes=1,0) core:2 pu:2(indexes=core:pu)", 2, 8 }, /* CPUs dealt out in turn */
        { "node:4(memory=0) core:2 pu:1", 4, 8 },                                /* no memory is told */
        { "node:4(memory=1) core:2 pu:1", 4, 8 },                                /* next to nothing */
        { "node:2(memory=1GB) core:1 pu:8", 2, 16 },
        { "node:2(memory=16777216GB) core:2 pu:1", 2, 4 }, /* 16 PiB */
        { "pack:2 die:2 node:2(memory=16GB) l3:2 core:4 pu:2", 8, 128 },
};

static const struct fixture {
        const char *file;
        unsigned nodes, with_cpus;
} fixtures[] = {
        { "hbm-dram.xml", 4, 2 },
        { "snc4.xml", 8, 8 },
        { "subset-distances.xml", 4, 4 },
        { "huge-distances.xml", 3, 3 },
        { "nonsense-distances.xml", 3, 3 },
        { "unequal-packages.xml", 6, 6 },
        { "cpuless-in-the-middle.xml", 5, 3 },
        { "neither.xml", 4, 2 },
        { "devices.xml", 3, 2 },
};

struct trial {
        const char *name;
        uint64_t seed;
        struct world *w;
        char *failure;
};

static void fail(struct trial *t, char *why) {
        if (t->failure)
                free(why);
        else
                t->failure = why;
}

/* -------- services -------- */

static struct node_set random_nodes(struct trial *t, const struct node_set *of) {
        struct node_set s = { 0 };
        NODE_SET_FOREACH (n, of)
                if (random_below(&t->seed, 2))
                        node_set_add(&s, (unsigned) n);
        return s;
}

static bool meets(const struct node_set *a, const struct node_set *b) {
        struct node_set both = node_set_intersect(a, b);
        return !node_set_is_empty(&both);
}

static void add_name(struct string_list *l, const char *name) {
        if (string_list_add(l, name) < 0)
                abort();
}

static void choose_place(struct trial *t, struct rule *r) {
        const struct topology *topology = t->w->topology;
        struct node_set all = topology_nodes(topology);
        r->place = (enum place) random_below(&t->seed, _PLACE_MAX);
        if (r->place == PLACE_NODES) {
                for (unsigned i = 0; i < ATTEMPTS_MAX && node_set_is_empty(&r->nodes); i++)
                        r->nodes = random_nodes(t, &all);
                if (node_set_is_empty(&r->nodes))
                        r->nodes = all;
        } else if (r->place == PLACE_NEAR)
                add_name(&r->devices, topology->n_devices > 0 && random_below(&t->seed, 4)
                                              ? topology->devices[random_below(&t->seed, topology->n_devices)].name
                                              : "net/nowhere");
        else if (r->place == PLACE_INTERLEAVE)
                r->interleave_by = (enum interleave_by) random_below(&t->seed, 2);
}

/* Nothing that the parser would refuse. */
static void choose_constraints(struct trial *t, struct rule *r) {
        struct node_set all = topology_nodes(t->w->topology);
        if (r->place != PLACE_NODES && random_below(&t->seed, 3) == 0) {
                r->allowed = random_nodes(t, &all);
                r->has_allowed = !node_set_is_empty(&r->allowed);
        }
        if (r->place != PLACE_NODES && random_below(&t->seed, 4) == 0) {
                struct node_set may = r->has_allowed ? r->allowed : all;
                r->avoid = random_nodes(t, &all);
                if (node_set_is_subset(&may, &r->avoid))
                        r->avoid = (struct node_set) { 0 };
        }
        if (r->place == PLACE_COMPACT || r->place == PLACE_SPREAD || r->place == PLACE_NEAR) {
                r->min_nodes = random_below(&t->seed, 4) == 0 ? (unsigned) random_below(&t->seed, 3) : 0;
                r->max_nodes = random_below(&t->seed, 3) == 0 ? 1 + (unsigned) random_below(&t->seed, 3) : 0;
                if (r->max_nodes > 0)
                        r->min_nodes = MIN2(r->min_nodes, r->max_nodes);
        }
        if (r->place != PLACE_FOLLOW && r->place != PLACE_INTERLEAVE)
                r->cpus = random_below(&t->seed, 4) == 0 ? CPUS_FREE : CPUS_RESTRICT;
        if (r->place != PLACE_FOLLOW)
                r->memory = random_below(&t->seed, 3) == 0 ? MEMORY_STRICT : MEMORY_PREFER;
        r->priority = (unsigned) random_below(&t->seed, RULE_PRIORITY_MAX + 1);
}

static void make_rule(struct trial *t, size_t i) {
        struct rule *r = &t->w->config->rules[i];
        r->name = format_string("r%02zu", i);
        if (!r->name)
                abort();
        r->min_size_bytes = random_below(&t->seed, 2) ? 0 : r->min_size_bytes;
        choose_place(t, r);
        if (r->place == PLACE_IGNORE)
                return;
        choose_constraints(t, r);
        if (r->place == PLACE_FOLLOW || r->place == PLACE_INTERLEAVE)
                return;
        r->exclusive = random_below(&t->seed, 8) == 0;
        if (i > 0 && random_below(&t->seed, 6) == 0)
                add_name(random_below(&t->seed, 2) && t->w->config->rules[i - 1].place == r->place && r->place != PLACE_NODES
                                 ? &r->together_with
                                 : &r->apart_from,
                         t->w->config->rules[i - 1].name);
}

static void make_service(struct trial *t, size_t i) {
        struct world *w = t->w;
        _cleanup_free_ char *name = format_string("s%02zu", i);
        struct service_sample *s = world_service(w, name, random_below(&t->seed, 10) ? &w->config->rules[i] : NULL);
        struct node_set mems = topology_nodes_with_memory(w->topology), nodes = topology_nodes_with_cpus(w->topology);
        bool piled = random_below(&t->seed, 2);
        NODE_SET_FOREACH (n, &mems) {
                uint64_t some = random_below(&t->seed, 1 + GIB), room = w->machine.nodes[n].bytes_free / 8;
                some = MIN2(some, room);
                if (!piled || random_below(&t->seed, 4) == 0)
                        world_memory(w, s, (unsigned) n, some);
        }
        NODE_SET_FOREACH (n, &nodes)
                if (!piled || random_below(&t->seed, 4) == 0)
                        world_cpu(w, s, (unsigned) n, (double) random_below(&t->seed, 200) / 100);
}

/* -------- plans -------- */

static const char *broken_by(const struct world *w, const struct rule *r, const struct placement *p) {
        struct node_set home = node_set_union(&p->home_cpus, &p->home_mems), cpus = { 0 }, nodes = topology_nodes(w->topology);
        for (unsigned n = 0; n < w->topology->n_ids; n++)
                if (w->topology->nodes[n].n_cpus > 0)
                        node_set_add(&cpus, n);
        if (!node_set_is_subset(&home, &nodes))
                return "its home has nodes that are not there";
        if (p->restrict_cpus && !meets(&p->home_cpus, &cpus))
                return "it is left without a CPU";
        if (r->has_allowed && !node_set_is_subset(&home, &r->allowed))
                return "its home has nodes that are not allowed";
        if (meets(&home, &r->avoid))
                return "its home has nodes that are to be avoided";
        if (r->place == PLACE_NODES && !node_set_is_subset(&home, &r->nodes))
                return "its home has other nodes than those given";
        if (r->max_nodes > 0 && node_set_count(&p->home) > r->max_nodes)
                return "its home has more nodes than max-nodes";
        return NULL;
}

static void check(struct trial *t, const struct plan *p) {
        const struct world *w = t->w;
        char *broken = world_check_plan(w, p);
        if (broken)
                fail(t, broken);
        for (size_t i = 0; i < p->n_placements; i++) {
                const struct service_sample *s = &w->samples[i];
                const char *why = s->rule && p->placements[i].act ? broken_by(w, s->rule, &p->placements[i]) : NULL;
                if (why)
                        fail(t, format_string("%s: place %s: %s (%s)", s->unit, place_to_string(s->rule->place), why,
                                              p->placements[i].reason));
        }
}

/* Not world_plan(): what is broken is to be told with the machine and the seed. */
static void plan_once(struct trial *t) {
        struct world *w = t->w;
        struct plan *plans[2] = { NULL, NULL };
        const struct plan_input in = world_input(w);
        if (history_update(&w->history, w->samples, w->n_samples, w->topology->n_ids, w->now_usec) < 0 ||
            plan_make(&in, &plans[0]) < 0 || plan_make(&in, &plans[1]) < 0)
                fail(t, format_string("no plan was made"));
        else {
                _cleanup_free_ char *first = plan_to_text(plans[0]), *second = plan_to_text(plans[1]);
                if (strcmp(first, second) != 0)
                        fail(t, format_string("the same input gave another plan"));
                check(t, plans[0]);
        }
        if (!t->failure) {
                world_apply(w, plans[0]);
                w->now_usec += PAUSE_USEC;
        }
        plan_free(plans[0]);
        plan_free(plans[1]);
}

/* -------- machines -------- */

static int load(const char *variable, const char *value, const char *root, struct topology **ret) {
        struct host *h = NULL;
        if (variable && setenv(variable, value, 1) < 0)
                abort();
        int r = host_open(root, &h);
        if (r >= 0)
                r = topology_load(h, ret);
        host_free(h);
        if (variable)
                (void) unsetenv(variable);
        return r;
}

/* A file, or a directory with a captured tree. */
static int load_path(const char *path, struct topology **ret) {
        struct stat st;
        if (stat(path, &st) < 0)
                return -errno;
        return S_ISDIR(st.st_mode) ? load(NULL, NULL, path, ret) : load("HWLOC_XMLFILE", path, "/", ret);
}

typedef int (*loader)(const void *what, struct topology **ret);

static int load_synthetic(const void *what, struct topology **ret) {
        return load("HWLOC_SYNTHETIC", what, "/", ret);
}

static int load_file(const void *what, struct topology **ret) {
        return load_path(what, ret);
}

/* Returns false, said, where something is wrong. */
static bool try_machine(const char *name, loader how, const void *what, unsigned n_nodes, unsigned n_with_cpus, unsigned n_cpus) {
        for (uint64_t seed = 1; seed <= SEEDS_EACH; seed++) {
                struct trial t = { .name = name, .seed = seed * 7919 };
                struct topology *topology = NULL;
                const char *why = NULL;
                int r = how(what, &topology);
                if (r < 0 || !topology || topology_validate(topology, &why) < 0) {
                        printf("not ok - %s: %s\n", name, why ? why : strerror(-r));
                        topology_free(topology);
                        return false;
                }
                struct node_set nodes = topology_nodes(topology), with_cpus = topology_nodes_with_cpus(topology);
                unsigned cpus = 0;
                for (unsigned n = 0; n < topology->n_ids; n++)
                        cpus += topology->nodes[n].n_cpus;
                if ((n_nodes > 0 && node_set_count(&nodes) != n_nodes) || (n_cpus > 0 && cpus != n_cpus) ||
                    (n_with_cpus > 0 && node_set_count(&with_cpus) != n_with_cpus))
                        fail(&t, format_string("%u nodes, %u with CPUs, %u CPUs", node_set_count(&nodes),
                                               node_set_count(&with_cpus), cpus));
                size_t n_services = 1 + random_below(&t.seed, SERVICES_MAX);
                t.w = world_of(topology, n_services);
                for (size_t i = 0; i < n_services; i++)
                        make_rule(&t, i);
                for (size_t i = 0; i < n_services; i++)
                        make_service(&t, i);
                for (unsigned i = 0; i < CYCLES && !t.failure; i++)
                        plan_once(&t);
                world_free(t.w);
                if (t.failure) {
                        printf("not ok - %s: seed %" PRIu64 ": %s\n", name, seed, t.failure);
                        free(t.failure);
                        return false;
                }
        }
        printf("ok - %s\n", name);
        return true;
}

int main(int argc, char **argv) {
        const char *other = getenv("NUMABALANCED_TEST_XML");
        bool ok = true;
        setvbuf(stdout, NULL, _IOLBF, 0); /* what goes before a broken promise is to be seen */
        for (int i = 1; i < argc; i++)
                ok &= try_machine(argv[i], load_file, argv[i], 0, 0, 0);
        if (argc > 1)
                return ok ? 0 : 1;
        if (other && *other)
                ok &= try_machine(other, load_file, other, 0, 0, 0);
        for (size_t i = 0; i < ARRAY_SIZE(synthetics); i++)
                ok &= try_machine(synthetics[i].text, load_synthetic, synthetics[i].text, synthetics[i].nodes, 0,
                                  synthetics[i].cpus);
        for (size_t i = 0; i < ARRAY_SIZE(fixtures); i++) {
                _cleanup_free_ char *path = format_string("%s/machines/%s", TEST_FIXTURES, fixtures[i].file);
                ok &= try_machine(fixtures[i].file, load_file, path, fixtures[i].nodes, fixtures[i].with_cpus, 0);
        }
        ok &= try_machine("this machine", load_file, "/", 0, 0, 0);
        return ok ? 0 : 1;
}
