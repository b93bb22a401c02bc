/* SPDX-License-Identifier: Apache-2.0 */
/* The list of the peers that were built. */
#include "tests/bench/peers/peers.h"

const struct adapter *const call_peers[] = {
#ifdef PEER_ZEROMQ
	&peer_zeromq_call,
#endif
#ifdef PEER_NNG
	&peer_nng_call,
#endif
#ifdef PEER_SDBUS
	&peer_sdbus,
#endif
	NULL,
};

const struct adapter *const peers[] = {
#ifdef PEER_ZEROMQ
	&peer_zeromq,
#endif
#ifdef PEER_NNG
	&peer_nng,
#endif
#ifdef PEER_SOCKET
	&peer_seqpacket,
	&peer_mq,
#endif
#ifdef PEER_FASTDDS
	&peer_fastdds,
#endif
#ifdef PEER_CYCLONE
	&peer_cyclone,
#endif
#ifdef PEER_LCM
	&peer_lcm,
#endif
#ifdef PEER_DBUS
	&peer_dbus,
#endif
#ifdef PEER_AERON
	&peer_aeron,
#endif
#ifdef PEER_ICEORYX
	&peer_iceoryx,
#endif
	NULL,
};
