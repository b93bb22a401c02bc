/* SPDX-License-Identifier: Apache-2.0 */
/* Sleeping at many words: see rest.h. */
#include "libclient/service/rest.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/ring/futex.h"
#include "common/ring/waiter.h"
#include "libclient/wait/ready.h"

static void add_word(struct km_rest *rest, const _Atomic uint32_t *word, uint32_t value,
	uint32_t flags, struct kickmsg_subscriber *announced)
{
	rest->announced[rest->count] = announced;
	rest->words[rest->count++] = (struct futex_waitv){ value, (uintptr_t)word, flags, 0 };
}

void km_rest_begin(struct km_rest *rest)
{
	rest->count = 0;
	rest->is_full = false;
	rest->is_ready = false;
	add_word(rest, &rest->turn, km_load(D8, seq_cst, &rest->turn),
		FUTEX_32 | FUTEX_PRIVATE_FLAG, NULL);
}

void km_rest_add_header(struct km_rest *rest, const struct km_region *region, uint32_t changes)
{
	const _Atomic uint32_t *word = &region->header->changes;

	rest->is_ready |= km_load(M1, acquire, word) != changes;
	if (rest->count == KM_REST_WORDS)
		rest->is_full = true;
	else
		add_word(rest, word, changes, FUTEX_32, NULL);
}

void km_rest_add_channel(struct km_rest *rest, struct km_channel *channel, bool ends)
{
	struct kickmsg_subscriber *in = channel->in;

	if (ends)
		km_rest_add_header(rest, &in->handle.place.region, channel->changes);
	if (rest->count == KM_REST_WORDS) {
		rest->is_full = true;
		return;
	}
	km_ready_suspend(in);
	add_word(rest, km_subscriber_word(in), km_subscriber_announce(in), FUTEX_32, in);
	rest->is_ready |= km_subscriber_look(in, true);
}

void km_rest_sleep(struct km_rest *rest, int64_t until_ns)
{
	KM_KEEP_ERRNO;
	int64_t now = km_clock_ns(), ends = now + (rest->is_full ? KM_NAP_NS : KM_PATIENCE_NS);

	if (until_ns < ends)
		ends = until_ns;
	struct timespec deadline = { ends / 1000000000, ends % 1000000000 };
	if (ends > now && !rest->is_ready && !km_rest_is_asked(rest) &&
		syscall(SYS_futex_waitv, rest->words, rest->count, 0, &deadline, CLOCK_MONOTONIC) <
			0 &&
		errno != EAGAIN && errno != ETIMEDOUT && errno != EINTR)
		km_nap(ends);
	for (unsigned i = 0; i < rest->count; i++) {
		struct kickmsg_subscriber *in = rest->announced[i];

		if (in && in->handle.place.ring)
			km_waiter_retract(in->handle.place.ring);
		if (in)
			km_ready_resume(in);
	}
}

bool km_rest_take_interrupt(struct km_rest *rest)
{
	if (!km_rest_is_asked(rest))
		return false;
	km_store(D8, seq_cst, &rest->asked, 0);
	return true;
}

void km_rest_interrupt(struct km_rest *rest)
{
	KM_KEEP_ERRNO;

	km_store(D8, seq_cst, &rest->asked, 1);
	km_add(D8, seq_cst, &rest->turn, 1);
	syscall(SYS_futex, &rest->turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
