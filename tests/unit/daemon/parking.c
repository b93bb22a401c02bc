/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that wait in a socket. Entries come and go, and each entry that is needed is there
 * once for the next broker, with its own descriptors. This holds also when the broker was killed at
 * any system call of a pass. Descriptors of the gone are let go of. A limit is met before anything
 * is done.
 *
 * The file is long because the books of what must be found again serve all cases.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/keep/parking.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/suite.h"

#define MOST 1000

static struct km_parking parking;
static int in, out; /* as the manager has them */

static void setup(void)
{
	ck_assert_int_eq(km_parking_new(&parking), 0);
	in = dup(parking.in);
	out = dup(parking.out);
}

static void teardown(void)
{
	km_parking_deinit(&parking);
	close(in);
	close(out);
}

/* A memfd that says whose it is. */
static int marked(uint64_t id, unsigned index)
{
	uint64_t mark = id << 2 | index;
	int fd = memfd_create("parked", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, &mark, sizeof mark, 0), sizeof mark);
	return fd;
}

/* Topics of an even number have three descriptors, others two. */
static struct km_parked entry(uint64_t id)
{
	return (struct km_parked){ KM_PARKED_TOPIC, id, 0, id % 2 ? 2 : 3 };
}

static int put(uint64_t id)
{
	struct km_parked parked = entry(id);
	int fds[KM_PARKED_FDS];

	for (unsigned i = 0; i < parked.fd_count; i++)
		fds[i] = marked(id, i);
	int r = km_parking_put(&parking, &parked, fds);
	for (unsigned i = 0; i < parked.fd_count; i++)
		close(fds[i]);
	return r;
}

static void drop(uint64_t id)
{
	struct km_parked parked = entry(id);

	km_parking_drop(&parking, &parked);
}

static void tidy(void)
{
	for (unsigned steps = 0; km_parking_tidy(&parking); steps++)
		ck_assert_uint_lt(steps, 1000);
}

static unsigned seen[MOST];

static void take(const struct km_parked *parked, unsigned index, int fd, void *userdata)
{
	uint64_t mark = 0;

	ck_assert_int_eq(parked->kind, KM_PARKED_TOPIC);
	ck_assert_uint_lt(parked->id, MOST);
	ck_assert_int_eq(pread(fd, &mark, sizeof mark, 0), sizeof mark);
	ck_assert_uint_eq(mark, parked->id << 2 | index);
	ck_assert_uint_eq(seen[parked->id], index);
	seen[parked->id]++;
	close(fd);
}

/* Opens the parking as the next broker does. The parking is its from then on; nothing is
 * claimed. */
static int open_again(void)
{
	km_parking_deinit(&parking);
	memset(seen, 0, sizeof seen);
	return km_parking_open(&parking, dup(in), dup(out), take, NULL);
}

static void expect_there(uint64_t id)
{
	struct km_parked parked = entry(id);

	ck_assert_msg(
		seen[id] == parked.fd_count, "entry %u: %u descriptors", (unsigned)id, seen[id]);
	ck_assert(!km_parking_is_claimed(&parking, &parked));
	km_parking_claim(&parking, &parked);
	ck_assert(km_parking_is_claimed(&parking, &parked));
}

START_TEST(parking_opened_again_has_what_is_needed)
{
	for (uint64_t id = 0; id < MOST; id++) {
		ck_assert_int_eq(put(id), 0);
		km_parking_tidy(&parking);
	}
	for (uint64_t id = 0; id < MOST; id += 3)
		drop(id);
	ck_assert_uint_eq(parking.needed.count, MOST - (MOST + 2) / 3);
	/* what was dropped may come again, but what is claimed stays alone */
	for (unsigned round = 0; round < 3; round++) {
		ck_assert_int_eq(open_again(), 0);
		for (uint64_t id = 0; id < MOST; id++)
			if (id % 3)
				expect_there(id);
		km_parking_drop_unclaimed(&parking);
		ck_assert_uint_eq(parking.needed.count, MOST - (MOST + 2) / 3);
		tidy();
	}
	for (uint64_t id = 0; id < MOST; id++)
		drop(id);
	tidy();
	ck_assert_uint_eq(parking.entries, 0);
	ck_assert_uint_eq(parking.fds, 0);
	ck_assert_uint_eq(parking.first, parking.next);
	ck_assert_int_eq(open_again(), 0);
	ck_assert_uint_eq(parking.next, 0);
}
END_TEST

/* However many come and go, the queue stays as long as what is needed asks for, and a call makes a
 * bounded number of steps. */
START_TEST(parking_churn_stays_short)
{
	enum { STAY = 200 };

	for (uint64_t id = 0; id < STAY; id++)
		ck_assert_int_eq(put(id), 0);
	for (unsigned round = 0; round < 3000; round++) {
		uint64_t id = STAY + round % 100;

		ck_assert_int_eq(put(id), 0);
		drop(id);
		km_parking_tidy(&parking);
		ck_assert_uint_le(parking.entries, STAY + STAY / 2 + 100);
		ck_assert_uint_le(parking.next - parking.first, 150);
	}
	tidy();
	ck_assert_int_eq(open_again(), 0);
	for (uint64_t id = 0; id < STAY; id++)
		expect_there(id);
}
END_TEST

/* The other end of a pipe hears when the last copy of this one is gone. */
START_TEST(parking_what_is_gone_is_let_go_of)
{
	struct km_parked pipe_entry = { KM_PARKED_SESSION, 1, 0, 1 };
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	struct pollfd heard = { ends[0], POLLIN, 0 };
	ck_assert_int_eq(put(1), 0);
	ck_assert_int_eq(km_parking_put(&parking, &pipe_entry, &ends[1]), 0);
	close(ends[1]);
	/* others make passes go over it */
	for (uint64_t id = 2; id < 200; id++) {
		ck_assert_int_eq(put(id), 0);
		drop(id);
		tidy();
	}
	ck_assert_int_eq(poll(&heard, 1, 0), 0);
	km_parking_drop(&parking, &pipe_entry);
	for (uint64_t id = 2; id < 60; id++) {
		ck_assert_int_eq(put(id), 0);
		drop(id);
		tidy();
	}
	ck_assert_int_eq(poll(&heard, 1, 0), 1);
	close(ends[0]);
}
END_TEST

/* The parking has entries that an earlier broker left and that nobody claims, since their clients
 * are gone. They are let go of at once, however few they are. */
START_TEST(parking_what_nobody_claims_is_let_go_of_at_once)
{
	for (uint64_t id = 0; id < 40; id++)
		ck_assert_int_eq(put(id), 0);
	ck_assert_int_eq(open_again(), 0);
	for (uint64_t id = 2; id < 40; id++)
		expect_there(id);
	km_parking_drop_unclaimed(&parking);
	ck_assert_uint_eq(parking.needed.count, 38);
	tidy();
	ck_assert_uint_eq(parking.entries, 38);
	ck_assert_uint_eq(parking.fds, parking.needed.fds);
	ck_assert_int_eq(open_again(), 0);
	for (uint64_t id = 2; id < 40; id++)
		expect_there(id);
}
END_TEST

/* A broker may end after it put an entry into the parking and before it wrote that down. The next
 * broker then gives the entry's number to something else. */
START_TEST(parking_the_last_of_one_number_counts)
{
	struct km_parked parked = { KM_PARKED_TOPIC, 7, 0, 2 };
	int wrong[2] = { marked(1, 0), marked(1, 1) };

	ck_assert_int_eq(km_parking_put(&parking, &parked, wrong), 0);
	close(wrong[0]);
	close(wrong[1]);
	memset(seen, 0, sizeof seen);
	km_parking_drop(&parking, &parked);
	ck_assert_int_eq(put(7), 0);
	ck_assert_int_eq(open_again(), 0);
	expect_there(7);
	ck_assert_uint_eq(parking.needed.count, 1);
	ck_assert_uint_eq(parking.entries, 2);
}
END_TEST

/* An entry that a pass left twice when it was cut short is there once after the next pass. */
START_TEST(parking_doubles_are_gone_after_a_pass)
{
	for (uint64_t id = 0; id < 100; id++)
		ck_assert_int_eq(put(id), 0);
	/* another one, which knows nothing of these */
	km_parking_deinit(&parking);
	parking = (struct km_parking){ .in = dup(in), .out = dup(out) };
	for (uint64_t id = 0; id < 100; id++)
		ck_assert_int_eq(put(id), 0);
	ck_assert_int_eq(open_again(), 0);
	ck_assert_uint_eq(parking.entries, 200);
	ck_assert_uint_eq(parking.needed.count, 100);
	tidy();
	ck_assert_uint_eq(parking.entries, 100);
	ck_assert_int_eq(open_again(), 0);
	for (uint64_t id = 0; id < 100; id++)
		expect_there(id);
}
END_TEST

/* --- killed at any system call ---------------------------------------------------------------- */

enum { NEEDED = 120 };

/* A pass over messages of one entry and of many, of which some are gone, while others come. */
static void work(void)
{
	for (uint64_t id = NEEDED; id < NEEDED + 3; id++) {
		put(id);
		km_parking_tidy(&parking);
	}
	for (unsigned steps = 0; steps < 10 && km_parking_tidy(&parking); steps++)
		;
	_exit(0);
}

/* Kills a child that works after so many stops at system calls. False: it was through before. */
static bool kill_at(unsigned stops)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		work();
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	for (; stops > 0; stops--) {
		ck_assert_int_eq(ptrace(PTRACE_SYSCALL, child, 0, 0), 0);
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		if (WIFEXITED(status))
			return false;
	}
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return true;
}

START_TEST(parking_killed_at_any_system_call_nothing_is_missing)
{
	unsigned stops = 0, doubles = 0;
	bool more = true;

	for (; more; stops += 7) { /* odd and even ones: before a call, and after it */
		setup();
		for (uint64_t id = 0; id < NEEDED; id++) {
			ck_assert_int_eq(put(id), 0);
			if (id < NEEDED / 2)
				km_parking_tidy(&parking);
		}
		for (uint64_t id = 0; id < NEEDED; id += 2)
			drop(id);
		more = kill_at(stops);
		ck_assert_int_eq(open_again(), 0);
		for (uint64_t id = 1; id < NEEDED; id += 2)
			expect_there(id);
		km_parking_drop_unclaimed(&parking);
		ck_assert_uint_eq(parking.needed.count, NEEDED / 2);
		doubles += parking.entries > NEEDED + 3;
		tidy();
		ck_assert_int_eq(open_again(), 0);
		for (uint64_t id = 1; id < NEEDED; id += 2)
			expect_there(id);
		teardown();
	}
	setup();
	ck_assert_uint_gt(stops, 500);
	ck_assert_uint_gt(doubles, 10); /* there were points between a copy and the taking */
}
END_TEST

/* --- limits ----------------------------------------------------------------------------------- */

static void limit_descriptors(rlim_t count)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = count;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Puts until no more goes in; says how many went. */
static uint64_t fill(void)
{
	uint64_t id = 0;
	int r;

	while (id < MOST - 1 && (r = put(id)) == 0)
		id++;
	ck_assert_int_eq(r, -EDQUOT);
	return id;
}

static void expect_room_again(uint64_t count)
{
	ck_assert_uint_gt(count, 10);
	for (uint64_t id = 0; id < count; id += 2)
		drop(id);
	ck_assert_int_eq(put(count), 0);
	tidy();
	for (uint64_t id = 2; id < count; id += 2) {
		ck_assert_int_eq(put(id), 0);
		km_parking_tidy(&parking); /* as after each request */
	}
	ck_assert_int_eq(open_again(), 0);
	for (uint64_t id = 1; id <= count; id++)
		expect_there(id);
}

/* The index: 0, the socket's buffer is small; 1, the limit of descriptors is. */
START_TEST(parking_full_refuses_before_and_goes_on_when_there_is_room)
{
	const char *limit;

	if (_i) {
		int size = 24 * 1024;

		ck_assert_int_eq(setsockopt(in, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
	} else {
		limit_descriptors(400);
	}
	size_t possible = km_parking_possible(&parking, &limit);
	ck_assert_str_eq(limit, _i ? "net.core.wmem_max" : "LimitNOFILE=");
	uint64_t count = fill();
	ck_assert_uint_le(parking.needed.fds, possible);
	ck_assert_uint_ge(parking.needed.fds + 3, possible);
	expect_room_again(count);
}
END_TEST

/* A pass that can't open what it looks at is given up; nothing is taken. */
START_TEST(parking_pass_without_descriptors_loses_nothing)
{
	for (uint64_t id = 0; id < 200; id++)
		ck_assert_int_eq(put(id), 0);
	for (uint64_t id = 0; id < 200; id += 2)
		drop(id);
	struct rlimit before;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	int first_free = dup(0);
	close(first_free);
	limit_descriptors((rlim_t)first_free + 5);
	for (unsigned i = 0; i < 10; i++)
		km_parking_tidy(&parking);
	limit_descriptors(before.rlim_cur);
	ck_assert_int_eq(open_again(), 0);
	for (uint64_t id = 1; id < 200; id += 2)
		expect_there(id);
	km_parking_drop_unclaimed(&parking);
	tidy();
	ck_assert_uint_le(parking.entries, 150 + 32);
}
END_TEST

static void keep_open(const struct km_parked *parked, unsigned index, int fd, void *userdata)
{
	++*(unsigned *)userdata;
}

/* A broker that may open too few has the descriptors that could be opened, and is told. */
START_TEST(parking_opened_with_too_few_descriptors_says_so)
{
	unsigned taken = 0;

	for (uint64_t id = 0; id < 200; id++)
		ck_assert_int_eq(put(id), 0);
	km_parking_deinit(&parking);
	limit_descriptors(100);
	ck_assert_int_eq(km_parking_open(&parking, dup(in), dup(out), keep_open, &taken), -EMFILE);
	ck_assert_uint_gt(taken, 50);
	ck_assert_uint_eq(parking.needed.fds, 500);
}
END_TEST

START_TEST(parking_of_what_is_no_pair_is_refused)
{
	struct km_parking other;
	int stream[2], file = memfd_create("no socket", MFD_CLOEXEC);

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
	ck_assert_int_eq(km_parking_open(&other, stream[0], stream[1], take, NULL), -EPROTO);
	ck_assert_int_eq(km_parking_open(&other, in, file, take, NULL), -EPROTO);
	ck_assert_int_eq(km_parking_open(&other, file, out, take, NULL), -EPROTO);
	close(stream[0]);
	close(stream[1]);
	close(file);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("unit-parking");
	TCase *tcase = tcase_create("unit-parking");

	if (test_skip_emulated("unit-parking", TEST_LACKS_PEEKING))
		return 77;
	tcase_set_timeout(tcase, 180);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, parking_opened_again_has_what_is_needed);
	tcase_add_test(tcase, parking_churn_stays_short);
	tcase_add_test(tcase, parking_what_is_gone_is_let_go_of);
	tcase_add_test(tcase, parking_what_nobody_claims_is_let_go_of_at_once);
	tcase_add_test(tcase, parking_the_last_of_one_number_counts);
	tcase_add_test(tcase, parking_doubles_are_gone_after_a_pass);
	tcase_add_test(tcase, parking_killed_at_any_system_call_nothing_is_missing);
	tcase_add_loop_test(
		tcase, parking_full_refuses_before_and_goes_on_when_there_is_room, 0, 2);
	tcase_add_test(tcase, parking_pass_without_descriptors_loses_nothing);
	tcase_add_test(tcase, parking_opened_with_too_few_descriptors_says_so);
	tcase_add_test(tcase, parking_of_what_is_no_pair_is_refused);
	suite_add_tcase(suite, tcase);
	return test_suite_run(suite);
}
