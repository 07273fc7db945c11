package emqtcp

// Options say how to read a frame. The zero value is strict, from a client; a
// nil pointer is not allowed. They are only read, so one value serves every
// connection, as long as nobody else appends to its Notes.
type Options struct {
	// AcceptVersion0 takes version 0 in CONNECT for version 1, as an older
	// edition of the specification prints it.
	AcceptVersion0 bool
	// StrictFlags makes reserved flags malformed.
	StrictFlags bool
	// Lenient collects findings instead of ending at the first.
	Lenient bool
	// Notes receives the findings of lenient mode; nil drops them.
	Notes *[]Malformed
	// FromServer says that a server sent the frame, so that the rules of who
	// may send what are those of that direction.
	FromServer bool
	// EitherSide switches the rules of direction off: the sender is unknown.
	EitherSide bool
}
