/* SPDX-License-Identifier: GPL-2.0-or-later */
/* maps and smaps have the same line for each mapping; smaps has more lines behind it. */
#include "host/maps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "core/util.h"
#include "host/io.h"
#include "host/recorder.h"
#include "host/speaker.h"

/* Much more than the start of any line. */
#define BUFFER_BYTES (32 * KIB)

int maps_open(const struct host *h, pid_t pid, pid_t speaker, bool with_huge) {
        _cleanup_free_ char *path = speaker_path(pid, speaker, with_huge ? "smaps" : "maps");
        return path ? open_file_at(h->root_fd, path) : -ENOMEM;
}

/* PROCMAP_QUERY, which the C library's headers may not have yet */
struct query_argument {
        uint64_t size, flags, address;
        uint64_t start, end, vma_flags, page_size, offset, inode;
        uint32_t major, minor, name_size, build_id_size;
        uint64_t name, build_id;
};

#define QUERY_MAPPING _IOWR('f', 17, struct query_argument)

int maps_query_end(int fd, uint64_t address, uint64_t *ret) {
        struct query_argument a = { .size = sizeof(a), .address = address };
        int r;
        do
                r = ioctl(fd, QUERY_MAPPING, &a);
        while (r < 0 && errno == EINTR);
        if (r < 0)
                return errno == EINVAL ? -ENOTTY : -errno;
        if (a.start != address)
                return -ENOENT;
        *ret = a.end;
        return 0;
}

struct reading {
        maps_callback callback;
        void *userdata;
        struct maps_entry entry; /* told when the next begins */
        bool begun;
};

/* "[vdso]" and the like, at the end of the line. */
static bool is_special(const char *line, const char *end) {
        static const char *const names[] = { "[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]" };
        if (end == line || end[-1] != ']')
                return false;
        const char *name = memrchr(line, ' ', (size_t) (end - line));
        for (size_t i = 0; name && i < ARRAY_SIZE(names); i++)
                if (strcmp(name + 1, names[i]) == 0)
                        return true;
        return false;
}

/* "AnonHugePages:      2048 kB" */
static void take_detail(struct maps_entry *e, const char *line) {
        static const char *const names[] = { "AnonHugePages:", "ShmemPmdMapped:", "FilePmdMapped:" };
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                size_t n = strlen(names[i]);
                uint64_t kib;
                if (strncmp(line, names[i], n) != 0)
                        continue;
                if (!leading_number(line + n + strspn(line + n, " \t"), &kib))
                        return;
                e->huge_known = true;
                e->huge_bytes = saturating_add(e->huge_bytes, saturating_mul(kib, KIB));
                return;
        }
}

static int tell(struct reading *r) {
        bool begun = r->begun;
        r->begun = false;
        return begun ? r->callback(&r->entry, r->userdata) : 0;
}

/* "7f00-7f01 rw-p 00000000 fd:01 1234   /path" */
static bool parse_mapping(const char *line, const char *end, struct maps_entry *ret) {
        struct maps_entry e = { 0 };
        const char *s = text_hex(line, end, &e.start);
        if (!s || s == end || *s != '-' || !(s = text_hex(s + 1, end, &e.end)))
                return false;
        e.special = is_special(s, end);
        e.shared = end - s >= 5 && s[0] == ' ' && s[4] == 's';
        for (unsigned i = 0; i < 3 && s < end; i++) { /* permissions and offset */
                const char *space = memchr(s, ' ', (size_t) (end - s));
                s = space ? space + 1 : end;
        }
        uint64_t major, minor, inode;
        if ((s = text_hex(s, end, &major)) && s < end && *s == ':' && (s = text_hex(s + 1, end, &minor)) && s < end &&
            *s == ' ' && text_number(s + 1, end, &inode)) {
                e.device = major << 32 | (minor & UINT32_MAX);
                e.inode = inode;
        }
        *ret = e;
        return true;
}

/* One line, possibly cut short, with a NUL behind it. */
static int take_line(struct reading *r, const char *line, const char *end) {
        struct maps_entry e;
        if (!parse_mapping(line, end, &e)) {
                if (r->begun)
                        take_detail(&r->entry, line);
                return 0;
        }
        int error = tell(r);
        r->begun = e.end > e.start;
        r->entry = e;
        return error;
}

static int take_text(struct reading *r, int fd, char *buffer) {
        size_t have = 0;
        bool in_long_line = false;
        for (bool first = true;; first = false) {
                ssize_t n = read_some(fd, buffer + have, BUFFER_BYTES - 1 - have);
                int error = 0;
                if (n < 0)
                        return (int) n;
                record_part_of_file(fd, first, buffer + have, (size_t) n);
                have += (size_t) n;
                buffer[have] = 0;
                char *line = buffer, *newline;
                while (error == 0 && (newline = memchr(line, '\n', have - (size_t) (line - buffer)))) {
                        *newline = 0;
                        if (!in_long_line)
                                error = take_line(r, line, newline);
                        in_long_line = false;
                        line = newline + 1;
                }
                have -= (size_t) (line - buffer);
                memmove(buffer, line, have);
                if (have == BUFFER_BYTES - 1) { /* a line that does not fit: its start is enough */
                        if (!in_long_line)
                                error = take_line(r, buffer, buffer + have);
                        in_long_line = true;
                        have = 0;
                }
                if (error < 0)
                        return error;
                if (n > 0)
                        continue;
                buffer[have] = 0;
                if (have > 0 && !in_long_line)
                        error = take_line(r, buffer, buffer + have);
                return error;
        }
}

int maps_read(int fd, maps_callback callback, void *userdata) {
        _cleanup_free_ char *buffer = malloc(BUFFER_BYTES);
        struct reading r = { .callback = callback, .userdata = userdata };
        if (!buffer)
                return -ENOMEM;
        int error = take_text(&r, fd, buffer);
        return error < 0 ? error : tell(&r);
}
