/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the actors' files: actors.c (publishers, subscribers), broker.c, program.c (a run's
 * beginning and end). */
#pragma once

#include "common/repair/reconcile.h"
#include "libclient/handle/handle.h"
#include "tests/explore/actors.h"

#define CALL_LIMIT      80  /* steps of one publish, receive or release */
#define RECONCILE_LIMIT 400 /* steps of a pass over the largest world */

extern const struct scenario *actors_scenario;
extern struct kickmsg_publisher *publishers[WORLD_MAX_ENDPOINTS];
extern struct kickmsg_subscriber *subscribers[WORLD_MAX_ENDPOINTS];

static inline struct world_endpoint *actor_publisher(int index)
{
	return &world.endpoints[index];
}

static inline struct world_endpoint *actor_subscriber(int index)
{
	return &world.endpoints[world.shape.publishers + (uint32_t)index];
}

void actor_publisher_body(void *argument);
void actor_subscriber_body(void *argument);
void actor_broker_body(void *argument);
void actor_watcher_body(void *argument);
void actor_interrupter_body(void *argument);
extern struct kickmsg_waitset *actor_set;
/* serve.c: a server that polls for requests, of which there are `count` */
void actor_set_up_polling(int index, uint32_t count);
void actor_poll(const struct actor *actor);
/* calls.c: a server, or a caller's requests; and a caller with `count` calls in flight */
void actor_set_up_server(int index);
void actor_serve(const struct actor *actor);
void actor_set_up_caller(int index, unsigned count, bool is_shared);
void actor_call(const struct actor *actor);
void actor_interrupt_call(int index);
bool actor_is_asked(int index);
/* The broker says that the server is gone. */
void actor_tell_end(void);
/* The tag that goes beside the reply, which is this message. */
uint64_t actor_tag_of(uint64_t message);
/* kernel.c */
int world_eventfd(unsigned count, int flags);
void world_poll(int fd);
void world_woken(const volatile void *word);

/* A loan by publisher `index`. False: the pool is empty, and may be. */
bool actor_lend(int index, void **ret_payload);
/* kickmsg_send() by publisher `index`. */
void actor_send(int index);
/* Writes and publishes the loan. */
void actor_publish(int index, void *payload);
/* Checks what subscriber `index` got; returns the message. */
uint64_t actor_check_received(int index, const struct kickmsg_sample *sample);
/* Checks that the sample still has the message, and releases it. */
void actor_give_back(int index, struct kickmsg_sample *sample, uint64_t message);
/* Makes one pass, and checks what must hold after it. */
void actor_reconcile(unsigned what, struct km_reconcile_result *ret);
