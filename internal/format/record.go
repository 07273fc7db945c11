package format

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
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
//	raw         JSON as it came, where programs that read payload and write it
//	            again would not write the same: blanks, repeated members, 1.0
//
// Only a payload that is valid UTF-8 is text or JSON. One that is nested more than
// maxEmbedded deep or has half of a surrogate pair is text, even if it is valid
// JSON: jq ends at such input. Behind them stand what m.Decoded has of format,
// value, notation, notes and problem.
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
	if m.Decoded != nil {
		w.decoded(m.Decoded)
	}
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
	if utf8.Valid(payload) && json.Valid(payload) {
		if depth, plain := inspect(payload); depth <= maxEmbedded && (plain || halfPair(payload) < 0) {
			w.embedded(payload, plain)
			return
		}
	}
	w.encoded("payload", payload)
}

// embedded writes a payload that is JSON, and keeps its text if it is not plain.
func (w *jsonWriter) embedded(payload []byte, plain bool) {
	w.key("encoding")
	w.raw([]byte(`"json"`))
	w.key("payload")
	if plain && !w.pretty {
		w.raw(payload)
		return
	}
	w.json(payload)
	if !plain {
		w.key("raw")
		w.text(payload)
	}
}

// decoded writes what a codec has made of the payload.
func (w *jsonWriter) decoded(d *Decoded) {
	problem := d.Problem
	w.label("format", d.Format)
	if deep, _ := inspect(d.Value); deep > maxEmbedded {
		problem = fmt.Sprintf("the value is more than %d levels deep", maxEmbedded)
	} else if halfPair(d.Value) >= 0 {
		problem = "the value has half of a surrogate pair"
	} else if d.Value != nil {
		w.key("value")
		w.json(d.Value)
	}
	w.label("notation", d.Notation)
	if len(d.Notes) > 0 {
		w.key("notes")
		w.open('[')
		for _, n := range d.Notes {
			w.element()
			w.text([]byte(n))
		}
		w.close(']')
	}
	w.label("problem", problem)
}

// label writes a member that is left out when it is empty.
func (w *jsonWriter) label(name, text string) {
	if text != "" {
		w.key(name)
		w.text([]byte(text))
	}
}

// json writes valid JSON.
func (w *jsonWriter) json(b []byte) {
	if w.pretty {
		w.value(&scanner{b: b})
		return
	}
	out := bytes.NewBuffer(w.buf)
	_ = json.Compact(out, b) // valid, so it cannot fail
	w.buf = out.Bytes()
}

// encoded writes two members: how data is encoded, and data.
func (w *jsonWriter) encoded(name string, data []byte) {
	w.key("encoding")
	if utf8.Valid(data) {
		w.raw([]byte(`"text"`))
		w.key(name)
		w.text(data)
		return
	}
	w.raw([]byte(`"base64"`))
	w.key(name)
	w.buf = append(w.buf, '"')
	w.buf = base64.StdEncoding.AppendEncode(w.buf, data)
	w.buf = append(w.buf, '"')
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
			w.encoded("data", q.Bytes)
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
