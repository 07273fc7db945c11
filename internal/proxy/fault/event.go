package fault

import (
	"fmt"
	"time"

	"github.com/iotctl/iotctl/internal/proxy"
)

// Event is a fault that was injected.
type Event struct {
	Time       time.Time
	Connection uint64
	Client     string
	Rule       string // its name
	Action     string
	Direction  proxy.Direction
	Packet     string // its type, "" where there was none
	Number     int    // of the packet in its direction, from 1; 0 where there was none
	Match      int    // of the rule, from 1, counted as the rule counts
	Text       string // what was done, in words
	Raw        []byte // what went out past all stages, if that is no packet; valid until Report returns
}

// String is the line of a log: "fault acks: drop s2c PUBACK, match 3: not passed on".
func (e Event) String() string {
	what := e.Action + " " + e.Direction.String()
	if e.Packet != "" {
		what += " " + e.Packet
	}
	return fmt.Sprintf("fault %s: %s, match %d: %s", e.Rule, what, e.Match, e.Text)
}
