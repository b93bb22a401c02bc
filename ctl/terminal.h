/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal that standard output goes to, if it is one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct ctl;

/* Looks once, before anything is printed. */
void ctl_terminal_begin(void);
/* Is standard output a terminal? A pager may stand between. */
bool ctl_is_terminal(void);
/* Is standard error a terminal? Progress is shown there. */
bool ctl_errors_are_shown(void);
/* Columns and rows as they are now; where standard output isn't a terminal 80 and 24, or what
 * $COLUMNS says. */
unsigned ctl_terminal_columns(void);
unsigned ctl_terminal_rows(void);
/* Is the output coloured? On a terminal whose kind isn't "dumb", unless $NO_COLOR is set. */
bool ctl_is_coloured(void);

/* Lets standard output go through a pager, if it is a terminal and there is a pager. Ends when
 * everything was read. */
void ctl_pager_begin(void);
void ctl_pager_end(void);

/* From now on SIGINT and SIGTERM end no process: ctl_is_interrupted() says that one came, and
 * `interrupt`, which may be null, is called with `userdata` by the signal handler. One more signal that
 * comes later ends the process. */
void ctl_catch_interrupts(void (*interrupt)(void *userdata), void *userdata);
bool ctl_is_interrupted(void);
/* Sleeps until that time of CLOCK_MONOTONIC, or until a signal. Returns false where a signal
 * came. */
bool ctl_sleep_until(int64_t monotonic_ns);
/* When to look next: an interval after `when_ns`, or, where that is over, an interval from now on. Looks that
 * were missed, since a look took long or the program was stopped, don't come all at once. */
int64_t ctl_next_look(int64_t when_ns, int64_t interval_ns);
int64_t ctl_now_ns(void);
