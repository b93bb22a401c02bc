/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: what users write becomes what regions are called.
 *
 *   part     leading '/' stripped, inner '/' becomes '.', [A-Za-z0-9._-] kept, anything else '_';
 *            an empty part is an error
 *   region   /{prefix}_{topic}   /{prefix}_broadcast_{channel}   /{prefix}_{owner}_mbx_{tag}
 *
 * A region's name is for people. What a topic is found by are its parts, each for itself: joined
 * names may be the same where the parts differ.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "layout.h"

enum km_kind { KM_KIND_PUBSUB = 0, KM_KIND_BROADCAST = 1, KM_KIND_MAILBOX = 2, KM_KIND_LAST = 2 };

/* "topic", "channel", "mailbox" */
const char *km_kind_name(uint32_t kind);

/*
 * Writes the sanitised form of `name` into ret[size] (with its 0). Errors: -EINVAL empty, or longer
 * than fits; ret is untouched then.
 */
int km_name_sanitise(const char *name, char *ret, size_t size);

/* Writes `name` without its leading '/' into ret[size]. Errors: as km_name_sanitise(). */
int km_name_strip(const char *name, char *ret, size_t size);

/* Writes `name` for people: what isn't printable ASCII becomes '?'. */
void km_name_printable(const char *name, char *ret, size_t size);

/* Is this already a good part: sanitising would change nothing? */
int km_name_is_clean(const char *name);

/* "/{prefix}_{topic}" from two good parts. Errors: -EINVAL too long. */
int km_name_region(const char *prefix, const char *topic, char *ret, size_t size);

/* The same for all kinds; `owner` is looked at for a mailbox alone. */
int km_name_region_of(uint32_t kind, const char *prefix, const char *owner, const char *name,
	char *ret, size_t size);
