/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client: its connection to the broker, the lock of all that its threads share, and the messages
 * that come and go by its socket. Nothing here waits for an answer: that is control.h's.
 */
#pragma once

#include <pthread.h>
#include <sys/queue.h>
#include <sys/un.h>

#include "common/protocol/wire.h"
#include "libclient/client/event.h"
#include "libclient/client/memory.h"
#include "libclient/kickmsg.h"

struct kickmsg_happening;

/* Endpoints of the connection whose end the broker is to hear of, once the socket takes more. */
struct km_farewells {
	uint64_t *endpoints;
	size_t count, capacity;
};

enum km_link { KM_LINK_DOWN, KM_LINK_HELLO, KM_LINK_UP };

/* The work of the client's handles at a change of the connection. endpoint/attach.c sets it with
 * the first handle, since handles are built on connections. All but on_end() and on_fork() need the
 * lock. */
struct km_connection_handler {
	/* The first: the connection is there again. The second: it is gone. */
	void (*on_up)(struct kickmsg_client *client);
	void (*on_down)(struct kickmsg_client *client);
	/* Does the handles' work that is due. Returns whether there was any. */
	bool (*on_time)(struct kickmsg_client *client);
	/* Is this the answer to a handle's request? The descriptors stay the caller's; null: they
	 * were lost. */
	bool (*on_answer)(
		struct kickmsg_client *client, const union km_msg *answer, const int *fds);
	/* Does a handle have this endpoint, by this connection? After its restart a broker may
	 * answer once more what it had answered before. */
	bool (*has_endpoint)(const struct kickmsg_client *client, uint64_t endpoint);
	/* Topics have changed: the headers of those that the client has handles in say what. */
	void (*on_changed)(struct kickmsg_client *client);
	/* The client ends: frees the first handle. */
	void (*on_end)(struct kickmsg_client *client);
	/* This process is a child of fork, where the handles can do nothing (inherit.h). No lock is
	 * held. */
	void (*on_fork)(struct kickmsg_client *client);
};

/* A server or caller of the client's (service/link.h); needs the lock. */
struct km_service_link {
	struct km_service_link *next, *previous;
	void (*free)(struct km_service_link *link);
	/* In a child of fork: closes its copies of descriptors. No lock is held. */
	void (*on_fork)(struct km_service_link *link);
};

/* The watch of what happens at the broker (look/happened.c); under the lock. */
struct km_happened_link {
	bool waits; /* something is to be told */
	/* Is the message about it? */
	bool (*on_message)(struct kickmsg_client *client, const union km_msg *message);
	/* The connection is there again; it is gone. */
	void (*on_up)(struct kickmsg_client *client);
	void (*on_down)(struct kickmsg_client *client);
	/* The oldest thing that waits. */
	void (*take)(struct km_happened_link *link, struct kickmsg_happening *ret);
	void (*on_happening)(void *userdata, const struct kickmsg_happening *happening);
	void *userdata;
};

/* The pid of a client that a child of fork has from its parent (inherit.h). */
#define KM_INHERITED ((pid_t)-1)

struct kickmsg_client {
	pid_t pid; /* of the process that made it, or KM_INHERITED */
	LIST_ENTRY(kickmsg_client) listed;
	int poll_fd; /* an epoll of the next two */
	int socket;  /* -1: down */
	int timer_fd;
	/* Control calls take turns, and so do the steps of the connection; they need the lock. A
	 * call that waits for the broker lets go of the lock and keeps the turn. Calls that free
	 * something meanwhile need the lock alone. */
	pthread_mutex_t turn;
	pthread_mutex_t lock; /* of all that follows */
	uint32_t serial;
	/* Serial of the request whose answer didn't come in time, or 0. */
	uint32_t overdue;
	/* A call has waited for the broker, which has said nothing since. */
	bool in_vain;
	uint64_t timeout_ns;
	struct km_farewells farewells;
	bool ends;                       /* one farewell for all comes at the end */
	struct km_client_memory *memory; /* the connection's; null: down */
	char error[KM_WIRE_TEXT_SIZE];
	struct km_events events;

	/* reconnect.c */
	enum km_link link;
	int link_error;                    /* why the connection isn't up */
	char link_text[KM_WIRE_TEXT_SIZE]; /* the same in the broker's words, or "" */
	uint64_t connection;               /* the present connection's number, from 1 */
	uint32_t hello_serial;             /* of the HELLO that isn't answered yet */
	int64_t attempt_ns;                /* DOWN: when to try; HELLO: when to give up */
	/* Between attempts; 0 once the broker has answered more than HELLO. */
	int64_t backoff_ns;
	int64_t look_ns;  /* no look for the data path before that time */
	int64_t poked_ns; /* the time of the last such look */
	int64_t armed_ns; /* what timer_fd is set to; 0: nothing */
	uint64_t random;  /* state of the random part of delays */
	struct sockaddr_un address;
	struct km_msg_hello hello;
	struct km_event down, up;

	/* wait/ready.c */
	struct km_watch *watch; /* null: nobody asked for a descriptor yet */

	/* endpoint/attach.c: SUBSCRIBEs that the broker keeps until their topics exist */
	LIST_HEAD(, km_awaited) awaited;

	struct km_happened_link *happened; /* null: it doesn't watch */
	struct km_service_link *services;  /* their handles are among those that follow */
	/* handle.c, rejoin.c */
	struct km_handle *handles;
	const struct km_connection_handler *handler; /* null: there was no handle yet */
	/* requests of handles that aren't answered yet */
	uint32_t asked;
	/* When to ask again for places that were refused; 0: none was. */
	int64_t rejoin_ns;
	int64_t rejoin_backoff_ns;
};

/* Takes the turn and the lock, and gives both back. */
void km_client_lock(struct kickmsg_client *client);
bool km_client_trylock(struct kickmsg_client *client);
void km_client_unlock(struct kickmsg_client *client);
/* Takes the lock without the turn, for what is no step of the connection. */
bool km_client_trylock_alone(struct kickmsg_client *client);

/* Was the client made by another process? Takes no lock. */
bool km_client_is_inherited(const struct kickmsg_client *client);

/* Sets the last error. It says what is wrong before the call reaches the broker. Returns `r`. */
int km_client_fail(struct kickmsg_client *client, int r, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Says why a call has failed, where the last error doesn't yet. Needs the lock. */
void km_client_explain(struct kickmsg_client *client, int error);
/* km_client_explain() where the lock isn't held. Returns `r`. */
int km_client_failed(struct kickmsg_client *client, int r);

/* The client's messages. The functions from here on need the lock. */
uint32_t km_client_next_serial(struct kickmsg_client *client);

/* Takes one message from the socket, checked. Returns 0, -EAGAIN, -ENOTCONN, -EPROTO, or -EMFILE:
 * *ret is there, its descriptors aren't. */
int km_client_take(
	struct kickmsg_client *client, union km_msg *ret, int *ret_fds, size_t *ret_count);

/* Deals with a message that nobody waits for, and closes what came with it. `r`: of
 * km_client_take(), 0 or -EMFILE. */
void km_client_drop_stray(
	struct kickmsg_client *client, const union km_msg *message, int *fds, size_t count, int r);

/* Takes one message from the socket that no call waits for. Returns 1 or a negative errno (-EAGAIN:
 * nothing there). */
int km_client_take_stray(struct kickmsg_client *client);

/* The time until which a call that begins now may wait for the broker. */
int64_t km_client_deadline(const struct kickmsg_client *client);

/* Waits until the socket has a message (POLLIN), or takes one (POLLOUT), without the lock but with
 * the turn. Errors: -ETIMEDOUT. */
int km_client_wait(struct kickmsg_client *client, short events, int64_t deadline_ns);

/* Tells the broker that an endpoint of this connection has ended, or was never wanted: now, or when
 * the socket takes the message. Never waits. `endpoint` 0: an observer's, of which the broker knows
 * nothing. */
void km_client_give_back(struct kickmsg_client *client, uint64_t endpoint);
/* Tells the broker that a publisher finds no room with a reliable subscriber. Never waits. Errors:
 * those of km_wire_send(), and then it isn't said. */
int km_client_say_stalled(struct kickmsg_client *client, uint64_t endpoint);
/* Tells the broker that all endpoints have ended. Called once nothing is mapped, before the socket
 * is closed. */
void km_client_give_all_back(struct kickmsg_client *client);
/* Says the farewells that are left, as far as the socket takes them now. */
void km_client_say_farewells(struct kickmsg_client *client);

void km_close_fds(int *fds, size_t count);
