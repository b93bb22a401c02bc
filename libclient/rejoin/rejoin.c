/* SPDX-License-Identifier: Apache-2.0 */
/* Asking for a fresh place, and preparing it: see rejoin.h. Going over to it is move.c's. */
#include "libclient/rejoin/rejoin.h"
#include "common/clock.h"

#include <errno.h>

#include "common/shared/room.h"
#include "libclient/client/reconnect.h"
#include "libclient/rejoin/own.h"
#include "libclient/rejoin/past.h"

#define MAX_ASKED      16 /* requests that wait for their answers */
#define BACKOFF_MIN_NS INT64_C(10000000)
#define BACKOFF_MAX_NS INT64_C(1000000000)

static void tell(
	struct km_handle *handle, enum kickmsg_event_kind kind, int error, const char *text)
{
	km_event_tell(&handle->client->events, &handle->event, kind, error, text);
}

/* --- asking ---------------------------------------------------------------------------- */

/* Makes the request anew, with the shape, lifetime and schema that the broker said last: the client
 * that comes first makes the topic as it was. */
static void fill_request(const struct km_handle *handle, struct km_msg_attach *ret)
{
	*ret = *handle->request;
	ret->flags = KM_ATTACH_ANY_CONFIG | (ret->flags & (KM_ATTACH_EVENTS | KM_ATTACH_RELIABLE));
	if (handle->place.observes)
		ret->flags |= KM_ATTACH_OBSERVE;
	else if (handle->place.role == KM_ROLE_SUBSCRIBER)
		ret->flags |= KM_ATTACH_CREATE;
	if (handle->place.writable)
		ret->flags |= KM_ATTACH_WRITABLE;
	/* the handle has seen nothing of the fresh region, so all messages still there are for it;
	 * but where others have made the topic with private rings there is no history */
	ret->history = 0;
	if (handle->place.role == KM_ROLE_SUBSCRIBER && handle->place.region.shared &&
		handle->event.error != -EOPNOTSUPP)
		ret->history = UINT32_MAX;
}

/* Is the handle to ask now? A publisher that leaves out a subscriber's ring has to know that
 * ring. */
static bool is_to_be_asked(const struct kickmsg_client *client, const struct km_handle *handle)
{
	if (handle->latest == client->connection || handle->asked || handle->refused)
		return false;
	/* a caller makes new ones (service/line.c) */
	if (km_kind_is_private(handle->request->kind))
		return false;
	if (handle->place.role == KM_ROLE_SUBSCRIBER)
		return true;
	const struct kickmsg_subscriber *own = ((const struct kickmsg_publisher *)handle)->own;
	return !own || own->handle.latest == client->connection;
}

static void ask_again_later(struct kickmsg_client *client)
{
	if (client->rejoin_ns > 0)
		return;
	client->rejoin_ns = km_clock_ns() + km_reconnect_jitter(client, client->rejoin_backoff_ns);
	client->rejoin_backoff_ns *= 2;
	if (client->rejoin_backoff_ns > BACKOFF_MAX_NS)
		client->rejoin_backoff_ns = BACKOFF_MAX_NS;
}

static void ask(struct kickmsg_client *client)
{
	struct km_handle *handle;
	struct km_msg_attach request;

	for (handle = client->handles; handle && client->asked < MAX_ASKED; handle = handle->next) {
		if (!is_to_be_asked(client, handle))
			continue;
		fill_request(handle, &request);
		request.header.serial = km_client_next_serial(client);
		request.segments = km_client_memory_count(client->memory);
		if (km_wire_send(client->socket, &request, sizeof request, NULL, 0) < 0) {
			/* the socket is full, or hung up, which the next look says */
			ask_again_later(client);
			return;
		}
		handle->asked = request.header.serial;
		client->asked++;
	}
}

void km_rejoin_begin(struct kickmsg_client *client)
{
	client->rejoin_backoff_ns = BACKOFF_MIN_NS;
	client->rejoin_ns = 0;
	ask(client);
}

void km_rejoin_lost(struct kickmsg_client *client)
{
	struct km_handle *handle;

	for (handle = client->handles; handle; handle = handle->next) {
		handle->asked = 0;
		handle->refused = false;
	}
	client->asked = 0;
	client->rejoin_ns = 0;
}

bool km_rejoin_again(struct kickmsg_client *client)
{
	struct km_handle *handle;

	if (client->rejoin_ns == 0 || km_clock_ns() < client->rejoin_ns)
		return false;
	client->rejoin_ns = 0;
	for (handle = client->handles; handle; handle = handle->next)
		handle->refused = false;
	ask(client);
	return true;
}

/* --- preparing ------------------------------------------------------------------------- */

static int init(struct km_place *fresh, const struct km_msg_attached *answer)
{
	if (fresh->role == KM_ROLE_PUBLISHER)
		return km_place_publish(fresh, fresh->record, answer->id);
	fresh->rejoined = true;
	if (fresh->region.shared)
		fresh->lost_before = answer->start - fresh->region.geometry.ring_capacity;
	return km_place_subscribe(fresh, fresh->record, answer->ring, answer->start);
}

/* Prepares the place. Returns 1 when the handle is where it was: the broker lives, and had only
 * hung up. */
static int prepare(const struct km_handle *handle, const struct km_msg_attached *answer,
	const int *fds, struct km_place **ret)
{
	struct km_place *fresh = calloc(1, sizeof *fresh);

	if (!fresh)
		return -ENOMEM;
	fresh->role = handle->place.role;
	fresh->observes = handle->place.observes;
	fresh->writable = handle->place.writable;
	int r = km_place_map(fresh, handle->client, answer, fds);
	if (handle->request->flags & KM_ATTACH_RELIABLE)
		fresh->region.path |= KM_PATH_RELIABLE;
	if (r == 0 &&
		(km_place_is_in(fresh, &handle->place) || km_place_is_in(fresh, handle->fresh)))
		r = 1;
	if (r == 0)
		r = init(fresh, answer);
	if (r == 0)
		*ret = fresh;
	else
		km_past_free(fresh);
	return r;
}

/* Parks the fresh place for its owner; others in the old region are told. */
static void park(struct km_handle *handle, struct km_place *fresh)
{
	struct kickmsg_subscriber *subscriber = (struct kickmsg_subscriber *)handle;

	if (handle->fresh) {
		km_past_announce(handle->fresh);
		km_past_skip(handle->fresh, fresh);
	}
	handle->fresh = fresh;
	if (handle->place.role == KM_ROLE_SUBSCRIBER)
		km_store(P5, seq_cst, &subscriber->prepared,
			km_load(P3, relaxed, &subscriber->prepared) | KM_PREPARED);
	else
		subscriber = ((struct kickmsg_publisher *)handle)->own;
	if (subscriber)
		km_own_tell_id(subscriber);
	km_past_announce(&handle->place);
	tell(handle, KICKMSG_EVENT_REJOINED, 0, "");
}

/* The handle stays where it is. A publisher that waits for room may have told nobody meanwhile. */
static void look_again(const struct km_handle *handle)
{
	const struct km_region *region = &handle->place.region;

	if (handle->place.role == KM_ROLE_PUBLISHER && region->geometry.max_reliable > 0)
		km_room_wake(region);
}

static void refuse(struct km_handle *handle, int error, const char *text)
{
	struct kickmsg_client *client = handle->client;

	handle->refused = true;
	look_again(handle);
	ask_again_later(client);
	/* the owner of a mailbox may come a moment later */
	if (error == -ENOENT && client->rejoin_backoff_ns < BACKOFF_MAX_NS)
		return;
	if (error != handle->event.error)
		tell(handle, KICKMSG_EVENT_REJOIN_FAILED, error, text);
}

bool km_rejoin_answer(struct kickmsg_client *client, const union km_msg *answer, const int *fds)
{
	struct km_handle *handle;
	struct km_place *fresh;

	for (handle = client->handles; handle; handle = handle->next)
		if (handle->asked && handle->asked == answer->header.serial)
			break;
	if (!handle)
		return false;
	handle->asked = 0;
	client->asked--;
	if (answer->header.op != KM_OP_ATTACHED) {
		bool error = answer->header.op == KM_OP_ERROR;

		refuse(handle, error ? answer->error.error : -EPROTO,
			error ? answer->error.text : "");
	} else {
		int r = fds ? prepare(handle, &answer->attached, fds, &fresh) : -EMFILE;

		if (r != 0)
			km_client_give_back(client, answer->attached.endpoint);
		if (r < 0) {
			refuse(handle, r, kickmsg_strerror(r));
		} else {
			handle->latest = client->connection;
			km_handle_learn(handle, &answer->attached);
			if (r == 0)
				park(handle, fresh);
			else
				look_again(handle);
		}
	}
	ask(client);
	km_reconnect_arm(client);
	return true;
}

void km_rejoin_forget(struct km_handle *handle)
{
	struct kickmsg_client *client = handle->client;
	struct km_place *fresh = handle->fresh;

	km_event_forget(&client->events, &handle->event);
	km_event_forget(&client->events, &handle->peers_event);
	km_event_forget(&client->events, &handle->demoted_event);
	km_event_forget(&client->events, &handle->fate_event);
	/* an answer that still comes is given back, as any answer that nobody waits for */
	if (handle->asked)
		client->asked--;
	handle->asked = 0;
	handle->fresh = NULL;
	if (!fresh)
		return;
	uint64_t endpoint = fresh->connection == client->connection ? fresh->endpoint : 0;
	if (endpoint == 0)
		km_past_leave(fresh, 0);
	km_past_free(fresh);
	if (endpoint > 0 && client->link == KM_LINK_UP)
		km_client_give_back(client, endpoint);
}
