/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The privilege to write into the cells of a topic's shared ring (common/shared/shared.h): one
 * publisher at a time has it. The first publisher gets it and keeps it until it is settled, when it
 * will never write again: it is dead, or has left and is quiet. Then the publisher that is there
 * longest has it.
 */
#pragma once

#include "daemon/run/broker.h"

/* Offers the privilege to a new publisher. */
void km_privilege_offer(struct km_member *member);

/* Finds a successor for this member, which isn't LIVE and is being settled. */
void km_privilege_pass_on(struct km_topic *topic, const struct km_member *from);

/* After a restart, when the topic's members are there: what the header says stands, if such a
 * publisher can have it. */
void km_privilege_restore(struct km_topic *topic);
