/* SPDX-License-Identifier: Apache-2.0 */
/* Where metrics are served: see listen.h. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "daemon/metrics/listen.h"

/* Removes a Unix socket's file that a dead process has left. Only a socket that refuses connections
 * has no owner. */
static void remove_stale(const struct km_address *address)
{
	_cleanup_(km_closep) int fd = socket(
		AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (fd >= 0 && lstat(address->local.sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
		connect(fd, &address->base, address->size) < 0 && errno == ECONNREFUSED)
		unlink(address->local.sun_path);
}

/* Binds the file so that nobody connects before it has its mode. */
static int bind_file(int fd, const struct km_address *address, mode_t mode)
{
	remove_stale(address);
	mode_t before = umask(0777 & ~mode);
	int r = bind(fd, &address->base, address->size) < 0 ? -errno : 0;

	umask(before);
	return r;
}

int km_metrics_bind(const struct km_config_metrics *config, int *ret)
{
	const int on = 1;
	struct km_address address;
	char text[256];
	int r;

	if (km_address_parse(config->listen, &address, text, sizeof text) < 0)
		return -EINVAL;
	_cleanup_(km_closep) int fd = socket(
		address.base.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (address.base.sa_family == AF_UNIX) {
		r = bind_file(fd, &address, config->mode);
	} else {
		/* connections of the broker before this one may linger */
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
		r = bind(fd, &address.base, address.size) < 0 ? -errno : 0;
	}
	if (r == 0)
		*ret = km_steal_fd(fd);
	return r;
}

void km_metrics_unbind(const struct km_config_metrics *config)
{
	struct km_address address;
	char text[256];

	if (km_address_parse(config->listen, &address, text, sizeof text) == 0 &&
		address.base.sa_family == AF_UNIX)
		unlink(address.local.sun_path);
}
