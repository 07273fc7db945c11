// Package mqtt parses and appends every control packet of MQTT 3.1, 3.1.1 and
// 5.0: one struct, one file and one pair of functions per packet, one table of
// properties and one of reason codes.
//
// # Promises
//
// Parsing and appending PUBLISH and the four acknowledgements allocates
// nothing. Every slice in a parsed packet ([Publish] topic, payload,
// [Properties], passwords) aliases the input and is valid as long as that is;
// strings are copies. No length is trusted before it has been compared with
// the bytes that are there, and the time taken is linear in them. Nothing here
// keeps state, so everything may be used from any goroutine.
//
// # Strictness
//
// There is one parser. Strict, the default, ends at the first violation with a
// [*Malformed] that says where it is, which statement of the standard it
// breaks and which reason code answers it. Lenient collects the same findings
// in [Options].Notes and goes on; only what makes the rest unreadable (a field
// cut short) still ends it, and the fields read so far are returned with the
// error. Deliberate tolerance, the same in both modes:
//
//   - MQTT 3.1 client identifiers longer than 23 characters are accepted, as
//     every broker does; lenient mode notes them.
//   - MQTT 3.1 leaves several bits unused that 3.1.1 reserves: bit 0 of the
//     connect flags is not looked at, and PUBREL, SUBSCRIBE and UNSUBSCRIBE may
//     be marked DUP. The first byte of CONNACK means nothing. A user name or
//     password flag without the field is valid, as 3.1 asks of servers.
//   - Bit 7 of a 3.x protocol level (0x83, 0x84) is mosquitto's mark of a
//     bridge and is reported as [Connect].Bridge.
//   - An overlong remaining length (80 00 for 0) is malformed in 5.0 but legal
//     before it, so [Frame] accepts it and [Header.Check] judges it.
//   - Unicode noncharacters and control characters other than U+0000, which
//     the standard only advises against, pass; but not noncharacters in a topic
//     name that a client publishes to.
//
// # Clause notation
//
// Statements of 5.0 are written [MQTT-3.3.2-2], those of 3.1.1 [MQTT3-3.3.2-2];
// without the last number it is a whole section, for rules that the standard
// gives no statement number: MQTT-3.12.1. In this package the string that
// a finding carries is the citation; elsewhere it is a trailing comment on the
// line that enforces the statement. MQTT 3.1 numbers nothing, so its findings
// name the statement of 3.1.1. A test compares every citation in the
// repository with the lists in testdata and reports the coverage.
//
// # Left out
//
// Whatever needs memory of earlier packets or a policy: packet identifiers in
// use, topic alias maxima, receive maximum, wildcard placement in topic
// filters (refused per filter in SUBACK, so it is no parse error), access
// rights.
//
// # To add a packet or property
//
//  1. A property is one row in property_table.go, a reason code one in reason.go.
//  2. A packet is a struct with Type, Size and Append, a Parse function over a
//     reader, a case in parseBody, and a seed in the tests' list of samples.
package mqtt
