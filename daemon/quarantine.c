/* SPDX-License-Identifier: Apache-2.0 */
/* Giving a region up: see quarantine.h, and L3 in region.h for why no sleeper is missed. */
#include <stdio.h>

#include "lifetime.h"
#include "live.h"
#include "log.h"
#include "quarantine.h"
#include "topic.h"

void km_topic_keep_quarantined(struct km_topic *topic)
{
	km_live_give_up(&topic->region, topic->live);
}

void km_topic_quarantine(struct km_topic *topic, const char *reason)
{
	if (topic->quarantined)
		return;
	topic->quarantined = true;
	topic->dirty = true;
	km_lifetime_look(topic);
	snprintf(topic->reason, sizeof topic->reason, "%s", reason);
	km_topic_forget_name(topic);
	km_topic_keep_quarantined(topic);
	km_log(LOG_ERR | KM_EVENT_QUARANTINED, NULL, topic, "quarantined: %s", reason);
}
