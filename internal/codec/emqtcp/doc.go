// Package emqtcp parses and appends the frames of the EMQ private TCP protocol,
// version 1: one struct, one file and one pair of functions per frame.
//
//	byte 0           bytes 1 and 2           then
//	type and flags   length, big-endian      that many bytes
//
// PING, PONG and DISCONNECT are the first byte alone. A frame has one length:
// what follows that of CONNACK and DATATRANS is the text or the data itself.
// Only the fields of CONNECT have lengths of their own.
//
// # Promises
//
// Parsing and appending DATATRANS allocates nothing. Payloads and passwords
// alias the input and are valid as long as that is; strings are copies. No
// length is trusted before it has been compared with the bytes that are there.
// Nothing here keeps state, so everything may be used from any goroutine.
//
// # Strictness
//
// There is one parser. Strict, the default, ends at the first violation with a
// [*Malformed] that says where it is. Lenient collects the same findings in
// [Options].Notes and goes on where it can. What the specification leaves open:
//
//   - Text is UTF-8 without NUL in the client identifier and the user name.
//     Passwords, payloads and the message of a CONNACK are not looked at.
//   - Optional fields are optional from the end. A password without a user name
//     stands behind an empty user name.
//   - Reserved flags of DATATRANS, PING, PONG and DISCONNECT pass;
//     [Options].StrictFlags makes them malformed.
//   - Reserved codes of CONNACK pass: whatever is not 0 is a refusal.
//   - An older edition prints CONNECT with version 0. It is another version
//     unless [Options].AcceptVersion0 says otherwise.
//
// # Left out
//
// What a client identifier may hold besides, the order of frames, and the
// limits of a server: [Frame] takes one.
package emqtcp
