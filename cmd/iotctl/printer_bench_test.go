package main

import (
	"io"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/client"
)

// What a message costs that is only printed. Nothing that is not asked for may
// be seen here: no rule, no expression, no record beside the one that is shown.
func BenchmarkPrinter(b *testing.B) {
	m := client.Message{Topic: "sensors/12/temperature", Payload: []byte(`{"temp":21.5,"unit":"C","seq":123456}`), QoS: 1, PacketID: 7}
	for _, c := range []struct {
		name string
		set  func(*settings)
	}{
		{"text", func(*settings) {}},
		{"text/verbose", func(s *settings) { s.verbose = true }},
		{"format", func(s *settings) { s.format = "@H:@M:@S %t %p" }},
		{"jsonl", func(s *settings) { s.output = "jsonl" }},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := newSettings(progSub, false)
			c.set(s)
			p, err := newPrinter(s, &terminal{out: io.Discard})
			if err != nil {
				b.Fatal(err)
			}
			now := time.Now()
			b.ReportAllocs()
			for b.Loop() {
				if err := p.print(&m, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
