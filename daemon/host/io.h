/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the readers of this room share: descriptors that close themselves, and walking over the lines of a text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static inline void close_fdp(const int *fd) {
        if (*fd >= 0)
                (void) close(*fd);
}

/* openat(2) that does not leave the directory, whatever links and ".." are on the way: a captured tree is not to be trusted, and its absolute
 * links mean files of its own. The fd, or negative errno. */
int open_below(int dir_fd, const char *path, int flags);
/* What opening or reading has failed for in this thread since this was asked last, where that says nothing of what was to be read: -EMFILE,
 * -ENFILE or -ENOMEM; 0: for nothing. Readers take what they cannot open to be gone, so whoever has them read must ask. */
int take_shortage(void);
/* Opens for reading; a link as last component is refused (-ELOOP). The fd, or negative errno. */
int open_file_at(int dir_fd, const char *path);
/* read(2), again after a signal. 0: end of file; negative errno. */
ssize_t read_some(int fd, char *buffer, size_t size);

/* CPU time of this thread. */
uint64_t thread_cpu_nsec(void);

/* Cuts the next line off `*text` (its newline becomes NUL), or NULL at the end. */
static inline char *next_line(char **text) {
        char *line = *text;
        if (!line || !*line)
                return NULL;
        char *end = strchr(line, '\n');
        if (end)
                *end++ = 0;
        *text = end;
        return line;
}

/* Cuts the next word off `*text`: what stands between spaces and tabs. NULL at the end. */
static inline char *next_word(char **text) {
        if (!*text)
                return NULL;
        char *word = *text + strspn(*text, " \t");
        if (!*word)
                return NULL;
        char *end = word + strcspn(word, " \t");
        *text = *end ? end + 1 : NULL;
        *end = 0;
        return word;
}

/* The number that a text begins with, whatever follows it: decimal, or hexadecimal of at most 16 digits in lower case. The text need
 * not end with a NUL. Where the number ends; NULL: there is none, or it does not fit. */
static inline const char *text_number(const char *s, const char *end, uint64_t *ret) {
        const char *begin = s;
        uint64_t value = 0;
        for (; s < end && (unsigned char) (*s - '0') <= 9; s++) {
                unsigned digit = (unsigned char) (*s - '0');
                if (s - begin < 19) /* cannot overflow yet */
                        value = value * 10 + digit;
                else if (__builtin_mul_overflow(value, 10u, &value) || __builtin_add_overflow(value, (uint64_t) digit, &value))
                        return NULL;
        }
        *ret = value;
        return s > begin ? s : NULL;
}
static inline const char *text_hex(const char *s, const char *end, uint64_t *ret) {
        const char *begin = s;
        uint64_t value = 0;
        for (; s < end; s++) {
                unsigned digit = (unsigned char) (*s - '0'), letter = (unsigned char) (*s - 'a');
                if (digit > 9 && letter > 5)
                        break;
                value = value << 4 | (digit <= 9 ? digit : letter + 10);
        }
        *ret = value;
        return s > begin && s - begin <= 16 ? s : NULL;
}

/* The decimal number at the start of a text that ends with a NUL; false where there is none or it does not fit. */
static inline bool leading_number(const char *s, uint64_t *ret) {
        return text_number(s, s + strspn(s, "0123456789"), ret) != NULL;
}

/* "." and "..", which are no entries of their own. Other names that begin with a dot are: systemd's .control for one, in delegated units. */
static inline bool is_dot_or_dots(const char *name) {
        return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
}

/* a × b, a + b; UINT64_MAX where it does not fit: numbers from files are not to be trusted. */
static inline uint64_t saturating_mul(uint64_t a, uint64_t b) {
        uint64_t r;
        return __builtin_mul_overflow(a, b, &r) ? UINT64_MAX : r;
}
static inline uint64_t saturating_add(uint64_t a, uint64_t b) {
        uint64_t r;
        return __builtin_add_overflow(a, b, &r) ? UINT64_MAX : r;
}
static inline uint64_t saturating_sub(uint64_t a, uint64_t b) {
        return a > b ? a - b : 0;
}
