package bench

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/codec/frame"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// withDevices starts a broker with a second listener, at url.
func withDevices(t *testing.T, url string, edit func(*serve.Config)) (broker, devices transport.Endpoint) {
	t.Helper()
	server := servetest.Start(t, func(c *serve.Config) {
		c.Listeners = append(c.Listeners, serve.Listener{URL: url})
		if edit != nil {
			edit(c)
		}
	})
	broker, err := transport.Parse(server.URLs()[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	if devices, err = transport.Parse(server.URLs()[1], servetest.Builtin().Schemes()); err != nil {
		t.Fatal(err)
	}
	return broker, devices
}

func TestEMQTCPPairs(t *testing.T) {
	for _, down := range []float64{0, 1} {
		for _, closed := range []bool{false, true} {
			e, d := withDevices(t, "emqtcp://127.0.0.1:0", nil)
			p := Plan{
				Version: mqtt.V5, Publishers: 4, SubQoS: -1, Messages: 2000, Duration: 20 * time.Second, ClosedLoop: closed, Window: 20,
				Options: map[string]float64{"emqtcp-pair.down": down}, KeepAlive: 1,
			}
			if !closed {
				p.Rate = 2000 // and long enough for a few PINGs
			}
			f, err := Run(t.Context(), Options{Plan: p, Spec: EMQTCPPair(), Endpoint: e, Devices: d})
			if err != nil {
				t.Fatal(err)
			}
			if want := (Tally{Sent: 2000, Expected: 2000, Received: 2000}); f.Account.QoS[0] != want || f.Total.Disconnects > 0 || f.Total.Connects != 8 {
				t.Errorf("down %v, closed loop %v: %+v, %+v", down, closed, f.Account, f.Total)
			}
			if n := f.Latency["e2e"].TotalCount(); n != 2000 {
				t.Errorf("down %v, closed loop %v: %d latencies", down, closed, n)
			}
		}
	}
}

func TestEMQTCPPairsOverTLS(t *testing.T) {
	ca := transporttest.NewCA(t, "authority")
	certFile, keyFile := transporttest.WritePair(t, t.TempDir(), ca.Server(t, nil, "127.0.0.1"))
	e, d := withDevices(t, "emqtcps://127.0.0.1:0", func(c *serve.Config) {
		c.Listeners[1].TLS = &transport.ServerTLS{CertFile: certFile, KeyFile: keyFile}
	})
	f, err := Run(t.Context(), Options{
		Spec: EMQTCPPair(), Endpoint: e, Devices: d, Dial: transport.DialConfig{TLS: &transport.ClientTLS{CAFile: ca.WriteFile(t)}},
		Plan: Plan{Publishers: 2, SubQoS: -1, Rate: 2000, Messages: 400, Size: 5000},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Tally{Sent: 400, Expected: 400, Received: 400}); f.Account.QoS[0] != want || f.Latency["tls"].TotalCount() != 2 {
		t.Errorf("%+v", f.Account)
	}
}

// mqttOnly lets no device in.
type mqttOnly struct{}

func (mqttOnly) Authenticate(_ context.Context, c auth.Credentials) (auth.Identity, auth.Verdict, error) {
	if c.Protocol != "mqtt" {
		return auth.Identity{}, auth.Deny, nil
	}
	return auth.Identity{Name: "x"}, auth.Allow, nil
}

func TestDevicesThatAreRefused(t *testing.T) {
	e, d := withDevices(t, "emqtcp://127.0.0.1:0", func(c *serve.Config) {
		c.Builtin.Methods = append(c.Builtin.Methods, serve.NewMethod("mqtt_only", "nothing", serve.Everywhere,
			func(_ *slog.Logger, _ struct{}) (serve.Checks, error) {
				return serve.Checks{Authenticator: mqttOnly{}}, nil
			}))
		c.Methods = map[string]any{"mqtt_only": struct{}{}}
	})
	f, err := Run(t.Context(), Options{Plan: Plan{Publishers: 2, SubQoS: -1, Duration: time.Second}, Spec: EMQTCPPair(), Endpoint: e, Devices: d})
	if !errors.Is(err, ErrNobody) || f == nil || f.Total.ConnectFails != 2 {
		t.Errorf("%v, %+v", err, f)
	}
}

func TestFramesOfEveryCodec(t *testing.T) {
	for _, name := range frame.Builtin() {
		t.Run(name, func(t *testing.T) {
			e, d := withDevices(t, "frame://127.0.0.1:0/"+name, nil)
			c, err := frame.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			f, err := Run(t.Context(), Options{
				Spec: Frame(), Endpoint: e, Devices: d, Codec: c,
				Plan: Plan{Clients: 5, Messages: 100, ClosedLoop: true, SubQoS: -1, Duration: 20 * time.Second},
			})
			if err != nil {
				t.Fatal(err)
			}
			if n := f.Total; n.Operations != 100 || n.Sent != 100 || n.Received != 100 || n.OperationFail+n.Foreign+n.Corrupted+n.Disconnects > 0 {
				t.Errorf("%+v", n)
			}
			if n := f.Latency["op"].TotalCount(); n != 100 {
				t.Errorf("%d latencies", n)
			}
		})
	}
}

// silence lets nobody publish.
type silence struct{}

func (silence) Authorize(_ context.Context, _ *auth.Identity, act auth.Action, _ string) auth.Verdict {
	if act == auth.Publish {
		return auth.Deny
	}
	return auth.Allow
}

func TestFramesThatAreNotPublishedAreFailures(t *testing.T) {
	e, d := withDevices(t, "frame://127.0.0.1:0/gt06", func(c *serve.Config) {
		c.Builtin.Methods = append(c.Builtin.Methods, serve.NewMethod("silence", "", serve.Nowhere,
			func(_ *slog.Logger, _ struct{}) (serve.Checks, error) {
				return serve.Checks{Authorizer: silence{}}, nil
			}))
		c.Methods = map[string]any{"silence": struct{}{}}
	})
	c, err := frame.Open("gt06")
	if err != nil {
		t.Fatal(err)
	}
	f, err := Run(t.Context(), Options{
		Spec: Frame(), Endpoint: e, Devices: d, Codec: c,
		Plan: Plan{Clients: 2, Messages: 2, ClosedLoop: true, SubQoS: -1, Duration: 20 * time.Second, ConnectTimeout: 2 * time.Second},
	})
	if err != nil || f.Total.Operations != 0 || f.Total.OperationFail != 2 {
		t.Errorf("%v, %+v", err, f)
	}
}

func TestWhatDevicesCannotDo(t *testing.T) {
	e, d := withDevices(t, "emqtcp://127.0.0.1:0", nil)
	for _, c := range []struct {
		plan    Plan
		devices transport.Endpoint
		want    string
	}{
		{Plan{QoS: 1}, d, "QoS 0 alone"},
		{Plan{Retain: true}, d, "nothing is retained"},
		{Plan{Size: 65536}, d, "too many for a frame"},
		{Plan{}, transport.Endpoint{}, errNoDevices.Error()},
	} {
		c.plan.Publishers, c.plan.SubQoS = 1, -1
		if _, err := Run(t.Context(), Options{Plan: c.plan, Spec: EMQTCPPair(), Endpoint: e, Devices: c.devices}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.plan, err, c.want)
		}
	}
	if _, err := Run(t.Context(), Options{Plan: Plan{Clients: 1, SubQoS: -1}, Spec: Frame(), Endpoint: e, Devices: d}); err == nil || !strings.Contains(err.Error(), "no codec") {
		t.Error(err)
	}
	if _, err := Divide(EMQTCPPair(), Plan{Publishers: 4}, 2, 1); err == nil || !strings.Contains(err.Error(), "cannot be divided") {
		t.Error(err)
	}
}
