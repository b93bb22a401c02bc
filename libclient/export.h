/* SPDX-License-Identifier: Apache-2.0 */
/* How functions are compiled. */
#pragma once

#define KM_EXPORT   __attribute__((visibility("default")))
#define km_noinline __attribute__((noinline))
