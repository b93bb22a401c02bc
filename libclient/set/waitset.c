/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for many things at once. A set looks at its members' memory, and sleeps in one of two ways:
 *
 *   words        of subscribers and publishers alone, up to KM_WAIT_WORDS (words.h)
 *   descriptors  with clients or plain descriptors in the set, or more subscribers: ppoll(2), and the
 *                subscribers' descriptors are armed (wait/ready.h)
 *
 * A sleep by words lasts KM_PATIENCE_NS at most, as that of a receive does, and for the same reasons.
 * Each look begins behind the member that was told last, so no ready member waits for others.
 */
#include <errno.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/ring/futex.h"
#include "common/ring/waiter.h"
#include "libclient/export.h"
#include "libclient/path/reliable.h"
#include "libclient/rejoin/move.h"
#include "libclient/set/words.h"
#include "libclient/wait/room.h"

KM_EXPORT void kickmsg_waitset_interrupt(struct kickmsg_waitset *set)
{
	const uint64_t one = 1;
	KM_KEEP_ERRNO;

	km_store(D7, seq_cst, &set->asked, 1);
	km_add(D7, seq_cst, &set->turn, 1);
	km_futex_wake(&set->turn);
	int event = km_load(D7, seq_cst, &set->event);
	if (event >= 0 && write(event, &one, sizeof one) < 0)
		return; /* full: it is readable all the same */
}

/* --- looking ---------------------------------------------------------------------------------------- */

static bool has_something(struct kickmsg_subscriber *subscriber)
{
	return subscriber->has_pending || km_subscriber_look(subscriber, true);
}

/* A region that is left has something to do for a publisher only once there is a fresh one. */
static bool has_room(struct kickmsg_publisher *publisher)
{
	if (km_place_is_left(&publisher->handle.place) && km_publisher_move(publisher))
		return true;
	return km_publisher_has_room(publisher, true);
}

/* Is a subscriber or a publisher ready, by its memory? */
static bool is_awake(const struct km_wait_member *member)
{
	return member->kind == KM_WAIT_FOR_SUBSCRIBER ? has_something(member->subscriber)
						      : has_room(member->publisher);
}

static bool is_ready(const struct km_wait_member *member, int64_t now)
{
	if (km_wait_has_word(member))
		return is_awake(member);
	if (member->kind == KM_WAIT_FOR_DEADLINE)
		return now >= member->deadline_ns;
	return member->polled.revents != 0;
}

/* Fills in revents of members that aren't subscribers. Errors: those of ppoll(2). */
static int poll_others(struct kickmsg_waitset *set)
{
	const struct timespec none = { 0, 0 };
	nfds_t count = 0;

	for (size_t i = 0; i < set->count; i++)
		if (set->members[i].kind == KM_WAIT_FOR_CLIENT ||
			set->members[i].kind == KM_WAIT_FOR_DESCRIPTOR)
			set->polled[count++] = set->members[i].polled;
	if (count == 0)
		return 0;
	if (ppoll(set->polled, count, &none, NULL) < 0)
		return -errno;
	count = 0;
	for (size_t i = 0; i < set->count; i++)
		if (set->members[i].kind == KM_WAIT_FOR_CLIENT ||
			set->members[i].kind == KM_WAIT_FOR_DESCRIPTOR)
			set->members[i].polled.revents = set->polled[count++].revents;
	return 0;
}

static int look(struct kickmsg_waitset *set, void **ret, size_t capacity)
{
	int64_t now = km_clock_ns();
	size_t found = 0, count = set->count;
	int r = poll_others(set);

	if (r < 0)
		return r;
	for (size_t looked = 0; looked < count && found < capacity; looked++) {
		size_t i = set->first < set->count ? set->first : 0;
		bool passes = set->members[i].kind == KM_WAIT_FOR_DEADLINE;

		set->first = i + 1;
		if (!is_ready(&set->members[i], now))
			continue;
		ret[found++] = set->members[i].userdata;
		if (passes) { /* such a member is ready once */
			km_waitset_drop(set, i);
			set->first = i;
		}
	}
	return (int)found;
}

/* Tells of the member that woke the set, without a look at the others: the next call begins with them. */
static bool tell_woken(struct kickmsg_waitset *set, size_t i, void **ret)
{
	if (i >= set->count || !is_awake(&set->members[i]))
		return false;
	ret[0] = set->members[i].userdata;
	set->first = i + 1;
	return true;
}

/* --- sleeping --------------------------------------------------------------------------------------- */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The end of the next sleep. Looks after the connections, too. */
static int64_t until(struct kickmsg_waitset *set, int64_t deadline_ns)
{
	int64_t now = km_clock_ns(), ends = earlier(deadline_ns, now + KM_PATIENCE_NS);
	uint64_t bits;

	for (size_t i = 0; i < set->count; i++) {
		struct km_wait_member *member = &set->members[i];

		if (member->kind == KM_WAIT_FOR_DEADLINE)
			ends = earlier(ends, member->deadline_ns);
		if (member->kind == KM_WAIT_FOR_PUBLISHER)
			ends = earlier(ends, km_reliable_rest(member->publisher));
		if (member->kind != KM_WAIT_FOR_SUBSCRIBER)
			continue;
		ends = km_subscriber_rest(member->subscriber, ends, &bits);
		if (!km_subscriber_word(member->subscriber) &&
			km_waitset_has_words(set)) /* an observer looks each ms */
			ends = earlier(ends, now + KM_NAP_NS);
	}
	return ends;
}

static bool is_any_ready(struct kickmsg_waitset *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (km_wait_has_word(&set->members[i]) && is_awake(&set->members[i]))
			return true;
	return km_load(D7, seq_cst, &set->asked) != 0;
}

/* Returns as km_words_sleep(). */
static size_t sleep_by_words(struct kickmsg_waitset *set, int64_t ends)
{
	km_words_announce(set);
	size_t woken = is_any_ready(set) ? KM_NO_MEMBER : km_words_sleep(set, ends);
	km_words_retract(set);
	return woken;
}

static int sleep_by_descriptors(struct kickmsg_waitset *set, int64_t ends)
{
	uint64_t count;
	nfds_t polled = 1;

	set->polled[0] = (struct pollfd){ km_load(D7, seq_cst, &set->event), POLLIN, 0 };
	for (size_t i = 0; i < set->count; i++) {
		struct km_wait_member *member = &set->members[i];

		if (member->kind == KM_WAIT_FOR_SUBSCRIBER && member->polled.fd >= 0 &&
			km_ready_arm(member->subscriber))
			return 0;
		if (member->kind != KM_WAIT_FOR_DEADLINE)
			set->polled[polled++] = member->polled;
	}
	if (is_any_ready(set))
		return 0;
	struct timespec timeout = km_wait_time(ends - km_clock_ns());
	if (ppoll(set->polled, polled, &timeout, NULL) < 0 && errno != EINTR)
		return -errno;
	if (set->polled[0].revents && read(set->polled[0].fd, &count, sizeof count) < 0)
		return 0; /* another look decides */
	return 0;
}

KM_EXPORT int kickmsg_waitset_wait(
	struct kickmsg_waitset *set, int64_t timeout_ns, void **ret, size_t capacity)
{
	int64_t deadline_ns = km_wait_deadline(timeout_ns);
	int r;
	KM_KEEP_ERRNO;

	if (km_waitset_is_inherited(set))
		return -ECHILD;
	if (capacity == 0)
		return -EINVAL;
	while ((r = look(set, ret, capacity)) == 0) {
		if (timeout_ns == 0)
			return -EAGAIN;
		if (km_load(D7, seq_cst, &set->asked)) {
			km_store(D7, seq_cst, &set->asked, 0);
			return -EINTR;
		}
		if (km_clock_ns() >= deadline_ns)
			return -ETIMEDOUT;
		int64_t ends = until(set, deadline_ns);
		if (km_waitset_has_words(set)) {
			size_t woken = sleep_by_words(set, ends);

			if (tell_woken(set, woken, ret))
				return 1;
		} else if ((r = sleep_by_descriptors(set, ends)) < 0) {
			return r;
		}
	}
	return r;
}
