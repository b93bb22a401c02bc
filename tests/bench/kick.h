/* SPDX-License-Identifier: Apache-2.0 */
/* kickmsg behind the adapter, and its parts for loads of other kinds. */
#pragma once

#include "libclient/kickmsg.h"
#include "tests/bench/stage.h"

extern const struct adapter kick_shared;    /* one ring for all: send and receive_copy */
extern const struct adapter kick_shared_rw; /* one ring for all, mapped writable where it is read */
extern const struct adapter kick_rings;     /* a ring each: loans and borrowed samples */
extern const struct adapter kick_rings_copy; /* a ring each: send and receive_copy */
/* The first two again, with publish times. */
extern const struct adapter kick_shared_timed, kick_rings_timed;
/* With a reliable subscriber, for which the publisher waits. */
extern const struct adapter kick_shared_reliable, kick_rings_reliable;

/* kick-many.c: 32 messages at a time */
extern const struct adapter kick_rings_many;
extern const struct adapter kick_shared_many;

/* kick-wait.c: a descriptor in an epoll, over io_uring and over the library's thread; a wait set */
extern const struct adapter kick_epoll_uring;
extern const struct adapter kick_epoll_thread;
extern const struct adapter kick_waitset;

/* kick-call.c: calls of a service, over each transport; with deadlines */
extern const struct adapter kick_call, kick_call_timed;
extern const struct adapter kick_call_rings;

/* Makes a client, publisher or subscriber, or ends the process with the broker's reason. */
struct kickmsg_client *kick_client(const char *socket_path);
struct kickmsg_publisher *kick_publisher(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_topic_config *config);
struct kickmsg_subscriber *kick_subscriber(struct kickmsg_client *client, const char *topic);
struct kickmsg_subscriber *kick_subscriber_with(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_subscribe_options *options);
