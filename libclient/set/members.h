/* SPDX-License-Identifier: Apache-2.0 */
/* The members of a wait set, and by what each of them is waited for. */
#pragma once

#include <poll.h>

#include "libclient/wait/ready.h"

#define KM_WAIT_WORDS 127 /* with the set's own as many as futex_waitv takes */

enum km_wait_kind {
	KM_WAIT_FOR_SUBSCRIBER,
	KM_WAIT_FOR_PUBLISHER, /* for room */
	KM_WAIT_FOR_CLIENT,
	KM_WAIT_FOR_DESCRIPTOR,
	KM_WAIT_FOR_DEADLINE
};

struct km_wait_member {
	enum km_wait_kind kind;
	void *userdata;
	struct kickmsg_subscriber *subscriber; /* or: */
	struct kickmsg_publisher *publisher;
	struct pollfd polled;
	int64_t deadline_ns;
};

/*
 * Orders, of one process' threads
 *   D7 asked, turn, event   seq_cst   the interrupter stores asked, moves turn, then loads event. The
 *                                     sleeper has the turn that it sleeps at, and event, before it
 *                                     loads asked
 */
struct kickmsg_waitset {
	struct km_wait_member *members;
	size_t count, capacity;
	size_t first;            /* where the next look begins */
	size_t sleepers, others; /* subscribers and publishers; all else but deadlines */
	struct pollfd *polled;   /* [capacity + 1] */
	_Atomic uint32_t asked;
	_Atomic uint32_t turn;
	_Atomic int event; /* -1: no sleep by descriptors yet */
};

/* Does the member sleep at a word of a topic's memory? */
static inline bool km_wait_has_word(const struct km_wait_member *member)
{
	return member->kind == KM_WAIT_FOR_SUBSCRIBER || member->kind == KM_WAIT_FOR_PUBLISHER;
}

/* Do all of them sleep at words, and are they few enough? */
static inline bool km_waitset_has_words(const struct kickmsg_waitset *set)
{
	return set->others == 0 && set->sleepers <= KM_WAIT_WORDS;
}

/* Takes member `i` out. */
void km_waitset_drop(struct kickmsg_waitset *set, size_t i);
