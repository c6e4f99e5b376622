/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hwloc's picture of the machine → struct topology. hwloc gives a node without CPUs the CPUs nearest to it, so which node
 * a CPU really belongs to is asked of sysfs, or where the picture is not of a Linux tree, derived (see home_of_pu()). */
#include "host/topology-load.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/util.h"
#include "host/io.h"

#define XML_LIMIT (64 * MIB)

static void hwloc_topology_freep(hwloc_topology_t *t) {
        if (*t)
                hwloc_topology_destroy(*t);
}

static bool env_given(const char *name) {
        const char *value = getenv(name);
        return value && *value;
}

/* Devices, which hwloc leaves out by default: all of PCI, because a rule can name any, and what the system calls them. What nobody here asks
 * for is left out instead: caches and kinds of CPUs are a dozen files for each CPU. The x86 component would visit each CPU in turn to learn
 * what sysfs has told already, and mix what this processor says into a captured tree; pci reads what linux reads, by way of a library and its
 * list of names; the others load graphics and accelerator libraries into this process, and what they find no rule can name. */
static void want(hwloc_topology_t t) {
        static const char *const unwanted[] = { "x86", "pci", "cuda", "nvml", "rsmi", "levelzero", "opencl", "gl" };
        (void) hwloc_topology_set_io_types_filter(t, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
        (void) hwloc_topology_set_type_filter(t, HWLOC_OBJ_PCI_DEVICE, HWLOC_TYPE_FILTER_KEEP_ALL);
        (void) hwloc_topology_set_cache_types_filter(t, HWLOC_TYPE_FILTER_KEEP_NONE);
        (void) hwloc_topology_set_icache_types_filter(t, HWLOC_TYPE_FILTER_KEEP_NONE);
        for (size_t i = 0; i < ARRAY_SIZE(unwanted); i++) /* fails for those that this hwloc does not have */
                (void) hwloc_topology_set_components(t, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, unwanted[i]);
}

/* hwloc loads every plugin that lies in its directory before it asks which are wanted, and with them X11, OpenCL and XML libraries. A file can
 * need the last. The environment is the only way to say so, and an administrator's word in it counts. */
static void leave_out_plugins(void) {
        (void) setenv("HWLOC_PLUGINS_PATH", "/var/empty", 0);
}

/* A capture brings hwloc's picture along. */
static int read_captured(const struct host *h, char **ret, size_t *ret_size) {
        *ret = NULL;
        if (h->live || env_given("HWLOC_FSROOT"))
                return 0;
        int r = read_file_at(h->root_fd, CAPTURED_TOPOLOGY, XML_LIMIT, ret, ret_size);
        return r == -ENOENT ? 0 : r;
}

/* Lets hwloc look. A root other than "/" is passed on by the environment: hwloc has no other way since 2.0. */
static int hwloc_look(const struct host *h, bool from_file, hwloc_topology_t *ret) {
        char path[64];
        _cleanup_free_ char *xml = NULL;
        size_t xml_size = 0;
        int q = from_file ? 0 : read_captured(h, &xml, &xml_size);
        if (q < 0)
                return q;
        if (!from_file && !xml)
                leave_out_plugins();
        bool set_root = !h->live && !from_file && !xml && !env_given("HWLOC_FSROOT");
        if (set_root) {
                (void) snprintf(path, sizeof path, "/proc/self/fd/%d", h->root_fd);
                if (setenv("HWLOC_FSROOT", path, 1) < 0)
                        return -errno;
        }
        hwloc_topology_t t = NULL;
        int r = hwloc_topology_init(&t) < 0 ? -ENOMEM : 0;
        if (r == 0) {
                /* All of the machine, whatever this daemon itself is confined to. */
                (void) hwloc_topology_set_flags(t, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED | HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS);
                want(t);
                errno = 0;
                if (xml && hwloc_topology_set_xmlbuffer(t, xml, (int) xml_size + 1) < 0)
                        r = errno > 0 ? -errno : -EBADMSG;
                else if (hwloc_topology_load(t) < 0)
                        r = errno > 0 ? -errno : -EIO;
        }
        if (set_root)
                (void) unsetenv("HWLOC_FSROOT");
        if (r < 0) {
                if (t)
                        hwloc_topology_destroy(t);
                return r;
        }
        *ret = t;
        return 0;
}

static int open_sysfs_root(struct loader *l, bool from_file) {
        l->sysfs_fd = -1;
        if (from_file)
                return 0;
        const char *root = getenv("HWLOC_FSROOT");
        if (!root || !*root) {
                l->sysfs_fd = l->host->root_fd;
                l->host_sysfs = true;
                return 0;
        }
        l->sysfs_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        l->own_sysfs_fd = l->sysfs_fd >= 0;
        return l->sysfs_fd < 0 ? -errno : 0;
}

static int make_empty(struct loader *l) {
        unsigned n_ids = 0, n_cpu_ids = 0;
        for (hwloc_obj_t o = next_node(l, NULL); o; o = next_node(l, o)) {
                if (o->os_index > NODE_ID_MAX)
                        return -ERANGE;
                n_ids = MAX2(n_ids, o->os_index + 1);
        }
        for (hwloc_obj_t o = next_pu(l, NULL); o; o = next_pu(l, o)) {
                if (o->os_index > CPU_ID_MAX)
                        return -ERANGE;
                n_cpu_ids = MAX2(n_cpu_ids, o->os_index + 1);
        }
        l->topology = topology_new(n_ids, n_cpu_ids);
        if (!l->topology)
                return -ENOMEM;
        for (hwloc_obj_t o = next_node(l, NULL); o; o = next_node(l, o)) {
                l->topology->nodes[o->os_index].present = true;
                l->topology->nodes[o->os_index].bytes_total = o->attr->numanode.local_memory;
        }
        return 0;
}

/* Where sysfs cannot be asked: of the nodes that a CPU is near to, the one with the fewest CPUs, and of equals the one with
 * the lowest id. Firmware numbers ordinary memory before what is attached beside it (HBM, CXL), whose set of near CPUs is
 * the same or larger. */
static int home_of_pu(const struct loader *l, hwloc_obj_t pu) {
        int best = -1, best_weight = 0;
        for (hwloc_obj_t o = next_node(l, NULL); o; o = next_node(l, o)) {
                if (!o->cpuset || !hwloc_bitmap_isset(o->cpuset, pu->os_index))
                        continue;
                int weight = hwloc_bitmap_weight(o->cpuset);
                if (best < 0 || weight < best_weight || (weight == best_weight && (int) o->os_index < best)) {
                        best = (int) o->os_index;
                        best_weight = weight;
                }
        }
        return best;
}

/* What the kernel says. False where it has no node directories (a kernel without NUMA). */
static bool assign_cpus_from_sysfs(struct loader *l) {
        struct topology *t = l->topology;
        bool any = false;
        if (l->sysfs_fd < 0)
                return false;
        for (hwloc_obj_t o = next_node(l, NULL); o; o = next_node(l, o)) {
                char path[64];
                struct cpu_mask m;
                (void) snprintf(path, sizeof path, "sys/devices/system/node/node%u/cpulist", o->os_index);
                if (!loader_read_cpu_list(l, path, &m))
                        continue;
                any = true;
                CPU_MASK_FOREACH (cpu, &m)
                        if ((unsigned) cpu < t->n_cpu_ids && hwloc_get_pu_obj_by_os_index(l->hwloc, (unsigned) cpu))
                                t->node_of_cpu[cpu] = (int16_t) o->os_index;
        }
        return any;
}

static void assign_cpus(struct loader *l) {
        struct topology *t = l->topology;
        if (!assign_cpus_from_sysfs(l))
                for (hwloc_obj_t pu = next_pu(l, NULL); pu; pu = next_pu(l, pu))
                        t->node_of_cpu[pu->os_index] = (int16_t) home_of_pu(l, pu);
        for (unsigned cpu = 0; cpu < t->n_cpu_ids; cpu++)
                if (t->node_of_cpu[cpu] >= 0 && !cpu_mask_has(&l->isolated, cpu)) {
                        struct topology_node *n = &t->nodes[t->node_of_cpu[cpu]];
                        cpu_mask_add(&n->cpus, cpu);
                        n->n_cpus++;
                }
}

/* A core counts once for the node of its first usable CPU. CPUs that hwloc puts into no core (it does not know the
 * machine's caches and cores) count as a core each. */
static void count_cores(struct loader *l) {
        struct topology *t = l->topology;
        for (hwloc_obj_t pu = next_pu(l, NULL); pu; pu = next_pu(l, pu)) {
                int node = topology_node_of_cpu(t, pu->os_index);
                if (node < 0 || !cpu_mask_has(&t->nodes[node].cpus, pu->os_index))
                        continue;
                hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(l->hwloc, HWLOC_OBJ_CORE, pu);
                bool counted = false;
                for (int cpu = -1; core && (cpu = hwloc_bitmap_next(core->cpuset, cpu)) >= 0 && cpu < (int) pu->os_index;)
                        counted = counted || cpu_mask_has(&t->nodes[node].cpus, (unsigned) cpu);
                if (!counted)
                        t->nodes[node].n_cores++;
        }
}

static int fill(struct loader *l) {
        int r = make_empty(l);
        if (r < 0)
                return r;
        l->topology->of_this_kernel = l->host_sysfs && l->host->live;
        load_isolated(l);
        assign_cpus(l);
        count_cores(l);
        load_distances(l);
        r = load_memory_attributes(l);
        if (r == 0)
                r = load_devices(l);
        if (r < 0)
                return r;
        const char *why;
        return topology_validate(l->topology, &why);
}

int topology_load(const struct host *h, struct topology **ret) {
        bool from_file = env_given("HWLOC_XMLFILE") || env_given("HWLOC_SYNTHETIC");
        _cleanup_(hwloc_topology_freep) hwloc_topology_t hwloc = NULL;
        int r = hwloc_look(h, from_file, &hwloc);
        if (r < 0)
                return r;
        struct loader l = { .host = h, .hwloc = hwloc };
        r = open_sysfs_root(&l, from_file);
        if (r == 0)
                r = fill(&l);
        if (l.own_sysfs_fd)
                (void) close(l.sysfs_fd);
        if (r < 0) {
                topology_free(l.topology);
                return r;
        }
        *ret = l.topology;
        return 0;
}

/* What else hwloc knows (names, serial numbers, addresses) is in elements of their own, which nothing here reads. */
static void drop_infos(char *xml) {
        char *out = xml;
        for (char *in = xml; *in;) {
                const char *end = strncmp(in, "<info ", 6) == 0 ? strstr(in, "/>") : NULL;
                if (end)
                        in += end - in + 2;
                else
                        *out++ = *in++;
        }
        *out = 0;
}

int topology_export(const struct host *h, char **ret) {
        _cleanup_(hwloc_topology_freep) hwloc_topology_t hwloc = NULL;
        int r = hwloc_look(h, env_given("HWLOC_XMLFILE") || env_given("HWLOC_SYNTHETIC"), &hwloc);
        if (r < 0)
                return r;
        char *xml = NULL;
        int size = 0;
        if (hwloc_topology_export_xmlbuffer(hwloc, &xml, &size, 0) < 0)
                return errno > 0 ? -errno : -EIO;
        char *copy = strndup(xml, (size_t) MAX2(size, 0));
        hwloc_free_xmlbuffer(hwloc, xml);
        if (!copy)
                return -ENOMEM;
        drop_infos(copy);
        *ret = copy;
        return 0;
}
