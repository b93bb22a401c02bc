/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors to poll, and the means that a client has for them. */
#include <errno.h>

#include "common/cleanup.h"
#include "libclient/export.h"
#include "libclient/wait/ready.h"
#include "libclient/wait/room.h"

static int begin(struct kickmsg_client *client, _Atomic uint32_t *word, struct km_ready **ret)
{
	int r = client->watch ? 0 : km_watch_new(&client->watch);

	return r < 0 ? r : km_ready_new(client->watch, word, ret);
}

KM_EXPORT int kickmsg_subscriber_get_fd(struct kickmsg_subscriber *subscriber)
{
	struct kickmsg_client *client = subscriber->handle.client;
	KM_KEEP_ERRNO;

	if (km_handle_is_inherited(&subscriber->handle))
		return -ECHILD;
	if (subscriber->ready)
		return subscriber->ready->watched.fd;
	pthread_mutex_lock(&client->lock);
	int r = begin(client, km_subscriber_word(subscriber), &subscriber->ready);
	if (r == 0)
		km_store(P3, relaxed, &subscriber->prepared,
			km_load(P3, relaxed, &subscriber->prepared) | KM_HAS_READY);
	pthread_mutex_unlock(&client->lock);
	return r < 0 ? r : subscriber->ready->watched.fd;
}

KM_EXPORT int kickmsg_publisher_get_fd(struct kickmsg_publisher *publisher)
{
	struct kickmsg_client *client = publisher->handle.client;
	KM_KEEP_ERRNO;

	if (km_handle_is_inherited(&publisher->handle))
		return -ECHILD;
	if (publisher->ready)
		return publisher->ready->watched.fd;
	pthread_mutex_lock(&client->lock);
	int r = begin(client, km_publisher_word(publisher), &publisher->ready);
	pthread_mutex_unlock(&client->lock);
	return r < 0 ? r : publisher->ready->watched.fd;
}

KM_EXPORT void kickmsg_client_get_info(
	struct kickmsg_client *client, struct kickmsg_client_info *ret)
{
	*ret = (struct kickmsg_client_info){ .wait_mechanism = KICKMSG_WAIT_NONE };
	if (km_client_is_inherited(client))
		return;
	pthread_mutex_lock(&client->lock);
	if (client->watch) {
		pthread_mutex_lock(&client->watch->lock);
		ret->wait_mechanism = client->watch->mechanism;
		ret->wait_rings = client->watch->rings;
		ret->wait_threads = client->watch->threads;
		pthread_mutex_unlock(&client->watch->lock);
	}
	pthread_mutex_unlock(&client->lock);
}
