package mqtt_test

import (
	"context"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
)

// countdown is an authentication method in which the client repeats each
// challenge with one letter less; whoever arrives at "" is let in.
type countdown struct{ user string }

func (countdown) Method() string                         { return "COUNTDOWN" }
func (c countdown) Begin(auth.Credentials) auth.Exchange { return &counting{user: c.user} }

type counting struct {
	user string
	want string
	step int
}

func (c *counting) Next(_ context.Context, data []byte) ([]byte, auth.Identity, auth.Verdict, error) {
	if c.step > 0 && string(data) != c.want {
		return nil, auth.Identity{}, auth.Deny, nil
	}
	c.step++
	if len(data) == 0 {
		return []byte("welcome"), auth.Identity{Name: c.user, Method: "COUNTDOWN"}, auth.Allow, nil
	}
	c.want = string(data[1:])
	return data, auth.Identity{}, auth.Ignore, nil
}

func authProps(method, data string) mqtt.Properties {
	p := mqtt.Properties(nil).AppendString(mqtt.PropAuthenticationMethod, method)
	if data != "" {
		p = p.AppendBytes(mqtt.PropAuthenticationData, []byte(data))
	}
	return p
}

// countDown goes through the challenges and returns the first packet that is none.
func (r *raw) countDown() mqtt.Packet {
	r.t.Helper()
	for {
		p, err := r.read(patience)
		if err != nil {
			r.t.Fatal(err)
		}
		a, ok := p.(mqtt.Auth)
		if !ok || a.Code != mqtt.ContinueAuthentication {
			return p
		}
		data, _ := a.Properties.Bytes(mqtt.PropAuthenticationData)
		r.send(mqtt.Auth{Code: mqtt.ContinueAuthentication, Properties: authProps("COUNTDOWN", string(data[1:]))})
	}
}

func TestEnhancedAuthentication(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{Enhanced: []auth.EnhancedAuthenticator{countdown{user: "ana"}}})
	begin := func(data string) *raw {
		r := dial(t, s.addr, mqtt.V5)
		r.send(mqtt.Connect{Version: mqtt.V5, ClientID: "e", CleanStart: true, Properties: authProps("COUNTDOWN", data)})
		return r
	}

	r := begin("abc")
	ack, ok := r.countDown().(mqtt.Connack)
	if !ok || ack.Code != mqtt.Success {
		t.Fatalf("got %+v, want CONNACK", ack)
	}
	method, _ := ack.Properties.String(mqtt.PropAuthenticationMethod) // [MQTT-4.12.0-5]
	data, _ := ack.Properties.String(mqtt.PropAuthenticationData)
	if method != "COUNTDOWN" || data != "welcome" {
		t.Errorf("CONNACK with method %q and data %q", method, data)
	}
	r.sub("t", 0)

	// Re-authentication, with the connection in use. // [MQTT-4.12.1-1]
	r.send(mqtt.Auth{Code: mqtt.Reauthenticate, Properties: authProps("COUNTDOWN", "xy")})
	if a, ok := r.countDown().(mqtt.Auth); !ok || a.Code != mqtt.Success {
		t.Errorf("re-authentication ended with %+v", a)
	}
	r.publish(pub("t", "still here", 0))
	if m := r.message(); string(m.Payload) != "still here" {
		t.Errorf("received %q", m.Payload)
	}
	r.send(mqtt.Auth{Code: mqtt.Reauthenticate, Properties: authProps("COUNTDOWN", "xy")})
	expect[mqtt.Auth](r)
	r.send(mqtt.Auth{Code: mqtt.ContinueAuthentication, Properties: authProps("COUNTDOWN", "wrong")})
	r.closedWith(mqtt.NotAuthorized) // [MQTT-4.12.1-2]
}

func TestEnhancedAuthenticationRefusals(t *testing.T) {
	s := start(t, broker.Config{}, gw.Config{Enhanced: []auth.EnhancedAuthenticator{countdown{user: "ana"}}})
	for name, c := range map[string]struct {
		first  string
		second mqtt.Packet
		want   mqtt.ReasonCode // of CONNACK; 0xFF: none
	}{
		"wrong answer":            {"abc", mqtt.Auth{Code: mqtt.ContinueAuthentication, Properties: authProps("COUNTDOWN", "no")}, mqtt.NotAuthorized},
		"another method":          {"abc", mqtt.Auth{Code: mqtt.ContinueAuthentication, Properties: authProps("OTHER", "bc")}, mqtt.ProtocolError},
		"re-authentication early": {"abc", mqtt.Auth{Code: mqtt.Reauthenticate, Properties: authProps("COUNTDOWN", "bc")}, mqtt.ProtocolError},
		"too many rounds":         {"abcdefghijkl", nil, mqtt.NotAuthorized},
		"PUBLISH meanwhile":       {"abc", pub("t", "x", 0), 0xFF}, // [MQTT-3.1.2-30]
		"second CONNECT":          {"abc", mqtt.Connect{Version: mqtt.V5, ClientID: "e"}, 0xFF},
	} {
		t.Run(name, func(t *testing.T) {
			r := dial(t, s.addr, mqtt.V5)
			r.send(mqtt.Connect{Version: mqtt.V5, ClientID: "e", Properties: authProps("COUNTDOWN", c.first)})
			if c.second == nil {
				if ack, ok := r.countDown().(mqtt.Connack); !ok || ack.Code != c.want {
					t.Errorf("got %+v, want CONNACK %s", ack, c.want)
				}
				return
			}
			expect[mqtt.Auth](r)
			r.send(c.second)
			if got := connackCode(t, r); got != c.want {
				t.Errorf("CONNACK %#02x, want %#02x", uint8(got), uint8(c.want))
			}
		})
	}
	r := online(t, s.addr, mqtt.V5, "plain")
	r.send(mqtt.Auth{Code: mqtt.Reauthenticate, Properties: authProps("COUNTDOWN", "a")})
	r.closedWith(mqtt.ProtocolError) // its CONNECT had no method
}

func TestAnEnhancedMethodIsThereOnce(t *testing.T) {
	c := gw.Config{Enhanced: auth.EnhancedMethods{countdown{}}}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.Enhanced = append(c.Enhanced, countdown{})
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "COUNTDOWN") {
		t.Errorf("two authenticators for one method: %v", err)
	}
}
