/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What observing costs where there are many processes: CGROUPS cgroups with PROCESSES sleeping processes each, on this machine; the screen
 * beside a plain loop that reads the same files and throws them away, then numabalanced itself, once and running. Needs root and a cgroup v2
 * hierarchy that can be written to. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/rule.h"
#include "core/util.h"
#include "host/host.h"
#include "host/io.h"
#include "host/observe.h"
#include "host/proc.h"

#define ROUNDS 7u

static char top[PATH_MAX]; /* the cgroup that all are in */
static pid_t *pids;
static unsigned n_pids;
static pid_t maker;
static unsigned busy; /* µs that each process runs for, every second and a half; 0: all sleep */

static void remove_all(void) {
        if (getpid() != maker)
                return;
        for (unsigned i = 0; i < n_pids; i++)
                (void) kill(pids[i], SIGKILL);
        for (unsigned i = 0; i < n_pids; i++)
                (void) waitpid(pids[i], NULL, 0);
        for (unsigned i = 0;; i++) {
                char path[PATH_MAX + 32];
                (void) snprintf(path, sizeof path, "%s/s%u.service", top, i);
                if (rmdir(path) < 0 && errno == ENOENT)
                        break;
        }
        (void) rmdir(top);
}

_Noreturn static void die(const char *what) {
        (void) fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(EXIT_FAILURE);
}

static void put(const char *path, const char *text) {
        int fd = open(path, O_WRONLY | O_CLOEXEC | O_CREAT | O_TRUNC, 0600);
        if (fd < 0 || write(fd, text, strlen(text)) < 0)
                die(path);
        (void) close(fd);
}

static double cpu_usec(void) {
        struct timespec ts;
        (void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
        return (double) ts.tv_sec * 1e6 + (double) ts.tv_nsec / 1e3;
}

/* The child moves itself, so that there is no moment in which it is elsewhere after the pipe is closed. */
static void make_process(const char *cgroup) {
        pid_t pid = fork();
        if (pid < 0)
                die("fork");
        if (pid == 0) {
                char path[PATH_MAX + 64];
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void) snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
                put(path, "0");
                for (unsigned i = (unsigned) getpid();; i++) {
                        if (!busy)
                                (void) pause();
                        /* Each at another time, or their waking up would be all that is measured. */
                        (void) usleep(1000000 + i % 1000 * 1000);
                        for (double until = cpu_usec() + busy; cpu_usec() < until;)
                                ;
                }
        }
        pids[n_pids++] = pid;
}

static void make_crowd(const struct host *h, unsigned n_cgroups, unsigned each) {
        (void) snprintf(top, sizeof top, "/%s/bench-crowd-%d", h->cgroup_mount, (int) maker);
        pids = calloc((size_t) n_cgroups * each, sizeof *pids);
        if (!pids || mkdir(top, 0755) < 0)
                die(top);
        for (unsigned i = 0; i < n_cgroups; i++) {
                char path[PATH_MAX + 32];
                (void) snprintf(path, sizeof path, "%s/s%u.service", top, i);
                if (mkdir(path, 0755) < 0)
                        die(path);
                for (unsigned k = 0; k < each; k++)
                        make_process(path);
        }
        (void) sleep(2); /* until all have moved */
}

/* Measures */

static uint64_t now_usec(void) {
        struct timespec ts;
        (void) clock_gettime(CLOCK_BOOTTIME, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

static size_t throw_away(const char *path) {
        static char buffer[65536];
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        size_t size = 0;
        ssize_t n;
        while (fd >= 0 && (n = read(fd, buffer, sizeof buffer)) > 0)
                size += (size_t) n;
        if (fd >= 0)
                (void) close(fd);
        return size;
}

/* One file of each kind that a screen cannot do without. */
static double plain_loop(unsigned n_cgroups) {
        static const char *const files[] = { "cgroup.procs", "cpu.stat", "memory.numa_stat" };
        double began = cpu_usec();
        size_t size = 0;
        char path[PATH_MAX + 64];
        for (unsigned i = 0; i < n_cgroups; i++)
                for (unsigned k = 0; k < ARRAY_SIZE(files); k++) {
                        (void) snprintf(path, sizeof path, "%s/s%u.service/%s", top, i, files[k]);
                        size += throw_away(path);
                }
        for (unsigned i = 0; i < n_pids; i++) {
                (void) snprintf(path, sizeof path, "/proc/%d/stat", (int) pids[i]);
                size += throw_away(path);
        }
        if (size == 0)
                die("nothing could be read");
        return cpu_usec() - began;
}

static int compare(const void *a, const void *b) {
        double x = *(const double *) a, y = *(const double *) b;
        return (x > y) - (x < y);
}

static double median(double *values, unsigned n) {
        qsort(values, n, sizeof *values, compare);
        return values[n / 2];
}

static void measure_screens(const struct host *h, unsigned n_cgroups) {
        struct topology *t;
        struct observer *o;
        struct config *c = config_new();
        double loop[ROUNDS], screen[ROUNDS], ratio[ROUNDS], first = 0;
        if (!c || topology_load(h, &t) < 0 || observer_new(h, t, &o) < 0)
                die("the machine");
        observer_set_incremental(o, false);
        for (unsigned i = 0; i <= ROUNDS; i++) {
                struct observation *seen;
                double plain = plain_loop(n_cgroups), began = cpu_usec();
                if (observer_screen(o, c, NULL, 0, now_usec(), &seen) < 0)
                        die("the screen");
                double took = cpu_usec() - began;
                if (seen->n_services < n_cgroups)
                        die("services are missing");
                observation_free(seen);
                if (i == 0)
                        first = took;
                else {
                        loop[i - 1] = plain;
                        screen[i - 1] = took;
                        ratio[i - 1] = took / plain;
                }
        }
        (void) printf("  plain loop %.1f ms, first screen %.1f ms, each further one %.1f ms: %.2f of the loop\n",
                      median(loop, ROUNDS) / 1e3, first / 1e3, median(screen, ROUNDS) / 1e3, median(ratio, ROUNDS));
        (void) fflush(stdout);
        observer_free(o);
        topology_free(t);
        config_free(c);
}

/* numabalanced itself */

static pid_t start(const char *daemon, const char *config, bool once, const char *log) {
        pid_t pid = fork();
        if (pid < 0)
                die("fork");
        if (pid > 0)
                return pid;
        (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
                _exit(EXIT_FAILURE);
        (void) execl(daemon, daemon, "--config", config, "--dry-run", "--log-target=console", once ? "--once" : NULL, NULL);
        _exit(EXIT_FAILURE);
}

static double seconds_of(const struct timeval *t) {
        return (double) t->tv_sec + (double) t->tv_usec / 1e6;
}

static void run_once(const char *daemon, const char *config, const char *log) {
        struct rusage used;
        int status;
        uint64_t began = now_usec();
        pid_t pid = start(daemon, config, true, log);
        if (wait4(pid, &status, 0, &used) < 0 || status != 0)
                die("numabalanced --once failed");
        (void) printf("  --once: %.2f s, %.2f s of CPU, %.1f MiB at most\n", (double) (now_usec() - began) / 1e6,
                      seconds_of(&used.ru_utime) + seconds_of(&used.ru_stime), (double) used.ru_maxrss / 1024);
        (void) fflush(stdout);
}

static double cpu_of(int proc_fd, pid_t pid, unsigned ticks) {
        char path[32];
        struct proc_stat st;
        (void) snprintf(path, sizeof path, "%d/stat", (int) pid);
        if (proc_stat_read(proc_fd, path, &st) < 0)
                die("numabalanced has ended");
        return (double) st.cpu_ticks / ticks;
}

static double high_water_mib(pid_t pid) {
        char path[64], line[256];
        double kib = 0;
        (void) snprintf(path, sizeof path, "/proc/%d/status", (int) pid);
        FILE *f = fopen(path, "re");
        while (f && fgets(line, sizeof line, f))
                if (strncmp(line, "VmHWM:", 6) == 0)
                        kib = strtod(line + 6, NULL);
        if (f)
                (void) fclose(f);
        return kib / 1024;
}

static void run_daemon(const struct host *h, const char *daemon, const char *config, const char *log, unsigned seconds) {
        _cleanup_(close_fdp) int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        pid_t pid = start(daemon, config, false, log);
        (void) sleep(seconds);
        double begun = cpu_of(proc_fd, pid, h->ticks_per_sec);
        (void) sleep(seconds);
        double used = cpu_of(proc_fd, pid, h->ticks_per_sec) - begun;
        (void) printf("  running: %.2f s of CPU in its first %u s, then %.2f %% of a CPU; %.1f MiB at most\n", begun, seconds,
                      used * 100 / seconds, high_water_mib(pid));
        (void) fflush(stdout);
        (void) kill(pid, SIGTERM);
        (void) waitpid(pid, NULL, 0);
}

static unsigned number(const char *text, unsigned otherwise) {
        uint64_t n;
        if (!text)
                return otherwise;
        if (parse_u64(text, &n) < 0 || n == 0 || n > 1000000) {
                errno = EINVAL;
                die(text);
        }
        return (unsigned) n;
}

int main(int argc, char *argv[]) {
        if (argc < 2) {
                (void) fprintf(stderr, "usage: %s NUMABALANCED [CGROUPS [PROCESSES-EACH [SECONDS [BUSY-USEC [INTERVAL]]]]]\n",
                               argv[0]);
                return 2;
        }
        unsigned n_cgroups = number(argc > 2 ? argv[2] : NULL, 1000), each = number(argc > 3 ? argv[3] : NULL, 10),
                 seconds = number(argc > 4 ? argv[4] : NULL, 60);
        busy = argc > 5 && strcmp(argv[5], "0") != 0 ? number(argv[5], 0) : 0;
        if ((double) busy * n_cgroups * each / 1.5e6 > 0.3) { /* they would only wait for each other */
                (void) fprintf(stderr, "that is more than 30 %% of a CPU: fewer microseconds, or fewer processes\n");
                return EXIT_FAILURE;
        }
        char directory[] = "/tmp/crowd-XXXXXX", config[64], log[64];
        struct host *h;
        maker = getpid();
        if (!mkdtemp(directory) || host_open("/", &h) < 0 || !h->cgroup_mount)
                die("no cgroup v2");
        (void) snprintf(config, sizeof config, "%s/config.yaml", directory);
        (void) snprintf(log, sizeof log, "%s/log", directory);
        /* With an interval that scan-cpu does not pay for, the credit of the start is soon used up, and what is left is the bound. */
        const char *interval = argc > 6 ? argv[6] : NULL;
        _cleanup_free_ char *text = format_string(
                "version: 1\n%s%s%s%s%srules:\n  - name: all\n    match: {unit: \"s*.service\"}\n    place: compact\n",
                interval ? "daemon: {interval: " : "", interval ? interval : "", interval ? ", max-interval: " : "",
                interval ? interval : "", interval ? "}\n" : "");
        if (!text)
                die("the configuration");
        put(config, text);
        (void) atexit(remove_all);
        make_crowd(h, n_cgroups, each);
        (void) printf("%u processes in %u services, %s, memory controller: %s\n", n_pids, n_cgroups,
                      busy ? "which run a little" : "which sleep",
                      h->has_memory_controller ? "yes" : "no, so each service's memory is known from numa_maps alone");
        (void) fflush(stdout);
        measure_screens(h, n_cgroups);
        run_once(argv[1], config, log);
        run_daemon(h, argv[1], config, log, seconds);
        (void) printf("  what it said: %s\n", log);
        host_free(h);
        return EXIT_SUCCESS;
}
