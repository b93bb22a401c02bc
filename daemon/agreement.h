/* SPDX-License-Identifier: Apache-2.0 */
/* Whether what a newcomer asks of a topic can be, and is what the topic is. Those that return bool
 * have refused the request when it is false. */
#pragma once

#include "broker.h"

/* Are all fields of the config in their ranges? */
bool km_agreement_is_possible(struct km_session *session, const struct km_topic_key *key,
	const struct km_msg_attach *request);

/* The geometry of the topic that the request would make. */
void km_agreement_geometry(const struct km_msg_attach *request, struct km_geometry *ret);

/* Does the request's config agree with the topic's? One without config, or with ANY_CONFIG, does. */
bool km_agreement_config(struct km_session *session, const struct km_topic *topic,
	const struct km_msg_attach *request);

/* Does the schema that it brings, and the one that it wants? */
bool km_agreement_schema(struct km_session *session, const struct km_topic *topic,
	const struct km_msg_attach *request);

/* The one that it wants alone; topic null: it would be made by this request. */
bool km_agreement_wanted(struct km_session *session, const struct km_topic *topic,
	const struct km_msg_attach *request);

/* Logs that the pool of a topic that was just made is smaller than what it takes at the worst. */
void km_agreement_warn(const struct km_session *session, const struct km_topic *topic,
	const struct km_msg_attach *request);
