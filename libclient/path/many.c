/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many messages at a time: what is usual goes by the transport's *_many(), in pieces of KM_MANY, and
 * each message for which that has to look at something goes by the single call. So the two mean the
 * same, message by message.
 */
#include <errno.h>

#include "libclient/export.h"
#include "libclient/path/rings_send.h"
#include "libclient/path/shared_send.h"

static uint32_t at_once(size_t count)
{
	return count < KM_MANY ? (uint32_t)count : KM_MANY;
}

/* How far a call has come, that sends or publishes `count` messages, after one that returned `r`. */
static ssize_t sum_up(size_t done, ssize_t r)
{
	return done > 0 ? (ssize_t)done : r;
}

/* With timestamps each message looks at the clock, and goes by the single call. */
static int none(struct kickmsg_publisher *publisher, const struct iovec *messages, uint32_t count,
	bool *ret_stale)
{
	return 0;
}

static int send_some(struct kickmsg_publisher *publisher, const struct iovec *messages,
	size_t count, bool *ret_stale)
{
	static int (*const sends[KM_PATHS])(
		struct kickmsg_publisher *, const struct iovec *, uint32_t, bool *) = {
		[KM_PATH_RINGS] = km_rings_send_many,
		[KM_PATH_SHARED] = km_shared_send_many,
		[KM_PATH_TIMED... KM_PATHS - 1] = none,
	};

	return sends[publisher->handle.place.region.path](
		publisher, messages, at_once(count), ret_stale);
}

KM_EXPORT ssize_t kickmsg_send_many(
	struct kickmsg_publisher *publisher, const struct iovec *messages, size_t count)
{
	size_t done = 0;
	ssize_t r = 0;

	while (done < count && r >= 0) {
		const struct iovec *next = &messages[done];
		bool stale = false;

		r = send_some(publisher, next, count - done, &stale);
		done += (size_t)r;
		if (stale)
			return sum_up(done, -ESTALE);
		if (r != 0)
			continue;
		r = kickmsg_send(publisher, next->iov_base, next->iov_len);
		done += r >= 0;
	}
	return sum_up(done, r);
}

KM_EXPORT ssize_t kickmsg_publish_many(
	struct kickmsg_publisher *publisher, const struct iovec *loans, size_t count)
{
	size_t done = 0;
	ssize_t r = 0;

	while (done < count && r >= 0) {
		const struct iovec *next = &loans[done];
		bool stale = false;

		r = publisher->handle.place.region.path != KM_PATH_RINGS
			    ? 0
			    : km_rings_publish_many(publisher, next, at_once(count - done), &stale);
		done += (size_t)r;
		if (stale)
			return sum_up(done, -ESTALE);
		if (r != 0)
			continue;
		r = kickmsg_publish(publisher, next->iov_base, next->iov_len);
		done += r >= 0;
	}
	return sum_up(done, r);
}
