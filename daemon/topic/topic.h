/* SPDX-License-Identifier: Apache-2.0 */
/* A topic as the broker has it, and how it is found by its name. */
#pragma once

#include <event2/event.h>

#include "common/memory/region.h"
#include "common/protocol/name.h"
#include "common/protocol/wire.h"
#include "daemon/keep/keep.h"
#include "daemon/run/account.h"
#include "daemon/run/broker.h"

struct km_log_about;
struct km_walk;
struct km_reliable;

struct km_topic {
	TAILQ_ENTRY(km_topic) in_all;
	LIST_ENTRY(km_topic) in_bucket; /* while `named`; else of the nameless ones */
	LIST_ENTRY(km_topic) in_idle;   /* while `idle` */
	struct km_broker *broker;
	struct km_kept_topic kept; /* what the next broker is to know of it too */
	struct km_keep_once once;  /* how `kept` gets into the state */
	char region_name[KM_REGION_NAME_SIZE];
	struct km_account *account; /* the payer's (payer.h) */
	uint64_t bytes;             /* that count there */
	struct event *linger_event;
	bool idle; /* the sweep is to see whether the topic may go */
	/* The topic was empty for linger_ns. Of a quarantined topic: everybody had time to look. */
	bool linger_over;
	/* The topic is among the broker's ended ones, not its topics. */
	bool ended;
	int control_fd, payload_fd, bell_fd; /* the last: -1 without a shared ring */
	struct km_region region;             /* without payload: the broker never looks at one */
	uint64_t live;                       /* what header->live has to be */
	/* Shared ring: what header->privileged has to be (privilege.h). */
	uint32_t privileged;
	uint64_t rings_taken; /* by members of any state */
	uint64_t rings_owned; /* by LIVE ones; none of a shared ring */
	/* Null: it had no reliable subscriber yet (reliable.h). */
	struct km_reliable *reliable;
	uint64_t stalls;            /* how often a publisher said that it finds no room */
	uint32_t subscribers_taken; /* subscribers of any state */
	/* Which publisher ids are taken: a bit for each, [max_publishers / 64 + 1]. */
	uint64_t *ids_taken;
	uint32_t ids_free;
	LIST_HEAD(, km_member) members;
	LIST_HEAD(, km_walk) walks;
	uint32_t walk_count;
	TAILQ_ENTRY(km_topic) in_due;     /* while `due` */
	uint32_t publishers, subscribers; /* LIVE ones */
	uint32_t dead, leaving;
	uint64_t left_look; /* the last look after members that left (parting.c) */
	/* The numbers that metrics told last: what is told never goes down. */
	struct km_totals told;
	unsigned looks_left;           /* looks to come soon, since somebody has gone */
	LIST_ENTRY(km_topic) in_again; /* while there are such looks */
	TAILQ_ENTRY(km_topic) in_news;
	bool has_news;       /* clients are to hear that the topic has changed */
	bool due;            /* to be tended, in turns (tend.h) */
	unsigned char queue; /* while `due` */
	bool tended;         /* the topic is being tended */
	bool repaired;       /* a pass that repairs is under way */
	bool watched;        /* its hazards are to be looked at when it is tended */
	/* the next tick looks at the topic, whoever's turn it is */
	bool dirty;
};

struct km_topic_bucket *km_topic_bucket(struct km_broker *broker, const struct km_topic_key *key);
/* The bucket of clients that wait for a topic of that key. */
struct km_wait_bucket *km_topic_wait_bucket(
	struct km_broker *broker, const struct km_topic_key *key);
/* Do both name the same topic? */
bool km_topic_key_equals(const struct km_topic_key *a, const struct km_topic_key *b);

/* The topic of that name that may be joined, or null. */
struct km_topic *km_topic_find(struct km_broker *broker, const struct km_topic_key *key);

/* The topic of that name that may be joined; else the last one that was quarantined or unlinked, or
 * null. */
struct km_topic *km_topic_find_any(struct km_broker *broker, const struct km_topic_key *key);

/* Frees the topic's name for a new topic. No lookup finds the topic from then on. */
void km_topic_forget_name(struct km_topic *topic);

/* Adds numbers of settled members, or of a topic, to `sum`. */
void km_topic_add_numbers(struct km_totals *sum, const struct km_totals *more);

/* The next commit writes the topic's record for the next broker. */
void km_keep_topic(struct km_topic *topic);
/* Drops the topic's record, and its descriptors in the parking. */
void km_keep_forget_topic(struct km_topic *topic);

/* For the log: see struct km_log_describers. */
uint64_t km_topic_describe(
	const struct km_topic *topic, struct km_log_about *about, char name[KM_NAME_WHOLE_SIZE]);
