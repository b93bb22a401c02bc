/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles in a child of fork: see inherit.h.
 *
 * The child has one thread, which may have been forked while others held locks and were in the
 * middle of changing things. So the handler takes no lock but that of the list of clients, which was
 * taken before the fork.
 */
#include "libclient/client/inherit.h"

#include <pthread.h>

#include "common/cleanup.h"

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, kickmsg_client) clients = LIST_HEAD_INITIALIZER(clients);
static pthread_once_t registered = PTHREAD_ONCE_INIT;
static int register_error;
static unsigned forks;

static void disown(struct kickmsg_client *client)
{
	client->pid = KM_INHERITED;
	/* code that closes one of these elsewhere forgets its number first (km_steal_fd) */
	client->socket = km_close(client->socket);
	client->timer_fd = km_close(client->timer_fd);
	client->poll_fd = km_close(client->poll_fd);
	for (struct km_service_link *link = client->services; link; link = link->next)
		link->on_fork(link);
	if (client->handler)
		client->handler->on_fork(client);
}

static void before_fork(void)
{
	pthread_mutex_lock(&list_lock);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&list_lock);
}

static void in_child(void)
{
	struct kickmsg_client *client;

	LIST_FOREACH (client, &clients, listed)
		if (client->pid != KM_INHERITED)
			disown(client);
	forks++;
	pthread_mutex_unlock(&list_lock);
}

static void register_handlers(void)
{
	register_error = -pthread_atfork(before_fork, in_parent, in_child);
}

int km_inherit_register(void)
{
	pthread_once(&registered, register_handlers);
	return register_error;
}

unsigned km_inherit_forks(void)
{
	return forks;
}

int km_inherit_watch(struct kickmsg_client *client)
{
	int r = km_inherit_register();
	if (r < 0)
		return r;
	pthread_mutex_lock(&list_lock);
	LIST_INSERT_HEAD(&clients, client, listed);
	pthread_mutex_unlock(&list_lock);
	return 0;
}

void km_inherit_forget(struct kickmsg_client *client)
{
	pthread_mutex_lock(&list_lock);
	if (client->listed.le_prev)
		LIST_REMOVE(client, listed);
	pthread_mutex_unlock(&list_lock);
}
