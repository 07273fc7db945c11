package mqtt_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/auth/aclfile"
	"github.com/iotctl/iotctl/internal/auth/passwordfile"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
	"github.com/iotctl/iotctl/internal/session"
)

// guarded is an arena behind a password file with the users ana and control,
// whose passwords are their names. Hashing takes its time on purpose.
func guarded(t *testing.T, c passwordfile.Config, more ...auth.Authenticator) arena {
	t.Helper()
	c.Path = filepath.Join(t.TempDir(), "passwords")
	for _, user := range []string{"ana", "control"} {
		if err := passwordfile.Put(c.Path, user, []byte(user)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := passwordfile.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return arena{
		gw:    gw.Config{Authenticator: append(auth.Chain{f}, more...)},
		login: func(c *mqtt.Connect) { *c = as("control", "control", *c) },
	}
}

// denied are the codes for wrong credentials.
var denied = map[mqtt.Version]mqtt.ReasonCode{
	mqtt.V31: mqtt.V3BadUserNameOrPassword, mqtt.V311: mqtt.V3BadUserNameOrPassword, mqtt.V5: mqtt.BadUserNameOrPassword,
}

func TestHostile_24_UserNameWithoutPassword(t *testing.T) {
	for name, more := range map[string][]auth.Authenticator{"users only": nil, "anonymous as well": {auth.Anonymous{}}} {
		t.Run(name, func(t *testing.T) {
			hostile(t, guarded(t, passwordfile.Config{}, more...), func(h *hall) {
				for _, v := range versions {
					for _, user := range []string{"ana", "control", "nobody", ""} {
						c := mqtt.Connect{ClientID: "c", CleanStart: true, HasUsername: true, Username: user}
						if code := h.ask(v, c); code != denied[v] {
							t.Errorf("%s: user %q: CONNACK %#x", v, user, uint8(code))
						}
					}
				}
				c := mqtt.Connect{ClientID: "c", CleanStart: true, HasPassword: true, Password: []byte("ana")}
				if code := h.ask(mqtt.V5, c); !code.IsError() {
					t.Errorf("password without user name: CONNACK %s", code)
				}
				want := mqtt.NotAuthorized
				if more != nil {
					want = mqtt.Success
				}
				if code := h.ask(mqtt.V5, mqtt.Connect{ClientID: "c", CleanStart: true}); code != want {
					t.Errorf("neither: CONNACK %s, want %s", code, want)
				}
			})
		})
	}
}

func TestHostile_25_Passwords(t *testing.T) {
	hostile(t, guarded(t, passwordfile.Config{}), func(h *hall) {
		for _, password := range []string{
			"", "\x00", "ana\x00", "ana\x00x", "\x00ana", "Ana", "ana ", "an", strings.Repeat("a", 65535), strings.Repeat("\xFF", 65535),
		} {
			if code := h.ask(mqtt.V5, as("ana", password, mqtt.Connect{ClientID: "c", CleanStart: true})); code != mqtt.BadUserNameOrPassword {
				t.Errorf("password of %d bytes: CONNACK %s", len(password), code)
			}
		}
		for _, user := range []string{"ana\n", "ana:", "ANA", strings.Repeat("a", 65535), "ana' or '1'='1"} {
			if code := h.ask(mqtt.V5, as(user, "ana", mqtt.Connect{ClientID: "c", CleanStart: true})); code != mqtt.BadUserNameOrPassword {
				t.Errorf("user %.20q: CONNACK %s", user, code)
			}
		}
		if code := h.ask(mqtt.V5, as("ana", "ana", mqtt.Connect{ClientID: "c", CleanStart: true})); code != mqtt.Success {
			t.Errorf("the right password: CONNACK %s", code)
		}
	})
}

func TestHostile_26_LoginsByTheThousand(t *testing.T) {
	// 300 for 1,000: more than the workers can hash before they give up.
	const n, workers = 300, 1
	a := guarded(t, passwordfile.Config{Workers: workers, QueueTimeout: 700 * time.Millisecond})
	hostile(t, a, func(h *hall) {
		c := as("ana", "wrong", mqtt.Connect{Version: mqtt.V5, ClientID: "c", CleanStart: true})
		b, err := c.Append(nil, mqtt.V5)
		if err != nil {
			t.Fatal(err)
		}
		var all []*raw
		for range n {
			r := h.dial(mqtt.V5)
			r.bytes(b)
			all = append(all, r)
		}
		began := time.Now()
		h.serves()                                                           // who has logged in before does not wait with them, to be refused in the end
		h.atMost(workers*47<<20+n*8<<10+8<<20, "while passwords are hashed") // 46 MB each
		for _, r := range all {
			if ack := expect[mqtt.Connack](r); ack.Code != mqtt.BadUserNameOrPassword {
				t.Errorf("CONNACK %s", ack.Code)
			}
		}
		if took := time.Since(began); took > patience {
			t.Errorf("the last answer came after %v", took)
		}
	})
}

func TestHostile_27_UnknownUserAndWrongPassword(t *testing.T) {
	hostile(t, guarded(t, passwordfile.Config{}), func(h *hall) {
		quickest := func(user string) (took time.Duration, ack mqtt.Connack) {
			took = time.Hour
			for range 5 {
				r := h.dial(mqtt.V5)
				began := time.Now()
				ack = r.connect(as(user, "wrong", mqtt.Connect{ClientID: "c", CleanStart: true}))
				took = min(took, time.Since(began))
				r.closed()
			}
			return took, ack
		}
		known, ack1 := quickest("ana")
		unknown, ack2 := quickest("nobody")
		if ack1.Code != ack2.Code || string(ack1.Properties) != string(ack2.Properties) {
			t.Errorf("wrong password: %+v, unknown user: %+v", ack1, ack2)
		}
		// Without hashing the answer would come a hundred times as quick.
		if unknown < known/3 || known < unknown/3 {
			t.Errorf("wrong password: %v, unknown user: %v", known, unknown)
		}
	})
}

// acl is an acl file that a test rewrites.
type acl struct {
	t    *testing.T
	path string
	file *aclfile.File
}

func newACL(t *testing.T, text string) *acl {
	t.Helper()
	a := &acl{t: t, path: filepath.Join(t.TempDir(), "acl")}
	a.write(text)
	var err error
	if a.file, err = aclfile.New(aclfile.Config{Path: a.path}); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *acl) write(text string) {
	a.t.Helper()
	text = "user control\ntopic #\nuser bob\ntopic #\n" + text
	if err := os.WriteFile(a.path, []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// change replaces the rules as a reload of the server does.
func (a *acl) change(text string) {
	a.t.Helper()
	a.write(text)
	if err := a.file.Reload(); err != nil {
		a.t.Fatal(err)
	}
}

// arena is a broker that these rules protect.
func (a *acl) arena() arena {
	return arena{
		broker: broker.Config{Authorizer: a.file},
		gw:     gw.Config{Authenticator: passwords{}},
		login:  func(c *mqtt.Connect) { *c = as("control", "control", *c) },
	}
}

// user returns a client whose session lasts.
func (h *hall) user(name string) *raw {
	h.t.Helper()
	return h.with(mqtt.V5, as(name, name, mqtt.Connect{ClientID: name, Properties: lasting()}))
}

// forget ends a session made by user.
func (h *hall) forget(name string) {
	h.t.Helper()
	r := h.user(name)
	r.send(mqtt.Disconnect{Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropSessionExpiryInterval, 0)})
	for _, p := range r.closed() {
		if _, ok := p.(mqtt.Publish); ok {
			h.t.Errorf("%s still received %+v", name, p)
		}
	}
}

func TestHostile_32_WillWithoutTheRight(t *testing.T) {
	rules := newACL(t, "user ana\ntopic write mine\n")
	hostile(t, rules.arena(), func(h *hall) {
		ana := func(topic string) mqtt.Connect {
			return as("ana", "ana", mqtt.Connect{ClientID: "ana", CleanStart: true, Will: &mqtt.Will{Topic: topic, Payload: []byte("gone"), Retain: true}})
		}
		for _, v := range versions {
			want := mqtt.NotAuthorized
			if v < mqtt.V5 {
				want = mqtt.V3NotAuthorized
			}
			if code := h.ask(v, ana("theirs")); code != want {
				t.Errorf("%s: CONNACK %#x", v, uint8(code))
			}
		}
		watch := h.user("bob")
		watch.sub("#", 0)
		_ = h.with(mqtt.V5, ana("mine")).nc.Close()
		if m := watch.message(); string(m.Payload) != "gone" {
			t.Errorf("received %q", m.Payload)
		}
		r := h.with(mqtt.V5, ana("mine"))
		rules.change("user ana\ntopic write elsewhere\n") // the right ends before the connection
		h.b.Reauthorize()
		_ = r.nc.Close()
		h.eventually("the will is dropped", func() bool { return h.b.Stats().Drops[session.DropNotAllowed].Load() > 0 })
		watch.silent(20 * time.Millisecond)
		watch.retain("mine", "", nil)
		_ = watch.nc.Close()
		h.forget("bob")
	})
}

func TestHostile_67_SubscribeToEverything(t *testing.T) {
	rules := newACL(t, "user ana\ntopic read a/#\ntopic read b/+/c\n")
	hostile(t, rules.arena(), func(h *hall) {
		for _, v := range versions {
			r := h.with(v, as("ana", "ana", mqtt.Connect{ClientID: "ana", CleanStart: true}))
			want := mqtt.NotAuthorized
			if v < mqtt.V5 {
				want = mqtt.UnspecifiedError
			}
			for _, f := range []string{
				"#", "+/#", "+", "/#", "$SYS/#", "$SYS/broker/uptime", "$CONTROL/#", "$share/g/#", "$share/g/$SYS/#",
				"b/#", "b/+/+", "b/+/d", "+/x", "$queue/a/#",
			} {
				if codes := r.subscribe(nil, mqtt.Subscription{Filter: f}); codes[0] != want {
					t.Errorf("%s: %q: SUBACK %s", v, f, codes[0])
				}
			}
			for _, f := range []string{"a/#", "a", "a/+/x", "b/+/c", "b/1/c", "$share/g/a/#"} {
				r.sub(f, 0)
			}
			_ = r.nc.Close()
		}
	})
}

func TestHostile_68_SharedFilterOverADeniedTopic(t *testing.T) {
	// $queue/ is no shared subscription here, so there is only one kind of
	// deny to beat.
	rules := newACL(t, "user ana\ntopic read a/#\ntopic deny a/secret\ntopic deny a/vault/#\n")
	hostile(t, rules.arena(), func(h *hall) {
		ana := h.user("ana")
		for _, f := range []string{"$share/g/a/secret", "$share/g/a/vault/#", "$share/g/a/vault/+"} {
			if codes := ana.subscribe(nil, mqtt.Subscription{Filter: f}); codes[0] != mqtt.NotAuthorized {
				t.Errorf("%q: SUBACK %s", f, codes[0])
			}
		}
		ana.sub("$share/g/a/#", 2)
		ana.sub("$share/h/a/+", 0)
		bob := h.user("bob")
		for qos := range uint8(3) {
			for _, topic := range []string{"a/secret", "a/vault/x", "a/vault"} {
				bob.publish(pub(topic, "secret", qos))
				bob.retain(topic, "secret", nil)
				bob.retain(topic, "", nil)
			}
		}
		bob.publish(pub("a/open", "open", 1))
		for range 2 { // through both groups
			if m := ana.message(); string(m.Payload) != "open" {
				t.Fatalf("received %s on %s", m.Payload, m.Topic)
			}
		}
		ana.silent(20 * time.Millisecond)
		// What a member that ends leaves behind goes to nobody who may not have it.
		bob.sub("$share/g/a/#", 1)
		bob.send(mqtt.Disconnect{})
		bob.closed()
		_ = ana.nc.Close()
		h.deserted()
		p := h.with(mqtt.V5, as("control", "control", mqtt.Connect{ClientID: "p", CleanStart: true}))
		for range 4 {
			p.publish(pub("a/secret", "secret", 1))
		}
		ana = h.user("ana")
		wiped := h.with(mqtt.V5, as("bob", "bob", mqtt.Connect{ClientID: "bob", CleanStart: true}))
		ana.silent(20 * time.Millisecond)
		_ = wiped.nc.Close()
		_ = ana.nc.Close()
		h.forget("ana")
	})
}

func TestHostile_69_DeniedTopicWithinAnAllowedFilter(t *testing.T) {
	const open, closed = "user ana\ntopic read a/#\n", "user ana\ntopic read a/#\ntopic deny a/secret\n"
	rules := newACL(t, closed)
	hostile(t, rules.arena(), func(h *hall) {
		bob := h.user("bob")
		secret := func(qos uint8) {
			bob.publish(pub("a/secret", "secret", qos))
			bob.publish(pub("a/open", "open", qos))
		}
		only := func(when string, r *raw, n int) {
			t.Helper()
			for range n {
				if m := r.message(); string(m.Payload) != "open" {
					t.Errorf("%s: received %q on %q", when, m.Payload, m.Topic)
				}
			}
			r.silent(20 * time.Millisecond)
		}
		bob.retain("a/secret", "secret", nil)
		bob.retain("a/open", "open", nil)
		ana := h.user("ana")
		ana.sub("a/#", 2)
		ana.sub("a/+", 1)
		only("retained", ana, 2) // one for each subscription
		for qos := range uint8(3) {
			secret(qos)
			only("live", ana, 1)
		}
		if codes := ana.subscribe(nil, mqtt.Subscription{Filter: "a/secret"}); codes[0] != mqtt.NotAuthorized {
			t.Errorf("SUBACK %s", codes[0])
		}
		offline := func() {
			_ = ana.nc.Close()
			h.eventually("she is gone", func() bool { return h.l.Counters().Open == 1 })
		}
		offline()
		secret(1)
		secret(2)
		ana = h.user("ana")
		only("queued", ana, 2)

		// Rights that end while messages wait: in the queue, and in flight.
		for _, told := range []bool{true, false} { // a running broker is told, or finds out on its own
			for qos := uint8(1); qos <= 2; qos++ {
				rules.change(open)
				offline()
				secret(qos)
				rules.change(closed)
				if told {
					h.b.Reauthorize()
				}
				ana = h.user("ana")
				only("queued before", ana, 1)

				rules.change(open)
				secret(qos)
				ana.next() // and not acknowledged
				ana.next()
				offline()
				rules.change(closed)
				if told {
					h.b.Reauthorize()
				}
				ana = h.user("ana")
				only("sent before", ana, 1)
			}
		}

		// Retained messages that wait for a slow client.
		rules.change(open)
		_ = ana.nc.Close()
		slow := h.with(mqtt.V5, as("ana", "ana", mqtt.Connect{
			ClientID: "slow", CleanStart: true, Properties: mqtt.Properties(nil).AppendUint16(mqtt.PropReceiveMaximum, 1),
		}))
		slow.sub("a/#", 1)
		first := slow.next()
		rules.change(closed)
		h.b.Reauthorize()
		slow.send(mqtt.Puback{PacketID: first.PacketID})
		if string(first.Payload) == "open" {
			slow.silent(20 * time.Millisecond)
		} else {
			only("retained and paused", slow, 1)
		}
		_ = slow.nc.Close()
		h.forget("ana")
		bob.retain("a/secret", "", nil)
		bob.retain("a/open", "", nil)
		_ = bob.nc.Close()
		h.forget("bob")
	})
}
