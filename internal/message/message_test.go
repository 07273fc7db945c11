package message

import (
	"testing"
	"time"
)

func TestCopyDoesNotAliasTheView(t *testing.T) {
	payload, props := []byte("21.5"), []byte{1, 1}
	v := View{Topic: []byte("a/b"), Payload: payload, Properties: props, QoS: 1}
	m := v.Copy(string(v.Topic), time.Unix(0, 0), "c", "o")
	payload[0], props[0], v.Topic[0] = 'X', 9, 'X'
	if m.Topic != "a/b" || string(m.Payload) != "21.5" || m.Properties[0] != 1 {
		t.Errorf("copy changed with the buffer: %q %q %v", m.Topic, m.Payload, m.Properties)
	}
	if got := append(m.Payload, '!'); m.Properties[0] == got[len(got)-1] {
		t.Error("append to the payload reached the properties")
	}
}

func TestRemainingExpiryCountsDownAndNeverGoesNegative(t *testing.T) {
	start := time.Unix(1000, 0)
	m := View{Expiry: 10, HasExpiry: true}.Copy("", start, "", "")
	for _, tt := range []struct {
		after   time.Duration
		seconds uint32
		expired bool
	}{
		{0, 10, false},
		{1500 * time.Millisecond, 9, false},
		{9999 * time.Millisecond, 1, false},
		{10 * time.Second, 0, true},
		{time.Hour, 0, true},
	} {
		now := start.Add(tt.after)
		if got, ok := m.RemainingExpiry(now); got != tt.seconds || !ok {
			t.Errorf("after %v: %d, %v, want %d", tt.after, got, ok, tt.seconds)
		}
		if got := m.Expired(now); got != tt.expired {
			t.Errorf("after %v: expired %v, want %v", tt.after, got, tt.expired)
		}
	}
	forever := View{}.Copy("", start, "", "")
	if _, ok := forever.RemainingExpiry(start.Add(1000 * time.Hour)); ok || forever.Expired(start.Add(1000*time.Hour)) {
		t.Error("a message without expiry interval expired")
	}
}
