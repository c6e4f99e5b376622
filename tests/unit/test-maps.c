/* SPDX-License-Identifier: GPL-2.0-or-later */
/* maps and smaps, and who of a service maps what. */
#include "host/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/util.h"
#include "host/io.h"
#include "test-host-tree.h"
#include "unit.h"

static struct maps_entry entries[16];
static size_t n_entries;

static int collect(const struct maps_entry *e, void *userdata) {
        const size_t *limit = userdata;
        if (n_entries >= *limit)
                return -ECANCELED;
        entries[n_entries++] = *e;
        return 0;
}

static int read_text(const char *text, size_t limit) {
        struct tree t;
        char path[128];
        tree_make(&t, "");
        tree_put(&t, "maps", text);
        (void) snprintf(path, sizeof path, "%s/maps", t.root);
        _cleanup_(close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        n_entries = 0;
        int r = maps_read(fd, collect, &limit);
        tree_done(&t);
        return r;
}

static void test_maps(void **state) {
        assert_int_equal(read_text("1000-3000 r-xp 00000000 fe:01 77 /bin/a file\n"
                                   "4000-5000 rw-s 00000000 00:00 0 \n"
                                   "nonsense\n"
                                   "7000-6000 rw-p 00000000 00:00 0\n" /* ends before it begins */
                                   "ffff0000-ffff1000 r-xp 00000000 00:00 0 [vdso]",
                                   ARRAY_SIZE(entries)),
                         0);
        assert_int_equal(n_entries, 3);
        assert_int_equal(entries[0].start, 0x1000);
        assert_int_equal(entries[0].end, 0x3000);
        assert_int_equal(entries[0].device, 0xfeULL << 32 | 1);
        assert_int_equal(entries[0].inode, 77);
        assert_false(entries[0].special || entries[0].huge_known || entries[0].shared);
        assert_true(entries[1].shared && !entries[2].shared);
        assert_int_equal(entries[1].inode, 0);
        assert_true(entries[2].special);
}

/* Asked of the kernel where it can tell; of a file that is no maps nothing can be asked. */
static void test_query(void **state) {
        const size_t page = (size_t) sysconf(_SC_PAGESIZE);
        const struct host h = { .root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), .live = true };
        /* The middle one is a mapping of its own, as it may be written to. */
        char *p = mmap(NULL, 5 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(p, MAP_FAILED);
        assert_int_equal(mprotect(p + page, 3 * page, PROT_READ | PROT_WRITE), 0);
        int fd = maps_open(&h, getpid(), getpid(), false);
        assert_true(h.root_fd >= 0 && fd >= 0);
        uint64_t start = (uint64_t) (uintptr_t) (p + page), end = 0;
        int r = maps_query_end(fd, start, &end);
        if (r != -ENOTTY) {
                assert_int_equal(r, 0);
                assert_int_equal(end, start + 3 * page);
                assert_int_equal(maps_query_end(fd, start + page, &end), -ENOENT);
                assert_int_equal(munmap(p + page, 3 * page), 0);
                assert_int_equal(maps_query_end(fd, start, &end), -ENOENT);
        }
        close(fd);
        assert_int_equal(maps_query_end(h.root_fd, start, &end), -EBADF);
        close(h.root_fd);
        fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
        assert_int_equal(maps_query_end(fd, start, &end), -ENOTTY);
        close(fd);
        (void) munmap(p, 5 * page);
}

static void test_smaps(void **state) {
        assert_int_equal(read_text("1000-3000 rw-p 00000000 00:00 0\nSize: 8 kB\nAnonHugePages:      2048 kB\n"
                                   "ShmemPmdMapped:    4096 kB\nFilePmdMapped: 0 kB\nVmFlags: rd wr\n"
                                   "4000-5000 rw-p 00000000 00:00 0\nAnonHugePages: 0 kB\n"
                                   "6000-7000 rw-p 00000000 00:00 0\nRss: 4 kB\nAnonHugePages: many\n",
                                   ARRAY_SIZE(entries)),
                         0);
        assert_int_equal(n_entries, 3);
        assert_true(entries[0].huge_known);
        assert_int_equal(entries[0].huge_bytes, 6 * MIB);
        assert_true(entries[1].huge_known);
        assert_int_equal(entries[1].huge_bytes, 0);
        assert_false(entries[2].huge_known);
}

static void test_long_lines_and_the_callers_end(void **state) {
        char *name = calloc(1, 100001);
        memset(name, 'x', 100000);
        char *text = format_string("1000-3000 r--p 00000000 fe:01 5 /%s\n4000-5000 r--p 00000000 fe:01 6 /%s", name, name);
        assert_int_equal(read_text(text, ARRAY_SIZE(entries)), 0);
        assert_int_equal(n_entries, 2);
        assert_int_equal(entries[0].inode, 5);
        assert_int_equal(entries[1].inode, 6);
        assert_int_equal(read_text(text, 1), -ECANCELED);
        free(text);
        free(name);
}

#define FORKS "/system.slice/forks.service"

static int read_of(const struct host *h, const struct process_ref *processes, size_t n, const struct companions *companions,
                   const char *cgroup, struct maps_reading *reading, struct mappers **ret) {
        const struct mappers_of of = {
                .processes = processes, .n_processes = n, .cgroup = cgroup, .companions = companions, .reading = reading
        };
        return mappers_read(h, &of, ret);
}

/* 402 has come since, and 400, of another cgroup by now. */
static void test_newcomers(const struct tree *t, const struct host *h, const struct process_ref *known) {
        static const struct process_ref others[] = { { 402, 3001 }, { 402, 3002 } };
        const struct maps_entry lib = { .start = 0xa000, .device = 0xfeULL << 32 | 1, .inode = 7 };
        struct maps_reading reading = { 0 };
        struct mappers_of of = { .processes = known, .n_processes = 1, .cgroup = FORKS, .reading = &reading };
        struct process_ref p;
        struct mappers *m;
        for (size_t i = 0; i < 3; i++) { /* nobody is aside; another by its number is; it is */
                of.aside = others;
                of.n_aside = i;
                assert_int_equal(mappers_read(h, &of, &m), 0);
                assert_int_equal(mappers_count(m, &lib), i < 2 ? 2 : 1);
                assert_false(
                        mappers_is_outdated(m, h, &of)); /* whether it was read or not: it would not be the next time either */
                assert_false(maps_reading_newcomer(&reading, &p));
                mappers_free(m);
        }
        of.n_aside = 0;
        assert_int_equal(mappers_read(h, &of, &m), 0);
        assert_int_equal(mappers_n_read(m), 3);
        tree_put(t, "sys/fs/cgroup/system.slice/forks.service/cgroup.procs", "402\n401\n");
        assert_true(mappers_is_outdated(m, h, &of));
        of.cgroup = "/system.slice/nobody.service";
        assert_false(mappers_is_outdated(m, h, &of));
        of.cgroup = NULL;
        assert_false(mappers_is_outdated(m, h, &of));
        mappers_free(m);

        /* A captured machine: who was there by then. */
        of.cgroup = FORKS;
        tree_put(t, "sys/fs/cgroup/system.slice/forks.service/" NEWCOMERS_FILE, "300\n");
        assert_int_equal(mappers_read(h, &of, &m), 0);
        assert_int_equal(mappers_count(m, &lib), 1);
        assert_false(mappers_is_outdated(m, h, &of));
        mappers_free(m);

        /* Where it hangs, it is said who. */
        atomic_store(&reading.newcomer_start_ticks, 7);
        atomic_store(&reading.newcomer, 402);
        assert_true(maps_reading_newcomer(&reading, &p));
        assert_true(p.pid == 402 && p.start_ticks == 7);
}

static void test_mappers(void **state) {
        static const struct process_ref processes[] = { { 300, 2000 }, { 400, 3000 }, { 401, 3001 }, { 402, 1 }, { 9999, 1 } };
        struct tree t;
        struct host *h;
        struct mappers *m;
        tree_make(&t, "bookworm");
        assert_int_equal(host_open(t.root, &h), 0);
        /* Twice the same file in one process; other addresses; not the process that was meant; one without maps. */
        tree_put(&t, "proc/300/maps",
                 "1000-2000 r-xp 0 fe:01 7 /lib\n2000-3000 rw-p 0 fe:01 7 /lib\n8000-9000 rw-p 0 00:00 0 [heap]\n");
        tree_put(&t, "proc/400/maps", "5000-6000 r-xp 0 fe:01 7 /lib\n8000-9000 rw-p 0 00:00 0 [heap]\n");
        tree_put(&t, "proc/402/maps", "5000-6000 r-xp 0 fe:01 7 /lib\n");
        assert_int_equal(read_of(h, processes, ARRAY_SIZE(processes), NULL, NULL, NULL, &m), 0);
        const uint64_t disk = 0xfeULL << 32 | 1;
        assert_int_equal(mappers_count(m, &(struct maps_entry) { .start = 0xa000, .device = disk, .inode = 7 }), 2);
        assert_int_equal(mappers_count(m, &(struct maps_entry) { .start = 0x1000, .device = disk, .inode = 8 }), 0);
        assert_int_equal(mappers_count(m, &(struct maps_entry) { .start = 0x1000, .device = disk + 1, .inode = 7 }), 0);
        assert_int_equal(mappers_count(m, &(struct maps_entry) { .start = 0x8000 }), 2);
        assert_int_equal(mappers_count(m, &(struct maps_entry) { .start = 0x9000 }), 0);
        assert_null(mappers_free(m));
        assert_null(mappers_free(NULL));

        /* With a companion: files alone, and only while it is in its cgroup. The same address says nothing of another service. */
        struct process_ref friend = { 400, 3000 };
        struct companion one = { .cgroup = (char *) "/system.slice/friend.service", .processes = &friend, .n_processes = 1 };
        const struct companions companions = { .items = &one, .n_items = 1, .n_processes = 1 };
        struct maps_reading reading = { 0 };
        tree_put(&t, "proc/400/cgroup", "0::/system.slice/friend.service/inner\n");
        assert_int_equal(read_of(h, processes, 1, &companions, NULL, &reading, &m), 0);
        assert_int_equal(atomic_load(&reading.number), 2);
        assert_int_equal(mappers_count(m, &(struct maps_entry) { .start = 0xa000, .device = disk, .inode = 7 }), 2);
        assert_int_equal(mappers_count(m, &(struct maps_entry) { .start = 0x8000 }), 1);
        mappers_free(m);
        tree_put(&t, "proc/400/cgroup", "0::/system.slice/friend.service2\n");
        assert_int_equal(read_of(h, processes, 1, &companions, NULL, NULL, &m), 0);
        assert_int_equal(mappers_count(m, &(struct maps_entry) { .start = 0xa000, .device = disk, .inode = 7 }), 1);
        mappers_free(m);

        /* What has come into its cgroup since counts as well: not again who was known, nor who is elsewhere by now. */
        tree_put(&t, "sys/fs/cgroup/system.slice/forks.service/cgroup.procs", "300\n402\n400\n77777\n");
        tree_put(&t, "proc/300/cgroup", "0::/system.slice/forks.service\n");
        tree_put(&t, "proc/402/cgroup", "0::/system.slice/forks.service\n");
        assert_int_equal(read_of(h, processes, 1, &companions, FORKS, &reading, &m), 0);
        assert_int_equal(mappers_count(m, &(struct maps_entry) { .start = 0xa000, .device = disk, .inode = 7 }), 2);
        assert_int_equal(mappers_count(m, &(struct maps_entry) { .start = 0x5000 }), 0);
        assert_int_equal(atomic_load(&reading.number), 2); /* its companion's, as without newcomers */
        assert_int_equal(atomic_load(&reading.newcomer), 0);
        mappers_free(m);
        test_newcomers(&t, h, processes);
        host_free(h);
        tree_done(&t);
}

/* As a process would that knows how its mappings are looked up: all begin to be looked for in the same place. */
static uint64_t next_meeting(uint64_t address) {
        for (;;) {
                uint64_t h = 0;
                address += 0x2000;
                h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9ULL + address;
                h = (h ^ h >> 27) * 0x94d049bb133111ebULL;
                if ((h ^ h >> 31) % (2 * MAPPERS_MAX) == 0)
                        return address;
        }
}

static void test_mappers_that_meet(void **state) {
        static const struct process_ref process = { 300, 2000 };
        struct tree t;
        struct host *h;
        struct mappers *m;
        struct strbuf b = { 0 };
        uint64_t address = 0, first = 0;
        tree_make(&t, "bookworm");
        assert_int_equal(host_open(t.root, &h), 0);
        for (unsigned i = 0; i < 300; i++) {
                address = next_meeting(address);
                first = i == 0 ? address : first;
                strbuf_printf(&b, "%llx-%llx rw-p 0 00:00 0\n", (unsigned long long) address,
                              (unsigned long long) address + 0x1000);
        }
        _cleanup_free_ char *text = strbuf_steal(&b);
        assert_non_null(text);
        tree_put(&t, "proc/300/maps", text);
        assert_int_equal(read_of(h, &process, 1, NULL, NULL, NULL, &m), 0);
        assert_int_equal(mappers_count(m, &(struct maps_entry) { .start = first }), 1);
        /* No more than some are looked at, whatever is there: the others count as not kept. */
        assert_int_equal(mappers_count(m, &(struct maps_entry) { .start = address }), 0);
        assert_int_equal(mappers_count(m, &(struct maps_entry) { .start = next_meeting(address) }), 0);
        mappers_free(m);
        host_free(h);
        tree_done(&t);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_maps),    cmocka_unit_test(test_query),
                cmocka_unit_test(test_smaps),   cmocka_unit_test(test_long_lines_and_the_callers_end),
                cmocka_unit_test(test_mappers), cmocka_unit_test(test_mappers_that_meet),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
