// Package transport listens on and dials what the protocols of iotctl run over:
// byte streams (TCP, TLS, WebSocket, secure WebSocket and Unix sockets) and
// datagrams (UDP and DTLS 1.2), of which a connection is one remote address.
// One URL names each listener and each dial target; its scheme selects an
// entry of a table that callers may extend (Scheme).
//
// Promises:
//
//   - A listener owns no goroutine. Everything slow (PROXY header, TLS and
//     WebSocket handshakes) happens in Conn.Handshake, on the goroutine that
//     serves the connection; Accept only takes sockets and checks limits.
//   - An idle connection holds no buffer, whatever it speaks: Conn.ReadWith
//     waits first and borrows a buffer afterwards. TLS keeps what crypto/tls
//     keeps, and so does DTLS with its library.
//   - ReadWith and TryWrite on plain sockets do not allocate; a datagram that a
//     listener takes in is copied once. ReadBatch and WriteBatch neither allocate
//     nor copy.
//   - No memory is allocated from a length that a peer announced.
//
// # Datagrams
//
// The goroutine in Accept reads the socket for all peers, so it must come back
// soon. What it reads waits in the queue of its peer, bounded in number and bytes
// (ListenConfig.QueueDatagrams, QueueBytes, AllQueuesBytes); what does not fit is
// dropped and counted, and so is anything longer than the reader's buffer. Closing
// a connection forgets the peer: what still comes from there is a new one.
//
// Source addresses can be forged. Each that is let in costs some 800 bytes and its
// datagram here, and whatever the gateway starts for a connection, until the
// gateway closes it: it needs a deadline for peers that have not shown who they
// are. That time and MaxConnRate, 1000 new peers a second, bound how many there
// are at once, and MaxConnections does in any case; while a flood uses these up,
// other new peers are refused, and known ones notice nothing. MaxPerSource does
// not help, and lets others use up the share of an address. Access rules are asked
// first and cost nothing.
//
// # DTLS
//
// A client's first ClientHello is answered with a cookie, in fewer bytes than it
// has, and forgotten: there is no connection before the client has returned the
// cookie, which tells its address and the time and is good for half a minute at
// least. So a flood of forged ones keeps nobody out, and reflects nothing. A
// ClientHello that comes in fragments is dropped. After the cookie, MaxConnRate,
// MaxHandshakes and HandshakeTimeout hold, and nobody makes the library keep more
// than 64 KB for a handshake, nor afterwards without the keys.
//
// Clients have certificates or pre-shared keys (ServerTLS.PSKFile). A wrong key and
// an unknown identity end a handshake in the same way. The extended master secret is
// required of clients: RFC 7627.
//
// A client that offers connection ids is given one (RFC 9146), unless all of its
// cipher suites are of CBC, for which the library has them wrong, and keeps its
// connection when its address changes, as that of a sleeping device behind a NAT
// does. Answers go to the address that the newest record came from, once that has
// been verified; so an attacker who can hold a genuine record back and send it from
// elsewhere first has the answers until the next record: whether the client is
// reachable there (RFC 9853) is not asked. For the same reason a client that has logged
// in and forges its source address has what it subscribes to sent there. A read returns when answers go
// there. Without a connection id a client that starts again from its old port
// gets a new connection, and the old one ends once the new handshake is complete; with
// one the old one stays, since the port may be another client's now.
//
// # Packets
//
// A scheme with Packets has listeners without connections (PacketListener): one
// goroutine reads what all peers send, many datagrams at a time, and the gateway
// keeps what it must know of peers. Nothing is kept here, so there is nothing that
// forged addresses could use up. On Linux that is recvmmsg(2) and sendmmsg(2) on
// buffers of the caller's. The calls are made here, and not by way of ReadBatch of
// golang.org/x/net, which allocates two objects for each datagram that it reads.
//
// Multicast groups (Group) have sockets of their own, one for each interface, so
// that nothing but the group comes out of them and it is clear where to answer. An
// interface has to be there when it is joined. golang.org/x/net/ipv4 and ipv6 join,
// and choose the interface and the hops of what is sent: the standard library
// can only join, and binds to all addresses then.
//
// Goroutines: one goroutine may read (Read, ReadWith, Handshake) while another
// writes (Write, TryWrite, CloseWrite). Close, CloseReason, Info and the
// deadline setters may be called from anywhere. A TryWrite that meets a Write
// in progress takes nothing.
//
// WebSocket uses github.com/gobwas/ws for the opening handshake and masking,
// because it works on the caller's connection and buffers instead of keeping
// two of its own per connection. The PROXY protocol header has a parser of its
// own, because go-proxyproto keeps a buffered reader on the connection (which
// would end buffer-less idle connections) and is bounded by package variables.
//
// DTLS is github.com/pion/dtls/v3: the standard library has none. It runs three
// goroutines for each connection until that is closed. Its own cookie exchange takes
// all of a connection, so the listener has one of its own, and makes the library
// accept that cookie. Records without keys are judged here before the library sees
// them, because it lets some of them end a connection.
//
// Left out: permessage-deflate, TLS-PSK over TCP and revocation lists. Of
// datagrams: PROXY headers and SOCKS, inherited sockets, DTLS 1.3 and session
// resumption. On a host with several addresses a listener
// on all of them answers from the one that the routing table picks, so name the
// one that clients use.
package transport
