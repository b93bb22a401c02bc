/* SPDX-License-Identifier: Apache-2.0 */
/* A caller's beginning and end, and how it calls: see caller.h. */
#include "libclient/service/caller.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/ring/waiter.h"
#include "libclient/client/control.h"
#include "libclient/client/request.h"
#include "libclient/endpoint/subscriber.h"
#include "libclient/export.h"

static void free_caller(struct km_service_link *link)
{
	kickmsg_caller_free((struct kickmsg_caller *)link);
}

static void on_fork(struct km_service_link *link)
{
	struct kickmsg_caller *caller = (struct kickmsg_caller *)link;

	km_loop_close(caller->loop);
	if (caller->line)
		km_watch_disown(&caller->line->channel.ends);
	for (struct km_line *past = caller->past; past; past = past->next)
		km_watch_disown(&past->channel.ends);
}

static int check_options(
	struct kickmsg_client *client, const struct kickmsg_caller_options *options)
{
	static const struct kickmsg_caller_options zero;

	if (memcmp(options->reserved, zero.reserved, sizeof zero.reserved) == 0)
		return 0;
	return km_client_fail(
		client, -EINVAL, "fields of the caller's options that must be zero are not");
}

/* Finds the service, once it is there; its shape comes with it. */
static int find_service(struct kickmsg_caller *caller, const char *name,
	const struct kickmsg_caller_options *options)
{
	const struct kickmsg_topic_ref ref = { .name = name, .kind = KICKMSG_SERVICE };
	const struct kickmsg_subscribe_options subscribe = { .wait_ns = options->wait_ns,
		.schema = options->schema };
	int r = km_subscriber_attach_to(caller->client, &ref, &subscribe, &caller->service);

	if (r < 0)
		return r;
	const struct km_msg_attach *known = caller->service->handle.request;
	memcpy(caller->name, known->topic, sizeof caller->name);
	if (known->has_schema && km_service_shape_read(&known->schema, &caller->shape))
		return 0;
	return km_client_fail(caller->client, -EPROTO,
		"what is called '%s' is no service that this library can call", caller->name);
}

static int make_calls(struct kickmsg_caller *caller)
{
	const uint32_t count = caller->shape.max_calls;

	caller->calls = calloc(count, sizeof *caller->calls);
	caller->free_calls = calloc(count, sizeof *caller->free_calls);
	caller->ended = calloc(count, sizeof *caller->ended);
	if (!caller->calls || !caller->free_calls || !caller->ended)
		return km_client_fail(caller->client, -ENOMEM, "%s", kickmsg_strerror(-ENOMEM));
	caller->free_count = count;
	for (uint32_t i = 0; i < count; i++) {
		caller->calls[i].id = i;
		caller->free_calls[i] = (uint16_t)(count - 1 - i);
	}
	return 0;
}

/* Sees to it that there is a line with a server, for a caller that may do nothing but try. */
static int prepare(struct kickmsg_caller *caller)
{
	int r = km_caller_prepare(caller);

	if (r == -ECONNREFUSED)
		km_caller_look_in_vain(caller);
	return r;
}

static int wait_server(struct kickmsg_caller *caller, int64_t deadline_ns)
{
	for (;;) {
		const struct km_control_header *header =
			caller->service->handle.place.region.header;
		uint32_t changes = km_load(M1, acquire, &header->changes);
		int r = km_caller_prepare(caller);

		if (r != -ECONNREFUSED)
			return r;
		if (km_rest_take_interrupt(&caller->rest))
			return -EINTR;
		if (km_clock_ns() >= deadline_ns)
			return km_client_fail(caller->client, -ETIMEDOUT,
				"no server of the service '%s' has answered in time", caller->name);
		km_caller_look_after(caller);
		km_rest_begin(&caller->rest);
		/* a handle that has gone over to another region doesn't sleep at this header */
		const struct km_region *service = &caller->service->handle.place.region;
		if (service->header == header)
			km_rest_add_header(&caller->rest, service, changes);
		if (caller->line)
			km_rest_add_channel(&caller->rest, &caller->line->channel, true);
		km_rest_sleep(&caller->rest, deadline_ns);
	}
}

KM_EXPORT int kickmsg_open_service(struct kickmsg_client *client, const char *name,
	const struct kickmsg_caller_options *options, struct kickmsg_caller **ret)
{
	KM_KEEP_ERRNO;
	static const struct kickmsg_caller_options defaults;
	int64_t deadline_ns;

	if (km_client_is_inherited(client))
		return -ECHILD;
	if (!options)
		options = &defaults;
	int r = check_options(client, options);
	if (r < 0)
		return r;
	struct kickmsg_caller *caller = calloc(1, sizeof *caller);
	if (!caller)
		return km_client_fail(client, -ENOMEM, "%s", kickmsg_strerror(-ENOMEM));
	caller->client = client;
	caller->next_ns = INT64_MAX;
	caller->spin_ns = options->spin_ns < INT64_MAX / 4 ? options->spin_ns : INT64_MAX / 4;
	km_service_link(client, &caller->link, free_caller, on_fork);
	deadline_ns = km_wait_deadline(
		options->wait_ns > INT64_MAX ? -1 : (int64_t)options->wait_ns);
	r = find_service(caller, name, options);
	if (r == 0)
		r = make_calls(caller);
	if (r == 0)
		r = km_caller_prepare(caller);
	if (r == -ECONNREFUSED)
		r = options->wait_ns == 0 ? 0 : wait_server(caller, deadline_ns);
	if (r < 0) {
		kickmsg_caller_free(caller);
		return km_client_failed(client, r);
	}
	*ret = caller;
	return 0;
}

KM_EXPORT void kickmsg_caller_free(struct kickmsg_caller *caller)
{
	KM_KEEP_ERRNO;
	if (!caller || km_client_is_inherited(caller->client))
		return;
	km_service_unlink(caller->client, &caller->link);
	km_caller_free_lines(caller);
	kickmsg_subscriber_free(caller->service);
	km_loop_close(caller->loop);
	free(caller->loop);
	free(caller->calls);
	free(caller->free_calls);
	free(caller->ended);
	free(caller);
}

KM_EXPORT void kickmsg_caller_interrupt(struct kickmsg_caller *caller)
{
	km_rest_interrupt(&caller->rest);
}

KM_EXPORT int kickmsg_caller_wait_server(struct kickmsg_caller *caller, int64_t timeout_ns)
{
	KM_KEEP_ERRNO;
	if (km_client_is_inherited(caller->client))
		return -ECHILD;
	if (timeout_ns != 0)
		return wait_server(caller, km_wait_deadline(timeout_ns));
	int r = prepare(caller);
	return r == -ECONNREFUSED ? -EAGAIN : r;
}

/* --- calling -------------------------------------------------------------------------------------- */

static km_noinline int find_line_anyhow(struct kickmsg_caller *caller, struct km_line **ret)
{
	int r = prepare(caller);
	struct km_line *line = r < 0 ? km_caller_stand_in(caller) : caller->line;

	if (!line || km_channel_look(&line->channel))
		return r < 0 ? r : -ECONNREFUSED;
	*ret = line;
	return 0;
}

/* The usual case of finding a line: there is one, and nothing has happened to it. */
static km_always_inline int find_line(struct kickmsg_caller *caller, struct km_line **ret)
{
	struct km_line *line = caller->line;

	*ret = line;

	if (line && line->ready && !line->channel.gone &&
		km_load(M1, acquire, &line->channel.in->handle.place.region.header->changes) ==
			line->channel.changes)
		return 0;
	return find_line_anyhow(caller, ret);
}

static km_always_inline bool has_place(struct kickmsg_caller *caller)
{
	if (caller->free_count == 0)
		km_caller_find_places(caller);
	return caller->free_count > 0;
}

/* Takes the place of a call, with a new id. The place is free again if the request isn't sent. */
static km_always_inline struct km_call *begin(struct kickmsg_caller *caller, int64_t timeout_ns)
{
	struct km_call *call = &caller->calls[caller->free_calls[caller->free_count - 1]];

	call->id = (call->id + (UINT64_C(1) << 16)) & KM_CALL_IDS;
	call->deadline_ns = km_wait_deadline(timeout_ns);
	return call;
}

/* Ends the beginning of a call, whose request was sent or not (`r`). */
static km_always_inline int settle(struct kickmsg_caller *caller, struct km_line *line,
	struct km_call *call, int r, uint64_t *ret_id)
{
	if (r < 0)
		return r == -ECONNRESET ? -ECONNREFUSED : r;
	caller->free_count--;
	caller->in_flight++;
	call->waits = true;
	call->untold = false;
	call->line = line;
	line->calls++;
	if (call->deadline_ns < caller->next_ns)
		caller->next_ns = call->deadline_ns;
	/* the take that follows sets the timer */
	if (caller->loop && call->deadline_ns < caller->loop->timer_ns)
		km_loop_set(caller->loop);
	*ret_id = call->id;
	return 0;
}

static km_always_inline struct km_label label_of(const struct km_call *call)
{
	return (struct km_label){
		.id = call->id,
		.word = (uint64_t)call->deadline_ns,
		.kind = KM_MESSAGE_REQUEST,
	};
}

KM_EXPORT int kickmsg_call_begin(struct kickmsg_caller *caller, const void *data, size_t len,
	int64_t timeout_ns, uint64_t *ret_id)
{
	if (caller->client->pid == KM_INHERITED)
		return -ECHILD;
	if (len > caller->shape.max_request_size)
		return -EMSGSIZE;
	struct km_line *line;
	int r = find_line(caller, &line);
	if (r < 0)
		return r;
	if (!has_place(caller))
		return -EDQUOT;
	struct km_call *call = begin(caller, timeout_ns);
	const struct km_label label = label_of(call);
	r = km_channel_send(&line->channel, data, len, &label, NULL);
	return settle(caller, line, call, r, ret_id);
}

KM_EXPORT int kickmsg_call_loan(struct kickmsg_caller *caller, size_t len, void **ret_payload)
{
	if (caller->client->pid == KM_INHERITED)
		return -ECHILD;
	if (len > caller->shape.max_request_size)
		return -EMSGSIZE;
	struct km_line *line;
	int r = find_line(caller, &line);
	if (r == 0)
		r = km_channel_loan(&line->channel, len, ret_payload);
	return r == -ECONNRESET ? -ECONNREFUSED : r;
}

/* The line that has lent the payload, or null. */
static km_always_inline struct km_line *find_lender(
	const struct kickmsg_caller *caller, const void *payload)
{
	struct km_line *line = caller->line;

	if (line && km_channel_has_lent(&line->channel, payload))
		return line;
	for (line = caller->past; line; line = line->next)
		if (km_channel_has_lent(&line->channel, payload))
			break;
	return line;
}

KM_EXPORT int kickmsg_call_publish(struct kickmsg_caller *caller, void *payload, size_t len,
	int64_t timeout_ns, uint64_t *ret_id)
{
	if (caller->client->pid == KM_INHERITED)
		return -ECHILD;
	struct km_line *line;
	int r = find_line(caller, &line);
	struct km_line *lender = find_lender(caller, payload);
	if (!lender)
		return -EINVAL;
	if (r < 0 || lender != line) {
		km_channel_discard(&lender->channel, payload);
		return -ECONNRESET;
	}
	if (!has_place(caller))
		return -EDQUOT;
	struct km_call *call = begin(caller, timeout_ns);
	const struct km_label label = label_of(call);
	r = km_channel_publish(&lender->channel, payload, len, &label, NULL);
	return r == -ECONNRESET ? r : settle(caller, line, call, r, ret_id);
}

KM_EXPORT int kickmsg_call_discard(struct kickmsg_caller *caller, void *payload)
{
	if (caller->client->pid == KM_INHERITED)
		return -ECHILD;
	struct km_line *lender = find_lender(caller, payload);

	return lender ? km_channel_discard(&lender->channel, payload) : -EINVAL;
}

/* --- in an event loop ----------------------------------------------------------------------------- */

static int join_all(struct kickmsg_caller *caller)
{
	int r = caller->line ? km_loop_join(caller->loop, &caller->line->channel, true) : 0;

	for (struct km_line *past = caller->past; r == 0 && past; past = past->next)
		r = km_loop_join(caller->loop, &past->channel, true);
	return r;
}

static void leave_all(struct kickmsg_caller *caller)
{
	if (caller->line)
		km_loop_leave(caller->loop, &caller->line->channel);
	for (struct km_line *past = caller->past; past; past = past->next)
		km_loop_leave(caller->loop, &past->channel);
}

KM_EXPORT int kickmsg_caller_get_fd(struct kickmsg_caller *caller)
{
	KM_KEEP_ERRNO;
	if (km_client_is_inherited(caller->client))
		return -ECHILD;
	if (caller->loop)
		return caller->loop->epoll;
	int r = km_loop_new(caller->client, &caller->loop);
	if (r == 0)
		r = join_all(caller);
	if (r == 0)
		return caller->loop->epoll;
	leave_all(caller);
	km_loop_close(caller->loop);
	free(km_steal_ptr(caller->loop));
	return r;
}

KM_EXPORT int kickmsg_waitset_add_caller(
	struct kickmsg_waitset *set, struct kickmsg_caller *caller, void *userdata)
{
	int fd = kickmsg_caller_get_fd(caller);

	return fd < 0 ? fd : kickmsg_waitset_add_fd(set, fd, POLLIN, userdata);
}
