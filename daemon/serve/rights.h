/* SPDX-License-Identifier: Apache-2.0 */
/* The policy as requests meet it. Those that return whether the session may have refused the request
 * when it may not: -EACCES to make or join a topic, -EPERM to administer it; the text names the rule. */
#pragma once

#include "common/protocol/wire.h"
#include "daemon/keep/keep.h"
#include "daemon/run/broker.h"

/* Of a mailbox rules see OWNER:NAME. */
#define KM_RIGHTS_NAME_SIZE (KM_PREFIX_SIZE + KM_NAME_SIZE)

/* The topic as rules are asked about it; its name is written into `joined`. */
struct km_object km_rights_object(
	const struct km_topic_key *key, uid_t owner, char joined[KM_RIGHTS_NAME_SIZE]);

/* `verb` as in "uid 1000 may not VERB topic 'x'". */
bool km_rights_allow(struct km_session *session, const struct km_topic_key *key,
	const struct km_topic *topic, enum km_right right, const char *verb);

/* Has a topic of that name to have a shared ring, if this session makes it? Then *ret_rule says so. It
 * refuses nothing. */
bool km_rights_need_shared(
	struct km_session *session, const struct km_topic_key *key, struct km_origin *ret_rule);

/* To join in a role the topic, or (null) the one that is made by this request. */
bool km_rights_allow_role(struct km_session *session, const struct km_topic_key *key,
	const struct km_topic *topic, enum km_role role);

/* To give the topic its schema: for its owner, and for users that may publish. */
bool km_rights_allow_schema(struct km_session *session, const struct km_topic *topic);
