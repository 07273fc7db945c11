package dissect_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// FuzzMQTT reads packets of both directions, each of which says with its first byte
// who sends it and how much later, by Dissect and by Line, which agree.
func FuzzMQTT(f *testing.F) {
	for _, s := range mqttSampleList {
		f.Add(append([]byte{byte(s.from)}, unhex(f, s.hex)...), s.version, true)
	}
	for _, s := range mqttSilences {
		f.Add(append([]byte{byte(s.from)}, unhex(f, s.hex)...), s.version, true)
	}
	for _, s := range mqttScripts {
		var b []byte
		for line := range strings.Lines(s.text) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " -> ")
			if parts := strings.Fields(line); len(parts) > 2 {
				from := byte(fromClient)
				if parts[0] == "s" {
					from = byte(fromServer)
				}
				b = append(append(b, from), unhex(f, strings.Join(parts[2:], ""))...)
			}
		}
		f.Add(b, uint8(0), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, version uint8, joined bool) {
		b = b[:min(len(b), 2<<10)] // the checks look at all of it for every packet
		st := &dissect.Stream{Version: version, Joined: joined}
		quick := &dissect.Stream{Version: version, Joined: joined}
		var e dissect.Evidence
		at := time.Unix(1e9, 0)
		for number := 1; len(b) > 1; number++ {
			control := b[0]
			b = b[1:]
			at = at.Add(time.Duration(control>>4) * 10 * time.Second)
			for _, s := range []*dissect.Stream{st, quick} {
				s.Direction, s.Number, s.Time = dissect.Direction(control&3%3), number, at
				if control&0xf == 0xf {
					s.Missed()
				}
			}
			c, why := dissect.MQTT{}.Sniff(b, dissect.Hint{Direction: st.Direction})
			if c > dissect.Certain || (c == dissect.No) != (why == "") {
				t.Errorf("% x: %v, because of %q", b, c, why)
			}
			p, n, err := dissecttest.Both(t, dissect.MQTT{}, b, st, quick)
			for _, q := range p.Problems {
				if q.Warning != (q.Advice == "") {
					t.Errorf("%+v", q)
				}
			}
			if n == 0 || errors.Is(err, dissect.ErrShort) {
				return
			}
			e.Add(st.Direction, b[:n])
			if v, _, why := e.Decide(); v < 3 || v > 5 || why == "" {
				t.Errorf("version %d, because of %q", v, why)
			}
			b = b[n:]
		}
		if len(dissect.MQTT{}.Finish(st)) != len(dissect.MQTT{}.Finish(quick)) {
			t.Error("the quick way leaves something else open")
		}
	})
}
