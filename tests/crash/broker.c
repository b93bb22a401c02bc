/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker itself is killed at every step of repairing what a dead client left, and the next one
 * is started on the same region: it ends in the state that a repair without interruption ends in,
 * and the survivors' messages and all slots are there. Of a shared ring, the dead client was the
 * privileged publisher: the survivor is in the end, and who slept was woken.
 *
 * The steps go from the moment when the broker hears of the death. Until it gives the reconcile
 * lock back, a step is an instruction after which the region or the head of its state differs.
 * Until it waits for events again, the beginning and the end of a system call are steps too.
 * Between two steps only the broker's private memory changes, which dies with it. (unit-state walks
 * through the commit of the state, crash-repairer through a pass, both instruction by instruction.)
 *
 * The file is long because stepping, watching and judging the broker belong to one walk.
 */
#include <check.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/shared/bell.h"
#include "common/shared/shared.h"
#include "libclient/handle/handle.h"
#include "libclient/kickmsg.h"
#include "tests/support/broker/broker.h"
#include "tests/support/broker/manager.h"
#include "tests/support/crash/crash_step.h"
#include "tests/support/crash/registers.h"
#include "tests/support/suite.h"

enum { RING = 4, SENT = 6, LOANS = 4, POOL = 16, PATIENCE_MS = 30000, STATE_HEAD = 4096 };

static struct kickmsg_topic_config config = {
	.max_subscribers = 2,
	.ring_capacity = RING,
	.pool_size = POOL,
	.max_publishers = 2,
	.max_payload_size = 64,
	.max_loans = POOL,
	.max_borrows = 2,
};

static struct test_manager manager;
static struct kickmsg_client *client;
static struct kickmsg_publisher *publisher;
static struct kickmsg_subscriber *subscriber;
static uint64_t instructions;

/* --- the damage --- */

/* Runs in its own process: makes the topic. When it is told to, it has samples, loans and a full
 * ring, and stands in the middle of a send. */
static void be_victim(int parent)
{
	struct kickmsg_client *mine;
	struct kickmsg_publisher *pub;
	struct kickmsg_subscriber *sub;
	struct kickmsg_sample sample;
	void *loan;
	char byte;

	if (kickmsg_client_new(NULL, &mine) || kickmsg_advertise(mine, "t", &config, &pub) ||
		write(parent, "", 1) != 1 || read(parent, &byte, 1) != 1 ||
		kickmsg_subscribe(mine, "t", NULL, &sub))
		_exit(1);
	for (int i = 1; i <= SENT; i++) {
		if (kickmsg_send(pub, &i, sizeof i) != sizeof i)
			_exit(2);
		if (i <= 2 && kickmsg_try_receive(sub, &sample))
			_exit(3);
	}
	for (int i = 0; i < LOANS; i++)
		if (kickmsg_loan(pub, 1, &loan))
			_exit(4);
	/* the last message is on its way, and in no ring yet */
	struct km_region *region = &pub->handle.place.region;
	uint32_t slot = pub->handle.place.loans[LOANS - 1].slot;
	uint64_t rings = region->shared ? KM_SLOT_RING
					: atomic_load(&region->header->live) & KM_LIVE_RINGS;
	atomic_store(&pub->handle.place.record->delivering, slot);
	atomic_store(&region->slots[slot].word, rings);
	if (write(parent, "", 1) != 1)
		_exit(5);
	for (;;)
		pause();
}

static pid_t start_victim(int *ret_socket)
{
	int sockets[2];
	char byte;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		be_victim(sockets[1]);
	close(sockets[1]);
	ck_assert_int_eq(read(sockets[0], &byte, 1), 1);
	*ret_socket = sockets[0];
	return pid;
}

/* Lets the client's process do the damage. */
static void tell_victim(int socket)
{
	char byte;

	ck_assert_int_eq(write(socket, "", 1), 1);
	ck_assert_int_eq(read(socket, &byte, 1), 1);
	close(socket);
}

/* --- what outlives the broker --- */

struct lasting {
	const unsigned char *region, *state; /* both mapped */
	size_t size;
	unsigned char *region_then, *state_then;
	uint32_t bell_then;
};

/* The word of a shared ring's bell; 0 with private rings. */
static uint32_t bell_word(void)
{
	const struct km_region *region = &publisher->handle.place.region;

	return region->shared ? region->bell->word : 0;
}

static void watch(struct lasting *lasting)
{
	const struct km_region *region = &publisher->handle.place.region;
	int fd = test_manager_find(&manager, "S");

	ck_assert_int_ge(fd, 0);
	void *state = mmap(NULL, STATE_HEAD, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(state, MAP_FAILED);
	lasting->region = (const unsigned char *)region->header;
	lasting->size = region->control_size;
	lasting->state = state;
	lasting->region_then = malloc(lasting->size);
	lasting->state_then = malloc(STATE_HEAD);
	memcpy(lasting->region_then, lasting->region, lasting->size);
	memcpy(lasting->state_then, lasting->state, STATE_HEAD);
	lasting->bell_then = bell_word();
}

static bool has_changed(struct lasting *lasting)
{
	if (memcmp(lasting->region_then, lasting->region, lasting->size) == 0 &&
		memcmp(lasting->state_then, lasting->state, STATE_HEAD) == 0 &&
		lasting->bell_then == bell_word())
		return false;
	memcpy(lasting->region_then, lasting->region, lasting->size);
	memcpy(lasting->state_then, lasting->state, STATE_HEAD);
	lasting->bell_then = bell_word();
	return true;
}

static void unwatch(struct lasting *lasting)
{
	munmap((void *)(uintptr_t)lasting->state, STATE_HEAD);
	free(lasting->region_then);
	free(lasting->state_then);
}

/* --- the walk --- */

static void go_on(int request, int *signal_number)
{
	int status;

	for (;;) {
		ck_assert_int_eq(ptrace(request, manager.pid, 0, *signal_number), 0);
		ck_assert_int_eq(waitpid(manager.pid, &status, __WALL), manager.pid);
		ck_assert_msg(WIFSTOPPED(status), "the broker ended with %#x", (unsigned)status);
		*signal_number = 0;
		if ((WSTOPSIG(status) & ~0x80) == SIGTRAP)
			return;
		*signal_number = WSTOPSIG(status);
	}
}

/* The number of the system call that the broker is about to make, or -1. */
static long look_ahead(struct user_regs_struct *ret_regs)
{
	struct iovec vec = { ret_regs, sizeof *ret_regs };

	ck_assert_int_eq(ptrace(PTRACE_GETREGSET, manager.pid, NT_PRSTATUS, &vec), 0);
	errno = 0;
	long code = ptrace(PTRACE_PEEKTEXT, manager.pid, PC(*ret_regs), 0);
	ck_assert_int_eq(errno, 0);
	return (code & SYSCALL_MASK) == SYSCALL_CODE ? (long)NUMBER(*ret_regs) : -1;
}

static bool is_wait(long number)
{
#ifdef SYS_epoll_wait
	if (number == SYS_epoll_wait)
		return true;
#endif
	return number == SYS_epoll_pwait || number == SYS_epoll_pwait2;
}

/* Does this call give the reconcile lock back? */
static bool is_unlock(long number, uint64_t fd, uint64_t operation)
{
	char path[64], target[128] = "";

	if (number != SYS_flock || operation != LOCK_UN)
		return false;
	snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)manager.pid, (int)fd);
	return readlink(path, target, sizeof target - 1) > 0 &&
	       strstr(target, "kickmsgd-reconcile");
}

/* Goes to the `point`th instruction after which something that lasts differs. False: the lock
 * was given back before. */
static bool walk_by_instructions(struct lasting *lasting, unsigned point)
{
	struct user_regs_struct regs;
	int signal_number = 0;

	for (instructions = 0; point > 0; instructions++) {
		if (is_unlock(look_ahead(&regs), ARGUMENT_0(regs), ARGUMENT_1(regs)))
			return false;
		go_on(PTRACE_SINGLESTEP, &signal_number);
		point -= has_changed(lasting);
	}
	return true;
}

/* Goes to the `point`th beginning or end of a system call. False: the repair was over, and the
 * broker waits for events. */
static bool walk_by_calls(struct lasting *unused, unsigned point)
{
	struct __ptrace_syscall_info info;
	bool unlocked = false;
	int signal_number = 0;

	for (; point > 0; point--) {
		go_on(PTRACE_SYSCALL, &signal_number);
		ck_assert_int_gt(
			ptrace(PTRACE_GET_SYSCALL_INFO, manager.pid, sizeof info, &info), 0);
		if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
			continue;
		if (unlocked && is_wait((long)info.entry.nr))
			return false;
		unlocked |= is_unlock((long)info.entry.nr, info.entry.args[0], info.entry.args[1]);
	}
	return true;
}

/* --- the end --- */

static bool is_healed(void)
{
	const struct km_region *region = &publisher->handle.place.region;
	/* a shared ring's messages lie in its cells, so no slot is in flight */
	const uint32_t in_flight = region->shared ? 0 : RING;
	struct kickmsg_topic_ref ref = { .name = "t" };
	struct kickmsg_topic_diagnosis health;

	ck_assert_int_eq(kickmsg_topic_diagnose(client, &ref, &health), 0);
	return !health.slots_orphaned && !health.slots_stale && !health.rings_undrained &&
	       !health.dead && !health.leaving && health.publishers == 1 &&
	       health.subscribers == 1 && health.slots_free == POOL - in_flight &&
	       (!region->shared || region->header->privileged == publisher->handle.place.id);
}

/* The region's bytes but its head, which says when it was made, and but the counts of wake-ups. */
static unsigned char *copy_region(size_t *ret_size)
{
	const struct km_region *region = &publisher->handle.place.region;
	unsigned char *copy = malloc(region->control_size);
	size_t head = sizeof *region->header;

	memcpy(copy, region->header, region->control_size);
	for (uint32_t i = 0; i < region->ring_count; i++) {
		size_t at = (size_t)((unsigned char *)&km_region_ring(region, i)->waiting -
				     (unsigned char *)region->header);

		memset(copy + at, 0, sizeof(uint32_t));
	}
	memset(copy, 0, offsetof(struct km_control_header, live));
	/* an endpoint that goes as its broker is killed may be counted twice
	 * (daemon/serve/notice.h) */
	memset(copy + offsetof(struct km_control_header, changes), 0,
		head - offsetof(struct km_control_header, changes));
	ck_assert_uint_gt(region->control_size, head);
	*ret_size = region->control_size;
	return copy;
}

/* The victim's messages are there but for those that were pushed out. All slots are free or in
 * rings, and a successor finds a place. */
static void check_end(void)
{
	struct kickmsg_subscriber *successor;
	void *loans[POOL];
	int value;

	for (int i = SENT - RING + 1; i <= SENT; i++) {
		ck_assert_int_eq(
			kickmsg_try_receive_copy(subscriber, &value, sizeof value), sizeof value);
		ck_assert_int_eq(value, i);
	}
	ck_assert_int_eq(kickmsg_try_receive_copy(subscriber, &value, sizeof value), -EAGAIN);
	ck_assert_uint_eq(kickmsg_subscriber_lost(subscriber), SENT - RING);
	for (int i = 0; i < POOL; i++)
		ck_assert_int_eq(kickmsg_loan(publisher, 1, &loans[i]), 0);
	for (int i = 0; i < POOL; i++)
		ck_assert_int_eq(kickmsg_discard(publisher, loans[i]), 0);
	ck_assert_int_eq(kickmsg_subscribe(client, "t", NULL, &successor), 0);
	ck_assert_int_eq(kickmsg_send(publisher, "new", 4), 4);
	ck_assert_int_eq(kickmsg_try_receive_copy(successor, &value, sizeof value), 4);
	ck_assert_int_eq(kickmsg_try_receive_copy(subscriber, &value, sizeof value), 4);
	kickmsg_subscriber_free(successor);
}

typedef bool (*walk_fn)(struct lasting *lasting, unsigned point);

/* Damages a fresh region, and kills the broker at the point if there is a walk. False: the
 * repair was over before. A null *end becomes the region as it is then; else the region must
 * equal *end. */
static bool try_point(walk_fn walk, unsigned point, unsigned char **end)
{
	struct lasting lasting;
	uint32_t announced = 0;
	bool there = true;
	int status, socket;
	size_t size;

	pid_t victim = start_victim(&socket);
	ck_assert_int_eq(kickmsg_advertise(client, "t", &config, &publisher), 0);
	ck_assert_int_eq(kickmsg_subscribe(client, "t", NULL, &subscriber), 0);
	tell_victim(socket);
	if (publisher->handle.place.region.shared)
		announced = km_bell_announce(publisher->handle.place.region.bell);
	if (walk) {
		ck_assert_int_eq(ptrace(PTRACE_SEIZE, manager.pid, 0, PTRACE_O_TRACESYSGOOD), 0);
		ck_assert_int_eq(ptrace(PTRACE_INTERRUPT, manager.pid, 0, 0), 0);
		ck_assert_int_eq(waitpid(manager.pid, &status, __WALL), manager.pid);
	}
	kill(victim, SIGKILL);
	ck_assert_int_eq(waitpid(victim, NULL, 0), victim);
	if (walk) {
		watch(&lasting);
		there = walk(&lasting, point);
		unwatch(&lasting);
		test_manager_kill(&manager, SIGKILL);
		test_manager_resume(&manager);
	}
	ck_assert_msg(test_wait_until(is_healed(), PATIENCE_MS), "point %u: not healed", point);
	ck_assert_msg(!announced || bell_word() != announced, "point %u: nobody was woken", point);
	unsigned char *copy = copy_region(&size);
	if (*end) {
		ck_assert_msg(memcmp(*end, copy, size) == 0, "point %u: another end", point);
		free(copy);
	} else {
		*end = copy;
	}
	check_end();
	kickmsg_publisher_free(publisher);
	kickmsg_subscriber_free(subscriber);
	return there;
}

/* The test's index is the topic's transport. */
START_TEST(broker_killed_at_each_step_of_a_repair_same_end)
{
	unsigned char *end = NULL;
	unsigned changes = 0, calls = 0;
	const char *of = _i ? "a shared ring: " : "";

	config.transport = (uint32_t)_i;
	/* the broker's tick doesn't take the lock before the death does */
	test_manager_start(&manager, "[recovery]\ninterval = 60000\n");
	ck_assert_int_eq(kickmsg_client_new(NULL, &client), 0);
	try_point(NULL, 0, &end);
	while (try_point(walk_by_instructions, changes, &end))
		changes++;
	printf("%skilled at each of %u changes in the %lu instructions of a repair\n", of,
		changes - 1, instructions);
	while (try_point(walk_by_calls, calls, &end))
		calls++;
	printf("%skilled at each of %u points before and after its system calls\n", of, calls - 1);
	kickmsg_client_free(client);
	ck_assert(test_wait_until(test_manager_is_empty(&manager), PATIENCE_MS));
	ck_assert(!test_manager_logged(&manager, "quarantined"));
	ck_assert(!test_manager_logged(&manager, "kept too little"));
	ck_assert_int_eq(test_manager_stop(&manager), 0);
	free(end);
	ck_assert_uint_gt(changes, 5);
	ck_assert_uint_gt(calls, 10);
}
END_TEST

int main(void)
{
	const char *why = crash_cannot_step();
	Suite *suite = suite_create("crash-broker");
	TCase *tcase = tcase_create("crash-broker");

	if (why) {
		printf("skipped: %s\n", why);
		return 77;
	}
	tcase_set_timeout(tcase, 300);
	tcase_add_loop_test(tcase, broker_killed_at_each_step_of_a_repair_same_end,
		KICKMSG_TRANSPORT_RINGS, KICKMSG_TRANSPORT_SHARED + 1);
	suite_add_tcase(suite, tcase);
	return test_suite_run(suite);
}
