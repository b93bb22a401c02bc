/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kills, and stops, a subscriber at every instruction of arming its descriptor, and the library's
 * thread at every instruction of its loop.
 *
 *   crash-ready kill|freeze uring|thread|loop|ring|woken|set|stands|set-woken|stands-woken [shared]
 *
 * uring, thread: a receive that finds nothing arms the descriptor, by this mechanism. loop, ring: the
 * descriptor is armed, a message has come, and the library's thread begins its first look, by
 * futex_waitv(2) or by the io_uring that it has for all descriptors beyond KM_WATCH_RINGS. woken: the
 * message comes as the thread goes to sleep in its ring, and it walks from there to its next sleep. set, stands:
 * a wait set goes to sleep, by futex_waitv(2) or by waits that stand in an io_uring; with woken it walks from that
 * sleep, which a message ends, to its next.
 *
 * The kernel's part can't be put back like memory, so each point has a walker of its own.
 * kill: the dead subscriber leaves nothing, the others go on. freeze: publishers and the others go
 * on; a message that came meanwhile makes the descriptor readable once the victim goes on, and so do
 * those that come after it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "libclient/set/members.h"
#include "libclient/wait/ready.h"
#include "tests/support/crash/crash_states.h"
#include "tests/support/crash/crash_step.h"
#include "tests/support/uring.h"

enum { VICTIM = 0, WAKES = 3, PATIENCE_S = 30 };

static bool by_loop, has_ring, is_woken;
static bool in_set; /* the victim sleeps in a set */
static struct kickmsg_waitset *set;

static uint64_t received(const struct crash_world *world)
{
	return __atomic_load_n(&world->readers[VICTIM].received, __ATOMIC_ACQUIRE);
}

/* Runs in the walker. */
static void prepare(void *argument)
{
	struct crash_world *world = argument;
	struct kickmsg_subscriber *subscriber = &world->subscribers[VICTIM];
	struct km_watch *watch;

	if (km_watch_new(&watch) < 0)
		_exit(4);
	if (has_ring) {
		watch->rings = KM_WATCH_RINGS;
		watch->mechanism = KICKMSG_WAIT_URING;
	}
	if (km_ready_new(watch, km_subscriber_word(subscriber), &subscriber->ready) < 0)
		_exit(4);
	km_store(P3, relaxed, &subscriber->prepared, KM_HAS_READY);
}

static void prepare_set(void *argument)
{
	struct crash_world *world = argument;
	struct kickmsg_subscriber *subscriber = &world->subscribers[VICTIM];
	void *ready;

	if (kickmsg_waitset_new(&set) < 0 ||
		kickmsg_waitset_add_subscriber(set, subscriber, subscriber) < 0)
		_exit(4);
	set->ring_from = has_ring ? 0 : SIZE_MAX;
	/* the first sleep has made the ring, and put the waits there */
	if (kickmsg_waitset_wait(set, 1000000, &ready, 1) != -ETIMEDOUT)
		_exit(4);
}

/* Takes the message that came in. False: the loop is over. */
static bool take_in(struct crash_world *world)
{
	if (!crash_note(world, VICTIM, &world->copy))
		return false;
	if (world->copy.publisher != 1 ||
		world->copy.sequence != __atomic_load_n(&world->last_sequence, __ATOMIC_ACQUIRE))
		return true;
	world->result = 0;
	return false;
}

/* Waits by the set until the last message has come. */
static CRASH_OP void wait_by_set(void *argument)
{
	struct crash_world *world = argument;
	struct kickmsg_subscriber *subscriber = &world->subscribers[VICTIM];
	void *ready;

	for (;;) {
		world->result = kickmsg_waitset_wait(
			set, PATIENCE_S * INT64_C(1000000000), &ready, 1);
		if (world->result != 1)
			return;
		world->result = kickmsg_try_receive_copy(
			subscriber, &world->copy, sizeof world->copy);
		if (world->result == -EAGAIN)
			continue;
		if (world->result != (ssize_t)sizeof world->copy || !take_in(world))
			return;
	}
}

/* Arms the descriptor, then does as a loop does until the last message has come. */
static CRASH_OP void arm_and_poll(void *argument)
{
	struct crash_world *world = argument;
	struct kickmsg_subscriber *subscriber = &world->subscribers[VICTIM];
	struct pollfd polled = { .fd = subscriber->ready->watched.fd, .events = POLLIN };

	world->result = kickmsg_try_receive_copy(subscriber, &world->copy, sizeof world->copy);
	crash_trap_here();
	for (;;) {
		if (world->result == (ssize_t)sizeof world->copy) {
			if (!take_in(world))
				return;
		} else if (world->result != -EAGAIN) {
			return;
		} else if (poll(&polled, 1, PATIENCE_S * 1000) == 0) {
			world->result = -ETIMEDOUT;
			return;
		}
		world->result = kickmsg_try_receive_copy(
			subscriber, &world->copy, sizeof world->copy);
	}
}

static bool until_received(const struct crash_world *world, uint64_t count)
{
	int64_t end = km_clock_ns() + PATIENCE_S * INT64_C(1000000000);

	while (received(world) < count) {
		if (km_clock_ns() > end)
			return crash_fail(
				"a lost readiness: the subscriber has %lu of %lu messages",
				received(world), count);
		nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
	}
	return true;
}

/* The victim goes on, with `waits` messages in its ring. */
static bool judge_going_on(struct crash_world *world, const struct crash_walk *walk, uint64_t waits)
{
	pid_t stopped = by_loop ? walk->thread : walk->pid;

	/* a victim that arms goes on to the end of that first */
	if (!by_loop && !in_set && !crash_run_on(stopped))
		return crash_fail("the spared victim didn't get to its end");
	if (ptrace(PTRACE_CONT, stopped, 0, 0) < 0)
		return crash_fail("it can't go on");
	if (!until_received(world, waits))
		return false;
	for (uint64_t i = 1; i <= WAKES; i++)
		if (!crash_send(world, 2) || !until_received(world, waits + i))
			return false;
	__atomic_store_n(&world->last_sequence, world->sent[1] + 1, __ATOMIC_RELEASE);
	if (!crash_send(world, 1))
		return false;
	int status;
	while (waitpid(walk->pid, &status, __WALL) < 0)
		if (errno != EINTR)
			return crash_fail("waitpid");
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP || world->result != 0)
		return crash_fail("the loop ended with %zd, status %#x", world->result, status);
	uint64_t lost = kickmsg_subscriber_lost(&world->subscribers[VICTIM]);
	uint64_t all = crash_frontier(world, VICTIM) - world->readers[VICTIM].start;
	if (received(world) + lost != all)
		return crash_fail("it got %lu and lost %lu of %lu", received(world), lost, all);
	return true;
}

/* Judges a victim that stands still: others go on; the repairer passes by. */
static bool judge_frozen(
	struct crash_world *world, const struct crash_walk *walk, uint64_t waits, uint32_t messages)
{
	struct km_reconcile_result result;

	/* where no message waits yet one is sent, so that its wake alone counts */
	if (waits == 0 && !crash_send(world, 1))
		return false;
	if (!crash_settle(world, KM_ROLE_SUBSCRIBER) ||
		!crash_flow(world, KM_ROLE_SUBSCRIBER, messages) ||
		!crash_reconcile(world, KM_REPAIR_ALL, &result) ||
		!crash_balance(world, KM_ROLE_SUBSCRIBER, 0, 0))
		return false;
	waits = messages == 0 ? 1 : CRASH_CAPACITY;
	return judge_going_on(world, walk, waits);
}

static long end_call(void)
{
	if (!by_loop && !in_set)
		return 0;
	return has_ring ? SYS_io_uring_enter : SYS_futex_waitv;
}

/* The process or thread that is walked. */
static pid_t walked(const struct crash_walk *walk)
{
	return by_loop ? walk->thread : walk->pid;
}

static bool take_steps(struct crash_walk *walk, pid_t pid, uint64_t point)
{
	struct crash_walk of = *walk;
	bool there = true;

	of.pid = pid;
	of.end_call = end_call();
	while (there && of.points < point)
		there = crash_walk_step(&of);
	walk->points = of.points;
	walk->pc = of.pc;
	return there;
}

static void end_thread(struct crash_walk *walk)
{
	int status;

	if (walk->thread <= 0)
		return;
	/* the leader's end is told when its threads are gone */
	kill(walk->pid, SIGKILL);
	do
		waitpid(walk->thread, &status, __WALL);
	while (WIFSTOPPED(status));
}

/* The victim goes on until it would sleep. */
static void take_to_sleep(const struct crash_walk *walk)
{
	struct crash_walk of = *walk;

	of.pid = walked(walk);
	of.end_call = end_call();

	while (crash_walk_step(&of))
		;
}

/* Leads the victim over the call that it stands before, which returns at once. */
static void pass_sleep(const struct crash_walk *walk)
{
	int status;

	if (ptrace(PTRACE_SINGLESTEP, walked(walk), 0, 0) < 0 ||
		waitpid(walked(walk), &status, __WALL) < 0 || !WIFSTOPPED(status))
		exit(1);
}

/* Walks to point `point` of the operation. False: there is no such point. */
static bool try_point(struct crash_world *world, bool kill_it, uint64_t point, uint32_t messages)
{
	static const struct crash_op op = { .name = "arming", .role = KM_ROLE_SUBSCRIBER };
	struct crash_walk walk;
	uint64_t waits = 0;

	crash_walk_begin(
		&walk, in_set ? prepare_set : prepare, in_set ? wait_by_set : arm_and_poll, world);
	if (in_set && is_woken) {
		take_to_sleep(&walk);
		if (!crash_send(world, 1))
			exit(1);
		pass_sleep(&walk);
		waits = 1;
	}
	if (walk.thread > 0 && !by_loop) {
		if (ptrace(PTRACE_DETACH, walk.thread, 0, 0) < 0)
			exit(1);
		walk.thread = 0;
	}
	if (by_loop) {
		if (!crash_run_on(walk.pid) || world->result != -EAGAIN)
			exit(1);
		if (is_woken)
			take_to_sleep(&walk);
		if (!crash_send(world, 1) || ptrace(PTRACE_CONT, walk.pid, 0, 0) < 0)
			exit(1);
		if (is_woken)
			pass_sleep(&walk);
		waits = 1;
	}
	bool there = take_steps(&walk, walked(&walk), point);
	snprintf(crash_where, sizeof crash_where, "%s, instruction %lu at %#lx, %u messages",
		kill_it ? "kill" : "freeze", walk.points, walk.pc, messages);
	crash_watchdog(20);
	if (there && !kill_it)
		judge_frozen(world, &walk, waits, messages);
	end_thread(&walk);
	crash_walk_end(&walk);
	world->subscribers[VICTIM].ready = NULL; /* the descriptor was the walker's */
	if (there && kill_it)
		crash_judge_killed(world, &op);
	return there;
}

int main(int argc, char **argv)
{
	const char *why = crash_cannot_step();
	uint64_t points = 0;

	if (argc != 3 && argc != 4) {
		fprintf(stderr,
			"usage: crash-ready kill|freeze uring|thread|loop|ring|woken|set|stands|"
			"set-woken|stands-woken [shared]\n");
		return 2;
	}
	const char *how = argv[2];
	in_set = strncmp(how, "set", 3) == 0 || strncmp(how, "stands", 6) == 0;
	is_woken = strstr(how, "woken");
	has_ring = strcmp(how, "woken") == 0 || strcmp(how, "ring") == 0 ||
		   strncmp(how, "stands", 6) == 0;
	by_loop = !in_set && (has_ring || strcmp(how, "loop") == 0);
	bool kill_it = strcmp(argv[1], "kill") == 0;
	bool by_uring = has_ring || strcmp(how, "uring") == 0;
	setenv("KICKMSG_WAIT", by_uring ? "uring" : "thread", 1);
	if (!why && by_uring && !test_has_uring())
		why = "io_uring has no futex wait here";
	if (why) {
		printf("skipped: %s\n", why);
		return 77;
	}
	if (argc > 3)
		crash_transport = crash_transport_of(argv[3]);
	struct crash_world *world = crash_world_new();
	crash_attach_subscriber(world, VICTIM);
	crash_attach_subscriber(world, 1);
	void *saved = crash_world_save(world, NULL);
	for (uint64_t point = 1; crash_failures < 3; point++) {
		bool there = try_point(world, kill_it, point, 0);

		crash_world_restore(world, saved);
		if (!there)
			break;
		points++;
		if (!kill_it)
			try_point(world, kill_it, point, 4 * CRASH_CAPACITY);
		crash_world_restore(world, saved);
	}
	printf("%s %s: %lu points, %u failures\n", argv[1], argv[2], points, crash_failures);
	free(saved);
	crash_world_free(world);
	return crash_failures > 0 || points == 0;
}
