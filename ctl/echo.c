/* SPDX-License-Identifier: Apache-2.0 */
/* echo: prints a topic's messages as they come. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/attach.h"
#include "ctl/payload.h"
#include "ctl/terminal.h"

static uint64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void print_json(const struct ctl *ctl, const struct kickmsg_sample *sample, uint64_t lost)
{
	const uint64_t now = realtime_ns();

	printf("{\"position\":%" PRIu64 ",\"publisher\":%" PRIu32 ",\"sequence\":%" PRIu64
	       ",\"lost\":%" PRIu64 ",\"received_realtime_ns\":%" PRIu64 ",",
		sample->ring_pos, sample->publisher_id, sample->publisher_sequence, lost, now);
	if (sample->publish_ns)
		printf("\"publish_ns\":%" PRIu64 ",\"published_realtime_ns\":%" PRIu64 ",",
			sample->publish_ns, ctl_published_at(sample, now));
	ctl_print_payload_json(ctl, sample->data, sample->len);
	puts("}");
}

/* Prints the time of day when the sample was published, or received where its topic has no
 * timestamps. */
static void print_time(const struct kickmsg_sample *sample)
{
	uint64_t when = ctl_published_at(sample, realtime_ns());
	time_t seconds = (time_t)(when / 1000000000);
	struct tm tm;

	localtime_r(&seconds, &tm);
	printf("%02d:%02d:%02d.%06u ", tm.tm_hour, tm.tm_min, tm.tm_sec,
		(unsigned)(when % 1000000000 / 1000));
}

static void print_sample(const struct ctl *ctl, const struct kickmsg_sample *sample, uint64_t lost)
{
	if (ctl->json) {
		print_json(ctl, sample, lost);
		return;
	}
	if (!ctl_prints_bytes(ctl)) {
		print_time(sample);
		printf("%" PRIu64 " publisher=%" PRIu32 " sequence=%" PRIu64 " len=%zu ",
			sample->ring_pos, sample->publisher_id, sample->publisher_sequence,
			sample->len);
	}
	ctl_print_payload(ctl, sample->data, sample->len);
}

/* Prints until nothing more can come, or until --count messages are printed. */
static int print_all(struct ctl *ctl, struct ctl_reader *reader, uint64_t *ret_count)
{
	const uint64_t most = ctl->values[CTL_OPT_COUNT].count;
	struct kickmsg_sample sample;
	uint64_t lost = 0;
	int r = 0;

	while (most == 0 || *ret_count < most) {
		r = ctl_receive(ctl, reader, -1, &sample);
		if (r < 0)
			break;
		uint64_t now_lost = kickmsg_subscriber_lost(reader->subscriber);

		if (now_lost != lost && !ctl->json)
			fprintf(stderr, "kickmsgctl: %" PRIu64 " messages were lost\n",
				now_lost - lost);
		lost = now_lost;
		print_sample(ctl, &sample, lost);
		kickmsg_sample_release(&sample);
		++*ret_count;
		if (ferror(stdout) || ctl_is_interrupted())
			break; /* the end of the program tells of lost output */
	}
	return r;
}

int ctl_echo(struct ctl *ctl)
{
	const struct kickmsg_topic_ref *topic = ctl_topic(ctl);
	const struct ctl_value *history = &ctl->values[CTL_OPT_HISTORY];
	struct ctl_reader reader = { 0 };
	char text[CTL_TEXT_SIZE];
	uint64_t count = 0;
	/* 0 is what the topic's config says */
	uint32_t back = history->given && history->count == 0 ? KICKMSG_HISTORY_NONE
							      : (uint32_t)history->count;
	int status = ctl_attach(ctl, topic, back, &reader);

	if (status != CTL_DONE)
		return status;
	int r = print_all(ctl, &reader, &count);
	ctl_detach(&reader);
	fflush(stdout);
	if (reader.ended) {
		fputs("kickmsgctl: the topic has ended\n", stderr);
		return CTL_DONE;
	}
	if (r == -ETIMEDOUT) {
		snprintf(text, sizeof text, "no message came in %g s",
			ctl->values[CTL_OPT_TIMEOUT].seconds);
		print_error(ctl, topic, r, text);
		return CTL_FOUND;
	}
	return r < 0 && r != -EINTR ? ctl_failed(ctl, topic, NULL, r) : CTL_DONE;
}
