/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subscribers that wait for a topic, while they are served: by a whole broker in this process, whose event
 * loop the test turns. Its clock goes a second ahead at each look, so that a turn has one piece, and one
 * wait is served at a time. The test acts between two of them.
 *
 * The file is long because each thing that may happen in between, and each wait that the broker before may
 * have left, has a case over one fixture.
 */
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "daemon/keep/keep.h"
#include "daemon/peer/session.h"
#include "daemon/repair/parting.h"
#include "daemon/run/log.h"
#include "daemon/serve/awaited.h"
#include "daemon/serve/wait.h"
#include "daemon/start/start.h"
#include "daemon/topic/topic.h"
#include "tests/support/broker/broker.h"
#include "tests/support/broker/fixture.h"
#include "tests/support/broker/peer.h"

enum { WAITERS = 6, PEERS = WAITERS + 3, PATIENCE = 4000 };

int64_t __wrap_km_clock_ns(void);

int64_t __wrap_km_clock_ns(void)
{
	static int64_t now;

	return now += INT64_C(1000000000);
}

static struct km_broker broker;
static struct km_config config;
static struct km_config_source source;
static char dir[64];
static int peers[PEERS], segments[PEERS];
static uint32_t transport;

static void turn(void)
{
	event_base_loop(broker.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void turns(int count)
{
	for (int i = 0; i < count; i++)
		turn();
}

static bool is_answered(int peer)
{
	struct pollfd readable = { peers[peer], POLLIN, 0 };

	return poll(&readable, 1, 0) > 0;
}

/* The next answer, in time; its operation. The first of its descriptors goes to *ret_fd. */
static uint32_t answer_with_fd(int peer, union km_msg *ret, int *ret_fd)
{
	int fds[KM_WIRE_MAX_FDS];
	size_t count = 0;

	for (int i = 0; !is_answered(peer) && i < PATIENCE; i++) {
		turn();
		if (i > 100)
			test_nap();
	}
	ck_assert_msg(is_answered(peer), "peer %d isn't answered", peer);
	ck_assert_int_gt(km_wire_receive(peers[peer], ret, fds, &count), 0);
	for (size_t i = ret_fd ? 1 : 0; i < count; i++)
		close(fds[i]);
	if (ret_fd)
		*ret_fd = fds[0];
	return ret->header.op;
}

static uint32_t answer(int peer, union km_msg *ret)
{
	return answer_with_fd(peer, ret, NULL);
}

static void expect_error(int peer, uint32_t serial, int error, const char *says)
{
	union km_msg message;

	ck_assert_uint_eq(answer(peer, &message), KM_OP_ERROR);
	ck_assert_uint_eq(message.header.serial, serial);
	ck_assert_int_eq(message.error.error, error);
	ck_assert_msg(strstr(message.error.text, says), "'%s' doesn't say '%s'", message.error.text,
		says);
}

static void come(int peer)
{
	struct km_msg_hello hello = TEST_HELLO(.name = "peer", .prefix = "kickmsg");
	union km_msg message;

	peers[peer] = test_peer_connect(config.socket);
	ck_assert_int_eq(km_wire_send(peers[peer], &hello, sizeof hello, NULL, 0), 0);
	ck_assert_uint_eq(answer_with_fd(peer, &message, &segments[peer]), KM_OP_HELLO_OK);
}

static void setup(int with_transport)
{
	transport = (uint32_t)with_transport;
	strcpy(dir, "/tmp/kickmsg-wait-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	km_config_init(&config);
	config.log_level = 7;
	snprintf(config.socket, sizeof config.socket, "%s/socket", dir);
	ck_assert_int_eq(km_start_init(&broker, &source, &config), 0);
	for (int i = 0; i < PEERS; i++)
		come(i);
}

static void teardown(void)
{
	char path[96];

	for (int i = 0; i < PEERS; i++) {
		close(peers[i]);
		close(segments[i]);
	}
	km_start_deinit(&broker);
	km_log_deinit();
	km_config_deinit(&config);
	snprintf(path, sizeof path, "%s/socket.lock", dir);
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

static struct km_msg_attach request_of(uint32_t op, uint32_t flags, uint32_t serial)
{
	struct km_msg_attach request = {
		.header = { op, serial }, .topic = "t", .flags = flags, .segments = 1
	};

	if (op != KM_OP_ADVERTISE)
		return request;
	km_geometry_init(&request.geometry);
	request.geometry.transport = transport;
	request.geometry.max_subscribers = WAITERS;
	request.has_geometry = 1;
	return request;
}

static void ask(int peer, uint32_t op, uint32_t flags, uint32_t serial)
{
	const struct km_msg_attach request = request_of(op, flags, serial);

	ck_assert_int_eq(km_wire_send(peers[peer], (void *)&request, sizeof request, NULL, 0), 0);
}

static void ask_to_wait(int peer, uint32_t serial)
{
	union km_msg message;

	ask(peer, KM_OP_SUBSCRIBE, KM_ATTACH_WAIT, serial);
	ck_assert_uint_eq(answer(peer, &message), KM_OP_WAITS);
}

/* Peers 0 to 5 wait, and peer 6, the maker, makes the topic. The first waiter is served, and the
 * test acts before the next. */
enum { MAKER = WAITERS, OTHER, LATE };

static const struct km_topic_key key = { .prefix = "kickmsg", .name = "t" };

static struct km_topic *make_topic(uint32_t serial)
{
	struct km_topic *topic = NULL;

	ask(MAKER, KM_OP_ADVERTISE, 0, serial);
	for (int i = 0; !topic && i < PATIENCE; i++) {
		turn();
		topic = km_topic_find(&broker, &key);
	}
	ck_assert_ptr_nonnull(topic);
	return topic;
}

static struct km_topic *begin_to_serve(void)
{
	for (int i = 0; i < WAITERS; i++)
		ask_to_wait(i, 10);
	struct km_topic *topic = make_topic(10);
	ck_assert_uint_eq(topic->subscribers, 1);
	ck_assert(!is_answered(MAKER));
	return topic;
}

/* `in_first` waiters are in the topic that was, whose maker is told of it. The others wait, and get
 * the next topic of the name. */
static void rest_has_the_next(uint32_t in_first, uint32_t refused)
{
	union km_msg message;

	ck_assert_uint_eq(answer(MAKER, &message), KM_OP_ATTACHED);
	turns(20);
	for (uint32_t i = 0; i < WAITERS; i++)
		ck_assert_int_eq(is_answered((int)i), i < in_first + refused);
	struct km_topic *next = make_topic(11);
	ck_assert_uint_eq(answer(MAKER, &message), KM_OP_ATTACHED);
	ck_assert_uint_eq(message.header.serial, 11);
	ck_assert_uint_eq(next->subscribers, WAITERS - in_first - refused);
	ck_assert_ptr_null(km_awaited_find(&broker, &key));
	for (uint32_t i = 0; i < WAITERS; i++)
		if (i == in_first && refused)
			expect_error((int)i, 10, -ENOENT, "was corrupt and is given up");
		else
			ck_assert_uint_eq(answer((int)i, &message), KM_OP_ATTACHED);
	/* the maker has two endpoints besides */
	ck_assert_uint_eq(broker.accounts.used[KM_ENDPOINTS], WAITERS - refused + 2);
}

START_TEST(serving_unlinked_topic_rest_waits_for_the_next)
{
	struct km_msg_topic request = { .header = { KM_OP_UNLINK, 10 }, .topic = "t" };
	union km_msg message;

	setup(_i);
	struct km_topic *topic = begin_to_serve();
	ck_assert_int_eq(km_wire_send(peers[OTHER], &request, sizeof request, NULL, 0), 0);
	for (int i = 0; !topic->kept.unlinked && i < PATIENCE; i++)
		turn();
	const uint32_t served = topic->subscribers;
	ck_assert_uint_lt(served, WAITERS);
	ck_assert_uint_eq(answer(OTHER, &message), KM_OP_OK);
	ck_assert_uint_eq(topic->subscribers, served);
	rest_has_the_next(served, 0);
	ck_assert_uint_eq(topic->subscribers, served);
	teardown();
}
END_TEST

/* Spoils the position at which the topic's next subscriber would begin. */
static void spoil(const struct km_topic *topic)
{
	const struct km_region *region = &topic->region;

	if (region->shared)
		region->shared->hint = 100 * (uint64_t)region->geometry.ring_capacity;
	else
		km_region_ring(region, topic->subscribers)->head =
			100 * (uint64_t)region->geometry.ring_capacity;
}

START_TEST(serving_damaged_topic_one_is_refused_rest_waits_for_the_next)
{
	setup(_i);
	struct km_topic *topic = begin_to_serve();
	turn();
	const uint32_t served = topic->subscribers;
	ck_assert_uint_lt(served, WAITERS - 1);
	spoil(topic);
	for (int i = 0; !topic->kept.quarantined && i < PATIENCE; i++)
		turn();
	ck_assert(topic->kept.quarantined);
	rest_has_the_next(served, 1);
	teardown();
}
END_TEST

/* The topic has room for those that wait, and for nobody else. A newcomer that asks while they are
 * served comes after them. */
START_TEST(serving_newcomer_comes_behind_those_that_wait)
{
	union km_msg message;

	setup(_i);
	struct km_topic *topic = begin_to_serve();
	ask(LATE, KM_OP_SUBSCRIBE, 0, 12);
	turn();
	ck_assert_uint_lt(topic->subscribers, WAITERS);
	expect_error(LATE, 12, -ENOSPC, "has all its 6 subscribers");
	for (int i = 0; i < WAITERS; i++)
		ck_assert_uint_eq(answer(i, &message), KM_OP_ATTACHED);
	ck_assert_uint_eq(answer(MAKER, &message), KM_OP_ATTACHED);
	ck_assert_uint_eq(topic->subscribers, WAITERS);
	teardown();
}
END_TEST

/* --- the broker before this one ------------------------------------------------------------------ */

static struct km_session *session_of(int peer)
{
	struct km_session *session;
	int number = PEERS - 1; /* the last one came last */

	LIST_FOREACH (session, &broker.sessions, next)
		if (number-- == peer)
			break;
	ck_assert_ptr_nonnull(session);
	return session;
}

/* A wait as the broker before wrote it down; it has ended at it so often. */
static struct km_kept_wait kept_of(int peer, uint32_t serial, uint32_t tried)
{
	struct km_kept_wait kept = { .id = ++broker.next_member,
		.session_id = session_of(peer)->kept.id,
		.tried = tried,
		.request = request_of(KM_OP_SUBSCRIBE, KM_ATTACH_WAIT, serial) };

	return kept;
}

static void restore(struct km_session *session, const struct km_kept_wait *kept)
{
	uint32_t place = 0;

	ck_assert_int_eq(km_state_put(broker.state, KM_STATE_WAITS, &place, kept, sizeof *kept), 0);
	km_state_commit(broker.state);
	km_wait_restore(&broker, session, place, kept);
}

static void setup_state(int with_transport)
{
	int fd;

	setup(with_transport);
	ck_assert_int_eq(km_state_new(&broker.state, &fd), 0);
}

/* How many waits the next broker would find; the tries of the last one. */
static unsigned kept_waits(uint32_t *ret_tried)
{
	const void *record;
	unsigned count = 0;

	km_keep_commit(&broker);
	for (uint32_t place = 1; km_state_next(broker.state, KM_STATE_WAITS, &place, &record);
		place++, count++)
		*ret_tried = ((const struct km_kept_wait *)record)->tried;
	return count;
}

START_TEST(serving_wait_that_two_brokers_ended_at_is_refused)
{
	union km_msg message;
	uint32_t tried = 0;

	setup_state(_i);
	const struct km_kept_wait first = kept_of(0, 20, 0), deadly = kept_of(1, 21, 1),
				  late = kept_of(0, 22, 0);

	restore(session_of(0), &first);
	restore(session_of(1), &deadly);
	restore(session_of(0), &late);
	ck_assert_uint_eq(kept_waits(&tried), 3);
	make_topic(10);
	expect_error(1, 21, -EIO, "has ended at this SUBSCRIBE before");
	ck_assert_uint_eq(answer(MAKER, &message), KM_OP_ATTACHED);
	/* client 0's second wait isn't answered while its first answer is unread: the state says
	 * that it was begun */
	ck_assert_uint_eq(kept_waits(&tried), 1);
	ck_assert_uint_eq(tried, 1);
	for (uint32_t serial = 20; serial <= 22; serial += 2) {
		ck_assert_uint_eq(answer(0, &message), KM_OP_ATTACHED);
		ck_assert_uint_eq(message.header.serial, serial);
	}
	ck_assert_uint_eq(kept_waits(&tried), 0);
	teardown();
}
END_TEST

/* One that waits for the first time is no broker's end: nothing is written for it. */
START_TEST(serving_wait_of_this_broker_is_not_counted)
{
	union km_msg message;
	uint32_t tried = 0;

	setup_state(_i);
	ask_to_wait(0, 20);
	ask_to_wait(0, 21);
	make_topic(10);
	ck_assert_uint_eq(answer(MAKER, &message), KM_OP_ATTACHED);
	ck_assert_uint_eq(kept_waits(&tried), 1);
	ck_assert_uint_eq(tried, 0);
	teardown();
}
END_TEST

static void spoil_id(struct km_kept_wait *kept)
{
	kept->id = 0;
}

static void spoil_op(struct km_kept_wait *kept)
{
	kept->request.header.op = KM_OP_ADVERTISE;
}

static void spoil_flags(struct km_kept_wait *kept)
{
	kept->request.flags = 0;
}

static void spoil_text(struct km_kept_wait *kept)
{
	memset(kept->request.topic, 'x', sizeof kept->request.topic);
}

static void spoil_kind(struct km_kept_wait *kept)
{
	kept->request.kind = 1000;
}

/* A checksum can't tell of what a broker with a fault wrote. */
START_TEST(restore_spoilt_wait_is_dropped_with_a_word)
{
	static void (*const spoils[])(struct km_kept_wait * kept) = { spoil_id, spoil_op,
		spoil_flags, spoil_text, spoil_kind };
	union km_msg message;
	uint32_t tried;

	setup_state(KM_TRANSPORT_RINGS);
	for (uint32_t i = 0; i < sizeof spoils / sizeof spoils[0]; i++) {
		struct km_kept_wait kept = kept_of(0, 20 + i, 0);
		const uint64_t told = km_log_count(KM_EVENT_NOT_TAKEN_BACK);

		spoils[i](&kept);
		restore(session_of(0), &kept);
		ck_assert_uint_eq(kept_waits(&tried), 0);
		expect_error(0, 20 + i, -EIO, "ask again");
		ck_assert_uint_eq(km_log_count(KM_EVENT_NOT_TAKEN_BACK), told + 1);
	}
	ck_assert_uint_eq(broker.accounts.used[KM_ENDPOINTS], 0);
	/* whole ones are taken back beside them */
	const struct km_kept_wait whole = kept_of(1, 30, 0);
	restore(session_of(1), &whole);
	make_topic(10);
	ck_assert_uint_eq(answer(1, &message), KM_OP_ATTACHED);
	ck_assert(!is_answered(0));
	teardown();
}
END_TEST

/* A client that can't be told, since it is gone or was itself not taken back, has no waits. */
START_TEST(restore_wait_of_nobody_is_dropped)
{
	uint32_t tried;

	setup_state(KM_TRANSPORT_RINGS);
	struct km_kept_wait kept = kept_of(0, 20, 0);

	restore(NULL, &kept);
	ck_assert_uint_eq(kept_waits(&tried), 0);
	struct km_session *gone = session_of(0);
	const int socket = gone->socket;
	gone->socket = -1; /* as where it has hung up, and isn't freed yet */
	restore(gone, &kept);
	gone->socket = socket;
	ck_assert_uint_eq(kept_waits(&tried), 0);
	ck_assert_uint_eq(broker.accounts.used[KM_ENDPOINTS], 0);
	teardown();
}
END_TEST

static void on_two_deaths(evutil_socket_t fd, short what, void *userdata)
{
	for (int i = 0; i < 2; i++)
		km_parting_die(session_of(i), "its process ended");
	ck_assert(broker.parting_round);
	broker.parting_pieces = 0;
}

/* Ends of clients are bounded in each round of the loop, however short the rounds are. */
START_TEST(next_round_has_pieces_again)
{
	struct timeval now = { 0 };

	setup(KM_TRANSPORT_RINGS);
	event_base_once(broker.base, -1, EV_TIMEOUT, on_two_deaths, NULL, &now);
	for (int i = 0; i < 10; i++)
		turn();
	ck_assert(!broker.parting_round);
	ck_assert(LIST_EMPTY(&broker.partings));
	teardown();
}
END_TEST

/* A client died, and the broker hasn't read that its connection has ended. Many have died in this round,
 * and this one has to wait for its turn. */
static void on_death(evutil_socket_t fd, short what, void *userdata)
{
	broker.parting_round = true;
	broker.parting_pieces = 0;
	close(peers[0]);
	peers[0] = -1;
	km_parting_die(session_of(0), "its process ended");
}

/* A client that sent a bad byte is disconnected, and has to wait for its turn as well. */
static void on_bad_byte(evutil_socket_t fd, short what, void *userdata)
{
	broker.parting_round = true;
	broker.parting_pieces = 0;
	session_of(0)->doomed = true;
	km_session_disconnect(session_of(0));
}

/* The topic comes before the client's waits are forgotten. */
START_TEST(serving_passes_over_a_client_that_is_going)
{
	struct timeval now = { 0 };
	union km_msg message;

	setup(_i / 2);
	for (int i = 0; i < WAITERS; i++)
		ask_to_wait(i, 10);
	event_base_once(broker.base, -1, EV_TIMEOUT, _i % 2 ? on_bad_byte : on_death, NULL, &now);
	turn();
	ck_assert(!LIST_EMPTY(&session_of(0)->waits));
	struct km_topic *topic = make_topic(10);
	ck_assert_uint_eq(answer(MAKER, &message), KM_OP_ATTACHED);
	for (int i = 1; i < WAITERS; i++)
		ck_assert_uint_eq(answer(i, &message), KM_OP_ATTACHED);
	turns(20);
	ck_assert_uint_eq(topic->subscribers, WAITERS - 1);
	ck_assert_uint_eq(broker.accounts.used[KM_ENDPOINTS], WAITERS);
	ck_assert(LIST_EMPTY(&broker.partings));
	teardown();
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("wait");
	const int rings = KM_TRANSPORT_RINGS, end = KM_TRANSPORT_SHARED + 1;

	tcase_add_loop_test(tc, serving_unlinked_topic_rest_waits_for_the_next, rings, end);
	tcase_add_loop_test(
		tc, serving_damaged_topic_one_is_refused_rest_waits_for_the_next, rings, end);
	tcase_add_loop_test(tc, serving_newcomer_comes_behind_those_that_wait, rings, end);
	tcase_add_loop_test(tc, serving_wait_that_two_brokers_ended_at_is_refused, rings, end);
	tcase_add_loop_test(tc, serving_wait_of_this_broker_is_not_counted, rings, end);
	tcase_add_loop_test(tc, serving_passes_over_a_client_that_is_going, 2 * rings, 2 * end);
	tcase_add_test(tc, next_round_has_pieces_again);
	tcase_add_test(tc, restore_spoilt_wait_is_dropped_with_a_word);
	tcase_add_test(tc, restore_wait_of_nobody_is_dropped);
	return fixture_run("unit-wait", tc);
}
