package bench

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// A recorded run is a stream of JSON objects, one to a line, each with the
// member "kind": one header, an interval about every second, events between
// them, and one final. A run that was cut off has no final; everything else can
// still be read, the last line excepted. Times are nanoseconds since the start,
// durations nanoseconds.

// ResultFormat and ResultVersion stand in the header. A reader refuses a
// greater version; members may be added without a new one.
const (
	ResultFormat  = "iotctl-bench"
	ResultVersion = 1
)

// The kinds of records.
const (
	KindHeader   = "header"
	KindInterval = "interval"
	KindEvent    = "event"
	KindFinal    = "final"
)

// Header is the first record: what was run, where and with what.
type Header struct {
	Kind        string      `json:"kind"`
	Format      string      `json:"format"`
	Version     int         `json:"version"`
	Started     time.Time   `json:"started"`
	Environment Environment `json:"environment"`
	Plan        Plan        `json:"plan"` // without secrets
}

// Environment is the machine of the generator.
type Environment struct {
	Tool   string `json:"tool"` // "iotctl version …"
	Go     string `json:"go"`
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	Kernel string `json:"kernel,omitempty"`
	CPU    string `json:"cpu,omitempty"` // the model
	CPUs   int    `json:"cpus"`
	Memory int64  `json:"memory_bytes,omitempty"`
}

// Stage is a part of a run.
type Stage string

// The stages in their order. What is measured in StageMeasure counts; of
// StageConnect the phases of connecting do, too, and of StageDrain what was due
// in StageMeasure and came late.
const (
	StageConnect Stage = "connect"
	StageWarmup  Stage = "warmup"
	StageMeasure Stage = "measure"
	StageDrain   Stage = "drain"
)

// Interval is what happened between two looks at the counters. An interval
// never reaches across stages or steps.
type Interval struct {
	Kind     string        `json:"kind"`
	Stage    Stage         `json:"stage"`
	Step     int           `json:"step,omitempty"` // of Plan.Steps, from 1
	At       time.Duration `json:"at"`             // its beginning
	Duration time.Duration `json:"duration"`
	Target   float64       `json:"target,omitempty"` // scheduled messages or operations per second, 0: closed loop
	Counters Counters      `json:"counters"`
	Gauges   Gauges        `json:"gauges"`
	// Latency by phase: "e2e" from the intended time, "e2e.sent" from sending.
	Latency Latencies `json:"latency,omitempty"`
	Self    Self      `json:"self"`
	Watch   *Watch    `json:"watch,omitempty"`
	// Limited tells why the generator itself was the limit: "cpu", "lag",
	// "descriptors", "ports", or LimitedByWindow. Empty: it was not.
	Limited []string `json:"limited,omitempty"`
}

// LimitedByWindow is the reason of intervals in which messages were due and had
// to wait for acknowledgements of others: the window is too small, or the broker
// too slow.
const LimitedByWindow = "window"

// Counters count what happened, in an interval or a stage.
type Counters struct {
	Connects      int64 `json:"connects"`       // CONNACK with success
	ConnectFails  int64 `json:"connect_fails"`  // refused, no network, no answer
	Disconnects   int64 `json:"disconnects"`    // connections lost that nobody had ended here
	Subscribes    int64 `json:"subscribes"`     // filters granted
	SubscribeFail int64 `json:"subscribe_fail"` // filters refused
	Sent          int64 `json:"sent"`           // PUBLISH packets handed to the network
	Acked         int64 `json:"acked"`          // PUBACK and PUBCOMP with success
	AckFails      int64 `json:"ack_fails"`      // with a reason code of 0x80 or above
	Received      int64 `json:"received"`       // messages, after QoS 2 has removed repetitions
	Foreign       int64 `json:"foreign"`        // of those without our stamp
	Operations    int64 `json:"operations"`     // of scenarios that do something else than publish
	OperationFail int64 `json:"operation_fail"`
	Late          int64 `json:"late"`        // sent more than 1 ms after the intended time
	WindowFull    int64 `json:"window_full"` // messages that were due while the window was full
	Blocked       int64 `json:"blocked"`     // writes of which the kernel took only a part
	Duplicated    int64 `json:"duplicated"`
	Reordered     int64 `json:"reordered"`
	Corrupted     int64 `json:"corrupted"`
	BytesOut      int64 `json:"bytes_out"`
	BytesIn       int64 `json:"bytes_in"`
}

// Gauges are values at the end of an interval.
type Gauges struct {
	Connections int64 `json:"connections"`
	Inflight    int64 `json:"inflight"` // sent and not acknowledged
	Behind      int64 `json:"behind"`   // due and not sent
}

// Self is what the generator has seen of itself.
type Self struct {
	CPU        time.Duration `json:"cpu"` // of the process; with --serve the broker is part of it
	Lag        time.Duration `json:"lag"` // how late a sleeping goroutine woke up at the most
	Goroutines int           `json:"goroutines"`
	RSS        int64         `json:"rss_bytes,omitempty"`
}

// Watch is what the system says about the process given as Plan.WatchPID.
type Watch struct {
	CPU time.Duration `json:"cpu"` // used in the interval
	RSS int64         `json:"rss_bytes"`
	// Ended tells that there was no such process any more before the end, so
	// that CPU is too low.
	Ended bool `json:"ended,omitempty"`
}

// Add counts the next interval to w.
func (w *Watch) Add(next *Watch) {
	w.CPU += next.CPU
	w.Ended = w.Ended || next.Ended
	if !next.Ended {
		w.RSS = next.RSS
	}
}

// Event is something worth a line.
type Event struct {
	Kind string        `json:"kind"`
	At   time.Duration `json:"at"`
	Text string        `json:"text"`
	// Count is how often it happened; similar events are counted, not listed.
	Count int64 `json:"count,omitempty"`
}

// Final ends a run that was not cut off.
type Final struct {
	Kind     string        `json:"kind"`
	At       time.Duration `json:"at"`
	Ended    string        `json:"ended"`    // "complete", "interrupted", or the error
	Measured time.Duration `json:"measured"` // length of StageMeasure
	Counters Counters      `json:"counters"` // of StageMeasure
	Total    Counters      `json:"total"`    // of the whole run
	Latency  Latencies     `json:"latency"`
	Account  Account       `json:"account"`
	Self     Self          `json:"self"` // CPU of StageMeasure, the greatest Lag, RSS at its end
	Watch    *Watch        `json:"watch,omitempty"`
	// LimitedIntervals of MeasureIntervals in which the generator was the limit.
	LimitedIntervals int `json:"limited_intervals"`
	MeasureIntervals int `json:"measure_intervals"`
	// Values are figures of the scenario: "storm.recovery_seconds". Assertions
	// can name them.
	Values     map[string]float64 `json:"values,omitempty"`
	Assertions []Verdict          `json:"assertions,omitempty"`
	// Agents are the machines of a run that had several, and ClockError is how
	// wrong latencies from one to another can be.
	Agents     []PartResult  `json:"agents,omitempty"`
	ClockError time.Duration `json:"clock_error,omitempty"`
}

// Account compares what was published with what arrived, over the whole run.
type Account struct {
	QoS [3]Tally `json:"qos"` // by the QoS of the publication
	// Worst are the streams with the most losses, duplicates, reorderings and
	// corruptions, at most 20 of them.
	Worst []StreamTally `json:"worst,omitempty"`
	// Unsent messages were due before the end and never left. Operations that
	// were due and did not come to an end count, too.
	Unsent int64 `json:"unsent"`
	// Unacked messages were sent with QoS 1 or 2 and never acknowledged.
	Unacked int64 `json:"unacked"`
}

// Tally of messages.
type Tally struct {
	Sent       int64 `json:"sent"`
	Expected   int64 `json:"expected"` // deliveries: sent times subscribers
	Received   int64 `json:"received"` // without duplicates
	Lost       int64 `json:"lost"`
	Duplicated int64 `json:"duplicated"`
	Reordered  int64 `json:"reordered"` // of what came to one subscriber; a shared subscription has no order
	Corrupted  int64 `json:"corrupted"`
}

// StreamTally is one publisher's messages on one topic.
type StreamTally struct {
	Topic string `json:"topic"`
	QoS   uint8  `json:"qos"`
	Tally
}

// Sum adds up the three QoS.
func (a *Account) Sum() Tally {
	var s Tally
	for _, t := range a.QoS {
		s.add(t)
	}
	return s
}

func (t *Tally) add(o Tally) {
	t.Sent += o.Sent
	t.Expected += o.Expected
	t.Received += o.Received
	t.Lost += o.Lost
	t.Duplicated += o.Duplicated
	t.Reordered += o.Reordered
	t.Corrupted += o.Corrupted
}

// Verdict is one assertion and what it came to.
type Verdict struct {
	Expression string  `json:"expression"`
	Value      float64 `json:"value"` // nanoseconds for latencies
	OK         bool    `json:"ok"`
	Missing    bool    `json:"missing,omitempty"` // there is no such value, which is not OK
}

// ResultWriter writes a run. Each record is one Write, so that a run that is
// killed leaves whole lines.
type ResultWriter struct{ w io.Writer }

// NewResultWriter writes to w, unbuffered.
func NewResultWriter(w io.Writer) *ResultWriter { return &ResultWriter{w} }

// Write appends a *Header, *Interval, *Event or *Final, whose Kind it sets.
func (w *ResultWriter) Write(record any) error {
	switch r := record.(type) {
	case *Header:
		r.Kind, r.Format, r.Version = KindHeader, ResultFormat, ResultVersion
	case *Interval:
		r.Kind = KindInterval
	case *Event:
		r.Kind = KindEvent
	case *Final:
		r.Kind = KindFinal
	default:
		return fmt.Errorf("%T is no record of a run", record)
	}
	b, err := json.Marshal(record)
	if err != nil {
		return err
	}
	_, err = w.w.Write(append(b, '\n'))
	return err
}

// maxRecordBytes bounds a line of a recorded run.
const maxRecordBytes = 16 << 20

// ErrNoResult says that a file is no recorded run.
var ErrNoResult = errors.New("not a recorded run of iotctl bench")

// Result is a whole recorded run.
type Result struct {
	Header    Header
	Intervals []Interval
	Events    []Event
	Final     *Final // nil: the run was cut off
}

// ReadResult reads a recorded run to its end. Half a line at the end and kinds
// that it does not know are passed over.
func ReadResult(r io.Reader) (*Result, error) {
	res := &Result{}
	err := EachRecord(r, func(record any) error {
		switch v := record.(type) {
		case *Header:
			res.Header = *v
		case *Interval:
			res.Intervals = append(res.Intervals, *v)
		case *Event:
			res.Events = append(res.Events, *v)
		case *Final:
			res.Final = v
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return res, nil
}

// EachRecord calls fn with each record, as the pointers that ResultWriter
// takes, the header first.
func EachRecord(r io.Reader, fn func(record any) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxRecordBytes)
	for n := 1; lines.Scan(); n++ {
		var head struct {
			Kind, Format string
			Version      int
		}
		err := json.Unmarshal(lines.Bytes(), &head)
		switch {
		case n == 1 && (err != nil || head.Format != ResultFormat):
			return ErrNoResult
		case n == 1 && head.Version > ResultVersion:
			return fmt.Errorf("the run was recorded in version %d of the format, and this program reads up to %d", head.Version, ResultVersion)
		case err != nil:
			if !lines.Scan() && lines.Err() == nil {
				return nil // cut off within its last line
			}
			return fmt.Errorf("line %d: %w", n, err)
		}
		record := map[string]func() any{
			KindHeader:   func() any { return new(Header) },
			KindInterval: func() any { return new(Interval) },
			KindEvent:    func() any { return new(Event) },
			KindFinal:    func() any { return new(Final) },
		}[head.Kind]
		if record == nil {
			continue
		}
		v := record()
		if err := json.Unmarshal(lines.Bytes(), v); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if err := fn(v); err != nil {
			return err
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("a line is longer than %d bytes", maxRecordBytes)
	}
	return lines.Err()
}
