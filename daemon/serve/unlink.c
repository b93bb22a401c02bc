/* SPDX-License-Identifier: Apache-2.0 */
/* UNLINK: takes a topic's name away. */
#include "common/memory/atomic.h"
#include "daemon/peer/session.h"
#include "daemon/run/log.h"
#include "daemon/serve/notice.h"
#include "daemon/serve/rights.h"
#include "daemon/serve/serve.h"
#include "daemon/serve/wanted.h"
#include "daemon/topic/lifetime.h"
#include "daemon/topic/topic.h"

void km_serve_unlink(struct km_session *session, const struct km_msg_topic *request)
{
	struct km_msg_ok answer = { .header.op = KM_OP_OK };
	struct km_topic *topic = km_wanted_topic(session, request);

	if (!topic)
		return;
	if (!km_rights_allow(session, &topic->kept.key, topic, KM_RIGHT_ADMINISTER, "unlink"))
		return;
	topic->kept.unlinked = true;
	km_store(M2, relaxed, &topic->region.header->fate, KM_FATE_UNLINKED);
	km_topic_forget_name(topic);
	km_notice_changed(topic);
	km_keep_done(session, KM_OP_UNLINK, 0);
	km_lifetime_look(topic);
	km_log(LOG_INFO | KM_EVENT_TOPIC_UNLINKED, session, topic, "unlinked");
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}
