package frame_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway/frame"
	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
	"github.com/iotctl/iotctl/internal/transport"
)

func TestNothingIsHeardBeforeTheLogin(t *testing.T) {
	s := start(t, "talk", with("", ""), broker.Config{})
	o := s.observe("#")
	d := s.dial()
	d.say("DATA 1\nBEAT 1\nHELLO 1\nLOGIN dev1\nDATA 2\n")
	o.wants("talk/dev1/login", "dev1")
	o.wants("talk/dev1/data", "2")
	d.wantsBytes([]byte("WHO\nOK\n"))
	s.log.Wants(t, "the device has to send")
	o.nothing()
}

func TestARefusedDeviceIsToldAndLetGo(t *testing.T) {
	c := with("", "")
	c.Authenticator = gatewaytest.Answers(func(auth.Credentials) (auth.Identity, auth.Verdict, error) {
		return auth.Identity{}, auth.Deny, nil
	})
	s := start(t, "talk", c, broker.Config{})
	o := s.observe("#")
	d := s.dial()
	d.say("LOGIN dev1\nDATA 2\n")
	d.closed(hexOf("NO\n"))
	o.nothing()
	for codec, frames := range map[string][2]string{
		"teltonika8": {"00 0F 33 35 36 33 30 37 30 34 32 34 34 31 30 31 33", "00"},
		"gt06":       {gt06Login, ""},
		"gb32960": {
			"23 23 01 FE 31 47 31 42 4C 35 32 50 37 54 52 31 31 35 35 32 30 01 00 1F 0C 0C 1D 0C 13 14 00 01 31 32 33 34 35 36 37 38 39 30 31 32 33 34 35 36 37 38 39 30 01 01 43 98",
			"23 23 01 02 31 47 31 42 4C 35 32 50 37 54 52 31 31 35 35 32 30 01 00 06 0C 0C 1D 0C 13 14 3F",
		},
	} {
		s := start(t, codec, frame.Config{Authenticator: c.Authenticator}, broker.Config{})
		d := s.dial()
		d.send(frames[0])
		d.closed(frames[1])
	}
}

func TestCredentialsComeFromTheFieldsThatAreNamed(t *testing.T) {
	for _, c := range []struct {
		codec, login string
		want         auth.Credentials
	}{
		{"gt06", gt06Login, auth.Credentials{ClientID: gt06ID}},
		{
			"jt808", "7E 01 02 00 0E 01 35 11 22 11 22 00 06 61 75 74 68 65 6E 74 69 63 61 74 69 6F 6E 3F 7E",
			auth.Credentials{ClientID: "013511221122", HasUsername: true, Username: "013511221122", HasPassword: true, Password: []byte("authentication")},
		},
		{
			"hj212", hexOf("##0101QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&1C80\r\n"),
			auth.Credentials{ClientID: "010000A8900016F000169DC0", HasUsername: true, Username: "010000A8900016F000169DC0", HasPassword: true, Password: []byte("100000")},
		},
		{"modbus-tcp/plc", "", auth.Credentials{ClientID: "plc"}},
	} {
		asked := make(chan auth.Credentials, 1)
		s := start(t, c.codec, frame.Config{Authenticator: gatewaytest.Answers(func(got auth.Credentials) (auth.Identity, auth.Verdict, error) {
			asked <- got
			return auth.Identity{}, auth.Deny, nil
		})}, broker.Config{})
		s.dial().send(c.login)
		got := <-asked
		if got.Protocol != "frame" || got.Remote == nil {
			t.Errorf("%s: protocol %q, remote %v", c.codec, got.Protocol, got.Remote)
		}
		got.Protocol, got.Remote, got.Listener = "", nil, ""
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: asked with %v, want %v", c.codec, got, c.want)
		}
	}
}

func TestPasswordsAreNotPublished(t *testing.T) {
	for codec, c := range map[string]struct{ login, secret string }{
		"jt808": {"7E 01 02 00 0E 01 35 11 22 11 22 00 06 61 75 74 68 65 6E 74 69 63 61 74 69 6F 6E 3F 7E", "authentication"},
		"hj212": {hexOf("##0101QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&1C80\r\n"), "100000"},
	} {
		s := start(t, codec, frame.Config{}, broker.Config{})
		o := s.observe("#")
		s.dial().send(c.login)
		if got := o.next(); strings.Contains(got.payload, c.secret) {
			t.Errorf("%s: published %s", codec, got.payload)
		}
		s.stop()
		if strings.Contains(s.log.String(), c.secret) {
			t.Errorf("%s: logged %s", codec, s.log)
		}
	}
}

func TestNamesThatReachFurtherThanOneDeviceAreRefused(t *testing.T) {
	for _, name := range []string{"+", "#", "a/b", "$SYS", "a\x00", "\xff", " ", ""} {
		s := start(t, "talk", with("", ""), broker.Config{})
		o := s.observe("#")
		d := s.dial()
		d.say("LOGIN " + name + "\n")
		if name == " " { // is a name
			d.wantsBytes([]byte("OK\n"))
			continue
		}
		d.closed(hexOf("NO\n"))
		o.nothing()
	}
}

func TestASecondConnectionTakesOver(t *testing.T) {
	s := start(t, "gt06", frame.Config{}, broker.Config{})
	o := s.observe("#")
	first := s.login()
	o.next()
	second := s.login()
	first.closed("")
	o.next()
	if n := o.publish("gt06/"+gt06ID+"/down", `{"cmd":"raw","hex":"0102"}`); n != 2 {
		t.Errorf("a command reaches %d", n)
	}
	second.wants("0102")
}

func TestCodecsHaveNamesOfTheirOwn(t *testing.T) {
	c := with("", "")
	c.Codecs = append(c.Codecs, frame.Definition{Name: "chat.yaml", Source: strings.ReplaceAll(talk, "talk", "chat")})
	s := start(t, "talk", c, broker.Config{})
	l, err := transport.Listen(t.Context(), "frame://127.0.0.1:0/chat", transport.ListenConfig{Schemes: frame.Schemes()})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.g.Serve(t.Context(), l) }()
	one := s.dial()
	one.say("LOGIN dev1\n")
	one.wantsBytes([]byte("OK\n"))
	s.addr = l.Addr().String()
	two := s.dial()
	two.say("LOGIN dev1\n")
	two.wantsBytes([]byte("OK\n"))
	one.say("BEAT 1\n")
	one.wantsBytes([]byte("OK\n"))
	_ = l.Close()
	_, _ = one.nc.Close(), two.nc.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestADeviceThatCallsItselfAnotherIsCutOff(t *testing.T) {
	s := start(t, "gt06", frame.Config{}, broker.Config{})
	o := s.observe("#")
	d := s.login()
	o.next()
	d.send(gt06Login) // again is no harm
	d.wants(gt06LoggedIn)
	o.next()
	d.send(gt06Other)
	d.closed("")
	s.log.Wants(t, "now calls itself")
	o.nothing()
}
