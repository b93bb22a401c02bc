/* SPDX-License-Identifier: Apache-2.0 */
/* Replies are taken, waited for and given back: see caller.h and call.h. */
#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/ring/waiter.h"
#include "libclient/export.h"
#include "libclient/service/call.h"

/* Tries once. Returns 0, -EAGAIN, -EDQUOT. The usual case: a reply is there, or nothing is, and there is
 * nothing else to look at. */
static km_always_inline int try_take(struct kickmsg_caller *caller, struct kickmsg_reply *ret)
{
	struct km_line *line = caller->line;

	if (__builtin_expect(!line || caller->has_met, 0))
		return km_caller_try_take_anyhow(caller, ret);
	int r = km_caller_hear_one(caller, line, ret);
	if (__builtin_expect(r > 0, 1))
		return 0;
	if (r == -EAGAIN && !caller->past && caller->to_tell == 0 && caller->next_ns == INT64_MAX &&
		!km_channel_look(&line->channel))
		return r;
	return km_caller_try_take_anyhow(caller, ret);
}

static km_noinline int try_again(struct kickmsg_caller *caller, struct kickmsg_reply *ret)
{
	return try_take(caller, ret);
}

static int spin(struct kickmsg_caller *caller, int64_t until_ns, struct kickmsg_reply *ret)
{
	int64_t end_ns = km_clock_ns() + (int64_t)caller->spin_ns;
	int r;

	if (until_ns < end_ns)
		end_ns = until_ns;
	do {
		for (int i = 0; i < 64; i++) {
			r = try_again(caller, ret);
			if (r != -EAGAIN)
				return r;
			km_pause();
		}
		/* a spin may be a long one */
		km_caller_look_after(caller);
	} while (!km_rest_is_asked(&caller->rest) && km_clock_ns() < end_ns);
	return r;
}

/* Adds a line to the words to sleep at. A line that has ended brings nothing more, but its calls end at the next
 * look. */
static void rest_at(struct kickmsg_caller *caller, struct km_line *line)
{
	if (!line->channel.gone)
		km_rest_add_channel(&caller->rest, &line->channel, true);
	else
		caller->rest.is_ready |= line->calls > 0;
}

static void sleep_until(struct kickmsg_caller *caller, int64_t deadline_ns)
{
	KM_KEEP_ERRNO;
	if (caller->next_ns < deadline_ns)
		deadline_ns = caller->next_ns;
	km_rest_begin(&caller->rest);
	if (caller->line)
		rest_at(caller, caller->line);
	for (struct km_line *past = caller->past; past; past = past->next)
		if (past->calls > 0)
			rest_at(caller, past);
	km_rest_sleep(&caller->rest, deadline_ns);
}

/* Arms a line, as rest_at(). */
static bool arm_line(struct kickmsg_caller *caller, struct km_line *line)
{
	km_loop_mute(caller->loop, &line->channel, line->channel.gone);
	if (!line->channel.gone)
		return km_loop_arm(&line->channel);
	km_loop_unwatch(caller->loop, &line->channel.ends);
	return line->calls > 0;
}

static bool arm_lines(struct kickmsg_caller *caller)
{
	bool again = caller->line && arm_line(caller, caller->line);

	for (struct km_line *past = caller->past; past; past = past->next)
		again |= arm_line(caller, past);
	return again;
}

/* Nothing was there: arms the descriptor, and looks for the last time. */
static int arm(struct kickmsg_caller *caller, struct kickmsg_reply *ret)
{
	KM_KEEP_ERRNO;
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < KM_LOOP_LOOKS; i++) {
		km_caller_look_after(caller);
		km_loop_rest(caller->loop, caller->next_ns);
		if (!arm_lines(caller))
			return -EAGAIN;
		r = try_again(caller, ret);
	}
	km_loop_set(caller->loop);
	return r;
}

/* The twin of kickmsg_take_reply(), behind a look with the result `r`. */
static km_noinline int wait_for_reply(
	struct kickmsg_caller *caller, int r, int64_t timeout_ns, struct kickmsg_reply *ret)
{
	if (caller->loop && r == -EAGAIN && timeout_ns == 0)
		r = arm(caller, ret);
	if (r != -EAGAIN)
		return r;
	if (caller->in_flight == 0)
		return -ENOENT;
	if (timeout_ns == 0) {
		if (!caller->loop)
			km_caller_look_in_vain(caller);
		return -EAGAIN;
	}
	int64_t deadline_ns = km_wait_deadline(timeout_ns);
	if (caller->spin_ns > 0)
		r = spin(caller, deadline_ns, ret);
	while (r == -EAGAIN) {
		km_caller_look_after(caller);
		sleep_until(caller, deadline_ns);
		r = try_again(caller, ret);
		if (r == -EAGAIN && km_rest_take_interrupt(&caller->rest))
			return -EINTR;
		if (r == -EAGAIN && km_clock_ns() >= deadline_ns)
			return -ETIMEDOUT;
	}
	return r;
}

KM_EXPORT int kickmsg_take_reply(
	struct kickmsg_caller *caller, int64_t timeout_ns, struct kickmsg_reply *ret)
{
	if (caller->client->pid == KM_INHERITED)
		return -ECHILD;
	int r = try_take(caller, ret);
	if (r < 0)
		return wait_for_reply(caller, r, timeout_ns, ret);
	if (caller->loop)
		km_loop_set(caller->loop);
	return 0;
}

KM_EXPORT void kickmsg_reply_release(struct kickmsg_reply *reply)
{
	if (reply->data)
		km_sample_release(&reply->sample);
	reply->data = NULL;
	reply->len = 0;
}

/* --- taking back ---------------------------------------------------------------------------------- */

KM_EXPORT int kickmsg_call_cancel(struct kickmsg_caller *caller, uint64_t id)
{
	if (caller->client->pid == KM_INHERITED)
		return -ECHILD;
	struct km_call *call = &caller->calls[id & UINT16_MAX];
	if ((id & UINT16_MAX) >= caller->shape.max_calls || call->id != id || !call->waits)
		return -ENOENT;
	km_call_end(caller, call, -ECANCELED);
	km_call_tell_server(call);
	return 0;
}

/* --- one at a time -------------------------------------------------------------------------------- */

/* The caller of kickmsg_call() hears of the call's end by what it returns. */
static void forget(struct kickmsg_caller *caller, uint64_t id)
{
	struct km_call *call = &caller->calls[id & UINT16_MAX];

	if (kickmsg_call_cancel(caller, id) == 0)
		km_call_take_ended(caller, call);
}

KM_EXPORT int kickmsg_call(struct kickmsg_caller *caller, const void *data, size_t len,
	int64_t timeout_ns, struct kickmsg_reply *ret)
{
	uint64_t id;

	if (caller->client->pid == KM_INHERITED)
		return -ECHILD;
	if (caller->in_flight + caller->to_tell > 0 || caller->has_met)
		return -EBUSY;
	int r = kickmsg_call_begin(caller, data, len, timeout_ns, &id);
	if (r < 0)
		return r;
	r = kickmsg_take_reply(caller, -1, ret);
	if (r < 0)
		forget(caller, id);
	return r < 0 ? r : ret->error;
}
