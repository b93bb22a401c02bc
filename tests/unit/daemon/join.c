/* SPDX-License-Identifier: Apache-2.0 */
/* A member is linked in by one function, whether it is new or was there before a restart. Its record's
 * id, ring and place are taken only where they are nobody else's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/peer/memory.h"
#include "daemon/run/handlers.h"
#include "daemon/topic/join.h"
#include "daemon/topic/topic.h"
#include "tests/support/broker/fixture.h"

static struct km_broker broker;
static struct km_config config;
static struct km_client_memory segment;
static struct km_session session;
static struct km_topic topic;
static struct fixture_region region;
static uint64_t ids[2];

static void ignore(struct km_topic *changed)
{
}

static const struct km_handlers handlers = { .notice_changed = ignore };

static void setup(void)
{
	memset(&broker, 0, sizeof broker);
	memset(&session, 0, sizeof session);
	memset(&topic, 0, sizeof topic);
	memset(&segment, 0, sizeof segment);
	memset(ids, 0, sizeof ids);
	km_config_init(&config);
	broker.config = &config;
	broker.handlers = &handlers;
	km_accounts_init(&broker.accounts, &config);
	struct km_geometry geometry = fixture_geometry(8, 16);
	fixture_region_init(&region, &geometry);
	topic.broker = &broker;
	topic.region = region.region;
	topic.ids_taken = ids;
	topic.ids_free = geometry.max_publishers;
	session.broker = &broker;
	session.account = km_account_ref(&broker.accounts, 1000);
	session.segments = &segment;
	session.kept.segment_count = 1;
}

static void teardown(void)
{
	km_account_give(session.account, KM_ENDPOINTS, session.member_count);
	km_account_unref(session.account);
	fixture_region_deinit(&region);
	km_config_deinit(&config);
}

/* A member as an earlier broker wrote it down. */
static struct km_member kept(
	enum km_endpoint_state state, enum km_role role, uint32_t number, uint32_t offset)
{
	struct km_member ret = { .session = &session, .topic = &topic };

	ret.kept.state = state;
	ret.kept.role = role;
	ret.kept.id = role == KM_ROLE_PUBLISHER ? number : 0;
	ret.kept.ring = role == KM_ROLE_SUBSCRIBER ? number : 0;
	ret.kept.offset = offset;
	return ret;
}

/* Drains the ring that the next subscriber gets, in pieces of the size that was asked for. */
START_TEST(drain_takes_so_many_of_the_next_ring)
{
	setup();
	topic.rings_taken = 1;
	fixture_ring_write(&region, 0, 8, 15, 15);
	fixture_ring_write(&region, 1, 8, 15, 15);
	ck_assert(km_join_drain(&topic, 3));
	ck_assert_uint_eq(fixture_head(&region, 1), 11);
	ck_assert(km_join_drain(&topic, 3));
	ck_assert(!km_join_drain(&topic, 3));
	ck_assert_uint_eq(fixture_head(&region, 1), 15);
	ck_assert_uint_eq(fixture_head(&region, 0), 8);
	topic.rings_taken = KM_LIVE_RINGS;
	ck_assert(!km_join_drain(&topic, 3));
	teardown();
}
END_TEST

START_TEST(insert_takes_and_counts_what_the_member_says)
{
	setup();
	struct km_member publisher = kept(KM_ENDPOINT_LIVE, KM_ROLE_PUBLISHER, 3, 0);
	struct km_member subscriber = kept(KM_ENDPOINT_LIVE, KM_ROLE_SUBSCRIBER, 2, 1024);
	struct km_member leaving = kept(KM_ENDPOINT_LEAVING, KM_ROLE_SUBSCRIBER, 0, 2048);
	struct km_member dead = kept(KM_ENDPOINT_DEAD, KM_ROLE_PUBLISHER, 1, 128);
	const uint32_t ids_before = topic.ids_free;

	ck_assert_int_eq(km_join_insert(&publisher), 0);
	ck_assert_int_eq(km_join_insert(&subscriber), 0);
	ck_assert_int_eq(km_join_insert(&leaving), 0);
	ck_assert_int_eq(km_join_insert(&dead), 0);
	ck_assert_uint_eq(topic.publishers, 1);
	ck_assert_uint_eq(topic.subscribers, 1);
	ck_assert_uint_eq(topic.leaving, 1);
	ck_assert_uint_eq(topic.dead, 1);
	ck_assert_uint_eq(topic.ids_free, ids_before - 2);
	ck_assert_uint_eq(ids[0], 1 << 2 | 1 << 0);
	ck_assert_uint_eq(topic.rings_taken, 1 << 2 | 1 << 0);
	ck_assert_uint_eq(topic.rings_owned, 1 << 2); /* it has left, and owns its ring no more */
	ck_assert_uint_eq(topic.subscribers_taken, 2);
	ck_assert_uint_eq(session.member_count, 4);
	ck_assert_uint_eq(session.account->used[KM_ENDPOINTS], 4);
	ck_assert_uint_eq(publisher.held_count, 0);
	ck_assert_uint_eq(subscriber.held_count, km_geometry_held_count(&topic.region.geometry));
	/* nobody is told of a subscriber whose ring isn't live yet */
	ck_assert_uint_eq(km_load(L5, relaxed, &topic.region.header->subscribers), 0);
	/* a new one takes the lowest number that is free, and room that is nobody's */
	struct km_member *fresh;
	char text[KM_WIRE_TEXT_SIZE];
	uint32_t at, offset;
	unsigned char memory[KM_CLIENT_SEGMENT_SIZE];
	segment.memory = memory;
	ck_assert_int_eq(km_memory_find_record(&session, 128, &at, &offset), 0);
	ck_assert_int_eq(
		km_join(&session, &topic, KM_ROLE_PUBLISHER, false, &fresh, text, sizeof text), 0);
	ck_assert_uint_eq(fresh->kept.id, 2);
	ck_assert_uint_eq(fresh->kept.offset, offset);
	ck_assert_uint_eq(topic.publishers, 2);
	ck_assert_uint_eq(session.member_count, 5);
	free(fresh);
	teardown();
}
END_TEST

START_TEST(insert_what_is_taken_refused_and_nothing_changed)
{
	setup();
	struct km_member first = kept(KM_ENDPOINT_LIVE, KM_ROLE_PUBLISHER, 1, 0);
	struct km_member ring = kept(KM_ENDPOINT_DEAD, KM_ROLE_SUBSCRIBER, 1, 1024);
	struct km_member refused[] = {
		kept(KM_ENDPOINT_LIVE, KM_ROLE_PUBLISHER, 1, 512), /* the same id */
		kept(KM_ENDPOINT_DEAD, KM_ROLE_PUBLISHER, 0, 512), /* ids begin with 1 */
		kept(KM_ENDPOINT_LIVE, KM_ROLE_PUBLISHER, topic.region.geometry.max_publishers + 1,
			512),
		kept(KM_ENDPOINT_LIVE, KM_ROLE_SUBSCRIBER, 1, 512), /* the same ring */
		kept(KM_ENDPOINT_LIVE, KM_ROLE_SUBSCRIBER, topic.region.ring_count, 512),
		kept(KM_ENDPOINT_LIVE, KM_ROLE_SUBSCRIBER, UINT32_MAX, 512),
		kept(KM_ENDPOINT_LIVE, KM_ROLE_PUBLISHER, 2, 0),  /* the same record */
		kept(KM_ENDPOINT_LIVE, KM_ROLE_PUBLISHER, 2, 64), /* in the middle of one */
		kept(KM_ENDPOINT_LIVE, KM_ROLE_PUBLISHER, 2, KM_CLIENT_SEGMENT_SIZE),
	};

	ck_assert_int_eq(km_join_insert(&first), 0);
	ck_assert_int_eq(km_join_insert(&ring), 0);
	const struct km_topic topic_before = topic;
	const struct km_client_memory segment_before = segment;
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		ck_assert_int_eq(km_join_insert(&refused[i]), -EPROTO);
		ck_assert_int_eq(memcmp(&topic, &topic_before, sizeof topic), 0);
		ck_assert_int_eq(memcmp(&segment, &segment_before, sizeof segment), 0);
		ck_assert_uint_eq(ids[0], 1);
		ck_assert_uint_eq(session.member_count, 2);
		ck_assert_uint_eq(session.account->used[KM_ENDPOINTS], 2);
	}
	/* a segment that isn't there */
	refused[6].kept.segment = 1;
	ck_assert_int_eq(km_join_insert(&refused[6]), -EPROTO);
	teardown();
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("join");

	tcase_add_test(tc, drain_takes_so_many_of_the_next_ring);
	tcase_add_test(tc, insert_takes_and_counts_what_the_member_says);
	tcase_add_test(tc, insert_what_is_taken_refused_and_nothing_changed);
	return fixture_run("join", tc);
}
