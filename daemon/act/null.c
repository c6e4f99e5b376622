/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The operations of a dry run: everything can be looked at, nothing changed. */
#include <errno.h>
#include <stdlib.h>

#include "act/ops.h"

static int null_get_cpuset(void *context, const struct target *t, struct cpuset_state *ret) {
        const struct act *inner = context;
        return inner->ops->get_cpuset(inner->context, t, ret);
}

static int null_set_cpuset(void *context, const struct target *t, const struct cpuset_change *c, ops_done done, void *userdata) {
        return -EROFS;
}

static long null_move_pages(void *context, pid_t pid, size_t n, void *const *addresses, const int *nodes, bool all, int *status) {
        const struct act *inner = context;
        return nodes ? -EROFS : inner->ops->move_pages(inner->context, pid, n, addresses, NULL, all, status);
}

static int null_get_kernel_balancing(void *context, unsigned *ret) {
        const struct act *inner = context;
        return inner->ops->get_kernel_balancing(inner->context, ret);
}

static int null_set_kernel_balancing(void *context, unsigned mode, ops_done done, void *userdata) {
        return -EROFS;
}

static long null_scan_pages(void *context, pid_t pid, int pagemap_fd, uint64_t start, uint64_t end, struct page_stretch *ret,
                            size_t n_max, uint64_t *ret_end) {
        const struct act *inner = context;
        return inner->ops->scan_pages ? inner->ops->scan_pages(inner->context, pid, pagemap_fd, start, end, ret, n_max, ret_end)
                                      : -ENOTTY;
}

static int null_call_later(void *context, uint64_t delay_usec, ops_later callback, void *userdata) {
        const struct act *inner = context;
        return inner->ops->call_later(inner->context, delay_usec, callback, userdata);
}

static const struct act_ops null_ops = {
        .name = "null",
        .get_cpuset = null_get_cpuset,
        .set_cpuset = null_set_cpuset,
        .move_pages = null_move_pages,
        .get_kernel_balancing = null_get_kernel_balancing,
        .set_kernel_balancing = null_set_kernel_balancing,
        .scan_pages = null_scan_pages,
        .call_later = null_call_later,
};

int act_null_new(const struct act *inner, struct act *ret) {
        struct act *copy = malloc(sizeof(*copy));
        if (!copy)
                return -ENOMEM;
        *copy = *inner;
        *ret = (struct act) { .ops = &null_ops, .context = copy };
        return 0;
}

void act_null_done(struct act *a) {
        free(a->context);
        *a = (struct act) { 0 };
}
