/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world of the crash tests: a region, endpoint records, publishers and subscribers made from
 * the library's own parts, all in one shared mapping at one address.
 *
 *   publishers 0 1 2, subscribers 0 1 2 3. Publisher 0 or subscriber 0 is the victim, run by a walker
 *   (crash_step.h); all others are survivors, run by the test program. Where the topic has but one
 *   publisher (CRASH_SOLE), it is publisher 0. Private halves (handles) are in the
 *   mapping too, so the whole world is saved and put back by one copy, and what a victim that was
 *   spared did to its handle can be gone on with.
 *
 * Everything that was sent is known, so what a subscriber gets is compared with what it must get:
 * received + lost == positions of its ring, contents and order exact.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/repair/reconcile.h"
#include "libclient/handle/handle.h"

enum {
	CRASH_PUBLISHERS = 3,
	CRASH_SUBSCRIBERS = 4,
	CRASH_POOL = 12,
	CRASH_CAPACITY = 4,
	CRASH_BORROWS = 4,
	CRASH_MANY = 3, /* messages of a batch */
	/* So that one publisher can count the free slots by taking them. */
	CRASH_LOANS = CRASH_POOL,
};

struct crash_message {
	uint32_t publisher; /* index */
	uint32_t pad;
	uint64_t sequence; /* of the publisher, from 1 */
	uint64_t filler[5];
	uint64_t sum;
};
static_assert(sizeof(struct crash_message) == 64, "fills a payload");

/* A subscriber's record of what it has seen. */
struct crash_reader {
	enum km_endpoint_state state; /* or 0: was never attached */
	bool elsewhere;               /* another process reads it now */
	uint64_t start;               /* its first position */
	uint64_t received;
	uint64_t last[CRASH_PUBLISHERS]; /* sequence */
};

struct crash_world {
	size_t size; /* a hash of all messages */
	struct km_region region;
	struct kickmsg_publisher publishers[CRASH_PUBLISHERS];
	struct kickmsg_subscriber subscribers[CRASH_SUBSCRIBERS];
	struct km_loan loans[CRASH_PUBLISHERS][CRASH_LOANS];
	struct km_hold holds[CRASH_SUBSCRIBERS][CRASH_BORROWS + 1];
	/* messages that subscribers of a shared ring have borrowed */
	_Alignas(64) struct crash_message copies[CRASH_SUBSCRIBERS][CRASH_BORROWS + 1];
	enum km_endpoint_state publisher_state[CRASH_PUBLISHERS];
	struct crash_reader readers[CRASH_SUBSCRIBERS];
	uint64_t sent[CRASH_PUBLISHERS]; /* sequences used up */
	uint64_t frontier
		/* The next position of each ring, the victim's messages not counted. */
		[CRASH_SUBSCRIBERS];
	struct kickmsg_sample kept[CRASH_SUBSCRIBERS][CRASH_BORROWS]; /* borrowed in a set-up */
	uint32_t kept_count[CRASH_SUBSCRIBERS];
	void *lent[CRASH_PUBLISHERS][CRASH_LOANS];
	uint32_t lent_count[CRASH_PUBLISHERS];

	/* Shared ring: 1 when the victim finds no slot free. */
	uint32_t must_void;

	/* Shared ring: the publisher whose cell the victim's message overwrites. */
	uint32_t oldest_slot;

	uint64_t last_sequence; /* publisher 1's last: then a sleeper goes home */
	/* The word with which subscriber 1 sleeps beside its empty ring; or 0. */
	uint32_t announced;

	/* The victim's state. */
	struct crash_message message; /* the last message that it sends */
	bool is_many;                 /* it sends a batch */
	struct crash_message many[CRASH_MANY];
	struct kickmsg_sample samples[CRASH_MANY];
	ssize_t result;
	void *payload;
	struct kickmsg_sample sample;
	struct crash_message copy;
};

/* The transport of new worlds, and which publisher is privileged in them. */
enum crash_transport {
	CRASH_RINGS,
	CRASH_SHARED,       /* the victim publisher is privileged */
	CRASH_SHARED_OTHER, /* publisher 1 is privileged; the victim has slots */
	/* The victim is privileged, and the topic has a place for no other publisher. */
	CRASH_SOLE,
};
extern enum crash_transport crash_transport;
/* Messages have publish times. */
extern bool crash_timed;

/* The transport of a test's argument: shared[-...], shared-other[-...], sole[-...], or rings. */
enum crash_transport crash_transport_of(const char *word);

/* The publisher for what needs only one survivor. A sole publisher has no other beside it: there
 * it is the victim or its successor. */
static inline uint32_t crash_other(void)
{
	return crash_transport == CRASH_SOLE ? 0 : 1;
}

/* The place of the walk, for messages of failures, and the number of failures. */
extern char crash_where[256];
extern unsigned crash_failures;

/* Prints what is wrong. Returns false. */
bool crash_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the program with a message if no further call comes within so many seconds of its own CPU
 * time, since it loops then. How busy the machine is plays no part. */
void crash_watchdog(unsigned seconds);

/* One shared mapping: a world of `size` bytes, which comes first and is returned, a region of that shape, and
 * records of `endpoints`. The test ends where there is no memory. */
struct crash_map {
	size_t size, record;
	unsigned char *records;
	struct km_region region;
};
void *crash_map(
	size_t size, const struct km_geometry *geometry, uint32_t endpoints, struct crash_map *ret);

static inline struct km_endpoint *crash_map_record(const struct crash_map *map, uint32_t index)
{
	return (void *)(map->records + index * map->record);
}

struct crash_world *crash_world_new(void);
void crash_world_free(struct crash_world *world);

/* A copy to be put back later; crash_world_save reuses `to` if it isn't null. free() it. */
void *crash_world_save(const struct crash_world *world, void *to);
void crash_world_restore(struct crash_world *world, const void *saved);

/* Attaches a subscriber as the broker does: format the record, read head, set the live bit. */
void crash_attach_subscriber(struct crash_world *world, uint32_t index);
void crash_attach_publisher(struct crash_world *world, uint32_t index);

/* Publisher 0 is dead, and a pass is complete: if it was privileged, publisher 1 is from now on, as
 * the broker does it (daemon/topic/privilege.c); a sole one's successor takes its place. */
void crash_pass_privilege_on(struct crash_world *world);

/* Returns a publisher's next message. */
struct crash_message crash_message(struct crash_world *world, uint32_t publisher);

/* Sends a survivor's next message, which must succeed. */
bool crash_send(struct crash_world *world, uint32_t publisher);

/* Publishes a survivor's next message from a loan. */
bool crash_publish(struct crash_world *world, uint32_t publisher, void *loan);

/* Sends the i-th of many messages: the survivors send by turns; a sole publisher sends and
 * publishes by turns. */
bool crash_send_in_turn(struct crash_world *world, uint32_t i);

/* Receives one message and checks it; `copy` chooses the call. Returns 1: it got one, 0: there
 * was none, -1: it was wrong. */
int crash_read(struct crash_world *world, uint32_t subscriber, bool copy);

/* Checks a received message and books it. */
bool crash_note(
	struct crash_world *world, uint32_t subscriber, const struct crash_message *message);

/* Set-ups call these: they borrow messages, take loans, and keep them. */
void crash_borrow(struct crash_world *world, uint32_t subscriber, uint32_t count);
void crash_lend(struct crash_world *world, uint32_t publisher, uint32_t count);
void crash_give_back(struct crash_world *world, uint32_t publisher);
void crash_release(struct crash_world *world, uint32_t subscriber);

/* The positions that were committed in a ring so far, counted in its cells. A shared ring has
 * one count for any `ring`. */
uint64_t crash_frontier(const struct crash_world *world, uint32_t ring);

/* Fills in the broker's knowledge: the endpoints that are attached, and which are dead. Returns how
 * many. */
size_t crash_endpoints(struct crash_world *world,
	struct km_known_endpoint ret[CRASH_PUBLISHERS + CRASH_SUBSCRIBERS]);

/* Makes a pass of the reconciler over the world's endpoints. */
bool crash_reconcile(struct crash_world *world, unsigned what, struct km_reconcile_result *ret);

/* Makes passes until one is complete. */
bool crash_reconcile_all(struct crash_world *world);

/*
 * Counts the whole region, by the test's own book: each slot is free or somebody's who may have it,
 * each message in a ring, each sample and loan has its slot. If publisher 0 or subscriber 0 stands
 * still in the middle of something (`frozen`), it may have, besides, what its hazards and id show.
 */
bool crash_audit(struct crash_world *world, enum km_role frozen);

/* Audits one half while the dead haven't been cleared away: all that survivors have is theirs. */
bool crash_audit_kept(struct crash_world *world);
