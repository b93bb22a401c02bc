/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors that wait in a socket: see parking.h. */
#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "daemon/keep/parking.h"
#include "daemon/keep/parking_message.h"

/* Entries that may be gone before a pass is worth it; messages may be twice as many too many. */
#define SLACK 32

/* The messages that one step of a pass looks at. */
#define STEP_MESSAGES 64
#define STEP_FDS      (2 * KM_MESSAGE_FDS)

/* Steps of a pass that a put makes at once when there is no room. */
#define STEPS_FOR_ROOM 8

void km_parking_drop(struct km_parking *parking, const struct km_parked *parked)
{
	km_needed_drop(&parking->needed, km_needed_find(&parking->needed, km_parked_pack(parked)));
}

/* Counts the entries that a message brings to the queue, or takes from it. */
static void count(struct km_parking *parking, const struct km_message *message, bool comes)
{
	size_t fds = 0;

	for (size_t i = 0; i < message->entry_count; i++)
		fds += km_parked_fds(message->entries[i]);
	parking->entries += comes ? message->entry_count : -message->entry_count;
	parking->fds += comes ? fds : -fds;
	if (comes)
		parking->next++;
	else
		parking->first++;
}

static int send_message(struct km_parking *parking, const struct km_message *message)
{
	int r = km_message_send(parking->in, message);

	if (r == 0)
		count(parking, message, true);
	return r;
}

static bool take_front(struct km_parking *parking)
{
	struct km_message message;

	if (km_message_take(parking->out, &message) < 0)
		return false;
	count(parking, &message, false);
	return true;
}

/* --- passes ----------------------------------------------------------------------------------- */

/* Adds the needed entries of message number `number` to the batch and closes the rest. False: the
 * batch has no room for them, and nothing is changed. */
static bool join(struct km_parking *parking, struct km_message *batch, struct km_message *message,
	uint64_t number)
{
	bool keep[KM_MESSAGE_ENTRIES];
	size_t entries = batch->entry_count, fds = batch->fd_count, all = 0, at = 0;

	for (size_t i = 0; i < message->entry_count; i++) {
		const struct km_needed *needed = km_needed_find(
			&parking->needed, message->entries[i]);

		keep[i] = needed && needed->at == number;
		entries += keep[i];
		fds += keep[i] ? km_parked_fds(message->entries[i]) : 0;
		all += km_parked_fds(message->entries[i]);
	}
	if (entries > KM_MESSAGE_ENTRIES || fds > KM_MESSAGE_FDS || all != message->fd_count)
		return false;
	for (size_t i = 0; i < message->entry_count; i++) {
		if (keep[i])
			batch->entries[batch->entry_count++] = message->entries[i];
		for (unsigned j = km_parked_fds(message->entries[i]); j > 0; j--, at++)
			if (keep[i])
				batch->fds[batch->fd_count++] = message->fds[at];
			else
				km_close(message->fds[at]);
	}
	return true;
}

/* Gathers the front messages, as many as one message has room for. Returns how many; an error: not
 * even the first can be looked at. */
static int gather(struct km_parking *parking, struct km_message *batch)
{
	struct km_message message;
	unsigned done = 0;
	int offset = 0;
	size_t fds = 0;

	while (done < STEP_MESSAGES && fds < STEP_FDS &&
		parking->first + done < parking->pass_end) {
		ssize_t n = km_message_peek(parking->out, offset, &message);

		fds += message.fd_count;
		if (n < 0 || !join(parking, batch, &message, parking->first + done)) {
			km_message_close(&message);
			return done > 0 || n >= 0 ? (int)done : (int)n;
		}
		offset += (int)n;
		done++;
	}
	return (int)done;
}

/* Sends the front messages to the end, without the entries that are gone. */
static int step(struct km_parking *parking)
{
	struct km_message batch = { .entry_count = 0 };
	int done = gather(parking, &batch), r = 0;

	if (batch.entry_count > 0)
		r = send_message(parking, &batch);
	for (size_t i = 0; r == 0 && i < batch.entry_count; i++)
		km_needed_find(&parking->needed, batch.entries[i])->at = parking->next - 1;
	km_message_close(&batch);
	for (int i = 0; r == 0 && i < done; i++)
		take_front(parking);
	return done < 0 ? done : r;
}

static void begin_pass(struct km_parking *parking)
{
	if (parking->first >= parking->pass_end)
		parking->pass_end = parking->next;
}

/* Bytes that the kernel counts for waiting messages, and how many it allows. */
static void look_at_buffer(const struct km_parking *parking, size_t *ret_used, size_t *ret_all)
{
	int used = 0, all = 0;
	socklen_t length = sizeof all;

	if (ioctl(parking->in, SIOCOUTQ, &used) < 0 ||
		getsockopt(parking->in, SOL_SOCKET, SO_SNDBUF, &all, &length) < 0)
		used = all = 0;
	*ret_used = (size_t)used;
	*ret_all = (size_t)all;
}

static bool pass_is_due(const struct km_parking *parking)
{
	size_t gone = parking->entries - parking->needed.count;
	size_t gone_fds = parking->fds - parking->needed.fds;
	size_t possible = km_parking_possible(parking, NULL), used, all;
	size_t messages = (size_t)(parking->next - parking->first);
	size_t joined = parking->needed.fds / KM_MESSAGE_FDS +
			parking->needed.count / KM_MESSAGE_ENTRIES + 1;

	if (parking->needed.count == 0)
		return gone > 0;
	if (gone > SLACK + parking->needed.count / 2 || messages > 2 * SLACK + 8 * joined)
		return true;
	if (gone_fds > KM_MESSAGE_FDS && 2 * parking->fds > parking->needed.fds + possible)
		return true;
	look_at_buffer(parking, &used, &all);
	return used > all / 2 && messages > joined + joined / 4 + SLACK / 2;
}

bool km_parking_tidy(struct km_parking *parking)
{
	if (parking->in < 0)
		return false;
	if (parking->first >= parking->pass_end && pass_is_due(parking))
		begin_pass(parking);
	if (parking->first < parking->pass_end && step(parking) < 0)
		/* there is no room for the copies now */
		parking->pass_end = parking->first;
	return parking->first < parking->pass_end;
}

/* --- beginning and end ------------------------------------------------------------------------ */

static void clear(struct km_parking *parking, int in, int out)
{
	*parking = (struct km_parking){ .in = in, .out = out };
}

int km_parking_new(struct km_parking *parking)
{
	int ends[2], size = INT_MAX / 2, start = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	/* the next broker looks at waiting messages by this; an emulator may not have it */
	if (setsockopt(ends[1], SOL_SOCKET, SO_PEEK_OFF, &start, sizeof start) < 0) {
		int r = -errno;

		close(ends[0]);
		close(ends[1]);
		return r;
	}
	/* the kernel takes what net.core.wmem_max allows */
	setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	clear(parking, ends[0], ends[1]);
	return 0;
}

static bool is_end(int fd)
{
	int type = 0, domain = 0;
	socklen_t length = sizeof type, domain_length = sizeof domain;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_length) == 0 &&
	       type == SOCK_SEQPACKET && domain == AF_UNIX;
}

/* Learns which entries wait, and in which message each does last. Errors: -ENOMEM. */
static int learn(struct km_parking *parking)
{
	struct km_message message;
	int offset = 0, r = 0;
	ssize_t n;

	while ((n = km_message_peek_entries(parking->out, offset, &message)) > 0) {
		for (size_t i = 0; r == 0 && i < message.entry_count; i++) {
			km_needed_drop(&parking->needed,
				km_needed_find(&parking->needed, message.entries[i]));
			r = km_needed_add(
				&parking->needed, message.entries[i], parking->next, false);
		}
		count(parking, &message, true);
		offset += (int)n;
	}
	return r;
}

/* Gives the descriptors of message `number` away. The descriptors of an entry that waits in a later
 * message as well are closed. They are the rest of a pass, or of a broker that ended before it
 * wrote the entry down.
 */
static void hand_out(struct km_parking *parking, struct km_message *message, uint64_t number,
	km_parking_take take, void *userdata)
{
	size_t at = 0;

	for (size_t i = 0; i < message->entry_count; i++) {
		struct km_parked parked = km_parked_unpack(message->entries[i]);
		const struct km_needed *needed = km_needed_find(
			&parking->needed, message->entries[i]);

		for (unsigned j = 0; j < parked.fd_count && at < message->fd_count; j++, at++)
			if (needed && needed->at == number)
				take(&parked, j, km_steal_fd(message->fds[at]), userdata);
	}
	km_message_close(message);
}

int km_parking_open(
	struct km_parking *parking, int in, int out, km_parking_take take, void *userdata)
{
	struct km_message message;
	int offset = 0;

	if (!is_end(in) || !is_end(out))
		return -EPROTO;
	clear(parking, in, out);
	int r = learn(parking);
	for (uint64_t number = 0; number < parking->next; number++) {
		ssize_t n = km_message_peek(out, offset, &message);

		if (n == -EMFILE)
			r = -EMFILE;
		else if (n < 0)
			break;
		offset += (int)(message.entry_count * sizeof message.entries[0]);
		hand_out(parking, &message, number, take, userdata);
	}
	return r;
}

void km_parking_claim(struct km_parking *parking, const struct km_parked *parked)
{
	struct km_needed *needed = km_needed_find(&parking->needed, km_parked_pack(parked));

	if (needed)
		needed->claimed = true;
}

bool km_parking_is_claimed(const struct km_parking *parking, const struct km_parked *parked)
{
	const struct km_needed *needed = km_needed_find(&parking->needed, km_parked_pack(parked));

	return needed && needed->claimed;
}

void km_parking_drop_unclaimed(struct km_parking *parking)
{
	km_needed_drop_unclaimed(&parking->needed);
	/* memory of the dead may wait there that nobody else has */
	if (parking->entries > parking->needed.count)
		begin_pass(parking);
}

void km_parking_deinit(struct km_parking *parking)
{
	km_needed_clear(&parking->needed);
	clear(parking, km_close(parking->in), km_close(parking->out));
}

/* --- what comes ------------------------------------------------------------------------------- */

size_t km_parking_possible(const struct km_parking *parking, const char **ret_limit)
{
	struct rlimit limit = { 0 };
	size_t used, all, margin = 2 * KM_MESSAGE_FDS; /* a pass needs room for its copies */

	getrlimit(RLIMIT_NOFILE, &limit);
	size_t descriptors = limit.rlim_cur > 2 * margin ? (size_t)limit.rlim_cur - margin
							 : (size_t)limit.rlim_cur / 2;
	look_at_buffer(parking, &used, &all);
	descriptors -= parking->elsewhere < descriptors ? parking->elsewhere : descriptors;
	size_t buffered = all / 2 / KM_MESSAGE_COST * KM_MESSAGE_ENTRIES;
	if (ret_limit)
		*ret_limit = buffered < descriptors ? "net.core.wmem_max" : "LimitNOFILE=";
	return buffered < descriptors ? buffered : descriptors;
}

static int try_put(struct km_parking *parking, const struct km_message *message)
{
	size_t used, all;

	/* the last quarter is for a pass */
	look_at_buffer(parking, &used, &all);
	if (used > all / 4 * 3 ||
		parking->fds + message->fd_count > km_parking_possible(parking, NULL))
		return -EDQUOT;
	int r = send_message(parking, message);
	return r == -ETOOMANYREFS || r == -EAGAIN ? -EDQUOT : r;
}

int km_parking_put(struct km_parking *parking, const struct km_parked *parked, const int *fds)
{
	struct km_message message = { .entries = { km_parked_pack(parked) },
		.entry_count = 1,
		.fd_count = parked->fd_count };

	memcpy(message.fds, fds, parked->fd_count * sizeof *fds);
	km_needed_drop(&parking->needed, km_needed_find(&parking->needed, message.entries[0]));
	/* The entry is added before the message is sent: afterwards nothing may fail. */
	int r = km_needed_add(&parking->needed, message.entries[0], parking->next, true);
	if (r < 0)
		return r;
	struct km_needed *needed = km_needed_find(&parking->needed, message.entries[0]);
	r = try_put(parking, &message);
	for (int i = 0; i < STEPS_FOR_ROOM && r == -EDQUOT; i++) {
		begin_pass(parking);
		if (step(parking) < 0)
			break;
		r = try_put(parking, &message);
	}
	if (r < 0)
		km_needed_drop(&parking->needed, needed);
	else
		needed->at = parking->next - 1;
	return r;
}
