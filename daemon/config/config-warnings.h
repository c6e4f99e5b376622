/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is no error in a configuration, and will not do what it says on this machine as it is. */
#pragma once

#include "config/config-load.h"
#include "core/kernel-memory.h"

/* Rules whose moves the kernel's own balancing would undo: "FILE:LINE:COLUMN: warning: what happens; write …", one line each, in the order of the
 * rules. None where the configuration switches it off, or where a rule says that it is to be overridden. `kernel`: as set when this configuration is in
 * force. Adds to `warnings`; 0 or -ENOMEM. */
int config_warn_kernel(const struct config *c, const struct topology *t, const struct kernel_memory *kernel,
                       struct config_errors *warnings);
