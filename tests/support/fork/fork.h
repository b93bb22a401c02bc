/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles in a child of fork: what the parent has, and for each public call whether it is right in
 * the child (-ECHILD; or nothing, where a call has no errno to say so by). control.c, data.c,
 * looks.c and services.c have a table of calls each. flow/fork.c has the broker, and holds the four
 * tables together against the version map, so no new call can be forgotten.
 */
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include "libclient/kickmsg-operator.h"
#include "libclient/kickmsg-service.h"
#include "tests/support/broker/flow.h"

/* The handles that a child inherits. A null publisher or subscriber: that kind has none. */
struct fork_handles {
	const char *kind;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	void *loan;
	struct kickmsg_sample sample;
};

extern struct fork_handles fork_handles[8];
extern size_t fork_handle_count;
extern struct kickmsg_client *fork_client;
extern const struct kickmsg_topic_ref fork_ref;
extern char fork_bytes[128];

/* A service of the client's, a request that was taken, and a reply that is held. */
extern struct kickmsg_server *fork_server;
extern struct kickmsg_caller *fork_caller;
extern struct kickmsg_request fork_request;
extern struct kickmsg_reply fork_held;
extern uint64_t fork_id;

/* A wait set with a deadline that has passed. */
extern struct kickmsg_waitset *fork_set;

/* Makes the client and all handles at the broker that $KICKMSG_SOCKET names. */
void fork_attach_all(void);

/* Fails unless the parent still has what it held, and its messages come. */
void fork_expect_untouched(void);

enum { FORK_DATA = 1 }; /* the call uses the topic's memory */

struct fork_call {
	const char *name;
	bool (*works)(struct fork_handles *h); /* runs in the child */
	int flags;
};

struct fork_table {
	const struct fork_call *calls;
	size_t count;
};

extern const struct fork_table fork_control_calls, fork_data_calls, fork_looks_calls,
	fork_services_calls;

static inline bool fork_says(long r)
{
	return r == -ECHILD;
}

/* FORK_CALL begins the function that tries a call. FORK_IS defines one for a call that returns
 * -ECHILD with any handle. The two after it are for handles that have a publisher or a
 * subscriber. */
#define FORK_CALL(name) static bool try_##name(struct fork_handles *h)
#define FORK_IS(name, call)                                                                        \
	FORK_CALL(name)                                                                            \
	{                                                                                          \
		(void)h;                                                                           \
		return fork_says(call);                                                            \
	}
#define FORK_OF_PUBLISHER(name, call)                                                              \
	FORK_CALL(name)                                                                            \
	{                                                                                          \
		return !h->publisher || fork_says(call);                                           \
	}
#define FORK_OF_SUBSCRIBER(name, call)                                                             \
	FORK_CALL(name)                                                                            \
	{                                                                                          \
		return !h->subscriber || fork_says(call);                                          \
	}

/* Rows of a table. A call that has no handle is right in any process. */
bool fork_anywhere(struct fork_handles *h);

#define FORK_ROW(call)                                                                             \
	{                                                                                          \
		.name = #call, .works = try_##call                                                 \
	}
#define FORK_DATA_ROW(call)                                                                        \
	{                                                                                          \
		.name = #call, .works = try_##call, .flags = FORK_DATA                             \
	}
#define FORK_NO_HANDLE(call)                                                                       \
	{                                                                                          \
		.name = #call, .works = fork_anywhere                                              \
	}
