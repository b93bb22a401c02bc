/* SPDX-License-Identifier: Apache-2.0 */
/* Receiving a topic's messages: see attach.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "ctl/attach.h"
#include "ctl/terminal.h"

enum { HEAR_NS = 200000000 };

static void interrupt(void *subscriber)
{
	kickmsg_subscriber_interrupt(subscriber);
}

/* Refuses where so few places are left that none may be taken. */
static int check_places(struct ctl *ctl, const struct kickmsg_topic_ref *topic)
{
	const struct ctl_value *spare = &ctl->values[CTL_OPT_SPARE_PLACES];
	struct kickmsg_topic_info info;
	char text[CTL_TEXT_SIZE];
	int r;

	if (!spare->given)
		return CTL_DONE;
	r = kickmsg_topic_get_info(ctl->client, topic, &info);
	if (r < 0)
		return ctl_failed(ctl, topic, NULL, r);
	if (info.config.max_subscribers > info.subscribers + spare->count)
		return CTL_DONE;
	snprintf(text, sizeof text,
		"%" PRIu32 " of %" PRIu32 " places for subscribers are taken, and %" PRIu64
		" are to be left",
		info.subscribers, info.config.max_subscribers, spare->count);
	print_error(ctl, topic, -ENOSPC, text);
	return CTL_FOUND;
}

/* Asking to observe such a topic would be refused, and the broker logs and counts refusals. */
static bool has_private_rings(struct ctl *ctl, const struct kickmsg_topic_ref *topic)
{
	struct kickmsg_topic_info info;

	return kickmsg_topic_get_info(ctl->client, topic, &info) == 0 &&
	       info.config.transport == KICKMSG_TRANSPORT_RINGS;
}

int ctl_attach(struct ctl *ctl, const struct kickmsg_topic_ref *topic, uint32_t history,
	struct ctl_reader *ret)
{
	struct kickmsg_subscribe_options options = {
		.observe = !ret->takes_place, .history = history, .wait_ns = ctl_wait_ns(ctl)
	};
	char name[KICKMSG_WHOLE_NAME_SIZE];
	int r = ret->takes_place || has_private_rings(ctl, topic)
			? -EOPNOTSUPP
			: kickmsg_subscribe_to(ctl->client, topic, &options, &ret->subscriber);

	ret->observes = true;
	if (r == -EOPNOTSUPP) {
		int status = check_places(ctl, topic);

		if (status != CTL_DONE)
			return status;
		ret->observes = false;
		options.observe = 0;
		options.wait_ns = ctl_wait_ns(ctl);
		r = kickmsg_subscribe_to(ctl->client, topic, &options, &ret->subscriber);
	}
	if (r == -ETIMEDOUT && options.wait_ns > 0 && ctl_wait_ns(ctl) == 0)
		r = -ENOENT; /* the topic didn't come */
	if (r < 0)
		return ctl_failed(ctl, topic, NULL, r);
	ctl_catch_interrupts(interrupt, ret->subscriber);
	ctl_write_name(topic, name);
	if (ret->observes)
		fprintf(stderr, "kickmsgctl: observing %s: nobody notices\n", name);
	else if (ret->takes_place)
		fprintf(stderr, "kickmsgctl: subscribed to %s: this takes a place\n", name);
	else
		fprintf(stderr,
			"kickmsgctl: subscribed to %s, which has a ring for each subscriber: this "
			"takes a place\n",
			name);
	return CTL_DONE;
}

uint64_t ctl_published_at(const struct kickmsg_sample *sample, uint64_t now)
{
	uint64_t age = (uint64_t)ctl_now_ns() - sample->publish_ns;

	return sample->publish_ns == 0 || age > now ? now : now - age;
}

void ctl_detach(struct ctl_reader *reader)
{
	ctl_catch_interrupts(NULL, NULL);
	kickmsg_subscriber_free(reader->subscriber);
	reader->subscriber = NULL;
}

/* Sleeps for the next message, and hears now and then what the broker has to say. */
static int sleep_for_message(struct ctl *ctl, const struct ctl_reader *reader, int64_t timeout_ns,
	struct kickmsg_sample *ret)
{
	const int64_t end = timeout_ns < 0 ? INT64_MAX : ctl_now_ns() + timeout_ns;
	int r;

	do {
		int64_t left = end - ctl_now_ns();

		if (ctl_is_interrupted())
			return -EINTR;
		left = left < 0 ? 0 : left < HEAR_NS ? left : HEAR_NS;
		r = kickmsg_receive(reader->subscriber, left, ret);
		if (r < 0)
			kickmsg_client_dispatch(ctl->client);
	} while ((r == -ETIMEDOUT || r == -EAGAIN) && ctl_now_ns() < end);
	return r;
}

int ctl_receive(
	struct ctl *ctl, struct ctl_reader *reader, int64_t timeout_ns, struct kickmsg_sample *ret)
{
	const struct ctl_value *timeout = &ctl->values[CTL_OPT_TIMEOUT];
	int r = kickmsg_try_receive(reader->subscriber, ret);

	if (r == -EAGAIN) {
		if (timeout->given && timeout_ns < 0)
			timeout_ns = (int64_t)(timeout->seconds * 1e9);
		fflush(stdout);
		r = sleep_for_message(ctl, reader, timeout_ns, ret);
	}
	/* also where messages come all the time */
	if (r == 0 && ctl_now_ns() - reader->heard_ns > HEAR_NS) {
		kickmsg_client_dispatch(ctl->client);
		reader->heard_ns = ctl_now_ns();
	}
	if (r == -ESTALE && reader->observes)
		reader->ended = true;
	return r;
}
