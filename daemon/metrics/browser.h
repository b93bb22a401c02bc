/* SPDX-License-Identifier: Apache-2.0 */
/* The page for browsers, which browser/embed.py makes a C source of when the broker is built. */
#pragma once

#include <stddef.h>

extern const char km_browser_page[];
extern const size_t km_browser_size;
/* The page's Content-Security-Policy names its script and its style by their hashes. */
extern const char km_browser_policy[];
