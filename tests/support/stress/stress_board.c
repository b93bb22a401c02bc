/* SPDX-License-Identifier: Apache-2.0 */
/* The board: what workers, processes or threads, tell one another. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include "common/clock.h"
#include "tests/support/stress/stress.h"

double stress_scale(void)
{
	const char *text = getenv("KM_STRESS_SCALE");
	double scale = text != NULL && *text != 0 ? atof(text) : 1.0;

	return scale > 0 ? scale : 1.0;
}

struct stress_board *stress_board_new(void)
{
	void *memory = mmap(NULL, sizeof(struct stress_board), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void stress_board_free(struct stress_board *board)
{
	if (board != NULL)
		munmap(board, sizeof(*board));
}

int stress_fail(struct stress_board *board, const char *format, ...)
{
	uint32_t nobody = 0;
	va_list args;

	/* 1: somebody is writing the text; 2: it is there */
	if (!atomic_compare_exchange_strong(&board->failed, &nobody, 1))
		return -1;
	va_start(args, format);
	vsnprintf(board->failure, sizeof(board->failure), format, args);
	va_end(args);
	atomic_store(&board->failed, 2);
	return -1;
}

bool stress_over(struct stress_run *run, const char *doing)
{
	if (atomic_load(&run->board->failed) != 0)
		return true;
	if (km_clock_ns() < run->deadline_ns)
		return false;
	stress_fail(run->board, "too late: still %s", doing);
	return true;
}

void stress_pause_us(uint32_t us)
{
	nanosleep(&(struct timespec){ us / 1000000, (long)(us % 1000000) * 1000 }, NULL);
}

void stress_idle(uint32_t times)
{
	static _Thread_local bool slack_is_small;

	if (!slack_is_small)
		prctl(PR_SET_TIMERSLACK, 1000UL);
	slack_is_small = true;
	stress_pause_us(times < 9 ? 1u << times : 512);
}

int stress_await(
	struct stress_run *run, _Atomic uint32_t *count, uint32_t enough, const char *doing)
{
	while (atomic_load(count) < enough) {
		if (stress_over(run, doing))
			return -1;
		stress_pause_us(200);
	}
	return 0;
}
