/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the library's files share: a client, what it attached, and the private half of publishers
 * and subscribers.
 *
 *   kickmsg_client --- attachments ---> kickmsg_publisher | kickmsg_subscriber
 *                                        region (mappings), endpoint record, private state
 *
 * km_publisher_init() and km_subscriber_init() need no broker: they take memory as it is. The tests
 * build on them.
 *
 * Orders of what two threads of this process may touch
 *   P1 publisher's mask of rings   relaxed   loaded after L1: a ring that is somebody else's by now
 *                                            became live after the mask was widened again
 *   P2 whom a subscriber skips     relaxed   whoever frees the publisher has a message or two heard;
 *                                            after a move the publisher's new id is stored before
 *                                            its first message (U4), loaded after it (U1)
 *   P3 a shared place is prepared  relaxed   only says that the lock is worth a try
 */
#pragma once

#include <pthread.h>
#include <sys/queue.h>
#include <sys/un.h>

#include "kickmsg.h"
#include "name.h"
#include "ring.h"
#include "slotcache.h"
#include "wire.h"

#define km_noinline __attribute__((noinline))
#define KM_EXPORT   __attribute__((visibility("default")))

/* A client segment: endpoint records of this process. */
struct km_client_segment {
	void *memory;
	uint64_t size;
};

/* All of one connection's, for as long as the connection or an attachment needs them. */
struct km_client_memory {
	uint32_t users;
	struct km_client_segment *segments;
	size_t segment_count;
};

/* What dispatch has to tell: of the client, or of an attachment (rejoin.c). */
struct km_event {
	TAILQ_ENTRY(km_event) next;
	enum kickmsg_event_kind kind; /* 0: not in the list */
	struct km_attachment *attachment;
	int error;
	char text[KM_WIRE_TEXT_SIZE];
};
TAILQ_HEAD(km_event_list, km_event);

enum km_link { KM_LINK_DOWN, KM_LINK_HELLO, KM_LINK_UP };

struct kickmsg_client {
	int poll_fd; /* an epoll of the two */
	int socket;  /* -1: down */
	int timer_fd;
	pthread_mutex_t lock; /* all below; control calls take turns */
	uint32_t serial;
	uint32_t answered; /* serial of the last request that got its answer */
	uint64_t timeout_ns;
	uint64_t events; /* topics that came to exist */
	struct km_attachment *attachments;
	struct km_client_memory *memory; /* the connection's; null: down */
	char error[KM_WIRE_TEXT_SIZE];

	/* reconnect.c */
	enum km_link link;
	int link_error;        /* why it isn't up */
	uint64_t connection;   /* counts them from 1 */
	uint32_t hello_serial; /* of the one that isn't answered */
	int64_t attempt_ns;    /* DOWN: when to try; HELLO: when to give up */
	int64_t backoff_ns; /* between attempts; 0 once the broker has answered more than hello */
	int64_t look_ns;    /* a look on behalf of the data path: not before */
	int64_t poked_ns;   /* the last one */
	int64_t armed_ns;   /* what timer_fd is set to; 0: nothing */
	uint64_t random;    /* of the jitter */
	struct sockaddr_un address;
	struct km_msg_hello hello;

	/* rejoin.c */
	uint32_t asked;    /* requests on their way */
	int64_t rejoin_ns; /* when to ask again for what was refused; 0: nothing was */
	int64_t rejoin_backoff_ns;
	void (*on_event)(void *userdata, const struct kickmsg_event *event);
	void *userdata;
	struct km_event_list told; /* what is to be told */
	struct km_event down, up;
};

/* What a publisher and a subscriber have in common: how they came and how they go. First member of
 * both. */
struct km_attachment {
	struct kickmsg_client *client; /* null: made without a broker */
	struct km_attachment *next, *previous;
	enum km_role role;

	/* its place, which changes when it rejoins */
	uint64_t connection;    /* the one that it came by */
	uint64_t endpoint_name; /* in DETACH; 0: none */
	uint64_t inode;         /* of the control segment: which region it is */
	struct km_client_memory *memory;
	struct km_region region;
	void *control, *payload, *bell; /* mappings; null without a broker */
	uint64_t control_size, payload_size, bell_size;
	bool observes; /* the broker knows of no endpoint */
	bool writable; /* a subscriber of a shared ring: mapped as its publishers map it */

	/* rejoin.c; under the client's lock */
	struct km_msg_attach *request; /* how it came, and comes again */
	uint64_t latest;               /* connection by which it has a place, if only a fresh one */
	uint32_t asked;                /* serial of the request on its way, or 0 */
	bool refused;                  /* not to be asked for before the client's rejoin_ns */
	struct km_attachment *fresh; /* where its owner will go: a whole publisher or subscriber */
	struct km_event event;
};

struct km_loan {
	uint32_t slot;
	uint64_t len; /* as asked for; the loan is out while busy */
	bool busy;
};

struct kickmsg_publisher {
	struct km_attachment attachment;
	struct km_endpoint *endpoint;
	uint32_t id;
	uint64_t sequence;
	uint64_t live;                  /* header->live as it was at the last message */
	struct kickmsg_publisher *past; /* places that still have loans (rejoin.h) */
	_Atomic uint64_t rings;         /* those that it publishes to: all but, perhaps, its own */
	struct kickmsg_subscriber *own; /* whose ring isn't among them; under the client's lock */
	uint32_t loan_count;
	struct km_loan *loans; /* [max_loans] */
	struct km_slot_cache cache;
	struct km_ring_cursor cursors[KM_MAX_RINGS];

	/* rejoin.c */
	uint64_t base;                  /* sequence of the last message before this region */
	uint16_t greeted[KM_MAX_RINGS]; /* missed.h */
	uint64_t sent, failed, evicted; /* in regions before */
	int64_t doubt_ns;               /* since when others say wrongly that they have left */
};

struct km_hold {
	uint32_t slot;
	bool busy;
	uint64_t position;
};

/* What a member of a broadcast channel with a shared ring doesn't hear of itself. */
struct km_own_messages {
	_Atomic uint32_t id;    /* of its publisher; 0: it hears everybody */
	uint64_t last_sequence; /* of it that was met; UINT64_MAX: of a region with private rings */
	uint64_t overwritten;   /* among what was skipped: no losses */
};

struct kickmsg_subscriber {
	struct km_attachment attachment;
	struct km_endpoint *endpoint;
	struct km_ring *ring; /* null: a shared ring */
	uint32_t ring_index;
	uint32_t borrowed; /* samples that the user has */
	uint32_t spare;    /* an entry of holds[] that is not busy */
	uint32_t likely;   /* the slot that the next message may well be in */
	bool has_pending;  /* taken, but too long for the buffer that it was meant for */
	struct kickmsg_sample pending;
	uint64_t next;                   /* position that is expected next */
	uint64_t offset;                 /* of ring_pos, to the position */
	struct kickmsg_subscriber *past; /* places with samples, or where messages may still come */
	uint64_t lost;                   /* here */
	uint64_t spin_ns;
	uint32_t spins_in_vain;            /* in a row, without a message; see receive.c */
	struct kickmsg_publisher *deaf_to; /* doesn't publish to it; under the client's lock */
	struct km_hold *holds;             /* [max_borrows + 1], as the endpoint's held[] */
	/* of a shared ring: a borrowed sample is a copy, in copies[hold] */
	unsigned char *copies;
	void *copies_memory; /* what is freed */
	uint64_t copy_stride;
	struct km_own_messages own;

	/* rejoin.c */
	int64_t look_ns;           /* asleep: when to look after the connection */
	bool rejoined;             /* what was missed in this region counts */
	bool closed;               /* about to go: nothing more is meant for its ring */
	_Atomic uint32_t prepared; /* of a shared ring, whose subscribers can't write LEFT */
	uint64_t received;         /* in regions before */
	uint64_t lost_before;      /* the same; and, of a shared ring, what is gone from this one */
};

/* attachment.region is set. `endpoint` is formatted. Errors: -ENOMEM, -EPROTO. */
int km_publisher_init(
	struct kickmsg_publisher *publisher, struct km_endpoint *endpoint, uint32_t id);
/* Gives back all loans and frees private memory; mappings stay. */
void km_publisher_deinit(struct kickmsg_publisher *publisher);

/* send.c: meets those of `rings` that were opened since it last did (missed.h). */
void km_publisher_greet(struct kickmsg_publisher *publisher, uint64_t rings);

/* `start`: the first position that may be this subscriber's. */
int km_subscriber_init(struct kickmsg_subscriber *subscriber, struct km_endpoint *endpoint,
	uint32_t ring_index, uint64_t start);
/* An observer's numbers are its own. Freed by km_subscriber_deinit(). */
int km_subscriber_make_record(struct km_endpoint **ret);
/* Gives back all samples and frees private memory; mappings stay. */
void km_subscriber_deinit(struct kickmsg_subscriber *subscriber);

/* send.c: a slot for `len` bytes. Errors: as kickmsg_send(). */
int km_publisher_claim(struct kickmsg_publisher *publisher, size_t len, uint32_t *ret_slot);

/* send.c: to the publisher's present region, whatever it is. `slot` is the caller's loan. */
int km_publisher_publish(struct kickmsg_publisher *publisher, uint32_t slot, size_t len);
/* header->live isn't what it was at the last message. `slot`: to be sent, or KM_HAZARD_NONE. Returns
 * 1: go on here; 0 it has gone to another region, and what was in the slot as well; or an error. */
int km_publisher_look(
	struct kickmsg_publisher *publisher, uint64_t live, uint32_t slot, size_t len);

/* send_shared.c: the shared ring's side of send.c; `slot` is the caller's loan. */
ssize_t km_shared_send(struct kickmsg_publisher *publisher, const void *data, size_t len);
int km_shared_publish(struct kickmsg_publisher *publisher, uint32_t slot, size_t len);

/* receive_shared.c: the try calls of receive.c for a shared ring. A sample's data is `buf`, of
 * max_payload_size bytes; its hold is the caller's to fill in. -ERESTART: it has gone to another
 * region, where there may be something. */
ssize_t km_shared_take_copy(struct kickmsg_subscriber *subscriber, void *buf, size_t size);
int km_shared_take(struct kickmsg_subscriber *subscriber, void *buf, struct kickmsg_sample *ret);
/* Counts what is lost and what waits, as of now. */
void km_shared_count(
	const struct kickmsg_subscriber *subscriber, uint64_t *ret_lost, uint64_t *ret_waiting);
int km_shared_sleep(struct kickmsg_subscriber *subscriber, uint64_t ends, int64_t deadline_ns);

/*
 * attach.c: asks the broker for a place and maps it. attachment->role says which; request->op is set
 * here. From its success on, or -EPROTO and -ENOMEM with attachment->client set, it is one of the
 * client's, to be freed. Errors: those of km_client_call(); -ENOMEM.
 */
int km_attachment_ask(struct km_attachment *attachment, struct kickmsg_client *client,
	struct km_msg_attach *request, union km_msg *ret_answer, struct km_endpoint **ret_endpoint);
/* Maps what the broker answered; closes nothing. `ret->role` says what was asked for. Needs the
 * lock. */
int km_attachment_map(struct km_attachment *ret, struct kickmsg_client *client,
	const struct km_msg_attached *answer, const int *fds, struct km_endpoint **ret_endpoint);
/* Needs the lock. */
void km_attachment_unmap(struct km_attachment *attachment);
/* Takes it out of the client's list: no other thread knows of it any more. */
void km_attachment_unlink(struct km_attachment *attachment);
/* Unmaps it and tells the broker, if it is the one that it came by, that it is gone. */
void km_attachment_detach(struct km_attachment *attachment);

/* publisher.c, subscriber.c: attach by a request that is filled in but for its op. */
int km_publisher_attach(struct kickmsg_client *client, struct km_msg_attach *request,
	struct kickmsg_publisher **ret);
int km_subscriber_attach(struct kickmsg_client *client, struct km_msg_attach *request,
	const struct kickmsg_subscribe_options *options, struct kickmsg_subscriber **ret);

/* The publisher's messages don't go to this subscriber of the same client, until one of the two is
 * freed. */
void km_publisher_skip(struct kickmsg_publisher *publisher, struct kickmsg_subscriber *subscriber);
void km_publisher_unpair(struct kickmsg_publisher *publisher);
void km_subscriber_unpair(struct kickmsg_subscriber *subscriber);

/* config.c */
int km_topic_config_to_geometry(const struct kickmsg_topic_config *config, struct km_geometry *ret,
	char *ret_text, size_t text_size);

/* request.c: fills in names; config (may be null). Errors: -EINVAL, the client's last error says
 * what. */
int km_request_name(struct kickmsg_client *client, enum km_kind kind, const char *name,
	const char *owner, struct km_msg_attach *ret);
int km_request_config(struct kickmsg_client *client, const struct kickmsg_topic_config *config,
	struct km_msg_attach *ret);
/* Once it has succeeded: the last error says so when the config's pool is small. */
void km_request_warn(struct kickmsg_client *client, const struct km_msg_attach *request);
int km_request_topic(struct kickmsg_client *client, const struct kickmsg_topic_ref *topic,
	uint32_t op, struct km_msg_topic *ret);
