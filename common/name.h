/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: what users write becomes what regions are called.
 *
 *   part     leading '/' stripped, inner '/' becomes '.', [A-Za-z0-9._-] kept, anything else '_';
 *            an empty part is an error
 *   region   /{prefix}_{topic}
 */
#pragma once

#include <stddef.h>

/*
 * Writes the sanitised form of `name` into ret[size] (with its 0). Errors: -EINVAL empty, or longer
 * than fits; ret is untouched then.
 */
int km_name_sanitise(const char *name, char *ret, size_t size);

/* Is this already a good part: sanitising would change nothing? */
int km_name_is_clean(const char *name);

/* "/{prefix}_{topic}" from two good parts. Errors: -EINVAL too long. */
int km_name_region(const char *prefix, const char *topic, char *ret, size_t size);
