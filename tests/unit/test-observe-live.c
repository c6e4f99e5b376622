/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The readers on the machine that runs the test: this very process, with memory and threads that it knows of. */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/plan.h"
#include "core/util.h"
#include "host/host.h"
#include "host/observe.h"
#include "host/proc.h"
#include "unit.h"

#include <fcntl.h>

/* From <linux/mempolicy.h>; glibc has no wrappers. */
#define MODE_DEFAULT 0
#define MODE_BIND    2

static long set_policy(int mode, unsigned long nodes) {
        return syscall(SYS_set_mempolicy, mode, mode == MODE_DEFAULT ? NULL : &nodes,
                       mode == MODE_DEFAULT ? 0 : 8 * sizeof nodes);
}

static long bind_mapping(void *p, size_t size) {
        unsigned long nodes = 1;
        return syscall(SYS_mbind, p, size, MODE_BIND, &nodes, 8 * sizeof nodes, 0);
}

struct setup {
        struct host *host;
        struct topology *topology;
        struct process_ref self;
};

static uint64_t start_of(const struct host *h, pid_t pid) {
        char path[64];
        struct proc_stat st;
        (void) snprintf(path, sizeof path, "proc/%d/stat", (int) pid);
        return proc_stat_read(h->root_fd, path, &st) == 0 ? st.start_ticks : 0;
}

static void setup_make(struct setup *s) {
        assert_int_equal(host_open("/", &s->host), 0);
        assert_int_equal(topology_load(s->host, &s->topology), 0);
        s->self = (struct process_ref) { .pid = getpid(), .start_ticks = start_of(s->host, getpid()) };
        /* A kernel without NUMA has no numa_maps; and node 0 must be there to be bound to. */
        if (faccessat(s->host->root_fd, "proc/self/numa_maps", R_OK, 0) < 0 || set_policy(MODE_BIND, 1) < 0 ||
            set_policy(MODE_DEFAULT, 0) < 0)
                skip();
}

static void setup_done(struct setup *s) {
        topology_free(s->topology);
        host_free(s->host);
}

static struct deep_sample *deep(const struct setup *s) {
        struct deep_sample *d = NULL;
        assert_int_equal(observe_deep(s->host, s->topology->n_ids, &s->self, 1, NULL, &d), 0);
        assert_int_equal(d->n_processes_read, 1);
        return d;
}

static uint64_t total(const uint64_t *by_node, const struct setup *s) {
        return sum_by_node(by_node, s->topology->n_ids);
}

static void test_memory(void **state) {
        struct setup s;
        setup_make(&s);
        const size_t size = 16 * MIB;
        _cleanup_(deep_sample_freep) struct deep_sample *before = deep(&s);
        char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(p != MAP_FAILED);
        memset(p, 1, size);
        _cleanup_(deep_sample_freep) struct deep_sample *after = deep(&s);
        uint64_t more = total(after->bytes_by_node, &s) - total(before->bytes_by_node, &s);
        assert_true(more + MIB >= size && more < size + 8 * MIB); /* the kernel drops and maps pages of libraries meanwhile */
        more = total(after->movable_by_node, &s) - total(before->movable_by_node, &s);
        assert_true(more + MIB >= size && more < size + 8 * MIB);
        assert_false(after->self_managed || after->has_bound_mappings || after->truncated);

        /* Bound by itself: still resident, no longer ours to move. */
        assert_int_equal(bind_mapping(p, size), 0);
        _cleanup_(deep_sample_freep) struct deep_sample *bound = deep(&s);
        assert_true(bound->has_bound_mappings);
        assert_false(bound->self_managed);
        assert_string_equal(bound->own_policy, "bind:0");
        assert_true(total(bound->movable_by_node, &s) + size <= total(after->movable_by_node, &s) + MIB);

        /* Shared with a child: not movable either. */
        assert_int_equal(munmap(p, size), 0);
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        memset(p, 1, size);
        _cleanup_(deep_sample_freep) struct deep_sample *alone = deep(&s);
        int pipe_fds[2];
        assert_int_equal(pipe(pipe_fds), 0);
        pid_t child = fork();
        if (child == 0) {
                char c = 0;
                for (size_t i = 0; i < size; i += 4096)
                        c = (char) (c + p[i]);
                if (write(pipe_fds[1], &c, 1) == 1)
                        for (;;)
                                (void) pause();
                _exit(1);
        }
        char c;
        assert_int_equal(read(pipe_fds[0], &c, 1), 1);
        const struct process_ref both[] = { s.self, { .pid = child, .start_ticks = start_of(s.host, child) } };
        struct deep_sample *d = NULL;
        int r = observe_deep(s.host, s.topology->n_ids, both, 2, NULL, &d);
        (void) kill(child, SIGKILL);
        (void) waitpid(child, NULL, 0);
        assert_int_equal(r, 0);
        assert_int_equal(d->n_processes_read, 2);
        assert_true(total(d->movable_by_node, &s) + size <= total(alone->movable_by_node, &s) + 4 * MIB);
        assert_true(total(d->bytes_by_node, &s) < total(alone->bytes_by_node, &s) + size); /* the shared pages once */
        deep_sample_free(d);
        (void) close(pipe_fds[0]);
        (void) close(pipe_fds[1]);
        setup_done(&s);
}

struct thread_arg {
        sem_t ready, go;
        bool bind;
};

static void *run_thread(void *userdata) {
        struct thread_arg *a = userdata;
        if (a->bind)
                (void) set_policy(MODE_BIND, 1);
        (void) sem_post(&a->ready);
        (void) sem_wait(&a->go);
        return NULL;
}

static void test_thread_policies(void **state) {
        for (int bind = 0; bind <= 1; bind++) {
                struct setup s;
                struct thread_arg a = { .bind = bind != 0 };
                pthread_t t;
                setup_make(&s);
                assert_int_equal(sem_init(&a.ready, 0, 0) + sem_init(&a.go, 0, 0), 0);
                assert_int_equal(pthread_create(&t, NULL, run_thread, &a), 0);
                (void) sem_wait(&a.ready);
                _cleanup_(deep_sample_freep) struct deep_sample *d = deep(&s);
                assert_int_equal(d->self_managed, bind);
                if (bind)
                        assert_string_equal(d->own_policy, "bind:0");
                (void) sem_post(&a.go);
                (void) pthread_join(t, NULL);
                setup_done(&s);
        }
}

static void test_task_policy(void **state) {
        struct setup s;
        setup_make(&s);
        assert_int_equal(set_policy(MODE_BIND, 1), 0);
        _cleanup_(deep_sample_freep) struct deep_sample *d = deep(&s);
        (void) set_policy(MODE_DEFAULT, 0);
        assert_true(d->self_managed);
        assert_false(d->has_bound_mappings);
        assert_string_equal(d->own_policy, "bind:0");
        assert_int_equal(total(d->movable_by_node, &s), 0);
        setup_done(&s);
}

static const struct service_sample *find_self(const struct observation *o) {
        for (size_t i = 0; i < o->n_services; i++)
                for (size_t k = 0; k < o->services[i].n_processes; k++)
                        if (o->services[i].processes[k].pid == getpid())
                                return &o->services[i];
        return NULL;
}

static uint64_t boot_usec(void) {
        struct timespec ts;
        (void) clock_gettime(CLOCK_BOOTTIME, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

static uint64_t own_cpu_usec(void) {
        struct timespec ts;
        (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

static void test_screen(void **state) {
        struct setup s;
        setup_make(&s);
        _cleanup_(config_freep) struct config *c = config_new();
        struct observer *observer = NULL;
        assert_int_equal(observer_new(s.host, s.topology, &observer), 0);
        for (int i = 0; i < 2; i++) {
                _cleanup_(observation_freep) struct observation *o = NULL;
                assert_int_equal(observer_screen(observer, c, NULL, 0, boot_usec(), &o), 0);
                const struct service_sample *self = find_self(o);
                assert_non_null(self);
                assert_true(self->n_threads >= 1);
                uint64_t shares = 0;
                for (unsigned id = 0; id < s.topology->n_ids; id++)
                        shares += self->cpu_share_by_node[id];
                assert_int_equal(shares, 1000000);
                if (i == 1) /* the 200 ms burnt below were seen, less the ticks' rounding */
                        assert_true(total(self->cpu_usec_by_node, &s) >= 150000);
                uint64_t until = own_cpu_usec() + 200000;
                while (i == 0 && own_cpu_usec() < until)
                        ;
        }
        observer_free(observer);
        setup_done(&s);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_memory),
                cmocka_unit_test(test_thread_policies),
                cmocka_unit_test(test_task_policy),
                cmocka_unit_test(test_screen),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
