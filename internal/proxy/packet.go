package proxy

import (
	"errors"
	"fmt"
	"sync"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// scratch holds the buffers that stages encode packets in.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// keepBytes is the size up to which a buffer goes back to scratch.
const keepBytes = 64 << 10

// Send encodes p in the form of version v and emits it in direction d.
func Send[P mqtt.Packet](emit func(Frame) error, d Direction, v mqtt.Version, p P) error {
	buf, _ := scratch.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= keepBytes {
			scratch.Put(buf)
		}
	}()
	b, err := p.Append((*buf)[:0], v)
	if err != nil {
		return err
	}
	*buf = b
	f, err := NewFrame(d, b)
	if err != nil {
		return err
	}
	return emit(f)
}

// Broken is the end of a connection by a packet that a stage cannot read: its
// sender is told, the other side is not.
func Broken(d Direction, err error) *End {
	e := &End{Why: "malformed", Err: fmt.Errorf("%s: %w", d, err)}
	code := mqtt.MalformedPacket
	var m *mqtt.Malformed
	if errors.As(err, &m) && m.Code.AllowedIn(mqtt.TypeDisconnect) {
		code = m.Code
	}
	if d == ToServer {
		e.Client = code
	} else {
		e.Server = code
	}
	return e
}

// Options are how a packet of version v that goes in direction d is read.
func Options(d Direction, v mqtt.Version) mqtt.Options {
	return mqtt.Options{Version: v, FromServer: d == ToClient}
}

// ParsePublish reads a PUBLISH of version v. Its slices alias the frame's.
func ParsePublish(f *Frame, v mqtt.Version) (mqtt.Publish, error) {
	o := Options(f.Direction, v)
	p, err := mqtt.ParsePublish(f.Body(), f.Header.Flags, &o)
	if err != nil {
		return p, Broken(f.Direction, err)
	}
	return p, nil
}

// Ack is an acknowledgement of any of the four kinds, or UNSUBACK and SUBACK by
// their identifier alone.
type Ack struct {
	Type       mqtt.Type
	PacketID   uint16
	Code       mqtt.ReasonCode
	Properties mqtt.Properties
}

// ParseAck reads a PUBACK, PUBREC, PUBREL or PUBCOMP of version v.
func ParseAck(f *Frame, v mqtt.Version) (Ack, error) {
	o := Options(f.Direction, v)
	body, flags := f.Body(), f.Header.Flags
	a := Ack{Type: f.Header.Type}
	var err error
	switch a.Type {
	case mqtt.TypePuback:
		var p mqtt.Puback
		p, err = mqtt.ParsePuback(body, flags, &o)
		a.PacketID, a.Code, a.Properties = p.PacketID, p.Code, p.Properties
	case mqtt.TypePubrec:
		var p mqtt.Pubrec
		p, err = mqtt.ParsePubrec(body, flags, &o)
		a.PacketID, a.Code, a.Properties = p.PacketID, p.Code, p.Properties
	case mqtt.TypePubrel:
		var p mqtt.Pubrel
		p, err = mqtt.ParsePubrel(body, flags, &o)
		a.PacketID, a.Code, a.Properties = p.PacketID, p.Code, p.Properties
	case mqtt.TypePubcomp:
		var p mqtt.Pubcomp
		p, err = mqtt.ParsePubcomp(body, flags, &o)
		a.PacketID, a.Code, a.Properties = p.PacketID, p.Code, p.Properties
	default:
		err = fmt.Errorf("%v is no acknowledgement", a.Type)
	}
	if err != nil {
		return a, Broken(f.Direction, err)
	}
	return a, nil
}

// SendAck emits a in direction d and the form of v, which before 5.0 has neither
// code nor properties.
func SendAck(emit func(Frame) error, d Direction, v mqtt.Version, a Ack) error {
	switch a.Type {
	case mqtt.TypePuback:
		return Send(emit, d, v, mqtt.Puback{PacketID: a.PacketID, Code: a.Code, Properties: a.Properties})
	case mqtt.TypePubrec:
		return Send(emit, d, v, mqtt.Pubrec{PacketID: a.PacketID, Code: a.Code, Properties: a.Properties})
	case mqtt.TypePubrel:
		return Send(emit, d, v, mqtt.Pubrel{PacketID: a.PacketID, Code: a.Code, Properties: a.Properties})
	case mqtt.TypePubcomp:
		return Send(emit, d, v, mqtt.Pubcomp{PacketID: a.PacketID, Code: a.Code, Properties: a.Properties})
	}
	return fmt.Errorf("%v is no acknowledgement", a.Type)
}

// Refuse is for what a stage has made of a CONNECT of version v: if that is an *End that
// the client is to be told of, it gets its CONNACK by way of the stages before, so that
// they see it, too.
func Refuse(emit func(Frame) error, v mqtt.Version, err error) error {
	var e *End
	if !errors.As(err, &e) || e.Client == 0 {
		return err
	}
	answer := mqtt.Connack{Code: e.Client}
	if !answer.Code.AllowedIn(mqtt.TypeConnack) {
		answer.Code = mqtt.UnspecifiedError
	}
	if e.Text != "" && v == mqtt.V5 {
		answer.Properties = answer.Properties.AppendString(mqtt.PropReasonString, e.Text)
	}
	if err := Send(emit, ToClient, v, answer); err != nil {
		return err
	}
	told := *e
	told.Client = 0
	return &told
}

// Success is the answer of a receiver of p with which all is well, nil if p has none.
func Success(p mqtt.Packet) mqtt.Packet {
	switch p := p.(type) {
	case mqtt.Publish:
		switch p.QoS {
		case 1:
			return mqtt.Puback{PacketID: p.PacketID}
		case 2:
			return mqtt.Pubrec{PacketID: p.PacketID}
		}
	case mqtt.Pubrec:
		if p.Code < 0x80 {
			return mqtt.Pubrel{PacketID: p.PacketID}
		}
	case mqtt.Pubrel:
		return mqtt.Pubcomp{PacketID: p.PacketID}
	case mqtt.Subscribe:
		s := mqtt.Suback{PacketID: p.PacketID}
		for _, f := range p.Filters {
			s.Codes = append(s.Codes, mqtt.ReasonCode(min(f.QoS, 2)))
		}
		return s
	case mqtt.Unsubscribe:
		return mqtt.Unsuback{PacketID: p.PacketID, Codes: make([]mqtt.ReasonCode, len(p.Filters))}
	case mqtt.Pingreq:
		return mqtt.Pingresp{}
	}
	return nil
}
