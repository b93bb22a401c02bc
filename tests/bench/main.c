/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsg-bench: options, the list of loads. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/output.h"
#include "libclient/kickmsg.h"
#include "tests/bench/bench.h"
#include "tests/bench/loads.h"

static const struct load {
	const char *name;
	void (*run)(struct bench *bench, const char *load);
} others[] = {
	{ "instructions", bench_instructions },
	{ "wait-cpu", bench_wait_cpu },
	{ "attach", bench_attach },
	{ "history", bench_history },
	{ "broker-memory", bench_broker_memory },
	{ "topics", bench_broker_topics },
	{ "clients", bench_broker_clients },
	{ "topic-memory", bench_topic_memory },
	{ "pool", bench_pool },
	{ "recovery-publisher", bench_recovery },
	{ "recovery-subscriber", bench_recovery },
	{ "recovery-1024", bench_recovery },
	{ "recovery-4096", bench_recovery },
	{ "recovery-16384", bench_recovery },
	{ "recovery-65536", bench_recovery },
	{ "stall", bench_stall },
	{ "call-reset", bench_call_reset },
	{ "reliable-frozen", bench_frozen },
};

#define OTHER_COUNT (sizeof(others) / sizeof(others[0]))

static struct bench bench;

void bench_die(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "kickmsg-bench: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static pid_t main_pid;

/* Workers end through exit() as well, but the broker isn't theirs to end. */
static void clean_up(void)
{
	if (getpid() == main_pid)
		bench_broker_stop(&bench);
}

static void on_signal(int signal_number)
{
	if (getpid() == main_pid)
		bench_broker_abandon(&bench);
	_exit(128 + signal_number);
}

static void usage(FILE *file)
{
	fprintf(file,
		"Usage: kickmsg-bench [OPTIONS]\n"
		"Measures kickmsg against what the hardware and the kernel cost, in one run.\n"
		"  --quick             under a minute\n"
		"  --smoke             a few messages of everything: does it work? The figures "
		"mean "
		"nothing\n"
		"  --rows LOAD[,LOAD]  only loads whose names begin so; rows that are measured "
		"together come together\n"
		"  --json FILE         also write the rows as JSON\n"
		"  --list              what loads there are\n"
		"  --version, --help\n"
		"KICKMSGD names the broker's program; default " KICKMSGD_PATH "\n");
}

static void run(const char *rows)
{
	unsigned count;

	signal(SIGPIPE, SIG_IGN);
	main_pid = getpid();
	atexit(clean_up);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	/* Other processes would make rounds useless, so the bench goes before them where that is
	 * allowed. */
	if (!bench.scale.smoke)
		setpriority(PRIO_PROCESS, 0, -20);
	bench_clock_init();
	bench_cpus();
	bench_broker_start(&bench);
	count = loads_run_sets(&bench, rows);
	for (size_t i = 0; i < OTHER_COUNT; i++) {
		if (!loads_chosen(others[i].name, rows))
			continue;
		fprintf(stderr, "%s ...\n", others[i].name);
		others[i].run(&bench, others[i].name);
		count++;
	}
	if (count == 0)
		bench_die("no load is called %s (--list)", rows);
}

static void list(void)
{
	loads_list_sets();
	for (size_t i = 0; i < OTHER_COUNT; i++)
		printf("%s\n", others[i].name);
}

static const struct bench_scale full = {
	.rounds = 25,
	.kills = 200,
	.attaches = 200,
	.topics = 10000,
	.clients = 1000,
	.attempts = 3,
	.seconds = 60,
	.round_seconds = 0.02,
};

static const struct bench_scale quick = {
	.rounds = 5,
	.kills = 40,
	.attaches = 50,
	.topics = 1000,
	.clients = 200,
	.attempts = 2,
	.seconds = 2,
	.round_seconds = 0.004,
};

static const struct bench_scale smoke = {
	.smoke = true,
	.rounds = 2,
	.kills = 3,
	.attaches = 3,
	.topics = 50,
	.clients = 10,
	.attempts = 1,
	.seconds = 30,
	.round_seconds = 0.0002,
};

static int bench_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "quick", no_argument, NULL, 'q' },
		{ "smoke", no_argument, NULL, 's' },
		{ "rows", required_argument, NULL, 'r' },
		{ "json", required_argument, NULL, 'j' },
		{ "list", no_argument, NULL, 'l' },
		/* our own: see instructions.c */
		{ "hot-path", required_argument, NULL, 'p' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *rows = NULL, *json = NULL;
	int option, r;

	bench.scale = full;
	bench.kickmsgd = getenv("KICKMSGD") ? getenv("KICKMSGD") : KICKMSGD_PATH;
	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (option) {
		case 'q':
			bench.scale = quick;
			break;
		case 's':
			bench.scale = smoke;
			break;
		case 'r':
			rows = optarg;
			break;
		case 'j':
			json = optarg;
			break;
		case 'l':
			list();
			return 0;
		case 'p':
			return optind < argc ? bench_hot_path(optarg, argv[optind]) : 2;
		case 'V':
			printf("kickmsg-bench %s\n", kickmsg_version());
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "kickmsg-bench: what is %s?\n", argv[optind]);
		return 2;
	}
	run(rows);
	bench_report_table(&bench.report);
	r = json ? bench_report_json(&bench.report, json) : 0;
	if (r < 0)
		bench_die("%s: %s", json, strerror(-r));
	return 0;
}

int main(int argc, char **argv)
{
	km_output_begin();
	return km_output_end("kickmsg-bench", bench_main(argc, argv));
}
