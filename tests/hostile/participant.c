/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A participant that was admitted and then writes whatever it likes wherever it can: into the
 * control segment that it shares with others, into its own endpoint records, and (as a publisher)
 * into payloads. It may spoil its topic; it must not crash or hang anybody, nor touch another
 * topic.
 *
 * The file is long because it is a list: one short part for each kind of harm.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/ring/futex.h"
#include "common/shared/bell.h"
#include "libclient/handle/handle.h"
#include "tests/support/broker/broker.h"
#include "tests/support/suite.h"

#define SCRIBBLES  200000
#define OPERATIONS 200000
#define SLEEPS     20

/* How many processes are on the spoilt topic. Nobody begins before all are there. */
static _Atomic int *inside;
static uint64_t state;

static uint64_t random_u64(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Returns a word that a vandal would choose: near the present one, small, all ones, random. */
static uint64_t odd_word(uint64_t there)
{
	switch (random_u64() % 5) {
	case 0:
		return there + random_u64() % 5 - 2;
	case 1:
		return random_u64() % 300;
	case 2:
		return UINT64_MAX;
	case 3:
		return there ^ UINT64_C(1) << random_u64() % 64;
	default:
		return random_u64();
	}
}

static void scribble(void *memory, uint64_t size, unsigned count)
{
	_Atomic uint64_t *words = memory;

	for (unsigned i = 0; i < count; i++) {
		uint64_t at = random_u64() % (size / sizeof *words);

		atomic_store_explicit(&words[at],
			odd_word(atomic_load_explicit(&words[at], memory_order_relaxed)),
			memory_order_relaxed);
	}
}

static void wait_for_the_others(void)
{
	atomic_fetch_add(inside, 1);
	while (atomic_load(inside) < 3) /* alarm() ends it */
		test_nap();
}

static struct kickmsg_client *new_client(void)
{
	struct kickmsg_client *client;

	return kickmsg_client_new(NULL, &client) == 0 ? client : NULL;
}

/* Runs the hostile process, which exits with 0 when it has done its worst. */
static int vandalise(const char *topic, bool publishing)
{
	struct kickmsg_client *client = new_client();
	struct kickmsg_publisher *publisher = NULL;
	struct kickmsg_subscriber *subscriber = NULL;
	struct km_place *place;
	int r;

	if (!client)
		return 1;
	if (publishing)
		r = kickmsg_advertise(client, topic, NULL, &publisher);
	else
		r = kickmsg_subscribe(client, topic, NULL, &subscriber);
	if (r < 0)
		return 2;
	place = publishing ? &publisher->handle.place : &subscriber->handle.place;
	wait_for_the_others();
	/* with a shared ring a subscriber can write the bell alone */
	bool may_write = publishing || !place->bell;
	for (int round = 0; round < 20; round++) {
		if (may_write)
			scribble(place->control, place->control_size, SCRIBBLES / 20);
		else if (mprotect(place->control, place->control_size, PROT_READ | PROT_WRITE) == 0)
			return 4;
		if (place->bell)
			scribble(place->bell, place->bell_size, SCRIBBLES / 20);
		scribble(client->memory->segments[0].memory, client->memory->segments[0].size, 100);
		if (publishing)
			scribble(place->payload, place->payload_size, SCRIBBLES / 20);
		else if (mprotect(place->payload, place->payload_size, PROT_READ | PROT_WRITE) == 0)
			return 3; /* a subscriber that may write payloads */
	}
	return 0; /* it leaves without a farewell */
}

/* Rings the bell of a shared ring, or makes it forget its sleepers, until it is killed. */
static int ring_the_bell(const char *topic)
{
	struct kickmsg_client *client = new_client();
	struct kickmsg_subscriber *subscriber;

	if (!client || kickmsg_subscribe(client, topic, NULL, &subscriber) < 0)
		return 1;
	atomic_store(inside, 1);
	for (;;)
		scribble(subscriber->handle.place.bell, sizeof(uint64_t), 1000);
}

/* Keeps the bell marked WOKEN, so that no publisher wakes those who sleep, until it is killed. */
static int keep_woken(const char *topic)
{
	struct kickmsg_client *client = new_client();
	struct kickmsg_subscriber *subscriber;

	if (!client || kickmsg_subscribe(client, topic, NULL, &subscriber) < 0)
		return 1;
	atomic_store(inside, 1);
	for (;;)
		atomic_fetch_or(
			&((struct km_bell *)subscriber->handle.place.bell)->word, KM_BELL_WOKEN);
}

/* Stands in for the km_futex_wait() that this process sleeps by. */
static int64_t longest_ns;

int __real_km_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns);
int __wrap_km_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns);

int __wrap_km_futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
	const int64_t sleep_ns = deadline_ns - km_clock_ns();

	if (longest_ns < sleep_ns)
		longest_ns = sleep_ns;
	return __real_km_futex_wait(word, expected, deadline_ns);
}

/* Sleeps for each of some messages. *inside is the number of messages that it has, from 1 on. */
static int sleep_for_messages(const char *topic)
{
	struct kickmsg_client *client = new_client();
	struct kickmsg_subscriber *subscriber;
	int message;

	if (!client || kickmsg_subscribe(client, topic, NULL, &subscriber) < 0)
		return 1;
	for (int i = 0; i < SLEEPS; i++) {
		atomic_fetch_add(inside, 1);
		if (kickmsg_receive_copy(subscriber, &message, sizeof message, -1) !=
				sizeof message ||
			message != i)
			return 2;
	}
	/* a sleep as long as until the next question to the broker would be five times that */
	if (longest_ns > KM_PATIENCE_NS)
		return 4;
	return kickmsg_subscriber_lost(subscriber) == 0 ? 0 : 3;
}

/* Runs a well-meaning process on the topic that is vandalised. Any result will do, but no crash
 * and no hang. */
static int suffer(const char *topic)
{
	struct kickmsg_client *client = new_client();
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	char buffer[4096];

	if (!client || kickmsg_advertise(client, topic, NULL, &publisher) < 0 ||
		kickmsg_subscribe(client, topic, NULL, &subscriber) < 0)
		return 1;
	wait_for_the_others();
	for (unsigned i = 0; i < OPERATIONS; i++) {
		struct kickmsg_sample sample;

		kickmsg_send(publisher, &i, sizeof i);
		kickmsg_try_receive_copy(subscriber, buffer, sizeof buffer);
		if (kickmsg_try_receive(subscriber, &sample) == 0) {
			buffer[0] = ((const char *)sample.data)[sample.len ? sample.len - 1 : 0];
			kickmsg_sample_release(&sample);
		}
		if (i % 1000 == 0)
			kickmsg_receive_copy(subscriber, buffer, sizeof buffer, 1000000);
	}
	kickmsg_client_free(client);
	return 0;
}

/* Runs a well-meaning process on another topic, where every message must arrive. */
static int prosper(const char *topic)
{
	struct kickmsg_client *client = new_client();
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;

	if (!client || kickmsg_advertise(client, topic, NULL, &publisher) < 0 ||
		kickmsg_subscribe(client, topic, NULL, &subscriber) < 0)
		return 1;
	for (unsigned i = 0; i < OPERATIONS; i++) {
		unsigned seen;

		if (kickmsg_send(publisher, &i, sizeof i) != sizeof i ||
			kickmsg_try_receive_copy(subscriber, &seen, sizeof seen) != sizeof seen ||
			seen != i)
			return 2;
		/* no message comes, so it sleeps, and its deadline ends the sleep in time */
		if (i % 1000 == 0 &&
			kickmsg_receive_copy(subscriber, &seen, sizeof seen, 1000) != -ETIMEDOUT)
			return 4;
	}
	if (kickmsg_subscriber_lost(subscriber) != 0)
		return 3;
	kickmsg_client_free(client);
	return 0;
}

enum part {
	VANDAL_PUBLISHER,
	VANDAL_SUBSCRIBER,
	BELL_RINGER,
	BELL_MUFFLER,
	SLEEPER,
	SUFFERER,
	PROSPERER
};

static pid_t begin(enum part part)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	state = (uint64_t)part * 7919 + 12345;
	alarm(60); /* alarm() makes a hang a failure */
	switch (part) {
	case VANDAL_PUBLISHER:
		_exit(vandalise("spoilt", true));
	case VANDAL_SUBSCRIBER:
		_exit(vandalise("spoilt", false));
	case BELL_RINGER:
		_exit(ring_the_bell("other"));
	case BELL_MUFFLER:
		_exit(keep_woken("other"));
	case SLEEPER:
		_exit(sleep_for_messages("other"));
	case SUFFERER:
		_exit(suffer("spoilt"));
	default:
		_exit(prosper("other"));
	}
}

static void expect_exit_0(pid_t pid, const char *who)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(
		WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: wait status %#x", who, status);
}

static void make_topic(struct kickmsg_client *client, const char *topic, uint32_t transport,
	struct kickmsg_publisher **ret)
{
	struct kickmsg_topic_config config;

	kickmsg_topic_config_init(&config);
	config.transport = transport;
	ck_assert_int_eq(kickmsg_advertise(client, topic, &config, ret), 0);
}

static void make_inside(void)
{
	inside = mmap(
		NULL, sizeof *inside, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(inside != MAP_FAILED);
}

/* The test's index is the transport of the topic that is spoilt. */
START_TEST(participant_scribbles_everywhere_spoils_only_its_topic)
{
	struct test_broker broker;
	struct kickmsg_client *client;
	struct kickmsg_publisher *publisher;

	make_inside();
	test_broker_start(&broker, "[recovery]\ninterval = 20\n");
	ck_assert_int_eq(kickmsg_client_new(NULL, &client), 0);
	make_topic(client, "spoilt", (uint32_t)_i, &publisher);

	pid_t prosperer = begin(PROSPERER);
	pid_t sufferer = begin(SUFFERER);
	pid_t vandals[] = { begin(VANDAL_PUBLISHER), begin(VANDAL_SUBSCRIBER) };
	expect_exit_0(vandals[0], "hostile publisher");
	expect_exit_0(vandals[1], "hostile subscriber");
	expect_exit_0(prosperer, "participant of another topic");
	expect_exit_0(sufferer, "participant of the spoilt topic");
	ck_assert(test_broker_alive(&broker));

	/* the broker sees the damage at its next look, and then the name is free for a new topic */
	ck_assert(test_wait_until(kickmsg_send(publisher, "x", 1) == -ESTALE, 5000));
	kickmsg_publisher_free(publisher);
	struct kickmsg_subscriber *subscriber;
	char c = 0;
	make_topic(client, "spoilt", (uint32_t)_i, &publisher);
	ck_assert_int_eq(kickmsg_subscribe(client, "spoilt", NULL, &subscriber), 0);
	ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
	ck_assert_int_eq(kickmsg_try_receive_copy(subscriber, &c, 1), 1);
	ck_assert_int_eq(c, 'x');
	kickmsg_client_free(client);
	ck_assert_int_eq(test_broker_stop(&broker), 0);
}
END_TEST

START_TEST(bell_scribbled_over_costs_wakes_only)
{
	struct test_broker broker;
	struct kickmsg_client *client;
	struct kickmsg_publisher *publisher;
	int status;

	make_inside();
	test_broker_start(&broker, "[recovery]\ninterval = 20\n");
	ck_assert_int_eq(kickmsg_client_new(NULL, &client), 0);
	make_topic(client, "other", KICKMSG_TRANSPORT_SHARED, &publisher);
	pid_t ringer = begin(BELL_RINGER);
	ck_assert(test_wait_until(atomic_load(inside) == 1, 10000));
	expect_exit_0(begin(PROSPERER), "participant of a topic whose bell is scribbled over");
	ck_assert_int_eq(kill(ringer, SIGKILL), 0);
	ck_assert_int_eq(waitpid(ringer, &status, 0), ringer);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
	kickmsg_client_free(client);
	ck_assert_int_eq(test_broker_stop(&broker), 0);
}
END_TEST

/* No subscriber is woken, so each looks for itself after KM_PATIENCE_NS. */
START_TEST(bell_kept_woken_sleeper_looks_for_itself)
{
	struct test_broker broker;
	struct kickmsg_client *client;
	struct kickmsg_publisher *publisher;
	int status;

	make_inside();
	test_broker_start(&broker, "");
	ck_assert_int_eq(kickmsg_client_new(NULL, &client), 0);
	make_topic(client, "other", KICKMSG_TRANSPORT_SHARED, &publisher);
	pid_t muffler = begin(BELL_MUFFLER);
	ck_assert(test_wait_until(atomic_load(inside) == 1, 10000));
	pid_t sleeper = begin(SLEEPER);
	for (int i = 0; i < SLEEPS; i++) {
		ck_assert(test_wait_until(atomic_load(inside) == 2 + i, 10000));
		test_nap(); /* by then it most likely sleeps */
		ck_assert_int_eq(kickmsg_send(publisher, &i, sizeof i), sizeof i);
	}
	expect_exit_0(sleeper, "sleeper whose bell is muffled");
	ck_assert_int_eq(kill(muffler, SIGKILL), 0);
	ck_assert_int_eq(waitpid(muffler, &status, 0), muffler);
	kickmsg_client_free(client);
	ck_assert_int_eq(test_broker_stop(&broker), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hostile-participant");
	TCase *tcase = tcase_create("hostile-participant");

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, participant_scribbles_everywhere_spoils_only_its_topic,
		KICKMSG_TRANSPORT_RINGS, KICKMSG_TRANSPORT_SHARED + 1);
	tcase_add_test(tcase, bell_scribbled_over_costs_wakes_only);
	tcase_add_test(tcase, bell_kept_woken_sleeper_looks_for_itself);
	suite_add_tcase(suite, tcase);
	return test_suite_run(suite);
}
