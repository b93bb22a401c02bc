/* SPDX-License-Identifier: Apache-2.0 */
/* The output that verbs have in common: see ctl.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

void print_text(const char *text)
{
	for (; *text; text++)
		putchar(*text >= ' ' && *text <= '~' ? *text : '?');
}

void print_name(const struct kickmsg_topic_ref *topic)
{
	char name[KICKMSG_WHOLE_NAME_SIZE];

	fputs(ctl_write_name(topic, name), stdout);
}

void print_part(const char *part)
{
	char written[KICKMSG_NAME_SIZE];

	fputs(ctl_write_part(part, written), stdout);
}

/* Length of the well-formed UTF-8 character at `text`, or 0. */
static size_t utf8_length(const unsigned char *text)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
	} kinds[] = { { 0x80, 0x00, 0 }, { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 },
		{ 0xf8, 0xf0, 0x10000 } };

	for (size_t more = 0; more < sizeof kinds / sizeof kinds[0]; more++) {
		if ((text[0] & kinds[more].mask) != kinds[more].lead)
			continue;
		uint32_t code = text[0] & (unsigned char)~kinds[more].mask;

		for (size_t i = 1; i <= more; i++) {
			if ((text[i] & 0xc0) != 0x80) /* also where the text ends */
				return 0;
			code = code << 6 | (text[i] & 0x3f);
		}
		if (code < kinds[more].least || code > 0x10ffff || (code >> 11) == 0x1b)
			return 0;
		return more + 1;
	}
	return 0;
}

void json_add_text(struct json_object *object, const char *key, const char *value)
{
	static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */
	char clean[3 * CTL_TEXT_SIZE + 1];
	size_t used = 0;

	while (*value && used + 4 < sizeof clean) {
		size_t len = utf8_length((const unsigned char *)value);
		const char *from = len ? value : replacement;
		size_t size = len ? len : sizeof replacement - 1;

		memcpy(clean + used, from, size);
		used += size;
		value += len ? len : 1;
	}
	json_object_object_add(object, key, json_object_new_string_len(clean, (int)used));
}

void json_add_part(struct json_object *object, const char *key, const char *part)
{
	char written[KICKMSG_NAME_SIZE];

	json_add_text(object, key, ctl_write_part(part, written));
}

void json_add_int(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

void json_add_double(struct json_object *object, const char *key, double value)
{
	json_object_object_add(object, key, json_object_new_double(value));
}

void json_add_bool(struct json_object *object, const char *key, bool value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}

struct json_object *json_add_array(struct json_object *object, const char *key)
{
	struct json_object *array = json_object_new_array();

	json_object_object_add(object, key, array);
	return array;
}

struct json_object *json_add_object(struct json_object *array)
{
	struct json_object *object = json_object_new_object();

	json_object_array_add(array, object);
	return object;
}

struct json_object *json_new_named(const struct kickmsg_topic_ref *topic)
{
	char name[KICKMSG_WHOLE_NAME_SIZE];
	struct json_object *entry = json_object_new_object();

	if (!topic)
		return entry;
	json_add_text(entry, "name", ctl_write_name(topic, name));
	json_add_part(entry, "topic", topic->name);
	json_add_part(entry, "prefix", topic->prefix);
	json_add_text(entry, "kind", kickmsg_kind_name(topic->kind));
	if (topic->owner)
		json_add_part(entry, "owner", topic->owner);
	return entry;
}

struct json_object *json_new_entry(struct ctl *ctl, const struct kickmsg_topic_ref *topic)
{
	struct json_object *entry = json_new_named(topic);

	json_object_array_add(ctl->out, entry);
	return entry;
}

struct json_object *json_last_entry(struct ctl *ctl)
{
	return json_object_array_get_idx(ctl->out, json_object_array_length(ctl->out) - 1);
}

void print_error(
	struct ctl *ctl, const struct kickmsg_topic_ref *topic, int error, const char *text)
{
	char name[KICKMSG_WHOLE_NAME_SIZE] = "", why[CTL_TEXT_SIZE] = "";

	if (topic)
		ctl_write_name(topic, name);
	if (text)
		snprintf(why, sizeof why, "%s", text);
	for (char *c = why; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	fprintf(stderr, "kickmsgctl: %s%s%s\n", name, topic ? ": " : "",
		*why ? why : kickmsg_strerror(error));
	if (!ctl->json)
		return;
	if (!ctl->root)
		print_begin(ctl);
	struct json_object *object = json_new_entry(ctl, topic);

	json_add_bool(object, "healthy", false);
	json_add_int(object, "errno", (uint64_t)-error);
	json_add_text(object, "error", text && *text ? text : kickmsg_strerror(error));
}

void print_begin(struct ctl *ctl)
{
	if (!ctl->json)
		return;
	ctl->root = json_object_new_object();
	json_add_text(ctl->root, "verb", ctl->verb->name);
	ctl->out = json_add_array(ctl->root, "topics");
}

void print_end(struct ctl *ctl, int status)
{
	bool is_one_of_many = ctl_given(ctl, CTL_OPT_WATCH) ||
			      (ctl->verb && ctl->verb->run == ctl_top);

	if (!ctl->root)
		return;
	json_add_bool(ctl->root, "ok", status == CTL_DONE);
	puts(json_object_to_json_string_ext(
		ctl->root, is_one_of_many ? JSON_C_TO_STRING_PLAIN : JSON_C_TO_STRING_PRETTY));
	fflush(stdout);
	json_object_put(ctl->root);
	ctl->root = ctl->out = NULL;
}
