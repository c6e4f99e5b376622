/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A manager that sets the kernel's own balancing on the made-up machine, and leaves. */
#pragma once

#include "manager-fixture.h"

static inline void start(enum balancing_setting setting, unsigned mode) {
        fx.balancing_setting = setting;
        fx.balancing = mode;
        fx_start_manager();
        fx_pass(30 * USEC_PER_SEC);
}

static inline void leave(void) {
        manager_begin_exit(fx.manager, 0);
        fx_pass(USEC_PER_SEC);
        fx.each.callback(fx.each.userdata);
}

static inline void assert_on_record(unsigned before) {
        assert_true(fx.manager->record->balancing_changed);
        assert_int_equal(fx.manager->record->balancing_before, before);
}

static inline void assert_given_back(unsigned mode) {
        assert_int_equal(fx.balancing, mode);
        assert_false(fx.manager->record->balancing_changed);
        assert_int_equal(fx.manager->n_restoring, 0);
}

static inline void assert_described(const char *expected) {
        _cleanup_free_ char *text = manager_balancing_describe(fx.manager);
        assert_string_equal(text, expected);
}

/* Killed when it was on record what the mode had been and what it was to be, and not yet changed; and started again. */
static inline void start_after_a_kill_before_the_change(enum balancing_setting setting, unsigned mode, unsigned to) {
        fx.lose_balancing = true;
        start(setting, mode);
        fx.lose_balancing = false;
        fx_stop_manager();
        fx_connect();
        struct record *r = NULL;
        _cleanup_free_ char *path = format_string("%s/record.json", fx.directory);
        assert_int_equal(record_open(path, &r), 0);
        assert_int_equal(record_before_balancing(r, mode, to), 0);
        record_free(r);
        fx_start_manager();
        fx_pass(30 * USEC_PER_SEC);
        assert_int_equal(fx.balancing, to);
        assert_on_record(mode);
}
