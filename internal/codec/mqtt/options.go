package mqtt

// Options say how to read a packet. The zero value is strict 3.1.1 from a
// client; a nil pointer is not allowed. They are only read, so one value
// serves a connection, as long as nobody else appends to its Notes.
type Options struct {
	// Version of the connection; 0 is 3.1.1. CONNECT names its own.
	Version Version
	// Lenient collects findings instead of ending at the first.
	Lenient bool
	// Notes receives the findings of lenient mode, up to MaxNotes; nil drops them.
	Notes *[]Malformed
	// FromServer says that a server sent the packet, so that the rules of who
	// may send what are those of that direction.
	FromServer bool
	// EitherSide switches the rules of direction off: the sender is unknown.
	EitherSide bool
	// CheckPayload compares payloads that are declared to be text with the
	// rules of UTF-8, which the standard leaves to the receiver. Lenient mode
	// always does.
	CheckPayload bool
}

// MaxNotes is the most findings that are noted: a packet may have one in each byte.
const MaxNotes = 1024

func (o *Options) version() Version {
	if o.Version == 0 {
		return V311
	}
	return o.Version
}
