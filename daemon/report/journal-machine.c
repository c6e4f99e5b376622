/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What happened to the machine or the daemon as a whole, each in one entry. */
#include "report/entry.h"
#include "report/journal.h"
#include "report/message-ids.h"

void journal_kernel_balancing(unsigned before, unsigned now, const char *why) {
        struct log_entry e;
        log_entry_begin(&e, LOG_NOTICE, MESSAGE_ID_KERNEL_BALANCING);
        log_entry_put(&e, "KERNEL_BALANCING_BEFORE", "%u", before);
        log_entry_put(&e, "KERNEL_BALANCING", "%u", now);
        log_entry_put(&e, "REASON", "%s", why);
        log_entry_say(&e, "kernel.numa_balancing was %u and is %u now (%s)", before, now, why);
        log_entry_send(&e);
}

void journal_kernel_balancing_meets(unsigned mode, const char *rules) {
        struct log_entry e;
        log_entry_begin(&e, LOG_NOTICE, MESSAGE_ID_KERNEL_BALANCING);
        log_entry_put(&e, "KERNEL_BALANCING", "%u", mode);
        log_entry_put(&e, "REASON", "rules %s", rules);
        log_entry_say(
                &e,
                "The kernel's own balancing is on (kernel.numa_balancing=%u) and brings pages to the threads that use them, "
                "also what is placed by: %s",
                mode, rules);
        log_entry_send(&e);
}

void journal_limitation(const char *what) {
        struct log_entry e;
        log_entry_begin(&e, LOG_NOTICE, MESSAGE_ID_LIMITATION);
        log_entry_put(&e, "REASON", "%s", what);
        log_entry_say(&e, "This machine has its limits: %s", what);
        log_entry_send(&e);
}

void journal_config_loaded(const char *what, unsigned n_rules) {
        struct log_entry e;
        log_entry_begin(&e, LOG_INFO, MESSAGE_ID_CONFIG_LOADED);
        log_entry_put(&e, "NUMABALANCED_CONFIG", "%s", what);
        log_entry_put(&e, "N_RULES", "%u", n_rules);
        log_entry_say(&e, "Read %s: %u %s", what, n_rules, n_rules == 1 ? "rule" : "rules");
        log_entry_send(&e);
}

void journal_config_rejected(const char *what, const char *const *lines, unsigned n_lines) {
        struct log_entry e;
        log_entry_begin(&e, LOG_ERR, MESSAGE_ID_CONFIG_REJECTED);
        log_entry_put(&e, "NUMABALANCED_CONFIG", "%s", what);
        log_entry_put(&e, "N_ERRORS", "%u", n_lines);
        log_entry_say(&e, "The configuration has errors, nothing of it is applied: %s", what);
        for (unsigned i = 0; i < n_lines; i++) {
                log_entry_break(&e);
                log_entry_say(&e, "%s", lines[i]);
        }
        log_entry_send(&e);
}
