package dissect

import (
	"fmt"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// mqttState is what one connection has said so far, in both directions.
type mqttState struct {
	version  mqtt.Version // that of the last CONNECT, 0 for none
	evidence Evidence     // as long as there is none
	strict   mqtt.Options // of the quick way, kept here to save an allocation

	gaps   int  // those of the stream that are known
	joined bool // Stream.Joined, when it was looked at last
	// whole says that nothing is missing since the stream, or its last CONNECT,
	// began: what cannot be found has not been said.
	whole bool
	// loose: answers come before what they answer, so that the two directions are
	// not in step.
	loose bool

	connects  int
	connect   mqttStep
	clean     bool // asked for a session without a past
	nameless  bool // with an empty client identifier
	method    bool // with an authentication method
	plain     bool // asked for no reasons in words
	connack   bool // has been seen
	refused   bool // by the CONNACK
	keepAlive time.Duration

	side [3]mqttSide // by direction of the sender
}

// mqttSide is what one side of the connection has said.
type mqttSide struct {
	packets int
	last    int64 // when, as mqttStep has it
	ended   bool  // it has sent DISCONNECT
	// resumes: it may go on with what an earlier connection has left open.
	resumes bool

	open     openTable  // what it has sent and waits for
	inFlight int        // PUBLISH in open
	pings    []mqttStep // PINGREQ without an answer

	aliases    map[uint32]string // topics by alias, whose 16 bits are slower as a key
	aliasBytes int

	limits mqttLimits // that it has set for the other side
}

// mqttLimits are what one side takes.
type mqttLimits struct {
	known      bool
	receive    int // maximum of PUBLISH in flight
	alias      uint16
	size       int // of a packet, 0: any
	qos        uint8
	noRetained bool
	// what a SUBSCRIBE may not have
	noWildcard, noShared, noSubscriptionID bool
}

// mqttStep is a packet that waits for another.
type mqttStep struct {
	number int
	at     int64 // nanoseconds of Unix time, 0 if it is not known
}

// stepOf is the packet that st is at.
func stepOf(st *Stream) mqttStep {
	s := mqttStep{number: st.Number}
	if !st.Time.IsZero() {
		s.at = st.Time.UnixNano()
	}
	return s
}

// since is how long before now the step was, 0 if that is not known.
func (s mqttStep) since(now mqttStep) time.Duration {
	if s.at == 0 || now.at == 0 {
		return 0
	}
	return time.Duration(now.at - s.at)
}

func mqttStateOf(st *Stream) *mqttState {
	return sharedOf(st, func() *mqttState { return &mqttState{whole: st != nil && !st.Joined} })
}

// peer is the direction of the answers.
func peer(d Direction) Direction {
	switch d {
	case FromClient:
		return FromServer
	case FromServer:
		return FromClient
	}
	return d
}

// mqttContext is the packet that is judged.
type mqttContext struct {
	st   *Stream
	dir  Direction
	now  mqttStep
	v    mqtt.Version
	size int
	w    *mqttWalk // nil on the quick way, which wants to know only whether there is a problem
	// broken: there is one.
	broken   bool
	problems []Problem
	alias    uint16 // of a PUBLISH
	topic    string // that it stands for
}

// breach notes that the field of that name breaks a rule, which has another
// number before 5.0.
func (x *mqttContext) breach(field, v3, v5, format string, args ...any) *Problem {
	x.broken = true
	if x.w == nil {
		return &Problem{}
	}
	p := Problem{Text: fmt.Sprintf(format, args...), Rule: v5, Advice: mqttAdvice(mqtt.ProtocolError, x.w.typ, x.v), Len: 1}
	if x.v < mqtt.V5 {
		p.Rule = v3
	}
	if f := find(x.w.fields, field); f != nil {
		p.Off, p.Len = f.Off, f.Len
	}
	x.problems = append(x.problems, p)
	return &x.problems[len(x.problems)-1]
}

// find returns the first field of that name; nil if there is none.
func find(fields []Field, name string) *Field {
	for i := range fields {
		if fields[i].Name == name {
			return &fields[i]
		}
		if f := find(fields[i].Kids, name); f != nil {
			return f
		}
	}
	return nil
}

// sync looks whether something is missing in front of the packet.
func (s *mqttState) sync(st *Stream) {
	if st == nil || s.gaps == st.gaps && s.joined == st.Joined {
		return
	}
	if s.gaps != st.gaps || st.Joined {
		s.forget()
	}
	s.gaps, s.joined = st.gaps, st.Joined
}

// forget drops what may have ended unseen.
func (s *mqttState) forget() {
	s.whole = false
	for i := range s.side {
		m := &s.side[i]
		m.open.clear()
		clear(m.aliases)
		m.inFlight, m.pings, m.last, m.aliasBytes = 0, nil, 0, 0
	}
}

// complete reports whether what x answers would have been seen.
func (s *mqttState) complete(x *mqttContext) bool {
	return s.whole && s.inStep(x) && s.side[peer(x.dir)].packets > 0
}

// inStep reports whether the order of the two directions is known.
func (s *mqttState) inStep(x *mqttContext) bool { return x.dir != Unknown && !s.loose }

func mqttKnown(v mqtt.Version) bool { return v == mqtt.V31 || v == mqtt.V311 || v == mqtt.V5 }

// versionOf is the version that the packet at the start of b is read by; for a
// CONNECT any level.
func (s *mqttState) versionOf(b []byte, h mqttHeader, st *Stream) mqtt.Version {
	if h.typ == mqtt.TypeConnect {
		if v, ok := connectLevel(b[h.head:]); ok {
			return v
		}
		return mqtt.V311
	}
	switch v := s.settled(st); {
	case v != 0:
		return v
	case h.size <= len(b):
		s.evidence.Add(st.direction(), b[:h.size])
	}
	v, sure, _ := s.evidence.Decide()
	if !sure && h.size > len(b) && h.onlyIn5() {
		return mqtt.V5
	}
	return mqtt.Version(v)
}

// onlyIn5 reports whether the length says that the packet is one of 5.0.
func (h mqttHeader) onlyIn5() bool {
	switch h.typ {
	case mqtt.TypeConnack, mqtt.TypePuback, mqtt.TypePubrec, mqtt.TypePubrel, mqtt.TypePubcomp, mqtt.TypeUnsuback:
		return h.size > h.head+2
	case mqtt.TypeDisconnect:
		return h.size > h.head
	}
	return h.typ == mqtt.TypeAuth
}

// settled is the version that needs no evidence, 0 if there is none.
func (s *mqttState) settled(st *Stream) mqtt.Version {
	if s.version == 0 && st != nil && mqttKnown(mqtt.Version(st.Version)) {
		return mqtt.Version(st.Version)
	}
	return s.version
}

// connectLevel is the protocol level in the body of a CONNECT, without the mark
// of bridges.
func connectLevel(b []byte) (mqtt.Version, bool) {
	if len(b) < 2 {
		return 0, false
	}
	at := 2 + int(b[0])<<8 + int(b[1])
	if at >= len(b) {
		return 0, false
	}
	v := mqtt.Version(b[at])
	if low := v &^ 0x80; low == mqtt.V31 || low == mqtt.V311 {
		v = low
	}
	return v, true
}

// take judges p by what was said before it, and notes what it says itself.
// damaged: it could not be read to its end.
func (s *mqttState) take(x *mqttContext, p mqtt.Packet, damaged bool) (answers int, after time.Duration) {
	if x.st == nil {
		return 0, 0
	}
	s.sync(x.st)
	x.now = stepOf(x.st)
	if c, ok := p.(mqtt.Connect); ok {
		s.checkConnect(x)
		s.noteConnect(x, &c)
	} else {
		s.checkPhase(x, x.w.typ)
	}
	s.checkTime(x)
	if damaged {
		s.whole = false // what it began may be answered
		s.note(x)
		return 0, 0
	}
	var done mqttStep
	switch p := p.(type) {
	case mqtt.Connack:
		s.checkConnack(x, &p)
		done = s.noteConnack(x, &p)
	case mqtt.Publish:
		s.checkPublish(x, &p)
		s.notePublish(x, &p)
	case mqtt.Puback:
		done = s.ack(x, p.Type(), p)
	case mqtt.Pubrec:
		done = s.ack(x, p.Type(), mqtt.Puback(p))
	case mqtt.Pubrel:
		done = s.ack(x, p.Type(), mqtt.Puback(p))
	case mqtt.Pubcomp:
		done = s.ack(x, p.Type(), mqtt.Puback(p))
	case mqtt.Subscribe:
		asked := &mqttAsked{len(p.Filters), make([]uint8, min(len(p.Filters), mqttAskedQoS))}
		for i := range asked.qos {
			asked.qos[i] = p.Filters[i].QoS
		}
		s.checkSubscribe(x, &p)
		s.request(x, mqttOpen{id: p.PacketID, typ: p.Type(), asked: asked})
	case mqtt.Unsubscribe:
		s.request(x, mqttOpen{id: p.PacketID, typ: p.Type(), asked: &mqttAsked{filters: len(p.Filters)}})
	case mqtt.Suback:
		s.checkWords(x, p.Properties)
		done = s.answer(x, mqtt.TypeSubscribe, p.PacketID, p.Codes)
	case mqtt.Unsuback:
		s.checkWords(x, p.Properties)
		done = s.answer(x, mqtt.TypeUnsubscribe, p.PacketID, p.Codes)
	case mqtt.Pingreq:
		s.notePing(x)
	case mqtt.Pingresp:
		s.checkPong(x)
		done = s.notePong(x)
	case mqtt.Disconnect:
		s.side[x.dir].ended = x.dir != Unknown
	case mqtt.Auth:
		s.checkAuth(x)
		s.checkWords(x, p.Properties)
	}
	s.note(x)
	return done.number, done.since(x.now)
}

// note counts the packet of x.
func (s *mqttState) note(x *mqttContext) {
	m := &s.side[x.dir]
	m.packets++
	m.last = x.now.at
}

// ack judges and notes one of the four acknowledgements.
func (s *mqttState) ack(x *mqttContext, t mqtt.Type, p mqtt.Puback) mqttStep {
	s.checkWords(x, p.Properties)
	s.checkAck(x, t, p.PacketID, p.Code)
	return s.noteAck(x, t, p.PacketID, p.Code)
}
