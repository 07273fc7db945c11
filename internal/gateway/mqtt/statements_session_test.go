package mqtt_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
)

func TestStatement_3_1_2_4_SessionExpiry(t *testing.T) {
	t.Parallel()
	s := start(t, broker.Config{}, gw.Config{})
	connect := func(clean bool, expiry uint32) (*raw, mqtt.Connack) {
		r := dial(t, s.addr, mqtt.V5)
		return r, r.connect(mqtt.Connect{
			ClientID: "keeper", CleanStart: clean,
			Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, expiry),
		})
	}
	leave := func(r *raw, props mqtt.Properties) {
		r.send(mqtt.Disconnect{Properties: props})
		r.closed()
	}
	r, ack := connect(true, 100)
	if ack.SessionPresent {
		t.Error("clean start found a session")
	}
	leave(r, nil)
	r, ack = connect(false, 1)
	if !ack.SessionPresent {
		t.Error("the session is not there within its expiry interval")
	}
	leave(r, nil)
	time.Sleep(1500 * time.Millisecond)
	r, ack = connect(false, 100)
	if ack.SessionPresent {
		t.Error("the session is there after its expiry interval of 1 s")
	}
	leave(r, mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, 0))
	r, ack = connect(false, 0)
	if ack.SessionPresent {
		t.Error("DISCONNECT with expiry interval 0 has not ended the session")
	}
	// [MQTT-3.14.2-2]
	r.send(mqtt.Disconnect{Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, 10)})
	r.closedWith(mqtt.ProtocolError)
}

func TestStatement_3_1_4_3_TakenOverClientIsTold(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for _, v := range versions {
		first := online(t, s.addr, v, "same")
		online(t, s.addr, v, "same")
		first.closedWith(mqtt.SessionTakenOver)
	}
}

func TestStatement_3_1_4_3_WillsAtTakeover(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for i, c := range []struct {
		delay    uint32
		clean    bool
		wantWill bool
	}{
		{0, false, true},   // resumed: a will without delay is due at once
		{0, true, true},    // the session ends, its will with it
		{60, false, false}, // resumed before the delay: never published
		{60, true, true},   // the session ends before the delay
	} {
		watch := online(t, s.addr, mqtt.V5, "watch")
		watch.sub("will", 0)
		id := fmt.Sprint("mortal", i)
		connect := func(clean bool) *raw {
			r := dial(t, s.addr, mqtt.V5)
			r.connect(mqtt.Connect{
				ClientID: id, CleanStart: clean,
				Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, 100),
				Will: &mqtt.Will{
					Topic: "will", Payload: []byte(id),
					Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropWillDelayInterval, c.delay),
				},
			})
			return r
		}
		first := connect(true)
		second := connect(c.clean)
		first.closed()
		if c.wantWill {
			if m := watch.message(); string(m.Payload) != id {
				t.Errorf("%+v: will %q", c, m.Payload)
			}
		} else {
			watch.silent(200 * time.Millisecond)
		}
		second.send(mqtt.Disconnect{})
		second.closed()
	}
}

func TestStatement_3_1_3_9_WillAtTheEarlierOfDelayAndSessionEnd(t *testing.T) {
	t.Parallel()
	s := start(t, broker.Config{}, gw.Config{})
	watch := online(t, s.addr, mqtt.V5, "watch")
	watch.sub("will/#", 0)
	connect := func(id string, expiry, delay uint32) *raw {
		r := dial(t, s.addr, mqtt.V5)
		r.connect(mqtt.Connect{
			ClientID:   id,
			Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, expiry),
			Will: &mqtt.Will{
				Topic:      "will/" + id,
				Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropWillDelayInterval, delay),
			},
		})
		return r
	}
	began := time.Now()
	_ = connect("session-first", 1, 60).nc.Close()
	if m := watch.message(); string(m.Topic) != "will/session-first" || time.Since(began) < 900*time.Millisecond {
		t.Errorf("%s after %v, want the will at the end of the session", m.Topic, time.Since(began))
	}
	began = time.Now()
	_ = connect("delay-first", 60, 1).nc.Close()
	if m := watch.message(); string(m.Topic) != "will/delay-first" || time.Since(began) < 900*time.Millisecond {
		t.Errorf("%s after %v, want the will after its delay", m.Topic, time.Since(began))
	}
	for try := 0; ; try++ {
		id := fmt.Sprint("returns-", try)
		watch := online(t, s.addr, mqtt.V5, "watch "+id)
		watch.sub("will/"+id, 0)
		began = time.Now()
		_ = connect(id, 60, 1).nc.Close()
		time.Sleep(100 * time.Millisecond)
		connect(id, 60, 1)
		if time.Since(began) < 900*time.Millisecond { // else it has come too late
			watch.silent(1500 * time.Millisecond)
			break
		}
	}
}

func TestStatement_3_1_2_22_KeepAlive(t *testing.T) {
	t.Parallel() // it waits for most of its time
	s := start(t, broker.Config{}, gw.Config{})
	for _, v := range versions {
		r := dial(t, s.addr, v)
		began := time.Now()
		r.connect(mqtt.Connect{ClientID: "mute", CleanStart: true, KeepAlive: 1})
		r.closedWith(mqtt.KeepAliveTimeout)
		if took := time.Since(began); took < 1500*time.Millisecond || took > 15*time.Second {
			t.Errorf("%s: closed after %v, want one and a half times the keep alive of 1 s", v, took)
		}
	}
}

func TestStatement_3_2_2_21_ServerKeepAlive(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{MaxKeepAlive: 30 * time.Second})
	for asked, want := range map[uint16]uint16{0: 30, 20: 0, 31: 30} {
		r := dial(t, s.addr, mqtt.V5)
		ack := r.connect(mqtt.Connect{ClientID: "k", KeepAlive: asked})
		if got, _ := ack.Properties.Uint16(mqtt.PropServerKeepAlive); got != want {
			t.Errorf("keep alive %d: server keep alive %d, want %d", asked, got, want)
		}
	}
}

func TestStatement_3_2_2_ResponseInformation(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	for asked, want := range map[uint8]string{0: "", 1: "response/dev/"} {
		r := dial(t, s.addr, mqtt.V5)
		ack := r.connect(mqtt.Connect{
			ClientID:   "dev",
			Properties: mqtt.Properties(nil).AppendByte(mqtt.PropRequestResponseInformation, asked),
		})
		if got, _ := ack.Properties.String(mqtt.PropResponseInformation); got != want {
			t.Errorf("asked %d: response information %q, want %q", asked, got, want)
		}
	}
}

func TestSessionsBelongToAnIdentity(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{})
	connect := func(v mqtt.Version, user string, clean bool) (*raw, mqtt.Connack) {
		r := dial(t, s.addr, v)
		c := mqtt.Connect{ClientID: "victim", CleanStart: clean, HasUsername: true, Username: user}
		if v == mqtt.V5 {
			c.Properties = c.Properties.AppendUint32(mqtt.PropSessionExpiryInterval, 1000)
		}
		return r, r.connect(c)
	}
	owner, _ := connect(mqtt.V5, "ana", true)
	owner.sub("t", 1)
	for _, clean := range []bool{true, false} {
		thief, ack := connect(mqtt.V5, "eve", clean)
		if ack.Code != mqtt.NotAuthorized {
			t.Errorf("clean start %v: CONNACK %s for another identity", clean, ack.Code)
		}
		thief.closed()
		thief, ack = connect(mqtt.V311, "eve", clean)
		if ack.Code != mqtt.V3NotAuthorized {
			t.Errorf("clean session %v: CONNACK %d for another identity", clean, ack.Code)
		}
		thief.closed()
	}
	owner.publish(pub("t", "untouched", 1))
	if m := owner.message(); string(m.Payload) != "untouched" {
		t.Errorf("received %q", m.Payload)
	}
	owner.send(mqtt.Disconnect{})
	owner.closed()
	if _, ack := connect(mqtt.V5, "ana", false); !ack.SessionPresent {
		t.Error("the owner's session is gone")
	}
}

// deny refuses one action on one topic.
type deny struct {
	act   auth.Action
	topic string
}

func (d deny) Authorize(_ context.Context, _ *auth.Identity, act auth.Action, topic string) auth.Verdict {
	if act == d.act && topic == d.topic {
		return auth.Deny
	}
	return auth.Allow
}

func TestWillTopicNeedsTheRight(t *testing.T) {
	s := start(t, broker.Config{Authorizer: deny{auth.Publish, "forbidden"}}, gw.Config{})
	for topic, want := range map[string]mqtt.ReasonCode{
		"forbidden":  mqtt.NotAuthorized,
		"$SYS/x":     mqtt.NotAuthorized,
		"$CONTROL/x": mqtt.NotAuthorized,
		"$share/g/t": mqtt.NotAuthorized,
		"allowed":    mqtt.Success,
	} {
		r := dial(t, s.addr, mqtt.V5)
		ack := r.connect(mqtt.Connect{ClientID: "w", CleanStart: true, Will: &mqtt.Will{Topic: topic}})
		if ack.Code != want {
			t.Errorf("will on %q: CONNACK %s, want %s", topic, ack.Code, want)
		}
	}
}
