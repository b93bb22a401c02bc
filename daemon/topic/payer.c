/* SPDX-License-Identifier: Apache-2.0 */
/* The payer of a topic: see payer.h. */
#include "daemon/topic/payer.h"
#include "daemon/topic/member.h"
#include "daemon/topic/topic.h"

void km_payer_charge(struct km_topic *topic)
{
	km_account_take(topic->account, KM_TOPICS, 1);
	km_account_take(topic->account, KM_BYTES, topic->bytes);
	topic->account->inherited += topic->account->uid != topic->kept.owner_uid;
}

void km_payer_discharge(struct km_topic *topic)
{
	km_account_give(topic->account, KM_BYTES, topic->bytes);
	topic->bytes = 0;
	if (topic->ended) /* the topic has ended */
		return;
	km_account_give(topic->account, KM_TOPICS, 1);
	topic->account->inherited -= topic->account->uid != topic->kept.owner_uid;
}

/* The session whose user pays for a topic that newcomers can't find: one of the topic's owner, else
 * the session that takes part longest. */
static const struct km_session *find_payer(const struct km_topic *topic)
{
	const struct km_member *member;
	const struct km_session *longest = NULL;

	LIST_FOREACH (member, &topic->members, of_topic) { /* newest first */
		longest = member->session;
		if (longest->kept.uid == topic->kept.owner_uid)
			break;
	}
	return longest;
}

void km_payer_settle(struct km_topic *topic)
{
	const struct km_session *payer = topic->kept.named ? NULL : find_payer(topic);
	uint64_t bytes = topic->bytes;

	if (!payer || payer->account == topic->account)
		return;
	km_payer_discharge(topic);
	km_account_unref(topic->account);
	/* the session has this account already */
	topic->account = km_account_ref(&topic->broker->accounts, payer->kept.uid);
	topic->bytes = bytes;
	km_payer_charge(topic);
}
