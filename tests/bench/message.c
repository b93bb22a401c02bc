/* SPDX-License-Identifier: Apache-2.0 */
/* Long payloads: see message.h. Compiled for vectors, so that memory is the limit and not this
 * code. */
#include "tests/bench/message.h"

void message_write_long(void *data, size_t size, uint64_t key)
{
	uint64_t *words = data;

	for (size_t i = 0; i < size / 8; i++)
		words[i] = key + i;
}

bool message_good_long(const void *data, size_t size, uint64_t key)
{
	const uint64_t *words = data;
	uint64_t wrong = 0;

	for (size_t i = 0; i < size / 8; i++)
		wrong |= words[i] ^ (key + i);
	return wrong == 0;
}
