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

/* Zero-filled means all defaults; so does a null pointer in its place. */
struct kickmsg_client_config {
	const char *name; /* shown to operators, up to 63 bytes; default: the program's name */
	const char *socket_path; /* default: $KICKMSG_SOCKET, else /run/kickmsg/kickmsgd.sock for
				    root, else $XDG_RUNTIME_DIR/kickmsg/kickmsgd.sock */
	const char *prefix;      /* namespace of the topics, up to 63 bytes; default "kickmsg" */
	uint64_t timeout_ns;     /* longest wait for the broker's answer; default 10 s */
	uint64_t reserved[4];    /* zero */
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

/* A descriptor to poll for POLLIN; when it is readable, call kickmsg_client_dispatch(). It stays
 * the client's: don't close or read it. Never fails. */
int kickmsg_client_get_fd(const struct kickmsg_client *client);

/*
 * Handles what the broker has sent on its own account. Never blocks. Returns the number of events
 * handled. Errors: -ENOTCONN the broker is gone (data goes on flowing through existing publishers
 * and subscribers); -EPROTO it sent what can't be understood.
 */
int kickmsg_client_dispatch(struct kickmsg_client *client);

/* What the broker said about the calling thread's last failed control call on this client, or "".
 * The string lives until the next control call of any thread on this client. */
const char *kickmsg_client_last_error(const struct kickmsg_client *client);

/* The shape of a topic. kickmsg_topic_config_init() fills in the defaults (in brackets). */
struct kickmsg_topic_config {
	uint32_t max_subscribers;  /* [16] 1 to 48 */
	uint32_t ring_capacity;    /* [64] messages kept for each subscriber; a power of two, 1 to
				      65536 */
	uint32_t pool_size;        /* [256] payload slots shared by all, 2 to 1048576 */
	uint32_t max_publishers;   /* [64] 1 to 65535 */
	uint64_t max_payload_size; /* [4096] bytes, 1 to 1 GiB */
	uint32_t max_loans;        /* [8] loans that a publisher may have at once, 1 to 1024 */
	uint32_t max_borrows;      /* [16] samples that a subscriber may hold at once, 1 to 1024 */
	uint64_t reserved[4];      /* zero */
};

void kickmsg_topic_config_init(struct kickmsg_topic_config *config);

/*
 * Becomes a publisher of the topic; creates it if it isn't there, with `config` or the defaults.
 * If it is there, `config` must be null or say the same. *ret is owned by the caller:
 * kickmsg_publisher_free(). Blocks for the broker's answer.
 * Errors: -EINVAL a name that is empty or too long, a config out of range; -EEXIST the topic has
 * another config (kickmsg_client_last_error() says which field); -ENOSPC all max_publishers are
 * there; -ENOMEM there is not so much memory; -EDQUOT a limit is reached; -EACCES, -EPERM not
 * allowed; -ENOTCONN, -ETIMEDOUT, -EPROTO, -EMFILE, -ENFILE as kickmsg_client_new().
 */
int kickmsg_advertise(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_topic_config *config, struct kickmsg_publisher **ret);

/* Gives back its loans and its place. Blocks for the broker's answer. Takes a null pointer. */
void kickmsg_publisher_free(struct kickmsg_publisher *publisher);

/* Zero-filled means all defaults; so does a null pointer in its place. */
struct kickmsg_subscribe_options {
	uint64_t spin_ns;     /* kickmsg_receive() polls for so long before it sleeps; default 0 */
	uint64_t reserved[7]; /* zero */
};

/*
 * Becomes a subscriber of a topic that exists: it gets what is published from now on. *ret is owned
 * by the caller: kickmsg_subscriber_free(). Blocks for the broker's answer.
 * Errors: -ENOENT no such topic; -ENOSPC all max_subscribers are there; the rest as
 * kickmsg_advertise(), without -EEXIST.
 */
int kickmsg_subscribe(struct kickmsg_client *client, const char *topic,
	const struct kickmsg_subscribe_options *options, struct kickmsg_subscriber **ret);

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
 * happened); -EMSGSIZE more than was lent (still lent); -ESTALE as kickmsg_send().
 */
int kickmsg_publish(struct kickmsg_publisher *publisher, void *payload, size_t len);

/* Gives a loan back unpublished. Errors: -EINVAL no loan of this publisher. */
int kickmsg_discard(struct kickmsg_publisher *publisher, void *payload);

/* A message that was borrowed from the pool. Fill in nothing; the receive calls do. */
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

/* The error in words for a person; takes negative and positive errno values. Static, never null. */
const char *kickmsg_strerror(int err);

/* "major.minor.patch" of the library that is running. */
const char *kickmsg_version(void);

#ifdef __cplusplus
}
#endif
