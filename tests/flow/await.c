/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subscribers that wait for a topic get its first message: the broker attaches them before the client
 * that makes the topic hears that it is there.
 *
 *   flow-await [ROUNDS]   first messages with each transport; default 200
 *
 * The file is long because each way in which a wait can end has a case, over one fixture.
 */
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "libclient/handle/handle.h"
#include "libclient/kickmsg-operator.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/flow.h"
#include "tests/support/broker/manager.h"
#include "tests/support/broker/user.h"

#define SECOND INT64_C(1000000000)

static struct test_manager manager;
static unsigned rounds = 200;
static struct kickmsg_topic_config config;

static void use(int transport)
{
	kickmsg_topic_config_init(&config);
	config.transport = (uint32_t)transport;
}

static void setup(void)
{
	test_broker_start(&broker, "[log]\nlevel = debug\n");
}

/* --- waiters ------------------------------------------------------------------------------ */

/* A thread that subscribes, waits for the topic, and takes the first message. */
struct waiter {
	pthread_t thread;
	struct kickmsg_client *client;
	struct kickmsg_topic_ref topic;
	struct kickmsg_subscribe_options options;
	struct kickmsg_subscriber *subscriber;
	int r;         /* of the subscribe */
	int value;     /* the first message, or an error */
	uint64_t lost; /* up to there */
	_Atomic bool is_over;
};

static void wait_and_receive(struct waiter *waiter)
{
	waiter->r = kickmsg_subscribe_to(
		waiter->client, &waiter->topic, &waiter->options, &waiter->subscriber);
	if (waiter->r < 0)
		return;
	ssize_t n = kickmsg_receive_copy(
		waiter->subscriber, &waiter->value, sizeof waiter->value, 10 * SECOND);
	if (n < 0)
		waiter->value = (int)n;
	waiter->lost = kickmsg_subscriber_lost(waiter->subscriber);
}

static void *run_waiter(void *userdata)
{
	struct waiter *waiter = userdata;

	wait_and_receive(waiter);
	waiter->is_over = true;
	return NULL;
}

/* Waits until so many threads of the client have asked and wait. A thread has the client's turn
 * while it asks, so with the turn in hand one finds them asked. */
static unsigned waiting(struct kickmsg_client *client)
{
	km_client_lock(client);
	bool any = !LIST_EMPTY(&client->awaited);
	km_client_unlock(client);
	return any;
}

static void begin(struct waiter *waiter, struct kickmsg_client *client, const char *topic)
{
	waiter->client = client;
	waiter->topic.name = topic;
	if (waiter->options.wait_ns == 0)
		waiter->options.wait_ns = 20 * SECOND;
	waiter->r = waiter->value = -1;
	waiter->subscriber = NULL;
	waiter->is_over = false;
	ck_assert_int_eq(pthread_create(&waiter->thread, NULL, run_waiter, waiter), 0);
}

static void end(struct waiter *waiter, int r, int value)
{
	pthread_join(waiter->thread, NULL);
	ck_assert_msg(waiter->r == r, "subscribe: %d (%s), not %d", waiter->r,
		kickmsg_client_last_error(waiter->client), r);
	if (r == 0) {
		ck_assert_int_eq(waiter->value, value);
		ck_assert_uint_eq(waiter->lost, 0);
	}
	kickmsg_subscriber_free(waiter->subscriber);
}

/* --- the first message --------------------------------------------------------------------- */

static void *dispatch(void *userdata)
{
	struct kickmsg_client *client = userdata;

	for (;;) {
		struct pollfd readable = { kickmsg_client_get_fd(client), POLLIN, 0 };

		poll(&readable, 1, -1);
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
		kickmsg_client_dispatch(client);
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	}
	return NULL;
}

/* In each round the topic is made in another way: by another client, by the same client, or by a
 * thread whose dispatch also takes the waiter's answer from the socket. */
START_TEST(first_message_is_never_missed)
{
	use(_i);
	setup();
	struct kickmsg_client *waits = flow_client("waits"), *other = flow_client("other");
	struct waiter waiter = { 0 };
	pthread_t dispatcher;

	for (unsigned i = 0; i < rounds; i++) {
		struct kickmsg_client *maker = i % 3 == 1 ? waits : other;
		char name[16];

		snprintf(name, sizeof name, "t%u", i);
		if (i % 3 == 2)
			pthread_create(&dispatcher, NULL, dispatch, waits);
		begin(&waiter, waits, name);
		ck_assert(test_wait_until(waiting(waits), FLOW_WAIT_MS));
		struct kickmsg_publisher *publisher = flow_advertise(maker, name, &config);
		flow_send_int(publisher, (int)i);
		flow_send_int(publisher, -2);
		end(&waiter, 0, (int)i);
		if (i % 3 == 2) {
			pthread_cancel(dispatcher);
			pthread_join(dispatcher, NULL);
		}
		kickmsg_publisher_free(publisher);
	}
	kickmsg_client_free(waits);
	kickmsg_client_free(other);
	flow_stop();
}
END_TEST

/* Several topics that are made at once, with two waiters each. */
START_TEST(topics_at_once_each_has_its_waiters)
{
	enum { TOPICS = 4, WAITERS = 2 * TOPICS };
	use(_i);
	setup();
	struct kickmsg_client *clients[WAITERS], *maker = flow_client("maker");
	struct waiter waiters[WAITERS] = { 0 };
	struct kickmsg_publisher *publishers[TOPICS];
	char names[TOPICS][8];

	for (int i = 0; i < WAITERS; i++) {
		clients[i] = flow_client("waits");
		snprintf(names[i % TOPICS], sizeof names[0], "t%d", i % TOPICS);
		begin(&waiters[i], clients[i], names[i % TOPICS]);
	}
	for (int i = 0; i < WAITERS; i++)
		ck_assert(test_wait_until(waiting(clients[i]), FLOW_WAIT_MS));
	for (int i = 0; i < TOPICS; i++)
		publishers[i] = flow_advertise(maker, names[i], &config);
	for (int i = 0; i < TOPICS; i++)
		flow_send_int(publishers[i], i);
	for (int i = 0; i < WAITERS; i++)
		end(&waiters[i], 0, i % TOPICS);
	for (int i = 0; i < WAITERS; i++)
		kickmsg_client_free(clients[i]);
	kickmsg_client_free(maker);
	flow_stop();
}
END_TEST

/* By other makers than advertise, and of other kinds. */
START_TEST(kinds_and_makers_all_serve_waiters)
{
	use(_i);
	setup();
	struct kickmsg_client *waits = flow_client("waits"), *maker = flow_client("maker");
	struct kickmsg_client *same = flow_client("waits");
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber, *second;
	struct waiter waiter = { .topic.kind = KICKMSG_BROADCAST };

	begin(&waiter, waits, "channel");
	ck_assert(test_wait_until(waiting(waits), FLOW_WAIT_MS));
	ck_assert_int_eq(
		kickmsg_join_broadcast(maker, "channel", &config, NULL, &publisher, &subscriber),
		0);
	flow_send_int(publisher, 1);
	end(&waiter, 0, 1);

	/* a mailbox has one reader: its maker, not the client that waited for it */
	waiter = (struct waiter){ .topic.kind = KICKMSG_MAILBOX };
	begin(&waiter, waits, "box");
	ck_assert(test_wait_until(waiting(waits), FLOW_WAIT_MS));
	ck_assert_int_eq(kickmsg_create_mailbox(same, "box", &config, NULL, &second), 0);
	end(&waiter, -ENOSPC, 0);
	/* another's can't be waited for at all */
	waiter.topic.owner = "maker";
	begin(&waiter, waits, "box");
	end(&waiter, -EACCES, 0);

	waiter = (struct waiter){ 0 };
	begin(&waiter, waits, "by-subscriber");
	ck_assert(test_wait_until(waiting(waits), FLOW_WAIT_MS));
	ck_assert_int_eq(
		kickmsg_subscribe_or_create(maker, "by-subscriber", &config, NULL, &subscriber), 0);
	publisher = flow_advertise(maker, "by-subscriber", &config);
	flow_send_int(publisher, 3);
	end(&waiter, 0, 3);
	kickmsg_client_free(same);
	kickmsg_client_free(waits);
	kickmsg_client_free(maker);
	flow_stop();
}
END_TEST

START_TEST(observers_wait_as_well)
{
	use(KICKMSG_TRANSPORT_SHARED);
	setup();
	struct kickmsg_client *waits = flow_client("waits"), *maker = flow_client("maker");
	struct waiter waiter = { .options.observe = 1 };

	begin(&waiter, waits, "t");
	ck_assert(test_wait_until(waiting(waits), FLOW_WAIT_MS));
	struct kickmsg_publisher *publisher = flow_advertise(maker, "t", &config);
	flow_send_int(publisher, 5);
	end(&waiter, 0, 5);
	/* a topic with rings has none */
	use(KICKMSG_TRANSPORT_RINGS);
	begin(&waiter, waits, "rings");
	ck_assert(test_wait_until(waiting(waits), FLOW_WAIT_MS));
	flow_advertise(maker, "rings", &config);
	end(&waiter, -EOPNOTSUPP, 0);
	kickmsg_client_free(waits);
	kickmsg_client_free(maker);
	flow_stop();
}
END_TEST

/* --- refusals ------------------------------------------------------------------------------- */

static int status_of(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static uint32_t subscribers_of(struct kickmsg_client *client, const char *topic)
{
	struct kickmsg_topic_ref ref = { .name = topic };
	struct kickmsg_topic_info info;

	ck_assert_int_eq(kickmsg_topic_get_info(client, &ref, &info), 0);
	return info.subscribers;
}

/* Schema and room are looked at when the topic is there. Those that waited first are served
 * first. */
START_TEST(what_waiters_may_not_have_is_said_when_the_topic_comes)
{
	struct kickmsg_schema schema = { .version = 2 };

	use(_i);
	config.max_subscribers = 2;
	setup();
	struct kickmsg_client *clients[4], *maker = flow_client("maker");
	struct waiter waiters[4] = { 0 };

	for (int i = 0; i < 4; i++) {
		clients[i] = flow_client("waits");
		if (i == 1) /* a waiter that is refused takes nobody's place */
			waiters[i].options.schema = &schema;
		begin(&waiters[i], clients[i], "t");
		ck_assert(test_wait_until(waiting(clients[i]), FLOW_WAIT_MS));
	}
	struct kickmsg_publisher *publisher = flow_advertise(maker, "t", &config);
	flow_send_int(publisher, 8);
	end(&waiters[1], -EPROTOTYPE, 0);
	end(&waiters[3], -ENOSPC, 0);
	ck_assert(flow_said(clients[3], "has all its 2 subscribers"));
	ck_assert_uint_eq(subscribers_of(maker, "t"), 2);
	end(&waiters[0], 0, 8);
	end(&waiters[2], 0, 8);
	for (int i = 0; i < 4; i++)
		kickmsg_client_free(clients[i]);
	kickmsg_client_free(maker);
	flow_stop();
}
END_TEST

/* So are rights, by the rules of that time. */
START_TEST(rights_are_looked_at_when_the_topic_comes)
{
	int ready[2];
	char byte;

	if (user_cannot_change())
		return;
	user_start_broker("[topic kickmsg:secret]\nsubscribe = root\n");
	ck_assert_int_eq(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct kickmsg_client *mine = user_client(USER_A, 0);
		struct waiter waiter = { 0 };

		begin(&waiter, mine, "secret");
		while (!waiting(mine))
			test_nap();
		NEED(write(ready[1], "", 1) == 1);
		pthread_join(waiter.thread, NULL);
		NEED(waiter.r == -EACCES && flow_said(mine, "may not subscribe to"));
		_exit(0);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	struct kickmsg_client *maker = flow_client("maker");
	flow_advertise(maker, "secret", NULL);
	ck_assert_int_eq(status_of(pid), 0);
	ck_assert_uint_eq(subscribers_of(maker, "secret"), 0);
	kickmsg_client_free(maker);
	close(ready[0]);
	close(ready[1]);
	flow_stop();
}
END_TEST

/* --- raw peers ------------------------------------------------------------------------------ */

/* A client that says what no library would. */
static struct km_msg_attach request_of(const char *topic, uint32_t serial)
{
	struct km_msg_attach request = { .header = { KM_OP_SUBSCRIBE, serial },
		.flags = KM_ATTACH_WAIT };

	snprintf(request.topic, sizeof request.topic, "%s", topic);
	return request;
}

/* The name of what the test keeps of an answer. */
static uint64_t ask_to_wait(int peer, const char *topic, uint32_t serial)
{
	struct km_msg_attach request = request_of(topic, serial);
	union km_msg answer;

	ck_assert_int_eq(test_peer_call(peer, &request, sizeof request, &answer), KM_OP_WAITS);
	ck_assert_uint_eq(answer.header.serial, serial);
	ck_assert_uint_ne(answer.waits.endpoint, 0);
	return answer.waits.endpoint;
}

static void detach(int peer, uint64_t endpoint)
{
	struct km_msg_detach request = { .header.op = KM_OP_DETACH, .endpoint = endpoint };

	ck_assert_int_eq(km_wire_send(peer, &request, sizeof request, NULL, 0), 0);
}

/* Waits count as endpoints, end with DETACH and with the client, and leave nothing. */
START_TEST(waits_count_as_endpoints_and_go_with_the_client)
{
	struct flow_stock stock;
	union km_msg answer;
	uint64_t waits[4];
	char name[8];

	test_broker_start(&broker, "[limits]\nclient_endpoints = 4\n");
	flow_take_stock(&stock);
	int peer = test_peer_hello(broker.socket, "peer", NULL);
	for (uint32_t i = 0; i < 4; i++) {
		snprintf(name, sizeof name, "t%u", i / 2); /* of one name as many as one likes */
		waits[i] = ask_to_wait(peer, name, 10 + i);
	}
	struct km_msg_attach request = request_of("more", 20);
	int op = test_peer_call(peer, &request, sizeof request, &answer);
	flow_expect_error(&answer, op, -EDQUOT, "limit of 4 endpoints of a client");
	detach(peer, waits[0]);
	detach(peer, waits[0]); /* is none any more */
	detach(peer, 0);
	ask_to_wait(peer, "more", 21);
	/* one is served: its place among the endpoints is the member's */
	struct kickmsg_client *maker = flow_client("maker");
	flow_advertise(maker, "t0", NULL);
	ck_assert_int_eq(test_peer_answer(peer, &answer), KM_OP_ATTACHED);
	ck_assert_uint_eq(answer.header.serial, 11);
	ck_assert_uint_eq(subscribers_of(maker, "t0"), 1);
	op = test_peer_call(peer, &request, sizeof request, &answer);
	flow_expect_error(&answer, op, -EDQUOT, "limit of 4 endpoints of a client");
	detach(peer, KM_ALL_ENDPOINTS);
	for (uint32_t i = 0; i < 4; i++)
		ask_to_wait(peer, "t1", 30 + i);
	close(peer);
	/* the next hello from here closes the segment of the one before */
	close(test_peer_hello(broker.socket, "peer", &peer));
	close(peer);
	flow_advertise(maker, "t1", NULL);
	ck_assert_uint_eq(subscribers_of(maker, "t1"), 0);
	kickmsg_client_free(maker);
	flow_check_stock(&stock);
	flow_stop();
}
END_TEST

/* DETACH ends a wait that has become an endpoint meanwhile, whether its client has read that or
 * not. */
START_TEST(cancel_and_attach_may_cross)
{
	union km_msg answer;

	use(_i);
	setup();
	struct kickmsg_client *maker = flow_client("maker");
	int peer = test_peer_hello(broker.socket, "peer", NULL);
	uint64_t first = ask_to_wait(peer, "t", 5), second = ask_to_wait(peer, "t", 6);

	flow_advertise(maker, "t", &config);
	ck_assert_uint_eq(subscribers_of(maker, "t"), 2);
	detach(peer, first);
	ck_assert(test_wait_until(subscribers_of(maker, "t") == 1, FLOW_WAIT_MS));
	ck_assert_int_eq(test_peer_answer(peer, &answer), KM_OP_ATTACHED);
	detach(peer, answer.attached.endpoint); /* once more, by its other name */
	ck_assert_int_eq(test_peer_answer(peer, &answer), KM_OP_ATTACHED);
	ck_assert_uint_eq(answer.header.serial, 6);
	ck_assert_uint_ne(answer.attached.endpoint, second);
	ck_assert_uint_eq(subscribers_of(maker, "t"), 1);
	detach(peer, answer.attached.endpoint);
	ck_assert(test_wait_until(subscribers_of(maker, "t") == 0, FLOW_WAIT_MS));
	close(peer);
	kickmsg_client_free(maker);
	flow_stop();
}
END_TEST

/* The library's wait ends at about the time that the topic is made: it gets the first message, or
 * nothing. */
START_TEST(time_out_and_maker_cross_and_nothing_is_left)
{
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_topic_info info;
	unsigned in_time = 0;

	use(_i);
	setup();
	struct kickmsg_client *waits = flow_client("waits"), *maker = flow_client("maker");
	struct waiter waiter = { 0 };

	for (int i = 0; i < 100; i++) {
		/* 0.2 to 4 ms */
		waiter.options.wait_ns = (uint64_t)(1 + i % 20) * 200000;
		begin(&waiter, waits, "t");
		test_nap();
		struct kickmsg_publisher *publisher = flow_advertise(maker, "t", &config);
		flow_send_int(publisher, i);
		while (!waiter.is_over) { /* it may have come to ask after the first message */
			flow_send_int(publisher, -2);
			test_nap();
		}
		pthread_join(waiter.thread, NULL);
		in_time += waiter.r == 0 && waiter.value == i;
		if (waiter.r == 0) {
			ck_assert(waiter.value == i || waiter.value == -2);
		} else {
			ck_assert_int_eq(waiter.r, -ETIMEDOUT);
			ck_assert(flow_said(waits, "did not come to exist in time"));
		}
		kickmsg_subscriber_free(waiter.subscriber);
		ck_assert(test_wait_until(
			kickmsg_topic_get_info(maker, &ref, &info) == 0 && info.subscribers == 0,
			FLOW_WAIT_MS));
		kickmsg_publisher_free(publisher);
	}
	printf("%u of 100 in time\n", in_time);
	kickmsg_client_free(waits);
	kickmsg_client_free(maker);
	flow_stop();
}
END_TEST

/* A thousand waiters of one name: each client that comes into the topic finds all of them in it. */
static pthread_barrier_t all_comers;

static void *come_in(void *userdata)
{
	int *answers = userdata;
	struct kickmsg_publisher *publisher;
	struct kickmsg_client *client = flow_client("comes");
	uint32_t there = 0;

	pthread_barrier_wait(&all_comers);
	if (kickmsg_advertise_or_join(client, "t", &config, &publisher) == 0)
		there = kickmsg_publisher_get_matched(publisher);
	*answers = (int)there;
	kickmsg_client_free(client);
	return NULL;
}

/* Asks for the topic again and again, also while the waiters are served. */
static void *take_a_place(void *userdata)
{
	struct kickmsg_client *client = flow_client("late");
	struct kickmsg_subscriber *subscriber;
	int *r = userdata;

	pthread_barrier_wait(&all_comers);
	do
		*r = kickmsg_subscribe(client, "t", NULL, &subscriber);
	while (*r == -ENOENT);
	kickmsg_client_free(client);
	return NULL;
}

START_TEST(thousand_waiters_are_all_there_for_whoever_comes)
{
	enum { PEERS = 20, EACH = 50, COMERS = 3 };
	int peers[PEERS], there[COMERS], late;
	pthread_t threads[COMERS], late_thread;
	union km_msg answer;

	use(KICKMSG_TRANSPORT_SHARED);
	config.max_subscribers = PEERS * EACH - 1;
	config.linger_ns = (uint64_t)SECOND;
	test_broker_start(&broker, NULL);
	for (int i = 0; i < PEERS; i++) {
		peers[i] = test_peer_hello(broker.socket, "peer", NULL);
		for (uint32_t k = 0; k < EACH; k++)
			ask_to_wait(peers[i], "t", 100 + k);
	}
	pthread_barrier_init(&all_comers, NULL, COMERS + 1);
	pthread_create(&late_thread, NULL, take_a_place, &late);
	for (int i = 0; i < COMERS; i++)
		pthread_create(&threads[i], NULL, come_in, &there[i]);
	for (int i = 0; i < PEERS; i++) {
		uint64_t answered = 0;

		for (uint32_t k = 0; k < EACH; k++) {
			int op = test_peer_answer(peers[i], &answer);

			ck_assert_int_gt(op, 0);
			answered |= UINT64_C(1) << (answer.header.serial - 100);
			if (op == KM_OP_ATTACHED)
				continue;
			flow_expect_error(&answer, op, -ENOSPC, "has all its 999");
			ck_assert(i == PEERS - 1 && answer.header.serial == 100 + EACH - 1);
		}
		ck_assert_uint_eq(answered, (UINT64_C(1) << EACH) - 1);
	}
	pthread_join(late_thread, NULL);
	ck_assert_int_eq(late, -ENOSPC);
	for (int i = 0; i < COMERS; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_int_eq(there[i], PEERS * EACH - 1);
	}
	for (int i = 0; i < PEERS; i++)
		close(peers[i]);
	flow_stop();
}
END_TEST

/* A client has one unread answer with descriptors at most. Its waits become members at once, and
 * are answered as the client reads. A wait that is given back before its answer gets an answer that
 * doesn't count. */
START_TEST(client_that_does_not_read_is_answered_later)
{
	enum { WAITS = 20 };
	struct flow_stock stock;
	union km_msg answer;
	uint64_t waits[WAITS];
	int unread;

	use(_i);
	config.max_subscribers = WAITS;
	setup();
	flow_take_stock(&stock);
	struct kickmsg_client *maker = flow_client("maker");
	int peer = test_peer_hello(broker.socket, "peer", NULL);
	for (uint32_t i = 0; i < WAITS; i++)
		waits[i] = ask_to_wait(peer, "t", 10 + i);
	struct kickmsg_publisher *publisher = flow_advertise(maker, "t", &config);
	ck_assert_uint_eq(kickmsg_publisher_get_matched(publisher), WAITS);
	/* time for more answers to come; a broker without a fault sends none */
	for (int i = 0; i < 20; i++)
		test_nap();
	ck_assert_int_eq(ioctl(peer, SIOCINQ, &unread), 0);
	ck_assert_int_gt(unread, 0);
	ck_assert_int_lt(unread, 2 * (int)sizeof answer.attached);
	detach(peer, waits[WAITS - 1]);
	ck_assert(test_wait_until(
		kickmsg_publisher_get_matched(publisher) == WAITS - 1, FLOW_WAIT_MS));
	for (uint32_t i = 0; i < WAITS - 1; i++) {
		ck_assert_int_eq(test_peer_answer(peer, &answer), KM_OP_ATTACHED);
		ck_assert_uint_ne(answer.header.serial, 10 + WAITS - 1);
	}
	detach(peer, KM_ALL_ENDPOINTS);
	ck_assert(test_wait_until(kickmsg_publisher_get_matched(publisher) == 0, FLOW_WAIT_MS));
	close(peer);
	/* the next hello from here closes the segment of the one before */
	close(test_peer_hello(broker.socket, "peer", &peer));
	close(peer);
	kickmsg_client_free(maker);
	flow_check_stock(&stock);
	flow_stop();
}
END_TEST

/* A waiter that can't be told is sent away, and keeps nobody from anything. */
START_TEST(waiter_that_cannot_be_told_is_sent_away)
{
	use(_i);
	setup();
	struct kickmsg_client *maker = flow_client("maker");
	int peer = test_peer_hello(broker.socket, "deaf", NULL);
	union km_msg answer;

	ask_to_wait(peer, "t", 1);
	ask_to_wait(peer, "t", 2);
	ask_to_wait(peer, "other", 3);
	ck_assert_int_eq(shutdown(peer, SHUT_RD), 0);
	struct kickmsg_publisher *publisher = flow_advertise(maker, "t", &config);
	ck_assert(test_wait_until(subscribers_of(maker, "t") == 0, FLOW_WAIT_MS));
	ck_assert_int_eq(kickmsg_send(publisher, "x", 1), 1);
	ck_assert_int_eq(test_peer_answer(peer, &answer), -ENOTCONN);
	flow_advertise(maker, "other", &config);
	ck_assert_uint_eq(subscribers_of(maker, "other"), 0);
	close(peer);
	kickmsg_client_free(maker);
	flow_stop();
}
END_TEST

/* --- deaths --------------------------------------------------------------------------------- */

/* A process whose one thread waits; 0 when it got message `value` first. */
static pid_t start_process(const char *topic, int value)
{
	int ready[2];
	char byte;

	ck_assert_int_eq(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		struct kickmsg_client *client = flow_client("process");
		struct waiter waiter = { 0 };

		begin(&waiter, client, topic);
		while (!waiting(client))
			test_nap();
		_exit(write(ready[1], "", 1) != 1 || pthread_join(waiter.thread, NULL) != 0 ||
			waiter.r != 0 || waiter.value != value);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

START_TEST(waiter_that_is_killed_leaves_nothing)
{
	struct flow_stock stock;

	use(_i);
	setup();
	flow_take_stock(&stock);
	struct kickmsg_client *maker = flow_client("maker");
	pid_t victim = start_process("t", 1), other = start_process("t", 1);

	kill(victim, SIGKILL);
	ck_assert(WIFSIGNALED(status_of(victim)));
	struct kickmsg_publisher *publisher = flow_advertise(maker, "t", &config);
	flow_send_int(publisher, 1);
	ck_assert_int_eq(status_of(other), 0);
	ck_assert(test_wait_until(subscribers_of(maker, "t") == 0, FLOW_WAIT_MS));
	ck_assert(test_wait_until(flow_is_healthy("t"), FLOW_WAIT_MS));
	kickmsg_client_free(maker);
	flow_check_stock(&stock);
	flow_stop();
}
END_TEST

/* The parent goes on waiting; the child has nothing of it. */
START_TEST(fork_while_a_thread_waits)
{
	use(_i);
	setup();
	struct kickmsg_client *waits = flow_client("waits"), *maker = flow_client("maker");
	struct waiter waiter = { 0 };
	struct kickmsg_subscriber *subscriber;

	begin(&waiter, waits, "t");
	ck_assert(test_wait_until(waiting(waits), FLOW_WAIT_MS));
	pid_t child = fork();
	if (child == 0) {
		int r = kickmsg_subscribe(waits, "t", NULL, &subscriber);

		kickmsg_client_free(waits);
		_exit(r != -ECHILD);
	}
	ck_assert_int_eq(status_of(child), 0);
	struct kickmsg_publisher *publisher = flow_advertise(maker, "t", &config);
	flow_send_int(publisher, 4);
	end(&waiter, 0, 4);
	kickmsg_client_free(waits);
	kickmsg_client_free(maker);
	flow_stop();
}
END_TEST

/* A broker without a manager: the waiters come to the next one and wait there. */
START_TEST(next_broker_is_asked_anew)
{
	use(_i);
	setup();
	struct kickmsg_client *waits = flow_client("waits");
	struct waiter waiter = { 0 };

	begin(&waiter, waits, "t");
	ck_assert(test_wait_until(waiting(waits), FLOW_WAIT_MS));
	for (int i = 0; i < 3; i++) {
		test_broker_kill(&broker);
		remove(broker.log);
		test_broker_resume(&broker);
		ck_assert(test_wait_until(
			test_broker_logged(&broker, "waits for topic 't'"), FLOW_WAIT_MS));
	}
	struct kickmsg_client *maker = flow_client("maker");
	struct kickmsg_publisher *publisher = flow_advertise(maker, "t", &config);
	flow_send_int(publisher, 6);
	end(&waiter, 0, 6);
	kickmsg_client_free(waits);
	kickmsg_client_free(maker);
	flow_stop();
}
END_TEST

/* With a manager the next broker has them from the state, before it hears anybody. */
START_TEST(next_broker_knows_who_waits)
{
	struct waiter waiter = { 0 };
	struct kickmsg_client *waits, *maker;

	if (test_skip_emulated("next_broker_knows_who_waits", TEST_LACKS_PEEKING))
		return;
	use(_i);
	test_manager_start(&manager, NULL);
	strcpy(broker.socket, manager.socket);
	waits = flow_client("waits");
	maker = flow_client("maker");
	for (int i = 0; i < 20; i++) {
		char name[8];

		snprintf(name, sizeof name, "t%d", i);
		begin(&waiter, waits, name);
		ck_assert(test_wait_until(waiting(waits), FLOW_WAIT_MS));
		test_manager_kill(&manager, i % 2 ? SIGKILL : SIGTERM);
		if (i % 4 == 3) { /* once more */
			test_manager_resume(&manager);
			test_manager_kill(&manager, SIGKILL);
		}
		test_manager_resume_unready(&manager);
		struct kickmsg_publisher *publisher = flow_advertise(maker, name, &config);
		flow_send_int(publisher, i);
		end(&waiter, 0, i);
		kickmsg_publisher_free(publisher);
	}
	kickmsg_client_free(waits);
	kickmsg_client_free(maker);
	ck_assert(test_wait_until(test_manager_is_empty(&manager), FLOW_WAIT_MS));
	ck_assert_int_eq(test_manager_stop(&manager), 0);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("await");
	TCase *tc = tcase_create("await");
	const int rings = KICKMSG_TRANSPORT_RINGS, end = KICKMSG_TRANSPORT_SHARED + 1;

	if (argc > 1)
		rounds = (unsigned)strtoul(argv[1], NULL, 0);
	tcase_set_timeout(tc, rounds > 1000 ? 600 : 60);
	tcase_add_loop_test(tc, first_message_is_never_missed, rings, end);
	tcase_add_loop_test(tc, topics_at_once_each_has_its_waiters, rings, end);
	tcase_add_loop_test(tc, kinds_and_makers_all_serve_waiters, rings, end);
	tcase_add_test(tc, observers_wait_as_well);
	tcase_add_loop_test(tc, what_waiters_may_not_have_is_said_when_the_topic_comes, rings, end);
	tcase_add_test(tc, rights_are_looked_at_when_the_topic_comes);
	tcase_add_test(tc, waits_count_as_endpoints_and_go_with_the_client);
	tcase_add_loop_test(tc, cancel_and_attach_may_cross, rings, end);
	tcase_add_loop_test(tc, time_out_and_maker_cross_and_nothing_is_left, rings, end);
	tcase_add_test(tc, thousand_waiters_are_all_there_for_whoever_comes);
	tcase_add_loop_test(tc, client_that_does_not_read_is_answered_later, rings, end);
	tcase_add_loop_test(tc, waiter_that_cannot_be_told_is_sent_away, rings, end);
	tcase_add_loop_test(tc, waiter_that_is_killed_leaves_nothing, rings, end);
	tcase_add_loop_test(tc, fork_while_a_thread_waits, rings, end);
	tcase_add_loop_test(tc, next_broker_is_asked_anew, rings, end);
	tcase_add_loop_test(tc, next_broker_knows_who_waits, rings, end);
	suite_add_tcase(suite, tc);
	return flow_main(suite);
}
