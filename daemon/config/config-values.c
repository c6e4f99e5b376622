/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text → number, for everything that has a unit. Pure. */
#include <string.h>
#include <strings.h>

#include "config/config-private.h"

static const char *skip_spaces(const char *s) {
        return s + strspn(s, " ");
}

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

/* "1", "1.5", "0.125" → thousandths; moves `*s` behind it. */
static int take_number(const char **s, uint64_t *ret_thousandths, const char **ret_why) {
        const char *p = *s;
        uint64_t value = 0;
        bool overflow = false;
        if (!is_digit(*p)) {
                *ret_why = *p == '-' ? "is negative" : "is not a number with a unit";
                return -EINVAL;
        }
        for (; is_digit(*p); p++)
                overflow |= __builtin_mul_overflow(value, 10u, &value) ||
                            __builtin_add_overflow(value, (uint64_t) (*p - '0'), &value);
        overflow |= __builtin_mul_overflow(value, 1000u, &value);
        if (*p == '.') {
                uint64_t place = 100;
                if (!is_digit(*++p)) {
                        *ret_why = "has no digit after the point";
                        return -EINVAL;
                }
                for (; is_digit(*p); p++, place /= 10) {
                        if (place == 0) {
                                *ret_why = "has more than three digits after the point";
                                return -EINVAL;
                        }
                        overflow |= __builtin_add_overflow(value, place * (uint64_t) (*p - '0'), &value);
                }
        }
        if (overflow) {
                *ret_why = "is too large a number";
                return -ERANGE;
        }
        *s = p;
        *ret_thousandths = value;
        return 0;
}

struct unit {
        const char *name;
        uint64_t factor;
};

/* The unit at `*s`, which must end where no further letter follows. */
static const struct unit *take_unit(const char **s, const struct unit *units, size_t n_units) {
        size_t n = strspn(*s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
        for (size_t i = 0; i < n_units; i++)
                if (strlen(units[i].name) == n && strncmp(*s, units[i].name, n) == 0) {
                        *s += n;
                        return &units[i];
                }
        return NULL;
}

static int scale(uint64_t thousandths, uint64_t factor, uint64_t *ret, const char **ret_why) {
        unsigned __int128 value = (unsigned __int128) thousandths * factor / 1000;
        if (value > UINT64_MAX) {
                *ret_why = "is too large a number";
                return -ERANGE;
        }
        *ret = (uint64_t) value;
        return 0;
}

static const struct unit duration_units[] = {
        { "d", 24 * 60 * USEC_PER_MINUTE },
        { "h", 60 * USEC_PER_MINUTE },
        { "min", USEC_PER_MINUTE },
        { "s", USEC_PER_SEC },
        { "ms", USEC_PER_MSEC },
        { "us", 1 },
};

int parse_duration(const char *text, uint64_t *ret_usec, const char **ret_why) {
        uint64_t total = 0;
        if (strcmp(text, "0") == 0) {
                *ret_usec = 0;
                return 0;
        }
        const char *s = text;
        do {
                uint64_t thousandths, part;
                int r = take_number(&s, &thousandths, ret_why);
                if (r < 0)
                        return r;
                s = skip_spaces(s);
                if (!*s || is_digit(*s)) {
                        *ret_why = "has no unit";
                        return -EINVAL;
                }
                const struct unit *u = take_unit(&s, duration_units, ARRAY_SIZE(duration_units));
                if (!u) {
                        *ret_why = "has an unknown unit";
                        return -EINVAL;
                }
                r = scale(thousandths, u->factor, &part, ret_why);
                if (r < 0)
                        return r;
                if (__builtin_add_overflow(total, part, &total)) {
                        *ret_why = "is too large a number";
                        return -ERANGE;
                }
                s = skip_spaces(s);
        } while (*s);
        *ret_usec = total;
        return 0;
}

char *format_duration(uint64_t usec) {
        for (size_t i = 0; i < ARRAY_SIZE(duration_units); i++)
                if (usec >= duration_units[i].factor && usec % duration_units[i].factor == 0)
                        return format_string("%llu%s", (unsigned long long) (usec / duration_units[i].factor),
                                             duration_units[i].name);
        return format_string("0");
}

static const struct unit size_units[] = {
        { "", 1 },           { "B", 1 },
        { "K", 1ULL << 10 }, { "KiB", 1ULL << 10 },
        { "M", 1ULL << 20 }, { "MiB", 1ULL << 20 },
        { "G", 1ULL << 30 }, { "GiB", 1ULL << 30 },
        { "T", 1ULL << 40 }, { "TiB", 1ULL << 40 },
};

static int take_size(const char **s, uint64_t *ret_bytes, const char **ret_why) {
        uint64_t thousandths;
        int r = take_number(s, &thousandths, ret_why);
        if (r < 0)
                return r;
        *s = skip_spaces(*s);
        const struct unit *u = take_unit(s, size_units, ARRAY_SIZE(size_units));
        if (!u) {
                *ret_why = "has an unknown unit";
                return -EINVAL;
        }
        return scale(thousandths, u->factor, ret_bytes, ret_why);
}

int parse_size(const char *text, uint64_t *ret_bytes, const char **ret_why) {
        uint64_t bytes;
        int r = take_size(&text, &bytes, ret_why);
        if (r < 0)
                return r;
        if (*text) {
                *ret_why = "has text behind the size";
                return -EINVAL;
        }
        *ret_bytes = bytes;
        return 0;
}

int parse_rate(const char *text, uint64_t *ret_bytes_per_sec, const char **ret_why) {
        uint64_t bytes;
        int r = take_size(&text, &bytes, ret_why);
        if (r < 0)
                return r;
        if (*text && strcmp(text, "/s") != 0) {
                *ret_why = "has text behind the rate";
                return -EINVAL;
        }
        *ret_bytes_per_sec = bytes;
        return 0;
}

int parse_percent(const char *text, unsigned *ret_permille, const char **ret_why) {
        uint64_t thousandths;
        int r = take_number(&text, &thousandths, ret_why);
        if (r < 0)
                return r;
        if (strcmp(text, "%") != 0) {
                *ret_why = *text ? "has text behind the number that is not one %" : "has no percent sign";
                return -EINVAL;
        }
        if (thousandths % 100 != 0) {
                *ret_why = "is finer than a tenth of a percent";
                return -EINVAL;
        }
        if (thousandths / 100 > 1000) {
                *ret_why = "is more than the whole";
                return -ERANGE;
        }
        *ret_permille = (unsigned) (thousandths / 100);
        return 0;
}

int parse_boolean(const char *text, bool *ret, const char **ret_why) {
        static const struct {
                const char *word;
                bool value;
        } words[] = { { "true", true }, { "yes", true }, { "on", true }, { "false", false }, { "no", false }, { "off", false } };
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (strcasecmp(text, words[i].word) == 0) {
                        *ret = words[i].value;
                        return 0;
                }
        *ret_why = "is neither true nor false";
        return -EINVAL;
}

/* "Mon", "monday" → 0 … 6; moves `*s` behind it. */
static int take_day(const char **s) {
        static const char *const days[] = { "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday" };
        size_t n = strspn(*s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
        for (int i = 0; i < 7; i++)
                if ((n == 3 || n == strlen(days[i])) && strncasecmp(*s, days[i], n) == 0) {
                        *s += n;
                        return i;
                }
        return -EINVAL;
}

/* "Mon..Fri,Sun" → a bit for each day. A range may go past Sunday. */
static int take_days(const char **s, unsigned *ret) {
        unsigned days = 0;
        for (;; (*s)++) {
                int from = take_day(s);
                if (from < 0)
                        return from;
                int to = from;
                if (strncmp(*s, "..", 2) == 0) {
                        *s += 2;
                        to = take_day(s);
                        if (to < 0)
                                return to;
                }
                for (int day = from;; day = (day + 1) % 7) {
                        days |= 1u << day;
                        if (day == to)
                                break;
                }
                if (**s != ',')
                        break;
        }
        *ret = days;
        return 0;
}

/* "22:00" → minutes of the day; up to 24:00. */
static int take_time(const char **s, unsigned *ret) {
        const char *p = *s;
        unsigned hour = 0, minute = 0, n;
        for (n = 0; n < 2 && is_digit(*p); n++)
                hour = hour * 10 + (unsigned) (*p++ - '0');
        if (n == 0 || *p++ != ':' || !is_digit(p[0]) || !is_digit(p[1]) || is_digit(p[2]))
                return -EINVAL;
        minute = (unsigned) (p[0] - '0') * 10 + (unsigned) (p[1] - '0');
        if (minute > 59 || hour * 60 + minute > 24 * 60)
                return -EINVAL;
        *s = p + 2;
        *ret = hour * 60 + minute;
        return 0;
}

int parse_window(const char *text, struct week_window ret[7], size_t *ret_n, const char **ret_why) {
        const char *s = text;
        unsigned days = 0x7f, start, end;
        if (!is_digit(*s)) {
                if (take_days(&s, &days) < 0) {
                        *ret_why = "has an unknown day";
                        return -EINVAL;
                }
                const char *after = skip_spaces(s);
                if (!*after) {
                        *ret_why = "has no time";
                        return -EINVAL;
                }
                if (after == s) {
                        *ret_why = "has unknown text behind the days";
                        return -EINVAL;
                }
                s = after;
        }
        if (take_time(&s, &start) < 0 || *s++ != '-' || take_time(&s, &end) < 0 || *s) {
                *ret_why = "has no valid times of day";
                return -EINVAL;
        }
        if (start == end || start == 24 * 60) {
                *ret_why = "is an empty span of time";
                return -EINVAL;
        }
        size_t n = 0;
        for (unsigned day = 0; day < 7; day++)
                if (days & (1u << day)) {
                        unsigned midnight = day * 24 * 60;
                        ret[n++] = (struct week_window) {
                                .start_minute = midnight + start,
                                .end_minute = midnight + end + (end <= start ? 24 * 60 : 0),
                        };
                }
        *ret_n = n;
        return 0;
}
