/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishers x subscribers, with pools and rings from plenty of room to nearly none. Each runs in
 * both manners of moving a payload (zc: loan and borrow; copy), as processes, as threads with a
 * client each, and as threads on bare memory, which is what ThreadSanitizer sees through.
 */
#include "tests/support/stress/stress_main.h"

#define SHAPE(title, p, s, slots, cells, count, ...)                                               \
	{                                                                                          \
		.name = title, .publishers = p, .subscribers = s, .pool = slots, .ring = cells,    \
		.messages = count, __VA_ARGS__                                                     \
	}
#define MANNERS(how, ...)                                                                          \
	SHAPE(how " 1x1 64/16 zc", 1, 1, 64, 16, 300000, __VA_ARGS__),                             \
		SHAPE(how " 1x1 64/16 copy", 1, 1, 64, 16, 300000, .copying = true, __VA_ARGS__),  \
		SHAPE(how " 2x4 256/64 zc", 2, 4, 256, 64, 50000, __VA_ARGS__),                    \
		SHAPE(how " 2x4 256/64 copy", 2, 4, 256, 64, 50000, .copying = true, __VA_ARGS__), \
		SHAPE(how " 8x8 128/32 zc", 8, 8, 128, 32, 6000, .blocking = true, __VA_ARGS__),   \
		SHAPE(how " 8x8 128/32 copy", 8, 8, 128, 32, 6000, .copying = true, __VA_ARGS__),  \
		SHAPE(how " 16x16 32/8 zc", 16, 16, 32, 8, 1200, __VA_ARGS__),                     \
		SHAPE(how " 16x16 32/8 copy", 16, 16, 32, 8, 1200, .copying = true,                \
			.blocking = true, __VA_ARGS__)

static const struct stress_case cases[] = {
	MANNERS("processes", .threads = false),
	MANNERS("threads", .threads = true),
	MANNERS("bare", .threads = true, .bare = true),
	MANNERS("shared processes", .shared = true, .threads = false),
	MANNERS("shared threads", .shared = true, .threads = true),
#ifndef __SANITIZE_THREAD__ /* overtaken readers forget what they read */
	MANNERS("shared bare", .shared = true, .threads = true, .bare = true),
#endif
};

int main(int argc, char **argv)
{
	return stress_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]), NULL);
}
