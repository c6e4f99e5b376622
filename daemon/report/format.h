/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers and node sets in the form that people read, and foreign text (core/text.h): one set of words for the journal, the console and the client. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bitmap.h"
#include "core/text.h"
#include "core/util.h"

/* Room for any formatted number or duration. */
#define FORMAT_NUMBER_MAX 32

/* "512B", "98.2M", "1.5G": powers of 1024, three significant digits where there are that many. Returns `buffer`. */
const char *format_bytes(char buffer[static FORMAT_NUMBER_MAX], uint64_t bytes);
/* "250us", "85ms", "3.4s", "2min 5s", "3h 20min", "4d 2h". Returns `buffer`. */
const char *format_usec(char buffer[static FORMAT_NUMBER_MAX], uint64_t usec);
/* The same in a buffer that lives as long as the block around it. */
#define FORMAT_BYTES(bytes) format_bytes((char[FORMAT_NUMBER_MAX]) { 0 }, (bytes))
#define FORMAT_USEC(usec)   format_usec((char[FORMAT_NUMBER_MAX]) { 0 }, (usec))

/* "node 1", "nodes 0-1,3", "no node". The caller frees; NULL when memory ran out. */
char *format_nodes(const struct node_set *s);
