// Package lwm2m reads and writes what OMA LwM2M 1.0 to 1.2 carries in CoAP: TLV,
// values of resources, SenML in JSON and CBOR (RFC 8428), and names and types of
// the objects that devices usually have.
//
// # Promises
//
// Parsing TLV and values allocates nothing but texts. No length is trusted before
// it has been compared with the bytes that are there; the time is linear in them.
// What is parsed says at which offset it stands. Nothing here keeps state.
//
// # Left out
//
// Reading object definitions from files, attributes, registration. Names and
// types are those of the OMA LwM2M Object and Resource Registry (OMNA), of the
// objects and resources that are met most; those of others are not known.
package lwm2m

import "fmt"

// Malformed says where input breaks a rule, and which.
type Malformed struct {
	Offset int
	Clause string // "LwM2M 1.1 §7.4.3"
	Reason string
}

func (m *Malformed) Error() string {
	return fmt.Sprintf("byte %d: %s [%s]", m.Offset, m.Reason, m.Clause)
}
