package record

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

// step is a packet of a session and what it has to do with the others.
type step struct {
	Packet
	p       mqtt.Packet // nil: it cannot be read
	id      uint16
	request int   // the step that it answers, -1 for none
	answers []int // the steps that answer it
}

// script is a session as its packets belong together.
type script struct {
	*Session
	steps []step
	says  map[saying][]int // steps that answer nothing, by what they say
}

// saying is what somebody says.
type saying struct {
	by   proxy.Direction
	text string
}

// newScript finds out what answers what.
func newScript(s *Session) *script {
	sc := &script{Session: s, says: map[saying][]int{}}
	t := newThread()
	topics := [2]resolver{{}, {}}
	for i := range s.Packets {
		p := &s.Packets[i]
		st := step{Packet: *p, request: -1}
		st.p, _, _ = mqtt.Parse(p.Bytes, mqtt.Options{Version: s.Version, Lenient: true, FromServer: p.Direction == proxy.ToClient})
		if st.p != nil {
			st.p = topics[p.Direction].resolve(st.p)
			st.id = idOf(st.p)
			st.request = t.take(p.Direction, st.p, i)
		}
		sc.steps = append(sc.steps, st)
		if st.p != nil && st.request < 0 {
			k := saying{p.Direction, meaning(st.p)}
			sc.says[k] = append(sc.says[k], i)
		}
		if st.request >= 0 {
			sc.steps[st.request].answers = append(sc.steps[st.request].answers, i)
		}
	}
	return sc
}

// thread follows which packets answer which. Steps are known by numbers.
type thread struct {
	open map[key][]int
}

// key is what an answer is found by: who has asked, and the identifier.
type key struct {
	by   proxy.Direction
	wait mqtt.Type
	id   uint16
}

func newThread() *thread { return &thread{open: map[key][]int{}} }

// take takes note of step i and returns the step that it answers, -1 for none.
func (t *thread) take(d proxy.Direction, p mqtt.Packet, i int) (request int) {
	request = -1
	id := idOf(p)
	k := key{d.Back(), p.Type(), id}
	if list := t.open[k]; len(list) > 0 && answers(p.Type()) {
		request = list[0]
		if list = list[1:]; len(list) == 0 {
			delete(t.open, k)
		} else {
			t.open[k] = list
		}
	}
	if next := awaited(p); next != 0 {
		w := key{d, next, id}
		t.open[w] = append(t.open[w], i)
	}
	return request
}

// answers tells whether packets of a type answer others.
func answers(t mqtt.Type) bool {
	switch t {
	case mqtt.TypeConnack, mqtt.TypePuback, mqtt.TypePubrec, mqtt.TypePubrel, mqtt.TypePubcomp,
		mqtt.TypeSuback, mqtt.TypeUnsuback, mqtt.TypePingresp:
		return true
	}
	return false
}

// awaited is the type of the answer to p, 0 for none.
func awaited(p mqtt.Packet) mqtt.Type {
	switch p := p.(type) {
	case mqtt.Connect:
		return mqtt.TypeConnack
	case mqtt.Publish:
		return [...]mqtt.Type{0, mqtt.TypePuback, mqtt.TypePubrec, 0}[p.QoS&3]
	case mqtt.Pubrec:
		if p.Code < 0x80 {
			return mqtt.TypePubrel
		}
	case mqtt.Pubrel:
		return mqtt.TypePubcomp
	case mqtt.Subscribe:
		return mqtt.TypeSuback
	case mqtt.Unsubscribe:
		return mqtt.TypeUnsuback
	case mqtt.Pingreq:
		return mqtt.TypePingresp
	}
	return 0
}

// idOf is the packet identifier, 0 for none.
func idOf(p mqtt.Packet) uint16 {
	switch p := p.(type) {
	case mqtt.Publish:
		return p.PacketID
	case mqtt.Puback:
		return p.PacketID
	case mqtt.Pubrec:
		return p.PacketID
	case mqtt.Pubrel:
		return p.PacketID
	case mqtt.Pubcomp:
		return p.PacketID
	case mqtt.Subscribe:
		return p.PacketID
	case mqtt.Suback:
		return p.PacketID
	case mqtt.Unsubscribe:
		return p.PacketID
	case mqtt.Unsuback:
		return p.PacketID
	}
	return 0
}

// withID is p with another identifier.
func withID(p mqtt.Packet, id uint16) mqtt.Packet {
	switch p := p.(type) {
	case mqtt.Puback:
		p.PacketID = id
		return p
	case mqtt.Pubrec:
		p.PacketID = id
		return p
	case mqtt.Pubrel:
		p.PacketID = id
		return p
	case mqtt.Pubcomp:
		p.PacketID = id
		return p
	case mqtt.Suback:
		p.PacketID = id
		return p
	case mqtt.Unsuback:
		p.PacketID = id
		return p
	}
	return p
}

// meaning is what a request says, without what differs from run to run: identifiers,
// DUP, topic aliases and subscription identifiers.
func meaning(p mqtt.Packet) string {
	switch p := p.(type) {
	case mqtt.Publish:
		payload := string(p.Payload)
		if len(payload) > 64 {
			h := fnv.New64a()
			_, _ = h.Write(p.Payload)
			payload = fmt.Sprintf("%d bytes, %x", len(p.Payload), h.Sum64())
		}
		return fmt.Sprintf("PUBLISH %q QoS %d retain %v %q", p.Topic, p.QoS, p.Retain, payload)
	case mqtt.Subscribe:
		var b strings.Builder
		b.WriteString("SUBSCRIBE")
		for _, f := range p.Filters {
			fmt.Fprintf(&b, " %q %d %v %v %d", f.Filter, f.QoS, f.NoLocal, f.RetainAsPublished, f.RetainHandling)
		}
		return b.String()
	case mqtt.Unsubscribe:
		return fmt.Sprintf("UNSUBSCRIBE %q", p.Filters)
	case mqtt.Connect:
		return "CONNECT"
	}
	return p.Type().String()
}

// codes are the result of an answer.
func codes(p mqtt.Packet) []mqtt.ReasonCode {
	switch p := p.(type) {
	case mqtt.Connack:
		return []mqtt.ReasonCode{p.Code}
	case mqtt.Puback:
		return []mqtt.ReasonCode{p.Code}
	case mqtt.Pubrec:
		return []mqtt.ReasonCode{p.Code}
	case mqtt.Pubrel:
		return []mqtt.ReasonCode{p.Code}
	case mqtt.Pubcomp:
		return []mqtt.ReasonCode{p.Code}
	case mqtt.Suback:
		return p.Codes
	case mqtt.Unsuback:
		return p.Codes
	case mqtt.Disconnect:
		return []mqtt.ReasonCode{p.Code}
	}
	return nil
}

// resolver gives publications with an alias their topic.
type resolver map[uint16][]byte

// resolve replaces the alias of a PUBLISH.
func (r resolver) resolve(p mqtt.Packet) mqtt.Packet {
	q, ok := p.(mqtt.Publish)
	if !ok {
		return p
	}
	alias, ok := q.Properties.Uint16(mqtt.PropTopicAlias)
	switch {
	case !ok:
	case len(q.Topic) > 0:
		r[alias] = bytes.Clone(q.Topic)
	default:
		q.Topic = r[alias]
	}
	return q
}

// clone is p without what aliases the buffer that it was read from.
func clone(b []byte, v mqtt.Version, d proxy.Direction) (mqtt.Packet, []byte, error) {
	b = slices.Clone(b)
	p, _, err := mqtt.Parse(b, mqtt.Options{Version: v, Lenient: true, FromServer: d == proxy.ToClient})
	return p, b, err
}
