/* SPDX-License-Identifier: Apache-2.0 */
/* Each memory order of the product weakened by one, one at a time: which of them are needed? */
#pragma once

/* Prints a table. Returns 0 when every order that orders.c lists as needed was shown to be
 * needed. */
int explore_orders(double seconds);
