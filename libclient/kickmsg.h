/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libkickmsg-client: publish and subscribe through shared memory that the broker kickmsgd owns.
 *
 * A client is a connection to the broker. From it come publishers and subscribers of topics. Once
 * one of these exists, sending and receiving are atomic instructions in this process' own mappings:
 * no lock, no system call, no broker, unless a receive chooses to sleep.
 *
 * Errors: negative errno values; each function lists its own complete set. kickmsg_strerror() says
 * them in words, kickmsg_client_last_error() says what the broker had to add.
 *
 * Threads: a client may be used by several threads (its control calls take turns). A publisher or a
 * subscriber belongs to one thread at a time; different ones may be used at the same time.
 *
 * fork: mappings are not inherited. A child must make its own client; it may not use or free the
 * parent's handles.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kickmsg_client;
struct kickmsg_publisher;
struct kickmsg_subscriber;

/*
 * A broker that ends without a service manager that keeps what it had takes the topics' names along.
 * Messages go on flowing between those who are there. When a broker is there again, the client
 * connects anew (it tries after 10 ms, and then ever more seldom, up to once a second), and its
 * publishers and subscribers rejoin their topics by themselves: whoever comes first makes the topic
 * anew, with the shape, lifetime and schema that it had. All handles stay valid, and so do loans and
 * samples that are out. What a subscriber couldn't get in between is in kickmsg_subscriber_lost().
 *
 * All this is done by who calls kickmsg_client_dispatch(), any control call, or sleeps in a receive
 * (which looks once a second); where one participant has gone ahead, the others follow with their
 * next send or receive. A program that only sends, or only polls its subscribers, had better call
 * kickmsg_client_dispatch() when kickmsg_client_get_fd() says so, or now and then.
 */
enum kickmsg_event_kind {
	KICKMSG_EVENT_DISCONNECTED = 1,  /* the broker is gone */
	KICKMSG_EVENT_RECONNECTED = 2,   /* a broker is there again */
	KICKMSG_EVENT_REJOINED = 3,      /* a publisher or subscriber is in its topic again */
	KICKMSG_EVENT_REJOIN_FAILED = 4, /* not, for `error`; tried again, and told again when the
					    error is another one */
};

/* Of several events that weren't asked for in time, only the latest of the connection and of each
 * handle is told. */
struct kickmsg_event {
	enum kickmsg_event_kind kind;
	int error;         /* of a bad one: negative errno */
	const char *text;  /* what the broker said to it, or "" */
	const char *topic; /* of the last two kinds, as it was written; else null */
	struct kickmsg_publisher *publisher;   /* of the last two kinds: which one, */
	struct kickmsg_subscriber *subscriber; /* or null */
	uint64_t reserved[4];
};

/* Zero-filled means all defaults; so does a null pointer in its place. */
struct kickmsg_client_config {
	const char *name; /* shown to operators, up to 63 bytes; default: the program's name */
	const char *socket_path; /* default: $KICKMSG_SOCKET, else /run/kickmsg/kickmsgd.sock for
				    root, else $XDG_RUNTIME_DIR/kickmsg/kickmsgd.sock */
	const char *prefix;      /* namespace of the topics, up to 63 bytes; default "kickmsg" */
	uint64_t timeout_ns;     /* longest wait for the broker's answer; default 10 s */
	/* called by kickmsg_client_dispatch() alone, in its thread; may call anything but
	 * kickmsg_client_free(); default: none. What it gets is valid until it returns. */
	void (*on_event)(void *userdata, const struct kickmsg_event *event);
	void *userdata;       /* its first argument */
	uint64_t reserved[2]; /* zero */
};

/*
 * Connects to the broker and says hello. *ret is owned by the caller: kickmsg_client_free().
 * Blocks for at most timeout_ns.
 * Errors: -EINVAL a name that is empty or too long; -ENOENT, -ECONNREFUSED no broker at that
 * socket; -EACCES, -EPERM not allowed to connect; -EPROTO the broker speaks another version;
 * -EDQUOT a limit on clients is reached; -ETIMEDOUT; -ENOTCONN the broker hung up; -ENOMEM;
 * -EMFILE, -ENFILE.
 */
int kickmsg_client_new(const struct kickmsg_client_config *config, struct kickmsg_client **ret);

/* Frees the client and all publishers and subscribers that it still has. Takes a null pointer. */
void kickmsg_client_free(struct kickmsg_client *client);

/* A descriptor to poll for POLLIN, the same for the client's whole life; when it is readable, call
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

/* What there is to say about the calling thread's last control call on this client: why it failed,
 * or a warning; else "". The string lives until the next control call of any thread on this
 * client. Of null: why the calling thread's last kickmsg_client_new() failed, with the socket's path or
 * the broker's words; else "". */
const char *kickmsg_client_last_error(const struct kickmsg_client *client);

/*
 * A description of what a topic's messages are: 512 bytes that the broker stores and compares and
 * never interprets. Fill what you don't use with zero.
 */
struct kickmsg_schema {
	uint8_t identity[64];   /* which type: a fingerprint, or a name */
	uint8_t layout[64];     /* how its bytes lie: a fingerprint */
	char name[128];         /* for people, ended by 0 */
	uint32_t version;       /* the application's own */
	uint32_t identity_algo; /* how identity was made: enum kickmsg_schema_algo, or one's own */
	uint32_t layout_algo;   /* how layout was made */
	uint32_t flags;         /* not compared */
	uint8_t reserved[240];  /* zero; not compared */
};

enum kickmsg_schema_algo {
	KICKMSG_ALGO_NONE = 0,
	KICKMSG_ALGO_FNV1A64 = 1,
	KICKMSG_ALGO_TEXT = 2, /* the bytes are a text */
};

/* What differs between two schemas. */
enum kickmsg_schema_diff_bit {
	KICKMSG_SCHEMA_IDENTITY = 1,
	KICKMSG_SCHEMA_LAYOUT = 2,
	KICKMSG_SCHEMA_VERSION = 4,
	KICKMSG_SCHEMA_NAME = 8,
	KICKMSG_SCHEMA_IDENTITY_ALGO = 16,
	KICKMSG_SCHEMA_LAYOUT_ALGO = 32,
};

/* Bits of enum kickmsg_schema_diff_bit; 0: the same. flags and reserved are ignored, and so is what
 * follows a name's 0. Never fails. */
uint32_t kickmsg_schema_diff(const struct kickmsg_schema *a, const struct kickmsg_schema *b);

/* FNV-1a, 64 bits, of `size` bytes, going on from `hash`: begin with KICKMSG_FNV1A64_INIT. */
#define KICKMSG_FNV1A64_INIT UINT64_C(0xcbf29ce484222325)
uint64_t kickmsg_fnv1a64(uint64_t hash, const void *data, size_t size);

/* Writes the FNV-1a-64 of `size` bytes, most significant byte first, into the first 8 bytes of a
 * schema's identity or layout, zeros behind it, and says so in its algo. */
void kickmsg_schema_set_identity(struct kickmsg_schema *schema, const void *data, size_t size);
void kickmsg_schema_set_layout(struct kickmsg_schema *schema, const void *data, size_t size);

/*
 * How a topic's messages get to its subscribers; the promises are the same.
 *
 * RINGS: each subscriber has a ring, a message lies in a slot, and nobody copies it. A publisher
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
	uint32_t max_subscribers;  /* [16] 1 to 48, with a shared ring to 65535; of a mailbox
				      always 1 */
	uint32_t ring_capacity;    /* [64] messages kept for each subscriber, or for all in a shared
				      ring; a power of two, 1 to 65536 */
	uint32_t pool_size;        /* [256] payload slots shared by all, 2 to 1048576; what is
				      needed says kickmsg_topic_config_check() */
	uint32_t max_publishers;   /* [64] 1 to 65535 */
	uint64_t max_payload_size; /* [4096] bytes, 1 to 1 GiB */
	uint32_t max_loans;        /* [8] loans that a publisher may have at once, 1 to 1024 */
	uint32_t max_borrows;      /* [16] samples that a subscriber may hold at once, 1 to 1024 */
	uint64_t linger_ns;        /* [0] how long it stays without participants, up to 1 year */
	uint32_t persistent;       /* [0] 1: it stays until it is unlinked */
	uint32_t transport;        /* [KICKMSG_TRANSPORT_RINGS] enum kickmsg_transport */
	const struct kickmsg_schema *schema; /* [null] set at creation; if the topic is there and
						has none, claimed; copied */
	uint64_t reserved[1];                /* zero */
};

void kickmsg_topic_config_init(struct kickmsg_topic_config *config);

/* What a config costs. */
struct kickmsg_topic_sizing {
	uint64_t control_bytes; /* memory for slots and rings */
	uint64_t payload_bytes; /* memory for payloads */
	uint64_t total_bytes;   /* both, in whole pages: what the broker reserves */
	uint64_t needed_pool;   /* with a pool of so many slots, kickmsg_send() never meets an empty
				   one, whoever is stopped where: rings + borrows + loans */
	uint64_t config_hash;   /* of all fields but schema: kickmsg_topic_info's */
	const char *bad_field;  /* the field that is out of range, static; null: all are good */
	uint64_t needed_pool_broadcast; /* needed_pool of a broadcast channel: its members may skip
					   their own messages, so their rings keep others */
	uint64_t reserved[3];
};

/*
 * What the config costs and whether it can be; asks no broker. null: the defaults.
 * Returns 0, or 1: it can be, but pool_size is below needed_pool: a send may fail with -EAGAIN when
 * all are at their limits at once (a smaller pool is fine where that can't happen).
 * Errors: -EINVAL a field is out of range, ret->bad_field says which.
 */
int kickmsg_topic_config_check(
	const struct kickmsg_topic_config *config, struct kickmsg_topic_sizing *ret);

/*
 * Names. A name part has its leading '/' stripped; an inner '/' becomes '.', [A-Za-z0-9._-] are
 * kept, anything else becomes '_'. What a topic is found by are its prefix, its kind, its owner (of
 * a mailbox) and its name, each for itself, so that a topic "broadcast_x" and a channel "x" are two
 * things. Names that only become the same by these rules ("a/b" and "a.b") are not: who comes
 * second gets -EEXIST, and kickmsg_client_last_error() names both.
 */
enum kickmsg_kind {
	KICKMSG_PUBSUB = 0,    /* region /{prefix}_{topic} */
	KICKMSG_BROADCAST = 1, /* region /{prefix}_broadcast_{channel} */
	KICKMSG_MAILBOX = 2,   /* region /{prefix}_{owner}_mbx_{tag} */
};

/* Names a topic of any kind. Only `name` must be there. */
struct kickmsg_topic_ref {
	const char *name;   /* topic, channel or tag, 1 to 127 bytes */
	const char *owner;  /* of a mailbox: its client's name; null: the calling client's */
	const char *prefix; /* null: the client's */
	enum kickmsg_kind kind;
	uint32_t reserved; /* zero */
};

/*
 * Becomes a publisher of the topic; creates it if it isn't there, with `config` or the defaults.
 * If it is there (created by another publisher, or by a subscriber that didn't wait), it is joined:
 * `config` must be null or agree with the topic's, and so must config->schema. *ret is owned by the
 * caller: kickmsg_publisher_free(). Blocks for the broker's answer.
 *
 * When `config` has a pool below kickmsg_topic_sizing.needed_pool this succeeds, and
 * kickmsg_client_last_error() and the broker's log say so.
 *
 * Errors: -EINVAL a name that is empty or too long, a config out of range; -EEXIST the topic has
 * another config or schema, or another name that sanitises to the same
 * (kickmsg_client_last_error() says which field and both values); -ENOSPC all max_publishers are
 * there; -ENOMEM there is not so much memory; -EDQUOT a limit is reached; -EACCES not allowed
 * (kickmsg_client_last_error() names the rule or limit); -ENOTCONN, -ETIMEDOUT, -EPROTO, -EMFILE,
 * -ENFILE as kickmsg_client_new().
 */
int kickmsg_advertise(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_topic_config *config, struct kickmsg_publisher **ret);

/* The same, but takes the topic as it is if it is there, whatever `config` says: `config` is for
 * creating alone. A schema that it brings is claimed if the topic has none. Errors: as
 * kickmsg_advertise(); -EEXIST only for the name. */
int kickmsg_advertise_or_join(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_topic_config *config, struct kickmsg_publisher **ret);

/* Gives back its loans and its place. Blocks for the broker's answer. Takes a null pointer. */
void kickmsg_publisher_free(struct kickmsg_publisher *publisher);

/* Zero-filled means all defaults; so does a null pointer in its place. */
struct kickmsg_subscribe_options {
	uint64_t spin_ns; /* kickmsg_receive() polls for so long before it sleeps, while that helps:
			     after four waits in a row that it didn't, one in 16; default 0 */
	uint64_t wait_ns; /* kickmsg_subscribe() waits so long for the topic to exist; default 0,
			     UINT64_MAX: for ever */
	const struct kickmsg_schema *schema; /* refuse the topic if its schema is another one, or if
						it has none; null: take any */
	uint32_t *ret_schema_diff;           /* set when it is refused for that: bits of enum
				      kickmsg_schema_diff_bit; against none, those of a schema of
				      zeros; may be null */
	uint32_t skip_own; /* kickmsg_join_broadcast(): 1: don't hear what one publishes oneself.
			      With a shared ring kickmsg_subscriber_lost() is exact as of the
			      last message of one's own that was passed over */
	uint32_t history;  /* begin so many messages back, as far as they are still there: at most
			      ring_capacity. For topics with a shared ring */
	uint32_t observe;  /* 1: read a topic with a shared ring without anybody noticing: no
			      participant, counted nowhere, keeps the topic from nothing. A receive
			      that waits looks every ms. -ESTALE once the topic has ended. It
			      rejoins once others have made the topic */
	uint32_t writable; /* 1: map a shared ring writable, as its publishers do, though nothing is
			      written. Processors that take a line from its reader by what the
			      reader might do with it (AMD Zen 4) then send small messages at up to
			      twice the rate, if no other subscriber has it read only. Against it:
			      a stray write of this process can spoil the topic. For who may publish
			      as well, else -EACCES; not with observe. With private rings it
			      makes no difference, but takes the same right */
	uint64_t reserved[2]; /* zero */
};

/*
 * Becomes a subscriber of a topic that exists, or, with options->wait_ns, comes to exist in that
 * time: it gets what is published from now on. Now is some moment of the call, for which nobody
 * stops publishing; what comes from then on waits in its ring. *ret is owned by the caller:
 * kickmsg_subscriber_free(). Blocks for the broker's answer and for wait_ns; other threads may use
 * the client meanwhile.
 * Errors: -ENOENT no such topic; -ETIMEDOUT there came none in wait_ns; -ENOSPC all
 * max_subscribers are there; -EPROTOTYPE the topic's schema is not options->schema; -EEXIST the
 * topic has another name that sanitises to the same; -EOPNOTSUPP history or observe of a topic
 * that has a ring for each subscriber; the rest as kickmsg_advertise().
 */
int kickmsg_subscribe(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_subscribe_options *options, struct kickmsg_subscriber **ret);

/* The same, but creates the topic, with `config` or the defaults, if it isn't there; if it is, takes
 * it as it is. Doesn't wait. Errors: as kickmsg_subscribe(), without -ENOENT. */
int kickmsg_subscribe_or_create(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_topic_config *config, const struct kickmsg_subscribe_options *options,
	struct kickmsg_subscriber **ret);

/*
 * Becomes a member of a broadcast channel, which publishes and subscribes; creates the channel, with
 * `config` or the defaults, if it isn't there. A member hears itself unless options->skip_own.
 * *ret_publisher and *ret_subscriber are owned by the caller and may be freed in any order; once one
 * of them is, the other one is an ordinary publisher or subscriber of the channel. On an error there
 * is neither. Errors: as kickmsg_advertise() and kickmsg_subscribe(), without -ENOENT.
 */
int kickmsg_join_broadcast(struct kickmsg_client *client, const char *channel,
	const struct kickmsg_topic_config *config, const struct kickmsg_subscribe_options *options,
	struct kickmsg_publisher **ret_publisher, struct kickmsg_subscriber **ret_subscriber);

/*
 * Creates the mailbox `tag` of this client (by its name) and becomes its one subscriber. If it is
 * there without a subscriber, it is taken over; `config` must be null or agree then.
 * Errors: as kickmsg_advertise(); -ENOSPC it has its subscriber already; -EACCES also: it is
 * another user's; -EINVAL also: prefix, client name and tag are too long together.
 */
int kickmsg_create_mailbox(struct kickmsg_client *client, const char *tag,
	const struct kickmsg_topic_config *config, const struct kickmsg_subscribe_options *options,
	struct kickmsg_subscriber **ret);

/* Becomes a publisher of the mailbox `tag` of the client with the name `owner`. Errors: as
 * kickmsg_advertise(); -ENOENT there is no such mailbox. */
int kickmsg_open_mailbox(struct kickmsg_client *client, const char *owner, const char *tag,
	struct kickmsg_publisher **ret);

/*
 * Takes a topic's (channel's, mailbox') name away. Who participates goes on with the old memory,
 * which is freed when the last one leaves; who comes with the name gets a new one. For who may
 * administer it: the user whose client created it, root, see kickmsgd.conf(5). A mailbox is this
 * client's own.
 * Errors: -EINVAL a name that can't be; -ENOENT there is none; -EPERM not allowed; -ENOTCONN,
 * -ETIMEDOUT, -EPROTO as kickmsg_client_new().
 */
int kickmsg_unlink_topic(struct kickmsg_client *client, const char *topic);
int kickmsg_unlink_broadcast(struct kickmsg_client *client, const char *channel);
int kickmsg_unlink_mailbox(struct kickmsg_client *client, const char *tag);
/* The same for a topic of any kind and prefix. */
int kickmsg_unlink(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic);

/* Releases all samples that it still holds (their data may not be used any more) and gives back its
 * place. Blocks for the broker's answer. Takes a null pointer. */
void kickmsg_subscriber_free(struct kickmsg_subscriber *subscriber);

/*
 * Copies `len` bytes into a free slot and publishes it to all present subscribers. A subscriber
 * whose ring is full loses its oldest message; nobody is waited for. Lock-free, never blocks.
 * Returns len. Errors: -EMSGSIZE longer than max_payload_size; -EAGAIN no slot is free; -ESTALE the
 * topic's memory makes no sense any more: free the publisher and advertise anew.
 */
ssize_t kickmsg_send(struct kickmsg_publisher *publisher, const void *data, size_t len);

/*
 * Lends a slot to write `len` bytes into, aligned to 64 bytes: *ret_payload is valid until
 * kickmsg_publish() or kickmsg_discard(). Lock-free, never blocks. Errors: as kickmsg_send(), and
 * -EDQUOT max_loans loans are out.
 */
int kickmsg_loan(struct kickmsg_publisher *publisher, size_t len, void **ret_payload);

/*
 * Publishes a loan, its first `len` bytes, at most what was asked of kickmsg_loan(). The payload
 * may not be touched any more, also when this fails with -ESTALE. Lock-free, blocks no longer than
 * the wake-up of a sleeping subscriber takes. Errors: -EINVAL no loan of this publisher (nothing
 * happened); -EMSGSIZE more than was lent (still lent); -ESTALE as kickmsg_send(). Of a loan from
 * before its topic was rejoined also: -EAGAIN no slot is free, -EMSGSIZE messages are shorter there;
 * it is gone then.
 */
int kickmsg_publish(struct kickmsg_publisher *publisher, void *payload, size_t len);

/* Gives a loan back unpublished. Errors: -EINVAL no loan of this publisher. */
int kickmsg_discard(struct kickmsg_publisher *publisher, void *payload);

/* A message that was borrowed from the pool, or, from a shared ring, the subscriber's copy of one.
 * Fill in nothing; the receive calls do. */
struct kickmsg_sample {
	const void *data;            /* aligned to 64 bytes, read-only memory */
	size_t len;                  /* bytes */
	uint64_t ring_pos;           /* position in this subscriber's ring; gaps are losses */
	uint64_t publisher_sequence; /* counts this publisher's messages from 1 */
	uint32_t publisher_id;       /* unique among the topic's present publishers */
	uint32_t hold;               /* private */
	struct kickmsg_subscriber *subscriber; /* private */
};

/*
 * Borrows the oldest message that waits: valid until kickmsg_sample_release() or
 * kickmsg_subscriber_free(). Lock-free, never blocks. Errors: -EAGAIN nothing there; -EDQUOT
 * max_borrows samples are held; -ESTALE the topic's memory makes no sense any more.
 */
int kickmsg_try_receive(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret);

/*
 * The same, and sleeps until there is a message, for at most timeout_ns nanoseconds; 0 polls,
 * negative waits for ever. Signals don't end it early.
 * Errors: -ETIMEDOUT (with timeout 0: -EAGAIN); -EDQUOT, -ESTALE as above.
 */
int kickmsg_receive(
	struct kickmsg_subscriber *subscriber, int64_t timeout_ns, struct kickmsg_sample *ret);

/* Gives the sample back: its slot is free for publishers at once if nobody else has it. Its data
 * may not be used any more. Errors: -EINVAL not a held sample. */
int kickmsg_sample_release(struct kickmsg_sample *sample);

/*
 * Copies the oldest message into buf and returns its length, at most `size` bytes; a longer message
 * stays where it is. Errors: as kickmsg_try_receive(), and -EMSGSIZE the message is longer than
 * `size`.
 */
ssize_t kickmsg_try_receive_copy(struct kickmsg_subscriber *subscriber, void *buf, size_t size);

/* The same with kickmsg_receive()'s wait and its errors. */
ssize_t kickmsg_receive_copy(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size, int64_t timeout_ns);

/* Messages that were published to this subscriber and that it will never get, since it subscribed.
 * Exact at any time. */
uint64_t kickmsg_subscriber_lost(const struct kickmsg_subscriber *subscriber);

/* Numbers of one publisher since it advertised; exact when read by its own thread. Never fails. */
struct kickmsg_publisher_stats {
	uint64_t sent;    /* messages published */
	uint64_t failed;  /* sends and loans that met an empty pool */
	uint64_t evicted; /* old messages that it pushed out of full rings */
	uint32_t loans;   /* that are out */
	uint32_t publisher_id;
	uint64_t reserved[4];
};

void kickmsg_publisher_get_stats(
	const struct kickmsg_publisher *publisher, struct kickmsg_publisher_stats *ret);

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
 * Looking at topics. All of these ask the broker and change nothing; they block for its answer and
 * may be called for topics that one doesn't participate in. Their common errors are -EINVAL a name
 * that can't be; -ENOENT no such topic; -ENOTCONN, -ETIMEDOUT, -EPROTO as kickmsg_client_new();
 * called "the common ones" below.
 */
struct kickmsg_topic_info {
	char name[128];   /* as its creator wrote it, leading '/' stripped; may be any bytes */
	char owner[64];   /* of a mailbox, as written; else "" */
	char prefix[64];  /* sanitised */
	char region[256]; /* the name that /proc/PID/maps shows */
	enum kickmsg_kind kind;
	uint32_t publishers;  /* present ones */
	uint32_t subscribers; /* present ones */
	uint32_t has_schema;
	uint32_t unlinked;    /* it has no name any more and ends with its last participant */
	uint32_t quarantined; /* its memory made no sense, likewise */
	uint32_t owner_uid;   /* user whose client created it */
	uint32_t reserved32;
	uint64_t id;                        /* unique in the broker's life, growing */
	uint64_t created_realtime_ns;       /* since 1970 */
	uint64_t config_hash;               /* equal for equal configs */
	uint64_t total_bytes;               /* of memory reserved */
	struct kickmsg_topic_config config; /* .schema is null */
	uint64_t reserved[4];
};

/* Errors: the common ones. A topic that was unlinked or is quarantined can't be asked for by name:
 * -ENOENT, or what has the name now. kickmsg_topic_list() still has it, and
 * kickmsg_topic_diagnose() finds it while no other has the name. */
int kickmsg_topic_info(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	struct kickmsg_topic_info *ret);

/*
 * All topics of all prefixes, in the order in which they were created, a page a call. Begin with
 * *cursor = 0; fills ret[0] to ret[n - 1], moves *cursor, returns n, at most `capacity`; 0: that was
 * all. Topics that come and go between calls don't shift the others; every topic that is there all
 * the time comes exactly once.
 * Errors: the common ones; -EINVAL capacity is 0.
 */
ssize_t kickmsg_topic_list(struct kickmsg_client *client, uint64_t *cursor,
	struct kickmsg_topic_info *ret, size_t capacity);

/* One subscriber's ring, live or not. */
struct kickmsg_ring_stats {
	uint64_t written;  /* messages that came into it for its present subscriber */
	uint64_t received; /* taken by it */
	uint64_t evicted;  /* lost to it: pushed out unread */
	uint64_t waiting;  /* in it now */
	uint32_t live;     /* it has a subscriber that takes messages; else all is 0 */
	uint32_t ring;     /* its number */
	uint32_t pid;      /* its subscriber's */
	uint32_t sleeping; /* its subscriber waits in kickmsg_receive() */
};

#define KICKMSG_MAX_RINGS 48

/* A topic's numbers as they are while others work: each is right, together they may be some
 * messages apart. Where everything stands still they are exact. */
struct kickmsg_topic_stats {
	uint64_t sent;      /* messages, of all publishers that ever were */
	uint64_t failed;    /* sends and loans that met an empty pool (delivery failures) */
	uint64_t received;  /* messages, by all subscribers that ever were */
	uint64_t evicted;   /* messages that subscribers that ever were lost, unread */
	uint64_t pool_size; /* slots */
	uint64_t free_slots;
	uint32_t live_rings;
	uint32_t ring_count;   /* = max_subscribers: entries of rings[] */
	uint64_t realtime_ns;  /* when this was looked at, since 1970: for rates */
	uint64_t monotonic_ns; /* likewise, CLOCK_MONOTONIC */
	uint64_t topic_id;     /* kickmsg_topic_info.id: another one, another topic */
	struct kickmsg_ring_stats rings[KICKMSG_MAX_RINGS];
	uint64_t reserved[4];
};

/* Errors: the common ones. */
int kickmsg_topic_stats(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	struct kickmsg_topic_stats *ret);

/* Health of a topic's memory under traffic: slots by state add up to pool_size. What is stale or
 * orphaned belonged to processes that died, and is the broker's to repair. */
struct kickmsg_topic_diagnosis {
	uint32_t slots_free, slots_loaned, slots_in_flight;
	uint32_t slots_orphaned; /* loaned by the dead */
	uint32_t slots_stale;    /* with references that nobody accounts for */
	uint32_t stale_references;
	uint32_t rings_live, rings_undrained, rings_sleeping;
	uint32_t publishers, subscribers;
	uint32_t dead;    /* participants that died and aren't repaired yet */
	uint32_t leaving; /* that left and aren't settled yet */
	uint32_t quarantined;
	char reason[256]; /* why it is quarantined */
	uint32_t healthy; /* 1: nothing stale, orphaned, dead or quarantined */
	uint32_t reserved32;
	uint64_t reserved[4];
};

/* For participants of the topic and who may administer it. Errors: the common ones; -EPERM not one
 * of these; -ENOMEM, -EBUSY the broker can't look now. */
int kickmsg_topic_diagnose(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	struct kickmsg_topic_diagnosis *ret);

enum kickmsg_role {
	KICKMSG_ROLE_PUBLISHER = 1,
	KICKMSG_ROLE_SUBSCRIBER = 2,
	KICKMSG_ROLE_BOTH = 3,
};

/* A client that participates in a topic. */
struct kickmsg_participant {
	char client_name[64]; /* sanitised */
	int32_t pid;
	uint32_t uid;
	enum kickmsg_role role;
	uint32_t alive;             /* 0: it died and isn't repaired yet */
	uint32_t publishers;        /* how many it has */
	uint32_t subscribers;       /* how many it has */
	uint64_t since_realtime_ns; /* when the first of these came */
	uint64_t client_id;         /* unique in the broker's life */
	uint64_t reserved[2];
};

/* A page of a topic's participants, as kickmsg_topic_list(), but newest first; one entry a client. Errors: the
 * common ones; -EINVAL capacity is 0. */
ssize_t kickmsg_topic_participants(struct kickmsg_client *client,
	const struct kickmsg_topic_ref *topic, uint64_t *cursor, struct kickmsg_participant *ret,
	size_t capacity);

/* The topic's schema. Errors: the common ones; -ENODATA it has none. */
int kickmsg_topic_schema(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	struct kickmsg_schema *ret);

/*
 * Gives the topic its schema, once: the first one wins. *ret (may be null) is what stands
 * afterwards, the caller's or an earlier one. For participants of the topic that may publish or own
 * it. A claim is one step of the broker: who dies in it leaves nothing half done.
 * Returns 0: it stands (also when the same stood before). Errors: the common ones; -EEXIST another
 * one stands, *ret is set; -EPERM not a participant; -EACCES may not publish.
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
