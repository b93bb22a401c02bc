/* SPDX-License-Identifier: Apache-2.0 */
/* Payloads and their headers: non-atomic accesses, and the races between them. */
#include <string.h>

#include "tests/explore/memory.h"
#include "tests/explore/world.h"

/* The accesses to each payload slot. */
struct plain {
	uint8_t writer, write_clock;
	uint8_t read_clock[EX_MAX_THREADS];
};

static struct plain plains[WORLD_MAX_SLOTS];

void ex_plain_reset(void)
{
	memset(plains, 0, sizeof plains);
}

void km_explore_plain_write(const volatile void *memory, uint64_t size)
{
	int slot = world_slot_of_payload(memory);

	if (ex.current < 0 || slot < 0)
		return;
	struct plain *plain = &plains[slot];
	struct ex_view *now = &knows[ex.current].now;
	for (int i = 0; i < ex.thread_count; i++)
		if (plain->read_clock[i] > now->clock[i])
			ex_fail("data race: %s writes slot %d while %s may be reading it",
				ex.threads[ex.current].name, slot, ex.threads[i].name);
	if (plain->write_clock > now->clock[plain->writer])
		ex_fail("data race: %s and %s both write slot %d", ex.threads[ex.current].name,
			ex.threads[plain->writer].name, slot);
	if (ex.tracing)
		ex_note("writes payload of slot %d", slot);
	plain->writer = (uint8_t)ex.current;
	plain->write_clock = ++now->clock[ex.current];
}

void km_explore_plain_read(const volatile void *memory, uint64_t size)
{
	int slot = world_slot_of_payload(memory);

	if (ex.current < 0 || slot < 0)
		return;
	struct plain *plain = &plains[slot];
	struct ex_view *now = &knows[ex.current].now;
	if (plain->write_clock > now->clock[plain->writer])
		ex_fail("data race: %s reads slot %d while %s may be writing it",
			ex.threads[ex.current].name, slot, ex.threads[plain->writer].name);
	if (ex.tracing)
		ex_note("reads payload of slot %d", slot);
	plain->read_clock[ex.current] = ++now->clock[ex.current];
}
