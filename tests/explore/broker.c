/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's part: reconcile, a new subscriber's ring, a region given up. */
#include <stdio.h>
#include <string.h>

#include "cast.h"
#include "live.h"
#include "shared.h"

/* *ret_owned: rings of those who live and stay. */
static size_t list_parties(struct km_party *ret, uint64_t *ret_owned)
{
	size_t count = 0;

	*ret_owned = 0;
	for (uint32_t i = 0; i < world.shape.publishers + world.shape.subscribers; i++) {
		const struct world_party *party = &world.parties[i];

		if (!party->present || party->settled)
			continue;
		ret[count++] = (struct km_party){
			.record = party->record,
			.state = party->dead   ? KM_PARTY_DEAD
				 : party->left ? KM_PARTY_LEAVING
					       : KM_PARTY_LIVE,
			.role = party->role,
			.id = party->id,
			.ring = party->ring,
			.held_count = party->role == KM_ROLE_SUBSCRIBER ? party->record->held_count
									: 0,
		};
		if (party->role == KM_ROLE_SUBSCRIBER && !party->dead && !party->left)
			*ret_owned |= UINT64_C(1) << party->ring;
	}
	return count;
}

void actor_reconcile(unsigned what, struct km_reconcile_result *ret)
{
	struct km_party parties[WORLD_MAX_PARTIES];
	bool was_dead[WORLD_MAX_PARTIES];
	const char *reason = "";
	uint64_t owned;

	for (int i = 0; i < WORLD_MAX_PARTIES; i++)
		was_dead[i] = world.parties[i].dead;
	size_t count = list_parties(parties, &owned);
	ex_call(RECONCILE_LIMIT);
	if (km_reconcile(world.region, parties, count, what, NULL, NULL, ret, &reason) < 0)
		ex_fail("reconcile gives the region up: %s", reason);
	if (what != KM_REPAIR_ALL)
		return;
	/* as daemon/recover.c: rings without an owner are closed, the dead are settled, also when bits
	 * were left */
	world.live &= owned;
	for (int i = 0; i < WORLD_MAX_PARTIES; i++)
		if (was_dead[i])
			world_check_settled(i);
	for (int i = 0; i < WORLD_MAX_PARTIES; i++)
		world.parties[i].settled |= was_dead[i];
}

#define HISTORY 1

/* As find_start() of daemon/attach.c. */
static void admit_to_shared(struct world_party *party)
{
	const uint64_t capacity = world.shape.capacity, least = world.frontier[0];
	uint64_t frontier = 0;

	ex_call(RECONCILE_LIMIT);
	if (km_shared_frontier(world.region, capacity, &frontier) < 0)
		ex_fail("km_shared_frontier gives the ring up");
	if (frontier > world.frontier[0] || (frontier < least && ex.old_reads == 0))
		ex_fail("frontier: %lu was found, it was %lu to %lu", frontier, least,
			world.frontier[0]);
	uint64_t back = frontier - capacity < HISTORY ? frontier - capacity : HISTORY;
	party->start = frontier - back;
	ex_control();
	party->present = party->joined = true;
}

/* As km_privilege_pass_on() of daemon/privilege.c. */
static void pass_privilege_on(void)
{
	_Atomic uint32_t *privileged = &world.region->header->privileged;
	uint32_t heir = 0;

	ex_control();
	for (uint32_t i = world.shape.publishers; i-- > 0;)
		if (!world.parties[i].dead)
			heir = world.parties[i].id;
	if (!actor_publisher(0)->dead)
		return;
	km_store(U8, release, privileged, heir);
}

/* A ring is given away once a pass has closed it. (The product waits for the leaver's hazards as well;
 * that the algorithm doesn't need.) */
static void admit(struct world_party *party)
{
	if (world.shape.shared) {
		if (!party->joined)
			admit_to_shared(party);
		return;
	}
	if (party->joined || world.live >> party->ring & 1)
		return;
	if (km_live_open(world.region, party->ring, &world.live, &party->start) < 0)
		ex_fail("km_live_open gives the ring up");
	party->present = party->joined = true;
	if (party->start > world.opened[party->ring])
		ex_fail("loss count: a subscriber begins at %lu, its ring took messages from %lu "
			"on",
			party->start, world.opened[party->ring]);
	ex_control();
}

/* What daemon/quarantine.c does with memory that makes no sense; here it does, so all that was right
 * before stays right. */
static void give_up(void)
{
	world.giving_up = true;
	km_live_give_up(world.region, world.live);
	world.given_up = true;
	world_check_sleepers();
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

void actor_broker_body(void *argument)
{
	const struct actor *actor = argument;
	struct km_reconcile_result result;

	if (actor->flags & ACTOR_AFTER_BROKER)
		ex_wait(broker_is_gone, NULL);
	else if (actor->flags & ACTOR_AFTER_DEATH)
		ex_wait(somebody_is_gone, NULL);
	if (actor->flags & ACTOR_GIVES_UP) {
		ex_control();
		give_up();
		return;
	}
	for (int i = 0; i < actor->count; i++) {
		ex_control();
		actor_reconcile(actor->flags & ACTOR_LOOKS ? 0 : KM_REPAIR_ALL, &result);
		world.passes++;
	}
	if (actor->flags & ACTOR_GRANTS)
		pass_privilege_on();
	for (uint32_t i = 0; actor->flags & ACTOR_ADMITS && i < world.shape.subscribers; i++)
		admit(actor_subscriber((int)i));
}
