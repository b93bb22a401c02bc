/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/broker/broker.h"
#include "tests/support/stress/stress_main.h"

static bool is_wanted(const struct stress_case *what, char **names, int count)
{
	if (count == 0)
		return true;
	for (int i = 0; i < count; i++)
		if (strncmp(what->name, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static int run_cases(const struct stress_case *cases, size_t count, char **names, int name_count,
	bool with_broker, const char *broker_config, uint64_t seed)
{
	struct test_broker broker = { 0 };
	int ran = 0, failed = 0;

	if (with_broker)
		test_broker_start(&broker, broker_config);
	for (size_t i = 0; i < count; i++) {
		if (!is_wanted(&cases[i], names, name_count) || (!cases[i].bare && !with_broker))
			continue;
		ran++;
		if (stress_case_run(&cases[i], broker.socket, seed + i) < 0)
			failed++;
		if (with_broker && !test_broker_alive(&broker)) {
			fprintf(stderr, "%s: the broker died\n", cases[i].name);
			failed++;
			break;
		}
	}
	if (with_broker && test_broker_stop(&broker) != 0) {
		fprintf(stderr, "the broker did not end well\n");
		failed++;
	}
	printf("%d cases, %d failed\n", ran, failed);
	return ran > 0 && failed == 0 ? 0 : 1;
}

int stress_main(int argc, char **argv, const struct stress_case *cases, size_t count,
	const char *broker_config)
{
	struct timespec now;
	bool with_broker = true;
	int at = 1;

	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t seed = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	for (; at < argc && argv[at][0] == '-'; at++) {
		if (strcmp(argv[at], "--seed") == 0 && at + 1 < argc) {
			seed = strtoull(argv[++at], NULL, 0);
		} else if (strcmp(argv[at], "--no-broker") == 0) {
			with_broker = false;
		} else if (strcmp(argv[at], "--list") == 0) {
			for (size_t i = 0; i < count; i++)
				puts(cases[i].name);
			return 0;
		} else {
			fprintf(stderr, "usage: %s [--seed N] [--list] [--no-broker] [NAME...]\n",
				argv[0]);
			return 2;
		}
	}
	printf("seed %" PRIu64 ", scale %g\n", seed, stress_scale());
	fflush(stdout);
	return run_cases(cases, count, argv + at, argc - at, with_broker, broker_config, seed);
}
