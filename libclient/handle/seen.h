/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a region's header that says how many are there and how the topic ended, as a handle has seen
 * it last. The broker writes it and counts the changes (daemon/serve/notice.h). A participant that
 * may write the header can make it wrong, so it is believed for these numbers alone.
 *
 * Orders
 *   M1 changes               release / acquire   what is below was written before it moved
 *   M2 fate                  relaxed             behind M1
 *   M3 who left, who died, who was demoted
 *                            relaxed             behind M1
 *   L5, G4 who is there      relaxed             behind M1
 */
#pragma once

#include "common/memory/region.h"

struct km_seen {
	uint32_t changes;
	uint32_t peers;      /* endpoints of the other role that are there */
	uint32_t left, died; /* those that have gone */
	uint32_t demoted;    /* reliable subscribers that became ordinary ones */
	uint32_t fate;       /* bits of enum km_fate */
	bool given_up;
	bool is_demoted; /* a reliable subscriber: is none any more */
};

/* Counts the peers. `role`: of the endpoint that looks. */
uint32_t km_seen_peers(const struct km_region *region, enum km_role role);
struct km_seen km_seen_look(const struct km_region *region, enum km_role role);
