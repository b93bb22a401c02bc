/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel features that a test needs, or leaves its cases out. */
#pragma once

#include <stdbool.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libclient/watch/uring.h"

/* Can the library wait by io_uring here? */
static inline bool test_has_uring(void)
{
	struct km_uring *uring;
	int event = eventfd(0, EFD_CLOEXEC);
	bool has = km_uring_new(event, &uring) == 0;

	if (has)
		km_uring_free(uring);
	close(event);
	return has;
}

/* Can a wait set? */
static inline bool test_has_hidden_uring(void)
{
	struct km_uring *uring;
	bool has = km_uring_new_hidden(&uring) == 0;

	if (has)
		km_uring_free(uring);
	return has;
}
