/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An address space that locks up while a file system is frozen, so that whoever reads its map waits: workload --hold.
 */

#define _GNU_SOURCE

#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "workload.h"

/* The kernel lets nobody write to a frozen file system: a write to a page that was clean waits in its fault, with the mapping locked ... */
static void *write_always(void *page) {
        for (unsigned char n = 0;; n++) {
                *(volatile unsigned char *) page = n;
                sleep_ms(5);
        }
        return NULL;
}

/* ... and who would change the mapping waits for that, with all of the address space locked. */
static void *protect_always(void *page) {
        for (unsigned n = 0;; n++) {
                if (mprotect(page, (size_t) sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE | (n % 2 ? PROT_EXEC : 0)) < 0)
                        die("mprotect");
                sleep_ms(5);
        }
        return NULL;
}

void hold(const char *path) {
        const size_t size = (size_t) sysconf(_SC_PAGESIZE);
        pthread_t writer, protector;

        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || ftruncate(fd, (off_t) size) < 0)
                die(path);
        void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (page == MAP_FAILED)
                die("mmap");
        close(fd);
        if (pthread_create(&writer, NULL, write_always, page) != 0 || pthread_create(&protector, NULL, protect_always, page) != 0)
                die("pthread_create");
}
