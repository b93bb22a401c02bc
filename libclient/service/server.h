/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server and its visitors: a visitor is a caller that the broker has told of.
 *
 *   ring of requests --- pump ---> task: waiting --- take ---> taken --- last reply ---> free
 *                                     \------ cancelled, late: the library answers ------^
 *
 * A request that is held is a borrowed sample, so only the answer gives back what it takes of its
 * caller's memory. Cancellations come by the same ring, so the ring is read whenever somebody asks how
 * a request stands. There is a task more than max_calls, so a caller that keeps to its shape is heard
 * while all its requests are held.
 */
#pragma once

#include "libclient/service/link.h"
#include "libclient/service/loop.h"
#include "libclient/service/rest.h"

#define KM_TASK_NONE UINT32_MAX

struct km_task {
	struct kickmsg_sample sample;
	uint64_t id; /* the caller's */
	int64_t deadline_ns;
	uint64_t serial; /* of the server's requests; 0: free */
	uint32_t next;   /* of those that are free or wait, or KM_TASK_NONE */
	uint32_t replies;
	bool taken;
	bool cancelled;
};

struct km_visitor {
	struct km_visitor *next;
	struct kickmsg_server *server;
	struct km_channel channel;
	uint64_t endpoint; /* at the service */
	struct kickmsg_caller_info info;
	struct km_task *tasks; /* [count] */
	uint32_t count, busy;
	uint32_t waiting, taken; /* parts of `busy` */
	uint32_t cancels;        /* read, and the caller doesn't know it */
	/* Lists: of tasks that wait the oldest first; of free ones the latest. */
	uint32_t oldest, newest, free;
	int64_t orphan_ns; /* since when the broker doesn't know it; 0: it does */
};

struct kickmsg_server {
	struct km_service_link link; /* the first */
	struct kickmsg_client *client;
	char name[KM_NAME_SIZE]; /* as it is written */
	struct kickmsg_publisher *service;
	struct km_service_shape shape;
	uint64_t number; /* says which server this is */
	bool active;
	/* all callers up to this one's endpoint number were met or passed over; the present sweep has come to
	 * the second */
	uint64_t newest, sweep;
	int unmet;                     /* 0, or the first error of the sweep's meetings */
	uint64_t connection, endpoint; /* at the service, as of the last look */
	uint32_t changes;              /* of the service's header, at the last look */
	uint32_t gone_servers;         /* of the header, too */
	bool asks;                     /* the broker is to be asked */
	int64_t asked_ns;              /* the last question in vain */
	uint32_t asked_in_vain;        /* so often since callers came or went */
	uint64_t serial;
	uint32_t idle; /* looks in vain since the last request */
	struct km_visitor *visitors;
	/* Visitors that are gone, for newcomers. A request that has ended may still lead to one. */
	struct km_visitor *spare;
	struct km_visitor *turn; /* whose turn it is; null: the first's */
	struct km_rest rest;
	struct km_loop *loop;     /* null: nobody asked for a descriptor */
	struct km_watched header; /* of the service, with a loop */
};

/* --- visitors.c --- */

/* Meets newcomers, and takes leave of callers that are gone. May ask the broker. */
void km_server_look(struct kickmsg_server *server);
/* When the broker is to be asked, so that a look is to come: 0 is now, INT64_MAX never. */
int64_t km_server_asks_at(const struct kickmsg_server *server);
/* Looks after the connection. */
void km_server_look_after(struct kickmsg_server *server);
void km_server_free_visitors(struct kickmsg_server *server);

/* Arms the descriptor. True: there is something to look at. */
bool km_server_arm(struct kickmsg_server *server);

/* --- request.c --- */

/* Makes tasks of the requests that have come. */
void km_visitor_pump(struct km_visitor *visitor);
