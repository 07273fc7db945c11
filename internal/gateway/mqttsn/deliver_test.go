package mqttsn

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/store"
)

// tell has a client send m.
func (w *world) tell(m mqttsn.Message) {
	w.t.Helper()
	b, err := m.Append(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.receive(peerAddress("a"), b)
}

// hear is the next message to the client.
func (w *world) hear() mqttsn.Message {
	w.t.Helper()
	b, ok := w.air.next(peerAddress("a"))
	if !ok {
		w.t.Fatal("nothing comes")
	}
	m, _, err := mqttsn.Parse(b, mqttsn.Options{FromServer: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// What waits for a sleeper is more than the broker has in memory, and fetched from
// the store while the client is awake.
func TestPingrespComesAfterWhatIsInTheStore(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarted=%v", restarted), func(t *testing.T) {
			const n = 3*store.PageMessages + 5
			w := newWorld(t, map[string]string{"sleep.max_per_wake": "100000"})
			w.tell(mqttsn.Connect{ProtocolID: 1, KeepAlive: 60, CleanSession: true, ClientID: "dev"})
			w.hear()
			w.tell(mqttsn.Subscribe{QoS: 2, MsgID: 1, Filter: "ab"})
			w.hear()
			w.tell(mqttsn.Disconnect{HasDuration: true, Duration: 3600})
			w.hear()
			for i := range n {
				if err := w.mqtt.publish("ab", byte(1+i%2), fmt.Sprint(i), false); err != nil {
					t.Fatal(err)
				}
			}
			w.mqtt.got = nil
			if restarted {
				w.restart()
			}
			w.tell(mqttsn.Pingreq{ClientID: "dev"})
			for i := range n {
				m, ok := w.hear().(mqttsn.Publish)
				if !ok || string(m.Payload) != fmt.Sprint(i) {
					t.Fatalf("message %d: %+v", i, m)
				}
				if m.QoS == 1 {
					w.tell(mqttsn.Puback{TopicID: m.TopicID, MsgID: m.MsgID})
					continue
				}
				w.tell(mqttsn.Pubrec{MsgID: m.MsgID})
				if m, ok := w.hear().(mqttsn.Pubrel); !ok {
					t.Fatalf("message %d: %+v", i, m)
				}
				w.tell(mqttsn.Pubcomp{MsgID: m.MsgID})
			}
			if m, ok := w.hear().(mqttsn.Pingresp); !ok {
				t.Errorf("%+v", m)
			}
			if b, more := w.air.next(peerAddress("a")); more {
				t.Errorf("%x comes after PINGRESP", b)
			}
		})
	}
}

// The broker delivers from any goroutine, while the client's owner and the reader
// are at work.
func TestDeliveriesFromManyGoroutines(t *testing.T) {
	r := newRig(t, nil)
	r.air.discard = true
	c, o := r.c, &r.c.out
	var wg sync.WaitGroup
	const each = 500
	for range 4 {
		wg.Go(func() {
			for i := range each {
				m := &message.Message{Topic: fmt.Sprintf("t/%d", i%20), Payload: []byte("x")}
				o.deliver(c, &message.Delivery{Message: m})
				c.Flush()
			}
		})
	}
	wg.Go(func() {
		for range each {
			o.count(c, 10)
			o.deadline()
			c.topicID("mine")
			c.topicName(mqttsn.NormalTopic, 1)
			c.fits(&message.Delivery{Message: &message.Message{Topic: "t/1"}})
		}
	})
	wg.Go(func() { // the owner
		w := &work{g: r.g, now: r.now, touched: map[carrier]bool{}}
		for i := range each {
			o.mu.Lock()
			var m mqttsn.Regack
			if q := o.queue; q != nil && q.step == registering {
				m = mqttsn.Regack{MsgID: q.msgID, TopicID: o.topics.named(q.first.topic).id}
			}
			o.mu.Unlock()
			o.regack(c, w, m)
			if i%50 == 0 {
				o.pause()
				o.wake(c, w)
			}
			w.now = w.now.Add(time.Second)
			o.expireLocked(c, w)
		}
	})
	wg.Wait()
}

// BenchmarkWake is one client that wakes up, is given a message at QoS 1, and sleeps
// again.
func BenchmarkWake(b *testing.B) {
	w := newWorld(b, nil)
	const n = 1000
	for i := range n {
		id, at := fmt.Sprintf("dev-%d", i), peerAddress(fmt.Sprintf("a%d", i))
		for _, m := range []mqttsn.Message{
			mqttsn.Connect{ProtocolID: 1, KeepAlive: 60, CleanSession: true, ClientID: id},
			mqttsn.Subscribe{QoS: 1, MsgID: 1, Filter: id},
			mqttsn.Disconnect{HasDuration: true, Duration: 60000},
		} {
			p, _ := m.Append(nil)
			w.receive(at, p)
		}
	}
	w.air.queue = w.air.queue[:0]
	i := 0
	for b.Loop() {
		id, at := fmt.Sprintf("dev-%d", i%n), peerAddress(fmt.Sprintf("a%d", i%n))
		i++
		b.StopTimer()
		if err := w.mqtt.publish(id, 1, "on", false); err != nil {
			b.Fatal(err)
		}
		w.mqtt.got = nil
		b.StartTimer()
		p, _ := mqttsn.Pingreq{ClientID: id}.Append(nil)
		w.receive(at, p)
		d := w.air.queue[0].Data
		m, err := mqttsn.ParsePublish(d[2:], &w.work.options)
		if err != nil {
			b.Fatalf("%x: %v", d, err)
		}
		p, _ = mqttsn.Puback{TopicID: m.TopicID, MsgID: m.MsgID}.Append(nil)
		w.receive(at, p)
		if len(w.air.queue) != 2 {
			b.Fatalf("%x", w.air.queue)
		}
		w.air.queue = w.air.queue[:0]
	}
}
