package mqttsn

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// device is a client that is as good as the network lets it be: it sleeps, comes
// back, forgets its topics, and answers all it gets.
type device struct {
	rand   *rand.Rand
	send   func([]byte)
	state  state // connecting, active, asleep or awake
	leave  bool  // on the way to sleep: DISCONNECT is out
	next   time.Time
	topics map[uint16]string
	open   map[uint16]string // at QoS 2, by MsgId, until PUBREL
	closed []uint16          // MsgIds at QoS 2 that are done
	got    []string
}

// ask sends m, and again after a while if nothing changes.
func (d *device) ask(now time.Time, m mqttsn.Message) {
	d.tell(m)
	d.next = now.Add(5 * time.Second)
}

func (d *device) tell(m mqttsn.Message) {
	b, err := m.Append(nil)
	if err != nil {
		panic(err)
	}
	d.send(b)
}

// tick does what the device does of its own accord.
func (d *device) tick(now time.Time) {
	if now.Before(d.next) {
		return
	}
	switch {
	case d.state == connecting:
		d.ask(now, mqttsn.Connect{ProtocolID: 1, KeepAlive: 60, ClientID: "dev"})
	case d.leave:
		d.ask(now, mqttsn.Disconnect{HasDuration: true, Duration: 60})
	case d.state == awake:
		d.ask(now, mqttsn.Pingreq{ClientID: "dev"})
	case d.state == asleep:
		if d.rand.IntN(5) == 0 {
			d.connect(now)
			return
		}
		d.state = awake
		d.ask(now, mqttsn.Pingreq{ClientID: "dev"})
	case d.rand.IntN(20) == 0:
		d.leave = true
		d.ask(now, mqttsn.Disconnect{HasDuration: true, Duration: 60})
	default:
		d.next = now.Add(5 * time.Second)
	}
}

func (d *device) connect(now time.Time) {
	d.state, d.leave = connecting, false
	if d.rand.IntN(2) == 0 {
		clear(d.topics)
	}
	d.ask(now, mqttsn.Connect{ProtocolID: 1, KeepAlive: 60, ClientID: "dev"})
}

func (d *device) sleep(now time.Time) {
	d.state, d.leave = asleep, false
	d.next = now.Add(time.Duration(d.rand.IntN(60)) * time.Second)
}

// receive takes a datagram of the gateway.
func (d *device) receive(now time.Time, b []byte) error {
	if d.state == asleep {
		return nil // its radio is off
	}
	m, _, err := mqttsn.Parse(b, mqttsn.Options{FromServer: true})
	if err != nil {
		return err
	}
	switch m := m.(type) {
	case mqttsn.Connack:
		if d.state == connecting {
			d.state, d.next = active, now
		}
	case mqttsn.Disconnect:
		switch {
		case d.leave:
			d.sleep(now)
		case d.state != connecting: // the gateway does not know it any more
			d.connect(now)
		}
	case mqttsn.Pingresp:
		if d.state == awake {
			d.sleep(now)
		}
	case mqttsn.Register:
		d.topics[m.TopicID] = m.Topic
		d.tell(mqttsn.Regack{TopicID: m.TopicID, MsgID: m.MsgID})
	case mqttsn.Pubrel:
		if text, ok := d.open[m.MsgID]; ok {
			d.got = append(d.got, text)
			delete(d.open, m.MsgID)
			d.closed = append(d.closed, m.MsgID)
			d.closed = d.closed[max(0, len(d.closed)-16):]
		}
		d.tell(mqttsn.Pubcomp(m))
	case mqttsn.Publish:
		name := mqttsn.ShortName(m.TopicID)
		if m.Kind == mqttsn.NormalTopic {
			var ok bool
			if name, ok = d.topics[m.TopicID]; !ok {
				d.tell(mqttsn.Puback{TopicID: m.TopicID, MsgID: m.MsgID, Code: mqttsn.InvalidTopicID})
				return nil
			}
		}
		text := fmt.Sprintf("%s %d %s", name, m.QoS, m.Payload)
		switch m.QoS {
		case 0:
			d.got = append(d.got, text)
		case 1:
			d.got = append(d.got, text)
			d.tell(mqttsn.Puback{TopicID: m.TopicID, MsgID: m.MsgID})
		case 2:
			if !slices.Contains(d.closed, m.MsgID) {
				d.open[m.MsgID] = text
			}
			d.tell(mqttsn.Pubrec{MsgID: m.MsgID})
		}
	default:
		return fmt.Errorf("a %v from the gateway", m.Type())
	}
	return nil
}

// flight is a datagram on its way.
type flight struct {
	at time.Time
	b  []byte
}

// weather loses, doubles and delays.
type weather struct {
	rand         *rand.Rand
	loss, double float64
	delay        time.Duration
	air          []flight
}

func (w *weather) put(now time.Time, b []byte) {
	for again := true; again; again = w.rand.Float64() < w.double {
		if w.rand.Float64() >= w.loss {
			w.air = append(w.air, flight{now.Add(time.Duration(w.rand.Int64N(int64(w.delay) + 1))), b})
		}
	}
}

// take returns what has arrived.
func (w *weather) take(now time.Time) (arrived [][]byte) {
	w.air = slices.DeleteFunc(w.air, func(f flight) bool {
		if f.at.After(now) {
			return false
		}
		arrived = append(arrived, f.b)
		return true
	})
	w.rand.Shuffle(len(arrived), func(i, j int) { arrived[i], arrived[j] = arrived[j], arrived[i] })
	return arrived
}

func TestEveryDeliveryArrivesWhateverTheNetworkDoes(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { weatherRun(t, seed) })
	}
}

func weatherRun(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	yes := true
	r := newRig(t, func(c *Config) { c.Topics.RandomIDs = &yes })
	net := &weather{rand: random, loss: random.Float64() / 2, double: random.Float64() / 3, delay: time.Duration(random.IntN(3000)) * time.Millisecond}
	back := &weather{rand: random, loss: net.loss, double: net.double, delay: net.delay}
	d := &device{rand: random, topics: map[uint16]string{}, open: map[uint16]string{}, state: active}
	d.send = func(b []byte) { back.put(r.now, b) }
	var sent []string
	step := func() {
		r.advance(tick)
		d.tick(r.now)
		for _, b := range back.take(r.now) {
			if r.lost && b[1] != mqttsn.TypeConnect.Octet() {
				net.put(r.now, []byte{2, mqttsn.TypeDisconnect.Octet()})
				continue
			}
			r.receive(b)
		}
		for _, b := range r.air.sent {
			net.put(r.now, b)
		}
		r.air.sent = nil
		for _, b := range net.take(r.now) {
			if err := d.receive(r.now, b); err != nil {
				t.Fatalf("%x: %v", b, err)
			}
		}
	}
	for i := range 3000 {
		if random.IntN(20) == 0 {
			topic := []string{"ab", "a/b", "a/b/c", "x/" + fmt.Sprint(i%40)}[random.IntN(4)]
			qos := random.IntN(3)
			text := fmt.Sprintf("%s %d %d", topic, qos, i)
			if qos > 0 {
				sent = append(sent, text)
			}
			if !r.lost || qos > 0 {
				r.publish(topic, uint8(qos), fmt.Sprint(i))
			}
		}
		if random.IntN(700) == 0 && !r.lost {
			r.restart()
		}
		step()
	}
	net.loss, net.double, back.loss, back.double = 0, 0, 0, 0
	for range 40_000 {
		if r.out == nil && len(r.wait) == 0 {
			break
		}
		step()
	}
	if r.out != nil {
		t.Fatalf("stuck with %+v: gateway %v, device %v, %d wait", r.out, r.c.state, d.state, len(r.wait))
	}
	var first []string
	times := map[string]int{}
	for _, text := range d.got {
		if times[text]++; times[text] == 1 && !strings.Contains(text, " 0 ") {
			first = append(first, text)
		}
		if times[text] > 1 && strings.Contains(text, " 2 ") {
			t.Errorf("%q came %d times", text, times[text])
		}
	}
	if !slices.Equal(first, sent) {
		t.Errorf("the device has got\n%q, want\n%q", first, sent)
	}
}
