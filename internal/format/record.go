package format

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/message"
)

// AppendRecord appends m as one JSON object that loses nothing: compact, or
// spread over lines. Its members, in this order:
//
//	time        arrival, RFC 3339 with nanoseconds and zone
//	topic, qos
//	retain      unless it is not known
//	mid         packet identifier, above QoS 0 only
//	properties  of MQTT 5.0, if there are any, by the names of option -D;
//	            correlation-data is an object of encoding and data,
//	            user-properties a list of objects of name and value, in order
//	size        of the payload in bytes
//	encoding    "text", "json" or "base64"
//	payload     a string, the JSON value with every digit as it came, or base64
//
// Only a payload that is valid UTF-8 is text or JSON.
func AppendRecord(dst []byte, m *Message, pretty bool) []byte {
	w := &jsonWriter{buf: dst, pretty: pretty}
	w.open('{')
	w.key("time")
	w.raw(m.Arrived.AppendFormat(nil, `"`+time.RFC3339Nano+`"`))
	w.key("topic")
	w.text([]byte(m.Topic))
	w.key("qos")
	w.number(uint64(m.QoS))
	if !m.Unflagged {
		w.key("retain")
		w.raw(strconv.AppendBool(nil, m.Retain))
	}
	if m.QoS > 0 {
		w.key("mid")
		w.number(uint64(m.PacketID))
	}
	w.content(m.Properties, m.Payload)
	w.close('}')
	return w.buf
}

// AppendStored appends a message that is kept somewhere as one compact JSON
// object that loses nothing. Its members are those of AppendRecord, but that
// time is when it was published and that there is no mid, and before the
// properties, where there are such:
//
//	expires    when its expiry interval has passed, as time
//	publisher  client identifier
//	owner      the identity that published it
func AppendStored(dst []byte, m *message.Message) []byte {
	w := &jsonWriter{buf: dst}
	w.open('{')
	w.key("time")
	w.raw(m.Published.AppendFormat(nil, `"`+time.RFC3339Nano+`"`))
	w.key("topic")
	w.text([]byte(m.Topic))
	w.key("qos")
	w.number(uint64(m.QoS))
	w.key("retain")
	w.raw(strconv.AppendBool(nil, m.Retain))
	if !m.Expires.IsZero() {
		w.key("expires")
		w.raw(m.Expires.AppendFormat(nil, `"`+time.RFC3339Nano+`"`))
	}
	for _, who := range []struct{ key, name string }{{"publisher", m.Publisher}, {"owner", m.Owner}} {
		if who.name != "" {
			w.key(who.key)
			w.text([]byte(who.name))
		}
	}
	w.content(m.Properties, m.Payload)
	w.close('}')
	return w.buf
}

// content writes the last members of a record.
func (w *jsonWriter) content(p mqtt.Properties, payload []byte) {
	if len(p) > 0 {
		w.key("properties")
		w.recordProperties(p)
	}
	w.key("size")
	w.number(uint64(len(payload)))
	w.encoded("payload", payload, true)
}

// encoded writes two members: how data is encoded, and data.
func (w *jsonWriter) encoded(name string, data []byte, embed bool) {
	w.key("encoding")
	switch {
	case !utf8.Valid(data):
		w.raw([]byte(`"base64"`))
		w.key(name)
		w.buf = append(w.buf, '"')
		w.buf = base64.StdEncoding.AppendEncode(w.buf, data)
		w.buf = append(w.buf, '"')
	case embed && json.Valid(data):
		w.raw([]byte(`"json"`))
		w.key(name)
		if w.pretty {
			w.value(&scanner{b: data})
			return
		}
		out := bytes.NewBuffer(w.buf)
		_ = json.Compact(out, data) // valid, so it cannot fail
		w.buf = out.Bytes()
	default:
		w.raw([]byte(`"text"`))
		w.key(name)
		w.text(data)
	}
}

func (w *jsonWriter) recordProperties(p mqtt.Properties) {
	w.open('{')
	users, ids := false, false
	for q := range p.All() {
		switch q.ID {
		case mqtt.PropUserProperty:
			if !users {
				w.userList(p)
			}
			users = true
			continue
		case mqtt.PropSubscriptionIdentifier:
			if !ids {
				w.subscriptionIDs(p)
			}
			ids = true
			continue
		}
		w.key(q.ID.String())
		switch q.ID.Wire() {
		case mqtt.WireString:
			w.text(q.Bytes)
		case mqtt.WireBytes:
			w.open('{')
			w.encoded("data", q.Bytes, false)
			w.close('}')
		default:
			w.number(uint64(q.Num))
		}
	}
	w.close('}')
}

func (w *jsonWriter) userList(p mqtt.Properties) {
	w.key("user-properties")
	w.open('[')
	for q := range p.All() {
		if q.ID == mqtt.PropUserProperty {
			w.element()
			w.open('{')
			w.key("name")
			w.text(q.Bytes)
			w.key("value")
			w.text(q.Value)
			w.close('}')
		}
	}
	w.close(']')
}

// subscriptionIDs are a list, because a message may match several.
func (w *jsonWriter) subscriptionIDs(p mqtt.Properties) {
	w.key("subscription-identifiers")
	w.open('[')
	for q := range p.All() {
		if q.ID == mqtt.PropSubscriptionIdentifier {
			w.element()
			w.number(uint64(q.Num))
		}
	}
	w.close(']')
}
