/* SPDX-License-Identifier: Apache-2.0 */
/* Where metrics are served: see address.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "daemon/run/address.h"

static int parse_path(const char *path, struct km_address *ret, char *ret_text, size_t size)
{
	struct km_address address = { .local.sun_family = AF_UNIX };

	if (*path != '/' || strlen(path) >= sizeof address.local.sun_path) {
		snprintf(ret_text, size, "unix:%s: not a path from / on, of up to %zu bytes", path,
			sizeof address.local.sun_path - 1);
		return -EINVAL;
	}
	strcpy(address.local.sun_path, path);
	address.size = sizeof address.local;
	*ret = address;
	return 0;
}

static bool is_loopback(const struct sockaddr_storage *any)
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)any;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)any;

	if (any->ss_family == AF_INET)
		return ntohl(four->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

int km_address_parse(const char *text, struct km_address *ret, char *ret_text, size_t size)
{
	struct km_address address = { 0 };
	int len = sizeof address.any;

	if (strncmp(text, "unix:", 5) == 0)
		return parse_path(text + 5, ret, ret_text, size);
	if (evutil_parse_sockaddr_port(text, &address.base, &len) < 0 ||
		((const struct sockaddr_in *)&address.any)->sin_port == 0) {
		snprintf(ret_text, size,
			"%s: neither ADDRESS:PORT, as 127.0.0.1:9470 or [::1]:9470, nor unix:PATH",
			text);
		return -EINVAL;
	}
	address.size = (socklen_t)len;
	address.reaches_out = !is_loopback(&address.any);
	*ret = address;
	return 0;
}
