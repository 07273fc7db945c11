package fault

import (
	"errors"
	"slices"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/selector"
)

// sides is a set of directions.
type sides uint8

const bothSides sides = 1<<proxy.ToServer | 1<<proxy.ToClient

func (s sides) has(d proxy.Direction) bool { return s&(1<<d) != 0 }

// types is a set of packet types.
type types uint16

const allTypes = ^types(0)

func (t types) has(p mqtt.Type) bool { return t&(1<<(p&15)) != 0 }

// whereMistake is an error of the selector, whose text begins at a column.
func whereMistake(column int, err error) *Mistake {
	m := &Mistake{Column: column, Text: err.Error()}
	if e := (*selector.Error)(nil); errors.As(err, &e) {
		m.Column, m.Text, m.Hint = column+e.Column-1, e.Reason, e.Hint
	}
	return m
}

// reach is the directions and types that an expression can match, as far as its words
// say so by themselves in a row of terms.
func reach(e *selector.Expr) (sides, types) {
	words, err := splitWords(e.String())
	if err != nil {
		return bothSides, allTypes
	}
	directions, kinds := sides(0), types(0)
	for _, w := range words {
		switch w.text {
		case "c2s", "direction=c2s":
			directions |= 1 << proxy.ToServer
		case "s2c", "direction=s2c":
			directions |= 1 << proxy.ToClient
		case "or", "OR", "Or", "oR", "||", "not", "NOT", "!":
			return bothSides, allTypes
		}
		for t := mqtt.TypeConnect; t <= mqtt.TypeAuth; t++ {
			if w.text == t.String() {
				kinds |= 1 << t
			}
		}
		operator := strings.ContainsAny(w.text[:1], "=<>~") || strings.ContainsAny(w.text[len(w.text)-1:], "=<>~")
		if operator || strings.ContainsAny(w.text, "()!|&") { // "topic = c2s" is about a topic
			return bothSides, allTypes
		}
	}
	if directions == 0 {
		directions = bothSides
	}
	if kinds == 0 {
		kinds = allTypes
	}
	return directions, kinds
}

// ofConnection are the names that need no packet.
var ofConnection = []string{"direction", "client", "user", "version", "protocol", "address", "connection"}

// ofPacket are the names that packets have beside their properties.
var ofPacket = []string{
	"type", "topic", "filter", "qos", "id", "retain", "dup", "payload", "size", "remaining-length", "code", "clean-start",
	"session-present", "keep-alive", "will", "will-topic", "will-payload", "will-qos", "will-retain", "error",
}

// unknownName finds the first name that nothing is called.
func unknownName(e *selector.Expr) string {
	for _, n := range e.Names() {
		_, property := mqtt.PropertyByName(n)
		if !property && !slices.Contains(ofConnection, n) && !slices.Contains(ofPacket, n) {
			return n
		}
	}
	return ""
}

// UnknownType finds the first type that no packet of MQTT has, "" if there is none.
func UnknownType(e *selector.Expr) string {
	names := typeNames()
	for _, t := range e.Types() {
		if !slices.Contains(names, strings.ToUpper(t)) {
			return t
		}
	}
	return ""
}

// typeNames are the types of MQTT.
func typeNames() []string {
	var names []string
	for t := mqtt.TypeConnect; t <= mqtt.TypeAuth; t++ {
		names = append(names, t.String())
	}
	return names
}

// withoutPacket tells whether an expression asks for the connection only.
func withoutPacket(e *selector.Expr) bool {
	return e == nil || !slices.ContainsFunc(e.Names(), func(n string) bool { return !slices.Contains(ofConnection, n) })
}

// view is a packet, or a connection by itself, as a selector sees it. It reads the
// packet when it is first asked for something in it.
type view struct {
	conn  *proxy.Conn
	frame proxy.Frame // without bytes: none
	topic []byte      // what a topic alias stands for

	parsed bool
	packet mqtt.Packet
	err    error
	room   [4]selector.Value
}

// read parses the packet.
func (v *view) read() mqtt.Packet {
	if !v.parsed && len(v.frame.Bytes) > 0 {
		v.packet, v.err = readPacket(v.conn, v.frame)
	}
	v.parsed = true
	return v.packet
}

// readPacket parses a frame leniently.
func readPacket(c *proxy.Conn, f proxy.Frame) (mqtt.Packet, error) {
	p, _, err := mqtt.Parse(f.Bytes, mqtt.Options{Version: c.Version, Lenient: true, FromServer: f.Direction == proxy.ToClient})
	return p, err
}

// Lookup implements selector.Subject.
func (v *view) Lookup(name string) []selector.Value {
	out := v.room[:0]
	switch name {
	case "direction":
		return append(out, selector.Text(v.frame.Direction.String()))
	case "client":
		return append(out, selector.Text(v.conn.ClientID))
	case "user":
		return append(out, selector.Text(v.conn.Username))
	case "version":
		return append(out, selector.Text(v.conn.Version.String()), selector.Int(int64(v.conn.Version)))
	case "protocol":
		return append(out, selector.Text("mqtt"))
	case "address":
		return append(out, selector.Text(v.conn.Client.Peer()), selector.Text(v.conn.Client.Remote.Addr().String()))
	case "connection":
		return append(out, selector.Uint(v.conn.Number))
	}
	if len(v.frame.Bytes) == 0 {
		return nil
	}
	switch name {
	case "type":
		return append(out, selector.Text(v.frame.Header.Type.String()))
	case "size":
		return append(out, selector.Int(int64(len(v.frame.Bytes))))
	case "remaining-length":
		return append(out, selector.Int(int64(v.frame.Header.Remaining)))
	case "qos", "retain", "dup":
		if v.frame.Header.Type == mqtt.TypePublish {
			return v.flags(name, out)
		}
	case "error":
		if v.read(); v.err != nil {
			return append(out, selector.Text(v.err.Error()))
		}
		return nil
	}
	return v.field(name, out)
}

// flags are those of PUBLISH.
func (v *view) flags(name string, out []selector.Value) []selector.Value {
	f := v.frame.Header.Flags
	switch name {
	case "qos":
		return append(out, selector.Int(int64(f>>1&3)))
	case "retain":
		return append(out, selector.Bool(f&1 != 0))
	}
	return append(out, selector.Bool(f&8 != 0))
}

// field is what stands in the body.
func (v *view) field(name string, out []selector.Value) []selector.Value {
	p := v.read()
	if p == nil {
		return nil
	}
	if id, ok := mqtt.PropertyByName(name); ok {
		return properties(p, id, out)
	}
	if c, ok := p.(mqtt.Connect); ok {
		return connectField(&c, name, out)
	}
	if c, ok := p.(mqtt.Connack); ok && name == "session-present" {
		return append(out, selector.Bool(c.SessionPresent))
	}
	var d draft
	switch p.(type) {
	case mqtt.Publish, mqtt.Subscribe, mqtt.Unsubscribe:
		d.load(p)
	default:
		d.load(p)
		if name == "code" {
			for _, c := range d.codes {
				out = append(out, selector.Int(int64(c)), selector.Text(c.Name(p.Type(), v.conn.Version)))
			}
			return out
		}
	}
	switch name {
	case "id":
		if d.id != 0 {
			return append(out, selector.Int(int64(d.id)))
		}
	case "filter":
		for _, f := range d.filters {
			out = append(out, selector.Text(f.Filter))
		}
		return out
	case "qos":
		for _, f := range d.filters {
			out = append(out, selector.Int(int64(f.QoS)))
		}
		return out
	case "topic":
		if p.Type() == mqtt.TypePublish && len(d.topic) > 0 {
			return append(out, selector.Text(string(d.topic)))
		} else if v.topic != nil {
			return append(out, selector.Text(string(v.topic)))
		}
	case "payload":
		if p.Type() == mqtt.TypePublish {
			return append(out, selector.Bytes(d.payload))
		}
	}
	return nil
}

func connectField(c *mqtt.Connect, name string, out []selector.Value) []selector.Value {
	switch name {
	case "keep-alive":
		return append(out, selector.Int(int64(c.KeepAlive)))
	case "clean-start":
		return append(out, selector.Bool(c.CleanStart))
	}
	w := c.Will
	if w == nil {
		return nil
	}
	switch name {
	case "will":
		return append(out, selector.Bool(true))
	case "will-topic":
		return append(out, selector.Text(w.Topic))
	case "will-payload":
		return append(out, selector.Bytes(w.Payload))
	case "will-qos":
		return append(out, selector.Int(int64(w.QoS)))
	case "will-retain":
		return append(out, selector.Bool(w.Retain))
	}
	return nil
}

// properties are the values of a property of p.
func properties(p mqtt.Packet, id mqtt.PropertyID, out []selector.Value) []selector.Value {
	d := draft{}
	d.load(p)
	for q := range d.props.All() {
		if q.ID != id {
			continue
		}
		switch id.Wire() {
		case mqtt.WireString:
			out = append(out, selector.Text(string(q.Bytes)))
		case mqtt.WireBytes:
			out = append(out, selector.Bytes(q.Bytes))
		case mqtt.WirePair:
			out = append(out, selector.Text(string(q.Bytes)+":"+string(q.Value)), selector.Text(string(q.Bytes)))
		default:
			out = append(out, selector.Int(int64(q.Num)))
		}
	}
	return out
}
