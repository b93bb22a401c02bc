/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A wait set's sleep at the words of its members, as a receive sleeps at one: announced, looked at once more,
 * slept at, retracted. Few words are slept at in futex_waitv(2), which takes a place in the queue of each and
 * gives it up again. Many have waits that stand in an io_uring from one sleep to the next
 * (watch/standing.h). That ring has no descriptor, and is the thread's that first slept by it. In another
 * thread, and where io_uring is refused, the set sleeps in futex_waitv(2).
 */
#pragma once

#include "libclient/set/members.h"

/* Announces the sleep at all members. */
void km_words_announce(struct kickmsg_waitset *set);
/* After a look that found nothing: sleeps until a word is woken, the set is interrupted, a signal handler has
 * run, or the deadline. Returns the member whose word alone was woken, or KM_NO_MEMBER. */
size_t km_words_sleep(struct kickmsg_waitset *set, int64_t ends);
/* Says that the members are up again. */
void km_words_retract(struct kickmsg_waitset *set);
