package agents

import (
	"encoding/json"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
)

// Topics.
const (
	agentTopic = "iotctl-bench/agent/"
	runTopic   = "iotctl-bench/run/"
)

const (
	// maxMessageBytes bounds what either end reads.
	maxMessageBytes = 512 << 10
	// streamsAtOnce is how many streams a message tells about.
	streamsAtOnce = 500
	// maxText bounds what an agent says to people, maxIntervals how often it
	// reports in one run.
	maxText      = 500
	maxIntervals = 200_000
	// inboxSize is how many messages wait to be worked off.
	inboxSize = 1024
	// beat is how often either end says that it is there.
	beat = time.Second
)

// order is what an agent is told.
type order struct {
	Kind string `json:"kind"`
	Run  string `json:"run"` // who leads; answers go there
	// Of ping: its number and when it was sent.
	N    int   `json:"n,omitempty"`
	Sent int64 `json:"sent,omitempty"`
	// Of open.
	Target string       `json:"target,omitempty"`
	Share  *bench.Share `json:"share,omitempty"`
	// Of start: when, on the common clock. Nanoseconds since 1970.
	At int64 `json:"at,omitempty"`
}

// The orders.
const (
	orderHello  = "hello"  // who is there?
	orderPing   = "ping"   // what time is it?
	orderOpen   = "open"   // connect, and wait
	orderStart  = "start"  // load
	orderFinish = "finish" // everything has arrived
	orderStop   = "stop"   // end at once
	orderAlive  = "alive"
)

// report is what an agent tells.
type report struct {
	Kind string `json:"kind"`
	Seq  int    `json:"seq"` // of the run, from 1; 0: none
	// Of hello.
	Environment *bench.Environment `json:"environment,omitempty"`
	// Of pong: the ping's, and when it came and was answered on the agent's clock.
	N        int   `json:"n,omitempty"`
	Sent     int64 `json:"sent,omitempty"`
	Received int64 `json:"received,omitempty"`
	Replied  int64 `json:"replied,omitempty"`
	// Of refused and failed.
	Text string `json:"text,omitempty"`

	Header   *bench.Header       `json:"header,omitempty"`
	Interval *bench.Interval     `json:"interval,omitempty"`
	Event    *bench.Event        `json:"event,omitempty"`
	Progress *bench.Progress     `json:"progress,omitempty"`
	Streams  []bench.StreamCount `json:"streams,omitempty"`
	Final    *bench.Final        `json:"final,omitempty"`
}

// The reports.
const (
	reportHello    = "hello"
	reportPong     = "pong"
	reportRefused  = "refused" // the order to open
	reportOpened   = "opened"
	reportRecord   = "record"
	reportProgress = "progress"
	reportStreams  = "streams"
	reportFinal    = "final" // Text: what has ended the run, "" if nothing
	reportAlive    = "alive"
)

// parse reads a message into v.
func parse(b []byte, v any) error {
	if len(b) > maxMessageBytes {
		return fmt.Errorf("a message of %d bytes is too long", len(b))
	}
	return json.Unmarshal(b, v)
}

// encode is for messages that are made here.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain structures
	}
	return b
}

// names is compiled when it is needed: every process has this package.
var names = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`) })

// CheckName says what is wrong with the name of an agent.
func CheckName(name string) error {
	if !names().MatchString(name) {
		return fmt.Errorf("%q is no name of an agent: letters, digits, dots, dashes and underscores, at most 64", name)
	}
	return nil
}
