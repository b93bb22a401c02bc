/* SPDX-License-Identifier: Apache-2.0 */
/* How calls end: see caller.h.
 *
 * The file is long because each way to wait for a reply ends in the same look. */
#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/ring/waiter.h"
#include "libclient/export.h"
#include "libclient/service/caller.h"

/* Frees the call if nobody waits for it, nobody holds it, and nothing is to be told. */
static void free_if_over(struct kickmsg_caller *caller, struct km_call *call)
{
	if (!call->waits && !call->line && call->error == 0)
		caller->free_calls[caller->free_count++] = (uint16_t)(call - caller->calls);
}

/* Lets go of a call that the server is done with. */
static void let_go(struct km_call *call)
{
	call->line->calls--;
	call->line = NULL;
}

/* Ends the call for the user, who is to be told. */
static void end(struct kickmsg_caller *caller, struct km_call *call, int error)
{
	call->waits = false;
	call->error = error;
	caller->in_flight--;
	caller->ended[caller->to_tell++] = (uint16_t)(call - caller->calls);
	if (caller->loop)
		km_loop_set(caller->loop);
}

/* Takes a call out of the ended ones: the user is told, or needn't be. */
static void take_ended(struct kickmsg_caller *caller, struct km_call *call)
{
	uint32_t i = 0;

	while (&caller->calls[caller->ended[i]] != call)
		i++;
	for (caller->to_tell--; i < caller->to_tell; i++)
		caller->ended[i] = caller->ended[i + 1];
	call->error = 0;
	free_if_over(caller, call);
}

static void tell_server(struct km_call *call)
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
			tell_server(call);
	}
}

void km_caller_end_line(struct kickmsg_caller *caller, struct km_line *line)
{
	for (uint32_t i = 0; i < caller->shape.max_calls && line->calls > 0; i++) {
		struct km_call *call = &caller->calls[i];

		if (call->line != line)
			continue;
		let_go(call);
		if (call->waits)
			end(caller, call, -ECONNRESET);
		free_if_over(caller, call);
	}
}

/* The call that this line holds; null: the server made the id up. */
static struct km_call *find_call(
	struct kickmsg_caller *caller, const struct km_line *line, uint64_t id)
{
	struct km_call *call = &caller->calls[id & UINT16_MAX];

	return (id & UINT16_MAX) < caller->shape.max_calls && call->id == id && call->line == line
		       ? call
		       : NULL;
}

/* An error that a server may say is a negative errno. */
static int error_of(uint64_t word)
{
	const int64_t error = (int64_t)word;

	return error < 0 && error >= -4095 ? (int)error : -EPROTO;
}

/* Takes a message that is no call's end nor reply. Returns false: the user doesn't hear of it. */
static km_noinline bool fill_nothing(
	struct kickmsg_caller *caller, struct km_line *line, const struct km_label *label)
{
	if (label->kind == KM_MESSAGE_ROOM)
		tell_more(caller, line);
	return false;
}

/* Fills *ret, whose sample has the message, and returns true; else the message is for nobody. */
static km_always_inline bool fill(struct kickmsg_caller *caller, struct km_line *line,
	const struct km_label *label, struct kickmsg_reply *ret)
{
	struct km_call *call = find_call(caller, line, label->id);
	const bool more = label->kind == KM_MESSAGE_MORE, fails = label->kind == KM_MESSAGE_ERROR;

	if (!call || !(more || fails || label->kind == KM_MESSAGE_LAST))
		return fill_nothing(caller, line, label);
	bool waited = call->waits;
	if (!more) {
		let_go(call);
		call->waits = false;
		caller->in_flight -= waited;
		free_if_over(caller, call);
	}
	if (!waited)
		return false;
	ret->id = label->id;
	ret->data = fails ? NULL : ret->sample.data;
	ret->len = fails ? 0 : ret->sample.len;
	ret->error = fails ? error_of(label->word) : 0;
	ret->more = more;
	memset(ret->reserved, 0, sizeof ret->reserved);
	return true;
}

/* Takes a message. Returns 1: it fills *ret; 0: it is for nobody. Errors: -EAGAIN, -EDQUOT. */
static km_always_inline int hear_one(
	struct kickmsg_caller *caller, struct km_line *line, struct kickmsg_reply *ret)
{
	struct km_label label;
	int r = km_channel_receive(&line->channel, &ret->sample, &label);
	bool filled = false;

	if (r < 0)
		return r;
	if (__builtin_expect(line->ready, 1))
		filled = fill(caller, line, &label, ret);
	else if (label.kind == KM_MESSAGE_HELLO)
		km_caller_meet(caller, line, label.word);
	if (!filled || !ret->data)
		km_sample_release(&ret->sample);
	return filled;
}

/* Takes messages that are there, until one fills *ret: returns 1. 0: the server floods, and there may be
 * more. Errors: -EAGAIN, -EDQUOT. */
static km_noinline int hear_some(
	struct kickmsg_caller *caller, struct km_line *line, struct kickmsg_reply *ret)
{
	/* as many as there were at the beginning */
	for (uint32_t left = line->channel.in->handle.place.region.geometry.ring_capacity; left > 0;
		left--) {
		int r = hear_one(caller, line, ret);

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
			end(caller, call, -ETIMEDOUT);
			tell_server(call);
		} else if (call->deadline_ns < caller->next_ns) {
			caller->next_ns = call->deadline_ns;
		}
	}
}

static void tell(struct kickmsg_caller *caller, struct kickmsg_reply *ret)
{
	struct km_call *call = &caller->calls[caller->ended[0]];

	*ret = (struct kickmsg_reply){ .id = call->id, .error = call->error };
	take_ended(caller, call);
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
static km_noinline int try_take_anyhow(struct kickmsg_caller *caller, struct kickmsg_reply *ret)
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

/* Tries once. Returns 0, -EAGAIN, -EDQUOT. The usual case: a reply is there, or nothing is, and there is
 * nothing else to look at. */
static km_always_inline int try_take(struct kickmsg_caller *caller, struct kickmsg_reply *ret)
{
	struct km_line *line = caller->line;

	if (__builtin_expect(!line || caller->has_met, 0))
		return try_take_anyhow(caller, ret);
	int r = hear_one(caller, line, ret);
	if (__builtin_expect(r > 0, 1))
		return 0;
	if (r == -EAGAIN && !caller->past && caller->to_tell == 0 && caller->next_ns == INT64_MAX &&
		!km_channel_look(&line->channel))
		return r;
	return try_take_anyhow(caller, ret);
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
	end(caller, call, -ECANCELED);
	tell_server(call);
	return 0;
}

/* --- one at a time -------------------------------------------------------------------------------- */

/* The caller of kickmsg_call() hears of the call's end by what it returns. */
static void forget(struct kickmsg_caller *caller, uint64_t id)
{
	struct km_call *call = &caller->calls[id & UINT16_MAX];

	if (kickmsg_call_cancel(caller, id) == 0)
		take_ended(caller, call);
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
