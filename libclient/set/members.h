/* SPDX-License-Identifier: Apache-2.0 */
/* The members of a wait set, and by what each of them is waited for. */
#pragma once

#include <poll.h>

#include "libclient/client/inherit.h"
#include "libclient/wait/ready.h"
#include "libclient/watch/standing.h"

#define KM_WAIT_WORDS 127 /* with the set's own as many as futex_waitv takes */
#define KM_RING_WORDS 5   /* fewer are slept at in futex_waitv */
#define KM_NO_MEMBER  SIZE_MAX

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

/* A word that a member sleeps at. */
struct km_wait_word {
	_Atomic uint32_t *word;
	uint64_t region;      /* the place's inode (standing.h: key) */
	struct km_ring *ring; /* to be retracted; null: a bell */
	uint32_t announced;
	size_t member; /* KM_NO_MEMBER: it is several members', or the set's */
};

static inline struct timespec km_wait_time(int64_t ns)
{
	if (ns < 0)
		ns = 0;
	return (struct timespec){ ns / 1000000000, ns % 1000000000 };
}

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

	struct km_wait_word *words; /* [capacity + 1]; the set's own comes first */
	size_t word_count;
	bool suspends;    /* descriptors of its members, for a sleep */
	size_t ring_from; /* with so many words it sleeps by a ring */
	struct km_standing standing;
	size_t stood; /* places of it that the last sleep used */

	_Atomic uint32_t asked;
	_Atomic uint32_t turn;
	_Atomic int event; /* -1: no sleep by descriptors yet */
	unsigned forks;    /* km_inherit_forks() when it was made */
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

/* Was the set made by a parent of this process? */
static inline bool km_waitset_is_inherited(const struct kickmsg_waitset *set)
{
	return set->forks != km_inherit_forks();
}

/* Takes member `i` out. */
void km_waitset_drop(struct kickmsg_waitset *set, size_t i);
