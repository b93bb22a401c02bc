/* SPDX-License-Identifier: Apache-2.0 */
/* A client's list of handles, and what is known of their topics: see handle.h. */
#include "libclient/handle/handle.h"

#include <string.h>

bool km_handle_is_inherited(const struct km_handle *handle)
{
	return handle->client && km_client_is_inherited(handle->client);
}

static void begin_event(struct km_handle *handle, struct km_event *event)
{
	event->topic = handle->request->topic;
	if (handle->request->kind >= KM_KIND_SERVICE)
		return; /* the handle isn't the user's */
	if (handle->place.role == KM_ROLE_PUBLISHER)
		event->publisher = (struct kickmsg_publisher *)handle;
	else
		event->subscriber = (struct kickmsg_subscriber *)handle;
}

void km_handle_link(struct km_handle *handle, struct kickmsg_client *client)
{
	handle->client = client;
	handle->latest = client->connection;
	begin_event(handle, &handle->event);
	begin_event(handle, &handle->peers_event);
	begin_event(handle, &handle->demoted_event);
	begin_event(handle, &handle->fate_event);
	handle->next = client->handles;
	if (handle->next)
		handle->next->previous = handle;
	client->handles = handle;
}

void km_handle_unlink(struct km_handle *handle)
{
	if (handle->previous)
		handle->previous->next = handle->next;
	else
		handle->client->handles = handle->next;
	if (handle->next)
		handle->next->previous = handle->previous;
}

static bool has_endpoint(
	const struct kickmsg_client *client, const struct km_place *place, uint64_t endpoint)
{
	for (; place; place = place->past)
		if (place->endpoint == endpoint && place->connection == client->connection)
			return true;
	return false;
}

bool km_handle_has_endpoint(const struct kickmsg_client *client, uint64_t endpoint)
{
	const struct km_handle *handle;

	for (handle = client->handles; handle; handle = handle->next)
		if (has_endpoint(client, &handle->place, endpoint) ||
			has_endpoint(client, handle->fresh, endpoint))
			return true;
	return false;
}

void km_handle_learn(struct km_handle *handle, const struct km_msg_attached *answer)
{
	struct km_msg_attach *request = handle->request;

	request->has_geometry = 1;
	request->geometry = answer->geometry;
	request->linger_ns = answer->linger_ns;
	request->persistent = answer->persistent;
	request->has_schema = answer->has_schema;
	request->schema = answer->schema;
}

/* An empty prefix or owner is the client's own. */
static bool is_named(const struct kickmsg_client *client, const struct km_msg_attach *handle,
	const struct km_msg_topic *topic)
{
	return handle->kind == topic->kind && strcmp(handle->topic, topic->topic) == 0 &&
	       (!*topic->prefix || strcmp(topic->prefix, client->hello.prefix) == 0) &&
	       strcmp(*handle->owner ? handle->owner : client->hello.name,
		       *topic->owner ? topic->owner : client->hello.name) == 0;
}

void km_handle_learn_schema(struct kickmsg_client *client, const struct km_msg_topic *request,
	const struct km_schema *schema)
{
	struct km_handle *handle;

	pthread_mutex_lock(&client->lock);
	for (handle = client->handles; handle; handle = handle->next)
		if (is_named(client, handle->request, request)) {
			handle->request->has_schema = 1;
			handle->request->schema = *schema;
		}
	pthread_mutex_unlock(&client->lock);
}
