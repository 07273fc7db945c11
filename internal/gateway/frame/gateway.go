// Package frame serves devices whose protocols are described by files
// (codec/frame): a listener frame://host:port/NAME speaks the codec NAME, which
// comes with the program or from a file of the configuration.
//
//	login     a frame that names the device, or the connection itself where the
//	          protocol has no names; the downlink topic is subscribed first
//	frames    are published as the definition says, and answered after that
//	downlink  a message becomes the frame that the definition makes of it
//
// A device that has to log in is not heard before: its frames are neither
// published nor answered, except those that the definition lists in
// session.before. A frame that does not decode, or whose topic cannot be made,
// is dropped, counted and logged. What may not be published is, too, but
// answered all the same: the device can do nothing about it. What the store has
// no room for is not answered, so that the device repeats it.
//
// There are no sessions, no wills and no retained downlinks. One connection is
// one device: who names another one after its login is cut off. Devices take
// over from each other by their names, within one codec.
//
// Goroutines and memory are those of the parent package. README.md has the
// settings.
//
// Left out: asking devices by the clock. A Modbus device says nothing by itself,
// so a program has to publish the requests.
package frame

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/frame"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/transport"
)

// Protocol is the name of the protocol for listeners and authenticators.
const Protocol = "frame"

// Schemes is the table of the gateway's URLs. The path of each names the codec.
func Schemes() []transport.Scheme {
	return []transport.Scheme{
		{Name: "frame", Protocol: Protocol, Network: "tcp", Port: 8092},
		{Name: "frames", Protocol: Protocol, Network: "tcp", Port: 8093, TLS: true},
		{Name: "frame+udp", Protocol: Protocol, Network: "udp", Port: 8092},
	}
}

// Gateway serves such protocols on any number of listeners.
type Gateway struct {
	*gateway.Server
	authenticator auth.Authenticator // nil: nobody may connect
	log           *slog.Logger       // nil: discarded
	counts        counts
	toldNoise     atomic.Int64 // when the log was last told of bytes that are no frame, Unix seconds
	work          sync.Pool    // *work
}

// work is what a batch of frames needs. Connections borrow it, so that an idle
// one holds none.
type work struct {
	frame.Record
	topic, payload []byte
}

// giveBack ends the use of w, unless a large frame has made it large.
func (g *Gateway) giveBack(w *work) {
	const most = 64 << 10
	if cap(w.payload) <= most && cap(w.Values) <= 1024 {
		g.work.Put(w)
	}
}

// counts is what only this gateway sees.
type counts struct {
	undecoded, checksum, topics, denied, down atomic.Uint64
}

// New returns a gateway to b.
func New(cfg Config, b *broker.Broker) (*Gateway, error) {
	set, err := cfg.compile()
	if err != nil {
		return nil, err
	}
	g := &Gateway{authenticator: cfg.Authenticator, log: cfg.Logger}
	g.work.New = func() any { return new(work) }
	terms := g.terms(set)
	terms.Broker, terms.Logger = b, cfg.Logger
	g.Server = gateway.NewServer(terms)
	return g, nil
}

// terms is what set means for connections.
func (g *Gateway) terms(set *settings) gateway.ServerConfig {
	return gateway.ServerConfig{
		Open:           func() gateway.Client { return &device{g: g, set: set} },
		ConnectTimeout: set.ConnectTimeout, PendingBytes: set.PendingBytes, SendTimeout: set.SendTimeout,
	}
}

// Reload takes new files and settings for the connections to come; those that
// are there keep what they have begun with. Authenticator and Logger stay.
func (g *Gateway) Reload(cfg Config) error {
	set, err := cfg.compile()
	if err == nil {
		g.SetTerms(g.terms(set))
	}
	return err
}

// Counters are for $SYS, by topic level.
func (g *Gateway) Counters() map[string]uint64 {
	return map[string]uint64{
		"undecoded":       g.counts.undecoded.Load(), // frames that do not hold what the definition says
		"bad_checksum":    g.counts.checksum.Load(),  // frames that were dropped for it
		"bad_topic":       g.counts.topics.Load(),    // messages with values that cannot stand in a topic
		"denied":          g.counts.denied.Load(),    // uplinks and subscriptions that are not allowed
		"downlink_failed": g.counts.down.Load(),      // messages of which no frame could be made
	}
}
