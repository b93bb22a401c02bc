/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer over HTTP that is written in turns (turn.h) and then sent whole. Embedded, as the first thing,
 * in what its kind needs to remember.
 *
 * Most kinds make a tour of the topics, in the order of their ids. A tour ends at the newest topic of its
 * beginning: else it would never end where topics come as fast as they are told.
 */
#pragma once

#include <event2/buffer.h>
#include <stdbool.h>

#include "daemon/run/broker.h"

/* Called in a turn, once; the body is null where memory ran out. The call frees the answer. */
typedef void km_answer_fn(void *userdata, struct evbuffer *body);

struct km_answer {
	struct km_work work;
	struct km_broker *broker;
	struct evbuffer *body;
	const char *type; /* Content-Type */
	bool failed;      /* memory ran out: half an answer is none */
	uint64_t cursor;  /* the topic that was told last */
	uint64_t end;     /* the last topic of the tour */
	/* Tells a topic. Returns how much work that was, in slots. */
	int64_t (*tell)(struct km_answer *answer, struct km_topic *topic);
	/* Does a piece. False: the answer is whole. */
	bool (*step)(struct km_answer *answer);
	/* Gives back what the kind has; may be null. */
	void (*deinit)(struct km_answer *answer);
	km_answer_fn *on_done;
	void *userdata;
};

/* Makes an answer of `size` bytes, for a tour of all topics; the rest of it is 0. Null: no memory. */
void *km_answer_new(struct km_broker *broker, size_t size, const char *type,
	bool (*step)(struct km_answer *answer));
/* Frees an answer, at any time; on_done isn't called any more. */
void km_answer_free(struct km_answer *answer);

/* Writes the answer from now on, in turns. */
void km_answer_begin(struct km_answer *answer, km_answer_fn *on_done, void *userdata);

/* Adds to the body. Without memory the answer has failed. */
void km_answer_put(struct km_answer *answer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Tells some topics more. False: that were all, or the answer has failed. */
bool km_answer_tour(struct km_answer *answer);
