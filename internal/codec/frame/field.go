package frame

import (
	"math"
	"regexp"
)

// message is a list of fields and what goes with them: the top of a file, a
// variant, a case of a switch.
type message struct {
	name   string
	label  string // how reports call it
	line   int
	dir    Direction
	fields []field
	device int // slot, -1 if it names no device
	reply  *template
	refuse *template
	silent bool // reply: none
	exact  bool // nothing may follow its fields
	index  int  // in Codec.messages
}

// field is one step of a plan. read takes it off the record's cursor; the
// other members are its parameters.
type field struct {
	name    string
	json    string // name as a JSON key with its colon
	slot    int    // -1 if nothing can refer to it
	line    int
	read    func(*Record, *field) error
	width   int // of a number in bytes
	signed  bool
	le      bool
	float   bool
	mask    uint64
	size    size
	at      int
	placed  bool // at is given
	may     bool // optional
	hidden  bool
	flat    bool // members stand beside it, not in it
	dotted  bool // its name has dots
	textual bool // its kind of value is text, not a number
	ops     *byteOps
	num     *numberRule
	checks  *checks
	bits    []bitField
	text    *textRule
	time    *timeFormat
	unit    string
	sub     *nested
}

// nested is what a structure holds.
type nested struct {
	fields  []field
	choice  *choice
	count   size
	items   int  // most
	scalar  bool // the array has values, not objects
	tag     field
	length  field
	sep     string
	eq      []byte
	numbers bool // text that looks like a number is one
	cut     bool // TLV: unlisted tags are left out
	keys    map[string]*field
	refs    map[string]int // slots of names that come out of the frame
	pattern *regexp.Regexp
	sum     *checksum
}

// choice is the body of a switch.
type choice struct {
	by     int // slot
	byName string
	dense  [256]int16 // case+1 of small numbers
	sparse map[uint64]int16
	words  map[string]int16
	cases  [][]*message // alternatives by direction
	other  []*message   // default
}

// sizeKind is where the size of a field comes from.
type sizeKind uint8

const (
	sizeFixed  sizeKind = iota // n
	sizeRest                   // all that is left, less n
	sizeField                  // the value in slot, plus n
	sizePrefix                 // a number of width bytes in front
	sizeUntil                  // up to a delimiter, which is consumed
)

type size struct {
	kind  sizeKind
	n     int
	slot  int
	name  string
	width int
	le    bool
	until []byte
}

// byteOps change the bytes before they are read, in this order.
type byteOps struct {
	add     byte
	xor     []byte
	reverse bool
}

// numberRule is what happens to a number after it was read.
type numberRule struct {
	mul, div  float64
	offset    float64
	whole     bool // mul and div are 1, offset is an integer: the number stays one
	round     int  // decimals, -1: as they come
	labels    map[uint64][]byte
	null      []uint64
	magnitude bool // the highest bit is a minus
	as        string
	negate    int // slot that decides on the sign, -1: none
	negateIf  uint64
}

type checks struct {
	min, max float64
	oneOf    []float64
	words    [][]byte
	nulls    [][]byte
}

type bitField struct {
	field
	low   uint
	width uint
}

type textRule struct {
	gbk         bool
	left, right string // bytes to strip
}

func (b *bitField) of(raw uint64) uint64 {
	return raw >> b.low & (1<<b.width - 1)
}

// has compares a number as it was read.
func (c *checks) has(v float64) bool {
	if v < c.min || v > c.max {
		return false
	}
	if len(c.oneOf) == 0 {
		return true
	}
	for _, w := range c.oneOf {
		if v == w {
			return true
		}
	}
	return false
}

func newNumberRule() *numberRule {
	return &numberRule{mul: 1, div: 1, round: -1, negate: -1, whole: true}
}

func newChecks() *checks { return &checks{min: math.Inf(-1), max: math.Inf(1)} }
