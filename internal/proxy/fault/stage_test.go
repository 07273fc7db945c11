package fault

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

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
