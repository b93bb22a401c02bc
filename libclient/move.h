/* SPDX-License-Identifier: Apache-2.0 */
/* Places of publishers and subscribers that nobody but the library knows of: prepared and past ones.
 * Needs the client's lock. */
#pragma once

#include "internal.h"

/* A prepared place that its owner never came to, since there is a newer one: `newer` has to know what
 * was lost there. */
void km_move_skip(struct km_attachment *skipped, struct km_attachment *newer);

/* Says in a region whose broker is gone that this place's owner won't touch it any more. */
void km_move_leave(struct km_attachment *place);

/* Gives back what is out, unmaps and frees. Takes what is half prepared. */
void km_move_free(struct km_attachment *place);

/* The end of a handle, before its own: what it has besides its present place. Takes the lock. */
void km_move_end(struct km_attachment *attachment);

/* Says that a place's region is left behind for a fresh one, and wakes all who sleep there. */
void km_move_leave_behind(const struct km_attachment *place);
