/* SPDX-License-Identifier: Apache-2.0 */
/* The making of topics: a topic is reserved, sealed and formatted, or refused whole. */
#pragma once

#include "daemon/serve/wanted.h"
#include "daemon/topic/topic.h"

/*
 * Makes the topic that is wanted. On an error nothing is left. -EINPROGRESS: its memory is being
 * reserved, or memory of its user's is on its way back, and the request is served anew afterwards
 * (reserve.h, question.h). Others, in words in ret_text: -EINVAL prefix, owner and name are
 * longer together than a region's name may be; -EDQUOT, -EMFILE, -ENOMEM, ...
 */
int km_create(
	const struct km_wanted *wanted, struct km_topic **ret, char *ret_text, size_t text_size);
