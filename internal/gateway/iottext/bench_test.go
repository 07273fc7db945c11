package iottext_test

import (
	"io"
	"testing"

	"github.com/iotctl/iotctl/internal/broker"

	gw "github.com/iotctl/iotctl/internal/gateway/iottext"
)

// BenchmarkPublish sends values, a hundred lines at a time, from one device to
// another.
func BenchmarkPublish(b *testing.B) {
	s := start(b, broker.Config{}, gw.Config{})
	display, sensor := s.device("display"), s.device("sensor")
	display.does("START | COMMAND=SUB | VARIABLE=temp | END", ok)
	const line = "START | COMMAND=PUB | VARIABLE=temp | VALUE=21.5 | END\n"
	var lines []byte
	for range 100 {
		lines = append(lines, line...)
	}
	answers := make([]byte, 100*len(ok+"\n"))
	values := make([]byte, len(lines))
	b.ReportAllocs()
	b.SetBytes(int64(len(lines)))
	for b.Loop() {
		if _, err := sensor.nc.Write(lines); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(sensor.r, answers); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(display.r, values); err != nil {
			b.Fatal(err)
		}
	}
}
