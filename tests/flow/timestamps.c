/* SPDX-License-Identifier: Apache-2.0 */
/* Topics with timestamps, with both transports: each sample says when it was published, whichever way it
 * was sent and received, and without them it says 0. */
#include <time.h>

#include "tests/support/broker/flow.h"

#define CAPACITY 4

static struct kickmsg_client *client;
static struct kickmsg_publisher *publisher, *second;
static struct kickmsg_subscriber *subscriber;
static struct kickmsg_topic_config config;
static char data[2000], buf[2000];

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void setup(int transport, uint32_t timestamps)
{
	test_broker_start(&broker, NULL);
	client = flow_client("timestamps");
	kickmsg_topic_config_init(&config);
	config.transport = (uint32_t)transport;
	config.ring_capacity = CAPACITY;
	config.timestamps = timestamps;
	publisher = flow_advertise(client, "t", &config);
	subscriber = flow_subscribe(client, "t");
}

static void teardown(void)
{
	kickmsg_client_free(client);
	flow_stop();
}

static void send(struct kickmsg_publisher *by, size_t len)
{
	ck_assert_int_eq(kickmsg_send(by, data, len), (int)len);
}

static void publish(struct kickmsg_publisher *by, size_t len)
{
	void *payload;

	ck_assert_int_eq(kickmsg_loan(by, len, &payload), 0);
	memcpy(payload, data, len);
	ck_assert_int_ge(kickmsg_publish(by, payload, len), 1);
}

static void borrow(struct kickmsg_subscriber *by, struct kickmsg_sample *ret)
{
	ck_assert_int_eq(kickmsg_try_receive(by, ret), 0);
	ck_assert_mem_eq(ret->data, data, ret->len);
	ck_assert_int_eq(kickmsg_sample_release(ret), 0);
}

static void copy(struct kickmsg_subscriber *by, struct kickmsg_sample *ret)
{
	ck_assert_int_eq(kickmsg_receive_into(by, buf, sizeof buf, 0, ret), 0);
	ck_assert_ptr_eq(ret->data, buf);
	ck_assert_mem_eq(buf, data, ret->len);
	ck_assert_int_eq(kickmsg_sample_is_held(ret), 0);
	ck_assert_int_eq(kickmsg_sample_release(ret), -EINVAL);
}

typedef void give_fn(struct kickmsg_publisher *by, size_t len);
typedef void take_fn(struct kickmsg_subscriber *by, struct kickmsg_sample *ret);

static void check_one(
	give_fn *give, take_fn *take, struct kickmsg_publisher *by, size_t len, uint64_t sequence)
{
	struct kickmsg_sample sample;
	uint64_t before = now();

	memset(data, (int)(sequence + len), len);
	give(by, len);
	uint64_t after = now();
	take(subscriber, &sample);
	ck_assert_uint_eq(sample.len, len);
	ck_assert_uint_eq(sample.publisher_sequence, sequence);
	if (config.timestamps)
		ck_assert(sample.publish_ns >= before && sample.publish_ns <= after);
	else
		ck_assert_uint_eq(sample.publish_ns, 0);
}

static give_fn *const gives[] = { send, publish };
static take_fn *const takes[] = { borrow, copy };

/* Lengths of each kind, from whoever writes into a shared ring's buffers and from another one. */
static void check_all_ways(void)
{
	static const size_t lengths[] = { 0, 1, 8, 9, 64, 65, 2000 };
	uint64_t sequence = 0;

	second = flow_advertise(client, "t", &config);
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
		for (int way = 0; way < 4; way++) {
			sequence++;
			check_one(gives[way / 2], takes[way % 2], publisher, lengths[i], sequence);
			check_one(gives[way / 2], takes[way % 2], second, lengths[i], sequence);
		}
}

START_TEST(on_each_way_between_before_and_after)
{
	setup(_i, 1);
	check_all_ways();
	teardown();
}
END_TEST

START_TEST(off_each_way_0)
{
	setup(_i, 0);
	check_all_ways();
	teardown();
}
END_TEST

/* Payloads of up to 8 bytes: with a shared ring their place in the cell's line is the time's. */
START_TEST(small_payloads_have_their_own_time)
{
	struct kickmsg_topic_config small = { 0 };
	struct kickmsg_sample sample;

	setup(_i, 1);
	kickmsg_topic_config_init(&small);
	small.transport = (uint32_t)_i;
	small.max_payload_size = 8;
	small.max_publishers = 1;
	small.timestamps = 1;
	publisher = flow_advertise(client, "small", &small);
	subscriber = flow_subscribe(client, "small");
	for (uint64_t i = 1; i < 200; i++) {
		uint64_t before = now();

		ck_assert_int_eq(kickmsg_send(publisher, &i, sizeof i), sizeof i);
		ck_assert_int_eq(kickmsg_try_receive(subscriber, &sample), 0);
		ck_assert_uint_eq(*(const uint64_t *)sample.data, i);
		ck_assert(sample.publish_ns >= before && sample.publish_ns <= now());
		kickmsg_sample_release(&sample);
	}
	teardown();
}
END_TEST

/* A sample keeps its time while others go through the ring; messages wait with theirs. */
START_TEST(held_and_waiting_samples_keep_their_times)
{
	struct kickmsg_sample held, sample;
	uint64_t times[CAPACITY + 1] = { now() };

	setup(_i, 1);
	send(publisher, 64);
	ck_assert_int_eq(kickmsg_try_receive(subscriber, &held), 0);
	const uint64_t publish_ns = held.publish_ns;
	for (int i = 1; i <= CAPACITY; i++) {
		send(publisher, 64);
		times[i] = now();
	}
	for (int i = 1; i <= CAPACITY; i++) {
		borrow(subscriber, &sample);
		ck_assert(sample.publish_ns >= times[i - 1] && sample.publish_ns <= times[i]);
		times[i] = sample.publish_ns;
	}
	ck_assert_uint_eq(held.publish_ns, publish_ns);
	ck_assert_int_eq(kickmsg_sample_release(&held), 0);
	teardown();
}
END_TEST

START_TEST(observers_and_history_see_the_times)
{
	const struct kickmsg_subscribe_options options[] = { { .observe = 1, .history = 2 },
		{ .history = 2 }, { .history = 2, .depth = 1 } };
	struct kickmsg_sample sample, seen;

	setup(KICKMSG_TRANSPORT_SHARED, 1);
	send(publisher, 8);
	send(publisher, 64);
	borrow(subscriber, &sample);
	borrow(subscriber, &sample);
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		struct kickmsg_subscriber *late;

		ck_assert_int_eq(kickmsg_subscribe(client, "t", &options[i], &late), 0);
		if (!options[i].depth)
			borrow(late, &seen);
		borrow(late, &seen);
		ck_assert_uint_eq(seen.publish_ns, sample.publish_ns);
		kickmsg_subscriber_free(late);
	}
	teardown();
}
END_TEST

START_TEST(all_kinds_have_times)
{
	struct kickmsg_sample sample;
	struct kickmsg_publisher *member;
	uint64_t before = now();

	setup(_i, 1);
	ck_assert_int_eq(
		kickmsg_join_broadcast(client, "c", &config, NULL, &member, &subscriber), 0);
	send(member, 10);
	borrow(subscriber, &sample);
	ck_assert_uint_ge(sample.publish_ns, before);
	ck_assert_int_eq(kickmsg_create_mailbox(client, "m", &config, NULL, &subscriber), 0);
	ck_assert_int_eq(kickmsg_open_mailbox(client, "timestamps", "m", &publisher), 0);
	send(publisher, 10);
	borrow(subscriber, &sample);
	ck_assert_uint_ge(sample.publish_ns, before);
	teardown();
}
END_TEST

START_TEST(another_config_is_refused_by_name)
{
	const struct kickmsg_subscribe_options strict = { .strict = 1 };
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_publisher *other;
	struct kickmsg_topic_info info;
	struct kickmsg_topic_sizing sizing;

	setup(_i, 1);
	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), 0);
	ck_assert_uint_eq(info.config.timestamps, 1);
	ck_assert_int_ge(kickmsg_topic_config_check(&config, &sizing), 0);
	ck_assert_uint_eq(sizing.total_bytes, info.total_bytes);
	ck_assert_uint_eq(sizing.config_hash, info.config_hash);
	config.timestamps = 0;
	ck_assert_int_eq(kickmsg_advertise(client, "t", &config, &other), -EEXIST);
	ck_assert(flow_said(client, "timestamps"));
	ck_assert_int_eq(
		kickmsg_subscribe_or_create(client, "t", &config, &strict, &subscriber), -EEXIST);
	ck_assert(flow_said(client, "timestamps"));
	ck_assert_int_eq(kickmsg_advertise_or_join(client, "t", &config, &other), 0);
	ck_assert(flow_said(client, "timestamps"));
	config.timestamps = 2;
	ck_assert_int_eq(kickmsg_advertise(client, "new", &config, &other), -EINVAL);
	ck_assert(flow_said(client, "timestamps is 2; it must be 0 to 1"));
	ck_assert_int_eq(kickmsg_topic_config_check(&config, &sizing), -EINVAL);
	ck_assert_str_eq(sizing.bad_field, "timestamps");
	teardown();
}
END_TEST

/* The next broker's fresh region has them as well, and a loan is published there with a new time. */
START_TEST(rejoined_topic_has_times)
{
	struct kickmsg_sample sample;
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_topic_info info;
	void *payload;

	setup(_i, 1);
	ck_assert_int_eq(kickmsg_loan(publisher, 64, &payload), 0);
	memset(payload, 0, 64);
	memset(data, 0, 64);
	test_broker_kill(&broker);
	test_broker_resume(&broker);
	ck_assert(test_wait_until(kickmsg_client_dispatch(client) >= 0 &&
					  kickmsg_topic_get_info(client, &ref, &info) == 0 &&
					  info.publishers == 1 && info.subscribers == 1,
		FLOW_WAIT_MS));
	ck_assert_uint_eq(info.config.timestamps, 1);
	uint64_t before = now();
	ck_assert_int_ge(kickmsg_publish(publisher, payload, 64), 0);
	ck_assert(test_wait_until(
		kickmsg_receive_into(subscriber, buf, sizeof buf, 0, &sample) == 0, FLOW_WAIT_MS));
	ck_assert(sample.publish_ns >= before && sample.publish_ns <= now());
	ck_assert_mem_eq(buf, data, 64);
	teardown();
}
END_TEST

START_TEST(many_at_a_time_have_times)
{
	struct iovec messages[CAPACITY] = { 0 };
	struct kickmsg_sample samples[CAPACITY];
	uint64_t before = now();

	setup(_i, 1);
	for (int i = 0; i < CAPACITY; i++)
		messages[i] = (struct iovec){ data, i % 2 ? 64 : 1000 };
	ck_assert_int_eq(kickmsg_send_many(publisher, messages, CAPACITY), CAPACITY);
	ck_assert_int_eq(kickmsg_receive_many(subscriber, 0, samples, CAPACITY), CAPACITY);
	for (int i = 0; i < CAPACITY; i++) {
		ck_assert(samples[i].publish_ns >= before && samples[i].publish_ns <= now());
		before = samples[i].publish_ns;
	}
	ck_assert_int_eq(kickmsg_release_many(samples, CAPACITY), CAPACITY);
	teardown();
}
END_TEST

/* A time is its publisher's data, and nothing believes it. */
START_TEST(hostile_time_is_handed_on)
{
	struct kickmsg_sample sample;
	void *payload;

	setup(KICKMSG_TRANSPORT_RINGS, (uint32_t)_i);
	ck_assert_int_eq(kickmsg_loan(publisher, 8, &payload), 0);
	ck_assert_int_ge(kickmsg_publish(publisher, payload, 8), 1);
	((uint64_t *)payload)[-7] = UINT64_MAX; /* km_sample_header.publish_ns */
	ck_assert_int_eq(kickmsg_try_receive(subscriber, &sample), 0);
	ck_assert_uint_eq(sample.publish_ns, UINT64_MAX);
	ck_assert_uint_eq(sample.publisher_sequence, 1);
	ck_assert_uint_eq(sample.len, 8);
	ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
	ck_assert(flow_is_healthy("t"));
	teardown();
}
END_TEST

/* A message that is too long for the buffer stays; the rest is as kickmsg_receive_copy() has it. */
START_TEST(receive_into_errors_and_waits)
{
	struct kickmsg_sample sample;

	setup(_i, 1);
	ck_assert_int_eq(kickmsg_receive_into(subscriber, buf, 64, 0, &sample), -EAGAIN);
	ck_assert_int_eq(kickmsg_receive_into(subscriber, buf, 64, 1000, &sample), -ETIMEDOUT);
	send(publisher, 65);
	ck_assert_int_eq(kickmsg_receive_into(subscriber, buf, 64, -1, &sample), -EMSGSIZE);
	ck_assert_int_eq(kickmsg_receive_into(subscriber, buf, 65, -1, &sample), 0);
	ck_assert_uint_eq(sample.len, 65);
	ck_assert_uint_ne(sample.publish_ns, 0);
	send(publisher, 65);
	ck_assert_int_eq(kickmsg_receive_copy(subscriber, NULL, 0, 0), -EMSGSIZE);
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flow-timestamps");
	TCase *each = tcase_create("timestamps");

	tcase_set_timeout(each, 60);
	tcase_add_loop_test(each, on_each_way_between_before_and_after, 0, 2);
	tcase_add_loop_test(each, off_each_way_0, 0, 2);
	tcase_add_loop_test(each, small_payloads_have_their_own_time, 0, 2);
	tcase_add_loop_test(each, held_and_waiting_samples_keep_their_times, 0, 2);
	tcase_add_test(each, observers_and_history_see_the_times);
	tcase_add_loop_test(each, all_kinds_have_times, 0, 2);
	tcase_add_loop_test(each, another_config_is_refused_by_name, 0, 2);
	tcase_add_loop_test(each, rejoined_topic_has_times, 0, 2);
	tcase_add_loop_test(each, many_at_a_time_have_times, 0, 2);
	tcase_add_loop_test(each, hostile_time_is_handed_on, 0, 2);
	tcase_add_loop_test(each, receive_into_errors_and_waits, 0, 2);
	suite_add_tcase(suite, each);
	return flow_main(suite);
}
