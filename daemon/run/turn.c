/* SPDX-License-Identifier: Apache-2.0 */
/* Long work in turns: see turn.h. */
#include <errno.h>

#include "common/clock.h"
#include "daemon/run/turn.h"

static const struct timeval at_once = { 0, 0 };

/* Work that goes on uses the timer. An event that is made active in its own callback would keep the
 * loop from looking at the sockets. */
static void on_turn(evutil_socket_t fd, short what, void *userdata)
{
	struct km_turns *turns = userdata;
	int64_t end = km_clock_ns() + KM_TURN_NS;
	struct km_work *work = TAILQ_FIRST(&turns->works);

	/* a piece at least, however slow the machine is */
	while (work) {
		km_turn_remove(turns, work);
		if (work->step(work))
			km_turn_add(turns, work);
		work = km_clock_ns() < end ? TAILQ_FIRST(&turns->works) : NULL;
	}
	turns->after(turns->userdata);
	if (!TAILQ_EMPTY(&turns->works))
		evtimer_add(turns->event, &at_once);
}

void km_turn_add(struct km_turns *turns, struct km_work *work)
{
	if (work->queued)
		return;
	if (TAILQ_EMPTY(&turns->works) && turns->event)
		evtimer_add(turns->event, &at_once);
	TAILQ_INSERT_TAIL(&turns->works, work, next);
	work->queued = true;
}

void km_turn_remove(struct km_turns *turns, struct km_work *work)
{
	if (work->queued)
		TAILQ_REMOVE(&turns->works, work, next);
	work->queued = false;
}

int km_turns_init(struct km_turns *turns, struct event_base *base, void (*after)(void *userdata),
	void *userdata)
{
	*turns = (struct km_turns){ .after = after, .userdata = userdata };
	TAILQ_INIT(&turns->works);
	turns->event = evtimer_new(base, on_turn, turns);
	return turns->event ? 0 : -ENOMEM;
}

void km_turns_deinit(struct km_turns *turns)
{
	if (turns->event)
		event_free(turns->event);
	turns->event = NULL;
}
