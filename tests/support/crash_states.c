/* SPDX-License-Identifier: Apache-2.0 */
/* The states in which victims begin: see crash_states.h. */
#include "crash_states.h"
#include "waiter.h"

static void attach(struct crash_world *world, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		crash_attach_subscriber(world, i);
}

static void send(struct crash_world *world, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		crash_send(world, 1 + i % 2);
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

/* Both rings are full: a send evicts from both, a take has to do with evictions. */
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
	world->readers[3].state = KM_PARTY_DEAD;
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

/* Whatever the victim drops is the last reference: subscriber 1 has done with all of it. */
static void set_last_reference(struct crash_world *world)
{
	attach(world, 2);
	send(world, 1);
	crash_borrow(world, 0, 1);
	drain(world, 1);
	send(world, CRASH_CAPACITY);
	drain(world, 1);
}

/* The survivor's ring is empty, and it sleeps: whoever sends has to wake it. */
static void set_sleeping(struct crash_world *world)
{
	set_plain(world);
	drain(world, 1);
	world->announced = km_waiter_announce(km_region_ring(&world->region, 1));
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
	{ "plain", set_plain, true, true, true },
	{ "ring full", set_full, true, true, false, "send" },
	{ "last slot", set_last_slot, true, true, false },
	{ "last slots in the ring of one who is gone", set_gone, true, true, false,
		"loan+discard" },
	{ "several subscribers", set_several, true, true, false },
	{ "last reference", set_last_reference, true, true, false },
	{ "sleeping subscriber", set_sleeping, true, true, true },
	{ "nobody listens", set_nobody, true, false, false },
	{ "empty ring", set_empty, false, false, true },
};

const size_t crash_state_count = sizeof crash_states / sizeof *crash_states;

struct crash_world *crash_build(const struct crash_state *state)
{
	struct crash_world *world = crash_world_new();

	state->set_up(world);
	world->message = crash_message(world, 0);
	return world;
}

bool crash_applies(const struct crash_state *state, const struct crash_op *op)
{
	if (op->waits)
		return state->wait;
	return op->role == KM_ROLE_PUBLISHER ? state->publisher : state->subscriber;
}
