/* options.c: getsockopt, setsockopt, and a row for each option. */
#include "base/platform.h"
#include "net/options.h"

#include <ctype.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdlib.h>

#include "base/error.h"
#include "net/socket.h"

enum {
  MAXRAW = 65536, /* bytes of a raw option */
  MAXNAME = 40,   /* longer than any option's */
  MAXNEAR = 3     /* names that an error message suggests */
};

/*
** Names as in socket(7), ip(7), ipv6(7), tcp(7), udp(7), netlink(7),
** packet(7) and vsock(7), in lower case and without SO_.
*/
static const sock_Option options[] = {
    {"acceptconn", SOL_SOCKET, SO_ACCEPTCONN, SOCK_FLAG_READ},
#ifdef SO_BINDTODEVICE
    {"bindtodevice", SOL_SOCKET, SO_BINDTODEVICE, SOCK_DEVICE},
#endif
#ifdef SO_BINDTOIFINDEX
    {"bindtoifindex", SOL_SOCKET, SO_BINDTOIFINDEX, SOCK_INTERFACE},
#endif
    {"broadcast", SOL_SOCKET, SO_BROADCAST, SOCK_FLAG},
#ifdef SO_BUSY_POLL
    {"busy_poll", SOL_SOCKET, SO_BUSY_POLL, SOCK_MICROSECONDS},
#endif
#ifdef SO_COOKIE
    {"cookie", SOL_SOCKET, SO_COOKIE, SOCK_WIDE_READ},
#endif
    {"debug", SOL_SOCKET, SO_DEBUG, SOCK_FLAG},
#ifdef SO_DOMAIN
    {"domain", SOL_SOCKET, SO_DOMAIN, SOCK_FAMILY},
#endif
    {"dontroute", SOL_SOCKET, SO_DONTROUTE, SOCK_FLAG},
    {"error", SOL_SOCKET, SO_ERROR, SOCK_CODE},
#ifdef SO_INCOMING_CPU
    {"incoming_cpu", SOL_SOCKET, SO_INCOMING_CPU, SOCK_INT},
#endif
#ifdef SO_INCOMING_NAPI_ID
    {"incoming_napi_id", SOL_SOCKET, SO_INCOMING_NAPI_ID, SOCK_UINT_READ},
#endif
    {"keepalive", SOL_SOCKET, SO_KEEPALIVE, SOCK_FLAG},
    {"linger", SOL_SOCKET, SO_LINGER, SOCK_LINGER},
#ifdef SO_MARK
    {"mark", SOL_SOCKET, SO_MARK, SOCK_UINT},
#endif
#ifdef SO_MAX_PACING_RATE
    {"max_pacing_rate", SOL_SOCKET, SO_MAX_PACING_RATE, SOCK_RATE},
#endif
    {"oobinline", SOL_SOCKET, SO_OOBINLINE, SOCK_FLAG},
#ifdef SO_PASSCRED
    {"passcred", SOL_SOCKET, SO_PASSCRED, SOCK_FLAG},
#endif
#ifdef SO_PASSSEC
    {"passsec", SOL_SOCKET, SO_PASSSEC, SOCK_FLAG},
#endif
#ifdef SO_PEEK_OFF
    {"peek_off", SOL_SOCKET, SO_PEEK_OFF, SOCK_INT},
#endif
#ifdef SO_PEERCRED
    {"peercred", SOL_SOCKET, SO_PEERCRED, SOCK_PEER},
#endif
#ifdef SO_PEERSEC
    {"peersec", SOL_SOCKET, SO_PEERSEC, SOCK_TEXT_READ},
#endif
#ifdef SO_PREFER_BUSY_POLL
    {"prefer_busy_poll", SOL_SOCKET, SO_PREFER_BUSY_POLL, SOCK_FLAG},
#endif
#ifdef SO_PRIORITY
    {"priority", SOL_SOCKET, SO_PRIORITY, SOCK_INT},
#endif
#ifdef SO_PROTOCOL
    {"protocol", SOL_SOCKET, SO_PROTOCOL, SOCK_INT_READ},
#endif
    {"rcvbuf", SOL_SOCKET, SO_RCVBUF, SOCK_INT},
#ifdef SO_RCVBUFFORCE
    {"rcvbufforce", SOL_SOCKET, SO_RCVBUFFORCE, SOCK_INT_WRITE},
#endif
    {"rcvlowat", SOL_SOCKET, SO_RCVLOWAT, SOCK_INT},
#ifdef SO_RCVMARK
    {"rcvmark", SOL_SOCKET, SO_RCVMARK, SOCK_FLAG},
#endif
    {"rcvtimeo", SOL_SOCKET, SO_RCVTIMEO, SOCK_REFUSED},
    {"reuseaddr", SOL_SOCKET, SO_REUSEADDR, SOCK_FLAG},
#ifdef SO_REUSEPORT
    {"reuseport", SOL_SOCKET, SO_REUSEPORT, SOCK_FLAG},
#endif
#ifdef SO_RXQ_OVFL
    {"rxq_ovfl", SOL_SOCKET, SO_RXQ_OVFL, SOCK_FLAG},
#endif
#ifdef SO_SELECT_ERR_QUEUE
    {"select_err_queue", SOL_SOCKET, SO_SELECT_ERR_QUEUE, SOCK_FLAG},
#endif
    {"sndbuf", SOL_SOCKET, SO_SNDBUF, SOCK_INT},
#ifdef SO_SNDBUFFORCE
    {"sndbufforce", SOL_SOCKET, SO_SNDBUFFORCE, SOCK_INT_WRITE},
#endif
    {"sndlowat", SOL_SOCKET, SO_SNDLOWAT, SOCK_INT},
    {"sndtimeo", SOL_SOCKET, SO_SNDTIMEO, SOCK_REFUSED},
#ifdef SO_TIMESTAMP
    {"timestamp", SOL_SOCKET, SO_TIMESTAMP, SOCK_FLAG},
#endif
#ifdef SO_TIMESTAMPING
    {"timestamping", SOL_SOCKET, SO_TIMESTAMPING, SOCK_INT},
#endif
#ifdef SO_TIMESTAMPNS
    {"timestampns", SOL_SOCKET, SO_TIMESTAMPNS, SOCK_FLAG},
#endif
    {"type", SOL_SOCKET, SO_TYPE, SOCK_TYPE},
#ifdef SO_ZEROCOPY
    {"zerocopy", SOL_SOCKET, SO_ZEROCOPY, SOCK_FLAG},
#endif
    {"ip_add_membership", IPPROTO_IP, MCAST_JOIN_GROUP, SOCK_GROUP},
    {"ip_add_source_membership", IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP,
     SOCK_SOURCE},
#ifdef IP_BIND_ADDRESS_NO_PORT
    {"ip_bind_address_no_port", IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, SOCK_FLAG},
#endif
    {"ip_block_source", IPPROTO_IP, MCAST_BLOCK_SOURCE, SOCK_SOURCE},
#ifdef IP_CHECKSUM
    {"ip_checksum", IPPROTO_IP, IP_CHECKSUM, SOCK_FLAG},
#endif
    {"ip_drop_membership", IPPROTO_IP, MCAST_LEAVE_GROUP, SOCK_GROUP},
    {"ip_drop_source_membership", IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP,
     SOCK_SOURCE},
#ifdef IP_FREEBIND
    {"ip_freebind", IPPROTO_IP, IP_FREEBIND, SOCK_FLAG},
#endif
    {"ip_hdrincl", IPPROTO_IP, IP_HDRINCL, SOCK_FLAG},
#ifdef IP_MINTTL
    {"ip_minttl", IPPROTO_IP, IP_MINTTL, SOCK_INT},
#endif
#ifdef IP_MTU
    {"ip_mtu", IPPROTO_IP, IP_MTU, SOCK_INT_READ},
#endif
#ifdef IP_MTU_DISCOVER
    {"ip_mtu_discover", IPPROTO_IP, IP_MTU_DISCOVER, SOCK_INT},
#endif
#ifdef IP_MULTICAST_ALL
    {"ip_multicast_all", IPPROTO_IP, IP_MULTICAST_ALL, SOCK_FLAG},
#endif
    {"ip_multicast_if", IPPROTO_IP, IP_MULTICAST_IF, SOCK_OUTGOING},
    {"ip_multicast_loop", IPPROTO_IP, IP_MULTICAST_LOOP, SOCK_FLAG},
    {"ip_multicast_ttl", IPPROTO_IP, IP_MULTICAST_TTL, SOCK_INT},
#ifdef IP_NODEFRAG
    {"ip_nodefrag", IPPROTO_IP, IP_NODEFRAG, SOCK_FLAG},
#endif
#ifdef IP_PKTINFO
    {"ip_pktinfo", IPPROTO_IP, IP_PKTINFO, SOCK_FLAG},
#endif
#ifdef IP_RECVERR
    {"ip_recverr", IPPROTO_IP, IP_RECVERR, SOCK_FLAG},
#endif
#ifdef IP_RECVFRAGSIZE
    {"ip_recvfragsize", IPPROTO_IP, IP_RECVFRAGSIZE, SOCK_FLAG},
#endif
#ifdef IP_RECVOPTS
    {"ip_recvopts", IPPROTO_IP, IP_RECVOPTS, SOCK_FLAG},
#endif
#ifdef IP_RECVORIGDSTADDR
    {"ip_recvorigdstaddr", IPPROTO_IP, IP_RECVORIGDSTADDR, SOCK_FLAG},
#endif
#ifdef IP_RECVTOS
    {"ip_recvtos", IPPROTO_IP, IP_RECVTOS, SOCK_FLAG},
#endif
#ifdef IP_RECVTTL
    {"ip_recvttl", IPPROTO_IP, IP_RECVTTL, SOCK_FLAG},
#endif
#ifdef IP_RETOPTS
    {"ip_retopts", IPPROTO_IP, IP_RETOPTS, SOCK_FLAG},
#endif
#ifdef IP_ROUTER_ALERT
    {"ip_router_alert", IPPROTO_IP, IP_ROUTER_ALERT, SOCK_FLAG},
#endif
    {"ip_tos", IPPROTO_IP, IP_TOS, SOCK_INT},
#ifdef IP_TRANSPARENT
    {"ip_transparent", IPPROTO_IP, IP_TRANSPARENT, SOCK_FLAG},
#endif
    {"ip_ttl", IPPROTO_IP, IP_TTL, SOCK_INT},
    {"ip_unblock_source", IPPROTO_IP, MCAST_UNBLOCK_SOURCE, SOCK_SOURCE},
#ifdef IP_UNICAST_IF
    {"ip_unicast_if", IPPROTO_IP, IP_UNICAST_IF, SOCK_NETINTERFACE},
#endif
#ifdef IPV6_AUTOFLOWLABEL
    {"ipv6_autoflowlabel", IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, SOCK_FLAG},
#endif
#ifdef IPV6_DONTFRAG
    {"ipv6_dontfrag", IPPROTO_IPV6, IPV6_DONTFRAG, SOCK_FLAG},
#endif
#ifdef IPV6_FREEBIND
    {"ipv6_freebind", IPPROTO_IPV6, IPV6_FREEBIND, SOCK_FLAG},
#endif
    {"ipv6_join_group", IPPROTO_IPV6, MCAST_JOIN_GROUP, SOCK_GROUP},
    {"ipv6_leave_group", IPPROTO_IPV6, MCAST_LEAVE_GROUP, SOCK_GROUP},
#ifdef IPV6_MINHOPCOUNT
    {"ipv6_minhopcount", IPPROTO_IPV6, IPV6_MINHOPCOUNT, SOCK_INT},
#endif
#ifdef IPV6_MTU
    {"ipv6_mtu", IPPROTO_IPV6, IPV6_MTU, SOCK_INT},
#endif
#ifdef IPV6_MTU_DISCOVER
    {"ipv6_mtu_discover", IPPROTO_IPV6, IPV6_MTU_DISCOVER, SOCK_INT},
#endif
#ifdef IPV6_MULTICAST_ALL
    {"ipv6_multicast_all", IPPROTO_IPV6, IPV6_MULTICAST_ALL, SOCK_FLAG},
#endif
    {"ipv6_multicast_hops", IPPROTO_IPV6, IPV6_MULTICAST_HOPS, SOCK_INT},
    {"ipv6_multicast_if", IPPROTO_IPV6, IPV6_MULTICAST_IF, SOCK_INTERFACE},
    {"ipv6_multicast_loop", IPPROTO_IPV6, IPV6_MULTICAST_LOOP, SOCK_FLAG},
#ifdef IPV6_RECVDSTOPTS
    {"ipv6_recvdstopts", IPPROTO_IPV6, IPV6_RECVDSTOPTS, SOCK_FLAG},
#endif
#ifdef IPV6_RECVERR
    {"ipv6_recverr", IPPROTO_IPV6, IPV6_RECVERR, SOCK_FLAG},
#endif
#ifdef IPV6_RECVFRAGSIZE
    {"ipv6_recvfragsize", IPPROTO_IPV6, IPV6_RECVFRAGSIZE, SOCK_FLAG},
#endif
#ifdef IPV6_RECVHOPLIMIT
    {"ipv6_recvhoplimit", IPPROTO_IPV6, IPV6_RECVHOPLIMIT, SOCK_FLAG},
#endif
#ifdef IPV6_RECVHOPOPTS
    {"ipv6_recvhopopts", IPPROTO_IPV6, IPV6_RECVHOPOPTS, SOCK_FLAG},
#endif
#ifdef IPV6_RECVORIGDSTADDR
    {"ipv6_recvorigdstaddr", IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, SOCK_FLAG},
#endif
#ifdef IPV6_RECVPATHMTU
    {"ipv6_recvpathmtu", IPPROTO_IPV6, IPV6_RECVPATHMTU, SOCK_FLAG},
#endif
#ifdef IPV6_RECVPKTINFO
    {"ipv6_recvpktinfo", IPPROTO_IPV6, IPV6_RECVPKTINFO, SOCK_FLAG},
#endif
#ifdef IPV6_RECVRTHDR
    {"ipv6_recvrthdr", IPPROTO_IPV6, IPV6_RECVRTHDR, SOCK_FLAG},
#endif
#ifdef IPV6_RECVTCLASS
    {"ipv6_recvtclass", IPPROTO_IPV6, IPV6_RECVTCLASS, SOCK_FLAG},
#endif
#ifdef IPV6_ROUTER_ALERT
    {"ipv6_router_alert", IPPROTO_IPV6, IPV6_ROUTER_ALERT, SOCK_INT},
#endif
#ifdef IPV6_TCLASS
    {"ipv6_tclass", IPPROTO_IPV6, IPV6_TCLASS, SOCK_INT},
#endif
#ifdef IPV6_TRANSPARENT
    {"ipv6_transparent", IPPROTO_IPV6, IPV6_TRANSPARENT, SOCK_FLAG},
#endif
    {"ipv6_unicast_hops", IPPROTO_IPV6, IPV6_UNICAST_HOPS, SOCK_INT},
#ifdef IPV6_UNICAST_IF
    {"ipv6_unicast_if", IPPROTO_IPV6, IPV6_UNICAST_IF, SOCK_NETINTERFACE},
#endif
    {"ipv6_v6only", IPPROTO_IPV6, IPV6_V6ONLY, SOCK_FLAG},
    {"mcast_block_source", -1, MCAST_BLOCK_SOURCE, SOCK_SOURCE},
    {"mcast_join_group", -1, MCAST_JOIN_GROUP, SOCK_GROUP},
    {"mcast_join_source_group", -1, MCAST_JOIN_SOURCE_GROUP, SOCK_SOURCE},
    {"mcast_leave_group", -1, MCAST_LEAVE_GROUP, SOCK_GROUP},
    {"mcast_leave_source_group", -1, MCAST_LEAVE_SOURCE_GROUP, SOCK_SOURCE},
    {"mcast_unblock_source", -1, MCAST_UNBLOCK_SOURCE, SOCK_SOURCE},
#ifdef NETLINK_ADD_MEMBERSHIP
    {"netlink_add_membership", SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
     SOCK_NETLINKGROUP},
#endif
#ifdef NETLINK_BROADCAST_ERROR
    {"netlink_broadcast_error", SOL_NETLINK, NETLINK_BROADCAST_ERROR,
     SOCK_FLAG},
#endif
#ifdef NETLINK_CAP_ACK
    {"netlink_cap_ack", SOL_NETLINK, NETLINK_CAP_ACK, SOCK_FLAG},
#endif
#ifdef NETLINK_DROP_MEMBERSHIP
    {"netlink_drop_membership", SOL_NETLINK, NETLINK_DROP_MEMBERSHIP,
     SOCK_NETLINKGROUP},
#endif
#ifdef NETLINK_EXT_ACK
    {"netlink_ext_ack", SOL_NETLINK, NETLINK_EXT_ACK, SOCK_FLAG},
#endif
#ifdef NETLINK_GET_STRICT_CHK
    {"netlink_get_strict_chk", SOL_NETLINK, NETLINK_GET_STRICT_CHK, SOCK_FLAG},
#endif
#ifdef NETLINK_LISTEN_ALL_NSID
    {"netlink_listen_all_nsid", SOL_NETLINK, NETLINK_LISTEN_ALL_NSID,
     SOCK_FLAG},
#endif
#ifdef NETLINK_NO_ENOBUFS
    {"netlink_no_enobufs", SOL_NETLINK, NETLINK_NO_ENOBUFS, SOCK_FLAG},
#endif
#ifdef NETLINK_PKTINFO
    {"netlink_pktinfo", SOL_NETLINK, NETLINK_PKTINFO, SOCK_FLAG},
#endif
#ifdef PACKET_ADD_MEMBERSHIP
    {"packet_add_membership", SOL_PACKET, PACKET_ADD_MEMBERSHIP,
     SOCK_PACKETGROUP},
#endif
#ifdef PACKET_AUXDATA
    {"packet_auxdata", SOL_PACKET, PACKET_AUXDATA, SOCK_FLAG},
#endif
#ifdef PACKET_COPY_THRESH
    {"packet_copy_thresh", SOL_PACKET, PACKET_COPY_THRESH, SOCK_INT},
#endif
#ifdef PACKET_DROP_MEMBERSHIP
    {"packet_drop_membership", SOL_PACKET, PACKET_DROP_MEMBERSHIP,
     SOCK_PACKETGROUP},
#endif
#ifdef PACKET_FANOUT
    {"packet_fanout", SOL_PACKET, PACKET_FANOUT, SOCK_UINT},
#endif
#ifdef PACKET_IGNORE_OUTGOING
    {"packet_ignore_outgoing", SOL_PACKET, PACKET_IGNORE_OUTGOING, SOCK_FLAG},
#endif
#ifdef PACKET_LOSS
    {"packet_loss", SOL_PACKET, PACKET_LOSS, SOCK_FLAG},
#endif
#ifdef PACKET_ORIGDEV
    {"packet_origdev", SOL_PACKET, PACKET_ORIGDEV, SOCK_FLAG},
#endif
#ifdef PACKET_QDISC_BYPASS
    {"packet_qdisc_bypass", SOL_PACKET, PACKET_QDISC_BYPASS, SOCK_FLAG},
#endif
#ifdef PACKET_RESERVE
    {"packet_reserve", SOL_PACKET, PACKET_RESERVE, SOCK_INT},
#endif
#ifdef PACKET_TIMESTAMP
    {"packet_timestamp", SOL_PACKET, PACKET_TIMESTAMP, SOCK_INT},
#endif
#ifdef PACKET_VERSION
    {"packet_version", SOL_PACKET, PACKET_VERSION, SOCK_INT},
#endif
#ifdef PACKET_VNET_HDR
    {"packet_vnet_hdr", SOL_PACKET, PACKET_VNET_HDR, SOCK_FLAG},
#endif
#ifdef TCP_CONGESTION
    {"tcp_congestion", IPPROTO_TCP, TCP_CONGESTION, SOCK_TEXT},
#endif
#ifdef TCP_CORK
    {"tcp_cork", IPPROTO_TCP, TCP_CORK, SOCK_FLAG},
#endif
#ifdef TCP_DEFER_ACCEPT
    {"tcp_defer_accept", IPPROTO_TCP, TCP_DEFER_ACCEPT, SOCK_INT},
#endif
#ifdef TCP_FASTOPEN
    {"tcp_fastopen", IPPROTO_TCP, TCP_FASTOPEN, SOCK_INT},
#endif
#ifdef TCP_FASTOPEN_CONNECT
    {"tcp_fastopen_connect", IPPROTO_TCP, TCP_FASTOPEN_CONNECT, SOCK_FLAG},
#endif
#ifdef TCP_FASTOPEN_NO_COOKIE
    {"tcp_fastopen_no_cookie", IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, SOCK_FLAG},
#endif
#ifdef TCP_CC_INFO
    {"tcp_info", IPPROTO_TCP, TCP_INFO, SOCK_TCPINFO},
#endif
#ifdef TCP_INQ
    {"tcp_inq", IPPROTO_TCP, TCP_INQ, SOCK_FLAG},
#endif
#ifdef TCP_KEEPCNT
    {"tcp_keepcnt", IPPROTO_TCP, TCP_KEEPCNT, SOCK_INT},
#endif
#ifdef TCP_KEEPIDLE
    {"tcp_keepidle", IPPROTO_TCP, TCP_KEEPIDLE, SOCK_INT},
#endif
#ifdef TCP_KEEPINTVL
    {"tcp_keepintvl", IPPROTO_TCP, TCP_KEEPINTVL, SOCK_INT},
#endif
#ifdef TCP_LINGER2
    {"tcp_linger2", IPPROTO_TCP, TCP_LINGER2, SOCK_INT},
#endif
    {"tcp_maxseg", IPPROTO_TCP, TCP_MAXSEG, SOCK_INT},
    {"tcp_nodelay", IPPROTO_TCP, TCP_NODELAY, SOCK_FLAG},
#ifdef TCP_NOTSENT_LOWAT
    {"tcp_notsent_lowat", IPPROTO_TCP, TCP_NOTSENT_LOWAT, SOCK_UINT},
#endif
#ifdef TCP_QUICKACK
    {"tcp_quickack", IPPROTO_TCP, TCP_QUICKACK, SOCK_FLAG},
#endif
#ifdef TCP_SYNCNT
    {"tcp_syncnt", IPPROTO_TCP, TCP_SYNCNT, SOCK_INT},
#endif
#ifdef TCP_TX_DELAY
    {"tcp_tx_delay", IPPROTO_TCP, TCP_TX_DELAY, SOCK_MICROSECONDS},
#endif
#ifdef TCP_ULP
    {"tcp_ulp", IPPROTO_TCP, TCP_ULP, SOCK_TEXT},
#endif
#ifdef TCP_USER_TIMEOUT
    {"tcp_user_timeout", IPPROTO_TCP, TCP_USER_TIMEOUT, SOCK_MILLISECONDS},
#endif
#ifdef TCP_WINDOW_CLAMP
    {"tcp_window_clamp", IPPROTO_TCP, TCP_WINDOW_CLAMP, SOCK_INT},
#endif
#ifdef UDP_CORK
    {"udp_cork", IPPROTO_UDP, UDP_CORK, SOCK_FLAG},
#endif
#ifdef UDP_GRO
    {"udp_gro", IPPROTO_UDP, UDP_GRO, SOCK_FLAG},
#endif
#ifdef UDP_NO_CHECK6_RX
    {"udp_no_check6_rx", IPPROTO_UDP, UDP_NO_CHECK6_RX, SOCK_FLAG},
#endif
#ifdef UDP_NO_CHECK6_TX
    {"udp_no_check6_tx", IPPROTO_UDP, UDP_NO_CHECK6_TX, SOCK_FLAG},
#endif
#ifdef UDP_SEGMENT
    {"udp_segment", IPPROTO_UDP, UDP_SEGMENT, SOCK_INT},
#endif
#ifdef SO_VM_SOCKETS_BUFFER_MAX_SIZE
    {"vm_sockets_buffer_max_size", AF_VSOCK, SO_VM_SOCKETS_BUFFER_MAX_SIZE,
     SOCK_WIDE},
#endif
#ifdef SO_VM_SOCKETS_BUFFER_MIN_SIZE
    {"vm_sockets_buffer_min_size", AF_VSOCK, SO_VM_SOCKETS_BUFFER_MIN_SIZE,
     SOCK_WIDE},
#endif
#ifdef SO_VM_SOCKETS_BUFFER_SIZE
    {"vm_sockets_buffer_size", AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, SOCK_WIDE},
#endif
#ifdef SO_VM_SOCKETS_CONNECT_TIMEOUT
    {"vm_sockets_connect_timeout", AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT,
     SOCK_TIMEVAL},
#endif
    {NULL, 0, 0, SOCK_REFUSED}};

/* What some system has and another lacks, so that a program that asks for it
** is told so and not that it cannot spell. */
static const char known[] =
    " bindtodevice bindtoifindex bintime busy_poll cookie domain"
    " incoming_cpu incoming_napi_id ip_bind_address_no_port ip_bindany"
    " ip_checksum ip_freebind ip_local_port_range ip_minttl ip_mtu"
    " ip_mtu_discover ip_multicast_all ip_nodefrag ip_pktinfo ip_portrange"
    " ip_recvdstaddr ip_recverr ip_recvfragsize ip_recvif ip_recvopts"
    " ip_recvorigdstaddr ip_recvtos ip_recvttl ip_retopts ip_router_alert"
    " ip_sendsrcaddr ip_transparent ip_unicast_if ipv6_autoflowlabel"
    " ipv6_dontfrag ipv6_freebind ipv6_minhopcount ipv6_mtu"
    " ipv6_mtu_discover ipv6_multicast_all ipv6_portrange ipv6_recvdstopts"
    " ipv6_recverr ipv6_recvfragsize ipv6_recvhoplimit ipv6_recvhopopts"
    " ipv6_recvorigdstaddr ipv6_recvpathmtu ipv6_recvpktinfo ipv6_recvrthdr"
    " ipv6_recvtclass ipv6_router_alert ipv6_tclass ipv6_transparent"
    " ipv6_unicast_if ipv6_use_min_mtu mark max_pacing_rate"
    " netlink_add_membership netlink_broadcast_error netlink_cap_ack"
    " netlink_drop_membership netlink_ext_ack netlink_get_strict_chk"
    " netlink_listen_all_nsid netlink_no_enobufs netlink_pktinfo nosigpipe"
    " packet_add_membership packet_auxdata packet_copy_thresh"
    " packet_drop_membership packet_fanout packet_ignore_outgoing"
    " packet_loss packet_origdev packet_qdisc_bypass packet_reserve"
    " packet_timestamp packet_version packet_vnet_hdr passcred passpidfd"
    " passsec peek_off peercred peerpidfd peersec prefer_busy_poll priority"
    " protocol rcvbufforce rcvmark reuseport rxq_ovfl select_err_queue"
    " setfib sndbufforce tcp_ao tcp_congestion tcp_cork tcp_defer_accept"
    " tcp_fastopen tcp_fastopen_connect tcp_fastopen_key"
    " tcp_fastopen_no_cookie tcp_info tcp_inq tcp_keepalive tcp_keepcnt"
    " tcp_keepidle tcp_keepintvl tcp_linger2 tcp_md5sig tcp_notsent_lowat"
    " tcp_quickack tcp_rto_max_ms tcp_syncnt tcp_tx_delay tcp_ulp"
    " tcp_user_timeout tcp_window_clamp timestamp timestamping timestampns"
    " udp_cork udp_gro udp_no_check6_rx udp_no_check6_tx udp_segment"
    " useloopback user_cookie vm_sockets_buffer_max_size"
    " vm_sockets_buffer_min_size vm_sockets_buffer_size"
    " vm_sockets_connect_timeout zerocopy"
    " ";

/* --- finding a row ------------------------------------------------------ */

static const sock_Option *find(const char *name, size_t len) {
  const sock_Option *o = options;
  while (o->name != NULL &&
         (strlen(o->name) != len || memcmp(o->name, name, len) != 0))
    o++;
  return o->name != NULL ? o : NULL;
}

static int isknown(lua_State *L, const char *name, size_t len) {
  const char *word = lua_pushfstring(L, " %s ", name);
  return strlen(word) == len + 2 && strchr(name, ' ') == NULL &&
         strstr(known, word) != NULL;
}

static int least(int a, int b, int c) {
  int min = a < b ? a : b;
  return min < c ? min : c;
}

/* How many letters to add, drop or change to make one name the other
** (Levenshtein, one row at a time). Both are at most MAXNAME long. */
static int distance(const char *a, const char *b) {
  int row[MAXNAME + 1];
  int n = (int)strlen(b);
  for (int j = 0; j <= n; j++)
    row[j] = j;
  for (int i = 1; a[i - 1] != '\0'; i++) {
    int diagonal = row[0];
    row[0] = i;
    for (int j = 1; j <= n; j++) {
      int change = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = least(row[j] + 1, row[j - 1] + 1, change);
    }
  }
  return row[n];
}

/* The same, but a forgotten prefix ("nodelay") costs nothing. */
static int nearness(const char *name, const sock_Option *o) {
  const char *tail = strchr(o->name, '_');
  int whole = distance(name, o->name);
  if (tail == NULL || o->level == SOL_SOCKET)
    return whole;
  int part = distance(name, tail + 1);
  return part < whole ? part : whole;
}

/* Pushes ' (did you mean "x" or "y"?)' with the nearest names, or nothing
** of the kind if none is near. `name` is in lower case. */
static void pushnear(lua_State *L, const char *name) {
  int len = (int)strlen(name), best = len < 6 ? len > 0 : len / 3, count = 0;
  const char *near[MAXNEAR];
  for (const sock_Option *o = options; o->name != NULL; o++) {
    int d = nearness(name, o);
    if (d < best)
      best = d, count = 0;
    if (d == best && count < MAXNEAR)
      near[count++] = o->name;
  }
  lua_pushstring(L, count > 0 ? " (did you mean " : "");
  for (int i = 0; i < count; i++) {
    lua_pushfstring(L, "%s'%s'%s", i > 0 ? " or " : "", near[i],
                    i + 1 == count ? "?)" : "");
    lua_concat(L, 2);
  }
}

/* What people write who know the C names: SO_REUSEADDR. Cuts what is longer
** than any name: it is near to none. */
static void tolowercase(const char *name, size_t len, char *to) {
  if (len >= 3 && (memcmp(name, "SO_", 3) == 0 || memcmp(name, "so_", 3) == 0))
    name += 3, len -= 3;
  size_t n = len <= MAXNAME ? len : 0;
  for (size_t i = 0; i < n; i++)
    to[i] = (char)tolower((unsigned char)name[i]);
  to[n] = '\0';
}

/* The name as a message may show it: it can be anything of any length. */
static const char *quoted(lua_State *L, const char *name, size_t len) {
  size_t plain = strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
  if (plain == len && len <= MAXNAME)
    return lua_pushfstring(L, "'%s'", name);
  return sock_quote(L, name, len);
}

static int unknown(lua_State *L, const char *name, size_t len) {
  char plain[MAXNAME + 1];
  if (isknown(L, name, len))
    return luaL_argerror(
        L, 2, lua_pushfstring(L, "this system has no option '%s'", name));
  tolowercase(name, len, plain);
  lua_pushfstring(L, "unknown option %s", quoted(L, name, len));
  pushnear(L, plain);
  lua_concat(L, 2);
  return luaL_argerror(L, 2, lua_tostring(L, -1));
}

static const sock_Option *checkoption(lua_State *L) {
  size_t len;
  const char *name = luaL_checklstring(L, 2, &len);
  const sock_Option *o = find(name, len);
  if (o == NULL)
    unknown(L, name, len);
  else if (o->nature == SOCK_REFUSED)
    luaL_argerror(L, 2, lua_pushfstring(L, "use settimeout, not '%s'", name));
  return o;
}

/* --- the calls ---------------------------------------------------------- */

static int checkint(lua_State *L, int arg) {
  lua_Integer n = luaL_checkinteger(L, arg);
  luaL_argcheck(L, n >= INT_MIN && n <= INT_MAX, arg, "number out of range");
  return (int)n;
}

/* getsockopt(level, number, size) */
static int getraw(lua_State *L, const sock_Socket *s) {
  int level = checkint(L, 2), number = checkint(L, 3);
  lua_Integer size = luaL_checkinteger(L, 4);
  luaL_argcheck(L, size >= 0 && size <= MAXRAW, 4, "size out of range");
  luaL_Buffer b;
  char *room = luaL_buffinitsize(L, &b, (size_t)size);
  socklen_t len = (socklen_t)size;
  if (getsockopt(s->watch.fd, level, number, room, &len) < 0) {
    int err = errno;
    return sock_fail(L, err, "getsockopt %d %d", level, number);
  }
  luaL_pushresultsize(&b, len);
  return 1;
}

/* setsockopt(level, number, bytes) */
static int setraw(lua_State *L, const sock_Socket *s) {
  int level = checkint(L, 2), number = checkint(L, 3);
  size_t size;
  const char *bytes = luaL_checklstring(L, 4, &size);
  luaL_argcheck(L, size <= MAXRAW, 4, "too many bytes");
  if (setsockopt(s->watch.fd, level, number, bytes, (socklen_t)size) < 0) {
    int err = errno;
    return sock_fail(L, err, "setsockopt %d %d", level, number);
  }
  lua_settop(L, 1);
  return 1;
}

static int s_getsockopt(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  if (lua_type(L, 2) == LUA_TNUMBER)
    return getraw(L, s);
  const sock_Option *o = checkoption(L);
  const sock_Kind *kind = &sock_kinds[o->nature];
  if (kind->decode == NULL)
    return luaL_argerror(L, 2,
                         lua_pushfstring(L, "'%s' is write-only", o->name));
  sock_Value v = {.size = kind->size};
  if (getsockopt(s->watch.fd, o->level, o->number, &v.u, &v.size) < 0) {
    int err = errno;
    return sock_fail(L, err, "getsockopt %s", o->name);
  }
  lua_settop(L, 1);
  kind->decode(L, o, &v);
  return 1;
}

static int s_setsockopt(lua_State *L) {
  sock_Socket *s = sock_checkopen(L, 1);
  if (lua_type(L, 2) == LUA_TNUMBER)
    return setraw(L, s);
  const sock_Option *o = checkoption(L);
  const sock_Kind *kind = &sock_kinds[o->nature];
  if (kind->encode == NULL)
    return luaL_argerror(L, 2,
                         lua_pushfstring(L, "'%s' is read-only", o->name));
  luaL_checkany(L, 3);
  lua_settop(L, 3);
  sock_Value v = {.level = o->level, .size = kind->size};
  int err = kind->encode(L, o, &v);
  if (err == 0 && setsockopt(s->watch.fd, v.level, o->number, &v.u, v.size) < 0)
    err = errno;
  if (err != 0)
    return sock_fail(L, err, "setsockopt %s", o->name);
  sock_remember(L, o);
  lua_settop(L, 1);
  return 1;
}

static int byname(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int l_options(lua_State *L) {
  const char *names[sizeof options / sizeof *options];
  size_t count = 0;
  for (const sock_Option *o = options; o->name != NULL; o++)
    if (o->nature != SOCK_REFUSED)
      names[count++] = o->name;
  qsort(names, count, sizeof *names, byname);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    lua_pushstring(L, names[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

const luaL_Reg sock_optionmethods[] = {
    {"getsockopt", s_getsockopt}, {"setsockopt", s_setsockopt}, {NULL, NULL}};

const luaL_Reg sock_optionfunctions[] = {{"options", l_options}, {NULL, NULL}};
