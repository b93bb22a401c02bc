/* SPDX-License-Identifier: Apache-2.0 */
/* The service manager as the keeper of descriptors: it hands over those that it has, takes others,
 * and forgets them on request. */
#pragma once

#include <stdbool.h>

struct km_manager {
	int (*notify)(int pid, int unset, const char *state, const int *fds, unsigned count);
};

/* Returns 1: there is a manager; 0: there is none. Errors: -EINVAL the manager speaks of
 * descriptors, and libsystemd isn't there to take them. */
int km_manager_load(struct km_manager *ret);

/* Returns how many descriptors the manager handed over, from KM_MANAGER_FIRST_FD on. *ret_names has
 * their names; it is the caller's. Errors: those of sd_listen_fds_with_names(3). */
int km_manager_list(char ***ret_names);
#define KM_MANAGER_FIRST_FD 3 /* SD_LISTEN_FDS_START of sd-daemon.h */

/* Is this a socket that clients can connect to? */
bool km_manager_is_listening(int fd);

/* Has the manager keep a descriptor under a name of one letter. Returns 1, or 0 or a negative errno
 * when it doesn't. */
int km_manager_hand(const struct km_manager *manager, char kind, int fd);

void km_manager_forget(const struct km_manager *manager, const char *name);
