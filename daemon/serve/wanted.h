/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's wishes, understood once and as a whole: its names become the topic that is meant, and
 * an ADVERTISE or SUBSCRIBE becomes a struct. No later code reads the names or the config of a
 * message again: agreement.h decides, create.h and topic/join.h act, attached.h answers.
 *
 * Each function refuses by itself names that can't be: the session has its answer when they return
 * a negative errno (-EINVAL), or null.
 */
#pragma once

#include "common/protocol/wire.h"
#include "daemon/keep/kept.h"
#include "daemon/run/policy.h"

struct km_session;
struct km_topic;

struct km_wanted {
	/* the asking session, and its purpose */
	struct km_session *session;
	uint32_t op;
	enum km_role role;
	bool observes; /* the client only looks, and becomes no member */
	/* Subscriber of a shared ring: the memory mapped as by its publishers. */
	bool writable;
	/* Publishers are to wait for it (topic/reliable.h). */
	bool reliable;
	/* The client hears when the topic has changed (notice.h). */
	bool wants_events;
	/* Where there is no topic the request is kept (wait.h). */
	bool waits;
	/* The wait that was kept, of which a member comes; or 0. */
	uint64_t waited;
	uint32_t history;  /* messages to begin back; 0: the topic's, unless */
	bool no_history;   /* none is wanted */
	uint32_t segments; /* client segments that the client has */

	/* which topic, and what it has to be */
	struct km_topic_key key;
	bool creates; /* makes the topic if there is none */
	/* Any config and schema of an existing topic is good. */
	bool takes_any;
	/* The next two were asked for; else they are the defaults. */
	bool has_config;
	struct km_geometry geometry;
	struct km_lifetime lifetime;
	struct {
		/* The name of a config's field that can't be; null: all can. */
		const char *field;
		uint64_t value, min, max;
	} impossible;
	/* A topic that is made has to have a shared ring, as `rule` says. */
	bool shared_by_rule;
	struct km_origin rule;
	const struct km_schema *schema;   /* the topic's, or claimed for it; or null */
	const struct km_schema *expected; /* what the topic's has to be; or null */
};

/* Understands ADVERTISE and SUBSCRIBE. The schemas stay the message's. */
int km_wanted_attach(
	struct km_session *session, const struct km_msg_attach *request, struct km_wanted *ret);

/* How many messages back its subscriber begins. */
uint32_t km_wanted_history(const struct km_wanted *wanted, const struct km_topic *topic);

/* The key of a topic that another request names, whether the topic is there or not. */
int km_wanted_key(
	struct km_session *session, const struct km_msg_topic *request, struct km_topic_key *ret);

/* The topic that a request names. Where there is none the request is refused: -ENOENT. */
struct km_topic *km_wanted_topic(struct km_session *session, const struct km_msg_topic *request);

/* The topic that a request names, also one that was unlinked or is quarantined. */
struct km_topic *km_wanted_topic_anyhow(
	struct km_session *session, const struct km_msg_topic *request);
