/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The books of wait.c: which names are waited for, and which subscribers wait. A wait is in one of
 * two queues. Until it is served it is in the queue of its name, and then in broker->late if its
 * answer has to wait.
 */
#pragma once

#include "daemon/peer/session.h"
#include "daemon/run/turn.h"
#include "daemon/topic/topic.h"

/* A name that is waited for, and all waits for it, in the order in which they came. */
struct km_awaited {
	struct km_work work;
	LIST_ENTRY(km_awaited) in_bucket;
	struct km_broker *broker;
	struct km_topic_key key;
	TAILQ_HEAD(, km_wait) waits;
	/* the broker before this one may have ended at a wait */
	bool restored;
};

struct km_wait {
	TAILQ_ENTRY(km_wait) queued; /* for its topic; then, if need be, for its answer */
	LIST_ENTRY(km_wait) of_session;
	/* Null: a member has come of it, and its answer waits (broker->late). */
	struct km_awaited *awaited;
	struct km_session *session;
	bool counts; /* the wait is among its client's endpoints */
	struct km_kept_wait kept;
	uint32_t kept_at; /* its place in the state, or 0 */
};

/* A turn's piece of work: serves the first wait of a name. False: nothing is left to do. */
typedef bool km_awaited_step(struct km_work *work);

/* The waits for that name; null: there are none. */
struct km_awaited *km_awaited_find(struct km_broker *broker, const struct km_topic_key *key);
/* The session's wait of that number; null: it has no such wait. */
struct km_wait *km_awaited_find_wait(const struct km_session *session, uint64_t id);

/* Adds a wait. Null: no memory. */
struct km_wait *km_awaited_add(struct km_session *session, const struct km_topic_key *key,
	const struct km_kept_wait *kept, km_awaited_step *serve);
/* Writes the wait into the state. */
void km_awaited_keep(struct km_wait *wait);
/* A wait counts as one of its client's endpoints, until a member is about to come of it. */
void km_awaited_count(struct km_wait *wait, bool counts);
/* Takes the wait out of its queue. A name that nobody waits for any more goes as well. */
void km_awaited_leave_queue(struct km_wait *wait);
void km_awaited_free_wait(struct km_wait *wait);
