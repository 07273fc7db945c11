// Package coap parses and appends CoAP messages: RFC 7252 over UDP, RFC 8323 over
// TCP and WebSocket.
//
//	over UDP        Ver(2) T(2) TKL(4)   code   message id(2)   token   options   0xff payload
//	over TCP        Len(4) TKL(4)   length(0 to 4)   code       token   options   0xff payload
//	over WebSocket  0(4)   TKL(4)                    code       token   options   0xff payload
//
// A datagram, or a message of WebSocket, is one message. Over TCP the length
// counts the options, the marker and the payload.
//
// # Promises
//
// Parsing and appending allocates nothing but what dst needs to grow, and the
// findings. Slices alias the input and are valid as long as that is. No length is
// trusted before it has been compared with the bytes that are there, and the time
// is linear in them. Nothing here keeps state, so everything may be used from any
// goroutine. What strict mode accepts is appended with the same bytes, if its
// lengths over TCP and its deltas were in their shortest form.
//
// # Strictness
//
// There is one parser. Strict, the default, returns the first violation as a
// [*Malformed] that says where it is, which section it breaks and what a receiver
// does about it. Lenient collects the same findings in [Mode].Notes and goes on;
// only what makes the rest unreadable still ends it. What both accept, lenient
// with a note of class [Advice]: numbers with leading zeros, codes and critical
// options that are not known here.
//
// # Left out
//
// Whatever needs memory of other messages: retransmission, tokens in use, blocks
// put together, freshness. OSCORE messages are read, not deciphered.
package coap
