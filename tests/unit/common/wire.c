/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages: every kind in every wrong shape, over a real socket pair.
 *
 * The file is long because it is a list: each kind of message in each wrong shape.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/protocol/wire.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/fixture.h"

static const struct kind {
	uint32_t op;
	bool request;
	size_t size;
	size_t min_fds, max_fds;
} kinds[] = {
#define REQUEST(number, NAME, member, type) { number, true, sizeof(struct type), 0, 0 },
/* ATTACHED has as many descriptors as that says. */
#define FDS(number, attached)                                                                      \
	((number) == KM_OP_HELLO_OK ? 1 : (number) == KM_OP_ATTACHED ? (attached) : 0)
#define ANSWER(number, NAME, member, type)                                                         \
	{ number, false, sizeof(struct type), FDS(number, 2), FDS(number, 3) },
	KM_WIRE_REQUESTS(REQUEST) KM_WIRE_ANSWERS(ANSWER)
};
#define KINDS (sizeof kinds / sizeof kinds[0])

/* Room for one byte more than the largest. */
static union {
	union km_msg msg;
	unsigned char bytes[sizeof(union km_msg) + 16];
} m;
static int pair[2];

/* A message of this kind that is good with `fds` descriptors. */
static void fill(const struct kind *kind, size_t fds)
{
	memset(&m, 0, sizeof m);
	m.msg.header = (struct km_msg_header){ kind->op, 7 };
	if (kind->op == KM_OP_EVENT || kind->op == KM_OP_HAPPENED)
		m.msg.header.serial = 0;
	if (kind->op == KM_OP_HAPPENED)
		m.msg.happened.count = 1;
	if (kind->op == KM_OP_LOG_LEVEL)
		m.msg.log_level.cursor = KM_MOST_LOG_LEVEL;
	if (kind->op == KM_OP_REPAIR)
		m.msg.repair.what = KM_REPAIR_ALL;
	if (kind->op == KM_OP_ERROR)
		m.msg.error.error = -EINVAL;
	if (kind->op == KM_OP_HELLO_OK)
		m.msg.hello_ok.segment_size = 4096;
	if (kind->op == KM_OP_ATTACHED)
		m.msg.attached.new_segment_size = fds == 3 ? 4096 : 0;
}

static int check(const struct kind *kind, const union km_msg *msg, size_t size, size_t fds)
{
	return kind->request ? km_wire_check_request(msg, size, fds)
			     : km_wire_check_answer(msg, size, fds);
}

/* Sends size bytes of m with `count` descriptors and gives what arrives to the check. */
static int roundtrip(const struct kind *kind, size_t size, size_t count)
{
	static union km_msg got;
	int fds[KM_WIRE_MAX_FDS] = { pair[0], pair[0], pair[0] }, got_fds[KM_WIRE_MAX_FDS];
	size_t got_count = 99;

	ck_assert_int_eq(km_wire_send(pair[0], &m, size, fds, count), 0);
	memset(&got, 0xff, sizeof got);
	ssize_t n = km_wire_receive(pair[1], &got, got_fds, &got_count);
	if (n < 0)
		return (int)n;
	ck_assert_int_eq(n, (ssize_t)size);
	ck_assert_uint_eq(got_count, count);
	ck_assert_int_eq(memcmp(&got, &m, size), 0);
	for (size_t i = 0; i < got_count; i++) {
		ck_assert(fcntl(got_fds[i], F_GETFD) & FD_CLOEXEC);
		close(got_fds[i]);
	}
	return check(kind, &got, (size_t)n, got_count);
}

static void open_pair(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static void close_pair(void)
{
	close(pair[0]);
	close(pair[1]);
}

START_TEST(check_each_kind_each_fd_count)
{
	open_pair();
	for (size_t i = 0; i < KINDS; i++)
		for (size_t fds = 0; fds <= KM_WIRE_MAX_FDS; fds++) {
			const struct kind *k = &kinds[i];
			bool good = fds >= k->min_fds && fds <= k->max_fds;

			fill(k, fds);
			ck_assert_int_eq(roundtrip(k, k->size, fds), good ? 0 : -EPROTO);
			ck_assert_uint_eq(km_wire_size(k->op), k->size);
		}
	close_pair();
}
END_TEST

START_TEST(check_each_kind_short_or_long_eproto)
{
	open_pair();
	for (size_t i = 0; i < KINDS; i++) {
		const struct kind *k = &kinds[i];
		size_t sizes[] = { 1, 4, 7, k->size - 4, k->size - 1, k->size + 1, k->size + 8,
			sizeof(union km_msg) };

		for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
			if (sizes[s] == k->size)
				continue;
			fill(k, k->min_fds);
			ck_assert_msg(roundtrip(k, sizes[s], k->min_fds) == -EPROTO,
				"%s of %zu bytes", km_wire_name(k->op), sizes[s]);
		}
	}
	close_pair();
}
END_TEST

START_TEST(check_wrong_direction_eproto)
{
	for (size_t i = 0; i < KINDS; i++) {
		fill(&kinds[i], kinds[i].min_fds);
		ck_assert_int_eq(check(&kinds[i], &m.msg, kinds[i].size, kinds[i].min_fds), 0);
		struct kind other = kinds[i];
		other.request = !other.request;
		ck_assert_int_eq(check(&other, &m.msg, kinds[i].size, kinds[i].min_fds), -EPROTO);
	}
}
END_TEST

START_TEST(check_unknown_op_eproto)
{
	uint32_t ops[300] = { 0x80000001, UINT32_MAX };
	size_t count = 2;

	for (uint32_t op = 0; op < 256; op++) {
		bool known = false;

		for (size_t k = 0; k < KINDS; k++)
			known |= kinds[k].op == op;
		if (!known)
			ops[count++] = op;
	}
	ck_assert_uint_eq(count, 2 + 256 - KINDS);
	for (size_t i = 0; i < count; i++) {
		memset(&m, 0, sizeof m);
		m.msg.header.op = ops[i];
		for (size_t k = 0; k < KINDS; k++) {
			ck_assert_int_eq(km_wire_check_request(&m.msg, kinds[k].size, 0), -EPROTO);
			ck_assert_int_eq(km_wire_check_answer(&m.msg, kinds[k].size, 0), -EPROTO);
		}
		ck_assert_uint_eq(km_wire_size(ops[i]), 0);
		ck_assert_str_eq(km_wire_name(ops[i]), "unknown");
	}
}
END_TEST

/* Each field that the check itself judges: paint it wrong in an otherwise good message. */
static const struct {
	uint32_t op;
	size_t offset, size;
	int paint;
} wrong[] = {
#define WRONG(op, type, field, paint)                                                              \
	{                                                                                          \
		op, offsetof(struct km_msg_##type, field),                                         \
			sizeof(((struct km_msg_##type *)0)->field), paint                          \
	}
	WRONG(KM_OP_HELLO, hello, name, 'x'),
	WRONG(KM_OP_HELLO, hello, prefix, 'x'),
	WRONG(KM_OP_ADVERTISE, attach, topic, 'x'),
	WRONG(KM_OP_ADVERTISE, attach, history, 1),
	WRONG(KM_OP_ADVERTISE, attach, flags, KM_ATTACH_OBSERVE),
	WRONG(KM_OP_ADVERTISE, attach, has_geometry, 2),
	WRONG(KM_OP_ADVERTISE, attach, geometry, 1), /* though has_geometry is 0 */
	WRONG(KM_OP_SUBSCRIBE, attach, topic, 'x'),
	WRONG(KM_OP_ADVERTISE, attach, owner, 'x'),
	WRONG(KM_OP_ADVERTISE, attach, kind, 3),
	WRONG(KM_OP_ADVERTISE, attach, flags, 8),
	WRONG(KM_OP_ADVERTISE, attach, flags, KM_ATTACH_CREATE),
	WRONG(KM_OP_ADVERTISE, attach, linger_ns, 1), /* though has_geometry is 0 */
	WRONG(KM_OP_ADVERTISE, attach, persistent, 1),
	WRONG(KM_OP_ADVERTISE, attach, has_schema, 2),
	WRONG(KM_OP_ADVERTISE, attach, has_wanted, 2),
	WRONG(KM_OP_SUBSCRIBE, attach, flags, KM_ATTACH_MUST_EXIST),
	WRONG(KM_OP_SUBSCRIBE, attach, flags, KM_ATTACH_OBSERVE | KM_ATTACH_WRITABLE),
	WRONG(KM_OP_ADVERTISE, attach, flags, KM_ATTACH_WRITABLE),
	WRONG(KM_OP_SUBSCRIBE, attach, has_wanted, 2),
	WRONG(KM_OP_INFO, topic, topic, 'x'),
	WRONG(KM_OP_STATS, topic, prefix, 'x'),
	WRONG(KM_OP_UNLINK, topic, owner, 'x'),
	WRONG(KM_OP_UNLINK, topic, kind, 1),
	WRONG(KM_OP_ADVERTISE, attach, flags, KM_ATTACH_WAIT),
	WRONG(KM_OP_SUBSCRIBE, attach, flags, KM_ATTACH_WAIT | KM_ATTACH_CREATE),
	WRONG(KM_OP_SCHEMA, topic, cursor, 1),
	WRONG(KM_OP_CLAIM, topic, topic, 'x'),
	WRONG(KM_OP_RIGHTS, rights, topic.topic, 'x'),
	WRONG(KM_OP_RIGHTS, rights, of_other, 2),
	WRONG(KM_OP_RIGHTS, rights, group_count, 2), /* 0x02020202 */
	WRONG(KM_OP_RIGHTS_OK, rights_ok, exists, 2),
	WRONG(KM_OP_RIGHTS_OK, rights_ok, reserved, 1),
	WRONG(KM_OP_RIGHTS_OK, rights_ok, rights[3].origin, 'x'),
	WRONG(KM_OP_RIGHTS_OK, rights_ok, rights[3].value, 'x'),
	WRONG(KM_OP_RIGHTS_OK, rights_ok, rights[0].privilege, 4),
	WRONG(KM_OP_DIAGNOSE, topic, owner, 'x'),
	WRONG(KM_OP_DIAGNOSE, topic, kind, 1),
	WRONG(KM_OP_DIAGNOSE, topic, reserved, 1),
	WRONG(KM_OP_REPAIR, repair, topic.owner, 'x'),
	WRONG(KM_OP_REPAIR, repair, topic.kind, 1),
	WRONG(KM_OP_REPAIR, repair, topic.reserved, 1),
	WRONG(KM_OP_INFO_OK, info_ok, entry.owner, 'x'),
	WRONG(KM_OP_INFO_OK, info_ok, entry.region, 'x'),
	WRONG(KM_OP_INFO_OK, info_ok, entry.kind, 1),
	WRONG(KM_OP_STATS_OK, stats_ok, count, 1),
	WRONG(KM_OP_CLIENTS_OK, clients_ok, count, 1),
	WRONG(KM_OP_CLIENTS_OK, clients_ok, reserved, 1),
	WRONG(KM_OP_SCHEMA_OK, schema_ok, has_schema, 2),
	WRONG(KM_OP_SCHEMA_OK, schema_ok, won, 2),
	WRONG(KM_OP_EVENT, event, header.serial, 1),
	WRONG(KM_OP_EVENT, event, reserved, 1),
	WRONG(KM_OP_WATCH, list, cursor, 1),
	WRONG(KM_OP_LOG_LEVEL, list, cursor, 0),
	WRONG(KM_OP_LOG_LEVEL, list, cursor, 3), /* 0x0303030303030303 */
	WRONG(KM_OP_HAPPENED, happened, header.serial, 1),
	WRONG(KM_OP_HAPPENED, happened, count, 0),
	WRONG(KM_OP_HAPPENED, happened, count, 1), /* 0x01010101 */
	WRONG(KM_OP_HAPPENED, happened, reserved, 1),
	WRONG(KM_OP_HAPPENED, happened, happenings[0].kind, 'x'),
	WRONG(KM_OP_HAPPENED, happened, happenings[0].client, 'x'),
	WRONG(KM_OP_HAPPENED, happened, happenings[0].topic, 'x'),
	WRONG(KM_OP_HAPPENED, happened, happenings[0].text, 'x'),
	WRONG(KM_OP_DIAGNOSE, topic, topic, 'x'),
	WRONG(KM_OP_DIAGNOSE, topic, prefix, 'x'),
	WRONG(KM_OP_REPAIR, repair, topic.topic, 'x'),
	WRONG(KM_OP_REPAIR, repair, topic.prefix, 'x'),
	WRONG(KM_OP_REPAIR, repair, reserved, 1),
	WRONG(KM_OP_REPAIR, repair, what, 0),
	WRONG(KM_OP_REPAIR, repair, what, 8),
	WRONG(KM_OP_ERROR, error, text, 'x'),
	WRONG(KM_OP_ERROR, error, error, 0),
	WRONG(KM_OP_ERROR, error, error, 1),
	WRONG(KM_OP_HELLO_OK, hello_ok, segment_size, 0),
	WRONG(KM_OP_ATTACHED, attached, new_segment_size, 1), /* with two descriptors */
	WRONG(KM_OP_ATTACHED, attached, persistent, 2),
	WRONG(KM_OP_ATTACHED, attached, has_schema, 2),
	WRONG(KM_OP_INFO_OK, info_ok, entry.creator, 'x'),
	WRONG(KM_OP_LIST_OK, list_ok, count, 1), /* 0x01010101 entries */
	WRONG(KM_OP_DIAGNOSE_OK, diagnose_ok, count, 1),
	WRONG(KM_OP_DIAGNOSE_OK, diagnose_ok, reason, 'x'),
};

START_TEST(check_bad_field_eproto)
{
	open_pair();
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		size_t k = 0;

		while (kinds[k].op != wrong[i].op)
			k++;
		fill(&kinds[k], kinds[k].min_fds);
		memset(m.bytes + wrong[i].offset, wrong[i].paint, wrong[i].size);
		ck_assert_msg(roundtrip(&kinds[k], kinds[k].size, kinds[k].min_fds) == -EPROTO,
			"%s with a bad field at %zu", km_wire_name(wrong[i].op), wrong[i].offset);
	}
	close_pair();
}
END_TEST

START_TEST(check_bad_page_entry_eproto)
{
	const struct kind list = { KM_OP_LIST_OK, false, sizeof(struct km_msg_list_ok), 0, 0 };
	const struct kind diagnose = { KM_OP_DIAGNOSE_OK, false, sizeof(struct km_msg_diagnose_ok),
		0, 0 };

	fill(&list, 0);
	m.msg.list_ok.count = KM_WIRE_LIST_PAGE;
	ck_assert_int_eq(check(&list, &m.msg, list.size, 0), 0);
	memset(m.msg.list_ok.entries[KM_WIRE_LIST_PAGE - 1].topic, 'x', KM_NAME_SIZE);
	ck_assert_int_eq(check(&list, &m.msg, list.size, 0), -EPROTO);
	fill(&list, 0);
	m.msg.list_ok.count = 1;
	memset(m.msg.list_ok.entries[0].prefix, 'x', KM_PREFIX_SIZE);
	ck_assert_int_eq(check(&list, &m.msg, list.size, 0), -EPROTO);
	m.msg.list_ok.count = KM_WIRE_LIST_PAGE + 1;
	ck_assert_int_eq(check(&list, &m.msg, list.size, 0), -EPROTO);
	fill(&diagnose, 0);
	m.msg.diagnose_ok.count = KM_WIRE_ANOMALY_PAGE;
	ck_assert_int_eq(check(&diagnose, &m.msg, diagnose.size, 0), 0);
	memset(m.msg.diagnose_ok.anomalies[KM_WIRE_ANOMALY_PAGE - 1].owner, 'x', KM_PREFIX_SIZE);
	ck_assert_int_eq(check(&diagnose, &m.msg, diagnose.size, 0), -EPROTO);
}
END_TEST

START_TEST(check_advertise_with_geometry_good)
{
	const struct kind *k = &kinds[1];

	fill(k, 0);
	m.msg.advertise.has_geometry = 1;
	memset(&m.msg.advertise.geometry, 0xff, sizeof m.msg.advertise.geometry);
	ck_assert_int_eq(
		check(k, &m.msg, k->size, 0), 0); /* values are for the receiver to judge */
}
END_TEST

/* A datagram with n descriptors, past km_wire_send's own limit. */
static void send_raw(size_t size, size_t n)
{
	union {
		char bytes[CMSG_SPACE(16 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec part = { &m, size };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };

	if (n > 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(n * sizeof(int));
		struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
		*rights = (struct cmsghdr){ CMSG_LEN(n * sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		for (size_t i = 0; i < n; i++)
			memcpy(CMSG_DATA(rights) + i * sizeof(int), &pair[0], sizeof(int));
	}
	ck_assert_int_eq(sendmsg(pair[0], &header, 0), (ssize_t)size);
}

START_TEST(receive_too_many_fds_eproto_all_closed)
{
	union km_msg got;
	int fds[KM_WIRE_MAX_FDS];
	size_t count = 99;

	if (test_skip_emulated("receive_too_many_fds_eproto_all_closed", "MSG_CTRUNC"))
		return;
	open_pair();
	int before = fixture_open_fds();
	for (size_t n = KM_WIRE_MAX_FDS + 1; n <= 16; n++) {
		fill(&kinds[0], 0);
		send_raw(kinds[0].size, n);
		ck_assert_int_eq(km_wire_receive(pair[1], &got, fds, &count), -EPROTO);
		ck_assert_uint_eq(count, 0);
		ck_assert_int_eq(fixture_open_fds(), before);
	}
	/* the connection still works; whether it is kept is the receiver's choice */
	fill(&kinds[0], 0);
	ck_assert_int_eq(roundtrip(&kinds[0], kinds[0].size, 0), 0);
	close_pair();
}
END_TEST

START_TEST(receive_longer_than_any_message_eproto_fds_closed)
{
	union km_msg got;
	int fds[KM_WIRE_MAX_FDS];
	size_t count = 99;

	open_pair();
	int before = fixture_open_fds();
	fill(&kinds[0], 0);
	send_raw(sizeof(union km_msg) + 1, 2);
	ck_assert_int_eq(km_wire_receive(pair[1], &got, fds, &count), -EPROTO);
	ck_assert_uint_eq(count, 0);
	ck_assert_int_eq(fixture_open_fds(), before);
	close_pair();
}
END_TEST

/* A good answer with so many descriptors, on its way. */
static void send_attached(size_t fds)
{
	static const struct kind attached = { KM_OP_ATTACHED, false, sizeof(struct km_msg_attached),
		2, 3 };

	fill(&attached, fds);
	send_raw(attached.size, fds);
}

/* Three descriptors are on their way; the receiver can have no more than `room` of them. */
START_TEST(receive_answer_without_its_fds_emfile_and_whole)
{
	static int hoard[64];
	union km_msg got;
	int fds[KM_WIRE_MAX_FDS];
	size_t count = 99;
	struct rlimit limit = { 64, 64 };

	open_pair();
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (int room = 0; room < 3; room++) {
		int n = 0;

		send_attached(3);
		while ((hoard[n] = dup(pair[0])) >= 0)
			n++;
		for (int i = 0; i < room; i++)
			close(hoard[--n]);
		ck_assert_int_eq(km_wire_receive_answer(pair[1], &got, fds, &count), -EMFILE);
		ck_assert_uint_eq(count, 0);
		ck_assert_int_eq(memcmp(&got, &m, sizeof got.attached), 0);
		for (int i = 0; i < room; i++) /* those that came are closed */
			ck_assert_int_ge(hoard[n++] = dup(pair[0]), 0);
		ck_assert_int_lt(dup(pair[0]), 0);
		/* a message that isn't a good answer is refused, whatever descriptors it had */
		fill(&kinds[0], 0);
		send_raw(kinds[0].size, 2);
		ck_assert_int_eq(km_wire_receive_answer(pair[1], &got, fds, &count), -EPROTO);
		while (n > 0)
			close(hoard[--n]);
	}
	send_attached(2);
	ck_assert_int_eq(km_wire_receive_answer(pair[1], &got, fds, &count), 0);
	ck_assert_uint_eq(count, 2);
	close(fds[0]);
	close(fds[1]);
	close_pair();
}
END_TEST

/* Exits with how many of the three came above 2. */
static void receive_without_stdio(void)
{
	union km_msg got;
	int fds[KM_WIRE_MAX_FDS], good = 0;
	size_t count = 0;

	close(0), close(1), close(2);
	if (km_wire_receive_answer(pair[1], &got, fds, &count) == 0)
		for (size_t i = 0; i < count; i++)
			good += fds[i] > 2 && fcntl(fds[i], F_GETFD) == FD_CLOEXEC;
	for (int i = 0; i <= 2; i++)
		good -= fcntl(i, F_GETFD) >= 0;
	_exit(good);
}

START_TEST(receive_without_stdio_fds_above_it)
{
	int status;

	open_pair();
	send_attached(3);
	pid_t child = fork();
	if (child == 0)
		receive_without_stdio();
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 3);
	close_pair();
}
END_TEST

/* A peer hangs up with an answer unread. The words that it had said before can still be received. */
START_TEST(receive_what_was_said_before_a_reset)
{
	union km_msg got;
	int fds[KM_WIRE_MAX_FDS];
	size_t count;

	open_pair();
	fill(&kinds[3], 0);
	ck_assert_int_eq(km_wire_send(pair[0], &m, kinds[3].size, NULL, 0), 0);
	ck_assert_int_eq(km_wire_send(pair[1], &m, kinds[3].size, NULL, 0), 0);
	close(pair[0]);
	ck_assert_int_eq(km_wire_receive(pair[1], &got, fds, &count), (ssize_t)kinds[3].size);
	ck_assert_int_eq(km_wire_receive(pair[1], &got, fds, &count), -ENOTCONN);
	close(pair[1]);
}
END_TEST

START_TEST(send_too_many_fds_einval_nothing_sent)
{
	union km_msg got;
	int fds[KM_WIRE_MAX_FDS + 1] = { 0, 0, 0, 0 };
	size_t count;

	open_pair();
	fcntl(pair[1], F_SETFL, O_NONBLOCK);
	ck_assert_int_eq(km_wire_send(pair[0], &m, 8, fds, KM_WIRE_MAX_FDS + 1), -EINVAL);
	ck_assert_int_eq(km_wire_receive(pair[1], &got, fds, &count), -EAGAIN);
	close_pair();
}
END_TEST

START_TEST(send_full_socket_eagain)
{
	int r = 0, sent = 0;

	open_pair();
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	while (r == 0 && sent++ < 100000)
		r = km_wire_send(pair[0], &m, sizeof(struct km_msg_ok), NULL, 0);
	ck_assert_int_eq(r, -EAGAIN);
	close_pair();
}
END_TEST

/* SIGPIPE would end the test. */
START_TEST(send_receive_peer_gone_enotconn)
{
	union km_msg got;
	int fds[KM_WIRE_MAX_FDS];
	size_t count = 99;

	open_pair();
	close(pair[0]);
	ck_assert_int_eq(km_wire_receive(pair[1], &got, fds, &count), -ENOTCONN);
	ck_assert_uint_eq(count, 0);
	ck_assert_int_eq(km_wire_send(pair[1], &m, 8, NULL, 0), -ENOTCONN);
	close(pair[1]);
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("wire");

	tcase_add_test(tc, check_each_kind_each_fd_count);
	tcase_add_test(tc, check_each_kind_short_or_long_eproto);
	tcase_add_test(tc, check_wrong_direction_eproto);
	tcase_add_test(tc, check_unknown_op_eproto);
	tcase_add_test(tc, check_bad_field_eproto);
	tcase_add_test(tc, check_bad_page_entry_eproto);
	tcase_add_test(tc, check_advertise_with_geometry_good);
	tcase_add_test(tc, receive_too_many_fds_eproto_all_closed);
	tcase_add_test(tc, receive_longer_than_any_message_eproto_fds_closed);
	tcase_add_test(tc, receive_answer_without_its_fds_emfile_and_whole);
	tcase_add_test(tc, receive_without_stdio_fds_above_it);
	tcase_add_test(tc, receive_what_was_said_before_a_reset);
	tcase_add_test(tc, send_too_many_fds_einval_nothing_sent);
	tcase_add_test(tc, send_full_socket_eagain);
	tcase_add_test(tc, send_receive_peer_gone_enotconn);
	return fixture_run("wire", tc);
}
