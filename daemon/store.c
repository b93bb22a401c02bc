/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors that outlive the broker: see store.h. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "libsystemd.h"
#include "log.h"
#include "store.h"

#define NAME_SIZE 40

static int compare(const void *a, const void *b)
{
	const struct km_stored *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->part < y->part ? -1 : x->part > y->part;
}

static char *write_number(char *end, uint64_t number)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	char text[16];
	size_t len = 0;

	do
		text[len++] = digits[number % 36];
	while ((number /= 36) > 0);
	while (len > 0)
		*end++ = text[--len];
	return end;
}

static void write_name(char ret[NAME_SIZE], const struct km_stored *stored)
{
	char *end = ret;

	*end++ = stored->kind;
	if (islower((unsigned char)stored->kind))
		end = write_number(end, stored->id);
	if (stored->kind == KM_STORE_SEGMENT) {
		*end++ = '.';
		end = write_number(end, stored->part);
	}
	*end = '\0';
}

/* Reads what write_name() wrote, and nothing else. */
static bool read_name(const char *name, struct km_stored *ret)
{
	char *end, again[NAME_SIZE];

	*ret = (struct km_stored){ .kind = name[0], .fd = -1 };
	if (!name[0] || !strchr("SRsdmcpb", name[0]) || strlen(name) >= NAME_SIZE)
		return false;
	ret->id = strtoull(name + 1, &end, 36);
	if (*end == '.')
		ret->part = (uint32_t)strtoul(end + 1, &end, 36);
	write_name(again, ret);
	return strcmp(name, again) == 0;
}

/* SD_LISTEN_FDS_START of sd-daemon.h */
#define FIRST_FD 3

static int load(struct km_store *store)
{
	if (!getenv("NOTIFY_SOCKET") && !getenv("LISTEN_FDS"))
		return 0;
	store->notify = km_libsystemd_function("sd_pid_notify_with_fds");
	if (!store->notify)
		return getenv("LISTEN_FDS") ? -EINVAL : 0;
	store->active = getenv("NOTIFY_SOCKET");
	return 1;
}

static int list_fds(char ***ret_names)
{
	int (*list)(int unset, char ***ret_names) = km_libsystemd_function(
		"sd_listen_fds_with_names");

	return list ? list(1, ret_names) : 0;
}

static bool is_listening(int fd)
{
	int (*is_socket)(int fd, int family, int type, int listening) = km_libsystemd_function(
		"sd_is_socket");

	return is_socket && is_socket(fd, AF_UNIX, SOCK_SEQPACKET, 1) > 0;
}

/* One descriptor of the manager's goes where it belongs, or is closed. */
static int sort_in(struct km_store *store, int fd, const char *name)
{
	struct km_stored stored;

	if (is_listening(fd)) {
		if (store->listen_fd >= 0) {
			km_log(LOG_ERR | KM_EVENT_CANT_START, NULL, NULL,
				"the service manager gave two listening sockets; one is used: let "
				"kickmsgd.socket have one ListenSequentialPacket=");
			return -EINVAL;
		}
		int flags = fcntl(fd, F_GETFL);
		if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
			return -errno;
		store->listen_fd = fd;
		return 0;
	}
	if (read_name(name, &stored)) {
		stored.fd = fd;
		store->stored[store->stored_count++] = stored;
		return 0;
	}
	if (!store->active) {
		km_log(LOG_ERR | KM_EVENT_CANT_START, NULL, NULL,
			"descriptor %d ('%s') from the service manager is no listening "
			"SOCK_SEQPACKET socket",
			fd, name);
		return -EINVAL;
	}
	km_log(LOG_WARNING | KM_EVENT_FOREIGN_DESCRIPTOR, NULL, NULL,
		"descriptor %d ('%s') from the service manager means nothing here: closed", fd,
		name);
	close(fd);
	return 0;
}

int km_store_init(struct km_store *store)
{
	char **names = NULL, said[24];
	int r;

	memset(store, 0, sizeof *store);
	store->listen_fd = -1;
	r = load(store);
	if (r <= 0)
		return r;
	const char *fds = getenv("LISTEN_FDS");
	snprintf(said, sizeof said, "%s", fds ? fds : ""); /* it is unset there */
	int count = list_fds(&names);
	if (count < 0) {
		km_log(LOG_ERR | KM_EVENT_CANT_START, NULL, NULL,
			"can't take the service manager's descriptors (LISTEN_FDS=%s, LISTEN_PID, "
			"LISTEN_FDNAMES): %s",
			said, strerror(-count));
		return count;
	}
	store->stored = calloc((size_t)count + 1, sizeof *store->stored);
	r = store->stored ? 0 : -ENOMEM;
	for (int i = 0; i < count; i++) {
		if (r == 0)
			r = sort_in(store, FIRST_FD + i, names[i]);
		free(names[i]);
	}
	free(names);
	if (r == 0 && count > 0 && store->listen_fd < 0) {
		km_log(LOG_ERR | KM_EVENT_CANT_START, NULL, NULL,
			"the service manager gave %d descriptors and no listening SOCK_SEQPACKET "
			"socket among them",
			count);
		r = -EINVAL;
	}
	qsort(store->stored, store->stored_count, sizeof *store->stored, compare);
	return r;
}

void km_store_deinit(struct km_store *store)
{
	for (size_t i = 0; i < store->stored_count; i++)
		km_close(store->stored[i].fd);
	free(store->stored);
	free(store->removals);
	store->stored = store->removals = NULL;
	store->stored_count = store->removal_count = 0;
	store->active = false;
}

int km_store_put(struct km_store *store, char kind, uint64_t id, uint32_t part, int fd)
{
	struct km_stored stored = { .kind = kind, .id = id, .part = part };
	char name[NAME_SIZE], text[NAME_SIZE + 32];

	if (!store->active)
		return 0;
	write_name(name, &stored);
	snprintf(text, sizeof text, "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	int r = store->notify(0, 0, text, &fd, 1);
	if (r > 0)
		return 0;
	km_log(LOG_ERR | KM_EVENT_NOT_KEPT, NULL, NULL,
		"the service manager doesn't take descriptors (%s): the next broker will not know "
		"today's clients",
		r < 0 ? strerror(-r) : "NOTIFY_SOCKET is not set");
	store->active = false;
	return -EIO;
}

static void say_removed(struct km_store *store, const struct km_stored *stored)
{
	char name[NAME_SIZE], text[NAME_SIZE + 32];

	write_name(name, stored);
	snprintf(text, sizeof text, "FDSTOREREMOVE=1\nFDNAME=%s", name);
	if (store->active)
		store->notify(0, 0, text, NULL, 0);
}

void km_store_remove(struct km_store *store, char kind, uint64_t id, uint32_t part)
{
	struct km_stored stored = { .kind = kind, .id = id, .part = part };

	if (!store->active)
		return;
	if (store->removal_count == store->removal_room) {
		size_t room = 2 * store->removal_room + 16;
		struct km_stored *removals = reallocarray(store->removals, room, sizeof *removals);

		if (!removals)
			return; /* a descriptor that the next broker closes */
		store->removals = removals;
		store->removal_room = room;
	}
	store->removals[store->removal_count++] = stored;
}

void km_store_flush(struct km_store *store)
{
	for (size_t i = 0; i < store->removal_count; i++)
		say_removed(store, &store->removals[i]);
	store->removal_count = 0;
}

int km_store_take(struct km_store *store, char kind, uint64_t id, uint32_t part)
{
	struct km_stored wanted = { .kind = kind, .id = id, .part = part };
	struct km_stored *found = NULL;

	if (store->stored_count > 0)
		found = bsearch(
			&wanted, store->stored, store->stored_count, sizeof wanted, compare);
	if (!found)
		return -1;
	int fd = found->fd;
	found->fd = -1;
	return fd;
}

size_t km_store_drop_rest(struct km_store *store)
{
	size_t count = 0;

	for (size_t i = 0; i < store->stored_count; i++) {
		struct km_stored *stored = &store->stored[i];

		if (stored->fd < 0)
			continue;
		/* twice the same name: the manager would forget the one that is in use as well */
		bool twin = (i > 0 && compare(stored, stored - 1) == 0) ||
			    (i + 1 < store->stored_count && compare(stored, stored + 1) == 0);
		if (!twin)
			say_removed(store, stored);
		stored->fd = km_close(stored->fd);
		count++;
	}
	free(store->stored);
	store->stored = NULL;
	store->stored_count = 0;
	return count;
}
