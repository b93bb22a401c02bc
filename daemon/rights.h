/* SPDX-License-Identifier: Apache-2.0 */
/* The policy as requests meet it. Each returns whether the session may, and has refused the request
 * when not: -EACCES to make or join a topic, -EPERM to administer it; the text names the rule. */
#pragma once

#include "broker.h"

/* `verb` as in "uid 1000 may not VERB topic 'x'". */
bool km_rights_allow(struct km_session *session, const struct km_topic_key *key,
	const struct km_topic *topic, enum km_right right, const char *verb);

/* To join in a role the topic, or (null) the one that is made by this request. */
bool km_rights_allow_role(struct km_session *session, const struct km_topic_key *key,
	const struct km_topic *topic, enum km_role role);

/* To give the topic its schema: who owns it or may publish. */
bool km_rights_allow_schema(struct km_session *session, const struct km_topic *topic);
