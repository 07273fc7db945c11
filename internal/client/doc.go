// Package client publishes and subscribes: it stands behind pub, sub and rr.
//
// # Who does what
//
// A connection is led by Eclipse Paho, paho.mqtt.golang for MQTT 3.1 and 3.1.1
// and paho.golang for 5.0: CONNECT and CONNACK, enhanced authentication and keep
// alive. Each connection gets a new library client, whose reconnection, store
// and retries are off; it ends with the connection.
//
// The session is ours, because it outlives the connection and with it the
// library client: the packets with a packet identifier (PUBLISH at QoS 1 and 2
// with its acknowledgements, SUBSCRIBE, UNSUBSCRIBE), and PUBLISH at QoS 0 and
// DISCONNECT, which have to keep their place among them. They pass below the
// library, which sees the connection as the net.Conn of wire.go. What that
// gives:
//
//   - The ledger. Every message that Publish takes gets one Outcome, and
//     Acknowledged says that the server's acknowledgement was read. The tokens
//     of the 3.x library can complete without delivery, or never.
//   - A message that was in flight when the connection broke is sent again
//     with DUP and its own packet identifier where the server has kept the
//     session. The 3.x library chooses identifiers itself.
//   - A QoS 2 message received twice is handed over once; the 3.x library
//     hands over both. Messages are acknowledged after OnMessage has returned.
//   - The topic filters of a SUBSCRIBE in the caller's order and a code for
//     each; the 3.x library keeps them in a map.
//   - Speed. Over the same buffered connection the libraries' own paths moved
//     less than mosquitto's programs do: 0.62 times mosquitto_pub's rate for
//     publishing in 3.1.1 (two channel hand-offs and a token per message) and
//     0.77 times mosquitto_sub's for receiving in 5.0. See
//     internal/doc/adr/0005-own-path-below-paho.md.
//
// # Goroutines
//
// A link (link.go) has a reader and a writer. The reader cuts packets out of
// large reads, calls OnMessage and settles acknowledgements. The writer takes
// what has gathered and writes it in one call. One mutex, Client.mu, guards the
// ledger and the bytes to be written, so that the order of the ledger is the
// order on the wire; callbacks run without it, except OnPacket for sent
// packets. After Connect a supervisor goroutine (Life, life.go) follows links until
// the client ends. All of them have ended when Done is closed.
//
// # Promises
//
// Publishing at QoS 0 and receiving allocate nothing per message of a known
// topic. Memory is bounded: Options.MaxPendingBytes and one message per buffer
// (there are two), MaxInflight messages in the ledger, and one packet from the
// server, up to the maximum packet size that CONNECT states.
//
// # Limits
//
// A session does not survive the process: packet identifiers of a former run
// are unknown here, and acknowledgements for them are ignored. When a server
// loses a session that had a QoS 2 message in flight, the message is published
// anew and may arrive twice; the Outcome says so. A QoS 0 message is Written
// when the operating system has it; what a breaking connection then loses
// cannot be known. Re-authentication by the client is left out.
package client
