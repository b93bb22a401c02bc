/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways to wait for a message besides kickmsg_receive(): by a descriptor in an epoll of its own, over
 * io_uring and over the library's thread, and in a wait set with 31 subscribers that get nothing.
 * And the floor of waiting by a descriptor: an eventfd that the sender writes itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/bench/floor.h"
#include "tests/bench/kick.h"
#include "tests/bench/loops.h"

#define MEMBERS 32

struct wait_end {
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	struct kickmsg_sample sample;
	struct kickmsg_waitset *set;
	int epoll;
};

static struct kickmsg_client *client; /* this process' end */

static struct wait_end *new_end(struct worker *worker)
{
	struct wait_end *end = calloc(1, sizeof(*end));

	if (!end)
		bench_die("no memory");
	if (!client)
		client = kick_client(worker->socket_path);
	return end;
}

static void *open_sender(struct worker *worker, unsigned channel)
{
	struct kickmsg_topic_config config;
	struct wait_end *end = new_end(worker);
	char topic[64];

	kickmsg_topic_config_init(&config);
	config.max_payload_size = worker->shape.size;
	config.transport = KICKMSG_TRANSPORT_RINGS;
	snprintf(topic, sizeof(topic), "%s.%u", worker->name, channel);
	end->publisher = kick_publisher(client, topic, &config);
	return end;
}

static int watch(int fd)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		bench_die("epoll: %s", strerror(errno));
	return epoll;
}

static void sleep_on(int epoll)
{
	struct epoll_event event;

	if (epoll_wait(epoll, &event, 1, -1) < 0 && errno != EINTR)
		bench_die("epoll_wait: %s", strerror(errno));
}

static struct wait_end *open_subscriber(struct worker *worker, unsigned channel)
{
	struct wait_end *end = new_end(worker);
	char topic[64];

	snprintf(topic, sizeof(topic), "%s.%u", worker->name, channel);
	end->subscriber = kick_subscriber(client, topic);
	return end;
}

static void *open_by(struct worker *worker, unsigned channel, const char *mechanism)
{
	struct wait_end *end = open_subscriber(worker, channel);

	setenv("KICKMSG_WAIT", mechanism, 1);
	int fd = kickmsg_subscriber_get_fd(end->subscriber);
	if (fd < 0)
		stage_refuse(worker, "%s: %s", mechanism, kickmsg_strerror(fd));
	end->epoll = watch(fd);
	return end;
}

static void *open_by_uring(struct worker *worker, unsigned channel, unsigned index)
{
	return open_by(worker, channel, "uring");
}

static void *open_by_thread(struct worker *worker, unsigned channel, unsigned index)
{
	return open_by(worker, channel, "thread");
}

static void *open_set(struct worker *worker, unsigned channel, unsigned index)
{
	struct wait_end *end = open_subscriber(worker, channel);
	struct kickmsg_topic_config config;
	int r = kickmsg_waitset_new(&end->set);

	kickmsg_topic_config_init(&config);
	config.max_payload_size = worker->shape.size;
	config.transport = KICKMSG_TRANSPORT_RINGS;
	for (unsigned i = 0; r == 0 && i < MEMBERS; i++) {
		struct kickmsg_subscriber *member = end->subscriber;
		char topic[64];

		snprintf(topic, sizeof(topic), "%s.%u.%u", worker->name, channel, i);
		if (i != MEMBERS / 2) {
			kick_publisher(client, topic, &config);
			member = kick_subscriber(client, topic);
		}
		r = kickmsg_waitset_add_subscriber(end->set, member, member);
	}
	if (r < 0)
		bench_die("wait set: %s", kickmsg_strerror(r));
	return end;
}

static void send_loan(void *sender, size_t size, uint64_t key)
{
	struct wait_end *end = sender;
	void *payload;
	int r = kickmsg_loan(end->publisher, size, &payload);

	if (r == 0) {
		message_write(payload, size, key);
		r = kickmsg_publish(end->publisher, payload, size);
	}
	if (r < 0)
		bench_die("publish: %s", kickmsg_strerror(r));
}

static const void *try_take(struct wait_end *end)
{
	int r = kickmsg_try_receive(end->subscriber, &end->sample);

	if (r < 0 && r != -EAGAIN)
		bench_die("receive: %s", kickmsg_strerror(r));
	return r < 0 ? NULL : end->sample.data;
}

/* Takes as an event loop does: sleeps in the epoll, then receives. */
static const void *take_by_epoll(void *receiver, size_t size, bool block)
{
	struct wait_end *end = receiver;
	const void *data;

	while (!(data = try_take(end)) && block)
		sleep_on(end->epoll);
	return data;
}

static const void *take_by_set(void *receiver, size_t size, bool block)
{
	struct wait_end *end = receiver;
	const void *data = NULL;
	void *ready;

	while (!data) {
		int r = kickmsg_waitset_wait(end->set, block ? -1 : 0, &ready, 1);

		if (r == -EAGAIN)
			return NULL;
		if (r != 1 || ready != end->subscriber)
			bench_die("wait set: %s", kickmsg_strerror(r));
		data = try_take(end);
	}
	return data;
}

static void release(void *receiver)
{
	struct wait_end *end = receiver;

	kickmsg_sample_release(&end->sample);
}

static void close_client(struct worker *worker)
{
	kickmsg_client_free(client);
}

LOOPS(uring_round, kick_epoll_uring)
LOOPS(thread_round, kick_epoll_thread)
LOOPS(set_round, kick_waitset)

#define KICK_WAIT(label, text, opens, takes, rounds)                                               \
	{                                                                                          \
		.name = label, .setting = text, .shapes = 1 << SHAPE_PING_PONG,                    \
		.max_size = MESSAGE_MAX, .exact = true, .open_sender = open_sender,                \
		.open_receiver = opens, .send = send_loan, .take = takes, .release = release,      \
		.close = close_client, .round = rounds                                             \
	}

const struct adapter kick_epoll_uring = KICK_WAIT(
	"kickmsg-epoll", "a descriptor, io_uring", open_by_uring, take_by_epoll, uring_round);
const struct adapter kick_epoll_thread = KICK_WAIT("kickmsg-epoll-thread",
	"a descriptor, the library's thread", open_by_thread, take_by_epoll, thread_round);
const struct adapter kick_waitset = KICK_WAIT(
	"kickmsg-waitset-32", "a wait set of 32", open_set, take_by_set, set_round);

/* --- an eventfd that the sender writes ------------------------------------------------------------- */

/* The conductor asks for the arena's size before it forks, so the eventfds that are made here
 * are shared by all processes. */
static int events[2];

static size_t make_events(const struct shape *shape)
{
	for (int i = 0; i < 2; i++)
		if ((events[i] = eventfd(0, EFD_CLOEXEC)) < 0)
			bench_die("eventfd: %s", strerror(errno));
	return 4096;
}

static void eventfd_round(struct worker *worker, unsigned count)
{
	const uint64_t one = 1;
	uint64_t seen;
	int mine = events[worker->index == 1], others = events[worker->index == 0];
	static int epoll = -1;

	if (epoll < 0)
		epoll = watch(mine);
	for (unsigned i = 0; i < count; i++) {
		uint64_t start = worker->index == 0 ? stage_let_sleep() : 0;

		if (worker->index == 0 && write(others, &one, sizeof(one)) < 0)
			bench_die("write: %s", strerror(errno));
		sleep_on(epoll);
		if (read(mine, &seen, sizeof(seen)) < 0)
			bench_die("read: %s", strerror(errno));
		if (worker->index == 1 && write(others, &one, sizeof(one)) < 0)
			bench_die("write: %s", strerror(errno));
		if (worker->index == 0)
			histogram_add(&worker->times, bench_ticks() - start);
	}
}

const struct adapter floor_eventfd = {
	.name = "floor-eventfd",
	.setting = "an eventfd each way, in an epoll",
	.shapes = 1 << SHAPE_PING_PONG,
	.max_size = MESSAGE_MAX,
	.arena_size = make_events,
	.round = eventfd_round,
};
