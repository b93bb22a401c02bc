/* SPDX-License-Identifier: Apache-2.0 */
/* How much a tick takes on, how much a sweep, a hurry and a settling do at once, and which work doesn't
 * grow with the number of topics.
 *
 * The file is long because it is a list: one case for each kind of work, over one fixture. */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/clock.h"
#include "daemon/peer/memory.h"
#include "daemon/peer/session.h"
#include "daemon/repair/health.h"
#include "daemon/repair/recover.h"
#include "daemon/repair/tend.h"
#include "daemon/start/start.h"
#include "daemon/topic/ending.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"
#include "daemon/topic/walk.h"
#include "tests/support/broker/fixture.h"

static struct km_broker broker;
static struct km_config config;

/* The clock goes so much ahead at each look. */
static int64_t look_ns;

int64_t __real_km_clock_ns(void);
int64_t __wrap_km_clock_ns(void);

int64_t __wrap_km_clock_ns(void)
{
	static int64_t ahead;

	ahead += look_ns;
	return __real_km_clock_ns() + ahead;
}

static void after_turn(void *userdata)
{
}

static void setup(void)
{
	memset(&broker, 0, sizeof broker);
	broker.config = &config;
	broker.handlers = &km_start_handlers;
	broker.base = event_base_new();
	TAILQ_INIT(&broker.topics);
	TAILQ_INIT(&broker.strangers);
	km_hangup_init(&broker.hangup);
	ck_assert_int_eq(km_turns_init(&broker.turns, broker.base, after_turn, NULL), 0);
	ck_assert_int_eq(km_tend_init(&broker), 0);
}

static void teardown(void)
{
	km_tend_deinit(&broker);
	km_turns_deinit(&broker.turns);
	km_hangup_deinit(&broker.hangup);
	event_base_free(broker.base);
	libevent_global_shutdown();
}

static struct km_topic *add_topic(uint32_t pool, uint32_t rings, uint32_t capacity, bool shared)
{
	static struct km_shared_ring ring;
	struct km_topic *topic = calloc(1, sizeof *topic);

	topic->broker = &broker;
	topic->region.geometry.pool_size = pool;
	topic->region.geometry.ring_capacity = capacity;
	topic->region.ring_count = shared ? 0 : rings;
	topic->region.shared = shared ? &ring : NULL;
	TAILQ_INSERT_TAIL(&broker.topics, topic, in_all);
	return topic;
}

/* Returns how many of `count` equal topics a tick takes on. */
static unsigned taken_on(
	unsigned count, uint32_t pool, uint32_t rings, uint32_t capacity, bool shared)
{
	struct km_topic *topic;
	unsigned due = 0;

	setup();
	for (unsigned i = 0; i < count; i++)
		add_topic(pool, rings, capacity, shared);
	km_health_on_tick(-1, 0, &broker);
	while ((topic = TAILQ_FIRST(&broker.topics))) {
		due += topic->due;
		ck_assert_int_eq(topic->due, topic->watched);
		km_tend_forget(topic);
		TAILQ_REMOVE(&broker.topics, topic, in_all);
		free(topic);
	}
	teardown();
	return due;
}

/* Slots and cells of all rings count, and each topic a little; 131 072 are for one tick, the last topic
 * may go over it. */
START_TEST(tick_bounded_by_slots_and_cells)
{
	ck_assert_uint_eq(taken_on(200, 1024, 16, 64, false), 61); /* 128 + 1024 + 1024 */
	ck_assert_uint_eq(taken_on(200, 8, 48, 4096, false), 1);   /* 128 + 8 + 196608 */
	ck_assert_uint_eq(taken_on(200, 131072, 1, 2, false), 1);
	ck_assert_uint_eq(taken_on(2000, 8, 0, 0, false), 964);  /* 128 + 8 */
	ck_assert_uint_eq(taken_on(200, 8, 48, 4096, true), 31); /* one ring for all */
	ck_assert_uint_eq(taken_on(20, 1024, 16, 64, false), 20);
}
END_TEST

/* A share of time has room for so many things that each take A_THING by the clock. */
#define A_THING      (KM_SHARE_NS / 5)
#define ROOM_FOR     (5 + 1)
#define MANY_THINGS  1000
#define LEAST_SHARES (MANY_THINGS / ROOM_FOR)

/* Topics that lost their last member are freed for some time, however many there are. A walk is in each
 * of these, so nothing can be freed and each one is looked at. */
START_TEST(sweep_of_topics_bounded_by_time)
{
	enum { MANY = MANY_THINGS };
	struct km_topic *topics = calloc(MANY, sizeof *topics);
	struct km_walk walk = { 0 };
	unsigned calls = 1, left = MANY;

	look_ns = A_THING;
	for (unsigned i = 0; i < MANY; i++) {
		topics[i].broker = &broker;
		topics[i].idle = true;
		topics[i].walks.lh_first = &walk;
		LIST_INSERT_HEAD(&broker.idle, &topics[i], in_idle);
	}
	for (; km_ending_sweep(&broker, km_clock_ns() + KM_SHARE_NS); calls++) {
		unsigned still = 0;

		for (unsigned i = 0; i < MANY; i++)
			still += topics[i].idle;
		ck_assert_uint_le(left - still, ROOM_FOR);
		left = still;
	}
	ck_assert_uint_ge(calls, LEAST_SHARES);
	ck_assert(LIST_EMPTY(&broker.idle));
	free(topics);
	look_ns = 0;
}
END_TEST

static unsigned count_sessions(void)
{
	const struct km_session *session;
	unsigned count = 0;

	LIST_FOREACH (session, &broker.sessions, next)
		count++;
	return count;
}

/* Sessions that are over are freed for some time as well, and the rest in turns. Each event in between
 * frees one, and a segment is a piece of its own. */
START_TEST(sweep_of_sessions_bounded_by_time)
{
	enum { MANY = MANY_THINGS };
	unsigned calls = 0, left = MANY;

	setup();
	look_ns = A_THING;
	broker.store.parking.in = -1;
	for (unsigned i = 0; i < MANY; i++) {
		struct km_session *session = calloc(1, sizeof *session);

		session->broker = &broker;
		session->kept.state = KM_SESSION_DEAD;
		session->socket = session->pidfd = -1;
		LIST_INSERT_HEAD(&broker.sessions, session, next);
		km_session_look(session);
	}
	km_broker_sweep(&broker);
	ck_assert(broker.tidying.queued);
	/* fewer where the machine is slow */
	ck_assert_uint_le(left - count_sessions(), ROOM_FOR);
	ck_assert_uint_lt(count_sessions(), left);
	left = count_sessions();
	for (; !LIST_EMPTY(&broker.over); calls++) {
		ck_assert(broker.tidying.queued);
		km_broker_sweep(&broker);
		ck_assert_uint_le(left - count_sessions(), 1);
		left = count_sessions();
	}
	ck_assert_uint_eq(left, 0);
	ck_assert_uint_ge(calls, LEAST_SHARES);
	look_ns = 0;
	teardown();
}
END_TEST

/* A session's memory is given back in pieces: a client may have a segment for each endpoint. */
START_TEST(sweep_bounded_by_segments)
{
	enum { MANY = 256 };
	static struct km_account account;
	static struct km_accounts accounts;
	struct km_session session = { .broker = &broker, .account = &account };
	unsigned calls = 1;

	setup();
	account.accounts = &accounts;
	km_account_take(&account, KM_BYTES, MANY * KM_CLIENT_SEGMENT_SIZE);
	session.segments = calloc(MANY, sizeof *session.segments);
	session.kept.segment_count = MANY;
	for (unsigned i = 0; i < MANY; i++)
		session.segments[i].fd = -1;
	for (unsigned work = 10; !km_memory_give_back(&session, &work); work = 10, calls++)
		ck_assert_uint_eq(session.kept.segment_count, MANY - 10 * calls);
	ck_assert_uint_eq(calls, MANY / 10 + 1);
	ck_assert_uint_eq(account.used[KM_BYTES], 0);
	teardown();
}
END_TEST

/* Topics that were given up, and whose room their payer needs at once, are freed for some time. */
START_TEST(hurry_bounded_by_time)
{
	enum { MANY = MANY_THINGS };
	static struct km_account account;
	static struct km_accounts accounts;
	unsigned calls = 0, left = MANY;
	struct km_topic *topic;

	setup();
	look_ns = A_THING;
	account.accounts = &accounts;
	TAILQ_INIT(&broker.ended);
	for (unsigned i = 0; i < MANY; i++) {
		topic = add_topic(8, 0, 0, false);
		topic->account = &account;
		topic->kept.quarantined = true;
		LIST_INSERT_HEAD(&broker.nameless, topic, in_bucket);
		topic->region.control_size = 2 * KM_PAGE_SIZE;
		topic->control_fd = topic->payload_fd = -1;
		topic->bytes = KM_PAGE_SIZE;
		km_account_take(&account, KM_BYTES, topic->bytes);
	}
	for (; km_ending_hurry(&broker, &account, km_clock_ns() + KM_SHARE_NS); calls++) {
		unsigned still = 0;

		TAILQ_FOREACH (topic, &broker.topics, in_all)
			still += !topic->kept.emptied;
		ck_assert_uint_le(left - still, ROOM_FOR);
		left = still;
	}
	ck_assert_uint_eq(left, 0);
	ck_assert_uint_ge(calls, LEAST_SHARES);
	look_ns = 0;
	while ((topic = TAILQ_FIRST(&broker.topics))) {
		TAILQ_REMOVE(&broker.topics, topic, in_all);
		free(topic);
	}
	teardown();
}
END_TEST

static void look_at_idle(struct km_topic *topic)
{
	topic->idle = true;
	LIST_INSERT_HEAD(&broker.idle, topic, in_idle);
	ck_assert(!km_ending_sweep(&broker, INT64_MAX));
}

/* A topic that was given up, and in which somebody stays: its observers have some time from the first look
 * on, however often it is looked at meanwhile. */
START_TEST(topic_given_up_is_emptied_in_time_though_looked_at)
{
	static struct km_account account;
	static struct km_accounts accounts;
	struct km_session session = { .broker = &broker, .account = &account };
	struct km_member member = { .session = &session };
	const struct timeval long_after = { .tv_sec = 1000 };
	struct timeval now, at;

	setup();
	account.accounts = &accounts;
	struct km_topic *topic = add_topic(8, 0, 0, false);
	topic->account = &account;
	topic->kept.quarantined = true;
	topic->region.control_size = 2 * KM_PAGE_SIZE;
	topic->control_fd = topic->payload_fd = -1;
	LIST_INSERT_HEAD(&topic->members, &member, of_topic);
	look_at_idle(topic);
	ck_assert(event_pending(topic->linger_event, EV_TIMEOUT, NULL));
	event_add(topic->linger_event, &long_after);
	look_at_idle(topic);
	event_base_gettimeofday_cached(broker.base, &now);
	ck_assert(event_pending(topic->linger_event, EV_TIMEOUT, &at));
	ck_assert_int_gt(at.tv_sec - now.tv_sec, long_after.tv_sec / 2);
	/* where none runs, one begins */
	event_del(topic->linger_event);
	look_at_idle(topic);
	ck_assert(event_pending(topic->linger_event, EV_TIMEOUT, NULL));
	ck_assert(!topic->kept.emptied);
	topic->linger_over = true;
	look_at_idle(topic);
	ck_assert(topic->kept.emptied);
	event_free(topic->linger_event);
	TAILQ_REMOVE(&broker.topics, topic, in_all);
	free(topic);
	teardown();
}
END_TEST

/* A topic that can't be looked at: a walk over all topics ends here. */
static struct km_topic *add_forbidden_topic(void)
{
	struct km_topic *topic = mmap(
		NULL, sizeof *topic, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(topic, MAP_FAILED);
	TAILQ_INSERT_TAIL(&broker.topics, topic, in_all);
	ck_assert_int_eq(mprotect(topic, sizeof *topic, PROT_NONE), 0);
	return topic;
}

/* Thousands of topics cost nothing where one is looked at again, or found by a name that is gone, or
 * where somebody needs room. */
START_TEST(others_topics_are_not_walked)
{
	static struct km_account account;
	const struct km_topic_key key = { .name = "gone" };

	setup();
	broker.again_event = evtimer_new(broker.base, km_tend_on_again, &broker);
	TAILQ_INIT(&broker.ended);
	struct km_topic *topic = add_topic(KM_MAX_POOL, 0, 0, false);
	topic->kept.key = key;
	LIST_INSERT_HEAD(&broker.nameless, topic, in_bucket);
	struct km_topic *forbidden = add_forbidden_topic();

	km_tend_look_again(topic);
	km_tend_look_again(topic);
	for (unsigned left = topic->looks_left; left > 0; left--) {
		ck_assert_uint_eq(topic->looks_left, left);
		km_tend_on_again(-1, 0, &broker);
		ck_assert(topic->due);
	}
	km_tend_on_again(-1, 0, &broker);
	ck_assert_uint_eq(topic->looks_left, 0);
	/* a topic that is going to be freed has no more looks */
	km_tend_look_again(topic);
	km_tend_forget(topic);
	km_tend_on_again(-1, 0, &broker);
	ck_assert(!topic->due);

	ck_assert_ptr_eq(km_topic_find_any(&broker, &key), topic);
	ck_assert(!km_ending_hurry(&broker, &account, 0));
	munmap(forbidden, sizeof *forbidden);
	event_free(broker.again_event);
	free(topic);
	teardown();
}
END_TEST

/* Members leave while many clients ask about their topic. Each member that goes has to be taken out
 * of each question's walk, so fewer members go in a piece. */
START_TEST(settling_bounded_by_walks)
{
	enum { MANY = 2000, ASKERS = 1000 };
	static struct km_account account;
	static struct km_accounts accounts;
	static struct km_control_header header;
	static struct km_walk askers[ASKERS];
	struct km_client_memory segment = { .fd = -1, .memory = calloc(1, KM_CLIENT_SEGMENT_SIZE) };
	struct km_session session = {
		.broker = &broker, .account = &account, .segments = &segment, .member_count = MANY
	};
	struct km_walk walk = { 0 };
	unsigned calls = 0, left = MANY;

	setup();
	account.accounts = &accounts;
	km_account_take(&account, KM_ENDPOINTS, MANY);
	session.kept.segment_count = 1;
	struct km_topic *topic = add_topic(8, 0, 0, true);
	topic->region.header = &header;
	for (unsigned i = 0; i < MANY; i++) {
		struct km_member *member = calloc(1, sizeof *member);

		*member = (struct km_member){ .session = &session, .topic = topic };
		member->kept.role = KM_ROLE_SUBSCRIBER;
		member->kept.state = KM_ENDPOINT_DEAD;
		member->kept.ring = KM_MAX_RINGS;
		LIST_INSERT_HEAD(&topic->members, member, of_topic);
		LIST_INSERT_HEAD(&session.members, member, of_session);
	}
	topic->dead = topic->subscribers_taken = MANY;
	ck_assert_uint_eq(km_recovery_work(topic), 8 + MANY);
	for (unsigned i = 0; i < ASKERS; i++)
		km_walk_begin(&askers[i], topic);
	/* one call doesn't finish the work */
	ck_assert_uint_eq(km_recovery_work(topic), 8 + MANY + (uint64_t)MANY * ASKERS);
	km_walk_begin(&walk, topic);
	for (bool more = true; more; calls++) {
		more = km_recovery_settle_unseen(&walk, KM_PIECE);
		ck_assert_uint_le(left - topic->dead, KM_PIECE / ASKERS + 1);
		left = topic->dead;
	}
	ck_assert_uint_eq(left, 0);
	ck_assert_uint_gt(calls, MANY / (KM_PIECE / ASKERS + 1));
	for (unsigned i = 0; i < ASKERS; i++) {
		ck_assert_ptr_null(km_walk_next(&askers[i]));
		km_walk_end(&askers[i]);
	}
	km_walk_end(&walk);
	ck_assert_uint_eq(topic->walk_count, 0);
	TAILQ_REMOVE(&broker.topics, topic, in_all);
	free(topic);
	free(segment.memory);
	teardown();
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("shares");

	tcase_add_test(tc, tick_bounded_by_slots_and_cells);
	tcase_add_test(tc, sweep_of_topics_bounded_by_time);
	tcase_add_test(tc, sweep_of_sessions_bounded_by_time);
	tcase_add_test(tc, sweep_bounded_by_segments);
	tcase_add_test(tc, hurry_bounded_by_time);
	tcase_add_test(tc, topic_given_up_is_emptied_in_time_though_looked_at);
	tcase_add_test(tc, others_topics_are_not_walked);
	tcase_add_test(tc, settling_bounded_by_walks);
	return fixture_run("shares", tc);
}
