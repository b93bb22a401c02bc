/* SPDX-License-Identifier: Apache-2.0 */
/* An event that kickmsg_client_dispatch() has to tell: of the connection, or of a handle. Needs the
 * client's lock. */
#pragma once

#include <sys/queue.h>

#include "common/protocol/name.h"
#include "common/protocol/wire.h"
#include "libclient/kickmsg.h"

/* A place for news of one thing: the latest news replace those that were not yet told. */
struct km_event {
	TAILQ_ENTRY(km_event) next;
	enum kickmsg_event_kind kind; /* 0: not in the list */
	int error;
	char text[KM_WIRE_TEXT_SIZE];
	struct km_peers {
		uint32_t now, came, left, died;
	} peers;
	/* whose news these are, and the written name of its topic; null: the connection's */
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	const char *topic;
};

struct km_events {
	TAILQ_HEAD(, km_event) told; /* news to be told */
	void (*on_event)(void *userdata, const struct kickmsg_event *event);
	void *userdata;
};

/* An event as a copy that lives as long as its caller wants. */
struct km_told {
	struct kickmsg_event event;
	char topic[KM_NAME_SIZE];
	char text[KM_WIRE_TEXT_SIZE];
};

void km_event_forget(struct km_events *events, struct km_event *event);
void km_event_tell(struct km_events *events, struct km_event *event, enum kickmsg_event_kind kind,
	int error, const char *text);

/* Adds to a handle's KICKMSG_EVENT_PEERS. Peers that were not yet told of stay counted. */
void km_event_tell_peers(
	struct km_events *events, struct km_event *event, const struct km_peers *peers);

/* Takes the oldest event out. False: there is none. */
bool km_event_take(struct km_events *events, struct km_told *ret);
