/* SPDX-License-Identifier: Apache-2.0 */
/* Topics: their names and their memory. */
#pragma once

#include "broker.h"

/* The topic of that name that may be joined, or null. */
struct km_topic *km_topic_find(struct km_broker *broker, const char *prefix, const char *name);

/* The same; if there is none, the last one of that name that was quarantined. */
struct km_topic *km_topic_find_any(struct km_broker *broker, const char *prefix, const char *name);

/*
 * Makes a topic of the session's prefix. On an error nothing is left, and the session got its
 * answer (a negative errno is returned all the same).
 */
int km_topic_create(struct km_session *session, const char *name,
	const struct km_geometry *geometry, struct km_topic **ret);

/* Gives the name free for a new topic; takes part in no lookup from then on. */
void km_topic_forget_name(struct km_topic *topic);

/* Frees a topic without members. Only km_broker_sweep() and the broker's end do. */
void km_topic_free(struct km_topic *topic);
