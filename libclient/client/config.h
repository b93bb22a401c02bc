/* SPDX-License-Identifier: Apache-2.0 */
/* A topic's configuration, as the broker wants to hear it. */
#pragma once

#include "common/memory/region.h"
#include "libclient/kickmsg.h"

/* Makes the broker's geometry of a user's config. Errors: -EINVAL; *ret_text says what is wrong. */
int km_topic_config_to_geometry(const struct kickmsg_topic_config *config, struct km_geometry *ret,
	char *ret_text, size_t text_size);
