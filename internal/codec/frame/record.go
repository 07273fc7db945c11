package frame

import (
	"math"
	"time"
)

// Kind is how the value of a field is to be read.
type Kind uint8

// Kinds.
const (
	Null   Kind = iota
	Bool        // Uint is 0 or 1
	Int         // Int
	Uint        // Uint
	Float       // Float
	String      // Text, UTF-8 if the device kept to it
	Hex         // Text holds the bytes; shown in lower-case hex
	Base64      // Text holds the bytes; shown in base64
	JSON        // Text holds valid JSON
	Time        // Time
	Object      // members follow
	Array       // elements follow
)

// Value is one field of a [Record].
type Value struct {
	Name string // "" for elements of an array
	Text []byte // of String, Hex, Base64 and JSON: valid as long as the frame and the record
	Kind Kind
	Off  int // of the field's bytes in Frame.Data
	Len  int // of the field's bytes; 0 for a part of another field
	End  int // index in Record.Values behind the last descendant

	raw    uint64 // the number as it was read, before scale and map
	num    uint64 // of Bool, Int, Uint, Float and Time
	def    *field // nil for names that came out of the frame
	hidden bool
	bits   bool // a part of an integer's bits
}

// Hidden reports whether the value is left out of the JSON: named _ or omit.
func (v *Value) Hidden() bool { return v.hidden }

// Uint returns the number of a Uint or Bool.
func (v *Value) Uint() uint64 { return v.num }

// Int returns the number of an Int.
func (v *Value) Int() int64 { return int64(v.num) }

// Float returns the number of a Float.
func (v *Value) Float() float64 { return math.Float64frombits(v.num) }

// Time returns the time of a Time, in the zone of its field.
func (v *Value) Time() time.Time {
	t := time.Unix(0, int64(v.num))
	if v.def != nil && v.def.time != nil {
		return t.In(v.def.time.zone)
	}
	return t.UTC()
}

// Raw returns the number as it stood in the frame, before scale, offset and map.
func (v *Value) Raw() uint64 { return v.raw }

// Unit is the unit that the definition gives: km/h.
func (v *Value) Unit() string {
	if v.def == nil {
		return ""
	}
	return v.def.unit
}

// Record is a decoded frame. It is made to be used again: Decode overwrites
// it. It refers to the frame's bytes, so it is valid as long as they are.
type Record struct {
	Message string // the innermost message name that applied, "" if the definition names none
	Values  []Value

	c      *Codec
	frame  Frame
	dir    Direction
	slot   []int32 // index+1 in Values of each field that can be referred to
	arena  []byte  // text that is not in the frame as such
	device int     // slot of the device id, -1 if the message carries none
	reply  *template
	refuse *template
	steps  int     // elements of arrays so far
	first  int     // index of the first member of the object being filled
	later  []int32 // numbers whose sign another field decides
	trace  func(*message)
	inner  *[]innerSum // nil: nobody wants to know
	cursor
}

// Frame returns the frame that was decoded.
func (r *Record) Frame() Frame { return r.frame }

// Get finds a value by its name; dots lead into groups and bit sets
// ("status.moving"). The first of several wins. Elements of arrays have no name.
func (r *Record) Get(name string) (*Value, bool) {
	for i := 0; i < len(r.Values); {
		v := &r.Values[i]
		if v.Name == name {
			return v, true
		}
		inside := v.Kind == Object && len(name) > len(v.Name) && name[len(v.Name)] == '.' && name[:len(v.Name)] == v.Name
		switch {
		case inside:
			name, i = name[len(v.Name)+1:], i+1
		case v.End > i:
			i = v.End
		default:
			i++
		}
	}
	return nil, false
}

// DeviceID returns the text that identifies the device, nil if this message
// does not carry it. It is not yet fit for a topic: see [CheckLevel].
func (r *Record) DeviceID() []byte {
	v := r.at(r.device)
	if v == nil {
		return nil
	}
	return r.text(v)
}

// Password returns what the device authenticates with, nil if this message
// does not carry it.
func (r *Record) Password() []byte {
	if r.c == nil || r.c.session.Password == "" {
		return nil
	}
	v := r.at(r.c.session.password)
	if v == nil {
		return nil
	}
	return r.text(v)
}

// at returns the value in a slot, nil if the frame did not have the field.
func (r *Record) at(slot int) *Value {
	if slot < 0 || r.slot[slot] == 0 {
		return nil
	}
	return &r.Values[r.slot[slot]-1]
}

func (r *Record) reset(f Frame, dir Direction, slots int) {
	r.Message, r.frame, r.dir = "", f, dir
	if cap(r.Values) > keptValues || cap(r.arena) > 16*keptValues {
		r.Values, r.arena = nil, nil
	}
	r.Values, r.arena = r.Values[:0], r.arena[:0]
	if cap(r.slot) < slots {
		r.slot = make([]int32, slots)
	}
	r.slot = r.slot[:slots]
	clear(r.slot)
	r.device, r.first, r.steps = -1, 0, 0
	r.reply, r.refuse = nil, nil
	r.later = r.later[:0]
}
