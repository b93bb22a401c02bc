/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON about the broker, about topics and about one topic: for the page for browsers, and for programs.
 * kickmsgd(8) lists the keys.
 *
 * The names of topics, prefixes and clients are written names (name.h), in which JSON has nothing to escape.
 */
#pragma once

#include <event2/keyvalq_struct.h>

#include "daemon/metrics/answer.h"

struct km_member;
struct km_pulse;

#define KM_JSON_TYPE "application/json"

/* Topics of an answer, and topics that may be asked for one by one. */
#define KM_JSON_TOPICS 1000
#define KM_JSON_IDS    32

/* Each makes an answer, to be begun. Errors: -ENOMEM; -EINVAL a query that can't be; -ENOENT no such topic. */
int km_json_status(struct km_broker *broker, const struct km_pulse *pulse, struct km_answer **ret);
/* ?after=ID&n=COUNT: topics in the order of their ids. ?ids=ID,ID...: these, with some endpoints. */
int km_json_topics(struct km_broker *broker, const struct evkeyvalq *query, struct km_answer **ret);
/* ?name=NAME */
int km_json_topic(struct km_broker *broker, const struct evkeyvalq *query, struct km_answer **ret);

/* Adds a text of others, with its quotes; at most `size` bytes of it. Bytes that aren't printable ASCII
 * become '?'. */
void km_json_put_text(struct km_answer *answer, const char *text, size_t size);

/* Adds "version" and the time, with which each answer begins, and the comma behind them. */
void km_json_put_head(struct km_answer *answer);

/* Adds what is told of each topic, without braces. */
void km_json_put_topic(struct km_answer *answer, struct km_topic *topic);

/* An array of a topic's endpoints, as it is written. */
struct km_json_endpoints {
	uint64_t frontier; /* km_stats_frontier() */
	unsigned most;     /* that are told of each role */
	unsigned told[2];  /* by role */
};

/* Adds an endpoint, unless as many of its role are told as may be. */
void km_json_put_endpoint(struct km_answer *answer, struct km_json_endpoints *endpoints,
	const struct km_member *member);
