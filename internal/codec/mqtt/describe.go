package mqtt

import (
	"fmt"
	"strconv"
	"strings"
)

// Describe is one line about p for people: its type and fields, text from the
// wire quoted, payloads by size. Passwords and authentication data never show.
func Describe(p Packet, v Version) string {
	d := &description{}
	d.WriteString(p.Type().String())
	switch p := p.(type) {
	case Connect:
		d.connect(p)
	case Connack:
		d.add("%v", p.Code.Name(TypeConnack, v))
		d.flag(p.SessionPresent, "session present")
		d.properties(p.Properties)
	case Publish:
		d.add("topic %q, QoS %d", p.Topic, p.QoS)
		d.id(p.PacketID)
		d.flag(p.Retain, "retain")
		d.flag(p.Dup, "dup")
		d.add("%d bytes", len(p.Payload))
		d.properties(p.Properties)
	case Puback:
		d.ack(ack(p), v)
	case Pubrec:
		d.ack(ack(p), v)
	case Pubrel:
		d.ack(ack(p), v)
	case Pubcomp:
		d.ack(ack(p), v)
	case Subscribe:
		d.id(p.PacketID)
		for _, f := range p.Filters {
			d.subscription(f)
		}
		d.properties(p.Properties)
	case Suback:
		d.id(p.PacketID)
		d.codes(p.Codes, TypeSuback, v)
		d.properties(p.Properties)
	case Unsubscribe:
		d.id(p.PacketID)
		for _, f := range p.Filters {
			d.add("filter %q", f)
		}
		d.properties(p.Properties)
	case Unsuback:
		d.id(p.PacketID)
		d.codes(p.Codes, TypeUnsuback, v)
		d.properties(p.Properties)
	case Disconnect:
		if v >= V5 {
			d.add("%v", p.Code.Name(TypeDisconnect, v))
		}
		d.properties(p.Properties)
	case Auth:
		d.add("%v", p.Code)
		d.properties(p.Properties)
	}
	return d.String()
}

// description joins parts with commas behind the packet's name.
type description struct {
	strings.Builder
	parts int
}

func (d *description) add(format string, args ...any) {
	if d.parts > 0 {
		d.WriteByte(',')
	}
	d.parts++
	d.WriteByte(' ')
	fmt.Fprintf(d, format, args...)
}

func (d *description) flag(set bool, name string) {
	if set {
		d.add("%s", name)
	}
}

func (d *description) id(id uint16) {
	if id != 0 {
		d.add("id %d", id)
	}
}

func (d *description) connect(c Connect) {
	d.add("MQTT %v, client %q", c.Version, c.ClientID)
	d.flag(c.Bridge, "bridge")
	d.flag(c.CleanStart, "clean start")
	d.add("keep alive %d s", c.KeepAlive)
	if c.HasUsername {
		d.add("user %q", c.Username)
	}
	d.flag(c.HasPassword, "password hidden")
	d.properties(c.Properties)
	if w := c.Will; w != nil {
		d.add("will topic %q, QoS %d", w.Topic, w.QoS)
		d.flag(w.Retain, "retain")
		d.add("%d bytes", len(w.Payload))
		d.properties(w.Properties)
	}
}

func (d *description) ack(a ack, v Version) {
	d.id(a.PacketID)
	if v >= V5 {
		d.add("%v", a.Code)
	}
	d.properties(a.Properties)
}

func (d *description) subscription(f Subscription) {
	d.add("filter %q, QoS %d", f.Filter, f.QoS)
	d.flag(f.NoLocal, "no local")
	d.flag(f.RetainAsPublished, "retain as published")
	if f.RetainHandling > 0 {
		d.add("retain handling %d", f.RetainHandling)
	}
}

func (d *description) codes(codes []ReasonCode, t Type, v Version) {
	for _, c := range codes {
		d.add("%v", c.Name(t, v))
	}
}

func (d *description) properties(p Properties) {
	for q := range p.All() {
		d.add("%v %s", q.ID, q.text())
	}
}

// text is the value for people.
func (q Property) text() string {
	switch q.ID.Wire() {
	case WirePair:
		return fmt.Sprintf("%q=%q", q.Bytes, q.Value)
	case WireString:
		return strconv.Quote(string(q.Bytes))
	case WireBytes:
		if q.ID == PropAuthenticationData {
			return "hidden"
		}
		return fmt.Sprintf("%x", q.Bytes)
	}
	return strconv.FormatUint(uint64(q.Num), 10)
}
