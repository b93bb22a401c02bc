/* SPDX-License-Identifier: Apache-2.0 */
/* config: the broker's configuration, and which line says each value. */
#include "ctl/listings.h"

enum { PAGE = 64 };

enum { SECTION, KEY, VALUE, ORIGIN };

static const struct ctl_column columns[] = {
	[SECTION] = { "SECTION", "section", CTL_TYPE_TEXT, true },
	[KEY] = { "KEY", "key", CTL_TYPE_TEXT, true },
	[VALUE] = { "VALUE", "value", CTL_TYPE_TEXT, true },
	[ORIGIN] = { "ORIGIN", "origin", CTL_TYPE_TEXT, true },
};
const struct ctl_columns ctl_config_columns = CTL_LISTING(columns);

int ctl_config(struct ctl *ctl)
{
	_cleanup_table_ struct ctl_table *table = ctl_table_new(ctl, &ctl_config_columns);
	struct json_object *list = ctl->json ? json_add_array(ctl->root, "config") : NULL;
	struct kickmsg_config_value page[PAGE];
	uint64_t cursor = 0;
	ssize_t n;

	while ((n = kickmsg_broker_config(ctl->client, &cursor, page, PAGE)) > 0)
		for (ssize_t i = 0; i < n; i++) {
			ctl_table_row(table, list ? json_object_get(json_add_object(list)) : NULL);
			ctl_put_text(table, SECTION, page[i].section);
			ctl_put_text(table, KEY, page[i].key);
			ctl_put_text(table, VALUE, page[i].value);
			ctl_put_text(table, ORIGIN, page[i].origin);
		}
	if (n < 0)
		return ctl_failed(ctl, NULL, NULL, (int)n);
	ctl_table_print(table, NULL, NULL);
	return CTL_DONE;
}
