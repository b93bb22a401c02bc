/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments: what the kernel promises of them, asked of the kernel.
 *
 * The file is long because it is a list: one short case for each promise.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/memory/segment.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/fixture.h"

#define SIZE   (64u * 1024)
#define NOBODY 65534

static int fd, read_only;

static void setup(void)
{
	ck_assert_int_eq(km_segment_create("/unit_segment", SIZE, &fd), 0);
	ck_assert_int_eq(km_segment_reopen(fd, O_RDONLY, &read_only), 0);
}

static void teardown(void)
{
	close(fd);
	close(read_only);
}

START_TEST(create_any_sealed_private_zeroed_reserved)
{
	struct stat st;
	char path[64], target[128] = "";

	setup();
	ck_assert_int_eq(
		fcntl(fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_WRITE),
		F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(st.st_size, SIZE);
	ck_assert_int_ge(st.st_blocks * 512, SIZE); /* there, not just promised */
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	ck_assert(fcntl(read_only, F_GETFD) & FD_CLOEXEC);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ck_assert_int_gt(readlink(path, target, sizeof target - 1), 0);
	ck_assert_ptr_nonnull(strstr(target, "memfd:/unit_segment"));
	teardown();
}
END_TEST

START_TEST(create_any_resize_refused)
{
	setup();
	ck_assert(ftruncate(fd, SIZE - 4096) == -1 && errno == EPERM);
	ck_assert(ftruncate(fd, SIZE + 4096) == -1 && errno == EPERM);
	ck_assert(fallocate(fd, 0, SIZE, 4096) == -1 && errno == EPERM);
	ck_assert(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -1 && errno == EPERM);
	teardown();
}
END_TEST

START_TEST(create_bad_size_or_name_error_nothing_left)
{
	char name[300];
	int untouched = -7;

	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	ck_assert_int_eq(km_segment_create("/unit", 0, &untouched), -EINVAL);
	ck_assert_int_eq(km_segment_create(name, SIZE, &untouched), -EINVAL);
	ck_assert_int_eq(km_segment_create("/unit", UINT64_MAX, &untouched), -ENOMEM);
	ck_assert_int_eq(untouched, -7);
}
END_TEST

/* Has `pid` a descriptor of a segment for which more than `limit` bytes are reserved? */
static bool has_reserved(pid_t pid, int64_t limit)
{
	char path[64];
	struct stat st;

	for (int i = 3; i < 32; i++) {
		snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, i);
		if (stat(path, &st) == 0 && st.st_blocks * 512 > limit)
			return true;
	}
	return false;
}

/*
 * More than the machine has. The kernel reserves a memfd page by page and would rather kill
 * somebody than say no, so this must be refused before. A child tries; it is ended when it has
 * really begun.
 */
START_TEST(create_more_than_memory_enomem_before_reserving)
{
	static const uint64_t sizes[] = { UINT64_C(1) << 45, UINT64_C(1) << 50, INT64_MAX };
	int status = 0;
	bool begun = false;
	pid_t pid = fork();

	if (pid == 0) {
		int adj = open("/proc/self/oom_score_adj", O_WRONLY), segment;

		if (adj < 0 || write(adj, "1000", 4) != 4)
			_exit(9);
		_exit(km_segment_create("/unit_huge", sizes[_i], &segment) == -ENOMEM ? 0 : 1);
	}
	for (; waitpid(pid, &status, WNOHANG) == 0; usleep(100))
		if (!begun && has_reserved(pid, 64 << 20)) {
			begun = true;
			kill(pid, SIGKILL);
		}
	ck_assert_msg(!begun, "%" PRIu64 " bytes were being reserved", sizes[_i]);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* Bytes that aren't whole pages, and pieces of them: after it each page is there, and is cleared, so that
 * whoever maps it has no more to wait for (mincore(2) counts no page that is still to be cleared). */
START_TEST(reserve_pieces_each_page_cleared)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), size = 200 * page + 72;
	unsigned char *memory, there[201];
	int segment;
	void *mapped;

	ck_assert_int_eq(km_segment_begin("/unit_pieces", size, &segment), 0);
	ck_assert_int_eq(km_segment_reserve(segment, 0, 64 * page), 0);
	ck_assert_int_eq(km_segment_reserve(segment, 64 * page, page), 0);
	ck_assert_int_eq(km_segment_reserve(segment, 65 * page, size - 65 * page), 0);
	ck_assert_int_eq(km_segment_map(segment, size, PROT_READ, &mapped), 0);
	ck_assert_int_eq(mincore(mapped, size, there), 0);
	memory = mapped;
	for (uint64_t i = 0; i < 201; i++) {
		ck_assert_msg(there[i] & 1, "page %" PRIu64 " is still to be cleared", i);
		ck_assert_uint_eq(memory[i * page], 0);
	}
	km_segment_unmap(mapped, size);
	close(segment);
}
END_TEST

/* Whether the process' table of pages has it, so that touching it is no fault. */
static bool is_mapped(const unsigned char *page)
{
	const uint64_t size = (uint64_t)sysconf(_SC_PAGESIZE);
	int pages = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	ck_assert_int_ge(pages, 0);
	ck_assert_int_eq(
		pread(pages, &entry, sizeof entry, (off_t)((uintptr_t)page / size * sizeof entry)),
		sizeof entry);
	close(pages);
	return entry >> 63;
}

START_TEST(map_resident_up_to_the_limit_each_page_mapped)
{
	static const uint64_t sizes[] = { SIZE, KM_SEGMENT_RESIDENT, KM_SEGMENT_RESIDENT + 4096 };
	static const int access[] = { PROT_READ | PROT_WRITE, PROT_READ };

	if (test_is_emulated()) {
		puts("skipped: an emulator's table of pages isn't the program's");
		return;
	}
	for (size_t i = 0; i < 3; i++) {
		/* each page where each is to be mapped */
		const uint64_t step = sizes[i] <= KM_SEGMENT_RESIDENT ? KM_PAGE_SIZE
								      : sizes[i] / 16;
		int segment;

		ck_assert_int_eq(km_segment_create("/unit_resident", sizes[i], &segment), 0);
		for (size_t a = 0; a < 2; a++) {
			void *memory;

			ck_assert_int_eq(
				km_segment_map_resident(segment, sizes[i], access[a], &memory), 0);
			for (uint64_t at = 0; at < sizes[i]; at += step)
				ck_assert_int_eq(is_mapped((unsigned char *)memory + at),
					sizes[i] <= KM_SEGMENT_RESIDENT);
			km_segment_unmap(memory, sizes[i]);
		}
		close(segment);
	}
}
END_TEST

START_TEST(create_no_descriptor_emfile)
{
	struct rlimit old, few;
	int untouched = -7;

	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &few);
	int r = km_segment_create("/unit", SIZE, &untouched);
	setrlimit(RLIMIT_NOFILE, &old);
	ck_assert_int_eq(r, -EMFILE);
	ck_assert_int_eq(untouched, -7);
}
END_TEST

START_TEST(map_good_segment_shared_both_ways)
{
	void *a, *b;

	setup();
	ck_assert_int_eq(km_segment_map(fd, SIZE, PROT_READ | PROT_WRITE, &a), 0);
	ck_assert_int_eq(km_segment_map(read_only, SIZE, PROT_READ, &b), 0);
	((char *)a)[SIZE - 1] = 'x';
	ck_assert_int_eq(((char *)b)[SIZE - 1], 'x');
	km_segment_unmap(a, SIZE);
	km_segment_unmap(b, SIZE);
	km_segment_unmap(NULL, SIZE);
	teardown();
}
END_TEST

START_TEST(map_not_such_a_segment_eproto)
{
	void *memory = &memory;
	int pipes[2], plain = memfd_create("unit_unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	FILE *file = tmpfile();

	setup();
	ck_assert_int_eq(km_segment_map(fd, SIZE + 1, PROT_READ, &memory), -EPROTO);
	ck_assert_int_eq(km_segment_map(fd, UINT64_MAX, PROT_READ, &memory), -EPROTO);
	ck_assert_int_eq(km_segment_map(fd, 0, PROT_READ, &memory), -EPROTO);
	ck_assert_int_eq(ftruncate(plain, SIZE), 0);
	ck_assert_int_eq(km_segment_map(plain, SIZE, PROT_READ, &memory), -EPROTO);
	ck_assert_int_eq(fcntl(plain, F_ADD_SEALS, F_SEAL_GROW), 0);
	ck_assert_int_eq(km_segment_map(plain, SIZE, PROT_READ, &memory), -EPROTO);
	ck_assert_int_eq(ftruncate(fileno(file), SIZE), 0);
	ck_assert_int_eq(km_segment_map(fileno(file), SIZE, PROT_READ, &memory), -EPROTO);
	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	ck_assert_int_eq(km_segment_map(pipes[0], SIZE, PROT_READ, &memory), -EPROTO);
	ck_assert_ptr_eq(memory, &memory);
	close(plain);
	close(pipes[0]);
	close(pipes[1]);
	fclose(file);
	teardown();
}
END_TEST

/* A process that locks all its memory has a limit for that. Beyond it the error is -ENOMEM, and a
 * retry is of no use. */
START_TEST(map_more_than_may_be_locked_enomem)
{
	struct rlimit none = { 0, 0 };
	void *memory;
	int status;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return; /* its own memory would be above the limit */
#endif

	ck_assert_int_eq(km_segment_create("locked", 65536, &fd), 0);
	pid_t child = fork();
	if (child == 0) {
		int r = -ENOMEM;

		/* MCL_ONFAULT, since else what is mapped already counts against the limit of
		 * nothing */
		if ((geteuid() != 0 || setresuid(65534, 65534, 65534) == 0) &&
			mlockall(MCL_FUTURE | MCL_ONFAULT) == 0 &&
			setrlimit(RLIMIT_MEMLOCK, &none) == 0)
			r = km_segment_map(fd, 65536, PROT_READ, &memory);
		_exit(r == -ENOMEM ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(fd);
}
END_TEST

START_TEST(map_read_only_never_writable)
{
	void *memory;

	setup();
	ck_assert_int_eq(km_segment_map(read_only, SIZE, PROT_READ | PROT_WRITE, &memory), -EACCES);
	ck_assert_int_eq(km_segment_map(read_only, SIZE, PROT_READ, &memory), 0);
	ck_assert(mprotect(memory, SIZE, PROT_READ | PROT_WRITE) == -1 && errno == EACCES);
	ck_assert(write(read_only, "x", 1) == -1 && errno == EBADF);
	km_segment_unmap(memory, SIZE);
	teardown();
}
END_TEST

/* Tries, as another uid, to write by a read-only descriptor. Returns what succeeded; 0: nothing. */
static int attack(void)
{
	char path[64];
	int stolen;

	if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
		return 9;
	snprintf(path, sizeof path, "/proc/self/fd/%d", read_only);
	if (open(path, O_RDWR) >= 0 || errno != EACCES)
		return 1;
	if (open(path, O_WRONLY) >= 0 || errno != EACCES)
		return 2;
	if (km_segment_reopen(read_only, O_RDWR, &stolen) != -EACCES)
		return 3;
	if (fchmod(read_only, 0666) == 0 || chmod(path, 0666) == 0)
		return 4;
	if (mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, read_only, 0) != MAP_FAILED)
		return 5;
	void *memory = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, read_only, 0);
	if (memory == MAP_FAILED)
		return 6;
	if (mprotect(memory, SIZE, PROT_READ | PROT_WRITE) == 0)
		return 7;
	return 0;
}

START_TEST(reopen_other_uid_no_way_to_write)
{
	if (getuid() != 0) {
		puts("skip: becoming another uid needs root");
		return;
	}
	setup();
	pid_t pid = fork();
	if (pid == 0) {
		close(fd);
		_exit(attack());
	}
	int status = fixture_reap(pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "attack %d went through",
		WEXITSTATUS(status));
	teardown();
}
END_TEST

START_TEST(map_any_not_inherited_by_fork)
{
	void *memory;

	if (test_skip_emulated("map_any_not_inherited_by_fork", "MADV_DONTFORK"))
		return;
	setup();
	ck_assert_int_eq(km_segment_map(fd, SIZE, PROT_READ | PROT_WRITE, &memory), 0);
	pid_t pid = fork();
	if (pid == 0) {
		unsigned char resident;

		_exit(mincore(memory, 4096, &resident) == -1 && errno == ENOMEM ? 0 : 1);
	}
	ck_assert_int_eq(fixture_reap(pid), 0);
	km_segment_unmap(memory, SIZE);
	teardown();
}
END_TEST

START_TEST(lock_two_descriptions_exclude_each_other)
{
	int other;

	setup();
	ck_assert_int_eq(km_segment_reopen(fd, O_RDWR, &other), 0);
	ck_assert_int_eq(km_segment_lock(fd, 0), 0);
	ck_assert_int_eq(km_segment_lock(other, 1), -EWOULDBLOCK);
	ck_assert_int_eq(km_segment_lock(other, 0), 0);
	ck_assert_int_eq(km_segment_lock(fd, 1), -EWOULDBLOCK);
	close(other);
	ck_assert_int_eq(km_segment_lock(fd, 1), 0);
	teardown();
}
END_TEST

/*
 * The proof that a client lives. A child maps through a locked description and closes it; everybody
 * else has closed it too. The mapping alone keeps the lock, until the mapping goes in one of three
 * ways.
 */
static void lock_until(char way)
{
	int given, go[2], ready[2];
	char byte;

	setup();
	ck_assert_int_eq(pipe2(go, O_CLOEXEC) | pipe2(ready, O_CLOEXEC), 0);
	ck_assert_int_eq(km_segment_reopen(fd, O_RDWR, &given), 0);
	ck_assert_int_eq(km_segment_lock(given, 0), 0);
	pid_t pid = fork();
	if (pid == 0) {
		void *memory;

		if (km_segment_map(given, SIZE, PROT_READ | PROT_WRITE, &memory) < 0)
			_exit(1);
		close(given);
		close(go[1]);
		if (write(ready[1], "m", 1) != 1 || read(go[0], &byte, 1) != 1)
			_exit(1);
		if (way == 'u')
			km_segment_unmap(memory, SIZE);
		/* The process goes on as another program, which maps nothing of the segment, until
		 * it is killed. */
		if (way == 'e')
			execl("/bin/sleep", "sleep", "60", NULL);
		if (way == 'u' && write(ready[1], "u", 1) == 1)
			pause();
		_exit(0);
	}
	close(given);
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	int held = km_segment_lock(fd, 1);
	ck_assert_int_eq(write(go[1], "g", 1), 1);
	/* unmapped: a byte; exec and exit: the pipe closes */
	ck_assert_int_eq(read(ready[0], &byte, 1), way == 'u' ? 1 : 0);
	if (way == 'x')
		fixture_reap(pid);
	/* an exec closes descriptors a moment before or after the old memory goes */
	int freed = -EWOULDBLOCK;
	for (int i = 0; i < 10000 && freed == -EWOULDBLOCK; i++, usleep(500))
		freed = km_segment_lock(fd, 1);
	if (way != 'x') {
		kill(pid, SIGKILL);
		fixture_reap(pid);
	}
	ck_assert_int_eq(held, -EWOULDBLOCK);
	ck_assert_int_eq(freed, 0);
	close(go[0]);
	close(go[1]);
	close(ready[0]);
	teardown();
}

START_TEST(lock_mapping_alone_keeps_until_unmapped)
{
	lock_until('u');
}
END_TEST

START_TEST(lock_mapping_alone_keeps_until_exec)
{
	lock_until('e');
}
END_TEST

START_TEST(lock_mapping_alone_keeps_until_exit)
{
	lock_until('x');
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("segment");

	tcase_add_test(tc, create_any_sealed_private_zeroed_reserved);
	tcase_add_test(tc, create_any_resize_refused);
	tcase_add_test(tc, create_bad_size_or_name_error_nothing_left);
	tcase_add_loop_test(tc, create_more_than_memory_enomem_before_reserving, 0, 3);
	tcase_add_test(tc, reserve_pieces_each_page_cleared);
	tcase_add_test(tc, map_resident_up_to_the_limit_each_page_mapped);
	tcase_add_test(tc, create_no_descriptor_emfile);
	tcase_add_test(tc, map_good_segment_shared_both_ways);
	tcase_add_test(tc, map_not_such_a_segment_eproto);
	tcase_add_test(tc, map_more_than_may_be_locked_enomem);
	tcase_add_test(tc, map_read_only_never_writable);
	tcase_add_test(tc, reopen_other_uid_no_way_to_write);
	tcase_add_test(tc, map_any_not_inherited_by_fork);
	tcase_add_test(tc, lock_two_descriptions_exclude_each_other);
	tcase_add_test(tc, lock_mapping_alone_keeps_until_unmapped);
	tcase_add_test(tc, lock_mapping_alone_keeps_until_exec);
	tcase_add_test(tc, lock_mapping_alone_keeps_until_exit);
	return fixture_run("segment", tc);
}
