/* SPDX-License-Identifier: Apache-2.0 */
/* Hanging up on a peer: what waits in the connection never ends here when it has descriptors. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/protocol/wire.h"
#include "daemon/run/account.h"
#include "daemon/run/hangup.h"
#include "tests/support/broker/emulated.h"
#include "tests/support/broker/fixture.h"

#define WAIT_MS 10000

static struct km_hangup hangup;
static struct km_accounts accounts;
static struct km_config config;
static struct km_account *account;
static int before;

static void setup(void)
{
	km_config_init(&config);
	km_accounts_init(&accounts, &config);
	account = km_account_ref(&accounts, 1000);
	km_hangup_init(&hangup);
	before = fixture_open_fds();
}

static void teardown(void)
{
	km_hangup_deinit(&hangup);
	while (waitpid(-1, NULL, 0) > 0)
		;
	ck_assert_int_eq(fixture_open_fds(), before);
	ck_assert_uint_eq(account->used[KM_STRANGERS], 0);
	km_account_unref(account);
	ck_assert(LIST_EMPTY(&accounts.list));
}

/* A pipe whose reader sees when the last copy of its other end is gone. */
struct witness {
	int reader, writer;
};

static struct witness make_witness(void)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	return (struct witness){ fds[0], fds[1] };
}

static bool is_gone(const struct witness *witness, int ms)
{
	struct pollfd state = { witness->reader, 0, 0 };

	return poll(&state, 1, ms) == 1 && state.revents & POLLHUP;
}

/* A connection in which an empty message waits, then (maybe) the witness, and nobody at its end. */
static int make_connection(struct witness *witness)
{
	struct km_msg_header word = { 0 };
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(send(pair[0], NULL, 0, 0), 0);
	ck_assert_int_eq(send(pair[0], "x", 1, 0), 1);
	if (witness) {
		ck_assert_int_eq(km_wire_send(pair[0], &word, sizeof word, &witness->writer, 1), 0);
		close(witness->writer);
	}
	close(pair[0]);
	return pair[1];
}

START_TEST(hangup_without_descriptors_closes_here)
{
	km_hangup(&hangup, make_connection(NULL), account);
	ck_assert_int_eq(hangup.pid, 0);
	ck_assert_int_eq(fixture_open_fds(), before);
}
END_TEST

START_TEST(hangup_behind_an_empty_message_another_process_closes)
{
	struct witness witness = make_witness();

	km_hangup(&hangup, make_connection(&witness), account);
	ck_assert_int_gt(hangup.pid, 0);
	ck_assert(is_gone(&witness, WAIT_MS));
	close(witness.reader);
	/* the next connection goes to the same process */
	pid_t pid = hangup.pid;
	witness = make_witness();
	km_hangup(&hangup, make_connection(&witness), account);
	ck_assert_int_eq(hangup.pid, pid);
	ck_assert(is_gone(&witness, WAIT_MS));
	close(witness.reader);
}
END_TEST

/* The service manager has a copy of the connection; closing that one takes no time, since nothing
 * waits in it. */
START_TEST(hangup_copy_elsewhere_is_empty)
{
	struct witness witness = make_witness();
	int socket = make_connection(&witness), copy = fcntl(socket, F_DUPFD_CLOEXEC, 0);

	km_hangup(&hangup, socket, account);
	ck_assert(is_gone(&witness, WAIT_MS));
	close(copy);
	close(witness.reader);
}
END_TEST

START_TEST(hangup_peek_opens_no_descriptor)
{
	struct witness witness = make_witness();
	int socket = make_connection(&witness);
	union km_msg message;

	km_wire_skip(socket);
	ck_assert_int_eq(km_wire_peek(socket, &message), 1);
	km_wire_skip(socket);
	int open = fixture_open_fds();
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(km_wire_peek(socket, &message), -EPROTO);
	ck_assert_int_eq(fixture_open_fds(), open);
	ck_assert(!is_gone(&witness, 0));
	km_hangup(&hangup, socket, account);
	ck_assert(is_gone(&witness, WAIT_MS));
	close(witness.reader);
}
END_TEST

/* The process that closes connections stands still. A connection that it has no room for stays
 * open, counts for its user, and is closed later. */
START_TEST(hangup_stuck_the_rest_counts_for_its_user)
{
	struct witness witness = make_witness(), first = make_witness();
	unsigned count = 0;

	km_hangup(&hangup, make_connection(&first), account);
	ck_assert(is_gone(&first, WAIT_MS));
	close(first.reader);
	ck_assert_int_gt(hangup.pid, 0);
	kill(hangup.pid, SIGSTOP);
	while (account->used[KM_STRANGERS] < 3) {
		struct witness one = { witness.reader, fcntl(witness.writer, F_DUPFD_CLOEXEC, 0) };

		ck_assert_uint_lt(++count, 10000);
		km_hangup(&hangup, make_connection(&one), account);
	}
	close(witness.writer);
	km_hangup_again(&hangup);
	ck_assert_uint_eq(account->used[KM_STRANGERS], 3);
	kill(hangup.pid, SIGCONT);
	for (int i = 0; account->used[KM_STRANGERS] > 0 && i < WAIT_MS; i++) {
		poll(NULL, 0, 1);
		km_hangup_again(&hangup);
	}
	ck_assert(is_gone(&witness, WAIT_MS));
	close(witness.reader);
}
END_TEST

/* The process that closes connections is stuck when the broker ends. The broker doesn't wait for
 * it, and leaves no connection open. */
START_TEST(deinit_stuck_another_process_takes_the_rest)
{
	struct witness witness = make_witness(), first = make_witness();
	pid_t stuck;

	km_hangup(&hangup, make_connection(&first), account);
	/* the process has closed the descriptors that it was born with */
	ck_assert(is_gone(&first, WAIT_MS));
	close(first.reader);
	stuck = hangup.pid;
	ck_assert_int_gt(stuck, 0);
	kill(stuck, SIGSTOP);
	while (account->used[KM_STRANGERS] == 0) {
		struct witness one = make_witness();

		km_hangup(&hangup, make_connection(&one), account);
		close(one.reader);
	}
	km_hangup(&hangup, make_connection(&witness), account);
	km_hangup_deinit(&hangup);
	ck_assert(is_gone(&witness, WAIT_MS));
	close(witness.reader);
	kill(stuck, SIGCONT);
	ck_assert_int_eq(waitpid(stuck, NULL, 0), stuck);
}
END_TEST

START_TEST(hangup_process_killed_another_one_is_started)
{
	struct witness witness = make_witness();

	km_hangup(&hangup, make_connection(&witness), account);
	ck_assert(is_gone(&witness, WAIT_MS));
	close(witness.reader);
	pid_t pid = hangup.pid;
	ck_assert_int_gt(pid, 0);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	witness = make_witness();
	km_hangup(&hangup, make_connection(&witness), account);
	ck_assert_int_ne(hangup.pid, pid);
	ck_assert(is_gone(&witness, WAIT_MS));
	close(witness.reader);
}
END_TEST

int main(void)
{
	TCase *tcase = fixture_case("hangup");

	if (test_is_emulated()) {
		puts("skipped: an emulator does not tell of descriptors that were left out "
		     "(MSG_CTRUNC)");
		return 77;
	}
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, hangup_without_descriptors_closes_here);
	tcase_add_test(tcase, hangup_behind_an_empty_message_another_process_closes);
	tcase_add_test(tcase, hangup_copy_elsewhere_is_empty);
	tcase_add_test(tcase, hangup_peek_opens_no_descriptor);
	tcase_add_test(tcase, hangup_stuck_the_rest_counts_for_its_user);
	tcase_add_test(tcase, deinit_stuck_another_process_takes_the_rest);
	tcase_add_test(tcase, hangup_process_killed_another_one_is_started);
	return fixture_run("hangup", tcase);
}
