/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting, again and again: see reconnect.h. */
#include "libclient/client/reconnect.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>

#include "common/cleanup.h"
#include "common/fd.h"

#define HELLO_TRIES    16
#define BACKOFF_MIN_NS INT64_C(10000000)
#define BACKOFF_MAX_NS INT64_C(1000000000)
#define ANSWER_NS      INT64_C(1000000) /* an answer is on its way: look so often */
#define SEND_BUFFER    65536            /* descriptors: see km_client_give_all_back() */
#define MAX_STEPS      8                /* of one poke */
#define LOOK_MIN_MS    1                /* between two looks whether a broker has come */
#define LOOK_MAX_MS    64

int64_t km_reconnect_jitter(struct kickmsg_client *client, int64_t ns)
{
	client->random = client->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return ns / 2 + (int64_t)((client->random >> 33) % (uint64_t)(ns / 2 + 1));
}

static void schedule(struct kickmsg_client *client)
{
	if (client->backoff_ns < BACKOFF_MIN_NS)
		client->backoff_ns = BACKOFF_MIN_NS;
	client->attempt_ns = km_clock_ns() + km_reconnect_jitter(client, client->backoff_ns);
	if (client->backoff_ns < BACKOFF_MAX_NS)
		client->backoff_ns = 2 * client->backoff_ns < BACKOFF_MAX_NS
					     ? 2 * client->backoff_ns
					     : BACKOFF_MAX_NS;
}

/* Connects. `wait_ns`: how long to wait for a place in the broker's backlog. */
static int connect_to_broker(const struct kickmsg_client *client, uint64_t wait_ns, int *ret_fd)
{
	struct timeval timeout = { (time_t)(wait_ns / 1000000000),
		(suseconds_t)(wait_ns % 1000000000 / 1000) };
	_cleanup_(km_closep) int fd = km_fd_above_stdio(
		socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
	static const int send_buffer = SEND_BUFFER;

	if (fd < 0)
		return -errno;
	if (timeout.tv_sec == 0 && timeout.tv_usec == 0)
		timeout.tv_usec = 1; /* 0 would be for ever */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
	if (wait_ns == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	while (connect(fd, (const struct sockaddr *)&client->address, sizeof client->address) < 0) {
		if (errno == EAGAIN || errno == EINPROGRESS)
			return -ETIMEDOUT; /* the broker's backlog stayed full */
		if (errno == ENOENT)
			return -ECONNREFUSED; /* no socket, no broker: -ENOENT is of topics alone */
		if (errno != EINTR)
			return -errno;
	}
	/* from here on, poll() does the waiting */
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	*ret_fd = km_steal_fd(fd);
	return 0;
}

static void tell_down(struct kickmsg_client *client, int error, const char *text)
{
	km_event_tell(&client->events, &client->down, KICKMSG_EVENT_DISCONNECTED, error, text);
}

/* Tells why there is still no connection, unless the reason is that no broker is there. */
static void tell_still_down(struct kickmsg_client *client, int error, const char *text)
{
	if (error == -ECONNREFUSED || error == -ENOTCONN || error == -ETIMEDOUT ||
		error == client->down.error)
		return;
	tell_down(client, error, text);
	km_reconnect_arm(client);
}

/* Goes from DOWN or HELLO to DOWN. `text` is the broker's, or "". */
static int fail(struct kickmsg_client *client, int error, const char *text)
{
	km_close(km_steal_fd(client->socket));
	client->link = KM_LINK_DOWN;
	client->link_error = error;
	snprintf(client->link_text, sizeof client->link_text, "%s", text);
	schedule(client);
	if (client->connection > 0)
		tell_still_down(client, error, *text ? text : kickmsg_strerror(error));
	return error;
}

static int begin(struct kickmsg_client *client, uint64_t wait_ns)
{
	struct epoll_event readable = { .events = EPOLLIN };
	int r = connect_to_broker(client, wait_ns, &client->socket);

	if (r == 0 && epoll_ctl(client->poll_fd, EPOLL_CTL_ADD, client->socket, &readable) < 0)
		r = -errno;
	if (r == 0) {
		client->hello_serial = km_client_next_serial(client);
		client->hello.header.serial = client->hello_serial;
		r = km_wire_send(client->socket, &client->hello, sizeof client->hello, NULL, 0);
		/* a broker that has hung up may have said why: hear() takes that */
		if (r == -ENOTCONN)
			r = 0;
	}
	if (r < 0)
		return fail(client, r, "");
	client->link = KM_LINK_HELLO;
	client->attempt_ns = km_clock_ns() + (int64_t)client->timeout_ns;
	return 0;
}

static int take_in(struct kickmsg_client *client, const struct km_msg_hello_ok *answer, int fd)
{
	if (answer->version != KM_WIRE_VERSION)
		return -EPROTO;
	client->memory = km_client_memory_new();
	if (!client->memory)
		return -ENOMEM;
	int r = km_client_memory_add(client->memory, 0, fd, answer->segment_size);
	if (r < 0) {
		km_client_memory_unref(client->memory);
		client->memory = NULL;
		return r;
	}
	client->link = KM_LINK_UP;
	client->connection++;
	return 0;
}

static void come_back(struct kickmsg_client *client)
{
	km_event_tell(&client->events, &client->up, KICKMSG_EVENT_RECONNECTED, 0, "");
	if (client->handler)
		client->handler->on_up(client);
	if (client->happened)
		client->happened->on_up(client);
}

/* Takes the broker's answer to hello, if it is there. */
static int hear(struct kickmsg_client *client)
{
	union km_msg answer;
	int fds[KM_WIRE_MAX_FDS];
	size_t count = 0;
	int r = km_client_take(client, &answer, fds, &count);

	if (r == -EAGAIN && km_clock_ns() < client->attempt_ns)
		return 0;
	if (r == -EAGAIN)
		r = -ETIMEDOUT;
	if (r < 0)
		return fail(client, r, ""), 1;
	if (answer.header.op == KM_OP_HELLO_OK && answer.header.serial == client->hello_serial)
		r = take_in(client, &answer.hello_ok, fds[0]);
	else
		r = answer.header.op == KM_OP_ERROR ? answer.error.error : -EPROTO;
	/* the mapping alone stays: when it is gone, so is this client */
	km_close_fds(fds, count);
	if (r < 0) {
		fail(client, r, answer.header.op == KM_OP_ERROR ? answer.error.text : "");
	} else if (client->connection > 1) {
		come_back(client);
	}
	return 1;
}

void km_reconnect_lost(struct kickmsg_client *client)
{
	km_close(km_steal_fd(client->socket));
	client->link = KM_LINK_DOWN;
	client->link_error = -ENOTCONN;
	client->in_vain = false;
	client->overdue = 0;
	client->farewells.count = 0; /* these endpoints end by no other connection */
	/* the handles' places keep the memory */
	km_client_memory_unref(client->memory);
	client->memory = NULL;
	schedule(client);
	if (client->handler)
		client->handler->on_down(client);
	if (client->happened)
		client->happened->on_down(client);
	/* An earlier "reconnected" that wasn't told is forgotten: events are told in their order,
	 * and the connection is down again. */
	km_event_forget(&client->events, &client->up);
	tell_down(client, -ENOTCONN, "the broker has closed the connection");
	km_reconnect_arm(client);
}

int km_reconnect_step(struct kickmsg_client *client, int *handled)
{
	int r;

	if (client->link == KM_LINK_DOWN)
		return km_clock_ns() >= client->attempt_ns && begin(client, 0) == 0;
	if (client->link == KM_LINK_HELLO)
		return hear(client);
	while ((r = km_client_take_stray(client)) > 0)
		(*handled)++;
	km_client_say_farewells(client);
	if (r == -EAGAIN)
		return client->handler && client->handler->on_time(client);
	if (r == -EPROTO)
		return r;
	km_reconnect_lost(client);
	return 1;
}

void km_reconnect_poke(struct kickmsg_client *client, bool hurry)
{
	int64_t now = km_clock_ns();
	int handled = 0;

	/* a caller that sees that others have left doesn't wait for the regular look */
	if (now < (hurry ? client->poked_ns + ANSWER_NS : client->look_ns))
		return;
	client->poked_ns = now;
	for (int i = 0; i < MAX_STEPS; i++) {
		bool up = client->link == KM_LINK_UP;

		if (km_reconnect_step(client, &handled) <= 0)
			break;
		if (hurry && up && client->link == KM_LINK_DOWN)
			client->attempt_ns = now;
	}
	client->look_ns = now + km_reconnect_pause(client) / 2;
	km_reconnect_arm(client);
}

int km_reconnect_now(struct kickmsg_client *client, int64_t deadline_ns)
{
	int r = 0;

	/* a broker may end after it has taken the connection in and before it knows the client: to
	 * the next broker the connection is a new one */
	for (int tries = 0; tries < HELLO_TRIES && (tries == 0 || r == -ENOTCONN); tries++) {
		int64_t left = deadline_ns - km_clock_ns();

		if (client->link == KM_LINK_DOWN)
			begin(client, left > 0 ? (uint64_t)left : 0);
		do {
			if (client->link == KM_LINK_HELLO)
				r = km_client_wait(client, POLLIN, deadline_ns);
			if (client->link == KM_LINK_HELLO)
				hear(client);
		} while (client->link == KM_LINK_HELLO && r == 0);
		if (client->link != KM_LINK_HELLO)
			r = client->link == KM_LINK_UP ? 0 : client->link_error;
	}
	if (r < 0)
		memcpy(client->error, client->link_text, sizeof client->error);
	km_reconnect_arm(client);
	return r;
}

int km_reconnect_first(struct kickmsg_client *client, uint64_t wait_ns)
{
	const int64_t begun = km_clock_ns();

	for (int ms = LOOK_MIN_MS;; ms = 2 * ms < LOOK_MAX_MS ? 2 * ms : LOOK_MAX_MS) {
		int r = km_reconnect_now(client, km_client_deadline(client));

		if ((r != -ECONNREFUSED && r != -ENOTCONN) ||
			(uint64_t)(km_clock_ns() - begun) >= wait_ns)
			return r;
		/* a signal may end the wait: then the next look is early */
		poll(NULL, 0, ms);
	}
}

int64_t km_reconnect_pause(const struct kickmsg_client *client)
{
	int64_t next = client->link == KM_LINK_DOWN ? client->attempt_ns : client->rejoin_ns;

	if (client->link == KM_LINK_HELLO || (client->link == KM_LINK_UP && client->asked > 0))
		return ANSWER_NS;
	if (client->link == KM_LINK_UP && next == 0)
		return BACKOFF_MAX_NS;
	next -= km_clock_ns();
	if (next < ANSWER_NS)
		return ANSWER_NS;
	return next < BACKOFF_MAX_NS ? next : BACKOFF_MAX_NS;
}

void km_reconnect_arm(struct kickmsg_client *client)
{
	int64_t when = client->link == KM_LINK_UP ? client->rejoin_ns : client->attempt_ns;

	if (!TAILQ_EMPTY(&client->events.told) || (client->happened && client->happened->waits))
		when = 1; /* long ago: now */
	if (when == client->armed_ns)
		return;
	struct itimerspec timer = { .it_value = { when / 1000000000, when % 1000000000 } };
	timerfd_settime(client->timer_fd, TFD_TIMER_ABSTIME, &timer, NULL);
	client->armed_ns = when;
}
