/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scenario.h"
const struct scenario scenarios_life[] = { { 0 } };
