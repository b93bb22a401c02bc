/* SPDX-License-Identifier: Apache-2.0 */
/* How long topics live: see lifetime.h. */
#include <errno.h>

#include "atomic.h"
#include "keep.h"
#include "lifetime.h"
#include "log.h"
#include "naming.h"
#include "rights.h"
#include "session.h"
#include "topic.h"

void km_lifetime_look(struct km_topic *topic)
{
	if (!topic->idle)
		LIST_INSERT_HEAD(&topic->broker->idle, topic, in_idle);
	topic->idle = true;
	topic->broker->sweep = true;
}

static void forget(struct km_topic *topic)
{
	if (topic->idle)
		LIST_REMOVE(topic, in_idle);
	topic->idle = false;
}

void km_lifetime_use(struct km_topic *topic)
{
	topic->linger_over = false;
	if (topic->linger_event)
		event_del(topic->linger_event);
}

bool km_lifetime_keeps(const struct km_topic *topic)
{
	return topic->named && !topic->quarantined && !topic->unlinked &&
	       (topic->lifetime.persistent ||
		       (topic->lifetime.linger_ns > 0 && !topic->linger_over));
}

static void on_linger(evutil_socket_t fd, short what, void *userdata)
{
	struct km_topic *topic = userdata;
	struct km_broker *broker = topic->broker;

	topic->linger_over = LIST_EMPTY(&topic->members);
	km_lifetime_look(topic);
	km_broker_sweep(broker);
}

/* Without the timer it lives no longer: nothing would ever end it. */
static bool start_linger(struct km_topic *topic)
{
	uint64_t ns = topic->lifetime.linger_ns;
	struct timeval after = { (time_t)(ns / 1000000000), (suseconds_t)(ns % 1000000000 / 1000) };

	if (!topic->linger_event)
		topic->linger_event = evtimer_new(topic->broker->base, on_linger, topic);
	return topic->linger_event && event_add(topic->linger_event, &after) == 0;
}

void km_lifetime_sweep(struct km_broker *broker)
{
	struct km_topic *topic;

	while ((topic = LIST_FIRST(&broker->idle))) {
		forget(topic);
		if (!LIST_EMPTY(&topic->members))
			continue;
		if (km_lifetime_keeps(topic) && (topic->lifetime.persistent || start_linger(topic)))
			continue;
		/* who observes it learns that it has ended; nobody else has it any more */
		km_store(L3, seq_cst, &topic->region.header->live, KM_LIVE_QUARANTINED);
		/* not said at the broker's end: the next one may have it still */
		km_log(LOG_INFO | KM_EVENT_TOPIC_FREED, NULL, topic, "topic freed");
		km_topic_free(topic);
	}
}

void km_lifetime_end(struct km_topic *topic)
{
	forget(topic);
	if (topic->linger_event)
		event_free(topic->linger_event);
	topic->linger_event = NULL;
}

void km_lifetime_unlink(struct km_session *session, const struct km_msg_topic *request)
{
	struct km_msg_ok answer = { .header.op = KM_OP_OK };
	struct km_topic *topic = km_naming_find(session, request);

	if (!topic)
		return;
	if (!km_rights_allow(session, &topic->key, topic, KM_RIGHT_ADMINISTER, "unlink"))
		return;
	topic->unlinked = true;
	km_topic_forget_name(topic);
	km_keep_done(session, KM_OP_UNLINK, 0, false);
	km_lifetime_look(topic);
	km_log(LOG_INFO | KM_EVENT_TOPIC_UNLINKED, session, topic, "unlinked");
	km_session_answer(session, &answer, sizeof answer, NULL, 0);
}
