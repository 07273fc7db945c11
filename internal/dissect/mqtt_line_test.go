package dissect_test

import (
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// lineCases are the packets that most streams are made of, and what answers them.
var lineCases = []struct{ name, connect, connack, packet, answer string }{
	{
		"PUBLISH of QoS 0", "10 0d 0004 4d515454 04 02 003c 0001 63", "20 02 0000",
		"30 1f 000c 6465762f372f74656d702f31 7b2274223a32312e352c2268223a34307d", "",
	},
	{
		"PUBLISH and PUBACK", "10 0d 0004 4d515454 04 02 003c 0001 63", "20 02 0000",
		"32 21 000c 6465762f372f74656d702f31 0007 7b2274223a32312e352c2268223a34307d", "40 02 0007",
	},
	{
		"PUBLISH and PUBACK of 5.0", "10 0e 0004 4d515454 05 02 003c 00 0001 63", "20 06 0000 03 22 000a",
		"32 25 000c 6465762f372f74656d702f31 0007 03 23 0001 7b2274223a32312e352c2268223a34307d", "40 03 0007 10",
	},
}

func lineStream(t testing.TB, connect, connack string) *dissect.Stream {
	st := &dissect.Stream{Direction: fromClient, Number: 1, Time: time.Unix(1e9, 0)}
	dissecttest.Dissect(t, dissect.MQTT{}, unhex(t, connect), st)
	st.Direction, st.Number = fromServer, 2
	dissecttest.Dissect(t, dissect.MQTT{}, unhex(t, connack), st)
	return st
}

func TestMQTTLineAllocatesNothing(t *testing.T) {
	for _, c := range lineCases {
		t.Run(c.name, func(t *testing.T) {
			st := lineStream(t, c.connect, c.connack)
			packet, answer := unhex(t, c.packet), unhex(t, c.answer)
			dst := make([]byte, 0, 1024)
			one := func() {
				st.Number++
				st.Direction = fromClient
				_, l, ok := dissect.MQTT{}.Line(dst, packet, st)
				if !ok || l.Size != len(packet) {
					t.Fatalf("PUBLISH: %+v, %v", l, ok)
				}
				if len(answer) == 0 {
					return
				}
				st.Direction = fromServer
				if _, l, ok = (dissect.MQTT{}).Line(dst, answer, st); !ok || l.Answers != st.Number {
					t.Fatalf("PUBACK: %+v, %v", l, ok)
				}
			}
			one()
			if n := testing.AllocsPerRun(100, one); n > 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func BenchmarkMQTTLine(b *testing.B) {
	for _, c := range lineCases {
		b.Run(c.name, func(b *testing.B) {
			st := lineStream(b, c.connect, c.connack)
			packet, answer := unhex(b, c.packet), unhex(b, c.answer)
			dst := make([]byte, 0, 1024)
			b.ReportAllocs()
			for b.Loop() {
				st.Number++
				st.Direction = fromClient
				dissect.MQTT{}.Line(dst, packet, st)
				if len(answer) > 0 {
					st.Direction = fromServer
					dissect.MQTT{}.Line(dst, answer, st)
				}
			}
		})
	}
}
