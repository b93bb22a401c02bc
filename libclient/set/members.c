/* SPDX-License-Identifier: Apache-2.0 */
/* Members of a wait set come and go: see members.h. */
#include "libclient/set/members.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "common/cleanup.h"
#include "common/fd.h"
#include "libclient/export.h"

KM_EXPORT int kickmsg_waitset_new(struct kickmsg_waitset **ret)
{
	KM_KEEP_ERRNO;
	int r = km_inherit_register();
	if (r < 0)
		return r;
	struct kickmsg_waitset *set = calloc(1, sizeof *set);
	if (!set)
		return -ENOMEM;
	set->forks = km_inherit_forks();
	km_store(D7, seq_cst, &set->event, -1);
	set->ring_from = km_watch_forced() == KICKMSG_WAIT_THREAD ? SIZE_MAX : KM_RING_WORDS;
	*ret = set;
	return 0;
}

KM_EXPORT void kickmsg_waitset_free(struct kickmsg_waitset *set)
{
	KM_KEEP_ERRNO;
	if (!set)
		return;
	km_close(km_load(D7, seq_cst, &set->event));
	km_standing_free(&set->standing);
	free(set->members);
	free(set->polled);
	free(set->words);
	free(set);
}

/* Gives descriptors to the subscribers, and its event to the set, once the set sleeps by
 * descriptors. */
static int get_descriptors(struct kickmsg_waitset *set)
{
	if (km_waitset_has_words(set))
		return 0;
	if (km_load(D7, seq_cst, &set->event) < 0) {
		int event = km_fd_above_stdio(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));

		if (event < 0)
			return -errno;
		km_store(D7, seq_cst, &set->event, event);
	}
	for (size_t i = 0; i < set->count; i++) {
		struct km_wait_member *member = &set->members[i];

		if (!km_wait_has_word(member) || member->polled.fd >= 0)
			continue;
		int fd = member->kind == KM_WAIT_FOR_SUBSCRIBER
				 ? kickmsg_subscriber_get_fd(member->subscriber)
				 : kickmsg_publisher_get_fd(member->publisher);
		if (fd < 0)
			return fd;
		member->polled = (struct pollfd){ .fd = fd, .events = POLLIN };
	}
	return 0;
}

void km_waitset_drop(struct kickmsg_waitset *set, size_t i)
{
	if (km_wait_has_word(&set->members[i]))
		set->sleepers--;
	else if (set->members[i].kind != KM_WAIT_FOR_DEADLINE)
		set->others--;
	set->count--;
	for (; i < set->count; i++)
		set->members[i] = set->members[i + 1];
}

static int add(struct kickmsg_waitset *set, const struct km_wait_member *member)
{
	KM_KEEP_ERRNO;
	if (km_waitset_is_inherited(set))
		return -ECHILD;
	if (set->count == set->capacity) {
		size_t capacity = set->capacity ? 2 * set->capacity : 8;
		struct km_wait_member *members = reallocarray(
			set->members, capacity, sizeof *members);

		if (!members)
			return -ENOMEM;
		set->members = members;
		struct pollfd *polled = reallocarray(set->polled, capacity + 1, sizeof *polled);
		if (!polled)
			return -ENOMEM;
		set->polled = polled;
		struct km_wait_word *words = reallocarray(set->words, capacity + 1, sizeof *words);
		if (!words)
			return -ENOMEM;
		set->words = words;
		set->capacity = capacity;
	}
	set->members[set->count++] = *member;
	set->sleepers += km_wait_has_word(member);
	set->others += member->kind == KM_WAIT_FOR_CLIENT || member->kind == KM_WAIT_FOR_DESCRIPTOR;
	int r = get_descriptors(set);
	if (r < 0)
		km_waitset_drop(set, set->count - 1);
	return r;
}

KM_EXPORT int kickmsg_waitset_add_subscriber(
	struct kickmsg_waitset *set, struct kickmsg_subscriber *subscriber, void *userdata)
{
	return add(set, &(struct km_wait_member){ .kind = KM_WAIT_FOR_SUBSCRIBER,
				.userdata = userdata,
				.subscriber = subscriber,
				.polled.fd = -1 });
}

KM_EXPORT int kickmsg_waitset_add_publisher(
	struct kickmsg_waitset *set, struct kickmsg_publisher *publisher, void *userdata)
{
	return add(set, &(struct km_wait_member){ .kind = KM_WAIT_FOR_PUBLISHER,
				.userdata = userdata,
				.publisher = publisher,
				.polled.fd = -1 });
}

KM_EXPORT int kickmsg_waitset_add_client(
	struct kickmsg_waitset *set, struct kickmsg_client *client, void *userdata)
{
	int fd = kickmsg_client_get_fd(client);

	return fd < 0 ? fd
		      : add(set, &(struct km_wait_member){ .kind = KM_WAIT_FOR_CLIENT,
					 .userdata = userdata,
					 .polled = { .fd = fd, .events = POLLIN } });
}

KM_EXPORT int kickmsg_waitset_add_fd(
	struct kickmsg_waitset *set, int fd, short events, void *userdata)
{
	return fd < 0 ? -EBADF
		      : add(set, &(struct km_wait_member){ .kind = KM_WAIT_FOR_DESCRIPTOR,
					 .userdata = userdata,
					 .polled = { .fd = fd, .events = events } });
}

KM_EXPORT int kickmsg_waitset_add_deadline(
	struct kickmsg_waitset *set, int64_t deadline_ns, void *userdata)
{
	return add(set, &(struct km_wait_member){ .kind = KM_WAIT_FOR_DEADLINE,
				.userdata = userdata,
				.polled.fd = -1,
				.deadline_ns = deadline_ns });
}

KM_EXPORT int kickmsg_waitset_remove(struct kickmsg_waitset *set, const void *userdata)
{
	size_t before = set->count;

	if (km_waitset_is_inherited(set))
		return -ECHILD;
	for (size_t i = set->count; i-- > 0;)
		if (set->members[i].userdata == userdata)
			km_waitset_drop(set, i);
	return set->count == before ? -ENOENT : 0;
}
