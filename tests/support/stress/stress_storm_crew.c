/* SPDX-License-Identifier: Apache-2.0 */
/* The storm's processes: made, given a role, killed, reaped. Nothing here waits for anybody's
 * death. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/shared/room.h"
#include "tests/support/stress/stress_region.h"
#include "tests/support/stress/stress_storm.h"

#define END_LIMIT   INT64_C(20000000000) /* ns; bounds a hang, measures nothing */
#define FREEZE_NS   INT64_C(6000000)
#define STAND_EVERY INT64_C(300000000) /* ns */

int storm_fail(struct director *d, const char *what, long long number)
{
	return stress_fail(
		d->storm.run.board, "after %" PRIu64 " kills: %s (%lld)", d->kills, what, number);
}

static bool is_publisher(uint32_t role)
{
	return role < STORM_PUBLISHERS;
}

static _Atomic uint32_t *state_of(struct director *d, uint32_t role)
{
	return is_publisher(role) ? &d->storm.board->publishers[role].state
				  : &d->storm.board->subscribers[role - STORM_PUBLISHERS].state;
}

int storm_crew_hand_of(const struct director *d, uint32_t role)
{
	for (int i = 0; i < STORM_HANDS; i++)
		if (d->roles[i] == role + 1 && d->pids[i] > 0 && d->dying_ns[i] == 0)
			return i;
	return -1;
}

uint32_t storm_crew_down(const struct director *d)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < STORM_ROLES; i++)
		count += storm_crew_hand_of(d, i) < 0;
	return count;
}

static int make_hand(struct director *d, uint32_t hand)
{
	pid_t parent = getpid();

	atomic_store(&d->storm.board->hands[hand].job, 0);
	atomic_store(&d->storm.board->hands[hand].ready, 0);
	d->roles[hand] = 0;
	d->dying_ns[hand] = 0;
	fflush(NULL);
	d->pids[hand] = fork();
	if (d->pids[hand] < 0)
		return storm_fail(d, "fork", errno);
	if (d->pids[hand] > 0)
		return 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpriority(PRIO_PROCESS, 0, 0); /* the director has a higher priority */
	_exit(getppid() == parent && storm_hand_main(&d->storm, hand) == 0 ? 0 : 1);
}

static void begin_life(struct director *d, uint32_t hand, uint32_t role)
{
	struct storm_board *board = d->storm.board;
	uint32_t life = ++d->lives[role];

	if (is_publisher(role)) {
		d->sent_before[role] = atomic_load(&board->publishers[role].sent);
		atomic_store(&board->publishers[role].life, life);
	} else {
		struct storm_subscriber *s = &board->subscribers[role - STORM_PUBLISHERS];

		storm_books_forget(d, role - STORM_PUBLISHERS);
		atomic_store(&s->life, life);
		atomic_store(&s->admitted, 0);
		atomic_store(&s->demoted, 0);
		atomic_store(&s->history, 0);
		atomic_store(&s->settled, atomic_load(&board->settle));
	}
	d->roles[hand] = role + 1;
	d->kept[hand] = STORM_KEPT;
	d->began_ns[hand] = km_clock_ns();
	atomic_store(state_of(d, role), STORM_STARTING);
	storm_word_set(&board->hands[hand].job, role + 1);
}

/* Closes the books of a hand that was reaped. */
static void end_life(struct director *d, uint32_t role)
{
	if (is_publisher(role)) {
		struct storm_publisher *p = &d->storm.board->publishers[role];
		uint64_t sent = atomic_load(&p->sent);
		uint64_t doubt = atomic_load(&p->attempted) - sent;

		atomic_store(&p->ended[d->lives[role] % STORM_ENDED],
			(sent - d->sent_before[role]) << 1 | doubt);
		atomic_fetch_add(&p->doubtful, doubt);
		atomic_store(&p->attempted, sent);
	} else {
		const uint32_t subscriber = role - STORM_PUBLISHERS;

		if (d->stands == role + 1)
			d->stands = 0;
		storm_books_forget(d, subscriber);
	}
	atomic_store(state_of(d, role), STORM_GONE);
}

/* Takes note that a hand has ended. */
static void bury(struct director *d, uint32_t hand)
{
	if (d->roles[hand] != 0)
		end_life(d, d->roles[hand] - 1);
	d->roles[hand] = 0;
	d->pids[hand] = 0;
}

static bool is_reliable_now(struct director *d, uint32_t subscriber)
{
	return km_room_is_kept(&d->storm.run.region->region,
		atomic_load(&d->storm.board->subscribers[subscriber].ring));
}

/* Notes whether a subscriber is still a reliable one, just before it is killed. Nothing is known of the ring
 * of one that is just coming, which isn't full for long either. */
static void note_reliable(struct director *d, uint32_t hand)
{
	const uint32_t subscriber = d->roles[hand] - 1 - STORM_PUBLISHERS;
	uint64_t head;

	d->kept[hand] = STORM_KEPT;
	if (d->roles[hand] <= STORM_PUBLISHERS || !storm_is_reliable(&d->storm, subscriber))
		return;
	const struct storm_subscriber *s = &d->storm.board->subscribers[subscriber];
	if (atomic_load(&s->state) == STORM_STARTING) {
		if (km_clock_ns() - d->began_ns[hand] > (int64_t)d->storm.what.stall_ns)
			d->kept[hand] = STORM_UNSURE;
	} else if (atomic_load(&s->state) == STORM_RUNNING) {
		if (!is_reliable_now(d, subscriber))
			d->kept[hand] = STORM_DEMOTED;
		else if (!km_room_is_before(
				 &d->storm.run.region->region, atomic_load(&s->ring), &head))
			d->kept[hand] = STORM_UNSURE;
	}
}

/* Counts a demotion that a reaped hand hasn't told. */
static void count_untold(struct director *d, uint32_t hand)
{
	const uint32_t subscriber = d->roles[hand] - 1 - STORM_PUBLISHERS;

	if (d->roles[hand] <= STORM_PUBLISHERS || !storm_is_reliable(&d->storm, subscriber) ||
		atomic_load(&d->storm.board->subscribers[subscriber].demoted) != 0)
		return;
	const bool late = km_clock_ns() - d->dying_ns[hand] > (int64_t)d->storm.what.stall_ns;
	d->untold += d->kept[hand] == STORM_DEMOTED;
	d->unsure += d->kept[hand] == STORM_UNSURE || (d->kept[hand] == STORM_KEPT && late);
}

static int reap(struct director *d)
{
	int status;

	for (uint32_t i = 0; i < STORM_HANDS; i++) {
		if (d->pids[i] <= 0 || waitpid(d->pids[i], &status, WNOHANG) != d->pids[i])
			continue;
		uint32_t role = d->roles[i];

		count_untold(d, i);
		bury(d, i);
		if (d->dying_ns[i] == 0)
			return storm_fail(d, "a hand ended by itself, status", status);
		if (storm_recovery_begin(d, role, d->dying_ns[i]) < 0)
			return -1;
	}
	return 0;
}

/* Makes at most one hand at a time, since the loop has other things to do. */
static int staff(struct director *d)
{
	uint32_t standing_by = 0;
	int empty = -1;

	for (uint32_t i = 0; i < STORM_HANDS; i++) {
		if (d->pids[i] == 0)
			empty = (int)i;
		else if (d->roles[i] == 0 && d->dying_ns[i] == 0)
			standing_by++;
	}
	if (standing_by < STORM_STANDBYS && empty >= 0 && make_hand(d, (uint32_t)empty) < 0)
		return -1;
	for (uint32_t role = 0, i = 0; role < STORM_ROLES; role++) {
		/* a role is free once its last holder is reaped, since the books need what that
		 * one did */
		if (atomic_load(state_of(d, role)) != STORM_GONE)
			continue;
		while (i < STORM_HANDS &&
			(d->pids[i] == 0 || d->roles[i] != 0 || d->dying_ns[i] != 0 ||
				atomic_load(&d->storm.board->hands[i].ready) == 0))
			i++;
		if (i < STORM_HANDS)
			begin_life(d, i, role);
	}
	return 0;
}

int storm_crew_tend(struct director *d)
{
	if (reap(d) < 0 || staff(d) < 0)
		return -1;
	if (!test_broker_alive(&d->broker))
		return storm_fail(d, "the broker died", 0);
	return stress_over(&d->storm.run, "in the storm") ? -1 : 0;
}

static void kill_hand(struct director *d, uint32_t hand)
{
	note_reliable(d, hand);
	d->dying_ns[hand] = km_clock_ns();
	kill(d->pids[hand], SIGKILL);
	d->kills++;
}

int storm_crew_strike(struct director *d)
{
	uint32_t count = stress_once_in(&d->rng, 16) ? 3 : 1;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t role = stress_below(&d->rng, STORM_ROLES);
		int hand = storm_crew_hand_of(d, role);

		if (stress_once_in(&d->rng, 16)) {
			/* a hand without a role connects, or has said hello */
			hand = (int)stress_below(&d->rng, STORM_HANDS);
			if (d->pids[hand] <= 0 || d->roles[hand] != 0 || d->dying_ns[hand] != 0)
				continue;
			d->killed_standbys++;
		} else if (hand < 0 || (role + 1 == d->stands && !stress_once_in(&d->rng, 4))) {
			continue;
		} else {
			uint32_t state = atomic_load(state_of(d, role));

			d->killed_starting += state == STORM_STARTING || state == STORM_WAITING;
		}
		kill_hand(d, (uint32_t)hand);
	}
	uint32_t down = storm_crew_down(d);

	d->most_down = down > d->most_down ? down : d->most_down;
	return 0;
}

static void go_on(struct director *d)
{
	int hand = d->stands ? storm_crew_hand_of(d, d->stands - 1) : -1;

	if (hand >= 0)
		kill(d->pids[hand], SIGCONT);
	d->stands = 0;
	d->stand_ns = km_clock_ns() + STAND_EVERY;
}

void storm_crew_stand(struct director *d)
{
	uint32_t i = d->stands ? d->stands - 1 - STORM_PUBLISHERS
			       : stress_below(&d->rng, STORM_SUBSCRIBERS);
	const struct storm_subscriber *s = &d->storm.board->subscribers[i];
	const int hand = storm_crew_hand_of(d, STORM_PUBLISHERS + i);
	const bool reliable = hand >= 0 && is_reliable_now(d, i);

	if (d->stands && !reliable) {
		d->stood_still += hand >= 0; /* else it was killed */
		go_on(d);
	}
	if (d->stands || !reliable || !storm_is_reliable(&d->storm, i) ||
		km_clock_ns() < d->stand_ns || atomic_load(&s->state) != STORM_RUNNING)
		return;
	d->stands = STORM_PUBLISHERS + i + 1;
	kill(d->pids[hand], SIGSTOP);
}

static void thaw(struct director *d)
{
	if (d->frozen_pid > 0 && d->pids[d->frozen_hand] == d->frozen_pid)
		kill(d->frozen_pid, SIGCONT);
	d->frozen_pid = 0;
}

void storm_crew_thaw(struct director *d)
{
	thaw(d);
	go_on(d);
}

void storm_crew_freeze(struct director *d)
{
	int64_t now = km_clock_ns();

	if (d->frozen_pid > 0) {
		if (now > d->thaw_ns || atomic_load(&d->storm.board->gate) != 0)
			thaw(d);
		return;
	}
	uint32_t first = stress_below(&d->rng, STORM_PUBLISHERS);
	int hand = -1;

	for (uint32_t i = 0; hand < 0 && i < STORM_PUBLISHERS; i++) {
		uint32_t role = (first + i) % STORM_PUBLISHERS;

		if (atomic_load(state_of(d, role)) == STORM_RUNNING)
			hand = storm_crew_hand_of(d, role);
	}
	if (hand < 0 || atomic_load(&d->storm.board->gate) != 0)
		return;
	d->frozen_hand = (uint32_t)hand;
	d->frozen_pid = d->pids[hand];
	d->thaw_ns = now + FREEZE_NS;
	d->freezes++;
	kill(d->frozen_pid, SIGSTOP);
}

int storm_crew_end(struct director *d)
{
	int64_t limit_ns = km_clock_ns() + END_LIMIT;
	int r = 0, status;

	storm_crew_thaw(d);
	storm_word_set(&d->storm.board->gate, 0);
	atomic_store(&d->storm.board->stop_publishers, 1);
	atomic_store(&d->storm.board->stop_subscribers, 1);
	for (uint32_t i = 0; i < STORM_SUBSCRIBERS; i++)
		storm_word_set(&d->storm.board->subscribers[i].admitted, 1);
	for (uint32_t i = 0; i < STORM_HANDS; i++)
		if (d->pids[i] > 0 && d->roles[i] == 0)
			storm_word_set(&d->storm.board->hands[i].job, STORM_GO_HOME);
	for (uint32_t i = 0; i < STORM_HANDS; i++)
		while (d->pids[i] > 0) {
			bool late = km_clock_ns() > limit_ns;

			if (late)
				kill(d->pids[i], SIGKILL);
			if (waitpid(d->pids[i], &status, late ? 0 : WNOHANG) == d->pids[i]) {
				count_untold(d, i);
				bury(d, i);
				if (status != 0 && d->dying_ns[i] == 0)
					r = storm_fail(
						d, "a hand did not end well, status", status);
			} else {
				stress_pause_us(200);
			}
		}
	return r;
}
