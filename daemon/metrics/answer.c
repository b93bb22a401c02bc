/* SPDX-License-Identifier: Apache-2.0 */
/* Answers in turns: see answer.h. */
#include <stdarg.h>
#include <stdlib.h>

#include "daemon/metrics/answer.h"
#include "daemon/serve/list.h"
#include "daemon/topic/topic.h"

static bool on_turn(struct km_work *work)
{
	struct km_answer *answer = (struct km_answer *)work;

	if (answer->step(answer) && !answer->failed)
		return true;
	answer->on_done(answer->userdata, answer->failed ? NULL : answer->body);
	return false;
}

void *km_answer_new(struct km_broker *broker, size_t size, const char *type,
	bool (*step)(struct km_answer *answer))
{
	struct km_answer *answer = calloc(1, size);

	if (!answer)
		return NULL;
	answer->work.step = on_turn;
	answer->broker = broker;
	answer->body = evbuffer_new();
	answer->type = type;
	answer->end = broker->next_topic;
	answer->step = step;
	if (!answer->body) {
		free(answer);
		return NULL;
	}
	return answer;
}

void km_answer_free(struct km_answer *answer)
{
	if (!answer)
		return;
	km_turn_remove(&answer->broker->turns, &answer->work);
	if (answer->deinit)
		answer->deinit(answer);
	evbuffer_free(answer->body);
	free(answer);
}

void km_answer_begin(struct km_answer *answer, km_answer_fn *on_done, void *userdata)
{
	answer->on_done = on_done;
	answer->userdata = userdata;
	km_turn_add(&answer->broker->turns, &answer->work);
}

void km_answer_put(struct km_answer *answer, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	answer->failed |= evbuffer_add_vprintf(answer->body, format, args) < 0;
	va_end(args);
}

bool km_answer_tour(struct km_answer *answer)
{
	struct km_broker *broker = answer->broker;
	struct km_topic *topic = km_list_first_after(broker, answer->cursor);
	int64_t done = 0;

	while (topic && topic->kept.id <= answer->end && done < KM_PIECE) {
		answer->cursor = topic->kept.id;
		done += answer->tell(answer, topic);
		topic = TAILQ_NEXT(topic, in_all);
	}
	broker->list_cursor = answer->cursor;
	broker->list_next = topic;
	return topic && topic->kept.id <= answer->end && !answer->failed;
}
