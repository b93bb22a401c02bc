/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The knowledge for the next broker. It is written down as it happens (state.h), and read again at
 * the next start (restore.c).
 *
 * Each km_keep_ call stages an object's present picture. A topic's is staged by the commit alone:
 * thousands of its members may go in one event. km_keep_commit() makes all that was staged valid at
 * once. It is called before a client is answered, before a pass changes what the members'
 * numbers are read from, and at the end of each event. So the next broker finds the world as it was
 * between two steps; what a step did to shared memory and had not yet written down is what a
 * reconcile pass mends anyway.
 *
 * A request whose answer may not have got out is met again by the next broker, since it is taken
 * from the socket only after the answer. `done` of its session says what it did; it isn't done
 * twice, its answer is sent again.
 *
 * A broker may die of a request. A broker that meets one after its start says so in the session's
 * record (`tried`) before it begins, and refuses the request when the record names it already.
 */
#pragma once

#include <sys/queue.h>

#include "daemon/keep/kept.h"

struct km_broker;

/* A record that many steps of one event change: km_keep_commit() writes it down, once. The struct is
 * embedded in the object that has the record, and all 0 at first. */
struct km_keep_once {
	LIST_ENTRY(km_keep_once) next; /* of broker->changed, while `changed` */
	bool changed;
	enum km_state_table table;
	uint32_t place; /* in the state, or 0 */
	const void *record;
	size_t size;
	uint64_t id;
};

/* Starts an empty state, when there is a manager to keep it. Without a manager, and when the start
 * fails (that is logged), all functions of this header do nothing. */
void km_keep_init(struct km_broker *broker);

/* Writes one record down. An `id` is never given to another record, neither by the next broker. */
void km_keep_put(struct km_broker *broker, enum km_state_table table, uint32_t *place,
	const void *record, size_t size, uint64_t id);

/* Has the next commit write the record down, with what it says by then. The record stays where it is. */
void km_keep_once(struct km_broker *broker, struct km_keep_once *once, enum km_state_table table,
	const void *record, size_t size, uint64_t id);
/* Stages the end of such a record. */
void km_keep_once_drop(struct km_broker *broker, struct km_keep_once *once);

void km_keep_commit(struct km_broker *broker);

/* Why a kept record can't be taken back, in words. */
const char *km_keep_reason(int error);
