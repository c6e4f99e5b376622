/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices and the nodes closest to them, for place: near. hwloc hangs each below the part of the machine that it is attached to. */
#include "host/topology-load.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/util.h"
#include "host/io.h"

#define DEVICES_MAX  16384u
#define NAME_MAX_LEN 128u /* the kernel's own names are shorter; in a file anything can stand */

/* "pci/DDDD:BB:DD.F", "net/NAME", "block/NAME"; NULL for other kinds, or when memory ran out. */
static char *device_name(hwloc_obj_t o) {
        if (o->type == HWLOC_OBJ_PCI_DEVICE) {
                const struct hwloc_pcidev_attr_s *p = &o->attr->pcidev;
                return format_string("pci/%04x:%02x:%02x.%x", (unsigned) p->domain, (unsigned) p->bus, (unsigned) p->dev,
                                     (unsigned) p->func);
        }
        const char *kind = o->attr->osdev.type == HWLOC_OBJ_OSDEV_NETWORK ? "net"
                           : o->attr->osdev.type == HWLOC_OBJ_OSDEV_BLOCK ? "block"
                                                                          : NULL;
        return kind ? format_string("%s/%s", kind, o->name) : NULL;
}

static bool is_nameable(hwloc_obj_t o) {
        if (o->type == HWLOC_OBJ_PCI_DEVICE)
                return true;
        /* hwloc's block devices are disks, and memory that is shown as a disk. */
        bool known = o->attr->osdev.type == HWLOC_OBJ_OSDEV_NETWORK || o->attr->osdev.type == HWLOC_OBJ_OSDEV_BLOCK;
        return known && o->name && *o->name && strlen(o->name) <= NAME_MAX_LEN;
}

/* The node in a numa_node file; -1: the firmware has not told, or there is no such file. */
static int read_numa_node(const struct loader *l, const char *path) {
        char text[32];
        unsigned node;
        if (l->sysfs_fd < 0 || read_small_file_at(l->sysfs_fd, path, text, sizeof text) < 0)
                return -1;
        text[strcspn(text, "\n")] = 0;
        return parse_uint(text, &node) == 0 && node < l->topology->n_ids && l->topology->nodes[node].present ? (int) node : -1;
}

/* What sysfs says of the device, or of the PCI device that it belongs to. */
static int told_node(const struct loader *l, hwloc_obj_t o) {
        char path[PATH_MAX];
        if (o->type == HWLOC_OBJ_OS_DEVICE) {
                const char *class = o->attr->osdev.type == HWLOC_OBJ_OSDEV_NETWORK ? "net" : "block";
                if (strchr(o->name, '/'))
                        return -1;
                (void) snprintf(path, sizeof path, "sys/class/%s/%s/device/numa_node", class, o->name);
                int node = read_numa_node(l, path);
                if (node >= 0)
                        return node;
        }
        while (o && o->type != HWLOC_OBJ_PCI_DEVICE)
                o = o->type == HWLOC_OBJ_OS_DEVICE || o->type == HWLOC_OBJ_BRIDGE ? o->parent : NULL;
        if (!o)
                return -1;
        const struct hwloc_pcidev_attr_s *p = &o->attr->pcidev;
        (void) snprintf(path, sizeof path, "sys/bus/pci/devices/%04x:%02x:%02x.%x/numa_node", (unsigned) p->domain,
                        (unsigned) p->bus, (unsigned) p->dev, (unsigned) p->func);
        return read_numa_node(l, path);
}

/* What the firmware says; or from a file the nodes of the part of the machine that it hangs below, those with CPUs before memory beside
 * them. The whole machine means that nothing is known, but on a machine with one node that is the closest. */
static struct node_set closest_nodes(const struct loader *l, hwloc_obj_t o) {
        const struct topology *t = l->topology;
        struct node_set near = { 0 }, all = topology_nodes(t), with_cpus = { 0 };
        if (node_set_count(&all) == 1)
                return all;
        int node = told_node(l, o);
        if (node >= 0)
                return node_set_of((unsigned) node);
        hwloc_obj_t host = hwloc_get_non_io_ancestor_obj(l->hwloc, o);
        while (host && host->nodeset && (node = hwloc_bitmap_next(host->nodeset, node)) >= 0)
                node_set_add(&near, (unsigned) node);
        near = node_set_intersect(&near, &all);
        if (node_set_equal(&near, &all))
                return with_cpus;
        for (unsigned cpu = 0; cpu < t->n_cpu_ids; cpu++) /* isolated ones too: it is about where things are */
                if (t->node_of_cpu[cpu] >= 0 && node_set_has(&near, (unsigned) t->node_of_cpu[cpu]))
                        node_set_add(&with_cpus, (unsigned) t->node_of_cpu[cpu]);
        return node_set_is_empty(&with_cpus) ? near : with_cpus;
}

static int add_devices(struct loader *l, hwloc_obj_type_t type, size_t *capacity) {
        struct topology *t = l->topology;
        for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(l->hwloc, type, o)) && t->n_devices < DEVICES_MAX;) {
                if (!is_nameable(o))
                        continue;
                char *name = device_name(o);
                if (!name || array_reserve(&t->devices, capacity, t->n_devices + 1, sizeof *t->devices) < 0) {
                        free(name);
                        return -ENOMEM;
                }
                t->devices[t->n_devices++] = (struct topology_device) { .name = name, .nodes = closest_nodes(l, o) };
        }
        return 0;
}

static int compare_devices(const void *a, const void *b) {
        return strcmp(((const struct topology_device *) a)->name, ((const struct topology_device *) b)->name);
}

/* A file can name a device twice. */
static void drop_duplicates(struct topology *t) {
        size_t kept = 0;
        for (size_t i = 0; i < t->n_devices; i++) {
                if (kept > 0 && compare_devices(&t->devices[kept - 1], &t->devices[i]) == 0) {
                        struct topology_device *first = &t->devices[kept - 1];
                        first->nodes = node_set_union(&first->nodes, &t->devices[i].nodes);
                        free(t->devices[i].name);
                        continue;
                }
                t->devices[kept++] = t->devices[i];
        }
        t->n_devices = kept;
}

int load_devices(struct loader *l) {
        struct topology *t = l->topology;
        size_t capacity = 0;
        int r = add_devices(l, HWLOC_OBJ_PCI_DEVICE, &capacity);
        if (r == 0)
                r = add_devices(l, HWLOC_OBJ_OS_DEVICE, &capacity);
        if (r < 0)
                return r;
        if (t->n_devices > 0)
                qsort(t->devices, t->n_devices, sizeof *t->devices, compare_devices);
        drop_duplicates(t);
        return 0;
}
