/* SPDX-License-Identifier: Apache-2.0 */
/* News for the user: see event.h. */
#include "libclient/client/event.h"

#include <stdio.h>
#include <string.h>

void km_event_forget(struct km_events *events, struct km_event *event)
{
	if (event->kind != 0)
		TAILQ_REMOVE(&events->told, event, next);
	event->kind = 0;
}

void km_event_tell(struct km_events *events, struct km_event *event, enum kickmsg_event_kind kind,
	int error, const char *text)
{
	km_event_forget(events, event);
	event->error = error;
	snprintf(event->text, sizeof event->text, "%s", text);
	if (!events->on_event)
		return;
	event->kind = kind;
	TAILQ_INSERT_TAIL(&events->told, event, next);
}

void km_event_tell_peers(
	struct km_events *events, struct km_event *event, const struct km_peers *peers)
{
	const struct km_peers untold = event->kind ? event->peers : (struct km_peers){ 0 };

	km_event_tell(events, event, KICKMSG_EVENT_PEERS, 0, "");
	event->peers = (struct km_peers){
		.now = peers->now,
		.came = untold.came + peers->came,
		.left = untold.left + peers->left,
		.died = untold.died + peers->died,
	};
}

bool km_event_take(struct km_events *events, struct km_told *ret)
{
	struct km_event *event = TAILQ_FIRST(&events->told);

	if (!event)
		return false;
	*ret = (struct km_told){ .event = { .kind = event->kind,
					 .error = event->error,
					 .peers = event->peers.now,
					 .peers_came = event->peers.came,
					 .peers_left = event->peers.left,
					 .peers_died = event->peers.died,
					 .publisher = event->publisher,
					 .subscriber = event->subscriber } };
	memcpy(ret->text, event->text, sizeof ret->text);
	ret->event.text = ret->text;
	if (event->topic) {
		km_name_unescape(event->topic, ret->topic, sizeof ret->topic);
		ret->event.topic = ret->topic;
	}
	km_event_forget(events, event);
	return true;
}
