/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place: what a handle has in one region of its topic. It is the part of a handle that changes
 * when the handle goes over to the fresh region of a next broker, and is swapped whole then. So all
 * about one region belongs here. All about the handle's whole life stands in handle.h.
 *
 * A place is made in three steps: km_place_map() by what the broker answered, km_place_publish() or
 * km_place_subscribe() for its role. The latter need no broker: they take the region as it is, and
 * the tests build on them.
 *
 * Orders of what two threads of this process may touch. The second thread has the client's lock,
 * and so has the owner of the handle when it swaps places.
 *   P1 publisher's mask of rings   relaxed   loaded after L1: a ring that is somebody else's by now
 *                                            became live after the mask was widened again
 *   P2 whom a subscriber skips     relaxed   after the publisher is freed its last messages may still
 *                                            be heard; after a move the publisher's new id is stored
 *                                            before its first message (U4), loaded after it (U1)
 */
#pragma once

#include <stdlib.h>

#include "common/ring/kept.h"
#include "common/ring/spot.h"
#include "libclient/client/connection.h"
#include "libclient/handle/seen.h"
#include "libclient/handle/slotcache.h"

/* A slot that a publisher has lent to its user. */
struct km_loan {
	const void *payload; /* null: the loan isn't in use */
	uint64_t len;        /* as asked for */
	uint32_t slot;
};

/* A sample that a subscriber has lent to its user. */
struct km_hold {
	uint64_t position;      /* the sample's ring_pos; KM_HOLD_FREE: not lent */
	struct km_slot *slot;   /* stays after the loan's end */
	_Atomic uint32_t *held; /* its hazard: held[index] of the record */
	uint32_t index;         /* in holds[] */
};
#define KM_HOLD_FREE UINT64_MAX /* no position gets so far */

static inline bool km_hold_is_busy(const struct km_hold *hold)
{
	return hold->position != KM_HOLD_FREE;
}

#define KM_ONLY_NONE KM_LIVE_QUARANTINED /* no ring's bit */

struct km_place {
	/* The place before this one, while it is still needed (past.h). */
	struct km_place *past;
	enum km_role role;
	bool observes; /* the broker knows of no endpoint */
	/* A subscriber of a shared ring: mapped as its publishers map it. */
	bool writable;

	/* from the broker; null and 0 without a broker */
	uint64_t connection;             /* the connection that the place came by */
	uint64_t endpoint;               /* the broker's name for it, in DETACH; 0: none */
	uint64_t inode;                  /* of the control segment: tells which region it is */
	struct km_client_memory *memory; /* the memory that has the record */
	void *control, *payload, *bell;  /* mappings */
	uint64_t control_size, payload_size, bell_size;

	struct km_region region;
	struct km_region kept; /* the kept ring (km_kept_view()), where there is one */
	struct km_seen seen;   /* what was told of the topic last */
	struct km_endpoint *record;
	union {
		struct { /* of a publisher */
			uint32_t id;
			uint32_t loan_count;
			struct km_loan *loans; /* [max_loans] */
			uint64_t live;         /* header->live as it was at the last message */
			/* Rings that it publishes to: all but, perhaps, its own subscriber's. */
			_Atomic uint64_t rings;
			/* Where messages went last that went to one ring, or KM_ONLY_NONE. The two
			 * pointers lead into this very place. */
			uint64_t only;
			struct km_ring *only_ring;
			struct km_ring_cursor *only_cursor;
			uint64_t base;    /* sequence of the last message before this region */
			uint64_t opening; /* the last one that it knows of (kept.h) */
			struct km_ring_cursor kept_cursor;
			struct km_slot_cache cache;
			struct km_ring_cursor cursors[KM_MAX_RINGS];
			uint16_t greeted[KM_MAX_RINGS]; /* lost.h */
		};
		struct {                      /* of a subscriber */
			struct km_ring *ring; /* null: a shared ring */
			uint32_t ring_index;
			struct km_hold *spare;       /* an entry that is likely free */
			uint64_t others;             /* slot words' bits but the own ring's */
			struct km_ring_spot spot;    /* where `next` is, in a ring of its own */
			uint32_t lends;              /* max_borrows; 0 while a message is pending */
			struct km_hold *holds;       /* [max_borrows + 1], as the record's held[] */
			uint64_t next;               /* position that is expected next */
			uint64_t offset;             /* between position and ring_pos */
			uint64_t lost;               /* in this place */
			uint64_t lost_before;        /* in places before, and before its start */
			struct km_newcomer newcomer; /* where it is in the kept ring */
			bool rejoined;               /* the ring's lost_before counts (lost.h) */
			bool closed;                 /* about to go: its ring takes no messages */
			/* a shared ring's borrowed sample is a copy, in copies[hold] */
			unsigned char *copies;
			void *copies_memory; /* the memory to be freed */
			uint64_t copy_stride;
			/* a shared ring's member of a channel that doesn't hear itself (own.h) */
			_Atomic uint32_t own_id; /* id of its publisher; 0: it hears everybody */
			uint64_t own_lost;       /* of its own messages, among what is lost */
			uint64_t said;           /* `next`, as a reliable one has said it */
		};
	};
};

/* Zeroed memory, of whole pairs of lines, for `count` things of `size` bytes that one handle writes at
 * each message: a thread with another handle has none of its lines. Null: there is none. It is given to
 * free(). */
void *km_place_alloc(size_t count, size_t size);

/*
 * Maps the memory of the broker's answer, and checks it; closes nothing. In *ret role, observes and
 * writable say what was asked for. Needs the client's lock. After an error, km_place_unmap() undoes
 * what was done. Errors: -EPROTO; those of mmap(2).
 */
int km_place_map(struct km_place *ret, struct kickmsg_client *client,
	const struct km_msg_attached *answer, const int *fds);
void km_place_unmap(struct km_place *place);
/* Unmaps the payload alone, when no sample of it is lent any more. */
void km_place_unmap_payload(struct km_place *place);

/* Begins a place's role. The record is formatted already, but for an observer's: that is made here,
 * for its numbers alone. `start`: the first position that may be this subscriber's. Errors:
 * -ENOMEM. */
int km_place_publish(struct km_place *place, struct km_endpoint *record, uint32_t id);
int km_place_subscribe(
	struct km_place *place, struct km_endpoint *record, uint32_t ring_index, uint64_t start);
/* Gives back all loans or samples and frees private memory; mappings stay. Takes a half-made
 * place. */
void km_place_end(struct km_place *place);

/* Behind km_place_subscribe(): the subscriber begins with the last `history` messages, where the topic
 * keeps so many for newcomers. */
void km_place_look_back(struct km_place *place, uint32_t history);

/* Meets those of a publisher's `rings` that were opened since it last did (lost.h). `sequence`: of
 * its last message. */
void km_place_greet(struct km_place *place, uint64_t sequence, uint64_t rings);

/* The position where a subscriber's own ring ends: the first one without a message. *ret_head is
 * where the ring begins. */
uint64_t km_place_frontier(const struct km_place *place, uint64_t *ret_head);

/* Makes `holds`, room for max_borrows + 1 of them, those of the place. None is busy. */
void km_place_take_holds(struct km_place *place, struct km_hold *holds);

/* Makes `spare` an entry of holds[] that isn't busy. */
void km_place_find_spare(struct km_place *place);

/* Have others left the region for a fresh one? */
bool km_place_is_left(const struct km_place *place);

static inline bool km_place_is_in(const struct km_place *place, const struct km_place *other)
{
	return other && place->inode == other->inode;
}

/* Ends a loan. The caller has freed its slot, or is about to send it. */
static inline void km_place_end_loan(struct km_place *place, struct km_loan *loan)
{
	loan->payload = NULL;
	place->loan_count--;
}

/* For publishers: `live` where nothing that lies behind it is read. */
static km_always_inline uint64_t km_place_load_live(const struct km_place *place)
{
	return km_load(L4, relaxed, &place->region.header->live);
}

/* A subscriber with a ring of its own expects the message of position `next`. */
static inline void km_place_expect(struct km_place *place, uint64_t next)
{
	place->next = next;
	km_ring_spot_set(&place->spot, &place->region, place->ring, next);
}

/* Ends what the hold's hazard covers: another publisher may claim the slot from here on. */
static km_always_inline void km_place_let_go(struct km_place *place, struct km_hold *hold)
{
	hold->position = KM_HOLD_FREE;
	place->spare = hold;
	if (__builtin_expect(place->region.shared != NULL, 0))
		return; /* a copy, of which nobody else knows */
	km_slot_drop(hold->slot, ~place->others);
	km_hazard_clear(hold->held);
}
