/* SPDX-License-Identifier: Apache-2.0 */
/* Requests from their coming until they are taken: see server.h and task.h. */
#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/ring/waiter.h"
#include "libclient/export.h"
#include "libclient/path/rings_receive.h"
#include "libclient/service/task.h"

/* One look in vain of so many, by a server that polls, looks after the connection. */
#define LOOKS_TILL_AFTER 64
/* Requests that are taken from a private ring together. */
#define AT_ONCE 8

/* --- tasks ---------------------------------------------------------------------------------------- */

/* Puts the free task whose sample has just come into the line. */
static km_always_inline void wait_in_line(
	struct km_visitor *visitor, struct km_task *task, const struct km_label *label)
{
	const uint32_t index = visitor->free;

	visitor->free = task->next;
	if (visitor->waiting++ > 0)
		visitor->tasks[visitor->newest].next = index;
	else
		visitor->oldest = index;
	visitor->newest = index;
	visitor->busy++;
	task->id = label->id;
	task->deadline_ns = (int64_t)label->word;
	task->serial = ++visitor->server->serial;
	task->next = KM_TASK_NONE;
	task->replies = 0;
	task->taken = task->cancelled = false;
}

/* Takes the oldest task out of the line. */
static void leave_line(struct km_visitor *visitor)
{
	visitor->oldest = visitor->tasks[visitor->oldest].next;
	visitor->waiting--;
}

static void cancel(struct km_visitor *visitor, uint64_t id)
{
	const struct km_label room = { .kind = KM_MESSAGE_ROOM };

	/* a caller that keeps to its shape has room for the answer */
	if (++visitor->cancels >= KM_SERVICE_CANCELS &&
		km_channel_send(&visitor->channel, NULL, 0, &room, NULL) == 0)
		visitor->cancels = 0;
	for (uint32_t i = 0; i < visitor->count; i++)
		if (visitor->tasks[i].serial > 0 && visitor->tasks[i].id == id)
			visitor->tasks[i].cancelled = true;
}

/* Enters a message that has come to a free task. */
static km_always_inline void enter(
	struct km_visitor *visitor, struct km_task *task, const struct km_label *label)
{
	if (__builtin_expect(label->kind == KM_MESSAGE_REQUEST, 1)) {
		wait_in_line(visitor, task, label);
		return;
	}
	if (label->kind == KM_MESSAGE_CANCEL)
		cancel(visitor, label->id);
	km_sample_release(&task->sample);
}

/* Enters messages from a private ring, up to `most`, which cost less when they are taken together. Returns how
 * many: 0 also where a single receive has to look. */
static km_always_inline uint32_t enter_many(struct km_visitor *visitor, uint32_t most)
{
	struct kickmsg_subscriber *in = visitor->channel.in;
	const uint32_t room = visitor->count - visitor->busy;
	struct kickmsg_sample samples[AT_ONCE];

	most = most < room ? most : room;
	if (in->handle.place.region.path != KM_PATH_RINGS_TIMED || most < 2)
		return 0;
	int count = km_rings_receive_many(in, samples, most < AT_ONCE ? most : AT_ONCE);
	for (int i = 0; i < count; i++) {
		struct km_task *task = &visitor->tasks[visitor->free];
		const struct km_label label = km_message_label(
			samples[i].publish_ns, km_tagged_word(&samples[i]));

		task->sample = samples[i];
		enter(visitor, task, &label);
	}
	return count > 0 ? (uint32_t)count : 0;
}

void km_visitor_pump(struct km_visitor *visitor)
{
	struct km_label label;

	/* A caller that has more under way than it may waits. One that floods is heard as long as one that
	 * keeps to its shape: what it sent besides lies in its ring, so nobody sleeps over it. */
	for (uint32_t left = visitor->count + KM_SERVICE_CANCELS;
		left > 0 && visitor->free != KM_TASK_NONE; left--) {
		struct km_task *task = &visitor->tasks[visitor->free];

		if (km_channel_receive(&visitor->channel, &task->sample, &label) < 0)
			break;
		enter(visitor, task, &label);
		if (km_channel_is_empty(&visitor->channel))
			break;
		left -= enter_many(visitor, left - 1);
	}
	/* no ring shows such a request any more */
	if (visitor->waiting > 0 && visitor->server->loop)
		km_loop_set(visitor->server->loop);
}

/* --- taking --------------------------------------------------------------------------------------- */

/* The oldest task that waits, or KM_TASK_NONE. Tasks that nobody waits for are answered. */
static km_always_inline uint32_t next_task(struct km_visitor *visitor)
{
	while (visitor->waiting > 0) {
		const uint32_t oldest = visitor->oldest;
		struct km_task *task = &visitor->tasks[oldest];
		int status = km_task_status(visitor, task);

		leave_line(visitor);
		if (status == 0)
			return oldest;
		int r = km_task_send_error(visitor, oldest, status);
		if (r == 0 || r == -ECONNRESET)
			continue;
		/* no slot is free for the answer, which is the caller's fault: the request waits on */
		task->next = visitor->waiting++ > 0 ? visitor->oldest : KM_TASK_NONE;
		visitor->newest = visitor->waiting > 1 ? visitor->newest : oldest;
		visitor->oldest = oldest;
		break;
	}
	return KM_TASK_NONE;
}

static km_always_inline bool take_from(struct km_visitor *visitor, struct kickmsg_request *ret)
{
	if (visitor->waiting == 0 && km_channel_is_quiet(&visitor->channel))
		return false;
	if (visitor->waiting == 0 || visitor->channel.gone)
		km_visitor_pump(visitor);
	const uint32_t index = visitor->waiting > 0 ? next_task(visitor) : KM_TASK_NONE;
	if (index == KM_TASK_NONE)
		return false;
	struct km_task *task = &visitor->tasks[index];
	task->taken = true;
	visitor->taken++;
	/* one by one: gcc would zero all of it first, by an instruction that takes longer than the rest */
	ret->data = task->sample.data;
	ret->len = task->sample.len;
	ret->deadline_ns = task->deadline_ns;
	ret->caller = &visitor->info;
	ret->server = visitor->server;
	ret->visitor = visitor;
	ret->serial = task->serial;
	ret->task = index;
	ret->reserved32 = 0;
	memset(ret->reserved, 0, sizeof ret->reserved);
	return true;
}

/* Tries to take a request, of each visitor in turn. */
static km_always_inline bool try_take(struct kickmsg_server *server, struct kickmsg_request *ret)
{
	struct km_visitor *begin = server->turn ? server->turn : server->visitors, *visitor = begin;

	if (!visitor)
		return false;
	do {
		struct km_visitor *next = visitor->next ? visitor->next : server->visitors;

		if (take_from(visitor, ret)) {
			server->turn = next;
			return true;
		}
		visitor = next;
	} while (visitor != begin);
	return false;
}

static km_always_inline int try_take_request(
	struct kickmsg_server *server, struct kickmsg_request *ret)
{
	const struct km_place *here = &server->service->handle.place;

	if (server->asks || here->endpoint != server->endpoint ||
		here->connection != server->connection ||
		km_load(M1, acquire, &here->region.header->changes) != server->changes)
		km_server_look(server);
	return try_take(server, ret) ? 0 : -EAGAIN;
}

static void rest(struct kickmsg_server *server, int64_t deadline_ns)
{
	KM_KEEP_ERRNO;
	struct km_rest *rest = &server->rest;

	if (km_server_asks_at(server) < deadline_ns)
		deadline_ns = km_server_asks_at(server);
	km_rest_begin(rest);
	km_rest_add_header(rest, &server->service->handle.place.region, server->changes);
	/* The service's header tells of callers that leave. A channel's end alone ends no sleep: it waits for
	 * the next look after the connection. */
	for (struct km_visitor *visitor = server->visitors; visitor; visitor = visitor->next)
		if (visitor->busy < visitor->count && !visitor->channel.gone)
			km_rest_add_channel(rest, &visitor->channel, false);
	km_rest_sleep(rest, deadline_ns);
}

/* Nothing was there: arms the descriptor, and looks for the last time. */
static int arm(struct kickmsg_server *server, struct kickmsg_request *ret)
{
	KM_KEEP_ERRNO;
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < KM_LOOP_LOOKS; i++) {
		km_server_look_after(server);
		km_loop_rest(server->loop, km_server_asks_at(server));
		if (!km_server_arm(server))
			return -EAGAIN;
		r = try_take_request(server, ret);
	}
	km_loop_set(server->loop);
	return r;
}

/* The twin of kickmsg_take_request(), behind a look that was in vain. */
static km_noinline int wait_for_request(
	struct kickmsg_server *server, int64_t timeout_ns, struct kickmsg_request *ret)
{
	int r = -EAGAIN;

	/* a server that polls leaves the line of the next message to its caller for a moment */
	km_pause();
	if (timeout_ns == 0 && server->loop)
		r = arm(server, ret);
	else if (timeout_ns == 0 && server->idle++ % LOOKS_TILL_AFTER == 0)
		km_server_look_after(server);
	if (timeout_ns == 0)
		return r == 0 || server->active ? r : -EBUSY;
	int64_t deadline_ns = km_wait_deadline(timeout_ns);
	while (r == -EAGAIN) {
		km_server_look_after(server);
		rest(server, deadline_ns);
		r = try_take_request(server, ret);
		if (r == -EAGAIN && km_rest_take_interrupt(&server->rest))
			return -EINTR;
		if (r == -EAGAIN && km_clock_ns() >= deadline_ns)
			return -ETIMEDOUT;
	}
	return r;
}

KM_EXPORT int kickmsg_take_request(
	struct kickmsg_server *server, int64_t timeout_ns, struct kickmsg_request *ret)
{
	if (server->client->pid == KM_INHERITED)
		return -ECHILD;
	if (try_take_request(server, ret) < 0)
		return wait_for_request(server, timeout_ns, ret);
	if (server->loop)
		km_loop_set(server->loop);
	return 0;
}
