/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings in the format MCAP (https://mcap.dev/spec), version 0.
 *
 *   magic, Header, { Schema | Channel | Metadata | Chunk, its Message Indexes } ..., Data End,
 *   { Schema | Channel | Chunk Index | Metadata Index | Statistics } ..., Summary Offsets, Footer, magic
 *
 * A record is its kind (1 byte), its length (8) and its content; numbers have the least byte first. A
 * chunk holds Schemas, Channels and Messages, compressed perhaps. A file that ends anywhere is good up to
 * its last whole chunk, since a schema and a channel stand in a chunk before their first message.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mcap_kind {
	MCAP_HEADER = 1,
	MCAP_FOOTER = 2,
	MCAP_SCHEMA = 3,
	MCAP_CHANNEL = 4,
	MCAP_MESSAGE = 5,
	MCAP_CHUNK = 6,
	MCAP_MESSAGE_INDEX = 7,
	MCAP_CHUNK_INDEX = 8,
	MCAP_STATISTICS = 11,
	MCAP_METADATA = 12,
	MCAP_METADATA_INDEX = 13,
	MCAP_SUMMARY_OFFSET = 14,
	MCAP_DATA_END = 15,
};

enum mcap_compression { MCAP_PLAIN, MCAP_ZSTD, MCAP_LZ4 };

#define MCAP_MAGIC      "\x89MCAP0\r\n"
#define MCAP_MAGIC_SIZE 8

/* CRC32 as zlib has it, going on from `crc`; begin with 0. */
uint32_t mcap_crc32(uint32_t crc, const void *data, size_t size);
/* mcap_crc32() without the processor's multiplication of polynomials, which is slower. */
uint32_t mcap_crc32_by_tables(uint32_t crc, const void *data, size_t size);

/* Bytes that are put together. Without memory `failed` is set, and nothing more is added. */
struct mcap_buffer {
	unsigned char *data;
	size_t size, room;
	bool failed;
};

void mcap_buffer_free(struct mcap_buffer *buffer);
void mcap_put(struct mcap_buffer *buffer, const void *data, size_t size);
void mcap_put_number(struct mcap_buffer *buffer, uint64_t value, size_t bytes);
void mcap_put_string(struct mcap_buffer *buffer, const char *text);
/* A record begins; returns what mcap_end_record() wants. */
size_t mcap_begin_record(struct mcap_buffer *buffer, enum mcap_kind kind);
void mcap_end_record(struct mcap_buffer *buffer, size_t begin);
/* A map or an array begins, whose length stands before it in 4 bytes. */
size_t mcap_begin_list(struct mcap_buffer *buffer);
void mcap_end_list(struct mcap_buffer *buffer, size_t begin);

/* A key and a value of a record's metadata. */
struct mcap_pair {
	const char *key, *value;
};

/* Writing (mcap_write.c). Functions that return an int return 0 or a negative errno; after a failure a
 * writer does nothing more, and mcap_writer_finish() tells it again. */
struct mcap_writer;

/* *ret is to be finished. `fd` is the writer's from now on. */
int mcap_writer_new(int fd, enum mcap_compression compression, struct mcap_writer **ret);
/* Ids count from 1. A schema without a name is none: id 0. */
uint16_t mcap_write_schema(struct mcap_writer *writer, const char *name, const char *encoding,
	const void *data, size_t size);
uint16_t mcap_write_channel(struct mcap_writer *writer, uint16_t schema, const char *topic,
	const char *encoding, const struct mcap_pair *metadata, size_t count);
int mcap_write_message(struct mcap_writer *writer, uint16_t channel, uint32_t sequence,
	uint64_t log_time, uint64_t publish_time, const void *data, size_t size);
int mcap_write_metadata(struct mcap_writer *writer, const char *name,
	const struct mcap_pair *metadata, size_t count);
/* A Metadata record as a reader has found it. */
int mcap_copy_metadata(struct mcap_writer *writer, const char *name, const void *data, size_t size);
/* Ends the chunk that is open, so that a reader finds what came so far. */
int mcap_flush(struct mcap_writer *writer);
/* Bytes of the file so far. */
uint64_t mcap_writer_size(const struct mcap_writer *writer);
/* Writes the end of the file, closes it and frees the writer. Takes a null pointer. */
int mcap_writer_finish(struct mcap_writer *writer);

/* Reading (mcap_read.c). */
struct mcap_schema {
	uint16_t id;
	char *name, *encoding;
	unsigned char *data;
	size_t size;
};

struct mcap_channel {
	uint16_t id, schema;
	char *topic, *encoding;
	struct mcap_metadata {
		char *key, *value;
	} * metadata;
	size_t metadata_count;
	void *userdata; /* the reader's user's; null in the beginning */
};

struct mcap_message {
	struct mcap_channel *channel;
	uint32_t sequence;
	uint64_t log_time, publish_time;
	const unsigned char *data;
	size_t size;
};

struct mcap_reader;

enum mcap_found {
	MCAP_FOUND_MESSAGE,
	MCAP_FOUND_END, /* the recording is whole */
	/* The recording ends in the middle: all that can be had has been read. */
	MCAP_FOUND_CUT,
	MCAP_FOUND_CORRUPT, /* mcap_reader_why() says where and how */
};

/* *ret is the caller's. Errors: of opening and reading; -EPROTO it isn't MCAP of version 0. */
int mcap_reader_open(const char *path, struct mcap_reader **ret);
void mcap_reader_free(struct mcap_reader *reader);
/* From now on metadata of the file is written to `writer` too, in its order among the messages. */
void mcap_reader_copy_metadata(struct mcap_reader *reader, struct mcap_writer *writer);
/* The next message, valid until the next call; those of a chunk in the order of their log time. */
enum mcap_found mcap_read(struct mcap_reader *reader, struct mcap_message *ret);
/* Null: there is none of this id. */
const struct mcap_schema *mcap_find_schema(const struct mcap_reader *reader, uint16_t id);
/* The value of a channel's key; null: it has none. */
const char *mcap_find_metadata(const struct mcap_channel *channel, const char *key);
const char *mcap_reader_why(const struct mcap_reader *reader);

/* Is there an unpacker for this name of a compression (mcap_unpack.c)? */
bool mcap_can_unpack(const char *how);
/* Returns whether all of `packed` was unpacked, to exactly `size` bytes. */
bool mcap_unpack(const char *how, const void *packed, size_t packed_size, void *ret, size_t size);
