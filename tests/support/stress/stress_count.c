/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The count at the end: every slot's word is 0 and every ring's window is empty, read from the
 * shared memory itself by a participant that does nothing else. The broker's own count must agree.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/ring/kept.h"
#include "common/ring/waiter.h"
#include "common/shared/shared.h"
#include "libclient/client/control.h"
#include "tests/support/stress/stress_region.h"

#define SETTLE_NS INT64_C(20000000000) /* bounds a hang; measures nothing */

static void fill_config(const struct stress_case *what, struct kickmsg_topic_config *ret)
{
	kickmsg_topic_config_init(ret);
	ret->transport = what->shared ? KICKMSG_TRANSPORT_SHARED : KICKMSG_TRANSPORT_RINGS;
	ret->max_subscribers = what->subscribers + what->churners + what->spare +
			       (what->shared ? 1 : 0);
	ret->ring_capacity = what->ring;
	ret->pool_size = what->pool;
	ret->max_payload_size = what->max_payload;
	ret->max_publishers = what->max_reliable > 0 && !what->shared ? what->ring / 2 : 128;
	ret->max_borrows = STRESS_HOLD_MAX;
	ret->history = what->history;
	ret->max_reliable = what->max_reliable;
	ret->stall_ns = what->stall_ns;
}

static int open_bare(struct stress_run *run, struct stress_region *region)
{
	const struct stress_case *what = run->what;
	struct km_geometry geometry;

	km_geometry_init(&geometry);
	geometry.max_subscribers = what->subscribers + what->churners;
	geometry.ring_capacity = what->ring;
	geometry.pool_size = what->pool;
	geometry.max_payload_size = what->max_payload;
	geometry.max_borrows = STRESS_HOLD_MAX;
	geometry.transport = what->shared ? KM_TRANSPORT_SHARED : KM_TRANSPORT_RINGS;
	uint64_t control_size = km_geometry_control_size(&geometry);
	uint64_t payload_size = km_geometry_payload_size(&geometry);

	region->control = aligned_alloc(4096, (control_size + 4095) & ~UINT64_C(4095));
	region->payload = aligned_alloc(4096, (payload_size + 4095) & ~UINT64_C(4095));
	region->bell = aligned_alloc(KM_CACHE_LINE, sizeof(struct km_bell));
	if (region->control == NULL || region->payload == NULL || region->bell == NULL)
		return -ENOMEM;
	memset(region->bell, 0, sizeof(struct km_bell));
	memset(region->control, 0, control_size);
	memset(region->payload, 0, payload_size);
	km_region_format(region->control, &geometry, "/stress_bare", run->topic, 0);
	int r = km_region_attach(&region->region, &geometry, region->control, control_size,
		region->payload, payload_size);
	region->region.bell = what->shared ? region->bell : NULL;
	return r;
}

static int open_brokered(struct stress_run *run, struct stress_region *region)
{
	struct kickmsg_topic_config config;
	struct kickmsg_client_config client_config = {
		.name = "stress-observer",
		.socket_path = run->socket_path,
		.timeout_ns = UINT64_C(60000000000),
	};
	int r = kickmsg_client_new(&client_config, &region->client);

	if (r < 0)
		return r;
	fill_config(run->what, &config);
	if (run->what->shared)
		r = kickmsg_subscribe_or_create(
			region->client, run->topic, &config, NULL, &region->subscriber);
	else
		r = kickmsg_advertise(region->client, run->topic, &config, &region->publisher);
	if (r < 0) {
		fprintf(stderr, "advertise: %s\n", kickmsg_client_last_error(region->client));
		return r;
	}
	region->region = run->what->shared ? region->subscriber->handle.place.region
					   : region->publisher->handle.place.region;
	return 0;
}

int stress_region_open(struct stress_run *run, struct stress_region **ret)
{
	struct stress_region *region = calloc(1, sizeof(*region));
	int r = -ENOMEM;

	if (region != NULL)
		r = run->what->bare ? open_bare(run, region) : open_brokered(run, region);
	if (r < 0) {
		stress_region_close(region);
		return stress_fail(run->board, "observer: %s", kickmsg_strerror(r));
	}
	*ret = region;
	return 0;
}

void stress_region_close(struct stress_region *region)
{
	if (region == NULL)
		return;
	kickmsg_client_free(region->client);
	free(region->control);
	free(region->payload);
	free(region->bell);
	free(region);
}

/* Counts the cells of a shared ring that name a slot, which is in use as long as one does. */
static uint32_t cells_that_name(const struct km_region *region, uint32_t slot)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i <= region->cell_mask; i++)
		count += km_cell_slot(km_load(U1, acquire, &km_region_cell(region, i)->word)) ==
			 slot;
	return count;
}

/* The topic's history: cells of the kept ring's window. */
static uint32_t kept_cells_that_name(const struct km_region *region, uint32_t slot)
{
	struct km_region kept;
	uint32_t count = 0;

	km_kept_view(region, &kept);
	struct km_ring *ring = km_region_ring(&kept, KM_KEPT_RING);
	for (uint64_t p = km_load(R2, acquire, &ring->head);; p++) {
		uint64_t cell = km_load(R1, acquire, &ring->cells[p & kept.cell_mask]);

		if (km_cell_laps_ahead(cell, p, kept.cell_shift) != 0)
			return count;
		count += km_cell_slot(cell) == slot;
	}
}

static bool is_in_use(const struct km_region *region, uint32_t slot, uint64_t word)
{
	if (!region->shared && region->kept)
		return word != (kept_cells_that_name(region, slot) == 1 ? KM_KEPT_BIT : 0);
	if (!region->shared)
		return word != 0;
	return word != (cells_that_name(region, slot) == 1 ? KM_SLOT_RING : 0);
}

/* Describes what is still in use. False: nothing is. */
static bool describe_rest(const struct km_region *region, char *text, size_t size)
{
	uint32_t busy = 0, full = 0, first = 0, ring = 0;
	uint64_t word = 0;

	for (uint32_t i = 0; i < region->geometry.pool_size; i++) {
		uint64_t w = km_load(S5, acquire, &region->slots[i].word);

		if (is_in_use(region, i, w) && busy++ == 0) {
			first = i;
			word = w;
		}
	}
	for (uint32_t i = 0; i < region->ring_count; i++) {
		struct km_ring *r = km_region_ring(region, i);
		uint64_t head = km_load(R2, acquire, &r->head);
		uint64_t cell = km_load(R1, acquire, &r->cells[head & region->cell_mask]);

		if (km_cell_laps_ahead(cell, head, region->cell_shift) >= 0 && full++ == 0)
			ring = i;
	}
	if (busy == 0 && full == 0)
		return false;
	snprintf(text, size,
		"%u of %u slots in use (first: slot %u word %#llx), %u rings not empty "
		"(first: %u), live %#llx",
		busy, region->geometry.pool_size, first, (unsigned long long)word, full, ring,
		(unsigned long long)km_load(L1, acquire, &region->header->live));
	return true;
}

int stress_region_count(struct stress_run *run, bool wait, const char *when)
{
	int64_t end_ns = km_clock_ns() + SETTLE_NS;
	char rest[200];

	while (describe_rest(&run->region->region, rest, sizeof(rest))) {
		if (!wait || km_clock_ns() > end_ns)
			return stress_fail(run->board, "%s: %s", when, rest);
		stress_pause_us(500);
	}
	return 0;
}

int stress_region_health(struct stress_run *run, struct km_health *ret)
{
	struct km_msg_topic request = { .header.op = KM_OP_DIAGNOSE };
	union km_msg answer;

	snprintf(request.topic, sizeof(request.topic), "%s", run->topic);
	int r = km_client_call(run->region->client, &request, sizeof(request), KM_OP_DIAGNOSE_OK,
		&answer, NULL, NULL);

	if (r == 0)
		*ret = answer.diagnose_ok.health;
	return r;
}

int stress_region_diagnose(
	struct stress_run *run, uint32_t publishers, uint32_t subscribers, const char *when)
{
	int64_t end_ns = km_clock_ns() + SETTLE_NS;
	struct km_health h = { 0 };

	for (;;) {
		int r = stress_region_health(run, &h);

		if (r < 0)
			return stress_fail(
				run->board, "%s: DIAGNOSE: %s", when, kickmsg_strerror(r));
		/* the observer is a publisher, or a subscriber, too */
		bool shared = run->what->shared;
		bool keeps = shared || run->what->history > 0;
		if (h.slots_free + (keeps ? h.slots_in_flight : 0) == run->what->pool &&
			h.stale_bits == 0 && h.endpoints_dead == 0 &&
			h.publishers == publishers + !shared &&
			h.subscribers == subscribers + shared)
			return 0;
		if (km_clock_ns() > end_ns)
			return stress_fail(run->board,
				"%s: DIAGNOSE says %u of %u slots free, %u loaned, %u in flight, "
				"%u "
				"orphaned, %u stale, %u publishers, %u subscribers, %u dead, %u "
				"leaving",
				when, h.slots_free, run->what->pool, h.slots_loaned,
				h.slots_in_flight, h.slots_orphaned, h.slots_stale, h.publishers,
				h.subscribers, h.endpoints_dead, h.endpoints_leaving);
		stress_pause_us(500);
	}
}
