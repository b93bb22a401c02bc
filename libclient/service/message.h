/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between a caller and its server. Their bytes are the user's alone, and their meaning stands in
 * their description. A *tag* is in place of the publish time, since a channel's topics have timestamps. With
 * it comes a *word*. So a message takes as many lines as the user's bytes, and both are as whole as it is.
 *
 *   tag   [id of the call : 60 | kind : 4]
 *   id    [generation : 44 | index : 16]
 *   word  with a shared ring the message's sequence, which nobody needs in a topic with one publisher; with
 *         private rings a field of the header
 *
 * The writer may be hostile: each is read once, and is no index or pointer of the reader's.
 */
#pragma once

#include <stdint.h>

enum km_message_kind {
	/* caller */
	/* The word: its deadline, CLOCK_MONOTONIC in ns; INT64_MAX: none. */
	KM_MESSAGE_REQUEST = 1,
	KM_MESSAGE_CANCEL = 2, /* its caller doesn't wait any more */
	/* server */
	/* The first: the server listens. The word: which server it is. */
	KM_MESSAGE_HELLO = 3,
	KM_MESSAGE_MORE = 4,  /* a reply; others follow */
	KM_MESSAGE_LAST = 5,  /* the last reply */
	KM_MESSAGE_ERROR = 6, /* the last, without a reply. The word: why */
	/* KM_SERVICE_CANCELS cancels more were read: there is room for as many. */
	KM_MESSAGE_ROOM = 7,
};

#define KM_TAG_KIND_BITS 4
#define KM_CALL_IDS      (UINT64_MAX >> KM_TAG_KIND_BITS) /* ids are up to this */

/* The meaning of a message, beside the user's bytes. */
struct km_label {
	uint64_t id; /* the caller's number for the call */
	uint64_t word;
	enum km_message_kind kind; /* of a message that came in, any number */
};

static inline uint64_t km_message_tag(const struct km_label *label)
{
	return label->id << KM_TAG_KIND_BITS | label->kind;
}

static inline struct km_label km_message_label(uint64_t tag, uint64_t word)
{
	return (struct km_label){
		.id = tag >> KM_TAG_KIND_BITS,
		.word = word,
		.kind = (enum km_message_kind)(tag & ((1u << KM_TAG_KIND_BITS) - 1)),
	};
}
