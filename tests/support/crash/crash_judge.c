/* SPDX-License-Identifier: Apache-2.0 */
/* Judges victims that were killed, frozen, or have finished: see crash_judge.h. */
#include <stdio.h>
#include <string.h>

#include "tests/support/crash/crash_judge.h"

static bool reads(const struct crash_world *world, enum km_role victim, uint32_t subscriber)
{
	return world->readers[subscriber].state == KM_ENDPOINT_LIVE &&
	       !world->readers[subscriber].elsewhere &&
	       !(victim == KM_ROLE_SUBSCRIBER && subscriber == 0);
}

bool crash_settle(struct crash_world *world, enum km_role victim)
{
	for (uint32_t i = 0; i < CRASH_SUBSCRIBERS; i++) {
		int r = 1;

		while (reads(world, victim, i) && r == 1)
			r = crash_read(world, i, world->kept_count[i] == CRASH_BORROWS);
		if (r < 0)
			return false;
		if (reads(world, victim, i))
			crash_release(world, i);
	}
	for (uint32_t i = victim == KM_ROLE_PUBLISHER; i < CRASH_PUBLISHERS; i++)
		crash_give_back(world, i);
	return true;
}

bool crash_balance(
	struct crash_world *world, enum km_role victim, uint32_t victims_min, uint32_t victims_max)
{
	for (uint32_t i = 0; i < CRASH_SUBSCRIBERS; i++) {
		const struct crash_reader *reader = &world->readers[i];
		uint64_t frontier = crash_frontier(world, i);

		if (!reads(world, victim, i))
			continue;
		uint64_t lost = kickmsg_subscriber_lost(&world->subscribers[i]);
		if (frontier < world->frontier[i] + victims_min ||
			frontier > world->frontier[i] + victims_max)
			return crash_fail("ring %u: %lu messages, %lu were sent by others", i,
				frontier - reader->start, world->frontier[i] - reader->start);
		if (reader->received + lost != frontier - reader->start)
			return crash_fail("subscriber %u: %lu received + %lu lost != %lu", i,
				reader->received, lost, frontier - reader->start);
	}
	return true;
}

/* Counts what the victim has cost others so far: at most the message that each of its own pushed
 * out, and the message whose slot it took. */
static bool judge_loss(struct crash_world *world, const struct crash_op *op)
{
	for (uint32_t i = 0; i < CRASH_SUBSCRIBERS; i++) {
		if (!reads(world, op->role, i))
			continue;
		uint64_t lost = kickmsg_subscriber_lost(&world->subscribers[i]);

		if (lost > op->sends + world->must_void)
			return crash_fail("subscriber %u lost %lu messages", i, lost);
	}
	return true;
}

/* A message that was committed for somebody asleep, and whose sender died before the wake, is told
 * of by the repair. (Without a futex here: crash-sleeper has a real sleeper.) */
static bool judge_wake(const struct crash_world *world)
{
	const struct km_region *region = &world->region;
	uint32_t word = region->shared ? region->bell->word : km_region_ring(region, 1)->waiting;
	uint64_t next = region->shared ? world->subscribers[1].handle.place.next
				       : km_region_ring(region, 1)->head;

	if (world->announced && crash_frontier(world, 1) != next && word == world->announced)
		return crash_fail("a message waits beside a subscriber that nobody woke");
	return true;
}

static bool drain_burst(struct crash_world *world, uint32_t subscriber, uint32_t sent, bool copy)
{
	uint64_t lost = kickmsg_subscriber_lost(&world->subscribers[subscriber]);
	uint32_t expected = sent < CRASH_CAPACITY ? sent : CRASH_CAPACITY, got = 0;
	int r;

	while ((r = crash_read(world, subscriber, copy)) == 1)
		got++;
	if (r < 0)
		return false;
	if (got != expected)
		return crash_fail("subscriber %u got %u of a burst of %u (lost so far %lu)",
			subscriber, got, sent, lost);
	return true;
}

bool crash_flow(struct crash_world *world, enum km_role victim, uint32_t count)
{
	for (uint32_t sent = 0, round = 0; sent < count; round++) {
		uint32_t burst = 1 + round % (2 * CRASH_CAPACITY);

		for (uint32_t k = 0; k < burst; k++)
			if (!crash_send_in_turn(world, sent + k))
				return false;
		sent += burst;
		for (uint32_t i = 0; i < CRASH_SUBSCRIBERS; i++)
			if (reads(world, victim, i) &&
				!drain_burst(world, i, burst, (round / 8 + i) & 1))
				return false;
	}
	return true;
}

bool crash_count_pool(struct crash_world *world, uint32_t expected)
{
	struct kickmsg_publisher *publisher = &world->publishers[crash_other()];
	void *loans[CRASH_POOL];
	uint32_t count = 0;

	while (count < CRASH_POOL &&
		kickmsg_loan(publisher, sizeof(struct crash_message), &loans[count]) == 0) {
		memset(loans[count], 0xa5, sizeof(struct crash_message));
		count++;
	}
	for (uint32_t i = 0; i < count; i++)
		if (kickmsg_discard(publisher, loans[i]) < 0)
			return crash_fail("a loan of the whole pool can't be discarded");
	if (count < expected)
		return crash_fail("only %u of %u slots can be had", count, expected);
	return true;
}

/* The publisher that is the victim has counted what it sent, and the bytes of it: all but `missing`
 * messages at most. */
static bool judge_counts(const struct crash_world *world, uint32_t missing)
{
	const struct kickmsg_publisher *publisher = &world->publishers[0];
	const struct km_endpoint *record = publisher->handle.place.record;
	const uint64_t counted = record->bytes / sizeof(struct crash_message);

	if (record->bytes % sizeof(struct crash_message) == 0 && counted <= record->messages &&
		record->messages <= publisher->sequence && publisher->sequence <= counted + missing)
		return true;
	return crash_fail("%lu messages were sent, %lu and %lu bytes are counted",
		publisher->sequence, record->messages, record->bytes);
}

bool crash_judge_killed(struct crash_world *world, const struct crash_op *op)
{
	bool publisher = op->role == KM_ROLE_PUBLISHER;

	if (publisher && !judge_counts(world, op->sends))
		return false;
	if (publisher)
		world->publisher_state[0] = KM_ENDPOINT_DEAD;
	else
		world->readers[0].state = KM_ENDPOINT_DEAD;
	if (!crash_reconcile_all(world) || !crash_audit(world, KM_ROLE_NONE) || !judge_wake(world))
		return false;
	if (publisher)
		crash_pass_privilege_on(world);
	if (world->region.header->live & !publisher)
		return crash_fail("the dead subscriber's ring is still live");
	if (!crash_settle(world, op->role) || !crash_balance(world, op->role, 0, op->sends) ||
		!judge_loss(world, op))
		return false;

	/* the whole pool can be had, with survivors only */
	if (!crash_count_pool(world, CRASH_POOL))
		return false;
	/* a successor in the victim's place has the whole pool too */
	if (publisher) {
		crash_attach_publisher(world, 0);
		world->lent_count[0] = 0;
	} else {
		crash_attach_subscriber(world, 0);
		world->kept_count[0] = 0;
	}
	uint64_t behind[CRASH_SUBSCRIBERS];
	for (uint32_t i = 0; i < CRASH_SUBSCRIBERS; i++)
		behind[i] = world->frontier[i] = crash_frontier(world, i);
	if (!crash_send(world, 0) || !crash_settle(world, KM_ROLE_NONE) ||
		!crash_flow(world, KM_ROLE_NONE, 64) || !crash_balance(world, KM_ROLE_NONE, 0, 0) ||
		!crash_audit(world, KM_ROLE_NONE))
		return false;
	for (uint32_t i = 0; i < CRASH_SUBSCRIBERS; i++)
		if (world->readers[i].state == KM_ENDPOINT_LIVE && world->frontier[i] == behind[i])
			return crash_fail("ring %u gets nothing any more", i);
	return crash_count_pool(world, CRASH_POOL);
}

/* The slots that the frozen process visibly has: its id, its hazards, its undrained ring. */
static uint32_t visibly_held(const struct crash_world *world, const struct crash_op *op)
{
	const struct km_region *region = &world->region;
	const struct km_endpoint *subscriber = world->subscribers[0].handle.place.record;
	const struct km_endpoint *publisher = world->publishers[0].handle.place.record;
	bool held[CRASH_POOL] = { false };
	uint32_t count = 0;

	for (uint32_t i = 0; i < CRASH_POOL; i++) {
		uint64_t word = region->slots[i].word;

		if (op->role == KM_ROLE_PUBLISHER)
			held[i] = km_slot_id(word) == 1 || publisher->delivering == i ||
				  publisher->evicting == i;
		for (uint32_t k = 0; k < subscriber->held_count && op->role == KM_ROLE_SUBSCRIBER;
			k++)
			held[i] |= subscriber->held[k] == i;
	}
	if (op->role == KM_ROLE_SUBSCRIBER && !region->shared)
		for (uint64_t p = km_region_ring(region, 0)->head; p != crash_frontier(world, 0);
			p++)
			held[km_cell_slot(km_region_ring(region, 0)->cells[p % CRASH_CAPACITY])] =
				true;
	for (uint32_t i = 0; i < CRASH_POOL; i++)
		count += held[i];
	return count;
}

static bool repair_beside(struct crash_world *world, const struct crash_op *op)
{
	struct km_reconcile_result result;

	/* a pass that leaves a bit to a hazard is repeated at the broker's next tick */
	return crash_reconcile(world, KM_REPAIR_ALL, &result) &&
	       crash_reconcile(world, KM_REPAIR_ALL, &result) && crash_audit(world, op->role);
}

/* Occupies a shared ring's pool: the slot that the victim may be about to drop gets a message of
 * another publisher, if the slot can be had, and much of the rest is on loan. */
static bool occupy_shared(struct crash_world *world)
{
	const size_t size = sizeof(struct crash_message);
	struct kickmsg_publisher *publisher = &world->publishers[1];
	uint32_t *lent = &world->lent_count[1];
	void **loans = world->lent[1];

	while (*lent < CRASH_LOANS && kickmsg_loan(publisher, size, &loans[*lent]) == 0)
		++*lent;
	for (uint32_t i = 0; i < *lent && world->oldest_slot < CRASH_POOL; i++) {
		if (loans[i] != km_region_payload(&world->region, world->oldest_slot))
			continue;
		if (!crash_publish(world, 1, loans[i]))
			return false;
		loans[i] = loans[--*lent];
	}
	/* the victim that still looks for a slot finds one */
	while (*lent > CRASH_POOL / 2)
		if (kickmsg_discard(publisher, loans[--*lent]) < 0)
			return crash_fail("a loan can't be discarded");
	return true;
}

/*
 * Gives survivors every slot before the victim goes on: rings full of messages, the rest on loan.
 * A slot that the victim drops, though it isn't its own any more, is then a survivor's, so
 * the mistake shows. A victim that still looks for a slot is left some.
 */
static bool occupy(struct crash_world *world, const struct crash_op *op)
{
	if (world->region.shared)
		return occupy_shared(world);
	/* messages of the victim that have no sequence yet */
	uint64_t unsent = op->role == KM_ROLE_PUBLISHER
				  ? world->message.sequence - world->publishers[0].sequence
				  : 0;
	uint32_t victims = 0;
	uint32_t *lent = &world->lent_count[1];

	for (uint32_t i = 0; i < CRASH_POOL; i++)
		victims += km_slot_id(world->region.slots[i].word) == 1;
	if (victims < world->lent_count[0] + unsent)
		return true;
	for (uint32_t i = 0; i < CRASH_CAPACITY; i++)
		if (!crash_send(world, 1 + i % 2))
			return false;
	while (*lent < CRASH_LOANS &&
		kickmsg_loan(&world->publishers[1], 1, &world->lent[1][*lent]) == 0)
		++*lent;
	return true;
}

bool crash_judge_frozen(struct crash_world *world, const struct crash_op *op, uint32_t messages)
{
	if (!repair_beside(world, op) || !crash_settle(world, op->role) ||
		!crash_balance(world, op->role, 0, op->sends) || !judge_loss(world, op))
		return false;
	/* a sole publisher's victim has no others that send or want a slot */
	if (crash_transport == CRASH_SOLE)
		return true;
	return crash_flow(world, op->role, messages / 2) && repair_beside(world, op) &&
	       crash_flow(world, op->role, messages - messages / 2) && repair_beside(world, op) &&
	       crash_balance(world, op->role, 0, op->sends) &&
	       crash_count_pool(world, CRASH_POOL - visibly_held(world, op)) && occupy(world, op);
}

bool crash_judge_finished(struct crash_world *world, const struct crash_op *op)
{
	if (op->check && !op->check(world))
		return false;
	if (op->role == KM_ROLE_PUBLISHER && !judge_counts(world, 0))
		return false;
	if (op->detaches) {
		if (op->role == KM_ROLE_PUBLISHER)
			world->publisher_state[0] = KM_ENDPOINT_DEAD;
		else
			world->readers[0].state = KM_ENDPOINT_DEAD;
	}
	/* a victim that wasn't killed leaves nothing to repair */
	if (!op->detaches && !crash_audit(world, KM_ROLE_NONE))
		return false;
	enum km_role victim = op->detaches ? op->role : KM_ROLE_NONE;
	uint32_t sends = op->sends;
	if (!crash_reconcile_all(world) || !crash_audit(world, KM_ROLE_NONE))
		return false;
	if (op->detaches && crash_transport == CRASH_SOLE) {
		crash_pass_privilege_on(world);
		victim = KM_ROLE_NONE;
	}
	if (!crash_settle(world, victim) || !crash_balance(world, victim, sends, sends))
		return false;
	/* each message of the victim came, exactly once (crash_note checks it) */
	for (uint32_t i = 0; i < CRASH_SUBSCRIBERS; i++)
		if (sends && reads(world, victim, i) &&
			world->readers[i].last[0] != world->message.sequence)
			return crash_fail("subscriber %u hasn't got the victim's message", i);
	for (uint32_t i = 0; i < CRASH_SUBSCRIBERS; i++)
		world->frontier[i] = crash_frontier(world, i);
	return crash_flow(world, victim, 64) && crash_balance(world, victim, 0, 0) &&
	       crash_count_pool(world, CRASH_POOL) && crash_audit(world, KM_ROLE_NONE);
}
