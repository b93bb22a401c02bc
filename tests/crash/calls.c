/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stops a caller or a server of a real kickmsgd at instructions of the library in an operation on calls,
 * looks how the others fare, and kills it there.
 *
 *   crash-calls begin|cancel|hear|take|reply [shared] [STRIDE]
 *
 * begin, cancel, hear (kickmsg_take_reply): a caller, while another one calls the same server. take,
 * reply: a server with two calls in flight, while another one stands by. One of STRIDE instructions is a
 * point, 1 by default: all of them. The library doesn't let its mappings be inherited, so there are no
 * copies of a walker: each point has one of its own.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libclient/service/caller.h"
#include "libclient/service/server.h"
#include "tests/support/broker/broker.h"
#include "tests/support/crash/crash_step.h"
#include "tests/support/crash/crash_world.h"

#define PATIENCE_MS 30000
#define PATIENCE_NS (PATIENCE_MS * INT64_C(1000000))

enum { CALLS = 2 };

/* Where the walker and the test meet before the walk. */
static struct meeting {
	atomic_bool go, begun, over;
	atomic_uint answered;
} * meeting;

static const char *op;
static bool walks_server;
static struct kickmsg_service_config config;
static struct kickmsg_client *client;

/* The test's own handles. */
static struct kickmsg_server *server; /* stands by where the other server is walked */
static struct kickmsg_caller *caller;
static uint64_t ids[CALLS];

/* The walker's handles. */
static struct kickmsg_client *walked;
static struct kickmsg_server *walked_server;
static struct kickmsg_caller *walked_caller;
static struct kickmsg_request requests[CALLS];

static void must(bool fine, int line)
{
	if (fine)
		return;
	fprintf(stderr, "crash-calls: a walker can't begin (line %d)\n", line);
	_exit(4);
}
#define MUST(fine) must(fine, __LINE__)

static void prepare_client(void)
{
	const struct kickmsg_client_config as = { .name = "walked" };

	MUST(kickmsg_client_new(&as, &walked) == 0);
	atomic_store(&meeting->go, true);
}

static void prepare_caller(void *unused)
{
	const struct kickmsg_caller_options options = { .wait_ns = PATIENCE_NS };
	uint64_t id;

	(void)unused;
	prepare_client();
	MUST(kickmsg_open_service(walked, "s", &options, &walked_caller) == 0);
	for (int i = 0; i < CALLS && strcmp(op, "begin") != 0; i++)
		MUST(kickmsg_call_begin(walked_caller, "x", 1, -1, &id) == 0);
	ids[0] = strcmp(op, "begin") == 0 ? 0 : id;
	/* "hear" begins when the answers are there */
	while (strcmp(op, "hear") == 0 && atomic_load(&meeting->answered) < CALLS)
		usleep(100);
}

static void prepare_server(void *unused)
{
	(void)unused;
	prepare_client();
	MUST(kickmsg_serve(walked, "s", &config, &walked_server) == 0);
	while (!atomic_load(&meeting->begun)) {
		km_server_look(walked_server);
		usleep(100);
	}
	for (int i = 0; i < CALLS && strcmp(op, "reply") == 0; i++)
		MUST(kickmsg_take_request(walked_server, PATIENCE_NS, &requests[i]) == 0);
}

static CRASH_OP void run_caller(void *unused)
{
	struct kickmsg_reply reply;
	uint64_t id;

	(void)unused;
	if (strcmp(op, "begin") == 0)
		kickmsg_call_begin(walked_caller, "x", 1, -1, &id);
	else if (strcmp(op, "cancel") == 0)
		kickmsg_call_cancel(walked_caller, ids[0]);
	else if (kickmsg_take_reply(walked_caller, 0, &reply) == 0)
		kickmsg_reply_release(&reply);
}

static CRASH_OP void run_server(void *unused)
{
	(void)unused;
	if (strcmp(op, "take") == 0)
		kickmsg_take_request(walked_server, 0, &requests[0]);
	else
		kickmsg_reply(&requests[0], "y", 1);
}

/* --- the test's side ------------------------------------------------------------------------------ */

/* Answers all that is there. Returns how many were the walked caller's. */
static unsigned answer_all(void)
{
	struct kickmsg_request request;
	unsigned ret = 0;

	while (kickmsg_take_request(server, 0, &request) == 0) {
		ret += strcmp(request.caller->name, "walked") == 0;
		kickmsg_reply(&request, "y", 1);
	}
	return ret;
}

/* The walker prepares itself while the test does this at the other end. */
static void *be_other_side(void *unused)
{
	(void)unused;
	while (!atomic_load(&meeting->go) && !atomic_load(&meeting->over))
		usleep(100);
	if (walks_server) {
		if (kickmsg_caller_wait_server(caller, PATIENCE_NS) < 0)
			crash_fail("no server");
		for (int i = 0; i < CALLS; i++)
			if (kickmsg_call_begin(caller, "x", 1, -1, &ids[i]) < 0)
				crash_fail("no call");
		atomic_store(&meeting->begun, true);
	}
	while (!walks_server && !atomic_load(&meeting->over)) {
		if (strcmp(op, "hear") == 0)
			atomic_fetch_add(&meeting->answered, answer_all());
		else if (strcmp(op, "cancel") == 0)
			km_server_look(server);
		else
			answer_all();
		usleep(100);
	}
	return NULL;
}

static unsigned count_channels(void)
{
	struct kickmsg_topic_info topics[16];
	uint64_t cursor = 0;
	unsigned ret = 0;
	ssize_t n;

	while ((n = kickmsg_topic_list(client, &cursor, topics, 16)) > 0)
		for (ssize_t i = 0; i < n; i++)
			ret += topics[i].kind > KICKMSG_SERVICE;
	return ret;
}

/* The test's caller gets an answer, whether the walker stands still or is dead. */
static bool judge_call(unsigned *walked_requests)
{
	struct kickmsg_reply reply;
	uint64_t id;

	if (kickmsg_call_begin(caller, "x", 1, -1, &id) < 0)
		return crash_fail("another caller can't call");
	*walked_requests += answer_all();
	int r = kickmsg_take_reply(caller, PATIENCE_NS, &reply);
	if (r < 0 || reply.error < 0 || reply.id != id)
		return crash_fail("another caller's call ends with %d", r < 0 ? r : reply.error);
	kickmsg_reply_release(&reply);
	return kickmsg_take_reply(caller, 0, &reply) == -ENOENT ||
	       crash_fail("another caller's call ends twice");
}

static bool judge_frozen_caller(unsigned *walked_requests)
{
	for (int i = 0; i < 3; i++)
		if (!judge_call(walked_requests))
			return false;
	return true;
}

static bool judge_dead_caller(unsigned walked_requests)
{
	if (!test_wait_until((walked_requests += answer_all(), count_channels() == 2), PATIENCE_MS))
		return crash_fail("%u topics of channels are left", count_channels());
	if (!test_wait_until(
		    (answer_all(), server->visitors && !server->visitors->next), PATIENCE_MS))
		return crash_fail("its visitor is left");
	/* answers that had come before the walk may be among these */
	unsigned most = strcmp(op, "begin") == 0 ? 1 : CALLS;
	return walked_requests <= most ||
	       crash_fail("%u requests came, of %u", walked_requests, most);
}

/* One call with a deadline that has passed, and whatever comes of the others. */
static bool judge_frozen_server(unsigned ended[CALLS])
{
	struct kickmsg_reply reply;
	uint64_t id;
	bool late = false;

	if (kickmsg_call_begin(caller, "z", 1, 1, &id) < 0)
		return crash_fail("no more call of a frozen server");
	while (kickmsg_take_reply(caller, 0, &reply) == 0) {
		late |= reply.id == id && reply.error == -ETIMEDOUT;
		for (int i = 0; i < CALLS; i++)
			ended[i] += reply.id == ids[i] && reply.error == 0;
		kickmsg_reply_release(&reply);
	}
	return late || crash_fail("a deadline is not kept beside a frozen server");
}

static bool judge_dead_server(unsigned ended[CALLS])
{
	struct kickmsg_reply reply;
	unsigned none = 0;
	int r;

	while ((r = kickmsg_take_reply(caller, PATIENCE_NS, &reply)) == 0) {
		if (reply.error != 0 && reply.error != -ECONNRESET)
			return crash_fail("a call ends with %d", reply.error);
		for (int i = 0; i < CALLS; i++)
			ended[i] += reply.id == ids[i];
		kickmsg_reply_release(&reply);
	}
	if (r != -ENOENT)
		return crash_fail("calls don't end: %d", r);
	for (int i = 0; i < CALLS; i++)
		if (ended[i] != 1)
			return crash_fail("a call has ended %u times", ended[i]);
	/* the server that stood by serves now */
	return (test_wait_until(
			(answer_all(), kickmsg_caller_wait_server(caller, 0) == 0), PATIENCE_MS) ||
		       crash_fail("nobody serves any more")) &&
	       judge_call(&none) &&
	       (test_wait_until((answer_all(), km_caller_look_after(caller), count_channels() == 2),
			PATIENCE_MS) ||
		       crash_fail("%u topics of channels are left", count_channels()));
}

static bool judge(struct crash_walk *walk)
{
	unsigned ended[CALLS] = { 0 }, walked_requests = 0;
	bool good = walks_server ? judge_frozen_server(ended)
				 : judge_frozen_caller(&walked_requests);

	crash_walk_end(walk);
	return good &&
	       (walks_server ? judge_dead_server(ended) : judge_dead_caller(walked_requests));
}

/* Kills a walker at the point. False: there is no such point. */
static bool try_point(uint64_t point)
{
	struct crash_walk walk;
	pthread_t thread;
	bool there = true;

	*meeting = (struct meeting){ 0 };
	if (walks_server) { /* the walked server is to be the oldest */
		kickmsg_server_free(server);
		server = NULL;
	}
	pthread_create(&thread, NULL, be_other_side, NULL);
	crash_walk_begin(&walk, walks_server ? prepare_server : prepare_caller,
		walks_server ? run_server : run_caller, NULL);
	atomic_store(&meeting->over, true);
	pthread_join(thread, NULL);
	if (walks_server && kickmsg_serve(client, "s", &config, &server) < 0)
		crash_fail("nobody can stand by");
	for (uint64_t i = 0; there && i <= point; i++)
		there = crash_walk_step(&walk);
	snprintf(crash_where, sizeof crash_where, "%s, instruction %lu at %#lx", op, walk.points,
		walk.pc);
	judge(&walk);
	return there;
}

static void set_up(struct test_broker *broker)
{
	kickmsg_service_config_init(&config);
	config.max_callers = walks_server ? 3 : 2;
	config.max_calls = 4;
	config.max_request_size = config.max_reply_size = 8;
	config.transport = crash_transport == CRASH_RINGS ? KICKMSG_TRANSPORT_RINGS
							  : KICKMSG_TRANSPORT_SHARED;
	test_broker_start(broker, NULL);
	if (kickmsg_client_new(NULL, &client) < 0 ||
		kickmsg_serve(client, "s", &config, &server) < 0 ||
		kickmsg_open_service(client, "s", NULL, &caller) < 0 ||
		!test_wait_until(
			(answer_all(), kickmsg_caller_wait_server(caller, 0) == 0), PATIENCE_MS))
		crash_fail("no broker");
}

int main(int argc, char **argv)
{
	const char *why = crash_cannot_step();
	struct test_broker broker;
	uint64_t stride = 1, points = 0;

	if (argc < 2 || argc > 4) {
		fprintf(stderr,
			"usage: crash-calls begin|cancel|hear|take|reply [shared] [STRIDE]\n");
		return 2;
	}
	if (why) {
		printf("skipped: %s\n", why);
		return 77;
	}
	op = argv[1];
	walks_server = strcmp(op, "take") == 0 || strcmp(op, "reply") == 0;
	for (int i = 2; i < argc; i++)
		if (argv[i][0] >= '1' && argv[i][0] <= '9')
			stride = strtoull(argv[i], NULL, 10);
		else
			crash_transport = crash_transport_of(argv[i]);
	meeting = mmap(
		NULL, sizeof *meeting, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	set_up(&broker);
	for (uint64_t point = 0; crash_failures == 0 && try_point(point); point += stride)
		points++;
	kickmsg_client_free(client);
	if (!test_broker_alive(&broker))
		crash_fail("the broker is gone");
	test_broker_stop(&broker);
	printf("%s%s: %lu points, %u failures\n", op,
		crash_transport == CRASH_RINGS ? "" : ", shared", points, crash_failures);
	return crash_failures > 0 || points == 0;
}
