/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child of fork inherits its parent's handles as bytes, without the memory that they lead to, and
 * can do nothing with them. Every call says so by -ECHILD.
 *
 * A control call compares pids, which also covers a child that no handler of ours has run in
 * (_Fork(), vfork(), clone()). The data path has no instruction to spare: the handler that runs in
 * each child of fork() lets all inherited handles lead to a little private region that was given
 * up. So the data path meets what it looks for anyway, and where it would say why it asks
 * km_handle_refusal(), which says -ECHILD.
 *
 * The handler also closes the child's copies of the clients' descriptors: else a connection that
 * the parent ends would stay open for as long as the child lives.
 */
#pragma once

#include "libclient/client/connection.h"

/* Has each child of fork() run the handler from now on. Errors: -ENOMEM. */
int km_inherit_register(void);
/* How many forks lie between the process that registered and this one. Handles that were made at another
 * number are inherited. */
unsigned km_inherit_forks(void);

/* Puts a client on the list of those that the handler looks after; takes it off again. Errors:
 * -ENOMEM the handler can't be registered. */
int km_inherit_watch(struct kickmsg_client *client);
void km_inherit_forget(struct kickmsg_client *client);
