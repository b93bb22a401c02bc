/* SPDX-License-Identifier: Apache-2.0 */
/* The kept ring (common/ring/kept.h) gives slots back to a pool that is short of them. */
#pragma once

#include "libclient/handle/place.h"

/* No slot is free: pushes messages out of the kept ring until one may be, down to those that newcomers
 * are promised. */
void km_kept_make_room(struct km_place *place);
