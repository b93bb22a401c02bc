/* SPDX-License-Identifier: Apache-2.0 */
/* Other systems, each behind one adapter, built with -Dpeers=enabled. */
#pragma once

#include "stage.h"

/* Those that were built, a null pointer behind the last. */
extern const struct adapter *const peers[];
