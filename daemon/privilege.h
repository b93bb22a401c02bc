/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who writes into the cells of a topic's shared ring (common/shared.h): one publisher at a time. The
 * first one gets the privilege and keeps it until it is settled, that is, until it is known that it
 * will never write again: it is dead, or has left and is quiet. Then the one that is there longest
 * has it.
 */
#pragma once

#include "broker.h"

/* There is a new publisher. */
void km_privilege_offer(struct km_member *member);

/* This member, which isn't LIVE, is being settled. */
void km_privilege_pass_on(struct km_topic *topic, const struct km_member *from);

/* After a restart, when the topic's members are there: what the header says stands if it can be. */
void km_privilege_restore(struct km_topic *topic);
