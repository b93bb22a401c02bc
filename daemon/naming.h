/* SPDX-License-Identifier: Apache-2.0 */
/* From the names in a request to what a topic is found by. Each refuses by itself what can't be:
 * the session has its answer when they return a negative errno. */
#pragma once

#include "broker.h"

int km_naming_attach(
	struct km_session *session, const struct km_msg_attach *request, struct km_topic_key *ret);
int km_naming_topic(
	struct km_session *session, const struct km_msg_topic *request, struct km_topic_key *ret);

/* The topic that a request means, to look at it; null when it got its refusal. */
struct km_topic *km_naming_find(struct km_session *session, const struct km_msg_topic *request);

/* Is this the name that the topic's creator wrote? Refuses with -EEXIST, naming both, if not. */
bool km_naming_agrees(
	struct km_session *session, const struct km_topic *topic, const struct km_topic_key *key);
