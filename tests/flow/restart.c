/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker that ends, in whatever way, and one that comes after it, under a service manager: who
 * was connected doesn't notice. And what the next broker makes of a store that isn't as it should
 * be.
 *
 * The file is long because each thing that the old broker may leave has a case, over one fixture.
 */
#include <check.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "daemon/keep/kept.h"
#include "libclient/handle/handle.h"
#include "tests/support/broker/broker.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/manager.h"
#include "tests/support/broker/peer.h"
#include "tests/support/broker/state_records.h"
#include "tests/support/suite.h"

static struct test_manager manager;
static struct kickmsg_client *client;
static struct kickmsg_publisher *publisher;
static struct kickmsg_subscriber *subscriber;

static void start(const char *broker_config, uint32_t transport)
{
	struct kickmsg_topic_config config;

	kickmsg_topic_config_init(&config);
	config.transport = transport;
	test_manager_start(&manager, broker_config);
	ck_assert_int_eq(kickmsg_client_new(NULL, &client), 0);
	ck_assert_int_eq(kickmsg_advertise(client, "topic", &config, &publisher), 0);
	ck_assert_int_eq(kickmsg_subscribe(client, "topic", NULL, &subscriber), 0);
}

static void setup_with(uint32_t transport)
{
	start("[log]\nlevel = debug\n", transport);
}

static void setup(void)
{
	setup_with(KICKMSG_TRANSPORT_RINGS);
}

/* Everything is given back. */
static void teardown(void)
{
	kickmsg_client_free(client);
	ck_assert(test_wait_until(test_manager_is_empty(&manager), 10000));
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}

static void pass_messages(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned got = 0;

		ck_assert_int_eq(kickmsg_send(publisher, &i, sizeof i), sizeof i);
		ck_assert_int_eq(
			kickmsg_try_receive_copy(subscriber, &got, sizeof got), sizeof got);
		ck_assert_uint_eq(got, i);
	}
}

static struct kickmsg_topic_info info_of(const char *name)
{
	struct kickmsg_topic_ref ref = { .name = name };
	struct kickmsg_topic_info info;

	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), 0);
	return info;
}

static struct kickmsg_topic_stats stats_of(const char *name)
{
	struct kickmsg_topic_ref ref = { .name = name };
	struct kickmsg_topic_stats stats;

	ck_assert_int_eq(kickmsg_topic_get_stats(client, &ref, &stats), 0);
	return stats;
}

/* The index is the topic's transport. The broker ends by SIGTERM, by SIGKILL or by SIGABRT. Traffic
 * goes on without a broker and with the next one, and all is as it was. */
START_TEST(restart_nobody_notices)
{
	static const int signals[] = { SIGTERM, SIGKILL, SIGABRT };
	struct kickmsg_schema schema = { .version = 7 }, kept;
	struct kickmsg_publisher *other;
	struct kickmsg_topic_ref ref = { .name = "topic" };
	char text[16];

	setup_with((uint32_t)_i);
	ck_assert_int_eq(kickmsg_claim_schema(client, &ref, &schema, &kept), 0);
	pass_messages(10);
	/* the counts of endpoints that are gone go on */
	ck_assert_int_eq(kickmsg_advertise(client, "topic", NULL, &other), 0);
	ck_assert_int_eq(kickmsg_send(other, "of the gone", 11), 11);
	kickmsg_publisher_free(other);
	ck_assert_int_eq(kickmsg_try_receive_copy(subscriber, text, sizeof text), 11);
	struct kickmsg_topic_info before = info_of("topic");
	struct kickmsg_topic_stats numbers = stats_of("topic");
	size_t parked = test_manager_parked(&manager);

	for (unsigned i = 0; i < 3; i++) {
		test_manager_kill(&manager, signals[i]);
		pass_messages(100);
		test_manager_resume(&manager);
		pass_messages(100);
		struct kickmsg_topic_info after = info_of("topic");
		ck_assert_mem_eq(&before, &after, sizeof before);
		ck_assert_uint_eq(stats_of("topic").sent, numbers.sent + 200 * (i + 1));
		ck_assert_uint_eq(
			stats_of("topic").bytes, numbers.bytes + sizeof(int) * 200 * (i + 1));
		ck_assert_uint_eq(stats_of("topic").received, numbers.received + 200 * (i + 1));
		ck_assert_int_eq(kickmsg_topic_schema(client, &ref, &kept), 0);
		ck_assert_uint_eq(kept.version, 7);
		ck_assert(test_wait_until(
			test_manager_stored(&manager, 0) == MANAGER_OWN_FDS, 10000));
		ck_assert(test_wait_until(test_manager_parked(&manager) == parked, 10000));
	}
	ck_assert_int_eq(kickmsg_advertise(client, "another", NULL, &other), 0);
	ck_assert_uint_gt(info_of("another").id, before.id);
	/* a client is told that a topic is gone at the time that it goes */
	ck_assert(!test_manager_logged(&manager, "topic freed"));
	kickmsg_publisher_free(other);
	ck_assert(test_wait_until(
		test_manager_logged(&manager, "topic freed topic=kickmsg:another"), 10000));
	kickmsg_publisher_free(publisher);
	kickmsg_subscriber_free(subscriber);
	teardown();
}
END_TEST

/* A client that was hung up on left its region for a fresh one, since the topic had lost its name:
 * the mark and its closed ring are kept, so that a client that is still there goes on counting what it
 * lost. */
START_TEST(restart_region_that_was_left_stays_left)
{
	struct kickmsg_client *leaver;
	struct kickmsg_publisher *gone;
	struct kickmsg_subscriber *ears;
	uint32_t value = 0;

	setup_with((uint32_t)_i);
	ck_assert_int_eq(kickmsg_client_new(NULL, &leaver), 0);
	ck_assert_int_eq(kickmsg_advertise(leaver, "topic", NULL, &gone), 0);
	ck_assert_int_eq(kickmsg_subscribe(leaver, "topic", NULL, &ears), 0);
	const _Atomic uint64_t *live = &publisher->handle.place.region.header->live;
	ck_assert_int_eq(shutdown(leaver->socket, SHUT_RDWR), 0);
	ck_assert_int_eq(kickmsg_unlink_topic(client, "topic"), 0);
	ck_assert(test_wait_until(
		(kickmsg_client_dispatch(leaver), gone->handle.fresh && ears->handle.fresh),
		10000));
	ck_assert_int_eq(kickmsg_send(gone, "x", 1), 1);
	ck_assert_int_eq(kickmsg_try_receive_copy(ears, &value, sizeof value), 1);
	uint64_t before = *live;
	ck_assert(before & KM_LIVE_LEFT);
	for (unsigned i = 0; i < 3; i++) {
		test_manager_kill(&manager, SIGKILL);
		test_manager_resume(&manager);
		/* the ring of the client that left takes none of these */
		pass_messages(10);
		ck_assert_uint_eq(*live, before);
		ck_assert_int_eq(kickmsg_try_receive_copy(ears, &value, sizeof value), -EAGAIN);
		ck_assert_uint_eq(kickmsg_subscriber_lost(ears), 10 * (i + 1));
	}
	/* a pass over it finds nothing wrong */
	kickmsg_subscriber_free(subscriber);
	ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
	ck_assert(!test_manager_logged(&manager, "quarantined"));
	kickmsg_client_free(leaver);
	teardown();
}
END_TEST

/* Receives one message after the other, asleep in between, until the one that says 0. */
static void *sleep_for_messages(void *unused)
{
	struct kickmsg_client *mine;
	struct kickmsg_subscriber *sleeper;
	uintptr_t sum = 0;
	unsigned value = 1;

	ck_assert_int_eq(kickmsg_client_new(NULL, &mine), 0);
	ck_assert_int_eq(kickmsg_subscribe(mine, "topic", NULL, &sleeper), 0);
	while (value != 0) {
		ck_assert_int_eq(
			kickmsg_receive_copy(sleeper, &value, sizeof value, -1), sizeof value);
		sum += value;
	}
	kickmsg_client_free(mine);
	return (void *)sum;
}

static size_t subscribers_of(const char *name)
{
	return info_of(name).subscribers;
}

/* A stopwatch on stderr: a test that failed on a busy machine shows where its time went. */
static void step(const char *what)
{
	static int64_t began, last;
	const int64_t now = km_clock_ns();

	if (began == 0)
		began = last = now;
	fprintf(stderr, "%6lld ms, %6lld since the step before: %s\n",
		(long long)(now - began) / 1000000, (long long)(now - last) / 1000000, what);
	last = now;
}

/* Shows the end of the broker's log. */
static void show_log(void)
{
	char text[4096];
	FILE *file = fopen(manager.log, "re");
	size_t size = 0;

	if (file && fseek(file, -(long)sizeof text, SEEK_END) < 0)
		rewind(file);
	if (file)
		size = fread(text, 1, sizeof text, file);
	fprintf(stderr, "the broker's log:\n%.*s\n", (int)size, text);
	if (file)
		fclose(file);
}

/* The bell, the ring's history and the privilege outlive the broker. If the privileged publisher
 * dies meanwhile, another one gets its privilege. */
START_TEST(restart_shared_ring_goes_on)
{
	struct kickmsg_subscribe_options options = { .history = 3 };
	struct kickmsg_subscriber *late;
	struct kickmsg_publisher *heir;
	struct kickmsg_client *other;
	pthread_t thread;
	void *sum;

	step("begins");
	setup_with(KICKMSG_TRANSPORT_SHARED);
	step("a broker, a publisher and a subscriber are there");
	ck_assert_int_eq(kickmsg_client_new(NULL, &other), 0);
	ck_assert_int_eq(kickmsg_advertise(other, "topic", NULL, &heir), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, sleep_for_messages, NULL), 0);
	ck_assert(test_wait_until(subscribers_of("topic") == 2, 10000));
	step("the sleeper is there");
	const _Atomic uint32_t *privileged = &heir->handle.place.region.header->privileged;
	ck_assert_uint_eq(*privileged, publisher->handle.place.id);
	for (unsigned i = 1; i <= 6; i++) {
		if (i % 3 == 0)
			test_manager_kill(&manager, SIGKILL);
		ck_assert_int_eq(kickmsg_send(i % 2 ? publisher : heir, &i, sizeof i), sizeof i);
		if (i % 3 == 0)
			test_manager_resume(&manager);
		step(i % 3 == 0 ? "sent between two brokers" : "sent");
	}
	ck_assert_uint_eq(*privileged, publisher->handle.place.id);
	ck_assert_int_eq(kickmsg_subscribe(other, "topic", &options, &late), 0);
	for (unsigned i = 4, value; i <= 6; i++) {
		ck_assert_int_eq(
			kickmsg_try_receive_copy(late, &value, sizeof value), sizeof value);
		ck_assert_uint_eq(value, i);
	}
	step("a late one has its history");
	/* gone while there is no broker */
	test_manager_kill(&manager, SIGKILL);
	kickmsg_client_free(client);
	test_manager_resume(&manager);
	step("the third broker is ready");
	const bool inherits = test_wait_until(*privileged == heir->handle.place.id, 10000);
	step("the privilege was waited for");
	if (!inherits)
		show_log();
	ck_assert_msg(inherits, "publisher %u is privileged, not the heir %u; %u publishers",
		*privileged, heir->handle.place.id, heir->handle.place.region.header->publishers);
	unsigned last = 0;
	ck_assert_int_eq(kickmsg_send(heir, &last, sizeof last), sizeof last);
	ck_assert_int_eq(pthread_join(thread, &sum), 0);
	step("the sleeper has its messages");
	ck_assert_uint_eq((uintptr_t)sum, 1 + 2 + 3 + 4 + 5 + 6);
	client = other;
	teardown();
}
END_TEST

/* The next broker finds a client that died while there was no broker, and settles its endpoints. */
START_TEST(restart_the_dead_are_reconciled)
{
	struct kickmsg_topic_ref ref = { .name = "topic" };
	struct kickmsg_topic_diagnosis health;
	int ready[2];
	char byte;

	setup();
	ck_assert_int_eq(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0) {
		struct kickmsg_client *mine;
		struct kickmsg_publisher *loans;
		struct kickmsg_subscriber *holds;
		struct kickmsg_sample sample;
		void *payload;

		_exit(kickmsg_client_new(NULL, &mine) ||
			kickmsg_advertise(mine, "topic", NULL, &loans) ||
			kickmsg_subscribe(mine, "topic", NULL, &holds) ||
			kickmsg_send(loans, "x", 1) != 1 || kickmsg_try_receive(holds, &sample) ||
			kickmsg_loan(loans, 1, &payload) || write(ready[1], "", 1) != 1 || pause());
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	ck_assert_uint_eq(info_of("topic").publishers, 2);
	test_manager_kill(&manager, SIGKILL);
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	test_manager_resume(&manager);
	ck_assert_uint_eq(info_of("topic").publishers, 1);
	ck_assert_uint_eq(info_of("topic").subscribers, 1);
	/* the broker does it in turns, while it serves */
	ck_assert(test_wait_until(
		kickmsg_topic_diagnose(client, &ref, &health) == 0 && health.dead == 0, 10000));
	ck_assert_uint_eq(health.slots_orphaned, 0);
	ck_assert_uint_eq(health.slots_stale, 0);
	ck_assert_uint_eq(health.slots_loaned, 0);
	ck_assert_uint_eq(health.dead, 0);
	close(ready[0]);
	close(ready[1]);
	teardown();
}
END_TEST

enum { MANY = 500, TRIES = 20 };

/* A client with many topics, which dies or, if it is told so, leaves. */
static void have_many(int ready, int go)
{
	struct kickmsg_topic_config config;
	struct kickmsg_client *mine;
	struct kickmsg_publisher *any;
	char name[16], byte = 0;

	kickmsg_topic_config_init(&config);
	config.max_publishers = config.max_subscribers = config.max_loans = config.max_borrows = 1;
	config.ring_capacity = 2;
	config.pool_size = 4;
	config.max_payload_size = 8;
	int r = kickmsg_client_new(NULL, &mine);
	for (int i = 0; r == 0 && i < MANY; i++) {
		snprintf(name, sizeof name, "many%d", i);
		r = kickmsg_advertise(mine, name, &config, &any);
	}
	if (r < 0 || write(ready, "", 1) != 1 || read(go, &byte, 1) != 1)
		_exit(EXIT_FAILURE);
	kickmsg_client_free(mine);
	pause();
}

static const struct km_gone *gone_of(const struct kickmsg_subscriber *of)
{
	return &of->handle.place.region.header->gone_publishers;
}

/* The broker is killed while a client with many endpoints goes, piece by piece. The next one ends
 * what is left, and nothing twice. The index: the client leaves in good order. Returns whether that
 * was in the middle. */
static bool kill_in_the_middle(bool leaves)
{
	struct kickmsg_subscriber *first, *last;
	int ready[2], go[2];
	char byte;

	ck_assert_int_eq(pipe(ready), 0);
	ck_assert_int_eq(pipe(go), 0);
	pid_t child = fork();
	if (child == 0)
		have_many(ready[1], go[0]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	ck_assert_int_eq(kickmsg_subscribe(client, "many0", NULL, &first), 0);
	ck_assert_int_eq(kickmsg_subscribe(client, "many499", NULL, &last), 0);
	/* so that this process runs as soon as anything is to be seen */
	setpriority(PRIO_PROCESS, (id_t)manager.pid, 19);
	if (leaves)
		ck_assert_int_eq(write(go[1], "", 1), 1);
	else
		kill(child, SIGKILL);
	/* newest first */
	const _Atomic uint32_t *seen = leaves ? &gone_of(last)->left : &gone_of(last)->died;
	while (*seen == 0)
		sched_yield();
	test_manager_kill(&manager, SIGKILL);
	const bool is_middle = gone_of(first)->left + gone_of(first)->died == 0;
	test_manager_resume(&manager);
	ck_assert(test_wait_until(
		info_of("many0").publishers == 0 && info_of("many499").publishers == 0, 10000));
	/* nothing is known of the others any more, and all they had is free */
	ck_assert(test_wait_until(test_manager_parked(&manager) < 64, 10000));
	for (int i = 0; i < 2; i++) {
		const struct km_gone *gone = gone_of(i ? last : first);

		ck_assert_uint_eq(gone->left, leaves);
		ck_assert_uint_eq(gone->died, !leaves);
	}
	kickmsg_subscriber_free(first);
	kickmsg_subscriber_free(last);
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
	}
	return is_middle;
}

START_TEST(restart_in_the_middle_of_a_clients_end)
{
	bool was_middle = false;

	start("[limits]\nclient_endpoints = 8192\nuser_topic_rate = 0\n", KICKMSG_TRANSPORT_RINGS);
	for (int i = 0; !was_middle && i < TRIES; i++)
		was_middle = kill_in_the_middle(_i);
	ck_assert_msg(was_middle, "no broker of %d was killed in the middle", TRIES);
	teardown();
}
END_TEST

enum { WAITS = 2048, A_TIME = 32 };

static bool count_wait(struct state_record *record, void *userdata)
{
	*(unsigned *)userdata += record->size == sizeof(struct km_kept_wait);
	return false;
}

static unsigned kept_waits(void)
{
	unsigned count = 0;

	state_records_change(test_manager_find(&manager, "S"), count_wait, &count);
	return count;
}

static void wait_for_many_topics(int peer)
{
	struct km_msg_attach request = { .header.op = KM_OP_SUBSCRIBE, .flags = KM_ATTACH_WAIT };
	union km_msg answer;

	for (unsigned i = 0; i < WAITS; i++) {
		snprintf(request.topic, sizeof request.topic, "nothing%u", i);
		ck_assert_int_eq(km_wire_send(peer, &request, sizeof request, NULL, 0), 0);
		for (unsigned j = 0; i % A_TIME == A_TIME - 1 && j < A_TIME; j++)
			ck_assert_int_eq(test_peer_answer(peer, &answer), KM_OP_WAITS);
	}
	ck_assert_uint_eq(kept_waits(), WAITS);
}

static int queued(int peer, unsigned long which)
{
	int bytes;

	ck_assert_int_eq(ioctl(peer, which, &bytes), 0);
	return bytes;
}

/* Asks and doesn't read, until a request is taken that has no answer: the broker hangs up. */
static void ask_without_reading(int peer)
{
	const struct km_msg_attach request = { .header.op = KM_OP_SUBSCRIBE, .topic = "nothing" };
	int before, after = 0;

	do {
		before = after;
		ck_assert_int_eq(km_wire_send(peer, (void *)&request, sizeof request, NULL, 0), 0);
		ck_assert(test_wait_until(queued(peer, SIOCOUTQ) == 0, 10000));
		after = queued(peer, SIOCINQ);
	} while (after > before);
}

/* The broker hangs up on a client that lives and waits for many topics, and is killed meanwhile.
 * The next broker hangs up as well, so the client knows that it has to ask again. Returns whether
 * some of the waits were forgotten, and others not. */
static bool kill_in_the_middle_of_a_hang_up(void)
{
	int peer = test_peer_hello(getenv("KICKMSG_SOCKET"), "raw", NULL);
	union km_msg answer;

	wait_for_many_topics(peer);
	setpriority(PRIO_PROCESS, (id_t)manager.pid, 19);
	ask_without_reading(peer);
	while (kept_waits() == WAITS)
		;
	test_manager_kill(&manager, SIGKILL);
	const unsigned left = kept_waits();
	int op;

	test_manager_resume(&manager);
	while ((op = test_peer_answer(peer, &answer)) == KM_OP_ERROR)
		;
	ck_assert_msg(op == -ENOTCONN, "%d with %u waits left", op, left);
	close(peer);
	return left > 0 && left < WAITS;
}

START_TEST(restart_in_the_middle_of_a_hang_up)
{
	bool was_middle = false;

	start("[limits]\nclient_endpoints = 8192\n", KICKMSG_TRANSPORT_RINGS);
	for (int i = 0; !was_middle && i < TRIES; i++)
		was_middle = kill_in_the_middle_of_a_hang_up();
	ck_assert_msg(was_middle, "no broker of %d was killed in the middle", TRIES);
	teardown();
}
END_TEST

/* A client that left in good order while there was no broker isn't dead: no operator is needed. */
START_TEST(restart_who_has_left_is_not_dead)
{
	start("[recovery]\nautomatic = no\n", (uint32_t)_i);
	test_manager_kill(&manager, SIGKILL);
	kickmsg_client_free(client);
	client = NULL;
	test_manager_resume(&manager);
	teardown();
}
END_TEST

/* A client that let go of its memory while there was no broker, and whose process goes on, is found at
 * the start: the tick is an hour away. The index: it had hung up before that. */
START_TEST(restart_unmapped_meanwhile_is_dead)
{
	struct km_msg_attach request = { .header.op = KM_OP_SUBSCRIBE, .topic = "topic" };
	union km_msg answer;
	int segment;

	start("[recovery]\ninterval = 3600000\n[log]\nlevel = debug\n", KICKMSG_TRANSPORT_RINGS);
	int socket = test_peer_hello(getenv("KICKMSG_SOCKET"), "raw", &segment);
	ck_assert_int_eq(test_peer_call(socket, &request, sizeof request, &answer), KM_OP_ATTACHED);
	if (_i) {
		ck_assert_int_eq(shutdown(socket, SHUT_RDWR), 0);
		ck_assert(test_wait_until(test_manager_logged(&manager, "disconnected"), 10000));
	}
	ck_assert_uint_eq(info_of("topic").subscribers, 2);
	test_manager_kill(&manager, SIGKILL);
	close(segment);
	test_manager_resume(&manager);
	ck_assert(test_wait_until(info_of("topic").subscribers == 1, 10000));
	close(socket);
	teardown();
}
END_TEST

START_TEST(restart_state_spoilt_anywhere_never_crashes)
{
	uint64_t state = 88172645463325252u;

	setup();
	for (int i = 0; i < 40; i++) {
		struct kickmsg_client *fresh;
		struct kickmsg_publisher *anew;

		ck_assert_int_eq(kickmsg_client_new(NULL, &fresh), 0);
		ck_assert_int_eq(kickmsg_advertise(fresh, "spoilt", NULL, &anew), 0);
		test_manager_kill(&manager, SIGKILL);
		int fd = test_manager_find(&manager, "S");
		/* bytes of pages that are in use */
		for (int flips = 0; flips < 8; flips++) {
			unsigned char byte;
			off_t at = 0;

			state = state * 6364136223846793005u + 1442695040888963407u;
			for (uint64_t skip = state >> 33 & 3; skip > 0; skip--)
				at = lseek(fd, lseek(fd, at, SEEK_HOLE), SEEK_DATA);
			at = (at < 0 ? 0 : at) + (off_t)(state >> 40 & 1023);
			if (pread(fd, &byte, 1, at) != 1)
				continue;
			byte ^= (unsigned char)(state >> 20);
			ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
		}
		test_manager_resume(&manager);
		kickmsg_client_free(fresh);
	}
	ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1); /* the old memory is still good */
	teardown();
}
END_TEST

/* Changes a byte or a word of one record in four. */
static bool change_some(struct state_record *record, void *userdata)
{
	static const uint64_t values[] = { 0, 1, 2, 255, UINT16_MAX, UINT32_MAX, UINT64_MAX,
		INT64_MAX };
	uint64_t *state = userdata;

	*state = *state * 6364136223846793005u + 1442695040888963407u;
	if (*state >> 60 > 3)
		return false;
	uint64_t random = *state >> 8, value = values[random >> 8 & 7];
	size_t size = (size_t)1 << (random >> 16 & 3), at = (random >> 24) % record->size;

	at -= at % size;
	if (at + size <= record->size)
		memcpy(record->content + at, &value, size);
	return true;
}

/* The records have values that no broker writes, with checksums that are right. The next broker
 * serves, whatever it makes of them, and so does the one after it. */
START_TEST(restart_state_that_cant_be_never_crashes)
{
	uint64_t random = 88172645463325252u * (uint64_t)(_i + 1);
	unsigned changed = 0;

	start("[recovery]\ninterval = 1\n", (uint32_t)_i);
	for (int round = 0; round < 60; round++) {
		struct kickmsg_topic_ref ref = { .name = "topic" };
		struct kickmsg_topic_stats stats;
		struct kickmsg_client *fresh;
		struct kickmsg_publisher *anew;

		ck_assert_int_eq(kickmsg_client_new(NULL, &fresh), 0);
		kickmsg_topic_get_stats(fresh, &ref, &stats); /* if that is there still */
		ck_assert_int_eq(kickmsg_advertise_or_join(fresh, "fresh", NULL, &anew), 0);
		test_manager_kill(&manager, SIGKILL);
		changed += state_records_change(
			test_manager_find(&manager, "S"), change_some, &random);
		test_manager_resume(&manager);
		kickmsg_client_free(fresh);
	}
	ck_assert_uint_gt(changed, 30);
	kickmsg_client_free(client);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

/* Gives the flag at *userdata of a topic's record a value that it can't have. */
static bool spoil_flag(struct state_record *record, void *userdata)
{
	if (record->size != sizeof(struct km_kept_topic))
		return false;
	record->content[*(size_t *)userdata] = 2;
	return true;
}

/* A flag that is neither 0 nor 1 is told to nobody: the topic is given up, and its name is free. */
START_TEST(restart_flag_that_cant_be_topic_given_up)
{
	static size_t flags[] = {
		offsetof(struct km_kept_topic, named),
		offsetof(struct km_kept_topic, unlinked),
		offsetof(struct km_kept_topic, quarantined),
		offsetof(struct km_kept_topic, emptied),
		offsetof(struct km_kept_topic, observed),
		offsetof(struct km_kept_topic, has_schema),
		offsetof(struct km_kept_topic, lifetime.persistent),
	};
	struct kickmsg_client *fresh;
	struct kickmsg_publisher *anew;

	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
		setup();
		test_manager_kill(&manager, SIGKILL);
		ck_assert_uint_eq(state_records_change(
					  test_manager_find(&manager, "S"), spoil_flag, &flags[i]),
			1);
		test_manager_resume(&manager);
		ck_assert(test_manager_logged(&manager, "topic 'topic' can't be taken back"));
		ck_assert_int_eq(kickmsg_client_new(NULL, &fresh), 0);
		ck_assert_int_eq(kickmsg_advertise(fresh, "topic", NULL, &anew), 0);
		kickmsg_client_free(fresh);
		teardown();
	}
}
END_TEST

START_TEST(restart_missing_descriptors_cost_only_their_own)
{
	static const char *const lost[] = { "c1", "m1.0", "s1" };

	for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
		struct kickmsg_client *other;
		struct kickmsg_publisher *theirs;

		setup();
		ck_assert_int_eq(kickmsg_client_new(NULL, &other), 0);
		ck_assert_int_eq(kickmsg_advertise(other, "theirs", NULL, &theirs), 0);
		test_manager_kill(&manager, SIGKILL);
		ck_assert(test_manager_unpark(&manager, lost[i]));
		test_manager_resume(&manager);
		ck_assert(test_manager_logged(&manager, "kept too little"));
		ck_assert_int_eq(kickmsg_send(theirs, "x", 1), 1);
		kickmsg_publisher_free(theirs);
		ck_assert_int_eq(kickmsg_advertise(other, "theirs", NULL, &theirs), 0);
		kickmsg_client_free(other);
		teardown();
	}
}
END_TEST

START_TEST(restart_foreign_and_double_descriptors_are_closed)
{
	setup();
	test_manager_kill(&manager, SIGKILL);
	test_manager_keep(&manager, "S", dup(test_manager_find(&manager, "S")));
	test_manager_keep(&manager, "O", dup(test_manager_find(&manager, "O")));
	/* as a broker of before had them kept */
	test_manager_keep(&manager, "c1", memfd_create("outdated", MFD_CLOEXEC));
	test_manager_keep(&manager, "m1.0", memfd_create("outdated", MFD_CLOEXEC));
	test_manager_park(&manager, "c77", memfd_create("nobody's", MFD_CLOEXEC));
	test_manager_keep(&manager, "what", memfd_create("foreign", MFD_CLOEXEC));
	int pair[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	close(pair[1]);
	test_manager_keep(&manager, "stored", pair[0]);
	test_manager_resume(&manager);
	ck_assert(test_manager_logged(&manager, "('what') from the service manager means nothing"));
	ck_assert(!test_manager_logged(&manager, "('c1')"));
	ck_assert_uint_eq(test_manager_stored(&manager, 'c'), 0);
	ck_assert_uint_eq(test_manager_stored(&manager, 'm'), 0);
	ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
	test_manager_forget(&manager, "what"); /* a manager forgets what isn't the broker's own */
	test_manager_forget(&manager, "stored");
	kickmsg_client_free(client);
	client = NULL;
	ck_assert(test_wait_until(test_manager_parked(&manager) == 0, 10000));
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

#define WRONG_KINDS 7
#define SOCKET_KIND 5

/* A descriptor that isn't what its name says. */
static int wrong_descriptor(int kind)
{
	int pair[2] = { -1, -1 };

	switch (kind) {
	case 0:
		pair[0] = memfd_create("empty", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		break;
	case 1:
		pair[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
		break;
	case 2:
		pair[0] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		break;
	case 3:
		pair[0] = epoll_create1(EPOLL_CLOEXEC);
		break;
	case 4:
		ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
		break;
	case SOCKET_KIND:
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		break;
	/* The file is as large as any segment, and it could shrink while the broker maps it. */
	default:
		pair[0] = memfd_create("large", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		ck_assert_int_eq(ftruncate(pair[0], 1 << 30), 0);
	}
	close(pair[1]); /* the pipe has ended, as a dead process' pidfd looks */
	ck_assert_int_ge(pair[0], 0);
	return pair[0];
}

/* The index is the kind of descriptor. With a wrong descriptor among the others a broker starts and
 * serves the rest. */
START_TEST(restart_descriptors_of_the_wrong_kind_cost_only_their_own)
{
	static const char *const names[] = { "S", "R", "I", "O", "c1", "p1", "b1", "m1.0", "s1" };
	static const char topic[] = "topic 'topic' can't be taken back: its record or a descriptor";
	static const char session[] = "can't be taken back, it has to connect anew: its record or";
	static const char pair[] = "'I' and 'O' from the service manager are no pair of sockets";
	static const char *const says[] = { "the state of the broker before is refused: it is ",
		"descriptor 'R' from the service manager is no memory of a broker", pair, pair,
		topic, topic, topic, session, session };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct kickmsg_client *other;
		struct kickmsg_publisher *theirs;

		/* a socket in a socket's place is a connection that is broken */
		if (names[i][0] == 's' && _i == SOCKET_KIND)
			continue;
		setup_with(names[i][0] == 'b' ? KICKMSG_TRANSPORT_SHARED : KICKMSG_TRANSPORT_RINGS);
		ck_assert_int_eq(kickmsg_client_new(NULL, &other), 0);
		ck_assert_int_eq(kickmsg_advertise(other, "theirs", NULL, &theirs), 0);
		test_manager_kill(&manager, SIGKILL);
		if (islower((unsigned char)names[i][0])) {
			ck_assert(test_manager_repark(&manager, names[i], wrong_descriptor(_i)));
		} else {
			test_manager_forget(&manager, names[i]);
			test_manager_keep(&manager, names[i], wrong_descriptor(_i));
		}
		test_manager_resume(&manager);
		/* libevent and the library have written nothing of their own, without a level */
		ck_assert_msg(!test_manager_logged(&manager, "\n["), "%s of kind %d", names[i], _i);
		ck_assert_msg(test_manager_logged(&manager, says[i]), "%s of kind %d: no '%s'",
			names[i], _i, says[i]);
		/* the client comes back by itself at the latest then */
		ck_assert(test_wait_until(kickmsg_send(theirs, "x", 1) == 1, 10000));
		kickmsg_publisher_free(theirs);
		ck_assert_int_eq(kickmsg_advertise(other, "theirs", NULL, &theirs), 0);
		ck_assert_int_eq(kickmsg_send(theirs, "x", 1), 1);
		kickmsg_client_free(other);
		teardown();
	}
}
END_TEST

/* The manager hears that the broker serves and that its event loop turns. It hears nothing while
 * the loop stands still. */
START_TEST(manager_is_told)
{
	int status;

	setup();
	ck_assert(test_wait_until(
		test_manager_status_has(&manager, "1 clients, 1 topics, 2 endpoints, "), 10000));
	unsigned before = manager.watchdogs;
	ck_assert(test_wait_until(manager.watchdogs > before + 3, 10000));
	/* the loop itself says so: there is no other thread but an emulator's */
	ck_assert_uint_eq(test_thread_count(manager.pid), test_is_emulated() ? 2 : 1);
	kill(manager.pid, SIGSTOP);
	ck_assert_int_eq(waitpid(manager.pid, &status, WUNTRACED), manager.pid);
	test_manager_hear(&manager);
	before = manager.watchdogs;
	for (int i = 0; i < 200; i++)
		test_nap();
	ck_assert_uint_eq(manager.watchdogs, before);
	kill(manager.pid, SIGCONT);
	ck_assert(test_wait_until(manager.watchdogs > before, 10000));
	kickmsg_publisher_free(publisher);
	ck_assert(test_wait_until(test_manager_status_has(&manager, "1 endpoints, "), 10000));
	teardown();
}
END_TEST

/* An observer's descriptor, which is a timer of its own, goes on by both mechanisms of the others. */
START_TEST(restart_observers_descriptor_goes_on)
{
	const struct kickmsg_subscribe_options observes = { .observe = 1 };
	struct kickmsg_subscriber *observer;
	unsigned got = 0;

	setenv("KICKMSG_WAIT", _i ? "thread" : "uring", 1);
	setup_with(KICKMSG_TRANSPORT_SHARED);
	ck_assert_int_eq(kickmsg_subscribe(client, "topic", &observes, &observer), 0);
	const int fd = kickmsg_subscriber_get_fd(observer);
	for (unsigned i = 0; i < 4; i++) {
		struct pollfd polled = { fd, POLLIN, 0 };

		if (i == 1)
			test_manager_kill(&manager, SIGKILL);
		if (i == 2)
			test_manager_resume(&manager);
		while (kickmsg_try_receive_copy(observer, &got, sizeof got) >= 0)
			;
		ck_assert_int_eq(kickmsg_send(publisher, &i, sizeof i), sizeof i);
		do
			ck_assert_int_eq(poll(&polled, 1, 10000), 1);
		while (kickmsg_try_receive_copy(observer, &got, sizeof got) < 0);
		ck_assert_uint_eq(got, i);
		ck_assert_int_eq(kickmsg_subscriber_get_fd(observer), fd);
	}
	teardown();
}
END_TEST

static void expect_last_value(int value)
{
	struct kickmsg_subscriber *newcomer;
	int got = -1;

	ck_assert_int_eq(kickmsg_subscribe(client, "latched", NULL, &newcomer), 0);
	ck_assert_int_eq(kickmsg_try_receive_copy(newcomer, &got, sizeof got), sizeof got);
	ck_assert_int_eq(got, value);
	ck_assert_int_eq(kickmsg_try_receive_copy(newcomer, &got, sizeof got), -EAGAIN);
	kickmsg_subscriber_free(newcomer);
}

/* A process that says one value and stays. */
static pid_t say_in_a_process(int value)
{
	struct kickmsg_publisher *own;
	struct kickmsg_client *mine;
	int told[2];
	char byte;

	ck_assert_int_eq(pipe(told), 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (kickmsg_client_new(NULL, &mine) < 0 ||
			kickmsg_advertise(mine, "latched", NULL, &own) < 0 ||
			kickmsg_send(own, &value, sizeof value) < 0 || write(told[1], "", 1) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	close(told[1]);
	ck_assert_int_eq(read(told[0], &byte, 1), 1);
	close(told[0]);
	return pid;
}

/* A topic's last value is there for those who come after the restart: its publisher has sent on without a
 * broker, has left before, or died while there was none. */
START_TEST(restart_last_value_is_kept)
{
	struct kickmsg_topic_config config;
	struct kickmsg_publisher *latched;

	setup_with((uint32_t)_i);
	kickmsg_topic_config_latched(&config);
	config.transport = (uint32_t)_i;
	ck_assert_int_eq(kickmsg_advertise(client, "latched", &config, &latched), 0);
	for (int i = 1; i <= 30; i++)
		ck_assert_int_eq(kickmsg_send(latched, &i, sizeof i), sizeof i);
	test_manager_kill(&manager, SIGKILL);
	ck_assert_int_eq(kickmsg_send(latched, &(int){ 31 }, sizeof(int)), sizeof(int));
	test_manager_resume(&manager);
	expect_last_value(31);
	kickmsg_publisher_free(latched);
	test_manager_kill(&manager, SIGTERM);
	test_manager_resume(&manager);
	expect_last_value(31);
	pid_t pid = say_in_a_process(32);
	test_manager_kill(&manager, SIGKILL);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	test_manager_resume(&manager);
	ck_assert(test_wait_until(info_of("latched").publishers == 0, 10000));
	expect_last_value(32);
	expect_last_value(32);
	ck_assert_int_eq(kickmsg_unlink_topic(client, "latched"), 0);
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-restart");
	TCase *tcase = tcase_create("flow-restart");

	if (test_skip_emulated("flow-restart", TEST_LACKS_PEEKING))
		return 77;
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, restart_nobody_notices, KICKMSG_TRANSPORT_RINGS,
		KICKMSG_TRANSPORT_SHARED + 1);
	tcase_add_test(tcase, restart_shared_ring_goes_on);
	tcase_add_loop_test(tcase, restart_observers_descriptor_goes_on, 0, 2);
	tcase_add_loop_test(tcase, restart_region_that_was_left_stays_left, 0, 2);
	tcase_add_loop_test(tcase, restart_last_value_is_kept, KICKMSG_TRANSPORT_RINGS,
		KICKMSG_TRANSPORT_SHARED + 1);
	tcase_add_test(tcase, restart_the_dead_are_reconciled);
	tcase_add_loop_test(tcase, restart_in_the_middle_of_a_clients_end, 0, 2);
	tcase_add_test(tcase, restart_in_the_middle_of_a_hang_up);
	tcase_add_loop_test(tcase, restart_who_has_left_is_not_dead, KICKMSG_TRANSPORT_RINGS,
		KICKMSG_TRANSPORT_SHARED + 1);
	tcase_add_loop_test(tcase, restart_unmapped_meanwhile_is_dead, 0, 2);
	tcase_add_test(tcase, restart_state_spoilt_anywhere_never_crashes);
	tcase_add_loop_test(tcase, restart_state_that_cant_be_never_crashes,
		KICKMSG_TRANSPORT_RINGS, KICKMSG_TRANSPORT_SHARED + 1);
	tcase_add_test(tcase, restart_flag_that_cant_be_topic_given_up);
	tcase_add_test(tcase, restart_missing_descriptors_cost_only_their_own);
	tcase_add_loop_test(
		tcase, restart_descriptors_of_the_wrong_kind_cost_only_their_own, 0, WRONG_KINDS);
	tcase_add_test(tcase, manager_is_told);
	tcase_add_test(tcase, restart_foreign_and_double_descriptors_are_closed);
	suite_add_tcase(suite, tcase);
	return test_suite_run(suite);
}
