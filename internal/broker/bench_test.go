package broker

import (
	"context"
	"fmt"
	"testing"

	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/session"
)

// sink takes everything, and acknowledges QoS 1 when it is told to.
type sink struct {
	l  *Link
	id uint16 // of the last delivery
}

// Deliver implements Receiver.
func (s *sink) Deliver(d *message.Delivery) bool {
	s.id = d.PacketID
	return true
}

// Flush implements Receiver.
func (*sink) Flush() {}

// Close implements Receiver.
func (*sink) Close(Reason) {}

// fanout attaches n subscribers of a topic.
func fanout(t testing.TB, b *Broker, n int, topic string, qos uint8) []*sink {
	t.Helper()
	all := make([]*sink, n)
	for i := range all {
		s := &sink{}
		l, _, err := b.Attach(context.Background(), identity(""), options(fmt.Sprintf("%s-%d", topic, i)), s)
		if err != nil {
			t.Fatal(err)
		}
		s.l = l
		l.Start()
		l.Subscribe([]Subscription{{Filter: topic, QoS: qos}})
		all[i] = s
	}
	return all
}

// publisher attaches a client that takes nothing.
func publisher(t testing.TB, b *Broker, id string) *Link {
	t.Helper()
	l, _, err := b.Attach(context.Background(), identity(""), options(id), &sink{})
	if err != nil {
		t.Fatal(err)
	}
	l.Start()
	return l
}

// publishAndAck publishes one message and lets every receiver acknowledge it.
func publishAndAck(t testing.TB, p *Link, v message.View, to []*sink) {
	if _, err := p.Publish(v); err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if v.QoS == 0 {
		return
	}
	for _, s := range to {
		if err := s.l.Acked(session.Puback, s.id); err != nil {
			t.Fatal(err)
		}
		if err := s.l.Commit(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, qos := range []uint8{0, 1} {
		for _, n := range []int{0, 1, 100} {
			b.Run(fmt.Sprintf("qos=%d/fanout=%d", qos, n), func(b *testing.B) {
				br := idle(b, Config{})
				p, to := publisher(b, br, "p"), fanout(b, br, n, "a/b/c", qos)
				v := view("a/b/c=0123456789012345678901234567890123456789", qos)
				b.ReportAllocs()
				for b.Loop() {
					publishAndAck(b, p, v, to)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(max(n, 1)), "ns/delivery")
			})
		}
	}
}

// BenchmarkPublishOverlapping has two subscriptions per receiver to merge.
func BenchmarkPublishOverlapping(b *testing.B) {
	br := idle(b, Config{})
	p, to := publisher(b, br, "p"), fanout(b, br, 100, "a/b/c", 0)
	for _, s := range to {
		s.l.Subscribe([]Subscription{{Filter: "a/+/c"}})
	}
	v := view("a/b/c=0123456789", 0)
	b.ReportAllocs()
	for b.Loop() {
		publishAndAck(b, p, v, to)
	}
}

// BenchmarkPublishParallel: publishers on all cores, each to a topic of its
// own, or all to the same one.
func BenchmarkPublishParallel(b *testing.B) {
	for _, same := range []bool{false, true} {
		b.Run(fmt.Sprintf("same=%v", same), func(b *testing.B) {
			br := idle(b, Config{})
			const topics = 16
			for i := range topics {
				fanout(b, br, 1, fmt.Sprintf("a/%d", i), 0)
			}
			next := make(chan int, topics*64)
			for i := range cap(next) {
				next <- i
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				i := <-next
				topic := i % topics
				if same {
					topic = 0
				}
				p := publisher(b, br, fmt.Sprint("p", i))
				v := view(fmt.Sprintf("a/%d=0123456789", topic), 0)
				for pb.Next() {
					publishAndAck(b, p, v, nil)
				}
			})
		})
	}
}
