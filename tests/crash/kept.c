/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kills, and stops, a publisher of a topic with private rings and history, and a newcomer there, at
 * every instruction of the library (crash_step.h). The world is that of crash_kept.h.
 *
 *   crash-kept kill|freeze [OPERATION]
 *
 * An event may happen in the middle of a walk: the newcomer comes, or the survivor overtakes it.
 *
 * kill: the survivor goes on, the region is reconciled and counted, and a successor and one more newcomer
 * have what they should have. freeze: 10 000 messages flow beside the victim, and then it goes on to the
 * end and has what it should have.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/support/crash/crash_kept.h"
#include "tests/support/crash/crash_step.h"
#include "tests/support/crash/crash_world.h"

#define MESSAGES 10000

/* --- the victim's operations ---------------------------------------------------------------------- */

static CRASH_OP void run_send(void *arg)
{
	struct kept_world *world = arg;

	world->result = kickmsg_send(&world->publishers[0], &world->value, sizeof world->value);
}

static CRASH_OP void run_loan_publish(void *arg)
{
	struct kept_world *world = arg;
	void *payload;

	world->result = kickmsg_loan(&world->publishers[0], sizeof world->value, &payload);
	if (world->result < 0)
		return;
	*(uint64_t *)payload = world->value;
	world->result = kickmsg_publish(&world->publishers[0], payload, sizeof world->value);
}

static CRASH_OP void run_receive(void *arg)
{
	struct kept_world *world = arg;

	world->result = kickmsg_try_receive(&world->subscribers[KEPT_NEWCOMER], &world->sample);
}

static CRASH_OP void run_receive_copy(void *arg)
{
	struct kept_world *world = arg;

	world->result = kickmsg_try_receive_copy(
		&world->subscribers[KEPT_NEWCOMER], &world->copy, sizeof world->copy);
}

static CRASH_OP void run_look_back(void *arg)
{
	struct kept_world *world = arg;

	km_place_look_back(&world->subscribers[KEPT_NEWCOMER].handle.place, KEPT_HISTORY);
	world->result = -EAGAIN; /* it has received nothing */
}

/* --- states and events ---------------------------------------------------------------------------- */

static void newcomer_comes(struct kept_world *world)
{
	kept_come(world, KEPT_NEWCOMER);
}

/* The newcomer's ring is live, as if the broker had only stored `live` and not looked where the
 * kept ring ends. */
static void newcomer_comes_half(struct kept_world *world)
{
	struct km_ring *ring = km_region_ring(&world->region, KEPT_NEWCOMER);

	kept_let_in(world, KEPT_NEWCOMER);
	ring->kept_behind = km_kept_behind_word(ring->opening, 0);
	world->half = true;
}

/* The newcomer leaves, and another one gets its ring. */
static void newcomer_is_replaced(struct kept_world *world)
{
	world->live &= ~(UINT64_C(1) << KEPT_NEWCOMER);
	world->region.header->live = world->live;
	newcomer_comes(world);
}

/* The newcomer is half in, and messages that have passed its own ring by are already in the kept
 * ring. */
static void newcomer_is_lapped_half_in(struct kept_world *world)
{
	newcomer_comes_half(world);
	kept_flow(world, KEPT_NOBODY, KEPT_CAPACITY + 2);
}

/* The slot that the newcomer is taking has another message by now, which is in the kept ring
 * alone. */
static void newcomer_is_overtaken(struct kept_world *world)
{
	const struct km_endpoint *record = world->subscribers[KEPT_NEWCOMER].handle.place.record;
	const uint32_t held = record->held[0] < KEPT_POOL ? record->held[0] : record->held[1];
	const struct km_slot *slot = &world->region.slots[held];
	const uint64_t generation = slot->generation;

	for (int i = 0; i < 10 * KEPT_POOL; i++)
		if (!kept_flow(world, KEPT_NEWCOMER, 1) ||
			(slot->generation != generation && slot->word == KM_KEPT_BIT))
			break;
}

static bool is_delivering(const struct kept_world *world)
{
	return world->publishers[0].handle.place.record->delivering != KM_HAZARD_NONE;
}

static bool has_committed(const struct kept_world *world)
{
	return kept_end(world) != world->end;
}

static bool has_hazard(const struct kept_world *world)
{
	const struct km_endpoint *record = world->subscribers[KEPT_NEWCOMER].handle.place.record;

	return record->held[0] != KM_HAZARD_NONE || record->held[1] != KM_HAZARD_NONE;
}

static bool put_late_cell(const struct kept_world *world)
{
	const struct km_ring *ring = km_region_ring(&world->region, KEPT_NEWCOMER);

	return km_cell_slot(ring->cells[ring->head % KEPT_CAPACITY]) & KM_CELL_LATE;
}

static bool was_overtaken(const struct kept_world *world)
{
	return world->subscribers[KEPT_NEWCOMER].handle.place.newcomer.late == KM_LATE_LOST;
}

/* The newcomer's own messages begin behind the former owner's. */
static bool has_dropped(const struct kept_world *world)
{
	return world->subscribers[KEPT_NEWCOMER].handle.place.next == world->start + 1;
}

static bool has_evicted(const struct kept_world *world)
{
	return world->region.kept->head == world->end - KEPT_CELLS + 1;
}

static const struct op {
	const char *name;
	void (*run)(void *);
	uint32_t pool;
	int before; /* messages in the topic when the holder comes */
	enum {
		SENDS,
		SENDS_TO_FORMER,
		BEGINS,
		RECEIVES,
		RECEIVES_NEXT,
		RECEIVES_LATE,
		RECEIVES_GONE
	} kind;
	bool (*when)(const struct kept_world *);
	void (*event)(struct kept_world *);
	bool (*reached)(const struct kept_world *); /* did the walk come where it should? */
} ops[] = {
	{ "send", run_send, KEPT_POOL, 3, SENDS },
	{ "send, evicts", run_send, KEPT_POOL, 9, SENDS, .reached = has_evicted },
	{ "loan, publish, evicts", run_loan_publish, KEPT_POOL, 9, SENDS, .reached = has_evicted },
	{ "send, makes room", run_send, KEPT_SHORT_POOL, 20, SENDS },
	{ "send, a newcomer", run_send, KEPT_POOL, 9, SENDS, is_delivering, newcomer_comes,
		put_late_cell },
	{ "send, a newcomer behind the commit", run_send, KEPT_POOL, 9, SENDS, has_committed,
		newcomer_comes },
	{ "send, a newcomer half in", run_send, KEPT_POOL, 9, SENDS, is_delivering,
		newcomer_comes_half },
	{ "send, a newcomer half in, lapped", run_send, KEPT_POOL, 9, SENDS, is_delivering,
		newcomer_is_lapped_half_in },
	{ "send, a ring is given away", run_send, KEPT_POOL, 9, SENDS_TO_FORMER, is_delivering,
		newcomer_is_replaced, put_late_cell },
	{ "send, a ring is given away behind the commit", run_send, KEPT_POOL, 9, SENDS_TO_FORMER,
		has_committed, newcomer_is_replaced },
	{ "begin, a message for the former owner", run_look_back, KEPT_POOL, 9, BEGINS,
		.reached = has_dropped },
	{ "receive, history", run_receive, KEPT_POOL, 9, RECEIVES },
	{ "receive, history that nobody holds", run_receive, KEPT_POOL, 9, RECEIVES_NEXT },
	{ "receive_copy, history", run_receive_copy, KEPT_POOL, 9, RECEIVES },
	{ "receive, overtaken", run_receive, KEPT_POOL, 9, RECEIVES_NEXT, has_hazard,
		newcomer_is_overtaken, was_overtaken },
	{ "receive, late cell", run_receive, KEPT_POOL, 9, RECEIVES_LATE },
	{ "receive_copy, late cell", run_receive_copy, KEPT_POOL, 9, RECEIVES_LATE },
	{ "receive, late cell of what is gone", run_receive, KEPT_POOL, 9, RECEIVES_GONE },
};

static void set_up(struct kept_world *world, const struct op *op)
{
	kept_come(world, 0);
	kept_flow(world, KEPT_NOBODY, op->before);
	kept_come(world, KEPT_HOLDER);
	kept_receive_one(world, KEPT_HOLDER);
	if (kickmsg_try_receive(&world->subscribers[KEPT_HOLDER], &world->held) < 0)
		abort();
	world->held_value = *(const uint64_t *)world->held.data;
	kept_note(world, KEPT_HOLDER, world->held_value);
	kept_send(world, 0);
	kept_drain_all(world, KEPT_NOBODY, 0, 0);
	if (op->kind == SENDS_TO_FORMER)
		kept_come(world, KEPT_NEWCOMER);
	if (op->kind <= SENDS_TO_FORMER) {
		kept_drain_all(world, KEPT_NOBODY, 0, 0);
		world->value = ++world->sent[0] << 1;
	} else if (op->kind == BEGINS) {
		kept_meet_former(world);
	} else {
		kept_come(world, KEPT_NEWCOMER); /* the newcomer's first message is the held one */
		if (op->kind == RECEIVES_NEXT)
			kept_receive_one(world, KEPT_NEWCOMER);
		if (op->kind > RECEIVES_NEXT) {
			kept_drain(world, KEPT_NEWCOMER, 0, 0);
			kept_send_late(world, op->kind == RECEIVES_GONE ? 2 * KEPT_CELLS : 0);
		}
	}
	world->end = kept_end(world);
}

/* --- walks ---------------------------------------------------------------------------------------- */

/* Lets one more newcomer come: it finds all as if no publisher had ever been killed or stopped. */
static bool judge_end(struct kept_world *world, uint64_t least, uint64_t most)
{
	if (!kept_drain_all(world, KEPT_NOBODY, least, most) || !kept_audit(world, false))
		return false;
	kept_come(world, KEPT_LAST);
	return kept_flow(world, KEPT_NOBODY, KEPT_CELLS) && kept_send(world, 0) &&
	       kept_drain_all(world, KEPT_NOBODY, least, most) &&
	       kept_flow(world, KEPT_NOBODY, KEPT_CELLS) && kept_audit(world, false) &&
	       kept_repair(world, false, false) && kept_audit(world, false);
}

static bool judge_killed(struct kept_world *world, const struct op *op)
{
	bool sends = op->kind <= SENDS_TO_FORMER;

	if (!kept_flow(world, sends ? KEPT_NOBODY : KEPT_NEWCOMER, 2 * KEPT_CELLS))
		return false;
	if (!sends) {
		world->live &= ~(UINT64_C(1) << KEPT_NEWCOMER);
		world->region.header->live = world->live;
	}
	if (!kept_repair(world, sends, !sends))
		return false;
	if (sends) {
		kept_attach_publisher(world, 0);
	} else {
		world->readers[KEPT_NEWCOMER].here = false;
		if (!kept_audit(world, false))
			return false;
		kept_come(world, KEPT_NEWCOMER);
	}
	return judge_end(world, 0, sends);
}

/* Has the finished victim what it should have? */
static bool judge_finished(struct kept_world *world, const struct op *op)
{
	if (op->kind == SENDS && world->result == -EAGAIN && op->pool == KEPT_SHORT_POOL)
		/* the other publishers had all slots when the victim looked for one */
		return judge_end(world, 0, 0);
	if (op->kind <= SENDS_TO_FORMER)
		return (world->result >= 0 || crash_fail("send: %zd", world->result)) &&
		       judge_end(world, 1, 1);
	if (world->result == sizeof world->copy) {
		if (!kept_note(world, KEPT_NEWCOMER, world->copy))
			return false;
	} else if (world->result == 0) {
		const uint64_t *data = world->sample.data, value = *data;

		if (!kept_note(world, KEPT_NEWCOMER, value) ||
			!kept_flow(world, KEPT_NEWCOMER, 2 * KEPT_POOL))
			return false;
		if (*data != value || kickmsg_sample_release(&world->sample) < 0)
			return crash_fail("the victim's sample isn't what it was");
	} else if (world->result != -EAGAIN) {
		return crash_fail("receive: %zd", world->result);
	}
	return judge_end(world, 0, 0);
}

static bool judge_frozen(struct kept_world *world, const struct op *op)
{
	uint32_t busy = op->kind <= SENDS_TO_FORMER ? KEPT_NOBODY : KEPT_NEWCOMER;

	return kept_repair(world, false, false) && kept_audit(world, true) &&
	       kept_flow(world, busy, MESSAGES / 2) && kept_repair(world, false, false) &&
	       kept_audit(world, true) && kept_flow(world, busy, MESSAGES / 2) &&
	       kept_audit(world, true);
}

static void judge(
	struct kept_world *world, const struct op *op, const struct crash_walk *walk, bool kill)
{
	pid_t victim = crash_walk_clone(walk);

	if (world->half)
		kept_enter(world, KEPT_NEWCOMER);
	if (kill) {
		crash_kill(victim);
		judge_killed(world, op);
	} else if (!judge_frozen(world, op)) {
		crash_kill(victim);
	} else if (!crash_finish(victim)) {
		crash_fail("the spared victim didn't get to its end");
	} else {
		judge_finished(world, op);
	}
}

static uint64_t walk_through(const struct op *op, bool kill)
{
	struct kept_world *world = kept_build(op->pool);
	void *saved = malloc(world->size);
	struct crash_walk walk;

	set_up(world, op);
	crash_walk_begin(&walk, NULL, op->run, world);
	while (crash_walk_step(&walk)) {
		snprintf(crash_where, sizeof crash_where, "%s %s, instruction %lu at %#lx",
			kill ? "kill" : "freeze", op->name, walk.points, walk.pc);
		crash_watchdog(20);
		if (op->event && !world->met && op->when(world)) {
			world->met = true;
			op->event(world);
		}
		memcpy(saved, world, world->size);
		judge(world, op, &walk, kill);
		memcpy(world, saved, world->size);
	}
	crash_walk_end(&walk);
	crash_watchdog(0);
	if ((op->event && !world->met) || (op->reached && !op->reached(world)))
		crash_fail("the walk didn't go where it should");
	printf("%-7s %-36s %5lu points\n", kill ? "kill" : "freeze", op->name, walk.points);
	fflush(stdout);
	free(saved);
	munmap(world, world->size);
	return walk.points;
}

int main(int argc, char **argv)
{
	const char *why = crash_cannot_step();
	uint64_t points = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: crash-kept kill|freeze [OPERATION]\n");
		return 2;
	}
	if (why) {
		printf("skipped: %s\n", why);
		return 77;
	}
	for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
		if (argc < 3 || strcmp(argv[2], ops[i].name) == 0)
			points += walk_through(&ops[i], strcmp(argv[1], "kill") == 0);
	printf("%lu points, %u failures\n", points, crash_failures);
	return crash_failures > 0 || points == 0;
}
