/* SPDX-License-Identifier: Apache-2.0 */
/* HELLO: a connection becomes a client. */
#pragma once

#include "daemon/run/broker.h"

/* Sends the answer once more, to a client that an earlier broker took in. */
void km_hello_answer_again(struct km_session *session);
