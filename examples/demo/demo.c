/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `./kickstart demo`: starts everything, kills two on the way, and says what came of it. Exits 0
 * only if every byte was verified and every message accounted for. See demo.h for who talks to
 * whom. It is one file because it tells one story, from the start of the broker to the last count.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../output.h"
#include "demo.h"

#define READY_SECONDS 15
#define DRAIN_SECONDS 30
#define HEAL_SECONDS  5
#define MAX_CHILDREN  (DEMO_SOURCES + DEMO_ROWS)

static volatile sig_atomic_t interrupted;

struct children {
	pid_t source[DEMO_SOURCES];
	pid_t row[DEMO_ROWS]; /* of the first row of each */
};

static void on_signal(int signal)
{
	(void)signal;
	interrupted = 1;
}

static int publish_body(struct demo *demo, int id)
{
	return demo_publish(demo, (enum demo_source_id)id);
}

static int subscribe_body(struct demo *demo, int first)
{
	return demo_subscribe(demo, (enum demo_row_id)first);
}

static int complain(const char *what, int err)
{
	fprintf(stderr, "demo: %s: %s\n", what, err ? strerror(-err) : "failed");
	return -1;
}

/* Says how a process ended that should still be there. */
static int complain_of_end(const char *who, pid_t *pid, int status)
{
	char text[96];

	fprintf(stderr, "demo: %s (pid %d) %s\n", who, (int)*pid,
		demo_end_text(status, text, sizeof(text)));
	*pid = 0;
	return -1;
}

/* Waits until a child says that it is as far as `wanted`. */
static int wait_state(const char *who, pid_t *pid, const _Atomic uint32_t *state, uint32_t wanted,
	const char *error)
{
	int64_t deadline = demo_now_ns() + READY_SECONDS * INT64_C(1000000000);

	for (;;) {
		int status;
		bool ended = *pid > 0 && waitpid(*pid, &status, WNOHANG) == *pid;
		uint32_t now = atomic_load(state);

		if (now == DEMO_FAILED)
			fprintf(stderr, "demo: %s: %s\n", who, error);
		else if (ended)
			return complain_of_end(who, pid, status);
		if (ended)
			*pid = 0;
		if (now >= wanted)
			return now == DEMO_FAILED ? -1 : 0;
		if (interrupted || demo_now_ns() > deadline)
			return complain(who, interrupted ? -EINTR : -ETIMEDOUT);
		demo_nap_ns(1000000);
	}
}

static int start_source(struct demo *demo, struct children *children, enum demo_source_id id)
{
	struct demo_source *source = &demo->shared->source[id];

	children->source[id] = demo_spawn(demo, publish_body, id);
	if (children->source[id] < 0)
		return complain("fork", (int)children->source[id]);
	return wait_state(demo_source_name(id), &children->source[id], &source->state, DEMO_READY,
		source->error);
}

static int start_row(struct demo *demo, struct children *children, enum demo_row_id first)
{
	struct demo_row *row = &demo->shared->row[first];

	children->row[first] = demo_spawn(demo, subscribe_body, first);
	if (children->row[first] < 0)
		return complain("fork", (int)children->row[first]);
	const char *name = demo_row_name(first);
	pid_t *pid = &children->row[first];
	if (wait_state(name, pid, &row->state, DEMO_READY, row->error))
		return -1;
	return first < DEMO_ROW_VICTIM
		       ? wait_state(name, pid, &row[1].state, DEMO_READY, row[1].error)
		       : 0;
}

/* Waits until the broker finds all regions healthy, and shows what it says. */
static int show_health(struct demo *demo)
{
	int64_t deadline = demo_now_ns() + HEAL_SECONDS * INT64_C(1000000000);
	int r;

	while ((r = demo_ctl(demo, "diagnose", false)) == 1 && demo_now_ns() < deadline)
		demo_nap_ns(1000000);
	demo_show_log(demo, false);
	int shown = demo_ctl(demo, "diagnose", true);
	if (r == 0)
		r = shown;
	if (r != 0)
		fprintf(stderr, "demo: kickmsgctl diagnose ends with %d\n", r);
	return r ? -1 : 0;
}

/* Kills one with SIGKILL and shows what the broker made of it. */
static int kill_one(struct demo *demo, const char *what, pid_t *pid)
{
	printf("         SIGKILL: %s, pid %d. The broker:\n", what, (int)*pid);
	kill(*pid, SIGKILL);
	waitpid(*pid, NULL, 0);
	*pid = 0;
	return show_health(demo);
}

/* Waits until whoever is there has had a message, or sent one: how soon isn't what is judged. */
static int wait_traffic(const struct demo *demo)
{
	int64_t deadline = demo_now_ns() + READY_SECONDS * INT64_C(1000000000);
	const struct demo_shared *shared = demo->shared;

	for (;;) {
		int idle = 0;

		for (int s = 0; s < DEMO_SOURCES; s++)
			idle += atomic_load(&shared->source[s].state) == DEMO_READY &&
				atomic_load(&shared->source[s].done) == 0;
		for (int i = 0; i < DEMO_ROWS; i++)
			idle += atomic_load(&shared->row[i].state) == DEMO_READY &&
				demo_row_tally(&shared->row[i])->received == 0;
		if (idle == 0)
			return 0;
		if (interrupted || demo_now_ns() > deadline)
			return complain("no messages", interrupted ? -EINTR : -ETIMEDOUT);
		demo_nap_ns(1000000);
	}
}

static int complain_of_broker(const struct demo *demo, const char *what)
{
	fprintf(stderr, "demo: %s %s\n", what, demo->broker_end);
	return -1;
}

static const char *child_name(const struct children *children, const pid_t *pid)
{
	ptrdiff_t row = pid - children->row;

	return row >= 0 && row < DEMO_ROWS
		       ? demo_row_name((enum demo_row_id)row)
		       : demo_source_name((enum demo_source_id)(pid - children->source));
}

/* While messages flow nobody may end by itself. */
static int look_at_children(struct children *children)
{
	pid_t *lists[] = { children->source, children->row };
	const int counts[] = { DEMO_SOURCES, DEMO_ROWS };
	int status;

	for (int list = 0; list < 2; list++)
		for (int i = 0; i < counts[list]; i++) {
			pid_t *pid = &lists[list][i];

			if (*pid > 0 && waitpid(*pid, &status, WNOHANG) == *pid)
				return complain_of_end(child_name(children, pid), pid, status);
		}
	return 0;
}

static int run(struct demo *demo, struct children *children)
{
	int64_t begin = demo_now_ns(), second = INT64_C(1000000000);
	int64_t length = demo->seconds * second;
	bool publisher_killed = false, subscriber_killed = false;

	atomic_store(&demo->shared->go, 1);
	for (int64_t next = second; next <= length && !interrupted; next += second) {
		int64_t left = begin + next - demo_now_ns();

		if (left > 0)
			demo_nap_ns(left);
		demo_progress(demo, (double)(demo_now_ns() - begin) / 1e9);
		if (demo_broker_is_gone(demo))
			return complain_of_broker(demo, "the broker");
		if (look_at_children(children) || wait_traffic(demo))
			return -1;
		if (!publisher_killed && next * 3 >= length) {
			publisher_killed = true;
			if (kill_one(demo, "the extra publisher",
				    &children->source[DEMO_SOURCE_VICTIM]) ||
				start_source(demo, children, DEMO_SOURCE_REPLACEMENT))
				return -1;
		}
		if (!subscriber_killed && next * 3 >= length * 2) {
			subscriber_killed = true;
			if (kill_one(demo, "the extra subscriber",
				    &children->row[DEMO_ROW_VICTIM]) ||
				start_row(demo, children, DEMO_ROW_REPLACEMENT))
				return -1;
		}
	}
	return interrupted ? complain("interrupted", -EINTR) : wait_traffic(demo);
}

/* Waits for children that are about to end. Returns how many didn't, or not well, and says who. */
static int reap(struct children *children, pid_t *pids, int count)
{
	int bad = 0;

	for (int i = 0; i < count; i++) {
		int status = 0;

		if (pids[i] <= 0)
			continue;
		const char *who = child_name(children, &pids[i]);
		if (demo_wait_exit(pids[i], DRAIN_SECONDS, &status)) {
			fprintf(stderr, "demo: %s hadn't ended after %d s, and was killed\n", who,
				DRAIN_SECONDS);
			kill(pids[i], SIGKILL);
			waitpid(pids[i], &status, 0);
		}
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			complain_of_end(who, &pids[i], status);
			bad++;
		}
		pids[i] = 0;
	}
	return bad;
}

static void kill_all(pid_t *pids, int count)
{
	for (int i = 0; i < count; i++) {
		if (pids[i] <= 0)
			continue;
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
		pids[i] = 0;
	}
}

static int start_all(struct demo *demo, struct children *children)
{
	int r = demo_broker_start(demo);

	if (r < 0) {
		return *demo->broker_end ? complain_of_broker(demo, "the broker didn't come up: it")
					 : complain("the broker doesn't come up", r);
	}
	printf("broker: pid %d, socket %s\nfile:   %s, in frames of 1 MiB\n", (int)demo->broker,
		demo->socket, demo->file);
	for (int s = 0; s <= DEMO_SOURCE_VICTIM; s++) {
		if (start_source(demo, children, s))
			return -1;
	}
	for (int row = 0; row <= DEMO_ROW_VICTIM; row += 2) {
		if (start_row(demo, children, row))
			return -1;
	}
	return 0;
}

/* Ends the streams, lets the subscribers take what is left, and looks at what remains in the topics before
 * the publishers leave them. Returns the number of things that went wrong. */
static int finish(struct demo *demo, struct children *children)
{
	int bad = 0;

	atomic_store(&demo->shared->stop, 1);
	for (int s = 0; s < DEMO_SOURCES; s++) {
		struct demo_source *source = &demo->shared->source[s];

		if (s != DEMO_SOURCE_VICTIM)
			bad += wait_state(demo_source_name(s), &children->source[s], &source->state,
				       DEMO_FINISHED, source->error) != 0;
	}
	atomic_store(&demo->shared->finished, 1);
	bad += reap(children, children->row, DEMO_ROWS);
	printf("\nAt the end, all messages taken, the broker:\n");
	bad += show_health(demo) != 0;
	atomic_store(&demo->shared->leave, 1);
	return bad + reap(children, children->source, DEMO_SOURCES);
}

static int demo_main(struct demo *demo)
{
	struct children children = { 0 };
	int bad = 0;

	if (start_all(demo, &children) || run(demo, &children)) {
		bad = 1;
	} else {
		bad += finish(demo, &children);
		bad += demo_report(demo);
	}
	kill_all(children.source, DEMO_SOURCES);
	kill_all(children.row, DEMO_ROWS);
	int r = demo_broker_stop(demo);
	if (r < 0) {
		if (*demo->broker_end)
			complain_of_broker(demo, "the broker");
		else
			complain("the broker doesn't end cleanly", r);
		bad++;
	}
	if (access(demo->socket, F_OK) == 0) {
		complain("the broker left its socket behind", 0);
		unlink(demo->socket);
		bad++;
	}
	if (bad) {
		printf("\nThe broker's whole log:\n");
		demo->log_shown = 0;
		demo_show_log(demo, true);
	}
	printf("\n%s\n", bad ? "FAILED: see above."
			     : "All verified: every byte, every order, every loss counted.");
	return bad ? 1 : 0;
}

static int usage(FILE *stream, int status)
{
	fputs("usage: demo --kickmsgd PROGRAM --kickmsgctl PROGRAM --file FILE [--seconds N]\n",
		stream);
	return status;
}

static int parse(struct demo *demo, int argc, char **argv)
{
	static const struct option options[] = { { "kickmsgd", required_argument, NULL, 'd' },
		{ "kickmsgctl", required_argument, NULL, 'c' },
		{ "file", required_argument, NULL, 'f' },
		{ "seconds", required_argument, NULL, 's' }, { "help", no_argument, NULL, 'h' },
		{ 0 } };
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'd')
			demo->kickmsgd = optarg;
		else if (option == 'c')
			demo->kickmsgctl = optarg;
		else if (option == 'f')
			demo->file = optarg;
		else if (option == 's')
			demo->seconds = atoi(optarg);
		else
			return option == 'h' ? usage(stdout, 0) : usage(stderr, 2);
	}
	if (optind != argc || !demo->kickmsgd || !demo->kickmsgctl || !demo->file ||
		demo->seconds < 2 || demo->seconds > 3600)
		return usage(stderr, 2);
	return -1;
}

static int demo_all(int argc, char **argv)
{
	struct demo demo = { .seconds = 15, .directory = "/tmp/kickmsg-demo.XXXXXX" };
	struct sigaction action = { .sa_handler = on_signal };
	int status = parse(&demo, argc, argv);

	if (status >= 0)
		return status;
	demo.shared = mmap(NULL, sizeof(*demo.shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (demo.shared == MAP_FAILED || !mkdtemp(demo.directory)) {
		complain("can't set up", -errno);
		return 1;
	}
	snprintf(demo.socket, sizeof(demo.socket), "%s/kickmsgd.sock", demo.directory);
	snprintf(demo.log, sizeof(demo.log), "%s/log", demo.directory);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	status = demo_main(&demo);
	unlink(demo.log);
	rmdir(demo.directory);
	return status;
}

int main(int argc, char **argv)
{
	output_begin();
	return output_end("demo", demo_all(argc, argv));
}
