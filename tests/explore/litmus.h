/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Goes through all litmus tests; 0 when the memory allows and forbids what C11 does. */
int explore_litmus(void);
