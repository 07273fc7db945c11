package translate

import (
	"bytes"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

func TestPropertiesMessageExpiryIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := New(Config{To: "3.1.1", Expiries: 2})
		if err != nil {
			t.Fatal(err)
		}
		var out []mqtt.Packet
		emit := func(f proxy.Frame) error {
			v := mqtt.V311
			if f.Direction == proxy.ToClient {
				v = mqtt.V5
			}
			p, _, err := mqtt.Parse(bytes.Clone(f.Bytes), proxy.Options(f.Direction, v))
			out = append(out, p)
			return err
		}
		s, err := f.Open(&proxy.Conn{Version: mqtt.V5, Metrics: &proxy.Metrics{}, Log: slog.New(slog.DiscardHandler), Powers: powerless{}})
		if err != nil {
			t.Fatal(err)
		}
		handle := func(d proxy.Direction, p mqtt.Packet) mqtt.Packet {
			t.Helper()
			v := mqtt.V5
			if d == proxy.ToClient {
				v = mqtt.V311
			}
			b, err := p.Append(nil, v)
			if err != nil {
				t.Fatal(err)
			}
			frame, err := proxy.NewFrame(d, b)
			if err != nil {
				t.Fatal(err)
			}
			out = nil
			if err := s.Handle(t.Context(), frame, emit); err != nil || len(out) != 1 {
				t.Fatalf("%d packets, %v", len(out), err)
			}
			return out[0]
		}
		publish := func(payload string, seconds uint32) {
			t.Helper()
			p := mqtt.Publish{Topic: []byte("a"), Payload: []byte(payload)}
			if seconds > 0 {
				p.Properties = p.Properties.AppendUint32(mqtt.PropMessageExpiryInterval, seconds)
			}
			if got, ok := handle(proxy.ToServer, p).(mqtt.Publish); !ok || len(got.Properties) > 0 {
				t.Errorf("%+v", got)
			}
		}
		left := func(payload string) (seconds uint32, delivered bool) {
			t.Helper()
			switch p := handle(proxy.ToClient, mqtt.Publish{Topic: []byte("a"), Payload: []byte(payload), QoS: 1, PacketID: 1}).(type) {
			case mqtt.Publish:
				seconds, _ = p.Properties.Uint32(mqtt.PropMessageExpiryInterval)
				handle(proxy.ToServer, mqtt.Puback{PacketID: 1})
				return seconds, true
			case mqtt.Puback: // in the place of the client
				return 0, false
			default:
				t.Fatalf("%+v", p)
				return 0, false
			}
		}
		for what, tt := range map[string]struct {
			do        func()
			seconds   uint32
			delivered bool
		}{
			"some is left":            {func() { publish("m", 60); time.Sleep(20 * time.Second) }, 40, true},
			"none is left":            {func() { publish("m", 60); time.Sleep(60 * time.Second) }, 0, false},
			"sent anew":               {func() { publish("m", 60); time.Sleep(time.Hour); publish("m", 7) }, 7, true},
			"sent anew without":       {func() { publish("m", 60); time.Sleep(time.Hour); publish("m", 0) }, 0, true},
			"never with expiry":       {func() { publish("m", 0) }, 0, true},
			"the oldest is let go of": {func() { publish("m", 1); publish("n", 1); publish("o", 1); time.Sleep(time.Hour) }, 0, true},
		} {
			publish("m", 0)
			tt.do()
			if seconds, delivered := left("m"); seconds != tt.seconds || delivered != tt.delivered {
				t.Errorf("%s: %d seconds, delivered: %v", what, seconds, delivered)
			}
		}
	})
}
