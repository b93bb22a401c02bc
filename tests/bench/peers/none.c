/* SPDX-License-Identifier: Apache-2.0 */
/* Built without peers. */
#include "peers.h"

const struct adapter *const peers[] = { NULL };
