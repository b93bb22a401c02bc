/* SPDX-License-Identifier: Apache-2.0 */
/* Where the broker's socket is: see socketpath.h. */
#include "common/protocol/socketpath.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct km_socket_choice km_socket_choose(const char *said)
{
	return (struct km_socket_choice){
		.said = said,
		.variable = secure_getenv("KICKMSG_SOCKET"),
		.runtime = secure_getenv("XDG_RUNTIME_DIR"),
		.is_root = geteuid() == 0,
	};
}

static size_t print(char *ret, size_t size, const char *folder, const char *rest)
{
	return (size_t)snprintf(ret, size, "%s%s", folder, rest);
}

static bool has_runtime(const struct km_socket_choice *choice)
{
	return !choice->is_root && choice->runtime && *choice->runtime;
}

size_t km_socket_client_path(const struct km_socket_choice *choice, char *ret, size_t size)
{
	if (choice->said)
		return print(ret, size, choice->said, "");
	if (choice->variable)
		return print(ret, size, choice->variable, "");
	if (has_runtime(choice))
		return print(ret, size, choice->runtime, "/kickmsg/" KM_SOCKET_NAME);
	return print(ret, size, KM_SOCKET_SYSTEM_PATH, "");
}

size_t km_socket_broker_folder(const struct km_socket_choice *choice, char *ret, size_t size)
{
	if (choice->is_root)
		return print(ret, size, "/run/kickmsg", "");
	return has_runtime(choice) ? print(ret, size, choice->runtime, "/kickmsg") : 0;
}
