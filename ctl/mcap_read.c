/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a recording from its beginning: see mcap.h. Nothing in it is believed: each length is held
 * against what is there before it is used, and a chunk against its CRC where it has one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/mcap.h"
#include "ctl/mcap_span.h"

/* The limit on a record and on a chunk's content: a longer one is taken for garbage. */
#define MAX_SIZE (UINT64_C(1) << 31)

struct mcap_reader {
	FILE *file;
	uint64_t offset; /* of the record that is read */
	unsigned char *record, *chunk;
	size_t record_room, chunk_room;
	struct mcap_message *messages; /* of the chunk, in the order of time */
	size_t message_count, message_room, message_next;
	bool unsorted; /* they aren't yet */
	struct mcap_schema *schemas[UINT16_MAX + 1];
	struct mcap_channel *channels[UINT16_MAX + 1];
	struct mcap_writer *copies_to; /* metadata; or null */
	enum mcap_found over;          /* what ended it; MCAP_FOUND_MESSAGE: nothing yet */
	char why[256];
};

/* Takes a string of its own; null where it isn't there, or without memory. */
static char *take_string(struct span *span)
{
	struct span text = take_span(span, take_number(span, 4));

	return text.bad ? NULL : strndup((const char *)text.at, (size_t)(text.end - text.at));
}

static enum mcap_found corrupt(struct mcap_reader *reader, const char *what)
{
	snprintf(reader->why, sizeof reader->why, "%s in the record at byte %" PRIu64, what,
		reader->offset);
	return reader->over = MCAP_FOUND_CORRUPT;
}

static void free_schema(struct mcap_schema *schema)
{
	if (!schema)
		return;
	free(schema->name);
	free(schema->encoding);
	free(schema->data);
	free(schema);
}

static void free_channel(struct mcap_channel *channel)
{
	if (!channel)
		return;
	for (size_t i = 0; i < channel->metadata_count; i++) {
		free(channel->metadata[i].key);
		free(channel->metadata[i].value);
	}
	free(channel->metadata);
	free(channel->topic);
	free(channel->encoding);
	free(channel);
}

int mcap_reader_open(const char *path, struct mcap_reader **ret)
{
	struct mcap_reader *reader = calloc(1, sizeof *reader);
	char magic[MCAP_MAGIC_SIZE] = "";
	int r = 0;

	if (!reader)
		return -ENOMEM;
	reader->file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	if (!reader->file)
		r = -errno;
	else if (fread(magic, 1, sizeof magic, reader->file) != sizeof magic)
		r = ferror(reader->file) ? -errno : -EPROTO;
	else if (memcmp(magic, MCAP_MAGIC, sizeof magic) != 0)
		r = -EPROTO;
	if (r < 0) {
		mcap_reader_free(reader);
		return r;
	}
	reader->offset = MCAP_MAGIC_SIZE;
	*ret = reader;
	return 0;
}

void mcap_reader_free(struct mcap_reader *reader)
{
	if (!reader)
		return;
	for (size_t i = 0; i <= UINT16_MAX; i++) {
		free_schema(reader->schemas[i]);
		free_channel(reader->channels[i]);
	}
	if (reader->file && reader->file != stdin)
		fclose(reader->file);
	free(reader->record);
	free(reader->chunk);
	free(reader->messages);
	free(reader);
}

void mcap_reader_copy_metadata(struct mcap_reader *reader, struct mcap_writer *writer)
{
	reader->copies_to = writer;
}

const char *mcap_reader_why(const struct mcap_reader *reader)
{
	return reader->why;
}

const struct mcap_schema *mcap_find_schema(const struct mcap_reader *reader, uint16_t id)
{
	return reader->schemas[id];
}

const char *mcap_find_metadata(const struct mcap_channel *channel, const char *key)
{
	for (size_t i = 0; i < channel->metadata_count; i++)
		if (strcmp(channel->metadata[i].key, key) == 0)
			return channel->metadata[i].value;
	return NULL;
}

/* The first schema of an id counts: later ones are copies of it. */
static bool take_schema(struct mcap_reader *reader, struct span span)
{
	uint16_t id = (uint16_t)take_number(&span, 2);

	if (id == 0 || reader->schemas[id])
		return !span.bad;
	struct mcap_schema *schema = calloc(1, sizeof *schema);
	if (!schema)
		return false;
	schema->id = id;
	schema->name = take_string(&span);
	schema->encoding = take_string(&span);
	struct span data = take_span(&span, take_number(&span, 4));
	schema->size = (size_t)(data.end - data.at);
	schema->data = malloc(schema->size + 1);
	if (span.bad || !schema->name || !schema->encoding || !schema->data) {
		free_schema(schema);
		return false;
	}
	memcpy(schema->data, data.at, schema->size);
	reader->schemas[id] = schema;
	return true;
}

static bool take_metadata(struct mcap_channel *channel, struct span span)
{
	while (span.at < span.end && !span.bad) {
		struct mcap_metadata *more = reallocarray(
			channel->metadata, channel->metadata_count + 1, sizeof *more);
		if (!more)
			return false;
		channel->metadata = more;
		more += channel->metadata_count++;
		more->key = take_string(&span);
		more->value = take_string(&span);
		if (!more->key || !more->value)
			return false;
	}
	return !span.bad;
}

static bool take_channel(struct mcap_reader *reader, struct span span)
{
	uint16_t id = (uint16_t)take_number(&span, 2);

	if (reader->channels[id])
		return !span.bad;
	struct mcap_channel *channel = calloc(1, sizeof *channel);
	if (!channel)
		return false;
	channel->id = id;
	channel->schema = (uint16_t)take_number(&span, 2);
	channel->topic = take_string(&span);
	channel->encoding = take_string(&span);
	struct span metadata = take_span(&span, take_number(&span, 4));
	if (span.bad || !channel->topic || !channel->encoding ||
		!take_metadata(channel, metadata)) {
		free_channel(channel);
		return false;
	}
	reader->channels[id] = channel;
	return true;
}

static bool take_message(struct mcap_reader *reader, struct span span)
{
	struct mcap_message message = { 0 };
	uint16_t id = (uint16_t)take_number(&span, 2);

	message.channel = reader->channels[id];
	message.sequence = (uint32_t)take_number(&span, 4);
	message.log_time = take_number(&span, 8);
	message.publish_time = take_number(&span, 8);
	message.data = span.at;
	message.size = (size_t)(span.end - span.at);
	if (span.bad || !message.channel)
		return false;
	if (reader->message_count == reader->message_room) {
		size_t room = 2 * reader->message_room + 64;
		struct mcap_message *more = reallocarray(
			reader->messages, room, sizeof *reader->messages);
		if (!more)
			return false;
		reader->messages = more;
		reader->message_room = room;
	}
	if (reader->message_count > 0 &&
		reader->messages[reader->message_count - 1].log_time > message.log_time)
		reader->unsorted = true;
	reader->messages[reader->message_count++] = message;
	return true;
}

/* Copies metadata of the file, not of a channel. The writer keeps its own errors. */
static bool copy_metadata(struct mcap_reader *reader, struct span span)
{
	const struct span whole = span;

	if (!reader->copies_to)
		return true;
	char *name = take_string(&span);
	struct span pairs = take_span(&span, take_number(&span, 4));
	while (pairs.at < pairs.end && !pairs.bad)
		take_span(&pairs, take_number(&pairs, 4));
	bool good = name && !span.bad && !pairs.bad;
	if (good)
		mcap_copy_metadata(reader->copies_to, name, whole.at, (size_t)(span.at - whole.at));
	free(name);
	return good;
}

/* A record that may stand in a chunk. Others are passed over. */
static bool take_record(struct mcap_reader *reader, unsigned kind, struct span span)
{
	switch (kind) {
	case MCAP_SCHEMA:
		return take_schema(reader, span);
	case MCAP_CHANNEL:
		return take_channel(reader, span);
	case MCAP_MESSAGE:
		return take_message(reader, span);
	default:
		return true;
	}
}

static bool need(unsigned char **buffer, size_t *room, uint64_t size)
{
	if (size <= *room && *buffer)
		return true;
	unsigned char *more = size > MAX_SIZE ? NULL : realloc(*buffer, (size_t)size + 1);
	if (!more)
		return false;
	*buffer = more;
	*room = (size_t)size;
	return true;
}

/* The chunk's content in *ret. */
static bool unpack(struct mcap_reader *reader, const char *how, struct span packed, uint64_t size,
	struct span *ret)
{
	if (!*how) {
		*ret = packed;
		return (uint64_t)(packed.end - packed.at) == size;
	}
	if (!need(&reader->chunk, &reader->chunk_room, size))
		return false;
	*ret = (struct span){ reader->chunk, reader->chunk + size, false };
	return mcap_unpack(
		how, packed.at, (size_t)(packed.end - packed.at), reader->chunk, (size_t)size);
}

/* Orders by time. Messages of one time stay as they are in the chunk. */
static int compare(const void *a, const void *b)
{
	const struct mcap_message *x = a, *y = b;

	if (x->log_time != y->log_time)
		return x->log_time < y->log_time ? -1 : 1;
	return x->data < y->data ? -1 : x->data > y->data;
}

static enum mcap_found take_chunk(struct mcap_reader *reader, struct span span)
{
	struct span content, packed;
	char *how;
	bool good;

	/* the times of its first and last message */
	take_number(&span, 8);
	take_number(&span, 8);
	uint64_t size = take_number(&span, 8);
	uint32_t crc = (uint32_t)take_number(&span, 4);
	how = take_string(&span);
	packed = take_span(&span, take_number(&span, 8));
	good = !span.bad && how && unpack(reader, how, packed, size, &content);
	if (!good && how && *how && !mcap_can_unpack(how))
		corrupt(reader, "an unknown compression");
	free(how);
	if (!good)
		return reader->over ? reader->over
				    : corrupt(reader, "a chunk that can't be unpacked");
	if (crc != 0 && mcap_crc32(0, content.at, (size_t)(content.end - content.at)) != crc)
		return corrupt(reader, "a wrong CRC");
	while (content.at < content.end) {
		unsigned kind = (unsigned)take_number(&content, 1);
		struct span record = take_span(&content, take_number(&content, 8));

		if (content.bad || !take_record(reader, kind, record))
			return corrupt(reader, "nonsense in a chunk");
	}
	if (reader->unsorted)
		qsort(reader->messages, reader->message_count, sizeof *reader->messages, compare);
	return MCAP_FOUND_MESSAGE;
}

/* The next record of the file. */
static enum mcap_found next_record(struct mcap_reader *reader)
{
	unsigned char head[9];
	size_t n = fread(head, 1, sizeof head, reader->file);
	struct span span = { head + 1, head + 9, false };

	if (n < sizeof head)
		return reader->over = MCAP_FOUND_CUT;
	uint64_t size = take_number(&span, 8);
	if (size > MAX_SIZE)
		return corrupt(reader, "a length that can't be");
	if (!need(&reader->record, &reader->record_room, size))
		return corrupt(reader, "more than there is memory for");
	if (fread(reader->record, 1, (size_t)size, reader->file) < size)
		return reader->over = MCAP_FOUND_CUT;
	reader->message_count = reader->message_next = 0;
	reader->unsorted = false;
	span = (struct span){ reader->record, reader->record + size, false };
	/* copies and indexes follow; the footer says that nothing is missing */
	if (head[0] == MCAP_FOOTER)
		return reader->over = MCAP_FOUND_END;
	enum mcap_found found = MCAP_FOUND_MESSAGE;
	if (head[0] == MCAP_CHUNK)
		found = take_chunk(reader, span);
	else if (head[0] == MCAP_METADATA && !copy_metadata(reader, span))
		found = corrupt(reader, "nonsense");
	else if (head[0] == 0 || !take_record(reader, head[0], span))
		found = corrupt(reader, "nonsense");
	reader->offset += sizeof head + size;
	return found;
}

enum mcap_found mcap_read(struct mcap_reader *reader, struct mcap_message *ret)
{
	while (reader->message_next == reader->message_count) {
		if (reader->over != MCAP_FOUND_MESSAGE)
			return reader->over;
		next_record(reader);
		/* no message of a bad chunk is given out */
		if (reader->over == MCAP_FOUND_CORRUPT)
			reader->message_count = reader->message_next = 0;
	}
	*ret = reader->messages[reader->message_next++];
	return MCAP_FOUND_MESSAGE;
}
