/* SPDX-License-Identifier: Apache-2.0 */
/* The usual case of a caller's hearing a reply, inline in its take (reply.c): see caller.h. */
#pragma once

#include <errno.h>
#include <string.h>

#include "libclient/path/hold.h"
#include "libclient/service/caller.h"

/* Frees the call if nobody waits for it, nobody holds it, and nothing is to be told. */
static inline void km_call_free_if_over(struct kickmsg_caller *caller, struct km_call *call)
{
	if (!call->waits && !call->line && call->error == 0)
		caller->free_calls[caller->free_count++] = (uint16_t)(call - caller->calls);
}

/* Lets go of a call that the server is done with. */
static inline void km_call_let_go(struct km_call *call)
{
	call->line->calls--;
	call->line = NULL;
}

/* The call that this line holds; null: the server made the id up. */
static inline struct km_call *km_call_find(
	struct kickmsg_caller *caller, const struct km_line *line, uint64_t id)
{
	struct km_call *call = &caller->calls[id & UINT16_MAX];

	return (id & UINT16_MAX) < caller->shape.max_calls && call->id == id && call->line == line
		       ? call
		       : NULL;
}

/* An error that a server may say is a negative errno. */
static inline int km_call_error_of(uint64_t word)
{
	const int64_t error = (int64_t)word;

	return error < 0 && error >= -4095 ? (int)error : -EPROTO;
}

/* hear.c has the steps below. Takes a message that is no call's end nor reply. Returns false: the user doesn't
 * hear of it. */
bool km_call_fill_nothing(
	struct kickmsg_caller *caller, struct km_line *line, const struct km_label *label);

/* Fills *ret, whose sample has the message, and returns true; else the message is for nobody. */
static km_always_inline bool km_call_fill(struct kickmsg_caller *caller, struct km_line *line,
	const struct km_label *label, struct kickmsg_reply *ret)
{
	struct km_call *call = km_call_find(caller, line, label->id);
	const bool more = label->kind == KM_MESSAGE_MORE, fails = label->kind == KM_MESSAGE_ERROR;

	if (!call || !(more || fails || label->kind == KM_MESSAGE_LAST))
		return km_call_fill_nothing(caller, line, label);
	bool waited = call->waits;
	if (!more) {
		km_call_let_go(call);
		call->waits = false;
		caller->in_flight -= waited;
		km_call_free_if_over(caller, call);
	}
	if (!waited)
		return false;
	ret->id = label->id;
	ret->data = fails ? NULL : ret->sample.data;
	ret->len = fails ? 0 : ret->sample.len;
	ret->error = fails ? km_call_error_of(label->word) : 0;
	ret->more = more;
	memset(ret->reserved, 0, sizeof ret->reserved);
	return true;
}

/* Takes a message. Returns 1: it fills *ret; 0: it is for nobody. Errors: -EAGAIN, -EDQUOT. */
static km_always_inline int km_caller_hear_one(
	struct kickmsg_caller *caller, struct km_line *line, struct kickmsg_reply *ret)
{
	struct km_label label;
	int r = km_channel_receive(&line->channel, &ret->sample, &label);
	bool filled = false;

	if (r < 0)
		return r;
	if (__builtin_expect(line->ready, 1))
		filled = km_call_fill(caller, line, &label, ret);
	else if (label.kind == KM_MESSAGE_HELLO)
		km_caller_meet(caller, line, label.word);
	if (!filled || !ret->data)
		km_sample_release(&ret->sample);
	return filled;
}

/* Ends the call for the user, who is to be told. */
void km_call_end(struct kickmsg_caller *caller, struct km_call *call, int error);
/* Takes a call out of the ended ones: the user is told, or needn't be. */
void km_call_take_ended(struct kickmsg_caller *caller, struct km_call *call);
/* Tells the server that nobody waits for the call any more, or keeps that for later. */
void km_call_tell_server(struct km_call *call);
/* The twin of a take's usual case. Returns 0, -EAGAIN, -EDQUOT. */
int km_caller_try_take_anyhow(struct kickmsg_caller *caller, struct kickmsg_reply *ret);
