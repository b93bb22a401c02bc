/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of the stress programs: written so that a reader can tell a whole message from any
 * mixture of two, and what one subscriber remembers to check order and loss.
 *
 * Invariants that a tracker checks at each message
 * - the bytes are exactly what the named publisher wrote for that number;
 * - ring positions grow; numbers of one publisher's one life grow; its lives follow one another;
 * - a number that is missing between two of a publisher's is a position that was skipped: messages
 *   missing <= positions skipped. A message that vanished without being counted breaks that.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libclient/kickmsg.h"

/* Random numbers from a seed. */
struct stress_rng {
	uint64_t state;
};

uint64_t stress_random(struct stress_rng *rng);
/* 0 to below - 1 */
uint32_t stress_below(struct stress_rng *rng, uint32_t below);
/* true once in `times` */
bool stress_once_in(struct stress_rng *rng, uint32_t times);

struct stress_message {
	uint64_t checksum;
	uint32_t publisher; /* index of the publisher */
	uint32_t life;      /* which of the publisher's lives, from 1 */
	uint64_t sequence;  /* number of the message in its life, from 1 */
	uint64_t len;       /* bytes of the message, with this header */
};

#define STRESS_MESSAGE_MIN sizeof(struct stress_message)

/* Writes a whole message of `len` bytes (STRESS_MESSAGE_MIN at least) to 8-byte aligned memory. */
void stress_message_write(
	void *to, size_t len, uint32_t publisher, uint32_t life, uint64_t sequence);

/* Describes what is wrong with a message, or returns null. *ret is filled in either way if the
 * message is long enough. */
const char *stress_message_check(const void *from, size_t len, struct stress_message *ret);

#define STRESS_TRACK_MAX 64

/* A subscriber's record of one publisher. */
struct stress_track_line {
	uint32_t life;
	uint32_t publisher_id; /* the id in that life; 0: not known */
	uint64_t first;        /* number of that life's first message */
	uint64_t last;
	uint64_t received; /* messages of this life */
	/* The number of the last life before a new one was seen. The subscriber that looks sets
	 * it to 0. */
	uint32_t ended_life;
	uint64_t ended_last;
};

struct stress_tracker {
	uint64_t received;
	uint64_t skipped; /* positions, since the first message */
	uint64_t missing; /* numbers between two messages of one life */
	uint64_t last_position;
	bool positions;  /* last_position is known */
	uint32_t latest; /* publisher of the last message */
	struct stress_track_line lines[STRESS_TRACK_MAX];
};

/*
 * Takes in one message of which `sample` is null if it was copied. Returns 0, or -1 with what is
 * wrong in ret_why.
 */
int stress_tracker_take(struct stress_tracker *tracker, const struct kickmsg_sample *sample,
	const void *data, size_t len, char *ret_why, size_t why_size);
