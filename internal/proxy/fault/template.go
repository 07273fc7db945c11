package fault

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

// Template is a packet that a rule writes: bytes, or a type and fields.
//
//	PUBLISH topic=a/b qos=1 payload=hello message-expiry-interval=60
//	PUBACK id=7 code=quota-exceeded
//	SUBACK code=0,1,0x80
//	c0 00
//
// A packet that replaces one of its own type keeps the fields that are not given;
// id=same is the identifier of the packet that it stands for.
type Template struct {
	Raw       []byte // instead of all below
	Type      mqtt.Type
	Direction proxy.Direction
	Turned    bool // Direction was given
	SameID    bool

	settings []setting
}

type setting struct {
	name, value string
	column      int
}

func parsePacket(a *Action, args []word, at int) *Mistake {
	t := &Template{}
	a.Packet = t
	if len(args) > 0 && a.Name == "inject" && (args[0].text == "c2s" || args[0].text == "s2c") {
		t.Turned = true
		if args[0].text == "s2c" {
			t.Direction = proxy.ToClient
		}
		at = endOf(args[:1], at) + 1
		args = args[1:]
	}
	if len(args) == 0 {
		return mistakef(at, "", "%s which packet?", a.Name)
	}
	name := strings.ToUpper(args[0].text)
	for typ := mqtt.TypeConnect; typ <= mqtt.TypeAuth; typ++ {
		if typ.String() == name {
			t.Type = typ
		}
	}
	if t.Type == 0 {
		return t.parseHex(args)
	}
	return t.parseFields(args[1:])
}

func (t *Template) parseHex(args []word) *Mistake {
	for _, w := range args {
		b, err := hex.DecodeString(strings.TrimPrefix(strings.ReplaceAll(w.text, ":", ""), "0x"))
		if err != nil {
			return mistakef(w.column, "PUBACK id=7, or 40020007", "%q is neither a type of packet nor hexadecimal", w.text)
		}
		t.Raw = append(t.Raw, b...)
	}
	return nil
}

func (t *Template) parseFields(args []word) *Mistake {
	for _, w := range args {
		name, value, column, ok := w.pair()
		if !ok {
			value = "yes" // of retain, dup
		}
		if name == "id" && value == "same" {
			t.SameID = true
			continue
		}
		s := setting{name, value, column}
		if !ok {
			s.column = w.column
		}
		d := draft{typ: t.Type}
		if err := d.set(s); err != nil {
			hint := ""
			if errors.Is(err, errNoField) {
				hint = "fields of " + t.Type.String() + ": " + strings.Join(fieldsOf(t.Type), ", ") + ", properties"
			}
			return mistakef(s.column, hint, "%s: %v", name, err)
		}
		t.settings = append(t.settings, s)
	}
	if _, err := t.build(mqtt.V5, nil); err != nil {
		return mistakef(1, "", "%v", err)
	}
	return nil
}

// hasID tells whether the template names its packet identifier.
func (t *Template) hasID() bool {
	return t.SameID || slices.ContainsFunc(t.settings, func(s setting) bool { return s.name == "id" })
}

// Build makes the packet for a connection of version v. like is the packet at which
// it happens, nil for none.
func (t *Template) Build(v mqtt.Version, like mqtt.Packet) ([]byte, error) {
	if t.Type == 0 {
		return t.Raw, nil
	}
	return t.build(v, like)
}

func (t *Template) build(v mqtt.Version, like mqtt.Packet) ([]byte, error) {
	d := draft{typ: t.Type}
	if like != nil {
		other := draft{}
		other.load(like)
		if like.Type() == t.Type {
			d = other
		} else if t.SameID {
			d.id = other.id
		}
	}
	for _, s := range t.settings {
		if err := d.set(s); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return d.packet().Append(nil, v)
}

// draft has the fields of all packets.
type draft struct {
	typ      mqtt.Type
	id       uint16
	topic    []byte
	payload  []byte
	qos      uint8
	retain   bool
	dup      bool
	present  bool // session present
	filters  []mqtt.Subscription
	codes    []mqtt.ReasonCode
	props    mqtt.Properties
	connect  mqtt.Connect
	replaced map[string]bool // lists that a setting has begun anew
}

var errNoField = errors.New("no field of this packet")

// fieldsOf lists the fields of a packet, beside properties.
func fieldsOf(t mqtt.Type) []string {
	switch t {
	case mqtt.TypeConnect:
		return []string{"client", "user", "password", "keep-alive", "clean-start"}
	case mqtt.TypeConnack:
		return []string{"code", "session-present"}
	case mqtt.TypePublish:
		return []string{"topic", "payload", "payload-hex", "qos", "retain", "dup", "id"}
	case mqtt.TypeSubscribe:
		return []string{"filter", "qos", "id"}
	case mqtt.TypeUnsubscribe:
		return []string{"filter", "id"}
	case mqtt.TypePingreq, mqtt.TypePingresp:
		return nil
	case mqtt.TypeDisconnect, mqtt.TypeAuth:
		return []string{"code"}
	}
	return []string{"id", "code"}
}

func (d *draft) set(s setting) error {
	if !slices.Contains(fieldsOf(d.typ), s.name) {
		return d.property(s)
	}
	var err error
	switch s.name {
	case "id":
		d.id, err = number[uint16](s.value, 1, math.MaxUint16)
	case "topic":
		d.topic = []byte(s.value)
	case "payload":
		d.payload = []byte(s.value)
	case "payload-hex":
		d.payload, err = hex.DecodeString(s.value)
	case "qos":
		d.qos, err = number[uint8](s.value, 0, 2)
		for i := range d.filters {
			d.filters[i].QoS = d.qos
		}
	case "retain":
		d.retain, err = yes(s.value)
	case "dup":
		d.dup, err = yes(s.value)
	case "session-present":
		d.present, err = yes(s.value)
	case "filter":
		if d.begins(s.name) {
			d.filters = nil
		}
		d.filters = append(d.filters, mqtt.Subscription{Filter: s.value, QoS: d.qos})
	case "code":
		d.codes = nil
		for c := range strings.SplitSeq(s.value, ",") {
			code, ok := codeOf(c)
			if !ok {
				return fmt.Errorf("%q is no reason code", c)
			}
			d.codes = append(d.codes, code)
		}
	case "client":
		d.connect.ClientID = s.value
	case "user":
		d.connect.Username, d.connect.HasUsername = s.value, true
	case "password":
		d.connect.Password, d.connect.HasPassword = []byte(s.value), true
	case "keep-alive":
		d.connect.KeepAlive, err = number[uint16](s.value, 0, math.MaxUint16)
	case "clean-start":
		d.connect.CleanStart, err = yes(s.value)
	}
	return err
}

// begins tells whether it is the first setting of a list, which replaces what was
// there.
func (d *draft) begins(name string) bool {
	if d.replaced[name] {
		return false
	}
	if d.replaced == nil {
		d.replaced = map[string]bool{}
	}
	d.replaced[name] = true
	return true
}

// property adds a property of MQTT 5.0, or replaces it.
func (d *draft) property(s setting) error {
	id, ok := mqtt.PropertyByName(s.name)
	if !ok {
		return errNoField
	}
	if !id.AllowedIn(mqtt.In(d.typ)) {
		return fmt.Errorf("no property of %v", d.typ)
	}
	if len(s.value) > mqtt.MaxFieldBytes {
		return mqtt.ErrTooLong
	}
	p := mqtt.Property{ID: id, Bytes: []byte(s.value)}
	var err error
	switch id.Wire() {
	case mqtt.WireByte:
		p.Num, err = number[uint32](s.value, 0, math.MaxUint8)
	case mqtt.WireUint16:
		p.Num, err = number[uint32](s.value, 0, math.MaxUint16)
	case mqtt.WireUint32:
		p.Num, err = number[uint32](s.value, 0, math.MaxUint32)
	case mqtt.WireVarint:
		p.Num, err = number[uint32](s.value, 0, mqtt.MaxRemaining)
	case mqtt.WirePair:
		name, value, ok := strings.Cut(s.value, ":")
		if !ok {
			return fmt.Errorf("name:value, and %q has no colon", s.value)
		}
		p.Bytes, p.Value = []byte(name), []byte(value)
	}
	if err != nil {
		return err
	}
	if !id.RepeatsIn(mqtt.In(d.typ)) {
		d.props = slices.Clone(d.props.Without(id))
	}
	d.props = slices.Clip(d.props).Append(p)
	return nil
}

// load takes the fields of a packet over.
func (d *draft) load(p mqtt.Packet) {
	d.typ = p.Type()
	switch p := p.(type) {
	case mqtt.Connect:
		d.connect, d.props = p, p.Properties
	case mqtt.Connack:
		d.present, d.codes, d.props = p.SessionPresent, []mqtt.ReasonCode{p.Code}, p.Properties
	case mqtt.Publish:
		d.topic, d.payload, d.qos, d.retain, d.dup, d.id = bytes.Clone(p.Topic), bytes.Clone(p.Payload), p.QoS, p.Retain, p.Dup, p.PacketID
		d.props = p.Properties
	case mqtt.Puback:
		d.ack(p)
	case mqtt.Pubrec:
		d.ack(mqtt.Puback(p))
	case mqtt.Pubrel:
		d.ack(mqtt.Puback(p))
	case mqtt.Pubcomp:
		d.ack(mqtt.Puback(p))
	case mqtt.Subscribe:
		d.id, d.filters, d.props = p.PacketID, p.Filters, p.Properties
	case mqtt.Suback:
		d.id, d.codes, d.props = p.PacketID, p.Codes, p.Properties
	case mqtt.Unsubscribe:
		d.id, d.props = p.PacketID, p.Properties
		for _, f := range p.Filters {
			d.filters = append(d.filters, mqtt.Subscription{Filter: f})
		}
	case mqtt.Unsuback:
		d.id, d.codes, d.props = p.PacketID, p.Codes, p.Properties
	case mqtt.Disconnect:
		d.codes, d.props = []mqtt.ReasonCode{p.Code}, p.Properties
	case mqtt.Auth:
		d.codes, d.props = []mqtt.ReasonCode{p.Code}, p.Properties
	}
}

func (d *draft) ack(p mqtt.Puback) {
	d.id, d.codes, d.props = p.PacketID, []mqtt.ReasonCode{p.Code}, p.Properties
}

func (d *draft) code() mqtt.ReasonCode {
	if len(d.codes) == 0 {
		return mqtt.Success
	}
	return d.codes[0]
}

// packet makes the packet of the fields.
func (d *draft) packet() mqtt.Packet {
	ack := mqtt.Puback{PacketID: d.id, Code: d.code(), Properties: d.props}
	switch d.typ {
	case mqtt.TypeConnect:
		d.connect.Properties = d.props
		return d.connect
	case mqtt.TypeConnack:
		return mqtt.Connack{SessionPresent: d.present, Code: d.code(), Properties: d.props}
	case mqtt.TypePublish:
		return mqtt.Publish{Topic: d.topic, Payload: d.payload, QoS: d.qos, Retain: d.retain, Dup: d.dup, PacketID: d.id, Properties: d.props}
	case mqtt.TypePuback:
		return ack
	case mqtt.TypePubrec:
		return mqtt.Pubrec(ack)
	case mqtt.TypePubrel:
		return mqtt.Pubrel(ack)
	case mqtt.TypePubcomp:
		return mqtt.Pubcomp(ack)
	case mqtt.TypeSubscribe:
		return mqtt.Subscribe{PacketID: d.id, Filters: d.filters, Properties: d.props}
	case mqtt.TypeSuback:
		return mqtt.Suback{PacketID: d.id, Codes: d.codes, Properties: d.props}
	case mqtt.TypeUnsubscribe:
		u := mqtt.Unsubscribe{PacketID: d.id, Properties: d.props}
		for _, f := range d.filters {
			u.Filters = append(u.Filters, f.Filter)
		}
		return u
	case mqtt.TypeUnsuback:
		return mqtt.Unsuback{PacketID: d.id, Codes: d.codes, Properties: d.props}
	case mqtt.TypePingreq:
		return mqtt.Pingreq{}
	case mqtt.TypePingresp:
		return mqtt.Pingresp{}
	case mqtt.TypeDisconnect:
		return mqtt.Disconnect{Code: d.code(), Properties: d.props}
	}
	return mqtt.Auth{Code: d.code(), Properties: d.props}
}

func number[N uint8 | uint16 | uint32](s string, least, most uint64) (N, error) {
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%q is no number from %d to %d", s, least, most)
	}
	return N(n), nil
}

func yes(s string) (bool, error) {
	switch s {
	case "yes", "true", "1":
		return true, nil
	case "no", "false", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither yes nor no", s)
}
