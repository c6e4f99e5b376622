/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The operations on this machine: cpusets by the road that the cgroup's owner prescribes, pages by move_pages(2). */
#include <errno.h>
#include <numaif.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/queue.h>
#include <sys/utsname.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "act/cgroupfs.h"
#include "act/cpuset-jobs.h"
#include "act/kernel-balancing-write.h"
#include "act/ops.h"
#include "act/systemd-units.h"
#include "act/waiting.h"
#include "core/util.h"
#include "host/kernel-balancing.h"

struct later;
LIST_HEAD(later_list, later);

struct real {
        const struct host *host;
        struct act_real_options options;
        struct unit_change_list unit_changes;
        struct later_list laters;
        struct cpuset_jobs jobs;
};

/* cpusets */

static int real_get_cpuset(void *context, const struct target *t, struct cpuset_state *ret) {
        const struct real *real = context;
        return cgroupfs_get_cpuset(real->host, t->cgroup, ret);
}

static int real_set_cpuset(void *context, const struct target *t, const struct cpuset_change *c, ops_done done, void *userdata) {
        struct real *real = context;
        if (!real->host->live)
                return -EROFS;
        switch (t->owner) {
        case OWNER_SYSTEMD:
                if (!real->options.bus)
                        return -ENOTCONN;
                return cpuset_jobs_begin(&real->jobs, t, c, done, userdata);
        case OWNER_CGROUPFS: return cpuset_jobs_begin(&real->jobs, t, c, done, userdata);
        default: return -EOPNOTSUPP;
        }
}

/* Pages */

static long real_move_pages(void *context, pid_t pid, size_t n, void *const *addresses, const int *nodes, bool all, int *status) {
        const struct real *real = context;
        if (!real->host->live)
                return -EROFS;
        long r = move_pages(pid, n, (void **) addresses, nodes, status, all ? MPOL_MF_MOVE_ALL : MPOL_MF_MOVE);
        return r < 0 ? -errno : r;
}

/* The kernel's own balancing */

static int real_get_kernel_balancing(void *context, unsigned *ret) {
        const struct real *real = context;
        return kernel_balancing_read(real->host, ret);
}

/* Writing it takes CAP_SYS_ADMIN and a /proc/sys that is not read-only. The shipped unit has neither: a unit of its own, which has nothing else, writes it. */
static int real_set_kernel_balancing(void *context, unsigned mode, ops_done done, void *userdata) {
        struct real *real = context;
        if (!real->host->live)
                return -EROFS;
        int r = kernel_balancing_write(real->host, mode);
        if (r != -EPERM && r != -EACCES && r != -EROFS) {
                if (r >= 0)
                        done(0, userdata);
                return r;
        }
        if (!real->options.bus)
                return r;
        _cleanup_free_ char *unit = format_string(KERNEL_BALANCING_UNIT, mode);
        return unit ? systemd_start_unit(real->options.bus, &real->unit_changes, unit, done, userdata) : -ENOMEM;
}

/* PAGEMAP_SCAN, which the C library's headers may not have yet (kernel: include/uapi/linux/fs.h) */
struct scan_region {
        uint64_t start, end, categories;
};

struct scan_argument {
        uint64_t size, flags, start, end, walk_end, regions, n_regions, max_pages;
        uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN_PAGES   _IOWR('f', 16, struct scan_argument)
#define SCAN_PRESENT (UINT64_C(1) << 3)
#define SCAN_ZERO    (UINT64_C(1) << 5)
#define SCAN_HUGE    (UINT64_C(1) << 6)
#define SCAN_REGIONS 128u

static long real_scan_pages(void *context, pid_t pid, int pagemap_fd, uint64_t start, uint64_t end, struct page_stretch *ret,
                            size_t n_max, uint64_t *ret_end) {
        struct scan_region regions[SCAN_REGIONS];
        struct scan_argument a = {
                .size = sizeof(a),
                .start = start,
                .end = end,
                .regions = (uint64_t) (uintptr_t) regions,
                .n_regions = MIN2(n_max, (size_t) SCAN_REGIONS),
                .category_inverted = SCAN_ZERO,
                .category_mask = SCAN_PRESENT | SCAN_ZERO,
                .return_mask = SCAN_PRESENT | SCAN_HUGE,
        };
        long n;
        do
                n = ioctl(pagemap_fd, SCAN_PAGES, &a);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == EINVAL || errno == EOPNOTSUPP ? -ENOTTY : -errno;
        for (long i = 0; i < n; i++)
                ret[i] = (struct page_stretch) { regions[i].start, regions[i].end, regions[i].categories & SCAN_HUGE };
        *ret_end = MAX2(a.walk_end, start);
        return n;
}

/* Time */

struct later {
        LIST_ENTRY(later) entry;
        sd_event_source *timer;
        ops_later callback;
        void *userdata;
};

static struct later *later_free(struct later *l) {
        LIST_REMOVE(l, entry);
        sd_event_source_disable_unref(l->timer);
        free(l);
        return NULL;
}

static int on_later(sd_event_source *source, uint64_t usec, void *userdata) {
        struct later *l = userdata;
        ops_later callback = l->callback;
        void *callback_userdata = l->userdata;
        later_free(l);
        callback(callback_userdata);
        return 0;
}

static int real_call_later(void *context, uint64_t delay_usec, ops_later callback, void *userdata) {
        struct real *real = context;
        if (!real->options.event)
                return -EOPNOTSUPP;
        struct later *l = malloc(sizeof(*l));
        if (!l)
                return -ENOMEM;
        *l = (struct later) { .callback = callback, .userdata = userdata };
        int r = sd_event_add_time_relative(real->options.event, &l->timer, CLOCK_MONOTONIC, delay_usec, 5 * USEC_PER_MSEC,
                                           on_later, l);
        if (r < 0) {
                free(l);
                return r;
        }
        LIST_INSERT_HEAD(&real->laters, l, entry);
        return 0;
}

static const struct act_ops real_ops = {
        .name = "real",
        .get_cpuset = real_get_cpuset,
        .set_cpuset = real_set_cpuset,
        .move_pages = real_move_pages,
        .get_kernel_balancing = real_get_kernel_balancing,
        .set_kernel_balancing = real_set_kernel_balancing,
        .scan_pages = real_scan_pages,
        .call_later = real_call_later,
};

int act_real_new_with(const struct host *h, const struct act_real_options *options, struct act *ret) {
        struct real *real = calloc(1, sizeof(*real));
        if (!real)
                return -ENOMEM;
        real->host = h;
        real->options = *options;
        if (!real->options.event && options->bus)
                real->options.event = sd_bus_get_event(options->bus);
        LIST_INIT(&real->unit_changes.open);
        real->unit_changes.limit_usec = options->answer_limit_usec;
        LIST_INIT(&real->laters);
        struct utsname name;
        real->jobs.host = h;
        real->jobs.options = &real->options;
        real->jobs.unit_changes = &real->unit_changes;
        cpuset_jobs_init(&real->jobs);
        real->jobs.enabling_waits = uname(&name) == 0 && enabling_cpuset_waits(name.release);
        *ret = (struct act) { .ops = &real_ops, .context = real };
        return 0;
}

int act_real_new(const struct host *h, struct sd_bus *bus, struct act *ret) {
        return act_real_new_with(h, &(struct act_real_options) { .bus = bus }, ret);
}

void act_real_done(struct act *a) {
        struct real *real = a->context;
        if (!real)
                return;
        systemd_abandon(&real->unit_changes);
        cpuset_jobs_done(&real->jobs);
        while (!LIST_EMPTY(&real->laters))
                later_free(LIST_FIRST(&real->laters));
        free(real);
        *a = (struct act) { 0 };
}
