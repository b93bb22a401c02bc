/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a message, as --hex, --base64, --raw, --raw-frames, --json and --truncate say. A frame is a
 * message's length, four bytes with the least first, and its bytes; `pub --stdin-frames` reads them. */
#pragma once

#include "ctl/ctl.h"

/* Is the output the messages' bytes and nothing else? */
static inline bool ctl_prints_bytes(const struct ctl *ctl)
{
	return ctl_given(ctl, CTL_OPT_RAW) || ctl_given(ctl, CTL_OPT_RAW_FRAMES);
}

/* Prints the message's bytes, and ends the line where there is one. */
void ctl_print_payload(const struct ctl *ctl, const void *data, size_t len);
/* Prints the keys `len`, and `hex` or `base64`. */
void ctl_print_payload_json(const struct ctl *ctl, const void *data, size_t len);
