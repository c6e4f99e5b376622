/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Patterns that can match nothing whatever runs: a rule with one would sit there and silently do nothing. Only what is
 * certain is refused. The language is that of fnmatch(3) with FNM_NOESCAPE: backslashes are ordinary characters. */
#include <string.h>

#include "config/config-private.h"

/* Units that are services here (host/cgroup-path.c). */
static const char *const unit_suffixes[] = { ".service", ".scope", ".slice" };
/* Others that have processes (a FUSE file system's): known by their cgroup alone. */
static const char *const other_suffixes[] = { ".socket", ".mount", ".swap" };
static const char *const slice_suffixes[] = { ".slice" };

/* TASK_COMM_LEN is 16 with the terminating NUL (linux/sched.h). */
#define COMM_BYTES_MAX 15u

static bool ends_with(const char *text, const char *end) {
        size_t n = strlen(text), m = strlen(end);
        return n >= m && strcmp(text + n - m, end) == 0;
}

/* The literal text behind the last wildcard. */
static const char *literal_tail(const char *pattern) {
        const char *tail = pattern;
        for (const char *p = pattern; *p; p++)
                if (strchr("*?[]", *p))
                        tail = p + 1;
        return tail;
}

static bool can_end_in(const char *pattern, const char *const *suffixes, size_t n) {
        const char *tail = literal_tail(pattern);
        bool whole = tail == pattern;
        for (size_t i = 0; i < n; i++)
                if (ends_with(tail, suffixes[i]) || (!whole && ends_with(suffixes[i], tail)))
                        return true;
        return false;
}

/* fnmatch() takes a "[" without its "]" literally, which is hardly what was meant. */
static bool has_open_bracket(const char *pattern) {
        for (const char *p = strchr(pattern, '['); p; p = strchr(p, '[')) {
                p++;
                if (*p == '!' || *p == '^')
                        p++;
                if (*p == ']') /* first in the brackets: an ordinary character */
                        p++;
                p = strchr(p, ']');
                if (!p)
                        return true;
        }
        return false;
}

const char *pattern_problem(enum match_key key, const char *pattern, const char **ret_expected) {
        *ret_expected = "a shell glob";
        if (!*pattern)
                return "is empty";
        if (has_open_bracket(pattern))
                return "has a [ without a ]";
        switch (key) {
        case MATCH_UNIT:
                *ret_expected = "the unit's full name with its type, such as redis.service or machine-*.scope";
                if (strchr(pattern, '/'))
                        return "has a / and can match no unit";
                if (can_end_in(pattern, unit_suffixes, ARRAY_SIZE(unit_suffixes)))
                        break;
                if (!can_end_in(pattern, other_suffixes, ARRAY_SIZE(other_suffixes)))
                        return "can match no unit that has processes";
                *ret_expected = "a service or scope, or cgroup: and a path such as /system.slice/NAME";
                return "is a unit of a kind that is known by its cgroup alone";
        case MATCH_SLICE:
                *ret_expected = "the slice's full name, such as system.slice";
                if (strchr(pattern, '/'))
                        return "has a / and can match no slice";
                if (!can_end_in(pattern, slice_suffixes, ARRAY_SIZE(slice_suffixes)))
                        return "can match no slice";
                break;
        case MATCH_CGROUP:
                *ret_expected = "a path below the cgroup root, such as /system.slice/*";
                if (!strchr("/*?[", *pattern))
                        return "does not begin with / and can match no cgroup";
                break;
        case MATCH_EXE:
                *ret_expected = "the program's full path, such as /usr/bin/redis-server or */redis-server";
                if (!strchr("/*?[", *pattern))
                        return "does not begin with / and can match no program";
                break;
        case MATCH_COMM:
                *ret_expected = "at most 15 bytes, where the kernel cuts a thread's name";
                if (!strpbrk(pattern, "*?[") && strlen(pattern) > COMM_BYTES_MAX)
                        return "is longer than any name the kernel keeps";
                break;
        default: break;
        }
        return NULL;
}
