/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsg behind the adapter, and its parts for loads of other kinds. */
#pragma once

#include "kickmsg.h"
#include "stage.h"

/* 1 as soon as the library has the shared ring: struct kickmsg_topic_config.transport */
#define KICK_HAS_SHARED 0

extern const struct adapter kick_rings;      /* loans and borrowed samples */
extern const struct adapter kick_rings_copy; /* send and receive_copy */
#if KICK_HAS_SHARED
extern const struct adapter kick_shared;
extern const struct adapter kick_shared_copy;
#endif

/* A client, publisher or subscriber, or the end of the process with the broker's reason. */
struct kickmsg_client *kick_client(const char *socket_path);
struct kickmsg_publisher *kick_publisher(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_topic_config *config);
struct kickmsg_subscriber *kick_subscriber(struct kickmsg_client *client, const char *topic);
