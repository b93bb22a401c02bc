/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the dead left comes back here. One rule: a reference that nobody alive accounts for is
 * dropped.
 *
 * The caller (the broker) says who the region's participants are, from its own memory; the region
 * says what they have. Works under live traffic, holds nothing, may be interrupted anywhere and run
 * again. One reconciler at a time: the caller has the region's lock (km_segment_lock).
 */
#pragma once

#include "region.h"
#include "wire.h"

enum km_party_state {
	KM_PARTY_LIVE = 1,
	KM_PARTY_LEAVING = 2, /* its owner lives and gave it back; its hazards still count */
	KM_PARTY_DEAD = 3,    /* its owner is dead or doesn't map it any more */
};

/* One endpoint record that is, or was, attached to the region. */
struct km_party {
	const struct km_endpoint *record; /* not looked at when dead */
	enum km_party_state state;
	enum km_role role;
	uint32_t id;         /* publisher */
	uint32_t ring;       /* subscriber */
	uint32_t held_count; /* subscriber: entries to read, from the broker's own memory */
};

struct km_reconcile_result {
	struct km_health health; /* as it was found */
	uint32_t bits_cleared;
	uint32_t slots_reclaimed; /* of dead publishers */
	uint32_t rings_drained;   /* had something in them */
	uint32_t messages_drained;
};

/*
 * One pass over the region. `what` says which kinds of repair it does (enum km_repair_what); 0 only
 * looks, and changes nothing, so that it needs no lock. Every publisher and subscriber that ever
 * attached, and whose id or ring hasn't been settled since, must be among the parties.
 *
 * A pass with KM_REPAIR_ALL that returns 0 settles ids and rings: those of parties that were dead
 * when it began may be used again, also when it had to leave bits (health.left_by_hazard): no word
 * carries a dead id any more, and a slot with a stale bit isn't used again before a later pass has
 * dropped it, so the bit is never mistaken for a new owner's.
 *
 * on_anomaly, if not null, is called for each thing found, before it is repaired; only kind, slot,
 * ring and owner_id are filled in.
 *
 * Errors: -ESTALE the memory makes no sense (*ret_reason says what); nothing more was changed;
 * -ENOMEM.
 */
int km_reconcile(const struct km_region *region, const struct km_party *parties, size_t party_count,
	unsigned what, void (*on_anomaly)(void *userdata, const struct km_anomaly *anomaly),
	void *userdata, struct km_reconcile_result *ret, const char **ret_reason);
