/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors that outlive the broker: see store.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "daemon/keep/store.h"
#include "daemon/run/log.h"

/* The kinds of a parked entry's descriptors, in their order. */
static const char *const parked_kinds[KM_PARKED_KINDS] = {
	[KM_PARKED_SESSION] = (const char[]){ KM_STORE_CONNECTION, KM_STORE_PIDFD, 0 },
	[KM_PARKED_SEGMENT] = (const char[]){ KM_STORE_SEGMENT, 0 },
	[KM_PARKED_TOPIC] = (const char[]){ KM_STORE_CONTROL, KM_STORE_PAYLOAD, KM_STORE_BELL, 0 },
};

/* Is it one of the four kinds that the manager keeps? */
static bool is_managed(char kind)
{
	return kind == KM_STORE_STATE || kind == KM_STORE_LOCK || kind == KM_STORE_IN ||
	       kind == KM_STORE_OUT;
}

/* Brokers of state version 2 had each descriptor kept by the manager, under such names. */
static bool is_outdated_name(const char *name)
{
	return *name && strchr("sdmcpb", *name) && name[1] &&
	       strspn(name + 1, "0123456789abcdefghijklmnopqrstuvwxyz.") == strlen(name + 1) &&
	       strpbrk(name + 1, "0123456789");
}

static void forget(struct km_store *store, const char *name)
{
	if (store->active)
		km_manager_forget(&store->manager, name);
}

/* Puts one descriptor of the manager's where it belongs, or closes it. */
static int sort_in(struct km_store *store, int fd, const char *name)
{
	if (km_manager_is_listening(fd)) {
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
	if (is_managed(name[0]) && !name[1])
		return km_stored_add(
			&store->stored, (struct km_stored){ .kind = name[0], .fd = fd });
	if (store->active && is_outdated_name(name)) {
		forget(store, name);
		store->outdated++;
		close(fd);
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

/* Puts a descriptor from the parking where it belongs, as one of the manager's. */
static void take_parked(const struct km_parked *parked, unsigned index, int fd, void *userdata)
{
	const char *kinds = parked->kind < KM_PARKED_KINDS ? parked_kinds[parked->kind] : "";
	struct km_stored stored = { .id = parked->id, .part = parked->part, .fd = fd };

	stored.kind = index < strlen(kinds) ? kinds[index] : '?';
	km_stored_add(userdata, stored);
}

/* Opens the pair of the broker before this one, or a new pair. Errors are logged. */
static int open_parking(struct km_store *store)
{
	struct km_parking *parking = &store->parking;
	int in = km_store_take(store, KM_STORE_IN, 0, 0);
	int out = km_store_take(store, KM_STORE_OUT, 0, 0);
	int r = in < 0 || out < 0 ? -ENOENT
				  : km_parking_open(parking, in, out, take_parked, &store->stored);

	if (r == -EMFILE || r == -ENOMEM)
		km_log(LOG_ERR | KM_EVENT_TOO_FEW_DESCRIPTORS, NULL, NULL,
			"the broker before left %zu descriptors; this one may not open as many "
			"(LimitNOFILE=)",
			parking->needed.fds);
	if (r == 0 || r == -EMFILE || r == -ENOMEM)
		return 0;
	if (r == -EPROTO)
		km_log(LOG_WARNING | KM_EVENT_FOREIGN_DESCRIPTOR, NULL, NULL,
			"descriptors '%c' and '%c' from the service manager are no pair of "
			"sockets: closed",
			KM_STORE_IN, KM_STORE_OUT);
	if (in >= 0)
		km_store_unhand(store, KM_STORE_IN);
	if (out >= 0)
		km_store_unhand(store, KM_STORE_OUT);
	km_close(in);
	km_close(out);
	r = km_parking_new(parking);
	if (r == 0)
		r = km_store_hand(store, KM_STORE_IN, parking->in);
	if (r == 0)
		r = km_store_hand(store, KM_STORE_OUT, parking->out);
	if (r < 0) {
		km_log(LOG_WARNING | KM_EVENT_NOT_KEPT, NULL, NULL,
			"clients will not outlive this broker: %s", strerror(-r));
		km_store_end(store);
	}
	return 0;
}

static int sort_all_in(struct km_store *store, char **names, int count)
{
	int r = 0;

	for (int i = 0; i < count; i++) {
		if (r == 0)
			r = sort_in(store, KM_MANAGER_FIRST_FD + i, names[i]);
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
	return r;
}

int km_store_init(struct km_store *store)
{
	char **names = NULL, said[24];
	const char *room;
	int r;

	*store = (struct km_store){ .listen_fd = -1, .parking = { .in = -1, .out = -1 } };
	r = km_manager_load(&store->manager);
	if (r <= 0)
		return r;
	store->active = getenv("NOTIFY_SOCKET");
	const char *fds = getenv("LISTEN_FDS");
	/* a copy: sd_listen_fds_with_names() unsets the variable */
	snprintf(said, sizeof said, "%s", fds ? fds : "");
	int count = km_manager_list(&names);
	if (count < 0) {
		km_log(LOG_ERR | KM_EVENT_CANT_START, NULL, NULL,
			"can't take the service manager's descriptors (LISTEN_FDS=%s, LISTEN_PID, "
			"LISTEN_FDNAMES): %s",
			said, strerror(-count));
		return count;
	}
	r = sort_all_in(store, names, count);
	if (r < 0 || !store->active)
		return r;
	/* systemd sets the variable from version 254 on */
	room = getenv("FDSTORE");
	if (room && strtoul(room, NULL, 10) < KM_STORE_MANAGED)
		km_log(LOG_WARNING | KM_EVENT_NOT_KEPT, NULL, NULL,
			"clients may not outlive this broker: the service manager keeps %s "
			"descriptors, %d are needed (FileDescriptorStoreMax=)",
			room, KM_STORE_MANAGED);
	km_stored_sort(&store->stored);
	r = open_parking(store);
	km_stored_sort(&store->stored);
	return r;
}

void km_store_end(struct km_store *store)
{
	km_parking_deinit(&store->parking);
	store->active = false;
}

void km_store_deinit(struct km_store *store)
{
	km_stored_clear(&store->stored);
	km_store_end(store);
}

int km_store_hand(struct km_store *store, char kind, int fd)
{
	if (!store->active)
		return 0;
	int r = km_manager_hand(&store->manager, kind, fd);
	if (r > 0)
		return 0;
	km_log(LOG_ERR | KM_EVENT_NOT_KEPT, NULL, NULL,
		"the service manager doesn't take descriptors (%s): the next broker will not know "
		"today's clients",
		r < 0 ? strerror(-r) : "NOTIFY_SOCKET is not set");
	km_store_end(store);
	return -EIO;
}

void km_store_unhand(struct km_store *store, char kind)
{
	forget(store, (const char[]){ kind, '\0' });
}

/* Warns once that the limit is near, and again when it was far in between. */
static void warn(struct km_store *store)
{
	const char *limit;
	size_t possible = km_parking_possible(&store->parking, &limit);
	size_t used = store->parking.needed.fds;

	if (used < possible / 10 * 7)
		store->warned = false;
	if (store->warned || used < possible / 10 * 8)
		return;
	store->warned = true;
	km_log(LOG_WARNING | KM_EVENT_TOO_FEW_DESCRIPTORS, NULL, NULL,
		"%zu descriptors wait for the next broker, %zu may: raise %s before requests are "
		"refused",
		used, possible, limit);
}

int km_store_put(struct km_store *store, enum km_parked_kind kind, uint64_t id, uint32_t part,
	const int *fds, unsigned count, char *ret_text, size_t text_size)
{
	struct km_parked parked = { kind, id, part, count };
	const char *limit;

	if (!store->active)
		return 0;
	int r = km_parking_put(&store->parking, &parked, fds);
	if (r == 0) {
		warn(store);
		return 0;
	}
	size_t possible = km_parking_possible(&store->parking, &limit);
	if (r == -EDQUOT)
		snprintf(ret_text, text_size,
			"%zu descriptors wait for the next broker, and no more than %zu may "
			"(limit: %s)",
			store->parking.needed.fds, possible, limit);
	else
		snprintf(ret_text, text_size, "its descriptors can't be kept: %s", strerror(-r));
	return r;
}

void km_store_remove(struct km_store *store, enum km_parked_kind kind, uint64_t id, uint32_t part)
{
	km_parking_drop(&store->parking, &(struct km_parked){ kind, id, part, 0 });
}

bool km_store_tidy(struct km_store *store)
{
	return km_parking_tidy(&store->parking);
}

/* The parked entry that a stored descriptor belongs to. False: it is one of the manager's four. */
static bool parked_of(const struct km_stored *stored, struct km_parked *ret)
{
	for (unsigned kind = 0; kind < KM_PARKED_KINDS; kind++)
		if (strchr(parked_kinds[kind], stored->kind)) {
			*ret = (struct km_parked){ kind, stored->id, stored->part, 0 };
			return true;
		}
	return false;
}

int km_store_take(struct km_store *store, char kind, uint64_t id, uint32_t part)
{
	struct km_stored *found = km_stored_find(&store->stored, kind, id, part);
	struct km_parked parked;

	if (!found)
		return -1;
	if (parked_of(found, &parked))
		km_parking_claim(&store->parking, &parked);
	return km_steal_fd(found->fd);
}

size_t km_store_drop_rest(struct km_store *store, struct km_hangup *hangup)
{
	size_t count = store->outdated;
	struct km_parked parked;

	for (size_t i = 0; i < store->stored.count; i++) {
		struct km_stored *stored = &store->stored.items[i];

		if (stored->fd < 0)
			continue;
		/* twice the same name: the manager would forget also the descriptor that is in
		 * use */
		bool twin = km_stored_has_twin(&store->stored, i);
		if (is_managed(stored->kind) && !twin)
			km_store_unhand(store, stored->kind);
		/* the descriptor waits until a pass comes to it; its client hears now */
		if (stored->kind == KM_STORE_CONNECTION && parked_of(stored, &parked) &&
			!km_parking_is_claimed(&store->parking, &parked))
			km_hangup(hangup, km_steal_fd(stored->fd), NULL);
		stored->fd = km_close(stored->fd);
		count += !twin;
	}
	km_stored_clear(&store->stored);
	store->outdated = 0;
	km_parking_drop_unclaimed(&store->parking);
	return count;
}

void km_store_expect(const struct km_store *store, size_t needed)
{
	const char *limit;

	if (!store->active)
		return;
	size_t possible = km_parking_possible(&store->parking, &limit);
	if (possible < needed)
		km_log(LOG_NOTICE | KM_EVENT_TOO_FEW_DESCRIPTORS, NULL, NULL,
			"%zu descriptors may wait for the next broker (limit: %s); as many topics "
			"and clients as are configured may take %zu",
			possible, limit, needed);
}

void km_store_text(const struct km_store *store, char *ret, size_t size)
{
	*ret = '\0';
	if (store->active)
		snprintf(ret, size, "%zu of %zu descriptors stored", store->parking.needed.fds,
			km_parking_possible(&store->parking, NULL));
}
