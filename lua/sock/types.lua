---@meta sock
-- luacheck: no unused
-- What `require "sock"` gives, for language servers and for the manual.
--
-- Where the first result is written with a `?`, the call can fail in the world:
-- it gives nil, a message and a code, whatever else the second and third are
-- named for. The comment names codes worth catching; any call on a socket may
-- also say ETIMEDOUT (after settimeout) and EBADF (closed meanwhile by another
-- task). A mistake of the caller is a Lua error. Times are in seconds, sizes
-- in bytes. A call that waits suspends only the task that it is in.

local sock = {}

-- Addresses -----------------------------------------------------------------

---The end of something: immutable, and equal ones are one value, so `==` and
---table keys work. `tostring` gives a text that sock.address reads. A field
---that its family does not have is nil. ip(7), ipv6(7), unix(7), netlink(7),
---packet(7), vsock(7).
---@class sock.Address
---@field family sock.Family
---@field host string? # numeric, with any %scope; of a packet, the interface; of vsock, the context
---@field port integer? # 0 to 65535; of vsock, 32 bits
---@field path string? # of a Unix socket; "@…" is abstract, "" unnamed
---@field pid integer? # netlink: the port id
---@field groups integer? # netlink: bits
---@field protocol integer? # packet: the EtherType
---@field mac string? # packet: "aa-bb-cc-dd-ee-ff"
---@field packettype integer? # packet: 0 for us, 1 broadcast, 2 multicast, 3 others', 4 outgoing

---@alias sock.Family "inet"|"inet6"|"unix"|"netlink"|"packet"|"vsock"
---@alias sock.Type "stream"|"dgram"|"seqpacket"|"raw"

---An address, one text with both ("127.0.0.1:80", "[::1]:80", "unix:/path",
---"unix:@name", "vsock:3:1024", "netlink:0:1", "packet:eth0"), or a host, and
---the port as the next argument. A socket's calls also take a host name (its
---first address in the socket's family), a service name and "*", the wildcard.
---@alias sock.Addr sock.Address|string

---Reads an address. It never looks a name up. inet_pton(3), RFC 4007.
---@param host sock.Addr
---@param port? integer|string
---@return sock.Address? address, string? message, string? code # EINVAL: the text is none
function sock.address(host, port) end

---The range of RFC 6335 that a port is in.
---@param port integer
---@return "well-known"|"registered"|"dynamic" range
function sock.portrange(port) end

---A numeric host as 4 or 16 bytes. inet_pton(3).
---@param text string
---@return string? bytes, string? message, string? code # EINVAL
function sock.inet_pton(text) end

---4 or 16 bytes as a numeric host. inet_ntop(3), RFC 5952.
---@param bytes string
---@return string text
function sock.inet_ntop(bytes) end

-- Names ---------------------------------------------------------------------

---@class sock.AddrinfoOptions
---@field family? "inet"|"inet6" # only these
---@field type? sock.Type # what a service name is looked up for; "stream" if absent
---@field passive? boolean # without a host: to bind to, not to connect to
---@field numerichost? boolean # no look-up

---All addresses of a host. getaddrinfo(3), RFC 3493, RFC 6724.
---@param host? string
---@param service? integer|string # port or name; 0 if absent
---@param options? sock.AddrinfoOptions
---@return sock.Address[]? list, string? message, string? code # EAI_NONAME, EAI_AGAIN, EAI_SERVICE
function sock.getaddrinfo(host, service, options) end

---@class sock.NameinfoOptions
---@field numerichost? boolean # no look-up of the host
---@field numericserv? boolean # nor of the service
---@field namereqd? boolean # a host without a name is a failure

---The names of an address. getnameinfo(3).
---@param host sock.Addr # numeric
---@param port? integer|string # left out where the first argument has it
---@param options? sock.NameinfoOptions
---@return string? host, string service, string? code # EAI_NONAME, EAI_AGAIN
---@overload fun(address: sock.Addr, options?: sock.NameinfoOptions): string?, string, string?
function sock.getnameinfo(host, port, options) end

---getservbyname(3), services(5).
---@param name string
---@param protocol? "tcp"|"udp"
---@return integer? port, string? message, string? code # ENOENT
function sock.getservbyname(name, protocol) end

---getservbyport(3), services(5).
---@param port integer
---@param protocol? "tcp"|"udp"
---@return string? name, string? message, string? code # ENOENT
function sock.getservbyport(port, protocol) end

---getprotobyname(3), protocols(5).
---@param name string
---@return integer? protocol, string? message, string? code # ENOENT
function sock.getprotobyname(name) end

---gethostname(2).
---@return string? name, string? message, string? code
function sock.gethostname() end

---@class sock.InterfaceAddress
---@field address sock.Address
---@field prefix integer # bits of the network part

---@class sock.Interface
---@field name string
---@field index integer
---@field up boolean
---@field loopback boolean
---@field multicast boolean
---@field mtu integer? # bytes
---@field mac string? # "aa:bb:cc:dd:ee:ff"
---@field addresses sock.InterfaceAddress[]

---The host's interfaces, by index. getifaddrs(3), netdevice(7).
---@return sock.Interface[]? list, string? message, string? code
function sock.interfaces() end

---if_nametoindex(3).
---@param name string
---@return integer? index, string? message, string? code # ENODEV
function sock.if_nametoindex(name) end

---if_indextoname(3).
---@param index integer
---@return string? name, string? message, string? code # ENXIO
function sock.if_indextoname(index) end

-- Sockets -------------------------------------------------------------------

---Closed at the end of a `<close>` variable, and when it is collected.
---@class sock.Socket
local Socket = {}

---Makes a socket. socket(2).
---@param family? sock.Family # "inet" if absent
---@param type? sock.Type # "stream" if absent
---@param protocol? integer|string # number or name; 0 if absent: the type's own
---@return sock.Socket? s, string? message, string? code # EMFILE, EPERM, EAFNOSUPPORT
function sock.socket(family, type, protocol) end

---Two connected Unix sockets. socketpair(2).
---@param type? sock.Type # "stream" if absent
---@return sock.Socket? a, sock.Socket|string b, string? code # EMFILE
function sock.socketpair(type) end

---Owns a descriptor, or a duplicate of a Lua file's. Pipes and terminals have
---the stream calls. fcntl(2).
---@param descriptor integer|file*
---@return sock.Socket? s, string? message, string? code # EBADF
function sock.adopt(descriptor) end

---@alias sock.Waitable sock.Socket|integer|file*|table|userdata

---Waits until it can be read ("r"), written ("w") or either ("rw"). Other
---libraries' objects serve if they have `fd`, `getfd`, `pollfd` or `fileno`.
---poll(2).
---@param x sock.Waitable
---@param mode "r"|"w"|"rw"
---@param seconds? number # for ever if absent
---@return "r"|"w"|"rw"|nil ready, string? message, string? code # ETIMEDOUT
function sock.wait(x, mode, seconds) end

---The same for many: those that are ready. select(2), without its limit.
---@param readers? sock.Waitable[]
---@param writers? sock.Waitable[]
---@param seconds? number # for ever if absent
---@return sock.Waitable[]? readable, sock.Waitable[]|string writable, string? code # ETIMEDOUT
function sock.select(readers, writers, seconds) end

---What a value is, as io.type.
---@param v any
---@return "socket"|"closed socket"|"address"|"task"|"channel"|"server"|nil type
function sock.type(v) end

---The names of the options that this system has.
---@return string[] names
function sock.options() end

---Gives the socket its own address; port 0: the system picks one. bind(2).
---@param host sock.Addr
---@param port? integer|string
---@return sock.Socket? s, string? message, string? code # EADDRINUSE, EADDRNOTAVAIL, EACCES
function Socket:bind(host, port) end

---Lets connections arrive. listen(2).
---@param backlog? integer # how many may wait for accept; the most the system has if absent
---@return sock.Socket? s, string? message, string? code # EADDRINUSE
function Socket:listen(backlog) end

---Connects; a datagram socket only takes this peer for its own. After a
---timeout, the same call again goes on with it. connect(2), RFC 9293.
---@param host sock.Addr
---@param port? integer|string
---@return sock.Socket? s, string? message, string? code # ECONNREFUSED, ENETUNREACH, EAI_NONAME
function Socket:connect(host, port) end

---Waits for the next connection. accept(2).
---@return sock.Socket? s, sock.Address|string peer, string? code # EMFILE
function Socket:accept() end

---@alias sock.SendFlag "oob"|"more"|"dontroute"
---@alias sock.RecvFlag "peek"|"oob"|"waitall"

---Sends what fits, in one system call. send(2).
---@param data string|number
---@param ... sock.SendFlag
---@return integer? bytes, string? message, string? code # EPIPE, ECONNRESET, EMSGSIZE
function Socket:send(data, ...) end

---Receives up to n bytes, or one datagram, in one system call. nil alone is
---the end of a stream, "" an empty datagram. recv(2).
---@param n? integer # 65536 if absent
---@param ... sock.RecvFlag
---@return string? data, (string|integer)? message, string? code # a cut datagram's length
function Socket:recv(n, ...) end

---Sends one datagram. sendto(2).
---@param data string|number
---@param host sock.Addr
---@param port? integer|string
---@return integer? bytes, string? message, string? code # EMSGSIZE, ENETUNREACH, EAI_NONAME
function Socket:sendto(data, host, port) end

---Receives one datagram, and from whom it came. If it was longer than n, its
---length is the third result. recvfrom(2).
---@param n? integer # 65536 if absent
---@param ... sock.RecvFlag
---@return string? data, (sock.Address|string)? from, (integer|string)? length
function Socket:recvfrom(n, ...) end

---Reads from a stream: "l" a line, without its end (`\n` or `\r\n`), "L" with
---it, "a" all until the end, a number exactly so many bytes; a value for each
---format. nil alone is the end of the stream. Nothing is taken unless all of it
---is there: after a timeout the next read goes on.
---@param ... "l"|"L"|"a"|integer # "l" if absent; a leading * is skipped
---@return string? data, string? message, string? code # EPROTO: ended inside; EMSGSIZE, ETIMEDOUT
function Socket:read(...) end

---An iterator over the same; raises on a failure, as Lua's files do.
---@param ... "l"|"L"|"a"|integer
---@return fun(): string?
function Socket:lines(...) end

---Reads up to and with a text.
---@param text string # not empty
---@return string? data, string? message, string? code # EPROTO, EMSGSIZE, ETIMEDOUT
function Socket:readuntil(text) end

---Reads exactly what a string.pack format says, and gives its values.
---@param format string # Lua 5.4 manual, 6.4.2
---@return any ... # or nil, message, code: EPROTO, EMSGSIZE, ETIMEDOUT
function Socket:unpack(format) end

---The longest line, readuntil or length-prefixed field that is accepted; past
---it a read is nil, message, "EMSGSIZE", before memory is taken.
---@param bytes integer # 1 MiB at first; math.huge for none
---@return sock.Socket
function Socket:setlimit(bytes) end

---How many bytes have arrived and wait to be read.
---@return integer bytes
function Socket:buffered() end

---Sends all of it; on a datagram socket, as one. writev(2).
---@param ... string|number
---@return sock.Socket? s, string? message, string? code, integer? sent # EPIPE, ECONNRESET
function Socket:write(...) end

---Writes string.pack(format, …).
---@param format string # Lua 5.4 manual, 6.4.2
---@param ... any
---@return sock.Socket? self, string? message, string? code, integer? bytes # as write
function Socket:pack(format, ...) end

---How writes are buffered: "no" (at first), or "full": then they leave, in
---order, when the buffer is full, at flush, send, shutdown and close, and
---whenever the loop is about to wait. setvbuf(3).
---@param mode "no"|"full"
---@param size? integer # bytes; 16384 if absent
---@return sock.Socket
function Socket:setvbuf(mode, size) end

---Sends what full-buffered writes have left behind.
---@return sock.Socket? self, string? message, string? code # EPIPE, ECONNRESET, ETIMEDOUT
function Socket:flush() end

---Ends one way, or both. After "send", the peer reads to the end. shutdown(2).
---@param how? "recv"|"send"|"both" # "both" if absent
---@return sock.Socket? s, string? message, string? code # ENOTCONN
function Socket:shutdown(how) end

---Gives the socket back, and wakes who waits on it. Again is harmless. close(2).
---@return true
function Socket:close() end

---Its own address. getsockname(2).
---@return sock.Address? address, string? message, string? code
function Socket:getsockname() end

---The other end's. getpeername(2).
---@return sock.Address? address, string? message, string? code # ENOTCONN
function Socket:getpeername() end

---Local host, local port, remote host, remote port: what tells one TCP
---connection from all others. Of a Unix socket, path, nil, path, nil.
---@return string? host, (integer|string)? port, string? peerhost, integer? peerport
function Socket:tuple() end

---Reads an option. getsockopt(2).
---@param name string # a field of sock.Options
---@return any value, string? message, string? code # ENOPROTOOPT, EOPNOTSUPP
---@overload fun(self, level: integer, number: integer, size: integer): string?, string?, string?
function Socket:getsockopt(name) end

---Sets an option. setsockopt(2).
---@param name string # a field of sock.Options
---@param value any
---@return sock.Socket? s, string? message, string? code # EPERM, EINVAL, ENOPROTOOPT
---@overload fun(self, level: integer, number: integer, data: string): self?, string?, string?
function Socket:setsockopt(name, value) end

---Limits each later call on this socket.
---@param seconds? number # nil or math.huge: for ever; 0: do not wait
---@return sock.Socket s
function Socket:settimeout(seconds) end

---@return number? seconds # nil: for ever
function Socket:gettimeout() end

---sock.wait for this socket. What is buffered counts as readable.
---@param mode "r"|"w"|"rw"
---@param seconds? number
---@return "r"|"w"|"rw"|nil ready, string? message, string? code # ETIMEDOUT
function Socket:wait(mode, seconds) end

---A look at its descriptor, which stays its own.
---@return integer descriptor
function Socket:fd() end

---Gives its descriptor up: the socket is closed, the descriptor is not.
---@return integer? descriptor, string? message, string? code # EBUSY: bytes are buffered
function Socket:detach() end

---TLS is another rock; without it this raises. A rock that brings a transport
---finds what it needs in csrc/net/sock_transport.h.
---@param options table
function Socket:starttls(options) end

---Moves bytes one way until the end or the count, without passing them through
---Lua: sendfile(2), splice(2). Either may be a Lua file, from its position.
---@param from sock.Socket|file*
---@param to sock.Socket|file*
---@param count? integer # bytes; all if absent
---@return integer? bytes, string? message, string? code, integer? moved # ETIMEDOUT: a silence
function sock.copy(from, to, count) end

---Moves bytes both ways until both have ended; half-closes are carried over.
---@param a sock.Socket
---@param b sock.Socket
---@return integer? ab, integer|string ba, string? code, integer? moved_ab, integer? moved_ba
function sock.relay(a, b) end

---@alias sock.SendmsgFlag "oob"|"more"|"dontroute"
---@alias sock.RecvmsgFlag "peek"|"oob"|"waitall"|"errqueue"

---@class sock.Control
---@field fds? sock.Socket[] # to send, also files, descriptors; received: close-on-exec
---@field credentials? sock.Credentials # to send: what is absent is our own; received with passcred
---@field pktinfo? sock.PacketInfo # ip_pktinfo, ipv6_recvpktinfo; may be sent as received
---@field timestamp? number # epoch seconds (received): timestamp, timestampns
---@field ttl? integer # ip_recvttl, ipv6_recvhoplimit
---@field tos? integer # ip_recvtos, ipv6_recvtclass
---@field error? sock.QueuedError # of the error queue (received): ip_recverr, ipv6_recverr
---@field segment? integer # udp_gro: bytes of each datagram in this one; to send: as udp_segment
---@field truncated? boolean # there was no room for all of it (received)

---@class sock.PacketInfo
---@field interface? string|integer
---@field address? sock.Address

---@class sock.QueuedError
---@field code string # ECONNREFUSED, EMSGSIZE
---@field message string
---@field from? sock.Address # the host that said so

---@class sock.Message
---@field data string
---@field from? sock.Address
---@field size integer # of the datagram, before it was cut
---@field truncated boolean
---@field control sock.Control

---@class sock.SendMessage
---@field data string|number
---@field to? sock.Address|string
---@field control? sock.Control
---@field flags? sock.SendmsgFlag|sock.SendmsgFlag[]

---Sends data and control data in one system call. sendmsg(2), cmsg(3).
---@param message sock.SendMessage
---@return integer? bytes, string? message, string? code # EPIPE, EMSGSIZE, EPERM
function Socket:sendmsg(message) end

---Receives data and control data; on a stream what has arrived first. nil
---alone is the end. An empty error queue is EAGAIN at once. recvmsg(2).
---@param options? {size?: integer, flags?: sock.RecvmsgFlag|sock.RecvmsgFlag[]}
---@return sock.Message? m, string? message, string? code
function Socket:recvmsg(options) end

---Sends many datagrams, 64 in one system call. It waits only until the first
---has gone. sendmmsg(2).
---@param list (string|{[1]: string, [2]: sock.Address|string})[]
---@return integer? sent, string? message, string? code
function Socket:sendmany(list) end

---Receives the datagrams that are there, at least one. Those that were longer
---than `size` have their true length in the third result, by their place.
---With udp_gro on, what the kernel joined is given apart, so that there may
---be more than `max`. recvmmsg(2).
---@param max? integer # 64 if absent; as many as 16 MiB have room for
---@param size? integer # bytes of each; 65536 if absent
---@return string[]? data, (sock.Address[]|string)? from, (table<integer, integer>|string)? cut
function Socket:recvmany(max, size) end

-- Options -------------------------------------------------------------------
-- (read): it cannot be set. Memberships cannot be read, nor can …force.
-- An interface is a name or an index.

---@class sock.Membership
---@field group string|sock.Address|integer # packet: MAC, "promisc", "allmulti"; netlink: a number
---@field interface? string|integer
---@field source? string|sock.Address # the …source… options only

---@class sock.Credentials
---@field pid integer
---@field uid integer
---@field gid integer

---socket(7)
---@class sock.Options
---@field acceptconn boolean # it listens (read)
---@field bindtodevice string|integer # the one interface to use; "" or 0: any
---@field bindtoifindex string|integer # the one interface to use; 0: any
---@field broadcast boolean # may send to broadcast addresses
---@field busy_poll number # seconds a receive may poll the device for
---@field cookie integer # the socket's number in the kernel, never used twice (read)
---@field debug boolean # record debugging information; wants CAP_NET_ADMIN
---@field domain string # family, as sock.socket takes it (read)
---@field dontroute boolean # only to directly connected hosts
---@field error string|false # code of the pending error, which is cleared; false: none (read)
---@field incoming_cpu integer # the processor whose packets it wants, or last got
---@field incoming_napi_id integer # the receive queue of its last packet (read)
---@field keepalive boolean # probe a silent peer: see tcp_keepidle
---@field linger integer|false # whole seconds; 0: close resets; false: it sends the rest
---@field mark integer # firewall mark of what it sends; wants CAP_NET_ADMIN
---@field max_pacing_rate number # bytes a second; math.huge: no limit
---@field oobinline boolean # urgent data stays in the stream
---@field passcred boolean # receive the sender's credentials: unix(7)
---@field passsec boolean # receive the sender's security context: unix(7)
---@field peek_off integer # where the next peek begins, in bytes; -1: at the head
---@field peercred sock.Credentials # who is at the other end: unix(7) (read)
---@field peersec string # the peer's security context: unix(7) (read)
---@field prefer_busy_poll boolean # poll the device rather than wait for interrupts
---@field priority integer # queueing priority of what it sends: 0 to 6, more wants CAP_NET_ADMIN
---@field protocol integer # the protocol's number (read)
---@field rcvbuf integer # bytes; the kernel doubles what it is given
---@field rcvbufforce integer # rcvbuf beyond the system's limit; wants CAP_NET_ADMIN
---@field rcvlowat integer # bytes that make it readable
---@field rcvmark boolean # receive the mark of packets
---@field reuseaddr boolean # bind although old connections of that port linger
---@field reuseport boolean # several sockets of one user share the port
---@field rxq_ovfl boolean # receive how many datagrams were dropped
---@field select_err_queue boolean # errors in the queue wake poll as priority data
---@field sndbuf integer # bytes; the kernel doubles what it is given
---@field sndbufforce integer # sndbuf beyond the system's limit; wants CAP_NET_ADMIN
---@field sndlowat integer # bytes that make it writable; Linux refuses to set it
---@field timestamp boolean # receive the time of arrival, in microseconds
---@field timestamping integer # SOF_TIMESTAMPING_ bits
---@field timestampns boolean # receive the time of arrival, in nanoseconds
---@field type string # "stream", "dgram", "seqpacket", "raw" (read)
---@field zerocopy boolean # allow MSG_ZEROCOPY

---ip(7)
---@class sock.Options
---@field ip_add_membership sock.Membership # join a group: RFC 1112
---@field ip_add_source_membership sock.Membership # join a group for one source: RFC 3678
---@field ip_bind_address_no_port boolean # bind takes no port yet: connect will
---@field ip_block_source sock.Membership # no more from this source: RFC 3678
---@field ip_checksum boolean # receive the checksum
---@field ip_drop_membership sock.Membership # leave a group
---@field ip_drop_source_membership sock.Membership # leave a group for one source
---@field ip_freebind boolean # bind to an address that the host does not have (yet)
---@field ip_hdrincl boolean # raw: the data begins with the IP header
---@field ip_minttl integer # drop what arrives with less: RFC 5082
---@field ip_mtu integer # bytes; the path's, of a connected socket (read)
---@field ip_mtu_discover integer # IP_PMTUDISC_: 0 never, 1 if wanted, 2 always, 3 probe
---@field ip_multicast_all boolean # get all groups that the host has joined, not only one's own
---@field ip_multicast_if string|integer # interface of outgoing multicasts
---@field ip_multicast_loop boolean # outgoing multicasts also come back to this host
---@field ip_multicast_ttl integer # how many routers a multicast may pass: 0 to 255
---@field ip_nodefrag boolean # raw: receive fragments as they are
---@field ip_pktinfo boolean # receive each datagram's destination and interface
---@field ip_recverr boolean # queue the network's errors for receiving
---@field ip_recvfragsize boolean # receive the largest fragment's size
---@field ip_recvopts boolean # receive IP options
---@field ip_recvorigdstaddr boolean # receive the destination before redirection
---@field ip_recvtos boolean # receive the type of service
---@field ip_recvttl boolean # receive the time to live
---@field ip_retopts boolean # receive IP options, unprocessed
---@field ip_router_alert boolean # raw: get packets with the alert option: RFC 2113
---@field ip_tos integer # type of service: DSCP times 4 (RFC 2474)
---@field ip_transparent boolean # use foreign addresses; wants CAP_NET_ADMIN
---@field ip_ttl integer # how many routers a packet may pass: 1 to 255
---@field ip_unblock_source sock.Membership # undo ip_block_source
---@field ip_unicast_if string|integer # interface of outgoing unicasts

---ipv6(7), RFC 3493 and 3542
---@class sock.Options
---@field ipv6_autoflowlabel boolean # let the kernel choose flow labels: RFC 6437
---@field ipv6_dontfrag boolean # rather EMSGSIZE than fragments: RFC 3542
---@field ipv6_freebind boolean # as ip_freebind
---@field ipv6_join_group sock.Membership # join a group: RFC 3493
---@field ipv6_leave_group sock.Membership # leave a group
---@field ipv6_minhopcount integer # drop what arrives with less: RFC 5082
---@field ipv6_mtu integer # bytes; the path's, of a connected socket
---@field ipv6_mtu_discover integer # as ip_mtu_discover
---@field ipv6_multicast_all boolean # as ip_multicast_all
---@field ipv6_multicast_hops integer # how many routers a multicast may pass; -1: the system's
---@field ipv6_multicast_if string|integer # interface of outgoing multicasts
---@field ipv6_multicast_loop boolean # outgoing multicasts also come back to this host
---@field ipv6_recvdstopts boolean # receive destination options: RFC 3542
---@field ipv6_recverr boolean # queue the network's errors for receiving
---@field ipv6_recvfragsize boolean # receive the largest fragment's size
---@field ipv6_recvhoplimit boolean # receive the hop limit
---@field ipv6_recvhopopts boolean # receive hop-by-hop options
---@field ipv6_recvorigdstaddr boolean # receive the destination before redirection
---@field ipv6_recvpathmtu boolean # receive news of the path's MTU
---@field ipv6_recvpktinfo boolean # receive each datagram's destination and interface
---@field ipv6_recvrthdr boolean # receive the routing header
---@field ipv6_recvtclass boolean # receive the traffic class
---@field ipv6_router_alert integer # raw: get packets with this alert value: RFC 2711
---@field ipv6_tclass integer # traffic class; -1: the system's
---@field ipv6_transparent boolean # as ip_transparent
---@field ipv6_unicast_hops integer # how many routers a packet may pass; -1: the system's
---@field ipv6_unicast_if string|integer # interface of outgoing unicasts
---@field ipv6_v6only boolean # no IPv4: true at first

---RFC 3678, for IPv4 and IPv6: the family of the group decides
---@class sock.Options
---@field mcast_block_source sock.Membership # no more from this source
---@field mcast_join_group sock.Membership # join a group
---@field mcast_join_source_group sock.Membership # join a group for one source
---@field mcast_leave_group sock.Membership # leave a group
---@field mcast_leave_source_group sock.Membership # leave a group for one source
---@field mcast_unblock_source sock.Membership # undo mcast_block_source

---tcp(7)
---@class sock.Options
---@field tcp_congestion string # algorithm: "cubic", "reno", "bbr" …
---@field tcp_cork boolean # send only full segments, until it is off again
---@field tcp_defer_accept integer # seconds: accept only connections that have sent something
---@field tcp_fastopen integer # how many handshakes may carry data: RFC 7413
---@field tcp_fastopen_connect boolean # the first write goes with the handshake: RFC 7413
---@field tcp_fastopen_no_cookie boolean # the same without a cookie
---@field tcp_info sock.TcpInfo # what the kernel knows of the connection (read)
---@field tcp_inq boolean # receive how many bytes are left
---@field tcp_keepcnt integer # probes without an answer that end the connection
---@field tcp_keepidle integer # whole seconds of silence before the first probe
---@field tcp_keepintvl integer # whole seconds between probes
---@field tcp_linger2 integer # whole seconds an orphan stays in FIN-WAIT-2
---@field tcp_maxseg integer # bytes: the largest segment: RFC 9293, 3.7.1
---@field tcp_nodelay boolean # send small writes at once: no Nagle, RFC 896
---@field tcp_notsent_lowat integer # bytes not yet sent below which it is writable
---@field tcp_quickack boolean # acknowledge at once; does not last
---@field tcp_syncnt integer # how often a connect is tried again
---@field tcp_tx_delay number # seconds that everything is sent later
---@field tcp_ulp string # upper-layer protocol: "tls"
---@field tcp_user_timeout number # seconds that sent data may stay without an answer: RFC 5482
---@field tcp_window_clamp integer # bytes: the largest window to offer

---udp(7)
---@class sock.Options
---@field udp_cork boolean # gather writes into one datagram, until it is off again
---@field udp_gro boolean # receive several datagrams as one
---@field udp_no_check6_rx boolean # IPv6: take a zero checksum: RFC 6935
---@field udp_no_check6_tx boolean # IPv6: send a zero checksum: RFC 6935
---@field udp_segment integer # bytes: cut a long send into datagrams of that size

---netlink(7)
---@class sock.Options
---@field netlink_add_membership sock.Membership # join a group, by its number
---@field netlink_broadcast_error boolean # tell the sender when a broadcast fails
---@field netlink_cap_ack boolean # acknowledgements without the request's data
---@field netlink_drop_membership sock.Membership # leave a group
---@field netlink_ext_ack boolean # acknowledgements may say more
---@field netlink_get_strict_chk boolean # requests are checked strictly
---@field netlink_listen_all_nsid boolean # hear all network namespaces that have an id here
---@field netlink_no_enobufs boolean # no ENOBUFS when messages are lost
---@field netlink_pktinfo boolean # receive the group of each message

---packet(7)
---@class sock.Options
---@field packet_add_membership sock.Membership # take in more than is addressed to the host
---@field packet_auxdata boolean # receive each packet's metadata
---@field packet_copy_thresh integer # bytes of a packet that are copied
---@field packet_drop_membership sock.Membership # undo packet_add_membership
---@field packet_fanout integer # id and mode by which sockets share the load
---@field packet_ignore_outgoing boolean # not what the host itself sends
---@field packet_loss boolean # drop malformed packets of the transmit ring
---@field packet_origdev boolean # the physical interface, not the bonded one
---@field packet_qdisc_bypass boolean # send past the queueing discipline
---@field packet_reserve integer # bytes of headroom in the receive ring
---@field packet_timestamp integer # SOF_TIMESTAMPING_ bits of the ring
---@field packet_version integer # of the ring: 0, 1, 2
---@field packet_vnet_hdr boolean # packets begin with a virtio header

---vsock(7)
---@class sock.Options
---@field vm_sockets_buffer_max_size integer # bytes
---@field vm_sockets_buffer_min_size integer # bytes
---@field vm_sockets_buffer_size integer # bytes
---@field vm_sockets_connect_timeout number # seconds

---What `tcp_info` reads as: RFC 9293, linux/tcp.h. An older kernel gives fewer fields.
---@class sock.TcpInfo
---@field state string # "ESTABLISHED", "CLOSE_WAIT" …: RFC 9293, 3.3.2
---@field ca_state integer # of congestion control: 0 open … 4 loss
---@field retransmits integer # of the oldest segment, in a row
---@field probes integer # of keepalive or a closed window, without an answer
---@field backoff integer # how often the timeout has doubled
---@field options integer # bits: timestamps, SACK, window scale, ECN …
---@field snd_wscale integer # window scale: RFC 7323
---@field rcv_wscale integer
---@field delivery_rate_app_limited boolean # the program gave too little for a good measurement
---@field fastopen_client_fail integer # why fast open did not work
---@field rto number # seconds; retransmission timeout: RFC 6298
---@field ato number # seconds; delay of acknowledgements
---@field snd_mss integer # bytes of a segment
---@field rcv_mss integer
---@field unacked integer # segments
---@field sacked integer # segments
---@field lost integer # segments
---@field retrans integer # segments
---@field fackets integer # segments
---@field last_data_sent number # seconds ago, as the next three
---@field last_ack_sent number # seconds
---@field last_data_recv number # seconds
---@field last_ack_recv number # seconds
---@field pmtu integer # bytes: the path's
---@field rcv_ssthresh integer # bytes
---@field rtt number # seconds; smoothed round trip
---@field rttvar number # seconds
---@field snd_ssthresh integer # segments
---@field snd_cwnd integer # segments: the congestion window
---@field advmss integer # bytes
---@field reordering integer # segments
---@field rcv_rtt number # seconds
---@field rcv_space integer # bytes
---@field total_retrans integer # segments
---@field pacing_rate number # bytes a second, or math.huge
---@field max_pacing_rate number # bytes a second, or math.huge
---@field bytes_acked integer
---@field bytes_received integer
---@field segs_out integer
---@field segs_in integer
---@field notsent_bytes integer
---@field min_rtt number # seconds; math.huge before the first sample
---@field data_segs_in integer
---@field data_segs_out integer
---@field delivery_rate number # bytes a second
---@field busy_time number # seconds; with something to send
---@field rwnd_limited number # seconds; waiting for the peer's window
---@field sndbuf_limited number # seconds; waiting for a larger sndbuf
---@field delivered integer # segments
---@field delivered_ce integer # of these, with a congestion mark
---@field bytes_sent integer
---@field bytes_retrans integer
---@field dsack_dups integer
---@field reord_seen integer
---@field rcv_ooopack integer # out of order
---@field snd_wnd integer # bytes: the window of the peer
---@field rcv_wnd integer # bytes: our own
---@field rehash integer # how often it has tried another path
---@field total_rto integer
---@field total_rto_recoveries integer
---@field total_rto_time number # seconds
---@field received_ce integer
---@field delivered_e1_bytes integer # by ECN mark, as the rest
---@field delivered_e0_bytes integer
---@field delivered_ce_bytes integer
---@field received_e1_bytes integer
---@field received_e0_bytes integer
---@field received_ce_bytes integer

-- Tasks ---------------------------------------------------------------------

---A function that runs beside others: each wait in it lets them go on.
---@class sock.Task
local Task = {}

---Starts a task at once (unless 16 starts are nested: then soon). It is kept
---until it ends.
---@param f fun(...)
---@param ... any # f's arguments
---@return sock.Task task
function sock.spawn(f, ...) end

---Runs f as a task and waits for it and all tasks begun in it. What f raises is
---raised here, once those are cancelled and have ended. Without f: waits for
---all tasks; main thread only.
---@param f? fun(...): ...
---@param ... any # f's arguments
---@return any ... # what f returned; true without f
function sock.run(f, ...) end

---Lets the others go on for so long; 0: for one turn each.
---@param seconds number
---@return true
function sock.sleep(seconds) end

---A clock that is never set. clock_gettime(2), CLOCK_MONOTONIC.
---@return number seconds
function sock.now() end

---The task that this runs in.
---@return sock.Task? task # nil: none
function sock.task() end

---All tasks that have not ended. `tostring` gives a line for each.
---@return sock.Task[] list
function sock.tasks() end

---Calls f with a limit on all that waits in it, look-ups included, but not on
---tasks that it spawns outside a scope. The sooner of nested limits holds.
---@param seconds? number # nil or math.huge: for ever
---@param f fun(...): ...
---@param ... any # f's arguments
---@return any ... # what f returned; or nil, "timed out", "ETIMEDOUT"
function sock.timeout(seconds, f, ...) end

---What a cancelled wait raises; a constant, to compare with.
---@type table
sock.cancelled = nil

---Who hears of a task that failed and that nobody has joined. nil: it is
---written to stderr, as at first.
---@param f? fun(err: any, traceback: string, task: sock.Task)
---@return fun(err: any, traceback: string, task: sock.Task) previous
function sock.onerror(f) end

---Waits for its end: what its function returned. Raises what it raised.
---@param seconds? number # for ever if absent
---@return any ... # or nil, message, code: ECANCELED, ETIMEDOUT
function Task:join(seconds) end

---Each wait in it, this one and later ones, raises sock.cancelled.
---@return sock.Task task
function Task:cancel() end

---@return "running"|"ready"|"waiting"|"done"|"failed"|"cancelled" status
function Task:status() end

---Where it waits, or failed.
---@return string? text
function Task:traceback() end

---Tasks that end together.
---@class sock.Scope
local Scope = {}

---Calls f(scope) and waits for all tasks of the scope. The first error, f's
---or a task's, cancels the others and is raised.
---@param f fun(scope: sock.Scope): ...
---@return any ... # what f returned; nil, "cancelled", "ECANCELED" after scope:cancel()
function sock.scope(f) end

---Starts a task of this scope.
---@param f fun(...)
---@param ... any # f's arguments
---@return sock.Task task
function Scope:spawn(f, ...) end

---Ends its tasks and its function, without an error.
---@return sock.Scope scope
function Scope:cancel() end

---A queue between tasks. `#channel` tells how many values are in it.
---@class sock.Channel
---@operator len: integer
local Channel = {}

---@param capacity? integer # values it holds for a getter; 0 if absent: a put waits for a get
---@return sock.Channel channel
function sock.channel(capacity) end

---Waits until there is room, or a getter.
---@param value any # not nil
---@param seconds? number # for ever if absent
---@return sock.Channel? channel, string? message, string? code # EPIPE: closed; ETIMEDOUT
function Channel:put(value, seconds) end

---Waits for the next value. nil alone: it is closed, and empty.
---@param seconds? number # for ever if absent
---@return any value, string? message, string? code # ETIMEDOUT
function Channel:get(seconds) end

---Iterates over what is put, until it is closed and empty.
---@return fun(channel: sock.Channel): any
---@return sock.Channel
function Channel:each() end

---No more puts; what is left can be got. Again is harmless.
---@return true
function Channel:close() end

---Signals that are waited for rather than obeyed.
---@class sock.Signal
local Signal = {}

---Takes signals, "INT" or "SIGINT", until closed or collected; of INT, that is
---^C. signal(7).
---@param name string
---@param ... string
---@return sock.Signal? signal, string? message, string? code
function sock.signal(name, ...) end

---Waits for one of them: all who wait are told.
---@param seconds? number # for ever if absent
---@return string? name, string? message, string? code # "INT"; ETIMEDOUT, EBADF: closed meanwhile
function Signal:wait(seconds) end

---Gives the signals back. Again is harmless.
---@return true
function Signal:close() end

-- The loop, driven by another -------------------------------------------------

---One turn: runs what is ready, and waits for more so long. Not in a task.
---@param seconds? number # for ever if absent; 0: does not wait
---@return integer tasks # how many are left
function sock.step(seconds) end

---A descriptor that is readable when step has something to do. epoll(7).
---@return integer? descriptor, string? message, string? code # ENOTSUP
function sock.pollfd() end

---Seconds until step has something to do without the descriptor: 0 at once.
---@return number? seconds # nil: never
function sock.deadline() end

---The coroutine library, for generators in tasks: a wait in such a coroutine
---suspends the task, and the generator goes on with it. Lua 5.4, 6.2.
---@class sock.coroutinelib
local co = {}
sock.coroutine = co

---@param f fun(...): ...
---@return thread co
function co.create(f) end

---@param thread thread
---@param ... any
---@return boolean ok, any ... # raises if it is in a wait
function co.resume(thread, ...) end

---@param f fun(...): ...
---@return fun(...): ...
function co.wrap(f) end

---@param ... any
---@return any ...
function co.yield(...) end

---@param thread thread
---@return "running"|"suspended"|"normal"|"dead" status
function co.status(thread) end

---@param thread thread
---@return boolean ok, any err # raises if it is in a wait
function co.close(thread) end

---@param thread? thread
---@return boolean
function co.isyieldable(thread) end

---@return thread co, boolean ismain
function co.running() end

-- Servers and clients ---------------------------------------------------------

---@class sock.ProxyHeader
---@field version 1|2
---@field source? sock.Addr|false # the client; false: nobody (UNKNOWN, LOCAL); own end if absent
---@field destination? sock.Addr # what the client connected to; the other end if absent

---Beside these, any field of sock.Options is set on each socket before it is
---connected.
---@class sock.ConnectOptions: sock.Options
---@field type? sock.Type # "stream" if absent
---@field timeout? number # seconds for it all, the look-up too; then the socket's settimeout
---@field localaddr? sock.Addr # to bind to before; a host without a port will do
---@field via? string # "socks5://user:password@host:port" or "http://…": through that proxy
---@field proxy? 1|2|sock.ProxyHeader # the PROXY protocol's header, sent before all else

---A connected socket. All addresses of a name are tried, IPv6 and IPv4 in
---turns, 250 ms apart or as soon as one has failed, until one is connected;
---the others are closed. tcp_nodelay is on if not said otherwise. Through a
---proxy, the name is the proxy's to resolve. The message of a failure lists
---each address and why. RFC 8305; RFC 1928, 1929; RFC 9110, 9.3.6.
---@param host sock.Addr # one text with both, or the host
---@param port? integer|string
---@param options? sock.ConnectOptions
---@return sock.Socket? s, string? message, string? code # of the first address, or ETIMEDOUT
---@overload fun(address: sock.Addr, options?: sock.ConnectOptions): sock.Socket?, string?, string?
function sock.connect(host, port, options) end

---@class sock.UdpOptions: sock.Options
---@field family? sock.Family # the address's own if absent, else "inet"
---@field timeout? number # the socket's settimeout

---A datagram socket, bound where an address is given. "*" as host: IPv6 and
---IPv4 on one port; IPv4 peers appear as inet addresses. udp(7), RFC 3493, 5.3.
---@param host? sock.Addr # one text with both, or the host
---@param port? integer|string # 0: the system picks one
---@param options? sock.UdpOptions
---@return sock.Socket? s, string? message, string? code # EADDRINUSE, EADDRNOTAVAIL, EACCES
---@overload fun(address?: sock.Addr, options?: sock.UdpOptions): sock.Socket?, string?, string?
function sock.udp(host, port, options) end

---@class sock.RetryOptions
---@field attempts? integer # 5 if absent; math.huge: for ever
---@field first? number # seconds: the shortest pause; 0.1 if absent
---@field longest? number # seconds: the longest pause; 10 if absent

---Calls f until it gives a value: its first result is neither nil nor false.
---After each failure it pauses, twice as long as before and a random part of
---that, so that many who failed together do not come back together. An error
---that f raises is raised.
---@param f fun(): ...
---@param options? sock.RetryOptions
---@return any ... # what f returned at last
function sock.retry(f, options) end

---Any socket option beside these, by its name; it is set before the bind.
---@class sock.ListenOptions: sock.Options
---@field type? "stream"|"seqpacket" # "stream" if absent
---@field backlog? integer # connections that wait to be accepted: listen(2)
---@field timeout? number # settimeout of the listener
---@field mode? string # of a Unix path: "600"; never wider, not even for a moment

---A socket that listens. `"*"` as host is IPv6 and IPv4 on one port, a name its
---first address; port 0 lets the system choose. A Unix path is replaced if it
---is a socket that refuses connections, and nothing else is; it stays after
---the close. "systemd" and "systemd:name" take a descriptor of the service
---manager's, each once. `reuseaddr` is on. listen(2), sd_listen_fds(3).
---@param host sock.Addr
---@param port? integer|string # left out where the first argument has it
---@param options? sock.ListenOptions
---@return sock.Socket? listener, string? message, string? code # EADDRINUSE, EACCES, ENOENT
---@overload fun(addr: sock.Addr, options?: sock.ListenOptions): sock.Socket?, string?, string?
function sock.listen(host, port, options) end

---Any socket option beside these, by its name: connections inherit it.
---@class sock.ServeOptions: sock.Options
---@field type? "stream"|"seqpacket" # "stream" if absent
---@field backlog? integer # connections that wait to be accepted: listen(2)
---@field mode? string # of a Unix path, as in listen
---@field timeout? number # settimeout of each connection
---@field maxconns? integer # no more at once (in each worker): the others wait in the kernel
---@field workers? integer # so many processes: see below
---@field proxy? boolean|string[] # a PROXY header first: true, or networks that are trusted
---@field onerror? fun(err: any, traceback: string, conn: sock.Socket) # else sock.onerror's

---@alias sock.Handler fun(conn: sock.Socket, peer: sock.Address)
---@alias sock.DatagramHandler fun(data: string, from: sock.Address, socket: sock.Socket)

---What sock.serve and sock.serve_udp give. It needs no variable to live.
---@class sock.Server
---@field address sock.Address # where it listens; of several, the first
---@field addresses sock.Address[] # all of them
---@field stopping boolean # stop was called, or its sockets are gone
local Server = {}

---Calls handler(conn, peer) for each connection, in a task of its own. When it
---returns: flush, shut sending, discard input for at most a second, close.
---An error closes that connection. Out of descriptors, it waits.
---
---With `workers`, so many processes serve, each with a task for each connection;
---what is in the program's other tasks and sockets stays here. A worker that
---dies is replaced, after a pause. Each begins as a copy of this process as it is
---then. INT and TERM end them all, as stop(10) does (a second time: as stop(1)),
---HUP replaces one after another, without a connection refused, and ends the old
---ones as stop(10): those signals are the server's as long as it runs.
---SO_REUSEPORT in socket(7).
---
---With `proxy`, the peer that the handler gets is the one that the balancer
---names in a PROXY header, version 1 or 2, which must come within 5 seconds.
---`{ "10.0.0.0/8", "unix:" }` names whose word is taken; all others are clients
---like any, and their bytes are not looked at.
---@param addr sock.Addr|sock.Socket|(sock.Addr|sock.Socket)[] # as listen's; a listener; several
---@param handler sock.Handler
---@param options? sock.ServeOptions
---@return sock.Server? server, string? message, string? code # as listen's
---@overload fun(host: string, port: integer|string, f: sock.Handler, options?: sock.ServeOptions)
function sock.serve(addr, handler, options) end

---Any socket option beside these, by its name.
---@class sock.ServeUdpOptions: sock.Options
---@field timeout? number # settimeout of the socket
---@field maxtasks? integer # handlers at once, 256 if absent; more datagrams wait in the kernel
---@field onerror? fun(err: any, traceback: string, socket: sock.Socket) # else sock.onerror's

---Calls handler(data, from, socket) for each datagram, in a task of its own.
---@param addr sock.Addr
---@param handler sock.DatagramHandler
---@param options? sock.ServeUdpOptions
---@return sock.Server? server, string? message, string? code # as listen's
---@overload fun(host: string, port: integer|string, f: sock.DatagramHandler, options?: table)
function sock.serve_udp(addr, handler, options) end

---Stops accepting, lets connections where nothing is under way see their end
---(in a read, nothing buffered, a write last), the others
---finish for so long, and cancels the rest; waits for their end. In a handler,
---its own connection is left out.
---@param grace? number # seconds; 0 if absent
---@return integer count # how many handlers it had to cancel
function Server:stop(grace) end

---Waits until it has stopped and all that it ran has ended.
---@return sock.Server server
function Server:join() end

---@class sock.ServerStats
---@field accepted integer # connections, or datagrams
---@field open integer # that are there now
---@field failed integer # whose handler raised an error
---@field received integer # bytes, of all
---@field sent integer # bytes, of all

---What it has done so far; tostring gives it as text.
---@return sock.ServerStats stats
function Server:stats() end

---Traces each connection that it takes in from now on, or each datagram. (One
---with workers: its listener is to be traced before it is served.)
---@param sink? sock.Sink|false # as Socket:trace's
---@return sock.Server server
function Server:trace(sink) end

---@class sock.PoolOptions
---@field max? integer # connections at most, those that are idle included; no limit if absent
---@field idle? number # seconds after which the pool's next call closes an idle one

---Connections that are used again. A connection that is closed, or forgotten
---and collected, makes room for another.
---@class sock.Pool
local Pool = {}

---@alias sock.Maker fun(): sock.Socket?, string?, string? # a ready connection

---Makes a pool of connections to an address, or of those that a function makes.
---@param host sock.Addr|sock.Maker
---@param port? integer|string # left out where the first argument has it
---@param options? sock.PoolOptions # beside an address, also those of sock.connect
---@return sock.Pool? pool, string? message, string? code # EINVAL: the text is no address
---@overload fun(address: sock.Addr, options?: sock.PoolOptions): sock.Pool?, string?, string?
---@overload fun(make: sock.Maker, options?: sock.PoolOptions): sock.Pool
function sock.pool(host, port, options) end

---A connection that is alive and has nothing unread: an idle one, or a new
---one. Who must wait for room is served in the order of coming.
---@param seconds? number # for all of it, connecting included; for ever if absent
---@return sock.Socket? connection, string? message, string? code # ETIMEDOUT, EPIPE: closed
function Pool:get(seconds) end

---Takes a connection back; one with something unread is closed instead.
---@param connection sock.Socket # closed is fine
---@return sock.Pool pool
function Pool:put(connection) end

---Calls f with a connection. It goes back if f's first result is neither nil
---nor false; otherwise, and after an error or a cancel, it is closed.
---@param f fun(connection: sock.Socket): ...
---@return any ... # what f returned; nil, message, code where there was none
function Pool:use(f) end

---Closes the idle connections now, the others when they are put; who waits in
---a get is told. Again is harmless.
---@return true
function Pool:close() end

-- At the prompt -------------------------------------------------------------

---Makes the interpreter's prompt live: tasks go on while it waits for a key,
---and what they print stands above the line that is typed. (What writes to the
---terminal by other ways than print, warn, io.write and file:write is not
---noticed: ^L draws the line anew.) Where the interpreter has no prompt with
---readline, this is a prompt of its own, until ^D. readline(3), lua(1).
function sock.repl() end

---Bytes as `hexdump -C` shows them: their place, in hexadecimal, as text.
---hexdump(1).
---@param data string
---@return string text # a line for each 16 bytes; "" for none
function sock.hexdump(data) end

---@class sock.OpenSocket
---@field socket sock.Socket
---@field made string? # "file:line" that made it

---Every open socket, the oldest first, and the line that made it. `tostring`
---gives a line for each.
---@return sock.OpenSocket[] list
function sock.sockets() end

---Prints what this manual says of a name, as "connect", "Socket:read", "read",
---"Socket" or "tcp_nodelay"; without one, all names of functions.
---@param name? string
function sock.help(name) end

---What a traced socket did, as a sink sees it; tostring gives it as text.
---@class sock.Event
---@field what "send"|"recv"|"end"|"connect"|"accept"|"shutdown"|"close"|"error"|"wait"
---@field time number # seconds since the epoch
---@field id integer # one for each traced socket
---@field socket sock.Socket? # nil once it has been collected
---@field type sock.Type
---@field here sock.Address? # its own end; a pipe has none
---@field peer sock.Address? # the other end; of a datagram, where it went to or came from
---@field initiator "here"|"peer"|nil # who began the connection; nil if others made the socket
---@field data string? # send, recv: the bytes
---@field size integer? # send, recv: how many there were; more than #data in a cut datagram
---@field how string? # shutdown: "recv", "send", "both"; wait: "r", "w"
---@field call string? # error: what failed …
---@field code string? # error: … and why: "ECONNRESET"
---@field lost integer? # events before this one that found no memory

---@alias sock.Sink file*|fun(event: sock.Event): any|sock.Event[]|{event: function}

---Tells a sink what the socket does from now on, each transfer with its bytes,
---and so each connection that it accepts: stderr (in colours on a terminal) or
---a file, as text; a function; a list that events are put to; an object with
---the method `event`, as sock.pcap and sock.record give. Text also tells of
---waits. A sink is called when the call that it tells of ends, or when the
---loop is next about to wait; what it does with traced sockets is not traced.
---One that raises, or answers false, is not called again.
---@param sink? sock.Sink|false # stderr if absent; false ends it
---@return sock.Socket self
function Socket:trace(sink) end

---@class sock.Pcap
local Pcap = {}

---A sink that writes a pcapng, which Wireshark opens. A socket sees bytes, not
---packets: their headers are made up, but fit together. A connection begins
---where its connect or accept was, or before its first bytes. What is no IP has
---addresses of 192.0.2.0/24 and says so in a comment. RFC 9293, RFC 768.
---@param path string
---@return sock.Pcap? sink, string? message, string? code # ENOENT, EACCES
function sock.pcap(path) end

---One event; false once it is closed.
---@param event sock.Event
function Pcap:event(event) end

---The file is complete after each event. Again is harmless.
---@return true? ok, string? message, string? code
function Pcap:close() end

---@class sock.Record
local Record = {}

---A sink that keeps a conversation as a Lua table, to be read and edited:
---`return { side = "client", { "send", 0.000, "PING\r\n" }, { "recv", 0.002,
---"+PONG\r\n" } }`. The data of an entry may be in several texts. Entries of a
---second socket have `conn = 2`.
---@param path string
---@return sock.Record? sink, string? message, string? code # ENOENT, EACCES
function sock.record(path) end

---One event; false once it is closed.
---@param event sock.Event
function Record:event(event) end

---The file is complete after each event. Again is harmless.
---@return true? ok, string? message, string? code
function Record:close() end

---@class sock.ReplayOptions
---@field side? "server"|"client" # what the other end plays; "server" if absent
---@field conn? integer # which connection of the recording; 1 if absent
---@field seed? integer # of all that is left to chance below; `replay.seed` tells it
---@field delay? number|"recorded" # seconds: the longest pause before it speaks; or as it was
---@field split? boolean|integer # in random pieces, of at most so many bytes
---@field reset? boolean|integer # after so many bytes, or anywhere, the connection is reset
---@field timeout? number # seconds that it waits for a word; 5 if absent

---@class sock.Replay
---@field seed integer
---@field diff string? # what was expected and what was said, once they differ
---@field played integer # entries that are over
local Replay = {}

---A connected socket, and the conversation that its other end plays: it answers
---what was recorded, and ends when it hears something else.
---@param source string|table # sock.record's file, or such a table
---@param options? "server"|"client"|sock.ReplayOptions # the side, or options
---@return sock.Socket? s, sock.Replay|string replay, string? code # ENOENT, EINVAL
function sock.replay(source, options) end

---Whether all was said as recorded; waits for the end, and shuts the socket's
---sending down.
---@return true? ok, string? diff, string? code # EPROTO
function Replay:verify() end

---@class sock.Info
---@field socket string # its tostring
---@field kind "socket"|"pipe"|"terminal"|"file"
---@field state "listening"|"connecting"|"connected"|"unconnected"|"open"
---@field family sock.Family?
---@field type sock.Type?
---@field protocol string|integer|nil # "tcp", "udp", or its number
---@field descriptor integer
---@field here sock.Address?
---@field peer sock.Address?
---@field timeout number? # of settimeout
---@field limit integer # of setlimit
---@field vbuf integer # of setvbuf: 0 for none
---@field input integer # bytes that have arrived and wait to be read
---@field output integer # bytes of a full-buffered write that wait to leave
---@field unread integer? # bytes that the kernel holds for it
---@field unsent integer? # bytes that the kernel has not sent, or has no answer to
---@field received integer # bytes, in all
---@field sent integer # bytes, in all
---@field torn boolean # a write ended half way: no other may follow
---@field traced boolean
---@field readers sock.Task[] # who waits to read
---@field writers sock.Task[] # who waits to write
---@field options sock.Options? # those worth a look
---@field tcp sock.TcpInfo?

---All there is to know of it; tostring gives it as text. tcp(7), socket(7).
---@return sock.Info info
function Socket:info() end

return sock
