/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places: see place.h. The memory that the broker's ATTACHED answer brought is mapped and checked.
 * Descriptors are closed once mapped; the mappings are the only thing that stays. The answer says
 * what the topic is: its shape, lifetime and schema. In the memory others could write them.
 */
#include "libclient/handle/place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/memory/segment.h"
#include "common/ring/lost.h"
#include "common/shared/bell.h"

/* --- its memory ------------------------------------------------------------------------ */

/* The endpoint record that the answer names, if it lies where a record can. */
static int find_record(struct km_place *place, const struct km_client_memory *memory,
	const struct km_msg_attached *answer)
{
	const struct km_region *region = &place->region;
	const enum km_role role = place->role;
	uint64_t size = km_geometry_endpoint_size(&region->geometry, role);

	if (answer->segment >= memory->segment_count || !memory->segments[answer->segment].memory ||
		answer->record_offset % KM_CACHE_LINE != 0 ||
		answer->record_offset + size > memory->segments[answer->segment].size)
		return -EPROTO;

	struct km_endpoint *record =
		(void *)((unsigned char *)memory->segments[answer->segment].memory +
			 answer->record_offset);
	if (record->role != role || answer->role != (uint32_t)role)
		return -EPROTO;
	if (role == KM_ROLE_PUBLISHER &&
		(answer->id == 0 || answer->id > region->geometry.max_publishers))
		return -EPROTO;
	if (role == KM_ROLE_SUBSCRIBER &&
		((!region->shared && answer->ring >= region->ring_count) ||
			record->held_count != km_geometry_held_count(&region->geometry)))
		return -EPROTO;
	place->record = record;
	return 0;
}

/* Maps the region. fds: control, payload, and the bell of a shared ring, whose subscribers write
 * nothing else. */
static int map_region(struct km_place *place, const struct km_msg_attached *answer, const int *fds)
{
	int read_write = PROT_READ | PROT_WRITE;
	int access = place->role == KM_ROLE_PUBLISHER ? read_write : PROT_READ;
	bool shared = answer->bell_size > 0 || place->observes;
	int r = km_segment_map_resident(fds[0], answer->control_size,
		shared && !place->writable ? access : read_write, &place->control);

	if (r == 0)
		r = km_segment_map_resident(fds[1], answer->payload_size, access, &place->payload);
	if (r == 0)
		r = km_region_attach(&place->region, &answer->geometry, place->control,
			answer->control_size, place->payload, answer->payload_size);
	if (r == 0 && shared != (place->region.shared != NULL))
		r = -EPROTO;
	if (r == 0 && answer->bell_size > 0) {
		r = answer->bell_size < sizeof(struct km_bell_page)
			    ? -EPROTO
			    : km_segment_map_resident(
				      fds[2], answer->bell_size, read_write, &place->bell);
		place->region.bell = place->bell;
	}
	return r;
}

int km_place_map(struct km_place *ret, struct kickmsg_client *client,
	const struct km_msg_attached *answer, const int *fds)
{
	struct stat st;
	int r;

	if (ret->observes != (answer->observes != 0))
		return -EPROTO;
	ret->connection = client->connection;
	ret->endpoint = answer->endpoint;
	ret->control_size = answer->control_size;
	ret->payload_size = answer->payload_size;
	ret->bell_size = answer->bell_size;
	if (fstat(fds[0], &st) < 0)
		return -errno;
	ret->inode = st.st_ino;
	r = km_client_memory_adopt(client->memory, answer, fds);
	if (r == 0)
		r = map_region(ret, answer, fds);
	if (r == 0 && !ret->observes)
		r = find_record(ret, client->memory, answer);
	if (r < 0)
		return r;
	ret->memory = km_client_memory_ref(client->memory);
	ret->seen = km_seen_look(&ret->region, ret->role);
	return 0;
}

void km_place_unmap_payload(struct km_place *place)
{
	km_segment_unmap(place->payload, place->payload_size);
	place->payload = NULL;
}

void km_place_unmap(struct km_place *place)
{
	km_segment_unmap(place->control, place->control_size);
	km_place_unmap_payload(place);
	km_segment_unmap(place->bell, place->bell_size);
	km_client_memory_unref(place->memory);
}

/* --- its private memory ---------------------------------------------------------------- */

void *km_place_alloc(size_t count, size_t size)
{
	const size_t unit = 2 * KM_CACHE_LINE, bytes = (count * size + unit - 1) / unit * unit;
	void *memory = aligned_alloc(unit, bytes);

	return memory ? memset(memory, 0, bytes) : NULL;
}

/* --- its role -------------------------------------------------------------------------- */

int km_place_publish(struct km_place *place, struct km_endpoint *record, uint32_t id)
{
	const struct km_region *region = &place->region;

	place->role = KM_ROLE_PUBLISHER;
	place->loans = km_place_alloc(region->geometry.max_loans, sizeof *place->loans);
	if (!place->loans)
		return -ENOMEM;
	place->record = record;
	place->id = id;
	km_store(P1, relaxed, &place->rings, (UINT64_C(1) << region->ring_count) - 1);
	for (uint32_t i = 0; i < KM_MAX_RINGS; i++)
		place->cursors[i].head = region->geometry.ring_capacity;
	place->only = KM_ONLY_NONE;
	if (region->geometry.max_reliable > 0)
		place->region.path |= KM_PATH_RELIABLE;
	if (region->kept) {
		km_kept_view(region, &place->kept);
		place->kept_cursor.head = region->kept_capacity;
		place->live = ~UINT64_C(0); /* look, and learn of openings */
	}
	km_slot_cache_init(&place->cache, region, id);
	return 0;
}

/* Makes room for the copies that a subscriber lends. A page that is never written to costs nothing
 * but addresses. */
static int make_room_for_copies(struct km_place *place)
{
	const struct km_geometry *geometry = &place->region.geometry;
	const uint64_t line = KM_CACHE_LINE;
	uint64_t stride = (geometry->max_payload_size + line - 1) / line * line;

	place->copies_memory = calloc(1, ((uint64_t)geometry->max_borrows + 1) * stride + line);
	if (!place->copies_memory)
		return -ENOMEM;
	uintptr_t start = (uintptr_t)place->copies_memory;
	place->copies = (unsigned char *)place->copies_memory + (line - start % line);
	place->copy_stride = stride;
	return 0;
}

int km_place_subscribe(
	struct km_place *place, struct km_endpoint *record, uint32_t ring_index, uint64_t start)
{
	const struct km_region *region = &place->region;

	place->role = KM_ROLE_SUBSCRIBER;
	if (place->observes)
		record = calloc(1, sizeof *record);
	place->record = record;
	struct km_hold *holds = km_place_alloc(region->geometry.max_borrows + 1, sizeof *holds);
	place->holds = holds;
	if (!place->record || !holds)
		return -ENOMEM;
	km_place_take_holds(place, holds);
	place->lends = region->geometry.max_borrows;
	place->ring_index = ring_index;
	place->next = place->said = start;
	place->others = ~UINT64_C(0);
	if (region->shared)
		return make_room_for_copies(place);
	place->others = ~(UINT64_C(1) << ring_index);
	place->ring = km_region_ring(region, ring_index);
	km_place_expect(place, start);
	if (region->kept) {
		km_kept_view(region, &place->kept);
		km_place_look_back(place, 0);
		place->newcomer.late = KM_LATE_IGNORED;
	}
	return 0;
}

void km_place_look_back(struct km_place *place, uint32_t history)
{
	struct km_region *region = &place->region;

	if (!region->kept)
		return;
	if (history > region->geometry.history)
		history = region->geometry.history;
	uint64_t next = place->next;
	km_newcomer_init(&place->newcomer, region, &place->kept, place->ring_index, history,
		&place->record->evicting, &next);
	km_place_expect(place, next);
	/* ring_pos of what it gets from the kept ring comes before that of its own ring's first */
	place->offset = 2 * (uint64_t)region->kept_capacity;
	if (place->newcomer.next != place->newcomer.end)
		region->path |= KM_PATH_KEPT;
	else
		region->path &= ~(uint32_t)KM_PATH_KEPT;
}

void km_place_take_holds(struct km_place *place, struct km_hold *holds)
{
	for (uint32_t i = 0; i <= place->region.geometry.max_borrows; i++)
		holds[i] = (struct km_hold){
			.position = KM_HOLD_FREE,
			.slot = place->region.slots,
			.held = &place->record->held[i],
			.index = i,
		};
	place->holds = place->spare = holds;
}

void km_place_find_spare(struct km_place *place)
{
	struct km_hold *hold = place->spare;

	while (km_hold_is_busy(hold))
		hold = hold->index < place->region.geometry.max_borrows ? hold + 1 : place->holds;
	place->spare = hold;
}

static void end_loans(struct km_place *place)
{
	const struct km_region *region = &place->region;

	for (uint32_t i = 0; place->loans && i < region->geometry.max_loans; i++)
		if (place->loans[i].payload)
			km_slot_drop(&region->slots[place->loans[i].slot], KM_SLOT_ID_MASK);
	free(place->loans);
	place->loans = NULL;
}

static void end_holds(struct km_place *place)
{
	for (uint32_t i = 0; place->holds && i <= place->region.geometry.max_borrows; i++)
		if (km_hold_is_busy(&place->holds[i]))
			km_place_let_go(place, &place->holds[i]);
	free(place->holds);
	place->holds = NULL;
	free(place->copies_memory);
	if (place->observes)
		free(place->record);
}

void km_place_end(struct km_place *place)
{
	if (place->role == KM_ROLE_PUBLISHER)
		end_loans(place);
	else
		end_holds(place);
}

void km_place_greet(struct km_place *place, uint64_t sequence, uint64_t rings)
{
	for (; rings; rings &= rings - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(rings);

		km_lost_greet(km_region_ring(&place->region, i), &place->greeted[i],
			sequence - place->base);
	}
}

bool km_place_is_left(const struct km_place *place)
{
	const struct km_region *region = &place->region;

	return km_load(L4, relaxed, &region->header->live) & KM_LIVE_LEFT ||
	       (region->bell && km_bell_is_left(region->bell));
}

uint64_t km_place_frontier(const struct km_place *place, uint64_t *ret_head)
{
	const struct km_region *region = &place->region;
	uint64_t head = km_load(R2, acquire, &place->ring->head), p = head;

	while (p - head < region->geometry.ring_capacity &&
		km_cell_laps_ahead(km_load(R1, acquire, &place->ring->cells[p & region->cell_mask]),
			p, region->cell_shift) >= 0)
		p++;
	*ret_head = head;
	return p;
}
