/* SPDX-License-Identifier: Apache-2.0 */
/* rights: who may do what to a topic, and which line of the config says so. */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/table.h"

static const char *const right_names[KICKMSG_RIGHTS] = { "create", "publish", "subscribe",
	"administer", "serve", "call", "reliable" };

/* The reason why rules don't count. */
static const char *privilege_name(enum kickmsg_privilege privilege)
{
	static const char *const names[] = { "", "root", "the broker's user",
		"a member of kickmsg-admin" };

	return (size_t)privilege < sizeof names / sizeof names[0] ? names[privilege] : "?";
}

/* Finds a user by a name or a number. Errors: -EINVAL not a number; -ENOENT no such user;
 * -ENOMEM. */
static int find_user(struct ctl *ctl, const char *name, bool by_name)
{
	struct kickmsg_user *user = &ctl->user;
	const struct passwd *entry;
	gid_t *groups, none;
	int count = 0;
	char *end;

	errno = 0;
	unsigned long uid = strtoul(name, &end, 10);
	if (!by_name && (*name < '0' || *name > '9' || *end || errno || uid >= UINT32_MAX))
		return -EINVAL;
	entry = by_name ? getpwnam(name) : getpwuid((uid_t)uid);
	if (!entry && by_name)
		return -ENOENT;
	ctl->of_other = true;
	user->uid = entry ? entry->pw_uid : (uint32_t)uid;
	/* a number without a name has no groups that anybody knows */
	user->gid = entry ? entry->pw_gid : UINT32_MAX;
	if (!entry)
		return 0;
	getgrouplist(entry->pw_name, entry->pw_gid, &none, &count); /* how many */
	groups = calloc((size_t)count + 1, sizeof *groups);
	if (!groups)
		return -ENOMEM;
	user->groups = groups;
	if (getgrouplist(entry->pw_name, entry->pw_gid, groups, &count) >= 0)
		user->group_count = (uint32_t)count;
	return 0;
}

int ctl_parse_user(struct ctl *ctl)
{
	const char *uid = ctl->values[CTL_OPT_UID].text, *user = ctl->values[CTL_OPT_USER].text;

	if (uid && user)
		return ctl_wrong(ctl, "only one of --uid and --user");
	if (!uid && !user)
		return 0;
	switch (find_user(ctl, uid ? uid : user, user != NULL)) {
	case 0:
		return 0;
	case -ENOENT:
		return ctl_wrong(ctl, "no such user: %s", user);
	case -ENOMEM:
		return ctl_wrong(ctl, "no memory for the groups of %s", uid ? uid : user);
	default:
		return ctl_wrong(ctl, "not a user's number: %s", uid);
	}
}

enum { RIGHT, MAY, AS, VALUE, RULE };

static const struct ctl_column columns[] = {
	[RIGHT] = { "RIGHT", NULL, CTL_TYPE_TEXT, true },
	[MAY] = { "MAY", NULL, CTL_TYPE_BOOL, true },
	[AS] = { "AS", NULL, CTL_TYPE_TEXT, true },
	[VALUE] = { "VALUE", NULL, CTL_TYPE_TEXT, true },
	[RULE] = { "RULE", NULL, CTL_TYPE_TEXT, true },
};
static const struct ctl_columns rights_columns = CTL_COLUMNS(columns);

static void print_table(struct ctl *ctl, const struct kickmsg_topic_rights *answer)
{
	_cleanup_table_ struct ctl_table *table = ctl_table_new(ctl, &rights_columns);

	for (int i = 0; i < KICKMSG_RIGHTS; i++) {
		const struct kickmsg_said_right *said = &answer->rights[i];

		ctl_table_row(table, NULL);
		ctl_put_text(table, RIGHT, right_names[i]);
		ctl_put_bool(table, MAY, said->allowed != 0);
		if (!said->allowed)
			ctl_mark_bad(table);
		if (said->privilege)
			ctl_put_text(table, AS, privilege_name(said->privilege));
		if (*said->value)
			ctl_put_text(table, VALUE, said->value);
		ctl_put_text(table, RULE, said->origin);
	}
	ctl_table_print(table, NULL, NULL);
}

static void print_json(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_rights *answer)
{
	struct json_object *entry = json_new_entry(ctl, topic);
	struct json_object *rights = json_object_new_object();

	json_add_int(entry, "uid", answer->uid);
	json_add_bool(entry, "exists", answer->exists != 0);
	if (answer->exists)
		json_add_int(entry, "owner_uid", answer->owner_uid);
	json_object_object_add(entry, "rights", rights);
	for (int i = 0; i < KICKMSG_RIGHTS; i++) {
		const struct kickmsg_said_right *said = &answer->rights[i];
		struct json_object *right = json_object_new_object();

		json_object_object_add(rights, right_names[i], right);
		json_add_bool(right, "allowed", said->allowed != 0);
		json_add_text(right, "rule", said->origin);
		if (*said->value)
			json_add_text(right, "value", said->value);
		if (said->privilege)
			json_add_text(right, "as", privilege_name(said->privilege));
	}
}

int ctl_rights(struct ctl *ctl)
{
	const struct kickmsg_topic_ref *topic = ctl_topic(ctl);
	struct kickmsg_topic_rights rights;
	int r = kickmsg_topic_get_rights(
		ctl->client, topic, ctl->of_other ? &ctl->user : NULL, &rights);

	if (r < 0)
		return ctl_failed(ctl, topic, NULL, r);
	if (ctl->json) {
		print_json(ctl, topic, &rights);
		return CTL_DONE;
	}
	print_name(topic);
	if (rights.exists)
		printf(", owned by uid %" PRIu32, rights.owner_uid);
	else
		fputs(" isn't there: as if it were made", stdout);
	printf("; rights of uid %" PRIu32 "\n", rights.uid);
	print_table(ctl, &rights);
	if (topic->kind == KICKMSG_MAILBOX)
		puts("Only its owner's client, of its creator's user, receives from a mailbox");
	return CTL_DONE;
}
