/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checked number parsing, growing arrays and strings. */
#include "core/util.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

int array_reserve(void *array_pointer, size_t *capacity, size_t need, size_t element_size) {
        void **array = array_pointer;
        if (need <= *capacity)
                return 0;
        size_t wanted = MAX2(MAX2(need, *capacity + *capacity / 2), (size_t) 8);
        size_t bytes;
        if (__builtin_mul_overflow(wanted, element_size, &bytes))
                return -ENOMEM;
        void *p = realloc(*array, bytes);
        if (!p)
                return -ENOMEM;
        *array = p;
        *capacity = wanted;
        return 0;
}

int parse_u64(const char *s, uint64_t *ret) {
        uint64_t value = 0;
        if (!*s)
                return -EINVAL;
        for (; *s; s++) {
                if (*s < '0' || *s > '9')
                        return -EINVAL;
                if (__builtin_mul_overflow(value, 10u, &value) || __builtin_add_overflow(value, (uint64_t) (*s - '0'), &value))
                        return -ERANGE;
        }
        *ret = value;
        return 0;
}

int parse_uint(const char *s, unsigned *ret) {
        uint64_t value;
        int r = parse_u64(s, &value);
        if (r < 0)
                return r;
        if (value > UINT_MAX)
                return -ERANGE;
        *ret = (unsigned) value;
        return 0;
}

static bool strbuf_room(struct strbuf *b, size_t extra) {
        if (b->failed)
                return false;
        if (array_reserve(&b->text, &b->capacity, b->length + extra + 1, 1) < 0)
                b->failed = true;
        return !b->failed;
}

void strbuf_append(struct strbuf *b, const char *text) {
        size_t n = strlen(text);
        if (!strbuf_room(b, n))
                return;
        memcpy(b->text + b->length, text, n + 1);
        b->length += n;
}

void strbuf_vprintf(struct strbuf *b, const char *format, va_list args) {
        va_list again;
        va_copy(again, args);
        int n = vsnprintf(NULL, 0, format, args);
        if (n < 0)
                b->failed = true;
        else if (strbuf_room(b, (size_t) n)) {
                (void) vsnprintf(b->text + b->length, (size_t) n + 1, format, again);
                b->length += (size_t) n;
        }
        va_end(again);
}

void strbuf_printf(struct strbuf *b, const char *format, ...) {
        va_list args;
        va_start(args, format);
        strbuf_vprintf(b, format, args);
        va_end(args);
}

char *strbuf_steal(struct strbuf *b) {
        if (!b->text)
                (void) strbuf_room(b, 0);
        if (b->failed) {
                strbuf_done(b);
                return NULL;
        }
        char *text = b->text;
        text[b->length] = 0;
        *b = (struct strbuf) { 0 };
        return text;
}

void strbuf_done(struct strbuf *b) {
        free(b->text);
        *b = (struct strbuf) { 0 };
}

char *format_string(const char *format, ...) {
        struct strbuf b = { 0 };
        va_list args;
        va_start(args, format);
        strbuf_vprintf(&b, format, args);
        va_end(args);
        return strbuf_steal(&b);
}

static bool is_letter(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

/* Sets *ret to what follows a word of digits; returns whether that word is an amount. */
static bool skip_number(const char *text, const char **ret) {
        bool amount = false;
        while (is_digit(*text) || is_letter(*text) || (*text == '.' && is_digit(text[1]))) {
                amount |= !is_digit(*text);
                text++;
        }
        *ret = text;
        return amount;
}

bool text_same_but_for_amounts(const char *a, const char *b) {
        bool in_word = false; /* "cpu0" and "eth1s0" are names */
        for (; *a || *b; a++, b++) {
                const char *after_a, *after_b;
                while (!in_word && is_digit(*a) && is_digit(*b) && skip_number(a, &after_a) && skip_number(b, &after_b)) {
                        a = after_a;
                        b = after_b;
                }
                if (*a != *b)
                        return false;
                if (!*a)
                        return true;
                in_word = is_letter(*a) || is_digit(*a);
        }
        return true;
}
