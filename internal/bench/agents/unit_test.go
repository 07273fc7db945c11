package agents

import (
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/transport"
)

func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		pattern, url string
		want         bool
	}{
		{"mqtt://127.0.0.1", "mqtt://127.0.0.1:1883", true},
		{"mqtt://127.0.0.1", "mqtt://127.0.0.1:1884", false},
		{"mqtt://127.0.0.1:*", "mqtt://127.0.0.1:1884", true},
		{"mqtt://127.0.0.1", "mqtts://127.0.0.1:1883", false},
		{"mqtt://10.0.0.*", "mqtt://10.0.0.7", true},
		{"mqtt://10.0.0.*", "mqtt://10.0.0.7.example.com", false},
		{"mqtt://10.0.0.*", "mqtt://10.0.1.7", false},
		{"mqtt://lab-*.Example", "mqtt://LAB-3.example", true},
		{"mqtt://*.example", "mqtt://a.b.example", false},
		{"mqtt://*", "mqtt://a.b.example", true},
		{"mqtt://[::1]:1883", "mqtt://[::1]", true},
		{"mqtt://[::1]:1883", "mqtt://[::2]", false},
		{"ws://a/mqtt", "ws://a/mqtt", true},
		{"ws://a", "ws://a/other", false},
		{"unix:///run/a", "unix:///run/a", true},
		{"unix:///run/a", "unix:///run/b", false},
	} {
		p, err := ParsePattern(tt.pattern)
		if err != nil {
			t.Errorf("%s: %v", tt.pattern, err)
			continue
		}
		e, err := transport.Parse(tt.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(e); got != tt.want {
			t.Errorf("%s and %s: %v", tt.pattern, tt.url, got)
		}
	}
	for _, bad := range []string{"", "10.0.0.1", "http://x", "mqtt://a:port", "mqtt://u:p@h"} {
		if p, err := ParsePattern(bad); err == nil {
			t.Errorf("%q: %+v", bad, p)
		}
	}
}

func TestOffsets(t *testing.T) {
	const ahead, there, back, work = int64(5e9), int64(3e6), int64(1e6), int64(7e6)
	e := exchange{t1: 100, t2: 100 + there + ahead, t3: 100 + there + ahead + work, t4: 100 + there + work + back}
	if e.roundTrip() != time.Duration(there+back) {
		t.Errorf("round trip %v", e.roundTrip())
	}
	if off := e.offset() - time.Duration(ahead); off > e.roundTrip()/2 || off < -e.roundTrip()/2 {
		t.Errorf("offset %v", e.offset())
	}
	slow := exchange{0, ahead, ahead, 9e6}
	if b, ok := best([]exchange{slow, e, slow}); !ok || b != e {
		t.Errorf("best %+v", b)
	}
	if _, ok := best(nil); ok {
		t.Error("the best of none")
	}
	drifted := e
	drifted.t2, drifted.t3 = e.t2-2e6, e.t3-2e6
	if got := uncertainty(e, drifted); got != e.roundTrip()/2+2*time.Millisecond {
		t.Errorf("uncertainty %v", got)
	}
}
