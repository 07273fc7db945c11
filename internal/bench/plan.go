package bench

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Plan says what a run is to do. What is zero takes the scenario's default and
// then the one stated here. Secrets are not part of it.
type Plan struct {
	Scenario string       `json:"scenario"`
	Target   string       `json:"target"`            // URL without user information
	Devices  string       `json:"devices,omitempty"` // the same of clients that speak another protocol
	Codec    string       `json:"codec,omitempty"`   // of their protocol
	Version  mqtt.Version `json:"version"`           // 0: 3.1.1

	// Clients is for scenarios with one kind of client, Publishers and
	// Subscribers for those with two; pairs have as many of each.
	Clients     int `json:"clients,omitempty"`
	Publishers  int `json:"publishers,omitempty"`
	Subscribers int `json:"subscribers,omitempty"`

	ClientID    string `json:"client_id"` // template. "": "bench-RUN-%i"
	StartNumber int    `json:"start_number,omitempty"`
	KeepAlive   int    `json:"keep_alive"` // seconds. 0: 300; negative: none
	Persistent  bool   `json:"persistent,omitempty"`
	Expiry      uint32 `json:"expiry,omitempty"` // session expiry interval, 5.0

	// ConnRate is connections per second. 0: each of ConnParallel connectors
	// begins the next one when the last is there.
	ConnRate       float64       `json:"conn_rate,omitempty"`
	ConnParallel   int           `json:"conn_parallel"`   // 0: 64
	ConnectTimeout time.Duration `json:"connect_timeout"` // 0: 30 s

	Topic    string `json:"topic,omitempty"`  // template. "": "bench/RUN/%i"
	Topics   int    `json:"topics,omitempty"` // per publisher. 0: 1
	QoS      int    `json:"qos"`              // -1: the scenario's default
	SubQoS   int    `json:"sub_qos"`          // -1: as QoS
	Retain   bool   `json:"retain,omitempty"`
	Size     int    `json:"size"`               // payload bytes. 0: 64; at least MinPayload
	Messages int64  `json:"messages,omitempty"` // to publish in all. 0: as many as the time allows

	// Rate is messages, or operations, per second of all clients together, on
	// an open loop. Interval is the same per client, as a pause; Rate wins.
	Rate     float64       `json:"rate,omitempty"`
	Interval time.Duration `json:"interval,omitempty"`
	// ClosedLoop sends as soon as the window allows, without a schedule.
	ClosedLoop bool `json:"closed_loop,omitempty"`
	// Window is how many messages of a client may wait for their
	// acknowledgement, and on a closed loop for their arrival. 0: 100, at QoS 2
	// 20.
	Window int `json:"window"`
	// Steps replace Rate and Duration.
	Steps []Step `json:"steps,omitempty"`

	Warmup   time.Duration `json:"warmup"`
	Duration time.Duration `json:"duration"` // 0: 10 s
	Drain    time.Duration `json:"drain"`    // at the most. 0: 10 s; negative: none
	Sampling time.Duration `json:"sampling"` // length of intervals. 0: 1 s
	Tick     time.Duration `json:"tick"`     // publishing drivers sleep no less. 0: by rate

	Drivers  int `json:"drivers,omitempty"` // publishing goroutines. 0: half of the CPUs
	WatchPID int `json:"watch_pid,omitempty"`

	// Options of single scenarios: "slow.share".
	Options map[string]float64 `json:"options,omitempty"`
}

// Step is a part of the schedule: the rate goes from From to To in a straight
// line.
type Step struct {
	Duration time.Duration `json:"duration"`
	From     float64       `json:"from"`
	To       float64       `json:"to"`
}

// Option is a scenario's own option, or def.
func (p *Plan) Option(name string, def float64) float64 {
	if v, ok := p.Options[name]; ok {
		return v
	}
	return def
}

// Default sets *v to d if it has its zero value. Scenarios use it for Plans.
func Default[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// complete fills in defaults; run stands in identifiers and topics.
func (p *Plan) complete(run string) {
	p.QoS = max(p.QoS, 0)
	Default(&p.Version, mqtt.V311)
	Default(&p.KeepAlive, 300)
	Default(&p.ConnParallel, 64)
	Default(&p.ConnectTimeout, 30*time.Second)
	Default(&p.ClientID, "bench-"+run+"-%i")
	Default(&p.Topic, "bench/"+run+"/%i")
	Default(&p.Topics, 1)
	Default(&p.Size, 64)
	if p.Window == 0 && p.QoS == 2 {
		p.Window = 20 // more would get a client of mosquitto cut off
	}
	Default(&p.Window, 100)
	Default(&p.Duration, 10*time.Second)
	Default(&p.Drain, 10*time.Second)
	Default(&p.Sampling, time.Second)
	Default(&p.Clients, max(p.Publishers, p.Subscribers, 1))
	if p.SubQoS < 0 {
		p.SubQoS = p.QoS
	}
	if len(p.Steps) > 0 {
		p.Duration = 0
		for _, s := range p.Steps {
			p.Duration += s.Duration
		}
	}
}

// Validate returns every problem of a plan, joined.
func (p *Plan) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	for _, n := range []struct {
		name string
		v    int
	}{{"clients", p.Clients}, {"publishers", p.Publishers}, {"subscribers", p.Subscribers}, {"topics", p.Topics}, {"window", p.Window}} {
		if n.v < 0 {
			bad("%s: %d is negative", n.name, n.v)
		}
	}
	if p.QoS > 2 || p.SubQoS > 2 {
		bad("QoS %d is none of 0, 1, 2", max(p.QoS, p.SubQoS))
	}
	if p.Size != 0 && p.Size < MinPayload {
		bad("size: %d bytes are too few for a time stamp, a sequence number and a checksum: at least %d", p.Size, MinPayload)
	}
	if p.Size > 256<<20-1<<16 {
		bad("size: %d bytes are no MQTT message", p.Size)
	}
	if p.Window >= requestID {
		bad("window: %d is above %d", p.Window, requestID-1)
	}
	for _, s := range p.Steps {
		if s.Duration <= 0 || s.From < 0 || s.To < 0 || s.From+s.To == 0 {
			bad("step %v from %g to %g per second is none", s.Duration, s.From, s.To)
		}
	}
	if p.Rate < 0 || p.ConnRate < 0 || p.Interval < 0 || p.Duration < 0 || p.Warmup < 0 {
		bad("rates and times are not negative")
	}
	if p.ClosedLoop && (p.Rate > 0 || len(p.Steps) > 0) {
		bad("a closed loop has no rate")
	}
	if strings.ContainsAny(p.Topic, "\x00") {
		bad("topic: contains NUL")
	}
	return errors.Join(errs...)
}

// steps is the schedule after the warm-up, nil of a closed loop. clients is
// how many Interval is for.
func (p *Plan) steps(clients int) []Step {
	switch {
	case len(p.Steps) > 0:
		return p.Steps
	case p.ClosedLoop:
		return nil
	}
	rate := p.Rate
	if rate == 0 && p.Interval > 0 {
		rate = float64(clients) / p.Interval.Seconds()
	}
	if rate == 0 {
		return nil
	}
	return []Step{{Duration: p.Duration, From: rate, To: rate}}
}

// PlanError is a plan that its scenario cannot carry out.
type PlanError struct{ Reason string }

// Error implements error.
func (e *PlanError) Error() string { return e.Reason }
