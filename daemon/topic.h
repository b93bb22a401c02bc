/* SPDX-License-Identifier: Apache-2.0 */
/* Topics: their names and their memory. */
#pragma once

#include "broker.h"

struct km_topic_bucket *km_topic_bucket(struct km_broker *broker, const struct km_topic_key *key);
/* The same for who waits for such a topic. */
struct km_wait_bucket *km_topic_wait_bucket(
	struct km_broker *broker, const struct km_topic_key *key);
/* Do both name the same topic? The raw names don't count. */
bool km_topic_key_equals(const struct km_topic_key *a, const struct km_topic_key *b);

/* The topic of that name that may be joined, or null. */
struct km_topic *km_topic_find(struct km_broker *broker, const struct km_topic_key *key);

/* The same; if there is none, the last one of that name that was quarantined or unlinked. */
struct km_topic *km_topic_find_any(struct km_broker *broker, const struct km_topic_key *key);

/*
 * Makes a topic. On an error nothing is left, and the session got its answer (a negative errno is
 * returned all the same).
 */
int km_topic_create(struct km_session *session, const struct km_topic_key *key,
	const struct km_geometry *geometry, const struct km_lifetime *lifetime,
	struct km_topic **ret);

/* Takes a topic that has its memory, id and names among the broker's. */
void km_topic_insert(struct km_topic *topic);

/* Gives it a schema: the broker's copy, then the header's. It must have none. */
void km_topic_set_schema(struct km_topic *topic, const struct km_schema *schema);

/* Bytes of both segments. */
uint64_t km_topic_size(const struct km_geometry *geometry);

/* Maps the bell of a shared ring, whose descriptor the topic has. */
int km_topic_map_bell(struct km_topic *topic);

/* Gives the name free for a new topic; takes part in no lookup from then on. */
void km_topic_forget_name(struct km_topic *topic);

/* Frees a topic without members. Only km_lifetime_sweep() and the broker's end do. */
void km_topic_free(struct km_topic *topic);
