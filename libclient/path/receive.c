/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving: chooses by the region's path (rings_receive.c, shared_receive.c), and waits, which is
 * the same for both: try, spin for a while, then sleep and try again. Sleeping is waiter.h's and
 * bell.h's, giving back hold.h's.
 */
#include <errno.h>

#include "common/clock.h"
#include "common/ring/waiter.h"
#include "libclient/export.h"
#include "libclient/path/hold.h"
#include "libclient/path/reliable.h"
#include "libclient/path/rings_receive.h"
#include "libclient/path/shared_receive.h"
#include "libclient/rejoin/move.h"
#include "libclient/rejoin/past.h"
#include "libclient/wait/ready.h"

/* A subscriber that wants the newest messages alone loses the older ones here. */
static km_noinline void skip_old(struct kickmsg_subscriber *subscriber)
{
	if (subscriber->handle.place.ring)
		km_rings_skip(subscriber, subscriber->depth);
	else
		km_shared_skip(subscriber, subscriber->depth);
}

static int receive_newest(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret);
static ssize_t copy_newest(struct kickmsg_subscriber *subscriber, void *buf, size_t size);

#define EACH_NEWEST      KM_PATH_NEWEST... KM_PATH_RELIABLE - 1
#define EACH_RELIABLE    KM_PATH_RELIABLE... KM_PATH_RELIABLE + KM_PATH_NEWEST - 1
#define EACH_KEPT        KM_PATH_KEPT... KM_PATH_KEPT + KM_PATH_NEWEST - 1
#define EACH_NEWEST_KEPT KM_PATH_KEPT + KM_PATH_NEWEST... KM_PATHS - 1

static int (*const receives[KM_PATHS])(struct kickmsg_subscriber *, struct kickmsg_sample *) = {
	[KM_PATH_RINGS] = km_rings_receive,
	[KM_PATH_SHARED] = km_shared_receive,
	[KM_PATH_RINGS_TIMED] = km_rings_receive, /* it takes the time in any case */
	[KM_PATH_SHARED_TIMED] = km_shared_receive_timed,
	[EACH_NEWEST] = receive_newest,
	[EACH_RELIABLE] = km_reliable_receive,
	[EACH_KEPT] = km_rings_receive_anyhow,
	[EACH_NEWEST_KEPT] = receive_newest,
};

static ssize_t (*const copies[KM_PATHS])(struct kickmsg_subscriber *, void *, size_t) = {
	[KM_PATH_RINGS] = km_rings_receive_copy,
	[KM_PATH_SHARED] = km_shared_receive_copy,
	[KM_PATH_RINGS_TIMED] = km_rings_receive_copy,
	[KM_PATH_SHARED_TIMED] = km_shared_receive_copy_timed,
	[EACH_NEWEST] = copy_newest,
	[EACH_RELIABLE] = km_reliable_receive_copy,
	[EACH_KEPT] = km_rings_copy_anyhow,
	[EACH_NEWEST_KEPT] = copy_newest,
};

static int receive_newest(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret)
{
	skip_old(subscriber);
	return receives[subscriber->handle.place.region.path & ~KM_PATH_NEWEST](subscriber, ret);
}

static ssize_t copy_newest(struct kickmsg_subscriber *subscriber, void *buf, size_t size)
{
	skip_old(subscriber);
	return copies[subscriber->handle.place.region.path & ~KM_PATH_NEWEST](
		subscriber, buf, size);
}

KM_EXPORT int kickmsg_try_receive(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret)
{
	return receives[subscriber->handle.place.region.path](subscriber, ret);
}

KM_EXPORT ssize_t kickmsg_try_receive_copy(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size)
{
	return copies[subscriber->handle.place.region.path](subscriber, buf, size);
}

/* One try of kickmsg_receive_into(). */
static int try_receive_into(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size, struct kickmsg_sample *ret)
{
	int r;

	do {
		if (subscriber->depth != 0)
			skip_old(subscriber);
		if (subscriber->handle.place.region.path & KM_PATH_RELIABLE)
			r = km_reliable_receive_into(subscriber, buf, size, ret);
		else
			r = subscriber->handle.place.ring
				    ? km_rings_receive_into(subscriber, buf, size, ret)
				    : km_shared_receive_into(subscriber, buf, size, ret);
	} while (r == -ERESTART); /* as often as there are regions to go to */
	return r;
}

KM_EXPORT int kickmsg_sample_is_held(const struct kickmsg_sample *sample)
{
	const struct kickmsg_subscriber *subscriber = sample->subscriber;
	const struct km_place *of = subscriber ? &subscriber->handle.place : NULL;

	while (of && !km_hold_of(of, sample))
		of = of->past;
	return of != NULL;
}

/* Messages of a newcomer's history go by the single call. */
static int none(struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret, uint32_t count)
{
	return 0;
}

/* The ways to receive many. Old messages are skipped before. */
static int (*const manys[KM_PATHS])(
	struct kickmsg_subscriber *, struct kickmsg_sample *, uint32_t) = {
	[KM_PATH_RINGS] = km_rings_receive_many,
	[KM_PATH_SHARED] = km_shared_receive_many,
	[KM_PATH_RINGS_TIMED] = km_rings_receive_many,
	[KM_PATH_SHARED_TIMED] = km_shared_receive_many_timed,
	[KM_PATH_NEWEST | KM_PATH_RINGS] = km_rings_receive_many,
	[KM_PATH_NEWEST | KM_PATH_SHARED] = km_shared_receive_many,
	[KM_PATH_NEWEST | KM_PATH_RINGS_TIMED] = km_rings_receive_many,
	[KM_PATH_NEWEST | KM_PATH_SHARED_TIMED] = km_shared_receive_many_timed,
	[EACH_RELIABLE] = km_reliable_receive_many,
	[KM_PATH_KEPT... KM_PATHS - 1] = none,
};

static int receive_some(
	struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret, size_t count)
{
	const uint32_t at_once = count < KM_MANY ? (uint32_t)count : KM_MANY;

	return manys[subscriber->handle.place.region.path](subscriber, ret, at_once);
}

/* A receive that finds nothing tells all that depends on it (ready.h). The ways to receive many
 * don't tell, so they get the first message only where one is there. */
static ssize_t try_receive_many(
	struct kickmsg_subscriber *subscriber, struct kickmsg_sample *ret, size_t count)
{
	size_t done = 0;
	int r;

	if (__builtin_expect(subscriber->depth != 0, 0))
		skip_old(subscriber);
	while (done < count && (r = receive_some(subscriber, ret + done, count - done)) > 0)
		done += (size_t)r;
	if (done > 0 || r < 0)
		return done > 0 ? (ssize_t)done : r;
	r = kickmsg_try_receive(subscriber, ret);
	if (r < 0 || count == 1)
		return r < 0 ? r : 1;
	r = receive_some(subscriber, ret + 1, count - 1);
	return r > 0 ? 1 + r : 1;
}

km_noinline int km_sample_release_past(
	struct kickmsg_sample *sample, struct kickmsg_subscriber *subscriber)
{
	struct km_place *of = subscriber->handle.place.past;
	struct km_hold *hold = NULL;

	while (of && !(hold = km_hold_of(of, sample)))
		of = of->past;
	if (!of)
		return km_handle_refusal(&subscriber->handle, -EINVAL);
	km_place_let_go(of, hold);
	km_handle_settle(&subscriber->handle);
	return km_hold_released(subscriber, sample);
}

KM_EXPORT int kickmsg_sample_release(struct kickmsg_sample *sample)
{
	return km_sample_release(sample);
}

KM_EXPORT ssize_t kickmsg_release_many(struct kickmsg_sample *samples, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int r = km_sample_release(&samples[i]);

		if (r < 0)
			return i > 0 ? (ssize_t)i : r;
	}
	return (ssize_t)count;
}

/* --- waiting -------------------------------------------------------------------------------------- */

/* One try of a receive in either style. */
struct attempt {
	size_t many;                   /* of samples; 0: one */
	struct kickmsg_sample *sample; /* null: the message is copied and not described */
	void *buf;
	size_t size;
	bool borrows; /* else it copies */
};

static ssize_t try_once(struct kickmsg_subscriber *subscriber, const struct attempt *attempt)
{
	if (attempt->many)
		return try_receive_many(subscriber, attempt->sample, attempt->many);
	if (attempt->borrows)
		return kickmsg_try_receive(subscriber, attempt->sample);
	if (attempt->sample)
		return try_receive_into(subscriber, attempt->buf, attempt->size, attempt->sample);
	return kickmsg_try_receive_copy(subscriber, attempt->buf, attempt->size);
}

/* Polling ahead of sleep pays while messages come within spin_ns. Where they didn't a few times in a
 * row it would only heat a CPU: then one wait in many finds out whether it pays again. */
#define SPINS_IN_VAIN    4
#define WAITS_TILL_AGAIN 16

static bool is_to_spin(struct kickmsg_subscriber *subscriber)
{
	if (subscriber->spin_ns == 0)
		return false;
	return subscriber->spins_in_vain < SPINS_IN_VAIN ||
	       subscriber->spins_in_vain++ % WAITS_TILL_AGAIN == 0;
}

static ssize_t spin(
	struct kickmsg_subscriber *subscriber, const struct attempt *attempt, int64_t deadline_ns)
{
	int64_t end_ns;

	if (__builtin_add_overflow(km_clock_ns(), (int64_t)subscriber->spin_ns, &end_ns))
		end_ns = INT64_MAX;
	if (deadline_ns < end_ns)
		end_ns = deadline_ns;
	do {
		for (int i = 0; i < 64; i++) {
			ssize_t r = try_once(subscriber, attempt);

			if (r != -EAGAIN) {
				subscriber->spins_in_vain = 0;
				return r;
			}
			km_pause();
		}
	} while (km_clock_ns() < end_ns && !km_interrupt_is_asked(&subscriber->interrupt));
	/* at the deadline it was the caller that had no more time */
	if (end_ns != deadline_ns)
		subscriber->spins_in_vain++;
	return -EAGAIN;
}

/*
 * A sleeping subscriber looks for itself after KM_PATIENCE_NS. A message that it finds by that came
 * without a wake. Another subscriber of a shared ring marks the bell WOKEN that wasn't rung, or a
 * publisher has died before its wake, or may not call futex(2). From then on the subscriber looks
 * after MISTRUST_NS, and with each wake that does come an eighth later.
 */
#define MISTRUST_NS INT64_C(1000000)

static int sleep_a_while(struct kickmsg_subscriber *subscriber, uint64_t ends, int64_t deadline_ns)
{
	const struct km_place *here = &subscriber->handle.place;

	if (subscriber->patience_ns == 0)
		subscriber->patience_ns = KM_PATIENCE_NS;
	struct km_sleep sleep = {
		.ends = ends,
		.stop = &subscriber->interrupt.asked,
		.deadline_ns = km_clock_ns() + subscriber->patience_ns,
	};

	if (deadline_ns < sleep.deadline_ns)
		sleep.deadline_ns = deadline_ns;
	km_interrupt_begin_sleep(&subscriber->interrupt, km_subscriber_word(subscriber));
	int r = here->ring ? km_waiter_sleep(&here->region, here->ring, &sleep)
			   : km_shared_sleep(here, &sleep);
	km_interrupt_end_sleep(&subscriber->interrupt);
	return r;
}

/* Judges a sleep that ended with `slept` and after which a message was there. */
static void judge(struct kickmsg_subscriber *subscriber, int slept)
{
	int64_t *patience_ns = &subscriber->patience_ns;

	if (slept == -ETIMEDOUT)
		*patience_ns = MISTRUST_NS;
	else if (*patience_ns < KM_PATIENCE_NS)
		*patience_ns += *patience_ns / 8;
}

static ssize_t sleep_for(
	struct kickmsg_subscriber *subscriber, const struct attempt *attempt, int64_t deadline_ns)
{
	ssize_t r = -EAGAIN;

	if (is_to_spin(subscriber))
		r = spin(subscriber, attempt, deadline_ns);
	while (r == -EAGAIN) {
		uint64_t ends;
		int64_t until_ns = km_subscriber_rest(subscriber, deadline_ns, &ends);
		int slept = sleep_a_while(subscriber, ends, until_ns);

		r = try_once(subscriber, attempt);
		if (r != -EAGAIN)
			judge(subscriber, slept);
		else if (km_interrupt_take(&subscriber->interrupt) ||
			 (slept == -EINTR && subscriber->interruptible))
			r = -EINTR;
		else if (km_clock_ns() >= deadline_ns)
			r = -ETIMEDOUT;
	}
	return r;
}

static ssize_t wait_for(
	struct kickmsg_subscriber *subscriber, const struct attempt *attempt, int64_t timeout_ns)
{
	ssize_t r = try_once(subscriber, attempt);

	if (r != -EAGAIN || timeout_ns == 0)
		return r;
	int64_t deadline_ns = km_wait_deadline(timeout_ns);
	km_ready_suspend(subscriber);
	r = sleep_for(subscriber, attempt, deadline_ns);
	km_ready_resume(subscriber);
	return r;
}

KM_EXPORT int kickmsg_receive(
	struct kickmsg_subscriber *subscriber, int64_t timeout_ns, struct kickmsg_sample *ret)
{
	struct attempt attempt = { .sample = ret, .borrows = true };

	return (int)wait_for(subscriber, &attempt, timeout_ns);
}

KM_EXPORT ssize_t kickmsg_receive_many(struct kickmsg_subscriber *subscriber, int64_t timeout_ns,
	struct kickmsg_sample *ret, size_t count)
{
	struct attempt attempt = { .many = count, .sample = ret };

	return count > 0 ? wait_for(subscriber, &attempt, timeout_ns) : -EINVAL;
}

KM_EXPORT ssize_t kickmsg_receive_copy(
	struct kickmsg_subscriber *subscriber, void *buf, size_t size, int64_t timeout_ns)
{
	struct attempt attempt = { .buf = buf, .size = size };

	return wait_for(subscriber, &attempt, timeout_ns);
}

KM_EXPORT int kickmsg_receive_into(struct kickmsg_subscriber *subscriber, void *buf, size_t size,
	int64_t timeout_ns, struct kickmsg_sample *ret)
{
	struct attempt attempt = { .sample = ret, .buf = buf, .size = size };

	return (int)wait_for(subscriber, &attempt, timeout_ns);
}

/* --- losses --------------------------------------------------------------------------------------- */

KM_EXPORT uint64_t kickmsg_subscriber_lost(const struct kickmsg_subscriber *subscriber)
{
	const struct km_place *here = &subscriber->handle.place;
	uint64_t lost, waiting;

	if (here->ring)
		lost = km_rings_lost(subscriber);
	else
		km_shared_count(subscriber, &lost, &waiting);
	return here->rejoined ? lost + km_past_lost(here) : lost;
}
