package mqttsn

// Options say how to read a message. The zero value is strict 1.2 from a client;
// a nil pointer is not allowed. They are only read, so one value serves every
// client, as long as nobody else appends to its Notes.
type Options struct {
	// Version of the protocol, for Parse; the functions per message know theirs.
	Version Version
	// NamedPublish reads a PUBLISH with QoS -1 and a normal topic as one whose
	// topic identifier is the length of a name before the payload.
	NamedPublish bool
	// AuthExtension reads the AUTH of some clients of 1.2, whose type the
	// specification reserves.
	AuthExtension bool
	// Lenient collects findings instead of returning the first.
	Lenient bool
	// Notes receives the findings of lenient mode; nil drops them.
	Notes *[]Malformed
	// FromServer says that a gateway sent the message, so that the rules of who
	// may send what are those of that direction.
	FromServer bool
	// EitherSide switches the rules of direction off: the sender is unknown.
	EitherSide bool
}
