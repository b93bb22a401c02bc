/* SPDX-License-Identifier: Apache-2.0 */
/* How long topics live: see lifetime.h. */
#include "daemon/topic/lifetime.h"
#include "daemon/topic/payer.h"
#include "daemon/topic/segments.h"
#include "daemon/topic/topic.h"

void km_lifetime_begin(struct km_topic *topic)
{
	struct km_broker *broker = topic->broker;

	LIST_INSERT_HEAD(
		topic->kept.named ? km_topic_bucket(broker, &topic->kept.key) : &broker->nameless,
		topic, in_bucket);
	TAILQ_INSERT_TAIL(&broker->topics, topic, in_all);
	topic->bytes = km_segments_bytes(topic);
	km_payer_charge(topic);
	/* In case nobody gets into the topic, or another user is to pay. */
	km_lifetime_look(topic);
}

void km_lifetime_look(struct km_topic *topic)
{
	if (!topic->idle)
		LIST_INSERT_HEAD(&topic->broker->idle, topic, in_idle);
	topic->idle = true;
}

void km_lifetime_use(struct km_topic *topic)
{
	topic->linger_over = false;
	if (topic->linger_event)
		event_del(topic->linger_event);
}

bool km_lifetime_keeps(const struct km_topic *topic)
{
	return topic->kept.named && !topic->kept.quarantined && !topic->kept.unlinked &&
	       (topic->kept.lifetime.persistent ||
		       (topic->kept.lifetime.linger_ns > 0 && !topic->linger_over));
}
