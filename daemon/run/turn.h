/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Long work in turns. Work that takes long is made of pieces. A turn does pieces for KM_TURN_NS and
 * then lets the event loop hear everybody before the next turn. All waiting work has its piece in
 * turn, so a client that asks for much waits longer, and others don't.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <sys/queue.h>

struct km_work {
	TAILQ_ENTRY(km_work) next;
	bool (*step)(struct km_work *work); /* does a piece of it; false: that was all */
	bool queued;
};

struct km_turns {
	TAILQ_HEAD(, km_work) works; /* in turn */
	struct event *event;
	void (*after)(void *userdata); /* called at the end of each turn */
	void *userdata;
};

/* The length of a turn, and of what one session gets before the others. A session whose request
 * takes longer gets its piece in each turn. */
#define KM_TURN_NS  INT64_C(1000000)
#define KM_SHARE_NS INT64_C(250000)

/* Slots, cells, members or messages of a piece: some hundred microseconds where memory is slow. */
#define KM_PIECE 8192

/* Errors: -ENOMEM. */
int km_turns_init(struct km_turns *turns, struct event_base *base, void (*after)(void *userdata),
	void *userdata);
void km_turns_deinit(struct km_turns *turns);

/* Does pieces of the work from now on, until its step says that there are no more. Once at a
 * time. */
void km_turn_add(struct km_turns *turns, struct km_work *work);
/* Does no more pieces, whether or not any are left. */
void km_turn_remove(struct km_turns *turns, struct km_work *work);
