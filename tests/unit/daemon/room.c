/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory there is, by files that say so: machine, control groups of both versions, their
 * parents, and what changes between two looks. */
#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/run/room.h"
#include "tests/support/broker/fixture.h"

#define MIB (UINT64_C(1) << 20)

static char root[64];
static struct km_room room;

static void setup(void)
{
	strcpy(root, "/tmp/kickmsg-room-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void teardown(void)
{
	nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Writes root/path, and the folders that it is in. */
__attribute__((format(printf, 2, 3))) static void put(const char *path, const char *format, ...)
{
	char whole[256];
	va_list args;

	snprintf(whole, sizeof whole, "%s/%s", root, path);
	for (char *slash = whole + strlen(root); (slash = strchr(slash + 1, '/'));) {
		*slash = '\0';
		ck_assert(mkdir(whole, 0755) == 0 || errno == EEXIST);
		*slash = '/';
	}
	FILE *file = fopen(whole, "we");
	ck_assert_ptr_nonnull(file);
	va_start(args, format);
	vfprintf(file, format, args);
	va_end(args);
	fclose(file);
}

static void put_machine(unsigned total_mib, unsigned available_mib)
{
	put("proc/meminfo", "MemTotal:  %u kB\nMemFree: 1 kB\nMemAvailable:  %u kB\n",
		total_mib * 1024, available_mib * 1024);
}

static void expect(uint64_t total_mib, uint64_t left_mib, const char *what)
{
	km_room_look(root, &room);
	ck_assert_uint_eq(room.total, total_mib * MIB);
	ck_assert_uint_eq(room.left, left_mib * MIB);
	ck_assert_msg(strstr(room.what, what), "%s", room.what);
}

START_TEST(look_nothing_readable_no_limit)
{
	km_room_look(root, &room);
	ck_assert_uint_eq(room.total, UINT64_MAX);
	ck_assert_uint_eq(room.left, UINT64_MAX);
}
END_TEST

START_TEST(look_machine_alone)
{
	put_machine(1000, 700);
	expect(1000, 700, "the machine");
	put("proc/self/cgroup", "0::/user.slice\n");
	expect(1000, 700, "the machine");
}
END_TEST

START_TEST(look_version_2_least_of_group_and_parents)
{
	put_machine(1000, 700);
	put("proc/self/cgroup", "0::/system.slice/kickmsgd.service\n");
	put("sys/fs/cgroup/system.slice/kickmsgd.service/memory.max", "max\n");
	put("sys/fs/cgroup/system.slice/kickmsgd.service/memory.current", "%u\n", 1u << 20);
	expect(1000, 700, "the machine");
	put("sys/fs/cgroup/system.slice/memory.max", "%u\n", 64u << 20);
	put("sys/fs/cgroup/system.slice/memory.current", "%u\n", 24u << 20);
	expect(64, 40, "/sys/fs/cgroup/system.slice");
	/* what the kernel drops first is no use */
	put("sys/fs/cgroup/system.slice/memory.stat", "anon 5\ninactive_file %u\n", 4u << 20);
	expect(64, 44, "system.slice");
	/* the limit changes while the broker runs */
	put("sys/fs/cgroup/system.slice/kickmsgd.service/memory.max", "%u\n", 8u << 20);
	expect(8, 7, "kickmsgd.service");
	put("sys/fs/cgroup/system.slice/kickmsgd.service/memory.current", "%u\n", 9u << 20);
	expect(8, 0, "kickmsgd.service");
	put("sys/fs/cgroup/system.slice/kickmsgd.service/memory.max", "max\n");
	put("sys/fs/cgroup/system.slice/memory.max", "max\n");
	expect(1000, 700, "the machine");
}
END_TEST

START_TEST(look_version_1_by_its_controller)
{
	put_machine(1000, 700);
	put("proc/self/cgroup", "5:cpu,cpuacct:/elsewhere\n4:memory:/a/b\n0::/c\n");
	put("sys/fs/cgroup/memory/elsewhere/memory.limit_in_bytes", "%u\n", 1u << 20);
	put("sys/fs/cgroup/memory/elsewhere/memory.usage_in_bytes", "0\n");
	put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
	put("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "0\n");
	put("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "%u\n", 50u << 20);
	put("sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", "%u\n", 20u << 20);
	put("sys/fs/cgroup/memory/a/b/memory.stat", "inactive_file 1\ntotal_inactive_file %u\n",
		10u << 20);
	expect(50, 40, "memory/a/b");
	/* beside it version 2, where both are mounted */
	put("sys/fs/cgroup/unified/c/memory.max", "%u\n", 30u << 20);
	put("sys/fs/cgroup/unified/c/memory.current", "%u\n", 1u << 20);
	expect(30, 29, "unified/c");
}
END_TEST

/* In a container the group's own path isn't there, and the mount's root is the group. */
START_TEST(look_container_root_of_the_mount)
{
	put_machine(1000, 700);
	put("proc/self/cgroup", "3:memory:/docker/0123\n");
	put("sys/fs/cgroup/memory/memory.limit_in_bytes", "%u\n", 64u << 20);
	put("sys/fs/cgroup/memory/memory.usage_in_bytes", "%u\n", 4u << 20);
	expect(64, 60, "/sys/fs/cgroup/memory");
}
END_TEST

/* The test takes this machine as it is. */
START_TEST(check_more_than_there_is_enomem)
{
	char text[256] = "";

	ck_assert_int_eq(km_room_check(UINT64_C(1) << 50, text, sizeof text), -ENOMEM);
	ck_assert_msg(strstr(text, "1125899906842624 bytes are needed, "), "%s", text);
	ck_assert_int_eq(km_room_check(4096, text, sizeof text), 0);
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("room");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, look_nothing_readable_no_limit);
	tcase_add_test(tc, look_machine_alone);
	tcase_add_test(tc, look_version_2_least_of_group_and_parents);
	tcase_add_test(tc, look_version_1_by_its_controller);
	tcase_add_test(tc, look_container_root_of_the_mount);
	tcase_add_test(tc, check_more_than_there_is_enomem);
	return fixture_run("room", tc);
}
