/* optiontable.c: a row for each option. */
#include "base/platform.h"
#include "net/options.h"

#include <netinet/tcp.h>
#include <netinet/udp.h>

/*
** Names as in socket(7), ip(7), ipv6(7), tcp(7), udp(7), netlink(7),
** packet(7) and vsock(7), in lower case and without SO_.
*/
const sock_Option sock_options[] = {
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
