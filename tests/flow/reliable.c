/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reliable subscribers with a real broker: those that keep up, those that are slow, frozen, dead or mean harm;
 * over a broker's restart; and who may be one. With private rings; `flow-reliable shared`: with a shared ring.
 *
 * The file is long because it is a list: one case for each way of a subscriber to go on or not.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include "common/shared/room.h"
#include "libclient/handle/handle.h"
#include "libclient/kickmsg-operator.h"
#include "libclient/wait/ready.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/flow.h"
#include "tests/support/broker/manager.h"
#include "tests/support/broker/user.h"

#define CAPACITY 16
#define ROOM     (shared ? CAPACITY : CAPACITY - 4 + 1) /* of one publisher */
#define STALL_NS UINT64_C(100000000)
#define MANY     20000

static bool shared;
static uint64_t stall_ns = STALL_NS;
static uint32_t max_publishers = 4;
static struct kickmsg_client *client;
static struct kickmsg_publisher *publisher;
static struct kickmsg_topic_config config;
static const struct kickmsg_subscribe_options reliable = { .reliable = 1 };
static const struct kickmsg_topic_ref topic = { .name = "t" };

static struct {
	unsigned publishers, subscribers;
	int error;
} demoted;

static void on_event(void *userdata, const struct kickmsg_event *event)
{
	if (event->kind != KICKMSG_EVENT_DEMOTED)
		return;
	demoted.publishers += event->publisher != NULL;
	demoted.subscribers += event->subscriber != NULL;
	if (event->subscriber)
		demoted.error = event->error;
}

static void make_config(void)
{
	kickmsg_topic_config_init(&config);
	config.ring_capacity = CAPACITY;
	config.max_publishers = max_publishers;
	config.max_reliable = 2;
	config.transport = shared ? KICKMSG_TRANSPORT_SHARED : KICKMSG_TRANSPORT_RINGS;
	config.stall_ns = stall_ns;
}

static void attach(void)
{
	memset(&demoted, 0, sizeof demoted);
	client = flow_client_told("listens", on_event, NULL);
	make_config();
	publisher = flow_advertise(client, "t", &config);
}

static void setup(void)
{
	test_broker_start(&broker, NULL);
	attach();
}

static void teardown(void)
{
	kickmsg_client_free(client);
	flow_stop();
}

static struct kickmsg_subscriber *subscribe(struct kickmsg_client *by)
{
	struct kickmsg_subscriber *ret = NULL;

	ck_assert_msg(kickmsg_subscribe(by, "t", &reliable, &ret) == 0, "subscribe: %s",
		kickmsg_client_last_error(by));
	return ret;
}

static int send_int(int value)
{
	return (int)kickmsg_send(publisher, &value, sizeof value);
}

static int send_till_full(void)
{
	int count = 0;

	while (send_int(count) == (int)sizeof count)
		count++;
	return count;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t demoted_by_stats(void)
{
	struct kickmsg_topic_stats stats;

	ck_assert_int_eq(kickmsg_topic_get_stats(client, &topic, &stats), 0);
	return stats.demoted;
}

static uint32_t reliable_by_stats(void)
{
	struct kickmsg_ring_stats rings[8];
	uint64_t cursor = 0;
	uint32_t count = 0;
	ssize_t n = kickmsg_topic_ring_stats(client, &topic, &cursor, rings, 8);

	ck_assert_int_ge(n, 0);
	for (ssize_t i = 0; i < n; i++)
		count += rings[i].reliable;
	return count;
}

/* Dispatches, as a loop does, until the condition holds. */
#define dispatch_until(condition)                                                                  \
	do {                                                                                       \
		for (int left_ = 400; !(condition) && left_ > 0; left_--) {                        \
			struct pollfd readable_ = { kickmsg_client_get_fd(client), POLLIN, 0 };    \
                                                                                                   \
			poll(&readable_, 1, 25);                                                   \
			ck_assert_int_ge(kickmsg_client_dispatch(client), -ENOTCONN);              \
		}                                                                                  \
		ck_assert(condition);                                                              \
	} while (0)

/* --- those that keep up --------------------------------------------------------------------------- */

static void *receive_all(void *argument)
{
	struct kickmsg_subscriber *subscriber = argument;
	int value = -1;

	for (int i = 0; i < MANY; i++) {
		if (kickmsg_receive_copy(subscriber, &value, sizeof value, -1) != sizeof value ||
			value != i)
			return (void *)1;
	}
	return NULL;
}

START_TEST(nothing_is_lost_between_one_that_sends_and_two_that_receive)
{
	pthread_t threads[2];
	void *wrong;

	stall_ns = 100 * STALL_NS; /* a busy machine */
	setup();
	struct kickmsg_subscriber *subscribers[] = { subscribe(client), subscribe(client) };
	ck_assert_uint_eq(reliable_by_stats(), 2);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, receive_all, subscribers[i]);
	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(kickmsg_send_wait(publisher, &i, sizeof i, -1), sizeof i);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], &wrong);
		ck_assert_ptr_null(wrong);
		ck_assert_uint_eq(kickmsg_subscriber_lost(subscribers[i]), 0);
	}
	ck_assert_uint_eq(demoted_by_stats(), 0);
	ck_assert(flow_is_healthy("t"));
	teardown();
}
END_TEST

/* One of several threads, with a client of its own. */
struct crew {
	pthread_t thread;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	unsigned index, publishers;
	uint64_t received;
	bool is_reliable, wrong;
};
#define EACH 3000

static void *send_all(void *argument)
{
	struct crew *me = argument;

	for (unsigned i = 0; i < EACH; i++) {
		unsigned value = me->index * EACH + i;

		if (i % 3 == 0) {
			void *loan;

			me->wrong |= kickmsg_loan(me->publisher, sizeof value, &loan) < 0;
			memcpy(loan, &value, sizeof value);
			me->wrong |= kickmsg_publish_wait(me->publisher, loan, sizeof value, -1) <
				     0;
			continue;
		}
		me->wrong |= kickmsg_send_wait(me->publisher, &value, sizeof value, -1) < 0;
	}
	return NULL;
}

/* Each publisher's messages in order: all of them for a reliable one. The end is a value that can't be. */
static void *receive_in_order(void *argument)
{
	struct crew *me = argument;
	unsigned next[4] = { 0 }, value;

	for (;; me->received++) {
		ssize_t n = kickmsg_receive_copy(me->subscriber, &value, sizeof value, -1);
		unsigned by = value / EACH, i = value % EACH;

		if (n != sizeof value || value == UINT32_MAX)
			break;
		if (by >= me->publishers || (me->is_reliable ? i != next[by] : i < next[by]))
			me->wrong = true;
		next[by] = i + 1;
	}
	return NULL;
}

/* 1 to 4 publishers, 1 to 3 reliable subscribers, and an ordinary one, whose books balance. */
START_TEST(nothing_is_lost_with_many_publishers)
{
	const unsigned publishers = 1 + (unsigned)_i % 4, reliables = 1 + (unsigned)_i / 4;
	const uint64_t all = publishers * EACH;
	const unsigned end = UINT32_MAX;
	struct crew crew[8] = { 0 };
	unsigned count = 0;

	test_broker_start(&broker, NULL);
	memset(&demoted, 0, sizeof demoted);
	client = flow_client_told("listens", on_event, NULL);
	make_config();
	config.max_reliable = 3;
	config.stall_ns = 100 * STALL_NS; /* a busy machine */
	for (unsigned i = 0; i < publishers; i++)
		crew[count++] = (struct crew){ .index = i,
			.publisher = flow_advertise(flow_client("sends"), "t", &config) };
	for (unsigned i = 0; i <= reliables; i++) {
		struct kickmsg_client *other = flow_client("takes");

		crew[count++] = (struct crew){ .publishers = publishers,
			.is_reliable = i < reliables,
			.subscriber = i < reliables ? subscribe(other)
						    : flow_subscribe(other, "t") };
	}
	for (unsigned i = 0; i < count; i++)
		pthread_create(&crew[i].thread, NULL,
			crew[i].publisher ? send_all : receive_in_order, &crew[i]);
	for (unsigned i = 0; i < publishers; i++)
		pthread_join(crew[i].thread, NULL);
	ck_assert_int_eq(kickmsg_send_wait(crew[0].publisher, &end, sizeof end, -1), sizeof end);
	for (unsigned i = publishers; i < count; i++) {
		pthread_join(crew[i].thread, NULL);
		uint64_t lost = kickmsg_subscriber_lost(crew[i].subscriber);

		ck_assert_uint_eq(crew[i].received + lost, all);
		ck_assert(!crew[i].is_reliable || lost == 0);
	}
	for (unsigned i = 0; i < count; i++)
		ck_assert_msg(!crew[i].wrong, "%u of %u", i, count);
	ck_assert_uint_eq(demoted_by_stats(), 0);
	ck_assert(flow_is_healthy("t"));
	teardown();
}
END_TEST

START_TEST(config_and_options_are_checked_with_words)
{
	struct kickmsg_subscriber *subscriber = NULL;
	struct kickmsg_publisher *other = NULL;
	struct kickmsg_subscribe_options options = { .reliable = 2 };
	struct kickmsg_topic_sizing sizing;
	struct kickmsg_topic_info info;

	setup();
	ck_assert_int_eq(kickmsg_topic_get_info(client, &topic, &info), 0);
	ck_assert_uint_eq(info.config.max_reliable, 2);
	ck_assert_uint_eq(info.config.stall_ns, STALL_NS);
	ck_assert_int_eq(kickmsg_subscribe(client, "t", &options, &subscriber), -EINVAL);
	options = (struct kickmsg_subscribe_options){ .reliable = 1, .depth = 1 };
	ck_assert_int_eq(kickmsg_subscribe(client, "t", &options, &subscriber), -EINVAL);
	ck_assert(flow_said(client, "depth"));
	subscribe(client);
	struct kickmsg_subscriber *second = subscribe(client);
	ck_assert_int_eq(kickmsg_subscribe(client, "t", &reliable, &subscriber), -ENOSPC);
	ck_assert(flow_said(client, "all its 2 reliable subscribers"));
	kickmsg_subscriber_free(second);
	subscribe(client);
	kickmsg_publisher_free(flow_advertise(client, "none", NULL));
	flow_advertise(client, "none", NULL);
	ck_assert_int_eq(kickmsg_subscribe(client, "none", &reliable, &subscriber), -EOPNOTSUPP);
	ck_assert(flow_said(client, "max_reliable = 0"));
	config.transport = KICKMSG_TRANSPORT_AUTO;
	ck_assert_int_eq(kickmsg_advertise(client, "auto", &config, &other), 0);
	ck_assert_int_eq(kickmsg_join_broadcast(client, "b", &config, NULL, &other, &subscriber),
		-EOPNOTSUPP);
	ck_assert(flow_said(client, "pubsub"));
	config.transport = KICKMSG_TRANSPORT_RINGS;
	config.history = 1;
	ck_assert_int_eq(kickmsg_advertise(client, "x", &config, &other), -EINVAL);
	ck_assert(flow_said(client, "history is 1; it must be 0 to 0, since private rings with"));
	config.transport = KICKMSG_TRANSPORT_SHARED;
	config.history = CAPACITY;
	ck_assert_int_eq(kickmsg_advertise(client, "x", &config, &other), -EINVAL);
	ck_assert(flow_said(client, "history is 16; it must be 0 to 15, below ring_capacity"));
	config.transport = KICKMSG_TRANSPORT_RINGS;
	config.history = 0;
	config.max_publishers = CAPACITY;
	ck_assert_int_eq(kickmsg_topic_config_check(&config, &sizing), -EINVAL);
	ck_assert_str_eq(sizing.bad_field, "ring_capacity");
	ck_assert_int_eq(kickmsg_advertise(client, "x", &config, &other), -EINVAL);
	ck_assert(flow_said(client, "ring_capacity is 16; it must be 17 to"));
	teardown();
}
END_TEST

/* A newcomer has the history that the config says, and loses nothing of it while publishers go on. */
START_TEST(reliable_newcomer_has_its_history)
{
	struct kickmsg_topic_sizing sizing;

	if (!shared) {
		make_config();
		config.history = 1;
		ck_assert_int_eq(kickmsg_topic_config_check(&config, &sizing), -EINVAL);
		ck_assert_str_eq(sizing.bad_field, "history");
		return;
	}
	setup();
	config.history = CAPACITY;
	ck_assert_int_eq(kickmsg_topic_config_check(&config, &sizing), -EINVAL);
	ck_assert_str_eq(sizing.bad_field, "history");
	config.history = 4;
	config.transport = KICKMSG_TRANSPORT_AUTO;
	publisher = flow_advertise(client, "past", &config);
	for (int i = 0; i < 3 * CAPACITY; i++)
		ck_assert_int_eq(send_int(i), sizeof i);
	struct kickmsg_subscriber *subscriber = NULL;
	ck_assert_int_eq(kickmsg_subscribe(client, "past", &reliable, &subscriber), 0);
	/* the newcomer's history takes cells, so publishers have so much less room */
	ck_assert_int_eq(send_till_full(), CAPACITY - 4);
	for (int i = 3 * CAPACITY - 4; i < 3 * CAPACITY; i++)
		ck_assert_int_eq(flow_receive_int(subscriber), i);
	for (int i = 0; i < CAPACITY - 4; i++)
		ck_assert_int_eq(flow_receive_int(subscriber), i);
	ck_assert_int_eq(send_till_full(), CAPACITY);
	ck_assert_uint_eq(kickmsg_subscriber_lost(subscriber), 0);
	teardown();
}
END_TEST

/* --- those that don't ----------------------------------------------------------------------------- */

static void receive_for_ever(void *unused)
{
	struct kickmsg_subscriber *subscriber;
	int value;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	subscriber = subscribe(flow_client("other"));
	test_child_ready();
	for (;;)
		if (kickmsg_receive_copy(subscriber, &value, sizeof value, -1) == -ENOLINK)
			_exit(42);
}

/* How long the broker says that a subscriber stood still, in ms. */
static uint64_t logged_stall(void)
{
	FILE *file = fopen(broker.log, "re");
	char line[1024];
	unsigned long ms = 0;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof line, file)) {
		const char *at = strstr(line, "stood still for ");

		if (at)
			sscanf(at, "stood still for %lu", &ms);
	}
	fclose(file);
	return ms;
}

/* A frozen one is waited for once, and no longer than stall_ns and what a busy machine adds. */
START_TEST(frozen_subscriber_is_waited_for_once)
{
	const uint64_t began = now_ns();
	int status;

	setup();
	pid_t frozen = test_child_start(receive_for_ever, NULL);
	struct kickmsg_subscriber *mine = flow_subscribe(client, "t");
	flow_send_int(publisher, 0);
	kill(frozen, SIGSTOP);
	ck_assert_int_eq(waitpid(frozen, &status, WUNTRACED), frozen);
	while (send_int(1) == (int)sizeof(int))
		;
	uint64_t begin = now_ns();
	ck_assert_int_eq(kickmsg_send_wait(publisher, "last", 4, -1), 4);
	uint64_t waited = now_ns() - begin;
	ck_assert_uint_ge(waited, STALL_NS / 2);
	printf("frozen: waited %lu us of a stall_ns of %lu us\n", waited / 1000, STALL_NS / 1000);
	/* from now on no publisher waits */
	for (int i = 0; i < 10 * CAPACITY; i++)
		ck_assert_int_eq(send_int(i), sizeof i);
	ck_assert_uint_eq(demoted_by_stats(), 1);
	ck_assert_uint_ge(logged_stall(), STALL_NS / 2000000);
	ck_assert_uint_le(logged_stall(), (now_ns() - began) / 1000000);
	ck_assert_uint_eq(reliable_by_stats(), 0);
	dispatch_until(demoted.publishers == 1);
	ck_assert_uint_eq(demoted.subscribers, 0);
	ck_assert(test_broker_logged(&broker, "it is no reliable one any more"));
	/* the subscriber is told once its process goes on */
	kill(frozen, SIGCONT);
	ck_assert_int_eq(waitpid(frozen, &status, 0), frozen);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	kickmsg_subscriber_free(mine);
	ck_assert(test_wait_until(flow_is_healthy("t"), FLOW_WAIT_MS));
	teardown();
}
END_TEST

static uint64_t no_room_by_stats(void)
{
	struct kickmsg_topic_stats stats;

	ck_assert_int_eq(kickmsg_topic_get_stats(client, &topic, &stats), 0);
	return stats.no_room;
}

/* Each call once: refused, timed out, or held back and sent; also when its publisher is gone. */
START_TEST(sends_without_room_are_counted)
{
	struct kickmsg_publisher_stats stats;

	stall_ns = 100 * STALL_NS;
	setup();
	struct kickmsg_subscriber *subscriber = subscribe(client);
	ck_assert_int_eq(send_till_full(), ROOM);
	ck_assert_uint_eq(no_room_by_stats(), 1);
	ck_assert_int_eq(send_int(1), -ENOBUFS);
	ck_assert_int_eq(kickmsg_send_wait(publisher, "x", 1, 3000000), -ETIMEDOUT);
	ck_assert_uint_eq(no_room_by_stats(), 3);
	ck_assert_int_eq(flow_receive_int(subscriber), 0);
	ck_assert_int_eq(send_int(1), sizeof(int));
	kickmsg_publisher_get_stats(publisher, &stats);
	ck_assert_uint_eq(stats.no_room, 3);
	kickmsg_publisher_free(publisher);
	ck_assert(test_wait_until(flow_is_healthy("t"), FLOW_WAIT_MS));
	ck_assert_uint_eq(no_room_by_stats(), 3);
	teardown();
}
END_TEST

/* A publisher whose sends are refused, and that never sleeps, makes the broker look as well. */
START_TEST(subscriber_that_stands_still_is_demoted_for_a_publisher_that_polls)
{
	setup();
	struct kickmsg_subscriber *still = subscribe(client);
	ck_assert_int_eq(send_till_full(), ROOM);
	ck_assert(test_wait_until(send_int(77) == (int)sizeof(int), FLOW_WAIT_MS));
	dispatch_until(demoted.subscribers == 1 && demoted.publishers == 1);
	ck_assert_int_eq(demoted.error, -ENOLINK);
	ck_assert_int_eq(flow_receive_int(still), -ENOLINK);
	/* in a shared ring the last one had no cell but the first one's */
	for (int i = shared; i < ROOM; i++)
		ck_assert_int_eq(flow_receive_int(still), i);
	ck_assert_int_eq(flow_receive_int(still), 77);
	ck_assert_int_eq(flow_receive_int(still), -EAGAIN);
	ck_assert_uint_eq(kickmsg_subscriber_lost(still), shared);
	/* another one may take its place, and it may come again */
	subscribe(client);
	kickmsg_subscriber_free(still);
	subscribe(client);
	ck_assert_uint_eq(reliable_by_stats(), 2);
	teardown();
}
END_TEST

/* Where it says how far it has come. */
static _Atomic uint64_t *head_of(struct kickmsg_subscriber *subscriber)
{
	struct km_place *here = &subscriber->handle.place;

	return here->ring ? &here->ring->head : km_reader_next(&here->region, here->ring_index);
}

/* A subscriber stands still and pretends that it moves: its head goes to and fro. */
START_TEST(hostile_subscriber_that_sets_its_head_back_is_demoted)
{
	setup();
	struct kickmsg_subscriber *hostile = subscribe(client);
	_Atomic uint64_t *word = head_of(hostile);
	ck_assert_int_eq(send_till_full(), ROOM);
	uint64_t head = *word;
	bool demotes = false;
	for (uint64_t i = 0; i < 10000 && !demotes; i++) {
		atomic_store(word, head - i % 3);
		demotes = send_int(1) == (int)sizeof(int);
		test_nap();
	}
	ck_assert(demotes);
	ck_assert_uint_eq(demoted_by_stats(), 1);
	teardown();
}
END_TEST

/* A participant writes that others are reliable. The broker puts that right at its next look. */
START_TEST(hostile_word_is_mended)
{
	setup();
	subscribe(client);
	struct kickmsg_subscriber *ordinary = flow_subscribe(client, "t");
	struct km_control_header *header = publisher->handle.place.region.header;
	_Atomic uint64_t *head = head_of(ordinary);
	uint64_t right = header->reliable;
	ck_assert_uint_eq(__builtin_popcountll(right), 1);
	atomic_store(&header->reliable, ~UINT64_C(0));
	while (send_int(1) == (int)sizeof(int))
		;
	ck_assert(test_wait_until((send_int(1), header->reliable == right), FLOW_WAIT_MS));
	ck_assert(shared || *head >= CAPACITY);
	teardown();
}
END_TEST

/* No publisher waits for a subscriber that is dead or has left. */
START_TEST(subscriber_that_goes_ends_the_wait)
{
	setup();
	for (int way = 0; way < 2; way++) {
		pid_t other = test_child_start(receive_for_ever, NULL);
		int status;

		kill(other, SIGSTOP);
		ck_assert_int_eq(waitpid(other, &status, WUNTRACED), other);
		send_till_full();
		uint64_t begin = now_ns();
		kill(other, SIGKILL);
		ck_assert_int_eq(kickmsg_send_wait(publisher, "x", 1, -1), 1);
		printf("killed: waited %lu us\n", (now_ns() - begin) / 1000);
		waitpid(other, NULL, 0);
		ck_assert_uint_eq(demoted_by_stats(), 0);
	}
	struct kickmsg_client *leaver = flow_client("leaver");
	subscribe(leaver);
	send_till_full();
	kickmsg_client_free(leaver);
	ck_assert_int_eq(kickmsg_send_wait(publisher, "x", 1, -1), 1);
	ck_assert_uint_eq(demoted_by_stats(), 0);
	teardown();
}
END_TEST

/* A subscriber is slow, but it takes its messages, so publishers wait for it. */
static void *receive_slowly(void *argument)
{
	struct kickmsg_subscriber *subscriber = argument;
	const struct timespec pause = { .tv_nsec = STALL_NS };
	int value = 0;

	for (int i = 0; value >= 0; i++) {
		nanosleep(&pause, NULL);
		if (kickmsg_receive_copy(subscriber, &value, sizeof value, -1) != sizeof value)
			return (void *)1;
	}
	return NULL;
}

START_TEST(slow_subscriber_is_waited_for)
{
	const int last = -1;
	pthread_t thread;
	void *wrong;

	stall_ns = 10 * STALL_NS;
	setup();
	struct kickmsg_subscriber *slow = subscribe(client);
	pthread_create(&thread, NULL, receive_slowly, slow);
	/* in all the publisher waits longer than that */
	for (int i = 0; i < ROOM + 12; i++)
		ck_assert_int_eq(kickmsg_send_wait(publisher, &i, sizeof i, -1), sizeof i);
	ck_assert_int_eq(kickmsg_send_wait(publisher, &last, sizeof last, -1), sizeof last);
	pthread_join(thread, &wrong);
	ck_assert_ptr_null(wrong);
	ck_assert_uint_eq(kickmsg_subscriber_lost(slow), 0);
	teardown();
}
END_TEST

/* --- by a descriptor, and in a wait set ------------------------------------------------------------ */

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd polled = { fd, POLLIN, 0 };

	return poll(&polled, 1, timeout_ms) == 1;
}

/* Sends until there is no room and the broker was told, so that the descriptor is armed. */
static int fill_and_arm(int fd)
{
	int count = 0;

	for (int left = 1000; is_readable(fd, 0) && left > 0; left--) {
		count += send_int(count) == (int)sizeof count;
		test_nap();
	}
	ck_assert(!is_readable(fd, 0));
	return count;
}

/* Sets up with a reliable subscriber, and returns the publisher's descriptor, by the first mechanism or the
 * second. -EOPNOTSUPP: it isn't here, and all is torn down. */
static int set_up_descriptor(int mechanism, struct kickmsg_subscriber **ret)
{
	static const char *const mechanisms[] = { "uring", "thread" };

	setenv("KICKMSG_WAIT", mechanisms[mechanism], 1);
	setup();
	*ret = subscribe(client);
	int fd = kickmsg_publisher_get_fd(publisher);
	if (fd == -EOPNOTSUPP) {
		printf("skipped: no %s here\n", mechanisms[mechanism]);
		teardown();
		return fd;
	}
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* By both mechanisms. */
START_TEST(descriptor_is_readable_while_there_is_room)
{
	struct kickmsg_subscriber *subscriber;

	stall_ns = 100 * STALL_NS; /* a busy machine */
	int fd = set_up_descriptor(_i, &subscriber);
	if (fd < 0)
		return;
	ck_assert_int_eq(kickmsg_publisher_get_fd(publisher), fd);
	ck_assert(is_readable(fd, 0));
	ck_assert_int_eq(fill_and_arm(fd), ROOM);
	for (int i = 0; i < 100; i++) {
		ck_assert(flow_receive_int(subscriber) >= 0);
		ck_assert(is_readable(fd, FLOW_WAIT_MS));
		ck_assert_int_eq(fill_and_arm(fd), 1);
	}
	teardown();
	unsetenv("KICKMSG_WAIT");
}
END_TEST

START_TEST(descriptor_is_readable_once_the_broker_ends_the_wait)
{
	struct kickmsg_subscriber *subscriber;
	int fd = set_up_descriptor(_i, &subscriber);
	if (fd < 0)
		return;
	while (send_int(1) == (int)sizeof(int))
		;
	ck_assert(is_readable(fd, FLOW_WAIT_MS));
	ck_assert(test_wait_until(send_int(1) == (int)sizeof(int), FLOW_WAIT_MS));
	ck_assert_uint_eq(demoted_by_stats(), 1);
	/* nobody has to be waited for now, so the descriptor stays readable */
	while (send_int(1) == (int)sizeof(int) && demoted.error++ < 2 * CAPACITY)
		ck_assert(is_readable(fd, 0));
	teardown();
	unsetenv("KICKMSG_WAIT");
}
END_TEST

static void *receive_later(void *argument)
{
	test_nap();
	ck_assert(flow_receive_int(argument) >= 0);
	return NULL;
}

/* At words, and by descriptors beside a plain one. */
START_TEST(waitset_has_publishers)
{
	struct kickmsg_waitset *set;
	pthread_t thread;
	int pipes[2];
	void *ready;

	stall_ns = 10 * STALL_NS; /* on a busy machine a nap may be long */
	setup();
	struct kickmsg_subscriber *subscriber = subscribe(client);
	ck_assert_int_eq(kickmsg_waitset_new(&set), 0);
	ck_assert_int_eq(kickmsg_waitset_add_publisher(set, publisher, &publisher), 0);
	ck_assert_int_eq(pipe(pipes), 0);
	if (_i == 1)
		ck_assert_int_eq(kickmsg_waitset_add_fd(set, pipes[0], POLLIN, pipes), 0);
	ck_assert_int_eq(kickmsg_waitset_wait(set, 0, &ready, 1), 1);
	ck_assert_ptr_eq(ready, &publisher);
	for (int i = 0; i < 50; i++) {
		send_till_full();
		ck_assert_int_eq(kickmsg_waitset_wait(set, 0, &ready, 1), -EAGAIN);
		ck_assert_int_eq(kickmsg_waitset_wait(set, 1, &ready, 1), -ETIMEDOUT);
		pthread_create(&thread, NULL, receive_later, subscriber);
		ck_assert_int_eq(kickmsg_waitset_wait(set, -1, &ready, 1), 1);
		ck_assert_ptr_eq(ready, &publisher);
		pthread_join(thread, NULL);
		ck_assert_int_eq(send_int(1), sizeof(int));
	}
	/* a subscriber that stands still is demoted also for a publisher that sleeps in a set */
	ck_assert_uint_eq(demoted_by_stats(), 0);
	ck_assert_int_eq(kickmsg_waitset_wait(set, -1, &ready, 1), 1);
	ck_assert_uint_eq(demoted_by_stats(), 1);
	kickmsg_waitset_free(set);
	close(pipes[0]);
	close(pipes[1]);
	teardown();
}
END_TEST

/* A publisher that waits by its descriptor goes over to the fresh topic of a next broker. */
START_TEST(descriptor_goes_on_with_the_next_broker)
{
	setup();
	struct kickmsg_client *other = flow_client("other");
	struct kickmsg_subscriber *subscriber = subscribe(other);
	int fd = kickmsg_publisher_get_fd(publisher);
	fill_and_arm(fd);
	publisher->ready->left = true; /* as where it was armed in a region that was left */
	test_broker_kill(&broker);
	test_broker_resume(&broker);
	ck_assert(test_wait_until(
		kickmsg_client_dispatch(client) >= 0 && is_readable(fd, 0), FLOW_WAIT_MS));
	ck_assert(test_wait_until(send_int(5) == (int)sizeof(int), FLOW_WAIT_MS));
	ck_assert(!publisher->ready->left);
	ck_assert(test_wait_until(
		kickmsg_client_dispatch(other) >= 0 && flow_receive_int(subscriber) == 5,
		FLOW_WAIT_MS));
	ck_assert(test_wait_until(reliable_by_stats() == 1, FLOW_WAIT_MS));
	fill_and_arm(fd);
	ck_assert(flow_receive_int(subscriber) >= 0);
	ck_assert(is_readable(fd, FLOW_WAIT_MS));
	kickmsg_client_free(other);
	teardown();
}
END_TEST

/* --- over the broker's end ------------------------------------------------------------------------ */

/* Under a manager the next broker knows which subscribers are reliable and which aren't any more,
 * and goes on with a stall. */
START_TEST(next_broker_knows_who_is_reliable)
{
	static struct test_manager manager;

	if (test_skip_emulated("next_broker_knows_who_is_reliable", TEST_LACKS_PEEKING))
		return;
	test_manager_start(&manager, NULL);
	strcpy(broker.socket, manager.socket);
	attach();
	struct kickmsg_subscriber *first = subscribe(client), *second = subscribe(client);
	int sent = -ENOBUFS;
	send_till_full();
	/* the next broker knows of them what this one knew */
	test_manager_kill(&manager, SIGKILL);
	ck_assert_int_eq(send_int(1), -ENOBUFS);
	test_manager_resume(&manager);
	ck_assert(test_wait_until(
		(sent = send_int(1)) == sizeof(int) || demoted_by_stats() == 2, FLOW_WAIT_MS));
	ck_assert(test_wait_until(demoted_by_stats() == 2, FLOW_WAIT_MS));
	ck_assert_int_eq(flow_receive_int(first), -ENOLINK);
	/* the last send, if both were demoted before it, has pushed message 0 out of a shared ring */
	ck_assert_int_eq(flow_receive_int(first), shared && sent > 0);
	kickmsg_subscriber_free(second);
	second = subscribe(client);
	test_manager_kill(&manager, SIGKILL);
	test_manager_resume(&manager);
	ck_assert_uint_eq(demoted_by_stats(), 2);
	ck_assert_uint_eq(reliable_by_stats(), 1);
	ck_assert_int_eq(send_till_full(), ROOM);
	kickmsg_client_free(client);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

static void *send_the_last(void *ret)
{
	*(_Atomic ssize_t *)ret = kickmsg_send_wait(publisher, "last", 4, -1);
	return NULL;
}

/* Without a manager a publisher that waits goes over to the fresh topic. So does the subscriber,
 * which is reliable there as well. */
START_TEST(wait_goes_on_with_the_next_broker)
{
	struct kickmsg_publisher_stats stats;
	_Atomic ssize_t r = 0;
	pthread_t thread;

	setup();
	struct kickmsg_client *other = flow_client("other");
	struct kickmsg_subscriber *subscriber = subscribe(other);
	send_till_full();
	test_broker_kill(&broker);
	pthread_create(&thread, NULL, send_the_last, &r);
	test_broker_resume(&broker);
	ck_assert(test_wait_until(kickmsg_client_dispatch(other) >= 0 && r != 0, FLOW_WAIT_MS));
	pthread_join(thread, NULL);
	ck_assert_int_eq(r, 4);
	/* One send was refused and one waited, in the old place; its numbers came along. */
	kickmsg_publisher_get_stats(publisher, &stats);
	ck_assert_uint_eq(stats.no_room, 2);
	ck_assert_uint_eq(stats.sent, ROOM + 1);
	/* the old messages first, then those of the fresh topic */
	for (int i = 0; i < ROOM; i++)
		ck_assert(test_wait_until(flow_receive_int(subscriber) == i, FLOW_WAIT_MS));
	ck_assert(test_wait_until(
		(flow_receive_int(subscriber), km_room_is_kept(&subscriber->handle.place.region,
						       subscriber->handle.place.ring_index)) &&
			reliable_by_stats() == 1,
		FLOW_WAIT_MS));
	ck_assert(test_wait_until(
		send_till_full() == ROOM || (flow_receive_int(subscriber), false), FLOW_WAIT_MS));
	kickmsg_client_free(other);
	teardown();
}
END_TEST

START_TEST(topic_given_up_or_unlinked)
{
	setup();
	subscribe(client);
	send_till_full();
	ck_assert_int_eq(kickmsg_unlink_topic(client, "t"), 0);
	ck_assert_int_eq(send_int(1), -ENOBUFS);
	atomic_store(&publisher->handle.place.region.slots[0].word, UINT64_MAX);
	ck_assert_int_eq(kickmsg_send_wait(publisher, "x", 1, -1), 1); /* demoted meanwhile */
	teardown();
}
END_TEST

/* --- who may -------------------------------------------------------------------------------------- */

static const char rules[] = "[topic kickmsg:t]\n"
			    "reliable = 65534\n";

static void subscribe_as(void *argument)
{
	uid_t uid = *(uid_t *)argument;
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_client *mine = user_client(uid, 0);
	int r = kickmsg_subscribe(mine, "t", &reliable, &subscriber);

	NEED(r == (uid == USER_A ? 0 : -EACCES));
	if (r < 0) {
		NEED(flow_said(mine, "test.conf:4: uid 12345 may not subscribe reliably to") ||
			flow_said(mine, ":4: uid 12345 may not subscribe reliably to"));
		NEED(kickmsg_subscribe(mine, "t", NULL, &subscriber) == 0);
	}
	_exit(0);
}

START_TEST(rule_says_who_may)
{
	uid_t users[] = { USER_A, USER_B };

	if (user_cannot_change())
		return;
	user_start_broker(rules);
	attach();
	for (int i = 0; i < 2; i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			subscribe_as(&users[i]);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
	}
	struct kickmsg_user user = { .uid = USER_B, .gid = USER_B };
	struct kickmsg_topic_rights answer;
	ck_assert_int_eq(kickmsg_topic_get_rights(client, &topic, &user, &answer), 0);
	ck_assert_uint_eq(answer.rights[KICKMSG_RIGHT_RELIABLE].allowed, 0);
	ck_assert_uint_eq(answer.rights[KICKMSG_RIGHT_SUBSCRIBE].allowed, 1);
	teardown();
}
END_TEST

/* A broker is killed as it demotes a subscriber. The bit that says "reliable" is left, of a ring
 * that isn't. */
START_TEST(bit_that_is_left_behind_is_taken_back)
{
	static struct test_manager manager;

	if (test_skip_emulated("bit_that_is_left_behind_is_taken_back", TEST_LACKS_PEEKING))
		return;
	test_manager_start(&manager, NULL);
	strcpy(broker.socket, manager.socket);
	attach();
	struct kickmsg_subscriber *ordinary = flow_subscribe(client, "t");
	struct km_control_header *header = publisher->handle.place.region.header;
	atomic_store(&header->reliable, UINT64_C(1) << ordinary->handle.place.ring_index);
	test_manager_kill(&manager, SIGKILL);
	test_manager_resume(&manager);
	ck_assert(test_wait_until(atomic_load(&header->reliable) == 0, FLOW_WAIT_MS));
	atomic_store(&header->reliable, UINT64_C(1) << ordinary->handle.place.ring_index);
	send_till_full();
	ck_assert_int_eq(kickmsg_send_wait(publisher, "x", 1, FLOW_WAIT_MS * INT64_C(1000000)), 1);
	kickmsg_client_free(client);
	test_manager_stop(&manager);
}
END_TEST

static struct watched_word {
	struct km_control_header *header;
	_Atomic bool stops;
	uint64_t always; /* bits that it had at each look */
} watched_word;

static void *watch_word(void *unused)
{
	while (!watched_word.stops)
		watched_word.always &= atomic_load(&watched_word.header->reliable);
	return NULL;
}

/* The next broker takes its members back one by one. None counts as demoted meanwhile. */
START_TEST(restart_leaves_all_reliable)
{
	static struct test_manager manager;
	char name[32];
	pthread_t thread;

	if (test_skip_emulated("restart_leaves_all_reliable", TEST_LACKS_PEEKING))
		return;
	test_manager_start(&manager, NULL);
	strcpy(broker.socket, manager.socket);
	attach();
	struct kickmsg_subscriber *first = subscribe(client);
	/* the restore has work to do between the two members */
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "more%d", i);
		flow_advertise(client, name, NULL);
	}
	struct kickmsg_subscriber *second = subscribe(client);
	watched_word = (struct watched_word){ .header = publisher->handle.place.region.header };
	const uint64_t both = watched_word.always = atomic_load(&watched_word.header->reliable);
	ck_assert_int_eq(__builtin_popcountll(both), 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, watch_word, NULL), 0);
	for (int i = 0; i < 5; i++) {
		test_manager_kill(&manager, SIGKILL);
		test_manager_resume(&manager);
		ck_assert_uint_eq(reliable_by_stats(), 2);
	}
	watched_word.stops = true;
	pthread_join(thread, NULL);
	ck_assert_uint_eq(watched_word.always, both);
	ck_assert_int_eq(flow_receive_int(first), -EAGAIN);
	ck_assert_int_eq(flow_receive_int(second), -EAGAIN);
	kickmsg_client_free(client);
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

/* The ring is full and its subscriber works on a message. One send was refused, and the next one
 * went through, so no publisher waits. */
START_TEST(subscriber_stands_still_while_nobody_waits)
{
	setup();
	struct kickmsg_subscriber *subscriber = subscribe(client);
	send_till_full();
	ck_assert_int_eq(flow_receive_int(subscriber), 0);
	ck_assert_int_eq(send_int(99), sizeof(int));
	const uint64_t ends = now_ns() + 3 * STALL_NS;
	ck_assert(test_wait_until(now_ns() > ends, FLOW_WAIT_MS));
	ck_assert_uint_eq(demoted_by_stats(), 0);
	teardown();
}
END_TEST

static void wait_for_stall(void)
{
	const uint64_t ends = now_ns() + 2 * stall_ns;

	ck_assert(test_wait_until(now_ns() > ends, FLOW_WAIT_MS));
}

/* A publisher tries more seldom than each stall_ns, so none of its tries is in the time that one before began. */
START_TEST(subscriber_that_stands_still_is_demoted_for_one_that_tries_seldom)
{
	setup();
	subscribe(client);
	ck_assert_int_eq(send_till_full(), ROOM);
	wait_for_stall();
	ck_assert_uint_eq(demoted_by_stats(), 0);
	ck_assert_int_eq(send_int(1), -ENOBUFS);
	ck_assert(test_wait_until(demoted_by_stats() == 1, FLOW_WAIT_MS));
	ck_assert_int_eq(send_int(1), sizeof(int));
	teardown();
}
END_TEST

/* A publisher waits and gives up. Its announcement stays behind. */
START_TEST(subscriber_stands_still_behind_a_wait_that_was_given_up)
{
	uint64_t began;
	int value;

	stall_ns = 10 * STALL_NS;
	setup();
	struct kickmsg_subscriber *subscriber = subscribe(client);
	/* a wait that took half the time on a busy machine is made again */
	do {
		kickmsg_try_receive_copy(subscriber, &value, sizeof value);
		began = now_ns();
		send_till_full();
		ck_assert_int_eq(
			kickmsg_send_wait(publisher, "x", 1, 2 * KM_ROOM_SAY_NS), -ETIMEDOUT);
	} while (now_ns() - began > stall_ns / 2);
	ck_assert_uint_ne(
		km_bell_listen(km_room_bell(&publisher->handle.place.region)) & KM_BELL_ANNOUNCED,
		0);
	wait_for_stall();
	ck_assert_uint_eq(demoted_by_stats(), 0);
	ck_assert_int_ge(flow_receive_int(subscriber), 0);
	teardown();
}
END_TEST

/* --- a publisher that a living broker has hung up on ---------------------------------------------- */

/* The connection is there again, and the publisher where it was. */
static void come_back(uint64_t former)
{
	dispatch_until(
		client->connection > former &&
		(publisher->handle.refused || publisher->handle.latest == client->connection));
}

/* Also where the topic has no second place for it. */
START_TEST(publisher_that_was_hung_up_on_is_waited_for)
{
	max_publishers = _i ? 1 : 4;
	setup();
	struct kickmsg_client *other = flow_client("other");
	subscribe(other);
	const uint64_t former = client->connection;
	shutdown(client->socket, SHUT_RDWR);
	come_back(former);
	send_till_full();
	ck_assert_int_eq(kickmsg_send_wait(publisher, "x", 1, FLOW_WAIT_MS * INT64_C(1000000)), 1);
	ck_assert_uint_eq(demoted_by_stats(), 1);
	/* the publisher hears that the subscriber is no reliable one any more */
	dispatch_until(demoted.publishers == 1);
	kickmsg_client_free(other);
	teardown();
}
END_TEST

/* Another process has no say about it. */
START_TEST(publisher_of_another_is_not_spoken_for)
{
	struct kickmsg_client *stranger;
	pid_t pid;

	setup();
	struct kickmsg_client *other = flow_client("other");
	subscribe(other);
	send_till_full();
	const uint64_t endpoint = publisher->handle.place.endpoint;
	shutdown(client->socket, SHUT_RDWR);
	wait_for_stall();
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		stranger = flow_client("stranger");
		for (int i = 0; i < 10; i++)
			km_client_say_stalled(stranger, endpoint);
		kickmsg_client_free(stranger);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_uint_eq(demoted_by_stats(), 0);
	kickmsg_client_free(other);
	teardown();
}
END_TEST

/* A publisher without a connection finds no room, and arms its descriptor. */
START_TEST(descriptor_goes_on_behind_a_hang_up)
{
	max_publishers = _i ? 1 : 4;
	setup();
	struct kickmsg_client *other = flow_client("other");
	subscribe(other);
	int fd = kickmsg_publisher_get_fd(publisher);
	ck_assert_int_ge(fd, 0);
	const uint64_t former = client->connection;
	kill(broker.pid, SIGSTOP);
	shutdown(client->socket, SHUT_RDWR);
	dispatch_until(client->link != KM_LINK_UP);
	fill_and_arm(fd);
	kill(broker.pid, SIGCONT);
	come_back(former);
	ck_assert(is_readable(fd, FLOW_WAIT_MS));
	ck_assert(test_wait_until(send_int(1) == (int)sizeof(int), FLOW_WAIT_MS));
	ck_assert_uint_eq(demoted_by_stats(), 1);
	kickmsg_client_free(other);
	teardown();
}
END_TEST

/* --- beside another thread's call ------------------------------------------------------------------ */

static atomic_bool asks;

static void *ask(void *argument)
{
	struct kickmsg_topic_stats stats;

	while (asks && kickmsg_topic_get_stats(client, &topic, &stats) == 0)
		;
	return NULL;
}

/* Does a call wait for the broker's answer? */
static bool waits_for_answer(void)
{
	if (pthread_mutex_trylock(&client->turn) != 0)
		return true;
	pthread_mutex_unlock(&client->turn);
	return false;
}

/* A call of another thread waits for a broker that hangs. The descriptor is armed all the same: else a loop
 * would find it readable again and again. */
START_TEST(descriptor_rests_beside_a_call_that_waits)
{
	struct kickmsg_subscriber *subscriber;
	pthread_t thread;

	stall_ns = 100 * STALL_NS;
	int fd = set_up_descriptor(_i, &subscriber);
	if (fd < 0)
		return;
	client->timeout_ns = UINT64_C(60000000000);
	asks = true;
	kill(broker.pid, SIGSTOP);
	ck_assert_int_eq(pthread_create(&thread, NULL, ask, NULL), 0);
	ck_assert(test_wait_until(waits_for_answer(), FLOW_WAIT_MS));
	ck_assert_int_eq(fill_and_arm(fd), ROOM);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_ge(flow_receive_int(subscriber), 0);
		ck_assert(is_readable(fd, FLOW_WAIT_MS));
		ck_assert_int_eq(fill_and_arm(fd), 1);
	}
	ck_assert(waits_for_answer());
	asks = false;
	kill(broker.pid, SIGCONT);
	pthread_join(thread, NULL);
	teardown();
	unsetenv("KICKMSG_WAIT");
}
END_TEST

/* --- stopped at a bad moment ------------------------------------------------------------------------ */

/* A subscriber has made room and is stopped before it says so: the broker wakes the publisher. */
START_TEST(subscriber_stops_between_its_take_and_the_bell)
{
	struct kickmsg_subscriber *subscriber;
	int fd = set_up_descriptor(_i, &subscriber);
	if (fd < 0)
		return;
	fill_and_arm(fd);
	atomic_fetch_add(head_of(subscriber), 1);
	ck_assert(is_readable(fd, FLOW_WAIT_MS));
	ck_assert_int_eq(send_int(1), sizeof(int));
	ck_assert_uint_eq(demoted_by_stats(), 0);
	teardown();
}
END_TEST

/* The subscriber has made room, and is stopped before the bell, when the broker first hears that the
 * publisher found none: the broker wakes the publisher. */
START_TEST(broker_hears_late_that_there_was_no_room)
{
	struct kickmsg_subscriber *subscriber;
	int fd = set_up_descriptor(_i, &subscriber);
	if (fd < 0)
		return;
	kill(broker.pid, SIGSTOP);
	fill_and_arm(fd);
	atomic_fetch_add(head_of(subscriber), 1);
	kill(broker.pid, SIGCONT);
	ck_assert(is_readable(fd, FLOW_WAIT_MS));
	ck_assert_int_eq(send_int(1), sizeof(int));
	ck_assert_uint_eq(demoted_by_stats(), 0);
	teardown();
}
END_TEST

/* Others have left the region, and the publisher has no fresh place yet. */
START_TEST(waitset_rests_in_a_region_that_is_left)
{
	struct kickmsg_waitset *set;
	void *ready;

	setup();
	struct kickmsg_client *other = flow_client("other");
	subscribe(other);
	ck_assert_int_eq(kickmsg_waitset_new(&set), 0);
	ck_assert_int_eq(kickmsg_waitset_add_publisher(set, publisher, &publisher), 0);
	send_till_full();
	test_broker_kill(&broker);
	atomic_fetch_or(&publisher->handle.place.region.header->live, KM_LIVE_LEFT);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(kickmsg_waitset_wait(set, 10000000, &ready, 1), -ETIMEDOUT);
	kickmsg_waitset_free(set);
	kickmsg_client_free(other);
	kickmsg_client_free(client);
	test_broker_resume(&broker);
	flow_stop();
}
END_TEST

int main(int argc, char **argv)
{
	shared = argc > 1 && strcmp(argv[1], "shared") == 0;
	Suite *suite = suite_create("flow-reliable");
	TCase *tc = tcase_create("reliable");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, nothing_is_lost_between_one_that_sends_and_two_that_receive);
	tcase_add_loop_test(tc, nothing_is_lost_with_many_publishers, 0, 12);
	tcase_add_test(tc, config_and_options_are_checked_with_words);
	tcase_add_test(tc, reliable_newcomer_has_its_history);
	tcase_add_test(tc, frozen_subscriber_is_waited_for_once);
	tcase_add_test(tc, sends_without_room_are_counted);
	tcase_add_test(tc, subscriber_that_stands_still_is_demoted_for_a_publisher_that_polls);
	tcase_add_test(tc, hostile_subscriber_that_sets_its_head_back_is_demoted);
	tcase_add_test(tc, hostile_word_is_mended);
	tcase_add_test(tc, subscriber_that_goes_ends_the_wait);
	tcase_add_test(tc, slow_subscriber_is_waited_for);
	tcase_add_loop_test(tc, descriptor_is_readable_while_there_is_room, 0, 2);
	tcase_add_loop_test(tc, descriptor_is_readable_once_the_broker_ends_the_wait, 0, 2);
	tcase_add_loop_test(tc, waitset_has_publishers, 0, 2);
	tcase_add_test(tc, descriptor_goes_on_with_the_next_broker);
	tcase_add_test(tc, next_broker_knows_who_is_reliable);
	tcase_add_test(tc, wait_goes_on_with_the_next_broker);
	tcase_add_test(tc, topic_given_up_or_unlinked);
	tcase_add_test(tc, rule_says_who_may);
	tcase_add_test(tc, bit_that_is_left_behind_is_taken_back);
	tcase_add_test(tc, restart_leaves_all_reliable);
	tcase_add_test(tc, subscriber_stands_still_while_nobody_waits);
	tcase_add_test(tc, subscriber_that_stands_still_is_demoted_for_one_that_tries_seldom);
	tcase_add_test(tc, subscriber_stands_still_behind_a_wait_that_was_given_up);
	tcase_add_loop_test(tc, publisher_that_was_hung_up_on_is_waited_for, 0, 2);
	tcase_add_test(tc, publisher_of_another_is_not_spoken_for);
	tcase_add_loop_test(tc, descriptor_goes_on_behind_a_hang_up, 0, 2);
	tcase_add_loop_test(tc, descriptor_rests_beside_a_call_that_waits, 0, 2);
	tcase_add_loop_test(tc, subscriber_stops_between_its_take_and_the_bell, 0, 2);
	tcase_add_loop_test(tc, broker_hears_late_that_there_was_no_room, 0, 2);
	tcase_add_test(tc, waitset_rests_in_a_region_that_is_left);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
