package fault

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/transport"
)

// wire is a connection that a test drives: what goes out on both sides is kept, and
// what is done to it.
type wire struct {
	t      *testing.T
	v      mqtt.Version
	stage  proxy.Stage
	conn   *proxy.Conn
	events []Event

	mu     sync.Mutex
	out    [2][]string
	raw    [2][]byte
	done   []string
	ctx    context.Context
	cancel context.CancelFunc
}

var wires uint64

// newWire opens a connection of client through rules.
func newWire(t *testing.T, client string, v mqtt.Version, rules ...string) *wire {
	t.Helper()
	w := &wire{t: t, v: v}
	set := NewSet(Options{Seed: 1, Live: true, Report: func(e Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, e)
	}})
	addRules(t, set, rules...)
	w.join(set, client)
	return w
}

func addRules(t *testing.T, s *Set, rules ...string) {
	t.Helper()
	for _, text := range rules {
		r, err := ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Add(r); err != nil {
			t.Fatal(err)
		}
	}
}

// join opens a connection of client with the rules of set.
func (w *wire) join(set *Set, client string) {
	w.t.Helper()
	wires++
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.conn = &proxy.Conn{Number: wires, ClientID: client, Version: w.v, Began: time.Now(), Log: slog.New(slog.DiscardHandler), Metrics: &proxy.Metrics{}, Powers: w}
	s, err := set.Open(w.conn)
	if err != nil {
		w.t.Fatal(err)
	}
	w.stage = s
	w.t.Cleanup(w.end)
}

func (w *wire) end() {
	w.cancel()
	if e, ok := w.stage.(proxy.Ender); ok {
		e.Ended(&proxy.End{Why: "test"})
	}
}

// sends hands packets to the stage, and returns its error.
func (w *wire) sends(d proxy.Direction, packets ...mqtt.Packet) error {
	w.t.Helper()
	for _, p := range packets {
		b, err := p.Append(nil, w.v)
		if err != nil {
			w.t.Fatal(err)
		}
		f, err := proxy.NewFrame(d, b)
		if err != nil {
			w.t.Fatal(err)
		}
		if err := w.stage.Handle(w.ctx, f, w.emit); err != nil {
			return err
		}
	}
	return nil
}

func (w *wire) client(packets ...mqtt.Packet) error { return w.sends(proxy.ToServer, packets...) }
func (w *wire) broker(packets ...mqtt.Packet) error { return w.sends(proxy.ToClient, packets...) }

func (w *wire) emit(f proxy.Frame) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, _, err := mqtt.Parse(f.Bytes, mqtt.Options{Version: w.v, EitherSide: true, Lenient: true})
	if err != nil {
		return err
	}
	w.out[f.Direction] = append(w.out[f.Direction], mqtt.Describe(p, w.v))
	return nil
}

func (w *wire) Inject(_ proxy.Stage, f proxy.Frame) error { return w.emit(f) }

func (w *wire) Write(d proxy.Direction, b []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.raw[d] = append(w.raw[d], b...)
	return nil
}

func (w *wire) did(format string, a ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = append(w.done, fmt.Sprintf(format, a...))
}

// acts is what was done to the connection.
func (w *wire) acts() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.done)
}

func (w *wire) Stall(d proxy.Direction, on bool) { w.did("stall %v %v", d, on) }
func (w *wire) Slice(d proxy.Direction, n int, _ time.Duration) {
	w.did("slice %v %d", d, n)
}
func (w *wire) End(e *proxy.End) { w.did("end %v", e.Manner) }
func (w *wire) Server() string   { return "" }
func (w *wire) Dial(context.Context, string) (transport.Conn, error) {
	return nil, errors.New("not here")
}

// went compares what has gone out in a direction since the last time.
func (w *wire) went(d proxy.Direction, want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.out[d], want) {
		w.t.Errorf("%v: %s\nwant %s", d, strings.Join(w.out[d], "; "), strings.Join(want, "; "))
	}
	w.out[d] = nil
}

func (w *wire) texts() (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		all = append(all, e.String())
	}
	return all
}

func publish(id uint16, qos uint8) mqtt.Publish {
	return mqtt.Publish{Topic: []byte("a/b"), QoS: qos, PacketID: id, Payload: []byte("x")}
}

func line(p mqtt.Packet) string { return mqtt.Describe(p, mqtt.V5) }

func TestDropThirdPuback(t *testing.T) {
	w := newWire(t, "sensor-7", mqtt.V5, "drop @ s2c PUBACK client=sensor-7 / nth=3")
	other := newWire(t, "sensor-8", mqtt.V5, "drop @ s2c PUBACK client=sensor-7 / nth=3")
	for _, w := range []*wire{w, other} {
		for id := range uint16(4) {
			if err := errors.Join(w.client(publish(id+1, 1)), w.broker(mqtt.Puback{PacketID: id + 1})); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.went(proxy.ToClient, line(mqtt.Puback{PacketID: 1}), line(mqtt.Puback{PacketID: 2}), line(mqtt.Puback{PacketID: 4}))
	other.went(proxy.ToClient, line(mqtt.Puback{PacketID: 1}), line(mqtt.Puback{PacketID: 2}), line(mqtt.Puback{PacketID: 3}), line(mqtt.Puback{PacketID: 4}))
	if got := w.texts(); len(got) != 1 || got[0] != "fault 1: drop s2c PUBACK, match 3: not passed on" {
		t.Error(got)
	}
}

func TestCloseBeforePuback(t *testing.T) {
	w := newWire(t, "a", mqtt.V311, "close @ s2c PUBACK / nth=1 before")
	err := w.broker(mqtt.Puback{PacketID: 1})
	var end *proxy.End
	if !errors.As(err, &end) || end.Manner != proxy.Polite {
		t.Fatal(err)
	}
	w.went(proxy.ToClient)
	w = newWire(t, "a", mqtt.V311, "reset @ s2c PUBACK / nth=1 after")
	if err := w.broker(mqtt.Puback{PacketID: 1}); !errors.As(err, &end) || end.Manner != proxy.Reset {
		t.Fatal(err)
	}
	w.went(proxy.ToClient, mqtt.Describe(mqtt.Puback{PacketID: 1}, mqtt.V311))
}

func TestCutInTheMiddleOfAPublish(t *testing.T) {
	w := newWire(t, "a", mqtt.V311, "cut after 4 bytes @ c2s PUBLISH qos=1 / nth=2")
	if err := w.client(publish(1, 1), publish(0, 0)); err != nil {
		t.Fatal(err)
	}
	var end *proxy.End
	if err := w.client(publish(2, 1)); !errors.As(err, &end) {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(w.raw[proxy.ToServer]); got != "32080003" {
		t.Error(got)
	}
}

func TestDuplicatesGetOneAnswer(t *testing.T) {
	w := newWire(t, "a", mqtt.V5, "dup 2 @ c2s PUBLISH qos>0")
	dup := func(p mqtt.Publish) mqtt.Publish { p.Dup = true; return p }
	p1, p2 := publish(1, 1), publish(2, 2)
	if err := w.client(p1, p2); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToServer, line(p1), line(dup(p1)), line(dup(p1)), line(p2), line(dup(p2)), line(dup(p2)))
	rec, ack := mqtt.Pubrec{PacketID: 2}, mqtt.Puback{PacketID: 1}
	if err := w.broker(ack, ack, rec, ack, rec, rec); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToClient, line(ack), line(rec))
	// The identifiers are free again: answers to what follows pass.
	if err := errors.Join(w.broker(ack), w.client(mqtt.Pubrel{PacketID: 2}), w.broker(mqtt.Pubcomp{PacketID: 2})); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToClient, line(ack), line(mqtt.Pubcomp{PacketID: 2}))
}

func TestInjectedRequestsHaveTheirOwnIdentifiers(t *testing.T) {
	w := newWire(t, "a", mqtt.V5,
		`inject PUBLISH topic=injected qos=2 payload=y @ c2s SUBSCRIBE / once`)
	sub := mqtt.Subscribe{PacketID: 65535, Filters: []mqtt.Subscription{{Filter: "f"}}}
	if err := w.client(sub); err != nil {
		t.Fatal(err)
	}
	injected := mqtt.Publish{Topic: []byte("injected"), QoS: 2, PacketID: 65534, Payload: []byte("y")}
	w.went(proxy.ToServer, line(sub), line(injected))
	// The client uses the same identifier: it is renamed on the way.
	if err := w.client(publish(65534, 1)); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToServer, line(publish(65533, 1)))
	if err := w.broker(mqtt.Pubrec{PacketID: 65534}, mqtt.Puback{PacketID: 65533}, mqtt.Pubcomp{PacketID: 65534}); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToServer, line(mqtt.Pubrel{PacketID: 65534}))
	w.went(proxy.ToClient, line(mqtt.Puback{PacketID: 65534}))
	if err := errors.Join(w.client(publish(65534, 1)), w.broker(mqtt.Puback{PacketID: 65534})); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToServer, line(publish(65534, 1)))
	w.went(proxy.ToClient, line(mqtt.Puback{PacketID: 65534}))
}

func TestInjectTowardsTheClient(t *testing.T) {
	w := newWire(t, "a", mqtt.V311, `inject s2c PUBLISH topic=cmd qos=1 payload=go @ s2c SUBACK / after`)
	if err := errors.Join(w.broker(mqtt.Suback{PacketID: 3, Codes: []mqtt.ReasonCode{1}})); err != nil {
		t.Fatal(err)
	}
	p := mqtt.Publish{Topic: []byte("cmd"), QoS: 1, PacketID: 65535, Payload: []byte("go")}
	w.went(proxy.ToClient, mqtt.Describe(mqtt.Suback{PacketID: 3, Codes: []mqtt.ReasonCode{1}}, w.v), mqtt.Describe(p, w.v))
	if err := w.client(mqtt.Puback{PacketID: 65535}, mqtt.Puback{PacketID: 1}); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToServer, mqtt.Describe(mqtt.Puback{PacketID: 1}, w.v))
}

func TestRefuseHasTheFormOfTheVersion(t *testing.T) {
	for _, tt := range []struct {
		rule   string
		v      mqtt.Version
		packet mqtt.Packet
		want   string // "" for none
		ends   bool
	}{
		{"refuse 0x97 @ c2s", mqtt.V5, publish(7, 1), "PUBACK id 7, Quota exceeded", false},
		{"refuse 0x97 @ c2s", mqtt.V5, publish(7, 2), "PUBREC id 7, Quota exceeded", false},
		{"refuse 0x97 @ c2s", mqtt.V5, publish(0, 0), "", false},
		{"refuse 0x97 @ c2s", mqtt.V311, publish(7, 1), "", true},
		{"refuse 0x89 @ c2s CONNECT", mqtt.V5, mqtt.Connect{Version: mqtt.V5, ClientID: "a"}, "CONNACK Server busy", true},
		{"refuse 0x89 @ c2s CONNECT", mqtt.V311, mqtt.Connect{Version: mqtt.V311, ClientID: "a"}, "CONNACK Server unavailable", true},
		{"refuse 5 @ c2s CONNECT", mqtt.V311, mqtt.Connect{Version: mqtt.V311, ClientID: "a"}, "CONNACK Not authorized", true},
		{"refuse 5 @ c2s CONNECT", mqtt.V5, mqtt.Connect{Version: mqtt.V5, ClientID: "a"}, "CONNACK Not authorized", true},
		{"refuse not-authorized @ c2s", mqtt.V5, mqtt.Subscribe{PacketID: 2, Filters: []mqtt.Subscription{{Filter: "a"}, {Filter: "b"}}}, "SUBACK id 2, Not authorized, Not authorized", false},
		{"refuse not-authorized @ c2s", mqtt.V311, mqtt.Subscribe{PacketID: 2, Filters: []mqtt.Subscription{{Filter: "a"}, {Filter: "b"}}}, "SUBACK id 2, Failure, Failure", false},
		{"refuse 0x87 @ c2s", mqtt.V5, mqtt.Unsubscribe{PacketID: 2, Filters: []string{"a"}}, "UNSUBACK id 2, Not authorized", false},
		{"refuse 0x87 @ c2s", mqtt.V311, mqtt.Unsubscribe{PacketID: 2, Filters: []string{"a"}}, "", true},
		{"refuse 0x97 @ s2c", mqtt.V5, publish(9, 1), "PUBACK id 9, Quota exceeded", false},
		{"refuse 0x9f @ c2s", mqtt.V5, mqtt.Pingreq{}, "DISCONNECT Connection rate exceeded", true},
	} {
		w := newWire(t, "a", tt.v, tt.rule)
		d := proxy.ToServer
		if strings.Contains(tt.rule, "s2c") {
			d = proxy.ToClient
		}
		err := w.sends(d, tt.packet)
		if tt.ends != (err != nil) {
			t.Errorf("%s: %v", tt.rule, err)
		}
		w.went(d)
		if tt.want == "" {
			w.went(d.Back())
		} else {
			w.went(d.Back(), tt.want)
		}
	}
}

func TestRefuseConnectTwiceCountsTheClient(t *testing.T) {
	var refused []bool
	set := NewSet(Options{})
	addRules(t, set, "refuse 0x89 @ c2s CONNECT / times=2")
	for _, client := range []string{"a", "a", "b", "a", "b", "b"} {
		w := &wire{t: t, v: mqtt.V5}
		w.join(set, client)
		refused = append(refused, w.client(mqtt.Connect{Version: mqtt.V5, ClientID: client}) != nil)
	}
	if want := []bool{true, true, true, false, true, false}; !slices.Equal(refused, want) {
		t.Errorf("%v, want %v", refused, want)
	}
}

func TestLieAnswersAndForwardsNothing(t *testing.T) {
	w := newWire(t, "a", mqtt.V5, "lie @ c2s")
	dup := publish(2, 2)
	dup.Dup = true
	err := w.client(publish(1, 1), publish(2, 2), dup, mqtt.Pubrel{PacketID: 2}, publish(0, 0), mqtt.Pingreq{},
		mqtt.Subscribe{PacketID: 3, Filters: []mqtt.Subscription{{Filter: "a", QoS: 2}, {Filter: "b"}}}, mqtt.Unsubscribe{PacketID: 4, Filters: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToServer)
	rec := line(mqtt.Pubrec{PacketID: 2})
	w.went(proxy.ToClient, line(mqtt.Puback{PacketID: 1}), rec, rec, line(mqtt.Pubcomp{PacketID: 2}), line(mqtt.Pingresp{}),
		"SUBACK id 3, Granted QoS 2, Granted QoS 0", line(mqtt.Unsuback{PacketID: 4, Codes: []mqtt.ReasonCode{0}}))
}

func TestLieAboutOneMessageLeavesTheOthers(t *testing.T) {
	w := newWire(t, "a", mqtt.V311, "lie @ c2s PUBLISH / nth=1")
	p := func(q mqtt.Packet) string { return mqtt.Describe(q, mqtt.V311) }
	if err := w.client(publish(1, 2), publish(2, 2), mqtt.Pubrel{PacketID: 1}, mqtt.Pubrel{PacketID: 2}, publish(1, 2), mqtt.Pubrel{PacketID: 1}); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToServer, p(publish(2, 2)), p(mqtt.Pubrel{PacketID: 2}), p(publish(1, 2)), p(mqtt.Pubrel{PacketID: 1}))
	w.went(proxy.ToClient, p(mqtt.Pubrec{PacketID: 1}), p(mqtt.Pubcomp{PacketID: 1}))
}

func TestCorruptLengthByte(t *testing.T) {
	w := newWire(t, "a", mqtt.V311, "corrupt field=remaining-length,+1 @ s2c PUBLISH / nth=2")
	if err := w.broker(publish(1, 1), publish(2, 1)); err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(w.raw[proxy.ToClient]); got != "32090003612f62000278" {
		t.Error(got)
	}
	w.went(proxy.ToClient, mqtt.Describe(publish(1, 1), mqtt.V311))
}

func TestCorruptByChanceWithASeedOfItsOwn(t *testing.T) {
	// The seed of the rule counts, not that of the run.
	spoilt := func(run uint64) (all []int) {
		set := NewSet(Options{Seed: run, Report: func(e Event) { all = append(all, e.Number) }})
		addRules(t, set, "corrupt field=remaining-length,+1 @ s2c PUBLISH / p=0.01 seed=7")
		w := &wire{t: t, v: mqtt.V5}
		w.join(set, "a")
		for range 2000 {
			if err := w.broker(publish(1, 1)); err != nil {
				t.Fatal(err)
			}
		}
		return all
	}
	a := spoilt(1)
	if len(a) < 5 || len(a) > 50 {
		t.Errorf("%d of 2000", len(a))
	}
	if b := spoilt(2); !slices.Equal(a, b) {
		t.Errorf("%v, %v", a, b)
	}
}

func BenchmarkHandle(b *testing.B) {
	for name, rules := range map[string][]string{
		"rules=0":       nil,
		"rules=1":       {"drop @ s2c PUBACK client=sensor-7 / nth=3"},
		"rules=1/topic": {"drop @ c2s PUBLISH topic=none/# / nth=3"},
	} {
		b.Run(name, func(b *testing.B) {
			set := NewSet(Options{Live: true})
			for _, text := range rules {
				r, err := ParseRule(text)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := set.Add(r); err != nil {
					b.Fatal(err)
				}
			}
			c := &proxy.Conn{Number: 1, ClientID: "sensor-7", Version: mqtt.V311, Metrics: &proxy.Metrics{}}
			s, err := set.Open(c)
			if err != nil {
				b.Fatal(err)
			}
			p, err := publish(0, 0).Append(nil, mqtt.V311)
			if err != nil {
				b.Fatal(err)
			}
			f, err := proxy.NewFrame(proxy.ToServer, p)
			if err != nil {
				b.Fatal(err)
			}
			emit := func(proxy.Frame) error { return nil }
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Handle(b.Context(), f, emit); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestCorruptFields(t *testing.T) {
	b, err := publish(7, 1).Append(nil, mqtt.V5)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ rule, want string }{
		{"corrupt field=id,9", "32090003612f6200090078"},
		{"corrupt field=qos,3", "36090003612f6200070078"},
		{"corrupt field=topic-length,+1", "32090004612f6200070078"},
		{"corrupt field=topic,x:2b2f23", "320900032b2f2300070078"},
		{"corrupt field=payload,x:", "32090003612f62000700"},
		{"corrupt field=payload,^0xff", "32090003612f6200070087"},
		{"corrupt field=property-length,5", "32090003612f6200070578"},
		{"corrupt byte=0,0xf2", "f2090003612f6200070078"},
		{"corrupt bit=0", "b2090003612f6200070078"},
		{"truncate 3", "320900"},
		{"replace c000", "c000"},
	} {
		w := newWire(t, "a", mqtt.V5, tt.rule)
		f, _ := proxy.NewFrame(proxy.ToServer, b)
		var got []byte
		err := w.stage.Handle(w.ctx, f, func(f proxy.Frame) error { got = append(got, f.Bytes...); return nil })
		got = append(got, w.raw[proxy.ToServer]...)
		if err != nil || hex.EncodeToString(got) != tt.want {
			t.Errorf("%s: %x, want %s, %v", tt.rule, got, tt.want, err)
		}
	}
}

func TestReplaceKeepsWhatIsNotGiven(t *testing.T) {
	w := newWire(t, "a", mqtt.V5, "replace PUBLISH payload=new retain user-property=by:test @ c2s PUBLISH", "replace PUBACK id=same code=0x97 @ s2c PUBACK")
	p := publish(7, 1)
	p.Properties = p.Properties.AppendUint32(mqtt.PropMessageExpiryInterval, 60)
	if err := errors.Join(w.client(p), w.broker(mqtt.Puback{PacketID: 7})); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToServer, `PUBLISH topic "a/b", QoS 1, id 7, retain, 3 bytes, message-expiry-interval 60, user-property "by"="test"`)
	w.went(proxy.ToClient, "PUBACK id 7, Quota exceeded")
}

func TestReorderChangesTheOrder(t *testing.T) {
	w := newWire(t, "a", mqtt.V5, "reorder 3 @ s2c PUBLISH")
	if err := w.broker(publish(1, 1), mqtt.Pingresp{}, publish(2, 1), publish(3, 1)); err != nil {
		t.Fatal(err)
	}
	got := w.out[proxy.ToClient]
	sorted := slices.Sorted(slices.Values(got))
	if len(got) != 4 || got[0] != "PINGRESP" || slices.Equal(got[1:], sorted[1:]) {
		t.Error(got)
	}
}

func TestHoldAndRelease(t *testing.T) {
	w := newWire(t, "a", mqtt.V5, "acks: hold @ s2c PUBACK", "drop @ c2s PINGREQ", "release acks @ c2s DISCONNECT")
	if err := w.broker(mqtt.Puback{PacketID: 1}, mqtt.Pingresp{}, mqtt.Puback{PacketID: 2}); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToClient, "PINGRESP")
	if err := w.client(mqtt.Disconnect{}); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToClient, line(mqtt.Puback{PacketID: 1}), line(mqtt.Puback{PacketID: 2}))
}

func TestDelayedPacketsKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a", mqtt.V5, "delay 200ms±50 @ s2c PUBLISH / nth=1")
		begin := time.Now()
		if err := w.broker(publish(1, 1), mqtt.Pingresp{}); err != nil {
			t.Fatal(err)
		}
		took := time.Since(begin)
		if took < 150*time.Millisecond || took > 250*time.Millisecond {
			t.Error(took)
		}
		w.went(proxy.ToClient, line(publish(1, 1)), "PINGRESP")
		w.end()
	})
}

func TestDelayWithReorderIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a", mqtt.V5, "delay 1s reorder @ s2c PUBLISH")
		if err := w.broker(publish(1, 1), mqtt.Pingresp{}); err != nil {
			t.Fatal(err)
		}
		w.went(proxy.ToClient, "PINGRESP")
		time.Sleep(time.Second)
		synctest.Wait()
		w.went(proxy.ToClient, line(publish(1, 1)))
		w.end()
	})
}

func TestStallForAWindowNeedsNoPacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a", mqtt.V5, "stall @ both / at=10s for=90s")
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if len(w.acts()) > 0 {
			t.Error("too early:", w.acts())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if want := []string{"stall c2s true", "stall s2c true"}; !slices.Equal(w.acts(), want) {
			t.Error(w.acts())
		}
		time.Sleep(90 * time.Second)
		synctest.Wait()
		if want := []string{"stall c2s true", "stall s2c true", "stall c2s false", "stall s2c false"}; !slices.Equal(w.acts(), want) {
			t.Error(w.acts())
		}
		w.end()
	})
}

func TestEndsAtTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a", mqtt.V5, "reset @ both client=a / at=5s", "close @ both client=b / at=5s", "inject s2c DISCONNECT code=0x8b / at=4s")
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if want := []string{fmt.Sprintf("end %v", proxy.Reset)}; !slices.Equal(w.acts(), want) {
			t.Error(w.acts())
		}
		w.went(proxy.ToClient, "DISCONNECT Server shutting down")
		w.end()
	})
}

func TestBlackholeForgetsBothDirections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a", mqtt.V5, "blackhole @ c2s PUBLISH / for=1m")
		if err := errors.Join(w.client(mqtt.Pingreq{}, publish(1, 1)), w.broker(mqtt.Pingresp{})); err != nil {
			t.Fatal(err)
		}
		w.went(proxy.ToServer, "PINGREQ")
		w.went(proxy.ToClient)
		time.Sleep(time.Minute)
		if err := errors.Join(w.client(mqtt.Pingreq{}), w.broker(mqtt.Pingresp{})); err != nil {
			t.Fatal(err)
		}
		w.went(proxy.ToServer, "PINGREQ")
		w.went(proxy.ToClient, "PINGRESP")
		w.end()
	})
}

func TestWindowsAndEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a", mqtt.V5, "drop @ s2c PINGRESP / after=30s", "first: drop @ c2s PUBLISH / nth=2", "drop @ c2s PINGREQ / after=first times=1",
			`drop @ s2c PUBLISH / after="s2c SUBACK" once`)
		ping := func(want ...string) {
			t.Helper()
			if err := w.broker(mqtt.Pingresp{}); err != nil {
				t.Fatal(err)
			}
			w.went(proxy.ToClient, want...)
		}
		ping("PINGRESP")
		time.Sleep(30 * time.Second)
		ping()
		if err := w.client(mqtt.Pingreq{}, publish(1, 1), publish(2, 1), mqtt.Pingreq{}, mqtt.Pingreq{}); err != nil {
			t.Fatal(err)
		}
		w.went(proxy.ToServer, "PINGREQ", line(publish(1, 1)), "PINGREQ")
		if err := w.broker(publish(0, 0), mqtt.Suback{PacketID: 1, Codes: []mqtt.ReasonCode{0}}, publish(0, 0), publish(0, 0)); err != nil {
			t.Fatal(err)
		}
		w.went(proxy.ToClient, line(publish(0, 0)), "SUBACK id 1, Granted QoS 0", line(publish(0, 0)))
		w.end()
	})
}

func TestThrottleTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a", mqtt.V5, "throttle 1KB/s @ s2c")
		p := publish(0, 0)
		p.Payload = bytes.Repeat([]byte("x"), 492) // 500 bytes with all
		begin := time.Now()
		if err := w.broker(p, p, p, p); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin).Round(10 * time.Millisecond); took != 2*time.Second {
			t.Error(took)
		}
		w.end()
	})
}

func TestTopicsBehindAliases(t *testing.T) {
	w := newWire(t, "a", mqtt.V5, "drop @ c2s topic=a/#")
	p := publish(0, 0)
	p.Properties = p.Properties.AppendUint16(mqtt.PropTopicAlias, 3)
	short := p
	short.Topic = nil
	other := short
	other.Properties = mqtt.Properties{}.AppendUint16(mqtt.PropTopicAlias, 4)
	if err := w.client(p, short, other); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToServer, line(other))
}

func TestTheSameSeedDropsTheSamePackets(t *testing.T) {
	// Clients take turns in different ways; what happens to each is the same.
	run := func(order []int, seed uint64) map[string][]int {
		set := NewSet(Options{Seed: seed})
		got := map[string][]int{}
		set.opt.Report = func(e Event) { got[e.Client] = append(got[e.Client], e.Number) }
		addRules(t, set, "drop @ c2s PUBLISH / p=0.3", "corrupt @ c2s PUBLISH / p=0.1")
		clients := make([]*wire, 3)
		for i := range clients {
			clients[i] = &wire{t: t, v: mqtt.V5}
			clients[i].join(set, fmt.Sprintf("client-%d", i))
		}
		for _, i := range order {
			if err := clients[i].client(publish(1, 1)); err != nil {
				t.Fatal(err)
			}
		}
		return got
	}
	var inTurn, oneByOne []int
	for range 100 {
		inTurn = append(inTurn, 0, 1, 2)
	}
	for i := range 3 {
		oneByOne = append(oneByOne, slices.Repeat([]int{2 - i}, 100)...)
	}
	a, b := run(inTurn, 7), run(oneByOne, 7)
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("%v\n%v", a, b)
	}
	for client, dropped := range a {
		if n := len(dropped); n < 15 || n > 65 {
			t.Errorf("%s: %d of 100", client, n)
		}
	}
	if fmt.Sprint(a["client-0"]) == fmt.Sprint(a["client-1"]) {
		t.Error("clients have the same chances")
	}
	if c := run(inTurn, 8); fmt.Sprint(a) == fmt.Sprint(c) {
		t.Error("the seed changes nothing")
	}
}

func TestRulesComeAndGo(t *testing.T) {
	set := NewSet(Options{Live: true})
	w := &wire{t: t, v: mqtt.V5}
	w.join(set, "a")
	addRules(t, set, "hold @ s2c PINGRESP", "named: drop @ c2s PINGREQ")
	if err := errors.Join(w.broker(mqtt.Pingresp{}), w.client(mqtt.Pingreq{})); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToClient)
	if got := set.Rules(); len(got) != 2 || got[0].Name != "1" || got[0].Held != 1 || got[1].Name != "named" || got[1].Fired != 1 {
		t.Errorf("%+v", got)
	}
	if err := set.Remove("1"); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToClient, "PINGRESP")
	if err := set.Remove("1"); !errors.Is(err, ErrNoRule) {
		t.Error(err)
	}
	if err := errors.Join(set.Remove("named"), w.client(mqtt.Pingreq{})); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToServer, "PINGREQ")
	addRules(t, set, "close @ both client=a")
	set.Close()
	if len(w.acts()) != 1 {
		t.Error(w.acts())
	}
}
