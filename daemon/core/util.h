/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small helpers that every room uses: cleanup attributes, checked number parsing, a growing string.
 * Pure: nothing here calls the system. */
#pragma once

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define _cleanup_(f)   __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_       __attribute__((unused))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN2(a, b)    ((a) < (b) ? (a) : (b))
#define MAX2(a, b)    ((a) > (b) ? (a) : (b))

#define USEC_PER_MSEC   1000ULL
#define USEC_PER_SEC    1000000ULL
#define USEC_PER_MINUTE (60ULL * USEC_PER_SEC)
#define USEC_INFINITY   UINT64_MAX
#define KIB             (1ULL << 10)
#define MIB             (1ULL << 20)
#define GIB             (1ULL << 30)

static inline void freep(void *p) {
        free(*(void **) p);
}
#define _cleanup_free_ _cleanup_(freep)

/* Takes the value out of a variable, leaving NULL: hands ownership on past a cleanup attribute. */
#define TAKE_PTR(p)                                                                                                              \
        ({                                                                                                                       \
                typeof(p) _taken = (p);                                                                                          \
                (p) = NULL;                                                                                                      \
                _taken;                                                                                                          \
        })

/* Index of the first of `n` sorted things that is not before what is looked for, or n: `is_before` says so of the i-th. */
#define FIRST_NOT_BEFORE(i, n, is_before)                                                                                        \
        ({                                                                                                                       \
                size_t _low = 0, _high = (n);                                                                                    \
                while (_low < _high) {                                                                                           \
                        size_t _at = _low + (_high - _low) / 2;                                                                  \
                        const size_t i = _at;                                                                                    \
                        if (is_before)                                                                                           \
                                _low = _at + 1;                                                                                  \
                        else                                                                                                     \
                                _high = _at;                                                                                     \
                }                                                                                                                \
                _low;                                                                                                            \
        })

/* Makes room for at least `need` elements in a heap array. `*capacity` counts elements. Returns 0 or -ENOMEM
 * (the array is then unchanged). Growth is geometric. */
int array_reserve(void *array_pointer, size_t *capacity, size_t need, size_t element_size);

/* Parses the whole of `s` as an unsigned decimal number: no sign, no space, no leading '+'.
 * Returns 0, -EINVAL (not a number, or trailing text) or -ERANGE. */
int parse_u64(const char *s, uint64_t *ret);
int parse_uint(const char *s, unsigned *ret);

/* A string that grows. Once memory ran out, `failed` stays set and further appends do nothing, so that callers
 * check once at the end. */
struct strbuf {
        char *text;
        size_t length, capacity;
        bool failed;
};

void strbuf_append(struct strbuf *b, const char *text);
void strbuf_printf(struct strbuf *b, const char *format, ...) _printf_(2, 3);
void strbuf_vprintf(struct strbuf *b, const char *format, va_list args) _printf_(2, 0);
/* Gives the text to the caller (to free) and empties the buffer; NULL when memory ran out. Never NULL otherwise. */
char *strbuf_steal(struct strbuf *b);
void strbuf_done(struct strbuf *b);

/* printf into fresh memory; NULL when memory ran out. */
char *format_string(const char *format, ...) _printf_(1, 2);

/* Are two sentences the same but for amounts and durations, "7.3M", "91s": a number with a fraction or a unit? What counts down or trembles
 * is no news. Node ids and priorities, which have neither, count. */
bool text_same_but_for_amounts(const char *a, const char *b);
