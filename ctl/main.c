/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numabalancectl: reads the command line and runs a verb. */
#include "config.h"

#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "out.h"

static const struct verb *const verbs[] = {
        &verb_status, &verb_list,   &verb_explain, &verb_plan,   &verb_history, &verb_advise,  &verb_topology,
        &verb_check,  &verb_reload, &verb_pause,   &verb_resume, &verb_restore, &verb_capture, &verb_simulate,
};

static const char options_help[] = "Options:\n"
                                   "  --json=pretty|short|off  print JSON, indented or on one line\n"
                                   "  --no-legend              leave out headings and closing lines\n"
                                   "  --help                   this, or with a verb what it does\n"
                                   "  --version\n";

/* Prints words up to column 80. */
static void print_wrapped(const char *text) {
        size_t column = 0;
        while (*text) {
                size_t n = strcspn(text, " ");
                if (column > 0)
                        (void) putchar(column + 1 + n > 80 ? '\n' : ' ');
                column = column == 0 || column + 1 + n > 80 ? n : column + 1 + n;
                (void) printf("%.*s", (int) n, text);
                text += n + (text[n] == ' ');
        }
        (void) putchar('\n');
}

static int print_help(const struct verb *verb) {
        if (verb) {
                (void) printf("numabalancectl %s %s%s[OPTIONS]\n\n", verb->name, verb->arguments, *verb->arguments ? " " : "");
                print_wrapped(verb->help);
        } else {
                (void) puts("numabalancectl VERB [OPTIONS]\n\nLooks at and controls numabalanced, which keeps services and their "
                            "memory on the same NUMA nodes.\n");
                for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
                        _cleanup_free_ char *synopsis = format_string("%s %s", verbs[i]->name, verbs[i]->arguments);
                        (void) printf("  %-24s %s\n", synopsis ? synopsis : verbs[i]->name, verbs[i]->summary);
                }
        }
        static const char simulate_help[] = "  --topology FILE|TEXT     with simulate: the machine, as hwloc describes it\n"
                                            "  --scenario FILE          its services, and rules\n"
                                            "  --config FILE            other rules\n"
                                            "  --until TIME             how long, such as 12h\n";
        (void) printf("\n%s%s%s\n%s", options_help,
                      verb && !verb->takes_explain ? "" : "  --explain                with advise: why, and the candidates\n",
                      verb && !verb->takes_simulate ? "" : simulate_help,
                      verb ? ""
                           : "Exit status: 0 fine, 1 failed, 2 usage, 3 the daemon is not running, 78 configuration error.\n"
                             "See numabalancectl(1).\n");
        return out_finish();
}

static const struct verb *find_verb(const char *name) {
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                if (strcmp(verbs[i]->name, name) == 0)
                        return verbs[i];
        return NULL;
}

struct request {
        struct options options;
        bool help, version;
};

static bool parse_json_mode(const char *text, enum json_mode *ret) {
        static const char *const names[] = { [JSON_OFF] = "off", [JSON_SHORT] = "short", [JSON_PRETTY] = "pretty" };
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (strcmp(text, names[i]) == 0) {
                        *ret = (enum json_mode) i;
                        return true;
                }
        return false;
}

static int refuse_option(char **argv) {
        _cleanup_free_ char *option = out_refused_option(argv);
        return out_error(EXIT_USAGE, "%s is no option that can be used so (see --help)", option ? option : "something");
}

/* Options may stand anywhere. Returns EXIT_SUCCESS or EXIT_USAGE, said. */
static int parse(int argc, char **argv, struct request *r) {
        enum {
                ARG_JSON = 256,
                ARG_NO_LEGEND,
                ARG_EXPLAIN,
                ARG_HELP,
                ARG_VERSION,
                ARG_TOPOLOGY,
                ARG_SCENARIO,
                ARG_CONFIG,
                ARG_UNTIL
        };
        static const struct option options[] = {
                { "json", required_argument, NULL, ARG_JSON },         { "no-legend", no_argument, NULL, ARG_NO_LEGEND },
                { "explain", no_argument, NULL, ARG_EXPLAIN },         { "help", no_argument, NULL, ARG_HELP },
                { "version", no_argument, NULL, ARG_VERSION },         { "topology", required_argument, NULL, ARG_TOPOLOGY },
                { "scenario", required_argument, NULL, ARG_SCENARIO }, { "config", required_argument, NULL, ARG_CONFIG },
                { "until", required_argument, NULL, ARG_UNTIL },       { 0 },
        };
        int c;
        opterr = 0; /* what is wrong is said here, in one line */
        while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0)
                switch (c) {
                case ARG_JSON:
                        if (!parse_json_mode(optarg, &r->options.json))
                                return out_error(EXIT_USAGE, "--json takes pretty, short or off, not \"%s\" (see --help)",
                                                 optarg);
                        break;
                case ARG_NO_LEGEND: r->options.legend = false; break;
                case ARG_EXPLAIN: r->options.explain = true; break;
                case ARG_TOPOLOGY: r->options.simulate.topology = optarg; break;
                case ARG_SCENARIO: r->options.simulate.scenario = optarg; break;
                case ARG_CONFIG: r->options.simulate.config = optarg; break;
                case ARG_UNTIL: r->options.simulate.until = optarg; break;
                case 'h':
                case ARG_HELP: r->help = true; break;
                case ARG_VERSION: r->version = true; break;
                case ':': return out_error(EXIT_USAGE, "%s needs a value (see --help)", argv[optind - 1]);
                default: return refuse_option(argv);
                }
        return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        struct request request = { .options = { .legend = true } };
        /* Characters as the terminal has them; numbers stay as they are written everywhere. */
        (void) setlocale(LC_CTYPE, "");
        int r = parse(argc, argv, &request);
        if (r != EXIT_SUCCESS)
                return r;
        if (request.version) {
                (void) puts("numabalancectl " PACKAGE_VERSION);
                return out_finish();
        }
        const struct verb *verb = optind < argc ? find_verb(argv[optind]) : NULL;
        if (optind < argc && !verb)
                return out_error(EXIT_USAGE, "there is no verb \"%s\" (see --help)", argv[optind]);
        if (request.help)
                return print_help(verb);
        if (!verb)
                return out_error(EXIT_USAGE, "a verb is missing, such as status or list (see --help)");

        if (request.options.explain && !verb->takes_explain)
                return out_error(EXIT_USAGE, "%s takes no --explain (see --help)", verb->name);
        const struct simulate_options *sim = &request.options.simulate;
        const char *for_simulate = sim->topology   ? "topology"
                                   : sim->scenario ? "scenario"
                                   : sim->config   ? "config"
                                   : sim->until    ? "until"
                                                   : NULL;
        if (for_simulate && !verb->takes_simulate)
                return out_error(EXIT_USAGE, "%s takes no --%s (see --help)", verb->name, for_simulate);
        int n_arguments = argc - optind - 1;
        if (n_arguments < verb->min_arguments)
                return out_error(EXIT_USAGE, "%s needs %s (see --help)", verb->name, verb->arguments);
        if (verb->max_arguments >= 0 && n_arguments > verb->max_arguments)
                return out_error(EXIT_USAGE, "%s takes no argument \"%s\" (see --help)", verb->name,
                                 argv[optind + 1 + verb->max_arguments]);
        /* Mostly a variable that is not set. For restore an empty name would mean every service. */
        for (char **argument = argv + optind + 1; *argument; argument++)
                if (!**argument)
                        return out_error(EXIT_USAGE, "%s takes no empty argument (see --help)", verb->name);
        request.options.colour = out_wants_colour();
        return verb->run(argv + optind + 1, &request.options);
}
