package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
)

// passwords are right when they repeat the user name.
type passwords struct{}

func (passwords) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	if c.Username != string(c.Password) {
		return auth.Identity{}, auth.Deny, nil
	}
	return auth.Identity{Name: c.Username, Username: c.Username, Method: "test"}, auth.Allow, nil
}

// as puts a user name and a password into a CONNECT.
func as(user, password string, c mqtt.Connect) mqtt.Connect {
	c.HasUsername, c.Username, c.HasPassword, c.Password = true, user, true, []byte(password)
	return c
}

// lasting is a session expiry interval that outlives the test's connections.
func lasting() mqtt.Properties {
	return mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, 1000)
}

// wipe ends the sessions that a test has left.
func (h *hall) wipe(ids ...string) {
	h.t.Helper()
	for _, id := range ids {
		h.online(mqtt.V5, id).send(mqtt.Disconnect{})
	}
}

func TestHostile_36_ClientIDOfAnotherIdentity(t *testing.T) {
	a := arena{gw: gw.Config{Authenticator: passwords{}}}
	a.login = func(c *mqtt.Connect) { *c = as("control", "control", *c) }
	hostile(t, a, func(h *hall) {
		victim := func(clean bool) (*raw, mqtt.Connack) {
			r := h.dial(mqtt.V5)
			return r, r.connect(as("ana", "ana", mqtt.Connect{ClientID: "victim", CleanStart: clean, Properties: lasting()}))
		}
		attack := func() {
			t.Helper()
			for _, clean := range []bool{true, false} {
				for _, v := range versions {
					c := mqtt.Connect{ClientID: "victim", CleanStart: clean, Will: &mqtt.Will{Topic: "t", Payload: []byte("eve's will")}}
					for want, c := range map[mqtt.ReasonCode]mqtt.Connect{
						mqtt.NotAuthorized:         as("eve", "eve", c),
						mqtt.BadUserNameOrPassword: as("ana", "wrong", c),
					} {
						if v < mqtt.V5 {
							want = map[mqtt.ReasonCode]mqtt.ReasonCode{mqtt.NotAuthorized: 5, mqtt.BadUserNameOrPassword: 4}[want]
						}
						if code := h.ask(v, c); code != want {
							t.Errorf("%s, user %s, clean start %v: CONNACK %#x, want %#x", v, c.Username, clean, uint8(code), uint8(want))
						}
					}
				}
			}
		}
		r, _ := victim(true)
		r.sub("t", 1)
		attack()
		r.publish(pub("t", "online", 1)) // the connection and its subscription live
		if m := r.message(); string(m.Payload) != "online" {
			t.Errorf("received %q", m.Payload)
		}
		r.publish(pub("t", "unacknowledged", 1))
		r.next()
		_ = r.nc.Close()
		h.deserted()
		p := h.with(mqtt.V5, as("bob", "bob", mqtt.Connect{ClientID: "bob", CleanStart: true}))
		p.publish(pub("t", "queued", 1))
		attack()
		r, ack := victim(false)
		if !ack.SessionPresent {
			t.Error("the session is gone")
		}
		for _, want := range []string{"unacknowledged", "queued"} {
			if m := r.message(); string(m.Payload) != want {
				t.Errorf("received %q, want %q", m.Payload, want)
			}
		}
		r.silent(30 * time.Millisecond)
		r.send(mqtt.Disconnect{Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, 0)})
		r.closed()
	})
}

func TestHostile_37_TakeOverStorm(t *testing.T) {
	const storm, n = 100, 300
	hostile(t, arena{}, func(h *hall) {
		connect := func() *raw { return h.with(mqtt.V5, mqtt.Connect{ClientID: "one", Properties: lasting()}) }
		r := connect()
		r.sub("t", 1)
		p := h.online(mqtt.V5, "publisher")
		// The storm, then a last connection that takes its time.
		published := make(chan struct{})
		go func() {
			defer close(published)
			for i := range n {
				b, _ := mqtt.Publish{Topic: []byte("t"), Payload: []byte(strconv.Itoa(i)), QoS: 1, PacketID: uint16(i%32) + 1}.Append(nil, mqtt.V5)
				_, _ = p.nc.Write(b)
				if i%8 == 7 {
					time.Sleep(2 * time.Millisecond)
				}
			}
		}()
		for range storm {
			r = connect()
			if rand.IntN(4) == 0 {
				_ = r.nc.Close()
			}
		}
		<-published
		for range n {
			expect[mqtt.Puback](p)
		}
		r = connect()
		for i := range n { // nothing has been acknowledged, so everything comes, in order
			if m := r.message(); string(m.Payload) != strconv.Itoa(i) {
				t.Fatalf("received %q, want %d", m.Payload, i)
			}
		}
		r.silent(20 * time.Millisecond)
		if got := h.b.Stats().TakenOver.Load(); got < storm/2 {
			t.Errorf("%d takeovers", got)
		}
		_ = r.nc.Close()
		_ = p.nc.Close()
		h.hangUp()
		h.deserted()
		for i := range 20 {
			claimants(h, versions[i%len(versions)], storm)
		}
		h.wipe("one")
		h.hangUp()
		h.deserted()
		if n := h.b.Sessions(); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// claimants connect at the same time with one client identifier, and each hears
// of its end or is the one that has the session.
func claimants(h *hall, v mqtt.Version, n int) {
	h.t.Helper()
	b, err := mqtt.Connect{Version: v, ClientID: "one"}.Append(nil, v)
	if err != nil {
		h.t.Fatal(err)
	}
	var clients sync.WaitGroup
	for range n {
		nc := h.socket()
		clients.Go(func() {
			_, _ = nc.Write(b)
			_, _ = io.Copy(io.Discard, nc)
			_ = nc.Close()
		})
	}
	h.within(time.Minute, "one of them is left", func() bool { return h.l.Counters().Open == 1 })
	h.hangUp()
	clients.Wait()
	h.deserted()
}

// device is a client that keeps its side of a session from one connection to
// the next.
type device struct {
	*raw
	open map[uint16]bool // received at QoS 2 and not released
	got  map[string]int
}

// work answers packets until nothing comes for wait, or most have been dealt
// with.
func (d *device) work(most int, wait time.Duration) {
	d.t.Helper()
	for range most {
		p, err := d.read(wait)
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			return
		case err != nil:
			d.t.Fatal(err)
		}
		switch p := p.(type) {
		case mqtt.Publish:
			if p.QoS == 2 && !d.open[p.PacketID] || p.QoS < 2 {
				d.got[string(p.Payload)]++
			}
			if p.QoS == 2 {
				d.open[p.PacketID] = true
				d.send(mqtt.Pubrec{PacketID: p.PacketID})
			}
		case mqtt.Pubrel:
			delete(d.open, p.PacketID)
			d.send(mqtt.Pubcomp{PacketID: p.PacketID})
		default:
			d.t.Fatalf("got %+v", p)
		}
	}
}

func TestHostile_38_TakeOverInTheMiddle(t *testing.T) {
	hostile(t, arena{broker: broker.Config{}}, func(h *hall) {
		p := h.online(mqtt.V5, "publisher")
		d := &device{open: map[uint16]bool{}, got: map[string]int{}}
		reconnect := func() { // the old connection stays open and is not heard any more
			d.raw = h.with(mqtt.V5, mqtt.Connect{ClientID: "device", Properties: lasting()})
		}
		exactlyOnce := func(what string, n int) {
			t.Helper()
			d.work(10*n, 50*time.Millisecond)
			for i := range n {
				if got := d.got[fmt.Sprint(what, i)]; got != 1 {
					t.Errorf("%s %d was received %d times", what, i, got)
				}
			}
			if len(d.open) > 0 {
				t.Errorf("%s: %d identifiers were never released", what, len(d.open))
			}
		}
		const n = 150
		reconnect()
		d.sub("live/#", 2)
		for i := range n { // between PUBREC and PUBREL, and anywhere else
			p.publish(pub("live/t", fmt.Sprint("live", i), 2))
			d.work(rand.IntN(6), 5*time.Millisecond)
			if i%5 == 0 {
				reconnect()
			}
		}
		reconnect()
		exactlyOnce("live", n)

		for i := range n { // during the replay of retained messages
			m := pub(fmt.Sprint("kept/", i), fmt.Sprint("kept", i), 2)
			m.Retain = true
			p.publish(m)
		}
		d.sub("kept/#", 2)
		d.raw.held = nil // what came before SUBACK has not been dealt with
		for range 10 {
			reconnect()
			d.work(rand.IntN(40), 5*time.Millisecond)
		}
		reconnect()
		exactlyOnce("kept", n)
		for i := range n {
			m := pub(fmt.Sprint("kept/", i), "", 1)
			m.Retain = true
			p.publish(m)
		}

		// The sender's side: the connection changes between PUBLISH and PUBREL.
		watch := h.online(mqtt.V5, "watch")
		watch.sub("sent", 2)
		for i := range 20 {
			m := mqtt.Publish{Topic: []byte("sent"), Payload: []byte(strconv.Itoa(i)), QoS: 2, PacketID: 7}
			reconnect()
			d.send(m)
			if i%2 == 0 {
				expect[mqtt.Pubrec](d.raw)
			}
			m.Dup = true
			reconnect()
			d.send(m)
			expect[mqtt.Pubrec](d.raw)
			d.send(mqtt.Pubrel{PacketID: 7})
			if i%3 == 0 {
				reconnect()
				d.send(mqtt.Pubrel{PacketID: 7})
			}
			expect[mqtt.Pubcomp](d.raw)
			if got := watch.message(); string(got.Payload) != strconv.Itoa(i) {
				t.Fatalf("received %q, want %d", got.Payload, i)
			}
		}
		watch.silent(20 * time.Millisecond)

		// One will, however often the client comes back during its delay.
		watch.sub("will", 1)
		for range 20 {
			d.raw = h.with(mqtt.V5, mqtt.Connect{
				ClientID: "device", Properties: lasting(),
				Will: &mqtt.Will{Topic: "will", QoS: 1, Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropWillDelayInterval, 1)},
			})
			if rand.IntN(2) == 0 {
				_ = d.nc.Close()
			}
		}
		_ = d.nc.Close()
		watch.message()
		watch.silent(300 * time.Millisecond)
		_ = p.nc.Close()
		h.wipe("device")
	})
}
