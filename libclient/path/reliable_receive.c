/* SPDX-License-Identifier: Apache-2.0 */
/* Receiving as a reliable subscriber (reliable.h): as any with a ring of its own, and behind it a
 * look whether a publisher waits for the room that it has made. */
#include "libclient/path/reliable.h"

#include <errno.h>

#include "common/shared/room.h"
#include "libclient/export.h"
#include "libclient/path/rings_receive.h"
#include "libclient/path/shared_receive.h"

/* The subscriber's bit is gone. Says once that it is an ordinary one: the path is the usual one from then
 * on. */
static km_noinline bool become_ordinary(struct kickmsg_subscriber *subscriber)
{
	struct km_place *here = &subscriber->handle.place;

	if (km_load(L4, relaxed, &here->region.header->live) & KM_LIVE_QUARANTINED)
		return false;
	here->region.path &= ~(uint32_t)KM_PATH_RELIABLE;
	return true;
}

/* Has the broker made it an ordinary one? */
static km_always_inline bool is_demoted(struct kickmsg_subscriber *subscriber)
{
	const struct km_place *here = &subscriber->handle.place;

	return __builtin_expect(!km_room_is_kept(&here->region, here->ring_index), 0) &&
	       become_ordinary(subscriber);
}

/* A message was taken, perhaps one of no use. A receive may have moved the subscriber (-ERESTART, or a
 * message of a fresh place), and the fresh place may be in a shared ring, whose step it has done then. */
static km_always_inline void make_room(const struct kickmsg_subscriber *subscriber, ssize_t r)
{
	const struct km_region *region = &subscriber->handle.place.region;

	if (r != -EAGAIN && !region->shared)
		km_room_made(region);
}

/* --- with a shared ring --------------------------------------------------------------------------- */

static bool is_timed(const struct kickmsg_subscriber *subscriber)
{
	return subscriber->handle.place.region.geometry.timestamps;
}

/* The reader has gone on, perhaps over messages of no use; perhaps to a place with a ring of its own. */
static km_always_inline void pass_on(struct kickmsg_subscriber *subscriber)
{
	struct km_place *here = &subscriber->handle.place;

	if (here->next == here->said || !here->region.shared)
		return;
	here->said = here->next;
	km_room_made_before(&here->region, here->ring_index, here->next);
}

static int receive_shared(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret)
{
	int r = is_timed(subscriber) ? km_shared_receive_timed(subscriber, ret)
				     : km_shared_receive(subscriber, ret);
	pass_on(subscriber);
	return r;
}

static ssize_t copy_shared(struct kickmsg_subscriber *subscriber, void *buf, size_t size)
{
	ssize_t r = is_timed(subscriber) ? km_shared_receive_copy_timed(subscriber, buf, size)
					 : km_shared_receive_copy(subscriber, buf, size);
	pass_on(subscriber);
	return r;
}

static int receive_many_shared(
	struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret, uint32_t count)
{
	int r = is_timed(subscriber) ? km_shared_receive_many_timed(subscriber, ret, count)
				     : km_shared_receive_many(subscriber, ret, count);
	pass_on(subscriber);
	return r;
}

static int receive_into_shared(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size, struct kickmsg_sample *ret)
{
	int r = km_shared_receive_into(subscriber, buf, size, ret);
	pass_on(subscriber);
	return r;
}

/* --- with either ---------------------------------------------------------------------------------- */

static km_always_inline bool is_shared(const struct kickmsg_subscriber *subscriber)
{
	return subscriber->handle.place.region.shared != NULL;
}

int km_reliable_receive(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret)
{
	if (is_demoted(subscriber))
		return -ENOLINK;
	if (is_shared(subscriber))
		return receive_shared(subscriber, ret);
	int r = km_rings_receive(subscriber, ret);
	make_room(subscriber, r);
	return r;
}

ssize_t km_reliable_receive_copy(struct kickmsg_subscriber *subscriber, void *buf, size_t size)
{
	if (is_demoted(subscriber))
		return -ENOLINK;
	if (is_shared(subscriber))
		return copy_shared(subscriber, buf, size);
	ssize_t r = km_rings_receive_copy(subscriber, buf, size);
	make_room(subscriber, r);
	return r;
}

int km_reliable_receive_many(
	struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret, uint32_t count)
{
	/* the single receive says it */
	if (!km_room_is_kept(&subscriber->handle.place.region, subscriber->handle.place.ring_index))
		return 0;
	if (is_shared(subscriber))
		return receive_many_shared(subscriber, ret, count);
	int r = km_rings_receive_many(subscriber, ret, count);
	make_room(subscriber, r == 0 ? -EAGAIN : r);
	return r;
}

int km_reliable_receive_into(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size, struct kickmsg_sample *ret)
{
	if (is_demoted(subscriber))
		return -ENOLINK;
	if (is_shared(subscriber))
		return receive_into_shared(subscriber, buf, size, ret);
	int r = km_rings_receive_into(subscriber, buf, size, ret);
	make_room(subscriber, r);
	return r;
}
