/* SPDX-License-Identifier: Apache-2.0 */
/* The handles that a child of fork inherits: see fork.h. */
#include "tests/support/fork/fork.h"

struct fork_handles fork_handles[8];
size_t fork_handle_count;
struct kickmsg_client *fork_client;
const struct kickmsg_topic_ref fork_ref = { .name = "rings" };
char fork_bytes[128];

struct kickmsg_server *fork_server;
struct kickmsg_caller *fork_caller;
struct kickmsg_request fork_request;
struct kickmsg_reply fork_held;
uint64_t fork_id;
struct kickmsg_waitset *fork_set;

bool fork_anywhere(struct fork_handles *h)
{
	(void)h;
	return true;
}

static void add(const char *kind, struct kickmsg_publisher *publisher,
	struct kickmsg_subscriber *subscriber)
{
	fork_handles[fork_handle_count++] = (struct fork_handles){ kind, publisher, subscriber,
		NULL, { 0 } };
}

static void send_three(struct kickmsg_publisher *publisher)
{
	for (int i = 0; i < 3; i++)
		flow_send_int(publisher, i);
}

/* Makes a loan that is out, a sample that is held, a message that waits, and one that was too
 * long. */
static void use(struct fork_handles *h)
{
	/* a member that skips its own messages gets none */
	if (h->subscriber && kickmsg_try_receive(h->subscriber, &h->sample) == 0)
		ck_assert_int_eq(kickmsg_try_receive_copy(h->subscriber, fork_bytes, 1), -EMSGSIZE);
	if (h->publisher)
		ck_assert_int_eq(kickmsg_loan(h->publisher, 8, &h->loan), 0);
}

static void attach_plain(const char *topic, uint32_t transport)
{
	struct kickmsg_subscribe_options options = { .observe = 1 };
	struct kickmsg_subscriber *observer;
	struct kickmsg_topic_config config;

	kickmsg_topic_config_init(&config);
	config.transport = transport;
	config.pool_size = 1024;
	struct kickmsg_publisher *publisher = flow_advertise(fork_client, topic, &config);
	add(topic, publisher, flow_subscribe(fork_client, topic));
	if (transport == KICKMSG_TRANSPORT_SHARED) {
		ck_assert_int_eq(kickmsg_subscribe(fork_client, topic, &options, &observer), 0);
		add("observer", NULL, observer);
	}
	send_three(publisher);
}

static void attach_channel(const char *channel, uint32_t transport)
{
	struct kickmsg_subscribe_options options = { .skip_own = transport };
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_topic_config config;

	kickmsg_topic_config_init(&config);
	config.transport = transport;
	config.pool_size = 1024;
	ck_assert_int_eq(kickmsg_join_broadcast(
				 fork_client, channel, &config, &options, &publisher, &subscriber),
		0);
	add(channel, publisher, subscriber);
	send_three(publisher);
}

static void attach_mailbox(void)
{
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;

	ck_assert_int_eq(kickmsg_create_mailbox(fork_client, "box", NULL, NULL, &subscriber), 0);
	ck_assert_int_eq(kickmsg_open_mailbox(fork_client, "parent", "box", &publisher), 0);
	add("mailbox", publisher, subscriber);
	send_three(publisher);
}

static void attach_service(void)
{
	ck_assert_int_eq(kickmsg_serve(fork_client, "s", NULL, &fork_server), 0);
	ck_assert_int_eq(kickmsg_open_service(fork_client, "s", NULL, &fork_caller), 0);
	ck_assert_int_eq(kickmsg_take_request(fork_server, 0, &fork_request), -EAGAIN);
	ck_assert_int_eq(kickmsg_caller_wait_server(fork_caller, 0), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(kickmsg_call_begin(fork_caller, "x", 1, -1, &fork_id), 0);
	ck_assert_int_eq(kickmsg_take_request(fork_server, 0, &fork_request), 0);
	ck_assert_int_eq(kickmsg_reply(&fork_request, "y", 1), 0);
	ck_assert_int_eq(kickmsg_take_reply(fork_caller, 0, &fork_held), 0);
	ck_assert_int_eq(kickmsg_take_request(fork_server, 0, &fork_request), 0);
}

static void make_set(void)
{
	ck_assert_int_eq(kickmsg_waitset_new(&fork_set), 0);
	ck_assert_int_eq(kickmsg_waitset_add_deadline(fork_set, 1, fork_set), 0);
}

void fork_attach_all(void)
{
	const struct kickmsg_client_config config = { .name = "parent" };

	fork_handle_count = 0;
	ck_assert_int_eq(kickmsg_client_new(&config, &fork_client), 0);
	attach_plain("rings", KICKMSG_TRANSPORT_RINGS);
	attach_plain("shared", KICKMSG_TRANSPORT_SHARED);
	attach_channel("channel", KICKMSG_TRANSPORT_RINGS);
	attach_channel("shared channel", KICKMSG_TRANSPORT_SHARED);
	attach_mailbox();
	attach_service();
	make_set();
	for (size_t i = 0; i < fork_handle_count; i++)
		use(&fork_handles[i]);
}

void fork_expect_untouched(void)
{
	struct kickmsg_topic_info info;

	ck_assert_int_ge(kickmsg_client_dispatch(fork_client), 0);
	for (size_t i = 0; i < fork_handle_count; i++) {
		struct fork_handles *h = &fork_handles[i];

		if (!h->loan || !h->sample.data)
			continue;
		ck_assert_int_eq(kickmsg_sample_is_held(&h->sample), 1);
		ck_assert_int_eq(*(const int *)h->sample.data, 0);
		ck_assert_int_eq(kickmsg_sample_release(&h->sample), 0);
		ck_assert_int_eq(flow_receive_int(h->subscriber), 1);
		ck_assert_int_eq(flow_receive_int(h->subscriber), 2);
		memcpy(h->loan, &(int){ 9 }, sizeof(int));
		ck_assert_int_ge(kickmsg_publish(h->publisher, h->loan, sizeof(int)), 1);
		ck_assert_int_eq(flow_receive_int(h->subscriber), 9);
		ck_assert_uint_eq(kickmsg_subscriber_lost(h->subscriber), 0);
	}
	ck_assert_int_eq(kickmsg_topic_get_info(fork_client, &fork_ref, &info), 0);
	ck_assert_uint_eq(info.publishers, 1);
}
