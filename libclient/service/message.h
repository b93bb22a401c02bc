/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between a caller and its server. The user's bytes lie at the front, aligned as a sample's are.
 * A message's *tag* says how it is meant: a channel's topics have timestamps, and the tag takes the place of
 * the time. So a message takes as many lines as the user's bytes alone, and a tag is as whole as its message.
 *
 *   tag   [id of the call : 60 | kind : 4]
 *   id    [generation : 44 | index : 16]
 *
 * Some kinds have a word behind the user's bytes. The writer may be hostile: a word is read once, and nothing
 * of all this is an index or a pointer of the reader's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "libclient/kickmsg.h"

enum km_message_kind {
	KM_MESSAGE_NONE = 0, /* what a peer sent that is no message */
	/* caller */
	KM_MESSAGE_REQUEST = 1,
	KM_MESSAGE_REQUEST_UNTIL = 2, /* the word: its deadline, CLOCK_MONOTONIC in ns */
	KM_MESSAGE_CANCEL = 3,        /* its caller doesn't wait any more */
	/* server */
	/* The first: the server listens. The word: which server it is. */
	KM_MESSAGE_HELLO = 4,
	KM_MESSAGE_MORE = 5,  /* a reply; others follow */
	KM_MESSAGE_LAST = 6,  /* the last reply */
	KM_MESSAGE_ERROR = 7, /* the last, without a reply. The word: why */
};

#define KM_MESSAGE_KINDS                                                                           \
	(1u << KM_MESSAGE_REQUEST | 1u << KM_MESSAGE_REQUEST_UNTIL | 1u << KM_MESSAGE_CANCEL |     \
		1u << KM_MESSAGE_HELLO | 1u << KM_MESSAGE_MORE | 1u << KM_MESSAGE_LAST |           \
		1u << KM_MESSAGE_ERROR)
#define KM_MESSAGE_WORDY                                                                           \
	(1u << KM_MESSAGE_REQUEST_UNTIL | 1u << KM_MESSAGE_HELLO | 1u << KM_MESSAGE_ERROR)

#define KM_TAG_KIND_BITS 4
#define KM_CALL_IDS      (UINT64_MAX >> KM_TAG_KIND_BITS) /* ids are up to this */

/* The meaning of a message, beside the user's bytes. */
struct km_label {
	uint64_t id; /* the caller's number for the call */
	uint64_t word;
	enum km_message_kind kind;
};

#define KM_WORD_SIZE sizeof(uint64_t)

static inline size_t km_message_extra(enum km_message_kind kind)
{
	return KM_MESSAGE_WORDY >> kind & 1 ? KM_WORD_SIZE : 0;
}

static inline uint64_t km_message_tag(const struct km_label *label)
{
	return label->id << KM_TAG_KIND_BITS | label->kind;
}

/* Writes the word, if there is one, behind `len` bytes at `data`. Returns the message's size. */
static inline size_t km_message_end(void *data, size_t len, const struct km_label *label)
{
	const size_t extra = km_message_extra(label->kind);

	if (extra > 0)
		memcpy((unsigned char *)data + len, &label->word, extra);
	return len + extra;
}

/* Reads the message's label, and how many bytes are the user's. False: it is no message. */
static inline bool km_message_read(
	const struct kickmsg_sample *sample, struct km_label *ret, size_t *ret_len)
{
	typedef uint64_t loose_word __attribute__((aligned(1), may_alias));
	const uint64_t tag = sample->publish_ns;
	const unsigned kind = tag & ((1u << KM_TAG_KIND_BITS) - 1);

	ret->id = tag >> KM_TAG_KIND_BITS;
	ret->kind = (enum km_message_kind)kind;
	*ret_len = sample->len;
	if (!(KM_MESSAGE_WORDY >> kind & 1))
		return KM_MESSAGE_KINDS >> kind & 1;
	if (sample->len < KM_WORD_SIZE)
		return false;
	*ret_len = sample->len - KM_WORD_SIZE;
	ret->word = *(const volatile loose_word *)((const unsigned char *)sample->data + *ret_len);
	return true;
}
