/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting until a topic exists: see wait.h. The broker's EVENT is counted by whichever thread takes
 * it from the socket. So the waiting thread looks at the count, and, since another thread may take
 * its event while it sleeps on the socket, never sleeps for long.
 */
#include <errno.h>
#include <poll.h>

#include "control.h"
#include "reconnect.h"
#include "wait.h"
#include "waiter.h"

#define SLICE_NS INT64_C(20000000)

void km_wait_begin(struct km_wait_state *wait, uint64_t wait_ns)
{
	if (wait_ns > INT64_MAX ||
		__builtin_add_overflow(km_clock_ns(), (int64_t)wait_ns, &wait->deadline_ns))
		wait->deadline_ns = KM_WAIT_FOREVER;
}

int km_wait_ask(
	struct kickmsg_client *client, const struct kickmsg_topic_ref *topic, uint64_t *ret_seen)
{
	struct km_msg_topic request;
	union km_msg answer;
	int r = km_request_topic(client, topic, KM_OP_WAIT, &request);

	if (r < 0)
		return r;
	pthread_mutex_lock(&client->lock);
	*ret_seen = client->events;
	pthread_mutex_unlock(&client->lock);
	return km_client_call(client, &request, sizeof request, KM_OP_OK, &answer, NULL, NULL);
}

/* Takes what there is; a broker that is gone is waited for, too. Returns whether there was an event,
 * or a negative errno; *ret_socket is where one may come. */
static int look(struct kickmsg_client *client, uint64_t seen, int *ret_socket)
{
	int handled = 0, r;

	pthread_mutex_lock(&client->lock);
	while ((r = km_reconnect_step(client, &handled)) > 0)
		;
	km_reconnect_arm(client);
	if (r == 0 && client->events != seen)
		r = 1;
	*ret_socket = client->socket;
	pthread_mutex_unlock(&client->lock);
	return r;
}

int km_wait_event(struct kickmsg_client *client, const struct km_wait_state *wait, uint64_t seen)
{
	struct pollfd watched = { .events = POLLIN };
	int r;

	while ((r = look(client, seen, &watched.fd)) == 0) {
		int64_t left = SLICE_NS;

		if (wait->deadline_ns != KM_WAIT_FOREVER &&
			wait->deadline_ns - km_clock_ns() < left)
			left = wait->deadline_ns - km_clock_ns();
		if (left <= 0)
			return km_client_fail(
				client, -ETIMEDOUT, "the topic did not come to exist in time");
		struct timespec timeout = { 0, (long)left };
		if (ppoll(&watched, 1, &timeout, NULL) < 0 && errno != EINTR)
			return -errno;
	}
	return r < 0 ? r : 0;
}
