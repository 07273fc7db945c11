package emqtcp_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway/emqtcp"
	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
	"github.com/iotctl/iotctl/internal/message"
)

const (
	authFailed  = "21 0016 41757468656e7469636174696f6e204661696c757265"
	invalidID   = "21 0011 696e76616c696420636c69656e74206964"
	invalidUser = "21 0011 696e76616c69642075736572206e616d65"
)

// connectWith is a CONNECT with every field.
func connectWith(clientID, user, password string) []byte {
	b := connectAs(clientID, 0)
	for _, f := range []string{user, password} {
		b = append(append(b, byte(len(f)>>8), byte(len(f))), f...)
	}
	n := len(b) - 3
	b[1], b[2] = byte(n>>8), byte(n)
	return b
}

// Test 7: after a refusal nothing is published.
func TestRefusedDevicePublishesNothing(t *testing.T) {
	asked := make(chan auth.Credentials, 1)
	s := start(t, emqtcp.Config{Authenticator: gatewaytest.Answers(func(c auth.Credentials) (auth.Identity, auth.Verdict, error) {
		c.Password = bytes.Clone(c.Password)
		asked <- c
		return auth.Identity{}, auth.Deny, nil
	})}, broker.Config{})
	o := s.observe("#")
	d := s.dial()
	d.write(append(connectWith("abcd", "me", "secret"), data("hi")...))
	d.closed(authFailed)
	o.nothing()
	seen := <-asked
	if seen.ClientID != "abcd" || seen.Username != "me" || string(seen.Password) != "secret" || seen.Protocol != "emqtcp" || seen.Remote == nil {
		t.Errorf("%+v", seen)
	}
	if strings.Contains(s.log.String(), "secret") {
		t.Error("the password is in the log")
	}
	gatewaytest.Eventually(t, "count", func() bool { return s.l.Counters().Closed["auth"] == 1 })
}

func TestOtherRefusals(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer gatewaytest.Answers
		want   string
	}{
		{"an error", func(auth.Credentials) (auth.Identity, auth.Verdict, error) {
			return auth.Identity{}, auth.Deny, errors.New("database is down")
		}, authFailed},
		{"waiting for an operator", func(auth.Credentials) (auth.Identity, auth.Verdict, error) {
			return auth.Identity{}, auth.Deny, &auth.Pending{Code: "48-21"}
		}, "21 001c 70656e64696e6720617070726f76616c2c20636f64652034382d3231"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := start(t, emqtcp.Config{Authenticator: tc.answer}, broker.Config{})
			d := s.dial()
			d.write(connectAs("abcd", 0))
			d.closed(tc.want)
		})
	}
}

// An empty user name is none: that is how a password alone is written.
func TestEmptyUserNameIsNone(t *testing.T) {
	asked := make(chan auth.Credentials, 1)
	s := start(t, emqtcp.Config{Authenticator: gatewaytest.Answers(func(c auth.Credentials) (auth.Identity, auth.Verdict, error) {
		asked <- c
		return auth.Identity{Method: "test"}, auth.Allow, nil
	})}, broker.Config{})
	d := s.dial()
	d.write(connectWith("abcd", "", "secret"))
	d.wants(accepted)
	if seen := <-asked; seen.HasUsername || !seen.HasPassword {
		t.Errorf("%+v", seen)
	}
}

// Test 9: names that would reach into the topics of others.
func TestNamesThatAreRefused(t *testing.T) {
	s := start(t, emqtcp.Config{}, broker.Config{})
	o := s.observe("#")
	strict := start(t, emqtcp.Config{RefuseSlash: true}, broker.Config{})
	user := start(t, emqtcp.Config{UpTopic: "u/%u/%c", DnTopic: "d/%u"}, broker.Config{})
	for _, tc := range []struct {
		name           string
		s              *site
		clientID, user string
		want           string
	}{
		{"wildcard", s, "+", "", invalidID},
		{"wildcard inside", s, "a+b", "", invalidID},
		{"every level", s, "#", "", invalidID},
		{"reserved", s, "$SYS", "", invalidID},
		{"empty", s, "", "", invalidID},
		{"too deep", s, strings.Repeat("/", 130), "", invalidID},
		{"wildcard in the user name", s, "x", "a#", invalidUser},
		{"reserved user name", s, "x", "$a", invalidUser},
		{"slash", s, "a/b", "", accepted},
		{"refused slash", strict, "a/b", "", invalidID},
		{"refused slash in the user name", strict, "a", "a/b", invalidUser},
		{"no user name for the topics", user, "a", "", invalidUser},
		{"user name for the topics", user, "a", "bob", accepted},
		{"dollar inside", s, "a$", "", accepted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := tc.s.dial()
			d.t = t
			d.write(connectWith(tc.clientID, tc.user, ""))
			if tc.want == accepted {
				d.wants(accepted)
				return
			}
			d.closed(tc.want)
		})
	}
	o.nothing()
}

func TestTopicsHoldTheNames(t *testing.T) {
	s := start(t, emqtcp.Config{UpTopic: "in/%u/%c", DnTopic: "out/%c/%u/#"}, broker.Config{})
	o := s.observe("in/#")
	d := s.dial()
	d.write(append(connectWith("d%u", "bob", ""), data("hi")...)) // a placeholder in a name stays
	d.wants(accepted)
	o.wants("in/bob/d%u hi")
	o.publish("out/d%u/bob/led/1", "on")
	d.wantsBytes(data("on"))
}

// A certificate or an approval tells who the user is.
func TestAUserThatTheDeviceDoesNotNameIsThatOfItsIdentity(t *testing.T) {
	known := gatewaytest.Answers(func(c auth.Credentials) (auth.Identity, auth.Verdict, error) {
		return auth.Identity{Name: map[string]string{"a": "device:a", "wild": "fleet/#", "reserved": "$SYS"}[c.ClientID]}, auth.Allow, nil
	})
	s := start(t, emqtcp.Config{Authenticator: known, UpTopic: "in/%u", DnTopic: "out/%u"}, broker.Config{})
	o := s.observe("in/#")
	named := s.dial()
	named.write(append(connectWith("a", "bob", ""), data("1")...))
	named.wants(accepted)
	o.wants("in/bob 1")
	d := s.dial()
	d.write(append(connectWith("a", "", ""), data("2")...))
	d.wants(accepted)
	o.wants("in/device:a 2")
	o.publish("out/device:a", "on")
	d.wantsBytes(data("on"))
	for _, id := range []string{"nobody", "wild", "reserved"} {
		d := s.dial()
		d.write(connectWith(id, "", ""))
		d.closed(invalidUser)
	}
	// Where no topic holds it, it may be anything.
	plain := start(t, emqtcp.Config{Authenticator: known}, broker.Config{}).dial()
	plain.write(connectWith("wild", "", ""))
	plain.wants(accepted)
}

// What is published as soon as the answer is there reaches the device.
func TestSubscribedBeforeTheAnswer(t *testing.T) {
	s := start(t, emqtcp.Config{}, broker.Config{})
	o := s.observe("nothing")
	for i := range 50 {
		id := fmt.Sprint("d", i)
		d := s.login(id)
		o.publish("tcp/"+id+"/dn", "now")
		d.wantsBytes(data("now"))
		d.send("60")
		d.closed("")
	}
}

// The protocol has no retained messages.
func TestRetainedMessagesAreNotSent(t *testing.T) {
	s := start(t, emqtcp.Config{}, broker.Config{})
	o := s.observe("nothing")
	o.publishAs(message.View{Topic: []byte("tcp/r/dn"), Payload: []byte("old"), Retain: true})
	d := s.login("r")
	o.publish("tcp/r/dn", "new")
	d.wantsBytes(data("new"))
}

// Test 11.
func TestTakeOver(t *testing.T) {
	s := start(t, emqtcp.Config{}, broker.Config{})
	o := s.observe("tcp/+/up")
	first := s.login("dev")
	second := s.login("dev")
	first.closed("")
	second.write(data("hi"))
	o.wants("tcp/dev/up hi")
	o.publish("tcp/dev/dn", "ok")
	second.wantsBytes(data("ok"))
	if n := s.b.Sessions(); n != 2 { // and the observer
		t.Errorf("%d sessions", n)
	}
	gatewaytest.Eventually(t, "count", func() bool { return s.l.Counters().Closed["taken-over"] == 1 })
}

// Nobody takes over from a device of another user.
func TestTakeOverByAnotherUserIsRefused(t *testing.T) {
	s := start(t, emqtcp.Config{}, broker.Config{})
	d := s.dial()
	d.write(connectWith("dev", "alice", ""))
	d.wants(accepted)
	thief := s.dial()
	thief.write(connectWith("dev", "bob", ""))
	thief.closed(authFailed)
	d.send("40")
	d.wants("50")
}

func TestClientRegistry(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprint("shared ", shared), func(t *testing.T) {
			s := start(t, emqtcp.Config{ShareClientRegistry: shared}, broker.Config{})
			o := s.observe("x") // an MQTT client could be called so
			d := s.login("observer")
			gatewaytest.Eventually(t, "sessions", func() bool { return s.b.Sessions() == map[bool]int{false: 2, true: 1}[shared] })
			d.send("40")
			d.wants("50")
			_, err := o.link.Publish(message.View{Topic: []byte("x")})
			if taken := errors.Is(err, broker.ErrTakenOver); taken != shared {
				t.Errorf("taken over: %v", err)
			}
		})
	}
}

func TestRights(t *testing.T) {
	t.Run("publish", func(t *testing.T) {
		s := start(t, emqtcp.Config{}, broker.Config{Authorizer: gatewaytest.Denies(auth.Publish)})
		o := s.observe("#")
		d := s.login("dev")
		d.write(append(append(data("a"), data("b")...), 0x40))
		d.wants("50") // it goes on
		o.nothing()
		if n := s.g.Counters()["denied"]; n != 2 {
			t.Errorf("counted %d", n)
		}
		s.log.Wants(t, "request refused")
	})
	t.Run("subscribe", func(t *testing.T) {
		s := start(t, emqtcp.Config{}, broker.Config{Authorizer: gatewaytest.Denies(auth.Subscribe)})
		o := s.observe("#")
		d := s.login("dev")
		o.publish("tcp/dev/dn", "secret")
		d.write(append(data("a"), 0x40))
		d.wants("50") // and nothing before it
		o.wants("tcp/dev/dn secret")
		o.wants("tcp/dev/up a") // it may send
		if n := s.g.Counters()["denied"]; n != 1 {
			t.Errorf("counted %d", n)
		}
	})
	t.Run("receive", func(t *testing.T) {
		s := start(t, emqtcp.Config{}, broker.Config{Authorizer: gatewaytest.Denies(auth.Receive)})
		o := s.observe("#")
		d := s.login("dev")
		o.publish("tcp/dev/dn", "secret")
		d.send("40")
		d.wants("50")
	})
}

func TestShutdownLetsDevicesGo(t *testing.T) {
	s := start(t, emqtcp.Config{}, broker.Config{})
	d := s.login("dev")
	waiting := s.dial()
	waiting.send("11")
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.stop()
	}()
	d.closed("")
	waiting.closed("")
	<-stopped
	late := s.l.Counters()
	if late.Open != 0 {
		t.Errorf("%d still open", late.Open)
	}
}
