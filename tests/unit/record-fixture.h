/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A record in a folder of its own, opened again as after a restart. */
#pragma once

#include <stdio.h>

#include "act-fixture.h"
#include "act/record.h"

static struct fixture fx;
static char path[128], temporary[160], bad[160];

static int setup(void **state) {
        fixture_new(&fx);
        (void) snprintf(path, sizeof(path), "%s/record.json", fx.path);
        (void) snprintf(temporary, sizeof(temporary), "%s.tmp", path);
        (void) snprintf(bad, sizeof(bad), "%s.bad", path);
        return 0;
}

static int teardown(void **state) {
        fixture_done(&fx);
        return 0;
}

static struct record *reopen(struct record *r) {
        struct record *again = NULL;
        record_free(r);
        assert_int_equal(record_open(path, &again), 0);
        return again;
}
