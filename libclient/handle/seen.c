/* SPDX-License-Identifier: Apache-2.0 */
/* A look at the counts of peers: see seen.h. */
#include "libclient/handle/seen.h"

#include "common/memory/atomic.h"

uint32_t km_seen_peers(const struct km_region *region, enum km_role role)
{
	return role == KM_ROLE_PUBLISHER ? km_load(L5, relaxed, &region->header->subscribers)
					 : km_load(G4, relaxed, &region->header->publishers);
}

struct km_seen km_seen_look(const struct km_region *region, enum km_role role)
{
	const struct km_control_header *header = region->header;
	const struct km_gone *gone = role == KM_ROLE_PUBLISHER ? &header->gone_subscribers
							       : &header->gone_publishers;
	uint32_t changes = km_load(M1, acquire, &header->changes);

	return (struct km_seen){
		.changes = changes,
		.peers = km_seen_peers(region, role),
		.left = km_load(M3, relaxed, &gone->left),
		.died = km_load(M3, relaxed, &gone->died),
		.demoted = km_load(M3, relaxed, &header->demoted),
		.fate = km_load(M2, relaxed, &header->fate),
		.given_up = (km_load(L4, relaxed, &header->live) & KM_LIVE_QUARANTINED) != 0,
	};
}
