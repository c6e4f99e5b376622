/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the planner writes quantities. */
#include "core/plan-internal.h"

void text_bytes(struct strbuf *b, uint64_t bytes) {
        static const char units[] = { 'B', 'K', 'M', 'G', 'T', 'P', 'E' };
        double value = (double) bytes;
        size_t unit = 0;
        while (value >= 1023.5 && unit + 1 < sizeof units) {
                value /= 1024;
                unit++;
        }
        if (unit > 0 && value < 9.95)
                strbuf_printf(b, "%.1f%c", value, units[unit]);
        else
                strbuf_printf(b, "%.0f%c", value, units[unit]);
}

double told(double value) {
        return value > 0 && value < 1e9 ? (double) (int64_t) (value * 10000 + 0.5) / 10000 : value;
}

void text_nodes(struct strbuf *b, const struct node_set *nodes) {
        char *list = node_set_format(nodes);
        if (!list) {
                b->failed = true;
                return;
        }
        if (!*list)
                strbuf_append(b, "no node");
        else
                strbuf_printf(b, node_set_count(nodes) == 1 ? "node %s" : "nodes %s", list);
        free(list);
}

void text_duration(struct strbuf *b, uint64_t usec) {
        uint64_t seconds = usec / USEC_PER_SEC + (usec % USEC_PER_SEC > 0);
        if (seconds < 120)
                strbuf_printf(b, "%llus", (unsigned long long) seconds);
        else if (seconds < 2 * 3600)
                strbuf_printf(b, "%llumin", (unsigned long long) (seconds / 60));
        else
                strbuf_printf(b, "%lluh", (unsigned long long) (seconds / 3600));
}
