/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hz, bw: how many messages or bytes come, and how evenly. They observe where the transport allows. With
 * private rings they ask the broker for its numbers, and take nobody's place.
 * delay: how long messages take. An observer looks now and then, so delay is a subscriber, which is woken.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/attach.h"
#include "ctl/distribution.h"
#include "ctl/table.h"
#include "ctl/terminal.h"

enum { PROGRESS_NS = 1000000000, LOOK_NS = 100000000 };

enum what { HZ, BW, DELAY };

struct measure {
	struct ctl *ctl;
	const struct kickmsg_topic_ref *topic;
	enum what what;
	int64_t begin_ns, end_ns, until_ns; /* until_ns: INT64_MAX without --timeout */
	uint64_t messages, bytes, lost, least, most;
	struct ctl_distribution between; /* one message and the next */
	bool has_between;
	struct ctl_distribution delay; /* from publishing to receiving */
	uint64_t timeless;             /* messages whose time makes no sense */
	/* the second that is told next */
	int64_t told_ns;
	uint64_t told_messages, told_bytes;
};

static double seconds_of(const struct measure *measure)
{
	return (double)(measure->end_ns - measure->begin_ns) / 1e9;
}

/* Prints a line a second: on a terminal in the place of the one before. */
static void tell_progress(struct measure *measure)
{
	int64_t now = ctl_now_ns();
	double seconds = (double)(now - measure->told_ns) / 1e9;
	char text[CTL_HUMAN_SIZE];

	if (now - measure->told_ns < PROGRESS_NS)
		return;
	if (!measure->ctl->json && measure->what == DELAY) {
		printf("%smean %.1fus, max %.1fus  %" PRIu64 " messages",
			ctl_is_terminal() ? "\r" : "", ctl_distribution_mean(&measure->delay) / 1e3,
			(double)measure->delay.most / 1e3, measure->messages);
		fputs(ctl_is_terminal() ? "\033[K" : "\n", stdout);
		fflush(stdout);
	} else if (!measure->ctl->json) {
		double messages = (double)(measure->messages - measure->told_messages) / seconds;
		double bytes = (double)(measure->bytes - measure->told_bytes) / seconds;

		printf("%s%s", ctl_is_terminal() ? "\r" : "",
			measure->what == BW ? ctl_human_value(CTL_TYPE_BYTE_RATE, 0, bytes, text)
					    : ctl_human_rate(messages, text));
		printf("  %" PRIu64 " messages", measure->messages);
		if (measure->lost)
			printf(", %" PRIu64 " lost", measure->lost);
		fputs(ctl_is_terminal() ? "\033[K" : "\n", stdout);
		fflush(stdout);
	}
	measure->told_ns = now;
	measure->told_messages = measure->messages;
	measure->told_bytes = measure->bytes;
}

static bool is_over(const struct measure *measure)
{
	const struct ctl_value *count = &measure->ctl->values[CTL_OPT_COUNT];

	/* so many messages have been seen, the first one too */
	return ctl_is_interrupted() || ferror(stdout) || ctl_now_ns() >= measure->until_ns ||
	       (count->given && measure->messages >= count->count);
}

static void take(struct measure *measure, const struct kickmsg_sample *sample)
{
	int64_t now = ctl_now_ns();

	if (measure->messages == 0)
		measure->begin_ns = now;
	else
		ctl_distribution_add(&measure->between, (uint64_t)(now - measure->end_ns));
	measure->end_ns = now;
	if (measure->messages == 0 || sample->len < measure->least)
		measure->least = sample->len;
	if (sample->len > measure->most)
		measure->most = sample->len;
	/* a time of 0 or a time to come has an age beyond any */
	uint64_t age = (uint64_t)now - sample->publish_ns;
	if (measure->what == DELAY && sample->publish_ns && age <= (uint64_t)now)
		ctl_distribution_add(&measure->delay, age);
	else
		measure->timeless++;
	measure->messages++;
	measure->bytes += sample->len;
}

static int measure_messages(struct measure *measure, struct ctl_reader *reader)
{
	struct kickmsg_sample sample;
	int r = 0;

	measure->has_between = true;
	while (!is_over(measure)) {
		r = ctl_receive(measure->ctl, reader, LOOK_NS, &sample);
		if (r == 0) {
			take(measure, &sample);
			kickmsg_sample_release(&sample);
			measure->lost = kickmsg_subscriber_lost(reader->subscriber);
		} else if (r != -ETIMEDOUT && r != -EAGAIN && r != -EINTR) {
			return r;
		}
		tell_progress(measure);
	}
	return 0;
}

/* Measures private rings by the broker's numbers: it knows how many messages and bytes were sent. */
static int measure_numbers(struct measure *measure)
{
	struct kickmsg_topic_stats first = { 0 }, now;
	int64_t when = ctl_now_ns();
	int r = kickmsg_topic_get_stats(measure->ctl->client, measure->topic, &first);

	measure->begin_ns = (int64_t)first.monotonic_ns;
	while (r == 0) {
		bool over = is_over(measure);

		r = kickmsg_topic_get_stats(measure->ctl->client, measure->topic, &now);
		if (r < 0)
			break;
		measure->end_ns = (int64_t)now.monotonic_ns;
		measure->messages = now.sent - first.sent;
		measure->bytes = now.bytes - first.bytes;
		measure->lost = now.lost - first.lost;
		tell_progress(measure);
		if (over)
			break;
		when = ctl_next_look(when, LOOK_NS);
		ctl_sleep_until(when < measure->until_ns ? when : measure->until_ns);
	}
	return r;
}

static void print_json(const struct measure *measure, double rate, double byte_rate)
{
	struct json_object *entry = json_new_entry(measure->ctl, measure->topic);

	json_add_int(entry, "messages", measure->messages);
	json_add_int(entry, "lost", measure->lost);
	json_add_double(entry, "seconds", seconds_of(measure));
	json_add_double(entry, "messages_per_s", rate);
	if (measure->what == DELAY) {
		json_add_int(entry, "timeless", measure->timeless);
		ctl_distribution_json(&measure->delay, "delay", entry);
		return;
	}
	json_add_int(entry, "bytes", measure->bytes);
	json_add_double(entry, "bytes_per_s", byte_rate);
	if (!measure->has_between)
		return;
	json_add_int(entry, "least_bytes", measure->least);
	json_add_int(entry, "most_bytes", measure->most);
	ctl_distribution_json(&measure->between, "between", entry);
}

/* The broker doesn't know the least and the greatest. */
static void print_sizes(const struct measure *measure)
{
	char text[CTL_HUMAN_SIZE];

	fputs("size: ", stdout);
	if (measure->has_between)
		printf("min %s, ", ctl_human_bytes(measure->least, text));
	printf("mean %s", ctl_human_bytes(measure->bytes / measure->messages, text));
	if (measure->has_between)
		printf(", max %s", ctl_human_bytes(measure->most, text));
	putchar('\n');
}

static void print_summary(const struct measure *measure)
{
	double seconds = seconds_of(measure);
	/* so many messages have one interval fewer between them */
	double rate = seconds > 0 ? (double)(measure->messages - measure->has_between) / seconds
				  : 0;
	double byte_rate = seconds > 0 ? (double)measure->bytes / seconds : 0;
	char name[KICKMSG_WHOLE_NAME_SIZE], text[CTL_HUMAN_SIZE];

	if (measure->ctl->json) {
		print_json(measure, measure->messages ? rate : 0, byte_rate);
		return;
	}
	if (ctl_is_terminal())
		fputs("\r\033[K", stdout);
	printf("%s: %" PRIu64 " messages in %.3f s", ctl_write_name(measure->topic, name),
		measure->messages, seconds);
	if (measure->lost)
		printf(", %" PRIu64 " lost", measure->lost);
	if (measure->messages > 1)
		printf(", %.1f messages/s", rate);
	if (measure->what == BW)
		printf(", %s", ctl_human_value(CTL_TYPE_BYTE_RATE, 0, byte_rate, text));
	if (measure->what == DELAY && measure->timeless)
		printf(", %" PRIu64 " without a time that makes sense", measure->timeless);
	putchar('\n');
	if (measure->what == DELAY) {
		if (measure->delay.count)
			ctl_distribution_print(&measure->delay, "delay");
		if (ctl_is_terminal())
			ctl_distribution_draw(&measure->delay);
	} else if (measure->what == BW && measure->messages) {
		print_sizes(measure);
	} else if (measure->between.count) {
		ctl_distribution_print(&measure->between, "between messages");
		if (ctl_is_terminal())
			ctl_distribution_draw(&measure->between);
	}
}

/* Reads the broker's numbers of private rings; or, with --subscribe, becomes a subscriber. */
static int measure_rings(struct measure *measure, const struct kickmsg_topic_ref *topic)
{
	fputs("kickmsgctl: reading the broker's numbers, since the topic has a ring for each "
	      "subscriber; --subscribe takes a place and sees each message\n",
		stderr);
	ctl_catch_interrupts(NULL, NULL);
	int r = measure_numbers(measure);
	return r < 0 ? ctl_failed(measure->ctl, topic, NULL, r) : CTL_DONE;
}

/* Has the topic times to be measured? Says what to do where it hasn't. */
static bool has_times(const struct measure *measure, const struct kickmsg_topic_info *info)
{
	if (measure->what != DELAY || info->config.timestamps)
		return true;
	print_error(measure->ctl, measure->topic, -EOPNOTSUPP,
		"its messages don't say when they were published; they do in a topic that is made "
		"with timestamps = 1 in its config, or by kickmsgctl pub --timestamps");
	return false;
}

static int run(struct ctl *ctl, enum what what)
{
	static struct measure measure;
	const struct ctl_value *timeout = &ctl->values[CTL_OPT_TIMEOUT];
	struct ctl_reader reader = { .takes_place = what == DELAY };
	struct kickmsg_topic_info info;
	int status, r;

	measure = (struct measure){ .ctl = ctl, .topic = ctl_topic(ctl), .what = what };
	/* before anything is known of its transport, no place may be taken */
	while ((r = kickmsg_topic_get_info(ctl->client, measure.topic, &info)) == -ENOENT &&
		ctl_wait_ns(ctl) > 0)
		ctl_sleep_until(ctl_now_ns() + LOOK_NS);
	if (r < 0)
		return ctl_failed(ctl, measure.topic, NULL, r);
	if (!has_times(&measure, &info))
		return CTL_FOUND;
	measure.told_ns = measure.begin_ns = measure.end_ns = ctl_now_ns();
	measure.until_ns = timeout->given ? measure.begin_ns + (int64_t)(timeout->seconds * 1e9)
					  : INT64_MAX;
	if (what != DELAY && info.config.transport != KICKMSG_TRANSPORT_SHARED &&
		!ctl_given(ctl, CTL_OPT_SUBSCRIBE)) {
		status = measure_rings(&measure, measure.topic);
	} else {
		status = ctl_attach(ctl, measure.topic, KICKMSG_HISTORY_NONE, &reader);
		if (status != CTL_DONE)
			return status;
		r = measure_messages(&measure, &reader);
		ctl_detach(&reader);
		if (r < 0 && !reader.ended)
			status = ctl_failed(ctl, measure.topic, NULL, r);
	}
	if (status == CTL_DONE) {
		if (ctl->json)
			print_begin(ctl);
		print_summary(&measure);
	}
	return status == CTL_DONE && measure.messages == 0 ? CTL_FOUND : status;
}

int ctl_hz(struct ctl *ctl)
{
	return run(ctl, HZ);
}

int ctl_bw(struct ctl *ctl)
{
	return run(ctl, BW);
}

int ctl_delay(struct ctl *ctl)
{
	return run(ctl, DELAY);
}
