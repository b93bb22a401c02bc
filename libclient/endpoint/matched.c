/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers of a handle: counts by a load, news by dispatch, and waiting for peers. All of it stands in
 * the topic's header (handle/seen.h); the broker's EVENT only says when to look there.
 */
#include "libclient/endpoint/matched.h"

#include <errno.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/ring/futex.h"
#include "common/shared/room.h"
#include "libclient/client/reconnect.h"
#include "libclient/export.h"
#include "libclient/rejoin/move.h"

static void tell_fate(struct kickmsg_client *client, struct km_handle *handle,
	enum kickmsg_event_kind kind, int error)
{
	km_event_tell(&client->events, &handle->fate_event, kind, error, "");
}

/* To a publisher, that one of its subscribers was made an ordinary one; to a subscriber, that it was. */
static void look_for_demoted(
	struct kickmsg_client *client, struct km_handle *handle, struct km_seen *now)
{
	const struct km_place *here = &handle->place;
	bool publishes = here->role == KM_ROLE_PUBLISHER;

	now->is_demoted = handle->request->flags & KM_ATTACH_RELIABLE &&
			  !km_room_is_kept(&here->region, here->ring_index);
	if (publishes ? now->demoted != here->seen.demoted
		      : now->is_demoted && !here->seen.is_demoted)
		km_event_tell(&client->events, &handle->demoted_event, KICKMSG_EVENT_DEMOTED,
			publishes ? 0 : -ENOLINK, "");
}

static void look(struct kickmsg_client *client, struct km_handle *handle)
{
	struct km_seen *seen = &handle->place.seen;
	struct km_seen now = km_seen_look(&handle->place.region, handle->place.role);
	struct km_peers peers = {
		.now = now.peers,
		.left = now.left - seen->left,
		.died = now.died - seen->died,
	};

	if (now.changes == seen->changes || km_kind_is_private(handle->request->kind))
		return;
	peers.came = now.peers - seen->peers + peers.left + peers.died;
	if (peers.came || peers.left || peers.died)
		km_event_tell_peers(&client->events, &handle->peers_event, &peers);
	look_for_demoted(client, handle, &now);
	if (now.given_up && !seen->given_up)
		tell_fate(client, handle, KICKMSG_EVENT_QUARANTINED, -ESTALE);
	else if (now.fate & ~seen->fate & KM_FATE_REPLACED)
		tell_fate(client, handle, KICKMSG_EVENT_REPLACED, 0);
	else if (now.fate & ~seen->fate & KM_FATE_UNLINKED)
		tell_fate(client, handle, KICKMSG_EVENT_UNLINKED, 0);
	*seen = now;
}

void km_matched_look(struct kickmsg_client *client)
{
	struct km_handle *handle;

	for (handle = client->handles; handle; handle = handle->next)
		look(client, handle);
	km_reconnect_arm(client);
}

/* Counts the peers. A member of a broadcast channel that doesn't hear itself is no peer of its
 * own. */
static uint32_t count(const struct km_handle *handle, bool has_own)
{
	uint32_t peers = km_seen_peers(&handle->place.region, handle->place.role);

	return peers > 0 && has_own ? peers - 1 : peers;
}

KM_EXPORT uint32_t kickmsg_publisher_get_matched(const struct kickmsg_publisher *publisher)
{
	return count(&publisher->handle, km_load(P4, relaxed, &publisher->unheard));
}

KM_EXPORT uint32_t kickmsg_subscriber_get_matched(const struct kickmsg_subscriber *subscriber)
{
	return count(&subscriber->handle, km_load(P4, relaxed, &subscriber->is_deaf));
}

/* Takes steps of the connection, and goes over to a fresh region if there is one. */
static void look_after(struct kickmsg_publisher *publisher, uint64_t live)
{
	struct kickmsg_client *client = publisher->handle.client;

	if (client && km_client_trylock(client)) {
		km_reconnect_poke(client, live & KM_LIVE_LEFT);
		km_client_unlock(client);
		km_publisher_move(publisher);
	}
}

/* Waits once. 0: there are enough; 1: the peers are to be counted again. */
static int wait_once(struct kickmsg_publisher *publisher, uint32_t wanted, int64_t deadline_ns)
{
	struct km_control_header *header = publisher->handle.place.region.header;
	uint32_t changes = km_load(M1, acquire, &header->changes);
	uint64_t live = km_load(L4, relaxed, &header->live);
	int64_t look_ns = km_clock_ns() + KM_PATIENCE_NS;

	if (live & KM_LIVE_QUARANTINED)
		return km_handle_refusal(&publisher->handle, -ESTALE);
	if (kickmsg_publisher_get_matched(publisher) >= wanted)
		return 0;
	if (km_clock_ns() >= deadline_ns)
		return -ETIMEDOUT;
	if (deadline_ns < look_ns)
		look_ns = deadline_ns;
	km_futex_wait(&header->changes, changes, look_ns);
	look_after(publisher, live);
	return 1;
}

KM_EXPORT int kickmsg_publisher_wait_matched(
	struct kickmsg_publisher *publisher, uint32_t wanted, int64_t timeout_ns)
{
	KM_KEEP_ERRNO;
	const int64_t deadline_ns = km_wait_deadline(timeout_ns);
	int r;

	do
		r = wait_once(publisher, wanted, deadline_ns);
	while (r > 0);
	return r;
}
