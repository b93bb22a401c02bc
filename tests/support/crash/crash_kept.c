/* SPDX-License-Identifier: Apache-2.0 */
/* A topic with private rings and history, and its books: see crash_kept.h. */
#include "tests/support/crash/crash_kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/repair/live.h"
#include "libclient/path/rings_send.h"
#include "tests/support/broker/whole_pass.h"
#include "tests/support/crash/crash_world.h"

/* --- subscribers that come, publishers that send
 * -------------------------------------------------- */

void kept_attach_publisher(struct kept_world *world, uint32_t i)
{
	struct kickmsg_publisher *publisher = &world->publishers[i];
	struct km_endpoint *record = publisher->handle.place.record;

	memset(publisher, 0, sizeof *publisher);
	publisher->handle.place.region = world->region;
	km_endpoint_format(record, KM_ROLE_PUBLISHER, i + 1, 0, 0);
	if (km_place_publish(&publisher->handle.place, record, i + 1) < 0)
		abort();
	free(publisher->handle.place.loans);
	publisher->handle.place.loans = memset(world->loans[i], 0, sizeof world->loans[i]);
}

void kept_let_in(struct kept_world *world, uint32_t r)
{
	if (km_live_open(&world->region, r, &world->live, &world->start) < 0)
		abort();
	world->sent_before = world->sent[1];
}

/* Returns the word of the victim's message if that is at this position of the kept ring. 0: it isn't. */
static uint64_t word_of_victims(const struct kept_world *world, uint64_t position)
{
	const struct km_region *kept = &world->publishers[1].handle.place.kept;
	uint64_t cell = world->region.kept->cells[position & kept->cell_mask];
	uint32_t slot = km_cell_slot(cell);

	if (!world->value || km_cell_laps_ahead(cell, position, kept->cell_shift) != 0 ||
		*(uint64_t *)km_region_payload(kept, slot) != world->value)
		return 0;
	return world->region.slots[slot].word;
}

void kept_enter(struct kept_world *world, uint32_t r)
{
	struct km_place *place = &world->subscribers[r].handle.place;
	struct km_endpoint *record = place->record;
	struct km_ring *ring = km_region_ring(&world->region, r);
	struct kept_reader *reader = &world->readers[r];

	memset(&world->subscribers[r], 0, sizeof world->subscribers[r]);
	place->region = world->region;
	km_endpoint_format(record, KM_ROLE_SUBSCRIBER, 0, r, 2);
	if (km_kept_opened(&world->region, ring, ring->opening) < 0 ||
		km_place_subscribe(place, record, r, world->start) < 0)
		abort();
	free(place->holds);
	km_place_take_holds(place, world->holds[r]);
	km_place_look_back(place, KEPT_HISTORY);
	*reader = (struct kept_reader){ .here = true, .owed = ring->kept_before - KEPT_CELLS };
	if (reader->owed > KEPT_HISTORY)
		reader->owed = KEPT_HISTORY;
	if (world->sent_before > reader->owed)
		reader->last[1] = world->sent_before - reader->owed;
	uint64_t first = ring->kept_before - reader->owed;
	for (uint64_t p = first; p != ring->kept_before; p++) {
		uint64_t word = word_of_victims(world, p);

		/* with the ring's bit it comes by the ring, once the victim goes on */
		reader->has_victims |= word && !(word & UINT64_C(1) << r);
		reader->owed -= (word & UINT64_C(1) << r) != 0;
	}
	reader->owed += world->sent[1] - world->sent_before;
}

void kept_come(struct kept_world *world, uint32_t r)
{
	kept_let_in(world, r);
	kept_enter(world, r);
}

/* --- judging -------------------------------------------------------------------------------------- */

bool kept_note(struct kept_world *world, uint32_t r, uint64_t value)
{
	struct kept_reader *reader = &world->readers[r];
	uint64_t by = value & 1, sequence = value >> 1;

	if (sequence <= reader->last[by] || sequence > world->sent[by])
		return crash_fail("ring %u: message %lu of %lu behind %lu", r, sequence, by,
			reader->last[by]);
	reader->last[by] = sequence;
	reader->got++;
	return true;
}

bool kept_drain(struct kept_world *world, uint32_t r, uint64_t least, uint64_t most)
{
	struct kept_reader *reader = &world->readers[r];
	struct kickmsg_subscriber *subscriber = &world->subscribers[r];
	uint64_t value;
	ssize_t n;

	while ((n = kickmsg_try_receive_copy(subscriber, &value, sizeof value)) == sizeof value)
		if (!kept_note(world, r, value))
			return false;
	uint64_t lost = kickmsg_subscriber_lost(subscriber), all = reader->got + lost;
	if (reader->has_victims || r == KEPT_LAST)
		least = most = 0;
	/* the former owner's message counts as lost if it is pushed out before the newcomer begins */
	most += world->former && r == KEPT_NEWCOMER;
	if (n != -EAGAIN || all < reader->owed + least || all > reader->owed + most)
		return crash_fail("ring %u: %zd, received %lu + lost %lu, owed %lu", r, n,
			reader->got, lost, reader->owed);
	return r == KEPT_NEWCOMER || lost == 0 || crash_fail("ring %u lost %lu", r, lost);
}

bool kept_drain_all(struct kept_world *world, uint32_t busy, uint64_t least, uint64_t most)
{
	for (uint32_t r = 0; r < KEPT_RINGS; r++)
		if (world->readers[r].here && r != busy && !kept_drain(world, r, least, most))
			return false;
	return true;
}

bool kept_send(struct kept_world *world, uint32_t by)
{
	uint64_t value = ++world->sent[by] << 1 | by;
	ssize_t n = kickmsg_send(&world->publishers[by], &value, sizeof value);

	for (uint32_t r = 0; r < KEPT_RINGS; r++)
		world->readers[r].owed += world->readers[r].here;
	return n == sizeof value || crash_fail("publisher %u's send: %zd", by, n);
}

bool kept_flow(struct kept_world *world, uint32_t busy, int messages)
{
	uint64_t most = world->value != 0;

	for (int i = 0; i < messages; i++)
		if (!kept_send(world, 1) || !kept_drain_all(world, busy, 0, most))
			return false;
	return true;
}

bool kept_repair(struct kept_world *world, bool publisher_dead, bool newcomer_dead)
{
	struct km_known_endpoint endpoints[2 + KEPT_RINGS];
	struct km_reconcile_result result;
	const char *reason = "";
	size_t count = 0;

	for (uint32_t i = 0; i < 2; i++)
		endpoints[count++] = (struct km_known_endpoint){
			.record = world->publishers[i].handle.place.record,
			.state = i == 0 && publisher_dead ? KM_ENDPOINT_DEAD : KM_ENDPOINT_LIVE,
			.role = KM_ROLE_PUBLISHER,
			.id = i + 1,
		};
	for (uint32_t r = 0; r < KEPT_RINGS; r++)
		if (world->readers[r].here)
			endpoints[count++] = (struct km_known_endpoint){
				.record = world->subscribers[r].handle.place.record,
				.state = r == KEPT_NEWCOMER && newcomer_dead ? KM_ENDPOINT_DEAD
									     : KM_ENDPOINT_LIVE,
				.role = KM_ROLE_SUBSCRIBER,
				.ring = r,
				.held_count = 2,
			};
	for (int i = 0; i < 3; i++)
		if (test_reconcile(&world->region, endpoints, count, KM_REPAIR_ALL, UINT64_MAX,
			    NULL, &result, &reason) < 0)
			return crash_fail("reconcile: %s", reason);
	return true;
}

static bool explain_ring(
	const struct km_region *region, uint32_t r, uint64_t bit, uint64_t explained[KEPT_POOL])
{
	struct km_ring *ring = km_region_ring(region, r);

	for (uint64_t p = ring->head; p - ring->head < region->geometry.ring_capacity; p++) {
		uint64_t cell = ring->cells[p & region->cell_mask];
		uint32_t slot = km_cell_slot(cell);

		if (km_cell_laps_ahead(cell, p, region->cell_shift) != 0)
			break;
		if (slot >= KEPT_POOL)
			continue; /* a late cell */
		explained[slot] |= bit;
		if (!(region->slots[slot].word & bit))
			return crash_fail("ring %u: slot %u isn't its any more", r, slot);
	}
	return true;
}

static bool shown(const struct kept_world *world, uint32_t slot)
{
	const struct km_endpoint *publisher = world->publishers[0].handle.place.record;
	const struct km_endpoint *newcomer = world->subscribers[KEPT_NEWCOMER].handle.place.record;

	return world->region.slots[slot].word == km_slot_id_word(1) ||
	       publisher->delivering == slot || publisher->evicting == slot ||
	       (world->readers[KEPT_NEWCOMER].here &&
		       (newcomer->held[0] == slot || newcomer->held[1] == slot ||
			       newcomer->evicting == slot));
}

static bool audit_hazards(const struct kept_world *world)
{
	const struct km_endpoint *newcomer = world->subscribers[KEPT_NEWCOMER].handle.place.record;

	for (uint32_t i = 0; i < 2; i++) {
		const struct km_endpoint *record = world->publishers[i].handle.place.record;

		if (record->delivering != KM_HAZARD_NONE || record->evicting != KM_HAZARD_NONE)
			return crash_fail("publisher %u left a hazard", i);
	}
	if (world->readers[KEPT_NEWCOMER].here && newcomer->evicting != KM_HAZARD_NONE)
		return crash_fail("the newcomer left the hazard of a drop");
	for (uint32_t k = 0; k < 2 && world->readers[KEPT_NEWCOMER].here; k++)
		if (newcomer->held[k] != KM_HAZARD_NONE)
			return crash_fail("the newcomer left hazard %u", k);
	return true;
}

bool kept_audit(struct kept_world *world, bool frozen)
{
	uint64_t explained[KEPT_POOL] = { 0 };
	size_t held = (size_t)(world->holds[KEPT_HOLDER][world->held.hold].slot -
			       world->region.slots);
	bool good = explain_ring(
		&world->publishers[1].handle.place.kept, KM_KEPT_RING, KM_KEPT_BIT, explained);

	for (uint32_t r = 0; r < KEPT_RINGS && good; r++)
		good = explain_ring(&world->region, r, UINT64_C(1) << r, explained);
	explained[held] |= UINT64_C(1) << KEPT_HOLDER;
	for (uint32_t i = 0; i < world->region.geometry.pool_size && good; i++)
		if (world->region.slots[i].word != explained[i] && !(frozen && shown(world, i)))
			good = crash_fail("slot %u: word %#lx, explained %#lx", i,
				(uint64_t)world->region.slots[i].word, explained[i]);
	good = good && (frozen || audit_hazards(world));
	return good && (*(const uint64_t *)world->held.data == world->held_value ||
			       crash_fail("the message that is held isn't what it was"));
}

uint64_t kept_end(const struct kept_world *world)
{
	uint64_t end = 0;

	km_kept_end(&world->publishers[1].handle.place.kept, &end);
	return end;
}

void kept_receive_one(struct kept_world *world, uint32_t r)
{
	uint64_t value = 0;

	kickmsg_try_receive_copy(&world->subscribers[r], &value, sizeof value);
	kept_note(world, r, value);
}

/* --- publishers that stood still -------------------------------------------------------------------- */

/* Publisher 0 sends up to the commit to the kept ring. `more` targets are in the slot's word. */
static struct km_ring_result send_first_half(
	struct kept_world *world, uint64_t more, uint32_t *ret_slot)
{
	struct km_place *here = &world->publishers[0].handle.place;
	uint64_t targets = 1 | UINT64_C(1) << KEPT_HOLDER;
	struct km_ring_result result = { 0 };
	uint32_t slot;

	if (km_rings_claim(&world->publishers[0], 8, &slot) < 0)
		abort();
	struct km_sample_header *sample = km_region_sample(&world->region, slot);
	*(uint64_t *)km_region_payload(&world->region, slot) = ++world->sent[0] << 1;
	km_rings_describe(&world->publishers[0], sample, targets, 8);
	world->region.slots[slot].opening = here->opening;
	km_slot_send(&world->region.slots[slot], targets | more | KM_KEPT_BIT);
	if (km_ring_commit(
		    &here->kept, KM_KEPT_RING, slot, here->record, &here->kept_cursor, &result) < 0)
		abort();
	km_ring_drop_evicted(&world->region, &result.drops);
	for (uint32_t r = 0; r < KEPT_RINGS; r++)
		world->readers[r].owed += world->readers[r].here;
	km_rings_deliver_rest(here, slot, targets, 0);
	*ret_slot = slot;
	return result;
}

void kept_meet_former(struct kept_world *world)
{
	struct km_place *here = &world->publishers[0].handle.place;
	struct km_ring_result result = { 0 };
	uint32_t slot;

	send_first_half(world, UINT64_C(1) << KEPT_NEWCOMER, &slot);
	kept_drain_all(world, KEPT_NOBODY, 0, 0);
	kept_come(world, KEPT_NEWCOMER);
	if (km_ring_commit(&here->region, KEPT_NEWCOMER, slot, here->record,
		    &here->cursors[KEPT_NEWCOMER], &result) < 0)
		abort();
	world->former = true;
}

void kept_send_late(struct kept_world *world, int gone)
{
	struct km_place *here = &world->publishers[0].handle.place;
	struct km_ring_result result;
	uint32_t slot;

	result = send_first_half(world, 0, &slot);
	uint64_t position = result.position;
	for (int i = 0; i <= gone; i++) {
		for (uint32_t r = 0; r < KEPT_LAST; r++)
			kept_drain(world, r, -(uint64_t)(r == KEPT_NEWCOMER), 0);
		if (i < gone)
			kept_send(world, 1);
	}
	result = (struct km_ring_result){ 0 };
	if (km_ring_commit(&here->region, KEPT_NEWCOMER, km_kept_late_number(position),
		    here->record, &here->cursors[KEPT_NEWCOMER], &result) < 0)
		abort();
	km_hazard_clear(&here->record->evicting);
}

/* --- the world -------------------------------------------------------------------------------------- */

struct kept_world *kept_build(uint32_t pool)
{
	struct km_geometry geometry = {
		.max_subscribers = KEPT_RINGS,
		.ring_capacity = KEPT_CAPACITY,
		.pool_size = pool,
		.max_publishers = 2,
		.max_payload_size = 64,
		.max_loans = 1,
		.max_borrows = 1,
		.history = KEPT_HISTORY,
	};
	struct crash_map map;
	struct kept_world *world = crash_map(sizeof *world, &geometry, 2 + KEPT_RINGS, &map);

	world->size = map.size;
	world->region = map.region;
	for (uint32_t i = 0; i < 2; i++) {
		world->publishers[i].handle.place.record = crash_map_record(&map, i);
		kept_attach_publisher(world, i);
	}
	for (uint32_t r = 0; r < KEPT_RINGS; r++)
		world->subscribers[r].handle.place.record = crash_map_record(&map, 2 + r);
	return world;
}
