package bench

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Phase is a part of what a client does whose duration is recorded.
type Phase uint8

// Each phase is recorded from its intended time and from when it was begun.
const (
	PhaseDial      Phase = iota // the socket is connected
	PhaseTLS                    // TLS and WebSocket handshakes, if there are any
	PhaseConnack                // CONNECT to CONNACK
	PhaseSuback                 // SUBSCRIBE to SUBACK, UNSUBSCRIBE to UNSUBACK
	PhasePuback                 // PUBLISH to PUBACK, QoS 1
	PhasePubcomp                // PUBLISH to PUBCOMP, QoS 2
	PhaseE2E                    // PUBLISH to its arrival at a subscriber
	PhaseOperation              // whatever a scenario does as a whole
	phases
)

var phaseNames = [phases]string{"dial", "tls", "connack", "suback", "puback", "pubcomp", "e2e", "op"}

func (p Phase) String() string { return phaseNames[p] }

// PhaseNames are the names of the phases in the order of a connection's life.
func PhaseNames() []string { return phaseNames[:] }

// Sent is the suffix of a phase's second histogram: from when it was begun
// instead of when it was due.
const Sent = ".sent"

// Latencies are recorded with three significant digits between these bounds.
const (
	leastLatency    = int64(time.Microsecond)
	greatestLatency = int64(time.Hour)
	latencyDigits   = 3
)

// Histogram of latencies in nanoseconds. In JSON it is the base64 text of the
// compressed V2 encoding that HdrHistogram's tools share.
type Histogram struct{ hdrhistogram.Histogram }

// NewHistogram returns an empty one.
func NewHistogram() *Histogram {
	return &Histogram{*hdrhistogram.New(leastLatency, greatestLatency, latencyDigits)}
}

// Record adds one latency; what is out of bounds is moved to the bound.
func (h *Histogram) Record(d int64) {
	_ = h.RecordValue(min(max(d, 0), greatestLatency))
}

// Add adds everything in o.
func (h *Histogram) Add(o *Histogram) { h.Merge(&o.Histogram) }

// Quantile is the latency that the share q (0 to 1) of all do not exceed, 0 of
// none.
func (h *Histogram) Quantile(q float64) time.Duration {
	return time.Duration(h.ValueAtQuantile(q * 100))
}

// MarshalJSON implements json.Marshaler.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	b, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, err
	}
	return json.Marshal(string(b))
}

// UnmarshalJSON implements json.Unmarshaler.
func (h *Histogram) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	d, err := hdrhistogram.Decode([]byte(text))
	if err != nil {
		return fmt.Errorf("histogram: %w", err)
	}
	if d.LowestTrackableValue() != leastLatency || d.HighestTrackableValue() != greatestLatency || d.SignificantFigures() != latencyDigits {
		return fmt.Errorf("histogram: from %d to %d ns with %d digits is not how latencies are recorded", d.LowestTrackableValue(), d.HighestTrackableValue(), d.SignificantFigures())
	}
	h.Histogram = *d
	return nil
}

// Latencies are histograms by the names of phases, with and without [Sent].
type Latencies map[string]*Histogram

// UnmarshalJSON implements json.Unmarshaler. It passes over names that are no
// phase's, so that a short text cannot become many histograms.
func (l *Latencies) UnmarshalJSON(b []byte) error {
	var texts map[string]json.RawMessage
	if err := json.Unmarshal(b, &texts); err != nil {
		return err
	}
	*l = Latencies{}
	for _, phase := range phaseNames {
		for _, name := range [...]string{phase, phase + Sent} {
			text := texts[name]
			if text == nil || string(text) == "null" {
				continue
			}
			h := new(Histogram)
			if err := h.UnmarshalJSON(text); err != nil {
				return fmt.Errorf("latency %s: %w", name, err)
			}
			(*l)[name] = h
		}
	}
	return nil
}
