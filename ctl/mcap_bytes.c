/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a recording: see mcap.h. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/mcap.h"

static uint32_t tables[8][256];

static void make_tables(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
		tables[0][i] = crc;
	}
	for (size_t table = 1; table < 8; table++)
		for (size_t i = 0; i < 256; i++) {
			uint32_t crc = tables[table - 1][i];

			tables[table][i] = crc >> 8 ^ tables[0][crc & 255];
		}
}

/* Eight bytes a step: one byte a step would be slower than a disk. */
uint32_t mcap_crc32(uint32_t crc, const void *data, size_t size)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const unsigned char *at = data;

	pthread_once(&once, make_tables);
	crc = ~crc;
	for (; size >= 8; size -= 8, at += 8) {
		uint32_t low = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
			       (uint32_t)at[3] << 24;

		low ^= crc;
		crc = tables[7][low & 255] ^ tables[6][low >> 8 & 255] ^
		      tables[5][low >> 16 & 255] ^ tables[4][low >> 24] ^ tables[3][at[4]] ^
		      tables[2][at[5]] ^ tables[1][at[6]] ^ tables[0][at[7]];
	}
	for (; size > 0; size--, at++)
		crc = crc >> 8 ^ tables[0][(crc ^ *at) & 255];
	return ~crc;
}

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
