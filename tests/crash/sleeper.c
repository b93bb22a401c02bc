/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kills, and stops, a publisher at every instruction of a send that has to wake a subscriber: which
 * is another process, really asleep in the kernel.
 *
 *   crash-sleeper kill|freeze [shared|shared-other|sole]
 *
 * shared: at the bell of a shared ring, whose privileged publisher the victim is; shared-other: it
 * is another one; sole: there can be no other.
 *
 * A sleeper can't be put back like memory, so each point has a walker and a sleeper of its own.
 * kill: after reconcile the sleeper has the message if it was committed, and hears the next ones.
 * freeze: others' messages wake it, again and again, while the victim stands still; a sole victim's
 * own one does when it goes on.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/ring/waiter.h"
#include "common/shared/bell.h"
#include "tests/support/crash/crash_states.h"
#include "tests/support/crash/crash_step.h"

enum {
	SLEEPER = 1,
	WAKES = 3, /* wake-ups at each point */
	FROZEN_MESSAGES = 10000,
	PATIENCE_S = 30, /* s until a wake-up is called lost */
};

static uint64_t received(const struct crash_world *world)
{
	return __atomic_load_n(&world->readers[SLEEPER].received, __ATOMIC_ACQUIRE);
}

/* Runs in the other process: sleeps for each message, until the last one came. */
static int sleeper_main(struct crash_world *world)
{
	struct kickmsg_subscriber *subscriber = &world->subscribers[SLEEPER];
	struct crash_message message;

	for (;;) {
		ssize_t r = kickmsg_receive_copy(
			subscriber, &message, sizeof message, PATIENCE_S * INT64_C(2000000000));

		if (r != (ssize_t)sizeof message)
			return crash_fail("the sleeper gets %zd", r) + 1;
		if (!crash_note(world, SLEEPER, &message))
			return 1;
		if (message.publisher == crash_other() &&
			message.sequence ==
				__atomic_load_n(&world->last_sequence, __ATOMIC_ACQUIRE))
			return 0;
	}
}

static bool has_announced(const struct km_region *region)
{
	if (region->shared)
		return !(region->bell->word & KM_BELL_WOKEN);
	uint32_t waiting = km_region_ring(region, SLEEPER)->waiting;

	return (waiting & (KM_WAITING_ASLEEP | KM_WAITING_WOKEN)) == KM_WAITING_ASLEEP;
}

static bool is_asleep(const struct crash_world *world, pid_t pid)
{
	char path[64], line[256] = "";

	if (!has_announced(&world->region))
		return false;
	/* the thread is about to wait, or waits; only then does the kernel say S */
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	char *got = fgets(line, sizeof line, file);
	fclose(file);
	const char *state = got ? strrchr(line, ')') : NULL;
	return state && state[2] == 'S';
}

static int64_t now_s(void)
{
	return km_clock_ns() / 1000000000;
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
}

static bool until_asleep(const struct crash_world *world, pid_t pid)
{
	int64_t end = now_s() + PATIENCE_S;

	while (!is_asleep(world, pid)) {
		if (now_s() > end)
			return crash_fail("the sleeper doesn't go to sleep");
		nap();
	}
	return true;
}

static bool until_received(const struct crash_world *world, uint64_t count)
{
	int64_t end = now_s() + PATIENCE_S;

	while (received(world) < count) {
		if (now_s() > end)
			return crash_fail("a lost wake-up: the sleeper has %lu of %lu messages",
				received(world), count);
		nap();
	}
	return true;
}

/* Wakes the sleeper with one message, WAKES times. It is asleep before each message. */
static bool wake_by_others(struct crash_world *world, pid_t sleeper, uint64_t base)
{
	for (uint64_t i = 1; i <= WAKES; i++)
		if (!until_asleep(world, sleeper) || !crash_send_in_turn(world, (uint32_t)i) ||
			!until_received(world, base + i))
			return false;
	return true;
}

/* Makes passes until one leaves nothing to a hazard: the sleeper may be in the middle of a
 * receive. */
static bool reconcile_beside_sleeper(struct crash_world *world)
{
	struct km_reconcile_result result;

	for (int i = 0; i < 10000; i++) {
		if (!crash_reconcile(world, KM_REPAIR_ALL, &result))
			return false;
		if (result.health.left_by_hazard == 0)
			return true;
	}
	return crash_fail("no pass is complete");
}

static bool dismiss(struct crash_world *world, pid_t *sleeper)
{
	const uint32_t by = crash_other();
	int status;

	__atomic_store_n(&world->last_sequence, world->sent[by] + 1, __ATOMIC_RELEASE);
	if (!crash_send(world, by))
		return false;
	for (int64_t end = now_s() + PATIENCE_S; waitpid(*sleeper, &status, WNOHANG) == 0; nap())
		if (now_s() > end)
			return crash_fail("the last message doesn't wake the sleeper");
	*sleeper = -1;
	return (WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
	       crash_fail("the sleeper ended with status %#x", status);
}

/* Ends the sleeper and counts everything. At least `victims_min` of the victim's messages were
 * sent. */
static bool judge_end(struct crash_world *world, pid_t *sleeper, uint32_t victims_min)
{
	if (!dismiss(world, sleeper))
		return false;
	return crash_reconcile_all(world) && crash_settle(world, KM_ROLE_NONE) &&
	       crash_audit(world, KM_ROLE_NONE) &&
	       crash_balance(world, KM_ROLE_NONE, victims_min, 1) &&
	       crash_count_pool(world, CRASH_POOL);
}

/* Judges a world whose victim is dead. */
static bool judge_killed(struct crash_world *world, pid_t *sleeper)
{
	world->publisher_state[0] = KM_ENDPOINT_DEAD;
	uint64_t committed = crash_frontier(world, SLEEPER) - world->frontier[SLEEPER];

	if (!reconcile_beside_sleeper(world))
		return false;
	crash_pass_privilege_on(world);
	return until_received(world, committed) && wake_by_others(world, *sleeper, committed) &&
	       judge_end(world, sleeper, 0);
}

/* Sends the others' messages. The sleeper's ring may overflow when the sleeper isn't fast
 * enough. */
static bool flow_beside_sleeper(struct crash_world *world)
{
	world->readers[SLEEPER].elsewhere = true;
	bool good = crash_settle(world, KM_ROLE_PUBLISHER) &&
		    crash_flow(world, KM_ROLE_PUBLISHER, FROZEN_MESSAGES);
	world->readers[SLEEPER].elsewhere = false;
	return good;
}

static bool finish(pid_t *victim)
{
	if (!crash_finish(*victim))
		return crash_fail("the spared victim didn't get to its end");
	*victim = -1;
	return true;
}

/* Judges a victim that stands still beside a repair, where only the victim can wake the sleeper. */
static bool judge_frozen_sole(struct crash_world *world, pid_t *sleeper, pid_t *victim)
{
	struct km_reconcile_result result;

	return crash_reconcile(world, KM_REPAIR_ALL, &result) && finish(victim) &&
	       until_received(world, 1) && wake_by_others(world, *sleeper, 1) &&
	       judge_end(world, sleeper, 1);
}

/* Judges a victim that stands still, and then goes on. */
static bool judge_frozen(struct crash_world *world, pid_t *sleeper, pid_t *victim)
{
	uint64_t committed = crash_frontier(world, SLEEPER) - world->frontier[SLEEPER];
	uint64_t messages = world->sent[1] + world->sent[2];
	struct km_reconcile_result result; /* the victim's hazards may keep something */

	/* the victim's own message may wait for the victim, which may stand between commit and
	 * wake */
	if (!crash_send(world, 1) || !until_received(world, committed + 1) ||
		!wake_by_others(world, *sleeper, committed + 1) || !flow_beside_sleeper(world) ||
		!crash_reconcile(world, KM_REPAIR_ALL, &result))
		return false;
	messages = world->sent[1] + world->sent[2] - messages;
	if (!until_asleep(world, *sleeper))
		return false;
	if (received(world) + kickmsg_subscriber_lost(&world->subscribers[SLEEPER]) !=
		messages + committed)
		return crash_fail("the sleeper got %lu, missed %lu of %lu", received(world),
			kickmsg_subscriber_lost(&world->subscribers[SLEEPER]),
			messages + committed);
	return finish(victim) && judge_end(world, sleeper, 1);
}

/* Walks to point `point` of the operation. False: there is no such point. */
static bool try_point(struct crash_world *world, const struct crash_op *op, const char *state,
	bool kill_it, uint64_t point)
{
	struct crash_walk walk;
	bool there = true;
	pid_t sleeper = fork();

	if (sleeper == 0)
		_exit(sleeper_main(world));
	if (sleeper < 0 || !until_asleep(world, sleeper))
		exit(1);
	crash_walk_begin(&walk, op->prepare, op->run, world);
	while (there && walk.points < point)
		there = crash_walk_step(&walk);
	snprintf(crash_where, sizeof crash_where, "%s %s, sleeper (%s), instruction %lu at %#lx",
		kill_it ? "kill" : "freeze", op->name, state, walk.points, walk.pc);
	crash_watchdog(20);
	pid_t victim = crash_walk_take(&walk);
	if (!there || kill_it) {
		crash_kill(victim);
		victim = -1;
	}
	if (there && kill_it)
		judge_killed(world, &sleeper);
	else if (there && crash_transport == CRASH_SOLE)
		judge_frozen_sole(world, &sleeper, &victim);
	else if (there)
		judge_frozen(world, &sleeper, &victim);
	if (victim > 0)
		crash_kill(victim);
	if (sleeper > 0) {
		kill(sleeper, SIGKILL);
		waitpid(sleeper, NULL, 0);
	}
	return there;
}

/* Walks with the sleeper alone, or with others whose rings are full. */
static void set_up(struct crash_world *world, bool several)
{
	crash_attach_subscriber(world, 0);
	if (several) {
		crash_attach_subscriber(world, 2);
		for (uint32_t i = 0; i < CRASH_CAPACITY; i++)
			crash_send_in_turn(world, i);
	}
	crash_attach_subscriber(world, SLEEPER);
	world->message = crash_message(world, 0);
}

int main(int argc, char **argv)
{
	const char *why = crash_cannot_step();
	uint64_t points = 0;

	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: crash-sleeper kill|freeze [shared|shared-other|sole]\n");
		return 2;
	}
	if (why) {
		printf("skipped: %s\n", why);
		return 77;
	}
	if (argc > 2)
		crash_transport = crash_transport_of(argv[2]);
	/* a sole publisher has no others to fill rings */
	for (int i = 0; i < 4; i += crash_transport == CRASH_SOLE ? 2 : 1) {
		struct crash_world *world = crash_world_new();
		const char *state = i % 2 ? "other rings full" : "alone";
		const struct crash_op *op = &crash_operations[i / 2]; /* send, loan+publish */
		uint64_t point = 0;

		set_up(world, i % 2);
		void *saved = crash_world_save(world, NULL);
		while (crash_failures < 3 &&
			try_point(world, op, state, strcmp(argv[1], "kill") == 0, point + 1)) {
			crash_world_restore(world, saved);
			point++;
		}
		printf("%-7s %-16s sleeper, %-33s %5lu points\n", argv[1], op->name, state, point);
		fflush(stdout);
		points += point;
		free(saved);
		crash_world_free(world);
	}
	printf("%lu points, %u failures\n", points, crash_failures);
	return crash_failures > 0 || points == 0;
}
