/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A caller and its calls.
 *
 *   begin ---> waits, held --- last reply -------------------> free
 *                |    |
 *                |    +------- deadline, cancel -> told, held -- last reply --> free
 *                +------------ server gone ------> told ----------------------> free
 *
 * A call *waits* until it has ended for the user, and is *held* until its server has said the last of it.
 * A place among max_calls is taken for both, so no server ever has more to say than there is room for.
 * A server is told of a call's deadline or cancel once its ring has room for that (shape.h).
 * Ids have a generation, so what a server says late or made up is dropped.
 *
 * A caller has one line to the server that serves, and past ones: with replies that the user holds, or of
 * calls that a server goes on with after a broker's end.
 */
#pragma once

#include "libclient/service/link.h"
#include "libclient/service/loop.h"
#include "libclient/service/rest.h"

struct km_line {
	struct km_line *next;
	struct km_channel channel;
	bool ready;       /* the server at its end has said HELLO */
	uint64_t server;  /* the number of that server */
	uint32_t calls;   /* calls that the line holds */
	uint32_t cancels; /* cancels that the server may not have read yet */
	uint32_t turn;    /* the call from where untold ones are told */
};

struct km_call {
	uint64_t id;          /* [generation : 44 | index : 16] */
	struct km_line *line; /* the line that holds it, or null */
	int64_t deadline_ns;  /* INT64_MAX: none */
	int error;            /* 0, or how the call has ended, to be told */
	bool waits;
	bool untold; /* its server is to hear that nobody waits */
};

struct kickmsg_caller {
	struct km_service_link link; /* the first */
	struct kickmsg_client *client;
	char name[KM_NAME_SIZE]; /* as it is written */
	struct kickmsg_subscriber *service;
	struct km_service_shape shape;
	struct km_line *line; /* null: no line was made */
	struct km_line *past;
	uint64_t connection, endpoint; /* at the service, when `line` was made */
	/* Since when there are lines that the present broker doesn't know of; 0: there are none. */
	int64_t doubt_ns;
	int64_t ask_ns;        /* no line is made for their sake before that */
	struct km_call *calls; /* [max_calls] */
	uint16_t *free_calls;  /* [free_count] */
	uint32_t free_count;
	uint32_t in_flight; /* calls that wait */
	/* Calls that have ended without a reply, oldest first: [to_tell]. */
	uint16_t *ended;
	uint32_t to_tell;
	/* A reply that was met while places were looked for. */
	struct kickmsg_reply met;
	bool has_met;
	int64_t next_ns; /* no deadline passes before that */
	uint32_t idle;   /* looks in vain of a caller that polls */
	uint64_t spin_ns;
	struct km_rest rest;
	struct km_loop *loop; /* null: nobody asked for a descriptor */
};

/* --- line.c --- */

/* Sees to it that there is a line with a server at its end. May ask the broker. Errors:
 * -ECONNREFUSED there is no server, or it hasn't answered yet; those of kickmsg_advertise(). */
int km_caller_prepare(struct kickmsg_caller *caller);
/* The newest past line whose server may still answer, while the present line has no server yet: calls go on by
 * it after a broker's end. Else null. */
struct km_line *km_caller_stand_in(const struct kickmsg_caller *caller);
/* Takes a server's HELLO. */
void km_caller_meet(struct kickmsg_caller *caller, struct km_line *line, uint64_t server);
/* Looks after the connection and the lines; frees lines that nobody needs. */
void km_caller_look_after(struct kickmsg_caller *caller);
/* Behind a look in vain of a caller that doesn't sleep: looks after the connection now and then. */
void km_caller_look_in_vain(struct kickmsg_caller *caller);
void km_caller_free_lines(struct kickmsg_caller *caller);

/* --- hear.c --- */

/* Looks for calls that servers are done with, since all places are taken. */
void km_caller_find_places(struct kickmsg_caller *caller);

/* Ends all calls that the line holds, since their server is gone. */
void km_caller_end_line(struct kickmsg_caller *caller, struct km_line *line);
/* Takes the HELLO, by a line by which nothing was called yet. */
void km_caller_hear_hello(struct kickmsg_caller *caller, struct km_line *line);
/* Takes messages that come by the line. Returns 1: *ret is filled; 0; or -EDQUOT. */
int km_caller_hear(struct kickmsg_caller *caller, struct km_line *line, struct kickmsg_reply *ret);
