/* SPDX-License-Identifier: Apache-2.0 */
/* schema, schema-diff: see ctl.h. */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/listings.h"

static const struct {
	uint32_t bit;
	const char *name;
} diff_bits[] = {
	{ KICKMSG_SCHEMA_IDENTITY, "identity" },
	{ KICKMSG_SCHEMA_LAYOUT, "layout" },
	{ KICKMSG_SCHEMA_VERSION, "version" },
	{ KICKMSG_SCHEMA_NAME, "name" },
	{ KICKMSG_SCHEMA_IDENTITY_ALGO, "identity_algo" },
	{ KICKMSG_SCHEMA_LAYOUT_ALGO, "layout_algo" },
};

static const char *algo_name(uint32_t algo)
{
	switch (algo) {
	case KICKMSG_ALGO_NONE:
		return "none";
	case KICKMSG_ALGO_FNV1A64:
		return "fnv1a64";
	case KICKMSG_ALGO_TEXT:
		return "text";
	default:
		return "other";
	}
}

/* Writes 64 bytes in hexadecimal; without the zeros behind if `shorten`. */
static void format_bytes(const uint8_t bytes[64], bool shorten, char ret[129])
{
	size_t size = 64;

	while (shorten && size > 1 && bytes[size - 1] == 0)
		size--;
	for (size_t i = 0; i < size; i++)
		snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

static void print_fingerprint(const char *what, const uint8_t bytes[64], uint32_t algo)
{
	char text[129];

	printf("  %s=", what);
	if (algo == KICKMSG_ALGO_TEXT) {
		memcpy(text, bytes, 64);
		text[64] = '\0';
		putchar('"');
		print_text(text);
		putchar('"');
	} else {
		/* a fingerprint has eight bytes, of which zeros at the end are a part */
		format_bytes(bytes, algo != KICKMSG_ALGO_FNV1A64, text);
		printf("%.*s", algo == KICKMSG_ALGO_FNV1A64 ? 16 : 128, text);
	}
	printf(" %s_algo=%" PRIu32 " (%s)\n", what, algo, algo_name(algo));
}

static void print_schema(
	struct ctl *ctl, const struct kickmsg_topic_ref *topic, const struct kickmsg_schema *schema)
{
	char text[129];

	memcpy(text, schema->name, 128);
	text[128] = '\0';
	if (!ctl->json) {
		print_name(topic);
		printf("\n  name=\"");
		print_text(text);
		printf("\" version=%" PRIu32 " flags=%#" PRIx32 "\n", schema->version,
			schema->flags);
		print_fingerprint("identity", schema->identity, schema->identity_algo);
		print_fingerprint("layout", schema->layout, schema->layout_algo);
		return;
	}
	struct json_object *object = json_new_entry(ctl, topic);
	struct json_object *inner = json_object_new_object();

	json_object_object_add(object, "schema", inner);
	json_add_text(inner, "name", text);
	json_add_int(inner, "version", schema->version);
	json_add_int(inner, "flags", schema->flags);
	format_bytes(schema->identity, false, text);
	json_add_text(inner, "identity", text);
	json_add_int(inner, "identity_algo", schema->identity_algo);
	format_bytes(schema->layout, false, text);
	json_add_text(inner, "layout", text);
	json_add_int(inner, "layout_algo", schema->layout_algo);
}

static int schema_of(struct ctl *ctl, const struct kickmsg_topic_ref *topic,
	const struct kickmsg_topic_info *info)
{
	struct kickmsg_schema schema;
	int r = kickmsg_topic_schema(ctl->client, topic, &schema);

	if (r < 0 && r != -ENODATA)
		return ctl_failed(ctl, topic, info, r);
	if (r == 0) {
		print_schema(ctl, topic, &schema);
	} else if (ctl->json) {
		json_object_object_add(json_new_entry(ctl, topic), "schema", NULL);
	} else {
		print_name(topic);
		puts(" no schema");
	}
	return CTL_DONE;
}

int ctl_schema(struct ctl *ctl)
{
	return ctl_for_each(ctl, schema_of);
}

/* Returns an exit status. */
static int fetch_schema(
	struct ctl *ctl, const struct kickmsg_topic_ref *topic, struct kickmsg_schema *ret)
{
	int r = kickmsg_topic_schema(ctl->client, topic, ret);

	if (r != -ENODATA)
		return r < 0 ? ctl_failed(ctl, topic, NULL, r) : CTL_DONE;
	print_error(ctl, topic, r, "it has no schema");
	return CTL_FOUND;
}

int ctl_schema_diff(struct ctl *ctl)
{
	const struct kickmsg_topic_ref *topic = ctl_topic(ctl), *other = &ctl->words[1].topic;
	struct kickmsg_schema a, b;

	int status = fetch_schema(ctl, topic, &a);

	if (status == CTL_DONE)
		status = fetch_schema(ctl, other, &b);
	if (status != CTL_DONE)
		return status;
	uint32_t mask = kickmsg_schema_diff(&a, &b);

	print_schema(ctl, topic, &a);
	print_schema(ctl, other, &b);
	if (ctl->json) {
		struct json_object *names = json_add_array(ctl->root, "differs");

		json_add_int(ctl->root, "mask", mask);
		for (size_t i = 0; i < sizeof diff_bits / sizeof diff_bits[0]; i++)
			if (mask & diff_bits[i].bit)
				json_object_array_add(
					names, json_object_new_string(diff_bits[i].name));
	} else {
		printf("%s: mask=%" PRIu32, mask ? "different" : "the same", mask);
		for (size_t i = 0; i < sizeof diff_bits / sizeof diff_bits[0]; i++)
			if (mask & diff_bits[i].bit)
				printf(" %s", diff_bits[i].name);
		putchar('\n');
	}
	return mask ? CTL_FOUND : CTL_DONE;
}

enum { FOUND_NAME, FOUND_SCHEMA, FOUND_VERSION, FOUND_IDENTITY };

static const struct ctl_column found_columns[] = {
	[FOUND_NAME] = { "NAME", NULL, CTL_TYPE_TEXT, true },
	[FOUND_SCHEMA] = { "SCHEMA", "schema", CTL_TYPE_TEXT, true },
	[FOUND_VERSION] = { "VERSION", "version", CTL_TYPE_COUNT, true },
	[FOUND_IDENTITY] = { "IDENTITY", "identity", CTL_TYPE_TEXT, true },
};
const struct ctl_columns ctl_find_columns = CTL_LISTING(found_columns);

/* Names of schemas may be any bytes. */
static bool is_plain(const char *name)
{
	while (*name > ' ' && *name < 127)
		name++;
	return *name == '\0';
}

int ctl_find(struct ctl *ctl)
{
	_cleanup_free_ struct kickmsg_topic_info *topics = NULL;
	_cleanup_table_ struct ctl_table *table = ctl_table_new(ctl, &ctl_find_columns);
	char name[KICKMSG_WHOLE_NAME_SIZE], text[129], empty[CTL_TEXT_SIZE],
		near_ones[CTL_TEXT_SIZE];
	struct kickmsg_schema schema;
	struct ctl_near near = { 0 };
	size_t count = 0;
	int r = ctl_fetch_topics(ctl->client, &topics, &count);

	if (r < 0)
		return ctl_failed(ctl, NULL, NULL, r);
	for (size_t i = 0; i < count; i++) {
		struct kickmsg_topic_ref topic = ctl_ref(&topics[i]);

		if (!topics[i].has_schema || topics[i].unlinked || topics[i].quarantined ||
			kickmsg_topic_schema(ctl->client, &topic, &schema) < 0)
			continue;
		memcpy(text, schema.name, sizeof schema.name);
		text[sizeof schema.name] = '\0';
		if (fnmatch(ctl->arguments[0], text, 0) != 0) {
			if (is_plain(text))
				ctl_near_add(&near, ctl->arguments[0], text, 0, text);
			continue;
		}
		ctl_table_row(table, ctl->json ? json_new_named(&topic) : NULL);
		ctl_put_text(table, FOUND_NAME, ctl_write_name(&topic, name));
		ctl_put_text(table, FOUND_SCHEMA, text);
		ctl_put_count(table, FOUND_VERSION, schema.version);
		format_bytes(schema.identity, true, text);
		ctl_put_text(table, FOUND_IDENTITY, text);
	}
	ctl_near_write(&near, near_ones, sizeof near_ones);
	snprintf(empty, sizeof empty, "No topic has such a schema%.400s",
		near.count ? near_ones : ".");
	ctl_table_print(table, ctl->out, empty);
	return ctl_table_rows(table) ? CTL_DONE : CTL_FOUND;
}
