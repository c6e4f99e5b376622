/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "act/kernel-balancing-write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/kernel-balancing.h"

int kernel_balancing_write(const struct host *h, unsigned mode) {
        char text[16];
        int n = snprintf(text, sizeof(text), "%u\n", mode);
        int fd = openat(h->root_fd, KERNEL_BALANCING_FILE, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        ssize_t written = write(fd, text, (size_t) n);
        int r = written == n ? 0 : written < 0 ? -errno : -EIO;
        (void) close(fd);
        return r;
}
