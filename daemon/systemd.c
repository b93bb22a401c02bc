/* SPDX-License-Identifier: Apache-2.0 */
/* The service manager: see systemd.h. Built without libsystemd there never is one. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "log.h"
#include "systemd.h"

#ifdef HAVE_LIBSYSTEMD
#include <dlfcn.h>
#include <systemd/sd-daemon.h>

static void *load(void)
{
	void *library = dlopen("libsystemd.so.0", RTLD_LAZY | RTLD_LOCAL);

	if (!library)
		km_log(LOG_WARNING, NULL, NULL, "started by a service manager, but %s", dlerror());
	return library;
}

static void unload(void **library)
{
	if (*library)
		dlclose(*library);
}

int km_systemd_listen_fd(int *ret_fd)
{
	if (!getenv("LISTEN_FDS"))
		return 0;
	_cleanup_(unload) void *library = load();
	__typeof__(sd_listen_fds) *listen_fds = library ? dlsym(library, "sd_listen_fds") : NULL;
	__typeof__(sd_is_socket) *is_socket = library ? dlsym(library, "sd_is_socket") : NULL;
	int n = listen_fds && is_socket ? listen_fds(1) : 0;

	if (n <= 0)
		return n;
	if (n != 1 || is_socket(SD_LISTEN_FDS_START, AF_UNIX, SOCK_SEQPACKET, 1) <= 0) {
		km_log(LOG_ERR, NULL, NULL,
			"the service manager gave %d sockets, not one listening SOCK_SEQPACKET", n);
		return -EINVAL;
	}
	int flags = fcntl(SD_LISTEN_FDS_START, F_GETFL);
	if (flags < 0 || fcntl(SD_LISTEN_FDS_START, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	*ret_fd = SD_LISTEN_FDS_START;
	return 1;
}

void km_systemd_notify(const char *state)
{
	if (!getenv("NOTIFY_SOCKET"))
		return;
	_cleanup_(unload) void *library = load();
	__typeof__(sd_notify) *notify = library ? dlsym(library, "sd_notify") : NULL;

	if (notify)
		notify(0, state);
}
#else
int km_systemd_listen_fd(int *ret_fd)
{
	return 0;
}

void km_systemd_notify(const char *state)
{
}
#endif
