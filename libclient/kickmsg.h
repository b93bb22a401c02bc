/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libkickmsg-client: publish and subscribe through shared memory that the broker kickmsgd owns.
 *
 * A client is a connection to the broker. From it come publishers and subscribers of topics. Once
 * one of these exists, sending and receiving are atomic instructions in this process' own mappings:
 * no lock, no system call, no broker, unless a receive chooses to sleep.
 *
 * This one header, with its manual in it, is the whole interface for programs, so it is long.
 * kickmsg-operator.h has what tools for operators need besides.
 *
 * Errors: negative errno values; each function lists its own complete set. kickmsg_strerror() says
 * them in words, kickmsg_client_last_error() says what the broker had to add.
 *
 * Threads: a client may be used by several threads (its control calls take turns). A publisher or a
 * subscriber belongs to one thread at a time; different ones may be used at the same time.
 *
 * Time: a call of the data path takes a bounded number of steps on memory that stands still,
 * whatever that holds. A step is an access to the topic's memory. P is pool_size, C is
 * ring_capacity, and N is max_subscribers. Beside these walks there is the payload, where it is
 * copied.
 *
 *                                    private rings        shared ring
 *     kickmsg_send, kickmsg_loan     P + N * C            P + C
 *     kickmsg_publish                N * C                C
 *     kickmsg_send_wait, kickmsg_publish_wait: as these, each time they are woken
 *     kickmsg_try_receive[_copy]     1                    C
 *     kickmsg_sample_release         1                    0
 *     kickmsg_*_many                 as the single calls, for each message
 *     kickmsg_subscriber_lost        1                    C
 *     kickmsg_subscriber_get_stats   C                    C
 *
 * These are orders of magnitude of the worst case: the pool is walked once, a ring a few times. The
 * usual message takes some ten steps, and with private rings two more for each live subscriber. A
 * step is repeated only where another process has made progress in between.
 *
 * Stack: a control call needs up to 48 KiB, since messages of the broker lie there. A call without
 * the broker needs less than 4 KiB, and one of the data path less than 1 KiB. Up to 24 KiB are
 * needed by kickmsg_client_dispatch(), by a receive that sleeps, and by a call of the data path
 * that follows others after a broker's end. A send that finds no room needs as much. (Bounds of a
 * measurement with gcc 12 on x86-64, which found 37, 3, 0.6 and 19 KiB. A program that binds
 * symbols at their first use needs some KiB more at that.)
 *
 * The caller's process: no call changes errno, the signal mask or what a signal does, whether it
 * succeeds or fails.
 *
 * Growth: the library writes zero to the reserved words of what it fills, but for a sample's. A
 * word that gets a meaning in a later release means with 0 what it means now.
 *
 * fork: a child makes its own client. With its parent's handles each call fails with -ECHILD in the
 * child, beside its own errors. A call that returns no errno does nothing and returns 0, and
 * statistics are zeros. So the child can neither use nor free what is its parent's, and its copies
 * of the client's descriptors are closed. A child in which no handler of pthread_atfork() runs
 * (_Fork(), vfork(), clone()) may not touch publishers and subscribers; all other calls fail there
 * as well.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header. kickmsg_version() says that of the library that is running. */
#define KICKMSG_VERSION_MAJOR 0
#define KICKMSG_VERSION_MINOR 2
#define KICKMSG_VERSION_PATCH 0

/* Room for the name of a topic, channel or mailbox, and for a prefix or a client's name, with the 0
 * (see Names). */
#define KICKMSG_NAME_SIZE   128
#define KICKMSG_PREFIX_SIZE 64

struct kickmsg_client;
struct kickmsg_publisher;
struct kickmsg_subscriber;

/*
 * A broker that ends takes the topics' names along, unless a service manager keeps its descriptors.
 * Messages go on flowing between publishers and subscribers that are there. The client tries to
 * connect anew after 10 ms, and then less and less often, down to once a second. When a broker is
 * there again, the publishers and subscribers rejoin their topics by themselves. The first one
 * makes the topic anew, with the shape, lifetime and schema that it had. All handles stay valid,
 * and so do loans and samples that are out. kickmsg_subscriber_lost() counts the messages that a
 * subscriber couldn't get in between.
 *
 * kickmsg_client_dispatch() and each control call do all this, and so does a receive that sleeps,
 * which looks once a second. Where one client has gone ahead, the others follow with their
 * next send or receive. A program that only sends, or only polls its subscribers, should call
 * kickmsg_client_dispatch() when kickmsg_client_get_fd() says so, or now and then.
 */
enum kickmsg_event_kind {
	/* The broker is gone; or a broker is there, and the client can't connect to it for `error`.
	 * The second is told again whenever the error changes. */
	KICKMSG_EVENT_DISCONNECTED = 1,
	KICKMSG_EVENT_RECONNECTED = 2, /* a broker is there again */
	KICKMSG_EVENT_REJOINED = 3,    /* a publisher or subscriber is in its topic again */
	/* A publisher or subscriber could not rejoin its topic, for `error`. The client tries
	 * again; the event comes again whenever the error changes. */
	KICKMSG_EVENT_REJOIN_FAILED = 4,
	/* The events from here on are of the topic that a publisher or subscriber is in. The broker
	 * gathers them for 10 ms. Subscribers of a publisher, or publishers of a subscriber, came,
	 * left or died: */
	KICKMSG_EVENT_PEERS = 5,
	KICKMSG_EVENT_UNLINKED = 6,    /* its name was taken away; messages go on flowing */
	KICKMSG_EVENT_REPLACED = 7,    /* another topic has its name now */
	KICKMSG_EVENT_QUARANTINED = 8, /* the broker gave it up: calls fail with -ESTALE */
	/* A subscriber was a reliable one, and is none any more, with -ENOLINK; a publisher hears that one
	 * of its topic's subscribers is none any more (kickmsg_subscribe_options.reliable). */
	KICKMSG_EVENT_DEMOTED = 9,
};

/* If several events weren't asked for in time only the latest is told: the latest of the
 * connection, of each handle's rejoining, and of its topic's end. Numbers of peers add up. */
struct kickmsg_event {
	enum kickmsg_event_kind kind;
	int error;        /* negative errno of a bad event, else 0 */
	const char *text; /* the broker's words on that error, or "" */
	/* The topic's name as the program wrote it, and the publisher or the subscriber, for all
	 * kinds but the first two. An event of a service (kickmsg-service.h) has its name alone.
	 * Else null. */
	const char *topic;
	struct kickmsg_publisher *publisher;
	struct kickmsg_subscriber *subscriber;
	/* KICKMSG_EVENT_PEERS: how many there are, and how many came, left and died since the last
	 * such event. An observer isn't counted, and hears of nothing. */
	uint32_t peers, peers_came, peers_left, peers_died;
	uint64_t reserved[2];
};

/* Zero-filled means all defaults. So does a null pointer in the place of the struct. */
struct kickmsg_client_config {
	/* Shown to operators (see Names); default: the program's. */
	const char *name;
	/* Default: $KICKMSG_SOCKET, else /run/kickmsg/kickmsgd.sock for root, else
	 * $XDG_RUNTIME_DIR/kickmsg/kickmsgd.sock. */
	const char *socket_path;
	const char *prefix; /* namespace of the topics; default "kickmsg" */
	/* Longest wait for the broker's answer; default 10 s. Once a call has waited so long in
	 * vain, the following ones wait a hundredth of it, until the broker says something. */
	uint64_t timeout_ns;
	/* Called by kickmsg_client_dispatch() alone, in its thread; default: none. It may call
	 * anything but kickmsg_client_free(). The event is valid until it returns. */
	void (*on_event)(void *userdata, const struct kickmsg_event *event);
	void *userdata; /* first argument of on_event */
	/* How long kickmsg_client_new() waits for a broker to come where there is none. Default 0:
	 * not at all; UINT64_MAX: for ever. */
	uint64_t wait_for_broker_ns;
	uint64_t reserved[5]; /* zero */
};

/*
 * Connects to the broker and says hello. *ret is owned by the caller: kickmsg_client_free(). Blocks
 * for at most timeout_ns, or wait_for_broker_ns if there is no broker before that; a broker that
 * comes is found within 100 ms.
 * Errors: -EINVAL a name that is empty or too long; -ECONNREFUSED no broker at that socket, in all
 * that time; -EACCES, -EPERM not allowed to connect; -EPROTO the broker speaks another version;
 * -EDQUOT a limit on clients is reached; -ETIMEDOUT; -ENOTCONN the broker hung up; -ENOMEM;
 * -EMFILE, -ENFILE.
 */
int kickmsg_client_new(const struct kickmsg_client_config *config, struct kickmsg_client **ret);

/* Frees the client and all publishers and subscribers that it still has. Doesn't wait for the
 * broker. Takes a null pointer. */
void kickmsg_client_free(struct kickmsg_client *client);

/* A descriptor to poll for POLLIN, the same for the client's whole life. When it is readable, call
 * kickmsg_client_dispatch(). It stays the client's: don't close or read it. Never fails. */
int kickmsg_client_get_fd(const struct kickmsg_client *client);

/*
 * Handles what the broker has sent on its own account, connects anew when it is time to, and calls
 * config.on_event() for what has happened. Never blocks. Returns the number of messages and events
 * handled. Errors: -ENOTCONN there is no broker now (data goes on flowing through existing
 * publishers and subscribers; it is tried again by itself); -EPROTO the broker sent what can't be
 * understood.
 */
int kickmsg_client_dispatch(struct kickmsg_client *client);

/* How a client's descriptors learn of messages. */
enum kickmsg_wait_mechanism {
	KICKMSG_WAIT_NONE = 0, /* nobody asked for a descriptor yet */
	/* io_uring waits for the first 64, a thread with one io_uring for those after them, and for
	 * all where there are more than 256. */
	KICKMSG_WAIT_URING = 1,
	KICKMSG_WAIT_THREAD = 2, /* a thread of the library waits for up to 127 each */
};

struct kickmsg_client_info {
	enum kickmsg_wait_mechanism wait_mechanism;
	uint32_t wait_rings; /* io_urings, each with a descriptor of its own */
	/* Threads of the library; they last until kickmsg_client_free(). */
	uint32_t wait_threads;
	uint32_t reserved32;
	uint64_t reserved[6];
};

/* Reads what the client has now. Asks no broker, and blocks for no longer than another thread's
 * call on this client holds its lock. In a child of fork all is 0. Never fails. */
void kickmsg_client_get_info(struct kickmsg_client *client, struct kickmsg_client_info *ret);

/*
 * Returns what there is to say about the calling thread's last control call on this client: why it
 * failed, or a warning; else "". The string lives until the next control call of any thread on this
 * client. With null it says why the calling thread's last kickmsg_client_new() failed, with the
 * socket's path or the broker's words; else "".
 */
const char *kickmsg_client_last_error(const struct kickmsg_client *client);

/*
 * A description of what a topic's messages are: 512 bytes that the broker stores and compares and
 * never interprets. Fill what you don't use with zero.
 */
struct kickmsg_schema {
	uint8_t identity[64]; /* which type it is: a fingerprint, or a name */
	uint8_t layout[64];   /* how its bytes lie: a fingerprint */
	char name[128];       /* for people, ended by 0 */
	uint32_t version;     /* the application's own */
	/* How identity was made: enum kickmsg_schema_algo, or one's own. */
	uint32_t identity_algo;
	uint32_t layout_algo;  /* how layout was made */
	uint32_t flags;        /* not compared */
	uint8_t reserved[240]; /* zero; not compared */
};

enum kickmsg_schema_algo {
	KICKMSG_ALGO_NONE = 0,
	KICKMSG_ALGO_FNV1A64 = 1,
	KICKMSG_ALGO_TEXT = 2, /* the bytes are a text */
};

/* The bits of kickmsg_schema_diff(): what differs between two schemas. */
enum kickmsg_schema_diff_bit {
	KICKMSG_SCHEMA_IDENTITY = 1,
	KICKMSG_SCHEMA_LAYOUT = 2,
	KICKMSG_SCHEMA_VERSION = 4,
	KICKMSG_SCHEMA_NAME = 8,
	KICKMSG_SCHEMA_IDENTITY_ALGO = 16,
	KICKMSG_SCHEMA_LAYOUT_ALGO = 32,
};

/* Says in what two schemas differ. Returns bits of enum kickmsg_schema_diff_bit; 0: they are equal.
 * flags and reserved are ignored, and so are bytes behind the 0 of a name. Never fails. */
uint32_t kickmsg_schema_diff(const struct kickmsg_schema *a, const struct kickmsg_schema *b);

/* FNV-1a, 64 bits, of `size` bytes, going on from `hash`. Begin with KICKMSG_FNV1A64_INIT. */
#define KICKMSG_FNV1A64_INIT UINT64_C(0xcbf29ce484222325)
uint64_t kickmsg_fnv1a64(uint64_t hash, const void *data, size_t size);

/* Writes the FNV-1a-64 of `size` bytes, most significant byte first, into the first 8 bytes of a
 * schema's identity or layout, with zeros behind them. The schema's algo says so then. */
void kickmsg_schema_set_identity(struct kickmsg_schema *schema, const void *data, size_t size);
void kickmsg_schema_set_layout(struct kickmsg_schema *schema, const void *data, size_t size);

/*
 * How a topic's messages get to its subscribers; the promises are the same.
 *
 * RINGS: each subscriber has a ring. A message lies in a slot, and nobody copies it. A publisher
 * pays for each live subscriber.
 *
 * SHARED: one ring for all. A subscriber copies what it reads (a borrowed sample is a copy of its
 * own) and writes nothing; any number may attach, and they cost a publisher nothing. The first
 * publisher sends without a slot; others, and loans, use one. History and observers are possible
 * (struct kickmsg_subscribe_options). For small messages and many subscribers.
 *
 * AUTO: SHARED when max_payload_size is at most 4096 or max_subscribers is above 48, else RINGS.
 */
enum kickmsg_transport {
	KICKMSG_TRANSPORT_RINGS = 0,
	KICKMSG_TRANSPORT_SHARED = 1,
	KICKMSG_TRANSPORT_AUTO = 2,
};

/*
 * The shape of a topic and how long it lives. kickmsg_topic_config_init() fills in the defaults (in
 * brackets). Two configs agree when all fields but `schema` are the same.
 *
 * A topic lives while it has publishers or subscribers; then for linger_ns more, or for good when
 * it is persistent; and no longer than until it is unlinked.
 */
struct kickmsg_topic_config {
	uint32_t max_subscribers; /* [16] 1 to 48; shared ring: to 65535; mailbox: 1 */
	/* [64] Messages kept for each subscriber, or for all in a shared ring; a power of two, 1 to
	 * 65536. */
	uint32_t ring_capacity;
	/* [0] Payload slots shared by all, 2 to 1048576. 0: as many as are needed, so that a send
	 * never finds none; kickmsg_topic_config_check() says how many that is. */
	uint32_t pool_size;
	uint32_t max_publishers;   /* [16] 1 to 65535 */
	uint64_t max_payload_size; /* [4096] bytes, 1 to 1 GiB */
	uint32_t max_loans;        /* [4] of a publisher at once, 1 to 1024 */
	uint32_t max_borrows;      /* [4] of a subscriber at once, 1 to 1024 */
	uint64_t linger_ns;        /* [0] without participants, up to 1 year */
	uint32_t persistent;       /* [0] 1: it stays until it is unlinked */
	uint32_t transport;        /* [KICKMSG_TRANSPORT_RINGS] enum kickmsg_transport */
	/* [0] 1: each sample says when it was published (kickmsg_sample.publish_ns). It costs a
	 * publisher one look at the clock. */
	uint32_t timestamps;
	/* [0] How many of its subscribers may be reliable (kickmsg_subscribe_options.reliable), 0 to 48, at
	 * most max_subscribers; above 0 with a pool_size of what is needed and, with private rings, a
	 * ring_capacity above max_publishers. A publisher of such a topic looks for room before each
	 * message. AUTO takes private rings, unless there are too many subscribers or a history. */
	uint32_t max_reliable;
	/* [null] Set when the topic is made, or claimed for a topic that is there and has none;
	 * copied. */
	const struct kickmsg_schema *schema;
	/* [0] With max_reliable: how long a reliable subscriber may stand still from when a publisher found no
	 * room, if one finds none behind that time either, in ns, 1 ms to 1 h; 0: 1 s. */
	uint64_t stall_ns;
	/* [0] Messages that a newcomer gets of those that were sent before it came, at most
	 * ring_capacity. The options of subscribe can ask for fewer or, of a shared ring, for more.
	 * RINGS: the topic keeps the last 2 * ring_capacity messages in their slots, also while it
	 * has no participants, so a newcomer loses history no sooner than its own ring overflows.
	 * max_subscribers is at most 47 then, and max_reliable has to be 0: a reliable subscriber's ring
	 * would fill while it takes its history, and the two be full at different times. SHARED with
	 * max_reliable: at most ring_capacity - 1, since publishers leave that many messages untouched.
	 * The fresh topic of a next broker (enum kickmsg_event_kind) begins without history. */
	uint32_t history;
	uint32_t reserved32;  /* zero */
	uint64_t reserved[5]; /* zero */
};

void kickmsg_topic_config_init(struct kickmsg_topic_config *config);

/* Fills in the defaults of a topic that keeps its last message for later subscribers, also when
 * nobody is there: history 1, persistent, a small ring. The ring is a shared one. With private rings
 * (config->transport) large messages stay where they were written. The topic stays until it is
 * unlinked. Where no service manager keeps the broker's descriptors, its value ends with the broker: a
 * publisher sends it again when it is told KICKMSG_EVENT_REJOINED. Never fails. */
void kickmsg_topic_config_latched(struct kickmsg_topic_config *config);

/* The costs of a config. */
struct kickmsg_topic_sizing {
	uint64_t control_bytes; /* memory for slots and rings */
	uint64_t payload_bytes; /* memory for payloads */
	uint64_t total_bytes;   /* both, in whole pages: what the broker reserves */
	/* With a pool of so many slots kickmsg_send() never meets an empty pool, also while others
	 * are stopped: rings + borrows + loans. */
	uint64_t needed_pool;
	uint64_t config_hash;  /* of all fields but schema, as in kickmsg_topic_info */
	const char *bad_field; /* the first field out of range, static; or null */
	/* needed_pool of a broadcast channel: its members may skip their own messages, so their
	 * rings keep others. */
	uint64_t needed_pool_broadcast;
	uint64_t reserved[3];
};

/*
 * Says what the config costs and whether such a topic can be; asks no broker. `config` null: the
 * defaults. A pool_size of 0 counts as needed_pool; a broadcast channel takes
 * needed_pool_broadcast. Returns 0, or 1: it can be, but pool_size is below needed_pool. Then a
 * send may fail with -EAGAIN when all are at their limits at once. A smaller pool is fine where
 * that can't happen. Errors: -EINVAL a field is out of range, ret->bad_field says which.
 */
int kickmsg_topic_config_check(
	const struct kickmsg_topic_config *config, struct kickmsg_topic_sizing *ret);

/*
 * Names. A name may be any bytes; a leading '/' doesn't count. Names that differ are different
 * topics. A topic is found by its prefix, its kind, its owner (of a mailbox) and its name, each for
 * itself: a topic "broadcast_x" and a channel "x" are two things. Where people read or write a name
 * (kickmsgctl, log, rules, region names) a byte that isn't one of [A-Za-z0-9._-/] is %XX. The
 * limits of length (KICKMSG_NAME_SIZE, KICKMSG_PREFIX_SIZE) are for this form.
 */
enum kickmsg_kind {
	KICKMSG_PUBSUB = 0,    /* region /{prefix}_{topic} */
	KICKMSG_BROADCAST = 1, /* region /{prefix}_broadcast_{channel} */
	KICKMSG_MAILBOX = 2,   /* region /{prefix}_{owner}_mbx_{tag} */
	/* Topics of services (kickmsg-service.h): the service itself, and one caller's requests
	 * and replies, whose owner is a number. Programs may look at such topics; only the
	 * library makes them. */
	KICKMSG_SERVICE = 3,  /* region /{prefix}_service_{name} */
	KICKMSG_REQUESTS = 4, /* region /{prefix}_{owner}_requests_{name} */
	KICKMSG_REPLIES = 5,  /* region /{prefix}_{owner}_replies_{name} */
};

/* Names a topic of any kind. Only `name` must be there. */
struct kickmsg_topic_ref {
	const char *name; /* topic, channel or tag */
	/* A mailbox' client by name; null: the calling client. */
	const char *owner;
	const char *prefix; /* null: the client's */
	enum kickmsg_kind kind;
	uint32_t reserved32;  /* zero */
	uint64_t reserved[2]; /* zero */
};

/*
 * Becomes a publisher of the topic. A topic that isn't there is created, with `config` or the
 * defaults. A topic that is there (created by another publisher, or by a subscriber that didn't
 * wait) is joined: `config` must be null or agree with the topic's, and so must config->schema.
 * *ret is owned by the caller: kickmsg_publisher_free(). Blocks for the broker's answer.
 *
 * When `config` has a pool below kickmsg_topic_sizing.needed_pool this succeeds, and
 * kickmsg_client_last_error() and the broker's log say so.
 *
 * Errors: -EINVAL a name that is empty or too long, a config out of range; -EEXIST the topic has
 * another config or schema (kickmsg_client_last_error() says which field and both values);
 * -ENOSPC all max_publishers are
 * there; -ENOMEM there is not so much memory; -EDQUOT a limit is reached; -EACCES not allowed
 * (kickmsg_client_last_error() names the rule or limit); -ENOTCONN, -ETIMEDOUT, -EPROTO, -ENFILE
 * as kickmsg_client_new(); -EMFILE this process, or the broker, can have no more descriptors: a
 * publisher or subscriber takes up to four for the length of the call, and none afterwards.
 */
int kickmsg_advertise(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_topic_config *config, struct kickmsg_publisher **ret);

/* Becomes a publisher as kickmsg_advertise() does, but takes a topic that is there as it is,
 * whatever `config` says: `config` is for creating alone. When they differ this succeeds, and
 * kickmsg_client_last_error() says in what. The schema of `config` is claimed if the topic has
 * none. Errors: as kickmsg_advertise(), without -EEXIST. */
int kickmsg_advertise_or_join(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_topic_config *config, struct kickmsg_publisher **ret);

/*
 * Gives back the publisher's loans and its place. Tells the broker and doesn't wait for it: this
 * client's next call finds the place free, another client's may come a moment earlier. Takes a null
 * pointer.
 */
void kickmsg_publisher_free(struct kickmsg_publisher *publisher);

#define KICKMSG_HISTORY_NONE (UINT32_MAX - 1)

/* Zero-filled means all defaults. So does a null pointer in the place of the struct. */
struct kickmsg_subscribe_options {
	/* kickmsg_receive() polls for so long before it sleeps, while that helps: after four polls
	 * in a row in vain, only one wait in 16 polls. Default 0. */
	uint64_t spin_ns;
	/* kickmsg_subscribe() waits so long for the topic to exist. The subscriber gets the topic's
	 * first message: it is attached before the client that makes the topic hears that it is
	 * there. A wait counts as an endpoint. Default 0; UINT64_MAX: for ever. */
	uint64_t wait_ns;
	/* A topic with another schema, or with none, is refused; null: any schema is taken. */
	const struct kickmsg_schema *schema;
	/* Set when the topic is refused for its schema: bits of enum kickmsg_schema_diff_bit.
	 * Against a topic without a schema they are those of a schema of zeros. May be null. */
	uint32_t *ret_schema_diff;
	/* kickmsg_join_broadcast(): 1: the member doesn't hear itself. With a shared ring
	 * kickmsg_subscriber_lost() is exact as of the last own message that was passed over. */
	uint32_t skip_own;
	/* The subscriber begins so many messages back, as far as they are there. Default 0: as many as
	 * the topic's config says; KICKMSG_HISTORY_NONE: none. At most ring_capacity of a shared ring;
	 * of private rings, at most the config's, which may not be 0. */
	uint32_t history;
	/*
	 * 1: the subscriber reads a topic with a shared ring without anybody noticing. It is no
	 * participant, is counted nowhere, and keeps the topic from nothing. A receive that waits
	 * looks every ms. It returns -ESTALE once the topic has ended; messages that are unread 2 s
	 * later are gone. The observer rejoins once others have made the topic.
	 */
	uint32_t observe;
	/*
	 * 1: the subscriber maps a shared ring writable, as its publishers do, though it writes
	 * nothing. Some processors (AMD Zen 4) take a line from its reader by what the reader might
	 * do with it. They then send small messages at up to twice the rate, if no other subscriber
	 * has the ring read only. The price: a stray write of this process can spoil the topic. The
	 * client needs the right to publish, else -EACCES; not with observe. With private rings it
	 * makes no difference, but takes the same right.
	 */
	uint32_t writable;
	/* kickmsg_subscribe_or_create(): 1: a topic whose config isn't `config`, or whose schema
	 * isn't config->schema, is refused: -EEXIST, as by kickmsg_advertise(). */
	uint32_t strict;
	/* 1: a signal handler that returns ends a kickmsg_receive() that sleeps, with -EINTR; 0:
	 * the receive goes on sleeping. A signal that comes a moment before the sleep doesn't end
	 * it: a handler that calls kickmsg_subscriber_interrupt() has no such gap. */
	uint32_t interruptible;
	/* A receive gives the subscriber at most the newest `depth` messages and counts older ones
	 * as lost; 1: the latest alone. At most ring_capacity. Default 0: all that are there. With
	 * private rings a receive then takes up to ring_capacity steps. */
	uint32_t depth;
	/*
	 * 1: no message is pushed out before the subscriber has it: a send that would do so fails with
	 * -ENOBUFS, and waits in kickmsg_send_wait(). There is room for ring_capacity messages in a shared
	 * ring, for ring_capacity - max_publishers at least in private ones. The topic's stall_ns begins
	 * when a publisher finds no room. A subscriber that takes none of its messages in that time is made
	 * an ordinary one by the broker. It does so at its end if a publisher still waits, or else once one
	 * tries again. The subscriber's next receive says so once, with -ENOLINK, and so does
	 * KICKMSG_EVENT_DEMOTED. While there is no broker nobody does that. A subscriber that rejoins its
	 * topic, made anew after a broker's end, is a reliable one there; messages that publishers sent
	 * before it came are lost and counted. Of a shared ring's history it is sure of what the topic's
	 * config says, not of more. Not with depth or observe. Costs the subscriber a fence a message.
	 */
	uint32_t reliable;
	uint64_t reserved[5]; /* zero */
};

/*
 * Becomes a subscriber of a topic that exists, or, with options->wait_ns, comes to exist in that
 * time. The subscriber gets all messages from some moment of the call on, for which nobody stops
 * publishing. Messages from then on wait in its ring. *ret is owned by the caller:
 * kickmsg_subscriber_free(). Blocks for the broker's answer and for wait_ns; other threads may use
 * the client meanwhile. A wait outlives the broker: the next broker takes it over. Where no manager
 * keeps connections, that broker is asked anew, and the topic may be made before it is asked.
 * Errors, with wait_ns as they are when the topic comes: -ENOENT no such topic, without wait_ns;
 * -ETIMEDOUT also: no topic came in wait_ns; -ENOSPC all max_subscribers are there, or all
 * max_reliable; -EPROTOTYPE the topic's schema is not options->schema; -EOPNOTSUPP observe of a
 * topic that has a ring for each subscriber, history of such a topic whose config has none, reliable
 * of a topic whose max_reliable is 0; -EINVAL also: reliable with depth or observe; the rest as kickmsg_advertise().
 */
int kickmsg_subscribe(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_subscribe_options *options, struct kickmsg_subscriber **ret);

/*
 * Becomes a subscriber as kickmsg_subscribe() does, but creates a topic that isn't there, with
 * `config` or the defaults. A topic that is there is taken as it is: kickmsg_client_last_error()
 * says then in what it differs from `config`, unless options->strict refuses it for that. Doesn't
 * wait. Errors: as kickmsg_subscribe(), without -ENOENT.
 */
int kickmsg_subscribe_or_create(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_topic_config *config, const struct kickmsg_subscribe_options *options,
	struct kickmsg_subscriber **ret);

/*
 * Becomes a member of a broadcast channel, which publishes and subscribes. A channel that isn't
 * there is created, with `config` or the defaults. A member hears itself unless options->skip_own.
 * *ret_publisher and *ret_subscriber are owned by the caller and may be freed in any order. Once
 * one of them is freed, the other one is an ordinary publisher or subscriber of the channel. On an
 * error there is neither. Errors: as kickmsg_advertise() and kickmsg_subscribe(), without -ENOENT.
 */
int kickmsg_join_broadcast(struct kickmsg_client *client, const char *channel,
	const struct kickmsg_topic_config *config, const struct kickmsg_subscribe_options *options,
	struct kickmsg_publisher **ret_publisher, struct kickmsg_subscriber **ret_subscriber);

/*
 * Creates the mailbox `tag` of this client (by its name) and becomes its one subscriber. A mailbox
 * that is there without a subscriber is taken over; `config` must be null or agree then. Errors: as
 * kickmsg_advertise(); -ENOSPC the mailbox has its subscriber already; -EACCES also: it is another
 * user's; -EINVAL also: prefix, client name and tag are too long together.
 */
int kickmsg_create_mailbox(struct kickmsg_client *client, const char *tag,
	const struct kickmsg_topic_config *config, const struct kickmsg_subscribe_options *options,
	struct kickmsg_subscriber **ret);

/* Becomes a publisher of the mailbox `tag` of the client with the name `owner`. Errors: as
 * kickmsg_advertise(); -ENOENT there is no such mailbox. */
int kickmsg_open_mailbox(struct kickmsg_client *client, const char *owner, const char *tag,
	struct kickmsg_publisher **ret);

/*
 * Takes a topic's (channel's, mailbox') name away. Its participants go on with the old memory,
 * which is freed when the last one leaves. A client that asks for the name gets a new topic. The
 * call is for users who may administer the topic: the user whose client created it, root, see
 * kickmsgd.conf(5). A mailbox is this client's own.
 * Errors: -EINVAL a name that can't be; -ENOENT there is no such topic; -EPERM not allowed;
 * -ENOTCONN, -ETIMEDOUT, -EPROTO as kickmsg_client_new().
 */
int kickmsg_unlink_topic(struct kickmsg_client *client, const char *topic);
int kickmsg_unlink_broadcast(struct kickmsg_client *client, const char *channel);
int kickmsg_unlink_mailbox(struct kickmsg_client *client, const char *tag);
/* kickmsg_unlink_topic() for a topic of any kind and prefix. */
int kickmsg_unlink(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic);

/* Releases all samples that the subscriber still holds (their data may not be used any more) and
 * gives back its place. Waits as kickmsg_publisher_free(). Takes a null pointer. */
void kickmsg_subscriber_free(struct kickmsg_subscriber *subscriber);

/*
 * Copies `len` bytes into a free slot and publishes it to all present subscribers. A subscriber
 * whose ring is full loses its oldest message; nobody is waited for. Lock-free, never blocks. Where
 * no slot is free the call first takes slots from the rings of subscribers that are gone, or, with
 * a shared ring, from its oldest messages. Returns len. Errors: -EMSGSIZE longer than
 * max_payload_size; -EAGAIN no slot is free; -ESTALE the topic's memory makes no sense any more:
 * free the publisher and advertise anew; -ENOBUFS a reliable subscriber has no room: nothing was sent to
 * anybody. The library tells the broker of that, at most once a ms, which takes a system call.
 */
ssize_t kickmsg_send(struct kickmsg_publisher *publisher, const void *data, size_t len);

/*
 * Lends a slot to write `len` bytes into. *ret_payload is aligned to 64 bytes and valid until
 * kickmsg_publish() or kickmsg_discard(). Lock-free, never blocks. Errors: as kickmsg_send(), and
 * -EDQUOT max_loans loans are out.
 */
int kickmsg_loan(struct kickmsg_publisher *publisher, size_t len, void **ret_payload);

/*
 * Publishes a loan, its first `len` bytes, at most what was asked of kickmsg_loan(). The payload
 * may not be touched any more, also when this fails with -ESTALE. Lock-free, blocks no longer than
 * the wake-up of a sleeping subscriber takes. Returns how many subscribers the message reached:
 * those that were there, asleep or not, and don't skip it. Errors: -EINVAL no loan of this
 * publisher (nothing happened); -EMSGSIZE more than was lent (still lent); -ESTALE, -ENOBUFS (still
 * lent) as kickmsg_send(). Of a loan from before its topic was rejoined also: -EAGAIN no slot is free,
 * -EMSGSIZE messages are shorter there; the loan is gone then.
 */
int kickmsg_publish(struct kickmsg_publisher *publisher, void *payload, size_t len);

/*
 * Sends `count` messages, in their order, as kickmsg_send() does each; publishes `count` loans, whose
 * iov_base is what kickmsg_loan() lent and whose iov_len bytes are published. Faster than single calls:
 * where nothing unusual is to be done, up to 64 messages have one fence and one wake. With private
 * rings they are max_loans + 1 at most, less the loans that are out. In a topic with timestamps
 * or max_reliable, or with private rings and history, each message goes alone. So a subscriber that
 * sleeps is woken behind up to 64 messages. A ring_capacity of four such batches or more lets publisher
 * and subscriber work at once. Each message is in by itself: a process that dies in the call has published
 * none, some or all of them.
 *
 * Lock-free; blocks as kickmsg_publish(). Returns how many were sent (published): fewer than
 * `count` where the next message failed. The call fails itself only where the first message does;
 * so call again with the rest to hear why. (A loan that is gone with its error is unknown then.)
 * Errors: as kickmsg_send() (kickmsg_publish()).
 */
ssize_t kickmsg_send_many(
	struct kickmsg_publisher *publisher, const struct iovec *messages, size_t count);
ssize_t kickmsg_publish_many(
	struct kickmsg_publisher *publisher, const struct iovec *loans, size_t count);

/*
 * Sends as kickmsg_send() does, or publishes as kickmsg_publish() does, and waits for room with the topic's
 * reliable subscribers, for at most timeout_ns; 0 doesn't wait, negative waits for ever. Without reliable
 * subscribers it never waits. A frozen subscriber is waited for once, for stall_ns. The call looks for up to
 * 20 us, while that helps, and then sleeps in the kernel. Where there is room for a few messages alone, it
 * waits some microseconds for more, as long as subscribers go on. It looks after the connection meanwhile, and
 * goes over to the fresh topic of a next broker. Returns as the calls without a wait. Errors: theirs, -ENOBUFS
 * with timeout 0 alone; -ETIMEDOUT; -EINTR a signal handler ran while the call slept. With these nothing was
 * sent, and a loan is still lent. A signal that comes a moment before the sleep doesn't end it.
 */
ssize_t kickmsg_send_wait(
	struct kickmsg_publisher *publisher, const void *data, size_t len, int64_t timeout_ns);
int kickmsg_publish_wait(
	struct kickmsg_publisher *publisher, void *payload, size_t len, int64_t timeout_ns);

/*
 * A descriptor to poll for POLLIN that is readable while there may be room with the topic's reliable
 * subscribers. It stays readable until a send or publish says -ENOBUFS, which arms it: so send with
 * kickmsg_send() until then. It may be readable without room, and is so until the broker was told: for up to a
 * ms, but longer beside a broker that hangs once the connection takes no more. In a topic without reliable
 * subscribers it is always readable. The rest, and the errors, are as of kickmsg_subscriber_get_fd(): the same
 * one for the publisher's life, closed by kickmsg_publisher_free(). For the publisher's thread.
 * Errors: -EMFILE, -ENFILE, -ENOMEM, -EAGAIN, -EOPNOTSUPP, -ECHILD.
 */
int kickmsg_publisher_get_fd(struct kickmsg_publisher *publisher);

/* How many subscribers the last message reached that was sent or published; 0 before the first
 * message. With a shared ring and kickmsg_send() it is how many there are at this call. Never
 * fails. */
uint32_t kickmsg_publisher_reached(const struct kickmsg_publisher *publisher);

/* How many subscribers the topic has now, without observers and without the publisher's own in a
 * broadcast channel that it doesn't hear. A load; never fails. A participant that may write the
 * topic's memory can make this number wrong. For the owner of the handle. */
uint32_t kickmsg_publisher_get_matched(const struct kickmsg_publisher *publisher);

/*
 * Waits until the topic has at least `count` subscribers (as kickmsg_publisher_get_matched() counts
 * them), so that the first message is lost to none of them. timeout_ns: 0 looks once, negative waits
 * for ever. Sleeps in the kernel, looks after the connection meanwhile, and goes over to the fresh topic
 * of a next broker. For the owner of the handle. Errors: -ETIMEDOUT; -ESTALE the topic was given up.
 */
int kickmsg_publisher_wait_matched(
	struct kickmsg_publisher *publisher, uint32_t count, int64_t timeout_ns);

/* Gives a loan back unpublished. Errors: -EINVAL no loan of this publisher. */
int kickmsg_discard(struct kickmsg_publisher *publisher, void *payload);

/* A message that was borrowed from the pool, or, from a shared ring, the subscriber's copy of one.
 * Fill in nothing; the receive calls do. */
struct kickmsg_sample {
	const void *data; /* aligned to 64 bytes, read-only memory */
	size_t len;       /* bytes */
	/* Position in this subscriber's ring; gaps are losses. */
	uint64_t ring_pos;
	uint64_t publisher_sequence; /* counts this publisher's messages from 1 */
	/* When it was published, in ns of CLOCK_MONOTONIC, in a topic that has timestamps; else 0. It
	 * is what the publisher wrote: a hostile one can write anything, also without timestamps. */
	uint64_t publish_ns;
	uint32_t publisher_id;                 /* unique among the topic's present publishers */
	uint32_t hold;                         /* private */
	struct kickmsg_subscriber *subscriber; /* private */
	uint64_t reserved[3];                  /* undefined: a receive needn't write them */
};

/*
 * Borrows the oldest message that waits: valid until kickmsg_sample_release() or
 * kickmsg_subscriber_free(). Lock-free, never blocks. Errors: -EAGAIN no message waits; -EDQUOT
 * max_borrows samples are held; -ENOLINK once, of a reliable subscriber: it is an ordinary one from now on
 * (kickmsg_subscribe_options.reliable); -ESTALE the topic's memory makes no sense any more: free the handle
 * soon, for after 10 s, or when its user needs the room, borrowed samples read as zeros.
 */
int kickmsg_try_receive(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret);

/*
 * Borrows as kickmsg_try_receive() does, and sleeps until there is a message, for at most
 * timeout_ns nanoseconds; 0 polls, negative waits for ever. Signals don't end it early, unless
 * options->interruptible. Errors: -ETIMEDOUT (with timeout 0: -EAGAIN); -EINTR it was interrupted;
 * -EDQUOT, -ENOLINK, -ESTALE as kickmsg_try_receive().
 */
int kickmsg_receive(
	struct kickmsg_subscriber *subscriber, int64_t timeout_ns, struct kickmsg_sample *ret);

/*
 * Borrows up to `count` messages in their order, in ret[0] to ret[n - 1]; returns n. Waits as
 * kickmsg_receive(), for the first message alone. It may return fewer than are there, and never
 * more than may be held besides those that are (max_borrows): a next call gets the rest, or says
 * -EAGAIN. Each is to be released, by kickmsg_sample_release() or kickmsg_release_many(). Errors:
 * as kickmsg_receive(); -EINVAL count is 0.
 */
ssize_t kickmsg_receive_many(struct kickmsg_subscriber *subscriber, int64_t timeout_ns,
	struct kickmsg_sample *ret, size_t count);

/*
 * Ends a receive of this subscriber that sleeps, or else the next one that would sleep, with
 * -EINTR; exactly one, however often it is called before that. A message that is there comes first:
 * the receive returns it, and a later one ends. A call with timeout 0 doesn't sleep, so it is never
 * ended. For any thread, and for signal handlers (async-signal-safe); the subscriber must not be
 * freed meanwhile. Never blocks: a few instructions, and one system call if the receive sleeps.
 * Other subscribers of a shared ring that sleep may be woken by it and sleep on. Never fails.
 */
void kickmsg_subscriber_interrupt(struct kickmsg_subscriber *subscriber);

/*
 * A descriptor to poll for POLLIN (EPOLLIN) with epoll, poll, libevent and the like. It is readable
 * while a message waits: as in level-triggered polling, and edge-triggered works too. It stays
 * readable until a receive says -EAGAIN, which arms it for the next message. It may be readable
 * without a message, as a socket's may: so receive with kickmsg_try_receive[_copy](), or with
 * timeout 0, until -EAGAIN. It is readable as well when a receive has an error to tell.
 *
 * When another thread goes on with receiving, the kernel ends an epoll_wait(2) or poll(2) of the one before
 * with EINTR, once, as it takes that thread's io_uring away.
 *
 * The descriptor stays the same for the subscriber's life, over a broker's restart as well: for
 * that, poll kickmsg_client_get_fd() too. kickmsg_subscriber_free() closes it. Don't close, read or
 * write it; copies of it (dup) say the same. While a receive sleeps, it is readable.
 *
 * After a close by mistake the next file that the program opens gets the number, and nothing tells of
 * it: the library's thread writes 8 bytes into that file for each wake, and kickmsg_subscriber_free()
 * closes it. That holds for each descriptor that the library gives.
 *
 * Cost: a descriptor, and one more for the io_uring of each of a client's first 64. A thread of
 * the library with one io_uring serves all others, and all of a client that has more than 256.
 * Without io_uring a thread serves 127 (enum kickmsg_wait_mechanism). The threads have all signals
 * blocked. KICKMSG_WAIT=uring or =thread in the environment forces one. A receive that says
 * -EAGAIN makes up to three system calls; a receive that gets a message makes none. Publishers do
 * what they do for a subscriber that sleeps in a receive. Before Linux 5.16, or where
 * futex_waitv(2) is refused, the thread looks each millisecond. Nobody wakes an observer: its
 * descriptor is a timer of 1 ms, which becomes 16 ms while no message comes. So it is readable now
 * and then without one, and late by as much.
 *
 * For the subscriber's thread. Errors: -EMFILE, -ENFILE no more descriptors; -ENOMEM; -EAGAIN no
 * more threads (the subscriber can be used without in all of these); -EOPNOTSUPP the mechanism that
 * is forced isn't to be had; -ECHILD.
 */
int kickmsg_subscriber_get_fd(struct kickmsg_subscriber *subscriber);

/*
 * A wait set: many subscribers, clients, plain descriptors and deadlines at once, for programs without an
 * event loop. With subscribers and publishers alone, up to 127, it takes no descriptor and no thread. Up to
 * three it sleeps in futex_waitv(2) (before Linux 5.16 it looks each millisecond). With more it sleeps by waits
 * that stand in an io_uring without a descriptor, so that a sleep costs what was woken and not how many there are.
 * A thread has 16 such rings, and a set's goes with the set, or with its first thread. Where there is none
 * (Linux 6.7), in another thread, and with KICKMSG_WAIT=thread it sleeps in futex_waitv(2) too. With clients or
 * plain descriptors in it, or with more members, it polls descriptors (kickmsg_subscriber_get_fd()).
 *
 * The set, and the subscribers in it, belong to one thread. The set owns no member: remove a member
 * that is about to be freed or closed. `userdata` names a member, in what a wait returns and for
 * its removal.
 */
struct kickmsg_waitset;

/* Makes an empty wait set. *ret is owned by the caller: kickmsg_waitset_free(). Errors: -ENOMEM. */
int kickmsg_waitset_new(struct kickmsg_waitset **ret);

/* Frees the set, and none of its members. Takes a null pointer. */
void kickmsg_waitset_free(struct kickmsg_waitset *set);

/*
 * Adds a member. A subscriber is ready while a message waits, or when a receive has an error to tell. A
 * publisher is ready while a send finds room with the topic's reliable subscribers. A client is ready
 * when kickmsg_client_dispatch() is to be called; `fd`, when poll(2) says one of `events`, or POLLERR or
 * POLLHUP, of it. A deadline, in ns of CLOCK_MONOTONIC, is ready once, and no member any more then.
 * Never blocks. Errors: -ENOMEM; -EBADF `fd` is negative; -ECHILD; those of kickmsg_subscriber_get_fd() where
 * the set polls: the member isn't added then.
 */
int kickmsg_waitset_add_subscriber(
	struct kickmsg_waitset *set, struct kickmsg_subscriber *subscriber, void *userdata);
int kickmsg_waitset_add_publisher(
	struct kickmsg_waitset *set, struct kickmsg_publisher *publisher, void *userdata);
int kickmsg_waitset_add_client(
	struct kickmsg_waitset *set, struct kickmsg_client *client, void *userdata);
int kickmsg_waitset_add_fd(struct kickmsg_waitset *set, int fd, short events, void *userdata);
int kickmsg_waitset_add_deadline(struct kickmsg_waitset *set, int64_t deadline_ns, void *userdata);

/* Takes out all members that have this userdata. Errors: -ENOENT no member has; -ECHILD. */
int kickmsg_waitset_remove(struct kickmsg_waitset *set, const void *userdata);

/*
 * Waits until members are ready, for at most timeout_ns; 0 looks, negative waits for ever. Fills ret[0]
 * to ret[n - 1] with their userdata, and returns n, at most `capacity`. Where more are ready, the
 * next call begins behind the last member told, so each gets its turn. A sleep may end with the member
 * that was woken alone; the next call tells of the others. A subscriber may be ready
 * without a message: receive with timeout 0. Takes a look at each member, and again before it
 * sleeps. Errors: -ETIMEDOUT (with timeout 0: -EAGAIN); -EINTR it was interrupted; -EINVAL capacity
 * is 0; -ECHILD; those of ppoll(2).
 */
int kickmsg_waitset_wait(
	struct kickmsg_waitset *set, int64_t timeout_ns, void **ret, size_t capacity);

/* Ends a wait that sleeps, or else the next wait that would sleep, with -EINTR; exactly one. For
 * any thread, and for signal handlers. Never blocks, never fails. */
void kickmsg_waitset_interrupt(struct kickmsg_waitset *set);

/* Gives the sample back: its slot is free for publishers at once if no other subscriber has it. The
 * data may not be used any more. Errors: -EINVAL not a held sample. */
int kickmsg_sample_release(struct kickmsg_sample *sample);

/* Gives samples back, of any subscribers, in their order. Returns how many: fewer than `count`
 * where the next sample isn't held. Errors, of the first sample: as kickmsg_sample_release(). */
ssize_t kickmsg_release_many(struct kickmsg_sample *samples, size_t count);

/* Is the sample held? 1 from the receive that filled it until it is released, else 0. A sample
 * filled with zeros isn't held; a copy is while the original is. Not for samples of a subscriber
 * that was freed. Never fails. */
int kickmsg_sample_is_held(const struct kickmsg_sample *sample);

/*
 * Copies the oldest message into buf and returns its length, at most `size` bytes; a longer message
 * stays where it is. Errors: as kickmsg_try_receive(), and -EMSGSIZE the message is longer than
 * `size`.
 */
ssize_t kickmsg_try_receive_copy(struct kickmsg_subscriber *subscriber, void *buf, size_t size);

/* Copies as kickmsg_try_receive_copy() does, with kickmsg_receive()'s wait and its errors. */
ssize_t kickmsg_receive_copy(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size, int64_t timeout_ns);

/*
 * Copies as kickmsg_receive_copy() does, and describes the message in *ret: its publish time, its
 * publisher and the rest. ret->data is `buf` (at least 1 byte of room) and needs no alignment. The
 * sample isn't held, so it needs no release. Returns 0. Errors: as kickmsg_receive_copy(); buf's
 * content is undefined then.
 */
int kickmsg_receive_into(struct kickmsg_subscriber *subscriber, void *buf, size_t size,
	int64_t timeout_ns, struct kickmsg_sample *ret);

/* How many messages were published to this subscriber, since it subscribed, that it will never get.
 * Exact at any time. */
uint64_t kickmsg_subscriber_lost(const struct kickmsg_subscriber *subscriber);

/* Numbers of one publisher since it advertised; exact when read by its own thread. Never fails. */
struct kickmsg_publisher_stats {
	uint64_t sent;    /* messages published */
	uint64_t bytes;   /* of their payloads */
	uint64_t failed;  /* sends and loans that met an empty pool */
	uint64_t evicted; /* old messages that it pushed out of full rings */
	uint32_t loans;   /* that are out */
	uint32_t publisher_id;
	/* Sends that found no room with a reliable subscriber, as kickmsg_topic_stats counts them. */
	uint64_t no_room;
	uint64_t reserved[2];
};

void kickmsg_publisher_get_stats(
	const struct kickmsg_publisher *publisher, struct kickmsg_publisher_stats *ret);

/* How many publishers the topic has now, counted as by kickmsg_publisher_get_matched(). */
uint32_t kickmsg_subscriber_get_matched(const struct kickmsg_subscriber *subscriber);

/* Numbers of one subscriber since it subscribed; exact when read by its own thread. Never fails. */
struct kickmsg_subscriber_stats {
	uint64_t received; /* messages taken */
	uint64_t lost;     /* as kickmsg_subscriber_lost() */
	uint64_t waiting;  /* messages in its ring now */
	uint32_t borrowed; /* samples that are held */
	uint32_t ring;     /* its number among the topic's */
	uint64_t reserved[4];
};

void kickmsg_subscriber_get_stats(
	const struct kickmsg_subscriber *subscriber, struct kickmsg_subscriber_stats *ret);

/*
 * Looking at topics. These calls ask the broker and change nothing. They block for its answer, and
 * a client may ask about topics in which it doesn't participate. Their common errors are -EINVAL a
 * name that can't be; -ENOENT no such topic; -ENOTCONN, -ETIMEDOUT, -EPROTO as
 * kickmsg_client_new(); -EIO brokers end at this very request: two did, the library asked once more
 * by itself, and two more did. The descriptions that follow call them "the common ones". Each other
 * call that asks the broker may end with -EIO too.
 */
struct kickmsg_topic_info {
	char name[KICKMSG_NAME_SIZE];     /* without a leading '/'; may be any bytes */
	char owner[KICKMSG_PREFIX_SIZE];  /* of a mailbox, likewise; else "" */
	char prefix[KICKMSG_PREFIX_SIZE]; /* likewise */
	/* The name that /proc/PID/maps shows, but of memory that the broker had made before the topic: that is
	 * "kickmsgd-spare". */
	char region[256];
	enum kickmsg_kind kind;
	uint32_t publishers;  /* present ones */
	uint32_t subscribers; /* present ones */
	uint32_t has_schema;
	/* The topic's name was taken away; the topic ends with its last participant. */
	uint32_t unlinked;
	uint32_t quarantined; /* its memory made no sense, likewise */
	uint32_t owner_uid;   /* user whose client created it */
	/* Process that created it; 0: of another pid namespace. */
	int32_t creator_pid;
	uint64_t id;                  /* unique while the broker lives, growing */
	uint64_t created_realtime_ns; /* since 1970 */
	uint64_t config_hash;         /* equal for equal configs */
	/* Bytes of reserved memory: kickmsg_topic_sizing.total_bytes. */
	uint64_t total_bytes;
	struct kickmsg_topic_config config;     /* .schema is null */
	char creator_name[KICKMSG_PREFIX_SIZE]; /* the client that created it; as the names above */
	uint32_t reliable;                      /* subscribers that publishers wait for */
	uint32_t reserved32;
	uint64_t reserved[3];
};

/* Describes a topic. Errors: the common ones. A topic that was unlinked or is quarantined can't be
 * asked for by name: -ENOENT, or the topic that has the name now. kickmsg_topic_list() still has
 * it, and kickmsg_topic_diagnose() finds it while no other has the name. */
int kickmsg_topic_get_info(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	struct kickmsg_topic_info *ret);

/*
 * All topics of all prefixes, in the order in which they were created, a page a call. Begin with
 * *cursor = 0; fills ret[0] to ret[n - 1], moves *cursor, returns n, at most `capacity`; 0: that
 * was all. Topics that come and go between calls don't shift the others; every topic that is there
 * all the time comes exactly once. Topics that were created after the call with 0 don't come, so a
 * listing always ends. (Of two listings that a client makes at once, after the later such call.)
 * Errors: the common ones; -EINVAL capacity is 0.
 */
ssize_t kickmsg_topic_list(struct kickmsg_client *client, uint64_t *cursor,
	struct kickmsg_topic_info *ret, size_t capacity);

/* The ring of one subscriber that is present, or its part in the ring that all share. */
struct kickmsg_ring_stats {
	/* Unique in the topic's life. */
	uint64_t subscriber_id;
	/* Messages that came into it for this subscriber, or are the topic's history for it. */
	uint64_t written;
	uint64_t received; /* taken by it */
	uint64_t lost;     /* pushed out before it took them */
	uint64_t waiting;  /* in it now */
	uint32_t ring;     /* its number; UINT32_MAX: the shared one */
	uint32_t pid;      /* its subscriber's */
	/* 1: its subscriber sleeps in kickmsg_receive(); 0 with a shared ring. */
	uint32_t sleeping;
	uint32_t reliable; /* publishers wait for it */
	uint64_t reserved[2];
};

/* A topic's numbers as they are while others work: each is right, together they may be some
 * messages apart. Where everything stands still they are exact. */
struct kickmsg_topic_stats {
	uint64_t sent;  /* messages, of all publishers that ever were */
	uint64_t bytes; /* of their payloads */
	/* Sends and loans that met an empty pool (delivery failures). */
	uint64_t failed;
	uint64_t received;  /* messages, by all subscribers that ever were */
	uint64_t lost;      /* messages, by all subscribers that ever were */
	uint64_t pool_size; /* slots */
	uint64_t free_slots;
	/* Subscribers that are present, also those of a shared ring. */
	uint32_t live_rings;
	uint32_t ring_count;   /* = max_subscribers */
	uint64_t realtime_ns;  /* when this was looked at, since 1970: for rates */
	uint64_t monotonic_ns; /* likewise, CLOCK_MONOTONIC */
	uint64_t topic_id;     /* kickmsg_topic_info.id: another one, another topic */
	uint64_t demoted;      /* reliable subscribers that were made ordinary ones */
	/* Sends of all publishers that ever were that found no room with a reliable subscriber, whether they
	 * waited or failed with -ENOBUFS. A call that waits counts once. */
	uint64_t no_room;
	uint64_t reserved[5];
};

/* Reads the topic's numbers. Errors: the common ones. */
int kickmsg_topic_get_stats(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	struct kickmsg_topic_stats *ret);

/* A page of the rings of all present subscribers, used as kickmsg_topic_list(), but the newest
 * subscriber comes first. Errors: the common ones; -EINVAL capacity is 0. */
ssize_t kickmsg_topic_ring_stats(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, uint64_t *cursor, struct kickmsg_ring_stats *ret,
	size_t capacity);

/* Health of a topic's memory under traffic: slots by state add up to pool_size. Stale and orphaned
 * slots belonged to processes that died, and are the broker's to repair. */
struct kickmsg_topic_diagnosis {
	uint32_t slots_free, slots_loaned, slots_in_flight;
	uint32_t slots_orphaned; /* loaned by the dead */
	uint32_t slots_stale;    /* with references that nobody accounts for */
	uint32_t stale_references;
	/* With a shared ring each subscriber counts as a live one, and its sleepers aren't
	 * known. */
	uint32_t rings_live, rings_undrained, rings_sleeping;
	uint32_t publishers, subscribers;
	uint32_t dead;    /* endpoints whose process died, not repaired yet */
	uint32_t leaving; /* endpoints that left and aren't settled yet */
	uint32_t quarantined;
	/* Why the topic is quarantined, or what else was mended, and which clients can have written
	 * it. */
	char reason[256];
	uint32_t healthy; /* 1: nothing stale, orphaned, dead or quarantined */
	/* References that an endpoint was just at; the next pass looks again. */
	uint32_t left_by_hazard;
	uint64_t reserved[4];
};

/* Counts damage in a topic's memory. For participants of the topic and users that may administer
 * it. Errors: the common ones; -EPERM the caller is neither; -ENOMEM, -EBUSY the broker can't look
 * now. */
int kickmsg_topic_diagnose(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	struct kickmsg_topic_diagnosis *ret);

/* The findings of a repair, its work, and the state that it left: zeros where there was nothing to
 * do. */
struct kickmsg_repair_report {
	struct kickmsg_topic_diagnosis before, after; /* .reason is "" */
	uint32_t references_dropped;
	uint32_t slots_reclaimed;
	uint32_t rings_reset;
	uint32_t endpoints_freed; /* places of the dead that can be had again */
	uint64_t reserved[4];
};

/*
 * Repairs a topic's memory under traffic, of what the dead left and of nothing else. The broker
 * does all of it by itself, unless its config says automatic = no; then it is for users
 * that may administer the topic, all at once or kind by kind. `ret` may be null. Errors: the common
 * ones; -EPERM the caller may not; -ESTALE the memory made no sense, and the topic is given up now;
 * -ENOMEM, -EBUSY the broker can't look now.
 */
int kickmsg_topic_recover(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	struct kickmsg_repair_report *ret); /* the following three */
int kickmsg_topic_repair(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	struct kickmsg_repair_report *ret); /* drops references that nobody accounts for */
int kickmsg_topic_reset_rings(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	struct kickmsg_repair_report *ret); /* empties the rings of dead subscribers */
int kickmsg_topic_reclaim(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	struct kickmsg_repair_report *ret); /* frees slots that dead publishers had */

enum kickmsg_role {
	KICKMSG_ROLE_PUBLISHER = 1,
	KICKMSG_ROLE_SUBSCRIBER = 2,
	KICKMSG_ROLE_BOTH = 3,
};

/* A client that participates in a topic. */
struct kickmsg_participant {
	char client_name[KICKMSG_PREFIX_SIZE]; /* without a leading '/'; may be any bytes */
	int32_t pid;
	uint32_t uid;
	enum kickmsg_role role;
	uint32_t alive;             /* 0: the client died and isn't repaired yet */
	uint32_t publishers;        /* how many it has */
	uint32_t subscribers;       /* how many it has */
	uint64_t since_realtime_ns; /* when the first of these came */
	uint64_t client_id;         /* unique in the broker's life */
	/* The rings that its subscribers have, a bit for each; 0 with a shared ring. */
	uint64_t rings;
	uint32_t publisher_id; /* of the newest of its publishers; 0: it has none */
	/* Slots of the topic's pool that its publishers have claimed just now, and samples that its
	 * subscribers hold. A shared ring's subscribers have copies, and hold none. */
	uint32_t loans;
	uint32_t borrows;
	uint32_t reliable; /* of its subscribers, those that publishers wait for */
	uint64_t reserved[4];
};

/* A page of a topic's participants, used as kickmsg_topic_list(), but the newest comes first; one
 * entry for each client. Errors: the common ones; -EINVAL capacity is 0. */
ssize_t kickmsg_topic_participants(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, uint64_t *cursor, struct kickmsg_participant *ret,
	size_t capacity);

/* Reads the topic's schema. Errors: the common ones; -ENODATA the topic has none. */
int kickmsg_topic_schema(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	struct kickmsg_schema *ret);

/*
 * Gives the topic its schema, once: the first claim wins. *ret (`ret` may be null) is the schema
 * that stands afterwards, the caller's or an earlier one. For participants of the topic that may
 * publish or own it. A claim is one step of the broker: a client that dies in it leaves nothing
 * half done. When topics are made anew after a broker's end, a client brings the schema that it
 * knows of: the one that the topic had when the client came, or that this call or
 * kickmsg_topic_schema() told it later. Returns 0: the caller's stands (also when an equal one
 * stood before). Errors: the common ones; -EEXIST another one stands, *ret is set; -EPERM not a
 * participant; -EACCES the client may not publish.
 */
int kickmsg_claim_schema(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_schema *schema, struct kickmsg_schema *ret);

/* The error in words for a person; takes negative and positive errno values. Static, never null. */
const char *kickmsg_strerror(int err);

/* "major.minor.patch" of the library that is running. */
const char *kickmsg_version(void);

#ifdef __cplusplus
}
#endif
