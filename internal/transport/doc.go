// Package transport listens on and dials the byte streams that the protocols
// of iotctl run over: TCP, TLS, WebSocket, secure WebSocket and Unix sockets.
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
//     keeps.
//   - ReadWith and TryWrite on plain sockets do not allocate.
//   - No memory is allocated from a length that a peer announced.
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
// Left out: datagrams, permessage-deflate, PROXY TLVs, TLS-PSK and revocation
// lists.
package transport
