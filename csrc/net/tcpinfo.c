/* tcpinfo.c: the option tcp_info as a table. */
#include "base/platform.h"
#include "net/options.h"

typedef struct Field {
  const char *name;
  int offset;
  int size;    /* in bytes */
  double unit; /* how many a second has; 0: no time */
} Field;

/*
** struct tcp_info as Linux has it; the C library's own ends where Linux 2.4's
** did. New fields come at the end, and the kernel says how many it gave.
** Times are in seconds here (the kernel counts some in milliseconds, some in
** microseconds), rates in bytes a second, windows and thresholds of the
** sender in segments, the rest counts.
*/
#define ROW(name, offset, size, unit) \
  { #name, offset, size, unit }

static const Field tcpinfo[] = {
    ROW(ca_state, 1, 1, 0),
    ROW(retransmits, 2, 1, 0),
    ROW(probes, 3, 1, 0),
    ROW(backoff, 4, 1, 0),
    ROW(options, 5, 1, 0),
    ROW(rto, 8, 4, 1e6),
    ROW(ato, 12, 4, 1e6),
    ROW(snd_mss, 16, 4, 0),
    ROW(rcv_mss, 20, 4, 0),
    ROW(unacked, 24, 4, 0),
    ROW(sacked, 28, 4, 0),
    ROW(lost, 32, 4, 0),
    ROW(retrans, 36, 4, 0),
    ROW(fackets, 40, 4, 0),
    ROW(last_data_sent, 44, 4, 1e3),
    ROW(last_ack_sent, 48, 4, 1e3),
    ROW(last_data_recv, 52, 4, 1e3),
    ROW(last_ack_recv, 56, 4, 1e3),
    ROW(pmtu, 60, 4, 0),
    ROW(rcv_ssthresh, 64, 4, 0),
    ROW(rtt, 68, 4, 1e6),
    ROW(rttvar, 72, 4, 1e6),
    ROW(snd_ssthresh, 76, 4, 0),
    ROW(snd_cwnd, 80, 4, 0),
    ROW(advmss, 84, 4, 0),
    ROW(reordering, 88, 4, 0),
    ROW(rcv_rtt, 92, 4, 1e6),
    ROW(rcv_space, 96, 4, 0),
    ROW(total_retrans, 100, 4, 0),
    ROW(pacing_rate, 104, 8, 0),
    ROW(max_pacing_rate, 112, 8, 0),
    ROW(bytes_acked, 120, 8, 0),
    ROW(bytes_received, 128, 8, 0),
    ROW(segs_out, 136, 4, 0),
    ROW(segs_in, 140, 4, 0),
    ROW(notsent_bytes, 144, 4, 0),
    ROW(min_rtt, 148, 4, 1e6),
    ROW(data_segs_in, 152, 4, 0),
    ROW(data_segs_out, 156, 4, 0),
    ROW(delivery_rate, 160, 8, 0),
    ROW(busy_time, 168, 8, 1e6),
    ROW(rwnd_limited, 176, 8, 1e6),
    ROW(sndbuf_limited, 184, 8, 1e6),
    ROW(delivered, 192, 4, 0),
    ROW(delivered_ce, 196, 4, 0),
    ROW(bytes_sent, 200, 8, 0),
    ROW(bytes_retrans, 208, 8, 0),
    ROW(dsack_dups, 216, 4, 0),
    ROW(reord_seen, 220, 4, 0),
    ROW(rcv_ooopack, 224, 4, 0),
    ROW(snd_wnd, 228, 4, 0),
    ROW(rcv_wnd, 232, 4, 0),
    ROW(rehash, 236, 4, 0),
    ROW(total_rto, 240, 2, 0),
    ROW(total_rto_recoveries, 242, 2, 0),
    ROW(total_rto_time, 244, 4, 1e3),
    ROW(received_ce, 248, 4, 0),
    ROW(delivered_e1_bytes, 252, 4, 0),
    ROW(delivered_e0_bytes, 256, 4, 0),
    ROW(delivered_ce_bytes, 260, 4, 0),
    ROW(received_e1_bytes, 264, 4, 0),
    ROW(received_e0_bytes, 268, 4, 0),
    ROW(received_ce_bytes, 272, 4, 0),
    {NULL, 0, 0, 0},
};

static const char *const tcpstates[] = {
    "ESTABLISHED", "SYN_SENT",  "SYN_RECV", "FIN_WAIT1",
    "FIN_WAIT2",   "TIME_WAIT", "CLOSE",    "CLOSE_WAIT",
    "LAST_ACK",    "LISTEN",    "CLOSING",  "NEW_SYN_RECV"}; /* from 1 on */

static uint64_t fieldvalue(const unsigned char *at, int size) {
  uint16_t two;
  uint32_t four;
  uint64_t eight;
  switch (size) {
  case 2:
    return memcpy(&two, at, sizeof two), two;
  case 4:
    return memcpy(&four, at, sizeof four), four;
  case 8:
    return memcpy(&eight, at, sizeof eight), eight;
  default:
    return *at;
  }
}

/* Bytes 0, 6 and 7 are no plain numbers. */
static void packedfields(lua_State *L, const unsigned char *info) {
  size_t state = info[0];
  if (state >= 1 && state <= sizeof tcpstates / sizeof *tcpstates)
    lua_pushstring(L, tcpstates[state - 1]);
  else
    lua_pushinteger(L, (lua_Integer)state);
  lua_setfield(L, -2, "state");
  struct {
    unsigned char send : 4, receive : 4, limited : 1, fastopen : 2;
  } bits;
  memcpy(&bits, info + 6, sizeof bits);
  lua_pushinteger(L, bits.send);
  lua_setfield(L, -2, "snd_wscale");
  lua_pushinteger(L, bits.receive);
  lua_setfield(L, -2, "rcv_wscale");
  lua_pushboolean(L, bits.limited);
  lua_setfield(L, -2, "delivery_rate_app_limited");
  lua_pushinteger(L, bits.fastopen);
  lua_setfield(L, -2, "fastopen_client_fail");
}

void sock_gettcpinfo(lua_State *L, const sock_Option *o, const sock_Value *v) {
  (void)o;
  lua_createtable(L, 0, sizeof tcpinfo / sizeof *tcpinfo + 4);
  packedfields(L, v->u.bytes);
  for (const Field *f = tcpinfo; f->name != NULL; f++) {
    if ((socklen_t)(f->offset + f->size) > v->size)
      break;
    uint64_t n = fieldvalue(v->u.bytes + f->offset, f->size);
    if (f->unit > 0) /* min_rtt is all ones before the first sample */
      lua_pushnumber(L, n == UINT32_MAX ? HUGE_VAL : (double)n / f->unit);
    else
      sock_pushrate(L, n);
    lua_setfield(L, -2, f->name);
  }
}
