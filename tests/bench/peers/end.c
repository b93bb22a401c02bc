/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of which all peers' ends are made. */
#include <stdlib.h>
#include <string.h>

#include "tests/bench/peers/peers.h"

void *peer_end_new(const struct worker *worker, size_t size)
{
	size_t bytes = (size + 64 + worker->shape.size + 63) / 64 * 64;
	void *end = aligned_alloc(64, bytes);

	if (!end)
		bench_die("no memory");
	memset(end, 0, bytes);
	return end;
}
