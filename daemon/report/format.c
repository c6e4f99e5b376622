/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers and node sets in the form that people read. */
#include "report/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *format_bytes(char buffer[static FORMAT_NUMBER_MAX], uint64_t bytes) {
        static const char units[] = "BKMGTPE";
        size_t unit = 0;
        uint64_t whole = bytes, rest = 0; /* rest: in 1/1024 of the unit */
        while (whole >= 1024) {
                rest = whole & 1023;
                whole >>= 10;
                unit++;
        }
        if (unit == 0 || whole >= 100) {
                whole += rest >= 512;
                rest = 0;
        }
        uint64_t tenths = (rest * 10 + 512) >> 10;
        whole += tenths / 10;
        tenths %= 10;
        if (whole == 1024) { /* rounded up to the next unit: 1.0G, not 1024M */
                whole = 1;
                unit++;
        }
        if (unit == 0 || whole >= 100)
                (void) snprintf(buffer, FORMAT_NUMBER_MAX, "%" PRIu64 "%c", whole, units[unit]);
        else
                (void) snprintf(buffer, FORMAT_NUMBER_MAX, "%" PRIu64 ".%" PRIu64 "%c", whole, tenths, units[unit]);
        return buffer;
}

const char *format_usec(char buffer[static FORMAT_NUMBER_MAX], uint64_t usec) {
        static const struct {
                uint64_t usec;
                const char *name;
        } units[] = {
                { 24 * 60 * USEC_PER_MINUTE, "d" },
                { 60 * USEC_PER_MINUTE, "h" },
                { USEC_PER_MINUTE, "min" },
                { USEC_PER_SEC, "s" },
        };
        if (usec < USEC_PER_MSEC)
                (void) snprintf(buffer, FORMAT_NUMBER_MAX, "%" PRIu64 "us", usec);
        else if (usec < USEC_PER_SEC) {
                uint64_t msec = usec / USEC_PER_MSEC;
                (void) snprintf(buffer, FORMAT_NUMBER_MAX, "%" PRIu64 "ms", msec);
        } else if (usec < USEC_PER_MINUTE) {
                uint64_t sec = usec / USEC_PER_SEC, tenths = usec % USEC_PER_SEC / (USEC_PER_SEC / 10);
                if (tenths == 0)
                        (void) snprintf(buffer, FORMAT_NUMBER_MAX, "%" PRIu64 "s", sec);
                else
                        (void) snprintf(buffer, FORMAT_NUMBER_MAX, "%" PRIu64 ".%" PRIu64 "s", sec, tenths);
        } else {
                size_t i = 0;
                while (usec < units[i].usec)
                        i++;
                uint64_t large = usec / units[i].usec, small = usec % units[i].usec / units[i + 1].usec;
                if (small == 0)
                        (void) snprintf(buffer, FORMAT_NUMBER_MAX, "%" PRIu64 "%s", large, units[i].name);
                else
                        (void) snprintf(buffer, FORMAT_NUMBER_MAX, "%" PRIu64 "%s %" PRIu64 "%s", large, units[i].name, small,
                                        units[i + 1].name);
        }
        return buffer;
}

char *format_nodes(const struct node_set *s) {
        unsigned n = node_set_count(s);
        if (n == 0)
                return format_string("no node");
        _cleanup_free_ char *list = node_set_format(s);
        return list ? format_string("%s %s", n == 1 ? "node" : "nodes", list) : NULL;
}
