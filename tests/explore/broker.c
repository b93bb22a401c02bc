/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's part: reconcile, a new subscriber's ring, a region given up. */
#include <stdio.h>
#include <string.h>

#include "common/repair/live.h"
#include "common/shared/room.h"
#include "common/shared/shared.h"
#include "tests/explore/cast.h"

/* A walk meets the endpoints that were there when it began, as a walk through the broker's list
 * does. Newcomers are put in front of that list. */
struct walk {
	bool met[WORLD_MAX_ENDPOINTS];
	uint32_t at;
	bool begun;
	unsigned gone; /* deaths and leaves that the broker has heard of */
};

/* The broker hears of a death or a farewell from the kernel or through a socket, so it knows all
 * that the endpoint did before. */
static void hear_of_the_gone(struct walk *walk)
{
	unsigned gone = world.deaths + world.leaves;

	if (walk->gone == gone || ex.current < 0)
		return;
	walk->gone = gone;
	ex_memory_tell(ex.current);
}

static void rewind_endpoints(void *userdata)
{
	struct walk *walk = userdata;

	if (world.comers)
		ex_control();
	walk->at = 0;
	for (int i = 0; i < WORLD_MAX_ENDPOINTS; i++)
		walk->met[i] = world.endpoints[i].present && !world.endpoints[i].settled;
	walk->begun = true;
}

static bool next_endpoint(void *userdata, struct km_known_endpoint *ret)
{
	const uint32_t count = world.shape.publishers + world.shape.subscribers;
	struct walk *walk = userdata;

	hear_of_the_gone(walk);
	while (walk->at < count && !walk->met[walk->at])
		walk->at++;
	if (walk->at == count)
		return false;
	const struct world_endpoint *endpoint = &world.endpoints[walk->at++];
	*ret = (struct km_known_endpoint){
		.record = endpoint->record,
		.state = endpoint->dead   ? KM_ENDPOINT_DEAD
			 : endpoint->left ? KM_ENDPOINT_LEAVING
					  : KM_ENDPOINT_LIVE,
		.role = endpoint->role,
		.id = endpoint->id,
		.ring = endpoint->ring,
		.held_count = endpoint->role == KM_ROLE_SUBSCRIBER ? endpoint->record->held_count
								   : 0,
	};
	return true;
}

/* The rings of endpoints that live and stay. */
static uint64_t owned_rings(void *userdata)
{
	uint64_t owned = 0;

	hear_of_the_gone(userdata);
	for (uint32_t i = world.shape.publishers; i < WORLD_MAX_ENDPOINTS; i++) {
		const struct world_endpoint *endpoint = &world.endpoints[i];

		if (endpoint->present && !endpoint->settled && !endpoint->dead && !endpoint->left)
			owned |= UINT64_C(1) << endpoint->ring;
	}
	return owned;
}

#define HISTORY 1

/* Finds where a newcomer starts, as km_join_start() does. */
static void admit_to_shared(struct world_endpoint *endpoint)
{
	const uint64_t capacity = world.shape.capacity;
	const uint64_t bit = world.shape.reliable & UINT64_C(1) << endpoint->ring;
	uint64_t frontier = 0;

	ex_call(RECONCILE_LIMIT);
	if (bit && km_shared_frontier(world.region, capacity, &frontier) == 0) {
		/* daemon/topic/reliable.c does the same */
		km_reader_begin(world.region, endpoint->ring, frontier - world.shape.history);
		km_room_say(world.region, km_room_said(world.region) | bit);
		km_reader_fence();
	}
	const uint64_t least = world.frontier[0];
	if (km_shared_frontier(world.region, capacity, &frontier) < 0)
		ex_fail("km_shared_frontier gives the ring up");
	if (frontier > world.frontier[0] || (frontier < least && ex.old_reads == 0))
		ex_fail("frontier: %lu was found, it was %lu to %lu", frontier, least,
			world.frontier[0]);
	uint64_t back = frontier - capacity < HISTORY ? frontier - capacity : HISTORY;
	if (bit && back > world.shape.history)
		back = world.shape.history;
	endpoint->start = frontier - back;
	if (bit)
		km_reader_begin(world.region, endpoint->ring, endpoint->start);
	ex_control();
	endpoint->present = endpoint->joined = true;
}

/* Passes the privilege on as km_privilege_pass_on() of daemon/topic/privilege.c does. */
static void pass_privilege_on(void)
{
	_Atomic uint32_t *privileged = &world.region->header->privileged;
	uint32_t heir = 0;

	ex_control();
	for (uint32_t i = world.shape.publishers; i-- > 0;)
		if (!world.endpoints[i].dead)
			heir = world.endpoints[i].id;
	if (!actor_publisher(0)->dead)
		return;
	km_store(U8, release, privileged, heir);
}

/* Many rings were opened, and their owners are gone. The number of the next opening is that of the first
 * one. The scenario leaves out what `live` was at each of them but the last. */
static void open_many(void)
{
	world.live = 0;
	km_store(K7, release, &world.region->header->openings,
		KM_LIVE_OPENINGS / KM_LIVE_OPENING + 1);
	km_store(K4, seq_cst, &world.region->header->live, world.live);
}

/* A ring is given away once a pass has closed it. (The product also waits for the leaver's
 * hazards; the algorithm doesn't need that.) */
static void admit(struct world_endpoint *endpoint)
{
	if (world.shape.shared) {
		if (!endpoint->joined)
			admit_to_shared(endpoint);
		return;
	}
	if (endpoint->joined || world.live >> endpoint->ring & 1)
		return;
	if (world.shape.reliable >> endpoint->ring & 1) {
		/* km_join_reliably() does the same */
		km_room_say(
			world.region, km_room_said(world.region) | UINT64_C(1) << endpoint->ring);
		km_reader_fence();
	}
	if (km_live_open(world.region, endpoint->ring, &world.live, &endpoint->start) < 0)
		ex_fail("km_live_open gives the ring up");
	if (world.region->kept) {
		uint64_t before = km_region_ring(world.region, endpoint->ring)->kept_before;
		uint64_t there = before - world.region->kept_capacity;

		endpoint->kept_from = before -
				      (there < world.shape.history ? there : world.shape.history);
	}
	/* the newcomer knows it by the broker's answer */
	if ((world.region->kept || world.shape.reliable) && ex.current >= 0)
		ex_memory_tell(ex.current);
	endpoint->present = endpoint->joined = true;
	if (endpoint->start > world.opened[endpoint->ring])
		ex_fail("loss count: a subscriber begins at %lu, its ring took messages from %lu "
			"on",
			endpoint->start, world.opened[endpoint->ring]);
	ex_control();
}

static void admit_those_who_ask(void)
{
	for (uint32_t i = 0; i < world.shape.subscribers; i++)
		if (actor_subscriber((int)i)->asks)
			admit(actor_subscriber((int)i));
}

/* Reconciles in pieces. Between two of them subscribers that ask are let in. */
static void run_pass(unsigned what, uint64_t work, struct km_reconcile_result *ret)
{
	struct km_pass *pass = world_private(sizeof *pass);
	struct walk *walk = world_private(sizeof *walk);
	int r;

	*pass = (struct km_pass){
		.region = world.region,
		.endpoints = { rewind_endpoints, next_endpoint, owned_rings, walk },
		.what = what,
	};
	if (km_pass_init(pass) < 0)
		ex_fail("explorer: no memory for a pass");
	do {
		uint64_t known = pass->unowned;

		ex_call(RECONCILE_LIMIT);
		r = km_pass_step(pass, work);
		/* the pass has just closed these rings: daemon/repair/recover.c forgets them too */
		if (what & KM_REPAIR_RINGS)
			world.live &= ~(pass->unowned & ~known);
		if (r > 0 && world.comers && ex.current >= 0)
			admit_those_who_ask();
	} while (r > 0);
	if (r < 0)
		ex_fail("reconcile gives the region up: %s", pass->reason);
	*ret = pass->result;
	km_pass_deinit(pass);
}

void actor_reconcile(unsigned what, struct km_reconcile_result *ret)
{
	bool was_dead[WORLD_MAX_ENDPOINTS];

	for (int i = 0; i < WORLD_MAX_ENDPOINTS; i++)
		was_dead[i] = world.endpoints[i].dead;
	run_pass(what, world.shape.work ? world.shape.work : UINT64_MAX, ret);
	if (what != KM_REPAIR_ALL)
		return;
	/* daemon/repair/recover.c settles the dead too, also when bits were left */
	for (int i = 0; i < WORLD_MAX_ENDPOINTS; i++)
		if (was_dead[i])
			world_check_settled(i);
	for (int i = 0; i < WORLD_MAX_ENDPOINTS; i++)
		world.endpoints[i].settled |= was_dead[i];
}

/* Gives the region up, as daemon/topic/quarantine.c does with memory that makes no sense. Here the
 * memory makes sense, so all that was right before stays right. */
static void give_up(void)
{
	world.giving_up = true;
	km_live_give_up(world.region, world.live);
	world.given_up = true;
	world_check_sleepers();
}

/* The subscribers of `rings` are reliable no more: daemon/topic/reliable.c does the same. */
static void make_ordinary(uint64_t rings)
{
	world.shape.reliable &= (uint32_t)~rings;
	km_room_say(world.region, km_room_said(world.region) & ~rings);
	km_room_wake(world.region);
}

/* A subscriber leaves: daemon/topic/leave.c does the same. */
static void make_ordinary_those_who_are_gone(void)
{
	uint64_t rings = 0;

	for (uint32_t i = world.shape.publishers; i < WORLD_MAX_ENDPOINTS; i++)
		if (world.endpoints[i].dead || world.endpoints[i].left)
			rings |= UINT64_C(1) << world.endpoints[i].ring;
	make_ordinary(rings);
}

static bool somebody_is_gone(void *argument)
{
	return world.deaths + world.leaves > 0;
}

static bool broker_is_gone(void *argument)
{
	for (int i = 0; i < ex.thread_count; i++)
		if (actors_scenario->actors[i].kind == ACTOR_BROKER &&
			ex.threads[i].state == EX_DEAD)
			return true;
	return false;
}

/* Subscribers join and are told of: daemon/topic/join.c and daemon/serve/notice.c do the same. */
static void let_in(int count)
{
	struct km_control_header *header = world.region->header;

	km_store(L5, relaxed, &header->subscribers, (uint32_t)count);
	km_add(M1, release, &header->changes, 1);
	km_futex_wake(&header->changes);
}

void actor_broker_body(void *argument)
{
	const struct actor *actor = argument;
	struct km_reconcile_result result;

	if (actor->flags & ACTOR_AFTER_BROKER)
		ex_wait(broker_is_gone, NULL);
	else if (actor->flags & ACTOR_AFTER_DEATH)
		ex_wait(somebody_is_gone, NULL);
	if (actor->flags & ACTOR_DEMOTES) {
		ex_control();
		make_ordinary(UINT32_MAX);
		return;
	}
	if (world.shape.reliable) {
		ex_control();
		make_ordinary_those_who_are_gone();
	}
	if (actor->flags & ACTOR_GIVES_UP) {
		ex_control();
		give_up();
		return;
	}
	for (int i = 0; i < actor->count; i++) {
		ex_control();
		if (actor->flags & ACTOR_TELLS) {
			let_in(i + 1);
			continue;
		}
		if (actor->flags & ACTOR_TELLS_END) {
			actor_tell_end();
			continue;
		}
		actor_reconcile(actor->flags & ACTOR_LOOKS ? 0 : KM_REPAIR_ALL, &result);
		world.passes++;
	}
	if (actor->flags & ACTOR_GRANTS)
		pass_privilege_on();
	if (actor->flags & ACTOR_ROUND)
		open_many();
	for (uint32_t i = 0; actor->flags & ACTOR_ADMITS && i < world.shape.subscribers; i++)
		admit(actor_subscriber((int)i));
}
