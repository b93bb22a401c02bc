/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where libsystemd is loaded: see libsystemd.h. */
#include <stdbool.h>
#include <stddef.h>

#include "daemon/run/libsystemd.h"
#include "daemon/run/log.h"

#ifdef HAVE_LIBSYSTEMD
#include <dlfcn.h>

void *km_libsystemd_function(const char *name)
{
	static void *library;
	static bool tried;

	if (!tried) {
		tried = true;
		library = dlopen("libsystemd.so.0", RTLD_LAZY | RTLD_LOCAL);
		if (!library)
			km_log(LOG_ERR | KM_EVENT_NO_LIBSYSTEMD, NULL, NULL,
				"started by a service manager, but %s", dlerror());
	}
	return library ? dlsym(library, name) : NULL;
}
#else
void *km_libsystemd_function(const char *name)
{
	static bool said;

	if (!said) {
		said = true;
		km_log(LOG_ERR | KM_EVENT_NO_LIBSYSTEMD, NULL, NULL,
			"started by a service manager, but built without libsystemd");
	}
	return NULL;
}
#endif
