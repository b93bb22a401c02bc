/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kills, and stops, the repairer at every instruction of reconcile.
 *
 *   crash-repairer kill|freeze|interleave [[timed-]shared|[timed-]shared-other|timed] [EVERY]
 *
 * shared: of a shared ring, whose privileged publisher the dead one was; shared-other: it wasn't.
 * timed: the topic has timestamps. EVERY: each EVERYth damage only; default 1.
 *
 * The damage: publisher 0 died in a send that evicts, at each place where the region looks
 * different from the place before. So did subscriber 0, with a sample in its hands and a full ring.
 * The subscribers of a shared ring leave nothing. There the publisher died in a send over a message
 * that lies in a slot, and when it took a message out of the ring for its slot; and somebody is
 * asleep.
 *
 * - kill: a repairer is killed. A new one must bring the region to the state that an uninterrupted
 *   one brings it to, word for word but for the count of wake-ups. It has woken all sleepers.
 * - freeze: the repairer stands still while 300 messages flow, and no slot is missing that wasn't
 *   missing before. When it goes on, it must not touch what has got new owners meanwhile.
 * - interleave: between the instructions of one repair, survivors fill and empty their rings again
 *   and again, in many orders.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/memory/segment.h"
#include "common/shared/bell.h"
#include "tests/support/broker/whole_pass.h"
#include "tests/support/crash/crash_states.h"
#include "tests/support/crash/crash_step.h"

enum {
	MAX_DAMAGES = 64,
	FROZEN_MESSAGES = 300,
	INTERLEAVED_WALKS = 24, /* walks for each damage */
};

struct damage {
	void *saved; /* the world as it was */
	char name[128];
};

struct repair {
	struct crash_world *world;
	struct km_known_endpoint endpoints[CRASH_PUBLISHERS + CRASH_SUBSCRIBERS];
	size_t count;
	struct km_reconcile_result result;
	const char *reason;
	int r;
};

static CRASH_OP void run_reconcile(void *arg)
{
	struct repair *repair = arg;

	repair->r = test_reconcile(&repair->world->region, repair->endpoints, repair->count,
		KM_REPAIR_ALL, 8, NULL, &repair->result, &repair->reason);
}

static bool differs(const struct crash_world *world, const void *saved)
{
	size_t offset = (uintptr_t)world->region.header - (uintptr_t)world;

	return memcmp((const char *)world + offset, (const char *)saved + offset,
		       world->region.control_size) != 0;
}

static const struct crash_op *find_op(const char *name)
{
	for (size_t i = 0; i < crash_operation_count; i++)
		if (strcmp(crash_operations[i].name, name) == 0)
			return &crash_operations[i];
	abort();
}

/* Walks publisher 0 through an operation and keeps each state that the region goes through. */
static size_t collect(struct crash_world *world, const struct crash_state *state,
	const struct crash_op *op, struct damage *damages, size_t count)
{
	void *pristine = crash_world_save(world, NULL), *last = crash_world_save(world, NULL);
	struct crash_walk walk;

	state->set_up(world);
	world->message = crash_message(world, 0);
	crash_walk_begin(&walk, op->prepare, op->run, world);
	while (crash_walk_step(&walk)) {
		if (!differs(world, last) || count == MAX_DAMAGES)
			continue;
		crash_world_save(world, last);
		struct damage *damage = &damages[count++];
		world->publisher_state[0] = KM_ENDPOINT_DEAD;
		world->readers[0].state = KM_ENDPOINT_DEAD;
		if (world->region.shared)
			world->announced = km_bell_announce(world->region.bell);
		damage->saved = crash_world_save(world, NULL);
		snprintf(damage->name, sizeof damage->name, "%s, %s, dead at %lu", op->name,
			state->name, walk.points);
		crash_world_restore(world, last);
	}
	crash_walk_end(&walk);
	crash_world_restore(world, pristine);
	free(pristine);
	free(last);
	return count;
}

static void begin(struct crash_walk *walk, struct repair *repair, struct crash_world *world)
{
	*repair = (struct repair){ .world = world, .r = 1 };
	repair->count = crash_endpoints(world, repair->endpoints);
	crash_walk_begin(walk, NULL, run_reconcile, repair);
}

/* Are two worlds equal but for the generation in rings' waiting words? */
static bool same_end(struct crash_world *world, const void *healed)
{
	static void *copy;
	struct crash_world *other;

	copy = crash_world_save(world, copy);
	other = copy;
	for (uint32_t i = 0; i < world->region.ring_count; i++) {
		struct km_ring *ring = km_region_ring(&world->region, i);
		size_t at = (uintptr_t)&ring->waiting - (uintptr_t)world;

		memcpy((char *)other + at, (const char *)healed + at, sizeof ring->waiting);
	}
	size_t offset = (uintptr_t)world->region.header - (uintptr_t)world;
	return memcmp((const char *)copy + offset, (const char *)healed + offset,
		       world->region.control_size) == 0;
}

/* Checks that the region is the expected one word for word, and that nobody sleeps beside a
 * message of the dead publisher. */
static void judge_end(struct crash_world *world, const void *healed, const char *what)
{
	if (!same_end(world, healed))
		crash_fail("%s ends in another state", what);
	if (world->region.shared && world->region.bell->word == world->announced)
		crash_fail("%s wakes nobody", what);
}

static uint64_t kill_repairer(struct crash_world *world, const struct damage *damage)
{
	void *healed, *saved = NULL;
	struct repair repair;
	struct crash_walk walk;

	crash_world_restore(world, damage->saved);
	if (!crash_reconcile_all(world) || !crash_audit(world, KM_ROLE_NONE))
		return 0;
	healed = crash_world_save(world, NULL);
	crash_world_restore(world, damage->saved);
	begin(&walk, &repair, world);
	while (crash_walk_step(&walk)) {
		snprintf(crash_where, sizeof crash_where,
			"kill repairer (%s), instruction %lu at %#lx", damage->name, walk.points,
			walk.pc);
		crash_watchdog(20);
		saved = crash_world_save(world, saved);
		crash_kill(crash_walk_clone(&walk));
		if (crash_reconcile_all(world) && crash_audit(world, KM_ROLE_NONE))
			judge_end(world, healed, "the second repair");
		crash_world_restore(world, saved);
	}
	crash_walk_end(&walk);
	judge_end(world, healed, "the walked repair");
	free(healed);
	free(saved);
	return walk.points;
}

/* Counts the slots that survivors can have in this state if nobody repairs it. Then the world is
 * put back. */
static uint32_t available(struct crash_world *world)
{
	void *saved = crash_world_save(world, NULL), *loan;
	uint32_t count = 0;

	crash_settle(world, KM_ROLE_SUBSCRIBER);
	while (count < CRASH_POOL && kickmsg_loan(&world->publishers[1], 1, &loan) == 0)
		count++;
	crash_world_restore(world, saved);
	free(saved);
	return count;
}

/* Lets survivors leave everything in use: messages in rings, a sample borrowed, loans out. */
static bool occupy(struct crash_world *world)
{
	for (uint32_t i = 0; i < 3; i++)
		if (!crash_send(world, 1 + i % 2))
			return false;
	crash_borrow(world, 1, 1);
	crash_lend(world, 1, 1);
	return crash_send(world, 2);
}

/* Judges a world in which others went on beside the repairer: nothing of theirs is gone, and
 * nothing of the dead one is left. */
static bool judge_repaired(struct crash_world *world)
{
	return crash_audit_kept(world) && crash_reconcile_all(world) &&
	       crash_audit(world, KM_ROLE_NONE) && crash_settle(world, KM_ROLE_NONE) &&
	       crash_balance(world, KM_ROLE_NONE, 0, 1) && crash_count_pool(world, CRASH_POOL);
}

static uint64_t freeze_repairer(struct crash_world *world, const struct damage *damage)
{
	void *saved = NULL;
	struct repair repair;
	struct crash_walk walk;

	crash_world_restore(world, damage->saved);
	uint32_t before = available(world);
	begin(&walk, &repair, world);
	while (crash_walk_step(&walk)) {
		snprintf(crash_where, sizeof crash_where,
			"freeze repairer (%s), instruction %lu at %#lx", damage->name, walk.points,
			walk.pc);
		crash_watchdog(20);
		saved = crash_world_save(world, saved);
		pid_t victim = crash_walk_clone(&walk);
		bool good = crash_settle(world, KM_ROLE_SUBSCRIBER) &&
			    crash_count_pool(world, before) &&
			    crash_flow(world, KM_ROLE_SUBSCRIBER, FROZEN_MESSAGES) && occupy(world);
		if (!good)
			crash_kill(victim);
		else if (!crash_finish(victim))
			crash_fail("the spared repairer didn't get to its end");
		else
			judge_repaired(world);
		crash_world_restore(world, saved);
	}
	crash_walk_end(&walk);
	free(saved);
	return walk.points;
}

static uint32_t draw(uint64_t *state, uint32_t below)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33) % below;
}

/* Does something as a survivor, between two instructions of the repairer. */
static bool act(struct crash_world *world, uint64_t *random)
{
	switch (draw(random, 6)) {
	case 0:
		return crash_settle(world, KM_ROLE_SUBSCRIBER);
	case 1:
		if (world->region.shared)
			return crash_read(world, 1, false) >= 0;
		return world->kept_count[1] > 0 ||
		       crash_frontier(world, 1) == km_region_ring(&world->region, 1)->head ||
		       (crash_borrow(world, 1, 1), true);
	case 2:
		crash_release(world, 1);
		return true;
	case 3:
		return crash_read(world, 1, true) >= 0;
	default:
		for (uint32_t i = draw(random, CRASH_CAPACITY + 1); i > 0; i--)
			if (!crash_send(world, 1 + i % 2))
				return false;
		return true;
	}
}

static uint64_t interleave_repairer(struct crash_world *world, const struct damage *damage)
{
	uint64_t points = 0;

	for (uint64_t seed = 1; seed <= INTERLEAVED_WALKS; seed++) {
		uint64_t random = seed;
		struct repair repair;
		struct crash_walk walk;
		bool good;

		crash_world_restore(world, damage->saved);
		good = crash_settle(world, KM_ROLE_SUBSCRIBER);
		begin(&walk, &repair, world);
		while (good && crash_walk_step(&walk)) {
			snprintf(crash_where, sizeof crash_where,
				"interleave (%s), order %lu, instruction %lu at %#lx", damage->name,
				seed, walk.points, walk.pc);
			crash_watchdog(20);
			if (draw(&random, 1 + 4 * (seed % 16)) == 0)
				good = act(world, &random);
			good = good && crash_audit_kept(world);
		}
		crash_walk_end(&walk);
		if (good)
			judge_repaired(world);
		points += walk.points;
	}
	return points;
}

/* Starts two repairers: the second is turned away until the first is gone. */
static void try_lock(void)
{
	int first = -1, second = -1;

	snprintf(crash_where, sizeof crash_where, "two repairers");
	if (km_segment_create("crash", 4096, &first) < 0 ||
		km_segment_reopen(first, O_RDWR, &second) < 0) {
		crash_fail("no segment");
		return;
	}
	int r = km_segment_lock(first, 1);
	if (r < 0)
		crash_fail("lock: %d", r);
	r = km_segment_lock(second, 1);
	if (r != -EWOULDBLOCK)
		crash_fail("the second repairer gets %d", r);
	close(first);
	r = km_segment_lock(second, 1);
	if (r < 0)
		crash_fail("the lock of one who is gone stays: %d", r);
	close(second);
}

int main(int argc, char **argv)
{
	static struct damage damages[MAX_DAMAGES];
	const char *why = crash_cannot_step();
	uint64_t (*walk)(struct crash_world *, const struct damage *) = NULL;
	uint64_t points = 0;
	const char *verb = argc > 1 ? argv[1] : "";
	size_t count = 0, every = 1;
	int next = 2;

	crash_timed = argc > next && strncmp(argv[next], "timed", 5) == 0;
	if (crash_timed)
		argv[next] += 5 + (argv[next][5] == '-');
	next += crash_timed && !*argv[next];
	if (argc > next)
		crash_transport = crash_transport_of(argv[next]);
	next += crash_transport != CRASH_RINGS;
	if (argc > next)
		every = strtoul(argv[next++], NULL, 10);
	if (argc <= next && every > 0 && crash_transport != CRASH_SOLE)
		walk = strcmp(verb, "kill") == 0         ? kill_repairer
		       : strcmp(verb, "freeze") == 0     ? freeze_repairer
		       : strcmp(verb, "interleave") == 0 ? interleave_repairer
							 : NULL;
	if (!walk) {
		fprintf(stderr, "usage: crash-repairer kill|freeze|interleave "
				"[[timed-]shared|[timed-]shared-other|timed] [EVERY]\n");
		return 2;
	}
	if (why) {
		printf("skipped: %s\n", why);
		return 77;
	}
	try_lock();
	struct crash_world *world = crash_world_new();
	for (size_t i = 0; i < crash_state_count; i++)
		/* with a shared ring only the states that no other topic has */
		if (crash_states[i].repair && (crash_states[i].transport == CRASH_SHARED_ONLY) ==
						      (crash_transport != CRASH_RINGS))
			count = collect(world, &crash_states[i], find_op(crash_states[i].repair),
				damages, count);
	for (size_t i = 0; i < count; i += every) {
		uint64_t more = walk(world, &damages[i]);

		printf("%-10s %-60s %6lu points\n", verb, damages[i].name, more);
		fflush(stdout);
		points += more;
	}
	for (size_t i = 0; i < count; i++)
		free(damages[i].saved);
	crash_world_free(world);
	printf("every %zu. of %zu damages, %lu points, %u failures\n", every, count, points,
		crash_failures);
	return crash_failures > 0 || points == 0;
}
