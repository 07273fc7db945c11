package fault

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Corruption is what corrupt changes.
type Corruption struct {
	Unit  string // "byte", "bit", "field"
	At    int    // of byte and bit, counted in the packet from 0; -1: by chance
	Field string // "remaining-length"
	Op    byte   // '=' set, '+' add, '-' subtract, '^' exclusive or; 0: by chance
	Value uint64
	Bytes []byte // instead of Value, for Op '='
}

// parseCorrupt takes nothing, byte, byte=5, byte=5,0xff, bit, bit=3 and
// field=remaining-length,+1.
func parseCorrupt(a *Action, args []word, _ int) *Mistake {
	a.Corrupt = Corruption{Unit: "byte", At: -1}
	if len(args) == 0 {
		return nil
	}
	c := &a.Corrupt
	unit, value, column, given := args[0].pair()
	what, change, changes := strings.Cut(value, ",")
	c.Unit = unit
	switch {
	case unit == "field" && (what == "" || !changes):
		return mistakef(args[0].column, "corrupt field=remaining-length,+1", "which field, and how?")
	case unit == "field":
		c.Field = what
		if !fieldKnown(what) {
			return mistakef(column, nearest(what, fieldNames), "no field is called %q", what)
		}
	case unit != "byte" && unit != "bit", unit == "bit" && changes:
		return mistakef(args[0].column, "", "corrupt changes a byte, a bit or a field, not %q", args[0].text)
	case given:
		at, err := strconv.Atoi(what)
		if err != nil || at < 0 || at > 8*mqtt.MaxRemaining {
			return mistakef(column, "", "%q is no place in a packet", what)
		}
		c.At = at
	}
	if changes {
		if err := c.parseChange(change); err != nil {
			return mistakef(column+len([]rune(what))+1, "+1, -1, ^0x80, 7, or x:00ff for bytes", "%v", err)
		}
	}
	return atMost(a, args, 1)
}

// parseChange reads "+1", "-1", "^0x80", "7" and "x:00ff".
func (c *Corruption) parseChange(s string) error {
	if digits, ok := strings.CutPrefix(s, "x:"); ok {
		b, err := hex.DecodeString(digits)
		if err != nil {
			return fmt.Errorf("%q is not hexadecimal", digits)
		}
		c.Op, c.Bytes = '=', b
		return nil
	}
	c.Op = '='
	if s != "" && strings.IndexByte("+-^", s[0]) >= 0 {
		c.Op, s = s[0], s[1:]
	}
	n, err := strconv.ParseUint(s, 0, 32)
	if err != nil {
		return fmt.Errorf("%q is no number", s)
	}
	c.Value = n
	return nil
}

// apply returns packet changed, and what was changed in words.
func (c *Corruption) apply(packet []byte, v mqtt.Version, chance *rand.Rand) ([]byte, string, error) {
	switch c.Unit {
	case "field":
		return c.field(packet, v)
	case "bit":
		at := c.At
		if at < 0 {
			at = chance.IntN(8 * len(packet))
		}
		if at >= 8*len(packet) {
			return nil, "", fmt.Errorf("the packet has no bit %d", at)
		}
		b := slices.Clone(packet)
		b[at/8] ^= 0x80 >> (at % 8)
		return b, fmt.Sprintf("bit %d", at), nil
	}
	at := c.At
	if at < 0 {
		at = chance.IntN(len(packet))
	}
	if at >= len(packet) {
		return nil, "", fmt.Errorf("the packet has no byte %d", at)
	}
	if c.Op == 0 {
		b := slices.Clone(packet)
		b[at] ^= byte(1 + chance.IntN(255))
		return b, fmt.Sprintf("byte %d from %02x to %02x", at, packet[at], b[at]), nil
	}
	return c.change(packet, at, 1, 0), fmt.Sprintf("byte %d", at), nil
}

// change applies the operation to a big-endian number of n bytes, or to those of its
// bits that mask has.
func (c *Corruption) change(packet []byte, at, n int, mask uint64) []byte {
	if c.Bytes != nil {
		return slices.Concat(packet[:at], c.Bytes, packet[at+n:])
	}
	if mask == 0 {
		mask = 1<<(8*n) - 1
		if n >= 8 {
			mask = ^uint64(0)
		}
	}
	var old uint64
	for _, b := range packet[at : at+n] {
		old = old<<8 | uint64(b)
	}
	unit := mask & -mask // the lowest bit of the field
	value := c.result((old & mask) / unit)
	out := old&^mask | value*unit&mask
	b := slices.Clone(packet)
	for i := range n {
		b[at+i] = byte(out >> (8 * (n - 1 - i)))
	}
	return b
}

// result is the number that old becomes.
func (c *Corruption) result(old uint64) uint64 {
	switch c.Op {
	case '+':
		return old + c.Value
	case '-':
		return old - c.Value
	case '^':
		return old ^ c.Value
	}
	return c.Value
}

// fieldNames are the fields that corrupt can find.
var fieldNames = []string{"type", "flags", "remaining-length", "qos", "dup", "retain", "id", "code", "topic-length", "topic", "payload", "property-length"}

func fieldKnown(name string) bool { return slices.Contains(fieldNames, name) }

// field changes a field of packet.
func (c *Corruption) field(packet []byte, v mqtt.Version) ([]byte, string, error) {
	h, body, _, err := mqtt.Frame(packet, 0)
	if err != nil {
		return nil, "", err
	}
	head := len(packet) - len(body)
	if c.Field == "remaining-length" && c.Bytes == nil {
		value := c.result(uint64(h.Remaining)) & mqtt.MaxRemaining
		return slices.Concat(packet[:1], varint(value), body), fmt.Sprintf("remaining length from %d to %d", h.Remaining, value), nil
	}
	at, n, mask := locate(c.Field, h, body, v)
	if n < 0 {
		return nil, "", fmt.Errorf("%v has no %s", h.Type, c.Field)
	}
	if at < 0 { // in the fixed header
		at, n = at+2, max(n, 1)
		if c.Field == "remaining-length" {
			n = head - 1
		}
	} else {
		at += head
	}
	if c.Bytes == nil && (n > 8 || n == 0) {
		return nil, "", fmt.Errorf("%s is no number: write x: and bytes", c.Field)
	}
	return c.change(packet, at, n, mask), c.Field, nil
}

// locate finds a field in the body: offset, size and the bits that it is. Offset -2
// is the first byte of the packet, -1 the second; size -1 is a field that is not
// there.
func locate(name string, h mqtt.Header, body []byte, v mqtt.Version) (at, n int, mask uint64) {
	topic := 0
	publish := h.Type == mqtt.TypePublish
	if publish && len(body) >= 2 {
		topic = min(int(body[0])<<8|int(body[1]), len(body)-2)
	}
	id := 0
	if publish {
		id = 2 + topic
	}
	qos := h.Flags >> 1 & 3
	behind := id // the identifier
	if !publish || qos > 0 {
		behind += 2
	}
	switch name {
	case "type":
		return -2, 1, 0xf0
	case "flags":
		return -2, 1, 0x0f
	case "remaining-length":
		return -1, 0, 0
	case "qos", "dup", "retain":
		if publish {
			return -2, 1, map[string]uint64{"qos": 6, "dup": 8, "retain": 1}[name]
		}
	case "topic-length":
		if publish && len(body) >= 2 {
			return 0, 2, 0
		}
	case "topic":
		if publish && len(body) >= 2 {
			return 2, topic, 0
		}
	case "id":
		if hasID(h) && len(body) >= id+2 {
			return id, 2, 0
		}
	case "property-length":
		if v >= mqtt.V5 && publish && len(body) > behind {
			return behind, 1, 0
		}
	case "code":
		return locateCode(h.Type, body, v)
	case "payload":
		if publish && len(body) >= behind {
			at := behind
			if v >= mqtt.V5 {
				at = behindProperties(body, behind)
			}
			return at, len(body) - at, 0
		}
	}
	return 0, -1, 0
}

// behindProperties is the offset behind the properties at an offset.
func behindProperties(body []byte, at int) int {
	n, shift := 0, 0
	for at < len(body) && shift < 28 {
		n |= int(body[at]&0x7f) << shift
		shift += 7
		at++
		if body[at-1] < 0x80 {
			break
		}
	}
	return min(at+n, len(body))
}

func locateCode(t mqtt.Type, body []byte, v mqtt.Version) (at, n int, mask uint64) {
	at = -1
	switch t {
	case mqtt.TypeConnack:
		at = 1
	case mqtt.TypePuback, mqtt.TypePubrec, mqtt.TypePubrel, mqtt.TypePubcomp:
		at = 2
	case mqtt.TypeDisconnect, mqtt.TypeAuth:
		at = 0
	case mqtt.TypeSuback, mqtt.TypeUnsuback:
		at = len(body) - 1
		if at < 2 || t == mqtt.TypeUnsuback && v < mqtt.V5 {
			at = -1
		}
	}
	if at < 0 || at >= len(body) {
		return 0, -1, 0
	}
	return at, 1, 0
}

// hasID tells whether packets of that header have an identifier.
func hasID(h mqtt.Header) bool {
	switch h.Type {
	case mqtt.TypePublish:
		return h.Flags>>1&3 != 0
	case mqtt.TypePuback, mqtt.TypePubrec, mqtt.TypePubrel, mqtt.TypePubcomp,
		mqtt.TypeSubscribe, mqtt.TypeSuback, mqtt.TypeUnsubscribe, mqtt.TypeUnsuback:
		return true
	}
	return false
}

// varint is the shortest form of a remaining length.
func varint(n uint64) []byte {
	var b []byte
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}
