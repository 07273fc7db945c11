//go:build unix

package interop

import (
	"strings"
	"testing"
)

// story builds histories for the tests of the checker: one publisher, p, with
// one topic, t, and one subscriber, s. Every event takes one tick.
type story struct {
	history
	now        tick
	connection int
}

func newStory() *story { return &story{connection: 1} }

func (s *story) tick() tick { s.now++; return s.now }

func (s *story) subscribe(qos byte) *story {
	s.Subscribed = append(s.Subscribed, subscribed{Subscriber: "s", Filter: "t/#", QoS: qos, Asked: s.tick(), Granted: s.tick()})
	return s
}

func (s *story) unsubscribe() *story {
	l := &s.Subscribed[len(s.Subscribed)-1]
	l.Left, l.Gone = s.tick(), s.tick()
	return s
}

// publish sends messages and gets them acknowledged.
func (s *story) publish(qos byte, seqs ...int) *story {
	for _, n := range seqs {
		s.Published = append(s.Published, published{
			Publisher: "p", Topic: "t/1", Seq: n, QoS: qos, Sent: s.tick(), Acked: s.tick(), Sends: 1,
		})
	}
	return s
}

// edit changes the message that was published last.
func (s *story) edit(fn func(*published)) *story {
	fn(&s.Published[len(s.Published)-1])
	return s
}

func (s *story) unacked() *story { return s.edit(func(p *published) { p.Acked = 0 }) }

func (s *story) deliver(qos byte, seqs ...int) *story { return s.arrive(qos, false, seqs...) }
func (s *story) repeat(qos byte, seqs ...int) *story  { return s.arrive(qos, true, seqs...) }

func (s *story) arrive(qos byte, dup bool, seqs ...int) *story {
	for _, n := range seqs {
		s.Delivered = append(s.Delivered, delivered{
			Subscriber: "s", Publisher: "p", Topic: "t/1", Seq: n, QoS: qos, Dup: dup, Connection: s.connection, At: s.tick(),
		})
	}
	return s
}

func (s *story) reconnect(present bool) *story {
	s.connection++
	s.Resumed = append(s.Resumed, resumed{Client: "s", Present: present, At: s.tick()})
	return s
}

func TestHistoryChecker(t *testing.T) {
	twice := func(p *published) { p.Sends = 2 }
	for _, tt := range []struct {
		name string
		s    *story
		want string // rules, in the order of the lines; "" for none
	}{
		{"nothing happens", newStory(), ""},
		{"all arrives", newStory().subscribe(2).publish(1, 1, 2).publish(2, 3).deliver(1, 1, 2).deliver(2, 3), ""},
		{"lower QoS of both", newStory().subscribe(1).publish(2, 1).deliver(1, 1), ""},
		{"lost at QoS 1", newStory().subscribe(1).publish(1, 1, 2).deliver(1, 1), "lost"},
		{"lost at QoS 2", newStory().subscribe(2).publish(2, 1, 2).deliver(2, 2), "lost"},
		{"not acknowledged, not delivered", newStory().subscribe(2).publish(2, 1).unacked(), ""},
		{"not acknowledged, delivered", newStory().subscribe(2).publish(2, 1).unacked().deliver(2, 1), ""},
		{"not acknowledged, delivered twice", newStory().subscribe(2).publish(2, 1).unacked().deliver(2, 1, 1), "order of repeats, twice"},
		{"twice at QoS 2", newStory().subscribe(2).publish(2, 1).deliver(2, 1).reconnect(true).repeat(2, 1), "twice"},
		{"sent twice with one identifier", newStory().subscribe(2).publish(2, 1).edit(twice).deliver(2, 1).reconnect(true).deliver(2, 1), "twice"},
		{"sent anew at QoS 2", newStory().subscribe(2).publish(2, 1).edit(func(p *published) { p.Sends, p.Anew = 2, true }).deliver(2, 1, 1), ""},
		{"marked repeat", newStory().subscribe(1).publish(1, 1, 2).deliver(1, 1, 2).reconnect(true).repeat(1, 1, 2), ""},
		{"unmarked repeat", newStory().subscribe(1).publish(1, 1).deliver(1, 1).reconnect(true).deliver(1, 1), "unmarked repeat"},
		{"publisher's repeat", newStory().subscribe(1).publish(1, 1).edit(twice).deliver(1, 1, 1), ""},
		{"more than the publisher's repeats", newStory().subscribe(1).publish(1, 1).edit(twice).deliver(1, 1, 1, 1), "unmarked repeat"},
		{"repeat on one connection", newStory().subscribe(1).publish(1, 1).deliver(1, 1).repeat(1, 1), "order of repeats"},
		{"repeats in another order", newStory().subscribe(1).publish(1, 1, 2).deliver(1, 1, 2).reconnect(true).repeat(1, 2, 1), "order of repeats"},
		{"repeat behind the new", newStory().subscribe(1).publish(1, 1, 2).deliver(1, 1).reconnect(true).deliver(1, 2).repeat(1, 1), "order of repeats"},
		{"out of order", newStory().subscribe(1).publish(1, 1, 2).deliver(1, 2, 1), "order of repeats, order"},
		{"out of order over connections", newStory().subscribe(2).publish(2, 1, 2).deliver(2, 2).reconnect(true).deliver(2, 1), "order"},
		{"invented", newStory().subscribe(1).deliver(1, 1), "invented"},
		{"before it was sent", newStory().subscribe(1).deliver(1, 1).publish(1, 1), "invented, lost"},
		{"damaged", func() *story {
			s := newStory().subscribe(1).publish(1, 1).deliver(1, 1)
			s.Delivered[0].Damaged = true
			return s
		}(), "damaged"},
		{"other quality", newStory().subscribe(1).publish(1, 1).deliver(2, 1), "quality"},
		{"published before the subscription", newStory().publish(1, 1).subscribe(1), ""},
		{"delivered from before the subscription", newStory().publish(1, 1).subscribe(1).deliver(1, 1), "not subscribed"},
		{"published after the subscription", newStory().subscribe(1).unsubscribe().publish(1, 1), ""},
		{"delivered from after the subscription", newStory().subscribe(1).unsubscribe().publish(1, 1).deliver(1, 1), "not subscribed"},
		{"delivered late", newStory().subscribe(1).publish(1, 1).unsubscribe().deliver(1, 1), ""},
		{"lost in spite of a later unsubscription", newStory().subscribe(1).publish(1, 1).unsubscribe(), "lost"},
		{"published while unsubscribing", func() *story {
			s := newStory().subscribe(1)
			s.publish(1, 1).unsubscribe()
			s.Published[0].Acked = s.tick()
			return s
		}(), ""},
		{"session lost", newStory().reconnect(false), "session lost"},
		{"session kept", newStory().reconnect(true), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var rules []string
			found := tt.s.violations()
			for _, v := range found {
				rule, _, _ := strings.Cut(v, ": ")
				rules = append(rules, rule)
			}
			if got := strings.Join(rules, ", "); got != tt.want {
				t.Errorf("violations of %q, want %q:\n%s", got, tt.want, strings.Join(found, "\n"))
			}
		})
	}
}

// A subscriber is owed what its own subscriptions cover, and nothing else.
func TestHistoryCheckerKnowsFilters(t *testing.T) {
	for filter, want := range map[string]bool{"a": false, "a/#": true, "a/b": true, "a/b/#": true, "a/bc": false, "b/#": false} {
		s := subscribed{Filter: filter}
		if got := s.covers("a/b"); got != want {
			t.Errorf("%s covers a/b: %v, want %v", filter, got, want)
		}
	}
}
