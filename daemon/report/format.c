/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers, node sets and foreign text in the form that people read. */
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

/* Decodes one character; the length as utf8_length() and the code point. */
static size_t decode(const unsigned char *s, uint32_t *ret) {
        static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
        size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf8 ? 0 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 0;
        if (n == 0)
                return 0;
        uint32_t c = n == 1 ? s[0] : s[0] & (0xffu >> (n + 1));
        for (size_t i = 1; i < n; i++) {
                if ((s[i] & 0xc0) != 0x80) /* also the end of the text */
                        return 0;
                c = c << 6 | (s[i] & 0x3f);
        }
        if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) || (c >= 0xfdd0 && c <= 0xfdef) ||
            (c & 0xfffe) == 0xfffe)
                return 0;
        *ret = c;
        return n;
}

size_t utf8_length(const char *s) {
        uint32_t c;
        return decode((const unsigned char *) s, &c);
}

static bool is_harmless(uint32_t c, bool keep_lines) {
        if (c < 0x20)
                return keep_lines && (c == '\n' || c == '\t');
        if ((c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029)
                return false;
        /* Bidirectional controls: UAX #9, section 2. */
        return c != 0x061c && c != 0x200e && c != 0x200f && !(c >= 0x202a && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069);
}

char *text_clean(const char *text, bool keep_lines) {
        struct strbuf b = { 0 };
        for (const unsigned char *s = (const unsigned char *) text; *s;) {
                uint32_t c = 0;
                size_t n = decode(s, &c);
                if (n > 0 && is_harmless(c, keep_lines)) {
                        char one[5] = { 0 };
                        for (size_t i = 0; i < n; i++)
                                one[i] = (char) s[i];
                        strbuf_append(&b, one);
                        s += n;
                } else
                        for (n = MAX2(n, (size_t) 1); n > 0; n--)
                                strbuf_printf(&b, "\\x%02x", *s++);
        }
        return strbuf_steal(&b);
}

bool text_matches(const char *text, const char *meant) {
        if (strcmp(text, meant) == 0)
                return true;
        if (!strchr(meant, '\\')) /* nothing in it is escaped */
                return false;
        _cleanup_free_ char *clean = text_clean(text, false);
        return clean && strcmp(clean, meant) == 0;
}
