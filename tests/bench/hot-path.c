/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs whose calls are counted (instructions.c): one process sends 64 bytes and takes them in turn,
 * BENCH_HOT_TURNS times, in each way that there is.
 */
#include <stdio.h>
#include <string.h>

#include "libclient/kickmsg-service.h"
#include "tests/bench/kick.h"

#define MANY     32 /* messages of a batch */
#define STALL_NS UINT64_C(10000000000)
#define OPEN_NS  INT64_C(10000000000)

static void take(struct kickmsg_subscriber *subscriber, uint64_t key)
{
	struct kickmsg_sample sample;
	int r = kickmsg_try_receive(subscriber, &sample);

	if (r < 0 || !message_good(sample.data, 64, key))
		bench_die("receive: %s", kickmsg_strerror(r));
	kickmsg_sample_release(&sample);
}

static void turn_copied(struct kickmsg_publisher *publisher, struct kickmsg_subscriber *subscriber,
	uint64_t key, bool waits)
{
	uint64_t words[8], copy[8];

	message_write(words, sizeof(words), key);
	if ((waits ? kickmsg_send_wait(publisher, words, sizeof(words), -1)
		   : kickmsg_send(publisher, words, sizeof(words))) < 0)
		bench_die("send failed");
	if (kickmsg_try_receive_copy(subscriber, copy, sizeof(copy)) < 0 ||
		!message_good(copy, sizeof(copy), key))
		bench_die("receive_copy failed");
}

static void turn_in_place(
	struct kickmsg_publisher *publisher, struct kickmsg_subscriber *subscriber, uint64_t key)
{
	uint64_t words[8];
	void *payload;

	message_write(words, sizeof(words), key);
	if (kickmsg_send(publisher, words, sizeof(words)) < 0)
		bench_die("send failed");
	take(subscriber, key);
	if (kickmsg_loan(publisher, sizeof(words), &payload) < 0)
		bench_die("loan failed");
	message_write(payload, sizeof(words), key);
	if (kickmsg_publish(publisher, payload, sizeof(words)) < 0)
		bench_die("publish failed");
	take(subscriber, key);
}

static void hot_path(struct kickmsg_client *client, bool shared, bool reliable, bool waits)
{
	const struct kickmsg_subscribe_options options = { .reliable = reliable };
	struct kickmsg_topic_config config;

	kickmsg_topic_config_init(&config);
	if (shared || reliable)
		config.max_publishers = 1;
	if (shared)
		config.transport = KICKMSG_TRANSPORT_SHARED;
	config.max_reliable = reliable;
	config.stall_ns = reliable ? STALL_NS : 0;
	struct kickmsg_publisher *publisher = kick_publisher(client, "hot-path", &config);
	struct kickmsg_subscriber *subscriber = kick_subscriber_with(client, "hot-path", &options);
	for (unsigned i = 0; i < BENCH_HOT_TURNS; i++) {
		turn_copied(publisher, subscriber, i, waits);
		/* a loan would leave a slot in the shared ring's cell, which later sends would
		 * pay for */
		if (!shared)
			turn_in_place(publisher, subscriber, i);
	}
}

/* BENCH_HOT_TURNS messages, MANY in a call. */
static void hot_path_many(struct kickmsg_client *client, bool shared)
{
	struct kickmsg_topic_config config;
	struct kickmsg_sample samples[MANY];
	struct iovec messages[MANY];
	uint64_t words[MANY][8];

	kickmsg_topic_config_init(&config);
	config.max_loans = config.max_borrows = MANY;
	if (shared) {
		config.transport = KICKMSG_TRANSPORT_SHARED;
		config.max_publishers = 1;
	}
	struct kickmsg_publisher *publisher = kick_publisher(client, "hot-path", &config);
	struct kickmsg_subscriber *subscriber = kick_subscriber(client, "hot-path");
	for (uint64_t i = 0; i < BENCH_HOT_TURNS; i += MANY) {
		for (unsigned k = 0; k < MANY; k++) {
			message_write(words[k], sizeof(words[k]), i + k);
			messages[k] = (struct iovec){ words[k], sizeof(words[k]) };
		}
		if (kickmsg_send_many(publisher, messages, MANY) != MANY ||
			kickmsg_receive_many(subscriber, 0, samples, MANY) != MANY)
			bench_die("a batch wasn't whole");
		for (unsigned k = 0; k < MANY; k++)
			if (!message_good(samples[k].data, sizeof(words[k]), i + k))
				bench_die("a batch has another message");
		kickmsg_release_many(samples, MANY);
	}
}

struct service {
	struct kickmsg_server *server;
	struct kickmsg_caller *caller;
	bool shared;
};

static void open_service(struct service *service, struct kickmsg_client *client)
{
	struct kickmsg_service_config config;
	struct kickmsg_request request;
	const int64_t end_ns = bench_now_ns() + OPEN_NS;

	kickmsg_service_config_init(&config);
	config.max_request_size = config.max_reply_size = 64;
	config.transport = service->shared ? KICKMSG_TRANSPORT_SHARED : KICKMSG_TRANSPORT_RINGS;
	if (kickmsg_serve(client, "hot-path", &config, &service->server) < 0 ||
		kickmsg_open_service(client, "hot-path", NULL, &service->caller) < 0)
		bench_die("service: %s", kickmsg_client_last_error(client));
	while (kickmsg_caller_wait_server(service->caller, 0) < 0) {
		kickmsg_take_request(service->server, 0, &request);
		if (bench_now_ns() > end_ns)
			bench_die("the server doesn't answer");
	}
}

static void call(const struct service *service, uint64_t key)
{
	uint64_t words[8], id;
	void *room = words;
	int r = service->shared ? 0 : kickmsg_call_loan(service->caller, sizeof(words), &room);

	message_write(room, sizeof(words), key);
	if (r == 0)
		r = service->shared
			    ? kickmsg_call_begin(service->caller, words, sizeof(words), -1, &id)
			    : kickmsg_call_publish(service->caller, room, sizeof(words), -1, &id);
	if (r < 0)
		bench_die("call: %s", kickmsg_strerror(r));
}

static void serve(const struct service *service, uint64_t key)
{
	struct kickmsg_request request;
	uint64_t words[8];
	void *room = words;
	int r = kickmsg_take_request(service->server, 0, &request);

	if (r < 0 || !message_good(request.data, sizeof(words), key))
		bench_die("request: %s", kickmsg_strerror(r));
	if (!service->shared)
		r = kickmsg_reply_loan(&request, sizeof(words), &room);
	message_write(room, sizeof(words), key + 1);
	if (r == 0)
		r = service->shared ? kickmsg_reply(&request, words, sizeof(words))
				    : kickmsg_reply_publish(&request, room, sizeof(words), 0);
	if (r < 0)
		bench_die("reply: %s", kickmsg_strerror(r));
}

static void hot_path_calls(struct kickmsg_client *client, bool shared)
{
	struct service service = { .shared = shared };

	open_service(&service, client);
	for (uint64_t i = 0; i < BENCH_HOT_TURNS; i++) {
		struct kickmsg_reply reply;

		call(&service, i);
		serve(&service, i);
		int r = kickmsg_take_reply(service.caller, 0, &reply);
		if (r < 0 || !message_good(reply.data, 64, i + 1))
			bench_die("reply: %s", kickmsg_strerror(r));
		kickmsg_reply_release(&reply);
	}
}

int bench_hot_path(const char *program, const char *socket_path)
{
	const bool shared = strstr(program, "shared") != NULL;
	struct kickmsg_client *client = kick_client(socket_path);

	if (strncmp(program, "many", 4) == 0)
		hot_path_many(client, shared);
	else if (strncmp(program, "calls", 5) == 0)
		hot_path_calls(client, shared);
	else
		hot_path(client, shared, strncmp(program, "reliable", 8) == 0,
			strstr(program, "wait") != NULL);
	kickmsg_client_free(client);
	return 0;
}
