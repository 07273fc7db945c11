package rewrite

import (
	"log/slog"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

func BenchmarkPublish(b *testing.B) {
	for name, c := range map[string]Config{
		"prefix":     {Topics: Topics{Prefix: "tenants/%u/"}},
		"expression": {Topics: Topics{Map: []Mapping{{From: "site/([^/]+)/(.*)", To: "s/$1/$2"}}}},
		"qos":        {Publish: Message{MinQoS: 1}},
	} {
		b.Run(name, func(b *testing.B) {
			f, err := New(c)
			if err != nil {
				b.Fatal(err)
			}
			s, err := f.Open(&proxy.Conn{Version: mqtt.V5, Metrics: &proxy.Metrics{}, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			emit := func(proxy.Frame) error { return nil }
			handle := func(p mqtt.Packet) proxy.Frame {
				raw, err := p.Append(nil, mqtt.V5)
				if err != nil {
					b.Fatal(err)
				}
				f, err := proxy.NewFrame(proxy.ToServer, raw)
				if err != nil {
					b.Fatal(err)
				}
				return f
			}
			if err := s.Handle(b.Context(), handle(mqtt.Connect{ClientID: "c", HasUsername: true, Username: "u"}), emit); err != nil {
				b.Fatal(err)
			}
			frame := handle(mqtt.Publish{Topic: []byte("site/berlin/temperature/1"), Payload: make([]byte, 100)})
			b.SetBytes(int64(len(frame.Bytes)))
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Handle(b.Context(), frame, emit); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
