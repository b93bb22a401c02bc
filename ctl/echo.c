/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo: prints a topic's messages as they come. A shared ring is observed: nobody notices, nobody is
 * delayed, no place is taken. Of a topic with a ring for each subscriber it has to become one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"

static void print_hex(const unsigned char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		printf("%s%02x", i % 32 ? " " : "\n  ", data[i]);
	putchar('\n');
}

static void print_line(const unsigned char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		putchar(data[i] >= ' ' && data[i] <= '~' ? data[i] : '.');
	putchar('\n');
}

static void print_json(const struct kickmsg_sample *sample, uint64_t lost)
{
	const unsigned char *data = sample->data;

	printf("{\"position\":%" PRIu64 ",\"publisher\":%" PRIu32 ",\"sequence\":%" PRIu64
	       ",\"lost\":%" PRIu64 ",\"len\":%zu,\"hex\":\"",
		sample->ring_pos, sample->publisher_id, sample->publisher_sequence, lost,
		sample->len);
	for (size_t i = 0; i < sample->len; i++)
		printf("%02x", data[i]);
	puts("\"}");
}

static void print_sample(const struct ctl *ctl, const struct kickmsg_sample *sample, uint64_t lost)
{
	if (ctl->echo == CTL_ECHO_RAW) {
		fwrite(sample->data, 1, sample->len, stdout);
	} else if (ctl->json) {
		print_json(sample, lost);
	} else {
		printf("%" PRIu64 " publisher=%" PRIu32 " sequence=%" PRIu64 " len=%zu ",
			sample->ring_pos, sample->publisher_id, sample->publisher_sequence,
			sample->len);
		if (ctl->echo == CTL_ECHO_HEX)
			print_hex(sample->data, sample->len);
		else
			print_line(sample->data, sample->len);
	}
	fflush(stdout);
}

/* Of any kind, which the public calls for subscribing aren't. */
static int attach(struct ctl *ctl, const struct kickmsg_topic_ref *topic, bool observe,
	struct kickmsg_subscriber **ret)
{
	const struct kickmsg_subscribe_options options = { .observe = observe };
	struct km_msg_attach request = { 0 };
	int r = km_request_name(
		ctl->client, (enum km_kind)topic->kind, topic->name, topic->owner, &request);

	return r < 0 ? r : km_subscriber_attach(ctl->client, &request, &options, ret);
}

/* Prints until there is nothing more to come. */
static int print_all(struct ctl *ctl, struct kickmsg_subscriber *subscriber)
{
	struct kickmsg_sample sample;
	uint64_t lost = 0, count = 0;
	int r = 0;

	while (r == 0 && (ctl->rounds == 0 || count < ctl->rounds)) {
		r = kickmsg_receive(subscriber, -1, &sample);
		if (r < 0)
			break;
		uint64_t now_lost = kickmsg_subscriber_lost(subscriber);

		if (now_lost != lost && !ctl->json)
			fprintf(stderr, "kickmsgctl: %" PRIu64 " messages were lost\n",
				now_lost - lost);
		lost = now_lost;
		print_sample(ctl, &sample, lost);
		kickmsg_sample_release(&sample);
		count++;
		if (ferror(stdout))
			r = -EPIPE;
	}
	return r;
}

/* With --json the error is a document like that of other verbs. */
static int failed(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info, int r)
{
	print_begin(ctl);
	int status = ctl_failed(ctl, topic, info, r);
	print_end(ctl, status);
	return status;
}

int ctl_echo(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info)
{
	struct kickmsg_subscriber *subscriber = NULL;
	bool observes = true;
	int r = attach(ctl, topic, true, &subscriber);

	if (r == -EOPNOTSUPP) {
		observes = false;
		r = attach(ctl, topic, false, &subscriber);
	}
	if (r < 0)
		return failed(ctl, topic, info, r);
	fprintf(stderr,
		observes ? "kickmsgctl: observing %s: nobody notices\n"
			 : "kickmsgctl: subscribed to %s, which has a ring for each subscriber: "
			   "this takes a place\n",
		topic->name);
	r = print_all(ctl, subscriber);
	kickmsg_subscriber_free(subscriber);
	if (r == -ESTALE && observes) {
		fprintf(stderr, "kickmsgctl: %s has ended\n", topic->name);
		return CTL_HEALTHY;
	}
	return r < 0 ? failed(ctl, topic, info, r) : CTL_HEALTHY;
}
