/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any text as /proc/PID/stat and as maps or smaps, which hold names that processes choose: no crash, and what is told of it holds. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/util.h"
#include "host/maps.h"
#include "host/proc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
        if (!condition)
                abort();
}

static void try_stat(const uint8_t *data, size_t size) {
        struct proc_stat s;
        char *text = strndup((const char *) data, size);
        require(text != NULL);
        int r = proc_stat_parse(text, &s);
        require(r == 0 || r == -EBADMSG);
        if (r == 0)
                require(memchr(s.comm, 0, sizeof s.comm) && s.last_cpu >= -1 && s.state >= 'A' && s.state <= 'z');
        free(text);
}

static int take(const struct maps_entry *e, void *userdata) {
        size_t *n = userdata;
        (*n)++;
        require(e->huge_known || e->huge_bytes == 0);
        return 0;
}

/* Every entry is a line of its own. */
static void try_maps(const uint8_t *data, size_t size) {
        size_t n = 0, n_lines = 1;
        int fd = memfd_create("maps", MFD_CLOEXEC);
        require(fd >= 0 && write(fd, data, size) == (ssize_t) size && lseek(fd, 0, SEEK_SET) == 0);
        require(maps_read(fd, take, &n) == 0);
        for (size_t i = 0; i < size; i++)
                n_lines += data[i] == '\n';
        require(n <= n_lines);
        (void) close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        try_stat(data, size);
        try_maps(data, size);
        return 0;
}
