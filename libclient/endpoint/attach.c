/* SPDX-License-Identifier: Apache-2.0 */
/* Attaching and detaching: see attach.h. */
#include "libclient/endpoint/attach.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/ring/waiter.h"
#include "libclient/client/control.h"
#include "libclient/client/reconnect.h"
#include "libclient/endpoint/matched.h"
#include "libclient/handle/nowhere.h"
#include "libclient/rejoin/move.h"
#include "libclient/rejoin/rejoin.h"

#define WAIT_SLICE_NS 20000000L

static void free_first(struct kickmsg_client *client)
{
	struct km_handle *first = client->handles;

	if (first->place.role == KM_ROLE_PUBLISHER)
		kickmsg_publisher_free((struct kickmsg_publisher *)first);
	else
		kickmsg_subscriber_free((struct kickmsg_subscriber *)first);
}

/* A SUBSCRIBE that the broker keeps until its topic exists. It lies in the frame of the thread that
 * waits. Whichever thread takes the answer from the socket makes the place. */
struct km_awaited {
	LIST_ENTRY(km_awaited) next;
	struct km_handle *handle;
	const struct km_msg_attach *request;
	union km_msg *answer;
	uint64_t connection; /* the connection that it was asked by */
	uint64_t endpoint;   /* the endpoint that the broker keeps for it */
	uint32_t serial;     /* 0: it is about to be asked again */
	bool answered;
	int result; /* once it is answered */
};

static bool on_answer(struct kickmsg_client *client, const union km_msg *answer, const int *fds);

static const struct km_connection_handler handler = {
	.on_up = km_rejoin_begin,
	.on_down = km_rejoin_lost,
	.on_time = km_rejoin_again,
	.on_answer = on_answer,
	.has_endpoint = km_handle_has_endpoint,
	.on_changed = km_matched_look,
	.on_end = free_first,
	.on_fork = km_nowhere_lead,
};

/* Makes the place that the broker has given. Needs the lock by which the answer was taken: the
 * endpoint is one of the connection that it came by. */
static int take_place(struct km_handle *handle, struct kickmsg_client *client,
	const struct km_msg_attach *request, const struct km_msg_attached *answer, const int *fds)
{
	int r = km_place_map(&handle->place, client, answer, fds);

	memcpy(handle->request, request, sizeof *request);
	km_handle_learn(handle, answer);
	client->handler = &handler;
	km_handle_link(handle, client);
	return r;
}

static int take_answer(struct kickmsg_client *client, const struct km_awaited *awaited,
	const union km_msg *answer, const int *fds)
{
	memcpy(awaited->answer, answer, km_wire_size(answer->header.op));
	if (answer->header.op == KM_OP_ERROR)
		return answer->error.error;
	if (answer->header.op != KM_OP_ATTACHED)
		return -EPROTO;
	if (!fds) {
		km_client_give_back(client, answer->attached.endpoint);
		return -EMFILE;
	}
	return take_place(awaited->handle, client, awaited->request, &answer->attached, fds);
}

static bool on_answer(struct kickmsg_client *client, const union km_msg *answer, const int *fds)
{
	struct km_awaited *awaited;

	LIST_FOREACH (awaited, &client->awaited, next)
		if (awaited->serial > 0 && awaited->serial == answer->header.serial)
			break;
	if (!awaited)
		return km_rejoin_answer(client, answer, fds);
	/* a broker says this once more after its restart, or the answer was there already */
	if (answer->header.op == KM_OP_WAITS || awaited->answered)
		return answer->header.op == KM_OP_WAITS;
	awaited->result = take_answer(client, awaited, answer, fds);
	awaited->answered = true;
	return true;
}

/* Sends the request. When the broker keeps it, the answer comes later. Needs the lock, and lets go
 * of it meanwhile. */
static int ask(
	struct kickmsg_client *client, struct km_awaited *awaited, struct km_msg_attach *request)
{
	int fds[KM_WIRE_MAX_FDS];
	size_t count = 0;

	awaited->serial = 0;
	int r = km_client_call_locked(
		client, request, sizeof *request, KM_OP_ATTACHED, awaited->answer, fds, &count);
	if (r == 0 && awaited->answer->header.op == KM_OP_WAITS) {
		awaited->connection = client->connection;
		awaited->serial = request->header.serial;
		awaited->endpoint = awaited->answer->waits.endpoint;
		client->handler = &handler;
		return 0;
	}
	awaited->answered = true;
	if (r == 0) {
		r = take_place(awaited->handle, client, request, &awaited->answer->attached, fds);
		km_close_fds(fds, count);
	}
	if (r < 0)
		km_client_explain(client, r);
	return r;
}

/* Lets go of the lock until there may be news, but not for long: another thread may take them from
 * the socket. */
static void rest(struct kickmsg_client *client, int64_t deadline_ns)
{
	struct pollfd watched = { .fd = client->socket, .events = POLLIN };
	struct timespec timeout = { .tv_nsec = WAIT_SLICE_NS };

	int64_t left = deadline_ns - km_clock_ns();

	if (left < WAIT_SLICE_NS)
		timeout.tv_nsec = left > 0 ? (long)left : 0;
	km_client_unlock(client);
	ppoll(&watched, 1, &timeout, NULL);
	km_client_lock(client);
}

/* Waits for the answer to a request that was kept. When the connection is lost, the request is sent
 * again by the next one. It is also sent again, but once, when two brokers ended at it. Needs the lock, and
 * lets go of it meanwhile. */
static int await(struct kickmsg_client *client, struct km_awaited *awaited,
	struct km_msg_attach *request, int64_t deadline_ns)
{
	bool may_ask_again = true;
	int handled = 0, r;

	client->error[0] = '\0';
	for (;;) {
		while ((r = km_reconnect_step(client, &handled)) > 0)
			;
		km_reconnect_arm(client);
		if (awaited->answered && may_ask_again && km_client_was_deadly(awaited->answer)) {
			may_ask_again = awaited->answered = false;
			awaited->connection = 0; /* by none yet */
		}
		if (awaited->answered && awaited->result < 0 &&
			awaited->answer->header.op == KM_OP_ERROR)
			memcpy(client->error, awaited->answer->error.text, sizeof client->error);
		if (awaited->answered)
			return awaited->result;
		if (r < 0)
			return r;
		bool is_lost = client->connection != awaited->connection;
		if (client->link == KM_LINK_UP && is_lost) {
			r = ask(client, awaited, request);
			if (awaited->answered && r != -ENOTCONN)
				return r;
			awaited->answered = false;
			continue;
		}
		if (km_clock_ns() >= deadline_ns)
			break;
		rest(client, deadline_ns);
	}
	/* the place may be on its way: then DETACH gives it back */
	if (client->link == KM_LINK_UP && client->connection == awaited->connection)
		km_client_give_back(client, awaited->endpoint);
	strcpy(client->error, "the topic did not come to exist in time");
	return -ETIMEDOUT;
}

int km_attach(struct km_handle *handle, struct kickmsg_client *client,
	struct km_msg_attach *request, uint64_t wait_ns, union km_msg *ret_answer)
{
	const int64_t deadline_ns = km_wait_deadline(wait_ns > INT64_MAX ? -1 : (int64_t)wait_ns);
	bool publishes = handle->place.role == KM_ROLE_PUBLISHER;
	struct km_awaited awaited = { .handle = handle, .request = request, .answer = ret_answer };

	handle->request = malloc(sizeof *request);
	if (!handle->request)
		return km_client_fail(client, -ENOMEM, "%s", kickmsg_strerror(-ENOMEM));
	if (client->events.on_event && !km_kind_is_private(request->kind))
		request->flags |= KM_ATTACH_EVENTS;
	request->header.op = publishes ? KM_OP_ADVERTISE : KM_OP_SUBSCRIBE;
	km_client_lock(client);
	LIST_INSERT_HEAD(&client->awaited, &awaited, next);
	int r = ask(client, &awaited, request);
	if (r == 0 && !awaited.answered)
		r = await(client, &awaited, request, deadline_ns);
	LIST_REMOVE(&awaited, next);
	if (r < 0)
		km_client_explain(client, r);
	km_client_unlock(client);
	return r;
}

void km_detach_begin(struct km_handle *handle)
{
	if (!handle->client)
		return;
	pthread_mutex_lock(&handle->client->lock);
	km_rejoin_forget(handle);
	km_handle_unlink(handle);
	pthread_mutex_unlock(&handle->client->lock);
}

void km_detach_end(struct km_handle *handle)
{
	struct kickmsg_client *client = handle->client;
	struct km_place *place = &handle->place;

	km_place_end(place);
	if (client) { /* otherwise the request was refused */
		pthread_mutex_lock(&client->lock);
		/* unmapped first: once the broker hears of it, nothing here may touch the region */
		km_place_unmap(place);
		/* without that broker the end of the mapping says the same */
		if (client->link == KM_LINK_UP && place->connection == client->connection)
			km_client_give_back(client, place->endpoint);
		pthread_mutex_unlock(&client->lock);
	}
	free(handle->request);
}
