/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container may refuse system calls (seccomp). A receive that can't sleep by futex(2) naps and
 * looks; one that can't nap yields. It ends when it should, gets what comes, and leaves errno alone.
 * A call that never ends is a test that times out.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/shared/bell.h"
#include "libclient/handle/handle.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/fixture.h"
#include "tests/support/refuse.h"

#define CAPACITY 4u
#define MS       INT64_C(1000000)
#define SKIPPED  77 /* exit status of a child: no filters here */

static struct fixture_region f;
static struct kickmsg_publisher pub;
static struct kickmsg_subscriber sub;
static struct km_endpoint *records[2];
static struct km_bell *bell;

static void setup(bool shared, bool observes)
{
	struct km_geometry geometry = fixture_geometry(CAPACITY, 16);

	geometry.transport = shared ? KM_TRANSPORT_SHARED : KM_TRANSPORT_RINGS;
	fixture_region_init(&f, &geometry);
	bell = mmap(NULL, KM_BELL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(bell != MAP_FAILED);
	f.region.bell = shared ? bell : NULL;
	f.region.header->live = KM_LIVE_OPENING | !shared;
	f.region.header->privileged = 1;
	pub.handle.place.region = sub.handle.place.region = f.region;
	if (observes)
		sub.handle.place.region.bell = NULL;
	records[0] = fixture_endpoint(KM_ROLE_PUBLISHER, 1, 0, 0);
	records[1] = fixture_endpoint(KM_ROLE_SUBSCRIBER, 0, 0, km_geometry_held_count(&geometry));
	ck_assert_int_eq(km_place_publish(&pub.handle.place, records[0], 1), 0);
	ck_assert_int_eq(km_place_subscribe(&sub.handle.place, records[1], 0, CAPACITY), 0);
}

static void teardown(void)
{
	km_place_end(&pub.handle.place);
	km_place_end(&sub.handle.place);
	free(records[0]);
	free(records[1]);
	munmap(bell, KM_BELL_SIZE);
	fixture_region_deinit(&f);
}

/* In this process, from now on. */
static void refuse(bool naps_too)
{
	if ((naps_too && !test_refuse(SYS_clock_nanosleep, ENOSYS)) ||
		!test_refuse(SYS_futex, EPERM))
		_exit(SKIPPED);
}

static long times_asleep(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_nvcsw;
}

/* Nothing comes, then one message is there, and errno is the caller's. */
static int receive_refused(bool naps_too)
{
	char buf[64];

	refuse(naps_too);
	errno = EXDEV;
	int64_t began_ns = km_clock_ns();
	long slept = times_asleep();
	if (kickmsg_receive_copy(&sub, buf, sizeof buf, 20 * MS) != -ETIMEDOUT)
		return 1;
	if (km_clock_ns() - began_ns < 20 * MS)
		return 2;
	if (!naps_too && times_asleep() == slept)
		return 6;
	if (kickmsg_send(&pub, "hello", 5) != 5)
		return 3;
	if (kickmsg_receive_copy(&sub, buf, sizeof buf, -1) != 5)
		return 4;
	return errno == EXDEV ? 0 : 5;
}

static void check_child(pid_t pid)
{
	int status = fixture_reap(pid);

	ck_assert_msg(WIFEXITED(status), "status %x", status);
	if (WEXITSTATUS(status) == SKIPPED)
		return;
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}

/* Bits: a shared ring, an observer of it, naps are refused as well. */
START_TEST(receive_refused_futex_ends)
{
	if (_i & 2 && !(_i & 1))
		return;
	setup(_i & 1, _i & 2);
	pid_t pid = fork();
	if (pid == 0)
		_exit(receive_refused(_i & 4));
	check_child(pid);
	teardown();
}
END_TEST

/* The publisher may not wake anybody: its subscriber, in another process, looks for itself. */
START_TEST(send_refused_wake_subscriber_looks)
{
	char buf[64];

	if (test_skip_emulated("send_refused_wake_subscriber_looks",
		    "system calls that fail when told to (seccomp)"))
		return;
	setup(_i, false);
	pid_t sleeper = fork();
	if (sleeper == 0)
		_exit(kickmsg_receive_copy(&sub, buf, sizeof buf, -1) == 5 ? 0 : 1);
	bool asleep = fixture_wait_futex(sleeper);
	pid_t pid = fork();
	if (pid == 0) {
		refuse(false);
		_exit(kickmsg_send(&pub, "hello", 5) == 5 ? 0 : 1);
	}
	check_child(pid);
	check_child(sleeper);
	ck_assert(asleep);
	teardown();
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("refused");

	tcase_add_loop_test(tc, receive_refused_futex_ends, 0, 8);
	tcase_add_loop_test(tc, send_refused_wake_subscriber_looks, 0, 2);
	return fixture_run("refused", tc);
}
