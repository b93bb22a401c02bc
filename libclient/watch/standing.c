/* SPDX-License-Identifier: Apache-2.0 */
/* Waits that stay in the kernel: see standing.h. */
#include "libclient/watch/standing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/watch/uring.h"

/* [number | place + 1]; 0 is the tag of a cancellation */
static uint64_t tag_of(const struct km_standing *standing, size_t place)
{
	return (uint64_t)standing->waits[place].number << 32 | (place + 1);
}

int km_standing_reserve(struct km_standing *standing, size_t count)
{
	if (count <= standing->count)
		return 0;
	struct km_standing_wait *waits = reallocarray(standing->waits, count, sizeof *waits);
	if (!waits)
		return -ENOMEM;
	memset(waits + standing->count, 0, (count - standing->count) * sizeof *waits);
	standing->waits = waits;
	standing->count = count;
	return 0;
}

void km_standing_free(struct km_standing *standing)
{
	km_uring_free(standing->uring);
	free(standing->waits);
	*standing = (struct km_standing){ 0 };
}

int km_standing_put(struct km_standing *standing, size_t place, const _Atomic uint32_t *word,
	uint64_t key, uint32_t expected)
{
	struct km_standing_wait *wait = &standing->waits[place];
	int r = 0;

	if (wait->waits && (wait->word != word || wait->key != key)) {
		r = km_uring_push_cancel(standing->uring, tag_of(standing, place));
		if (r < 0)
			return r;
		wait->number++;
		wait->waits = false;
	}
	if (wait->waits || !word)
		return 0;
	wait->word = word;
	wait->key = key;
	r = km_uring_push_wait(standing->uring, word, expected, tag_of(standing, place));
	wait->waits = r == 0;
	return r;
}

bool km_standing_next(struct km_standing *standing, size_t *ret_place)
{
	uint64_t tag;

	while (km_uring_next(standing->uring, &tag)) {
		size_t place = (uint32_t)tag - UINT64_C(1);

		if (place >= standing->count || tag != tag_of(standing, place))
			continue;
		standing->waits[place].waits = false;
		*ret_place = place;
		return true;
	}
	return false;
}
