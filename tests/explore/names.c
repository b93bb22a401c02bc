/* SPDX-License-Identifier: Apache-2.0 */
/* Locations and values as a trace prints them. */
#include <stdio.h>

#include "common/ring/waiter.h"
#include "common/shared/bell.h"
#include "tests/explore/places.h"

static void name_hazard(struct world_place place, char *ret, unsigned long size)
{
	bool publisher = place.index < world.shape.publishers;
	const char *who = publisher ? "pub" : "sub";
	uint32_t index = place.index - (publisher ? 0 : world.shape.publishers);

	if (place.cell < 2)
		snprintf(ret, size, "%s%u.%s", who, index, place.cell ? "evicting" : "delivering");
	else
		snprintf(ret, size, "%s%u.held[%u]", who, index, place.cell - 2u);
}

static void name_shared(struct world_place place, char *ret, unsigned long size)
{
	static const char *const heads[] = { "sequence", "about" };

	switch (place.kind) {
	case PLACE_SHARED_CELL:
		snprintf(ret, size, "cell%u", place.index);
		break;
	case PLACE_SHARED_BYTES:
		if (place.cell >= PLACE_TIME)
			snprintf(
				ret, size, "cell%u.time[%u]", place.index, place.cell - PLACE_TIME);
		else if (place.cell < 4)
			snprintf(ret, size, "cell%u.%s[%u]", place.index, heads[place.cell & 1],
				place.cell / 2u);
		else
			snprintf(ret, size, "cell%u.word%u[%u]", place.index, place.cell / 2u - 2,
				place.cell & 1u);
		break;
	case PLACE_SLOT_BYTES:
		if (place.cell >= PLACE_TIME)
			snprintf(ret, size, "slot%u.time", place.index);
		else if (place.cell < 2)
			snprintf(ret, size, "slot%u.%s", place.index, heads[place.cell]);
		else
			snprintf(ret, size, "slot%u.word%u", place.index, place.cell - 2u);
		break;
	case PLACE_READER:
		if (place.cell)
			snprintf(ret, size, "reliable");
		else
			snprintf(ret, size, "reader%u.next", place.index);
		break;
	default:
		snprintf(ret, size, "%s",
			place.kind == PLACE_BELL          ? (place.cell == 1          ? "left"
								    : place.cell == 2 ? "room"
										      : "bell")
			: place.kind == PLACE_SHARED_HINT ? "hint"
							  : "privileged");
	}
}

void world_name_of(const volatile void *memory, char *ret, unsigned long size)
{
	struct world_place place = world_places[world_offset(memory) / 4];
	static const char *const parts[] = { "?", "slot", "slot", "ring", "ring", "ring", "ring",
		"header" };
	static const char *const fields[] = { "?", "word", "generation", "head", "hint", "waiting",
		"cell", "live" };

	if (place.kind >= PLACE_SHARED_HINT) {
		name_shared(place, ret, size);
		return;
	}
	if (place.kind == PLACE_HAZARD)
		name_hazard(place, ret, size);
	else if (place.index == WORLD_KEPT && place.kind == PLACE_CELL)
		snprintf(ret, size, "kept.cell%u", place.cell);
	else if (place.kind == PLACE_CELL)
		snprintf(ret, size, "ring%u.cell%u", place.index, place.cell);
	else
		snprintf(ret, size, "%s%u.%s", parts[place.kind], place.index, fields[place.kind]);
}

void world_value_of(const volatile void *memory, uint64_t value, char *ret, unsigned long size)
{
	switch (world_places[world_offset(memory) / 4].kind) {
	case PLACE_CELL:
		snprintf(ret, size, "[lap %lu|slot %u]", value >> KM_CELL_SLOT_BITS,
			km_cell_slot(value));
		break;
	case PLACE_SHARED_CELL:
		if (km_cell_slot(value) >= KM_SHARED_VOID)
			snprintf(ret, size, "[lap %lu|%s]", value >> KM_CELL_SLOT_BITS,
				km_cell_slot(value) == KM_SHARED_VOID ? "VOID" : "INLINE");
		else
			snprintf(ret, size, "[lap %lu|slot %u]", value >> KM_CELL_SLOT_BITS,
				km_cell_slot(value));
		break;
	case PLACE_BELL:
		snprintf(ret, size, "[%lu%s%s]", value >> 2,
			value & KM_BELL_ANNOUNCED ? " ANNOUNCED" : "",
			value & KM_BELL_WOKEN ? " WOKEN" : "");
		break;
	case PLACE_WORD:
		if (value == 0)
			snprintf(ret, size, "free");
		else if (value >> 48)
			snprintf(ret, size, "id %lu|%lx", value >> 48, value << 16 >> 16);
		else
			snprintf(ret, size, "bits %lx", value);
		break;
	case PLACE_WAITING:
		snprintf(ret, size, "[%lu%s%s]", value >> 2,
			value & KM_WAITING_WOKEN ? " WOKEN" : "",
			value & KM_WAITING_ASLEEP ? " ASLEEP" : "");
		break;
	case PLACE_HAZARD:
		if (value == KM_HAZARD_NONE)
			snprintf(ret, size, "none");
		else
			snprintf(ret, size, "%lx", value);
		break;
	default:
		snprintf(ret, size, "%lx", value);
	}
}
