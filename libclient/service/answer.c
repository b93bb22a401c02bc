/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to requests: see server.h and task.h. */
#include <errno.h>

#include "libclient/export.h"
#include "libclient/service/task.h"

km_noinline int km_task_send_error(struct km_visitor *visitor, uint32_t index, int error)
{
	const struct km_label label = { .id = visitor->tasks[index].id,
		.word = (uint64_t)(int64_t)error,
		.kind = KM_MESSAGE_ERROR };

	return km_task_send_last(visitor, index, NULL, 0, &label);
}

/* Finds the task of a request that hasn't ended; null and -EINVAL or -ECHILD. The visitor may be another
 * caller's by now, or nobody's, but no serial comes again. */
static km_always_inline struct km_task *find(const struct kickmsg_request *request, int *ret_error)
{
	const struct km_visitor *visitor = request->visitor;

	*ret_error = -EINVAL;
	if (!request->server)
		return NULL;
	*ret_error = -ECHILD;
	if (request->server->client->pid == KM_INHERITED)
		return NULL;
	*ret_error = -EINVAL;
	if (request->task >= visitor->count)
		return NULL;
	struct km_task *task = &visitor->tasks[request->task];
	return task->serial == request->serial ? task : NULL;
}

/* Has the request ended after a last reply, or after one in vain? */
static km_always_inline int settle(struct kickmsg_request *request, int r)
{
	struct km_visitor *visitor = request->visitor;
	struct km_task *task = &visitor->tasks[request->task];

	if (r == -ECONNRESET && task->serial == request->serial)
		km_task_free(visitor, request->task);
	if (task->serial != request->serial) {
		request->server = NULL;
		request->data = NULL;
	}
	return r;
}

KM_EXPORT int kickmsg_request_status(const struct kickmsg_request *request)
{
	int r;
	const struct km_task *task = find(request, &r);

	if (!task)
		return r;
	struct km_visitor *visitor = request->visitor;
	km_visitor_pump(visitor);
	km_channel_look(&visitor->channel);
	return km_task_status(visitor, task);
}

KM_EXPORT int kickmsg_reply(struct kickmsg_request *request, const void *data, size_t len)
{
	int r;
	struct km_task *task = find(request, &r);

	if (!task)
		return r;
	const struct km_label last = { .id = task->id, .word = 1, .kind = KM_MESSAGE_LAST };
	return settle(
		request, km_task_send_last(request->visitor, request->task, data, len, &last));
}

KM_EXPORT int kickmsg_reply_error(struct kickmsg_request *request, int error)
{
	int r;
	const struct km_task *task = find(request, &r);

	if (task && (error >= 0 || error < -4095))
		return -EINVAL;
	return task ? settle(request, km_task_send_error(request->visitor, request->task, error))
		    : r;
}

static bool may_more(const struct kickmsg_request *request, const struct km_task *task)
{
	return task->replies + 1 < request->server->shape.max_replies;
}

KM_EXPORT int kickmsg_reply_more(struct kickmsg_request *request, const void *data, size_t len)
{
	int r;
	struct km_task *task = find(request, &r);

	if (!task)
		return r;
	if (!may_more(request, task))
		return -EDQUOT;
	struct km_visitor *visitor = request->visitor;
	const struct km_label more = { .id = task->id, .kind = KM_MESSAGE_MORE };
	r = km_channel_send(&visitor->channel, data, len, &more, NULL);
	task->replies += r == 0;
	return settle(request, r);
}

KM_EXPORT int kickmsg_reply_loan(struct kickmsg_request *request, size_t len, void **ret_payload)
{
	int r;
	const struct km_task *task = find(request, &r);

	if (!task)
		return r;
	struct km_visitor *visitor = request->visitor;
	return settle(request, km_channel_loan(&visitor->channel, len, ret_payload));
}

KM_EXPORT int kickmsg_reply_publish(
	struct kickmsg_request *request, void *payload, size_t len, int more)
{
	int r;
	struct km_task *task = find(request, &r);

	if (!task)
		return r;
	if (more && !may_more(request, task))
		return -EDQUOT;
	struct km_visitor *visitor = request->visitor;
	const struct km_label label = {
		.id = task->id, .word = 1, .kind = more ? KM_MESSAGE_MORE : KM_MESSAGE_LAST
	};
	r = km_channel_publish(
		&visitor->channel, payload, len, &label, more ? NULL : &task->sample);
	if (r == 0 && more)
		task->replies++;
	else if (r == 0)
		km_task_free(visitor, request->task);
	return settle(request, r);
}

KM_EXPORT int kickmsg_reply_discard(struct kickmsg_request *request, void *payload)
{
	int r;

	if (!find(request, &r))
		return r;
	struct km_visitor *visitor = request->visitor;
	return km_channel_discard(&visitor->channel, payload);
}
