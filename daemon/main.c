/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numabalanced: reads the command line and runs a manager. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config-load.h"
#include "core/text.h"
#include "host/described.h"
#include "manager.h"
#include "once.h"
#include "out.h"
#include "replay-print.h"
#include "report/journal.h"

struct arguments {
        struct manager_options options;
        const char *root;
        bool check;
        const char *json; /* pretty, short; NULL: for people */
        enum log_target log_target;
        bool log_target_given;
};

static void print_help(void) {
        puts("numabalanced [OPTIONS]\n"
             "\n"
             "Keeps services and their memory on the same NUMA nodes.\n"
             "\n"
             "  --config FILE                 read FILE instead of " SYSCONFDIR "/numabalanced/numabalanced.yaml\n"
             "                                and its drop-ins\n"
             "  --check                       check the configuration and exit (0: fine, 78: it has errors)\n"
             "  --once                        look, decide and act once, print what was seen and done\n"
             "  --json=pretty|short           with --once and --root of a capture: the plan as JSON\n"
             "  --dry-run                     decide and report, change nothing\n"
             "  --root DIR                    read a captured machine below DIR (implies --dry-run); what\n"
             "                                numabalancectl capture took is decided upon again, as it was then\n"
             "  --log-target journal|console  where log lines go (console with --once, --check, on a terminal\n"
             "                                and where there is no journal)\n"
             "  --help, --version\n"
             "\n"
             "See numabalanced(8), numabalanced.yaml(5) and numabalancectl(1).");
}

static int usage_error(const char *what, const char *detail) {
        _cleanup_free_ char *clean = text_clean(detail, false);
        (void) fprintf(stderr, "numabalanced: %s%s (see --help)\n", what, clean ? clean : "");
        return -EINVAL;
}

static int refuse_option(char **argv) {
        _cleanup_free_ char *option = out_refused_option(argv);
        return usage_error("no option that can be used so: ", option ? option : "something");
}

/* Returns 1: go on; 0: done; negative: usage error, said. */
static int parse_arguments(int argc, char **argv, struct arguments *a) {
        enum { ARG_CONFIG = 256, ARG_CHECK, ARG_ONCE, ARG_DRY_RUN, ARG_ROOT, ARG_JSON, ARG_LOG_TARGET, ARG_HELP, ARG_VERSION };
        static const struct option options[] = {
                { "config", required_argument, NULL, ARG_CONFIG },
                { "check", no_argument, NULL, ARG_CHECK },
                { "once", no_argument, NULL, ARG_ONCE },
                { "dry-run", no_argument, NULL, ARG_DRY_RUN },
                { "root", required_argument, NULL, ARG_ROOT },
                { "json", required_argument, NULL, ARG_JSON },
                { "log-target", required_argument, NULL, ARG_LOG_TARGET },
                { "help", no_argument, NULL, ARG_HELP },
                { "version", no_argument, NULL, ARG_VERSION },
                { 0 },
        };
        opterr = 0;
        for (;;) {
                int c = getopt_long(argc, argv, ":h", options, NULL);
                if (c < 0)
                        break;
                switch (c) {
                case ARG_CONFIG: a->options.config_file = optarg; break;
                case ARG_CHECK: a->check = true; break;
                case ARG_ONCE: a->options.once = true; break;
                case ARG_DRY_RUN: a->options.dry_run = true; break;
                case ARG_ROOT: a->root = optarg; break;
                case ARG_JSON:
                        if (strcmp(optarg, "pretty") != 0 && strcmp(optarg, "short") != 0)
                                return usage_error("--json takes pretty or short, not ", optarg);
                        a->json = optarg;
                        break;
                case ARG_LOG_TARGET:
                        if (strcmp(optarg, "journal") == 0)
                                a->log_target = LOG_TARGET_JOURNAL;
                        else if (strcmp(optarg, "console") == 0)
                                a->log_target = LOG_TARGET_CONSOLE;
                        else
                                return usage_error("--log-target takes journal or console, not ", optarg);
                        a->log_target_given = true;
                        break;
                case 'h':
                case ARG_HELP: print_help(); return 0;
                case ARG_VERSION: puts("numabalanced " PACKAGE_VERSION); return 0;
                case ':': return usage_error("a value is missing after ", argv[optind - 1]);
                default: return refuse_option(argv);
                }
        }
        if (optind < argc)
                return usage_error("unexpected argument ", argv[optind]);
        if (a->json && !(a->options.once && replay_is_capture(a->root)))
                return a->options.once && strcmp(a->root, "/") != 0
                               ? usage_error("--json is for a capture, and there is none in ", a->root)
                               : usage_error("--json is for a capture: ", "--once --root DIR");
        return 1;
}

/* The configuration alone: errors one a line on standard error, as file:line:column. */
static int check(const struct arguments *a) {
        _cleanup_(host_freep) struct host *host = NULL;
        _cleanup_(topology_freep) struct topology *topology = NULL;
        _cleanup_(config_freep) struct config *config = NULL;
        struct config_errors errors = { 0 };

        /* Without a topology node numbers cannot be checked, all else can. */
        if (host_open(a->root, &host) < 0 || topology_load(host, &topology) < 0)
                (void) fprintf(stderr, "numabalanced: cannot read the topology, node numbers are not checked\n");
        struct config_source source = { .root = a->root, .main_file = a->options.config_file, .topology = topology };
        int r = config_load(&source, &config, &errors);
        for (size_t i = 0; i < errors.n_lines; i++)
                (void) fprintf(stderr, "%s\n", errors.lines[i]);
        config_errors_done(&errors);
        if (r == -ENOMEM)
                (void) fprintf(stderr, "numabalanced: out of memory\n");
        if (r >= 0)
                (void) printf("Configuration is fine: %zu %s.\n", config->n_rules, config->n_rules == 1 ? "rule" : "rules");
        return r >= 0 ? out_finish() : r == -ENOMEM ? EXIT_FAILURE : EXIT_CONFIG;
}

/* With hwloc's picture of another machine this one can be looked at, but its CPUs and nodes are not those of the picture. */
static void spare_this_machine(struct arguments *a) {
        if (a->options.dry_run || !(describes_another_machine() || strcmp(described_root(), "/") != 0))
                return;
        log_notice("hwloc's variables in the environment describe another machine: nothing is changed");
        a->options.dry_run = true;
}

static bool is_described_wrongly(void) {
        const char *name = described_wrongly();
        if (name)
                log_error(-EINVAL, "%s describes no machine that hwloc understands: %s", name, getenv(name));
        return name;
}

/* What goes wrong has been said where it did. */
static int run(const struct arguments *a) {
        const struct live_options live = { .root = a->root, .once = a->options.once };
        static struct environment env; /* a stuck job can outlive this function: nothing that it uses may be on the stack */
        struct manager *m = NULL;

        int r = environment_live_new(&live, &env);
        if (r >= 0)
                r = manager_new(&a->options, &env, &m);
        int status = r == -EBADMSG ? EXIT_CONFIG : EXIT_FAILURE;
        if (r >= 0)
                r = manager_start(m);
        if (r >= 0) {
                status = r = environment_live_run(&env);
                if (r < 0) {
                        log_error(r, "The event loop failed: %s", strerror(-r));
                        status = EXIT_FAILURE;
                }
        }
        manager_free(m);
        environment_live_done(&env);
        return status;
}

/* One heap for all threads, which mostly wait for the kernel, and large blocks outside of it, given back when they are freed: on a machine with
 * 10,000 processes that is a fifth less memory. */
static void spare_memory(void) {
#ifdef M_ARENA_MAX
        (void) mallopt(M_ARENA_MAX, 1);
        (void) mallopt(M_MMAP_THRESHOLD, 64 * 1024);
        (void) mallopt(M_TRIM_THRESHOLD, 128 * 1024);
#endif
}

/* Where nobody takes entries for a journal (a container without one), sd_journal_sendv() succeeds all the same, and what goes wrong would be said nowhere. */
static enum log_target default_log_target(const struct arguments *a) {
        bool in_words = a->options.once || a->check || isatty(STDERR_FILENO) || access("/run/systemd/journal/socket", F_OK) < 0;
        return in_words ? LOG_TARGET_CONSOLE : LOG_TARGET_JOURNAL;
}

int main(int argc, char **argv) {
        struct arguments a = {
                .root = "/",
                .options = { .runtime_dir = "/run/numabalanced", .once_is_complete = once_is_complete, .once_print = once_print }
        };
        spare_memory();
        /* Characters as the terminal has them; numbers stay as they are written everywhere. */
        (void) setlocale(LC_CTYPE, "");
        int r = parse_arguments(argc, argv, &a);
        if (r <= 0)
                return r < 0 ? EXIT_USAGE : out_finish();
        if (!a.log_target_given)
                a.log_target = default_log_target(&a);
        /* systemd sets it where a unit is to be run for debugging (systemd.exec(5)). */
        const char *debug = getenv("DEBUG_INVOCATION");
        log_open(a.log_target, debug && strcmp(debug, "1") == 0 ? LOG_DEBUG : LOG_INFO);
        bool replays = !a.check && a.options.once && replay_is_capture(a.root);
        if (!replays && is_described_wrongly())
                return EXIT_FAILURE;
        if (a.check)
                return check(&a);
        if (replays)
                return replay_print(a.root, a.options.config_file, a.json);
        spare_this_machine(&a);
        return run(&a);
}
