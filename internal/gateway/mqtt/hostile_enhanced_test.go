package mqtt_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
)

// endless is an authentication method that never comes to an end.
type endless struct{}

func (endless) Method() string                         { return "ENDLESS" }
func (e endless) Begin(auth.Credentials) auth.Exchange { return e }
func (endless) Next(_ context.Context, data []byte) ([]byte, auth.Identity, auth.Verdict, error) {
	return data, auth.Identity{}, auth.Ignore, nil
}

// polite lets everybody in, and then challenges for ever.
type polite struct{ asked bool }

func (*polite) Method() string { return "POLITE" }
func (p *polite) Begin(auth.Credentials) auth.Exchange {
	if p.asked {
		return endless{}
	}
	p.asked = true
	return p
}

func (*polite) Next(context.Context, []byte) ([]byte, auth.Identity, auth.Verdict, error) {
	return nil, auth.Identity{}, auth.Allow, nil
}

func TestHostile_30_EnhancedAuthentication(t *testing.T) {
	a := arena{gw: gw.Config{Enhanced: []auth.EnhancedAuthenticator{endless{}, &polite{}}, ConnectTimeout: time.Second}}
	hostile(t, a, func(h *hall) {
		code := func(c mqtt.Properties) mqtt.ReasonCode {
			return h.ask(mqtt.V5, mqtt.Connect{ClientID: "e", CleanStart: true, Properties: c})
		}
		if c := code(authProps("UNKNOWN", "")); c != mqtt.BadAuthenticationMethod {
			t.Errorf("unknown method without data: CONNACK %s", c)
		}
		// Quoted in a reason string, which stays valid however it is cut.
		for i := range 4 {
			if c := code(authProps(strings.Repeat("x", i)+strings.Repeat("é\U0001F600", 9000), "")); c != mqtt.BadAuthenticationMethod {
				t.Errorf("long method: CONNACK %s", c)
			}
		}
		if c := code(mqtt.Properties(nil).AppendBytes(mqtt.PropAuthenticationData, []byte("x"))); c != mqtt.ProtocolError {
			t.Errorf("data without method: CONNACK %s", c)
		}
		r := h.dial(mqtt.V5)
		r.send(mqtt.Auth{Code: mqtt.ContinueAuthentication, Properties: authProps("ENDLESS", "x")})
		hungUp(t, r.nc) // AUTH before CONNECT

		again := mqtt.Auth{Code: mqtt.ContinueAuthentication, Properties: authProps("ENDLESS", "x")}
		r = h.dial(mqtt.V5)
		r.send(mqtt.Connect{Version: mqtt.V5, ClientID: "e", CleanStart: true, Properties: authProps("ENDLESS", "x")})
		for rounds := 0; ; rounds++ {
			p, err := r.read(patience)
			if err != nil {
				t.Fatalf("round %d: %v", rounds, err)
			}
			if ack, ok := p.(mqtt.Connack); ok {
				if ack.Code != mqtt.NotAuthorized || rounds > 8 {
					t.Errorf("CONNACK %s after %d rounds, want not authorized after 8", ack.Code, rounds)
				}
				break
			}
			r.send(again)
		}
		r.closed()

		// Between the challenges nothing else is heard, and silence ends it.
		for _, p := range []mqtt.Packet{pub("t", "x", 0), mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "#"}}}, mqtt.Pingreq{}, nil} {
			r = h.dial(mqtt.V5)
			r.send(mqtt.Connect{Version: mqtt.V5, ClientID: "e", CleanStart: true, Properties: authProps("ENDLESS", "x")})
			expect[mqtt.Auth](r)
			if p != nil {
				r.send(p)
			}
			for _, seen := range r.closed() {
				if ack, ok := seen.(mqtt.Connack); !ok || !ack.Code.IsError() {
					t.Errorf("%T during authentication: got %+v", p, seen)
				}
			}
		}

		// In the middle of a connection.
		r = h.online(mqtt.V5, "plain")
		r.send(mqtt.Auth{Code: mqtt.Reauthenticate, Properties: authProps("ENDLESS", "x")})
		r.closedWith(mqtt.ProtocolError) // CONNECT had no method
		r = h.with(mqtt.V5, mqtt.Connect{ClientID: "e", CleanStart: true, Properties: authProps("POLITE", "")})
		r.send(mqtt.Auth{Code: mqtt.ContinueAuthentication, Properties: authProps("POLITE", "x")})
		r.closedWith(mqtt.ProtocolError) // nobody has asked
	})
	hostile(t, arena{gw: gw.Config{Enhanced: []auth.EnhancedAuthenticator{endless{}, &polite{}}}}, func(h *hall) {
		r := h.with(mqtt.V5, mqtt.Connect{ClientID: "e", CleanStart: true, Properties: authProps("POLITE", "")})
		r.send(mqtt.Auth{Code: mqtt.Reauthenticate, Properties: authProps("POLITE", "x")})
		for rounds := 0; rounds < 20; rounds++ { // endless, this time
			p, err := r.read(patience)
			if err != nil {
				t.Fatalf("round %d: %v", rounds, err)
			}
			if d, ok := p.(mqtt.Disconnect); ok {
				if d.Code != mqtt.NotAuthorized || rounds > 8 {
					t.Errorf("DISCONNECT %s after %d rounds", d.Code, rounds)
				}
				return
			}
			r.send(mqtt.Auth{Code: mqtt.ContinueAuthentication, Properties: authProps("POLITE", "x")})
		}
		t.Error("re-authentication goes on for 20 rounds")
	})
	hostile(t, arena{gw: gw.Config{Enhanced: []auth.EnhancedAuthenticator{endless{}, &polite{}}}}, func(h *hall) {
		r := h.with(mqtt.V5, mqtt.Connect{ClientID: "e", CleanStart: true, Properties: authProps("POLITE", "")})
		r.send(mqtt.Auth{Code: mqtt.Reauthenticate, Properties: authProps("ENDLESS", "x")})
		r.closedWith(mqtt.ProtocolError) // another method than CONNECT's
	})
}
