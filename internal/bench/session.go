package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Session is a run as its scenario sees it.
type Session struct {
	clock
	o       *Options
	plan    *Plan
	run     uint32 // random, in stamps and topics
	ctx     context.Context
	asked   context.Context // ends when the user has enough
	rec     *recorder
	dialer  *dialer
	devices *dialer      // nil: there is nothing that they connect to
	start   atomic.Int64 // of the load

	scene                         // made by the scenario
	live    atomic.Pointer[scene] // the same, once the load begins; before, nil
	torn    [3]atomic.Int64
	blocked atomic.Int64
	undone  atomic.Int64 // operations that were due and did not end
	unacked atomic.Int64 // messages without an acknowledgement, beside those of flows
	dials   atomic.Int64
	planned int      // connections that the plan needs
	atEnd   []func() // of what the scenario has opened beside clients, the last one first

	wg sync.WaitGroup // of connections

	mu       sync.Mutex
	clients  []*Client
	trackers []*trackers
	groups   []*Group
	values   map[string]float64
	problems map[string]*Event
	first    error // the first problem
	emit     func(record any)
}

// scene is what a scenario sets up; nothing changes it while the load runs.
type scene struct {
	streams []*stream
	flows   []*flow
	own     bool // what arrives should have been published here
	base    int  // the number of streams[0]
}

// Now is the time in nanoseconds since the session began.
func (s *Session) Now() int64 { return s.now() }

// came, up and gone follow a connection's life.
func (s *Session) came(c *Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.place = len(s.clients)
	s.clients = append(s.clients, c)
}

func (s *Session) up(c *Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.place >= 0 {
		c.isUp = true
		s.rec.connections.Add(1)
	}
}

func (s *Session) gone(c *Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.clients) - 1
	s.clients[c.place] = s.clients[last]
	s.clients[c.place].place = c.place
	s.clients[last] = nil
	s.clients = s.clients[:last]
	c.place = -1
	if c.isUp {
		s.rec.connections.Add(-1)
	}
}

func (s *Session) all() []*Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Client(nil), s.clients...)
}

func (s *Session) newTrackers() *trackers {
	t := new(trackers)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trackers = append(s.trackers, t)
	return t
}

// NewGroup makes an account for clients that share a subscription.
func (s *Session) NewGroup() *Group {
	g := new(Group)
	g.g.wide = true
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups = append(s.groups, g)
	return g
}

// SetValue keeps a figure of the scenario for report and assertions.
func (s *Session) SetValue(name string, v float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[name] = v
}

// maxProblems bounds how many different ones are kept.
const maxProblems = 50

// problem reports what went wrong: the first of its kind as an event, the
// others as its count.
func (s *Session) problem(what string, err error) {
	text := fmt.Sprintf("%s: %v", what, err)
	s.mu.Lock()
	if s.first == nil {
		s.first = err
	}
	key := text
	if len(s.problems) >= maxProblems && s.problems[key] == nil {
		key = what
	}
	e := s.problems[key]
	if e != nil {
		e.Count++
		s.mu.Unlock()
		return
	}
	e = &Event{At: time.Duration(s.now()), Text: text, Count: 1}
	s.problems[key] = e
	first := *e
	s.mu.Unlock()
	s.emit(&first)
}

// ErrNobody says that no client could connect.
var ErrNobody = errors.New("no client could connect")

// connectAll connects n clients at the plan's rate. edit completes the options
// of each and may be nil. What comes back holds those that are connected,
// by their index, and nil for the others; with none there is an error, the
// first one's.
func (s *Session) connectAll(ctx context.Context, n int, edit func(i int, o *ClientOptions)) ([]*Client, error) {
	all := make([]*Client, n)
	start := s.now()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(s.plan.ConnParallel, n) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || ctx.Err() != nil {
					return
				}
				o := s.clientOptions(i)
				if s.plan.ConnRate > 0 {
					o.Due = start + int64(float64(i)/s.plan.ConnRate*1e9)
					if d := o.Due - s.now(); d > 0 && !pause(ctx, time.Duration(d)) {
						return
					}
				}
				if edit != nil {
					edit(i, &o)
				}
				all[i], _ = s.Connect(ctx, o)
			}
		})
	}
	wg.Wait()
	took := s.now() - start
	up := 0
	for _, c := range all {
		if c != nil {
			up++
		}
	}
	if ctx.Err() != nil {
		return all, context.Cause(ctx)
	}
	s.SetValue("connect.rate", float64(up)/(float64(took)/1e9))
	if up == 0 && n > 0 {
		return all, s.nobody()
	}
	return all, nil
}

// nobody is ErrNobody with the first reason.
func (s *Session) nobody() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Errorf("%w: %w", ErrNobody, s.first)
}

// clientOptions are those of the plan for client i.
func (s *Session) clientOptions(i int) ClientOptions {
	return ClientOptions{Index: i, CleanStart: !s.plan.Persistent, Expiry: s.plan.Expiry, KeepAlive: s.plan.KeepAlive}
}

// connected leaves out those that are not.
func connected(all []*Client) []*Client {
	var up []*Client
	for _, c := range all {
		if c != nil {
			up = append(up, c)
		}
	}
	return up
}

// each calls fn for every client, several at a time, and returns the first error.
func (s *Session) each(clients []*Client, fn func(i int, c *Client) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, 1)
	for range min(s.plan.ConnParallel, len(clients)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(clients); i = int(next.Add(1)) - 1 {
				if clients[i] == nil {
					continue
				}
				if err := fn(i, clients[i]); err != nil {
					select {
					case errs <- err:
					default:
					}
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// topic is the plan's topic of client i. A publisher with several has them as
// levels below it.
func (s *Session) topic(i, t int, c *Client) string {
	id := ""
	if c != nil {
		id = c.id
	}
	user := ""
	if s.o.Username != nil {
		user = *s.o.Username
	}
	name := expand(s.plan.Topic, s.plan.StartNumber+s.o.Part.FirstPublisher+i, id, user)
	if s.plan.Topics > 1 && !strings.HasSuffix(name, "#") {
		name = fmt.Sprintf("%s/%d", name, t)
	}
	return name
}

func (s *Session) subscription(filter string) mqtt.Subscription {
	return mqtt.Subscription{Filter: filter, QoS: uint8(s.plan.SubQoS)}
}
