/* SPDX-License-Identifier: Apache-2.0 */
/* A caller's lines to servers: see caller.h. */
#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/ring/waiter.h"
#include "libclient/client/control.h"
#include "libclient/client/reconnect.h"
#include "libclient/endpoint/subscriber.h"
#include "libclient/service/caller.h"

/* Calls go on for so long by a line of which no broker tells any more. */
#define DOUBT_NS INT64_C(2000000000)
/* One look in vain of so many, by a caller that polls, looks after the connection. */
#define LOOKS_TILL_AFTER 64

static bool has_servers(const struct kickmsg_caller *caller)
{
	return km_seen_peers(&caller->service->handle.place.region, KM_ROLE_SUBSCRIBER) > 0;
}

/* Is the service where it was when the line was made? */
static bool is_where_it_was(const struct kickmsg_caller *caller)
{
	const struct km_place *here = &caller->service->handle.place;

	return here->connection == caller->connection && here->endpoint == caller->endpoint;
}

/* Takes a new endpoint at the service, whose number names the line: each line has another one. */
static int take_new_endpoint(struct kickmsg_caller *caller)
{
	struct km_msg_attach request = { .kind = KM_KIND_SERVICE };
	struct kickmsg_subscriber *fresh;

	memcpy(request.topic, caller->name, sizeof request.topic);
	int r = km_subscriber_attach(caller->client, &request, NULL, &fresh);
	if (r < 0)
		return r;
	kickmsg_subscriber_free(caller->service);
	caller->service = fresh;
	return 0;
}

static void free_line(struct kickmsg_caller *caller, struct km_line *line)
{
	km_loop_leave(caller->loop, &line->channel);
	km_channel_close(&line->channel);
	free(line);
}

static int open_line(struct kickmsg_caller *caller)
{
	struct km_line *line;
	int r = is_where_it_was(caller) ? take_new_endpoint(caller) : 0;

	if (r < 0)
		return r;
	line = calloc(1, sizeof *line);
	if (!line)
		return -ENOMEM;
	caller->connection = caller->service->handle.place.connection;
	caller->endpoint = caller->service->handle.place.endpoint;
	r = km_channel_open(
		&line->channel, caller->client, caller->name, caller->endpoint, &caller->shape);
	if (r == 0 && caller->loop)
		r = km_loop_join(caller->loop, &line->channel, true);
	if (r < 0) {
		free_line(caller, line);
		return r;
	}
	caller->line = line;
	return 0;
}

static void leave_line(struct kickmsg_caller *caller)
{
	caller->line->next = caller->past;
	caller->past = caller->line;
	caller->line = NULL;
}

int km_caller_prepare(struct kickmsg_caller *caller)
{
	KM_KEEP_ERRNO;
	struct kickmsg_sample none;

	/* no message ever comes there: the subscriber goes over to a fresh region by this */
	kickmsg_try_receive(caller->service, &none);
	if (caller->line && (km_channel_look(&caller->line->channel) || !is_where_it_was(caller)))
		leave_line(caller);
	if (!caller->line && !has_servers(caller))
		return -ECONNREFUSED;
	int r = caller->line ? 0 : open_line(caller);
	if (r < 0)
		/* the next broker doesn't know the service yet, until a server comes there */
		return r == -ENOENT ? -ECONNREFUSED : r;
	if (!caller->line->ready)
		km_caller_hear_hello(caller, caller->line);
	return caller->line->ready ? 0 : -ECONNREFUSED;
}

struct km_line *km_caller_stand_in(const struct kickmsg_caller *caller)
{
	struct km_line *past = caller->past;

	if (caller->line && caller->line->ready)
		return NULL;
	while (past && (past->channel.gone || !past->ready))
		past = past->next;
	return past;
}

void km_caller_meet(struct kickmsg_caller *caller, struct km_line *line, uint64_t server)
{
	line->ready = true;
	line->server = server;
	if (line != caller->line)
		return;
	/* lines to other servers are over: this server is the one that serves */
	for (struct km_line *past = caller->past; past; past = past->next)
		past->channel.gone |= past->server != server;
}

static bool is_needed(const struct kickmsg_caller *caller, const struct km_line *line)
{
	return line == km_caller_stand_in(caller) || line->calls > 0 ||
	       line->channel.in->borrowed > 0 || line->channel.out->handle.place.loan_count > 0;
}

/* Does the broker tell of the server at the end of this past line? It does so by the present line, as long as
 * that has the same server and hasn't ended. */
static bool is_told_of(const struct kickmsg_caller *caller, const struct km_line *past)
{
	const struct km_line *line = caller->line;

	return line && line->ready && !line->channel.gone && line->server == past->server;
}

/* Begins to doubt the past lines. A broker that begins anew says nothing of them. Their calls end
 * if no server comes back in time that says it is the same one. */
static void doubt_past(struct kickmsg_caller *caller, int64_t now)
{
	bool doubtful = false;

	for (struct km_line *past = caller->past; past; past = past->next)
		doubtful |= !past->channel.gone &&
			    (past->calls > 0 || past == km_caller_stand_in(caller)) &&
			    !is_told_of(caller, past);
	if (!doubtful)
		caller->doubt_ns = 0;
	else if (caller->doubt_ns == 0)
		caller->doubt_ns = now;
	for (struct km_line *past = caller->past; past; past = past->next)
		past->channel.gone |= doubtful && now - caller->doubt_ns > DOUBT_NS;
}

/* Makes the line by which a server at the next broker can say that it is the same one. Nobody else may do that
 * while the caller only waits for replies. */
static void ask_doubtful(struct kickmsg_caller *caller, int64_t now)
{
	if (caller->doubt_ns == 0 || now < caller->ask_ns ||
		(caller->line && !caller->line->channel.gone))
		return;
	caller->ask_ns = now + KM_PATIENCE_NS;
	km_caller_prepare(caller);
}

/* Looks whether the client is with another broker, or back at the same one. */
static void look_at_connection(struct kickmsg_caller *caller)
{
	struct kickmsg_client *client = caller->client;
	const struct km_handle *service = &caller->service->handle;

	if (!km_client_trylock(client))
		return;
	km_reconnect_poke(client, false);
	bool differs = client->link == KM_LINK_UP && caller->line &&
		       caller->line->channel.connection != client->connection;
	if (differs && service->latest == client->connection && !service->fresh)
		/* the connection was only hung up */
		caller->line->channel.connection = client->connection;
	else if (differs)
		leave_line(caller);
	km_client_unlock(client);
}

void km_caller_look_after(struct kickmsg_caller *caller)
{
	KM_KEEP_ERRNO;
	struct km_line **at = &caller->past;

	look_at_connection(caller);
	if (caller->past) {
		const int64_t now = km_clock_ns();

		doubt_past(caller, now);
		ask_doubtful(caller, now);
	}
	while (*at) {
		struct km_line *line = *at;

		if (is_needed(caller, line)) {
			at = &line->next;
			continue;
		}
		*at = line->next;
		free_line(caller, line);
	}
}

void km_caller_look_in_vain(struct kickmsg_caller *caller)
{
	if (caller->past || caller->idle++ % LOOKS_TILL_AFTER == 0)
		km_caller_look_after(caller);
}

void km_caller_free_lines(struct kickmsg_caller *caller)
{
	if (caller->line)
		leave_line(caller);
	while (caller->past) {
		struct km_line *line = caller->past;

		caller->past = line->next;
		free_line(caller, line);
	}
}
