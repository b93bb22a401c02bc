/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world of crash-kept: a topic with private rings and history, made from the library's own parts in
 * one shared mapping, as that of crash_world.h.
 *
 * Publisher 0 is the victim, publisher 1 the survivor. Ring 0 has an old subscriber, ring 1 the
 * newcomer, which is the victim of receives. Ring 2 has one that holds a message of its history all the
 * time, and ring 3 is for one that comes in the end.
 *
 * A subscriber is owed its history and what is sent from then on, which is what it received and lost.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libclient/handle/handle.h"

enum {
	KEPT_CAPACITY = 4, /* of a subscriber's ring */
	KEPT_HISTORY = 3,
	KEPT_CELLS = 8, /* of the kept ring */
	KEPT_RINGS = 4,
	KEPT_POOL = 24,
	KEPT_SHORT_POOL = 8,
	/* the subscribers' rings */
	KEPT_NEWCOMER = 1,
	KEPT_HOLDER = 2,
	KEPT_LAST = 3,
	KEPT_NOBODY = KEPT_RINGS,
};

struct kept_reader {
	bool here;
	bool has_victims; /* its history has the victim's message */
	uint64_t last[2], got, owed;
};

struct kept_world {
	size_t size;
	struct km_region region;
	struct kickmsg_publisher publishers[2];
	struct kickmsg_subscriber subscribers[KEPT_RINGS];
	struct km_loan loans[2][1];
	struct km_hold holds[KEPT_RINGS][2];
	struct kept_reader readers[KEPT_RINGS];
	uint64_t live, start, sent[2], end;
	uint64_t sent_before; /* when the last subscriber was let in */
	bool met, half;       /* the event happened; the newcomer is half in */
	bool former;          /* the newcomer's ring has a former owner's message */
	struct kickmsg_sample held;
	uint64_t held_value;
	/* The victim's state. */
	uint64_t value, copy;
	ssize_t result;
	struct kickmsg_sample sample;
};

/* Makes a world of two publishers and no subscriber. */
struct kept_world *kept_build(uint32_t pool);

void kept_attach_publisher(struct kept_world *world, uint32_t i);

/* A subscriber comes: the broker opens its ring, and the library attaches. */
void kept_let_in(struct kept_world *world, uint32_t r);
void kept_enter(struct kept_world *world, uint32_t r);
void kept_come(struct kept_world *world, uint32_t r);

/* Checks a received message and books it. */
bool kept_note(struct kept_world *world, uint32_t r, uint64_t value);
void kept_receive_one(struct kept_world *world, uint32_t r);

/* Receives all there is. A subscriber may get its debt and, with the victim's message, `least`
 * to `most` more. Only the newcomer may lose some. */
bool kept_drain(struct kept_world *world, uint32_t r, uint64_t least, uint64_t most);
bool kept_drain_all(struct kept_world *world, uint32_t busy, uint64_t least, uint64_t most);

/* Sends a publisher's next message, of which each attached subscriber is owed one. */
bool kept_send(struct kept_world *world, uint32_t by);

/* Publisher 0 sends as if it hadn't seen the newcomer before its second look. `gone` messages
 * pass before its late cell. */
void kept_send_late(struct kept_world *world, int gone);

/* The newcomer comes. Then publisher 0, which stood still, puts a message into the newcomer's ring that is for
 * the ring's former owner. */
void kept_meet_former(struct kept_world *world);

/* The survivors go on, but for the subscriber `busy`. */
bool kept_flow(struct kept_world *world, uint32_t busy, int messages);

/* Makes three passes of the reconciler. */
bool kept_repair(struct kept_world *world, bool publisher_dead, bool newcomer_dead);

/* Counts the region. Each bit of a slot is explained by a window or by the holder. A frozen
 * victim may have, besides, what its hazards show. The message that is held hasn't changed. */
bool kept_audit(struct kept_world *world, bool frozen);

/* The kept ring's first position that is not committed. */
uint64_t kept_end(const struct kept_world *world);
