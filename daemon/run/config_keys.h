/* SPDX-License-Identifier: Apache-2.0 */
/* The sections of the config and what their keys mean. */
#pragma once

#include "daemon/run/config.h"

enum km_config_section {
	KM_CONFIG_NO_SECTION,
	KM_CONFIG_BROKER,
	KM_CONFIG_LIMITS,
	KM_CONFIG_RECOVERY,
	KM_CONFIG_METRICS,
	KM_CONFIG_LOG,
	KM_CONFIG_TOPIC, /* the policy's rule that was begun last */
};

/* Begins the section [name]; *ret is which one. Errors: -EINVAL there is no such section (ret_text
 * says why). */
int km_config_begin(struct km_config *config, const char *name, enum km_config_section *ret,
	char *ret_text, size_t size);

/* Sets what `key = value` says, which stands at `origin`. A key that isn't known is an error, so that a
 * misspelt limit isn't taken for one. Errors: -EINVAL (ret_text says what is wrong). */
int km_config_set(struct km_config *config, enum km_config_section section, const char *key,
	const char *value, const struct km_origin *origin, char *ret_text, size_t size);

/* Tells what is in force, one value after the other: first those of no rule, in the order of enum
 * km_config_key. False: there are no more. */
bool km_config_tell(const struct km_config *config, uint64_t index, struct km_config_entry *ret);
