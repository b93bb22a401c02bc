/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker that is killed with nobody to keep what it had, and one that comes after it on the same
 * socket: clients go on, come back, and know to the message what they missed. The index of a case
 * is the transport.
 *
 * The file is long because each state that a broker's death can meet has a case, over one fixture.
 */
#include <sys/socket.h>

#include "libclient/handle/handle.h"
#include "tests/support/broker/told.h"

static void setup(void)
{
	test_broker_start(&broker, "[limits]\nendpoints = 64\n");
}

static void teardown(void)
{
	flow_stop();
}

/* Mappings of a publisher's and a subscriber's topic in this process. */
static size_t maps_of_pair(int transport)
{
	return transport == KICKMSG_TRANSPORT_SHARED ? 6 : 4;
}

START_TEST(events_come_in_order_and_handles_stay)
{
	struct kickmsg_client *client = told_client("told");
	struct kickmsg_publisher *publisher = flow_advertise(client, TOPIC, over(_i));
	struct kickmsg_subscriber *subscriber = flow_subscribe(client, TOPIC);
	struct kickmsg_sample sample;
	uint64_t position = 0;
	int fd = kickmsg_client_get_fd(client);

	test_broker_kill(&broker);
	dispatch_until(client, 1);
	ck_assert_str_eq(told.text, "d");
	ck_assert_int_eq(kickmsg_client_dispatch(client), -ENOTCONN);
	for (int i = 0; i < 10; i++) { /* messages need no broker */
		flow_send_int(publisher, i);
		ck_assert_int_eq(kickmsg_try_receive(subscriber, &sample), 0);
		position = sample.ring_pos;
		ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
	}
	flow_send_int(publisher, 10);
	test_broker_resume(&broker);
	dispatch_until(client, 4);
	ck_assert_str_eq(told.text, "drJJ");
	ck_assert_str_eq(told.topic, TOPIC);
	for (int i = 11; i < 20; i++)
		flow_send_int(publisher, i);
	for (int i = 10; i < 20; i++) {
		ck_assert_int_eq(kickmsg_try_receive(subscriber, &sample), 0);
		ck_assert_int_eq(*(const int *)sample.data, i);
		ck_assert_uint_eq(sample.publisher_sequence, (unsigned)i + 1);
		ck_assert_uint_eq(sample.ring_pos, ++position);
		ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
	}
	ck_assert_uint_eq(kickmsg_subscriber_lost(subscriber), 0);
	struct kickmsg_subscriber_stats stats;
	struct kickmsg_publisher_stats sent;
	kickmsg_subscriber_get_stats(subscriber, &stats);
	kickmsg_publisher_get_stats(publisher, &sent);
	ck_assert_uint_eq(stats.received, 20);
	ck_assert_uint_eq(sent.sent, 20);
	ck_assert_uint_eq(sent.bytes, 20 * sizeof(int));
	ck_assert_int_eq(kickmsg_client_get_fd(client), fd);
	ck_assert_uint_eq(flow_health(TOPIC).publishers, 1);
	kickmsg_client_free(client);
}
END_TEST

/* The first client that comes back makes the topic as it was. */
START_TEST(topic_is_made_as_it_was)
{
	struct kickmsg_client *client = told_client("shape");
	struct kickmsg_schema schema = { .version = 7 }, kept;
	struct kickmsg_topic_ref ref = { .name = "shape/x" };
	struct kickmsg_topic_info before, after;
	struct kickmsg_topic_config config;

	config = *over(_i);
	config.ring_capacity = 8;
	config.linger_ns = 5000000000;
	struct kickmsg_publisher *publisher = flow_advertise(client, "shape/x", &config);
	kickmsg_subscriber_free(flow_subscribe(client, "shape/x"));
	struct kickmsg_subscriber *subscriber = flow_subscribe(client, "shape/x");
	ck_assert_int_eq(kickmsg_claim_schema(client, &ref, &schema, &kept), 0);
	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &before), 0);
	/* the subscriber has to know by itself what it missed */
	kickmsg_publisher_free(publisher);
	restart();
	dispatch_until(client, 3);
	ck_assert_str_eq(told.text, "drJ");
	ck_assert_str_eq(told.topic, "shape/x");
	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &after), 0);
	ck_assert_uint_eq(after.config_hash, before.config_hash);
	ck_assert_str_eq(after.name, before.name);
	ck_assert_int_eq(kickmsg_topic_schema(client, &ref, &kept), 0);
	ck_assert_uint_eq(kept.version, 7);
	kickmsg_subscriber_free(subscriber);
	kickmsg_client_free(client);
}
END_TEST

START_TEST(loans_and_samples_that_are_out_stay_good)
{
	struct kickmsg_client *client = told_client("out");
	struct kickmsg_publisher *publisher = flow_advertise(client, TOPIC, over(_i));
	struct kickmsg_subscriber *subscriber = flow_subscribe(client, TOPIC);
	struct kickmsg_topic_sizing sizing;
	struct kickmsg_sample samples[3];
	void *loans[2], *loan;

	for (int i = 0; i < 3; i++) {
		flow_send_int(publisher, i);
		ck_assert_int_eq(kickmsg_try_receive(subscriber, &samples[i]), 0);
	}
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(kickmsg_loan(publisher, 100, &loans[i]), 0);
	memset(loans[0], 'x', 100);
	ck_assert_int_eq(kickmsg_sample_release(&samples[1]), 0);
	restart();
	dispatch_until(client, 4);
	for (int i = 0; i < 100; i++) { /* past everything */
		flow_send_int(publisher, 100 + i);
		ck_assert_int_eq(flow_receive_int(subscriber), 100 + i);
	}
	ck_assert_int_eq(kickmsg_sample_is_held(&samples[0]), 1);
	ck_assert_int_eq(kickmsg_sample_is_held(&samples[1]), 0);
	ck_assert_int_eq(*(const int *)samples[0].data, 0);
	ck_assert_int_eq(*(const int *)samples[2].data, 2);
	ck_assert_int_eq(kickmsg_publish(publisher, loans[0], 101), -EMSGSIZE);
	ck_assert_int_eq(kickmsg_publish(publisher, loans[0], 100), 1);
	ck_assert_int_eq(kickmsg_try_receive(subscriber, &samples[1]), 0);
	ck_assert_uint_eq(samples[1].len, 100);
	ck_assert_int_eq(*(const char *)samples[1].data, 'x');
	ck_assert_int_eq(kickmsg_publish(publisher, loans[0], 100), -EINVAL);
	ck_assert_int_eq(kickmsg_loan(publisher, 1, &loan), 0);
	ck_assert_int_eq(kickmsg_discard(publisher, loan), 0);
	/* what is out keeps the old region; then it goes */
	ck_assert_uint_gt(test_map_count(getpid(), "/kickmsg_t"), maps_of_pair(_i));
	ck_assert_int_eq(kickmsg_discard(publisher, loans[1]), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(kickmsg_sample_release(&samples[i]), 0);
	ck_assert_int_eq(kickmsg_sample_release(&samples[0]), -EINVAL);
	ck_assert_uint_eq(test_map_count(getpid(), "/kickmsg_t"), maps_of_pair(_i));
	ck_assert_uint_eq(kickmsg_subscriber_lost(subscriber), 0);
	ck_assert(flow_is_healthy(TOPIC));
	/* a loan that goes over is sent as send() sends it: in a shared ring it needs no slot */
	kickmsg_topic_config_check(over(_i), &sizing);
	ck_assert_uint_eq(flow_health(TOPIC).slots_free, sizing.needed_pool);
	kickmsg_client_free(client);
}
END_TEST

START_TEST(mailbox_and_broadcast_come_back)
{
	struct kickmsg_subscribe_options options = { .skip_own = 1 };
	struct kickmsg_client *other = flow_client("other"), *client = told_client("owner");
	struct kickmsg_publisher *publisher, *post, *theirs;
	struct kickmsg_subscriber *subscriber, *box, *ears;

	ck_assert_int_eq(
		kickmsg_join_broadcast(client, "c", over(_i), &options, &publisher, &subscriber),
		0);
	ck_assert_int_eq(kickmsg_join_broadcast(other, "c", over(_i), NULL, &theirs, &ears), 0);
	ck_assert_int_eq(kickmsg_create_mailbox(client, "box", over(_i), NULL, &box), 0);
	ck_assert_int_eq(kickmsg_open_mailbox(other, "owner", "box", &post), 0);
	for (int i = 0; i < 3; i++) {
		restart();
		dispatch_until(client, 5 * ((unsigned)i + 1));
		/* a client that may not make the mailbox comes back when it is there again */
		ck_assert(test_wait_until((kickmsg_client_dispatch(other), flow_send_int(post, i),
						  flow_receive_int(box) == i),
			FLOW_WAIT_MS));
		ck_assert(test_wait_until(
			(kickmsg_client_dispatch(other), flow_send_int(publisher, 100 + i),
				flow_receive_int(ears) == 100 + i),
			FLOW_WAIT_MS));
		while (flow_receive_int(ears) >= 0 || flow_receive_int(box) >= 0)
			;
		ck_assert_int_eq(flow_receive_int(subscriber), -EAGAIN);
		flow_send_int(theirs, 200 + i);
		ck_assert_int_eq(flow_receive_int(subscriber), 200 + i);
		ck_assert_uint_eq(kickmsg_subscriber_lost(subscriber), 0);
	}
	ck_assert_str_eq(told.text, "drJJJdrJJJdrJJJ");
	kickmsg_client_free(client);
	kickmsg_client_free(other);
}
END_TEST

/* A broker that lets in less than before says so; it is tried again. */
START_TEST(refused_is_told_and_tried_again)
{
	struct kickmsg_client *client = told_client("refused");
	struct kickmsg_publisher *publisher = flow_advertise(client, TOPIC, over(_i));
	struct kickmsg_subscriber *subscriber = flow_subscribe(client, TOPIC);

	test_broker_kill(&broker);
	FILE *file = fopen(broker.config, "we");
	ck_assert(file && fputs("[limits]\nendpoints = 1\n", file) > 0 && fclose(file) == 0);
	test_broker_resume(&broker);
	dispatch_until(client, 4);
	ck_assert(strcmp(told.text, "drJF") == 0 || strcmp(told.text, "drFJ") == 0);
	ck_assert_int_eq(told.error, -EDQUOT);
	ck_assert(strstr(told.words, "the limit of 1 endpoints") != NULL);
	/* an equal refusal isn't told again, and harms nobody */
	for (int i = 0; i < 100; i++) {
		ck_assert_int_ge(kickmsg_client_dispatch(client), 0);
		flow_send_int(publisher, i);
		test_nap();
	}
	ck_assert_uint_eq(told.count, 4);
	kickmsg_subscriber_free(subscriber);
	dispatch_until(client, 5 - (told.text[3] == 'J'));
	kickmsg_publisher_free(publisher);
	kickmsg_client_free(client);
}
END_TEST

START_TEST(control_calls_find_the_way_back)
{
	struct kickmsg_client *client = flow_client("calls"), *other;
	struct kickmsg_publisher *publisher = flow_advertise(client, TOPIC, NULL), *more;
	struct kickmsg_subscriber *subscriber, *waiting;
	struct kickmsg_subscribe_options options = { .wait_ns = UINT64_MAX };

	test_broker_kill(&broker);
	ck_assert_int_eq(kickmsg_subscribe(client, TOPIC, NULL, &subscriber), -ENOTCONN);
	ck_assert(flow_said(client, "closed the connection"));
	ck_assert_int_eq(kickmsg_advertise(client, "more", NULL, &more), -ENOTCONN);
	test_broker_resume(&broker);
	/* no dispatch: the call itself connects */
	more = flow_advertise(client, "more", NULL);
	ck_assert(test_wait_until(
		kickmsg_subscribe(client, TOPIC, NULL, &subscriber) == 0, FLOW_WAIT_MS));
	flow_send_int(publisher, 1);
	ck_assert_int_eq(flow_receive_int(subscriber), 1);
	/* words about endpoints of the connection before aren't said to the new broker, for which
	 * they would be others' endpoints */
	kickmsg_publisher_free(publisher);
	kickmsg_publisher_free(more);
	flow_send_int(publisher = flow_advertise(client, TOPIC, NULL), 2);
	ck_assert_int_eq(flow_receive_int(subscriber), 2);
	/* a client that waits for a topic waits through the broker's death */
	pid_t child = fork();
	if (child == 0) {
		test_nap();
		other = flow_client("waits");
		_exit(kickmsg_subscribe(other, "later", &options, &waiting) != 0 ||
			flow_receive_int(waiting) < -EAGAIN);
	}
	for (int i = 0; i < 3; i++) {
		for (int k = 0; k < 100; k++)
			test_nap();
		ck_assert_int_eq(waitpid(child, NULL, WNOHANG), 0);
		restart();
	}
	ck_assert(test_wait_until(
		kickmsg_advertise(client, "later", NULL, &more) == 0, FLOW_WAIT_MS));
	int status;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	kickmsg_client_free(client);
}
END_TEST

/* --- nobody dispatches ----------------------------------------------------------------- */

/* A child that does nothing but sleep in a receive until it gets this. */
#define LAST 1000000

static pid_t start_sleeper(void)
{
	int ready[2];
	char byte;

	ck_assert_int_eq(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0) {
		struct kickmsg_client *client = flow_client("sleeper");
		struct kickmsg_subscriber *subscriber = flow_subscribe(client, TOPIC);
		int value = 0;

		if (write(ready[1], "x", 1) != 1)
			_exit(3);
		while (value != LAST)
			if (kickmsg_receive_copy(subscriber, &value, sizeof value, -1) !=
				sizeof value)
				_exit(4);
		kickmsg_client_free(client);
		_exit(0);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return child;
}

static void end_sleeper(pid_t child, struct kickmsg_publisher *publisher)
{
	int status;

	/* what is sent before the publisher has heard of its place is lost, and counted */
	ck_assert(test_wait_until(
		(flow_send_int(publisher, LAST), waitpid(child, &status, WNOHANG) == child),
		FLOW_WAIT_MS));
	ck_assert_int_eq(status, 0);
}

START_TEST(sleeper_comes_back_alone)
{
	struct kickmsg_client *maker = flow_client("maker"), *client;
	flow_advertise(maker, TOPIC, over(_i));
	pid_t child = start_sleeper();

	/* a participant that leaves in good order doesn't wake the sleeper either */
	ck_assert(test_wait_until(has_all(maker, 1, 1), FLOW_WAIT_MS));
	test_broker_kill(&broker);
	kickmsg_client_free(maker);
	for (int i = 0; i < 3; i++) {
		test_broker_resume(&broker);
		client = flow_client("looks");
		ck_assert(test_wait_until(has_all(client, 0, 1), FLOW_WAIT_MS));
		if (i < 2)
			test_broker_kill(&broker);
		else
			end_sleeper(child, flow_advertise(client, TOPIC, over(_i)));
		kickmsg_client_free(client);
	}
}
END_TEST

START_TEST(publisher_that_only_sends_comes_back)
{
	struct kickmsg_client *client = flow_client("sends"), *looks = flow_client("looks");
	struct kickmsg_publisher *publisher = flow_advertise(client, TOPIC, over(_i));
	pid_t child = start_sleeper();

	for (int i = 0; i < 3; i++) {
		restart();
		ck_assert(test_wait_until(
			(flow_send_int(publisher, i), has_all(looks, 1, 1)), FLOW_WAIT_MS));
	}
	end_sleeper(child, publisher);
	kickmsg_client_free(client);
	kickmsg_client_free(looks);
}
END_TEST

/* Writes into `live` that a ring is live which the broker didn't open. */
static bool spoil(_Atomic uint64_t *live)
{
	*live |= 1 << 15;
	return true;
}

/* A client was hung up on, and its topic has lost its name meanwhile, so the client gets a fresh
 * region. It says in the old region that it has left. The broker, which has both regions, doesn't
 * take that for damage. */
START_TEST(unlinked_topic_is_left_whole)
{
	struct kickmsg_client *client = told_client("client"), *other = flow_client("other");
	struct kickmsg_publisher *theirs = flow_advertise(other, TOPIC, over(_i));
	struct kickmsg_publisher *more = flow_advertise(other, TOPIC, over(_i));
	struct kickmsg_subscriber *ears = flow_subscribe(other, TOPIC);
	struct kickmsg_publisher *publisher = flow_advertise(client, TOPIC, over(_i));
	struct kickmsg_subscriber *subscriber = flow_subscribe(client, TOPIC);
	_Atomic uint64_t *live =
		&((struct km_control_header *)theirs->handle.place.region.header)->live;

	ck_assert_int_eq(shutdown(client->socket, SHUT_RDWR), 0);
	ck_assert_int_eq(kickmsg_unlink_topic(other, TOPIC), 0);
	flow_send_int(theirs, 1);
	dispatch_until(client, 4);
	ck_assert_str_eq(told.text, "drJJ");
	ck_assert(*live & KM_LIVE_LEFT);
	ck_assert_int_eq(flow_receive_int(subscriber), 1);
	flow_send_int(publisher, 2);
	ck_assert_int_eq(flow_receive_int(subscriber), 2);
	/* a pass over the old region */
	kickmsg_publisher_free(more);
	flow_send_int(theirs, 3);
	ck_assert_int_eq(flow_receive_int(ears), 1);
	ck_assert_int_eq(flow_receive_int(ears), 3);
	ck_assert_int_eq(flow_receive_int(subscriber), -EAGAIN);
	ck_assert_uint_eq(kickmsg_subscriber_lost(subscriber), 1);
	ck_assert(!test_broker_logged(&broker, "quarantine"));
	/* A ring that is live without the broker's doing is damage for a pass that begins. A pass
	 * that is under way closes it. */
	spoil(live);
	kickmsg_subscriber_free(ears);
	ck_assert(test_wait_until(
		spoil(live) && kickmsg_send(theirs, "x", 1) == -ESTALE, FLOW_WAIT_MS));
	ck_assert(test_wait_until(
		test_broker_logged(&broker, "live rings is not what the broker wrote"),
		FLOW_WAIT_MS));
	kickmsg_client_free(other);
	kickmsg_client_free(client);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reconnect");
	TCase *tcase = tcase_create("reconnect");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 100);
	tcase_add_loop_test(tcase, events_come_in_order_and_handles_stay, 0, 2);
	tcase_add_loop_test(tcase, topic_is_made_as_it_was, 0, 2);
	tcase_add_loop_test(tcase, loans_and_samples_that_are_out_stay_good, 0, 2);
	tcase_add_loop_test(tcase, mailbox_and_broadcast_come_back, 0, 2);
	tcase_add_loop_test(tcase, refused_is_told_and_tried_again, 0, 2);
	tcase_add_test(tcase, control_calls_find_the_way_back);
	tcase_add_loop_test(tcase, sleeper_comes_back_alone, 0, 2);
	tcase_add_loop_test(tcase, publisher_that_only_sends_comes_back, 0, 2);
	tcase_add_loop_test(tcase, unlinked_topic_is_left_whole, 0, 2);
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
