/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A publisher whose descriptor says when there is room with the topic's reliable subscribers
 * (common/shared/room.h). It is a subscriber's descriptor (ready.h) at another word: READABLE at first, and
 * WAITING once a send has found no room and the broker was told, until publishers are woken.
 */
#pragma once

#include "common/shared/room.h"
#include "libclient/handle/handle.h"

/* Arms the descriptor after a send that found no room. */
void km_room_ready_arm(struct kickmsg_publisher *publisher);
/* Follows the publisher to another region. The old one is still mapped. */
void km_room_ready_move(struct kickmsg_publisher *publisher);

/* The word at which publishers of its region sleep. */
static inline _Atomic uint32_t *km_publisher_word(const struct kickmsg_publisher *publisher)
{
	return &km_room_bell(&publisher->handle.place.region)->word;
}

/* Says that the publisher is about to sleep; returns the word to wait for. */
uint32_t km_publisher_announce(struct kickmsg_publisher *publisher);
/* Has a send something to do: is there room, or was the region given up or left? `left`: that it was left is
 * known. */
bool km_publisher_has_room(struct kickmsg_publisher *publisher, bool left);
