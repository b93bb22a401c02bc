/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision whether a client may have what it wants, before anything is made. A function that
 * returns false has refused the request. The topic is null where there is none: the request would
 * make it.
 */
#pragma once

#include "daemon/serve/wanted.h"
#include "daemon/topic/topic.h"

/* A client that may write into the topic's memory could publish in anybody's name, so it needs the
 * right to publish. */
bool km_agreement_writable(const struct km_wanted *wanted, const struct km_topic *topic);

/* May the client wait for a topic that isn't there? All else is decided when the topic is. */
bool km_agreement_may_wait(const struct km_wanted *wanted);

/* Checks the whole request: the topic is there or may be made, rights, config, schema. A client
 * that comes to an existing topic agrees with its config, or says that any is good. */
bool km_agreement_allows(const struct km_wanted *wanted, const struct km_topic *topic);
