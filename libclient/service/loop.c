/* SPDX-License-Identifier: Apache-2.0 */
/* Servers and callers in event loops: see loop.h. */
#include "libclient/service/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fd.h"
#include "common/ring/waiter.h"

static int add(const struct km_loop *loop, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void take_out(const struct km_loop *loop, int fd)
{
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
}

static int make(struct km_loop *loop)
{
	loop->epoll = km_fd_above_stdio(epoll_create1(EPOLL_CLOEXEC));
	if (loop->epoll < 0)
		return -errno;
	loop->self = km_fd_above_stdio(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
	if (loop->self < 0)
		return -errno;
	loop->timer = km_fd_above_stdio(
		timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
	if (loop->timer < 0)
		return -errno;
	int r = add(loop, loop->self);
	return r < 0 ? r : add(loop, loop->timer);
}

int km_loop_new(struct kickmsg_client *client, struct km_loop **ret)
{
	struct km_loop *loop = calloc(1, sizeof *loop);
	int r = 0;

	if (!loop)
		return -ENOMEM;
	*loop = (struct km_loop){
		.client = client, .epoll = -1, .self = -1, .timer = -1, .is_set = true
	};
	pthread_mutex_lock(&client->lock);
	if (!client->watch)
		r = km_watch_new(&client->watch);
	pthread_mutex_unlock(&client->lock);
	if (r == 0)
		r = make(loop);
	if (r < 0) {
		km_loop_close(loop);
		free(loop);
		return r;
	}
	*ret = loop;
	return 0;
}

void km_loop_close(struct km_loop *loop)
{
	if (!loop)
		return;
	loop->timer = km_close(loop->timer);
	loop->self = km_close(loop->self);
	loop->epoll = km_close(loop->epoll);
}

void km_loop_set(struct km_loop *loop)
{
	const uint64_t one = 1;

	if (loop->is_set)
		return;
	KM_KEEP_ERRNO;
	loop->is_set = true;
	if (write(loop->self, &one, sizeof one) < 0)
		return; /* full: it is readable all the same */
}

void km_loop_rest(struct km_loop *loop, int64_t until_ns)
{
	KM_KEEP_ERRNO;
	int64_t now = km_clock_ns(), ends = now + KM_PATIENCE_NS;
	uint64_t count;

	if (until_ns < ends)
		ends = until_ns > 0 ? until_ns : 1;
	if (loop->is_set && read(loop->self, &count, sizeof count) < 0)
		count = 0; /* it was quiet already */
	loop->is_set = false;
	/* a timer that passes sooner is good enough */
	if (loop->timer_ns > now && loop->timer_ns <= ends)
		return;
	struct itimerspec time = { .it_value = { ends / 1000000000, ends % 1000000000 } };
	timerfd_settime(loop->timer, TFD_TIMER_ABSTIME, &time, NULL);
	loop->timer_ns = ends;
}

/* --- words ---------------------------------------------------------------------------------------- */

int km_loop_watch(struct km_loop *loop, struct km_watched *watched, const struct km_region *region)
{
	*watched = (struct km_watched){ 0 };
	int r = km_watch_begin(loop->client->watch, watched, &region->header->changes);

	if (r < 0)
		return r;
	km_watch_fire(watched);
	r = add(loop, watched->fd);
	if (r < 0)
		km_loop_unwatch(loop, watched);
	return r;
}

void km_loop_unwatch(struct km_loop *loop, struct km_watched *watched)
{
	if (!watched->watch)
		return;
	take_out(loop, watched->fd);
	km_watch_end(watched);
	*watched = (struct km_watched){ 0 };
}

bool km_loop_arm_word(struct km_watched *watched, uint32_t value)
{
	KM_KEEP_ERRNO;

	if (km_watch_waits(watched))
		return false;
	km_watch_quiet(watched);
	km_watch_arm(watched, value);
	/* the broker wakes every sleeper at that word, without an announcement */
	if (km_watch_settle(watched, value))
		return false;
	km_watch_fire(watched);
	return true;
}

/* --- channels ------------------------------------------------------------------------------------- */

int km_loop_join(struct km_loop *loop, struct km_channel *channel, bool ends)
{
	int r = kickmsg_subscriber_get_fd(channel->in);

	channel->next = NULL; /* each look arms */
	if (r >= 0)
		r = add(loop, r);
	channel->muted = r < 0;
	if (r == 0 && ends)
		r = km_loop_watch(loop, &channel->ends, &channel->in->handle.place.region);
	return r;
}

void km_loop_leave(struct km_loop *loop, struct km_channel *channel)
{
	/* without a loop the channel has no descriptors */
	km_loop_mute(loop, channel, true);
	km_loop_unwatch(loop, &channel->ends);
}

void km_loop_mute(struct km_loop *loop, struct km_channel *channel, bool muted)
{
	KM_KEEP_ERRNO;

	if (channel->muted == muted || !channel->in || !channel->in->ready)
		return;
	int fd = channel->in->ready->watched.fd;
	if (muted)
		take_out(loop, fd);
	/* a channel that the kernel has no room for stays muted: the timer's look finds its messages, and the
	 * next arming tries again */
	channel->muted = muted || add(loop, fd) < 0;
}

bool km_loop_arm(struct km_channel *channel)
{
	return channel->ends.watch && km_loop_arm_word(&channel->ends, channel->changes);
}
