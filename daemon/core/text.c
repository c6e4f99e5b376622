/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Foreign text in a form that can be shown: names that processes and packages choose can hold anything. */
#include "core/text.h"

#include <string.h>

#include "core/util.h"

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
