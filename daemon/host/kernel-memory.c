/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the kernel's balancing and demotion are set, and its tiers of memory (ABI/testing/sysfs-kernel-mm-memory-tiers; since Linux 6.1). For who asks: the
 * cycle reads what it needs by itself, kernel-balancing.c. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/util.h"
#include "host/io.h"
#include "host/kernel-balancing.h"

#define TIERS      "sys/devices/virtual/memory_tiering"
#define LIST_LIMIT (64 * KIB)

static void closedirp(DIR **d) {
        if (*d)
                (void) closedir(*d);
}

static int read_tier(const struct host *h, const char *name, struct memory_tier *ret) {
        _cleanup_free_ char *path = format_string(TIERS "/%s/nodelist", name), *text = NULL;
        unsigned id;
        if (!path)
                return -ENOMEM;
        if (strncmp(name, "memory_tier", 11) != 0 || parse_uint(name + 11, &id) < 0)
                return -ENOENT; /* "power", "uevent" */
        int r = read_file_at(h->root_fd, path, LIST_LIMIT, &text, NULL);
        if (r < 0)
                return r;
        ret->id = id;
        return node_set_parse(text, &ret->nodes);
}

/* Ascending; one more than there is room for is left out. */
static void add_tier(struct kernel_memory *k, const struct memory_tier *tier) {
        size_t at = k->n_tiers;
        if (k->n_tiers == MEMORY_TIERS_MAX)
                return;
        for (; at > 0 && k->tiers[at - 1].id > tier->id; at--)
                k->tiers[at] = k->tiers[at - 1];
        k->tiers[at] = *tier;
        k->n_tiers++;
}

static void read_tiers(const struct host *h, struct kernel_memory *k) {
        int fd = open_below(h->root_fd, TIERS, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        _cleanup_(closedirp) DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        if (!d && fd >= 0)
                (void) close(fd);
        for (const struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
                struct memory_tier tier;
                if (read_tier(h, e->d_name, &tier) >= 0)
                        add_tier(k, &tier);
        }
}

static bool is_there(const struct host *h, const char *path) {
        int fd = open_below(h->root_fd, path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0)
                (void) close(fd);
        return fd >= 0;
}

void kernel_memory_read(const struct host *h, struct kernel_memory *ret) {
        *ret = (struct kernel_memory) { .has_balancing = true };
        if (kernel_balancing_read(h, &ret->balancing) < 0) {
                ret->has_balancing = false;
                ret->balancing = 0;
        }
        ret->has_demotion = is_there(h, KERNEL_DEMOTION_FILE);
        ret->demotion = kernel_demotion_read(h);
        read_tiers(h, ret);
}
