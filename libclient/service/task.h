/* SPDX-License-Identifier: Apache-2.0 */
/* The steps that takes (request.c) and answers (answer.c) have in common; answer.c has the error's: see
 * server.h. */
#pragma once

#include <errno.h>

#include "common/clock.h"
#include "libclient/path/hold.h"
#include "libclient/service/server.h"

static km_always_inline void km_task_free(struct km_visitor *visitor, uint32_t index)
{
	struct km_task *task = &visitor->tasks[index];

	visitor->busy--;
	visitor->taken -= task->taken;
	task->serial = 0;
	task->next = visitor->free;
	visitor->free = index;
	km_sample_release(&task->sample); /* unless its answer took it along */
	if (__builtin_expect(visitor->server->loop != NULL, 0) && visitor->channel.muted &&
		!visitor->channel.gone)
		km_loop_mute(visitor->server->loop, &visitor->channel, false);
}

/* The reason why nobody waits for a task's reply, or 0. */
static km_always_inline int km_task_status(
	const struct km_visitor *visitor, const struct km_task *task)
{
	if (visitor->channel.gone)
		return -ECONNRESET;
	if (task->cancelled)
		return -ECANCELED;
	return task->deadline_ns != INT64_MAX && task->deadline_ns <= km_clock_ns() ? -ETIMEDOUT
										    : 0;
}

/* Sends the task's last message. After a success or -ECONNRESET the task is free. */
static km_always_inline int km_task_send_last(struct km_visitor *visitor, uint32_t index,
	const void *data, size_t len, const struct km_label *label)
{
	int r = km_channel_send(&visitor->channel, data, len, label, &visitor->tasks[index].sample);

	if (r == 0 || r == -ECONNRESET)
		km_task_free(visitor, index);
	return r;
}

/* Answers for the server, with an error. Errors: those of km_channel_send(). */
int km_task_send_error(struct km_visitor *visitor, uint32_t index, int error);
