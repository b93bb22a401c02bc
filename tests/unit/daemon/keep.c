/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a client with many endpoints: it is made in pieces, its topics are written down for the next
 * broker once a piece, and looked at once each.
 *
 * The file is long because each way to go, and each thing that may happen between two pieces, has a case
 * over one fixture. */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "daemon/keep/keep.h"
#include "daemon/peer/session.h"
#include "daemon/repair/death.h"
#include "daemon/repair/parting.h"
#include "daemon/repair/tend.h"
#include "daemon/run/log.h"
#include "daemon/run/turn.h"
#include "daemon/serve/notice.h"
#include "daemon/start/start.h"
#include "daemon/topic/leave.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"
#include "tests/support/broker/fixture.h"

enum { MANY = 256 };

static struct km_broker broker;
static struct km_config config;
static struct km_account account;
static struct km_accounts accounts;
static struct km_control_header header;
static struct km_client_memory segment = { .fd = -1 };
static struct km_session session;
static int state_fd;
static unsigned puts_of[KM_STATE_TABLES], quiet_looks;
/* Was a topic written down when the socket was empty already? */
static bool heard_before_put;

int __real_km_state_put(struct km_state *state, enum km_state_table table, uint32_t *place,
	const void *record, size_t size);
int __wrap_km_state_put(struct km_state *state, enum km_state_table table, uint32_t *place,
	const void *record, size_t size);

int __wrap_km_state_put(struct km_state *state, enum km_state_table table, uint32_t *place,
	const void *record, size_t size)
{
	char byte;

	puts_of[table]++;
	if (table == KM_STATE_TOPICS && session.socket >= 0)
		heard_before_put |= recv(session.socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
	return __real_km_state_put(state, table, place, record, size);
}

bool __real_km_member_is_quiet(const struct km_member *member);
bool __wrap_km_member_is_quiet(const struct km_member *member);

bool __wrap_km_member_is_quiet(const struct km_member *member)
{
	quiet_looks++;
	return __real_km_member_is_quiet(member);
}

int64_t __real_km_clock_ns(void);
int64_t __wrap_km_clock_ns(void);

/* A piece takes a tenth of a turn, and longer where the clock is looked at more often. */
int64_t __wrap_km_clock_ns(void)
{
	static int64_t ahead;

	ahead += KM_TURN_NS / 10;
	return __real_km_clock_ns() + ahead;
}

static void after(void *userdata)
{
}

static void setup(void)
{
	static const struct km_log_describers describers = { .session = km_session_describe,
		.topic = km_topic_describe };

	memset(&broker, 0, sizeof broker);
	km_log_set_describers(&describers);
	broker.config = &config;
	broker.handlers = &km_start_handlers;
	broker.base = event_base_new();
	broker.store.parking.in = -1;
	TAILQ_INIT(&broker.topics);
	TAILQ_INIT(&broker.ended);
	km_hangup_init(&broker.hangup);
	ck_assert_int_eq(km_turns_init(&broker.turns, broker.base, after, NULL), 0);
	ck_assert_int_eq(km_tend_init(&broker), 0);
	ck_assert_int_eq(km_notice_init(&broker), 0);
	broker.again_event = evtimer_new(broker.base, km_tend_on_again, &broker);
	ck_assert_int_eq(km_state_new(&broker.state, &state_fd), 0);
	account.accounts = &accounts;
	memset(puts_of, 0, sizeof puts_of);
	segment.memory = calloc(1, KM_CLIENT_SEGMENT_SIZE);
	session = (struct km_session){ .broker = &broker,
		.account = &account,
		.segments = &segment,
		.socket = -1,
		.pidfd = -1 };
	session.kept.state = KM_SESSION_DISCONNECTED;
	session.kept.segment_count = 1;
	km_account_take(&account, KM_CLIENTS, 1);
}

static struct km_topic *add_topic(uint64_t id)
{
	/* with one cell */
	static _Alignas(struct km_shared_ring) unsigned char
		ring[sizeof(struct km_shared_ring) + sizeof(struct km_shared_cell)];
	struct km_topic *topic = calloc(1, sizeof *topic);

	topic->broker = &broker;
	topic->kept.id = id;
	topic->kept.named = true;
	topic->region.shared = (struct km_shared_ring *)ring;
	topic->region.header = &header;
	topic->region.geometry.pool_size = KM_MAX_POOL; /* tended in turns, not at once */
	LIST_INSERT_HEAD(km_topic_bucket(&broker, &topic->kept.key), topic, in_bucket);
	TAILQ_INSERT_TAIL(&broker.topics, topic, in_all);
	return topic;
}

static void add_subscribers(struct km_topic *topic, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct km_member *member = calloc(1, sizeof *member);

		*member = (struct km_member){ .session = &session, .topic = topic };
		member->kept.handle = ++broker.next_member;
		member->kept.role = KM_ROLE_SUBSCRIBER;
		member->kept.state = KM_ENDPOINT_LIVE;
		member->kept.ring = KM_MAX_RINGS;
		LIST_INSERT_HEAD(&topic->members, member, of_topic);
		LIST_INSERT_HEAD(&session.members, member, of_session);
		topic->subscribers++;
		topic->subscribers_taken++;
		session.member_count++;
		session.live++;
		km_account_take(&account, KM_ENDPOINTS, 1);
	}
}

static void teardown(void)
{
	struct km_member *member;
	struct km_topic *topic;

	while ((member = LIST_FIRST(&session.members)))
		km_leave_free(member);
	km_tend_deinit(&broker);
	km_notice_deinit(&broker);
	while ((topic = TAILQ_FIRST(&broker.topics))) {
		TAILQ_REMOVE(&broker.topics, topic, in_all);
		free(topic);
	}
	km_state_free(broker.state);
	free(segment.memory);
	event_free(broker.again_event);
	km_turns_deinit(&broker.turns);
	km_hangup_deinit(&broker.hangup);
	event_base_free(broker.base);
	libevent_global_shutdown();
}

/* The topic's record that the next broker would find. */
static struct km_kept_topic kept_of(uint32_t place)
{
	struct km_kept_topic ret = { 0 };
	const void *record;

	if (km_state_next(broker.state, KM_STATE_TOPICS, &place, &record))
		memcpy(&ret, record, sizeof ret);
	return ret;
}

/* Most of what a piece of a client's end takes is what it writes down. */
#define MOST_A_PIECE 128
/* So many pieces are done at once. */
#define AT_ONCE (11 * MOST_A_PIECE / 2)

static void on_death(evutil_socket_t fd, short what, void *userdata)
{
	ck_assert(km_death_check(&session));
}

static void do_in_a_round(event_callback_fn on_event)
{
	struct timeval now = { 0 };

	event_base_once(broker.base, -1, EV_TIMEOUT, on_event, NULL, &now);
	event_base_loop(broker.base, EVLOOP_ONCE);
}

/* The client dies, as in a round of the event loop: some of its end is made at once. */
static void die_in_a_round(void)
{
	do_in_a_round(on_death);
}

/* Goes on with the client's end. Returns whether there is more. */
static bool go_on(void)
{
	unsigned members = puts_of[KM_STATE_MEMBERS], topics = puts_of[KM_STATE_TOPICS];
	bool more = session.parting.work.step(&session.parting.work);

	ck_assert_uint_le(puts_of[KM_STATE_MEMBERS] - members, MOST_A_PIECE);
	ck_assert_uint_le(puts_of[KM_STATE_TOPICS] - topics, MOST_A_PIECE);
	ck_assert_int_eq(more, session.parting.stage != 0);
	return more;
}

static bool leave_on(struct km_work *work)
{
	return km_parting_go_on(&session);
}

/* The next broker would find this: all of what this one has done so far, and nothing else. */
static void check_kept(void)
{
	uint32_t member_place = 1, topic_place = 1;
	const void *record;
	unsigned gone = 0, counted = 0;

	for (; km_state_next(broker.state, KM_STATE_MEMBERS, &member_place, &record);
		member_place++)
		gone += ((const struct km_kept_member *)record)->state != KM_ENDPOINT_LIVE;
	for (; km_state_next(broker.state, KM_STATE_TOPICS, &topic_place, &record); topic_place++) {
		const struct km_kept_topic *topic = record;

		counted += topic->gone_subscribers.died + topic->gone_subscribers.left;
	}
	ck_assert_uint_eq(gone, counted);
	ck_assert_uint_eq(gone, session.member_count - session.live);
}

/* A topic's record is long: it is written once for all the endpoints that go in one piece. */
START_TEST(death_of_many_endpoints_writes_each_topic_once_a_piece)
{
	struct km_topic *first, *second;

	setup();
	first = add_topic(1);
	second = add_topic(2);
	add_subscribers(first, 8 * MANY);
	add_subscribers(second, 8 * MANY);
	die_in_a_round();
	ck_assert(session.parting.work.queued);
	ck_assert_uint_le(puts_of[KM_STATE_MEMBERS], AT_ONCE);
	while (go_on())
		check_kept();
	ck_assert_uint_eq(puts_of[KM_STATE_MEMBERS], 16 * MANY);
	ck_assert_uint_le(puts_of[KM_STATE_TOPICS], 16 * MANY / 64 + 1);
	const unsigned puts = puts_of[KM_STATE_TOPICS];
	ck_assert_uint_gt(first->once.place, 0);
	ck_assert_uint_eq(kept_of(first->once.place).id, 1);
	ck_assert_uint_eq(kept_of(first->once.place).gone_subscribers.died, 8 * MANY);
	ck_assert_uint_eq(kept_of(second->once.place).id, 2);
	ck_assert_uint_eq(kept_of(second->once.place).gone_subscribers.died, 8 * MANY);
	/* nothing is left of that for the next one */
	km_keep_commit(&broker);
	ck_assert_uint_eq(puts_of[KM_STATE_TOPICS], puts);
	teardown();
}
END_TEST

/* Each endpoint has a topic of its own. */
START_TEST(death_of_many_topics_made_in_pieces)
{
	unsigned pieces = 0;

	setup();
	for (unsigned i = 0; i < 16 * MANY; i++)
		add_subscribers(add_topic(1 + i), 1);
	die_in_a_round();
	ck_assert_int_eq(session.kept.state, KM_SESSION_DEAD);
	ck_assert_uint_le(puts_of[KM_STATE_MEMBERS], AT_ONCE);
	for (; go_on(); pieces++)
		check_kept();
	ck_assert_uint_eq(session.live, 0);
	ck_assert_uint_ge(pieces, 16 * MANY / MOST_A_PIECE);
	ck_assert_uint_eq(puts_of[KM_STATE_TOPICS], 16 * MANY);
	struct km_topic *topic;
	TAILQ_FOREACH (topic, &broker.topics, in_all)
		ck_assert(topic->due);
	teardown();
}
END_TEST

/* Members that are settled between two pieces, among them the one whose turn it is. */
START_TEST(death_while_members_are_settled_goes_on)
{
	setup();
	for (unsigned i = 0; i < 16 * MANY; i++)
		add_subscribers(add_topic(1 + i), 1);
	die_in_a_round();
	ck_assert_uint_gt(session.live, 0);
	while (go_on())
		for (int i = 0; i < 3 && session.parting.next; i++) {
			struct km_member *member = session.parting.next;

			if (member->kept.state == KM_ENDPOINT_LIVE)
				km_leave_die(member);
			km_leave_settle(member);
			ck_assert_ptr_ne(session.parting.next, member);
		}
	ck_assert_uint_eq(session.live, 0);
	teardown();
}
END_TEST

/* The session stays until its end has been made, also when its last member is gone before. */
START_TEST(session_that_goes_stays_until_the_last_piece)
{
	setup();
	add_subscribers(add_topic(1), 16 * MANY);
	LIST_INSERT_HEAD(&broker.sessions, &session, next);
	die_in_a_round();
	while (!LIST_EMPTY(&session.members)) {
		km_leave_die(LIST_FIRST(&session.members));
		km_leave_settle(LIST_FIRST(&session.members));
	}
	LIST_INIT(&broker.idle); /* the topic stays */
	ck_assert(session.looked_at);
	km_broker_sweep(&broker);
	ck_assert_ptr_eq(LIST_FIRST(&broker.sessions), &session);
	ck_assert(!session.looked_at);
	while (go_on())
		;
	ck_assert(session.looked_at);
	teardown();
}
END_TEST

enum { CROWD = 100 };
static struct km_session crowd[CROWD];

static void all_die(evutil_socket_t fd, short what, void *userdata)
{
	for (int i = 0; i < CROWD; i++)
		ck_assert(km_death_check(&crowd[i]));
}

/* A whole crowd dies in one round of the event loop: a few at once, the others in turns. */
START_TEST(death_of_many_clients_made_in_turns)
{
	struct km_member *member;
	struct km_session *going;

	setup();
	for (int i = 0; i < CROWD; i++) {
		crowd[i] = session;
		add_subscribers(add_topic(1 + (uint64_t)i), 1);
		member = LIST_FIRST(&session.members);
		LIST_REMOVE(member, of_session);
		LIST_INSERT_HEAD(&crowd[i].members, member, of_session);
		member->session = &crowd[i];
		crowd[i].live = 1;
		km_account_take(&account, KM_CLIENTS, 1);
	}
	do_in_a_round(all_die);
	ck_assert_uint_gt(puts_of[KM_STATE_MEMBERS], 0);
	ck_assert_uint_lt(puts_of[KM_STATE_MEMBERS], CROWD / 5);
	while ((going = LIST_FIRST(&broker.partings)))
		going->parting.work.step(&going->parting.work);
	ck_assert_uint_eq(puts_of[KM_STATE_MEMBERS], CROWD);
	for (int i = 0; i < CROWD; i++)
		ck_assert_uint_eq(crowd[i].live, 0);
	for (int i = 0; i < CROWD; i++)
		km_leave_free(LIST_FIRST(&crowd[i].members));
	teardown();
}
END_TEST

START_TEST(farewell_of_many_topics_made_in_pieces)
{
	unsigned pieces = 0;

	setup();
	for (unsigned i = 0; i < 8 * MANY; i++)
		add_subscribers(add_topic(1 + i), 1);
	ck_assert(km_parting_leave(&session));
	ck_assert_uint_le(puts_of[KM_STATE_MEMBERS], 8 * MOST_A_PIECE);
	session.parting.work.step = leave_on;
	for (; go_on(); pieces++)
		check_kept();
	ck_assert_uint_eq(session.live, 0);
	ck_assert_uint_ge(pieces, 8 * MANY / MOST_A_PIECE - 8);
	teardown();
}
END_TEST

/* The process dies in the middle of its farewell: what hasn't left yet has died, and nothing counts
 * twice. */
START_TEST(death_in_a_farewell_goes_on_with_the_rest)
{
	setup();
	struct km_topic *topic = add_topic(1);
	add_subscribers(topic, 8 * MANY);
	ck_assert(km_parting_leave(&session));
	const uint32_t left = topic->kept.gone_subscribers.left;
	ck_assert_uint_gt(left, 0);
	ck_assert_uint_lt(left, 8 * MANY);
	km_parting_drop(&session); /* as its question does */
	die_in_a_round();
	while (go_on())
		check_kept();
	ck_assert_uint_eq(topic->kept.gone_subscribers.left, left);
	ck_assert_uint_eq(topic->kept.gone_subscribers.died, 8 * MANY - left);
	teardown();
}
END_TEST

START_TEST(farewell_of_many_endpoints_writes_each_topic_once_a_piece)
{
	struct km_topic *topic;

	setup();
	topic = add_topic(1);
	add_subscribers(topic, MANY);
	if (km_parting_leave(&session))
		while (km_parting_go_on(&session))
			;
	ck_assert_uint_ge(puts_of[KM_STATE_MEMBERS], MANY);
	ck_assert_uint_le(puts_of[KM_STATE_TOPICS], MANY / 64 + 1);
	teardown();
}
END_TEST

/* The first subscriber still holds something, so each look at that topic goes through all the others.
 * `topics`: others, each with one subscriber. */
static void leave_beside_one_that_holds(unsigned topics)
{
	struct km_endpoint *quiet;
	struct km_topic *topic;

	setup();
	quiet = (struct km_endpoint *)(segment.memory + 2048);
	km_store(H1, relaxed, &quiet->delivering, KM_HAZARD_NONE);
	km_store(H1, relaxed, &quiet->evicting, KM_HAZARD_NONE);
	topic = add_topic(1);
	add_subscribers(topic, MANY);
	for (unsigned i = 0; i < topics; i++)
		add_subscribers(add_topic(2 + i), 1);
	struct km_member *member;
	LIST_FOREACH (member, &session.members, of_session)
		if (member->kept.handle > 1)
			member->kept.offset = 2048;
	if (km_parting_leave(&session))
		while (km_parting_go_on(&session))
			;
	ck_assert_uint_eq(topic->leaving, MANY);
	ck_assert(topic->kept.named);
	ck_assert(topic->due);
	ck_assert_uint_lt(quiet_looks, 4 * MANY);
	teardown();
}

START_TEST(farewell_looks_at_each_topic_once)
{
	leave_beside_one_that_holds(0);
}
END_TEST

START_TEST(farewell_looks_at_a_late_topic_once)
{
	leave_beside_one_that_holds(64);
}
END_TEST

/* The next broker finds a connection that lives on: it has to know that the client goes. */
/* A broker that ends in between leaves it to the next one, which then hears it again. */
START_TEST(farewell_is_written_down_before_it_leaves_the_socket)
{
	struct km_msg_detach farewell = { .header.op = KM_OP_DETACH, .endpoint = 1 };
	struct km_topic *topic;
	int ends[2];

	setup();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_eq(write(ends[1], &farewell, sizeof farewell), sizeof farewell);
	close(ends[1]);
	session.socket = ends[0];
	topic = add_topic(1);
	add_subscribers(topic, 1);
	heard_before_put = false;
	die_in_a_round();
	ck_assert_uint_eq(kept_of(topic->once.place).gone_subscribers.left, 1);
	ck_assert(!heard_before_put);
	teardown();
}
END_TEST

START_TEST(hang_up_is_written_down_before_the_first_piece)
{
	uint32_t place = 1;
	const void *record;

	setup();
	session.kept.id = 1;
	session.kept.state = KM_SESSION_READY;
	add_subscribers(add_topic(1), 1);
	broker.parting_round = true; /* no piece more in this round */
	km_parting_hang_up(&session);
	km_keep_commit(&broker);
	ck_assert(km_state_next(broker.state, KM_STATE_SESSIONS, &place, &record));
	ck_assert_uint_eq(((const struct km_kept_session *)record)->goes, 1);
	ck_assert_uint_eq(((const struct km_kept_session *)record)->state, KM_SESSION_READY);
	ck_assert(km_kept_session_is_good(record));
	km_parting_drop(&session);
	teardown();
}
END_TEST

START_TEST(commit_has_what_the_record_says_by_then)
{
	struct km_topic *topic;

	setup();
	topic = add_topic(1);
	km_keep_topic(topic);
	topic->kept.unlinked = true;
	km_keep_commit(&broker);
	ck_assert_uint_eq(kept_of(topic->once.place).unlinked, 1);
	ck_assert_uint_eq(puts_of[KM_STATE_TOPICS], 1);
	teardown();
}
END_TEST

/* The topic's memory may be another's by the time of the commit. */
START_TEST(commit_has_nothing_of_a_record_that_was_dropped)
{
	struct km_topic *topic;
	uint32_t place = 1;
	const void *record;

	setup();
	topic = add_topic(1);
	km_keep_topic(topic);
	km_keep_once_drop(&broker, &topic->once);
	km_keep_commit(&broker);
	ck_assert(!km_state_next(broker.state, KM_STATE_TOPICS, &place, &record));
	km_keep_topic(topic);
	km_keep_commit(&broker);
	ck_assert(km_state_next(broker.state, KM_STATE_TOPICS, &place, &record));
	km_keep_topic(topic);
	km_keep_once_drop(&broker, &topic->once);
	ck_assert_uint_eq(topic->once.place, 0);
	km_keep_commit(&broker);
	place = 1;
	ck_assert(!km_state_next(broker.state, KM_STATE_TOPICS, &place, &record));
	teardown();
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("keep");

	tcase_add_test(tc, death_of_many_endpoints_writes_each_topic_once_a_piece);
	tcase_add_test(tc, death_of_many_topics_made_in_pieces);
	tcase_add_test(tc, death_while_members_are_settled_goes_on);
	tcase_add_test(tc, session_that_goes_stays_until_the_last_piece);
	tcase_add_test(tc, death_of_many_clients_made_in_turns);
	tcase_add_test(tc, farewell_of_many_topics_made_in_pieces);
	tcase_add_test(tc, death_in_a_farewell_goes_on_with_the_rest);
	tcase_add_test(tc, farewell_of_many_endpoints_writes_each_topic_once_a_piece);
	tcase_add_test(tc, farewell_looks_at_each_topic_once);
	tcase_add_test(tc, farewell_looks_at_a_late_topic_once);
	tcase_add_test(tc, farewell_is_written_down_before_it_leaves_the_socket);
	tcase_add_test(tc, hang_up_is_written_down_before_the_first_piece);
	tcase_add_test(tc, commit_has_what_the_record_says_by_then);
	tcase_add_test(tc, commit_has_nothing_of_a_record_that_was_dropped);
	return fixture_run("keep", tc);
}
