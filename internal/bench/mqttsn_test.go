package bench

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/gateway/mqttsn"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// snGateway has what QoS -1 and predefined topics need.
func snGateway(c *serve.Config) {
	c.Gateways = map[string]any{mqttsn.Protocol: mqttsn.Config{
		QoSMinusOne: mqttsn.QoSMinusOne{Enabled: true}, Predefined: []mqttsn.Predefined{{ID: 17, Topic: "a/b"}},
	}}
}

func TestMQTTSNPublishers(t *testing.T) {
	for _, tt := range []struct {
		name, topic string
		qos         int
		options     map[string]float64
		open        bool
	}{
		{name: "QoS 0", qos: 0},
		{name: "QoS 1", qos: 1},
		{name: "QoS 2", qos: 2},
		{name: "QoS 1 by schedule", qos: 1, open: true},
		{name: "short", qos: 1, options: map[string]float64{"mqttsn-pub.short": 1}},
		{name: "predefined", topic: "a/b", qos: 2, options: map[string]float64{"mqttsn-pub.predefined": 17}},
		{name: "QoS -1", topic: "ab", options: map[string]float64{"mqttsn-pub.short": 1, "mqttsn-pub.minus_one": 1}},
		{name: "sockets", qos: 1, options: map[string]float64{"mqttsn-pub.sockets": 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, d := withDevices(t, "mqttsn://127.0.0.1:0", snGateway)
			p := Plan{
				Publishers: 20, QoS: tt.qos, SubQoS: -1, Messages: 400, Duration: time.Minute, Window: 2,
				Topic: tt.topic, Topics: 2, Options: tt.options, ClosedLoop: !tt.open,
			}
			if tt.open {
				p.Rate = 1000
			}
			f, err := Run(t.Context(), Options{Plan: p, Spec: MQTTSNPub(), Endpoint: e, Devices: d})
			if err != nil {
				t.Fatal(err)
			}
			want := Tally{Sent: 400, Expected: 400, Received: 400}
			got := f.Account.QoS[tt.qos]
			if got.Duplicated = 0; tt.qos == 0 && got.Lost > 0 {
				// Nobody promises more, and the kernel of a busy machine drops some.
				got.Received, got.Lost = got.Received+got.Lost, 0
			}
			if got != want || f.Ended != "complete" || f.Account.Unsent+f.Account.Unacked > 0 {
				t.Errorf("%s: %+v, %+v", f.Ended, f.Account, f.Total)
			}
			if tt.qos > 0 && f.Total.Acked != 400 {
				t.Errorf("%d of 400 were acknowledged", f.Total.Acked)
			}
		})
	}
}

func TestMQTTSNSleepers(t *testing.T) {
	for _, sockets := range []float64{0, 1} {
		t.Run(fmt.Sprintf("sockets=%v", sockets), func(t *testing.T) {
			e, d := withDevices(t, "mqttsn://127.0.0.1:0", nil)
			f, err := Run(t.Context(), Options{Spec: MQTTSNSleep(), Endpoint: e, Devices: d, Plan: Plan{
				Clients: 30, QoS: -1, SubQoS: -1, ClosedLoop: true, Messages: 2 * 3 * 30, // two storms
				Options: map[string]float64{"mqttsn-sleep.messages": 3, "mqttsn-sleep.sockets": sockets, "mqttsn-sleep.retry": 60},
			}})
			if err != nil {
				t.Fatal(err)
			}
			if want := (Tally{Sent: 180, Expected: 180, Received: 180}); f.Account.QoS[1] != want || f.Ended != "complete" {
				t.Errorf("%s: %+v", f.Ended, f.Account)
			}
			if n := f.Total; n.Operations != 60 || n.OperationFail > 0 || n.Subscribes != 30 || n.Connects != 31 {
				t.Errorf("%+v", n)
			}
			if n := f.Latency["op"].TotalCount(); n != 60 {
				t.Errorf("%d latencies", n)
			}
		})
	}
}

func TestMQTTSNOverDTLS(t *testing.T) {
	ca := transporttest.NewCA(t, "authority")
	certFile, keyFile := transporttest.WritePair(t, t.TempDir(), ca.Server(t, nil, "127.0.0.1"))
	e, d := withDevices(t, "mqttsns://127.0.0.1:0", func(c *serve.Config) {
		c.Listeners[1].TLS = &transport.ServerTLS{CertFile: certFile, KeyFile: keyFile}
	})
	f, err := Run(t.Context(), Options{
		Spec: MQTTSNSleep(), Endpoint: e, Devices: d, Dial: transport.DialConfig{TLS: &transport.ClientTLS{CAFile: ca.WriteFile(t)}},
		Plan: Plan{Clients: 3, QoS: -1, SubQoS: -1, ClosedLoop: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Tally{Sent: 3, Expected: 3, Received: 3}); f.Account.QoS[1] != want || f.Total.Operations != 3 {
		t.Errorf("%+v, %+v", f.Account, f.Total)
	}
}

// TestMQTTSNDevicesThatAreRefused also says that the sockets are closed then.
func TestMQTTSNDevicesThatAreRefused(t *testing.T) {
	e, d := withDevices(t, "mqttsn://127.0.0.1:0", func(c *serve.Config) {
		c.Builtin.Methods = append(c.Builtin.Methods, serve.NewMethod("mqtt_only", "nothing", serve.Everywhere,
			func(_ *slog.Logger, _ struct{}) (serve.Checks, error) {
				return serve.Checks{Authenticator: mqttOnly{}}, nil
			}))
		c.Methods = map[string]any{"mqtt_only": struct{}{}}
		c.Gateways = map[string]any{mqttsn.Protocol: mqttsn.Config{ClientinfoOverride: mqttsn.Override{Username: "device"}}}
	})
	for _, spec := range []Spec{MQTTSNPub(), MQTTSNSleep()} {
		f, err := Run(t.Context(), Options{Plan: Plan{Clients: 2, QoS: -1, SubQoS: -1, Duration: time.Second}, Spec: spec, Endpoint: e, Devices: d})
		if !errors.Is(err, ErrNobody) || f == nil || f.Total.ConnectFails != 2 {
			t.Errorf("%s: %v, %+v", spec.Name, err, f)
		}
	}
}

func TestMQTTSNPlansThatCannotBe(t *testing.T) {
	e, d := withDevices(t, "mqttsn://127.0.0.1:0", nil)
	for want, p := range map[string]Plan{
		`a short topic has two bytes, as in -t sn, and "abc" has 3`:                      {Topic: "abc", Options: map[string]float64{"mqttsn-pub.short": 1}},
		"at QoS -1 a topic is short or predefined: --set mqttsn-pub.short=1":             {Options: map[string]float64{"mqttsn-pub.minus_one": 1}},
		"messages are of QoS -1 or of QoS 1":                                             {QoS: 1, Options: map[string]float64{"mqttsn-pub.minus_one": 1, "mqttsn-pub.short": 1}},
		fmt.Sprintf("70000 bytes are too many for a datagram: at most %d", maxSNPayload): {Size: 70000},
	} {
		if _, err := Run(t.Context(), Options{Plan: p, Spec: MQTTSNPub(), Endpoint: e, Devices: d}); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
