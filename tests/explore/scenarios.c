/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See scenarios.h. Small on purpose: two of anything is where things go wrong, and all of it can be
 * seen.
 *
 * The file is long because it is the list of all scenarios.
 */
#include "tests/explore/scenarios.h"

#include <string.h>
#include <time.h>

#define PUB(index, count, flags)                                                                   \
	{                                                                                          \
		ACTOR_PUBLISHER, index, count, flags                                               \
	}
#define SUB(index, count, flags)                                                                   \
	{                                                                                          \
		ACTOR_SUBSCRIBER, index, count, flags                                              \
	}
#define BROKER(index, count, flags)                                                                \
	{                                                                                          \
		ACTOR_BROKER, index, count, flags                                                  \
	}
#define INTERRUPTER(index, count, flags)                                                           \
	{                                                                                          \
		ACTOR_INTERRUPTER, index, count, flags                                             \
	}
#define WATCHER                                                                                    \
	{                                                                                          \
		ACTOR_WATCHER                                                                      \
	}
#define SHAPE(r, c, p, pubs, subs)                                                                 \
	{                                                                                          \
		.rings = r, .capacity = c, .pool = p, .publishers = pubs, .subscribers = subs      \
	}

#define KEPT(r, c, p, pubs, subs, last)                                                            \
	{                                                                                          \
		.rings = r, .capacity = c, .pool = p, .publishers = pubs, .subscribers = subs,     \
		.history = last                                                                    \
	}
#define SHARED(c, p, pubs, subs, who)                                                              \
	{                                                                                          \
		.rings = subs, .capacity = c, .pool = p, .publishers = pubs, .subscribers = subs,  \
		.shared = true, .privileged = who                                                  \
	}
/* A topic with one publisher that has a place for a second one: so the publisher commits by a
 * CAS. */
#define ROOM_FOR_TWO(c, p, subs, who)                                                              \
	{                                                                                          \
		.rings = subs, .capacity = c, .pool = p, .publishers = 1, .subscribers = subs,     \
		.shared = true, .privileged = who, .places = 2                                     \
	}

/* A shared ring whose first `kept` subscribers are reliable ones. */
#define SHARED_ROOM(c, pubs, subs, who, kept)                                                      \
	{                                                                                          \
		.rings = subs, .capacity = c, .pool = c + 4 * pubs + 1, .publishers = pubs,        \
		.subscribers = subs, .shared = true, .privileged = who,                            \
		.reliable = (1u << (kept)) - 1                                                     \
	}

/* clang-format off */
const struct scenario scenarios[] = {
	{ .name = "evict_take", .about = "eviction against take, ring of 1",
	  .shape = SHAPE(1, 1, 3, 1, 1), .prefill = 1,
	  .actors = { PUB(0, 2, 0), SUB(0, 2, 0), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 3, .old_reads = 2, .death_interruptions = 2 },
	{ .name = "two_publishers", .about = "two publishers on one ring of 2",
	  .shape = SHAPE(1, 2, 4, 2, 1),
	  .actors = { PUB(0, 1, 0), PUB(1, 1, 0), SUB(0, 2, 0), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 7, .interruptions = 2, .old_reads = 1, .death_interruptions = 2 },
	{ .name = "append", .about = "one publisher goes on where it left the ring, another is in between",
	  .shape = SHAPE(1, 2, 5, 2, 1),
	  .actors = { PUB(0, 2, 0), PUB(1, 1, 0), SUB(0, 1, 0), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 2, .old_reads = 0, .death_interruptions = 1 },
	{ .name = "full_ring", .about = "two publishers on a full ring of 1, subscriber holding",
	  .shape = { .rings = 1, .capacity = 1, .pool = 5, .publishers = 2,
		     .subscribers = 1, .max_borrows = 2 },
	  .prefill = 1,
	  .actors = { PUB(0, 1, 0), PUB(1, 1, 0), SUB(0, 2, ACTOR_KEEPS),
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 7, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "claim_drop", .about = "claims against drops, a pool of 2 for everybody (ABA)",
	  .shape = SHAPE(1, 1, 2, 2, 1), .tight = true,
	  .actors = { PUB(0, 2, 0), PUB(1, 1, ACTOR_DISCARDS), SUB(0, 2, 0),
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 7, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "last_release", .about = "last release of two against a new claim, pool of 2",
	  .shape = SHAPE(2, 1, 2, 1, 2), .tight = true, .prefill = 1,
	  .actors = { PUB(0, 2, 0), SUB(0, 1, 0), SUB(1, 1, 0), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 7, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "sleep_wake", .about = "a sleeping subscriber, two publishers",
	  .shape = SHAPE(1, 2, 4, 2, 1),
	  .actors = { PUB(0, 1, 0), PUB(1, 1, 0), SUB(0, 2, ACTOR_SLEEPS),
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 7, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "ready", .about = "a subscriber with a descriptor, two publishers",
	  .shape = SHAPE(1, 2, 4, 2, 1),
	  .actors = { PUB(0, 1, 0), PUB(1, 1, 0), SUB(0, 2, ACTOR_POLLS),
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 7, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "sh_ready", .about = "a subscriber with a descriptor and a sleeper (bell)",
	  .shape = SHARED(1, 4, 2, 2, 1),
	  .actors = { PUB(0, 2, 0), SUB(0, 2, ACTOR_POLLS), SUB(1, 2, ACTOR_SLEEPS),
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "ready_moved", .about = "a subscriber's descriptor goes over to another word",
	  .shape = SHAPE(1, 2, 4, 1, 1),
	  .actors = { PUB(0, 2, 0), SUB(0, 2, ACTOR_POLLS | ACTOR_MOVES) },
	  .interruptions = 4, .old_reads = 1 },
	{ .name = "ready_thread", .about = "the library's thread sleeps for a subscriber's descriptor",
	  .shape = SHAPE(1, 2, 4, 1, 1),
	  .actors = { PUB(0, 2, 0), SUB(0, 2, ACTOR_POLLS | ACTOR_BY_THREAD), WATCHER },
	  .interruptions = 4, .old_reads = 0 },
	{ .name = "ready_thread_old", .about = "the same, and loads may see old values",
	  .shape = SHAPE(1, 2, 4, 1, 1),
	  .actors = { PUB(0, 2, 0), SUB(0, 2, ACTOR_POLLS | ACTOR_BY_THREAD), WATCHER },
	  .interruptions = 2, .old_reads = 2 },
	{ .name = "ready_thread_death", .about = "the same, and the publisher dies before its wake",
	  .shape = SHAPE(1, 2, 4, 1, 1),
	  .actors = { PUB(0, 1, 0), SUB(0, 1, ACTOR_POLLS | ACTOR_BY_THREAD), WATCHER,
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 1, .interruptions = 2, .old_reads = 0, .death_interruptions = 1 },
	{ .name = "ready_ring", .about = "the library's thread sleeps in its io_uring for a subscriber's descriptor",
	  .shape = SHAPE(1, 2, 4, 1, 1),
	  .actors = { PUB(0, 2, 0), SUB(0, 2, ACTOR_POLLS | ACTOR_BY_RING), WATCHER },
	  .interruptions = 4, .old_reads = 0 },
	{ .name = "ready_ring_moved", .about = "the same, and the descriptor goes over to another word",
	  .shape = SHAPE(1, 2, 4, 1, 1),
	  .actors = { PUB(0, 2, 0), SUB(0, 2, ACTOR_POLLS | ACTOR_BY_RING | ACTOR_MOVES), WATCHER },
	  .interruptions = 3, .old_reads = 0 },
	{ .name = "interrupted", .about = "another thread ends a subscriber's sleep",
	  .shape = SHAPE(1, 2, 4, 1, 1),
	  .actors = { PUB(0, 1, 0), SUB(0, 2, ACTOR_SLEEPS | ACTOR_INTERRUPTED), INTERRUPTER(0, 1, 0),
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 1, .interruptions = 3, .old_reads = 0, .death_interruptions = 1 },
	{ .name = "interrupted_late", .about = "an interruption comes when the sleep is over, and its region left",
	  .shape = SHAPE(1, 2, 4, 1, 1),
	  .actors = { PUB(0, 1, 0), SUB(0, 1, ACTOR_SLEEPS | ACTOR_INTERRUPTED), INTERRUPTER(0, 1, 0) },
	  .interruptions = 3, .old_reads = 1 },
	{ .name = "interrupted_twice", .about = "the same twice, and loads may see old values",
	  .shape = SHAPE(1, 2, 4, 1, 1),
	  .actors = { SUB(0, 3, ACTOR_SLEEPS | ACTOR_INTERRUPTED), INTERRUPTER(0, 2, 0) },
	  .interruptions = 4, .old_reads = 2 },
	{ .name = "sh_interrupted", .about = "the same at a bell",
	  .shape = SHARED(2, 4, 1, 1, 1),
	  .actors = { PUB(0, 1, 0), SUB(0, 2, ACTOR_SLEEPS | ACTOR_INTERRUPTED), INTERRUPTER(0, 1, 0) },
	  .interruptions = 3, .old_reads = 0 },
	{ .name = "waitset", .about = "a wait set sleeps at two rings' words",
	  .shape = SHAPE(2, 2, 4, 1, 2),
	  .actors = { PUB(0, 2, 0), SUB(0, 4, ACTOR_SETS), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 1, .interruptions = 3, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "waitset_interrupted", .about = "another thread ends a wait set's sleep",
	  .shape = SHAPE(2, 2, 4, 1, 2),
	  .actors = { PUB(0, 1, 0), SUB(0, 3, ACTOR_SETS), INTERRUPTER(0, 1, ACTOR_SETS) },
	  .interruptions = 3, .old_reads = 1 },
	{ .name = "sh_waitset", .about = "a wait set of two subscribers of one bell",
	  .shape = SHARED(2, 4, 1, 2, 1),
	  .actors = { PUB(0, 2, 0), SUB(0, 4, ACTOR_SETS) },
	  .interruptions = 3, .old_reads = 0 },
	{ .name = "waitset_stands", .about = "a wait set sleeps at two rings' words by waits that stand",
	  .shape = SHAPE(2, 2, 4, 1, 2),
	  .actors = { PUB(0, 2, 0), SUB(0, 4, ACTOR_SETS | ACTOR_BY_RING), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 1, .interruptions = 3, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "waitset_stands_two", .about = "the same, two publishers",
	  .shape = SHAPE(2, 2, 4, 2, 2),
	  .actors = { PUB(0, 1, 0), PUB(1, 1, 0), SUB(0, 4, ACTOR_SETS | ACTOR_BY_RING) },
	  .interruptions = 3, .old_reads = 0 },
	{ .name = "waitset_stands_interrupted", .about = "another thread ends such a sleep",
	  .shape = SHAPE(2, 2, 4, 1, 2),
	  .actors = { PUB(0, 1, 0), SUB(0, 3, ACTOR_SETS | ACTOR_BY_RING), INTERRUPTER(0, 1, ACTOR_SETS) },
	  .interruptions = 3, .old_reads = 1 },
	{ .name = "sh_waitset_stands", .about = "such a sleep at one bell",
	  .shape = SHARED(2, 4, 1, 2, 1),
	  .actors = { PUB(0, 2, 0), SUB(0, 4, ACTOR_SETS | ACTOR_BY_RING) },
	  .interruptions = 3, .old_reads = 0 },
	{ .name = "waitset_polls", .about = "a wait set sleeps by descriptors, another thread ends its sleep",
	  .shape = SHAPE(1, 2, 4, 1, 1),
	  .actors = { PUB(0, 1, 0), SUB(0, 2, ACTOR_SETS | ACTOR_POLLS), INTERRUPTER(0, 1, ACTOR_SETS) },
	  .interruptions = 3, .old_reads = 1 },
	{ .name = "matched", .about = "a publisher waits for a subscriber to be there",
	  .shape = SHAPE(1, 1, 3, 1, 1),
	  .actors = { PUB(0, 2, ACTOR_MATCHES), BROKER(0, 2, ACTOR_TELLS) },
	  .interruptions = 4, .old_reads = 3 },
	{ .name = "call_end", .about = "a caller sleeps, its server answers, and dies or leaves",
	  .shape = { .rings = 1, .capacity = 2, .pool = 4, .publishers = 1, .subscribers = 1, .timed = true },
	  .actors = { PUB(0, 2, ACTOR_CALLS), SUB(0, 3, ACTOR_CALLS),
		      BROKER(0, 1, ACTOR_AFTER_DEATH | ACTOR_TELLS_END) },
	  .victims = 1, .interruptions = 2, .old_reads = 1, .death_interruptions = 2 },
	{ .name = "sh_call_end", .about = "the same by a shared ring",
	  .shape = { .rings = 1, .capacity = 2, .pool = 2, .publishers = 1, .subscribers = 1,
		     .shared = true, .privileged = 1, .timed = true, .spare = 8 },
	  .actors = { PUB(0, 2, ACTOR_CALLS), SUB(0, 3, ACTOR_CALLS),
		      BROKER(0, 1, ACTOR_AFTER_DEATH | ACTOR_TELLS_END) },
	  .victims = 1, .interruptions = 2, .old_reads = 1, .death_interruptions = 2 },
	{ .name = "sh_call_slots", .about = "the same, and the server has no privilege",
	  .shape = { .rings = 1, .capacity = 2, .pool = 4, .publishers = 1, .subscribers = 1,
		     .shared = true, .privileged = 0, .places = 2, .timed = true, .spare = 8 },
	  .actors = { PUB(0, 2, ACTOR_CALLS), SUB(0, 2, ACTOR_CALLS),
		      BROKER(0, 1, ACTOR_AFTER_DEATH | ACTOR_TELLS_END) },
	  .victims = 1, .interruptions = 2, .old_reads = 1, .death_interruptions = 2 },
	{ .name = "call_interrupted", .about = "another thread ends a caller's sleep",
	  .shape = { .rings = 1, .capacity = 2, .pool = 4, .publishers = 1, .subscribers = 1, .timed = true },
	  .actors = { SUB(0, 1, ACTOR_CALLS | ACTOR_INTERRUPTED), INTERRUPTER(0, 2, ACTOR_CALLS) },
	  .interruptions = 4, .old_reads = 2 },
	{ .name = "serve_quiet", .about = "a server that polls looks at one word for its caller's requests",
	  .shape = { .rings = 1, .capacity = 2, .pool = 4, .publishers = 1, .subscribers = 1, .max_borrows = 2,
		     .timed = true },
	  .actors = { PUB(0, 2, ACTOR_SERVES), SUB(0, 3, ACTOR_SERVES) },
	  .interruptions = 5, .old_reads = 2 },
	{ .name = "sh_serve_quiet", .about = "the same by a shared ring",
	  .shape = { .rings = 1, .capacity = 2, .pool = 2, .publishers = 1, .subscribers = 1, .max_borrows = 2,
		     .shared = true, .privileged = 1, .timed = true, .spare = 8 },
	  .actors = { PUB(0, 2, ACTOR_SERVES), SUB(0, 3, ACTOR_SERVES) },
	  .interruptions = 5, .old_reads = 2 },
	{ .name = "health", .about = "reconcile looks and repairs while all are well",
	  .shape = SHAPE(1, 1, 3, 1, 1), .prefill = 1,
	  .actors = { BROKER(0, 1, 0), PUB(0, 2, 0), SUB(0, 2, 0) },
	  .victims = 6, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "health_two_rings", .about = "reconcile against a publisher to two rings",
	  .shape = SHAPE(2, 1, 3, 1, 2), .prefill = 1,
	  .actors = { BROKER(0, 1, 0), PUB(0, 2, 0), SUB(0, 1, 0), SUB(1, 1, 0) },
	  .victims = 2, .interruptions = 2, .old_reads = 0, .death_interruptions = 1 },
	{ .name = "uneven_rings", .about = "two publishers evict from two rings that hold different messages",
	  .shape = SHAPE(2, 1, 6, 2, 2), .prefill = 1,
	  .actors = { PUB(0, 1, 0), PUB(1, 1, 0), BROKER(0, 1, 0) },
	  .victims = 3, .interruptions = 2, .old_reads = 0, .death_interruptions = 1 },
	{ .name = "join_leave", .about = "one joins and one leaves, a publisher has old targets",
	  .shape = SHAPE(2, 1, 4, 1, 2), .prefill = 1,
	  .actors = { PUB(0, 2, 0), SUB(0, 1, ACTOR_LEAVES),
		      BROKER(0, 1, ACTOR_AFTER_DEATH | ACTOR_ADMITS), SUB(1, 1, ACTOR_JOINS) },
	  .victims = 11, .interruptions = 2, .old_reads = 0, .death_interruptions = 1 },
	{ .name = "ring_reuse", .about = "a subscriber leaves or dies, another gets its ring",
	  .shape = SHAPE(1, 1, 3, 1, 2), .prefill = 1,
	  .actors = { PUB(0, 2, 0), SUB(0, 1, ACTOR_LEAVES),
		      BROKER(0, 1, ACTOR_AFTER_DEATH | ACTOR_ADMITS), SUB(1, 2, ACTOR_JOINS) },
	  .victims = 11, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "detach_holding", .about = "a subscriber gives its place back with a sample in its hands",
	  .shape = SHAPE(1, 1, 3, 1, 2), .prefill = 1,
	  .actors = { PUB(0, 2, 0), SUB(0, 1, ACTOR_LEAVES_HOLDING),
		      BROKER(0, 1, ACTOR_AFTER_DEATH | ACTOR_ADMITS), SUB(1, 1, ACTOR_JOINS) },
	  .victims = 11, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "id_reuse", .about = "a publisher dies, another gets its id",
	  .shape = SHAPE(1, 1, 4, 2, 1), .prefill = 1,
	  .actors = { PUB(0, 1, 0), BROKER(0, 1, ACTOR_AFTER_DEATH),
		      PUB(1, 2, ACTOR_AFTER_REUSE), SUB(0, 2, 0) },
	  .victims = 1, .interruptions = 2, .old_reads = 1, .death_interruptions = 2 },
	{ .name = "newcomer", .about = "a publisher attaches while a pass is made, and evicts",
	  .shape = SHAPE(1, 1, 3, 2, 1), .prefill = 1,
	  .actors = { BROKER(0, 1, 0), PUB(1, 1, ACTOR_COMES), SUB(0, 1, 0) },
	  .victims = 6, .interruptions = 3, .old_reads = 1, .death_interruptions = 2 },
	{ .name = "newcomer_ring", .about = "a subscriber gets a free ring while a pass is made",
	  .shape = { .rings = 2, .capacity = 2, .pool = 4, .publishers = 1, .subscribers = 2, .work = 1 },
	  .prefill = 1,
	  .actors = { BROKER(0, 1, 0), PUB(0, 1, 0), SUB(1, 1, ACTOR_JOINS | ACTOR_ASKS) },
	  .victims = 6, .interruptions = 3, .old_reads = 0, .death_interruptions = 2 },
	{ .name = "opened", .about = "a ring is opened while a publisher sends, who says what it sent before",
	  .shape = SHAPE(1, 2, 4, 1, 1),
	  .actors = { PUB(0, 2, 0), BROKER(0, 0, ACTOR_ADMITS), SUB(0, 1, ACTOR_JOINS) },
	  .interruptions = 3, .old_reads = 2 },
	{ .name = "two_reconcilers", .about = "the broker dies in its pass, another begins again",
	  .shape = SHAPE(1, 1, 3, 1, 1), .prefill = 1,
	  .actors = { PUB(0, 1, 0), SUB(0, 1, 0), BROKER(0, 1, ACTOR_AFTER_DEATH),
		      BROKER(1, 1, ACTOR_AFTER_BROKER), BROKER(2, 1, ACTOR_LOOKS | ACTOR_AFTER_DEATH) },
	  .victims = 3, .two_deaths = true, .interruptions = 1, .old_reads = 0, .death_interruptions = 1 },
	{ .name = "gone_rings", .about = "a publisher finds no slot and empties the rings of the gone",
	  .shape = SHAPE(2, 1, 2, 1, 2), .prefill = 1, .tight = true,
	  .actors = { PUB(0, 2, 0), SUB(0, 1, ACTOR_LEAVES), SUB(1, 1, 0),
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 2, .old_reads = 0, .death_interruptions = 1 },
	{ .name = "loans", .about = "two loans, discards, copying receive",
	  .shape = SHAPE(1, 2, 4, 1, 1),
	  .actors = { PUB(0, 3, ACTOR_TWO_LOANS | ACTOR_DISCARDS), SUB(0, 2, ACTOR_COPIES),
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 3, .old_reads = 1, .death_interruptions = 2 },
	{ .name = "generations", .about = "reconcile against slots that go round and round",
	  .shape = SHAPE(1, 1, 2, 1, 1), .prefill = 1, .tight = true,
	  .actors = { BROKER(0, 1, 0), PUB(0, 2, 0), SUB(0, 1, 0) },
	  .victims = 6, .interruptions = 3, .old_reads = 0, .death_interruptions = 2 },
	{ .name = "old_looks", .about = "the same, and the reconciler may see old values many times",
	  .shape = SHAPE(1, 1, 2, 1, 1), .prefill = 1, .tight = true,
	  .actors = { BROKER(0, 1, 0), PUB(0, 2, 0), SUB(0, 1, 0) },
	  .victims = 6, .interruptions = 2, .old_reads = 4, .death_interruptions = 1 },
	{ .name = "id_shield", .about = "a dead publisher's loan that an old hazard names",
	  .shape = SHAPE(1, 1, 2, 1, 1), .prefill = 1, .tight = true,
	  .actors = { PUB(0, 2, 0), SUB(0, 1, 0), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 1, .interruptions = 2, .old_reads = 1, .death_interruptions = 2 },
	{ .name = "sleep_death", .about = "a publisher dies before its wake, nobody else publishes",
	  .shape = SHAPE(1, 1, 3, 1, 1),
	  .actors = { PUB(0, 1, 0), SUB(0, 1, ACTOR_SLEEPS), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 3, .old_reads = 2, .death_interruptions = 2 },
	{ .name = "sh_inline", .about = "shared ring of 1: the privileged publisher against a slow reader, two laps",
	  .shape = ROOM_FOR_TWO(1, 2, 1, 1),
	  .actors = { PUB(0, 3, 0), SUB(0, 2, 0), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 3, .old_reads = 2, .death_interruptions = 1 },
	{ .name = "sh_inline_2", .about = "the only publisher that may be, ring of 2, 13 bytes in buffers",
	  .shape = { .rings = 1, .capacity = 2, .pool = 2, .publishers = 1, .subscribers = 1,
		     .shared = true, .privileged = 1, .words = 2, .short_by = 3 },
	  .prefill = 2,
	  .actors = { PUB(0, 3, 0), SUB(0, 2, ACTOR_COPIES), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "sh_mixed", .about = "the privileged publisher against one with slots, ring of 1",
	  .shape = SHARED(1, 3, 2, 1, 1),
	  .actors = { PUB(0, 2, 0), PUB(1, 1, 0), SUB(0, 2, 0), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 7, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "sh_slots", .about = "two publishers with slots, one with a loan, ring of 2",
	  .shape = SHARED(2, 6, 2, 1, 0),
	  .actors = { PUB(0, 2, 0), PUB(1, 1, ACTOR_LOANS), SUB(0, 2, 0),
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 7, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "sh_reuse", .about = "a slot that goes round, pool of 2, against a reader",
	  .shape = ROOM_FOR_TWO(1, 2, 1, 0), .prefill = 1,
	  .actors = { PUB(0, 2, 0), SUB(0, 2, 0), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 2, .old_reads = 2, .death_interruptions = 2 },
	{ .name = "sh_reuse_3", .about = "the same of two publishers, pool of 3",
	  .shape = SHARED(1, 3, 2, 1, 0), .prefill = 1, .tight = true,
	  .actors = { PUB(0, 2, 0), PUB(1, 1, 0), SUB(0, 2, 0), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 7, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "sh_void", .about = "void against commit and reader, pool of 2, ring of 2",
	  .shape = SHARED(2, 2, 2, 1, 0), .prefill = 2, .tight = true,
	  .actors = { PUB(0, 1, 0), PUB(1, 1, 0), SUB(0, 2, 0), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 7, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "sh_sleep", .about = "a sleeper against two publishers (bell)",
	  .shape = SHARED(2, 4, 2, 1, 1),
	  .actors = { PUB(0, 1, 0), PUB(1, 1, 0), SUB(0, 2, ACTOR_SLEEPS),
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 7, .interruptions = 3, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "sh_sleep_2", .about = "two sleepers against two publishers (bell)",
	  .shape = SHARED(2, 4, 2, 2, 1),
	  .actors = { PUB(0, 1, 0), PUB(1, 1, 0), SUB(0, 2, ACTOR_SLEEPS), SUB(1, 2, ACTOR_SLEEPS),
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 5, .interruptions = 2, .old_reads = 0, .death_interruptions = 0 },
	{ .name = "sh_sole_sleep", .about = "a sleeper against the only publisher: a store and a fence",
	  .shape = SHARED(2, 2, 1, 1, 1), .prefill = 1,
	  .actors = { PUB(0, 1, 0), SUB(0, 2, ACTOR_SLEEPS), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 3, .old_reads = 2, .death_interruptions = 2 },
	{ .name = "sh_left", .about = "a subscriber says that it has left for a fresh region, another sleeps",
	  .shape = SHARED(2, 2, 1, 2, 1),
	  .actors = { PUB(0, 2, 0), SUB(0, 1, ACTOR_SLEEPS), SUB(1, 0, ACTOR_SAYS_LEFT),
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 7, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "sh_death", .about = "a publisher dies before it rings, nobody else publishes",
	  .shape = SHARED(1, 2, 1, 2, 1),
	  .actors = { PUB(0, 1, 0), SUB(0, 1, ACTOR_SLEEPS), SUB(1, 1, ACTOR_SLEEPS),
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 7, .interruptions = 2, .old_reads = 1, .death_interruptions = 2 },
	{ .name = "sh_privilege", .about = "privilege passes on after its holder's death, and not before",
	  .shape = SHARED(1, 2, 2, 1, 1),
	  .actors = { PUB(0, 2, 0), BROKER(0, 1, ACTOR_GRANTS), PUB(1, 2, 0), SUB(0, 2, 0) },
	  .victims = 1, .interruptions = 2, .old_reads = 0, .death_interruptions = 2 },
	{ .name = "kept_join", .about = "a newcomer with history, and a publisher that doesn't know of it yet",
	  .shape = KEPT(1, 2, 7, 1, 1, 1), .prefill = 1,
	  .actors = { PUB(0, 2, 0), BROKER(0, 0, ACTOR_ADMITS), SUB(0, 3, ACTOR_JOINS) },
	  .interruptions = 3, .old_reads = 1 },
	{ .name = "kept_two", .about = "the same with two publishers",
	  .shape = KEPT(1, 2, 7, 2, 1, 1), .prefill = 1,
	  .actors = { PUB(0, 1, 0), PUB(1, 1, 0), BROKER(0, 0, ACTOR_ADMITS), SUB(0, 2, ACTOR_JOINS) },
	  .interruptions = 2, .old_reads = 1 },
	{ .name = "kept_sleep", .about = "a newcomer sleeps, an only message comes by a late cell",
	  .shape = KEPT(1, 2, 5, 1, 1, 1),
	  .actors = { PUB(0, 1, 0), BROKER(0, 0, ACTOR_ADMITS), SUB(0, 1, ACTOR_JOINS | ACTOR_SLEEPS) },
	  .interruptions = 4, .old_reads = 2 },
	{ .name = "kept_round", .about = "rings were opened as often as live can say, before a newcomer comes",
	  .shape = KEPT(1, 2, 5, 1, 1, 1),
	  .actors = { PUB(0, 1, 0), BROKER(0, 0, ACTOR_ADMITS | ACTOR_ROUND), SUB(0, 1, ACTOR_JOINS) },
	  .interruptions = 3, .old_reads = 2 },
	{ .name = "kept_evict", .about = "history is pushed out of the kept ring while it is taken",
	  .shape = KEPT(1, 1, 4, 1, 1, 1), .prefill = 1,
	  .actors = { PUB(0, 3, 0), BROKER(0, 0, ACTOR_ADMITS), SUB(0, 3, ACTOR_JOINS) },
	  .interruptions = 4, .old_reads = 0 },
	{ .name = "kept_pushed", .about = "a late cell is pushed out of the newcomer's ring",
	  .shape = KEPT(1, 1, 5, 1, 1, 1),
	  .actors = { PUB(0, 3, 0), BROKER(0, 0, ACTOR_ADMITS), SUB(0, 1, ACTOR_JOINS) },
	  .interruptions = 2, .old_reads = 0 },
	{ .name = "kept_stale", .about = "history is pushed out, and its newcomer reads the words as they were before",
	  .shape = KEPT(1, 1, 4, 1, 1, 1), .prefill = 1,
	  .actors = { PUB(0, 3, 0), BROKER(0, 0, ACTOR_ADMITS), SUB(0, 3, ACTOR_JOINS) },
	  .interruptions = 2, .old_reads = 2 },
	{ .name = "kept_again", .about = "a slot is sent again, without the newcomer's bit, while it is taken",
	  .shape = KEPT(1, 1, 3, 1, 1, 1), .prefill = 1, .tight = true,
	  .actors = { PUB(0, 3, ACTOR_UNHEARD), BROKER(0, 0, ACTOR_ADMITS), SUB(0, 2, ACTOR_JOINS) },
	  .interruptions = 3, .old_reads = 1 },
	{ .name = "kept_alike", .about = "the same, and the newcomer reads all but the generation as it was before",
	  .shape = KEPT(1, 1, 3, 1, 1, 1), .prefill = 1, .tight = true,
	  .actors = { PUB(0, 3, ACTOR_UNHEARD), BROKER(0, 0, ACTOR_ADMITS), SUB(0, 2, ACTOR_JOINS) },
	  .interruptions = 1, .old_reads = 3 },
	{ .name = "kept_held", .about = "a pass sees a newcomer's bit, and may see held[] as it was before",
	  .shape = { .rings = 1, .capacity = 1, .pool = 4, .publishers = 1, .subscribers = 1, .history = 1,
		     .work = 12 },
	  .prefill = 2,
	  .actors = { BROKER(0, 2, 0), SUB(0, 1, ACTOR_JOINS | ACTOR_ASKS) },
	  .interruptions = 3, .old_reads = 1 },
	{ .name = "kept_tight", .about = "the kept ring gives slots back to a short pool, while one is taken",
	  .shape = KEPT(1, 1, 3, 1, 1, 1), .prefill = 2, .tight = true,
	  .actors = { PUB(0, 2, 0), BROKER(0, 0, ACTOR_ADMITS), SUB(0, 2, ACTOR_JOINS) },
	  .interruptions = 3, .old_reads = 1 },
	{ .name = "kept_death", .about = "a newcomer or its publisher dies",
	  .shape = KEPT(1, 1, 5, 1, 1, 1), .prefill = 1,
	  .actors = { PUB(0, 2, 0), SUB(0, 2, ACTOR_JOINS), BROKER(0, 0, ACTOR_ADMITS),
		      BROKER(1, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "kept_health", .about = "passes while a newcomer comes, and takes from the kept ring",
	  .shape = { .rings = 1, .capacity = 1, .pool = 4, .publishers = 1, .subscribers = 1, .history = 1,
		     .work = 12 },
	  .prefill = 2,
	  .actors = { PUB(0, 1, 0), BROKER(0, 2, 0), SUB(0, 1, ACTOR_JOINS | ACTOR_ASKS) },
	  .interruptions = 3, .old_reads = 0 },
	{ .name = "kept_next", .about = "one leaves, the next gets its ring, a publisher has old targets",
	  .shape = KEPT(1, 2, 6, 1, 2, 1), .prefill = 1,
	  .actors = { PUB(0, 1, 0), SUB(0, 1, ACTOR_LEAVES),
		      BROKER(0, 1, ACTOR_AFTER_DEATH | ACTOR_ADMITS), SUB(1, 2, ACTOR_JOINS) },
	  .interruptions = 3, .old_reads = 0 },
	{ .name = "kept_former", .about = "the same, and the publisher goes on while the next is let in",
	  .shape = KEPT(1, 2, 6, 1, 2, 1),
	  .actors = { PUB(0, 2, 0), SUB(0, 0, ACTOR_LEAVES),
		      BROKER(0, 1, ACTOR_AFTER_DEATH | ACTOR_ADMITS), SUB(1, 2, ACTOR_JOINS) },
	  .interruptions = 3, .old_reads = 0 },
	{ .name = "sh_join", .about = "a subscriber joins with one message of history",
	  .shape = SHARED(2, 3, 2, 1, 1), .prefill = 1,
	  .actors = { PUB(0, 2, 0), PUB(1, 1, 0), BROKER(0, 0, ACTOR_ADMITS), SUB(0, 2, ACTOR_JOINS) },
	  .victims = 3, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "sh_health", .about = "reconcile against slots that go round at a shared ring",
	  .shape = SHARED(1, 3, 2, 1, 0), .prefill = 1, .tight = true,
	  .actors = { BROKER(0, 1, 0), PUB(0, 2, 0), PUB(1, 1, 0) },
	  .victims = 6, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "sh_old_looks", .about = "the same, and the reconciler may see old values many times",
	  .shape = SHARED(1, 2, 1, 1, 0), .prefill = 1, .tight = true,
	  .actors = { BROKER(0, 1, 0), PUB(0, 2, 0) },
	  .victims = 0, .interruptions = 2, .old_reads = 4, .death_interruptions = 2 },
	{ .name = "sh_reconcilers", .about = "the broker dies in its pass over a shared ring, another begins again",
	  .shape = SHARED(1, 2, 1, 1, 0), .prefill = 1,
	  .actors = { PUB(0, 1, 0), SUB(0, 1, 0), BROKER(0, 1, ACTOR_AFTER_DEATH),
		      BROKER(1, 1, ACTOR_AFTER_BROKER), BROKER(2, 1, ACTOR_LOOKS | ACTOR_AFTER_DEATH) },
	  .victims = 3, .two_deaths = true, .interruptions = 1, .old_reads = 0, .death_interruptions = 1 },
	{ .name = "many", .about = "two messages at a time to a ring of 2, all that is there at a time from it",
	  .shape = { .rings = 1, .capacity = 2, .pool = 6, .publishers = 1, .subscribers = 1, .max_borrows = 2 },
	  .prefill = 1,
	  .actors = { PUB(0, 2, ACTOR_MANY), SUB(0, 2, ACTOR_MANY), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 3, .old_reads = 1, .death_interruptions = 2 },
	{ .name = "many_health", .about = "the same, and the reconciler at work",
	  .shape = { .rings = 1, .capacity = 2, .pool = 6, .publishers = 1, .subscribers = 1, .max_borrows = 2 },
	  .prefill = 1,
	  .actors = { BROKER(0, 1, 0), PUB(0, 2, ACTOR_MANY), SUB(0, 2, ACTOR_MANY) },
	  .victims = 6, .interruptions = 2, .old_reads = 0, .death_interruptions = 1 },
	{ .name = "many_sleep", .about = "the same of loans, to a sleeper",
	  .shape = { .rings = 1, .capacity = 4, .pool = 8, .publishers = 1, .subscribers = 1, .max_borrows = 2 },
	  .prefill = 1,
	  .actors = { PUB(0, 2, ACTOR_MANY | ACTOR_LOANS), SUB(0, 3, ACTOR_SLEEPS | ACTOR_MANY),
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 3, .old_reads = 1, .death_interruptions = 2 },
	{ .name = "many_rings", .about = "the same to two rings of 1, another publisher in between",
	  .shape = SHAPE(2, 1, 8, 2, 2), .prefill = 1,
	  .actors = { PUB(0, 2, ACTOR_MANY), PUB(1, 1, 0), SUB(0, 1, ACTOR_MANY), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 5, .interruptions = 2, .old_reads = 0, .death_interruptions = 1 },
	{ .name = "sh_many", .about = "three messages at a time of the only publisher, a ring of 2",
	  .shape = { .rings = 1, .capacity = 2, .pool = 2, .publishers = 1, .subscribers = 1, .max_borrows = 2,
		     .shared = true, .privileged = 1 },
	  .prefill = 2,
	  .actors = { PUB(0, 3, ACTOR_MANY), SUB(0, 2, ACTOR_MANY), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 3, .old_reads = 2, .death_interruptions = 1 },
	{ .name = "sh_many_sleep", .about = "the same to a sleeper: stores, and one fence",
	  .shape = { .rings = 1, .capacity = 2, .pool = 2, .publishers = 1, .subscribers = 1, .max_borrows = 2,
		     .shared = true, .privileged = 1 },
	  .prefill = 1,
	  .actors = { PUB(0, 2, ACTOR_MANY), SUB(0, 2, ACTOR_SLEEPS | ACTOR_MANY),
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 3, .old_reads = 2, .death_interruptions = 2 },
	{ .name = "given_up", .about = "the region is given up, a subscriber sleeps",
	  .shape = SHAPE(1, 2, 4, 1, 1),
	  .actors = { PUB(0, 1, 0), SUB(0, 2, ACTOR_SLEEPS), BROKER(0, 1, ACTOR_GIVES_UP),
		      BROKER(1, 1, ACTOR_GIVES_UP | ACTOR_AFTER_BROKER) },
	  .victims = 7, .interruptions = 3, .old_reads = 2, .death_interruptions = 2 },
	{ .name = "ready_given_up", .about = "the region is given up, a subscriber waits by its descriptor",
	  .shape = SHAPE(1, 2, 4, 1, 1),
	  .actors = { PUB(0, 1, 0), SUB(0, 2, ACTOR_POLLS), BROKER(0, 1, ACTOR_GIVES_UP),
		      BROKER(1, 1, ACTOR_GIVES_UP | ACTOR_AFTER_BROKER) },
	  .victims = 7, .interruptions = 3, .old_reads = 2, .death_interruptions = 2 },
	{ .name = "room", .about = "a publisher waits for room, a ring of 2, a reliable subscriber that sleeps",
	  .shape = { .rings = 1, .capacity = 2, .pool = 8, .publishers = 1, .subscribers = 1, .reliable = 1 },
	  .prefill = 1,
	  .actors = { PUB(0, 2, ACTOR_WAITS), SUB(0, 3, ACTOR_SLEEPS), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "room_full", .about = "the same, the ring full at first, one message taken",
	  .shape = { .rings = 1, .capacity = 2, .pool = 8, .publishers = 1, .subscribers = 1, .reliable = 1 },
	  .prefill = 2,
	  .actors = { PUB(0, 1, ACTOR_WAITS), SUB(0, 1, 0), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 4, .old_reads = 2, .death_interruptions = 2 },
	{ .name = "room_two", .about = "two publishers that wait, a ring of 4, its subscriber copies",
	  .shape = { .rings = 1, .capacity = 4, .pool = 14, .publishers = 2, .subscribers = 1, .reliable = 1 },
	  .prefill = 2,
	  .actors = { PUB(0, 1, ACTOR_WAITS), PUB(1, 2, ACTOR_WAITS), SUB(0, 1, ACTOR_COPIES),
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 7, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "room_lapped", .about = "a ring goes on by more than itself while a publisher looks for room",
	  .shape = { .rings = 1, .capacity = 4, .pool = 14, .publishers = 2, .subscribers = 1, .reliable = 1 },
	  .prefill = 2,
	  .actors = { PUB(0, 5, ACTOR_WAITS), PUB(1, 1, ACTOR_WAITS), SUB(0, 8, ACTOR_SLEEPS) },
	  .interruptions = 1, .old_reads = 0 },
	{ .name = "room_ready", .about = "a publisher waits for room by its descriptor, a ring of 2",
	  .shape = { .rings = 1, .capacity = 2, .pool = 8, .publishers = 1, .subscribers = 1, .reliable = 1 },
	  .prefill = 2,
	  .actors = { PUB(0, 2, ACTOR_WAITS | ACTOR_POLLS), SUB(0, 2, 0), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 3, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "room_reuse", .about = "a publisher that waits dies, and one with its place waits as well",
	  .shape = { .rings = 1, .capacity = 2, .pool = 8, .publishers = 2, .places = 1, .subscribers = 1,
		     .reliable = 1 },
	  .prefill = 2,
	  .actors = { PUB(0, 1, ACTOR_WAITS), PUB(1, 1, ACTOR_WAITS | ACTOR_AFTER_REUSE), SUB(0, 1, 0),
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 1, .interruptions = 2, .old_reads = 1, .death_interruptions = 2 },
	{ .name = "room_rings", .about = "a reliable subscriber and an ordinary one, a ring of 2 each",
	  .shape = { .rings = 2, .capacity = 2, .pool = 9, .publishers = 1, .subscribers = 2, .reliable = 1 },
	  .prefill = 2,
	  .actors = { PUB(0, 2, ACTOR_WAITS), SUB(0, 2, ACTOR_MANY), SUB(1, 1, 0),
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 7, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "room_demoted", .about = "a publisher waits for a subscriber that is made an ordinary one",
	  .shape = { .rings = 1, .capacity = 2, .pool = 8, .publishers = 1, .subscribers = 1, .reliable = 1 },
	  .prefill = 2,
	  .actors = { PUB(0, 2, ACTOR_WAITS), SUB(0, 1, 0), BROKER(0, 1, ACTOR_DEMOTES) },
	  .victims = 1, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "room_join", .about = "a reliable subscriber comes while the publisher fills its ring of 2",
	  .shape = { .rings = 1, .capacity = 2, .pool = 8, .publishers = 1, .subscribers = 1, .reliable = 1 },
	  .actors = { PUB(0, 4, 0), BROKER(0, 0, ACTOR_ADMITS), SUB(0, 2, ACTOR_JOINS) },
	  .interruptions = 3, .old_reads = 2 },
	{ .name = "room_join_two", .about = "the same with two publishers, a ring of 4",
	  .shape = { .rings = 1, .capacity = 4, .pool = 14, .publishers = 2, .subscribers = 1, .reliable = 1 },
	  .actors = { PUB(0, 3, 0), PUB(1, 2, 0), BROKER(0, 0, ACTOR_ADMITS), SUB(0, 1, ACTOR_JOINS) },
	  .interruptions = 2, .old_reads = 2 },
	{ .name = "room_given_up", .about = "the region is given up, a publisher waits for room",
	  .shape = { .rings = 1, .capacity = 2, .pool = 8, .publishers = 1, .subscribers = 1, .reliable = 1 },
	  .prefill = 2,
	  .actors = { PUB(0, 1, ACTOR_WAITS), SUB(0, 1, 0), BROKER(0, 1, ACTOR_GIVES_UP),
		      BROKER(1, 1, ACTOR_GIVES_UP | ACTOR_AFTER_BROKER) },
	  .victims = 7, .interruptions = 2, .old_reads = 2, .death_interruptions = 1 },
	{ .name = "sh_room", .about = "shared ring of 2: a publisher waits for room, a reliable subscriber sleeps",
	  .shape = SHARED_ROOM(2, 1, 1, 1, 1), .prefill = 1,
	  .actors = { PUB(0, 3, ACTOR_WAITS), SUB(0, 4, ACTOR_SLEEPS), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "sh_room_full", .about = "the same with slots, the ring full at first, one message taken",
	  .shape = SHARED_ROOM(2, 1, 1, 0, 1), .prefill = 2,
	  .actors = { PUB(0, 1, ACTOR_WAITS), SUB(0, 1, 0), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 4, .old_reads = 2, .death_interruptions = 2 },
	{ .name = "sh_room_two", .about = "two publishers that wait, one with slots, ring of 1, its subscriber copies",
	  .shape = SHARED_ROOM(1, 2, 1, 1, 1),
	  .actors = { PUB(0, 1, ACTOR_WAITS), PUB(1, 1, ACTOR_WAITS), SUB(0, 1, ACTOR_COPIES) },
	  .interruptions = 2, .old_reads = 1 },
	{ .name = "sh_room_rest", .about = "a reliable subscriber and an ordinary one, a pass meanwhile, slots",
	  .shape = SHARED_ROOM(1, 2, 2, 0, 1), .prefill = 1,
	  .actors = { PUB(0, 1, ACTOR_WAITS), PUB(1, 1, ACTOR_WAITS), SUB(0, 1, 0), SUB(1, 1, 0),
		      BROKER(0, 1, 0) },
	  .interruptions = 1, .old_reads = 1 },
	{ .name = "sh_room_loan", .about = "a loan is published again until there is room, a pass meanwhile",
	  .shape = SHARED_ROOM(1, 2, 1, 0, 1), .prefill = 1,
	  .actors = { PUB(0, 1, ACTOR_WAITS | ACTOR_LOANS), SUB(0, 1, 0), BROKER(0, 1, 0) },
	  .victims = 1, .interruptions = 3, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "sh_room_join", .about = "a reliable subscriber comes while the publisher fills the ring",
	  .shape = SHARED_ROOM(2, 1, 1, 1, 1),
	  .actors = { PUB(0, 4, 0), BROKER(0, 0, ACTOR_ADMITS), SUB(0, 2, ACTOR_JOINS) },
	  .interruptions = 3, .old_reads = 2 },
	{ .name = "sh_room_join_two", .about = "the same with two publishers with slots",
	  .shape = SHARED_ROOM(1, 2, 1, 0, 1),
	  .actors = { PUB(0, 2, 0), PUB(1, 1, 0), BROKER(0, 0, ACTOR_ADMITS),
		      SUB(0, 2, ACTOR_JOINS) },
	  .interruptions = 2, .old_reads = 2 },
	{ .name = "sh_room_history", .about = "a reliable subscriber comes and gets the last message as well",
	  .shape = { .rings = 1, .capacity = 2, .pool = 7, .publishers = 1, .subscribers = 1, .shared = true,
		     .privileged = 1, .reliable = 1, .history = 1 },
	  .prefill = 1,
	  .actors = { PUB(0, 3, 0), BROKER(0, 0, ACTOR_ADMITS), SUB(0, 2, ACTOR_JOINS) },
	  .interruptions = 3, .old_reads = 2 },
	{ .name = "sh_room_timed", .about = "the same with times, from a slot, the ring full at first",
	  .shape = { .rings = 1, .capacity = 1, .pool = 6, .publishers = 1, .subscribers = 1, .shared = true,
		     .reliable = 1, .timed = true },
	  .prefill = 1,
	  .actors = { PUB(0, 1, ACTOR_WAITS | ACTOR_LOANS), SUB(0, 1, 0) },
	  .interruptions = 2, .old_reads = 1 },
	{ .name = "sh_room_demoted", .about = "a publisher waits for a subscriber that is made an ordinary one",
	  .shape = SHARED_ROOM(1, 1, 1, 1, 1), .prefill = 1,
	  .actors = { PUB(0, 2, ACTOR_WAITS), SUB(0, 1, 0), BROKER(0, 1, ACTOR_DEMOTES) },
	  .victims = 1, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "sh_room_ready", .about = "a publisher waits for room by its descriptor",
	  .shape = SHARED_ROOM(1, 1, 1, 1, 1), .prefill = 1,
	  .actors = { PUB(0, 2, ACTOR_WAITS | ACTOR_POLLS), SUB(0, 2, 0), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 3, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "timed", .about = "messages with times: eviction against take, ring of 1",
	  .shape = { .rings = 1, .capacity = 1, .pool = 3, .publishers = 1, .subscribers = 1, .timed = true },
	  .prefill = 1,
	  .actors = { PUB(0, 2, 0), SUB(0, 2, 0), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 3, .old_reads = 2, .death_interruptions = 2 },
	{ .name = "timed_two", .about = "messages with times: two publishers, a pool of 2 for everybody, copies",
	  .shape = { .rings = 1, .capacity = 1, .pool = 2, .publishers = 2, .subscribers = 1, .timed = true },
	  .tight = true,
	  .actors = { PUB(0, 2, 0), PUB(1, 1, ACTOR_DISCARDS), SUB(0, 2, ACTOR_COPIES),
		      BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 7, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "sh_timed", .about = "messages with times: the privileged publisher against a slow reader, two laps",
	  .shape = { .rings = 1, .capacity = 1, .pool = 2, .publishers = 1, .subscribers = 1,
		     .shared = true, .privileged = 1, .places = 2, .timed = true },
	  .actors = { PUB(0, 3, 0), SUB(0, 2, 0), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 3, .old_reads = 2, .death_interruptions = 1 },
	{ .name = "sh_timed_slots", .about = "messages with times: the privileged publisher and one with slots, copies",
	  .shape = { .rings = 1, .capacity = 1, .pool = 3, .publishers = 2, .subscribers = 1,
		     .shared = true, .privileged = 1, .timed = true },
	  .actors = { PUB(0, 2, 0), PUB(1, 1, 0), SUB(0, 2, ACTOR_COPIES), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 7, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "sh_timed_loans", .about = "messages with times: a loan against a slow reader, pool of 2",
	  .shape = { .rings = 1, .capacity = 1, .pool = 2, .publishers = 1, .subscribers = 1,
		     .shared = true, .privileged = 1, .timed = true },
	  .tight = true,
	  .actors = { PUB(0, 3, ACTOR_LOANS), SUB(0, 2, 0), BROKER(0, 1, ACTOR_AFTER_DEATH) },
	  .victims = 3, .interruptions = 2, .old_reads = 1, .death_interruptions = 1 },
	{ .name = "crowd", .about = "two publishers, two rings of 2, a sleeper, a broker at work",
	  .shape = { .rings = 2, .capacity = 2, .pool = 7, .publishers = 2, .subscribers = 2, .max_borrows = 2 },
	  .actors = { PUB(0, 3, 0), PUB(1, 3, ACTOR_DISCARDS), SUB(0, 3, ACTOR_SLEEPS),
		      SUB(1, 3, ACTOR_KEEPS), BROKER(0, 2, 0) },
	  .victims = 15, .interruptions = 1, .old_reads = 0, .death_interruptions = 0 },
};
/* clang-format on */
const unsigned scenario_count = sizeof scenarios / sizeof scenarios[0];

const struct scenario *scenario_find(const char *name)
{
	for (unsigned i = 0; i < scenario_count; i++)
		if (strcmp(scenarios[i].name, name) == 0)
			return &scenarios[i];
	return NULL;
}

static void nobody_dies(void)
{
	for (int i = 0; i < EX_MAX_CRASHES; i++) {
		ex.crashes[i].thread = -1;
		ex.crashed[i] = false;
	}
}

static void begin(const struct scenario *scenario, const struct ex_program **ret)
{
	*ret = actors_program(scenario);
	ex.quiet_hazards = false;
	nobody_dies();
}

static int broker_of(const struct scenario *scenario)
{
	for (int i = 0; i < EX_MAX_THREADS; i++)
		if (scenario->actors[i].kind == ACTOR_BROKER)
			return i;
	return -1;
}

/* Explores with the first victim's death set, and the broker's death at each of its own
 * operations. */
static bool explore_broker_deaths(
	const struct scenario *scenario, const struct ex_program *program, struct ex_search *search)
{
	bool good = true;

	ex.crashed[1] = true;
	for (int at = 0; good && ex.crashed[1] && !search->cut; at++) {
		ex.crashed[1] = false;
		ex.crashes[1] = (struct ex_crash){ broker_of(scenario), at };
		good = ex_search_all(program, search);
	}
	ex.crashes[1].thread = -1;
	return good;
}

static bool explore_deaths(
	const struct scenario *scenario, const struct ex_program *program, struct ex_search *search)
{
	for (int victim = 0; victim < EX_MAX_THREADS; victim++) {
		if (!(scenario->victims >> victim & 1))
			continue;
		for (int at = 0;; at++) {
			nobody_dies();
			ex.crashes[0] = (struct ex_crash){ victim, at };
			if (!ex_search_all(program, search))
				return false;
			if (!ex.crashed[0] || search->cut)
				break;
			search->deaths++;
			if (scenario->two_deaths &&
				!explore_broker_deaths(scenario, program, search))
				return false;
		}
	}
	return true;
}

bool scenario_explore(const struct scenario *scenario, bool deaths, struct ex_search *search)
{
	const struct ex_program *program;

	begin(scenario, &program);
	bool own = search->interruptions < 0;
	if (own)
		search->interruptions = scenario->interruptions;
	if (search->old_reads < 0)
		search->old_reads = scenario->old_reads;
	if (!ex_search_all(program, search))
		return false;
	if (own)
		search->interruptions = scenario->death_interruptions;
	return !deaths || explore_deaths(scenario, program, search);
}

static const struct scenario *wandering;

static void vary(uint64_t random)
{
	int broker = broker_of(wandering), victim = (int)(random >> 8 & 7);

	nobody_dies();
	if ((random & 3) && (wandering->victims >> victim & 1))
		ex.crashes[0] = (struct ex_crash){ victim, (int)(random >> 16 & 31) };
	if ((random >> 32 & 3) == 0 && wandering->two_deaths && broker >= 0)
		ex.crashes[1] = (struct ex_crash){ broker, (int)(random >> 40 & 63) };
}

bool scenario_wander(const struct scenario *scenario, struct ex_search *search, uint64_t seed)
{
	const struct ex_program *program;

	begin(scenario, &program);
	wandering = scenario;
	return ex_search_random(program, search, seed, vary);
}

bool scenario_replay(const struct scenario *scenario, const char *replay, bool print)
{
	const struct ex_program *program;

	begin(scenario, &program);
	ex.tracing = print;
	bool good = ex_search_replay(program, replay);
	ex.tracing = false;
	return good;
}
