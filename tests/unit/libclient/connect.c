/* SPDX-License-Identifier: Apache-2.0 */
/* Making a client where there is no broker: which socket is meant, what is refused before anybody is
 * asked, and that each error has words. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libclient/client/client.h"
#include "libclient/client/connection.h"
#include "tests/support/broker/fixture.h"

#define PATH_MAX_BYTES (sizeof((struct sockaddr_un *)0)->sun_path - 1)

static char directory[] = "/tmp/unit-connect-XXXXXX";
static char text[512];

/* Makes the folder before all tests, and removes it after them, in the process that forks them. */
static void make_directory(void)
{
	ck_assert_ptr_nonnull(mkdtemp(directory));
}

static void remove_directory(void)
{
	char path[512];
	struct dirent *entry;
	DIR *opened = opendir(directory);

	while (opened && (entry = readdir(opened))) {
		snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
		unlink(path);
	}
	if (opened)
		closedir(opened);
	rmdir(directory);
}

/* A text of `len` bytes. */
static const char *of_length(size_t len)
{
	memset(text, 'x', len);
	text[len] = 0;
	return text;
}

/* Is it refused with this error, and words that have `says` in them? */
static void refused(const struct kickmsg_client_config *config, int error, const char *says)
{
	struct kickmsg_client *client = NULL;

	ck_assert_int_eq(kickmsg_client_new(config, &client), error);
	ck_assert_ptr_null(client);
	ck_assert_msg(strstr(kickmsg_client_last_error(NULL), says), "\"%s\" doesn't say \"%s\"",
		kickmsg_client_last_error(NULL), says);
}

/* `with_name`: the same must come of it whether the client has a name or takes the program's. */
static void path_is(const char *path, int error, const char *says)
{
	for (int with_name = 0; with_name < 2; with_name++) {
		struct kickmsg_client_config config = { .name = with_name ? "me" : NULL };

		setenv("KICKMSG_SOCKET", path, 1);
		refused(&config, error, says);
		config.socket_path = path;
		setenv("KICKMSG_SOCKET", "/nowhere", 1);
		refused(&config, error, says);
	}
}

START_TEST(path_longer_than_a_socket_can_have_einval)
{
	path_is(of_length(PATH_MAX_BYTES + 1), -EINVAL, "108 bytes");
	path_is(of_length(400), -EINVAL, "400 bytes");
	path_is("", -EINVAL, "0 bytes");
	path_is(of_length(PATH_MAX_BYTES), -ECONNREFUSED, text);
}
END_TEST

START_TEST(path_where_it_is_cut_off_isnt_connected_to)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char path[PATH_MAX_BYTES + 20];

	int n = snprintf(path, sizeof path, "%s/%s", directory, of_length(100));
	path[PATH_MAX_BYTES] = 0;
	ck_assert_int_gt(n, (int)PATH_MAX_BYTES);
	memcpy(address.sun_path, path, PATH_MAX_BYTES);
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(listener, 8), 0);
	strcat(path, "more");
	path_is(path, -EINVAL, "bytes");
	close(listener);
}
END_TEST

START_TEST(name_or_prefix_that_cant_be_einval)
{
	struct kickmsg_client_config config = { .socket_path = "/nowhere", .name = "" };

	refused(&config, -EINVAL, "name");
	config.name = of_length(KM_PREFIX_SIZE);
	refused(&config, -EINVAL, "name");
	config.name = of_length(KM_PREFIX_SIZE - 1);
	refused(&config, -ECONNREFUSED, "/nowhere");
	config.name = NULL;
	config.prefix = "";
	refused(&config, -EINVAL, "prefix");
	config.prefix = of_length(KM_PREFIX_SIZE);
	refused(&config, -EINVAL, "prefix");
	config.prefix = of_length(KM_PREFIX_SIZE - 1);
	refused(&config, -ECONNREFUSED, "/nowhere");
}
END_TEST

/* A program's name isn't the user's fault. */
START_TEST(program_name_that_cant_be_is_replaced)
{
	struct kickmsg_client_config config = { .socket_path = "/nowhere" };
	char *name = program_invocation_short_name;

	program_invocation_short_name = (char *)of_length(KM_PREFIX_SIZE);
	refused(&config, -ECONNREFUSED, "/nowhere");
	program_invocation_short_name = name;
}
END_TEST

static const char *default_path(void)
{
	static struct sockaddr_un address;
	static const struct kickmsg_client_config config;

	ck_assert_int_eq(km_client_address(&config, &address), 0);
	return address.sun_path;
}

START_TEST(default_path_is_the_users_own_or_the_systems)
{
	unsetenv("KICKMSG_SOCKET");
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	if (geteuid() == 0)
		ck_assert_str_eq(default_path(), "/run/kickmsg/kickmsgd.sock");
	if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
		return;
	ck_assert_str_eq(default_path(), "/run/user/7/kickmsg/kickmsgd.sock");
	unsetenv("XDG_RUNTIME_DIR");
	ck_assert_str_eq(default_path(), "/run/kickmsg/kickmsgd.sock");
}
END_TEST

/* Somebody listens, takes nobody in, and has others waiting. */
START_TEST(full_backlog_etimedout)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct kickmsg_client_config config = { .timeout_ns = 50000000 };
	int waiting[4];

	snprintf(address.sun_path, sizeof address.sun_path, "%s/s", directory);
	config.socket_path = address.sun_path;
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(listener, 0), 0);
	for (int i = 0; i < 4; i++) {
		waiting[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(waiting[i], (struct sockaddr *)&address, sizeof address);
	}
	refused(&config, -ETIMEDOUT, address.sun_path);
	for (int i = 0; i < 4; i++)
		close(waiting[i]);
	close(listener);
}
END_TEST

/* A broker that hangs up between the client's connect and its hello. */
static int hasty_listener = -1;

static void hang_up_hastily(void)
{
	struct km_msg_error answer = {
		.header.op = KM_OP_ERROR, .error = -EMFILE, .text = "no more descriptors"
	};
	int peer = accept(hasty_listener, NULL, NULL);

	km_wire_send(peer, &answer, sizeof answer, NULL, 0);
	close(peer);
}

/* In place of libc's. */
ssize_t sendmsg(int socket, const struct msghdr *message, int flags)
{
	const union km_msg *said = message->msg_iov[0].iov_base;

	if (hasty_listener >= 0 && said->header.op == KM_OP_HELLO)
		hang_up_hastily();
	return syscall(SYS_sendmsg, socket, message, flags);
}

START_TEST(broker_that_hangs_up_before_hello_is_heard)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct kickmsg_client_config config = { .socket_path = address.sun_path };

	snprintf(address.sun_path, sizeof address.sun_path, "%s/hasty", directory);
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(listener, 8), 0);
	hasty_listener = listener;
	refused(&config, -EMFILE, "no more descriptors");
	hasty_listener = -1;
	close(listener);
}
END_TEST

int main(void)
{
	TCase *tc = fixture_case("connect");

	tcase_add_unchecked_fixture(tc, make_directory, remove_directory);
	tcase_add_test(tc, path_longer_than_a_socket_can_have_einval);
	tcase_add_test(tc, path_where_it_is_cut_off_isnt_connected_to);
	tcase_add_test(tc, name_or_prefix_that_cant_be_einval);
	tcase_add_test(tc, program_name_that_cant_be_is_replaced);
	tcase_add_test(tc, default_path_is_the_users_own_or_the_systems);
	tcase_add_test(tc, full_backlog_etimedout);
	tcase_add_test(tc, broker_that_hangs_up_before_hello_is_heard);
	return fixture_run("connect", tc);
}
