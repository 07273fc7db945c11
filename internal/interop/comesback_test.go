//go:build unix

package interop

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth/passwordfile"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// These tests kill the broker and look at what the next one knows.

// A session belongs to whom it has belonged to, with all that waits in it.
func TestOwnerComesBack(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passwords")
	for _, user := range []string{"ana", "eve"} {
		if err := passwordfile.Put(file, user, []byte(user)); err != nil {
			t.Fatal(err)
		}
	}
	d := newDaemon(t, "auth: {password_file: "+file+"}\n")
	as := func(user, id string) mqtt.Connect {
		return mqtt.Connect{ClientID: id, HasUsername: true, Username: user, HasPassword: true, Password: []byte(user)}
	}
	s := d.session(as("ana", "device"), false)
	s.subscribe(mqtt.Subscription{Filter: "q", QoS: 1})
	_ = s.nc.Close()
	d.restart()
	p := d.session(as("ana", "pub"), false)
	for i := range 100 {
		p.publish(text("q", fmt.Sprint(i), 1))
	}
	d.restart()
	for _, clean := range []bool{false, true} {
		c := as("eve", "device")
		c.CleanStart = clean
		if _, ack := d.exactly(c); !ack.Code.IsError() {
			t.Errorf("clean start %v: CONNACK %s for the session of somebody else", clean, ack.Code)
		}
	}
	s = d.session(as("ana", "device"), true)
	for i := range 100 {
		if m := s.receive(); string(m.Payload) != fmt.Sprint(i) {
			t.Fatalf("received %s, want %d", m.Payload, i)
		}
	}
	s.nothing()
}

// What a subscription asked for shows in what it brings.
func TestSubscriptionsComeBack(t *testing.T) {
	d := newDaemon(t, unlimited)
	s := d.session(named("sub"), false)
	id := mqtt.Properties(nil).AppendVarint(mqtt.PropSubscriptionIdentifier, 7)
	s.subscribeWith(id, mqtt.Subscription{Filter: "a/+", QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 2})
	s.subscribe(mqtt.Subscription{Filter: "b", QoS: 0}, mqtt.Subscription{Filter: "left", QoS: 1}, mqtt.Subscription{Filter: "$share/g/c", QoS: 1})
	s.send(mqtt.Unsubscribe{PacketID: 2, Filters: []string{"left"}})
	expect[mqtt.Unsuback](s)
	d.restart()
	s = d.session(named("sub"), true)
	s.publish(text("a/own", "no local", 1))
	p := d.session(named("pub"), false)
	kept := text("a/kept", "kept", 2)
	kept.Retain = true
	for _, m := range []mqtt.Publish{text("left", "x", 1), kept, text("b", "b", 1), text("c", "c", 2)} {
		p.publish(m)
	}
	for _, want := range []struct {
		topic  string
		qos    uint8
		retain bool
		id     uint32
	}{{"a/kept", 1, true, 7}, {"b", 0, false, 0}, {"c", 1, false, 0}} {
		m := s.receive()
		got, _ := m.Properties.Varint(mqtt.PropSubscriptionIdentifier)
		if string(m.Topic) != want.topic || m.QoS != want.qos || m.Retain != want.retain || got != want.id {
			t.Errorf("received %s at QoS %d, retain %v, subscription %d; want %+v", m.Topic, m.QoS, m.Retain, got, want)
		}
	}
	s.nothing()
}

// What is under way in both directions goes on under the same identifiers.
func TestMessagesUnderWayComeBack(t *testing.T) {
	d := newDaemon(t, unlimited)
	small := mqtt.Properties(nil).AppendUint16(mqtt.PropReceiveMaximum, 3)
	s := d.session(mqtt.Connect{ClientID: "sub", Properties: small}, false)
	s.subscribe(mqtt.Subscription{Filter: "#", QoS: 2})
	p := d.session(named("pub"), false)
	for i, qos := range []uint8{1, 2, 2, 1, 2} {
		p.publish(text("t", fmt.Sprint(i), qos))
	}
	var first [3]mqtt.Publish
	for i := range first {
		first[i] = expect[mqtt.Publish](s)
	}
	s.send(mqtt.Pubrec{PacketID: first[1].PacketID}) // the other two are left open
	expect[mqtt.Pubrel](s)
	// Inbound: one QoS 2 message has its PUBREC, and no PUBREL yet.
	open := text("t", "in", 2)
	open.PacketID = 9
	p.send(open)
	expect[mqtt.Pubrec](p)
	d.restart()

	p = d.session(named("pub"), true)
	open.Dup = true
	p.send(open)
	if code := expect[mqtt.Pubrec](p).Code; code.IsError() {
		t.Errorf("PUBREC %s", code)
	}
	p.send(mqtt.Pubrel{PacketID: 9})
	expect[mqtt.Pubcomp](p)

	s = d.session(mqtt.Connect{ClientID: "sub", Properties: small}, true)
	var got []string
	for open := 0; len(got) < 6 || open > 0; {
		packet, err := s.read(patience)
		if err != nil {
			t.Fatalf("after %v: %v", got, err)
		}
		switch m := packet.(type) {
		case mqtt.Pubrel:
			s.send(mqtt.Pubcomp{PacketID: m.PacketID})
			if m.PacketID == first[1].PacketID {
				got = append(got, "released")
				continue
			}
			open--
		case mqtt.Publish:
			for i, f := range first {
				if same := string(f.Payload) == string(m.Payload); same && (m.PacketID != f.PacketID || !m.Dup) {
					t.Errorf("message %d came back as %d, DUP %v; it was %d", i, m.PacketID, m.Dup, f.PacketID)
				}
			}
			got = append(got, string(m.Payload))
			if m.QoS == 1 {
				s.send(mqtt.Puback{PacketID: m.PacketID})
				continue
			}
			s.send(mqtt.Pubrec{PacketID: m.PacketID})
			open++
		}
	}
	count := make(map[string]int)
	for _, g := range got {
		count[g]++
	}
	for _, want := range []string{"released", "0", "2", "3", "4", "in"} {
		if count[want] != 1 {
			t.Errorf("%q came %d times: %v", want, count[want], got)
		}
	}
	s.nothing()
}

// A retained message comes back with what is left of its time.
func TestRetainedMessagesComeBack(t *testing.T) {
	d := newDaemon(t, unlimited)
	p := d.session(named("pub"), false)
	for topic, expiry := range map[string]uint32{"r/long": 1000, "r/short": 1, "r/never": 0} {
		m := text(topic, topic, 1)
		m.Retain = true
		if expiry > 0 {
			m.Properties = m.Properties.AppendUint32(mqtt.PropMessageExpiryInterval, expiry)
		}
		p.publish(m)
	}
	cleared := text("r/cleared", "x", 1)
	cleared.Retain = true
	p.publish(cleared)
	cleared.Payload = nil
	p.publish(cleared)
	began := time.Now()
	for time.Since(began) < 1100*time.Millisecond { // the broker's clock, whoever runs it
		d.restart()
	}
	s := d.session(named("sub"), false)
	s.subscribe(mqtt.Subscription{Filter: "r/#", QoS: 1})
	got := make(map[string]bool)
	for range 2 {
		m := s.receive()
		got[string(m.Topic)] = true
		left, has := m.Properties.Uint32(mqtt.PropMessageExpiryInterval)
		if long := string(m.Topic) == "r/long"; has != long || long && (left >= 1000 || left < 900) {
			t.Errorf("%s has %d s left (%v)", m.Topic, left, has)
		}
	}
	if !got["r/long"] || !got["r/never"] {
		t.Errorf("received %v", got)
	}
	s.nothing()
}

// Wills of connections that the broker took with it, and delayed wills, are
// published after the restart; sessions end at their time.
func TestWillsAndExpiryComeBack(t *testing.T) {
	d := newDaemon(t, unlimited)
	heir := d.session(named("heir"), false)
	heir.subscribe(mqtt.Subscription{Filter: "will/#", QoS: 1})
	connect := func(id string, delay, expiry uint32) *exact {
		t.Helper()
		return d.session(mqtt.Connect{
			ClientID:   id,
			Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, expiry),
			Will: &mqtt.Will{
				Topic: "will/" + id, Payload: []byte("gone"), QoS: 1,
				Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropWillDelayInterval, delay),
			},
		}, false)
	}
	connect("vanished", 0, 3600)
	connect("late", 2, 3600)
	_ = connect("waiting", 2, 3600).nc.Close() // its delay runs already
	connect("ends", 3600, 2)                   // at the latest with the session
	polite := connect("polite", 0, 3600)
	polite.send(mqtt.Disconnect{})
	if _, err := polite.read(patience); !errors.Is(err, io.EOF) {
		t.Fatalf("after DISCONNECT: %v", err)
	}
	heir.nothing()
	d.restart()
	heir = d.session(named("heir"), true)
	var got []string
	for range 4 {
		got = append(got, string(heir.receive().Topic))
	}
	if got[0] != "will/vanished" {
		t.Errorf("wills in the order %v", got)
	}
	heir.nothing()
	d.session(named("vanished"), true)
	d.session(named("ends"), false)
}
