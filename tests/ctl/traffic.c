/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsgctl's verbs on messages: pub, echo's forms, hz, bw, delay. The tests' index is the transport. */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/support/broker/ctl.h"
#include "tests/support/broker/pty.h"

#define WORDS(...)                                                                                 \
	(const char *[])                                                                           \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

static struct pty pty;
static struct kickmsg_topic_config config;
static atomic_bool stop_sending;

static void begin(int transport)
{
	test_broker_start(&broker, NULL);
	client = flow_client("worker");
	kickmsg_topic_config_init(&config);
	config.transport = (uint32_t)transport;
	config.max_payload_size = 1000;
}

/* In shell commands `ctl` is kickmsgctl at this broker. */
static void shell(int status, const char *script)
{
	const char *program = getenv("KICKMSGCTL");
	static char whole[4096];
	const char *argv[] = { "/bin/bash", "-c", whole, NULL };

	snprintf(whole, sizeof whole,
		"set -o pipefail; cd '%s'; ctl() { '%s' --socket '%s' \"$@\"; }; %s", broker.dir,
		program ? program : TEST_KICKMSGCTL, broker.socket, script);
	int r = test_run(argv, output, sizeof output);
	ck_assert_msg(r == status, "%s ended with %d, not %d: %s", script, r, status, output);
}

/* Checks that the subscriber's next message is this one. */
static void got(struct kickmsg_subscriber *from, const void *data, size_t len)
{
	struct kickmsg_sample sample;

	ck_assert_int_eq(kickmsg_receive(from, (int64_t)FLOW_WAIT_MS * 1000000, &sample), 0);
	ck_assert_uint_eq(sample.len, len);
	ck_assert_mem_eq(sample.data, data, len);
	ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
}

static void got_no_more(struct kickmsg_subscriber *from)
{
	struct kickmsg_sample sample;

	ck_assert_int_eq(kickmsg_try_receive(from, &sample), -EAGAIN);
}

START_TEST(pub_publishes_what_it_is_given)
{
	unsigned char pattern[300];
	struct kickmsg_subscriber *sub;

	begin(_i);
	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (unsigned char)i;
	flow_advertise(client, "p", &config);
	sub = flow_subscribe(client, "p");
	expect(0, "pub", "p", "hello", NULL);
	says("published 1 messages, 5 bytes, to kickmsg:p\n");
	got(sub, "hello", 5);
	expect(0, "pub", "p", "", "-n", "2", NULL);
	got(sub, "", 0);
	got(sub, "", 0);
	expect(0, "pub", "p", "--size", "300", "-n", "3", "--rate", "1000", NULL);
	for (int i = 0; i < 3; i++)
		got(sub, pattern, 300);
	shell(0, "printf 'a\\n\\nlast' | ctl pub p --stdin-lines");
	got(sub, "a", 1);
	got(sub, "", 0);
	got(sub, "last", 4);
	shell(0, "printf 'a\\0b\\n' >file; ctl pub p --file file; ctl pub p -f - <file; rm file");
	got(sub, "a\0b\n", 4);
	got(sub, "a\0b\n", 4);
	got_no_more(sub);
	/* pub fits a topic that it makes to its first message; --max-payload leaves room for
	 * longer ones */
	expect(0, "pub", "fresh", "--size", "5K", "--max-payload", "8K", NULL);
	stop();
}
END_TEST

START_TEST(pub_says_what_is_wrong)
{
	begin(KICKMSG_TRANSPORT_RINGS);
	flow_advertise(client, "p", &config);
	expect(1, "pub", "p", "--size", "1001", NULL);
	says("a message of 1001 bytes is too long for it");
	expect(1, "pub", "p", "--file", "/nonexistent/file", NULL);
	says("/nonexistent/file: No such file");
	shell(1, "printf '\\5\\0\\0\\0abc' | ctl pub p --stdin-frames");
	says("standard input ends within a frame");
	shell(1, "printf 'hello world' | ctl pub p --stdin-frames");
	says("standard input isn't frames");
	shell(1, "printf 'ab' | ctl pub p --stdin-frames");
	shell(0, "ctl pub p --stdin-frames </dev/null");
	expect(1, "pub", "mailbox:kickmsg:nobody:tag", "x", NULL);
	says("there is no mailbox");
	static const char *const wrong[][4] = { { "p" }, { "p", "x", "--stdin-lines" },
		{ "p", "x", "--rate", "0" }, { "p", "x", "--rate", "many" }, { "p", "--size", "0" },
		{ "p", "--size", "1T" }, { "p", "--size", "1025M" }, { "p", "x", "y" },
		{ "p", "x", "--hex" } };
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		expect(2, "pub", wrong[i][0], wrong[i][1], wrong[i][2], wrong[i][3], NULL);
	stop();
}
END_TEST

START_TEST(pub_of_each_kind_reaches_its_subscribers)
{
	struct kickmsg_publisher *pub;
	struct kickmsg_subscriber *channel, *mailbox;

	begin(_i);
	ck_assert_int_eq(kickmsg_join_broadcast(client, "c", &config, NULL, &pub, &channel), 0);
	ck_assert_int_eq(kickmsg_create_mailbox(client, "m", NULL, NULL, &mailbox), 0);
	expect(0, "pub", "channel:kickmsg:c", "one", NULL);
	got(channel, "one", 3);
	expect(0, "pub", "mailbox:kickmsg:worker:m", "two", NULL);
	got(mailbox, "two", 3);
	stop();
}
END_TEST

START_TEST(pub_waits_for_subscribers)
{
	const char *program = getenv("KICKMSGCTL");

	begin(KICKMSG_TRANSPORT_RINGS);
	flow_advertise(client, "p", &config);
	pty_start(&pty, 24, 80,
		WORDS(program ? program : TEST_KICKMSGCTL, "--socket", broker.socket, "pub", "p",
			"late", "--wait-subscribers", "1"),
		NULL);
	got(flow_subscribe(client, "p"), "late", 4);
	ck_assert_int_eq(pty_end(&pty), 0);
	stop();
}
END_TEST

START_TEST(frames_carry_any_bytes)
{
	unsigned char bytes[4][256];
	struct kickmsg_subscriber *to;
	struct kickmsg_publisher *from;

	begin(KICKMSG_TRANSPORT_SHARED);
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i / 256][i % 256] = (unsigned char)(i * 7 + i / 256);
	from = flow_advertise(client, "a", &config);
	flow_advertise(client, "b", &config);
	to = flow_subscribe(client, "b");
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_ge(kickmsg_send(from, bytes[i], i == 2 ? 0 : 256 - i), 0);
	shell(0, "ctl echo a --history 4 -n 4 --raw-frames | ctl pub b --stdin-frames");
	for (size_t i = 0; i < 4; i++)
		got(to, bytes[i], i == 2 ? 0 : 256 - i);
	got_no_more(to);
	stop();
}
END_TEST

START_TEST(echo_has_forms_for_bytes)
{
	struct kickmsg_publisher *pub;

	begin(KICKMSG_TRANSPORT_SHARED);
	pub = flow_advertise(client, "e", &config);
	ck_assert_int_ge(kickmsg_send(pub, "0123456789abcdefXYZ\377", 20), 0);
	expect(0, "echo", "e", "--history", "1", "-n", "1", "--hex", NULL);
	says("  00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n"
	     "  00000010  58 59 5a ff                                       |XYZ.|\n");
	expect(0, "echo", "e", "--history", "1", "-n", "1", "--base64", NULL);
	says("len=20 MDEyMzQ1Njc4OWFiY2RlZlhZWv8=\n");
	expect(0, "echo", "e", "--history", "1", "-n", "1", "--truncate", "4", NULL);
	says("len=20 0123... 16 bytes more");
	expect(0, "echo", "e", "--history", "1", "-n", "1", "--truncate", "4", "--hex", NULL);
	says("|0123|\n  ... 16 bytes more");
	shell(0, "ctl echo e --history 1 -n 1 --json --base64 2>/dev/null");
	struct json_object *object = json_tokener_parse(output);
	ck_assert_str_eq(text(object, "base64"), "MDEyMzQ1Njc4OWFiY2RlZlhZWv8=");
	ck_assert_int_gt(number(object, "received_realtime_ns"), 0);
	json_object_put(object);
	expect(1, "echo", "e", "--timeout", "0.02", NULL);
	says("no message came in 0.02 s");
	expect(2, "echo", "e", "--hex", "--base64", NULL);
	expect(2, "echo", "e", "--raw-frames", "--json", NULL);
	stop();
}
END_TEST

START_TEST(echo_leaves_places_and_waits_for_a_topic)
{
	const char *program = getenv("KICKMSGCTL");

	begin(KICKMSG_TRANSPORT_RINGS);
	config.max_subscribers = 2;
	flow_advertise(client, "few", &config);
	expect(1, "echo", "few", "--spare-places", "2", NULL);
	says("0 of 2 places for subscribers are taken, and 2 are to be left");
	expect(1, "echo", "few", "--spare-places", "1", "--timeout", "0.02", NULL);
	says("no message came");
	expect(1, "echo", "few", "--history", "1", NULL);
	pty_start(&pty, 24, 80,
		WORDS(program ? program : TEST_KICKMSGCTL, "--socket", broker.socket, "echo",
			"later", "--wait", "-n", "1"),
		NULL);
	struct kickmsg_publisher *pub = flow_advertise(client, "later", &config);
	ck_assert_int_eq(kickmsg_publisher_wait_matched(pub, 1, INT64_C(10000000000)), 0);
	ck_assert_int_eq(kickmsg_send(pub, "there", 5), 5);
	ck_assert_int_eq(pty_end(&pty), 0);
	ck_assert_ptr_nonnull(strstr(pty.shown, "len=5 there"));
	stop();
}
END_TEST

static void *keep_sending(void *userdata)
{
	const struct timespec pause = { 0, 1000000 };

	while (!atomic_load(&stop_sending)) {
		ck_assert_int_ge(kickmsg_send(userdata, "0123456789", 10), 0);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

/* The participants of "e" are the test's own client. */
static void nobody_else_is_there(void)
{
	struct kickmsg_topic_ref ref = { .name = "e" };
	struct kickmsg_participant people[4];
	uint64_t cursor = 0;

	ck_assert_int_eq(kickmsg_topic_participants(client, &ref, &cursor, people, 4), 1);
}

START_TEST(hz_and_bw_measure)
{
	const char *program = getenv("KICKMSGCTL");
	pthread_t thread;

	begin(_i);
	struct kickmsg_publisher *pub = flow_advertise(client, "e", &config);
	atomic_store(&stop_sending, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, keep_sending, pub), 0);

	struct json_object *root = json(0, "hz", "e", "-n", "20", NULL);
	struct json_object *topic = at(root, "topics", 0);
	ck_assert_int_ge(number(topic, "messages"), 20);
	ck_assert(json_object_get_double(get(topic, "messages_per_s")) > 0);
	ck_assert_int_eq(json_object_object_get_ex(topic, "between_p99_ns", NULL),
		_i == KICKMSG_TRANSPORT_SHARED);
	json_object_put(root);
	/* the end of the reader ends only its own echo, whose place is free by now */
	nobody_else_is_there();
	if (_i == KICKMSG_TRANSPORT_RINGS) {
		expect(0, "bw", "e", "-n", "5", NULL);
		says("B/s\nsize: mean 10\n");
	}
	root = json(0, "bw", "e", "-n", "5", NULL);
	topic = at(root, "topics", 0);
	ck_assert_int_eq(number(topic, "bytes"), 10 * number(topic, "messages"));
	ck_assert(json_object_get_double(get(topic, "bytes_per_s")) > 0);
	json_object_put(root);
	nobody_else_is_there();
	expect(0, "bw", "e", "-n", "5", "--subscribe", NULL);
	says("kickmsg:e: 5 messages in ");
	says("size: min 10, mean 10, max 10\n");
	expect(0, "hz", "e", "-n", "5", "--subscribe", NULL);
	says("between messages: min ");
	/* at a terminal: progress, and a summary at Ctrl-C */
	pty_start(&pty, 24, 80,
		WORDS(program ? program : TEST_KICKMSGCTL, "--socket", broker.socket, "hz", "e",
			"--subscribe"),
		NULL);
	pty_wait(&pty, 0, "/s  ");
	pty_type(&pty, "\003");
	ck_assert_int_eq(pty_end(&pty), 0);
	ck_assert_ptr_nonnull(strstr(pty.shown, "between messages: min "));
	ck_assert_ptr_nonnull(strstr(pty.shown, "####"));
	atomic_store(&stop_sending, true);
	pthread_join(thread, NULL);
	expect(1, "hz", "e", "--timeout", "0.05", NULL);
	says("0 messages in");
	expect(1, "hz", "nowhere", NULL);
	stop();
}
END_TEST

START_TEST(delay_measures_from_publishing)
{
	const char *program = getenv("KICKMSGCTL");
	pthread_t thread;

	begin(_i);
	flow_advertise(client, "plain", &config);
	expect(1, "delay", "plain", NULL);
	says("pub --timestamps");
	config.timestamps = 1;
	struct kickmsg_publisher *pub = flow_advertise(client, "e", &config);
	atomic_store(&stop_sending, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, keep_sending, pub), 0);

	struct json_object *root = json(0, "delay", "e", "-n", "20", NULL);
	struct json_object *topic = at(root, "topics", 0);
	ck_assert_int_eq(number(topic, "messages"), 20);
	ck_assert_int_eq(number(topic, "timeless"), 0);
	ck_assert_int_gt(number(topic, "delay_min_ns"), 0);
	ck_assert_int_ge(number(topic, "delay_p50_ns"), number(topic, "delay_min_ns"));
	ck_assert_int_ge(number(topic, "delay_max_ns"), number(topic, "delay_p99_ns"));
	json_object_put(root);
	nobody_else_is_there();
	expect(0, "delay", "e", "-n", "5", NULL);
	says("kickmsg:e: 5 messages in ");
	says("delay: min ");
	expect(1, "delay", "e", "-n", "5", "--spare-places", "100000", NULL);
	says("places for subscribers are taken");
	/* at a terminal: progress, and a summary at Ctrl-C */
	pty_start(&pty, 24, 80,
		WORDS(program ? program : TEST_KICKMSGCTL, "--socket", broker.socket, "delay", "e"),
		NULL);
	pty_wait(&pty, 0, "us, max ");
	pty_type(&pty, "\003");
	ck_assert_int_eq(pty_end(&pty), 0);
	ck_assert_ptr_nonnull(strstr(pty.shown, "delay: min "));
	ck_assert_ptr_nonnull(strstr(pty.shown, "####"));
	/* echo prints times */
	expect(0, "echo", "e", "-n", "1", "--json", NULL);
	says("\"publish_ns\":");
	says("\"published_realtime_ns\":");
	root = json(0, "info", "e", NULL);
	ck_assert(json_object_get_boolean(get(at(root, "topics", 0), "timestamps")));
	json_object_put(root);
	atomic_store(&stop_sending, true);
	pthread_join(thread, NULL);
	expect(1, "delay", "e", "--timeout", "0.05", NULL);
	says("0 messages in");
	stop();
}
END_TEST

START_TEST(pub_makes_topics_with_timestamps)
{
	const char *program = getenv("KICKMSGCTL");
	const struct kickmsg_subscribe_options waits = { .wait_ns = UINT64_MAX };
	struct kickmsg_sample sample;

	begin(KICKMSG_TRANSPORT_RINGS);
	pty_start(&pty, 24, 80,
		WORDS(program ? program : TEST_KICKMSGCTL, "--socket", broker.socket, "pub", "made",
			"text", "--timestamps", "--wait-subscribers", "1"),
		NULL);
	ck_assert_int_eq(kickmsg_subscribe(client, "made", &waits, &subscriber), 0);
	ck_assert_int_eq(kickmsg_receive(subscriber, -1, &sample), 0);
	ck_assert_uint_gt(sample.publish_ns, 0);
	ck_assert_int_eq(pty_end(&pty), 0);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl-traffic");
	TCase *tc = tcase_create("ctl-traffic");
	const int end = KICKMSG_TRANSPORT_SHARED + 1;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, pub_publishes_what_it_is_given, 0, end);
	tcase_add_test(tc, pub_says_what_is_wrong);
	tcase_add_loop_test(tc, pub_of_each_kind_reaches_its_subscribers, 0, end);
	tcase_add_test(tc, pub_waits_for_subscribers);
	tcase_add_test(tc, pub_makes_topics_with_timestamps);
	tcase_add_test(tc, frames_carry_any_bytes);
	tcase_add_test(tc, echo_has_forms_for_bytes);
	tcase_add_test(tc, echo_leaves_places_and_waits_for_a_topic);
	tcase_add_loop_test(tc, hz_and_bw_measure, 0, end);
	tcase_add_loop_test(tc, delay_measures_from_publishing, 0, end);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
