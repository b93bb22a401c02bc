/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/broker/fixture.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/suite.h"

#include <dirent.h>
#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int fds_before, maps_before;

int fixture_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = -1; /* not counted: the directory's descriptor */

	ck_assert_ptr_nonnull(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

int fixture_shared_maps(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512], access[8];
	int count = 0;

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof line, maps))
		count += sscanf(line, "%*s %7s", access) == 1 && access[3] == 's';
	fclose(maps);
	return count;
}

static void before_test(void)
{
	fds_before = fixture_open_fds();
	maps_before = fixture_shared_maps();
}

static void after_test(void)
{
	ck_assert_msg(fixture_open_fds() == fds_before, "leaked descriptors: %d before, %d after",
		fds_before, fixture_open_fds());
	ck_assert_msg(fixture_shared_maps() == maps_before,
		"leaked shared mappings: %d before, %d after", maps_before, fixture_shared_maps());
	ck_assert_msg(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "leaked a process");
}

TCase *fixture_case(const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, before_test, after_test);
	tcase_set_timeout(tcase, 120); /* long enough for a busy machine */
	return tcase;
}

int fixture_run(const char *name, TCase *tcase)
{
	Suite *suite = suite_create(name);
	suite_add_tcase(suite, tcase);
	return test_suite_run(suite);
}

struct km_geometry fixture_geometry(uint32_t capacity, uint32_t pool)
{
	return (struct km_geometry){
		.max_subscribers = 4,
		.ring_capacity = capacity,
		.pool_size = pool,
		.max_publishers = 8,
		.max_payload_size = 64,
		.max_loans = 2,
		.max_borrows = 3,
	};
}

static void *map_zeroed(uint64_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert(memory != MAP_FAILED);
	return memory;
}

void fixture_region_init(struct fixture_region *fixture, const struct km_geometry *geometry)
{
	uint64_t control_size = km_geometry_control_size(geometry);
	uint64_t payload_size = km_geometry_payload_size(geometry);

	ck_assert_ptr_null(km_geometry_check(geometry));
	fixture->control = map_zeroed(control_size);
	fixture->payload = map_zeroed(payload_size);
	km_region_format(fixture->control, geometry, "/test_unit", "unit", 1);
	ck_assert_int_eq(km_region_attach(&fixture->region, geometry, fixture->control,
				 control_size, fixture->payload, payload_size),
		0);
}

void fixture_region_deinit(struct fixture_region *fixture)
{
	munmap(fixture->control, km_geometry_control_size(&fixture->region.geometry));
	munmap(fixture->payload, km_geometry_payload_size(&fixture->region.geometry));
}

uint32_t fixture_slot_at(const struct fixture_region *fixture, uint64_t position)
{
	return (uint32_t)(position % fixture->region.geometry.pool_size);
}

void fixture_ring_write(struct fixture_region *fixture, uint32_t index, uint64_t head,
	uint64_t frontier, uint64_t hint)
{
	struct km_region *region = &fixture->region;
	struct km_ring *ring = km_region_ring(region, index);
	uint64_t capacity = region->geometry.ring_capacity;

	for (uint64_t p = frontier - capacity; p != frontier; p++) {
		uint32_t slot = fixture_slot_at(fixture, p);

		ring->cells[p & region->cell_mask] = km_cell_word(p >> region->cell_shift, slot);
		if (p - head < frontier - head)
			region->slots[slot].word |= UINT64_C(1) << index;
	}
	ring->head = head;
	ring->hint = hint;
}

uint64_t fixture_word(const struct fixture_region *fixture, uint32_t slot)
{
	return fixture->region.slots[slot].word;
}

void fixture_set_word(struct fixture_region *fixture, uint32_t slot, uint64_t word)
{
	fixture->region.slots[slot].word = word;
}

uint64_t fixture_head(const struct fixture_region *fixture, uint32_t ring)
{
	return km_region_ring(&fixture->region, ring)->head;
}

uint64_t fixture_cell(const struct fixture_region *fixture, uint32_t ring, uint64_t position)
{
	return km_region_ring(&fixture->region, ring)->cells[position & fixture->region.cell_mask];
}

#define FIXTURE_GUARDS 4u
#define FIXTURE_GUARD  UINT32_C(0x5afe5afe)

void fixture_check_guards(const struct km_endpoint *endpoint, uint32_t held_count)
{
	for (uint32_t i = 0; i < FIXTURE_GUARDS; i++)
		ck_assert_msg(endpoint->held[held_count + i] == FIXTURE_GUARD,
			"held[%u] of %u was written", held_count + i, held_count);
}

struct km_endpoint *fixture_endpoint(
	enum km_role role, uint32_t id, uint32_t ring, uint32_t held_count)
{
	size_t size = sizeof(struct km_endpoint) + (held_count + FIXTURE_GUARDS) * sizeof(uint32_t);
	size = (size + KM_CACHE_LINE - 1) / KM_CACHE_LINE * KM_CACHE_LINE;
	struct km_endpoint *endpoint = aligned_alloc(KM_CACHE_LINE, size);

	ck_assert_ptr_nonnull(endpoint);
	memset(endpoint, 0, size);
	for (uint32_t i = 0; i < FIXTURE_GUARDS; i++)
		endpoint->held[held_count + i] = FIXTURE_GUARD;
	km_endpoint_format(endpoint, role, id, ring, held_count);
	fixture_check_guards(endpoint, held_count);
	return endpoint;
}

void *fixture_snapshot(const struct fixture_region *fixture)
{
	void *copy = malloc(fixture->region.control_size);

	ck_assert_ptr_nonnull(copy);
	return memcpy(copy, fixture->control, fixture->region.control_size);
}

bool fixture_unchanged(const struct fixture_region *fixture, const void *snapshot)
{
	return memcmp(fixture->control, snapshot, fixture->region.control_size) == 0;
}

uint64_t fixture_random(uint64_t *state)
{
	/* a Weyl sequence through a mixer: every seed gives another sequence, none is bad */
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 32) * UINT64_C(0xd6e8feb86659fd93);
	z = (z ^ z >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return z ^ z >> 32;
}

int fixture_reap(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	return status;
}

/* Under an emulator the kernel's numbers are an x86-64's, and the emulator's own locks are private. */
static bool is_futex_wait(long number, unsigned long operation)
{
	return number == (test_is_emulated() ? 202 : SYS_futex) &&
	       !(operation & FUTEX_PRIVATE_FLAG);
}

bool fixture_wait_futex(pid_t pid)
{
	unsigned long operation = 0;
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/syscall", pid);
	for (int i = 0; i < 10000; i++) {
		FILE *file = fopen(path, "re");
		long number = -1;

		if (!file)
			return false;
		if (fscanf(file, "%ld %*x %lx", &number, &operation) != 2)
			number = -1; /* "running" */
		fclose(file);
		if (is_futex_wait(number, operation))
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
	}
	return false;
}
