package dissect

import (
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// properties takes the length of the properties and those, in 5.0.
func (w *mqttWalk) properties(where mqtt.Where, of string) {
	if w.v < mqtt.V5 || w.ended {
		return
	}
	n, ok := w.varint(of+"property length", Length)
	if !ok {
		return
	}
	f := &w.fields[len(w.fields)-1]
	f.Of = Span{w.at, n}
	if f.Note == "" {
		f.Note = "bytes"
	}
	if n == 0 || !w.ended && w.left() == 0 {
		w.ended = w.ended || n > 0
		return
	}
	block := Field{Name: of + "properties", Kind: Structure, Off: w.at, Len: min(n, w.left())}
	in := mqttWalk{b: w.b, at: w.at, end: w.at + n, typ: w.typ, v: w.v}
	for in.list() {
		in.property(where, n <= w.left())
	}
	block.Kids = in.fields
	if block.Len < n {
		w.ended = true
		block.Note = fmt.Sprintf("%d of %d bytes", block.Len, n)
	}
	w.add(block)
	if in.bad != nil {
		w.bad, w.ended = in.bad, true
	}
}

// property takes one property. whole: all of the block is there.
func (w *mqttWalk) property(where mqtt.Where, whole bool) {
	id := mqtt.PropertyID(w.b[w.at])
	name := propertyName(id)
	if id.Wire() == mqtt.WireNone {
		f := w.number("property identifier", Structure, 1, "unknown")
		f.Note = fmt.Sprintf("no property has identifier %d", uint8(id))
		w.rest("behind an unknown property")
		return
	}
	in := mqttWalk{b: w.b, at: w.at, end: w.end, typ: w.typ, v: w.v}
	in.number("identifier", Structure, 1, name)
	kind := in.value(id)
	f := Field{Name: name, Kind: kind, Len: in.at - w.at, Kids: in.fields, Secret: id == mqtt.PropAuthenticationData}
	if f.Secret {
		for i := range f.Kids {
			f.Kids[i].Secret = f.Kids[i].Kind == Bytes || f.Kids[i].Kind == Text
		}
	}
	if !in.ended {
		f.Value, f.Note = propertyValue(id, in.fields)
	} else if whole && in.left() == 0 {
		w.overrun(name, &in)
	}
	w.add(f)
	if in.ended {
		w.rest("behind a property that cannot be read")
		w.ended = true
	}
}

func propertyName(id mqtt.PropertyID) string {
	if id == mqtt.PropMaximumQoS {
		return "maximum QoS"
	}
	return strings.ReplaceAll(id.String(), "-", " ")
}

// value takes the value behind the identifier.
func (w *mqttWalk) value(id mqtt.PropertyID) Kind {
	switch id.Wire() {
	case mqtt.WireByte:
		w.number("value", Number, 1, "")
	case mqtt.WireUint16:
		w.number("value", Number, 2, "")
	case mqtt.WireUint32:
		w.number("value", Number, 4, "")
	case mqtt.WireVarint:
		w.varint("value", Number)
	case mqtt.WireBytes:
		w.prefixed("value", Bytes)
		return Bytes
	case mqtt.WireString:
		w.prefixed("value", Text)
		return Text
	case mqtt.WirePair:
		w.prefixed("name", Text)
		w.prefixed("value", Text)
		return Text
	}
	return Number
}

// propertyValue is the value of a property whose parts are all there.
func propertyValue(id mqtt.PropertyID, parts []Field) (value any, note string) {
	value = parts[len(parts)-1].Value
	switch id {
	case mqtt.PropUserProperty:
		name, _ := parts[2].Value.(string)
		v, ok := value.(string)
		if !ok || parts[2].Kind == Bytes {
			return nil, ""
		}
		return name + "=" + v, ""
	case mqtt.PropSessionExpiryInterval, mqtt.PropMessageExpiryInterval, mqtt.PropWillDelayInterval, mqtt.PropServerKeepAlive:
		if id == mqtt.PropSessionExpiryInterval && value == uint64(0xffffffff) {
			return value, "never"
		}
		return value, "s"
	case mqtt.PropMaximumPacketSize:
		return value, "bytes"
	case mqtt.PropPayloadFormat:
		switch value {
		case uint64(0):
			return value, "bytes"
		case uint64(1):
			return value, "UTF-8"
		}
	}
	return value, ""
}

// overrun says which part of a property lies behind the end of the properties.
func (w *mqttWalk) overrun(name string, in *mqttWalk) {
	last := in.fields[len(in.fields)-1]
	off, size := last.Off, last.Len
	text := name + " is cut short by the end of the properties"
	if last.Note == mqttLongVarint {
		text = name + " has more than 4 bytes"
	} else if n := last.Of.Len; n > 0 {
		size += min(n, max(len(w.b)-last.End(), 0))
		text = fmt.Sprintf("%s needs %s, the properties have none left", name, plural(n, "byte"))
	} else if len(in.fields) > 1 && in.fields[len(in.fields)-2].Of.Len > 0 {
		length := in.fields[len(in.fields)-2]
		off, size = length.Off, length.Len
		text = fmt.Sprintf("%s needs %s, the properties have %d left", name, plural(length.Of.Len, "byte"), last.Len)
	}
	w.bad = &Malformed{Problem{
		Off: off, Len: size, Text: text, Rule: "MQTT-2.2.2.2", Advice: mqttAdvice(mqtt.MalformedPacket, w.typ, w.v),
	}}
}
