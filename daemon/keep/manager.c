/* SPDX-License-Identifier: Apache-2.0 */
/* The service manager as the keeper of descriptors: see manager.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "daemon/keep/manager.h"
#include "daemon/run/libsystemd.h"

int km_manager_load(struct km_manager *ret)
{
	if (!getenv("NOTIFY_SOCKET") && !getenv("LISTEN_FDS"))
		return 0;
	ret->notify = km_libsystemd_function("sd_pid_notify_with_fds");
	if (!ret->notify)
		return getenv("LISTEN_FDS") ? -EINVAL : 0;
	return 1;
}

int km_manager_list(char ***ret_names)
{
	int (*list)(int unset, char ***ret_names) = km_libsystemd_function(
		"sd_listen_fds_with_names");

	return list ? list(1, ret_names) : 0;
}

bool km_manager_is_listening(int fd)
{
	int (*is_socket)(int fd, int family, int type, int listening) = km_libsystemd_function(
		"sd_is_socket");

	return is_socket && is_socket(fd, AF_UNIX, SOCK_SEQPACKET, 1) > 0;
}

int km_manager_hand(const struct km_manager *manager, char kind, int fd)
{
	char text[64];

	snprintf(text, sizeof text, "FDSTORE=1\nFDPOLL=0\nFDNAME=%c", kind);
	return manager->notify(0, 0, text, &fd, 1);
}

void km_manager_forget(const struct km_manager *manager, const char *name)
{
	char text[96];

	snprintf(text, sizeof text, "FDSTOREREMOVE=1\nFDNAME=%s", name);
	manager->notify(0, 0, text, NULL, 0);
}
