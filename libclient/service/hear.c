/* SPDX-License-Identifier: Apache-2.0 */
/* How calls end, by what their servers say, late, or with their servers: see caller.h and call.h. */
#include <errno.h>

#include "common/clock.h"
#include "libclient/export.h"
#include "libclient/service/call.h"

void km_call_end(struct kickmsg_caller *caller, struct km_call *call, int error)
{
	call->waits = false;
	call->error = error;
	caller->in_flight--;
	caller->ended[caller->to_tell++] = (uint16_t)(call - caller->calls);
	if (caller->loop)
		km_loop_set(caller->loop);
}

void km_call_take_ended(struct kickmsg_caller *caller, struct km_call *call)
{
	uint32_t i = 0;

	while (&caller->calls[caller->ended[i]] != call)
		i++;
	for (caller->to_tell--; i < caller->to_tell; i++)
		caller->ended[i] = caller->ended[i + 1];
	call->error = 0;
	km_call_free_if_over(caller, call);
}

void km_call_tell_server(struct km_call *call)
{
	struct km_line *line = call->line;
	const struct km_label label = { .id = call->id, .kind = KM_MESSAGE_CANCEL };

	if (!line || line->channel.gone)
		return;
	call->untold = line->cancels == KM_SERVICE_CANCELS ||
		       km_channel_send(&line->channel, NULL, 0, &label, NULL) < 0;
	line->cancels += !call->untold;
}

/* The server has read the cancels: tells it of calls of which it couldn't be told yet, each in its turn. */
static void tell_more(struct kickmsg_caller *caller, struct km_line *line)
{
	line->cancels = 0;
	for (uint32_t left = caller->shape.max_calls;
		left > 0 && line->cancels < KM_SERVICE_CANCELS; left--) {
		struct km_call *call = &caller->calls[line->turn];

		line->turn = (line->turn + 1) % caller->shape.max_calls;
		if (call->line == line && call->untold)
			km_call_tell_server(call);
	}
}

void km_caller_end_line(struct kickmsg_caller *caller, struct km_line *line)
{
	for (uint32_t i = 0; i < caller->shape.max_calls && line->calls > 0; i++) {
		struct km_call *call = &caller->calls[i];

		if (call->line != line)
			continue;
		km_call_let_go(call);
		if (call->waits)
			km_call_end(caller, call, -ECONNRESET);
		km_call_free_if_over(caller, call);
	}
}

km_noinline bool km_call_fill_nothing(
	struct kickmsg_caller *caller, struct km_line *line, const struct km_label *label)
{
	if (label->kind == KM_MESSAGE_ROOM)
		tell_more(caller, line);
	return false;
}

/* Takes messages that are there, until one fills *ret: returns 1. 0: the server floods, and there may be
 * more. Errors: -EAGAIN, -EDQUOT. */
static km_noinline int hear_some(
	struct kickmsg_caller *caller, struct km_line *line, struct kickmsg_reply *ret)
{
	/* as many as there were at the beginning */
	for (uint32_t left = line->channel.in->handle.place.region.geometry.ring_capacity; left > 0;
		left--) {
		int r = km_caller_hear_one(caller, line, ret);

		if (r != 0)
			return r;
	}
	return 0;
}

void km_caller_hear_hello(struct kickmsg_caller *caller, struct km_line *line)
{
	struct kickmsg_reply none;

	/* the first message is the HELLO, and nothing is called for before it */
	hear_some(caller, line, &none);
}

int km_caller_hear(struct kickmsg_caller *caller, struct km_line *line, struct kickmsg_reply *ret)
{
	bool gone = line->channel.gone;

	for (;;) {
		int r = hear_some(caller, line, ret);

		if (r != -EAGAIN)
			return r;
		if (gone)
			km_caller_end_line(caller, line);
		/* the server sent all messages before it was gone */
		if (gone || !km_channel_look(&line->channel))
			return 0;
		gone = true;
	}
}

/* Ends the calls whose deadlines have passed. */
static void end_late(struct kickmsg_caller *caller)
{
	int64_t now = km_clock_ns();

	if (now < caller->next_ns)
		return;
	caller->next_ns = INT64_MAX;
	for (uint32_t i = 0; i < caller->shape.max_calls; i++) {
		struct km_call *call = &caller->calls[i];

		if (!call->waits)
			continue;
		if (call->deadline_ns <= now) {
			km_call_end(caller, call, -ETIMEDOUT);
			km_call_tell_server(call);
		} else if (call->deadline_ns < caller->next_ns) {
			caller->next_ns = call->deadline_ns;
		}
	}
}

static void tell(struct kickmsg_caller *caller, struct kickmsg_reply *ret)
{
	struct km_call *call = &caller->calls[caller->ended[0]];

	*ret = (struct kickmsg_reply){ .id = call->id, .error = call->error };
	km_call_take_ended(caller, call);
}

static km_noinline int hear_all(struct kickmsg_caller *caller, struct kickmsg_reply *ret)
{
	int r = caller->line ? km_caller_hear(caller, caller->line, ret) : 0;

	for (struct km_line *past = caller->past; r == 0 && past; past = past->next)
		r = km_caller_hear(caller, past, ret);
	return r;
}

void km_caller_find_places(struct kickmsg_caller *caller)
{
	if (!caller->has_met)
		caller->has_met = hear_all(caller, &caller->met) > 0;
	if (caller->loop && caller->has_met)
		km_loop_set(caller->loop);
}

/* The twin of try_take(). */
km_noinline int km_caller_try_take_anyhow(struct kickmsg_caller *caller, struct kickmsg_reply *ret)
{
	if (__builtin_expect(caller->has_met, 0)) {
		*ret = caller->met;
		caller->has_met = false;
		return 0;
	}
	int r = hear_all(caller, ret);
	if (r != 0)
		return r > 0 ? 0 : r;
	if (caller->next_ns != INT64_MAX)
		end_late(caller);
	if (caller->to_tell == 0)
		return -EAGAIN;
	tell(caller, ret);
	return 0;
}
