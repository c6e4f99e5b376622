/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A record of many cgroups: what changes is appended, nothing of it is lost wherever we are killed, and what it costs does not grow with their number. */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "act/cpuset.h"
#include "act/json-text.h"
#include "act/record-json.h"
#include "core/util.h"
#include "record-fixture.h"

#define MANY 400u

/* An odd name, too: a line must stay a line. */
static void name_of(unsigned i, char *name, size_t size) {
        (void) snprintf(name, size, i % 7 ? "/app-%u" : "/b\x01\n\"\\ %u\xff", i);
}

/* From nothing to one CPU. */
static int change(struct record *r, unsigned i, unsigned cpu) {
        char name[64];
        name_of(i, name, sizeof(name));
        const struct target t = { name, "x.service", OWNER_SYSTEMD };
        struct cpuset_state now = { 0 };
        struct cpuset_change c = { .change_cpus = true, .value.cpus_set = true };
        cpu_mask_add(&c.value.cpus, cpu);
        cpu_mask_add(&now.parent_effective_cpus, 0);
        return record_before_change(r, &t, &now, &c);
}

static int forget(struct record *r, unsigned i) {
        char name[64];
        name_of(i, name, sizeof(name));
        return record_forget(r, name);
}

static void change_many(struct record *r, unsigned n, unsigned cpu) {
        for (unsigned i = 0; i < n; i++)
                assert_int_equal(change(r, i, cpu), 0);
}

static uint64_t size_now(void) {
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        return (uint64_t) st.st_size;
}

/* One that replaced the file is there beside it before, so its number is another. */
static ino_t number_now(void) {
        struct stat st;
        return stat(path, &st) < 0 ? 0 : st.st_ino;
}

static void assert_same(const struct record *a, const struct record *b) {
        assert_int_equal(a->n_entries, b->n_entries);
        assert_int_equal(a->balancing_changed, b->balancing_changed);
        if (a->balancing_changed)
                assert_true(a->balancing_before == b->balancing_before && a->balancing_ours == b->balancing_ours);
        for (size_t i = 0; i < a->n_entries; i++) {
                const struct record_entry *x = a->entries[i], *y = b->entries[i];
                assert_string_equal(x->cgroup, y->cgroup);
                assert_string_equal(x->unit, y->unit);
                assert_true(x->owner == y->owner && x->changed_cpus == y->changed_cpus && x->changed_mems == y->changed_mems);
                const struct cpuset_value *of_x[] = { &x->before, &x->ours, &x->seen },
                                          *of_y[] = { &y->before, &y->ours, &y->seen };
                for (size_t k = 0; k < ARRAY_SIZE(of_x); k++) {
                        assert_true(!x->changed_cpus || cpuset_cpus_equal(of_x[k], of_y[k]));
                        assert_true(!x->changed_mems || cpuset_mems_equal(of_x[k], of_y[k]));
                }
        }
}

static void assert_on_disk(const struct record *r) {
        struct record *again;
        assert_int_equal(record_open(path, &again), 0);
        assert_same(r, again);
        record_free(again);
}

/* As earlier versions read it: one JSON value, and nothing after it. */
static void assert_whole(void) {
        _cleanup_free_ char *text = fixture_read(&fx, "record.json");
        struct json_object *o;
        assert_non_null(text);
        assert_int_equal(json_of_text(text, strlen(text), 8, &o), 0);
        json_object_put(o);
}

static void test_few_are_always_whole(void **state) {
        struct record *r = reopen(NULL);
        for (unsigned i = 0; i < RECORD_FEW; i++) {
                assert_int_equal(change(r, i, 1), 0);
                assert_whole();
        }
        assert_int_equal(change(r, 3, 2), 0);
        assert_whole();
        assert_int_equal(forget(r, 3), 0);
        assert_whole();
        record_free(r);
}

/* The file is not written anew for each change, neither on the way there nor back. */
static void test_what_it_costs(void **state) {
        struct record *r = reopen(NULL);
        unsigned n_whole = 0;
        ino_t last = number_now();
        for (unsigned i = 0; i < 3 * MANY; i++) {
                assert_int_equal(i < 2 * MANY ? change(r, i % MANY, i / MANY) : forget(r, i - 2 * MANY), 0);
                ino_t now = number_now();
                n_whole += now != last;
                last = now;
        }
        assert_int_equal(r->n_entries, 0);
        assert_true(n_whole > 2 * RECORD_FEW); /* small, it is always whole */
        assert_true(n_whole < 2 * RECORD_FEW + 20);
        assert_whole();
        record_free(r);
}

static void test_all_is_read_again(void **state) {
        struct record *r = reopen(NULL);
        change_many(r, MANY, 1);
        assert_on_disk(r);
        assert_int_equal(record_before_balancing(r, 3, 0), 0);
        assert_on_disk(r);
        for (unsigned i = 0; i + 1 < MANY; i += 3) {
                assert_int_equal(change(r, i, 2), 0);
                assert_int_equal(forget(r, i + 1), 0);
        }
        assert_on_disk(r);
        assert_int_equal(record_forget_balancing(r), 0);
        assert_on_disk(r);
        /* A life later it goes on where it was. */
        r = reopen(r);
        uint64_t size = size_now();
        assert_int_equal(change(r, 0, 3), 0);
        assert_true(size_now() > size && size_now() < size + 1000);
        assert_on_disk(r);
        assert_int_equal(record_settle(r), 0);
        assert_whole();
        assert_on_disk(r);
        record_free(r);
}

/* Killed at any byte of a line: it is the state before that change, which was not made then, and the next one leaves no trace of it. */
static void test_unfinished_lines(void **state) {
        struct record *r = reopen(NULL);
        change_many(r, MANY, 1);
        assert_int_equal(record_settle(r), 0);
        uint64_t start = size_now();
        struct record *was = reopen(NULL);
        assert_int_equal(change(r, 0, 2), 0);
        uint64_t end = size_now();
        assert_true(end > start + 1);
        _cleanup_free_ char *text = fixture_read(&fx, "record.json");
        for (uint64_t cut = start; cut < end; cut++) {
                struct record *next;
                assert_int_equal(truncate(path, (off_t) cut), 0);
                assert_on_disk(was);
                if (cut % 16 == 0 || cut == end - 1) {
                        assert_int_equal(record_open(path, &next), 0);
                        assert_int_equal(change(next, 1, 3), 0);
                        assert_on_disk(next);
                        record_free(next);
                }
                fixture_write(&fx, "record.json", text);
        }
        assert_on_disk(r);
        record_free(was);
        record_free(r);
}

static void limit_files(rlim_t bytes) {
        struct rlimit limit;
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
        limit.rlim_cur = bytes;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* No room for the line, nor for the whole: nothing is noted, and there is no half of it. With room again it goes on. */
static void test_no_room(void **state) {
        struct record *r = reopen(NULL);
        change_many(r, MANY, 1);
        struct record *was = reopen(NULL);
        uint64_t size = size_now();
        (void) signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(mkdir(temporary, 0700), 0);
        limit_files(size + 20);
        assert_true(change(r, 0, 2) < 0);
        limit_files(RLIM_INFINITY);
        assert_int_equal(size_now(), size);
        assert_same(r, was);
        assert_on_disk(was);
        assert_int_equal(forget(r, 1), 0); /* the whole has no room yet, a line has */
        assert_on_disk(r);
        assert_int_equal(rmdir(temporary), 0);
        assert_int_equal(forget(r, 2), 0);
        assert_on_disk(r);
        record_free(was);
        record_free(r);
}

/* The file is as large as it may be: the whole takes its place; and where that cannot be, what still fits does, and nothing is lost. */
static void test_full(void **state) {
        struct record *r = reopen(NULL);
        change_many(r, MANY, 1);
        assert_int_equal(change(r, 0, 2), 0);
        uint64_t size = size_now();
        assert_int_equal(truncate(path, (off_t) RECORD_FILE_MAX_BYTES - 10), 0); /* as if lines had come so far */
        r->file_bytes = RECORD_FILE_MAX_BYTES - 10;
        assert_int_equal(change(r, 1, 3), 0);
        assert_in_range(size_now(), size / 2, size * 2);
        assert_on_disk(r);

        assert_int_equal(mkdir(temporary, 0700), 0); /* no whole */
        assert_int_equal(truncate(path, (off_t) RECORD_FILE_MAX_BYTES - 60), 0);
        r->file_bytes = RECORD_FILE_MAX_BYTES - 60;
        r->n_lines = 1;
        assert_int_equal(change(r, MANY, 3), -EISDIR);
        assert_int_equal(r->n_entries, MANY);
        assert_int_equal(forget(r, 1), 0);
        assert_in_range(size_now(), RECORD_FILE_MAX_BYTES - 59, RECORD_FILE_MAX_BYTES - 1);
        assert_int_equal(rmdir(temporary), 0);
        record_free(r);
}

/* The whole is due, and cannot be written, while a line can be: lines follow, each on disk when it is said to be, until the whole can be written again. */
static void test_no_room_for_the_whole(void **state) {
        struct record *r = reopen(NULL);
        change_many(r, MANY, 1);
        assert_int_equal(record_settle(r), 0);
        change_many(r, MANY, 2);
        for (unsigned i = 0; i < RECORD_FEW; i++)
                assert_int_equal(change(r, i, 3), 0);
        assert_int_equal(mkdir(temporary, 0700), 0);
        ino_t number = number_now();
        for (unsigned i = 0; i < 3 * RECORD_FEW; i++) {
                assert_int_equal(i % 2 ? change(r, i, 4) : forget(r, i), 0);
                assert_on_disk(r);
        }
        assert_int_equal(record_before_balancing(r, 3, 0), 0);
        assert_on_disk(r);
        for (unsigned i = 3 * RECORD_FEW; i < MANY; i++) /* down to few, of which there are no lines otherwise */
                assert_int_equal(forget(r, i), 0);
        assert_on_disk(r);
        assert_true(record_settle(r) < 0);
        assert_on_disk(r);
        assert_true(number_now() == number);
        assert_int_equal(rmdir(temporary), 0);
        for (unsigned i = 0; i < 2 * RECORD_FEW && number_now() == number; i++)
                assert_int_equal(change(r, 1, i), 0);
        assert_true(number_now() != number);
        assert_whole();
        assert_on_disk(r);
        record_free(r);
}

/* Somebody else's hand: what is not the file that we know is not appended to. */
static void test_another_file(void **state) {
        struct record *r = reopen(NULL);
        change_many(r, MANY, 1);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(change(r, 0, 2), 0);
        assert_on_disk(r);
        fixture_write(&fx, "record.json", "{\"version\": 1, \"entries\": []}\n");
        assert_int_equal(change(r, 0, 3), 0);
        assert_on_disk(r);
        assert_int_equal(truncate(path, (off_t) size_now() - 1), 0);
        assert_int_equal(forget(r, 0), 0);
        assert_on_disk(r);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("elsewhere", path), 0);
        assert_int_equal(forget(r, 1), 0);
        assert_on_disk(r);
        record_free(r);
}

static void test_damaged_lines(void **state) {
#define WHOLE "{\"version\": 1, \"entries\": []}"
#define LINE                                                                                                                     \
        "{\"cgroup\": \"/a\", \"unit\": \"a\", \"owner\": \"systemd\", \"cpus\": {\"before\": null, \"ours\": \"1\", \"seen\": " \
        "null}}"
        static const char *const good[] = { WHOLE, WHOLE " \n", WHOLE "\n\n" LINE "\n", WHOLE "\n" LINE, WHOLE "\n{\"x" };
        static const size_t n_good[] = { 0, 0, 1, 0, 0 };
        static const char *const texts[] = {
                WHOLE LINE "\n",
                WHOLE " " LINE "\n",
                WHOLE "\nx",
                WHOLE "\n[]\n",
                WHOLE "\n{}\n",
                WHOLE "\n" LINE " " LINE "\n",
                WHOLE "\n" LINE "\n\n" LINE "\n",
                WHOLE "\n" LINE "\nx" LINE "\n",
                WHOLE "\n{\"forget\": \"/b\"}\n",
                WHOLE "\n{\"forget\": null}\n",
                WHOLE "\n{\"kernel_balancing\": 1}\n",
                WHOLE "\n{\"kernel_balancing\": {\"before\": 1}}\n",
                WHOLE "\n{\"cgroup\": \"/a\"}\n",
        };
        struct record *r;
        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                fixture_write(&fx, "record.json", good[i]);
                assert_int_equal(record_open(path, &r), 0);
                assert_int_equal(r->n_entries, n_good[i]);
                record_free(r);
        }
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                fixture_write(&fx, "record.json", texts[i]);
                assert_int_equal(record_open(path, &r), -EBADMSG);
                _cleanup_free_ char *kept = fixture_read(&fx, "record.json.bad");
                assert_non_null(kept);
                assert_string_equal(kept, texts[i]);
        }
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_few_are_always_whole), TEST(test_what_it_costs), TEST(test_all_is_read_again),
                TEST(test_unfinished_lines),     TEST(test_no_room),       TEST(test_no_room_for_the_whole),
                TEST(test_another_file),         TEST(test_damaged_lines), TEST(test_full),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
