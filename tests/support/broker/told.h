/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that are told of their broker's end, of the next one, and of their topics. */
#pragma once

#include <poll.h>

#include "tests/support/broker/flow.h"

#define TOPIC   "t"
#define MAX_LOG 64

/* The events that a client was told, as letters: d r J F. */
struct log {
	char text[MAX_LOG];
	unsigned count;
	int error; /* the last one */
	char words[256], topic[64];
};

static struct log told;

static inline void on_event(void *userdata, const struct kickmsg_event *event)
{
	struct log *log = userdata;

	if (event->kind > KICKMSG_EVENT_REJOIN_FAILED) /* topics' events are for flow-matched */
		return;
	ck_assert_uint_lt(log->count, MAX_LOG - 1);
	log->text[log->count++] = "?drJF"[event->kind];
	if (event->kind >= KICKMSG_EVENT_REJOINED) {
		ck_assert(!event->publisher != !event->subscriber);
		snprintf(log->topic, sizeof log->topic, "%s", event->topic);
	}
	if (event->kind == KICKMSG_EVENT_REJOIN_FAILED) {
		log->error = event->error;
		snprintf(log->words, sizeof log->words, "%s", event->text);
	}
}

static inline struct kickmsg_client *told_client(const char *name)
{
	memset(&told, 0, sizeof told);
	return flow_client_told(name, on_event, &told);
}

/* Runs an application's loop until the client was told so many events. */
static inline void dispatch_until(struct kickmsg_client *client, unsigned count)
{
	for (int i = 0; told.count < count && i < 1000; i++) {
		struct pollfd readable = { kickmsg_client_get_fd(client), POLLIN, 0 };

		ck_assert_int_ge(poll(&readable, 1, FLOW_WAIT_MS), 0);
		int r = kickmsg_client_dispatch(client);
		ck_assert(r >= 0 || r == -ENOTCONN);
	}
	ck_assert_uint_ge(told.count, count);
}

static inline void restart(void)
{
	test_broker_kill(&broker);
	test_broker_resume(&broker);
}

/* Returns a config of this transport. */
static inline const struct kickmsg_topic_config *over(int transport)
{
	static struct kickmsg_topic_config config;

	kickmsg_topic_config_init(&config);
	config.transport = (uint32_t)transport;
	return &config;
}

/* Does the topic have so many publishers and subscribers? */
static inline bool has_all(struct kickmsg_client *client, uint32_t publishers, uint32_t subscribers)
{
	struct kickmsg_topic_ref ref = { .name = TOPIC };
	struct kickmsg_topic_info info;

	return kickmsg_topic_get_info(client, &ref, &info) == 0 && info.publishers == publishers &&
	       info.subscribers == subscribers;
}
