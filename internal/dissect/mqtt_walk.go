package dissect

import (
	"bytes"
	"fmt"
	"math/bits"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// mqttWalk takes fields off a packet, like walk, and knows the end of the block
// that it is in.
type mqttWalk struct {
	b      []byte // the packet, as far as it is there
	at     int
	end    int // of the block, which may lie behind b; 0: that of the packet
	typ    mqtt.Type
	v      mqtt.Version
	ended  bool // a field was not all there
	bad    *Malformed
	fields []Field
	listed int // properties, filters and codes
	// problems are those that the codec does not look for.
	problems []Problem
}

// mqttLongVarint is the note on a variable byte integer that does not end.
const mqttLongVarint = "more than 4 bytes"

// mqttLength ends the names of lengths.
const mqttLength = " length"

// left is how many bytes are there.
func (w *mqttWalk) left() int {
	end := len(w.b)
	if w.end > 0 {
		end = min(end, w.end)
	}
	return end - w.at
}

func (w *mqttWalk) add(f Field) *Field {
	f.Off = w.at
	w.at += f.Len
	w.fields = append(w.fields, f)
	return &w.fields[len(w.fields)-1]
}

// mqttListed is the most properties, filters and codes of a packet that get fields
// of their own.
const mqttListed = 2048

// list reports whether another part of a list follows. What would be too much is
// taken as bytes.
func (w *mqttWalk) list() bool {
	if w.ended || w.left() <= 0 {
		return false
	}
	if w.listed++; w.listed > mqttListed {
		w.rest("more of the same")
		return false
	}
	return true
}

// room reports whether n bytes are left; if not, what is left becomes the field.
func (w *mqttWalk) room(name string, n int) bool {
	if w.ended {
		return false
	}
	left := w.left()
	if left >= n {
		return true
	}
	w.ended = true
	if left > 0 {
		w.add(Field{
			Name: name, Kind: Bytes, Len: left, Value: bytes.Clone(w.b[w.at : w.at+left]), Form: Raw,
			Note: fmt.Sprintf("%d of %d bytes", left, n), Secret: w.secretive(),
		})
	}
	return false
}

// secretive: what is no field of its own may be a password.
func (w *mqttWalk) secretive() bool {
	switch w.typ {
	case mqtt.TypeConnect, mqtt.TypeConnack, mqtt.TypeAuth:
		return w.at > 1+4 // not in the header
	}
	return false
}

// number takes a big-endian number.
func (w *mqttWalk) number(name string, kind Kind, size int, note string) *Field {
	if !w.room(name, size) {
		return nil
	}
	var v uint64
	for _, c := range w.b[w.at : w.at+size] {
		v = v<<8 | uint64(c)
	}
	return w.add(Field{Name: name, Kind: kind, Len: size, Value: v, Note: note, Form: Unsigned})
}

// varint takes a variable byte integer; of a broken one all bytes there are.
func (w *mqttWalk) varint(name string, kind Kind) (v int, ok bool) {
	if w.ended {
		return 0, false
	}
	b := w.b[w.at : w.at+w.left()]
	v, n := mqttVarint(b)
	if n > 0 {
		w.add(Field{Name: name, Kind: kind, Len: n, Value: uint64(v), Form: Varint})
		if minimal := bits.Len32(uint32(max(v, 1))); n > (minimal+6)/7 {
			f := &w.fields[len(w.fields)-1]
			f.Note = "not in its shortest form"
		}
		return v, true
	}
	w.ended = true
	if len(b) > 0 {
		k := min(len(b), 5)
		w.add(Field{Name: name, Kind: Bytes, Len: k, Value: bytes.Clone(b[:k]), Form: Raw, Note: "not complete"})
		if n < 0 {
			w.fields[len(w.fields)-1].Note = mqttLongVarint
		}
	}
	return 0, false
}

// prefixed takes a value behind its length of two bytes, and returns it.
func (w *mqttWalk) prefixed(name string, kind Kind) *Field {
	f := w.number(name+mqttLength, Length, 2, "bytes")
	if f == nil {
		return nil
	}
	n := int(f.Value.(uint64))
	f.Of = Span{w.at, n}
	if !w.room(name, n) {
		return nil
	}
	return w.take(name, kind, n)
}

// take takes n bytes that are there.
func (w *mqttWalk) take(name string, kind Kind, n int) *Field {
	f := Field{Name: name, Kind: kind, Len: n, Form: Raw}
	f.hold(w.b[w.at : w.at+n])
	return w.add(f)
}

// payload takes n bytes as what they seem to be.
func (w *mqttWalk) payload(name string, n int) *Field {
	kind := Bytes
	if printable(w.b[w.at : w.at+n]) {
		kind = Text
	}
	return w.take(name, kind, n)
}

// rest takes all that is left.
func (w *mqttWalk) rest(note string) {
	n := w.left()
	if n <= 0 {
		return
	}
	w.add(Field{Name: "rest", Kind: Bytes, Len: n, Value: bytes.Clone(w.b[w.at : w.at+n]), Form: Raw, Note: note, Secret: w.secretive()})
	w.ended = true
}

// bit is a part of a field of one byte.
func bit(name string, off int, b, mask byte) Field {
	f := Field{Name: name, Kind: Flags, Off: off, Len: 1, Mask: uint64(mask), Form: Unsigned}
	if mask&(mask-1) == 0 {
		f.Value = b&mask != 0
	} else {
		f.Kind, f.Value = Number, uint64(b&mask)>>bits.TrailingZeros8(mask)
	}
	return f
}

// reserved is a part of a field of one byte that has to be 0.
func reserved(off int, b, mask byte) Field {
	f := bit("reserved", off, b, mask)
	if f.Kind = Flags; mask&(mask-1) == 0 {
		f.Value = uint64(b&mask) >> bits.TrailingZeros8(mask)
	}
	return f
}
