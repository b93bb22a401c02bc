/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handles that users have: publishers and subscribers, and what these have in common.
 *
 *   kickmsg_client --- handles ---> kickmsg_publisher | kickmsg_subscriber
 *                                     handle: its present place; how it came, and comes again
 *                                     private state that outlives the place
 *
 * Orders of what two threads of this process may touch, as in place.h
 *   P3 a fresh place is there      relaxed   only says that the lock is worth a try
 *   P5 a fresh place is there      seq_cst   the same, stored before the sleepers of the old place are
 *                                            woken, loaded by the second look behind an announce
 *   P4 a subscriber skips its own  relaxed   as P2; of the numbers of those reached and of peers
 */
#pragma once

#include <errno.h>

#include "common/ring/interrupt.h"
#include "libclient/handle/place.h"
#include "libclient/watch/watch.h"

struct km_handle {
	struct km_place place;         /* its present place */
	struct kickmsg_client *client; /* null: made without a broker */
	struct km_handle *next, *previous;

	/* rejoin/; under the client's lock */
	struct km_msg_attach *request; /* how the handle came, and comes again */
	/* Connection by which it has a place, if only a fresh one. */
	uint64_t latest;
	uint32_t asked;         /* serial of the request on its way, or 0 */
	bool refused;           /* not to be asked for before the client's rejoin_ns */
	struct km_place *fresh; /* the place where its owner will go */
	struct km_event event;  /* news of its rejoining */
	/* news of its topic (endpoint/matched.h) */
	struct km_event peers_event, fate_event, demoted_event;
};

/* A message whose publisher didn't wake its subscriber is seen after this time at most. */
#define KM_PATIENCE_NS INT64_C(100000000)

/* A publisher looks for room for so long before it sleeps. A sleep and its wake take longer. */
#define KM_ROOM_SPIN_NS INT64_C(20000)

struct kickmsg_publisher {
	struct km_handle handle;
	uint64_t sequence; /* number of the last message */
	/* The client's own subscriber of a channel, which doesn't hear this publisher; under the
	 * client's lock. */
	struct kickmsg_subscriber *own;
	_Atomic uint32_t unheard; /* 1: `own` is there and hears nothing of this */
	uint64_t targets;         /* rings of the last message */
	/* The rings that kickmsg_publisher_reached() counted last, and their number. */
	uint64_t counted;
	int reached;
	/* The numbers of the places that the publisher has left. */
	uint64_t sent, bytes, failed, evicted, no_room;
	int64_t doubt_ns; /* since when others say wrongly that they have left */
	/* When it told the broker last that it finds no room, and whether it did so at its last refusal. */
	int64_t said_ns;
	bool has_said;
	/* The call that waits for room was counted already among the sends without room. */
	bool tries_again;
	/* Looks for room that were in vain, one after the other (path/reliable_send.c). */
	uint32_t spins_in_vain;
	int64_t spin_ns;        /* how long it looks for room before it sleeps */
	struct km_ready *ready; /* null: nobody asked for a descriptor (wait/room.h) */
};

/* Bits of `prepared`. Written with the client's lock. */
#define KM_PREPARED  1u /* a fresh place is there, where LEFT isn't told */
#define KM_HAS_READY 2u /* a descriptor is to be armed */

/* A subscriber's descriptor (wait/ready.h). */
struct km_ready {
	struct km_watched watched;
	bool suspended; /* a receive sleeps */
	/* A look has seen that the region was left, and a receive has looked since. */
	bool left;
	/* Looks in a row that found news that weren't for this subscriber. */
	unsigned in_vain;
	/* The position where an observer last found nothing. */
	uint64_t observed;
};

struct kickmsg_subscriber {
	struct km_handle handle;
	uint32_t borrowed; /* samples that the user has */
	/* A message was taken, and was too long for the buffer that it was meant for. */
	bool has_pending;
	struct kickmsg_sample pending;
	uint64_t received; /* in places before */
	uint64_t spin_ns;
	uint32_t spins_in_vain; /* waits in a row without a message; see receive.c */
	/* Time until a sleeper looks by itself; 0: KM_PATIENCE_NS. */
	int64_t patience_ns;
	uint32_t depth;     /* it wants so many of the newest alone; 0: all */
	bool interruptible; /* a signal handler ends its sleep */
	struct km_interrupt interrupt;
	int64_t look_ns; /* when a sleeper looks after the connection */
	/* Bits: what a receive that finds nothing is to look at. */
	_Atomic uint32_t prepared;
	struct km_ready *ready;            /* null: nobody asked for a descriptor */
	struct kickmsg_publisher *deaf_to; /* doesn't publish to it; under the client's lock */
	_Atomic uint32_t is_deaf;          /* 1: such a publisher is there */
	/* sequence of the last of its own publisher's messages that it met (own.h); UINT64_MAX: it
	 * comes from a place where it met none */
	uint64_t own_sequence;
};

/* A call with many messages looks at who is live, fences and wakes once for so many of them.
 * Sleepers wait for no more. */
#define KM_MANY 64

/* The result of a call of the data path that can't be done for `error`. In a child of fork, a
 * handle of the parent's gives -ECHILD. */
static inline int km_handle_refusal(const struct km_handle *handle, int error)
{
	return handle->client && handle->client->pid == KM_INHERITED ? -ECHILD : error;
}

/* Was the handle made by another process? Takes no lock. */
bool km_handle_is_inherited(const struct km_handle *handle);

/* Puts the handle into the client's list, or out of it: then no other thread knows of it any more.
 * Needs the client's lock. */
void km_handle_link(struct km_handle *handle, struct kickmsg_client *client);
void km_handle_unlink(struct km_handle *handle);

/* Does any of the client's handles have that endpoint of its connection? Needs the client's lock. */
bool km_handle_has_endpoint(const struct kickmsg_client *client, uint64_t endpoint);

/* Takes the broker's description of the topic into the request by which the handle comes again. */
void km_handle_learn(struct km_handle *handle, const struct km_msg_attached *answer);
/* Takes over a schema that the topic was given later, for all of the client's handles of the topic
 * that `request` names. Takes the lock. */
void km_handle_learn_schema(struct kickmsg_client *client, const struct km_msg_topic *request,
	const struct km_schema *schema);
