/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's clients: set up before the first round, outside all measured time. */
#pragma once

#include "kickmsg.h"
#include "pair.h"

#define KICK_MAX_SUBSCRIBERS 48

enum kick_ways {
	KICK_ONE_WAY,   /* side 0 publishes, side 1 subscribes */
	KICK_BOTH_WAYS, /* each side publishes and subscribes to the other's */
	KICK_FANOUT,    /* side 0 publishes, side 1 subscribes load->subscribers times */
};

struct kick_side {
	struct kickmsg_client *client;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber; /* the first */
	struct kickmsg_subscriber *subscribers[KICK_MAX_SUBSCRIBERS];
	uint64_t sent;
	uint64_t received;
	uint64_t lost; /* as far as it was counted */
};

/* Both sides must call it, in the same order. `config` may be null. */
struct kick_side *kick_open(
	struct pair_worker *worker, enum kick_ways ways, const struct kickmsg_topic_config *config);
void kick_close(struct pair_worker *worker, void *side);

/* A client, publisher or subscriber, or the end of the process with the broker's reason. */
struct kickmsg_client *kick_client(const char *socket_path);
struct kickmsg_publisher *kick_publisher(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_topic_config *config);
struct kickmsg_subscriber *kick_subscriber(struct kickmsg_client *client, const char *topic);
