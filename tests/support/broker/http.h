/* SPDX-License-Identifier: Apache-2.0 */
/* A small HTTP client for the tests of what the broker serves at a Unix socket, in a folder of its own. */
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/support/broker/flow.h"

static char http_dir[64], http_path[96], http_answer[1 << 21];

static inline void http_setup(void)
{
	strcpy(http_dir, "/tmp/kickmsg-http-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(http_dir));
	snprintf(http_path, sizeof http_path, "%s/m", http_dir);
}

static inline void http_teardown(void)
{
	unlink(http_path);
	ck_assert_int_eq(rmdir(http_dir), 0);
}

static inline int http_connect(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", http_path);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	close(fd);
	return -1;
}

/* The file is there a moment before the broker listens to it. */
static inline bool http_listens(void)
{
	int fd = http_connect();

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Starts the broker; `more` follows the section [metrics]. */
static inline void http_start(const char *more)
{
	char config[512];

	snprintf(config, sizeof config, "[recovery]\ninterval = 5\n[metrics]\nlisten = unix:%s\n%s",
		http_path, more);
	test_broker_start(&broker, config);
	ck_assert(test_wait_until(http_listens(), FLOW_WAIT_MS));
}

/* Reads until the other side closes, as a text. False: it didn't close in that time. */
static inline bool http_read_all(int fd, int ms)
{
	struct pollfd item = { fd, POLLIN, 0 };
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && len < sizeof http_answer - 1 && poll(&item, 1, ms) == 1) {
		n = read(fd, http_answer + len, sizeof http_answer - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	http_answer[len] = '\0';
	return n <= 0;
}

/* Sends these headers' text. Returns the status of the answer, which is in http_answer[]; 0:
 * there was none. */
static inline int http_ask(const char *text)
{
	int fd = http_connect(), status = 0;

	if (fd < 0)
		return 0;
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0 || !http_read_all(fd, FLOW_WAIT_MS) ||
		sscanf(http_answer, "HTTP/1.1 %d", &status) != 1)
		status = 0;
	close(fd);
	return status;
}

static inline int http_get(const char *what)
{
	char text[4096];

	snprintf(text, sizeof text,
		"GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: "
		"application/openmetrics-text\r\n\r\n",
		what);
	return http_ask(text);
}
