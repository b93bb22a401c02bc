/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Under an emulator of user programs (tests/arm64) some of what Linux offers is missing. The emulator
 * is started with KICKMSG_EMULATED in the environment. tests/tally.py shows each case that is skipped.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static inline bool test_is_emulated(void)
{
	return getenv("KICKMSG_EMULATED") != NULL;
}

/* True where the case is to be left out: `lacks` is what it needs and an emulator hasn't. */
static inline bool test_skip_emulated(const char *name, const char *lacks)
{
	if (test_is_emulated())
		printf("skip: %s: an emulator hasn't %s\n", name, lacks);
	return test_is_emulated();
}

/* An emulator makes mappings of its own at any time. */
#define TEST_LACKS_ADDRESS_LIMIT "a limit on the address space that a program has (RLIMIT_AS)"

/* Debian 12's curses for arm64 spoils the heap as it begins, also in a program of ten lines. */
#define TEST_LACKS_CURSES "a curses that leaves the heap whole"

/* By it `kickmsgd --reload` knows which config the broker reads. */
#define TEST_LACKS_CMDLINE "a program's command line as it was started with (/proc/PID/cmdline)"

/* A broker needs SO_PEEK_OFF to read what the last one parked (daemon/keep/parking.h). Without
 * it nothing outlives a broker. */
#define TEST_LACKS_PEEKING "SO_PEEK_OFF, by which the next broker takes back what waits"
