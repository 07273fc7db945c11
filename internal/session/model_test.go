package session

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/message"
)

// world is an Outbound, the store behind it, a connection that can break and a
// client that keeps the rules of the standard. Messages are numbered per QoS
// in the order of their offers, as "qos/number" in the topic.
type world struct {
	t     testing.TB
	o     *Outbound
	now   time.Time
	limit Limits

	stored  map[uint64]message.Delivery // as the broker keeps it: by place in the queue
	head    Head                        // of a paged queue
	storing []Item                      // in the store, but not offered yet; in the order of Seq
	before  uint64                      // the places up to here may have been sent by an earlier broker
	number  [3]int
	fate    map[string]*fate

	connected bool
	full      bool              // the receiver refuses
	window    int               // receive maximum of this connection
	down, up  []packet          // under way
	answers   []packet          // that the client has not sent yet
	open      map[uint16]bool   // the client's count against its receive maximum
	received  map[uint16]string // QoS 2 at the client, between PUBLISH and PUBREL
	restarts  int
}

// fate is what has become of a message.
type fate struct {
	qos       uint8
	sent      int // handed to the receiver
	delivered int // passed on by the client
	dropped   bool
	restarts  int // of the broker when it was last sent
}

type packet struct {
	name    string // of a message
	id      uint16
	qos     uint8
	dup     bool
	release bool
	ack     Ack
}

// newWorld returns a world with a queue in memory or, when head is not zero, a
// paged one.
func newWorld(t testing.TB, head Head) *world {
	l := Limits{MaxQueued: 6, MaxQueuedBytes: 100 * deliver("1/1", 1).Message.Size()}
	o := newOutbound(l, head)
	return &world{
		t: t, o: o, now: start, limit: l, head: head, stored: map[uint64]message.Delivery{},
		fate: map[string]*fate{}, open: map[uint16]bool{}, received: map[uint16]string{},
	}
}

// step does one of the things that can happen; b chooses.
func (w *world) step(b byte) {
	arg := int(b >> 4)
	switch b & 15 {
	case 0, 1, 2:
		w.offer(b&3, arg)
	case 3, 4:
		w.read()
	case 5:
		w.answer()
	case 6, 7:
		w.takeAck()
	case 8:
		w.disconnect()
	case 9, 10:
		w.connect(arg%4 + 1)
	case 11:
		w.full = true
	case 12:
		w.unblock()
	case 13:
		w.now = w.now.Add(time.Duration(arg) * time.Second)
	case 14:
		switch {
		case arg < 4:
			w.restart()
		case arg < 8:
			w.filter()
		case arg < 10:
			w.wrap()
		case arg < 12:
			w.repeat()
		default:
			w.refuse()
		}
	case 15:
		switch {
		case arg < 8:
			w.reorder()
		case len(w.storing) > 0:
			w.offerStored(arg % len(w.storing))
		}
	}
	w.check()
}

func (w *world) offer(qos uint8, arg int) {
	w.number[qos]++
	d := deliver(fmt.Sprintf("%d/%d", qos, w.number[qos]), qos)
	if arg > 10 {
		d.Message.Expires = w.now.Add(time.Duration(arg-10) * time.Second)
	}
	w.fate[d.Message.Topic] = &fate{qos: qos}
	if qos == 0 {
		w.run(w.o.Offer(w.now, 0, d, nil))
		return
	}
	seq := w.o.Reserve()
	if _, taken := w.stored[seq]; taken {
		w.t.Fatalf("place %d was given out twice", seq)
	}
	w.stored[seq] = d
	if w.head.Messages > 1 && arg&3 == 1 { // it takes longer than the next
		w.storing = append(w.storing, Item{Seq: seq, Delivery: d})
		return
	}
	w.run(w.o.Offer(w.now, seq, d, nil))
}

// run carries out actions as the broker does.
func (w *world) run(actions []Action) {
	for i := 0; i < len(actions); i++ {
		a := actions[i]
		switch a.Kind {
		case Send:
			if !w.connected {
				w.t.Fatalf("send %s without a connection", render(actions[i:i+1]))
			}
			if w.full || w.o.Blocked() {
				actions = w.o.Refused(a, actions)
				continue
			}
			if a.Delivery.Release {
				w.stored[a.Seq] = message.Delivery{Release: true}
			}
			w.send(a)
		case Fetch:
			actions = append(actions, w.page()...)
		case Done:
			delete(w.stored, a.Seq)
		case Dropped:
			delete(w.stored, a.Seq)
			if m := a.Delivery.Message; m != nil {
				f := w.fate[m.Topic]
				f.dropped = true
				if a.Reason == DropExpired && f.sent > 0 && f.qos == 2 {
					w.t.Fatalf("%s expired although it had been sent", m.Topic) // [MQTT-4.3.3-7]
				}
				w.forget(m.Topic)
			}
		}
	}
}

// forget lets the client give up an identifier whose message was withdrawn;
// a real one is overwritten 65,535 messages later.
func (w *world) forget(name string) {
	for id, n := range w.received {
		if n == name {
			delete(w.received, id)
		}
	}
}

func (w *world) send(a Action) {
	d := a.Delivery
	if d.Release {
		w.down = append(w.down, packet{id: d.PacketID, release: true})
		return
	}
	name := d.Message.Topic
	f := w.fate[name]
	switch {
	case d.QoS > 0 && d.Dup != (f.sent > 0) && f.restarts == w.restarts:
		w.t.Fatalf("%s: duplicate %v, sent %d times before", name, d.Dup, f.sent) // [MQTT-3.3.1-1]
	case f.sent > 0 && !d.Dup:
		w.t.Fatalf("%s: sent again without the duplicate flag", name)
	case (d.QoS == 0) != (d.PacketID == 0):
		w.t.Fatalf("%s: identifier %d at QoS %d", name, d.PacketID, d.QoS)
	}
	f.sent++
	f.restarts = w.restarts
	w.down = append(w.down, packet{name: name, id: d.PacketID, qos: d.QoS, dup: d.Dup})
}

// read lets the client take the next packet.
func (w *world) read() {
	if len(w.down) == 0 {
		return
	}
	p := w.down[0]
	w.down = w.down[1:]
	switch {
	case p.release:
		delete(w.received, p.id)
		w.answers = append(w.answers, packet{id: p.id, ack: Pubcomp})
	case p.qos == 0:
		w.fate[p.name].delivered++
	case p.qos == 1:
		w.count(p)
		w.fate[p.name].delivered++
		w.answers = append(w.answers, packet{id: p.id, ack: Puback})
	default:
		w.count(p)
		if have, known := w.received[p.id]; !known {
			w.received[p.id] = p.name
			w.fate[p.name].delivered++
		} else if have != p.name {
			w.t.Fatalf("identifier %d carries %s, but %s is still open", p.id, p.name, have)
		}
		w.answers = append(w.answers, packet{id: p.id, ack: Pubrec})
	}
}

// answer lets the client send its next acknowledgement.
func (w *world) answer() {
	if len(w.answers) == 0 {
		return
	}
	p := w.answers[0]
	w.answers = w.answers[1:]
	w.up = append(w.up, p)
	if p.ack != Pubrec {
		delete(w.open, p.id)
	}
}

// count is the client's view of its receive maximum. // [MQTT-3.3.4-9]
func (w *world) count(p packet) {
	w.open[p.id] = true
	if len(w.open) > w.window {
		w.t.Fatalf("%s is open as number %d, the receive maximum is %d", p.name, len(w.open), w.window)
	}
}

// refuse lets the client answer the next QoS 2 message with an error.
func (w *world) refuse() {
	if len(w.down) == 0 || w.down[0].qos != 2 {
		return
	}
	p := w.down[0]
	if _, known := w.received[p.id]; known {
		return
	}
	w.down = w.down[1:]
	w.answers = append(w.answers, packet{id: p.id, ack: PubrecError})
	w.fate[p.name].dropped = true
}

// repeat lets the client send the last PUBREC again, as some do.
func (w *world) repeat() {
	if n := len(w.up); n > 0 && w.up[n-1].ack == Pubrec {
		w.up = append(w.up, w.up[n-1])
	}
}

func (w *world) takeAck() {
	if len(w.up) == 0 {
		return
	}
	p := w.up[0]
	w.up = w.up[1:]
	actions, err := w.o.Acked(w.now, p.ack, p.id, nil)
	if err != nil {
		w.t.Fatalf("acknowledgement %d of %d: %v", p.ack, p.id, err)
	}
	w.run(actions)
}

// reorder lets acknowledgements of different messages pass each other.
func (w *world) reorder() {
	if len(w.up) > 1 && w.up[0].id != w.up[1].id {
		w.up[0], w.up[1] = w.up[1], w.up[0]
	}
}

func (w *world) disconnect() {
	w.connected, w.full = false, false
	w.down, w.answers, w.up, w.open = nil, nil, nil, map[uint16]bool{}
	w.o.Suspend()
}

func (w *world) connect(window int) {
	w.disconnect()
	w.connected, w.window = true, window
	w.run(w.o.Resume(w.now, Window{ReceiveMaximum: window}, nil))
}

func (w *world) unblock() {
	w.full = false
	if w.connected {
		w.run(w.o.Unblocked(w.now, nil))
	}
}

func (w *world) filter() {
	w.run(w.o.Filter(w.now, func(m *message.Message) bool { return len(m.Topic)%3 != 0 }, nil))
}

// wrap goes on just before the identifiers begin anew.
func (w *world) wrap() {
	for packetID(w.o.Reserve()) < 65530 {
	}
}

func (w *world) check() {
	waiting, inflight := w.o.Len()
	if waiting > w.limit.MaxQueued && w.restarts+len(w.storing) == 0 {
		w.t.Fatalf("%d waiting, %d allowed", waiting, w.limit.MaxQueued)
	}
	if waiting+inflight+len(w.storing) != len(w.stored) {
		w.t.Fatalf("%d waiting, %d in flight and %d being stored, %d stored", waiting, inflight, len(w.storing), len(w.stored))
	}
}

// settle lets the client take everything that is left, and checks the ledger.
func (w *world) settle() {
	for len(w.storing) > 0 {
		w.offerStored(0)
	}
	w.connect(2)
	for len(w.down)+len(w.answers)+len(w.up) > 0 {
		w.read()
		w.answer()
		w.takeAck()
		w.check()
	}
	if waiting, inflight := w.o.Len(); waiting+inflight+len(w.stored)+int(w.o.used)+int(w.o.unsent)+w.o.Bytes() != 0 {
		w.t.Errorf("left: %d waiting, %d in flight, %d stored, %+v", waiting, inflight, len(w.stored), w.o)
	}
	for name, f := range w.fate {
		switch {
		case f.qos == 1 && f.delivered == 0 && !f.dropped:
			w.t.Errorf("%s was neither delivered nor dropped", name)
		case f.qos == 2 && f.delivered != 1 && !f.dropped:
			w.t.Errorf("%s was delivered %d times", name, f.delivered)
		case f.qos != 1 && f.delivered > 1:
			w.t.Errorf("%s was delivered %d times", name, f.delivered)
		}
	}
}

// heads are the queues that the model is tried with: in memory, and paged.
var heads = []Head{{}, {Messages: 1, Bytes: 1000}, {Messages: 3, Bytes: 300}}

// FuzzOutbound: every QoS 1 message arrives at least once and every QoS 2
// message exactly once, or is reported as dropped; no receive maximum is
// exceeded, whatever is lost, refused, repeated or restarted on the way.
func FuzzOutbound(f *testing.F) {
	f.Add([]byte{0x09, 0x01, 0x02, 0x03, 0x05, 0x06, 0x03, 0x05, 0x06})
	f.Add([]byte{0x19, 0x01, 0x02, 0x02, 0x01, 0x03, 0x08, 0x09, 0x03, 0x06, 0x0e, 0x19})
	f.Add([]byte{0x39, 0x0b, 0x01, 0x02, 0x0c, 0x01, 0x03, 0x03, 0x0b, 0x06, 0x06, 0x0c})
	f.Add([]byte{0x8e, 0x39, 0x02, 0x02, 0x02, 0x03, 0xae, 0x06, 0xce, 0x0f, 0x06, 0x4e})
	f.Fuzz(func(t *testing.T, script []byte) {
		var head Head
		if len(script) > 0 {
			head = heads[int(script[0]>>4)%len(heads)]
		}
		w := newWorld(t, head)
		for _, b := range script[:min(len(script), 2000)] {
			w.step(b)
		}
		w.settle()
	})
}

// TestOutboundKeepsItsGuarantees is the same for the seeds of everyday.
func TestOutboundKeepsItsGuarantees(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t, heads[seed%3])
		for range 400 {
			w.step(byte(r.Uint32()))
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		w.settle()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestOrderPerQoS: first attempts keep the order of the offers, and so does
// what a reconnect repeats. // [MQTT-4.6.0-1] [MQTT-4.6.0-5]
func TestOrderPerQoS(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		w := newWorld(t, heads[seed%2]) // nothing is held up on the way to the store
		var last [3]int                 // the newest that was sent, per QoS
		for range 300 {
			before, restarts := len(w.down), w.restarts
			op := [...]byte{0, 1, 2, 1, 2, 3, 3, 5, 5, 6, 6, 8, 9, 0x29, 11, 12}[r.IntN(16)]
			if op == 8 || op&15 == 9 {
				before = 0
				if op != 8 {
					last = [3]int{}
				}
			}
			w.step(op)
			if op == 3 || op == 8 || w.restarts != restarts {
				continue
			}
			for _, p := range w.down[min(before, len(w.down)):] {
				if p.release {
					continue
				}
				var qos, n int
				if _, err := fmt.Sscanf(p.name, "%d/%d", &qos, &n); err != nil {
					t.Fatal(err)
				}
				if n <= last[qos] {
					t.Fatalf("seed %d: QoS %d: %d after %d", seed, qos, n, last[qos])
				}
				last[qos] = n
			}
		}
	}
}
