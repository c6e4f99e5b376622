/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Setting kernel.numa_balancing (sysctl(8); the kernel asks for CAP_SYS_ADMIN). */
#pragma once

#include "host/host.h"

/* The unit that does it for a daemon that may not, by the value. */
#define KERNEL_BALANCING_UNIT "numabalanced-kernel-balancing@%u.service"

/* Returns 0 or negative errno: -EROFS, -EACCES, -EPERM where this process may not. */
int kernel_balancing_write(const struct host *h, unsigned mode);
