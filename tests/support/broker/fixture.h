/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The base of the unit tests. The set-up and tear-down of its check case see that a test leaves no
 * descriptor, no shared mapping and no process behind. Its regions lie in anonymous memory, and the
 * tests write their states directly.
 *
 * A region of the fixture is one shared anonymous mapping for each of its two segments. So a
 * forgotten fixture_region_deinit() is a leaked mapping, and the test fails.
 */
#pragma once

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/memory/region.h"
#include "common/ring/endpoint.h"
#include "common/ring/ring.h"

/* A case whose tests are checked for leaks, one process each. The case is its suite's. */
TCase *fixture_case(const char *name);

/* Runs a suite with one case. Returns what main() returns. */
int fixture_run(const char *name, TCase *tcase);

/* The descriptors that this process has open, and its shared mappings. */
int fixture_open_fds(void);
int fixture_shared_maps(void);

struct fixture_region {
	struct km_region region;
	void *control;
	void *payload;
};

/* Returns a small geometry: 4 rings of `capacity` cells, `pool` slots of 64 bytes, 2 loans, 3
 * borrows. */
struct km_geometry fixture_geometry(uint32_t capacity, uint32_t pool);

/* Makes a region, formats it and attaches to it. */
void fixture_region_init(struct fixture_region *fixture, const struct km_geometry *geometry);
void fixture_region_deinit(struct fixture_region *fixture);

/*
 * Writes a ring's state: positions head .. frontier-1 are its window, position p holds slot
 * fixture_slot_at(p), every cell outside of the window carries the lap before. Slots in the window
 * get the ring's bit (nothing else of any slot is touched).
 */
void fixture_ring_write(struct fixture_region *fixture, uint32_t ring, uint64_t head,
	uint64_t frontier, uint64_t hint);
uint32_t fixture_slot_at(const struct fixture_region *fixture, uint64_t position);

/* Plain reads of the fields that tests look at most. */
uint64_t fixture_word(const struct fixture_region *fixture, uint32_t slot);
uint64_t fixture_head(const struct fixture_region *fixture, uint32_t ring);
uint64_t fixture_cell(const struct fixture_region *fixture, uint32_t ring, uint64_t position);
void fixture_set_word(struct fixture_region *fixture, uint32_t slot, uint64_t word);

/* Returns a record in memory of its own, with guard entries behind held[]. The caller calls
 * free(). */
struct km_endpoint *fixture_endpoint(
	enum km_role role, uint32_t id, uint32_t ring, uint32_t held_count);

/* Fails when an entry behind a record of fixture_endpoint() was written. */
void fixture_check_guards(const struct km_endpoint *endpoint, uint32_t held_count);

/* Returns a copy of the control memory, to see later that nothing has changed. The caller calls
 * free(). */
void *fixture_snapshot(const struct fixture_region *fixture);
bool fixture_unchanged(const struct fixture_region *fixture, const void *snapshot);

/* Returns bytes that look random and are the same in every run. */
uint64_t fixture_random(uint64_t *state);

/* Ends, reaps and forgets a child; returns its wait status. */
int fixture_reap(pid_t pid);

/* Waits, for a bounded time, until the process sleeps in futex(2). False: it didn't. */
bool fixture_wait_futex(pid_t pid);
