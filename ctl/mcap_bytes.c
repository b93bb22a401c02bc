/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a recording: see mcap.h. */
#include <stdlib.h>
#include <string.h>

#include "ctl/mcap.h"

void mcap_buffer_free(struct mcap_buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct mcap_buffer){ 0 };
}

void mcap_put(struct mcap_buffer *buffer, const void *data, size_t size)
{
	if (buffer->size + size > buffer->room && !buffer->failed) {
		size_t room = buffer->size + size + buffer->room / 2 + 256;
		unsigned char *more = realloc(buffer->data, room);

		if (more) {
			buffer->data = more;
			buffer->room = room;
		}
		buffer->failed = !more;
	}
	if (buffer->failed || size == 0)
		return;
	memcpy(buffer->data + buffer->size, data, size);
	buffer->size += size;
}

void mcap_put_number(struct mcap_buffer *buffer, uint64_t value, size_t bytes)
{
	unsigned char digits[8];

	for (size_t i = 0; i < bytes; i++)
		digits[i] = (unsigned char)(value >> (8 * i));
	mcap_put(buffer, digits, bytes);
}

void mcap_put_string(struct mcap_buffer *buffer, const char *text)
{
	mcap_put_number(buffer, strlen(text), 4);
	mcap_put(buffer, text, strlen(text));
}

static void set_length(struct mcap_buffer *buffer, size_t begin, size_t bytes)
{
	uint64_t length = buffer->size - begin;

	for (size_t i = 0; i < bytes && !buffer->failed; i++)
		buffer->data[begin - bytes + i] = (unsigned char)(length >> (8 * i));
}

size_t mcap_begin_record(struct mcap_buffer *buffer, enum mcap_kind kind)
{
	mcap_put_number(buffer, kind, 1);
	mcap_put_number(buffer, 0, 8);
	return buffer->size;
}

void mcap_end_record(struct mcap_buffer *buffer, size_t begin)
{
	set_length(buffer, begin, 8);
}

size_t mcap_begin_list(struct mcap_buffer *buffer)
{
	mcap_put_number(buffer, 0, 4);
	return buffer->size;
}

void mcap_end_list(struct mcap_buffer *buffer, size_t begin)
{
	set_length(buffer, begin, 4);
}
