/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the flow tests of the daemon: a broker for each case, and the operator's hand. */
#pragma once

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libclient/kickmsg.h"
#include "tests/support/broker/broker.h"
#include "tests/support/broker/peer.h"
#include "tests/support/suite.h"

#define FLOW_WAIT_MS 10000

static struct test_broker broker;

/* Makes a client of this broker, whose events go to on_event. */
static inline struct kickmsg_client *flow_client_told(const char *name,
	void (*on_event)(void *userdata, const struct kickmsg_event *event), void *userdata)
{
	struct kickmsg_client_config config = { .name = name,
		.socket_path = broker.socket,
		.on_event = on_event,
		.userdata = userdata };
	struct kickmsg_client *client = NULL;

	ck_assert_int_eq(kickmsg_client_new(&config, &client), 0);
	return client;
}

static inline struct kickmsg_client *flow_client(const char *name)
{
	return flow_client_told(name, NULL, NULL);
}

static inline struct kickmsg_publisher *flow_advertise(
	struct kickmsg_client *client, const char *topic, const struct kickmsg_topic_config *config)
{
	struct kickmsg_publisher *publisher = NULL;

	ck_assert_msg(kickmsg_advertise(client, topic, config, &publisher) == 0, "advertise: %s",
		kickmsg_client_last_error(client));
	return publisher;
}

static inline struct kickmsg_subscriber *flow_subscribe(
	struct kickmsg_client *client, const char *topic)
{
	struct kickmsg_subscriber *subscriber = NULL;

	ck_assert_msg(kickmsg_subscribe(client, topic, NULL, &subscriber) == 0, "subscribe: %s",
		kickmsg_client_last_error(client));
	return subscriber;
}

/* Does the client's last error have this text? */
static inline bool flow_said(const struct kickmsg_client *of, const char *part)
{
	return strstr(kickmsg_client_last_error(of), part) != NULL;
}

static inline int flow_receive_int(struct kickmsg_subscriber *subscriber)
{
	int value = -1;
	ssize_t n = kickmsg_receive_copy(subscriber, &value, sizeof value, 0);

	return n == sizeof value ? value : (int)n;
}

static inline void flow_send_int(struct kickmsg_publisher *publisher, int value)
{
	ck_assert_int_eq(kickmsg_send(publisher, &value, sizeof value), sizeof value);
}

/* Counts what the broker has open and mapped, which is to be the same after a test's mischief. */
struct flow_stock {
	size_t fds, maps;
};

/* Has the broker nothing to do? */
static inline bool flow_sleeps(void)
{
	return test_sleeps(broker.pid);
}

static inline void flow_take_stock(struct flow_stock *ret)
{
	/* the broker may allocate what it keeps when it serves its first client */
	kickmsg_client_free(flow_client("first"));
	ck_assert(test_wait_until(test_map_count(broker.pid, "memfd:") == 0, FLOW_WAIT_MS));
	/* the broker closes a descriptor after it has unmapped its memory */
	ck_assert(test_wait_until(flow_sleeps(), FLOW_WAIT_MS));
	ret->fds = test_fd_count(broker.pid);
	ret->maps = test_map_count(broker.pid, "memfd:");
}

static inline void flow_check_stock(const struct flow_stock *stock)
{
	ck_assert(test_broker_alive(&broker));
	bool same = test_wait_until(test_fd_count(broker.pid) == stock->fds &&
					    test_map_count(broker.pid, "memfd:") == stock->maps,
		FLOW_WAIT_MS);
	ck_assert_msg(same, "descriptors %zu, were %zu; mappings %zu, were %zu",
		test_fd_count(broker.pid), stock->fds, test_map_count(broker.pid, "memfd:"),
		stock->maps);
}

/* Ends the test unless the answer is this error with this text. */
static inline void flow_expect_error(
	const union km_msg *answer, int op, int error, const char *says)
{
	ck_assert_int_eq(op, KM_OP_ERROR);
	ck_assert_int_eq(answer->error.error, error);
	ck_assert_msg(strstr(answer->error.text, says), "'%s' doesn't say '%s'", answer->error.text,
		says);
}

/* Runs kickmsgctl with up to three words. Returns its exit status. */
static inline int flow_ctl(
	char *ret_output, size_t size, const char *a, const char *b, const char *c)
{
	const char *program = getenv("KICKMSGCTL");
	const char *argv[] = { program ? program : TEST_KICKMSGCTL, "--socket", broker.socket, a, b,
		c, NULL };

	return test_run(argv, ret_output, size);
}

/* Returns the topic's health as the broker sees it; ends the test if it can't be had. */
static inline struct km_health flow_health(const char *topic)
{
	struct km_msg_topic request = { .header.op = KM_OP_DIAGNOSE };
	union km_msg answer;
	int socket = test_peer_hello(broker.socket, "health", NULL);

	snprintf(request.topic, sizeof request.topic, "%s", topic);
	int op = test_peer_call(socket, &request, sizeof request, &answer);
	ck_assert_msg(op == KM_OP_DIAGNOSE_OK, "diagnose: %s",
		op == KM_OP_ERROR ? answer.error.text : "no answer");
	close(socket);
	return answer.diagnose_ok.health;
}

/* Is nothing wrong in the topic, and nothing on its way but for `in_flight` slots? */
static inline bool flow_is_healthy(const char *topic)
{
	struct km_health h = flow_health(topic);

	return !h.slots_orphaned && !h.slots_stale && !h.rings_undrained && !h.endpoints_dead &&
	       !h.endpoints_leaving && !h.quarantined;
}

/* Ends the broker and checks that it ended well. */
static inline void flow_stop(void)
{
	int status = test_broker_stop(&broker);

	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
		"the broker ended with status %#x", (unsigned)status);
}

static inline int flow_main(Suite *suite)
{
	return test_suite_run(suite);
}
