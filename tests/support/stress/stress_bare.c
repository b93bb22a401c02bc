/* SPDX-License-Identifier: Apache-2.0 */
/* Publishers and subscribers on plain memory of this process: the broker's part in a few lines. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/shared/shared.h"
#include "tests/support/stress/stress_region.h"

static struct km_endpoint *new_record(
	const struct km_region *region, enum km_role role, uint32_t id, uint32_t ring)
{
	uint64_t size = km_geometry_endpoint_size(&region->geometry, role);
	struct km_endpoint *record = aligned_alloc(KM_CACHE_LINE, size);

	if (record != NULL) {
		memset(record, 0, size);
		km_endpoint_format(record, role, id, ring,
			role == KM_ROLE_SUBSCRIBER ? km_geometry_held_count(&region->geometry) : 0);
	}
	return record;
}

int stress_bare_advertise(struct stress_region *region, struct kickmsg_publisher **ret)
{
	uint32_t id = atomic_fetch_add(&region->publisher_ids, 1) + 1;
	struct kickmsg_publisher *publisher = calloc(1, sizeof(*publisher));
	struct km_endpoint *record = new_record(&region->region, KM_ROLE_PUBLISHER, id, 0);

	if (publisher == NULL || record == NULL) {
		free(publisher);
		free(record);
		return -ENOMEM;
	}
	publisher->handle.place.role = KM_ROLE_PUBLISHER;
	publisher->handle.place.region = region->region;
	int r = km_place_publish(&publisher->handle.place, record, id);

	if (id == 1)
		km_store(U8, release, &region->region.header->privileged, id);
	if (r == 0)
		*ret = publisher;
	return r;
}

void stress_bare_unadvertise(struct kickmsg_publisher *publisher)
{
	km_place_end(&publisher->handle.place);
	free(publisher->handle.place.record);
	free(publisher);
}

int stress_bare_subscribe(struct stress_region *region, struct kickmsg_subscriber **ret)
{
	uint32_t ring = atomic_fetch_add(&region->ring_indexes, 1);

	if (ring >= region->region.geometry.max_subscribers)
		return -ENOSPC;
	struct kickmsg_subscriber *subscriber = calloc(1, sizeof(*subscriber));
	struct km_endpoint *record = new_record(&region->region, KM_ROLE_SUBSCRIBER, 0, ring);

	if (subscriber == NULL || record == NULL) {
		free(subscriber);
		free(record);
		return -ENOMEM;
	}
	subscriber->handle.place.role = KM_ROLE_SUBSCRIBER;
	subscriber->handle.place.region = region->region;
	uint64_t start =
		region->region.geometry.ring_capacity; /* the start, since nobody has sent yet */
	if (!region->region.shared)
		start = km_load(R2, acquire, &km_region_ring(&region->region, ring)->head);
	int r = km_place_subscribe(&subscriber->handle.place, record, ring, start);

	if (r == 0 && region->region.shared) {
		*ret = subscriber;
	} else if (r == 0) {
		atomic_fetch_or_explicit(
			&region->region.header->live, UINT64_C(1) << ring, memory_order_release);
		*ret = subscriber;
	}
	return r;
}

void stress_bare_unsubscribe(struct kickmsg_subscriber *subscriber)
{
	const struct km_region *region = &subscriber->handle.place.region;

	if (!region->shared) {
		km_and(L2, release, &region->header->live,
			~(UINT64_C(1) << subscriber->handle.place.ring_index));
		km_ring_drain(region, subscriber->handle.place.ring_index,
			&subscriber->handle.place.record->evicting);
	}
	km_place_end(&subscriber->handle.place);
	free(subscriber->handle.place.record);
	free(subscriber);
}
