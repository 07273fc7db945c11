package format

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// appendObject appends the JSON object that %j and %J stand for; embed puts
// the payload in as JSON instead of as a string.
func appendObject(dst []byte, m *Message, o *Options, embed bool) ([]byte, error) {
	start := len(dst)
	w := &jsonWriter{buf: dst, pretty: o.Pretty, exact: o.Exact}
	w.open('{')
	w.key("tst")
	w.raw(m.Arrived.AppendFormat(nil, tstLayout(o.Dialect)))
	w.key("topic")
	w.text([]byte(m.Topic))
	w.key("qos")
	w.number(uint64(m.QoS))
	w.key("retain")
	switch {
	case o.Dialect == V21:
		w.raw(strconv.AppendBool(nil, m.Retain))
	case m.Retain:
		w.number(1)
	default:
		w.number(0)
	}
	w.key("payloadlen")
	w.number(uint64(len(m.Payload)))
	if m.QoS > 0 {
		w.key("mid")
		w.number(uint64(m.PacketID))
	}
	if len(m.Properties) > 0 {
		w.key("properties")
		w.properties(m.Properties, o.Dialect)
	}
	w.key("payload")
	payload := m.readable()
	if embed && m.decoded() {
		payload = m.Decoded.Value
	}
	switch {
	case len(payload) == 0:
		w.raw([]byte("null"))
	case !embed:
		w.text(payload)
	default:
		if !json.Valid(payload) {
			return dst[:start], &PayloadError{m.Topic, "is not valid JSON"}
		}
		w.value(&scanner{b: payload})
	}
	w.close('}')
	return w.buf, nil
}

func tstLayout(d Dialect) string {
	if d == V20 {
		return `"2006-01-02T15:04:05.000000Z-0700"`
	}
	return `"2006-01-02T15:04:05.000000-0700"`
}

// jsonWriter writes compact JSON, or spread over lines as mosquitto does:
// a line and a tab per member of an object, arrays in one line.
type jsonWriter struct {
	buf    []byte
	pretty bool
	exact  bool
	depth  int
	first  bool // nothing in the current container yet
}

func (w *jsonWriter) open(c byte) {
	w.buf = append(w.buf, c)
	w.depth++
	w.first = true
	if c == '{' && w.pretty {
		w.buf = append(w.buf, '\n')
	}
}

func (w *jsonWriter) close(c byte) {
	w.depth--
	if c == '}' && w.pretty {
		if !w.first {
			w.buf = append(w.buf, '\n')
		}
		w.indent()
	}
	w.buf = append(w.buf, c)
	w.first = false
}

func (w *jsonWriter) indent() {
	for range w.depth {
		w.buf = append(w.buf, '\t')
	}
}

// key begins a member of an object.
func (w *jsonWriter) key(name string) {
	w.member()
	w.text([]byte(name))
	w.colon()
}

// member separates a member from the one before it.
func (w *jsonWriter) member() {
	if !w.first {
		w.buf = append(w.buf, ',')
		if w.pretty {
			w.buf = append(w.buf, '\n')
		}
	}
	w.first = false
	if w.pretty {
		w.indent()
	}
}

func (w *jsonWriter) colon() {
	w.buf = append(w.buf, ':')
	if w.pretty {
		w.buf = append(w.buf, '\t')
	}
}

// element begins an element of an array.
func (w *jsonWriter) element() {
	if !w.first {
		w.buf = append(w.buf, ',')
		if w.pretty {
			w.buf = append(w.buf, ' ')
		}
	}
	w.first = false
}

func (w *jsonWriter) raw(b []byte)    { w.buf = append(w.buf, b...) }
func (w *jsonWriter) number(n uint64) { w.buf = strconv.AppendUint(w.buf, n, 10) }

// text writes a string. mosquitto ends it at NUL and copies what is not UTF-8.
func (w *jsonWriter) text(s []byte) {
	if w.exact {
		if i := bytes.IndexByte(s, 0); i >= 0 {
			s = s[:i]
		}
	}
	w.buf = append(w.buf, '"')
	for len(s) > 0 {
		c := s[0]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(s)
			if r == utf8.RuneError && n == 1 && !w.exact {
				w.buf = append(w.buf, "\uFFFD"...)
			} else {
				w.buf = append(w.buf, s[:n]...)
			}
			s = s[n:]
			continue
		}
		w.buf = appendEscaped(w.buf, c)
		s = s[1:]
	}
	w.buf = append(w.buf, '"')
}

func appendEscaped(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	if c >= ' ' {
		return append(dst, c)
	}
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
}

// properties writes them in order, all user properties where the first is.
func (w *jsonWriter) properties(p mqtt.Properties, d Dialect) {
	w.open('{')
	users := false
	for q := range p.All() {
		if q.ID == mqtt.PropUserProperty {
			if !users {
				w.userProperties(p, d)
			}
			users = true
			continue
		}
		w.key(q.ID.String())
		switch q.ID.Wire() {
		case mqtt.WireBytes, mqtt.WireString:
			w.text(q.Bytes)
		default:
			w.number(uint64(q.Num))
		}
	}
	w.close('}')
}

func (w *jsonWriter) userProperties(p mqtt.Properties, d Dialect) {
	w.key("user-properties")
	if d == V20 {
		w.open('{')
	} else {
		w.open('[')
	}
	for q := range p.All() {
		if q.ID != mqtt.PropUserProperty {
			continue
		}
		if d == V21 {
			w.element()
			w.open('{')
		}
		w.key(string(q.Bytes))
		w.text(q.Value)
		if d == V21 {
			w.close('}')
		}
	}
	if d == V20 {
		w.close('}')
	} else {
		w.close(']')
	}
}
