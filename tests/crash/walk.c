/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kills, or stops, a publisher and a subscriber at every instruction of the library: for each
 * operation in each state of the region, a walker is led through the operation (crash_step.h), and
 * after each instruction a copy of it is the victim.
 *
 *   crash-walk kill|freeze publisher|subscriber|shared-publisher|shared-other|shared-subscriber|
 *              sole-publisher [OPERATION [STATE]]
 *
 * Before a role timed-: the topic has timestamps.
 *
 * shared-publisher: of a shared ring, the one that is privileged; shared-other: one that isn't;
 * sole-publisher: the only one that there can be.
 *
 * kill: the victim is dead; the region is reconciled and counted, survivors and a successor go on.
 * freeze: 10 000 messages flow among the others (a sole publisher has none), while the victim
 * stands still. The repairer passes by, and then the victim goes on to the end and has what it
 * should have.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/crash/crash_states.h"
#include "tests/support/crash/crash_step.h"

#define FROZEN_MESSAGES 10000
#define TIMED_MESSAGES  1000 /* the same steps, and a time */

/* --- how many instructions others need while the victim stands still --- */

static CRASH_OP void run_others(void *arg)
{
	struct crash_world *world = arg;

	if (crash_transport != CRASH_SOLE)
		world->result = kickmsg_send(
			&world->publishers[1], &world->message, sizeof world->message);
	kickmsg_try_receive_copy(&world->subscribers[1], &world->copy, sizeof world->copy);
}

/* Counts the instructions of a send and a receive in the world as it is, and puts the world
 * back. */
static uint64_t count_instructions(struct crash_world *world)
{
	static void *saved;
	struct crash_walk walk;

	saved = crash_world_save(world, saved);
	crash_walk_begin(&walk, NULL, run_others, world);
	while (crash_walk_step(&walk))
		;
	crash_walk_end(&walk);
	crash_world_restore(world, saved);
	return walk.points;
}

/* Is the part of the region that others can see the same as in `saved`? */
static bool looks_the_same(const struct crash_world *world, const void *saved)
{
	size_t offset = (uintptr_t)world->region.header - (uintptr_t)world;
	const char *now = (const char *)world, *then = saved;

	return memcmp(now + offset, then + offset, world->region.control_size) == 0;
}

/* --- walks --- */

struct totals {
	uint64_t walks, points;
	uint64_t fewest, most; /* instructions that others needed */
};

static void judge(struct crash_world *world, const struct crash_walk *walk,
	const struct crash_op *op, bool kill)
{
	pid_t victim = crash_walk_clone(walk);

	if (kill) {
		crash_kill(victim);
		crash_judge_killed(world, op);
		return;
	}
	if (!crash_judge_frozen(world, op, crash_timed ? TIMED_MESSAGES : FROZEN_MESSAGES)) {
		crash_kill(victim);
		return;
	}
	if (!crash_finish(victim))
		crash_fail("the spared victim didn't get to its end");
	else
		crash_judge_finished(world, op);
}

/* Instructions of the long way, which is taken where the short one for the usual case doesn't
 * apply. */
#define LONG_WAY 100

/* The bound of others' instructions: twice what they need undisturbed, with the long way in
 * place of the short one, and a look at each cell of each ring. */
static void judge_delay(struct crash_world *world, uint64_t undisturbed, struct totals *totals)
{
	uint64_t count = count_instructions(world);

	if (count > 2 * undisturbed + LONG_WAY + 10 * CRASH_CAPACITY * CRASH_SUBSCRIBERS)
		crash_fail("others need %lu instructions for a message, and %lu undisturbed", count,
			undisturbed);
	if (count < totals->fewest)
		totals->fewest = count;
	if (count > totals->most)
		totals->most = count;
}

static void walk_through(const struct crash_state *state, const struct crash_op *op, bool kill,
	struct totals *totals)
{
	struct crash_world *world = crash_build(state);
	void *saved = crash_world_save(world, NULL), *before = crash_world_save(world, NULL);
	bool somebody_listens = world->readers[1].state == KM_ENDPOINT_LIVE;
	uint64_t undisturbed = kill || !somebody_listens ? 0 : count_instructions(world);
	struct crash_walk walk;

	crash_walk_begin(&walk, op->prepare, op->run, world);
	while (crash_walk_step(&walk)) {
		snprintf(crash_where, sizeof crash_where, "%s %s, %s, instruction %lu at %#lx",
			kill ? "kill" : "freeze", op->name, state->name, walk.points, walk.pc);
		crash_watchdog(20);
		crash_world_save(world, saved);
		if (undisturbed && !looks_the_same(world, before))
			judge_delay(world, undisturbed, totals);
		crash_world_save(world, before);
		judge(world, &walk, op, kill);
		crash_world_restore(world, saved);
	}
	crash_walk_end(&walk);
	printf("%-7s %-16s %-42s %5lu points\n", kill ? "kill" : "freeze", op->name, state->name,
		walk.points);
	fflush(stdout);
	totals->walks++;
	totals->points += walk.points;
	crash_watchdog(0);
	crash_world_free(world);
	free(saved);
	free(before);
}

int main(int argc, char **argv)
{
	struct totals totals = { .fewest = UINT64_MAX };
	const char *why = crash_cannot_step();

	if (argc < 3) {
		fprintf(stderr,
			"usage: crash-walk kill|freeze [shared-]publisher|[shared-]subscriber|"
			"shared-other|sole-publisher [OPERATION [STATE]]\n");
		return 2;
	}
	if (why) {
		printf("skipped: %s\n", why);
		return 77;
	}
	bool kill = strcmp(argv[1], "kill") == 0;
	crash_timed = strncmp(argv[2], "timed-", 6) == 0;
	argv[2] += crash_timed ? 6 : 0;
	enum km_role role = strstr(argv[2], "subscriber") ? KM_ROLE_SUBSCRIBER : KM_ROLE_PUBLISHER;
	crash_transport = crash_transport_of(argv[2]);
	if (crash_transport == CRASH_SHARED && role == KM_ROLE_SUBSCRIBER)
		crash_transport =
			CRASH_SHARED_OTHER; /* the victim meets both kinds of message there */
	for (size_t i = 0; i < crash_operation_count; i++)
		for (size_t k = 0; k < crash_state_count; k++) {
			const struct crash_op *op = &crash_operations[i];

			if (op->role != role || !crash_applies(&crash_states[k], op) ||
				(argc > 3 && strcmp(argv[3], op->name) != 0) ||
				(argc > 4 && strcmp(argv[4], crash_states[k].name) != 0))
				continue;
			walk_through(&crash_states[k], op, kill, &totals);
		}
	printf("%lu walks, %lu points, %u failures\n", totals.walks, totals.points, crash_failures);
	if (totals.most)
		printf("others: %lu to %lu instructions for a send and a receive\n", totals.fewest,
			totals.most);
	return crash_failures > 0 || totals.points == 0;
}
