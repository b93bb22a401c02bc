/* SPDX-License-Identifier: Apache-2.0 */
/* For programs that use the library until SIGTERM. Any error ends them with status 1 and a word. */
#pragma once

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "libclient/kickmsg.h"

static volatile sig_atomic_t ending;

static void on_signal(int number)
{
	ending = 1;
}

static inline void until_sigterm(void)
{
	signal(SIGTERM, on_signal);
}

static inline void must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, kickmsg_strerror(r));
	exit(EXIT_FAILURE);
}
