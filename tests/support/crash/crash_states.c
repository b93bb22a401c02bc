/* SPDX-License-Identifier: Apache-2.0 */
/* The states in which victims begin: see crash_states.h. */
#include "tests/support/crash/crash_states.h"
#include "common/ring/waiter.h"
#include "common/shared/bell.h"

static void attach(struct crash_world *world, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		crash_attach_subscriber(world, i);
}

static void send(struct crash_world *world, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		crash_send_in_turn(world, i);
}

static void drain(struct crash_world *world, uint32_t subscriber)
{
	while (crash_read(world, subscriber, true) == 1)
		;
}

/* Subscribers 0 and 1 have a sample each and a message that waits. */
static void set_plain(struct crash_world *world)
{
	attach(world, 2);
	send(world, 2);
	crash_borrow(world, 0, 1);
	crash_borrow(world, 1, 1);
}

/* Both rings are full: a send evicts from both, and a take may meet an eviction. */
static void set_full(struct crash_world *world)
{
	attach(world, 2);
	send(world, 1);
	crash_borrow(world, 0, 1);
	crash_borrow(world, 1, 1);
	send(world, CRASH_CAPACITY);
	crash_lend(world, 0, 1);
}

/* One slot is free: four in rings, two held, the rest on loan. */
static void set_last_slot(struct crash_world *world)
{
	attach(world, 2);
	send(world, 2);
	crash_borrow(world, 0, 1);
	crash_borrow(world, 1, 2);
	send(world, 3);
	crash_lend(world, 0, 1);
	crash_lend(world, 1, CRASH_POOL - 2 - 3 - 1 - 1);
}

/* No slot is free, and a ring whose owner is gone has some. */
static void set_gone(struct crash_world *world)
{
	set_plain(world);
	uint64_t live = world->region.header->live;
	crash_attach_subscriber(world, 3);
	world->region.header->live = UINT64_C(1) << 3;
	send(world, 4);
	world->region.header->live = live;
	world->readers[3].state = KM_ENDPOINT_DEAD;
	crash_lend(world, 0, 1);
	crash_lend(world, 1, CRASH_POOL - 2 - 4 - 1);
}

/* Four rings: one has room for one, one is empty, two are full. */
static void set_several(struct crash_world *world)
{
	attach(world, CRASH_SUBSCRIBERS);
	send(world, 2);
	crash_settle(world, KM_ROLE_NONE);
	send(world, CRASH_CAPACITY);
	crash_borrow(world, 0, 1);
	drain(world, 1);
}

/* Each reference that the victim drops is the last one: subscriber 1 has done with all of it. */
static void set_last_reference(struct crash_world *world)
{
	attach(world, 2);
	send(world, 1);
	crash_borrow(world, 0, 1);
	drain(world, 1);
	send(world, CRASH_CAPACITY);
	drain(world, 1);
}

/* The survivor's ring is empty, and it sleeps: the sender has to wake it. */
static void set_sleeping(struct crash_world *world)
{
	set_plain(world);
	drain(world, 1);
	world->announced = world->region.shared
				   ? km_bell_announce(world->region.bell)
				   : km_waiter_announce(km_region_ring(&world->region, 1));
}

static uint32_t count_free(const struct crash_world *world)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < CRASH_POOL; i++)
		count += world->region.slots[i].word == 0;
	return count;
}

/* Takes loans until so many slots are free. */
static void lend_all_but(struct crash_world *world, uint32_t left)
{
	crash_lend(world, crash_other(), count_free(world) - left);
}

/* A shared ring is full, and one slot is free. */
static void set_shared_last_slot(struct crash_world *world)
{
	set_full(world);
	lend_all_but(world, 1);
}

/* A shared ring is full. The oldest message, which is overwritten next, lies in a slot whichever
 * publisher is privileged. */
static void set_shared_full(struct crash_world *world)
{
	attach(world, 2);
	send(world, 1);
	crash_borrow(world, 0, 1);
	crash_borrow(world, 1, 1);
	for (uint32_t i = 0; i < CRASH_CAPACITY; i++)
		crash_send_in_turn(world, i + 1);
}

/* A slot is free only where a message lies in it: a publisher that needs one takes the oldest
 * message out. */
static void set_shared_no_slot(struct crash_world *world)
{
	set_full(world);
	lend_all_but(world, 0);
}

static void set_shared_no_slot_half_full(struct crash_world *world)
{
	attach(world, 2);
	send(world, 2);
	lend_all_but(world, 0);
}

static void set_nobody(struct crash_world *world)
{
	crash_lend(world, 0, 2);
}

/* The victim subscriber's ring is empty. */
static void set_empty(struct crash_world *world)
{
	set_plain(world);
	drain(world, 0);
}

const struct crash_state crash_states[] = {
	{ "plain", set_plain, true, true, true, CRASH_BOTH, .many = true },
	{ "ring full", set_full, true, true, false, CRASH_BOTH, "send", true },
	{ "ring full of slots", set_shared_full, true, true, false, CRASH_SHARED_ONLY, "send" },
	{ "last slot", set_last_slot, true, true, false, CRASH_RINGS_ONLY },
	{ "last slot", set_shared_last_slot, true, false, false, CRASH_SHARED_ONLY },
	{ "no slot free", set_shared_no_slot, true, false, false, CRASH_SHARED_ONLY,
		"loan+discard" },
	{ "no slot free, room in the ring", set_shared_no_slot_half_full, true, false, false,
		CRASH_SHARED_ONLY },
	{ "last slots in the ring of one who is gone", set_gone, true, true, false,
		CRASH_RINGS_ONLY, "loan+discard" },
	{ "several subscribers", set_several, true, true, false, CRASH_BOTH, .many = true },
	{ "last reference", set_last_reference, true, true, false, CRASH_BOTH },
	{ "sleeping subscriber", set_sleeping, true, true, true, CRASH_BOTH, .many = true },
	{ "nobody listens", set_nobody, true, false, false, CRASH_BOTH },
	{ "empty ring", set_empty, false, false, true, CRASH_BOTH },
};

const size_t crash_state_count = sizeof crash_states / sizeof *crash_states;

/* The slot that the next commit makes its cell forget. */
static uint32_t oldest_slot(const struct crash_world *world)
{
	if (!world->region.shared)
		return KM_HAZARD_NONE;
	return km_cell_slot(km_region_cell(&world->region, crash_frontier(world, 0))->word);
}

struct crash_world *crash_build(const struct crash_state *state)
{
	struct crash_world *world = crash_world_new();

	state->set_up(world);
	world->message = crash_message(world, 0);
	world->oldest_slot = oldest_slot(world);
	world->must_void = world->region.shared != NULL && count_free(world) == 0;
	return world;
}

bool crash_applies(const struct crash_state *state, const struct crash_op *op)
{
	bool shared = crash_transport != CRASH_RINGS;

	if (state->transport == (shared ? CRASH_RINGS_ONLY : CRASH_SHARED_ONLY))
		return false;
	if (op->many &&
		(!state->many || op->many == (shared ? CRASH_RINGS_ONLY : CRASH_SHARED_ONLY)))
		return false;
	if (op->waits)
		return state->wait;
	return op->role == KM_ROLE_PUBLISHER ? state->publisher : state->subscriber;
}
