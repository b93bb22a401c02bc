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

struct km_topic {
	TAILQ_ENTRY(km_topic) in_all;
	LIST_ENTRY(km_topic) in_bucket; /* while `named`; else of the nameless */
	LIST_ENTRY(km_topic) in_idle;   /* while `idle` */
	struct km_broker *broker;
	struct km_kept_topic kept; /* what the next broker is to know of it too */
	uint32_t kept_at;          /* the place of that in the state, or 0 */
	char region_name[KM_REGION_NAME_SIZE];
	struct km_account *account; /* the payer's (payer.h) */
	uint64_t bytes;             /* that count there */
	struct event *linger_event;
	bool idle; /* the sweep is to see whether it may go */
	/* Nobody came in that time; quarantined: everybody had time to look. */
	bool linger_over;
	/* It is among the broker's ended ones, not its topics. */
	bool ended;
	int control_fd, payload_fd, bell_fd; /* the last: -1 without a shared ring */
	struct km_region region;             /* without payload: the broker never looks at one */
	uint64_t live;                       /* what header->live has to be */
	/* Shared ring: what header->privileged has to be (privilege.h). */
	uint32_t privileged;
	uint64_t rings_taken;       /* by members of any state */
	uint64_t rings_owned;       /* by LIVE ones; none of a shared ring */
	uint32_t subscribers_taken; /* subscribers of any state */
	/* A bit for each publisher id, [max_publishers / 64 + 1]. */
	uint64_t *ids_taken;
	uint32_t ids_free;
	LIST_HEAD(, km_member) members;
	LIST_HEAD(, km_walk) walks;
	uint32_t walk_count;
	TAILQ_ENTRY(km_topic) in_due;     /* while `due` */
	uint32_t publishers, subscribers; /* LIVE ones */
	uint32_t dead, leaving;
	/* Its numbers as metrics told them last: what is told never goes down. */
	struct km_totals told;
	unsigned looks_left; /* soon, since somebody has gone (tend.h) */
	TAILQ_ENTRY(km_topic) in_news;
	bool has_news;       /* clients are to hear that it has changed (notice.h) */
	bool due;            /* to be tended, in turns (tend.h) */
	unsigned char queue; /* while `due` */
	bool tended;         /* it is being */
	bool repaired;       /* a pass that repairs is under way */
	bool watched;        /* its hazards are to be looked at when it is tended */
	bool dirty;          /* the next tick looks at it whoever's turn it is */
};

struct km_topic_bucket *km_topic_bucket(struct km_broker *broker, const struct km_topic_key *key);
/* The same for clients that wait for such a topic. */
struct km_wait_bucket *km_topic_wait_bucket(
	struct km_broker *broker, const struct km_topic_key *key);
/* Do both name the same topic? */
bool km_topic_key_equals(const struct km_topic_key *a, const struct km_topic_key *b);

/* The topic of that name that may be joined, or null. */
struct km_topic *km_topic_find(struct km_broker *broker, const struct km_topic_key *key);

/* The same; if there is none, the last one of that name that was quarantined or unlinked. */
struct km_topic *km_topic_find_any(struct km_broker *broker, const struct km_topic_key *key);

/* Gives the name free for a new topic; takes part in no lookup from then on. */
void km_topic_forget_name(struct km_topic *topic);

/* Adds numbers of members that are settled, or of a topic. */
void km_topic_add_numbers(struct km_totals *sum, const struct km_totals *more);

/* Writes down for the next broker what it is. */
void km_keep_topic(struct km_topic *topic);
/* It is no more: its record, and its descriptors in the parking. */
void km_keep_forget_topic(struct km_topic *topic);

/* For the log: see struct km_log_describers. */
uint64_t km_topic_describe(
	const struct km_topic *topic, struct km_log_about *about, char name[KM_NAME_WHOLE_SIZE]);
