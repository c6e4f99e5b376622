/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What values of a scenario look like that no configuration has: names of services, CPUs in parts, hours of the day, a moment of the week. */
#include "sim/scenario-fields.h"

#include <string.h>

#include "sim/scenario-file.h"

int field_text(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        const char *text;
        int r = scalar(f, k, v, "a text", &text);
        if (r < 0)
                return r;
        if (!*text || strlen(text) > 200 || strpbrk(text, "/\n"))
                return wrong_text(f, k, v, "is no such name", "1 to 200 characters without a slash");
        char *copy = strdup(text);
        if (!copy)
                return -ENOMEM;
        free(*(char **) field);
        *(char **) field = copy;
        return 0;
}

int field_cpus(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        static const char expected[] = "a number of CPUs from 0 to 8192, such as 4 or 0.25";
        const char *text;
        uint64_t whole, part = 0;
        int r = scalar(f, k, v, expected, &text);
        if (r < 0)
                return r;
        const char *dot = strchr(text, '.');
        size_t digits = dot ? strlen(dot + 1) : 0;
        _cleanup_free_ char *head = strndup(text, dot ? (size_t) (dot - text) : strlen(text));
        if (!head)
                return -ENOMEM;
        if (parse_u64(head, &whole) < 0 || digits > 3 || (dot && parse_u64(dot + 1, &part) < 0) || whole > CPU_ID_MAX + 1)
                return wrong_text(f, k, v, "is no number of CPUs", expected);
        double scale = digits == 1 ? 10 : digits == 2 ? 100 : 1000;
        *(double *) field = (double) whole + (double) part / scale;
        return 0;
}

static int parse_hour(const char *text, size_t n, unsigned *ret) {
        char digits[3] = { 0 };
        if (n < 1 || n > 2)
                return -EINVAL;
        memcpy(digits, text, n);
        return parse_uint(digits, ret) < 0 || *ret > 24 ? -EINVAL : 0;
}

int field_hours(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        static const char expected[] = "a mapping of hours, such as {\"08-18\": 100%, \"18-08\": 10%}";
        static const struct range range = { .min = 0, .max = 1000, .text = "0% to 100%" };
        struct sim_hours *hours = field;
        if (v->kind != VALUE_MAPPING)
                return wrong_kind(f, k, v, expected);
        for (unsigned h = 0; h < 24; h++)
                hours->permille[h] = 1000;
        hours->given = true;
        for (const struct value *key = v->first; key; key = key->next->next) {
                unsigned from, to, permille;
                const char *text, *dash;
                int r = scalar(f, k, key, expected, &text);
                if (r < 0)
                        return r;
                dash = strchr(text, '-');
                if (!dash || parse_hour(text, (size_t) (dash - text), &from) < 0 ||
                    parse_hour(dash + 1, strlen(dash + 1), &to) < 0 || from == to)
                        return wrong_text(f, k, key, "is no span of hours", expected);
                const struct key percent = { .name = k->name, .data = &range };
                r = field_percent(f, &percent, key->next, &permille);
                if (r < 0)
                        return r;
                for (unsigned h = from % 24;; h = (h + 1) % 24) {
                        hours->permille[h] = permille;
                        if ((h + 1) % 24 == to % 24)
                                break;
                }
        }
        return 0;
}

int field_week_minute(struct config_file *f, const struct key *k, const struct value *v, void *field) {
        static const char expected[] = "a day and a time, such as \"Mon 08:00\"";
        struct week_window windows[7];
        const char *text, *why;
        size_t n;
        int r = scalar(f, k, v, expected, &text);
        if (r < 0)
                return r;
        _cleanup_free_ char *window = format_string("%s-24:00", text);
        if (!window)
                return -ENOMEM;
        if (strlen(text) != strlen("Mon 08:00") || parse_window(window, windows, &n, &why) < 0 || n != 1)
                return wrong_text(f, k, v, "is no moment of the week", expected);
        *(unsigned *) field = windows[0].start_minute;
        return 0;
}
