/* SPDX-License-Identifier: Apache-2.0 */
/* Segments made ahead of time: see spare.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/cleanup.h"
#include "common/memory/segment.h"
#include "common/protocol/wire.h"
#include "daemon/run/room.h"
#include "daemon/serve/spare.h"

static const struct timeval at_once = { 0, 0 }, kept = { .tv_sec = KM_SPARE_KEPT_S };

struct spare {
	uint64_t size; /* that was asked for; 0: none */
	uint64_t done; /* bytes that are there */
	int fd;
	bool again; /* it was asked for twice */
};

struct km_spares {
	struct event *event;
	struct spare spares[KM_SPARES]; /* the one that was asked for last comes first */
	bool resting;                   /* none is to be made */
};

static void forget(struct spare *spare)
{
	km_close(spare->fd);
	*spare = (struct spare){ .fd = -1 };
}

/* Does the broker have more than half of its descriptors free? */
static bool is_low(int fd)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)fd < limit.rlim_cur / 2;
}

/* Makes a piece. False: there is nothing to be made. */
static bool make_some(struct km_spares *spares)
{
	char text[KM_WIRE_TEXT_SIZE];
	struct spare *spare = spares->spares;

	while (spare < spares->spares + KM_SPARES && (!spare->again || spare->done == spare->size))
		spare++;
	if (spare == spares->spares + KM_SPARES)
		return false;
	uint64_t piece = spare->size - spare->done;
	if (piece > KM_SPARE_PIECE)
		piece = KM_SPARE_PIECE;
	int r = 0;
	if (spare->fd < 0)
		r = km_room_check(spare->size, text, sizeof text);
	if (r == 0 && spare->fd < 0)
		r = km_segment_begin("kickmsgd-spare", spare->size, &spare->fd);
	if (r == 0)
		r = is_low(spare->fd) ? km_segment_reserve(spare->fd, spare->done, piece) : -EMFILE;
	if (r == 0)
		spare->done += piece;
	else
		forget(spare);
	return true;
}

static void on_time(evutil_socket_t fd, short what, void *userdata)
{
	struct km_broker *broker = userdata;
	struct km_spares *spares = broker->spares;

	if (spares->resting)
		km_spare_drop(broker);
	else if (make_some(spares))
		evtimer_add(spares->event, &at_once);
	else {
		spares->resting = true;
		evtimer_add(spares->event, &kept);
	}
}

/* The spare of that size, which is put in front. A new one takes the place of one that was asked for
 * once, if there is any. */
static struct spare *find(struct km_spares *spares, uint64_t size)
{
	struct spare *first = spares->spares;
	size_t at = KM_SPARES - 1;

	for (size_t i = KM_SPARES; i-- > 0 && first[at].size != size;)
		if (first[i].size == size || (first[at].again && !first[i].again))
			at = i;
	struct spare found = first[at];
	memmove(first + 1, first, at * sizeof found);
	found.again = found.size == size;
	if (!found.again) {
		forget(&found);
		found.size = size;
	}
	*first = found;
	return first;
}

int km_spare_take(struct km_broker *broker, const char *name, uint64_t size, int *ret_fd)
{
	struct km_spares *spares = broker->spares;

	if (size < KM_SPARE_MIN || size > KM_SPARE_MAX)
		return km_segment_create(name, size, ret_fd);
	struct spare *spare = find(spares, size);
	spares->resting = false;
	evtimer_add(spares->event, &at_once);
	if (spare->fd < 0)
		return km_segment_create(name, size, ret_fd);
	_cleanup_(km_closep) int fd = km_steal_fd(spare->fd);
	int r = km_segment_reserve(fd, spare->done, size - spare->done);
	spare->done = 0;
	if (r == 0)
		*ret_fd = km_steal_fd(fd);
	return r;
}

uint64_t km_spare_drop(struct km_broker *broker)
{
	uint64_t bytes = 0;

	for (int i = 0; i < KM_SPARES; i++) {
		bytes += broker->spares->spares[i].done;
		forget(&broker->spares->spares[i]);
	}
	return bytes;
}

int km_spare_init(struct km_broker *broker)
{
	broker->spares = calloc(1, sizeof *broker->spares);
	if (!broker->spares)
		return -ENOMEM;
	for (int i = 0; i < KM_SPARES; i++)
		broker->spares->spares[i].fd = -1;
	broker->spares->event = evtimer_new(broker->base, on_time, broker);
	return broker->spares->event ? 0 : -ENOMEM;
}

void km_spare_deinit(struct km_broker *broker)
{
	if (!broker->spares)
		return;
	km_spare_drop(broker);
	if (broker->spares->event)
		event_free(broker->spares->event);
	free(broker->spares);
	broker->spares = NULL;
}
