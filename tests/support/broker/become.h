/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another user who can still find the programs of this build, which may lie where only root gets to
 * (a checkout in /root). The broker and the socket's mode treat that user as before: the capability
 * that is kept only opens folders and files for reading.
 */
#pragma once

#include <grp.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From here on this process is that user, in the group of the same number and, unless it is 0,
 * in `group`. False: the process can't become the user, or only in part. */
static inline bool test_become(uid_t id, gid_t group)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	const __u32 search = 1U << CAP_DAC_READ_SEARCH;
	const struct __user_cap_data_struct kept[_LINUX_CAPABILITY_U32S_3] = {
		{ .effective = search, .permitted = search, .inheritable = search },
	};

	return prctl(PR_SET_KEEPCAPS, 1) == 0 && setgroups(group ? 1 : 0, &group) == 0 &&
	       setgid(id) == 0 && setuid(id) == 0 && syscall(SYS_capset, &header, kept) == 0 &&
	       prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH, 0, 0) == 0;
}
