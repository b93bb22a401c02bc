/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The region that inherited handles lead to: given up, with one slot that is taken, and an empty ring.
 * The fork may have come in the middle of changing a handle. So nothing of the handle is believed
 * but its role, which never changes; all else is overwritten.
 */
#include "libclient/handle/nowhere.h"

static struct km_control_header nowhere_header = { .live = KM_LIVE_QUARANTINED };
static struct km_slot nowhere_slot = { .word = KM_SLOT_ID_MASK };
static struct km_ring nowhere_ring = { .head = 1, .cells = { 0 } };
static struct km_endpoint nowhere_record = { .held = { KM_HAZARD_NONE, KM_HAZARD_NONE } };
static struct km_sample_header nowhere_payload;

/* Any length gets as far as asking for a slot. There are one loan and one sample, the least that
 * there can be. */
static const struct km_region nowhere = {
	.header = &nowhere_header,
	.slots = &nowhere_slot,
	.rings = (unsigned char *)&nowhere_ring,
	.payload = (unsigned char *)&nowhere_payload,
	.geometry = {
		.max_subscribers = 1,
		.ring_capacity = 1,
		.pool_size = 1,
		.max_publishers = 1,
		.max_payload_size = UINT64_MAX,
		.max_loans = 1,
		.max_borrows = 1,
	},
};

static void lead_publisher(struct kickmsg_publisher *publisher)
{
	struct km_place *here = &publisher->handle.place;

	publisher->targets = 0;
	if (publisher->ready)
		km_watch_disown(&publisher->ready->watched);
	publisher->ready = NULL;
	here->only = KM_ONLY_NONE;
	here->loan_count = 0;
	/* null: the place was about to be made, and nobody knows of it */
	if (here->loans)
		here->loans[0].payload = NULL;
	here->cache = (struct km_slot_cache){ .count = 1, .least = 1 };
}

static void lead_subscriber(struct kickmsg_subscriber *subscriber)
{
	struct km_place *here = &subscriber->handle.place;

	here->ring = &nowhere_ring;
	here->others = ~UINT64_C(0);
	here->lends = nowhere.geometry.max_borrows;
	km_place_expect(here, 1);
	here->lost = 0;
	here->rejoined = false;
	/* null: the place was about to be made, and nobody knows of it */
	if (here->holds)
		km_place_take_holds(here, here->holds);
	subscriber->has_pending = false;
	subscriber->interrupt = (struct km_interrupt){ 0 };
	subscriber->borrowed = 0;
	if (subscriber->ready)
		km_watch_disown(&subscriber->ready->watched);
	subscriber->ready = NULL;
}

void km_nowhere_lead(struct kickmsg_client *client)
{
	if (client->watch)
		km_watch_threads_disown(client->watch);
	client->watch = NULL; /* its threads are the parent's */
	for (struct km_handle *handle = client->handles; handle; handle = handle->next) {
		handle->place.region = nowhere;
		handle->place.record = &nowhere_record;
		handle->place.past = NULL;
		if (handle->place.role == KM_ROLE_PUBLISHER)
			lead_publisher((struct kickmsg_publisher *)handle);
		else
			lead_subscriber((struct kickmsg_subscriber *)handle);
	}
}
