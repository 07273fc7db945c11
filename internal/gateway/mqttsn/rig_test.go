package mqttsn

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/session"
)

// rig is an outbox with a broker that is a few lines: it gives one message at QoS 1
// and 2 at a time. There is no other goroutine and no clock.
type rig struct {
	t     testing.TB
	g     *Gateway
	c     *client
	w     *work
	air   *rigAir
	now   time.Time
	wait  []*message.Message // at the broker
	out   *message.Delivery  // with the outbox
	next  uint16             // packet identifier
	done  []ack              // what the broker was told, to be looked at
	kept  map[string][]byte
	clock time.Duration // makes messages come one after the other
	lost  bool
}

// rigAir is a carrier that keeps what is sent.
type rigAir struct {
	r       *rig
	sent    [][]byte
	discard bool
}

func (s *rigAir) send(_ netip.AddrPort, head, b []byte) {
	switch t := mqttsn.Version12.Type(b[1]); {
	case !s.r.c.out.held:
	case t == mqttsn.TypeRegister, t == mqttsn.TypePublish, t == mqttsn.TypePubrel:
		s.r.t.Errorf("%x leaves while the client is asleep", b)
	}
	if !s.discard {
		s.sent = append(s.sent, append(append([]byte(nil), head...), b...))
	}
}

func (*rigAir) flush() {}

var rigAddress = netip.MustParseAddrPort("192.0.2.1:2000")

// newRig has an outbox of an active client whose address is validated.
func newRig(t testing.TB, change func(*Config)) *rig {
	r := &rig{t: t, air: &rigAir{}, now: time.Unix(1_700_000_000, 0)}
	r.air.r = r
	cfg := Config{}.withDefaults()
	no := false
	cfg.Topics.RandomIDs = &no
	if change != nil {
		change(&cfg)
	}
	random := rand.New(rand.NewPCG(1, 2))
	r.g = &Gateway{now: func() time.Time { return r.now }, inline: true, random: random.Uint32}
	r.g.terms.Store(&terms{Config: cfg})
	r.g.wheel.init(r.now)
	r.w = &work{g: r.g, now: r.now, touched: map[carrier]bool{}}
	r.kept = map[string][]byte{}
	r.begin(false)
	r.c.out.msgID = 99
	r.c.resume(r.w)
	return r
}

// begin makes an outbox.
func (r *rig) begin(confirmed bool) {
	r.c = &client{g: r.g, id: "dev"}
	r.c.state = active
	r.c.out.init(path{port: &port{carrier: r.air}, addr: rigAddress}, 999)
	r.c.out.loadTopics(r.g, r.kept, confirmed)
	r.c.out.validated()
}

// restart is what follows when the process was killed.
func (r *rig) restart() {
	was := r.c.state
	r.begin(true)
	if was == active {
		r.c.resume(r.w)
	} else {
		r.c.state = asleep
	}
	r.again()
}

// publish has the broker deliver a message, as soon as it can.
func (r *rig) publish(topic string, qos uint8, payload string) {
	r.clock++
	m := &message.Message{Topic: topic, Payload: []byte(payload), QoS: qos, Published: r.now.Add(r.clock)}
	if qos == 0 {
		r.c.out.deliver(r.c, &message.Delivery{Message: m})
		clear(m.Payload) // lent
		r.told()
		return
	}
	r.wait = append(r.wait, m)
	r.give()
}

// give delivers the next message.
func (r *rig) give() {
	if r.out != nil || len(r.wait) == 0 {
		return
	}
	m := r.wait[0]
	r.wait = r.wait[1:]
	r.next = r.next%65535 + 1
	d := message.Delivery{Message: m, QoS: m.QoS, PacketID: r.next}
	r.out = &d
	r.deliver()
}

func (r *rig) deliver() {
	d := *r.out
	r.c.out.deliver(r.c, &d)
	r.told()
}

// told works off what the outbox leaves to the client's owner.
func (r *rig) told() {
	if r.c.inbox != nil {
		r.t.Fatal("the outbox gives a delivery up that it has just taken")
	}
}

// acked is what the owner does with the result of an acknowledgement.
func (r *rig) acked(done []ack) {
	for len(done) > 0 {
		if len(done) > 1 || r.out == nil || r.out.PacketID != done[0].id {
			r.t.Fatalf("the broker is told %v, with %+v under way", done, r.out)
		}
		a := done[0]
		r.done = append(r.done, a)
		if a.kind == session.Pubrec {
			r.out = &message.Delivery{PacketID: a.id, QoS: 2, Release: true, Dup: r.out.Dup}
			r.deliver()
		} else {
			r.out = nil
			r.give()
		}
		done = r.c.out.proceed(r.c, r.w)
	}
	if r.c.state == awake && r.c.out.doze(r.c, r.w, len(r.wait) > 0) {
		r.c.state = asleep
	}
}

// receive takes a datagram of the client.
func (r *rig) receive(b []byte) {
	h, body, _, err := mqttsn.Frame(b, mqttsn.Version12)
	if err != nil {
		r.t.Fatal(err)
	}
	o, o12 := &r.c.out, &mqttsn.Options{}
	o.count(r.c, len(b))
	var done []ack
	switch h.Type {
	case mqttsn.TypeRegack:
		m, err := mqttsn.ParseRegack(body, o12)
		r.check(err)
		reg, ok := o.regack(r.c, r.w, m)
		r.noted(ok)
		if done = reg.done; reg.kept != "" {
			r.kept[keptTopic+reg.kept] = []byte{byte(reg.id >> 8), byte(reg.id)}
		}
	case mqttsn.TypePuback:
		m, err := mqttsn.ParsePuback(body, o12)
		r.check(err)
		var ok bool
		done, ok = o.puback(r.c, r.w, m)
		r.noted(ok)
	case mqttsn.TypePubrec:
		m, err := mqttsn.ParsePubrec(body, o12)
		r.check(err)
		var ok bool
		done, ok = o.pubrec(r.c, r.w, m.MsgID)
		r.noted(ok)
	case mqttsn.TypePubcomp:
		m, err := mqttsn.ParsePubcomp(body, o12)
		r.check(err)
		var ok bool
		done, ok = o.pubcomp(m.MsgID)
		r.noted(ok)
	case mqttsn.TypePingreq:
		switch r.c.state {
		case asleep:
			r.c.state = awake
			done = o.wake(r.c, r.w)
		case awake:
			done = o.again(r.c, r.w)
		default:
			o.send(r.c, r.w, mqttsn.Pingresp{})
		}
	case mqttsn.TypeDisconnect:
		o.pause()
		r.c.state = asleep
		o.send(r.c, r.w, mqttsn.Disconnect{})
	case mqttsn.TypeConnect:
		r.connect()
	default:
		r.t.Fatalf("no %v here", h.Type)
	}
	r.acked(done)
	r.fed()
}

func (r *rig) check(err error) {
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) noted(ok bool) {
	if !ok {
		r.g.counts.unexpected.Add(1)
	}
}

// fed is what client.fed does.
func (r *rig) fed() {
	if done := r.c.out.proceed(r.c, r.w); len(done) > 0 {
		r.acked(done)
	}
}

// connect has the client active again. If it was lost, the broker repeats what it has
// given.
func (r *rig) connect() {
	lost := r.lost
	if lost {
		r.begin(false)
	}
	o := &r.c.out
	o.pause()
	r.c.state, r.lost = active, false
	o.send(r.c, r.w, mqttsn.Connack{})
	o.forget(r.c)
	r.acked(r.resume())
	if lost {
		r.again()
	}
}

// resume is what client.resume does.
func (r *rig) resume() []ack {
	o := &r.c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.release(r.c, r.w)
}

// again delivers to a new connection what was under way, and goes on.
func (r *rig) again() {
	if r.out != nil {
		r.out.Dup = true
		r.deliver()
	}
	r.give()
}

// advance lets time pass.
func (r *rig) advance(d time.Duration) {
	for end := r.now.Add(d); r.now.Before(end); {
		r.now = r.now.Add(min(tick, end.Sub(r.now)))
		r.w.now = r.now
		if at := r.c.out.deadline(); !at.IsZero() && !r.now.Before(at) {
			r.expire()
		}
	}
}

func (r *rig) expire() {
	done, lost, slept := r.c.out.expireLocked(r.c, r.w)
	switch {
	case lost:
		r.lost = true
	case slept:
		r.c.state = asleep
	default:
		r.acked(done)
	}
}

// play acts a dialogue out: lines as "C hex" and "G hex", "publish topic qos
// payload", "advance 10s", "lost", "told KIND ID", "state s". What the outbox sends
// has to be there, in this order. Blanks in hex do not count; "text" stands for its
// bytes.
func (r *rig) play(script string) {
	r.t.Helper()
	for i, line := range strings.Split(strings.TrimSpace(script), "\n") {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		words := strings.Fields(rest)
		looks := verb == "" || verb == "G" || verb == "told" || verb == "validated" || verb == "state"
		if !looks && len(r.air.sent) > 0 {
			r.t.Fatalf("line %d (%s): %x was sent before", i+1, line, r.air.sent)
		}
		switch verb {
		case "":
		case "C":
			r.receive(r.bytes(rest))
		case "G":
			want := r.bytes(rest)
			if len(r.air.sent) == 0 {
				r.t.Fatalf("line %d: nothing is sent, want %x", i+1, want)
			}
			if got := r.air.sent[0]; string(got) != string(want) {
				r.t.Fatalf("line %d: sent\n%x, want\n%x", i+1, got, want)
			}
			r.air.sent = r.air.sent[1:]
		case "publish":
			r.publish(words[0], words[1][0]-'0', words[2])
		case "advance":
			d, err := time.ParseDuration(words[0])
			r.check(err)
			r.advance(d)
		case "told":
			got := fmt.Sprint(r.done)
			r.done = nil
			if got != "["+rest+"]" {
				r.t.Fatalf("line %d: the broker was told %s, want [%s]", i+1, got, rest)
			}
		case "lost":
			if !r.lost {
				r.t.Fatalf("line %d: the client is not lost", i+1)
			}
		case "state":
			if r.c.state.String() != rest {
				r.t.Fatalf("line %d: the client is %v, want %s", i+1, r.c.state, rest)
			}
		case "validated":
			if !r.c.out.proved {
				r.t.Fatalf("line %d: the address is not validated", i+1)
			}
		case "move":
			r.c.out.move(path{port: r.c.out.path.port, addr: netip.MustParseAddrPort("192.0.2.9:9")})
		default:
			r.t.Fatalf("line %d: no verb %s", i+1, verb)
		}
	}
	if len(r.air.sent) > 0 {
		r.t.Fatalf("at the end: %x was sent", r.air.sent)
	}
}

// bytes reads hex and text.
func (r *rig) bytes(s string) []byte {
	var b []byte
	for i, part := range strings.Split(s, `"`) {
		if i%2 == 1 {
			b = append(b, part...)
			continue
		}
		h, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		r.check(err)
		b = append(b, h...)
	}
	return b
}
