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
void km_systemd_notify(const char *state)
{
}
#endif
