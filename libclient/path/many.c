/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many messages at a time. The usual ones go by the transport's *_many(), in pieces of KM_MANY. A
 * message for which that function would have to look at something goes by the single call. So the
 * two mean the same, message by message.
 */
#include <errno.h>

#include "libclient/export.h"
#include "libclient/path/rings_send.h"
#include "libclient/path/shared_send.h"

static uint32_t at_once(size_t count)
{
	return count < KM_MANY ? (uint32_t)count : KM_MANY;
}

/* Takes none: with timestamps each message looks at the clock, with reliable subscribers for room, and with
 * history who came behind its commit to the kept ring. So it goes by the single call. */
static int none(struct kickmsg_publisher *publisher, const struct iovec *messages, uint32_t count,
	bool *ret_stale)
{
	return 0;
}

static km_always_inline ssize_t in_pieces(struct kickmsg_publisher *publisher,
	const struct iovec *messages, size_t count,
	int (*some)(struct kickmsg_publisher *, const struct iovec *, uint32_t, bool *),
	ssize_t (*one)(struct kickmsg_publisher *, const struct iovec *))
{
	size_t done = 0;
	ssize_t r = 0;

	while (done < count && r >= 0) {
		bool stale = false;

		r = some(publisher, &messages[done], at_once(count - done), &stale);
		done += (size_t)r;
		if (stale) {
			r = -ESTALE;
		} else if (r == 0) {
			r = one(publisher, &messages[done]);
			done += r >= 0;
		}
	}
	return done > 0 ? (ssize_t)done : r;
}

/* Sends some. The place may have another path behind each message. */
static km_always_inline int send_some(struct kickmsg_publisher *publisher,
	const struct iovec *messages, uint32_t count, bool *ret_stale)
{
	static int (*const sends[KM_PATHS])(
		struct kickmsg_publisher *, const struct iovec *, uint32_t, bool *) = {
		[KM_PATH_RINGS] = km_rings_send_many,
		[KM_PATH_SHARED] = km_shared_send_many,
		[KM_PATH_TIMED... KM_PATHS - 1] = none,
	};

	return sends[publisher->handle.place.region.path](publisher, messages, count, ret_stale);
}

static km_always_inline ssize_t send_one(
	struct kickmsg_publisher *publisher, const struct iovec *message)
{
	return kickmsg_send(publisher, message->iov_base, message->iov_len);
}

KM_EXPORT ssize_t kickmsg_send_many(
	struct kickmsg_publisher *publisher, const struct iovec *messages, size_t count)
{
	return in_pieces(publisher, messages, count, send_some, send_one);
}

static km_always_inline int publish_some(struct kickmsg_publisher *publisher,
	const struct iovec *loans, uint32_t count, bool *ret_stale)
{
	return publisher->handle.place.region.path == KM_PATH_RINGS
		       ? km_rings_publish_many(publisher, loans, count, ret_stale)
		       : 0;
}

static km_always_inline ssize_t publish_one(
	struct kickmsg_publisher *publisher, const struct iovec *loan)
{
	return kickmsg_publish(publisher, loan->iov_base, loan->iov_len);
}

KM_EXPORT ssize_t kickmsg_publish_many(
	struct kickmsg_publisher *publisher, const struct iovec *loans, size_t count)
{
	return in_pieces(publisher, loans, count, publish_some, publish_one);
}
