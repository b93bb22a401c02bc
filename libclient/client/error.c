/* SPDX-License-Identifier: Apache-2.0 */
/* Errors in words, and the library's version. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/export.h"
#include "libclient/kickmsg.h"

static const struct {
	int error;
	const char *text;
} texts[] = {
	{ 0, "no error" },
	{ EAGAIN, "no message is there, or no slot is free" },
	{ EMSGSIZE, "the message is longer than the topic or the buffer allows" },
	{ ETIMEDOUT, "the time is over" },
	{ ENOENT, "no such topic" },
	{ EEXIST, "the topic exists with another configuration or schema" },
	{ EPROTOTYPE, "the topic has another schema, or none" },
	{ EOPNOTSUPP, "the topic's transport can't do that" },
	{ ENODATA, "the topic has no schema" },
	{ EINVAL, "a value that can't be" },
	{ EPERM, "not permitted" },
	{ EACCES, "permission denied" },
	{ EDQUOT, "a limit is reached" },
	{ ENOSPC, "all places of the topic are taken" },
	{ ENOTCONN, "the broker is gone" },
	{ ECONNREFUSED, "no broker listens at that socket" },
	{ EPROTO, "broker and library don't understand each other" },
	{ ESTALE, "the topic was given up: advertise or subscribe anew" },
	{ ENOMEM, "not enough memory" },
	{ EBUSY, "somebody else is at it" },
	{ ECHILD, "the handle is the parent's: a child of fork makes its own client" },
	{ EMFILE, "no more descriptors can be open here (RLIMIT_NOFILE)" },
	{ ENFILE, "no more files can be open on this machine (fs.file-max)" },
};

KM_EXPORT const char *kickmsg_strerror(int err)
{
	if (err != INT32_MIN)
		err = abs(err);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (texts[i].error == err)
			return texts[i].text;
	const char *text = strerrordesc_np(err);
	return text ? text : "unknown error";
}

KM_EXPORT const char *kickmsg_version(void)
{
	return KM_VERSION;
}
