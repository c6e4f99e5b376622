/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's address on the system bus. The interface is versioned by its name: an incompatible change gets Manager2. */
#pragma once

#define BUS_NAME      "org.numabalanced"
#define BUS_PATH      "/org/numabalanced"
#define BUS_INTERFACE "org.numabalanced.Manager1"

/* Errors of the methods, beside those of D-Bus itself. */
#define BUS_ERROR_NO_SUCH_UNIT          "org.numabalanced.Error.NoSuchUnit"
#define BUS_ERROR_INVALID_CONFIGURATION "org.numabalanced.Error.InvalidConfiguration"
#define BUS_ERROR_BUSY                  "org.numabalanced.Error.Busy"
#define BUS_ERROR_TOO_LARGE             "org.numabalanced.Error.TooLarge"
