/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endpoint records and their hazards: which slots an endpoint may be touching in a step that
 * other memory doesn't show yet. Their owner sets them by plain stores to a line that nobody else
 * writes.
 *
 * Invariants
 * - An entry is set before the operation that it covers and stays until after the one that ends it:
 *   `delivering` from before W = targets until every bit is delivered or dropped; `evicting` from
 *   before the CAS on head until the evicted bit is dropped; held[k] from before the CAS on head
 *   until the sample's bit is dropped, or until the take has failed.
 * - An entry never moves to another place.
 *
 * Orders
 *   H1 set, overwrite, clear   release   pairs with C3, C6 (reconcile.c), and with the broker's
 *                                        acquire when it asks whether a leaver is quiet
 *                                        (daemon/topic/member.c)
 *   H2 statistics              relaxed   numbers for people
 *
 * A clear is a release so that a reconciler which sees it also sees the drop before it. That a set
 * comes before what it covers is the covered operation's own release: S3, R4 and R6.
 * H1 can't be weaker (`explore orders`, scenario evict_take).
 */
#pragma once

#include "common/memory/atomic.h"
#include "common/memory/layout.h"

/* Writes a record into zeroed memory of km_geometry_endpoint_size() bytes. */
static inline void km_endpoint_format(struct km_endpoint *endpoint, enum km_role role, uint32_t id,
	uint32_t ring, uint32_t held_count)
{
	endpoint->role = role;
	endpoint->id = id;
	endpoint->ring = ring;
	endpoint->held_count = held_count;
	km_store(H1, release, &endpoint->delivering, KM_HAZARD_NONE);
	km_store(H1, release, &endpoint->evicting, KM_HAZARD_NONE);
	km_store(H2, relaxed, &endpoint->messages, 0);
	km_store(H2, relaxed, &endpoint->failed, 0);
	km_store(H2, relaxed, &endpoint->evicted, 0);
	km_store(H2, relaxed, &endpoint->lost, 0);
	for (uint32_t i = 0; i < held_count; i++)
		km_store(H1, release, &endpoint->held[i], KM_HAZARD_NONE);
}

static inline void km_hazard_set(_Atomic uint32_t *entry, uint32_t slot)
{
	km_store(H1, release, entry, slot);
}

static inline void km_hazard_clear(_Atomic uint32_t *entry)
{
	km_store(H1, release, entry, KM_HAZARD_NONE);
}

/* Adds to a number that only the caller writes. The one instruction is a load and a store of the
 * whole word, and nothing more. */
static inline void km_endpoint_count(_Atomic uint64_t *number, uint64_t more)
{
#if defined(__x86_64__) && !defined(KM_EXPLORE)
	__asm__ volatile("addq %1, %0" : "+m"(*number) : "er"(more) : "cc");
#else
	km_store(H2, relaxed, number, km_load(H2, relaxed, number) + more);
#endif
}
