package sparkplug

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	wire "github.com/iotctl/iotctl/internal/codec/protobuf"
	"github.com/iotctl/iotctl/internal/payload"
)

// entry is one field on the wire.
type entry struct {
	num int
	typ protowire.Type
	n   uint64 // of varint, fixed32 and fixed64
	b   []byte // of bytes and groups; aliases the payload
	off int    // of b in the payload, or of the entry
}

// notes are what is odd, each said once, and not too many.
type notes struct {
	said []string
	more int
}

const maxNotes = 16

func (n *notes) addf(format string, a ...any) {
	s := fmt.Sprintf(format, a...)
	for _, one := range n.said {
		if one == s {
			return
		}
	}
	if len(n.said) == maxNotes {
		n.more++
		return
	}
	n.said = append(n.said, s)
}

func (n *notes) list() []string {
	if n.more > 0 {
		return append(n.said, fmt.Sprintf("and %d more", n.more))
	}
	return n.said
}

// reader reads one payload.
type reader struct {
	notes  notes
	values int
	depth  int
}

// maxDepth bounds templates and property sets in each other. As JSON each is up to
// three levels.
const maxDepth = payload.MaxDepth/3 - 2

// enter begins one more level; leave ends it.
func (r *reader) enter(off int) error {
	if r.depth++; r.depth > maxDepth {
		return payload.Malformedf(off, "more than %d levels", maxDepth)
	}
	return nil
}

func (r *reader) leave() { r.depth-- }

// count bounds what one payload may cost.
func (r *reader) count(off int) error {
	if r.values++; r.values > payload.MaxValues {
		return payload.Malformedf(off, "more than %d values", payload.MaxValues)
	}
	return nil
}

// walk calls fn for each field of a message that begins at off. Fields that fn
// does not know (it returns false) become a note.
func (r *reader) walk(what string, b []byte, off int, fn func(e entry) (bool, error)) error {
	for len(b) > 0 {
		e := wire.Next(b)
		if e.Tag < 0 {
			return payload.Malformedf(off, "%s: no tag of a field", what)
		}
		if e.Size < 0 {
			return payload.Malformedf(off, "%s: field %d is cut short or broken", what, e.Num)
		}
		known, err := fn(entry{num: int(e.Num), typ: e.Type, n: e.N, b: e.B, off: e.Offset(off)})
		if err != nil {
			return err
		}
		if !known {
			r.notes.addf("%s: field %d (%s) is not of Sparkplug B", what, e.Num, wire.TypeName(e.Type))
		}
		b, off = b[e.Tag+e.Size:], off+e.Tag+e.Size
	}
	return nil
}

// text is the string of e. proto2 lets anything stand there.
func (r *reader) text(what string, e entry) string {
	s := strings.ToValidUTF8(string(e.b), "\uFFFD")
	if s != string(e.b) {
		r.notes.addf("%s is not UTF-8", what)
	}
	return s
}
