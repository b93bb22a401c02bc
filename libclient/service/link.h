/* SPDX-License-Identifier: Apache-2.0 */
/* A server or caller as its client has it: kickmsg_client_free() frees those that are left. */
#pragma once

#include "libclient/client/connection.h"

static inline void km_service_link(struct kickmsg_client *client, struct km_service_link *link,
	void (*end)(struct km_service_link *link), void (*on_fork)(struct km_service_link *link))
{
	pthread_mutex_lock(&client->lock);
	*link = (struct km_service_link){
		.next = client->services, .free = end, .on_fork = on_fork
	};
	if (link->next)
		link->next->previous = link;
	client->services = link;
	pthread_mutex_unlock(&client->lock);
}

static inline void km_service_unlink(struct kickmsg_client *client, struct km_service_link *link)
{
	pthread_mutex_lock(&client->lock);
	if (link->previous)
		link->previous->next = link->next;
	else
		client->services = link->next;
	if (link->next)
		link->next->previous = link->previous;
	pthread_mutex_unlock(&client->lock);
}
