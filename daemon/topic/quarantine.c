/* SPDX-License-Identifier: Apache-2.0 */
/* Giving a region up: see quarantine.h, and L3 in region.h for why no sleeper is missed. */
#include <stdio.h>

#include "common/memory/atomic.h"
#include "common/repair/live.h"
#include "daemon/run/handlers.h"
#include "daemon/run/log.h"
#include "daemon/topic/lifetime.h"
#include "daemon/topic/quarantine.h"
#include "daemon/topic/topic.h"

void km_topic_keep_quarantined(struct km_topic *topic)
{
	/* where memory was given back only the header's page is there, and nobody sleeps there
	 * for so long */
	if (topic->kept.emptied)
		km_store(L3, seq_cst, &topic->region.header->live,
			topic->live | KM_LIVE_QUARANTINED);
	else
		km_live_give_up(&topic->region, topic->live);
}

void km_topic_quarantine(struct km_topic *topic, const char *reason)
{
	if (topic->kept.quarantined)
		return;
	topic->kept.quarantined = true;
	topic->dirty = true;
	km_lifetime_look(topic);
	snprintf(topic->kept.reason, sizeof topic->kept.reason, "%s", reason);
	km_topic_forget_name(topic);
	km_topic_keep_quarantined(topic);
	topic->broker->handlers->notice_changed(topic);
	km_log(LOG_ERR | KM_EVENT_QUARANTINED, NULL, topic, "quarantined: %s", reason);
}
