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

#include "bench.h"
#include "kickmsg.h"

static const struct load {
	const char *name;
	void (*run)(struct bench *bench, const char *load);
	const char *what;
} loads[] = {
	{ "latency-8", bench_latency, "ping-pong, send and polling receive; one way" },
	{ "latency-64", bench_latency, "the same" },
	{ "latency-64-zerocopy", bench_latency, "loan, publish and a borrowed sample" },
	{ "latency-1k", bench_latency, "against the minimal ring with as much" },
	{ "latency-1m", bench_latency, "in place: write all, publish, read all, flag back" },
	{ "blocking-64", bench_latency, "receive that sleeps, against a raw futex; one way" },
	{ "throughput-64", bench_throughput, "flood one to one; what arrived" },
	{ "fanout-0", bench_fanout, "one send with no subscriber" },
	{ "fanout-1", bench_fanout, "with 1" },
	{ "fanout-4", bench_fanout, "with 4" },
	{ "fanout-15", bench_fanout, "with 15" },
	{ "places-1", bench_fanout, "one send, one subscriber, max_subscribers 1" },
	{ "places-16", bench_fanout, "max_subscribers 16" },
	{ "places-48", bench_fanout, "max_subscribers 48" },
	{ "attach", bench_attach, "connect, advertise, first message" },
	{ "broker-memory", bench_broker_memory, "resident memory of an idle broker" },
	{ "recovery-publisher", bench_recovery, "SIGKILL to no trace of it; 256 slots, 16 places" },
	{ "recovery-subscriber", bench_recovery, "the same for a subscriber that holds samples" },
	{ "recovery-1024", bench_recovery, "of a publisher, 1024 slots" },
	{ "recovery-4096", bench_recovery, "4096 slots" },
	{ "recovery-16384", bench_recovery, "16384 slots" },
	{ "recovery-65536", bench_recovery, "65536 slots" },
	{ "stall", bench_stall, "survivors while others are killed, or stop in order" },
};

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

/* Workers end through exit() as well; the broker isn't theirs. */
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
		"  --quick        under a minute\n"
		"  --smoke        a few messages of everything: does it work? The figures mean "
		"nothing\n"
		"  --only LOAD    one load, or all whose names begin with LOAD\n"
		"  --json FILE    also write the rows as JSON\n"
		"  --list         what loads there are\n"
		"  --version, --help\n"
		"KICKMSGD names the broker's program; default " KICKMSGD_PATH "\n");
}

static bool chosen(const struct load *load, const char *only)
{
	size_t length = only ? strlen(only) : 0;
	bool exact = false;

	for (size_t i = 0; only && i < sizeof(loads) / sizeof(loads[0]); i++)
		exact = exact || strcmp(loads[i].name, only) == 0;
	return !only ||
	       (exact ? strcmp(load->name, only) == 0 : strncmp(load->name, only, length) == 0);
}

static void run(const char *only)
{
	unsigned count = 0;

	signal(SIGPIPE, SIG_IGN);
	main_pid = getpid();
	atexit(clean_up);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	/* Others on this machine make rounds useless, not slow: be before them where that is allowed. */
	if (bench.scale.percent > 2)
		setpriority(PRIO_PROCESS, 0, -20);
	bench_clock_init();
	bench_broker_start(&bench);
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
		if (!chosen(&loads[i], only))
			continue;
		fprintf(stderr, "%s ...\n", loads[i].name);
		loads[i].run(&bench, loads[i].name);
		count++;
	}
	if (count == 0)
		bench_die("no load is called %s (--list)", only);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "quick", no_argument, NULL, 'q' },
		{ "smoke", no_argument, NULL, 's' },
		{ "only", required_argument, NULL, 'o' },
		{ "json", required_argument, NULL, 'j' },
		{ "list", no_argument, NULL, 'l' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *only = NULL, *json = NULL;
	int option, r;

	bench.scale = (struct bench_scale){ 25, 100, 200, 200, 3, 20 };
	bench.kickmsgd = getenv("KICKMSGD") ? getenv("KICKMSGD") : KICKMSGD_PATH;
	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (option) {
		case 'q':
			bench.scale = (struct bench_scale){ 11, 50, 60, 50, 2, 4 };
			break;
		case 's':
			bench.scale = (struct bench_scale){ 2, 2, 3, 3, 1, 30 };
			break;
		case 'o':
			only = optarg;
			break;
		case 'j':
			json = optarg;
			break;
		case 'l':
			for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
				printf("%-20s %s\n", loads[i].name, loads[i].what);
			return 0;
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
	run(only);
	bench_report_table(&bench.report);
	r = json ? bench_report_json(&bench.report, json) : 0;
	if (r < 0)
		bench_die("%s: %s", json, strerror(-r));
	return bench.given_up ? 1 : 0;
}
