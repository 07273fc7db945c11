package dissect

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/router"
)

// header takes the fixed header.
func (w *mqttWalk) header(h mqttHeader) {
	first := w.b[0]
	f := Field{Name: "packet type", Kind: Structure, Len: 1, Value: uint64(h.typ)}
	kids := []Field{bit("type", 0, first, 0xf0)}
	kids[0].Kind, kids[0].Note = Structure, h.typ.String()
	if h.typ == mqtt.TypePublish {
		f.Note = fmt.Sprintf("PUBLISH, QoS %d", h.flags>>1&3)
		f.Kids = append(kids, bit("dup", 0, first, 8), bit("QoS", 0, first, 6), bit("retain", 0, first, 1))
		if h.flags&8 != 0 {
			f.Note += ", dup"
		}
		if h.flags&1 != 0 {
			f.Note += ", retain"
		}
	} else {
		f.Note = fmt.Sprintf("%v, flags %04b", h.typ, h.flags)
		f.Kids = append(kids, bit("flags", 0, first, 0x0f))
		f.Kids[1].Kind = Flags
	}
	w.add(f)
	if n, ok := w.varint("remaining length", Length); ok {
		length := &w.fields[1]
		length.Of = Span{w.at, n}
		if missing := w.at + n - len(w.b); missing > 0 {
			length.Note = strings.TrimPrefix(length.Note+", "+plural(missing, "byte")+" missing", ", ")
		}
	}
}

// plural is n things.
func plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return strconv.Itoa(n) + " " + thing
}

// body takes what follows the header.
func (w *mqttWalk) body(flags uint8) {
	switch w.typ {
	case mqtt.TypeConnect:
		w.connect()
	case mqtt.TypeConnack:
		w.connack()
	case mqtt.TypePublish:
		w.publish(flags)
	case mqtt.TypePuback, mqtt.TypePubrec, mqtt.TypePubrel, mqtt.TypePubcomp:
		w.packetID()
		w.optionalCode()
	case mqtt.TypeSubscribe:
		w.subscribe()
	case mqtt.TypeUnsubscribe:
		w.packetID()
		w.properties(mqtt.In(w.typ), "")
		for w.list() {
			w.filter()
		}
	case mqtt.TypeSuback, mqtt.TypeUnsuback:
		w.packetID()
		w.properties(mqtt.In(w.typ), "")
		for (w.typ == mqtt.TypeSuback || w.v >= mqtt.V5) && w.list() {
			w.code()
		}
	case mqtt.TypeDisconnect:
		w.optionalCode()
	case mqtt.TypeAuth:
		if w.left() > 0 {
			w.v = mqtt.V5
			w.code()
			w.properties(mqtt.In(w.typ), "")
		}
	}
	note := "behind the last field"
	if w.bad != nil {
		note = fmt.Sprintf("outside of the properties, which end at %d", w.at)
	}
	w.rest(note)
}

func (w *mqttWalk) packetID() {
	w.number("packet id", Number, 2, "")
}

// code takes a reason code.
func (w *mqttWalk) code() {
	name := "reason code"
	if w.v < mqtt.V5 {
		name = "return code"
	}
	f := w.number(name, Number, 1, "")
	if f != nil {
		f.Note = mqtt.ReasonCode(f.Value.(uint64)).Name(w.typ, w.v)
	}
}

// optionalCode takes the reason code and the properties, which both may be left
// out, and are not there before 5.0.
func (w *mqttWalk) optionalCode() {
	if w.v < mqtt.V5 || w.left() == 0 {
		return
	}
	w.code()
	if w.left() > 0 {
		w.properties(mqtt.In(w.typ), "")
	}
}

// Bits of the connect flags.
const (
	connectUser       = 0x80
	connectPassword   = 0x40
	connectWillRetain = 0x20
	connectWillQoS    = 0x18
	connectWill       = 0x04
	connectClean      = 0x02
)

func (w *mqttWalk) connect() {
	w.prefixed("protocol name", Text)
	if f := w.number("protocol level", Number, 1, ""); f != nil {
		level := mqtt.Version(f.Value.(uint64))
		f.Note = "unknown"
		bridge := level&0x80 != 0 && (level&0x7f == mqtt.V31 || level&0x7f == mqtt.V311)
		if bridge {
			level &= 0x7f
		}
		if mqttKnown(level) {
			f.Note = "MQTT " + level.String()
		}
		if bridge {
			f.Note += ", bridge"
			f.Kids = []Field{bit("bridge", f.Off, w.b[f.Off], 0x80), bit("level", f.Off, w.b[f.Off], 0x7f)}
		}
	}
	flags := w.connectFlags()
	w.number("keep alive", Number, 2, "s")
	w.properties(mqtt.In(mqtt.TypeConnect), "")
	w.prefixed("client id", Text)
	if flags&connectWill != 0 && !w.ended {
		w.properties(mqtt.InWill, "will ")
		w.prefixed("will topic", Text)
		w.binary("will payload")
	}
	absent := func() bool { return w.v == mqtt.V31 && w.left() == 0 }
	if flags&connectUser != 0 && !absent() {
		w.prefixed("user name", Text)
	}
	if flags&connectPassword != 0 && !absent() {
		w.binary("password")
	}
	for i := range w.fields {
		if w.fields[i].Name == "password" {
			w.fields[i].Secret = true
		}
	}
}

func (w *mqttWalk) connectFlags() byte {
	f := w.number("connect flags", Flags, 1, "")
	if f == nil {
		return 0
	}
	b, off := w.b[f.Off], f.Off
	clean := "clean start"
	if w.v < mqtt.V5 {
		clean = "clean session"
	}
	f.Kids = []Field{
		bit("user name", off, b, connectUser), bit("password", off, b, connectPassword),
		bit("will retain", off, b, connectWillRetain), bit("will QoS", off, b, connectWillQoS),
		bit("will", off, b, connectWill), bit(clean, off, b, connectClean), reserved(off, b, 1),
	}
	var set []string
	for i, mask := range []byte{connectUser, connectPassword, connectWill, connectClean} {
		if b&mask != 0 {
			set = append(set, []string{"user", "password", "will", clean}[i])
		}
	}
	f.Note = strings.Join(set, ", ")
	return b
}

// binary takes bytes behind their length, which may be text.
func (w *mqttWalk) binary(name string) {
	if f := w.prefixed(name, Bytes); f != nil {
		if b := w.b[f.Off:f.End()]; printable(b) {
			f.Kind, f.Value = Text, string(b)
		}
	}
}

func (w *mqttWalk) connack() {
	if f := w.number("acknowledge flags", Flags, 1, ""); f != nil {
		b := w.b[f.Off]
		f.Kids = []Field{reserved(f.Off, b, 0xfe), bit("session present", f.Off, b, 1)}
		if b&1 != 0 {
			f.Note = "session present"
		}
	}
	if !w.ended {
		w.code()
	}
	w.properties(mqtt.In(w.typ), "")
}

func (w *mqttWalk) publish(flags uint8) {
	w.prefixed("topic", Text)
	if flags>>1&3 > 0 {
		w.packetID()
	}
	w.properties(mqtt.In(w.typ), "")
	if n := w.left(); !w.ended && w.bad == nil && n > 0 {
		w.payload("payload", n)
	}
}

// filter takes a topic filter, which has rules that the codec leaves to brokers.
func (w *mqttWalk) filter() {
	f := w.prefixed("topic filter", Text)
	if f == nil || f.Len == 0 {
		return
	}
	text, ok := f.Value.(string)
	if !ok {
		return
	}
	bad := (*router.Invalid)(nil)
	if err := router.ValidateFilter(text); !errors.As(err, &bad) || errors.Is(err, router.ErrTooDeep) || errors.Is(err, router.ErrNUL) {
		return
	}
	rule := bad.Clause
	if w.v < mqtt.V5 {
		if strings.HasPrefix(text, "$share/") || strings.HasPrefix(text, "$queue/") {
			return // means nothing there
		}
		rule = map[string]string{"MQTT-4.7.1-1": "MQTT3-4.7.1-2", "MQTT-4.7.1-2": "MQTT3-4.7.1-3"}[rule]
	}
	w.problems = append(w.problems, Problem{
		Off: f.Off, Len: f.Len, Text: fmt.Sprintf("topic filter: %v", bad.Err), Rule: rule, Advice: mqttAdvice(mqtt.TopicFilterInvalid, w.typ, w.v),
	})
}

func (w *mqttWalk) subscribe() {
	w.packetID()
	w.properties(mqtt.In(w.typ), "")
	for w.list() {
		w.filter()
		f := w.number("subscription options", Flags, 1, "")
		if f == nil {
			continue
		}
		b, off := w.b[f.Off], f.Off
		f.Note = fmt.Sprintf("QoS %d", b&3)
		if w.v < mqtt.V5 {
			f.Name = "requested QoS"
			f.Kids = []Field{reserved(off, b, 0xfc), bit("QoS", off, b, 3)}
			continue
		}
		f.Kids = []Field{
			reserved(off, b, 0xc0), bit("retain handling", off, b, 0x30), bit("retain as published", off, b, 8),
			bit("no local", off, b, 4), bit("QoS", off, b, 3),
		}
		if b&4 != 0 {
			f.Note += ", no local"
		}
		if b&8 != 0 {
			f.Note += ", retain as published"
		}
		f.Kids[1].Note = retainHandling(b >> 4 & 3)
	}
}

// retainHandling says when retained messages are sent.
func retainHandling(n byte) string {
	return [...]string{"at each subscription", "at a new subscription", "never", "reserved"}[n]
}
