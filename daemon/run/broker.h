/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker's knowledge. All that decides anything is here, in memory that is the broker's alone.
 * The broker looks at memory that clients can write, and never believes it.
 *
 *   broker ---< session ---< member >--- topic
 *               a connected  an attached publisher
 *               process      or subscriber
 *
 *   session   NEW --hello--> READY --hang-up--> DISCONNECTED
 *              |               |                     |
 *           hang-up         death (pidfd, or its mappings are gone)
 *              |               v                     |
 *            freed <-------- DEAD <------------------+      freed when its last member is settled
 *
 *   member    LIVE --detach--> LEAVING --+
 *              |                         +-- a complete pass (recover.h) ---> settled, freed
 *              +-----death----> DEAD ----+
 *
 * One thread, one event loop. Sessions and topics are freed only by km_broker_sweep(), at the end
 * of an event: until then every pointer that a handler has stays good.
 */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "daemon/keep/kept.h"
#include "daemon/keep/store.h"
#include "daemon/run/account.h"
#include "daemon/run/config.h"
#include "daemon/run/hangup.h"
#include "daemon/run/histogram.h"
#include "daemon/run/turn.h"

struct km_broker;
struct km_handlers;
struct km_keep_once;
struct km_session;
struct km_member;
struct km_topic;
struct km_awaited;
struct km_wait;
struct km_grave;
struct km_notices;
struct km_happenings;
struct km_listener;
struct km_metrics;
struct km_reading;
struct km_spares;
struct km_state;
struct km_tending;
struct km_unread;

#define KM_TOPIC_BUCKETS 4096

TAILQ_HEAD(km_topic_list, km_topic);
LIST_HEAD(km_grave_list, km_grave);
LIST_HEAD(km_topic_bucket, km_topic);
LIST_HEAD(km_session_list, km_session);
LIST_HEAD(km_wait_bucket, km_awaited);

struct km_broker {
	const struct km_handlers *handlers;
	const struct km_config_source *config_source;
	struct km_config *config;
	struct event_base *base;
	struct km_listener *listener;
	struct event *tick_event;
	struct event *again_event;
	struct event *watchdog_event; /* or null: nobody asked for it */
	struct km_reading *reading;   /* the config is being read again, in turns */
	char status[1024];            /* as the manager was told */
	/* Why the config that is there now was refused, or "". */
	char config_error[768];
	unsigned again_ms; /* till its next turn */
	struct event *signal_events[3];
	struct km_store store;
	struct km_state *state; /* null: nobody keeps it */
	/* Records that the next commit writes down. */
	LIST_HEAD(, km_keep_once) changed;
	int reconcile_memfd;
	/* A description of the lock's file that is this broker's own: the broker that locks it may
	 * reconcile. */
	int reconcile_lock;
	/* passes that need the lock; it is taken while there are any */
	unsigned reconciling;
	unsigned large; /* passes over large topics that somebody asked for */
	uint64_t next_session, next_topic, next_member, next_pass, next_parting;
	struct km_accounts accounts;
	struct km_session_list sessions;
	/* Sessions that may be gone: the next sweep looks (km_session_look()). */
	LIST_HEAD(, km_session) over;
	TAILQ_HEAD(, km_session) strangers; /* the first one came first (stranger.h) */
	LIST_HEAD(, km_session) partings;   /* clients that go, in turns (parting.h) */
	bool parting_round;                 /* clients went in this round of the event loop */
	unsigned parting_pieces;            /* that may still be done at once in that round */
	int64_t parting_end_ns;             /* the round does more until this time */
	TAILQ_HEAD(, km_unread) unread;     /* answers with descriptors (unread.h) */
	struct km_hangup hangup;
	bool ending;
	struct km_topic_list topics;
	/* Topics whose observers have a moment to read the rest (ending.h). */
	struct km_topic_list ended;
	unsigned ended_count;
	uint32_t hash_seed; /* of the buckets' */
	struct km_topic_bucket buckets[KM_TOPIC_BUCKETS];
	struct km_topic_bucket nameless; /* topics that newcomers don't find */
	struct km_wait_bucket waits[KM_TOPIC_BUCKETS];
	TAILQ_HEAD(, km_wait) late; /* members whose answers wait (serve/wait.h) */
	struct event *late_event;
	unsigned late_ms; /* till the next look at them */
	struct km_turns turns;
	struct km_work tidying;           /* goes on with a pass over the parking */
	struct km_notices *notices;       /* what clients are to hear (notice.h) */
	struct km_happenings *happenings; /* what operators are to hear (happened.h) */
	struct km_spares *spares;         /* segments made ahead of time (serve/spare.h) */
	struct km_grave_list graves;      /* memory that is given back in turns (grave.h) */
	struct km_tending *tending[2];    /* small topics, large ones (recover.c) */
	struct km_topic_bucket idle;      /* topics that lost their last member */
	struct km_topic_bucket again;     /* topics with looks to come soon (tend.h) */
	struct km_topic *health_next;     /* whose turn it is */
	/* The topic after list_cursor, or null: not known. */
	struct km_topic *list_next;
	uint64_t list_cursor;
	/* times from a client's death until an endpoint of its was settled */
	struct km_histogram recoveries;
	struct km_totals freed;     /* the numbers of topics that are no more */
	struct km_totals told;      /* of all topics, as metrics told them last */
	struct km_metrics *metrics; /* or null: nobody may ask (metrics/server.h) */
	int64_t started_ns;         /* CLOCK_MONOTONIC */
};

/* Frees sessions and topics that have nothing left, and writes down what is (keep.h). Called at the
 * end of each event. */
void km_broker_sweep(struct km_broker *broker);
