/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tour of all public calls, each of which succeeds and fails as it can, without a broker and
 * across a restart too. Every libc call that the library makes disturbs errno
 * (tests/support/guest/disturb.c). What is held: each call leaves errno, signal mask and signal
 * dispositions alone, and takes no more stack than kickmsg.h says. The index of a case is the
 * transport.
 *
 * The file is long because it calls each public function, as it succeeds and as it fails.
 */
#include <sys/resource.h>

#include "libclient/handle/handle.h"
#include "libclient/kickmsg-operator.h"
#include "tests/support/broker/flow.h"
#include "tests/support/guest/guest.h"
#include "tests/support/guest/services.h"

#define MS  INT64_C(1000000)
#define KIB ((size_t)1024)

/* kickmsg.h, Stack */
#define ASKING_STACK  (48 * KIB)
#define LOOKING_STACK (24 * KIB)
#define LOCAL_STACK   (4 * KIB)
#define HOT_STACK     (1 * KIB)

static struct kickmsg_client *client;
static struct kickmsg_publisher *publisher;
static struct kickmsg_subscriber *subscriber;
static struct kickmsg_topic_config shape;
static const struct kickmsg_topic_ref here = { .name = "t" }, nowhere = { .name = "none" };
static const struct kickmsg_topic_ref unnamed = { .name = "" };
static char buf[64];

static void hear_nothing(void *userdata, const struct kickmsg_happening *happening)
{
}

static void ignore(void *userdata, const struct kickmsg_event *event)
{
}

static void need(bool condition, int line)
{
	ck_assert_msg(condition, "line %d: %s", line,
		client ? kickmsg_client_last_error(client) : kickmsg_client_last_error(NULL));
}
#define NEED(condition) need(condition, __LINE__)

static void visit_without_broker(uint32_t transport)
{
	struct kickmsg_schema schema = { .version = 1 };
	struct kickmsg_topic_sizing sizing;

	DO(kickmsg_topic_config_latched, &shape);
	DO(kickmsg_topic_config_init, &shape);
	shape.transport = transport;
	NEED(CALL(kickmsg_topic_config_check, &shape, &sizing) >= 0);
	shape.ring_capacity = 3;
	NEED(CALL(kickmsg_topic_config_check, &shape, &sizing) == -EINVAL);
	shape.ring_capacity = 4;
	NEED(*VALUE(kickmsg_strerror, -ENOENT) && *VALUE(kickmsg_strerror, INT32_MIN));
	NEED(*VALUE(kickmsg_version));
	DO(kickmsg_schema_set_identity, &schema, "id", 2);
	DO(kickmsg_schema_set_layout, &schema, "layout", 6);
	NEED(VALUE(kickmsg_schema_diff, &schema, &schema) == 0);
	NEED(VALUE(kickmsg_fnv1a64, KICKMSG_FNV1A64_INIT, "x", 1) > 0);
}

static void visit_operators_words(void)
{
	static const struct kickmsg_topic_ref whole = { .name = "t", .prefix = "p" };
	static const struct kickmsg_topic_ref empty = { .name = "", .prefix = "p" };
	char path[128], text[KICKMSG_WHOLE_NAME_SIZE];

	NEED(CALL(kickmsg_socket_path, "/x", path, sizeof path) == 0);
	NEED(CALL(kickmsg_socket_path, "/x", path, 1) == -EINVAL);
	NEED(*VALUE(kickmsg_system_socket));
	NEED(CALL(kickmsg_part_write, "a b", text, sizeof text) == 0);
	NEED(CALL(kickmsg_part_write, "a b", text, 1) == -EINVAL);
	NEED(CALL(kickmsg_part_read, "a%20b", text, sizeof text) == 0);
	NEED(CALL(kickmsg_part_read, "a%2", text, sizeof text) == -EINVAL);
	NEED(CALL(kickmsg_name_write, &whole, text, sizeof text) == 0);
	NEED(CALL(kickmsg_name_write, &empty, text, sizeof text) == -EINVAL);
	NEED(*VALUE(kickmsg_kind_name, KICKMSG_MAILBOX));
}

static void visit_clients(void)
{
	struct kickmsg_client_config config = { .socket_path = "/nowhere", .on_event = ignore };

	NEED(CALL(kickmsg_client_new, &config, &client) == -ECONNREFUSED);
	NEED(*VALUE(kickmsg_client_last_error, NULL));
	config.socket_path = "";
	NEED(CALL(kickmsg_client_new, &config, &client) == -EINVAL);
	config.socket_path = broker.socket;
	NEED(CALL(kickmsg_client_new, &config, &client) == 0);
	NEED(VALUE(kickmsg_client_get_fd, client) > 2);
	NEED(CALL(kickmsg_client_dispatch, client) == 0);
	NEED(!*VALUE(kickmsg_client_last_error, client));
}

static void visit_topics(void)
{
	struct kickmsg_subscribe_options wait = { .wait_ns = 5 * MS };
	struct kickmsg_topic_config other = shape;
	struct kickmsg_publisher *more;
	struct kickmsg_subscriber *sub;

	other.ring_capacity = 8;
	NEED(CALL(kickmsg_advertise, client, "t", &shape, &publisher) == 0);
	NEED(CALL(kickmsg_advertise, client, "t", &other, &more) == -EEXIST);
	NEED(CALL(kickmsg_subscribe, client, "t", NULL, &subscriber) == 0);
	NEED(CALL(kickmsg_subscribe, client, "none", NULL, &sub) == -ENOENT);
	NEED(CALL(kickmsg_subscribe, client, "none", &wait, &sub) == -ETIMEDOUT);
	NEED(CALL(kickmsg_advertise_or_join, client, "t", &other, &more) == 0);
	DO(kickmsg_publisher_free, more);
	NEED(CALL(kickmsg_advertise_or_join, client, "", &other, &more) == -EINVAL);
	NEED(CALL(kickmsg_subscribe_or_create, client, "t", &other, NULL, &sub) == 0);
	DO(kickmsg_subscriber_free, sub);
	NEED(CALL(kickmsg_subscribe_or_create, client, "", &other, NULL, &sub) == -EINVAL);
	NEED(CALL(kickmsg_join_broadcast, client, "b", &shape, NULL, &more, &sub) == 0);
	DO(kickmsg_publisher_free, more);
	DO(kickmsg_subscriber_free, sub);
	NEED(CALL(kickmsg_join_broadcast, client, "", &shape, NULL, &more, &sub) == -EINVAL);
	NEED(CALL(kickmsg_create_mailbox, client, "m", &shape, NULL, &sub) == 0);
	NEED(CALL(kickmsg_create_mailbox, client, "m", &shape, NULL, &sub) == -ENOSPC);
	NEED(CALL(kickmsg_open_mailbox, client, "guest", "none", &more) == -ENOENT);
	NEED(CALL(kickmsg_open_mailbox, client, "flow-guest", "m", &more) == 0);
}

static void visit_unlinks(void)
{
	const struct kickmsg_topic_ref extra = { .name = "extra" };
	struct kickmsg_publisher *more;

	NEED(CALL(kickmsg_unlink_broadcast, client, "none") == -ENOENT);
	NEED(CALL(kickmsg_unlink_mailbox, client, "none") == -ENOENT);
	NEED(CALL(kickmsg_unlink_mailbox, client, "m") == 0);
	NEED(CALL(kickmsg_unlink_topic, client, "extra") == -ENOENT);
	NEED(CALL(kickmsg_unlink, client, &extra) == -ENOENT);
	NEED(CALL(kickmsg_advertise, client, "extra", &shape, &more) == 0);
	NEED(CALL(kickmsg_unlink_topic, client, "extra") == 0);
	NEED(CALL(kickmsg_advertise, client, "extra", &shape, &more) == 0);
	NEED(CALL(kickmsg_unlink, client, &extra) == 0);
	struct kickmsg_subscriber *sub;
	NEED(CALL(kickmsg_join_broadcast, client, "b", &shape, NULL, &more, &sub) == 0);
	NEED(CALL(kickmsg_unlink_broadcast, client, "b") == 0);
}

static void visit_questions(void)
{
	struct kickmsg_topic_info info[2];
	struct kickmsg_topic_stats stats;
	struct kickmsg_topic_diagnosis diagnosis;
	struct kickmsg_participant people[2];
	struct kickmsg_schema schema = { .version = 1 }, other = { .version = 2 };
	struct kickmsg_repair_report report;
	struct kickmsg_ring_stats ring;
	uint64_t cursor = 0;

	NEED(CALL(kickmsg_topic_get_info, client, &here, info) == 0);
	NEED(CALL(kickmsg_topic_get_info, client, &nowhere, info) == -ENOENT);
	NEED(CALL(kickmsg_topic_get_info, client, &unnamed, info) == -EINVAL);
	NEED(CALL(kickmsg_topic_list, client, &cursor, info, 2) == 2);
	NEED(CALL(kickmsg_topic_list, client, &cursor, info, 0) == -EINVAL);
	NEED(CALL(kickmsg_topic_get_stats, client, &here, &stats) == 0);
	NEED(CALL(kickmsg_topic_get_stats, client, &nowhere, &stats) == -ENOENT);
	cursor = 0;
	NEED(CALL(kickmsg_topic_ring_stats, client, &here, &cursor, &ring, 1) == 1);
	NEED(CALL(kickmsg_topic_ring_stats, client, &here, &cursor, &ring, 0) == -EINVAL);
	NEED(CALL(kickmsg_topic_diagnose, client, &here, &diagnosis) == 0);
	NEED(CALL(kickmsg_topic_diagnose, client, &nowhere, &diagnosis) == -ENOENT);
	cursor = 0;
	NEED(CALL(kickmsg_topic_participants, client, &here, &cursor, people, 2) == 1);
	NEED(CALL(kickmsg_topic_participants, client, &nowhere, &cursor, people, 0) == -EINVAL);
	NEED(CALL(kickmsg_topic_schema, client, &here, &schema) == -ENODATA);
	NEED(CALL(kickmsg_claim_schema, client, &here, &schema, NULL) == 0);
	NEED(CALL(kickmsg_claim_schema, client, &here, &other, NULL) == -EEXIST);
	NEED(CALL(kickmsg_topic_schema, client, &here, &schema) == 0);
	NEED(CALL(kickmsg_topic_recover, client, &here, &report) == 0);
	NEED(CALL(kickmsg_topic_recover, client, &nowhere, &report) == -ENOENT);
	NEED(CALL(kickmsg_topic_repair, client, &here, &report) == 0);
	NEED(CALL(kickmsg_topic_repair, client, &nowhere, &report) == -ENOENT);
	NEED(CALL(kickmsg_topic_reset_rings, client, &here, NULL) == 0);
	NEED(CALL(kickmsg_topic_reset_rings, client, &nowhere, NULL) == -ENOENT);
	NEED(CALL(kickmsg_topic_reclaim, client, &here, NULL) == 0);
	NEED(CALL(kickmsg_topic_reclaim, client, &nowhere, NULL) == -ENOENT);
}

static void visit_operators_questions(void)
{
	struct kickmsg_topic_rights rights;
	struct kickmsg_anomaly anomaly;
	struct kickmsg_subscriber *sub;
	struct kickmsg_broker_status status;
	struct kickmsg_broker_client one;
	struct kickmsg_topic_numbers numbers;
	struct kickmsg_config_value value;
	uint64_t cursor = 0;

	NEED(CALL(kickmsg_broker_get_status, client, &status) == 0);
	NEED(CALL(kickmsg_broker_clients, client, &cursor, &one, 1) == 1);
	NEED(CALL(kickmsg_broker_clients, client, &cursor, &one, 0) == -EINVAL);
	cursor = 0;
	NEED(CALL(kickmsg_topic_list_numbers, client, &cursor, &numbers, 1) == 1);
	NEED(CALL(kickmsg_topic_list_numbers, client, &cursor, &numbers, 0) == -EINVAL);
	cursor = 0;
	NEED(CALL(kickmsg_broker_set_log_level, client, 6) == 0);
	NEED(CALL(kickmsg_broker_set_log_level, client, 8) == -EINVAL);
	NEED(CALL(kickmsg_broker_watch, client, hear_nothing, NULL) == 0);
	NEED(CALL(kickmsg_broker_watch, client, hear_nothing, NULL) == -EBUSY);
	NEED(CALL(kickmsg_broker_watch, client, NULL, NULL) == -EINVAL);
	NEED(CALL(kickmsg_broker_config, client, &cursor, &value, 1) == 1);
	NEED(CALL(kickmsg_broker_config, client, &cursor, &value, 0) == -EINVAL);
	cursor = 0;
	NEED(CALL(kickmsg_topic_get_rights, client, &here, NULL, &rights) == 0);
	NEED(CALL(kickmsg_topic_get_rights, client, &unnamed, NULL, &rights) == -EINVAL);
	NEED(CALL(kickmsg_topic_anomalies, client, &here, &cursor, &anomaly, 1) == 0);
	NEED(CALL(kickmsg_topic_anomalies, client, &here, &cursor, &anomaly, 0) == -EINVAL);
	NEED(CALL(kickmsg_subscribe_to, client, &here, NULL, &sub) == 0);
	DO(kickmsg_subscriber_free, sub);
	NEED(CALL(kickmsg_subscribe_to, client, &nowhere, NULL, &sub) == -ENOENT);
}

static void drain(void)
{
	while (CALL(kickmsg_try_receive_copy, subscriber, buf, sizeof buf) != -EAGAIN)
		;
}

static void visit_messages(void)
{
	struct kickmsg_publisher_stats sent;
	struct kickmsg_subscriber_stats received;
	struct kickmsg_sample sample, stranger = { 0 };
	void *loan;

	NEED(CALL(kickmsg_send, publisher, "hello", 5) == 5);
	NEED(CALL(kickmsg_send, publisher, "hello", SIZE_MAX) == -EMSGSIZE);
	NEED(CALL(kickmsg_loan, publisher, SIZE_MAX, &loan) == -EMSGSIZE);
	NEED(CALL(kickmsg_loan, publisher, 5, &loan) == 0);
	NEED(CALL(kickmsg_publish, publisher, loan, 6) == -EMSGSIZE);
	NEED(CALL(kickmsg_publish, publisher, loan, 5) == 1);
	NEED(CALL(kickmsg_publish, publisher, loan, 5) == -EINVAL);
	NEED(CALL(kickmsg_loan, publisher, 5, &loan) == 0);
	NEED(CALL(kickmsg_discard, publisher, loan) == 0);
	NEED(CALL(kickmsg_discard, publisher, loan) == -EINVAL);
	NEED(VALUE(kickmsg_publisher_reached, publisher) == 1);
	NEED(VALUE(kickmsg_publisher_get_matched, publisher) == 1);
	NEED(CALL(kickmsg_publisher_wait_matched, publisher, 1, -1) == 0);
	NEED(CALL(kickmsg_publisher_wait_matched, publisher, 2, 1000) == -ETIMEDOUT);
	NEED(VALUE(kickmsg_subscriber_get_matched, subscriber) == 1);
	DO(kickmsg_publisher_get_stats, publisher, &sent);

	NEED(CALL(kickmsg_try_receive_copy, subscriber, buf, 1) == -EMSGSIZE);
	NEED(CALL(kickmsg_try_receive_copy, subscriber, buf, sizeof buf) == 5);
	NEED(CALL(kickmsg_try_receive, subscriber, &sample) == 0);
	NEED(VALUE(kickmsg_sample_is_held, &sample) == 1);
	NEED(CALL(kickmsg_sample_release, &sample) == 0);
	NEED(CALL(kickmsg_sample_release, &stranger) == -EINVAL);
	NEED(CALL(kickmsg_try_receive, subscriber, &sample) == -EAGAIN);
	for (int i = 0; i < 20; i++) /* more than the ring has room for */
		NEED(CALL(kickmsg_send, publisher, "hello", 5) == 5);
	NEED(VALUE(kickmsg_subscriber_lost, subscriber) == 16);
	DO(kickmsg_subscriber_get_stats, subscriber, &received);
	NEED(CALL(kickmsg_receive, subscriber, -1, &sample) == 0);
	NEED(CALL(kickmsg_sample_release, &sample) == 0);
	NEED(CALL(kickmsg_receive_copy, subscriber, buf, sizeof buf, -1) == 5);
	drain();
}

static void visit_many(void)
{
	struct kickmsg_sample samples[3];
	struct iovec messages[] = { { buf, 4 }, { buf, 5 } };
	struct iovec loan = { .iov_len = 5 };

	NEED(CALL(kickmsg_loan, publisher, 5, &loan.iov_base) == 0);
	NEED(CALL(kickmsg_publish_many, publisher, &loan, 1) == 1);
	NEED(CALL(kickmsg_publish_many, publisher, &loan, 1) == -EINVAL);
	NEED(CALL(kickmsg_send_many, publisher, messages, 2) == 2);
	messages[0].iov_len = SIZE_MAX;
	NEED(CALL(kickmsg_send_many, publisher, messages, 2) == -EMSGSIZE);
	NEED(CALL(kickmsg_receive_many, subscriber, -1, samples, 1) == 1);
	NEED(CALL(kickmsg_release_many, samples, 1) == 1);
	NEED(CALL(kickmsg_receive_many, subscriber, 0, samples, 3) == 2);
	NEED(CALL(kickmsg_release_many, samples, 2) == 2);
	NEED(CALL(kickmsg_release_many, samples, 2) == -EINVAL);
	NEED(CALL(kickmsg_receive_many, subscriber, 0, samples, 3) == -EAGAIN);
}

/* A publisher waits for a reliable subscriber, for a ns. */
static void visit_room(void)
{
	const struct kickmsg_subscribe_options options = { .reliable = 1 };
	struct kickmsg_topic_config config;
	struct kickmsg_subscriber *reliable;
	struct rlimit files, none = { 0 };
	struct kickmsg_publisher *waits;
	struct kickmsg_waitset *set;
	void *loan, *ready;

	DO(kickmsg_topic_config_init, &config);
	config.ring_capacity = 2;
	config.max_publishers = 1;
	config.max_reliable = 1;
	NEED(CALL(kickmsg_advertise, client, "room", &config, &waits) == 0);
	NEED(CALL(kickmsg_subscribe, client, "room", &options, &reliable) == 0);
	NEED(CALL(kickmsg_loan, waits, 1, &loan) == 0);
	NEED(CALL(kickmsg_send_wait, waits, "a", 1, -1) == 1);
	NEED(CALL(kickmsg_send_wait, waits, "b", 1, -1) == 1);
	NEED(CALL(kickmsg_send_wait, waits, "c", 1, 1) == -ETIMEDOUT);
	NEED(CALL(kickmsg_publish_wait, waits, loan, 1, 0) == -ENOBUFS);
	NEED(getrlimit(RLIMIT_NOFILE, &files) == 0);
	none.rlim_max = files.rlim_max;
	NEED(setrlimit(RLIMIT_NOFILE, &none) == 0);
	NEED(CALL(kickmsg_publisher_get_fd, waits) == -EMFILE);
	NEED(setrlimit(RLIMIT_NOFILE, &files) == 0);
	NEED(CALL(kickmsg_publisher_get_fd, waits) >= 0);
	NEED(VALUE(kickmsg_waitset_new, &set) == 0);
	NEED(VALUE(kickmsg_waitset_add_publisher, set, waits, waits) == 0);
	NEED(CALL(kickmsg_waitset_wait, set, MS, &ready, 1) == -ETIMEDOUT);
	DO(kickmsg_waitset_free, set);
	NEED(CALL(kickmsg_receive_copy, reliable, buf, sizeof buf, -1) == 1);
	NEED(CALL(kickmsg_publish_wait, waits, loan, 1, -1) == 1);
	DO(kickmsg_publisher_free, waits);
	DO(kickmsg_subscriber_free, reliable);
}

static void *send_later(void *argument)
{
	test_nap();
	NEED(kickmsg_send(publisher, "wake", 4) == 4);
	return NULL;
}

static long dispatch(void)
{
	return CALL(kickmsg_client_dispatch, client);
}

/* Mostly it sleeps already when the message comes. */
static void visit_sleep(void)
{
	struct rlimit files, none = { 0 };
	struct kickmsg_waitset *set;
	void *ready = NULL;
	struct kickmsg_client_info info;
	struct kickmsg_sample sample;
	pthread_t thread;

	NEED(CALL(kickmsg_receive, subscriber, 150 * MS, &sample) == -ETIMEDOUT);
	NEED(CALL(kickmsg_receive_copy, subscriber, buf, sizeof buf, MS) == -ETIMEDOUT);
	NEED(getrlimit(RLIMIT_NOFILE, &files) == 0);
	none.rlim_max = files.rlim_max;
	NEED(setrlimit(RLIMIT_NOFILE, &none) == 0);
	NEED(CALL(kickmsg_subscriber_get_fd, subscriber) == -EMFILE);
	NEED(setrlimit(RLIMIT_NOFILE, &files) == 0);
	NEED(CALL(kickmsg_subscriber_get_fd, subscriber) >= 0);
	DO(kickmsg_client_get_info, client, &info);
	NEED(CALL(kickmsg_try_receive, subscriber, &sample) == -EAGAIN);
	NEED(CALL(kickmsg_receive, subscriber, MS, &sample) == -ETIMEDOUT);
	NEED(VALUE(kickmsg_waitset_new, &set) == 0);
	NEED(VALUE(kickmsg_waitset_add_subscriber, set, subscriber, &ready) == 0);
	NEED(CALL(kickmsg_waitset_wait, set, MS, &ready, 1) == -ETIMEDOUT);
	NEED(CALL(kickmsg_waitset_add_fd, set, -1, 1, NULL) == -EBADF);
	NEED(CALL(kickmsg_waitset_add_fd, set, kickmsg_client_get_fd(client), 1, NULL) == 0);
	NEED(VALUE(kickmsg_waitset_add_client, set, client, client) == 0);
	NEED(VALUE(kickmsg_waitset_add_deadline, set, 0, set) == 0);
	NEED(CALL(kickmsg_waitset_wait, set, MS, &ready, 1) == 1);
	/* news of peers make the client ready as well, until they are heard */
	NEED(test_wait_until(
		(dispatch(), CALL(kickmsg_waitset_wait, set, MS, &ready, 1) == -ETIMEDOUT),
		FLOW_WAIT_MS));
	NEED(CALL(kickmsg_waitset_remove, set, client) == 0);
	NEED(CALL(kickmsg_waitset_remove, set, client) == -ENOENT);
	DO(kickmsg_waitset_interrupt, set);
	DO(kickmsg_waitset_free, set);
	DO(kickmsg_subscriber_interrupt, subscriber);
	NEED(CALL(kickmsg_receive, subscriber, -1, &sample) == -EINTR);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(pthread_create(&thread, NULL, send_later, NULL), 0);
		NEED(CALL(kickmsg_receive_copy, subscriber, buf, sizeof buf, -1) == 4);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
	}
}

static long sleep_in_receive(void)
{
	return CALL(kickmsg_receive_copy, subscriber, buf, sizeof buf, 5 * MS);
}

static long ask(void)
{
	struct kickmsg_topic_info info;

	return CALL(kickmsg_topic_get_info, client, &nowhere, &info);
}

static bool is_prepared(void)
{
	return publisher->handle.fresh && subscriber->handle.fresh;
}

/* The broker ends while a loan and a sample are out. `step` is what brings the client back. */
static void visit_restart(long (*step)(void))
{
	struct kickmsg_sample sample;
	void *loans[2];

	NEED(CALL(kickmsg_send, publisher, "held", 4) == 4);
	NEED(CALL(kickmsg_try_receive, subscriber, &sample) == 0);
	NEED(CALL(kickmsg_loan, publisher, 4, &loans[0]) == 0);
	NEED(CALL(kickmsg_loan, publisher, 4, &loans[1]) == 0);
	test_broker_kill(&broker);
	for (int i = 0; i < 3; i++)
		step();
	test_broker_resume(&broker);
	NEED(test_wait_until((step(), is_prepared() || (publisher->handle.fresh &&
							       subscriber->handle.place.past)),
		FLOW_WAIT_MS));
	NEED(CALL(kickmsg_send, publisher, "fresh", 5) == 5);
	NEED(CALL(kickmsg_publish, publisher, loans[0], 4) == 1);
	NEED(CALL(kickmsg_discard, publisher, loans[1]) == 0);
	NEED(VALUE(kickmsg_subscriber_lost, subscriber) >= 16);
	NEED(CALL(kickmsg_sample_release, &sample) == 0);
	NEED(CALL(kickmsg_receive_copy, subscriber, buf, sizeof buf, -1) == 5);
	struct kickmsg_sample copied;
	NEED(CALL(kickmsg_receive_into, subscriber, buf, sizeof buf, -1, &copied) == 0);
	NEED(CALL(kickmsg_receive_into, subscriber, buf, sizeof buf, 0, &copied) == -EAGAIN);
	NEED(copied.len == 4);
	while (dispatch() > 0)
		;
}

static bool has_moved(const struct km_place *place, uint64_t from)
{
	return place->connection > from;
}

/* Other clients go to the fresh region first. A client that only sends and polls follows them. */
static void visit_follow(void)
{
	struct kickmsg_client *before = client, *ahead = flow_client("ahead");
	struct kickmsg_publisher *pub = flow_advertise(ahead, "t", NULL);
	struct kickmsg_subscriber *sub = flow_subscribe(ahead, "t");
	uint64_t connection = client->connection;
	void *loan;

	test_broker_kill(&broker);
	test_broker_resume(&broker);
	client = ahead;
	NEED(test_wait_until((dispatch(), pub->handle.fresh && sub->handle.fresh), FLOW_WAIT_MS));
	client = before;
	NEED(test_wait_until((CALL(kickmsg_send, publisher, "f", 1) == 1 &&
				     has_moved(&publisher->handle.place, connection)),
		FLOW_WAIT_MS));
	NEED(test_wait_until((CALL(kickmsg_try_receive_copy, subscriber, buf, sizeof buf),
				     has_moved(&subscriber->handle.place, connection)),
		FLOW_WAIT_MS));
	DO(kickmsg_client_free, ahead);
	NEED(CALL(kickmsg_loan, publisher, 1, &loan) == 0);
	NEED(CALL(kickmsg_publish, publisher, loan, 1) >= 1);
	drain();
}

/* An answer that comes too late is waited for by the next call. */
static void visit_hung_broker(void)
{
	struct kickmsg_client_config config = { .socket_path = broker.socket,
		.timeout_ns = 200 * MS };
	struct kickmsg_client *before = client;
	struct kickmsg_broker_status told;
	int status;

	NEED(CALL(kickmsg_client_new, &config, &client) == 0);
	kill(broker.pid, SIGSTOP);
	NEED(waitpid(broker.pid, &status, WUNTRACED) == broker.pid);
	NEED(ask() == -ETIMEDOUT && ask() == -ETIMEDOUT);
	NEED(CALL(kickmsg_broker_get_status, client, &told) == -ETIMEDOUT);
	kill(broker.pid, SIGCONT);
	NEED(test_wait_until(ask() == -ENOENT, FLOW_WAIT_MS));
	DO(kickmsg_client_free, client);
	client = before;
}

/* Freed while the broker is there; while it is gone; and with a fresh place that nobody went to. */
static void visit_ends(void)
{
	struct kickmsg_client_config config = { .socket_path = broker.socket };
	struct kickmsg_subscriber *sub;
	struct kickmsg_publisher *pub;
	struct kickmsg_client *short_lived;

	NEED(CALL(kickmsg_client_new, &config, &short_lived) == 0);
	NEED(CALL(kickmsg_advertise, short_lived, "t", NULL, &pub) == 0);
	NEED(CALL(kickmsg_subscribe, short_lived, "t", NULL, &sub) == 0);
	DO(kickmsg_client_free, short_lived);
	NEED(CALL(kickmsg_advertise, client, "t", NULL, &pub) == 0);
	NEED(CALL(kickmsg_subscribe, client, "t", NULL, &sub) == 0);
	test_broker_kill(&broker);
	dispatch();
	DO(kickmsg_publisher_free, pub);
	DO(kickmsg_subscriber_free, sub);
	test_broker_resume(&broker);
	NEED(test_wait_until((dispatch(), is_prepared()), FLOW_WAIT_MS));
	DO(kickmsg_publisher_free, publisher);
	DO(kickmsg_subscriber_free, subscriber);
	DO(kickmsg_client_free, client);
}

/* Under sanitizers a call takes more stack. */
#ifndef SANITIZED
static const char *const hot[] = { "kickmsg_send", "kickmsg_loan", "kickmsg_publish",
	"kickmsg_discard", "kickmsg_publisher_reached", "kickmsg_publisher_get_stats",
	"kickmsg_try_receive", "kickmsg_try_receive_copy", "kickmsg_sample_is_held",
	"kickmsg_sample_release", "kickmsg_send_many", "kickmsg_publish_many",
	"kickmsg_release_many", "kickmsg_subscriber_lost", "kickmsg_subscriber_get_stats",
	"kickmsg_publisher_get_matched", "kickmsg_subscriber_get_matched", "kickmsg_request_status",
	"kickmsg_reply", "kickmsg_reply_more", "kickmsg_reply_error", "kickmsg_reply_loan",
	"kickmsg_reply_publish", "kickmsg_reply_discard", "kickmsg_reply_release",
	"kickmsg_call_cancel", NULL };
static const char *const looking[] = { "kickmsg_client_dispatch", "kickmsg_receive",
	"kickmsg_receive_copy", "kickmsg_receive_into", "kickmsg_receive_many",
	"kickmsg_publisher_wait_matched", "kickmsg_publish_wait", "kickmsg_send_wait", NULL };
static const char *const local[] = { "kickmsg_topic_config_init", "kickmsg_topic_config_check",
	"kickmsg_strerror", "kickmsg_version", "kickmsg_schema_set_identity",
	"kickmsg_schema_set_layout", "kickmsg_schema_diff", "kickmsg_fnv1a64",
	"kickmsg_socket_path", "kickmsg_system_socket", "kickmsg_part_write", "kickmsg_part_read",
	"kickmsg_name_write", "kickmsg_kind_name", "kickmsg_client_last_error",
	"kickmsg_client_get_fd", "kickmsg_client_free", "kickmsg_publisher_free",
	"kickmsg_subscriber_free", "kickmsg_subscriber_interrupt", NULL };

static bool is_one_of(const char *const *names, const char *name)
{
	while (*names && strcmp(*names, name) != 0)
		names++;
	return *names;
}

static void check_stack(bool follows)
{
	for (const struct guest_call *call = guest_calls(); call->name; call++) {
		size_t bound = ASKING_STACK;

		if (is_one_of(hot, call->name))
			bound = follows ? LOOKING_STACK : HOT_STACK;
		else if (is_one_of(looking, call->name))
			bound = LOOKING_STACK;
		else if (is_one_of(local, call->name))
			bound = LOCAL_STACK;
		ck_assert_msg(call->depth < bound, "%s took %zu bytes of stack, of %zu", call->name,
			call->depth, bound);
	}
}
#else
static void check_stack(bool follows)
{
}
#endif

static void tour(void *transport)
{
	visit_without_broker(*(const uint32_t *)transport);
	visit_operators_words();
	visit_clients();
	visit_topics();
	visit_questions();
	visit_operators_questions();
	visit_unlinks();
	visit_messages();
	visit_many();
	visit_room();
	visit_sleep();
	NEED(guest_visit_services(client, *(const uint32_t *)transport) == 0);
	check_stack(false);
	visit_restart(sleep_in_receive);
	visit_restart(dispatch);
	visit_restart(ask);
	visit_follow();
	visit_hung_broker();
	visit_ends();
	check_stack(true);
	flow_stop(); /* a broker ends with the thread that started it */
}

static const struct guest_call *find(const char *name)
{
	const struct guest_call *call = guest_calls();

	while (call->name && strcmp(call->name, name) != 0)
		call++;
	return call->name ? call : NULL;
}

/* The tour visited all that the library offers. */
static void check_all_were_visited(void)
{
	FILE *map = fopen(TEST_MAP, "re");
	char line[128], name[128];
	unsigned count = 0;

	ck_assert_ptr_nonnull(map);
	while (fgets(line, sizeof line, map)) {
		if (sscanf(line, " %127[a-z0-9_];", name) != 1 || !strstr(line, "\tkickmsg_"))
			continue;
		const struct guest_call *call = find(name);

		count++;
		ck_assert_msg(call, "%s is not part of the tour", name);
		ck_assert_msg(call->succeeded, "%s never succeeded", name);
		ck_assert_msg(!call->can_fail || call->failed, "%s never failed", name);
	}
	fclose(map);
	ck_assert_uint_gt(count, 40);
}

START_TEST(every_call_is_a_good_guest)
{
	uint32_t transport = (uint32_t)_i;

	test_broker_start(&broker, NULL);
	guest_run(tour, &transport);
	check_all_were_visited();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guest");
	TCase *tcase = tcase_create("guest");

	tcase_set_timeout(tcase, 100);
	tcase_add_loop_test(tcase, every_call_is_a_good_guest, 0, 2);
	suite_add_tcase(suite, tcase);
	return flow_main(suite);
}
