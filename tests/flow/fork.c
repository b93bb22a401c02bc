/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles in a child of fork: every call of the version map says -ECHILD (or does nothing, where it
 * has nothing to say it by), with every kind of handle and both transports. The list of calls is
 * held against the map, so that a new call can't be forgotten.
 *
 * The file is long because it has an entry for each public call; half of it is that list.
 */
#include <fcntl.h>
#include <pthread.h>

#include "libclient/kickmsg-operator.h"
#include "libclient/kickmsg-service.h"
#include "tests/support/broker/flow.h"

#define PATIENCE_S 60 /* of a child: a call that hangs ends it */

static struct kickmsg_client *client;

/* The handles that a child inherits. A null publisher or subscriber: that kind has none. */
struct handles {
	const char *kind;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	void *loan;
	struct kickmsg_sample sample;
};

static struct handles all[8];
static size_t handle_count;

static const struct kickmsg_topic_ref ref = { .name = "rings" };

/* --- the calls ------------------------------------------------------------------------- */

static bool says(long r)
{
	return r == -ECHILD;
}

#define CALL(name) static bool try_##name(struct handles *h)
#define IS(name, call)                                                                             \
	CALL(name)                                                                                 \
	{                                                                                          \
		(void)h;                                                                           \
		return says(call);                                                                 \
	}
#define OF_PUBLISHER(name, call)                                                                   \
	CALL(name)                                                                                 \
	{                                                                                          \
		return !h->publisher || says(call);                                                \
	}
#define OF_SUBSCRIBER(name, call)                                                                  \
	CALL(name)                                                                                 \
	{                                                                                          \
		return !h->subscriber || says(call);                                               \
	}

static struct kickmsg_publisher *new_publisher;
static struct kickmsg_subscriber *new_subscriber;
static struct kickmsg_topic_info info;
static struct kickmsg_broker_status broker_status;
static struct kickmsg_schema schema;
static char bytes[128];

IS(kickmsg_client_get_fd, kickmsg_client_get_fd(client))
IS(kickmsg_client_dispatch, kickmsg_client_dispatch(client))
IS(kickmsg_advertise, kickmsg_advertise(client, "t", NULL, &new_publisher))
IS(kickmsg_advertise_or_join, kickmsg_advertise_or_join(client, "t", NULL, &new_publisher))
IS(kickmsg_subscribe, kickmsg_subscribe(client, "rings", NULL, &new_subscriber))
IS(kickmsg_subscribe_or_create,
	kickmsg_subscribe_or_create(client, "t", NULL, NULL, &new_subscriber))
IS(kickmsg_join_broadcast,
	kickmsg_join_broadcast(client, "c", NULL, NULL, &new_publisher, &new_subscriber))
IS(kickmsg_create_mailbox, kickmsg_create_mailbox(client, "m", NULL, NULL, &new_subscriber))
IS(kickmsg_open_mailbox, kickmsg_open_mailbox(client, "parent", "m", &new_publisher))
IS(kickmsg_unlink, kickmsg_unlink(client, &ref))
IS(kickmsg_unlink_topic, kickmsg_unlink_topic(client, "rings"))
IS(kickmsg_unlink_broadcast, kickmsg_unlink_broadcast(client, "c"))
IS(kickmsg_unlink_mailbox, kickmsg_unlink_mailbox(client, "m"))
IS(kickmsg_subscribe_to, kickmsg_subscribe_to(client, &ref, NULL, &new_subscriber))
IS(kickmsg_topic_get_info, kickmsg_topic_get_info(client, &ref, &info))
IS(kickmsg_topic_schema, kickmsg_topic_schema(client, &ref, &schema))
IS(kickmsg_claim_schema, kickmsg_claim_schema(client, &ref, &schema, &schema))

CALL(kickmsg_topic_get_stats)
{
	struct kickmsg_topic_stats stats;

	(void)h;
	return says(kickmsg_topic_get_stats(client, &ref, &stats));
}

CALL(kickmsg_topic_get_rights)
{
	struct kickmsg_topic_rights rights;

	(void)h;
	return says(kickmsg_topic_get_rights(client, &ref, NULL, &rights));
}

CALL(kickmsg_topic_anomalies)
{
	struct kickmsg_anomaly anomaly;
	uint64_t start = 0, end = UINT64_MAX;

	(void)h;
	return says(kickmsg_topic_anomalies(client, &ref, &start, &anomaly, 1)) &&
	       says(kickmsg_topic_anomalies(client, &ref, &end, &anomaly, 1)) &&
	       says(kickmsg_topic_anomalies(client, &ref, &start, &anomaly, 0));
}

CALL(kickmsg_topic_list)
{
	uint64_t cursor = 0;

	(void)h;
	return says(kickmsg_topic_list(client, &cursor, &info, 1)) &&
	       says(kickmsg_topic_list(client, &cursor, &info, 0));
}

IS(kickmsg_broker_get_status, kickmsg_broker_get_status(client, &broker_status))

CALL(kickmsg_broker_clients)
{
	struct kickmsg_broker_client one;
	uint64_t start = 0, end = UINT64_MAX;

	(void)h;
	return says(kickmsg_broker_clients(client, &start, &one, 1)) &&
	       says(kickmsg_broker_clients(client, &end, &one, 1)) &&
	       says(kickmsg_broker_clients(client, &start, &one, 0));
}

CALL(kickmsg_broker_config)
{
	struct kickmsg_config_value one;
	uint64_t start = 0;

	(void)h;
	return says(kickmsg_broker_config(client, &start, &one, 1)) &&
	       says(kickmsg_broker_config(client, &start, &one, 0));
}

CALL(kickmsg_topic_list_numbers)
{
	struct kickmsg_topic_numbers one;
	uint64_t start = 0;

	(void)h;
	return says(kickmsg_topic_list_numbers(client, &start, &one, 1)) &&
	       says(kickmsg_topic_list_numbers(client, &start, &one, 0));
}

CALL(kickmsg_topic_participants)
{
	struct kickmsg_participant participant;
	uint64_t start = 0, end = UINT64_MAX;

	(void)h;
	return says(kickmsg_topic_participants(client, &ref, &start, &participant, 1)) &&
	       says(kickmsg_topic_participants(client, &ref, &end, &participant, 1)) &&
	       says(kickmsg_topic_participants(client, &ref, &start, &participant, 0));
}

CALL(kickmsg_topic_ring_stats)
{
	struct kickmsg_ring_stats ring;
	uint64_t start = 0, end = UINT64_MAX;

	(void)h;
	return says(kickmsg_topic_ring_stats(client, &ref, &start, &ring, 1)) &&
	       says(kickmsg_topic_ring_stats(client, &ref, &end, &ring, 1)) &&
	       says(kickmsg_topic_ring_stats(client, &ref, &start, &ring, 0));
}

CALL(kickmsg_topic_diagnose)
{
	struct kickmsg_topic_diagnosis diagnosis;

	(void)h;
	return says(kickmsg_topic_diagnose(client, &ref, &diagnosis));
}

IS(kickmsg_topic_recover, kickmsg_topic_recover(client, &ref, NULL))
IS(kickmsg_topic_repair, kickmsg_topic_repair(client, &ref, NULL))
IS(kickmsg_topic_reset_rings, kickmsg_topic_reset_rings(client, &ref, NULL))
IS(kickmsg_topic_reclaim, kickmsg_topic_reclaim(client, &ref, NULL))

OF_PUBLISHER(kickmsg_send, kickmsg_send(h->publisher, bytes, 8) == -ECHILD &&
					   kickmsg_send(h->publisher, NULL, 0) == -ECHILD &&
					   kickmsg_send(h->publisher, bytes, SIZE_MAX) == -ECHILD
				   ? -ECHILD
				   : 0)
OF_PUBLISHER(kickmsg_send_many,
	kickmsg_send_many(h->publisher, &(struct iovec){ bytes, 8 }, 1) == -ECHILD
		? kickmsg_send_many(h->publisher, (struct iovec[]){ { bytes, 8 }, { bytes, 8 } }, 2)
		: 0)
OF_PUBLISHER(
	kickmsg_publish_many, kickmsg_publish_many(h->publisher, &(struct iovec){ h->loan, 1 }, 1))
OF_PUBLISHER(kickmsg_publish, kickmsg_publish(h->publisher, h->loan, 1))
OF_PUBLISHER(kickmsg_discard, kickmsg_discard(h->publisher, h->loan))

CALL(kickmsg_loan)
{
	void *loan;

	return !h->publisher || (says(kickmsg_loan(h->publisher, 8, &loan)) &&
					says(kickmsg_loan(h->publisher, 0, &loan)) &&
					says(kickmsg_loan(h->publisher, SIZE_MAX, &loan)));
}

CALL(kickmsg_publisher_reached)
{
	return !h->publisher || kickmsg_publisher_reached(h->publisher) == 0;
}

CALL(kickmsg_publisher_get_matched)
{
	return !h->publisher || kickmsg_publisher_get_matched(h->publisher) == 0;
}

CALL(kickmsg_publisher_wait_matched)
{
	return !h->publisher || says(kickmsg_publisher_wait_matched(h->publisher, 1, 0));
}

CALL(kickmsg_subscriber_get_matched)
{
	return !h->subscriber || kickmsg_subscriber_get_matched(h->subscriber) == 0;
}

CALL(kickmsg_publisher_get_stats)
{
	struct kickmsg_publisher_stats stats = { .sent = 1 };

	if (!h->publisher)
		return true;
	kickmsg_publisher_get_stats(h->publisher, &stats);
	return stats.sent == 0 && stats.publisher_id == 0;
}

CALL(kickmsg_try_receive)
{
	struct kickmsg_sample sample;

	return !h->subscriber || says(kickmsg_try_receive(h->subscriber, &sample));
}

CALL(kickmsg_receive)
{
	struct kickmsg_sample sample;

	return !h->subscriber || (says(kickmsg_receive(h->subscriber, 0, &sample)) &&
					 says(kickmsg_receive(h->subscriber, -1, &sample)));
}

OF_SUBSCRIBER(
	kickmsg_try_receive_copy, kickmsg_try_receive_copy(h->subscriber, bytes, sizeof bytes))
OF_SUBSCRIBER(kickmsg_receive_copy, kickmsg_receive_copy(h->subscriber, bytes, sizeof bytes, -1))
OF_SUBSCRIBER(kickmsg_receive_into,
	kickmsg_receive_into(h->subscriber, bytes, sizeof bytes, -1, &(struct kickmsg_sample){ 0 }))

CALL(kickmsg_receive_many)
{
	struct kickmsg_sample samples[2];

	return !h->subscriber || (says(kickmsg_receive_many(h->subscriber, 0, samples, 2)) &&
					 says(kickmsg_receive_many(h->subscriber, -1, samples, 1)));
}

CALL(kickmsg_release_many)
{
	return !h->sample.data || says(kickmsg_release_many(&h->sample, 1));
}

CALL(kickmsg_sample_is_held)
{
	return !h->subscriber || kickmsg_sample_is_held(&h->sample) == 0;
}

CALL(kickmsg_sample_release)
{
	return !h->sample.data || (says(kickmsg_sample_release(&h->sample)) &&
					  says(kickmsg_sample_release(&h->sample)));
}

OF_SUBSCRIBER(kickmsg_subscriber_get_fd, kickmsg_subscriber_get_fd(h->subscriber))

CALL(kickmsg_client_get_info)
{
	struct kickmsg_client_info own = { .wait_threads = 1 };

	(void)h;
	kickmsg_client_get_info(client, &own);
	return own.wait_threads == 0 && own.wait_mechanism == KICKMSG_WAIT_NONE;
}

/* Nobody sleeps there, and the next receive has something else to say. */
CALL(kickmsg_subscriber_interrupt)
{
	if (!h->subscriber)
		return true;
	kickmsg_subscriber_interrupt(h->subscriber);
	return says(kickmsg_receive_copy(h->subscriber, bytes, sizeof bytes, -1));
}

CALL(kickmsg_subscriber_lost)
{
	return !h->subscriber || kickmsg_subscriber_lost(h->subscriber) == 0;
}

CALL(kickmsg_subscriber_get_stats)
{
	struct kickmsg_subscriber_stats stats = { .received = 1 };

	if (!h->subscriber)
		return true;
	kickmsg_subscriber_get_stats(h->subscriber, &stats);
	return stats.received == 0 && stats.borrowed == 0;
}

/* --- services: a request that was taken, and a reply that is held */

static struct kickmsg_server *server, *new_server;
static struct kickmsg_caller *caller, *new_caller;
static struct kickmsg_request request;
static struct kickmsg_reply held, reply;
static uint64_t id;
static void *room;

IS(kickmsg_serve, kickmsg_serve(client, "s", NULL, &new_server))
IS(kickmsg_open_service, kickmsg_open_service(client, "s", NULL, &new_caller))
IS(kickmsg_caller_wait_server, kickmsg_caller_wait_server(caller, -1))
IS(kickmsg_take_request, kickmsg_take_request(server, -1, &request))
IS(kickmsg_request_status, kickmsg_request_status(&request))
IS(kickmsg_reply, kickmsg_reply(&request, bytes, 1))
IS(kickmsg_reply_more, kickmsg_reply_more(&request, bytes, 1))
IS(kickmsg_reply_error, kickmsg_reply_error(&request, -EIO))
IS(kickmsg_reply_loan, kickmsg_reply_loan(&request, 1, &room))
IS(kickmsg_reply_publish, kickmsg_reply_publish(&request, room, 1, 0))
IS(kickmsg_reply_discard, kickmsg_reply_discard(&request, room))
IS(kickmsg_call, kickmsg_call(caller, bytes, 1, -1, &reply))
IS(kickmsg_call_begin, kickmsg_call_begin(caller, bytes, 1, -1, &id))
IS(kickmsg_call_loan, kickmsg_call_loan(caller, 1, &room))
IS(kickmsg_call_publish, kickmsg_call_publish(caller, room, 1, -1, &id))
IS(kickmsg_call_discard, kickmsg_call_discard(caller, room))
IS(kickmsg_call_cancel, kickmsg_call_cancel(caller, id))
IS(kickmsg_take_reply, kickmsg_take_reply(caller, -1, &reply))
IS(kickmsg_server_get_fd, kickmsg_server_get_fd(server))
IS(kickmsg_caller_get_fd, kickmsg_caller_get_fd(caller))

CALL(kickmsg_waitset_add_server)
{
	struct kickmsg_waitset *set;

	(void)h;
	if (kickmsg_waitset_new(&set) != 0)
		return false;
	bool is_right = says(kickmsg_waitset_add_server(set, server, NULL));
	kickmsg_waitset_free(set);
	return is_right;
}

CALL(kickmsg_waitset_add_caller)
{
	struct kickmsg_waitset *set;

	(void)h;
	if (kickmsg_waitset_new(&set) != 0)
		return false;
	bool is_right = says(kickmsg_waitset_add_caller(set, caller, NULL));
	kickmsg_waitset_free(set);
	return is_right;
}

CALL(kickmsg_server_is_active)
{
	(void)h;
	return kickmsg_server_is_active(server) == 0;
}

CALL(kickmsg_reply_release)
{
	struct kickmsg_reply copy = held;

	(void)h;
	kickmsg_reply_release(&copy);
	return copy.data == NULL;
}

CALL(kickmsg_server_interrupt)
{
	(void)h;
	kickmsg_server_interrupt(server);
	return says(kickmsg_take_request(server, -1, &request));
}

CALL(kickmsg_caller_interrupt)
{
	(void)h;
	kickmsg_caller_interrupt(caller);
	return says(kickmsg_take_reply(caller, -1, &reply));
}

CALL(kickmsg_server_free)
{
	(void)h;
	kickmsg_server_free(server);
	return kickmsg_serve(client, "s", NULL, &new_server) == -ECHILD;
}

CALL(kickmsg_caller_free)
{
	(void)h;
	kickmsg_caller_free(caller);
	return says(kickmsg_caller_wait_server(caller, -1));
}

CALL(kickmsg_client_last_error)
{
	(void)h;
	return strstr(kickmsg_client_last_error(client), "fork") != NULL;
}

/* Freeing does nothing: all that follows is the same again. */
CALL(kickmsg_publisher_free)
{
	kickmsg_publisher_free(h->publisher);
	return !h->publisher || kickmsg_send(h->publisher, bytes, 1) == -ECHILD;
}

CALL(kickmsg_subscriber_free)
{
	kickmsg_subscriber_free(h->subscriber);
	return !h->subscriber || kickmsg_receive_copy(h->subscriber, bytes, 1, -1) == -ECHILD;
}

CALL(kickmsg_client_free)
{
	(void)h;
	kickmsg_client_free(client);
	return kickmsg_client_dispatch(client) == -ECHILD;
}

/* A child may make these calls as its parent does. */
CALL(kickmsg_client_new)
{
	struct kickmsg_client *own = flow_client("child");
	struct kickmsg_publisher *publisher = flow_advertise(own, "child's", NULL);
	struct kickmsg_subscriber *subscriber = flow_subscribe(own, "child's");

	(void)h;
	flow_send_int(publisher, 7);
	bool good = flow_receive_int(subscriber) == 7;
	kickmsg_client_free(own);
	return good;
}

CALL(anywhere)
{
	(void)h;
	return true;
}

enum { DATA = 1 }; /* leads to the topic's memory */

static const struct call {
	const char *name;
	bool (*works)(struct handles *h);
	int flags;
} calls[] = {
#define ROW(name)                                                                                  \
	{                                                                                          \
#name, try_##name, 0                                                               \
	}
#define DATA_ROW(name)                                                                             \
	{                                                                                          \
#name, try_##name, DATA                                                            \
	}
#define NO_HANDLE(name)                                                                            \
	{                                                                                          \
#name, try_anywhere, 0                                                             \
	}
	ROW(kickmsg_advertise),
	ROW(kickmsg_advertise_or_join),
	ROW(kickmsg_claim_schema),
	ROW(kickmsg_client_dispatch),
	ROW(kickmsg_client_free),
	ROW(kickmsg_client_get_fd),
	ROW(kickmsg_client_get_info),
	ROW(kickmsg_client_last_error),
	ROW(kickmsg_client_new),
	ROW(kickmsg_create_mailbox),
	DATA_ROW(kickmsg_discard),
	NO_HANDLE(kickmsg_fnv1a64),
	ROW(kickmsg_join_broadcast),
	DATA_ROW(kickmsg_loan),
	ROW(kickmsg_open_mailbox),
	DATA_ROW(kickmsg_publish),
	DATA_ROW(kickmsg_publish_many),
	DATA_ROW(kickmsg_publisher_free),
	DATA_ROW(kickmsg_publisher_get_matched),
	ROW(kickmsg_publisher_get_stats),
	DATA_ROW(kickmsg_publisher_reached),
	DATA_ROW(kickmsg_publisher_wait_matched),
	DATA_ROW(kickmsg_receive),
	DATA_ROW(kickmsg_receive_copy),
	DATA_ROW(kickmsg_receive_into),
	DATA_ROW(kickmsg_receive_many),
	DATA_ROW(kickmsg_release_many),
	DATA_ROW(kickmsg_sample_is_held),
	DATA_ROW(kickmsg_sample_release),
	NO_HANDLE(kickmsg_schema_diff),
	NO_HANDLE(kickmsg_schema_set_identity),
	NO_HANDLE(kickmsg_schema_set_layout),
	DATA_ROW(kickmsg_send),
	DATA_ROW(kickmsg_send_many),
	NO_HANDLE(kickmsg_strerror),
	ROW(kickmsg_subscribe),
	ROW(kickmsg_subscribe_or_create),
	ROW(kickmsg_subscribe_to),
	DATA_ROW(kickmsg_subscriber_free),
	DATA_ROW(kickmsg_subscriber_get_matched),
	ROW(kickmsg_subscriber_get_stats),
	DATA_ROW(kickmsg_subscriber_get_fd),
	DATA_ROW(kickmsg_subscriber_interrupt),
	DATA_ROW(kickmsg_subscriber_lost),
	NO_HANDLE(kickmsg_topic_config_check),
	NO_HANDLE(kickmsg_topic_config_init),
	NO_HANDLE(kickmsg_topic_config_latched),
	ROW(kickmsg_topic_diagnose),
	ROW(kickmsg_topic_anomalies),
	ROW(kickmsg_topic_get_info),
	ROW(kickmsg_topic_get_rights),
	NO_HANDLE(kickmsg_kind_name),
	NO_HANDLE(kickmsg_name_write),
	NO_HANDLE(kickmsg_part_read),
	NO_HANDLE(kickmsg_part_write),
	NO_HANDLE(kickmsg_socket_path),
	NO_HANDLE(kickmsg_system_socket),
	ROW(kickmsg_topic_get_stats),
	ROW(kickmsg_broker_clients),
	ROW(kickmsg_broker_config),
	ROW(kickmsg_broker_get_status),
	ROW(kickmsg_topic_list),
	ROW(kickmsg_topic_list_numbers),
	ROW(kickmsg_topic_participants),
	ROW(kickmsg_topic_reclaim),
	ROW(kickmsg_topic_recover),
	ROW(kickmsg_topic_repair),
	ROW(kickmsg_topic_ring_stats),
	ROW(kickmsg_topic_reset_rings),
	ROW(kickmsg_topic_schema),
	DATA_ROW(kickmsg_try_receive),
	DATA_ROW(kickmsg_try_receive_copy),
	ROW(kickmsg_unlink),
	ROW(kickmsg_unlink_broadcast),
	ROW(kickmsg_unlink_mailbox),
	ROW(kickmsg_unlink_topic),
	NO_HANDLE(kickmsg_version),
	ROW(kickmsg_waitset_add_caller),
	ROW(kickmsg_waitset_add_server),
	NO_HANDLE(kickmsg_waitset_add_client),
	NO_HANDLE(kickmsg_waitset_add_deadline),
	NO_HANDLE(kickmsg_waitset_add_fd),
	NO_HANDLE(kickmsg_waitset_add_subscriber),
	NO_HANDLE(kickmsg_waitset_free),
	NO_HANDLE(kickmsg_waitset_interrupt),
	NO_HANDLE(kickmsg_waitset_new),
	NO_HANDLE(kickmsg_waitset_remove),
	NO_HANDLE(kickmsg_waitset_wait),
	DATA_ROW(kickmsg_call),
	DATA_ROW(kickmsg_call_begin),
	DATA_ROW(kickmsg_call_cancel),
	DATA_ROW(kickmsg_call_discard),
	DATA_ROW(kickmsg_call_loan),
	DATA_ROW(kickmsg_call_publish),
	ROW(kickmsg_caller_free),
	ROW(kickmsg_caller_get_fd),
	DATA_ROW(kickmsg_caller_interrupt),
	ROW(kickmsg_caller_wait_server),
	ROW(kickmsg_open_service),
	DATA_ROW(kickmsg_reply),
	DATA_ROW(kickmsg_reply_discard),
	DATA_ROW(kickmsg_reply_error),
	DATA_ROW(kickmsg_reply_loan),
	DATA_ROW(kickmsg_reply_more),
	DATA_ROW(kickmsg_reply_publish),
	DATA_ROW(kickmsg_reply_release),
	DATA_ROW(kickmsg_request_status),
	ROW(kickmsg_serve),
	ROW(kickmsg_server_free),
	ROW(kickmsg_server_get_fd),
	DATA_ROW(kickmsg_server_interrupt),
	DATA_ROW(kickmsg_server_is_active),
	NO_HANDLE(kickmsg_service_config_init),
	DATA_ROW(kickmsg_take_reply),
	DATA_ROW(kickmsg_take_request),
};

#define CALLS (sizeof calls / sizeof calls[0])

/* Tries all calls with all handles; the process ends. */
static void try_all(int flags_left_out)
{
	alarm(PATIENCE_S);
	for (size_t i = 0; i < handle_count; i++)
		for (size_t k = 0; k < CALLS; k++)
			if (!(calls[k].flags & flags_left_out) && !calls[k].works(&all[i])) {
				fprintf(stderr, "%s of %s is wrong in a child\n", calls[k].name,
					all[i].kind);
				_exit(1);
			}
	_exit(0);
}

static void expect_good_end(pid_t child)
{
	int status;

	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(status == 0, "the child ended with status %#x", (unsigned)status);
}

/* --- the handles ----------------------------------------------------------------------- */

static void add(const char *kind, struct kickmsg_publisher *publisher,
	struct kickmsg_subscriber *subscriber)
{
	all[handle_count++] = (struct handles){ kind, publisher, subscriber, NULL, { 0 } };
}

static void send_three(struct kickmsg_publisher *publisher)
{
	for (int i = 0; i < 3; i++)
		flow_send_int(publisher, i);
}

/* A loan that is out, a sample that is held, a message that waits, one that was too long. */
static void use(struct handles *h)
{
	/* the member that skips its own has nothing */
	if (h->subscriber && kickmsg_try_receive(h->subscriber, &h->sample) == 0)
		ck_assert_int_eq(kickmsg_try_receive_copy(h->subscriber, bytes, 1), -EMSGSIZE);
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
	struct kickmsg_publisher *publisher = flow_advertise(client, topic, &config);
	add(topic, publisher, flow_subscribe(client, topic));
	if (transport == KICKMSG_TRANSPORT_SHARED) {
		ck_assert_int_eq(kickmsg_subscribe(client, topic, &options, &observer), 0);
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
	ck_assert_int_eq(
		kickmsg_join_broadcast(client, channel, &config, &options, &publisher, &subscriber),
		0);
	add(channel, publisher, subscriber);
	send_three(publisher);
}

static void attach_mailbox(void)
{
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;

	ck_assert_int_eq(kickmsg_create_mailbox(client, "box", NULL, NULL, &subscriber), 0);
	ck_assert_int_eq(kickmsg_open_mailbox(client, "parent", "box", &publisher), 0);
	add("mailbox", publisher, subscriber);
	send_three(publisher);
}

static void attach_service(void)
{
	ck_assert_int_eq(kickmsg_serve(client, "s", NULL, &server), 0);
	ck_assert_int_eq(kickmsg_open_service(client, "s", NULL, &caller), 0);
	ck_assert_int_eq(kickmsg_take_request(server, 0, &request), -EAGAIN);
	ck_assert_int_eq(kickmsg_caller_wait_server(caller, 0), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(kickmsg_call_begin(caller, "x", 1, -1, &id), 0);
	ck_assert_int_eq(kickmsg_take_request(server, 0, &request), 0);
	ck_assert_int_eq(kickmsg_reply(&request, "y", 1), 0);
	ck_assert_int_eq(kickmsg_take_reply(caller, 0, &held), 0);
	ck_assert_int_eq(kickmsg_take_request(server, 0, &request), 0);
}

static void setup(void)
{
	test_broker_start(&broker, NULL);
	handle_count = 0;
	client = flow_client("parent");
	attach_plain("rings", KICKMSG_TRANSPORT_RINGS);
	attach_plain("shared", KICKMSG_TRANSPORT_SHARED);
	attach_channel("channel", KICKMSG_TRANSPORT_RINGS);
	attach_channel("shared channel", KICKMSG_TRANSPORT_SHARED);
	attach_mailbox();
	attach_service();
	for (size_t i = 0; i < handle_count; i++)
		use(&all[i]);
}

static void teardown(void)
{
	kickmsg_client_free(client);
	flow_stop();
}

/* Nothing of the parent's has changed: what it held it still has, and what it sends comes. */
static void expect_untouched(void)
{
	ck_assert_int_ge(kickmsg_client_dispatch(client), 0);
	for (size_t i = 0; i < handle_count; i++) {
		struct handles *h = &all[i];

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
	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), 0);
	ck_assert_uint_eq(info.publishers, 1);
	ck_assert(flow_is_healthy("rings") && flow_is_healthy("shared"));
}

/* --- cases ----------------------------------------------------------------------------- */

START_TEST(list_of_calls_is_the_version_map)
{
	FILE *map = fopen(TEST_VERSION_MAP, "re");
	char line[256], name[128];
	size_t found = 0;

	ck_assert_ptr_nonnull(map);
	while (fgets(line, sizeof line, map)) {
		bool known = false;

		if (sscanf(line, " %127[a-z0-9_];", name) != 1 || strncmp(name, "kickmsg_", 8) != 0)
			continue;
		found++;
		for (size_t i = 0; i < CALLS; i++)
			known = known || strcmp(calls[i].name, name) == 0;
		ck_assert_msg(known, "%s isn't tried in a child", name);
	}
	fclose(map);
	ck_assert_uint_eq(found, CALLS);
}
END_TEST

START_TEST(forked_child_hears_echild_of_every_call)
{
	pid_t child = fork();

	if (child == 0)
		try_all(0);
	expect_good_end(child);
	expect_untouched();
}
END_TEST

START_TEST(grandchild_and_childs_own_client)
{
	pid_t child = fork();

	if (child == 0) {
		struct kickmsg_client *own = flow_client("child");
		struct kickmsg_publisher *publisher = flow_advertise(own, "own", NULL);
		pid_t grandchild = fork();

		if (grandchild == 0) {
			if (kickmsg_send(publisher, bytes, 1) != -ECHILD ||
				kickmsg_client_dispatch(own) != -ECHILD)
				_exit(1);
			try_all(0);
		}
		expect_good_end(grandchild);
		flow_send_int(publisher, 1);
		kickmsg_client_free(own);
		_exit(0);
	}
	expect_good_end(child);
	expect_untouched();
}
END_TEST

/* A child in which no handler ran: what leads to the broker compares pids. */
START_TEST(child_without_handlers_hears_it_of_control_calls)
{
	pid_t child = _Fork();

	if (child == 0)
		try_all(DATA);
	expect_good_end(child);
	expect_untouched();
}
END_TEST

START_TEST(vforked_child_touches_nothing)
{
	pid_t child = vfork();

	if (child == 0) {
		kickmsg_publisher_free(all[0].publisher);
		kickmsg_subscriber_free(all[1].subscriber);
		kickmsg_client_free(client);
		_exit(kickmsg_client_dispatch(client) != -ECHILD);
	}
	expect_good_end(child);
	expect_untouched();
}
END_TEST

/* --- locks ----------------------------------------------------------------------------- */

static void *ask_once(void *unused)
{
	struct kickmsg_topic_info mine;

	(void)unused;
	return (void *)(intptr_t)kickmsg_topic_get_info(client, &ref, &mine);
}

static bool is_asked(void)
{
	return test_thread_count(getpid()) > 1;
}

/* A thread waits for a broker that is stopped, and so has the client's turn. */
START_TEST(turn_that_another_thread_has_stops_no_child)
{
	pthread_t thread;

	kill(broker.pid, SIGSTOP);
	ck_assert_int_eq(pthread_create(&thread, NULL, ask_once, NULL), 0);
	ck_assert(test_wait_until(is_asked(), FLOW_WAIT_MS));
	for (int i = 0; i < 20; i++)
		test_nap();
	pid_t child = fork();
	if (child == 0) {
		for (size_t k = 0; k < CALLS; k++)
			if (strcmp(calls[k].name, "kickmsg_client_new") != 0 &&
				!calls[k].works(&all[0]))
				_exit(1);
		_exit(0);
	}
	kill(broker.pid, SIGCONT);
	expect_good_end(child);
	pthread_join(thread, NULL);
	expect_untouched();
}
END_TEST

static _Atomic bool is_over;

/* Asserts nothing: a case can't be ended from a second thread. */
static void *come_and_go(void *unused)
{
	const struct kickmsg_client_config config = { .socket_path = broker.socket };
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_publisher *publisher;
	struct kickmsg_client *other;

	(void)unused;
	while (!is_over) {
		if (kickmsg_subscribe(client, "rings", NULL, &subscriber) == 0)
			kickmsg_subscriber_free(subscriber);
		if (kickmsg_client_new(&config, &other) < 0)
			continue;
		if (kickmsg_advertise(other, "rings", NULL, &publisher) == 0)
			kickmsg_publisher_free(publisher);
		kickmsg_client_free(other);
	}
	return NULL;
}

START_TEST(threads_that_come_and_go_stop_no_child)
{
	pthread_t threads[2];

	is_over = false;
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
	for (int i = 0; i < 50; i++) {
		pid_t child = fork();

		if (child == 0)
			try_all(0);
		expect_good_end(child);
	}
	is_over = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

static pid_t events_child = -1;

static void fork_in_event(void *userdata, const struct kickmsg_event *event)
{
	(void)userdata;
	(void)event;
	if (events_child < 0)
		events_child = fork();
}

START_TEST(dispatch_that_forks_in_its_event_ends)
{
	struct kickmsg_client_config config = { .on_event = fork_in_event };
	struct kickmsg_client *listener;
	pid_t parent = getpid();

	events_child = -1;
	ck_assert_int_eq(kickmsg_client_new(&config, &listener), 0);
	test_broker_kill(&broker);
	int r = kickmsg_client_dispatch(listener);
	if (getpid() != parent)
		_exit(r != -ECHILD);
	expect_good_end(events_child);
	test_broker_resume(&broker);
	kickmsg_client_free(listener);
}
END_TEST

/* --- descriptors ----------------------------------------------------------------------- */

/* A child that lives on doesn't keep its parent's connection open. */
START_TEST(childs_copies_of_descriptors_are_closed)
{
	const size_t before = test_fd_count(getpid());
	struct kickmsg_client *other = flow_client("other");
	const size_t at_broker = test_fd_count(broker.pid);
	char byte;
	int ends[2];

	ck_assert_uint_gt(test_fd_count(getpid()), before);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	pid_t child = fork();
	if (child == 0) {
		/* three of each of the two clients; the pipe it has */
		if (test_fd_count(getpid()) != before - 3 + 2)
			_exit(1);
		close(ends[1]);
		while (read(ends[0], &byte, 1) < 0)
			;
		_exit(0);
	}
	kickmsg_client_free(other);
	ck_assert(test_wait_until(test_fd_count(broker.pid) < at_broker, FLOW_WAIT_MS));
	close(ends[0]);
	close(ends[1]);
	expect_good_end(child);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fork");
	TCase *tc = tcase_create("fork");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, list_of_calls_is_the_version_map);
	tcase_add_test(tc, forked_child_hears_echild_of_every_call);
	tcase_add_test(tc, grandchild_and_childs_own_client);
	tcase_add_test(tc, child_without_handlers_hears_it_of_control_calls);
	tcase_add_test(tc, vforked_child_touches_nothing);
	tcase_add_test(tc, turn_that_another_thread_has_stops_no_child);
	tcase_add_test(tc, threads_that_come_and_go_stop_no_child);
	tcase_add_test(tc, dispatch_that_forks_in_its_event_ends);
	tcase_add_test(tc, childs_copies_of_descriptors_are_closed);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
