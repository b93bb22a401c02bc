/* SPDX-License-Identifier: Apache-2.0 */
/* A connected process: who it is, what it says, what it is answered. */
#pragma once

#include <event2/event.h>

#include "common/memory/region.h"
#include "common/protocol/wire.h"
#include "daemon/keep/keep.h"
#include "daemon/peer/unread.h"
#include "daemon/run/account.h"
#include "daemon/run/broker.h"

struct km_log_about;
struct km_question;
struct km_reserved;

/* Bytes of a client segment; a record's place in it is a multiple of the second. */
#define KM_CLIENT_SEGMENT_SIZE 16384
#define KM_RECORD_UNIT         128
#define KM_RECORD_UNITS        (KM_CLIENT_SEGMENT_SIZE / KM_RECORD_UNIT)
static_assert(KM_RECORD_UNIT == sizeof(struct km_endpoint), "a publisher's record is one");
static_assert(KM_RECORD_UNIT % (2 * KM_CACHE_LINE) == 0, "endpoints of two topics share no line");

/* Memory that one client shares with the broker. */
struct km_client_memory {
	/* The broker's own description; the client's mapping locks another one. */
	int fd;
	unsigned char *memory;
	uint64_t used[KM_RECORD_UNITS / 64]; /* a bit for each unit */
};

/* How the session goes, in turns: daemon/repair/parting.h. */
struct km_parting {
	struct km_work work;
	LIST_ENTRY(km_session) under_way; /* of broker->partings, while `stage` */
	struct km_session *session;
	struct km_member *next; /* whose turn it is, of the session's members */
	uint64_t number;
	uint64_t at_once; /* work that topics may still take at once */
	const char *why;  /* it is dead */
	unsigned heard;   /* messages */
	unsigned char stage;
	bool is_over; /* the session isn't listened to any more */
};

struct km_session {
	LIST_ENTRY(km_session) next;
	LIST_ENTRY(km_session) in_over; /* in broker->over while `looked_at` */
	bool looked_at;
	struct km_broker *broker;
	struct km_kept_session kept; /* what the next broker is to know of it too */
	uint32_t kept_at;            /* the place of that in the state, or 0 */
	int socket;                  /* -1 when it hung up */
	TAILQ_ENTRY(km_session) in_strangers;
	bool is_stranger; /* connected, and hasn't said hello */
	TAILQ_ENTRY(km_session) in_news;
	bool has_news; /* that a topic has changed (notice.h) */
	TAILQ_ENTRY(km_session) in_watchers;
	bool watches; /* what happens at the broker (serve/happened.h) */
	/* The number of the first happening that it hasn't heard of. */
	uint64_t heard;
	int pidfd;
	struct km_account *account; /* its user's */
	struct event *socket_event;
	struct event *pidfd_event;
	struct event *probe_event; /* looks again whether a disconnected process is dead */
	unsigned probe_ms;
	struct km_question *question; /* that it waits for, or null (question.h) */
	struct km_unread unread;
	struct event *held_event; /* or null: no request has waited yet */
	int64_t held_since_ns;    /* one waits for others' answers; 0: none does */
	bool held;                /* its request waits (hold.h) */
	/* Memory for the topic that its request asks for, or null (reserve.h). */
	struct km_reserved *reserved;
	bool waited;  /* its request has waited for room already */
	bool drained; /* its request has waited for a ring's drain */
	/* The request at hand has made a member, and its answer waits (wait.h). */
	bool joined;
	bool doomed;      /* to be disconnected once its request is done with */
	bool keeps_pidfd; /* its connection can't give it again */
	uint32_t serial;  /* of the request at hand */
	uint32_t detail;  /* bits, of that request's refusal */
	struct km_client_memory *segments;
	LIST_HEAD(, km_member) members;
	uint32_t member_count;
	uint32_t publishers; /* of these */
	uint32_t live;       /* likewise */
	struct km_parting parting;
	LIST_HEAD(, km_wait) waits;
	uint32_t wait_count;
	uint64_t list_end;    /* the newest topic when its listing began */
	uint64_t numbers_end; /* likewise of its NUMBERS */
	/* An earlier broker may have done its next request already. */
	bool again;
};

/* Answers the request at hand. A peer that doesn't take its answers is disconnected when its
 * request is done with. Returns 0, or a negative errno when the answer didn't get out. */
int km_session_answer(
	struct km_session *session, void *message, size_t size, const int *fds, size_t fd_count);

/* Answers with an ERROR, and logs it. `error` is a negative errno; the text names the thing.
 * Returns as km_session_answer(). */
int km_session_refuse(struct km_session *session, const struct km_topic *topic, int error,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* How many requests were refused since this process began. */
uint64_t km_session_refusals(void);

/* Says that something has happened. A client whose socket has no room for that is disconnected at
 * its next request. */
void km_session_tell(struct km_session *session, enum km_news what);

/* The session's question is answered, and is taken from the socket if it is `served`. The session
 * is listened to again. */
void km_session_go_on(struct km_session *session, bool served);

/* Listens to the session's connection, if it has one, and to its process. Errors: -ENOMEM. */
int km_session_watch(struct km_session *session);

/* The pidfd of the process that connected, as the kernel remembers it. Errors: -ENOPROTOOPT not
 * before Linux 6.5; -ESRCH the process is gone, and the kernel can't tell of it; -EMFILE, ... */
int km_session_peer_pidfd(int socket, int *ret);

/* Is the session a next connection of the process that `past` was hung up on? Both processes live and have the
 * same number, so they are the same one. */
bool km_session_follows(const struct km_session *session, const struct km_session *past);

/* The session has said hello, or is gone (stranger.h). */
void km_session_no_stranger(struct km_session *session);

/* Ends the connection, in turns (parting.h); whether the process has ended, death.c finds out. */
void km_session_disconnect(struct km_session *session);
/* Listens to the connection no more. */
void km_session_deafen(struct km_session *session);
/* Nothing is left to be heard from the connection: closes it. */
void km_session_hung_up(struct km_session *session);

/* Closes all that belongs to the connection and the process, before the session is freed or when it
 * is dead. */
void km_session_close(struct km_session *session);

/* The next sweep looks whether the session is gone and has nothing left, and frees it then. */
void km_session_look(struct km_session *session);
/* The next sweep doesn't look at the session. */
void km_session_stays(struct km_session *session);

/* Frees a session without members and memory (memory.h). Only km_broker_sweep() and the broker's
 * end call this. */
void km_session_free(struct km_session *session);

/* Writes the session's record for the next broker. */
void km_keep_session(struct km_session *session);
/* Drops the session's record, and its connection in the parking. */
void km_keep_forget_session(struct km_session *session);
/* Writes down what the request at hand has done; `handle` of an endpoint, or 0. */
void km_keep_done(struct km_session *session, uint32_t op, uint64_t handle);

/* For the log: see struct km_log_describers. */
uint64_t km_session_describe(const struct km_session *session, struct km_log_about *about);
