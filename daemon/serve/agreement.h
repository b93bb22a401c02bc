/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether somebody may have what it wants: decided before anything is made. Those that return false
 * have refused the request. The topic is null where there is none: the request would make it.
 */
#pragma once

#include "daemon/serve/wanted.h"
#include "daemon/topic/topic.h"

/* A client that may write into the topic's memory could publish in anybody's name, so it needs the
 * right to publish. */
bool km_agreement_writable(const struct km_wanted *wanted, const struct km_topic *topic);

/* May it wait for a topic that isn't there? All else is decided when the topic is. */
bool km_agreement_may_wait(const struct km_wanted *wanted);

/* Checks all of it: the topic is there or may be made, rights, config, schema. A client that comes
 * to an existing topic agrees with its config, or says that it takes any. */
bool km_agreement_allows(const struct km_wanted *wanted, const struct km_topic *topic);
