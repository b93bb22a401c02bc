/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storm of calls: 4 callers, with up to 8 calls each in flight, and 2 servers of one service, of which one
 * stands by. Every few milliseconds one of the six is killed by SIGKILL and replaced, also while it is just
 * connecting or attaching. The workers look at each call (support/stress/stress_calls.h). After so many kills
 * the gate is closed and the books of the topics are looked at; in the end nothing is left.
 *
 *   stress-calls [KILLS [shared [SEED]]]
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "libclient/kickmsg.h"
#include "tests/support/broker/broker.h"
#include "tests/support/stress/stress_calls.h"

#define ROLES         (CALLS_CALLERS + CALLS_SERVERS)
#define KILLS_A_ROUND 200
#define BETWEEN_KILLS 5000 /* us, at most */
#define PATIENCE_MS   30000
#define MOST_TOPICS   64

static struct calls_board *board;
static struct test_broker broker;
static struct kickmsg_client *client;
static struct stress_rng rng;
static uint32_t transport;
static pid_t pids[ROLES];
static uint64_t kills, rounds;

static bool fail(const char *text)
{
	fprintf(stderr, "stress-calls: %s\n", text);
	return false;
}

static bool start(uint32_t role)
{
	pids[role] = calls_start(board, role, broker.socket, transport, stress_random(&rng) | 1);
	return pids[role] > 0 || fail("no process");
}

static void end(uint32_t role)
{
	kill(pids[role], SIGKILL);
	waitpid(pids[role], NULL, 0);
}

/* Fails if a worker has ended by itself. */
static bool all_well(void)
{
	if (atomic_load(&board->broken))
		return fail("a worker has found something wrong");
	for (uint32_t role = 0; role < ROLES; role++)
		if (waitpid(pids[role], NULL, WNOHANG) != 0)
			return fail("a worker has ended");
	return test_broker_alive(&broker) || fail("the broker is gone");
}

/* --- books ---------------------------------------------------------------------------------------- */

static bool are_idle(void)
{
	for (uint32_t i = 0; i < CALLS_CALLERS; i++)
		if (!atomic_load(&board->idle[i]))
			return false;
	return true;
}

static ssize_t list(struct kickmsg_topic_info topics[MOST_TOPICS])
{
	uint64_t cursor = 0;
	ssize_t count = 0, n;

	while (count < MOST_TOPICS && (n = kickmsg_topic_list(client, &cursor, topics + count,
					       (size_t)(MOST_TOPICS - count))) > 0)
		count += n;
	return count;
}

/* Counts a channel that has no message under way. A slot of a shared ring stays in its cell until
 * the cell is written anew, so it may be there, and be no loan. */
static bool is_at_rest(const struct kickmsg_topic_info *topic)
{
	const struct kickmsg_topic_ref ref = {
		.name = topic->name, .owner = topic->owner, .kind = topic->kind
	};
	struct kickmsg_topic_diagnosis look;

	if (kickmsg_topic_diagnose(client, &ref, &look) < 0 || !look.healthy || look.leaving)
		return false;
	if (look.slots_loaned > 0 || look.publishers != 1 || look.subscribers != 1)
		return false;
	return transport == KICKMSG_TRANSPORT_SHARED || look.slots_in_flight == 0;
}

static bool are_books_right(void)
{
	static struct kickmsg_topic_info topics[MOST_TOPICS];
	ssize_t count = list(topics);
	unsigned channels = 0;

	for (ssize_t i = 0; i < count; i++) {
		if (topics[i].kind == KICKMSG_SERVICE &&
			(topics[i].publishers != CALLS_SERVERS ||
				topics[i].subscribers != CALLS_CALLERS))
			return false;
		if (topics[i].kind == KICKMSG_SERVICE)
			continue;
		if (!is_at_rest(&topics[i]))
			return false;
		channels++;
	}
	return channels == 2 * CALLS_CALLERS;
}

static bool close_gate(void)
{
	atomic_store(&board->gate, 1);
	if (!test_wait_until(are_idle() || atomic_load(&board->broken), PATIENCE_MS))
		return fail("calls don't end");
	if (!all_well())
		return false;
	if (!test_wait_until(are_books_right(), PATIENCE_MS)) {
		static struct kickmsg_topic_info topics[MOST_TOPICS];
		ssize_t count = list(topics);

		for (ssize_t i = 0; i < count; i++)
			fprintf(stderr, "kind %u of '%s': %u publishers, %u subscribers\n",
				topics[i].kind, topics[i].owner, topics[i].publishers,
				topics[i].subscribers);
		return fail("something is left of the dead");
	}
	atomic_store(&board->gate, 0);
	rounds++;
	return test_wait_until(!are_idle(), PATIENCE_MS) || fail("the gate doesn't open");
}

/* --- the storm ------------------------------------------------------------------------------------ */

static void pause_us(uint32_t us)
{
	const struct timespec time = { .tv_nsec = us * 1000L };

	nanosleep(&time, NULL);
}

static bool strike(void)
{
	uint32_t role = stress_below(&rng, ROLES);

	pause_us(stress_below(&rng, BETWEEN_KILLS));
	if (!all_well())
		return false;
	end(role);
	if (role < CALLS_CALLERS)
		atomic_store(&board->idle[role], 0);
	kills++;
	return start(role);
}

static bool rage(uint64_t count)
{
	for (uint32_t role = 0; role < ROLES; role++)
		if (!start(role))
			return false;
	if (!close_gate())
		return false;
	while (kills < count) {
		if (!strike())
			return false;
		if ((kills % KILLS_A_ROUND == 0 || kills == count) && !close_gate())
			return false;
	}
	return true;
}

/* Kills all workers at once. */
static bool end_all(size_t fds, size_t maps)
{
	static struct kickmsg_topic_info topics[MOST_TOPICS];

	for (uint32_t role = 0; role < ROLES; role++)
		end(role);
	if (!test_wait_until(list(topics) == 0, PATIENCE_MS))
		return fail("topics are left");
	if (test_wait_until(test_fd_count(broker.pid) == fds &&
				    test_map_count(broker.pid, "memfd:") == maps,
		    PATIENCE_MS))
		return true;
	fprintf(stderr, "the broker has %zu descriptors, and had %zu; %zu mappings, and had %zu\n",
		test_fd_count(broker.pid), fds, test_map_count(broker.pid, "memfd:"), maps);
	return fail("something is left");
}

static bool report(double seconds)
{
	const struct calls_sums *sums = &board->sums;

	printf("%" PRIu64 " kills in %.1f s, %" PRIu64 " looks at the books\n", kills, seconds,
		rounds);
	printf("%" PRIu64 " calls, %" PRIu64 " of them in place; %" PRIu64 " answered, %" PRIu64
	       " replies more; ended with an error: %" PRIu64 " their server's, %" PRIu64
	       " -ECONNRESET, %" PRIu64 " -ETIMEDOUT, %" PRIu64 " -ECANCELED\n",
		sums->begun, sums->in_place, sums->answered, sums->more, sums->failed, sums->reset,
		sums->late, sums->cancelled);
	/* a storm without calls shows nothing */
	return (sums->answered && sums->more && sums->in_place && sums->failed && sums->reset &&
		       sums->late && sums->cancelled) ||
	       fail("calls haven't ended in all ways");
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
	uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : (uint64_t)km_clock_ns();
	int64_t began_ns = km_clock_ns();

	transport = argc > 2 && strcmp(argv[2], "shared") == 0 ? KICKMSG_TRANSPORT_SHARED
							       : KICKMSG_TRANSPORT_RINGS;
	rng = (struct stress_rng){ seed | 1 };
	board = mmap(
		NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED)
		return 1;
	test_broker_start(&broker, NULL);
	const struct kickmsg_client_config config = { .socket_path = broker.socket,
		.name = "look" };
	if (kickmsg_client_new(&config, &client) < 0)
		return 1;
	if (!test_wait_until(test_sleeps(broker.pid), PATIENCE_MS))
		return 1;
	size_t fds = test_fd_count(broker.pid), maps = test_map_count(broker.pid, "memfd:");
	bool good = rage(count);
	double seconds = (double)(km_clock_ns() - began_ns) / 1e9;
	good = good && end_all(fds, maps);
	kickmsg_client_free(client);
	good = test_broker_stop(&broker) == 0 && good;
	good = report(seconds) && good;
	if (!good)
		fprintf(stderr, "stress-calls: seed %" PRIu64 "\n", seed);
	return !good;
}
