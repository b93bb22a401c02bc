/* SPDX-License-Identifier: Apache-2.0 */
/* A wait set's sleep at words: see words.h. */
#include "libclient/set/words.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/ring/futex.h"
#include "common/ring/waiter.h"
#include "libclient/wait/room.h"
#include "libclient/watch/uring.h"

/* --- announced and retracted ------------------------------------------------------------------------ */

/* The member's word; null: it has none, or is an observer. */
static _Atomic uint32_t *word_of(const struct km_wait_member *member)
{
	if (member->kind == KM_WAIT_FOR_PUBLISHER)
		return km_publisher_word(member->publisher);
	return member->kind == KM_WAIT_FOR_SUBSCRIBER ? km_subscriber_word(member->subscriber)
						      : NULL;
}

static struct km_wait_word announce(const struct km_wait_member *member, _Atomic uint32_t *word)
{
	if (member->kind == KM_WAIT_FOR_PUBLISHER)
		return (struct km_wait_word){
			.word = word,
			.region = member->publisher->handle.place.inode,
			.announced = km_publisher_announce(member->publisher),
		};
	return (struct km_wait_word){
		.word = word,
		.region = member->subscriber->handle.place.inode,
		.ring = member->subscriber->handle.place.ring,
		.announced = km_subscriber_announce(member->subscriber),
	};
}

/* Members may share a word: the last announcement is what is waited for. */
static size_t place_of(const struct kickmsg_waitset *set, const _Atomic uint32_t *word)
{
	size_t k = 1;

	while (k < set->word_count && set->words[k].word != word)
		k++;
	return k;
}

void km_words_announce(struct kickmsg_waitset *set)
{
	set->words[0] = (struct km_wait_word){
		.word = &set->turn,
		.announced = km_load(D7, seq_cst, &set->turn),
		.member = KM_NO_MEMBER,
	};
	set->word_count = 1;
	for (size_t i = 0; i < set->count; i++) {
		const struct km_wait_member *member = &set->members[i];
		_Atomic uint32_t *word = word_of(member);

		if (!word)
			continue;
		if (member->kind == KM_WAIT_FOR_SUBSCRIBER && member->subscriber->ready) {
			km_ready_suspend(member->subscriber);
			set->suspends = true;
		}
		struct km_wait_word announced = announce(member, word);
		size_t k = place_of(set, word);
		announced.member = k == set->word_count ? i : KM_NO_MEMBER;
		set->word_count += k == set->word_count;
		set->words[k] = announced;
	}
}

void km_words_retract(struct kickmsg_waitset *set)
{
	for (size_t k = 1; k < set->word_count; k++)
		if (set->words[k].ring)
			km_waiter_retract(set->words[k].ring);
	for (size_t i = 0; set->suspends && i < set->count; i++)
		if (set->members[i].kind == KM_WAIT_FOR_SUBSCRIBER)
			km_ready_resume(set->members[i].subscriber);
	set->suspends = false;
}

/* --- by a ring -------------------------------------------------------------------------------------- */

static bool has_ring(struct kickmsg_waitset *set)
{
	struct km_standing *standing = &set->standing;

	if (set->word_count < set->ring_from)
		return false;
	if (standing->uring)
		return km_uring_is_mine(standing->uring);
	if (km_standing_reserve(standing, KM_WAIT_WORDS + 1) < 0 ||
		km_uring_new_hidden(&standing->uring) < 0) {
		set->ring_from = SIZE_MAX;
		return false;
	}
	return true;
}

/* Has each word wait in the ring, and takes the waits away that the set needs no more. */
static int put_all(struct kickmsg_waitset *set)
{
	int r = 0;

	for (size_t k = 0; k < set->word_count && r == 0; k++)
		r = km_standing_put(&set->standing, k, set->words[k].word, set->words[k].region,
			set->words[k].announced);
	for (size_t k = set->word_count; k < set->stood && r == 0; k++)
		r = km_standing_put(&set->standing, k, NULL, 0, 0);
	set->stood = set->word_count;
	return r;
}

/* False: the kernel refuses it. */
static bool sleep_by_ring(struct kickmsg_waitset *set, int64_t ends, size_t *ret_member)
{
	size_t place, woken = 0;

	if (put_all(set) < 0 || km_uring_sleep(set->standing.uring, ends) < 0) {
		km_standing_free(&set->standing);
		set->ring_from = SIZE_MAX;
		return false;
	}
	while (km_standing_next(&set->standing, &place)) {
		*ret_member = woken++ == 0 && place < set->word_count ? set->words[place].member
								      : KM_NO_MEMBER;
	}
	return true;
}

/* --- by futex_waitv(2) ------------------------------------------------------------------------------ */

static size_t sleep_by_waitv(struct kickmsg_waitset *set, int64_t ends)
{
	struct timespec deadline = km_wait_time(ends);
	struct futex_waitv words[KM_WAIT_WORDS + 1];

	for (size_t k = 0; k < set->word_count; k++)
		words[k] = (struct futex_waitv){ set->words[k].announced,
			(uintptr_t)set->words[k].word, FUTEX_32, 0 };
	long r = syscall(SYS_futex_waitv, words, set->word_count, 0, &deadline, CLOCK_MONOTONIC);
	if (r >= 0)
		return set->words[r].member;
	if (errno != EAGAIN && errno != ETIMEDOUT && errno != EINTR)
		km_nap(ends);
	return KM_NO_MEMBER;
}

size_t km_words_sleep(struct kickmsg_waitset *set, int64_t ends)
{
	size_t member = KM_NO_MEMBER;

	if (has_ring(set) && sleep_by_ring(set, ends, &member))
		return member;
	return sleep_by_waitv(set, ends);
}
