/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmocka with the headers it expects before it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
