/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storm: publishers and subscribers that are killed at random and replaced. Each writes what it
 * did on a board in shared memory, so that the sums can be made without it.
 *
 *   hands     processes. Each connects (hello said), stands by, and takes a role when told to.
 *   roles     8 publishers, 8 subscribers. A hand that is killed is reaped, and a stand-by gets its
 *             role; any number may be down at once.
 *   director  the parent: one loop that kills, reaps, hands out roles, keeps gate and books, and
 *             asks the broker how it stands. It waits for nobody but in a round.
 *
 * Why "received + lost = sent" is exact although people die in the middle
 * - `attempted` is stored before a message is published, `sent` after. Of a killed publisher at
 *   most one message is in doubt: attempted == sent + 1.
 * - The gate: publishers stand still between two messages, which takes no longer than the messages
 *   that are under way. Then every ring's frontier is exactly known: with a subscriber's first
 *   position it says how many messages were committed to it. These are the messages that were
 *   surely sent since it joined, and one for each doubt that the ring has decided in favour of. So
 *   at each closing
 *
 *       committed = frontier - first,  due = sent - sent when it joined + doubts decided before
 *       0 <= committed - due <= new doubts
 *
 *   with equality when nobody died in mid-send since the last closing, and the error never adds up.
 * - Every other subscriber joins while the gate is closed: its beginning is exact. The rest joins
 *   in traffic, between two sums, and is exact from the next closing on.
 * - In a round all drain, and then received + lost == frontier - first, without any slack; of each
 *   pair of publisher and subscriber, received <= sent, with equality for one who lost nothing.
 *
 * History (--history): every fourth subscriber gets the topic's last messages first. With a shared ring
 * its first position is so far back. With private ones what it got and lost of them comes on top of
 * its ring. One that joined at the gate has exactly as many as the topic's config says.
 *
 * Reliable subscribers (--reliable): every fourth one, too. Now and then the director stops one until
 * the broker makes it an ordinary one. In a round each has been told so if it is none any more, and
 * one that is still reliable has lost nothing. In the end the broker has counted as many as were told,
 * and those that were killed before they told. A subscriber that was killed with a full ring may
 * be one of these.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/support/broker/broker.h"
#include "tests/support/stress/stress.h"

#define STORM_PUBLISHERS  8
#define STORM_SUBSCRIBERS 8
#define STORM_ROLES       (STORM_PUBLISHERS + STORM_SUBSCRIBERS)
#define STORM_STANDBYS    6
#define STORM_HANDS       (2 * STORM_ROLES + STORM_STANDBYS) /* with room for those that die */
#define STORM_ENDED       4096 /* lives of one publisher that are remembered */
#define STORM_GO_HOME     UINT32_MAX
#define STORM_HISTORY     16 /* messages */

enum storm_state {
	STORM_GONE,     /* no hand has the role */
	STORM_STARTING, /* a hand is about to begin */
	STORM_WAITING,  /* a subscriber waits for the gate */
	STORM_RUNNING,  /* a publisher is in the middle of a message */
	STORM_PARKED    /* a publisher is between two messages */
};

/* One process, before it has a role. */
struct storm_hand {
	_Alignas(64) _Atomic uint32_t job; /* futex: role + 1, or STORM_GO_HOME */
	_Atomic uint32_t ready;
};

struct storm_publisher {
	_Alignas(64) _Atomic uint32_t state;
	_Atomic uint32_t life;
	/* Messages of all lives. The director corrects the number after a death. */
	_Atomic uint64_t attempted;
	_Atomic uint64_t sent;
	_Atomic uint64_t doubtful; /* lives whose last message is in doubt */
	/* [life % STORM_ENDED]: messages surely sent << 1 | one in doubt */
	_Atomic uint64_t ended[STORM_ENDED];
};

struct storm_subscriber {
	_Alignas(64) _Atomic uint32_t state;
	_Atomic uint32_t life;
	_Atomic uint32_t admitted; /* the director lets it join at the closed gate */
	_Atomic uint32_t at_gate;  /* it joined at the closed gate */
	_Atomic uint32_t ring;
	_Atomic uint64_t first; /* position */
	/* The state when it joined, by publisher. At the gate low and high are the same. */
	_Atomic uint64_t began_low[STORM_PUBLISHERS], began_high[STORM_PUBLISHERS];
	_Atomic uint64_t began_doubtful[STORM_PUBLISHERS];
	/* Written when it is at rest in a round. */
	_Atomic uint64_t received, lost;
	_Atomic uint64_t from[STORM_PUBLISHERS];
	_Atomic uint64_t known;   /* messages in doubt that it received */
	_Atomic uint64_t settled; /* the last round that it has settled */
	_Atomic uint64_t total;   /* received in all lives */
	/* Private rings: what it got and lost of the topic's history. */
	_Atomic uint64_t history;
	_Atomic uint32_t demoted;   /* it was told so */
	_Atomic uint64_t demotions; /* that were told, in all lives */
};

struct storm_board {
	_Atomic uint32_t gate;   /* 1: closed */
	_Atomic uint64_t settle; /* the round that subscribers are to settle */
	_Atomic uint32_t stop_publishers, stop_subscribers;
	struct storm_hand hands[STORM_HANDS];
	struct storm_publisher publishers[STORM_PUBLISHERS];
	struct storm_subscriber subscribers[STORM_SUBSCRIBERS];
};

struct storm {
	struct stress_run run; /* its board has the first failure */
	struct stress_case what;
	struct storm_board *board;
};

/* Which subscribers are so, if the topic allows it. */
static inline bool storm_has_history(const struct storm *storm, uint32_t subscriber)
{
	return storm->what.history > 0 && subscriber % 4 >= 2;
}

static inline bool storm_is_reliable(const struct storm *storm, uint32_t subscriber)
{
	return storm->what.max_reliable > 0 && subscriber % 2 == 1;
}

/* A hand's whole life (stress_storm_worker.c). Returns 0 or -1. */
int storm_hand_main(struct storm *storm, uint32_t hand);
/* Waits for another value of a word of the board. The wait may end early. */
void storm_word_wait(_Atomic uint32_t *word, uint32_t while_it_is);
void storm_word_set(_Atomic uint32_t *word, uint32_t value);

/* --- the director's side ------------------------------------------------------------------- */

/* The books of one subscriber since it joined. */
struct storm_book {
	bool anchored; /* `sent` is exact */
	/* Between its joining and its first closing no message became doubtful. */
	bool whole;
	uint64_t sent; /* by all, when it joined */
	/* Doubtful messages that turned out to be in its ring. */
	uint64_t extra;
};

struct storm_kill {
	int64_t killed_ns, reaped_ns;
	int64_t unclean_ns; /* last answer that wasn't clean, or reaped_ns */
	uint64_t answers;   /* answers before it was reaped */
	uint32_t role;
	char last[96]; /* what the last unclean answer said */
};

#define STORM_KILLS_OPEN 256
#define STORM_WORST      3

struct storm_recovery {
	struct storm_kill open[STORM_KILLS_OPEN];
	uint32_t count;
	uint64_t answers;
	double *took_ms, *reap_ms, *rest_ms; /* by recovered kill; the last two are its parts */
	size_t over, room;
	struct storm_kill worst[STORM_WORST]; /* sorted by unclean time */
	size_t seen_unclean;
};

struct director {
	struct storm storm;
	struct test_broker broker;
	struct stress_rng rng;
	pid_t pids[STORM_HANDS];
	uint32_t roles[STORM_HANDS];   /* role + 1; 0: none */
	int64_t dying_ns[STORM_HANDS]; /* when it was killed; 0: it lives */
	uint32_t lives[STORM_ROLES];
	uint64_t sent_before[STORM_PUBLISHERS]; /* when the present life began */
	struct storm_book books[STORM_SUBSCRIBERS];
	bool closing;
	int64_t opened_ns, raged_ns;
	uint32_t frozen_hand;
	pid_t frozen_pid; /* 0: no hand is frozen */
	int64_t thaw_ns;
	/* The role, and 1 more, of a reliable subscriber that stands still until it is none; 0: none does. */
	uint32_t stands;
	int64_t stand_ns;     /* when the next one does */
	uint64_t stood_still; /* until the broker made them ordinary ones */
	/* Was a killed subscriber a reliable one just before? */
	enum { STORM_KEPT, STORM_DEMOTED, STORM_UNSURE } kept[STORM_HANDS];
	/* Demotions that the dead didn't tell: surely and perhaps. */
	uint64_t untold, unsure;
	int64_t began_ns[STORM_HANDS]; /* its role */
	uint64_t demoted;
	uint64_t doubts_seen; /* at the last closing */
	struct storm_recovery recovery;
	uint64_t freezes, kills, killed_starting, killed_standbys, most_down;
	uint64_t closings, rounds, exact, decided, widest, joined_at_gate, joined_in_traffic;
};

/* Processes of the storm (stress_storm_crew.c). Each call returns 0, or -1 after stress_fail(). */

/* Reaps hands that were killed and hands out roles. Fails if any other hand has ended. */
int storm_crew_tend(struct director *d);
/* The living hand that has the role, or -1. */
int storm_crew_hand_of(const struct director *d, uint32_t role);
/* Kills a random hand, now and then several hands, and stand-bys. */
int storm_crew_strike(struct director *d);
/* Stops one publisher in the middle of a message for some milliseconds, so that others die and
 * are recovered meanwhile. Never while the gate is closed. */
void storm_crew_freeze(struct director *d);
void storm_crew_thaw(struct director *d);
/* Stops a reliable subscriber until the broker makes it an ordinary one, now and then. */
void storm_crew_stand(struct director *d);
/* Ends all processes. They end by themselves, and one that doesn't is killed. */
int storm_crew_end(struct director *d);
uint32_t storm_crew_down(const struct director *d);
int storm_fail(struct director *d, const char *what, long long number);

/* --- the gate and the sums (stress_storm_books.c) --- */

/* Closes the gate when a subscriber waits there or a message is in doubt. When all stand still
 * it makes the sums, lets the waiting subscribers in and opens the gate. Never waits. */
int storm_books_tend(struct director *d);
void storm_books_forget(struct director *d, uint32_t subscriber);
/* Makes a round: all roles are taken, nobody dies, all drain. Then checks every sum, and the
 * pool. */
int storm_books_round(struct director *d);
/* All have ended: the broker's count of demotions. */
int storm_books_demotions(struct director *d);
uint64_t storm_books_sent(const struct storm *storm);
uint64_t storm_books_doubtful(const struct storm *storm);

/* --- the time until the broker has put everything in order (stress_storm_recovery.c) --- */

int storm_recovery_begin(struct director *d, uint32_t role, int64_t killed_ns);
/* Asks the broker how it stands, if a kill isn't recovered yet. */
int storm_recovery_tend(struct director *d);
void storm_recovery_print(struct director *d);
