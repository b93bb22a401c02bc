/* SPDX-License-Identifier: Apache-2.0 */
/* The policy as requests meet it. Those that return whether the session may have refused the request
 * when it may not: -EACCES to make or join a topic, -EPERM to administer it; the text names the rule. */
#pragma once

#include "common/protocol/wire.h"
#include "daemon/keep/keep.h"
#include "daemon/run/broker.h"

/* The topic's name as rules see it: of a mailbox OWNER:NAME. */
#define KM_RIGHTS_NAME_SIZE (KM_PREFIX_SIZE + KM_NAME_SIZE)

/* The topic as rules are asked about it; its name is written into `joined`. */
struct km_object km_rights_object(
	const struct km_topic_key *key, uid_t owner, char joined[KM_RIGHTS_NAME_SIZE]);

/* `verb` as in "uid 1000 may not VERB topic 'x'". */
bool km_rights_allow(struct km_session *session, const struct km_topic_key *key,
	const struct km_topic *topic, enum km_right right, const char *verb);

/* Does a rule want a shared ring for a topic of that name that this session makes? Then *ret_rule
 * names the rule. The call refuses nothing. */
bool km_rights_need_shared(
	struct km_session *session, const struct km_topic_key *key, struct km_origin *ret_rule);

/* May the session join the topic in that role? `topic` null: the topic that the request makes. */
bool km_rights_allow_role(struct km_session *session, const struct km_topic_key *key,
	const struct km_topic *topic, enum km_role role);

/* May the session give the topic its schema? Its owner may, and users that may publish. */
bool km_rights_allow_schema(struct km_session *session, const struct km_topic *topic);
