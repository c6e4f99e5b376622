/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Foreign text in a form that can be shown anywhere: one way for the journal, D-Bus, JSON, the terminal and the configuration's errors. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* How many bytes the UTF-8 character at `s` has (1…4), or 0 where there is none: broken, overlong, a surrogate or a noncharacter
 * (RFC 3629, Unicode 15 section 23.7), which D-Bus does not carry either. */
size_t utf8_length(const char *s);

/* A copy that is valid UTF-8 and can be shown on any terminal: broken bytes, control characters (C0, DEL, C1) and those that reorder text
 * (bidirectional controls) become \xNN, byte by byte. What processes choose (unit names, commands, paths) can hold anything.
 * `keep_lines`: newlines and tabs stay. The caller frees; NULL when memory ran out. */
char *text_clean(const char *text, bool keep_lines);
/* Is this the text that was meant: as it is, or as text_clean() prints it? So a name can be given as it was shown. */
bool text_matches(const char *text, const char *meant);
