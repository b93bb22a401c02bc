/* SPDX-License-Identifier: Apache-2.0 */
/* Which topics are meant: see ctl.h. */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

enum ctl_status ctl_status_of(int error)
{
	switch (error) {
	case -EPERM:
	case -EACCES:
		return CTL_NOT_ALLOWED;
	case -ENOTCONN:
	case -ECONNREFUSED:
	case -ETIMEDOUT:
		return CTL_NO_BROKER;
	default:
		return CTL_FOUND;
	}
}

int ctl_failed(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info, int r)
{
	char text[CTL_TEXT_SIZE], near[CTL_TEXT_SIZE] = "", path[128] = "?";

	if (r == -ENOENT && info)
		return CTL_DONE;
	snprintf(text, sizeof text, "%s", kickmsg_client_last_error(ctl->client));
	if (r == -ENOTCONN || r == -ETIMEDOUT) {
		kickmsg_socket_path(ctl->values[CTL_OPT_SOCKET].text, path, sizeof path);
		snprintf(text, sizeof text, "the broker at %s %s", path,
			r == -ENOTCONN ? "is gone" : "doesn't answer");
	}
	if (r == -ENOENT && topic) {
		ctl_near_topics(ctl->client, topic, near, sizeof near);
		/* a user may take the part before a '/' for the prefix */
		if (!*near && strchr(topic->name, '/'))
			strcpy(near, " (another prefix is written PREFIX:NAME)");
		size_t used = strlen(text);
		snprintf(text + used, sizeof text - used, "%s", near);
	}
	print_error(ctl, topic, r, text);
	return ctl_status_of(r);
}

static bool is_meant(
	const struct ctl *ctl, const struct ctl_word *word, const struct kickmsg_topic_info *info)
{
	const struct kickmsg_topic_ref topic = ctl_ref(info), *named = &word->topic;
	char name[KICKMSG_WHOLE_NAME_SIZE];

	if (!word->pattern)
		return topic.kind == named->kind && strcmp(topic.name, named->name) == 0 &&
		       strcmp(topic.prefix, named->prefix) == 0 &&
		       (!topic.owner || strcmp(topic.owner, named->owner) == 0);
	if (word->is_whole)
		return fnmatch(word->pattern, ctl_write_name(&topic, name), 0) == 0;
	return (!ctl->only_prefix || strcmp(topic.prefix, ctl->only_prefix) == 0) &&
	       fnmatch(word->pattern, ctl_write_part(topic.name, name), 0) == 0;
}

/* Marks what a word means in `meant`. */
static int mark_meant(struct ctl *ctl, const struct ctl_word *word,
	const struct kickmsg_topic_info *topics, size_t count, bool *meant)
{
	bool found = false;
	char text[CTL_TEXT_SIZE], near[CTL_TEXT_SIZE];

	for (size_t i = 0; i < count; i++)
		if (is_meant(ctl, word, &topics[i]))
			meant[i] = found = true;
	if (found)
		return CTL_DONE;
	if (word->pattern)
		snprintf(text, sizeof text, "no %s matches '%s'",
			ctl_takes_services(ctl->verb) ? "service" : "topic", word->pattern);
	else
		snprintf(text, sizeof text, "there is no such %s%s",
			word->topic.kind == KICKMSG_SERVICE ? "service" : "topic",
			ctl_near_topics(ctl->client, &word->topic, near, sizeof near));
	print_error(ctl, word->pattern ? NULL : &word->topic, -ENOENT, text);
	return CTL_FOUND;
}

static size_t keep_services(struct kickmsg_topic_info *topics, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (topics[i].kind == KICKMSG_SERVICE)
			topics[kept++] = topics[i];
	return kept;
}

int ctl_select_topics(struct ctl *ctl, struct kickmsg_topic_info **ret, size_t *ret_count)
{
	_cleanup_free_ struct kickmsg_topic_info *topics = NULL;
	_cleanup_free_ bool *meant = NULL;
	size_t count = 0, kept = 0;
	int status = CTL_DONE;
	int r = ctl_fetch_topics(ctl->client, &topics, &count);

	if (r == 0) {
		meant = calloc(count + 1, sizeof *meant);
		r = meant ? 0 : -ENOMEM;
	}
	if (r < 0)
		return ctl_failed(ctl, NULL, NULL, r);
	if (ctl_takes_services(ctl->verb))
		count = keep_services(topics, count);
	for (size_t i = 0; i < count && ctl->word_count == 0; i++)
		meant[i] = !ctl->only_prefix || strcmp(topics[i].prefix, ctl->only_prefix) == 0;
	for (size_t i = 0; i < ctl->word_count; i++)
		if (mark_meant(ctl, &ctl->words[i], topics, count, meant) != CTL_DONE)
			status = CTL_FOUND;
	for (size_t i = 0; i < count; i++)
		if (meant[i])
			topics[kept++] = topics[i];
	*ret = ctl_steal(topics);
	*ret_count = kept;
	return status;
}

/* Is there a topic of the same name that may be joined? The broker then means that one. */
static bool has_fresh_namesake(const struct kickmsg_topic_info *topics, size_t count,
	const struct kickmsg_topic_info *info)
{
	for (size_t i = 0; i < count; i++)
		if (!topics[i].quarantined && !topics[i].unlinked && topics[i].kind == info->kind &&
			strcmp(topics[i].name, info->name) == 0 &&
			strcmp(topics[i].prefix, info->prefix) == 0 &&
			strcmp(topics[i].owner, info->owner) == 0)
			return true;
	return false;
}

static int one_of_all(struct ctl *ctl, const struct kickmsg_topic_info *topics, size_t count,
	const struct kickmsg_topic_info *info, ctl_one_fn *one)
{
	struct kickmsg_topic_ref topic = ctl_ref(info);

	if (info->quarantined && has_fresh_namesake(topics, count, info)) {
		print_error(ctl, &topic, -ESTALE,
			"an older topic of this name is quarantined and still has participants");
		return CTL_FOUND;
	}
	/* the topic has no name to ask by; `list` shows it, and it ends with its last
	 * participant */
	if (info->unlinked)
		return CTL_DONE;
	return one(ctl, &topic, info);
}

int ctl_for_each(struct ctl *ctl, ctl_one_fn *one)
{
	_cleanup_free_ struct kickmsg_topic_info *topics = NULL;
	size_t count = 0;

	if (ctl->word_count == 1 && !ctl->words[0].pattern)
		return one(ctl, ctl_topic(ctl), NULL);
	int status = ctl_select_topics(ctl, &topics, &count);
	for (size_t i = 0; i < count; i++) {
		int r = one_of_all(ctl, topics, count, &topics[i], one);

		if (r != CTL_DONE && (status == CTL_DONE || r > status))
			status = r;
		if (r == CTL_NO_BROKER)
			break;
	}
	/* a verb with a table says so itself */
	if (count == 0 && status == CTL_DONE && !ctl->json && !ctl->verb->listing)
		puts("There is no topic.");
	return status;
}
