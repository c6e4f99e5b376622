/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading files of /proc, /sys and cgroupfs below a directory: bounded, whole, and never waiting for a writer. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/util.h"
#include "host/host.h"
#include "host/io.h"
#include "host/recorder.h"

/* O_NONBLOCK: in a captured tree a name may turn out to be a FIFO; opening it must not wait. */
#define READ_FLAGS (O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK)

static _Thread_local int shortage;

static int note_shortage(int error) {
        if (error == EMFILE || error == ENFILE || error == ENOMEM)
                shortage = -error;
        return -error;
}

int take_shortage(void) {
        int r = shortage;
        shortage = 0;
        return r;
}

int open_below(int dir_fd, const char *path, int flags) {
        /* Before Linux 5.6, and where RestrictSUIDSGID= is in force, as in the shipped unit: then for good, so it is asked once and not for each file. */
        static atomic_bool lacking;
        const struct open_how how = { .flags = (uint64_t) flags, .resolve = RESOLVE_IN_ROOT };
        int fd = -1;
        errno = ENOSYS;
        /* With the working directory (files of our own) there is no below. */
        if (dir_fd != AT_FDCWD && !atomic_load_explicit(&lacking, memory_order_relaxed)) {
                do
                        fd = (int) syscall(SYS_openat2, dir_fd, path, &how, sizeof how);
                while (fd < 0 && (errno == EINTR || errno == EAGAIN)); /* EAGAIN: something was renamed on the way */
                if (fd < 0 && errno == ENOSYS)
                        atomic_store_explicit(&lacking, true, memory_order_relaxed);
        }
        if (fd < 0 && errno == ENOSYS)
                do
                        fd = openat(dir_fd, path, flags);
                while (fd < 0 && errno == EINTR);
        return fd < 0 ? note_shortage(errno) : fd;
}

int open_file_at(int dir_fd, const char *path) {
        return open_below(dir_fd, path, READ_FLAGS);
}

ssize_t read_some(int fd, char *buffer, size_t size) {
        ssize_t n;
        do
                n = read(fd, buffer, size);
        while (n < 0 && errno == EINTR);
        return n < 0 ? note_shortage(errno) : n;
}

uint64_t thread_cpu_nsec(void) {
        struct timespec ts;
        if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) < 0)
                return 0;
        return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}

/* Up to `size` bytes, fewer only at the end of the file. */
static ssize_t read_full(int fd, char *buffer, size_t size) {
        size_t have = 0;
        while (have < size) {
                ssize_t n = read_some(fd, buffer + have, size - have);
                if (n < 0)
                        return n;
                if (n == 0)
                        break;
                have += (size_t) n;
        }
        return (ssize_t) have;
}

int read_file_at(int dir_fd, const char *path, size_t limit_bytes, char **ret, size_t *ret_size) {
        _cleanup_(close_fdp) int fd = open_file_at(dir_fd, path);
        if (fd < 0)
                return fd;
        struct stat st;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;

        _cleanup_free_ char *text = NULL;
        size_t capacity = 0, length = 0;
        /* The size that stat tells is 0 or 4096 in these file systems, whatever is inside. */
        for (size_t want = 4096;; want *= 2) {
                size_t size = limit_bytes < want ? limit_bytes + 1 : want; /* one more than allowed: to notice it */
                int r = array_reserve(&text, &capacity, size + 1, 1);
                if (r < 0)
                        return r;
                ssize_t n = read_full(fd, text + length, size - length);
                if (n < 0)
                        return (int) n;
                length += (size_t) n;
                if (length > limit_bytes)
                        return -EFBIG;
                if (length < size)
                        break;
        }
        text[length] = 0;
        record_file(dir_fd, path, text, length);
        *ret = TAKE_PTR(text);
        if (ret_size)
                *ret_size = length;
        return 0;
}

ssize_t read_small_file_at(int dir_fd, const char *path, char *buffer, size_t size) {
        _cleanup_(close_fdp) int fd = open_file_at(dir_fd, path);
        if (fd < 0)
                return fd;
        ssize_t n = read_some(fd, buffer, size); /* what leaves room has seen the end */
        if (n < 0)
                return n;
        if ((size_t) n == size)
                return -EFBIG;
        buffer[n] = 0;
        record_file(dir_fd, path, buffer, (size_t) n);
        return n;
}
