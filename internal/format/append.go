package format

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// A PayloadError is a payload that the format cannot show.
type PayloadError struct {
	Topic  string
	Reason string // "is not valid JSON"
}

func (e *PayloadError) Error() string {
	return fmt.Sprintf("payload on topic %q %s", e.Topic, e.Reason)
}

// Append appends m to dst. An error is a *PayloadError and concerns the first
// part that cannot be shown; dst holds the other parts all the same.
func (f *Format) Append(dst []byte, m *Message) ([]byte, error) {
	var first error
	for i := range f.items {
		switch it := &f.items[i]; {
		case it.part != 0:
			var err error
			if dst, err = it.append(dst, m, &f.opts); err != nil && first == nil {
				first = err
			}
		case it.time != 0:
			dst = appendTime(dst, m.Arrived, it.time)
		default:
			dst = append(dst, it.literal...)
		}
	}
	return dst, first
}

func appendTime(dst []byte, t time.Time, c byte) []byte {
	if c == 'N' {
		return appendPadded(dst, int64(t.Nanosecond()), 9, '0')
	}
	return appendStrftime(dst, t, c)
}

func (it *item) append(dst []byte, m *Message, o *Options) ([]byte, error) {
	switch it.part {
	case 't':
		return it.text(dst, m.Topic), nil
	case 'p':
		return it.payload(dst, m.readable()), nil
	case 'x', 'X':
		return it.hex(dst, m.Payload, o.Dialect), nil
	case 'l':
		return it.number(dst, int64(len(m.Payload))), nil
	case 'q':
		return append(dst, '0'+m.QoS), nil
	case 'r':
		if m.Retain {
			return append(dst, '1'), nil
		}
		return append(dst, '0'), nil
	case 'm':
		return it.number(dst, int64(m.PacketID)), nil
	case 'j':
		return appendObject(dst, m, o, false)
	case 'J':
		return appendObject(dst, m, o, true)
	case 'I':
		return it.text(dst, m.Arrived.Format("2006-01-02T15:04:05-0700")), nil
	case 'U':
		dst = append(strconv.AppendInt(dst, m.Arrived.Unix(), 10), '.')
		return appendPadded(dst, int64(m.Arrived.Nanosecond()), 9, '0'), nil
	case 'f', 'd':
		return it.float(dst, m)
	case 'P':
		return appendUserProperties(dst, m.Properties), nil
	}
	return it.property(dst, m.Properties), nil
}

// propertyOf names the property behind a letter.
func propertyOf(part byte) mqtt.PropertyID {
	switch part {
	case 'A':
		return mqtt.PropTopicAlias
	case 'C':
		return mqtt.PropContentType
	case 'D':
		return mqtt.PropCorrelationData
	case 'E':
		return mqtt.PropMessageExpiryInterval
	case 'F':
		return mqtt.PropPayloadFormat
	case 'R':
		return mqtt.PropResponseTopic
	}
	return mqtt.PropSubscriptionIdentifier
}

// property fills the width when the message does not have it.
func (it *item) property(dst []byte, p mqtt.Properties) []byte {
	id := propertyOf(it.part)
	if !p.Has(id) {
		if it.part == 'D' {
			return dst
		}
		return pad(dst, it.width, it.padding())
	}
	switch it.part {
	case 'C', 'R':
		s, _ := p.Bytes(id)
		return it.text(dst, s)
	case 'D':
		s, _ := p.Bytes(id)
		return append(dst, s...)
	}
	n, _ := p.Uint32(id)
	return it.number(dst, int64(n))
}

func appendUserProperties(dst []byte, p mqtt.Properties) []byte {
	first := true
	for q := range p.All() {
		if q.ID != mqtt.PropUserProperty {
			continue
		}
		if !first {
			dst = append(dst, ' ')
		}
		first = false
		dst = append(dst, q.Bytes...)
		dst = append(dst, ':')
		dst = append(dst, q.Value...)
	}
	return dst
}

// text fits a string as printf's %s does: cut to precision, filled up to width
// with blanks.
func (it *item) text(dst []byte, s any) []byte {
	start := len(dst)
	switch s := s.(type) {
	case string:
		dst = append(dst, s...)
	case []byte:
		dst = append(dst, s...)
	}
	if it.precision >= 0 && len(dst)-start > it.precision {
		dst = dst[:start+it.precision]
	}
	return it.fill(dst, start, ' ')
}

// number fits a number as printf's %d does without precision.
func (it *item) number(dst []byte, n int64) []byte {
	start := len(dst)
	dst = strconv.AppendInt(dst, n, 10)
	return it.fill(dst, start, it.padding())
}

// payload takes the width for a maximum as well.
func (it *item) payload(dst, p []byte) []byte {
	if it.width > 0 && len(p) > it.width {
		p = p[:it.width]
	}
	start := len(dst)
	dst = append(dst, p...)
	return it.fill(dst, start, it.padding())
}

func (it *item) hex(dst, p []byte, d Dialect) []byte {
	if it.width > 0 {
		p = p[:min(len(p), it.width)]
		if d == V20 {
			p = p[:len(p)/2]
		}
	}
	digits := "0123456789abcdef"
	if it.part == 'X' {
		digits = "0123456789ABCDEF"
	}
	start := len(dst)
	for i, b := range p {
		if i > 0 && d == V21 && it.precision > 0 && 2*i%it.precision == 0 {
			dst = append(dst, it.separator)
		}
		dst = append(dst, digits[b>>4], digits[b&15])
	}
	return it.fill(dst, start, it.padding())
}

// float shows a payload that is one number in the machine's byte order.
func (it *item) float(dst []byte, m *Message) ([]byte, error) {
	var v float64
	switch {
	case it.part == 'f' && len(m.Payload) == 4:
		v = float64(math.Float32frombits(binary.NativeEndian.Uint32(m.Payload)))
	case it.part == 'd' && len(m.Payload) == 8:
		v = math.Float64frombits(binary.NativeEndian.Uint64(m.Payload))
	case it.part == 'f':
		return dst, &PayloadError{m.Topic, fmt.Sprintf("has %d bytes, a float has 4", len(m.Payload))}
	default:
		return dst, &PayloadError{m.Topic, fmt.Sprintf("has %d bytes, a double has 8", len(m.Payload))}
	}
	precision := it.precision
	if precision < 0 {
		precision = 6
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, v, 'f', precision, 64)
	return it.fill(dst, start, it.padding()), nil
}

// padding is the character that fills up on the left.
func (it *item) padding() byte {
	if it.zero {
		return '0'
	}
	return ' '
}

// fill brings what dst holds from start on to the width: with blanks on the
// right, or with c on the left.
func (it *item) fill(dst []byte, start int, c byte) []byte {
	n := it.width - (len(dst) - start)
	if n <= 0 {
		return dst
	}
	if it.left {
		return pad(dst, n, ' ')
	}
	dst = pad(dst, n, c)
	copy(dst[start+n:], dst[start:len(dst)-n])
	for i := range n {
		dst[start+i] = c
	}
	return dst
}

func pad(dst []byte, n int, c byte) []byte {
	for range n {
		dst = append(dst, c)
	}
	return dst
}

func appendPadded(dst []byte, n int64, width int, c byte) []byte {
	it := item{field: field{width: width}}
	start := len(dst)
	return it.fill(strconv.AppendInt(dst, n, 10), start, c)
}
