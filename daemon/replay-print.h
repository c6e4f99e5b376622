/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numabalanced --once --root DIR, where DIR is what numabalancectl capture took. */
#pragma once

#include "capture/replay.h"

/* Decides again and prints: with `json` (pretty or short) just as the capture's own capture/plan.json has it, else for people. Returns the exit status. */
int replay_print(const char *root, const char *config_file, const char *json);
