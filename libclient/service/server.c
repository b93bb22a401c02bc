/* SPDX-License-Identifier: Apache-2.0 */
/* A server's beginning and end: see server.h. */
#include "libclient/service/server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "libclient/client/request.h"
#include "libclient/endpoint/publisher.h"
#include "libclient/export.h"

static void free_server(struct km_service_link *link)
{
	kickmsg_server_free((struct kickmsg_server *)link);
}

static void on_fork(struct km_service_link *link)
{
	struct kickmsg_server *server = (struct kickmsg_server *)link;

	km_loop_close(server->loop);
	km_watch_disown(&server->header);
}

static int describe(struct kickmsg_server *server, const char *name,
	const struct kickmsg_service_config *config, struct km_msg_attach *ret)
{
	char text[KM_WIRE_TEXT_SIZE];

	*ret = (struct km_msg_attach){ 0 };
	int r = km_service_shape_of(config, &server->shape, text, sizeof text);
	if (r < 0)
		return km_client_fail(server->client, r, "%s", text);
	r = km_request_name(server->client, KM_KIND_SERVICE, name, NULL, ret);
	if (r < 0)
		return r;
	ret->has_geometry = 1;
	ret->geometry = km_service_geometry(&server->shape);
	ret->has_schema = 1;
	if (config->schema)
		memcpy(&ret->schema, config->schema, sizeof ret->schema);
	km_service_shape_write(&server->shape, &ret->schema);
	memcpy(server->name, ret->topic, sizeof server->name);
	return 0;
}

/* Agrees on the shape: the server that came first has said what the service is. */
static int agree(struct kickmsg_server *server)
{
	const struct km_msg_attach *known = server->service->handle.request;
	struct km_service_shape stands;

	if (km_service_shape_read(&known->schema, &stands) &&
		memcmp(&stands, &server->shape, sizeof stands) == 0)
		return 0;
	return km_client_fail(server->client, -EEXIST,
		"others serve or call '%s' with another configuration", server->name);
}

/* Draws the number of this server: no other one says the same but by intent. */
static uint64_t draw_number(void)
{
	uint64_t ret;

	if (getrandom(&ret, sizeof ret, GRND_NONBLOCK) != sizeof ret)
		ret = (uint64_t)km_clock_ns() ^ (uint64_t)getpid() << 32;
	return ret;
}

KM_EXPORT int kickmsg_serve(struct kickmsg_client *client, const char *name,
	const struct kickmsg_service_config *config, struct kickmsg_server **ret)
{
	KM_KEEP_ERRNO;
	struct kickmsg_service_config defaults;
	struct km_msg_attach request;

	if (km_client_is_inherited(client))
		return -ECHILD;
	kickmsg_service_config_init(&defaults);
	struct kickmsg_server *server = calloc(1, sizeof *server);
	if (!server)
		return km_client_fail(client, -ENOMEM, "%s", kickmsg_strerror(-ENOMEM));
	server->client = client;
	server->number = draw_number();
	km_service_link(client, &server->link, free_server, on_fork);
	int r = describe(server, name, config ? config : &defaults, &request);
	if (r == 0)
		r = km_publisher_attach(client, &request, &server->service);
	if (r == 0)
		r = agree(server);
	if (r < 0) {
		kickmsg_server_free(server);
		return km_client_failed(client, r);
	}
	km_server_look(server);
	*ret = server;
	return 0;
}

KM_EXPORT void kickmsg_server_free(struct kickmsg_server *server)
{
	KM_KEEP_ERRNO;
	if (!server || km_client_is_inherited(server->client))
		return;
	km_service_unlink(server->client, &server->link);
	km_server_free_visitors(server);
	km_loop_unwatch(server->loop, &server->header);
	kickmsg_publisher_free(server->service);
	km_loop_close(server->loop);
	free(server->loop);
	free(server);
}

KM_EXPORT int kickmsg_server_is_active(const struct kickmsg_server *server)
{
	return server->active && server->client->pid != KM_INHERITED;
}

/* --- in an event loop ----------------------------------------------------------------------------- */

static int join_all(struct kickmsg_server *server)
{
	int r = km_loop_watch(server->loop, &server->header, &server->service->handle.place.region);

	for (struct km_visitor *visitor = server->visitors; r == 0 && visitor;
		visitor = visitor->next)
		r = km_loop_join(server->loop, &visitor->channel, false);
	return r;
}

KM_EXPORT int kickmsg_server_get_fd(struct kickmsg_server *server)
{
	KM_KEEP_ERRNO;
	if (km_client_is_inherited(server->client))
		return -ECHILD;
	if (server->loop)
		return server->loop->epoll;
	int r = km_loop_new(server->client, &server->loop);
	if (r == 0)
		r = join_all(server);
	if (r == 0)
		return server->loop->epoll;
	if (server->loop)
		km_loop_unwatch(server->loop, &server->header);
	km_loop_close(server->loop);
	free(km_steal_ptr(server->loop));
	return r;
}

KM_EXPORT int kickmsg_waitset_add_server(
	struct kickmsg_waitset *set, struct kickmsg_server *server, void *userdata)
{
	int fd = kickmsg_server_get_fd(server);

	return fd < 0 ? fd : kickmsg_waitset_add_fd(set, fd, POLLIN, userdata);
}

/* Is the channel muted? Then nothing is received from it, so its descriptor stays as it is. */
static bool is_mute(const struct km_visitor *visitor)
{
	return visitor->waiting > 0 || visitor->busy == visitor->count || visitor->channel.gone;
}

bool km_server_arm(struct kickmsg_server *server)
{
	for (struct km_visitor *visitor = server->visitors; visitor; visitor = visitor->next)
		km_loop_mute(server->loop, &visitor->channel, is_mute(visitor));
	/* the watch ended when the service went over to another region */
	if (!server->header.watch && km_loop_watch(server->loop, &server->header,
					     &server->service->handle.place.region) < 0)
		return false;
	return km_loop_arm_word(&server->header, server->changes);
}

KM_EXPORT void kickmsg_server_interrupt(struct kickmsg_server *server)
{
	km_rest_interrupt(&server->rest);
}
