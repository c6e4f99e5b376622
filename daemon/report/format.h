/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers, node sets and foreign text in the form that people read: one set of words for the journal, the console and the client. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bitmap.h"
#include "core/util.h"

/* Room for any formatted number or duration. */
#define FORMAT_NUMBER_MAX 32

/* "512B", "98.2M", "1.5G": powers of 1024, three significant digits where there are that many. Returns `buffer`. */
const char *format_bytes(char buffer[static FORMAT_NUMBER_MAX], uint64_t bytes);
/* "250us", "85ms", "3.4s", "2min 5s", "3h 20min", "4d 2h". Returns `buffer`. */
const char *format_usec(char buffer[static FORMAT_NUMBER_MAX], uint64_t usec);
/* The same in a buffer that lives as long as the block around it. */
#define FORMAT_BYTES(bytes) format_bytes((char[FORMAT_NUMBER_MAX]){ 0 }, (bytes))
#define FORMAT_USEC(usec)   format_usec((char[FORMAT_NUMBER_MAX]){ 0 }, (usec))

/* "node 1", "nodes 0-1,3", "no node". The caller frees; NULL when memory ran out. */
char *format_nodes(const struct node_set *s);

/* How many bytes the UTF-8 character at `s` has (1…4), or 0 where there is none: broken, overlong, a surrogate or a noncharacter
 * (RFC 3629, Unicode 15 section 23.7), which D-Bus does not carry either. */
size_t utf8_length(const char *s);

/* A copy that is valid UTF-8 and can be shown on any terminal: broken bytes, control characters (C0, DEL, C1) and those that reorder text
 * (bidirectional controls) become \xNN, byte by byte. What processes choose (unit names, commands, paths) can hold anything.
 * `keep_lines`: newlines and tabs stay. The caller frees; NULL when memory ran out. */
char *text_clean(const char *text, bool keep_lines);
/* Is this the text that was meant: as it is, or as text_clean() prints it? So a name can be given as it was shown. */
bool text_matches(const char *text, const char *meant);
