/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kickmsgctl record and play; mcap.py, which shares no code with them, judges and makes files.
 *
 * The file is long because all cases work on one recording of two topics.
 */
#include <sys/stat.h>

#include "tests/support/broker/ctl.h"
#include "tests/support/broker/pty.h"

enum { SENT = 40 };

static struct kickmsg_topic_config config;
static struct kickmsg_publisher *a, *b;
static struct kickmsg_subscriber *from_a, *from_b;

/* Topics "a", with private rings, and "b", with a shared one. */
static void begin(void)
{
	struct kickmsg_schema schema = { .name = "point", .version = 3 };

	test_broker_start(&broker, NULL);
	client = flow_client("worker");
	kickmsg_topic_config_init(&config);
	config.max_payload_size = 100000;
	config.schema = &schema;
	a = flow_advertise(client, "a", &config);
	config.schema = NULL;
	config.transport = KICKMSG_TRANSPORT_SHARED;
	b = flow_advertise(client, "b", &config);
	from_a = flow_subscribe(client, "a");
	from_b = flow_subscribe(client, "b");
}

/* In shell commands `ctl` is kickmsgctl at this broker, `mcap` is mcap.py. They run in a folder
 * of the test's own. */
static void shell(int status, const char *script)
{
	const char *program = getenv("KICKMSGCTL");
	static char whole[8192];
	const char *argv[] = { "/bin/bash", "-c", whole, NULL };

	snprintf(whole, sizeof whole,
		"set -e -o pipefail; mkdir -p '%s/r'; cd '%s/r'; ctl() { '%s' --socket '%s' "
		"\"$@\"; }; "
		"mcap() { python3 '%s' \"$@\"; }; %s",
		broker.dir, broker.dir, program ? program : TEST_KICKMSGCTL, broker.socket,
		TEST_MCAP, script);
	int r = test_run(argv, output, sizeof output);
	ck_assert_msg(r == status, "%s ended with %d, not %d: %s", script, r, status, output);
}

static void end(void)
{
	shell(0, "cd ..; rm -rf r");
	stop();
}

/* Makes message `i` of a topic, whose length and bytes say which message it is. */
static size_t fill(unsigned char *data, int i, int topic)
{
	size_t len = i == 7 ? 0 : i == 8 ? 90000 : (size_t)(10 + i);

	for (size_t at = 0; at < len; at++)
		data[at] = (unsigned char)(i * 31 + topic * 7 + (int)(at * at));
	return len;
}

static void got(struct kickmsg_subscriber *from, int i, int topic)
{
	static unsigned char wanted[100000];
	struct kickmsg_sample sample;
	size_t len = fill(wanted, i, topic);

	ck_assert_msg(kickmsg_receive(from, (int64_t)FLOW_WAIT_MS * 1000000, &sample) == 0,
		"%d of %d", i, topic);
	ck_assert_uint_eq(sample.len, len);
	ck_assert_mem_eq(sample.data, wanted, len);
	ck_assert_int_eq(kickmsg_sample_release(&sample), 0);
}

static void got_no_more(struct kickmsg_subscriber *from)
{
	struct kickmsg_sample sample;

	ck_assert_int_eq(kickmsg_try_receive(from, &sample), -EAGAIN);
}

static struct pty pty;

/* Starts `record` with these words, and waits until it is attached. */
static void start_recording(const char *const words[])
{
	static char file[256];
	const char *program = getenv("KICKMSGCTL");
	const char *argv[16] = { program ? program : TEST_KICKMSGCTL, "--socket", broker.socket,
		"record", "-o", file };

	shell(0, ":");
	snprintf(file, sizeof file, "%s/r/out.mcap", broker.dir);
	for (size_t i = 0; words[i]; i++)
		argv[i + 6] = words[i];
	pty_start(&pty, 24, 80, argv, NULL);
	pty_wait(&pty, 0, "observing kickmsg:b: nobody notices");
}

/* Sends SENT messages on each topic, in turn. The test's subscribers drop theirs. */
static void send_all(void)
{
	static unsigned char data[100000];

	for (int i = 0; i < SENT; i++) {
		for (int topic = 0; topic < 2; topic++) {
			size_t len = fill(data, i, topic);

			ck_assert_int_ge(kickmsg_send(topic ? b : a, data, len), 0);
			got(topic ? from_b : from_a, i, topic);
		}
	}
}

#define WORDS(...)                                                                                 \
	(const char *[])                                                                           \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

static void record_all(const char *compress)
{
	const char *words[8] = { "a", "b", "-n", "80", compress ? "--compress" : NULL, compress };

	start_recording(words);
	send_all();
	ck_assert_int_eq(pty_end(&pty), 0);
	ck_assert_msg(strstr(pty.shown, "recorded 80 messages"), "%s", pty.shown);
	ck_assert_ptr_nonnull(strstr(pty.shown, "lost 0"));
}

static void play_gives_all(const char *file, int count)
{
	char script[256];

	snprintf(script, sizeof script, "ctl play %s --rate 1000000", file);
	shell(0, script);
	for (int i = 0; i < count; i++) {
		got(from_a, i, 0);
		got(from_b, i, 1);
	}
	got_no_more(from_a);
	got_no_more(from_b);
}

START_TEST(recording_is_as_the_specification_says)
{
	begin();
	record_all(NULL);
	shell(0, "mcap check out.mcap");
	says("messages 80\n");
	says("channel kickmsg:a schema=point\n");
	says("channel kickmsg:b schema=-\n");
	says("metadata kickmsg.topic kickmsg:a messages=40 lost=0\n");
	says("metadata kickmsg.topic kickmsg:b messages=40 lost=0\n");
	says("clocks 2\n");
	play_gives_all("out.mcap", SENT);
	shell(0, "ctl play out.mcap --rate 1000000 --topics '*:b'");
	for (int i = 0; i < SENT; i++)
		got(from_b, i, 1);
	got_no_more(from_a);
	/* a pattern that matches nothing of the recording */
	shell(1, "ctl play out.mcap --rate 1000000 --topics 'foo*'");
	says("no topic of the recording matches 'foo*'; it has kickmsg:a, kickmsg:b\n");
	shell(1, "ctl play out.mcap --topics 'foo*' --loop");
	/* an existing file isn't overwritten, and no place is taken before that is known */
	shell(5, "ctl record a b -o out.mcap -n 1");
	says("out.mcap: File exists; record replaces no file: give another name, or remove it");
	says_not("subscribed to");
	says_not("observing");
	shell(5, "ctl record a -o nowhere/out.mcap -n 1");
	says_not("subscribed to");
	/* where a place can't be taken no file is left */
	shell(1, "ctl record a -o other.mcap -n 1 --spare-places 1000");
	shell(1, "[ -e other.mcap ]");
	shell(5, "ctl record --from out.mcap -o out.mcap");
	says_not("recorded 0");
	end();
}
END_TEST

START_TEST(compressed_recordings_play_as_well)
{
	static const char *const how[] = { "zstd", "lz4" };

	begin();
	record_all(how[_i]);
	shell(0, "mcap check out.mcap");
	says("messages 80\n");
	says(_i ? "compressed lz4 " : "compressed zstd ");
	play_gives_all("out.mcap", SENT);
	/* if the format's own programs are installed, they read our files and we read theirs */
	shell(0, "ctl record --from out.mcap -o plain.mcap; mcap check plain.mcap");
	says("messages 80\n");
	says("metadata kickmsg.topic kickmsg:b messages=40 lost=0\n");
	says("clocks 2\n");
	play_gives_all("plain.mcap", SENT);
	end();
}
END_TEST

/* The file is cut at any byte. */
START_TEST(cut_recording_plays_up_to_there)
{
	struct stat status;
	char script[512];
	static const int parts[] = { 0, 8, 9, 40, 300, 600, 900, 990, 999 };

	begin();
	record_all(NULL);
	snprintf(script, sizeof script, "%s/r/out.mcap", broker.dir);
	ck_assert_int_eq(stat(script, &status), 0);
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		long size = parts[i] > 40 ? status.st_size * parts[i] / 1000 : parts[i];

		snprintf(script, sizeof script,
			"head -c %ld out.mcap >cut.mcap; ctl play cut.mcap --rate 1e6", size);
		shell(1, script);
		says(size < 8 ? "it isn't a recording" : "the recording was cut off");
		if (size >= 8) {
			shell(1, "rm -f whole.mcap; ctl record --from cut.mcap -o whole.mcap");
			shell(0, "mcap check whole.mcap; ctl play whole.mcap --rate 1e6");
		}
	}
	end();
}
END_TEST

/* A recorder that is killed leaves what is older than its last second. */
START_TEST(killed_recorder_leaves_a_recording)
{
	begin();
	start_recording(WORDS("a", "b"));
	send_all();
	/* a chunk is written once the recorder shows that it has recorded these messages and has
	 * looked at its clock since */
	pty_wait(&pty, 0, "recorded 80 messages");
	ck_assert_int_eq(kill(pty.pid, SIGKILL), 0);
	ck_assert_int_eq(pty_end(&pty), 128 + SIGKILL);
	shell(1, "ctl play out.mcap --rate 1000000");
	says("was cut off");
	for (int i = 0; i < SENT; i++) {
		got(from_a, i, 0);
		got(from_b, i, 1);
	}
	/* the copy has the clocks of the recording's beginning, not those of the copying */
	shell(1, "ctl record --from out.mcap -o whole.mcap");
	shell(0, "mcap check whole.mcap");
	says("clocks 1\n");
	end();
}
END_TEST

START_TEST(losses_are_in_the_recording)
{
	struct kickmsg_sample sample;

	begin();
	start_recording(WORDS("a", "b", "--until-lost"));
	ck_assert_int_eq(kill(pty.pid, SIGSTOP), 0);
	ck_assert_int_eq(waitpid(pty.pid, NULL, WUNTRACED), pty.pid);
	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(kickmsg_send(a, "x", 1), 1);
		if (kickmsg_try_receive(from_a, &sample) == 0)
			kickmsg_sample_release(&sample);
	}
	ck_assert_int_eq(kill(pty.pid, SIGCONT), 0);
	ck_assert_int_eq(pty_end(&pty), 1);
	ck_assert_msg(strstr(pty.shown, "kickmsg:a: lost 136"), "%s", pty.shown);
	shell(0, "mcap check out.mcap");
	says("metadata kickmsg.topic kickmsg:a messages=64 lost=136\n");
	end();
}
END_TEST

/* The recorder stands still while messages come to two topics in turn. The recording has them in the order of
 * their publishing, so they are played in that order. */
START_TEST(the_order_over_topics_is_that_of_publishing)
{
	struct kickmsg_publisher *to[2];
	struct kickmsg_subscriber *from[2];
	struct kickmsg_sample sample;
	uint64_t before = 0;

	begin();
	config.timestamps = 1;
	to[0] = flow_advertise(client, "x", &config);
	config.transport = KICKMSG_TRANSPORT_RINGS;
	to[1] = flow_advertise(client, "y", &config);
	start_recording(WORDS("x", "y", "b", "-n", "39"));
	pty_wait(&pty, 0, "kickmsg:x");
	pty_wait(&pty, 0, "kickmsg:y");
	ck_assert_int_eq(kill(pty.pid, SIGSTOP), 0);
	ck_assert_int_eq(waitpid(pty.pid, NULL, WUNTRACED), pty.pid);
	for (int i = 0; i < 40; i++)
		ck_assert_int_ge(kickmsg_send(to[i % 2], &i, sizeof i), 0);
	ck_assert_int_eq(kill(pty.pid, SIGCONT), 0);
	ck_assert_int_eq(pty_end(&pty), 0);
	ck_assert_msg(strstr(pty.shown, "recorded 39 messages"), "%s", pty.shown);
	from[0] = flow_subscribe(client, "x");
	from[1] = flow_subscribe(client, "y");
	shell(0, "ctl play out.mcap --rate 1e6");
	for (int i = 0; i < 39; i++) {
		ck_assert_int_eq(kickmsg_try_receive(from[i % 2], &sample), 0);
		ck_assert_mem_eq(sample.data, &i, sizeof i);
		ck_assert_msg(sample.publish_ns > before, "message %d", i);
		before = sample.publish_ns;
		kickmsg_sample_release(&sample);
	}
	end();
}
END_TEST

START_TEST(foreign_recordings_are_read)
{
	static const char *const good[] = { "plain", "chunk", "zstd", "lz4", "no-crc", "unknown",
		"unordered", "schema", "longer", "two" };
	struct kickmsg_subscriber *from;
	char script[256], data[8];

	begin();
	kickmsg_publisher_free(a);
	shell(0, "mcap make .");
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		snprintf(script, sizeof script, "ctl play %s.mcap --rate 1000000", good[i]);
		shell(0, script);
		says(strcmp(good[i], "two") == 0 ? "played 4 messages" : "played 3 messages");
		for (int message = 0; message < 3; message++) {
			struct kickmsg_sample sample;

			snprintf(data, sizeof data, "m%d", message);
			ck_assert_int_eq(kickmsg_try_receive(from_a, &sample), 0);
			ck_assert_uint_eq(sample.len, 2);
			ck_assert_mem_eq(sample.data, data, 2);
			kickmsg_sample_release(&sample);
		}
		got_no_more(from_a);
		snprintf(script, sizeof script,
			"rm -f copy.mcap; ctl record --from %s.mcap -o copy.mcap; mcap check "
			"copy.mcap",
			good[i]);
		shell(0, script);
	}
	shell(0, "ctl play empty.mcap");
	says("played 0 messages");
	shell(1, "ctl play no-footer.mcap --rate 1e6");
	says("was cut off");
	/* play makes a topic that isn't there, which begins with the first of its messages */
	from = flow_subscribe(client, "b");
	shell(0, "ctl play two.mcap --rate 1e6 --topics /b");
	struct kickmsg_sample sample;
	ck_assert_int_eq(kickmsg_try_receive(from, &sample), 0);
	end();
}
END_TEST

START_TEST(play_keeps_times_and_begins_where_it_is_told)
{
	struct kickmsg_sample sample;

	begin();
	shell(0, "mcap make .");
	/* the recording has 0.6 s */
	shell(0, "a=$(date +%s%N); ctl play slow.mcap; b=$(date +%s%N); ((b - a >= 600000000))");
	shell(0, "a=$(date +%s%N); ctl play slow.mcap -r 0.5; b=$(date +%s%N); ((b - a >= "
		 "1200000000))");
	for (int i = 0; i < 6; i++) {
		ck_assert_int_eq(kickmsg_try_receive(from_a, &sample), 0);
		kickmsg_sample_release(&sample);
	}
	shell(0, "ctl play slow.mcap --start 0.5");
	says("played 1 messages");
	ck_assert_int_eq(kickmsg_try_receive(from_a, &sample), 0);
	ck_assert_mem_eq(sample.data, "m2", 2);
	kickmsg_sample_release(&sample);
	shell(0, "ctl play slow.mcap --start 0.7");
	says("played 0 messages");
	/* again and again, with the first message behind the last one */
	const char *program = getenv("KICKMSGCTL");
	char file[256];
	snprintf(file, sizeof file, "%s/r/slow.mcap", broker.dir);
	pty_start(&pty, 24, 80,
		WORDS(program ? program : TEST_KICKMSGCTL, "--socket", broker.socket, "play", file,
			"--loop", "--rate", "10"),
		NULL);
	for (int i = 0; i < 7; i++) {
		ck_assert_int_eq(
			kickmsg_receive(from_a, (int64_t)FLOW_WAIT_MS * 1000000, &sample), 0);
		ck_assert_int_eq(((const char *)sample.data)[1], '0' + i % 3);
		kickmsg_sample_release(&sample);
	}
	pty_type(&pty, "\003");
	ck_assert_msg(pty_end(&pty) == 0, "%s", pty.shown);
	got_no_more(from_b);
	end();
}
END_TEST

START_TEST(nonsense_is_a_clear_error)
{
	static const struct {
		const char *name, *says;
	} bad[] = { { "bad-magic", "it isn't a recording" }, { "bad-crc", "a wrong CRC" },
		{ "bad-size", "a length that can't be" },
		{ "bad-compression", "an unknown compression" },
		{ "bad-zstd", "a chunk that can't be unpacked" },
		{ "bad-lz4", "a chunk that can't be unpacked" }, { "bad-channel", "nonsense" },
		{ "bad-string", "nonsense" }, { "bad-chunk", "nonsense in a chunk" } };
	char script[256];

	begin();
	shell(0, "mcap make .");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(script, sizeof script, "ctl play %s.mcap --rate 1e6", bad[i].name);
		shell(1, script);
		says(bad[i].says);
		snprintf(script, sizeof script, "ctl record --from %s.mcap -o copy-%zu.mcap",
			bad[i].name, i);
		shell(1, script);
		says(bad[i].says);
	}
	/* metadata is looked at only by the form that copies */
	shell(1, "ctl record --from bad-metadata.mcap -o copy.mcap");
	says("nonsense in the record");
	shell(1, "ctl play /nonexistent");
	says("/nonexistent: No such file");
	shell(1, "ctl play .");
	shell(1, ": >nothing; ctl play nothing");
	says("it isn't a recording");
	shell(5, "ctl record --from plain.mcap -o - >/dev/full");
	says("the recording can't be written: No space left");
	shell(1, "ctl record nowhere -o x.mcap");
	shell(2, "ctl record a");
	shell(2, "ctl record a -o x.mcap --compress gzip");
	shell(2, "ctl record a -o x.mcap --from plain.mcap");
	shell(2, "ctl play");
	shell(2, "ctl play x y");
	/* a topic of another schema gets nothing */
	kickmsg_subscriber_free(from_a);
	from_a = flow_subscribe(client, "a");
	record_all(NULL);
	struct kickmsg_schema other = { .name = "line" };
	kickmsg_publisher_free(a);
	kickmsg_subscriber_free(from_a);
	config.schema = &other;
	config.transport = KICKMSG_TRANSPORT_RINGS;
	flow_advertise(client, "a", &config);
	shell(1, "ctl play out.mcap --rate 1e6");
	says("kickmsg:a: the topic has another schema than the recording");
	end();
}
END_TEST

START_TEST(recording_is_split)
{
	begin();
	start_recording(WORDS("a", "b", "--split", "64K"));
	send_all();
	/* a file's size is looked at each second */
	shell(0, "for i in $(seq 500); do [ -e out-0001.mcap ] && break; sleep 0.02; done; "
		 "[ -e out-0001.mcap ]");
	pty_type(&pty, "\003");
	ck_assert_int_eq(pty_end(&pty), 0);
	shell(0, "for file in out-*.mcap; do mcap check $file | grep ^messages; done |"
		 "awk '{ n += $2 } END { print (NR > 1), n }'");
	says("1 80\n");
	shell(0, "for file in out-*.mcap; do mcap check $file | grep ^clocks; done | sort -u");
	says("clocks 2\n");
	end();
}
END_TEST

/* Each field has a value of its own; a topic with history has no reliable subscribers. */
static const struct kickmsg_topic_config shapes[] = {
	{
		.max_subscribers = 5,
		.ring_capacity = 32,
		.pool_size = 400,
		.max_publishers = 7,
		.max_payload_size = 3000,
		.max_loans = 3,
		.max_borrows = 6,
		.linger_ns = UINT64_C(7000000000),
		.persistent = 1,
		.timestamps = 1,
		.max_reliable = 2,
		.stall_ns = UINT64_C(2500000000),
	},
	{
		.max_subscribers = 70,
		.ring_capacity = 128,
		.pool_size = 900,
		.max_publishers = 9,
		.max_payload_size = 2000,
		.max_loans = 2,
		.max_borrows = 5,
		.persistent = 1,
		.transport = KICKMSG_TRANSPORT_SHARED,
		.history = 11,
	},
};

START_TEST(a_topic_that_play_makes_is_as_it_was)
{
	const struct kickmsg_topic_ref topic = { .name = "full" };
	struct kickmsg_topic_info before, after;

	begin();
	kickmsg_publisher_free(a);
	a = flow_advertise(client, "full", &shapes[_i]);
	ck_assert_int_eq(kickmsg_topic_get_info(client, &topic, &before), 0);
	start_recording(WORDS("full", "b", "-n", "1"));
	pty_wait(&pty, 0, "kickmsg:full");
	ck_assert_int_ge(kickmsg_send(a, "x", 1), 0);
	ck_assert_int_eq(pty_end(&pty), 0);
	kickmsg_publisher_free(a);
	ck_assert_int_eq(kickmsg_unlink(client, &topic), 0);
	ck_assert_int_eq(kickmsg_topic_get_info(client, &topic, &after), -ENOENT);
	shell(0, "ctl play out.mcap --rate 1e6");
	ck_assert_int_eq(kickmsg_topic_get_info(client, &topic, &after), 0);
	ck_assert_uint_ne(before.id, after.id);
	ck_assert_uint_eq(before.config_hash, after.config_hash);
	ck_assert_mem_eq(&before.config, &after.config, sizeof after.config);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl-record");
	TCase *tc = tcase_create("ctl-record");

	tcase_set_timeout(tc, 100);
	tcase_add_test(tc, recording_is_as_the_specification_says);
	tcase_add_loop_test(tc, compressed_recordings_play_as_well, 0, 2);
	tcase_add_test(tc, cut_recording_plays_up_to_there);
	tcase_add_test(tc, killed_recorder_leaves_a_recording);
	tcase_add_test(tc, losses_are_in_the_recording);
	tcase_add_test(tc, the_order_over_topics_is_that_of_publishing);
	tcase_add_test(tc, foreign_recordings_are_read);
	tcase_add_test(tc, play_keeps_times_and_begins_where_it_is_told);
	tcase_add_test(tc, nonsense_is_a_clear_error);
	tcase_add_test(tc, recording_is_split);
	tcase_add_loop_test(tc, a_topic_that_play_makes_is_as_it_was, 0, 2);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
