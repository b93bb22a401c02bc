/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the broker knows. All that decides anything is here, in memory that is the broker's alone;
 * what clients can write is looked at, never believed.
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
 *              |                         +-- a complete pass of km_reconcile --> settled, freed
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

#include "account.h"
#include "config.h"
#include "reconcile.h"
#include "region.h"
#include "state.h"
#include "store.h"
#include "wire.h"

/* Bytes of a client segment, and of what a record's place is a multiple of. */
#define KM_CLIENT_SEGMENT_SIZE 16384
#define KM_RECORD_UNIT         128
#define KM_RECORD_UNITS        (KM_CLIENT_SEGMENT_SIZE / KM_RECORD_UNIT)
static_assert(KM_RECORD_UNIT == sizeof(struct km_endpoint), "a publisher's record is one");

struct km_broker;
struct km_session;
struct km_topic;

/* Memory that one client shares with the broker. */
struct km_client_memory {
	int fd; /* the broker's own description; the client's mapping locks another one */
	unsigned char *memory;
	uint64_t used[KM_RECORD_UNITS / 64]; /* a bit for each unit */
};

/* What the last request of a session that changed something has done: its answer may have to be
 * sent again (keep.h). */
struct km_done {
	uint64_t handle; /* of the endpoint that it made */
	uint32_t serial;
	uint32_t op;           /* 0: none */
	uint32_t with_segment; /* its answer brought a client segment */
	uint32_t reserved;
};

enum km_session_state {
	KM_SESSION_NEW,
	KM_SESSION_READY,
	KM_SESSION_DISCONNECTED,
	KM_SESSION_DEAD
};

struct km_session {
	LIST_ENTRY(km_session) next;
	struct km_broker *broker;
	enum km_session_state state;
	int socket; /* -1 when it hung up */
	int pidfd;
	pid_t pid;
	uid_t uid;
	gid_t gid;
	struct km_account *account; /* its user's */
	uint64_t id;
	char name[KM_PREFIX_SIZE];
	char prefix[KM_PREFIX_SIZE];
	char raw_name[KM_PREFIX_SIZE]; /* as the client wrote them */
	char raw_prefix[KM_PREFIX_SIZE];
	struct event *socket_event;
	struct event *pidfd_event;
	struct event *probe_event; /* looks again whether a disconnected process is dead */
	unsigned probe_ms;
	bool doomed;     /* to be disconnected once its request is done with */
	uint32_t serial; /* of the request that is being answered */
	uint32_t detail; /* of its refusal */
	int64_t since_ns;
	int64_t died_ns;
	struct km_client_memory *segments;
	uint32_t segment_count;
	LIST_HEAD(, km_member) members;
	uint32_t member_count;
	LIST_HEAD(, km_wait) waits;
	uint32_t wait_count;
	struct km_done done;
	uint32_t kept; /* its record's place in the state, or 0 */
	bool again;    /* an earlier broker may have done its next request already */
};

/* What stood in a hazard when health last looked: the same slot in the same generation is the same
 * step. */
struct km_watch {
	uint32_t slot;
	uint64_t generation;
	int64_t since_ns;
};

struct km_member {
	LIST_ENTRY(km_member) of_session;
	LIST_ENTRY(km_member) of_topic;
	struct km_session *session;
	struct km_topic *topic;
	uint64_t handle; /* names it in DETACH */
	enum km_party_state state;
	enum km_role role;
	uint32_t id;   /* publisher */
	uint32_t ring; /* subscriber */
	uint32_t held_count;
	uint32_t segment, offset, size; /* of its record in the session's segments */
	struct km_watch *watches;       /* [2 + held_count]: delivering, evicting, held; or null */
	uint64_t start;                 /* subscriber: the first position that may be its */
	uint64_t evicted;               /* what it had lost when it left */
	uint32_t kept;                  /* as the session's */
	uint64_t since_realtime_ns;
};

/* What a topic is found by: the first four. The raw ones are as the user wrote them; empty: not
 * known. */
struct km_topic_key {
	uint32_t kind;
	char prefix[KM_PREFIX_SIZE];
	char owner[KM_PREFIX_SIZE]; /* of a mailbox */
	char name[KM_NAME_SIZE];
	char raw_prefix[KM_PREFIX_SIZE];
	char raw_owner[KM_PREFIX_SIZE];
	char raw[KM_NAME_SIZE];
};

/* How long a topic lives without members. */
struct km_lifetime {
	uint64_t linger_ns;
	bool persistent;
};

/* Numbers of members that are settled. */
struct km_totals {
	uint64_t sent, failed, received, evicted;
};

struct km_topic {
	TAILQ_ENTRY(km_topic) in_all;
	LIST_ENTRY(km_topic) in_bucket; /* while `named` */
	LIST_ENTRY(km_topic) in_idle;   /* while `idle` */
	struct km_broker *broker;
	uint64_t id; /* grows: the order of LIST */
	struct km_topic_key key;
	char region_name[KM_REGION_NAME_SIZE];
	uint64_t created_realtime_ns;
	uid_t owner_uid;
	struct km_account *account; /* its owner's */
	struct km_lifetime lifetime;
	struct event *linger_event;
	bool named;       /* newcomers find it */
	bool idle;        /* the sweep is to see whether it may go */
	bool unlinked;    /* its name was taken away */
	bool linger_over; /* nobody came in that time */
	bool has_schema;
	struct km_schema schema; /* what counts; the header's copy is for people */
	struct km_totals gone;
	int control_fd, payload_fd, bell_fd; /* the last: -1 without a shared ring */
	struct km_region region;             /* without payload: the broker never looks at one */
	uint64_t live;                       /* what header->live has to be */
	uint32_t privileged;  /* shared ring: what header->privileged has to be (privilege.h) */
	uint64_t rings_taken; /* by members of any state */
	uint32_t seats_taken; /* subscribers of any state */
	uint64_t *ids_taken;  /* a bit for each publisher id, [max_publishers / 64 + 1] */
	uint32_t ids_free;
	LIST_HEAD(, km_member) members;
	uint32_t publishers, subscribers; /* LIVE ones */
	uint32_t dead, leaving;
	unsigned looks_left; /* soon, since somebody has gone (health.h) */
	bool has_died;       /* a member did, and nobody has looked since */
	bool dirty;          /* the next tick looks at it whoever's turn it is */
	bool quarantined;
	uint32_t kept;                  /* as the session's */
	char reason[KM_WIRE_TEXT_SIZE]; /* why it is quarantined */
};

/* Who wants to hear when a topic comes to exist. */
struct km_wait {
	LIST_ENTRY(km_wait) in_bucket;
	LIST_ENTRY(km_wait) of_session;
	struct km_session *session;
	struct km_topic_key key;
};

#define KM_TOPIC_BUCKETS 4096

TAILQ_HEAD(km_topic_list, km_topic);
LIST_HEAD(km_topic_bucket, km_topic);
LIST_HEAD(km_session_list, km_session);
LIST_HEAD(km_wait_bucket, km_wait);

struct km_broker {
	const struct km_config_source *config_source;
	struct km_config *config;
	struct event_base *base;
	struct km_listener *listener;
	struct event *tick_event;
	struct event *again_event;
	struct event *watchdog_event; /* or null: nobody asked for it */
	char status[128];             /* as the manager was told */
	unsigned again_ms;            /* till its next turn */
	struct event *signal_events[3];
	struct km_store store;
	struct km_state *state; /* or null: nobody keeps it */
	int reconcile_memfd;
	int reconcile_lock; /* a description of it of this broker's own: who locks it may reconcile */
	uint64_t next_session, next_topic, next_member;
	uint64_t used[KM_RESOURCES]; /* by all */
	struct km_account_list accounts;
	struct km_session_list sessions;
	struct km_topic_list topics;
	struct km_topic_bucket buckets[KM_TOPIC_BUCKETS];
	struct km_wait_bucket waits[KM_TOPIC_BUCKETS];
	struct km_topic_bucket idle;  /* topics that lost their last member */
	struct km_topic *health_next; /* whose turn it is */
	struct km_topic *list_next; /* what comes after the topic list_cursor, or null: not known */
	uint64_t list_cursor;
	bool sweep; /* something may be free */
};

/* Starts everything: loop, listener, signals, health. Errors are logged. Returns 0 or a negative
 * errno. */
int km_broker_init(
	struct km_broker *broker, const struct km_config_source *source, struct km_config *config);
/* Serves until SIGTERM or SIGINT. */
int km_broker_run(struct km_broker *broker);
void km_broker_deinit(struct km_broker *broker);

/* Reads the config again: all of it counts from now on, or, when anything is wrong (it is logged),
 * nothing. Limits that are lower than what there is end nothing that is. */
void km_broker_reload(struct km_broker *broker);

/* Frees sessions and topics that have nothing left, and writes down what is (keep.h). Called at the
 * end of each event. */
void km_broker_sweep(struct km_broker *broker);

uint64_t km_broker_realtime_ns(void);

/* May the session's user have `size` more bytes? 0, or -EDQUOT (over a limit) or -ENOMEM (the machine
 * hasn't so much), and ret_text says how many there are. */
int km_broker_check_memory(
	const struct km_account *account, uint64_t size, char *ret_text, size_t text_size);
