package translate

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

// end is a client or broker that keeps to its version of the standard, and notices when
// the other does not.
type end struct {
	t       *testing.T
	rnd     *rand.Rand
	name    string
	version mqtt.Version
	out     proxy.Direction
	receive int // its receive maximum; 0: none
	most    int // its maximum packet size; 0: any
	refuses bool

	line []mqtt.Packet // what it has sent, and the proxy has not read

	open    map[uint16]*sending
	sent    int
	failed  int
	got     map[uint32]int
	taken   map[uint16]bool // QoS 2 messages that have not been released
	waiting map[uint16]bool // messages that it has not answered to the end
	answers []mqtt.Packet   // that it has not given yet
}

// sending is a message on its way.
type sending struct {
	qos      uint8
	released bool
}

// send sends a message whose payload is its number, and fill bytes.
func (e *end) send(qos uint8, fill int) {
	e.sent++
	p := mqtt.Publish{Topic: []byte("a/b"), QoS: qos, Payload: append(binary.BigEndian.AppendUint32(nil, uint32(e.sent)), make([]byte, fill)...)}
	if qos > 0 {
		for p.PacketID = uint16(e.rnd.IntN(30) + 1); e.open[p.PacketID] != nil; p.PacketID++ {
			continue
		}
		e.open[p.PacketID] = &sending{qos: qos}
	}
	e.line = append(e.line, p)
}

// take takes a packet.
func (e *end) take(packet mqtt.Packet) {
	e.t.Helper()
	if e.most > 0 && packet.Size(e.version) > e.most {
		e.t.Fatalf("%s gets %d bytes and takes %d", e.name, packet.Size(e.version), e.most)
	}
	switch p := packet.(type) {
	case mqtt.Publish:
		e.message(p)
	case mqtt.Pubrel:
		if !e.taken[p.PacketID] {
			e.t.Fatalf("%s is to release %d, which it has not", e.name, p.PacketID)
		}
		delete(e.taken, p.PacketID)
		delete(e.waiting, p.PacketID)
		e.answers = append(e.answers, mqtt.Pubcomp{PacketID: p.PacketID})
	case mqtt.Puback:
		e.done(p.PacketID, 1, false, p.Code)
	case mqtt.Pubrec:
		s := e.open[p.PacketID]
		switch {
		case s == nil || s.qos != 2 || s.released:
			e.t.Fatalf("%s gets PUBREC %d, which answers nothing", e.name, p.PacketID)
		case p.Code.IsError():
			e.done(p.PacketID, 2, false, p.Code)
		default:
			s.released = true
			e.line = append(e.line, mqtt.Pubrel{PacketID: p.PacketID})
		}
	case mqtt.Pubcomp:
		e.done(p.PacketID, 2, true, p.Code)
	default:
		e.t.Fatalf("%s gets %T", e.name, p)
	}
}

func (e *end) done(id uint16, qos uint8, released bool, code mqtt.ReasonCode) {
	e.t.Helper()
	if s := e.open[id]; s == nil || s.qos != qos || s.released != released {
		e.t.Fatalf("%s gets an answer to %d that nobody waits for", e.name, id)
	}
	if code.IsError() {
		e.failed++
	}
	delete(e.open, id)
}

func (e *end) message(p mqtt.Publish) {
	e.t.Helper()
	number := binary.BigEndian.Uint32(p.Payload)
	if p.QoS == 0 {
		e.got[number]++
		return
	}
	if e.taken[p.PacketID] {
		e.t.Fatalf("%s gets message %d with the identifier of one that is not released", e.name, number)
	}
	e.waiting[p.PacketID] = true
	if e.receive > 0 && len(e.waiting) > e.receive {
		e.t.Fatalf("%s has %d messages at a time, and takes %d", e.name, len(e.waiting), e.receive)
	}
	code := mqtt.Success
	if e.refuses && e.rnd.IntN(5) == 0 {
		code = mqtt.QuotaExceeded
	}
	e.got[number]++
	if p.QoS == 1 {
		e.answers = append(e.answers, mqtt.Puback{PacketID: p.PacketID, Code: code})
		return
	}
	if !code.IsError() {
		e.taken[p.PacketID] = true
	}
	e.answers = append(e.answers, mqtt.Pubrec{PacketID: p.PacketID, Code: code})
}

// answer gives the oldest answer.
func (e *end) answer() {
	a := e.answers[0]
	e.answers = e.answers[1:]
	switch a := a.(type) {
	case mqtt.Puback:
		delete(e.waiting, a.PacketID)
	case mqtt.Pubrec:
		if a.Code.IsError() {
			delete(e.waiting, a.PacketID)
		}
	}
	e.line = append(e.line, a)
}

// TestNoMessageIsLostInTranslation has a client and a broker that send each other
// messages, and answer late, with limits and refusals by chance: everything that fits
// arrives once, both have their answers, and nothing is left over between them.
func TestNoMessageIsLostInTranslation(t *testing.T) {
	for _, versions := range [][2]mqtt.Version{{mqtt.V5, mqtt.V311}, {mqtt.V5, mqtt.V31}, {mqtt.V311, mqtt.V5}, {mqtt.V31, mqtt.V5}} {
		for seed := range uint64(40) {
			t.Run(fmt.Sprintf("%v to %v/seed=%d", versions[0], versions[1], seed), func(t *testing.T) {
				translated(t, versions[0], versions[1], rand.New(rand.NewPCG(seed, uint64(versions[0]))))
			})
		}
	}
}

func translated(t *testing.T, from, to mqtt.Version, rnd *rand.Rand) {
	newEnd := func(name string, v mqtt.Version, out proxy.Direction) *end {
		e := &end{
			t: t, rnd: rnd, name: name, version: v, out: out, open: make(map[uint16]*sending), got: make(map[uint32]int),
			taken: make(map[uint16]bool), waiting: make(map[uint16]bool),
		}
		if v == mqtt.V5 {
			e.receive, e.most, e.refuses = rnd.IntN(6), rnd.IntN(2)*200, rnd.IntN(2) == 0
		}
		return e
	}
	ends := [2]*end{newEnd("the client", from, proxy.ToServer), newEnd("the broker", to, proxy.ToClient)}
	client, broker := ends[0], ends[1]
	f, err := New(Config{To: to.String()})
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.Open(&proxy.Conn{Version: from, Metrics: &proxy.Metrics{}, Log: slog.New(slog.DiscardHandler), Powers: powerless{}})
	if err != nil {
		t.Fatal(err)
	}
	emit := func(f proxy.Frame) error {
		e := broker
		if f.Direction == proxy.ToClient {
			e = client
		}
		p, _, err := mqtt.Parse(bytes.Clone(f.Bytes), proxy.Options(f.Direction, e.version))
		if err != nil {
			t.Fatal(err)
		}
		switch p.(type) {
		case mqtt.Connect, mqtt.Connack:
		default:
			e.take(p)
		}
		return nil
	}
	handle := func(e *end, p mqtt.Packet) {
		t.Helper()
		b, err := p.Append(nil, e.version)
		if err != nil {
			t.Fatal(err)
		}
		frame, err := proxy.NewFrame(e.out, b)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Handle(t.Context(), frame, emit); err != nil {
			t.Fatal(err)
		}
	}
	handle(client, mqtt.Connect{ClientID: "c", CleanStart: true, Properties: client.limits()})
	handle(broker, mqtt.Connack{Properties: broker.limits()})
	large := 0
	for step := 0; step < 3000 || !idle(ends); step++ {
		e := ends[rnd.IntN(2)]
		switch n := rnd.IntN(4); {
		case n == 0 && step < 3000 && len(e.open) < 12:
			fill := rnd.IntN(2) * rnd.IntN(2) * 300
			other := ends[1-e.out]
			if other.most > 0 && (mqtt.Publish{QoS: 1, Topic: []byte("a/b"), Payload: make([]byte, 4+fill)}).Size(mqtt.V5) > other.most {
				large++
			}
			e.send(uint8(rnd.IntN(3)), fill)
		case n == 1 && len(e.answers) > 0:
			e.answer()
		case len(e.line) > 0:
			p := e.line[0]
			e.line = e.line[1:]
			handle(e, p)
		}
	}
	for _, e := range ends {
		other := ends[1-e.out]
		if len(e.open) > 0 || len(e.taken) > 0 || len(e.waiting) > 0 {
			t.Errorf("%s: left over: %d sent, %d not released, %d not answered", e.name, len(e.open), len(e.taken), len(e.waiting))
		}
		for number, n := range e.got {
			if n != 1 {
				t.Errorf("%s has message %d %d times", e.name, number, n)
			}
		}
		if other.version < mqtt.V5 && other.failed > 0 {
			t.Errorf("%s was told of failures", other.name)
		}
	}
	if lost := client.sent + broker.sent - len(client.got) - len(broker.got); lost != large {
		t.Errorf("%d messages have not arrived, %d were too large", lost, large)
	}
	switch s := s.(type) {
	case *down:
		open, held := s.window.Sizes()
		if open+held+s.fromServer.Len() > 0 {
			t.Errorf("left over: %d open, %d held, %d settled", open, held, s.fromServer.Len())
		}
	case *up:
		open, held := s.window.Sizes()
		if open+held+s.settled.Len()+s.lowered.Len() > 0 {
			t.Errorf("left over: %d open, %d held, %d settled, %d lowered", open, held, s.settled.Len(), s.lowered.Len())
		}
	}
}

// limits are what e says of itself in CONNECT or CONNACK.
func (e *end) limits() (ps mqtt.Properties) {
	if e.receive > 0 {
		ps = ps.AppendUint16(mqtt.PropReceiveMaximum, uint16(e.receive))
	}
	if e.most > 0 {
		ps = ps.AppendUint32(mqtt.PropMaximumPacketSize, uint32(e.most))
	}
	return ps
}

func idle(ends [2]*end) bool {
	for _, e := range ends {
		if len(e.line)+len(e.answers) > 0 {
			return false
		}
	}
	return true
}
