/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: what programs say, and how it is written wherever people read or write it.
 *
 *   part     Any bytes. A leading '/' doesn't count. Written, [A-Za-z0-9._-/] stand for themselves and
 *            any other byte is %XX, so that names that differ are written differently.
 *   whole    PREFIX:NAME   channel:PREFIX:NAME   mailbox:PREFIX:OWNER:NAME      written parts
 *            service:PREFIX:NAME   requests:PREFIX:OWNER:NAME   replies:PREFIX:OWNER:NAME
 *   region   /{prefix}_{name}   /{prefix}_broadcast_{name}   /{prefix}_{owner}_mbx_{name}
 *            /{prefix}_service_{name}   /{prefix}_{owner}_requests_{name}   ..._replies_{name}
 *
 * Client and broker speak of written parts alone. A region's name is for people: what a topic is found
 * by are its parts, each for itself, since joined names may be the same where the parts differ.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/memory/layout.h"

enum km_kind {
	KM_KIND_PUBSUB = 0,
	KM_KIND_BROADCAST = 1,
	KM_KIND_MAILBOX = 2,
	/* A service's publishers serve and its subscribers call; no message goes through it. */
	KM_KIND_SERVICE = 3,
	/* Requests and replies of one caller and its server. The owner is the caller's endpoint at
	 * the service. */
	KM_KIND_REQUESTS = 4,
	KM_KIND_REPLIES = 5,
	KM_KIND_LAST = 5
};

/* "topic", "channel", "mailbox", "service", "requests", "replies" */
const char *km_kind_name(uint32_t kind);

static inline bool km_kind_has_owner(uint32_t kind)
{
	return kind == KM_KIND_MAILBOX || kind > KM_KIND_SERVICE;
}

/* Is it a topic of one caller and its server? */
static inline bool km_kind_is_private(uint32_t kind)
{
	return kind > KM_KIND_SERVICE;
}

/* The kind of that name; -1: no kind has it. */
int km_kind_of(const char *word);

/*
 * Writes `name` into ret[size] (with its 0). Errors: -EINVAL empty, or written longer than fits; ret is
 * untouched then.
 */
int km_name_escape(const char *name, char *ret, size_t size);

/* Reads a written part back. Errors: -EINVAL a '%' without two digits, or of byte 0; or longer than
 * fits. */
int km_name_unescape(const char *written, char *ret, size_t size);

/* One byte of a part. The first writes it and returns its characters. The second reads it, goes on
 * behind it, and returns it, or 0 at the end, or -EINVAL as km_name_unescape(). */
#define KM_NAME_BYTE_SIZE 4
size_t km_name_write_byte(unsigned char byte, char ret[KM_NAME_BYTE_SIZE]);
int km_name_read_byte(const char **text);

/* Writes a text that isn't a name, for people: each byte that isn't printable ASCII becomes '?'. */
void km_name_printable(const char *name, char *ret, size_t size);

/* Is this a part as km_name_escape() writes it? */
bool km_name_is_clean(const char *name);

/* The whole name of written parts; `owner` is looked at where the kind has one. Errors: -EINVAL too long. */
#define KM_NAME_WHOLE_SIZE (KM_NAME_SIZE + 2 * KM_PREFIX_SIZE + 8)
int km_name_write(uint32_t kind, const char *prefix, const char *owner, const char *name, char *ret,
	size_t size);

/* "/{prefix}_{topic}" from two written parts. Errors: -EINVAL too long. */
int km_name_region(const char *prefix, const char *topic, char *ret, size_t size);

/* km_name_region() for all kinds; `owner` is looked at where the kind has one. */
int km_name_region_of(uint32_t kind, const char *prefix, const char *owner, const char *name,
	char *ret, size_t size);
