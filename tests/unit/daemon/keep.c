/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a client with many endpoints: its topics are written down for the next broker once each,
 * and looked at once each. */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/keep/keep.h"
#include "daemon/peer/session.h"
#include "daemon/repair/death.h"
#include "daemon/repair/farewell.h"
#include "daemon/repair/tend.h"
#include "daemon/run/log.h"
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

int __real_km_state_put(struct km_state *state, enum km_state_table table, uint32_t *place,
	const void *record, size_t size);
int __wrap_km_state_put(struct km_state *state, enum km_state_table table, uint32_t *place,
	const void *record, size_t size);

int __wrap_km_state_put(struct km_state *state, enum km_state_table table, uint32_t *place,
	const void *record, size_t size)
{
	puts_of[table]++;
	return __real_km_state_put(state, table, place, record, size);
}

bool __real_km_member_is_quiet(const struct km_member *member);
bool __wrap_km_member_is_quiet(const struct km_member *member);

bool __wrap_km_member_is_quiet(const struct km_member *member)
{
	quiet_looks++;
	return __real_km_member_is_quiet(member);
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
	ck_assert_int_eq(km_turns_init(&broker.turns, broker.base, NULL, NULL), 0);
	ck_assert_int_eq(km_tend_init(&broker), 0);
	ck_assert_int_eq(km_notice_init(&broker), 0);
	broker.again_event = evtimer_new(broker.base, km_tend_on_again, &broker);
	ck_assert_int_eq(km_state_new(&broker.state, &state_fd), 0);
	account.accounts = &accounts;
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

/* A topic's record is long: it is written once for all the endpoints that go in one event. */
START_TEST(death_of_many_endpoints_writes_each_topic_once)
{
	struct km_topic *first, *second;

	setup();
	first = add_topic(1);
	second = add_topic(2);
	add_subscribers(first, MANY);
	add_subscribers(second, MANY);
	ck_assert(km_death_check(&session));
	km_keep_commit(&broker);
	ck_assert_uint_eq(puts_of[KM_STATE_MEMBERS], 2 * MANY);
	ck_assert_uint_eq(puts_of[KM_STATE_TOPICS], 2);
	ck_assert_uint_gt(first->once.place, 0);
	ck_assert_uint_eq(kept_of(first->once.place).id, 1);
	ck_assert_uint_eq(kept_of(first->once.place).gone_subscribers.died, MANY);
	ck_assert_uint_eq(kept_of(second->once.place).id, 2);
	ck_assert_uint_eq(kept_of(second->once.place).gone_subscribers.died, MANY);
	/* nothing is left of that for the next one */
	km_keep_commit(&broker);
	ck_assert_uint_eq(puts_of[KM_STATE_TOPICS], 2);
	teardown();
}
END_TEST

START_TEST(farewell_of_many_endpoints_writes_each_topic_once)
{
	struct km_msg_detach all = { .header.op = KM_OP_DETACH, .endpoint = KM_ALL_ENDPOINTS };
	struct km_topic *topic;

	setup();
	topic = add_topic(1);
	add_subscribers(topic, MANY);
	km_farewell_serve(&session, &all);
	ck_assert_uint_ge(puts_of[KM_STATE_MEMBERS], MANY);
	ck_assert_uint_eq(puts_of[KM_STATE_TOPICS], 1);
	teardown();
}
END_TEST

/* The first subscriber still holds something, so each look at that topic goes through all the others.
 * `topics`: others, each with one subscriber. */
static void leave_beside_one_that_holds(unsigned topics)
{
	struct km_msg_detach all = { .header.op = KM_OP_DETACH, .endpoint = KM_ALL_ENDPOINTS };
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
	km_farewell_serve(&session, &all);
	ck_assert_uint_eq(topic->leaving, MANY);
	ck_assert(topic->kept.named);
	ck_assert(topic->due);
	ck_assert_uint_lt(quiet_looks, 4 * MANY);
	teardown();
}

/* The first 64 topics are looked after at once. */
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

	tcase_add_test(tc, death_of_many_endpoints_writes_each_topic_once);
	tcase_add_test(tc, farewell_of_many_endpoints_writes_each_topic_once);
	tcase_add_test(tc, farewell_looks_at_each_topic_once);
	tcase_add_test(tc, farewell_looks_at_a_late_topic_once);
	tcase_add_test(tc, commit_has_what_the_record_says_by_then);
	tcase_add_test(tc, commit_has_nothing_of_a_record_that_was_dropped);
	return fixture_run("keep", tc);
}
