/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a recording: see mcap.h. */
#include <errno.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "ctl/mcap.h"

/* A chunk ends at this size. A writer that is killed loses so much, and a reader reads so much at
 * once. */
enum { CHUNK_SIZE = 1 << 20, MAX_CHANNELS = UINT16_MAX };

struct channel {
	uint64_t count;
	struct mcap_buffer index; /* of the chunk that is open: times and offsets */
};

struct mcap_writer {
	int fd, error;
	enum mcap_compression compression;
	uint64_t size; /* of the file */
	struct mcap_buffer chunk, squeezed, record;
	/* For the end of the file. */
	struct mcap_buffer schemas, channels, chunk_indexes, metadata_indexes;
	struct channel *of; /* [channel_count + 1], by id */
	uint32_t schema_count, channel_count, chunk_count, metadata_count;
	uint64_t message_count, first_time, last_time;
	uint64_t chunk_first, chunk_last, chunk_messages;
};

static const char *const names[] = { "", "zstd", "lz4" };

static int write_all(struct mcap_writer *writer, const void *data, size_t size)
{
	const char *at = data;

	while (writer->error == 0 && size > 0) {
		ssize_t n = write(writer->fd, at, size);

		if (n < 0 && errno != EINTR)
			writer->error = -errno;
		if (n < 0)
			continue;
		at += n;
		size -= (size_t)n;
		writer->size += (uint64_t)n;
	}
	return writer->error;
}

/* Writes what was put together, and empties it. */
static int write_buffer(struct mcap_writer *writer, struct mcap_buffer *buffer)
{
	if (buffer->failed)
		writer->error = -ENOMEM;
	write_all(writer, buffer->data, buffer->size);
	buffer->size = 0;
	return writer->error;
}

int mcap_writer_new(int fd, enum mcap_compression compression, struct mcap_writer **ret)
{
	struct mcap_writer *writer = calloc(1, sizeof *writer);

	if (!writer)
		return -ENOMEM;
	writer->fd = fd;
	writer->compression = compression;
	writer->of = calloc(MAX_CHANNELS + 1, sizeof *writer->of);
	if (!writer->of) {
		free(writer);
		return -ENOMEM;
	}
	mcap_put(&writer->record, MCAP_MAGIC, MCAP_MAGIC_SIZE);
	size_t begin = mcap_begin_record(&writer->record, MCAP_HEADER);
	mcap_put_string(&writer->record, "");
	mcap_put_string(&writer->record, "kickmsgctl " KM_VERSION);
	mcap_end_record(&writer->record, begin);
	*ret = writer;
	return write_buffer(writer, &writer->record);
}

uint64_t mcap_writer_size(const struct mcap_writer *writer)
{
	return writer->size + writer->chunk.size;
}

static void put_pairs(struct mcap_buffer *buffer, const struct mcap_pair *pairs, size_t count)
{
	size_t begin = mcap_begin_list(buffer);

	for (size_t i = 0; i < count; i++) {
		mcap_put_string(buffer, pairs[i].key);
		mcap_put_string(buffer, pairs[i].value);
	}
	mcap_end_list(buffer, begin);
}

uint16_t mcap_write_schema(struct mcap_writer *writer, const char *name, const char *encoding,
	const void *data, size_t size)
{
	if (!*name || writer->schema_count == UINT16_MAX)
		return 0;
	size_t at = writer->schemas.size;
	size_t begin = mcap_begin_record(&writer->schemas, MCAP_SCHEMA);

	mcap_put_number(&writer->schemas, ++writer->schema_count, 2);
	mcap_put_string(&writer->schemas, name);
	mcap_put_string(&writer->schemas, encoding);
	mcap_put_number(&writer->schemas, size, 4);
	mcap_put(&writer->schemas, data, size);
	mcap_end_record(&writer->schemas, begin);
	if (!writer->schemas.failed)
		mcap_put(&writer->chunk, writer->schemas.data + at, writer->schemas.size - at);
	return (uint16_t)writer->schema_count;
}

uint16_t mcap_write_channel(struct mcap_writer *writer, uint16_t schema, const char *topic,
	const char *encoding, const struct mcap_pair *metadata, size_t count)
{
	if (writer->channel_count == MAX_CHANNELS)
		return 0;
	size_t at = writer->channels.size;
	size_t begin = mcap_begin_record(&writer->channels, MCAP_CHANNEL);

	mcap_put_number(&writer->channels, ++writer->channel_count, 2);
	mcap_put_number(&writer->channels, schema, 2);
	mcap_put_string(&writer->channels, topic);
	mcap_put_string(&writer->channels, encoding);
	put_pairs(&writer->channels, metadata, count);
	mcap_end_record(&writer->channels, begin);
	if (!writer->channels.failed)
		mcap_put(&writer->chunk, writer->channels.data + at, writer->channels.size - at);
	return (uint16_t)writer->channel_count;
}

/* The chunk's bytes as they are to be stored. */
static const struct mcap_buffer *squeeze(struct mcap_writer *writer)
{
	struct mcap_buffer *to = &writer->squeezed;
	size_t bound, n;

	if (writer->compression == MCAP_PLAIN)
		return &writer->chunk;
	bound = writer->compression == MCAP_ZSTD
			? ZSTD_compressBound(writer->chunk.size)
			: LZ4F_compressFrameBound(writer->chunk.size, NULL);
	if (to->room < bound) {
		mcap_buffer_free(to);
		to->data = malloc(bound);
		to->room = to->data ? bound : 0;
	}
	if (!to->data) {
		writer->error = -ENOMEM;
		return to;
	}
	n = writer->compression == MCAP_ZSTD
		    ? ZSTD_compress(to->data, to->room, writer->chunk.data, writer->chunk.size, 1)
		    : LZ4F_compressFrame(
			      to->data, to->room, writer->chunk.data, writer->chunk.size, NULL);
	if (writer->compression == MCAP_ZSTD ? ZSTD_isError(n) : LZ4F_isError(n))
		writer->error = -EIO;
	to->size = writer->error ? 0 : n;
	return to;
}

/* Message indexes of the chunk; the map from channels to where they are goes into `ret`. */
static void put_message_indexes(
	struct mcap_writer *writer, uint64_t chunk_end, struct mcap_buffer *ret)
{
	struct mcap_buffer *record = &writer->record;

	size_t map = mcap_begin_list(ret);
	for (uint32_t id = 1; id <= writer->channel_count; id++) {
		struct mcap_buffer *index = &writer->of[id].index;

		if (index->size == 0)
			continue;
		mcap_put_number(ret, id, 2);
		mcap_put_number(ret, chunk_end + record->size, 8);
		size_t begin = mcap_begin_record(record, MCAP_MESSAGE_INDEX);
		mcap_put_number(record, id, 2);
		mcap_put_number(record, index->size, 4);
		mcap_put(record, index->data, index->size);
		mcap_end_record(record, begin);
		record->failed |= index->failed;
		index->size = 0;
	}
	mcap_end_list(ret, map);
}

int mcap_flush(struct mcap_writer *writer)
{
	struct mcap_buffer *record = &writer->record, *index = &writer->chunk_indexes;
	const uint64_t start = writer->size, uncompressed = writer->chunk.size;

	if (writer->chunk.size == 0 || writer->error)
		return writer->error;
	const struct mcap_buffer *stored = squeeze(writer);
	if (writer->chunk.failed || writer->error)
		return writer->error = writer->error ? writer->error : -ENOMEM;
	/* the record's head alone is put together: its content is written from where it lies */
	mcap_put_number(record, MCAP_CHUNK, 1);
	mcap_put_number(record,
		8 + 8 + 8 + 4 + 4 + strlen(names[writer->compression]) + 8 + stored->size, 8);
	mcap_put_number(record, writer->chunk_first, 8);
	mcap_put_number(record, writer->chunk_last, 8);
	mcap_put_number(record, uncompressed, 8);
	mcap_put_number(record, mcap_crc32(0, writer->chunk.data, writer->chunk.size), 4);
	mcap_put_string(record, names[writer->compression]);
	mcap_put_number(record, stored->size, 8);
	write_buffer(writer, record);
	write_all(writer, stored->data, stored->size);
	const uint64_t end = writer->size;

	size_t begin = mcap_begin_record(index, MCAP_CHUNK_INDEX);
	mcap_put_number(index, writer->chunk_first, 8);
	mcap_put_number(index, writer->chunk_last, 8);
	mcap_put_number(index, start, 8);
	mcap_put_number(index, end - start, 8);
	put_message_indexes(writer, end, index);
	mcap_put_number(index, record->size, 8);
	mcap_put_string(index, names[writer->compression]);
	mcap_put_number(index, stored->size, 8);
	mcap_put_number(index, uncompressed, 8);
	mcap_end_record(index, begin);
	write_buffer(writer, record);
	writer->chunk.size = 0;
	writer->chunk_messages = 0;
	writer->chunk_first = writer->chunk_last = 0;
	writer->chunk_count++;
	return writer->error;
}

int mcap_write_message(struct mcap_writer *writer, uint16_t channel, uint32_t sequence,
	uint64_t log_time, uint64_t publish_time, const void *data, size_t size)
{
	struct mcap_buffer *chunk = &writer->chunk, *index = &writer->of[channel].index;

	if (writer->error)
		return writer->error;
	mcap_put_number(index, log_time, 8);
	mcap_put_number(index, chunk->size, 8);
	mcap_put_number(chunk, MCAP_MESSAGE, 1);
	mcap_put_number(chunk, 22 + size, 8);
	mcap_put_number(chunk, channel, 2);
	mcap_put_number(chunk, sequence, 4);
	mcap_put_number(chunk, log_time, 8);
	mcap_put_number(chunk, publish_time, 8);
	mcap_put(chunk, data, size);
	if (writer->chunk_messages == 0 || log_time < writer->chunk_first)
		writer->chunk_first = log_time;
	if (log_time > writer->chunk_last)
		writer->chunk_last = log_time;
	if (writer->message_count == 0 || log_time < writer->first_time)
		writer->first_time = log_time;
	if (log_time > writer->last_time)
		writer->last_time = log_time;
	writer->of[channel].count++;
	writer->chunk_messages++;
	writer->message_count++;
	return chunk->size >= CHUNK_SIZE ? mcap_flush(writer) : chunk->failed ? -ENOMEM : 0;
}

/* The record that lies in writer->record. */
static int write_metadata(struct mcap_writer *writer, const char *name)
{
	struct mcap_buffer *record = &writer->record, *index = &writer->metadata_indexes;
	size_t begin = mcap_begin_record(index, MCAP_METADATA_INDEX);
	mcap_put_number(index, writer->size, 8);
	mcap_put_number(index, record->size, 8);
	mcap_put_string(index, name);
	mcap_end_record(index, begin);
	writer->metadata_count++;
	return write_buffer(writer, record);
}

int mcap_write_metadata(struct mcap_writer *writer, const char *name,
	const struct mcap_pair *metadata, size_t count)
{
	if (mcap_flush(writer) < 0)
		return writer->error;
	size_t begin = mcap_begin_record(&writer->record, MCAP_METADATA);
	mcap_put_string(&writer->record, name);
	put_pairs(&writer->record, metadata, count);
	mcap_end_record(&writer->record, begin);
	return write_metadata(writer, name);
}

int mcap_copy_metadata(struct mcap_writer *writer, const char *name, const void *data, size_t size)
{
	if (mcap_flush(writer) < 0)
		return writer->error;
	size_t begin = mcap_begin_record(&writer->record, MCAP_METADATA);
	mcap_put(&writer->record, data, size);
	mcap_end_record(&writer->record, begin);
	return write_metadata(writer, name);
}

static void put_statistics(struct mcap_writer *writer, struct mcap_buffer *ret)
{
	size_t begin = mcap_begin_record(ret, MCAP_STATISTICS);

	mcap_put_number(ret, writer->message_count, 8);
	mcap_put_number(ret, writer->schema_count, 2);
	mcap_put_number(ret, writer->channel_count, 4);
	mcap_put_number(ret, 0, 4);
	mcap_put_number(ret, writer->metadata_count, 4);
	mcap_put_number(ret, writer->chunk_count, 4);
	mcap_put_number(ret, writer->first_time, 8);
	mcap_put_number(ret, writer->last_time, 8);
	size_t list = mcap_begin_list(ret);
	for (uint32_t id = 1; id <= writer->channel_count; id++) {
		mcap_put_number(ret, id, 2);
		mcap_put_number(ret, writer->of[id].count, 8);
	}
	mcap_end_list(ret, list);
	mcap_end_record(ret, begin);
}

/* A group of records of one kind, and where it is. */
static void put_group(struct mcap_buffer *summary, struct mcap_buffer *offsets, uint64_t start,
	enum mcap_kind kind, const struct mcap_buffer *group)
{
	size_t begin;

	if (group->size == 0)
		return;
	begin = mcap_begin_record(offsets, MCAP_SUMMARY_OFFSET);
	mcap_put_number(offsets, kind, 1);
	mcap_put_number(offsets, start + summary->size, 8);
	mcap_put_number(offsets, group->size, 8);
	mcap_end_record(offsets, begin);
	mcap_put(summary, group->data, group->size);
	summary->failed |= group->failed;
}

static void write_end(struct mcap_writer *writer)
{
	struct mcap_buffer summary = { 0 }, offsets = { 0 }, statistics = { 0 };
	size_t begin = mcap_begin_record(&writer->record, MCAP_DATA_END);
	uint64_t start;

	mcap_put_number(&writer->record, 0, 4); /* 0: no CRC of the whole; chunks have theirs */
	mcap_end_record(&writer->record, begin);
	write_buffer(writer, &writer->record);
	start = writer->size;
	put_statistics(writer, &statistics);
	put_group(&summary, &offsets, start, MCAP_SCHEMA, &writer->schemas);
	put_group(&summary, &offsets, start, MCAP_CHANNEL, &writer->channels);
	put_group(&summary, &offsets, start, MCAP_STATISTICS, &statistics);
	put_group(&summary, &offsets, start, MCAP_CHUNK_INDEX, &writer->chunk_indexes);
	put_group(&summary, &offsets, start, MCAP_METADATA_INDEX, &writer->metadata_indexes);
	const uint64_t offsets_at = start + summary.size;
	mcap_put(&summary, offsets.data, offsets.size);
	summary.failed |= offsets.failed;
	mcap_put_number(&summary, MCAP_FOOTER, 1);
	mcap_put_number(&summary, 8 + 8 + 4, 8);
	mcap_put_number(&summary, start, 8);
	mcap_put_number(&summary, offsets_at, 8);
	if (!summary.failed)
		mcap_put_number(&summary, mcap_crc32(0, summary.data, summary.size), 4);
	mcap_put(&summary, MCAP_MAGIC, MCAP_MAGIC_SIZE);
	write_buffer(writer, &summary);
	mcap_buffer_free(&summary);
	mcap_buffer_free(&offsets);
	mcap_buffer_free(&statistics);
}

int mcap_writer_finish(struct mcap_writer *writer)
{
	int error;

	if (!writer)
		return 0;
	if (mcap_flush(writer) == 0)
		write_end(writer);
	error = writer->error;
	if (close(writer->fd) < 0 && error == 0)
		error = -errno;
	for (uint32_t id = 1; id <= writer->channel_count; id++)
		mcap_buffer_free(&writer->of[id].index);
	free(writer->of);
	mcap_buffer_free(&writer->chunk);
	mcap_buffer_free(&writer->squeezed);
	mcap_buffer_free(&writer->record);
	mcap_buffer_free(&writer->schemas);
	mcap_buffer_free(&writer->channels);
	mcap_buffer_free(&writer->chunk_indexes);
	mcap_buffer_free(&writer->metadata_indexes);
	free(writer);
	return error;
}
