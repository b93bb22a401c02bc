/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between client and broker: kinds, checks, and the socket calls. See wire.h. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "wire.h"

enum { REQUEST = 1, ANSWER = 2 };

static const struct kind {
	uint32_t op;
	unsigned direction;
	size_t size;
	size_t min_fds, max_fds;
	const char *name;
} kinds[] = {
	{ KM_OP_HELLO, REQUEST, sizeof(struct km_msg_hello), 0, 0, "HELLO" },
	{ KM_OP_ADVERTISE, REQUEST, sizeof(struct km_msg_attach), 0, 0, "ADVERTISE" },
	{ KM_OP_SUBSCRIBE, REQUEST, sizeof(struct km_msg_attach), 0, 0, "SUBSCRIBE" },
	{ KM_OP_DETACH, REQUEST, sizeof(struct km_msg_detach), 0, 0, "DETACH" },
	{ KM_OP_LIST, REQUEST, sizeof(struct km_msg_list), 0, 0, "LIST" },
	{ KM_OP_DIAGNOSE, REQUEST, sizeof(struct km_msg_diagnose), 0, 0, "DIAGNOSE" },
	{ KM_OP_REPAIR, REQUEST, sizeof(struct km_msg_repair), 0, 0, "REPAIR" },
	{ KM_OP_INFO, REQUEST, sizeof(struct km_msg_topic), 0, 0, "INFO" },
	{ KM_OP_STATS, REQUEST, sizeof(struct km_msg_topic), 0, 0, "STATS" },
	{ KM_OP_PEOPLE, REQUEST, sizeof(struct km_msg_topic), 0, 0, "PEOPLE" },
	{ KM_OP_SCHEMA, REQUEST, sizeof(struct km_msg_topic), 0, 0, "SCHEMA" },
	{ KM_OP_CLAIM, REQUEST, sizeof(struct km_msg_claim), 0, 0, "CLAIM" },
	{ KM_OP_UNLINK, REQUEST, sizeof(struct km_msg_topic), 0, 0, "UNLINK" },
	{ KM_OP_WAIT, REQUEST, sizeof(struct km_msg_topic), 0, 0, "WAIT" },
	{ KM_OP_OK, ANSWER, sizeof(struct km_msg_ok), 0, 0, "OK" },
	{ KM_OP_ERROR, ANSWER, sizeof(struct km_msg_error), 0, 0, "ERROR" },
	{ KM_OP_HELLO_OK, ANSWER, sizeof(struct km_msg_hello_ok), 1, 1, "HELLO_OK" },
	{ KM_OP_ATTACHED, ANSWER, sizeof(struct km_msg_attached), 2, 4, "ATTACHED" },
	{ KM_OP_LIST_OK, ANSWER, sizeof(struct km_msg_list_ok), 0, 0, "LIST_OK" },
	{ KM_OP_DIAGNOSE_OK, ANSWER, sizeof(struct km_msg_diagnose_ok), 0, 0, "DIAGNOSE_OK" },
	{ KM_OP_REPAIR_OK, ANSWER, sizeof(struct km_msg_repair_ok), 0, 0, "REPAIR_OK" },
	{ KM_OP_INFO_OK, ANSWER, sizeof(struct km_msg_info_ok), 0, 0, "INFO_OK" },
	{ KM_OP_STATS_OK, ANSWER, sizeof(struct km_msg_stats_ok), 0, 0, "STATS_OK" },
	{ KM_OP_PEOPLE_OK, ANSWER, sizeof(struct km_msg_people_ok), 0, 0, "PEOPLE_OK" },
	{ KM_OP_SCHEMA_OK, ANSWER, sizeof(struct km_msg_schema_ok), 0, 0, "SCHEMA_OK" },
	{ KM_OP_EVENT, ANSWER, sizeof(struct km_msg_event), 0, 0, "EVENT" },
};

static const struct kind *find_kind(uint32_t op)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (kinds[i].op == op)
			return &kinds[i];
	return NULL;
}

size_t km_wire_size(uint32_t op)
{
	const struct kind *kind = find_kind(op);

	return kind ? kind->size : 0;
}

const char *km_wire_name(uint32_t op)
{
	const struct kind *kind = find_kind(op);

	return kind ? kind->name : "unknown";
}

#define ENDED(array) (memchr(array, 0, sizeof(array)) != NULL)

static bool attach_is_good(const struct km_msg_attach *m)
{
	static const struct km_geometry none;

	return ENDED(m->topic) && ENDED(m->raw) && ENDED(m->owner) && ENDED(m->raw_owner) &&
	       m->kind <= KM_KIND_LAST && (m->flags & ~(uint32_t)KM_ATTACH_FLAGS) == 0 &&
	       m->reserved2 == 0 && m->persistent <= 1 && m->has_schema <= 1 &&
	       m->has_wanted <= 1 && m->has_geometry <= 1 &&
	       (m->has_geometry || (memcmp(&m->geometry, &none, sizeof none) == 0 &&
					   m->linger_ns == 0 && m->persistent == 0));
}

static bool topic_is_good(const struct km_msg_topic *m)
{
	return ENDED(m->topic) && ENDED(m->raw) && ENDED(m->prefix) && ENDED(m->owner) &&
	       m->kind <= KM_KIND_LAST && m->reserved == 0 &&
	       (m->cursor == 0 || m->header.op == KM_OP_PEOPLE);
}

static bool request_is_good(const union km_msg *m)
{
	switch (m->header.op) {
	case KM_OP_HELLO:
		return ENDED(m->hello.name) && ENDED(m->hello.prefix) &&
		       ENDED(m->hello.raw_prefix) && m->hello.reserved == 0;
	case KM_OP_ADVERTISE:
		return attach_is_good(&m->advertise) && m->advertise.history == 0 &&
		       !(m->advertise.flags &
			       (KM_ATTACH_CREATE | KM_ATTACH_OBSERVE | KM_ATTACH_WRITABLE));
	case KM_OP_SUBSCRIBE:
		return attach_is_good(&m->subscribe) &&
		       !(m->subscribe.flags & KM_ATTACH_MUST_EXIST) &&
		       (~m->subscribe.flags & (KM_ATTACH_OBSERVE | KM_ATTACH_WRITABLE)) != 0;
	case KM_OP_INFO:
	case KM_OP_STATS:
	case KM_OP_PEOPLE:
	case KM_OP_SCHEMA:
	case KM_OP_CLAIM:
	case KM_OP_UNLINK:
	case KM_OP_WAIT:
		return topic_is_good(&m->topic);
	case KM_OP_DIAGNOSE:
		return ENDED(m->diagnose.topic) && ENDED(m->diagnose.prefix) &&
		       ENDED(m->diagnose.owner) && m->diagnose.kind <= KM_KIND_LAST &&
		       m->diagnose.reserved0 == 0;
	case KM_OP_REPAIR:
		return ENDED(m->repair.topic) && ENDED(m->repair.prefix) &&
		       ENDED(m->repair.owner) && m->repair.kind <= KM_KIND_LAST &&
		       m->repair.reserved0 == 0 && m->repair.reserved == 0 && m->repair.what != 0 &&
		       (m->repair.what & ~(uint32_t)KM_REPAIR_ALL) == 0;
	default:
		return true;
	}
}

static bool entry_is_good(const struct km_list_entry *entry)
{
	return ENDED(entry->topic) && ENDED(entry->prefix) && ENDED(entry->raw) &&
	       ENDED(entry->raw_owner) && ENDED(entry->region) && entry->kind <= KM_KIND_LAST;
}

static bool people_are_good(const struct km_msg_people_ok *m)
{
	if (m->count > KM_WIRE_PEOPLE_PAGE || m->reserved != 0)
		return false;
	for (uint32_t i = 0; i < m->count; i++)
		if (!ENDED(m->people[i].name))
			return false;
	return true;
}

static bool answer_is_good(const union km_msg *m, size_t fd_count)
{
	switch (m->header.op) {
	case KM_OP_ERROR:
		return ENDED(m->error.text) && m->error.error < 0;
	case KM_OP_HELLO_OK:
		return m->hello_ok.segment_size > 0 && m->hello_ok.reserved == 0;
	case KM_OP_ATTACHED:
		return fd_count == 2 + (size_t)(m->attached.bell_size > 0) +
					   (m->attached.new_segment_size > 0) &&
		       m->attached.observes <= 1;
	case KM_OP_LIST_OK:
		if (m->list_ok.count > KM_WIRE_LIST_PAGE || m->list_ok.reserved != 0)
			return false;
		for (uint32_t i = 0; i < m->list_ok.count; i++)
			if (!entry_is_good(&m->list_ok.entries[i]))
				return false;
		return true;
	case KM_OP_DIAGNOSE_OK:
		if (m->diagnose_ok.count > KM_WIRE_ANOMALY_PAGE || m->diagnose_ok.reserved != 0 ||
			!ENDED(m->diagnose_ok.reason))
			return false;
		for (uint32_t i = 0; i < m->diagnose_ok.count; i++)
			if (!ENDED(m->diagnose_ok.anomalies[i].owner))
				return false;
		return true;
	case KM_OP_INFO_OK:
		return entry_is_good(&m->info_ok.entry);
	case KM_OP_STATS_OK:
		return m->stats_ok.ring_count <= KM_MAX_RINGS && m->stats_ok.reserved == 0;
	case KM_OP_PEOPLE_OK:
		return people_are_good(&m->people_ok);
	case KM_OP_SCHEMA_OK:
		return m->schema_ok.has_schema <= 1 && m->schema_ok.won <= 1;
	case KM_OP_EVENT:
		return m->event.header.serial == 0 && m->event.reserved == 0;
	default:
		return true;
	}
}

static bool shape_is_good(
	const union km_msg *message, size_t size, size_t fd_count, unsigned direction)
{
	if (size < sizeof message->header)
		return false;
	const struct kind *kind = find_kind(message->header.op);

	return kind && kind->direction == direction && kind->size == size &&
	       fd_count >= kind->min_fds && fd_count <= kind->max_fds;
}

int km_wire_check_request(const union km_msg *message, size_t size, size_t fd_count)
{
	if (!shape_is_good(message, size, fd_count, REQUEST) || !request_is_good(message))
		return -EPROTO;
	return 0;
}

int km_wire_check_answer(const union km_msg *message, size_t size, size_t fd_count)
{
	if (!shape_is_good(message, size, fd_count, ANSWER) || !answer_is_good(message, fd_count))
		return -EPROTO;
	return 0;
}

int km_wire_send(int socket, const void *message, size_t size, const int *fds, size_t fd_count)
{
	union {
		char bytes[CMSG_SPACE(KM_WIRE_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec part = { (void *)message, size };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd_count > KM_WIRE_MAX_FDS)
		return -EINVAL;
	if (fd_count > 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(rights), fds, fd_count * sizeof(int));
	}
	for (;;) {
		ssize_t n = sendmsg(socket, &header, MSG_NOSIGNAL);

		if (n >= 0)
			return (size_t)n == size ? 0 : -EPROTO;
		if (errno == EPIPE || errno == ECONNRESET)
			return -ENOTCONN;
		if (errno != EINTR)
			return -errno;
	}
}

/* Takes the descriptors out of a received message; what is over the limit is closed. */
static bool take_fds(struct msghdr *header, int ret_fds[KM_WIRE_MAX_FDS], size_t *ret_count)
{
	bool good = !(header->msg_flags & (MSG_TRUNC | MSG_CTRUNC));
	size_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (count < KM_WIRE_MAX_FDS) {
				ret_fds[count++] = fd;
			} else {
				close(fd);
				good = false;
			}
		}
	}
	if (!good)
		while (count > 0)
			close(ret_fds[--count]);
	*ret_count = count;
	return good;
}

static ssize_t receive(int socket, union km_msg *ret, int ret_fds[KM_WIRE_MAX_FDS],
	size_t *ret_fd_count, int flags)
{
	union {
		/* room for one more than is allowed, to see and close it */
		char bytes[CMSG_SPACE((KM_WIRE_MAX_FDS + 1) * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = { ret, sizeof *ret };
	struct msghdr header = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes,
	};
	ssize_t n;

	do
		n = recvmsg(socket, &header, MSG_CMSG_CLOEXEC | flags);
	while (n < 0 && errno == EINTR);
	*ret_fd_count = 0;
	if (n < 0)
		return errno == ECONNRESET ? -ENOTCONN : -errno;
	if (!take_fds(&header, ret_fds, ret_fd_count))
		return -EPROTO;
	if (n == 0 && *ret_fd_count == 0)
		return -ENOTCONN;
	return n;
}

ssize_t km_wire_receive(
	int socket, union km_msg *ret, int ret_fds[KM_WIRE_MAX_FDS], size_t *ret_fd_count)
{
	return receive(socket, ret, ret_fds, ret_fd_count, 0);
}

ssize_t km_wire_peek(
	int socket, union km_msg *ret, int ret_fds[KM_WIRE_MAX_FDS], size_t *ret_fd_count)
{
	return receive(socket, ret, ret_fds, ret_fd_count, MSG_PEEK);
}

void km_wire_skip(int socket)
{
	while (recv(socket, NULL, 0, MSG_DONTWAIT) < 0 && errno == EINTR)
		;
}
