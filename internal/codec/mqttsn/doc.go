// Package mqttsn parses and appends every message of MQTT-SN 1.2, and those of
// the draft of 2.0: one struct, one file and one pair of functions per message.
//
//	byte 0              byte 1          then
//	length, all of it   message type    the message
//
// A first byte of 1 is followed by a length of two bytes, big-endian, which
// counts itself. Without a connection beneath it a datagram is a message. Only
// the envelope of a forwarder ([Encapsulated]) has more behind its length.
//
// # Promises
//
// Parsing and appending PUBLISH and the acknowledgements allocates nothing.
// Slices alias the input and are valid as long as that is; strings are copies.
// No length is trusted before it has been compared with the bytes that are
// there. Nothing here keeps state, so everything may be used from any goroutine.
// What was parsed is appended with the same bytes, if those were the shortest
// form with nothing in flags that mean nothing.
//
// # Strictness
//
// There is one parser. Strict, the default, returns the first violation as a
// [*Malformed] that says where it is, which section it breaks, and whether and
// how to answer it. Lenient collects the same findings in [Options].Notes and
// goes on; only what makes the rest unreadable still ends it. A violation that
// leaves the message readable ([Class] above UnknownType) comes with all of its
// fields in both modes, so that it can be answered. What the specification
// leaves open, and we accept in both modes, lenient with a note:
//
//   - Flags that mean nothing in their message, and reserved bits of Ctrl.
//   - Client identifiers that are empty or have more than 23 characters.
//   - The long form of a length that fits in one byte.
//   - A message identifier in a PUBLISH that needs none, none where one belongs
//     outside of PUBLISH, and a topic identifier in a client's REGISTER.
//   - Reserved return codes: whatever is not 0 is a refusal.
//   - A duration or client identifier where only clients have reason to send it.
//
// A PUBLISH with QoS -1 and a topic by name is no part of 1.2, but clients send
// it: [Options].NamedPublish reads it.
//
// # Clause notation
//
// Sections of 1.2 are written SN-5.4.12. The draft of 2.0 still moves, so its
// findings carry none.
//
// # The draft of 2.0
//
// [Version20] is Committee Specification Draft 01 of August 2026, whose numbers
// and layouts may change. Its structs end in V2. Protected packets are taken
// apart, not verified or deciphered.
//
// # Left out
//
// Whatever needs memory of earlier messages or a policy: which topic identifiers
// exist, wildcards in filters, message identifiers in use, the largest datagram.
// The contents of an envelope are a message of their own: parse Inner.
package mqttsn
