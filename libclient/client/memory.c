/* SPDX-License-Identifier: Apache-2.0 */
/* A client's segments: see memory.h. */
#include "libclient/client/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/memory/segment.h"

#define MAX_SEGMENTS 65536

struct km_client_memory *km_client_memory_new(void)
{
	struct km_client_memory *memory = calloc(1, sizeof *memory);

	if (memory)
		memory->users = 1;
	return memory;
}

int km_client_memory_add(struct km_client_memory *own, uint32_t index, int fd, uint64_t size)
{
	void *memory;

	if (index >= MAX_SEGMENTS)
		return -EPROTO;
	if (index < own->segment_count && own->segments[index].memory)
		return 0;
	int r = km_segment_map_resident(fd, size, PROT_READ | PROT_WRITE, &memory);
	if (r < 0)
		return r;
	if (index >= own->segment_count) {
		struct km_client_segment *segments = realloc(
			own->segments, (index + 1) * sizeof *own->segments);

		if (!segments) {
			km_segment_unmap(memory, size);
			return -ENOMEM;
		}
		own->segments = segments;
		while (own->segment_count <= index)
			segments[own->segment_count++] = (struct km_client_segment){ 0 };
	}
	own->segments[index] = (struct km_client_segment){ memory, size };
	return 0;
}

uint32_t km_client_memory_count(const struct km_client_memory *own)
{
	uint32_t count = 0;

	while (count < own->segment_count && own->segments[count].memory)
		count++;
	return count;
}

int km_client_memory_adopt(
	struct km_client_memory *memory, const struct km_msg_attached *answer, const int *fds)
{
	if (answer->new_segment_size == 0)
		return 0;
	/* the segment's descriptor is the last one */
	return km_client_memory_add(memory, answer->segment, fds[answer->bell_size > 0 ? 3 : 2],
		answer->new_segment_size);
}

struct km_client_memory *km_client_memory_ref(struct km_client_memory *memory)
{
	memory->users++;
	return memory;
}

void km_client_memory_unref(struct km_client_memory *memory)
{
	if (!memory || --memory->users > 0)
		return;
	for (size_t i = 0; i < memory->segment_count; i++)
		km_segment_unmap(memory->segments[i].memory, memory->segments[i].size);
	free(memory->segments);
	free(memory);
}
