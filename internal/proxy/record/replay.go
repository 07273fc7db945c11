package record

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

// Options are how a recording is played.
type Options struct {
	// Speed is how much faster than recorded; +Inf does not look at the clock. 0: 1.
	Speed float64
	// Loops is how often. 0: once.
	Loops int
	// Copies is how many of each session there are at a time. 0: one.
	Copies int
	// ClientID makes the identifiers of clients: {client} is the recorded one, {n} the
	// number of the copy, {loop} that of the loop, both from 1. "": {client}, and with
	// copies {client}-{n}.
	ClientID string
	// Patience is how long an answer is waited for that does not come. 0: 5 s.
	Patience time.Duration
	// Password is for CONNECTs whose own was taken out of the recording; nil: none.
	Password []byte
	// Forget leaves Result.Now without sessions: what happens is not kept.
	Forget bool
	// Dial opens a connection to the broker.
	Dial func(ctx context.Context) (net.Conn, error)
}

func (o Options) withDefaults() Options {
	if o.Speed == 0 {
		o.Speed = 1
	}
	o.Loops, o.Copies = max(o.Loops, 1), max(o.Copies, 1)
	if o.Patience == 0 {
		o.Patience = 5 * time.Second
	}
	if o.ClientID == "" {
		o.ClientID = "{client}"
		if o.Copies > 1 {
			o.ClientID = "{client}-{n}"
		}
	}
	return o
}

// Validate says what is wrong with o.
func (o *Options) Validate() error {
	switch {
	case math.IsNaN(o.Speed) || o.Speed < 0:
		return fmt.Errorf("speed %v is not above 0", o.Speed)
	case o.Copies > 1 && o.ClientID != "" && !strings.Contains(o.ClientID, "{n}"):
		return errors.New("copies with one client identifier would take each other's session over: put {n} into it")
	}
	return nil
}

// clientID fills in the template. An empty identifier stays empty.
func (o *Options) clientID(recorded string, n, loop int) string {
	if recorded == "" {
		return ""
	}
	return strings.NewReplacer("{client}", recorded, "{n}", strconv.Itoa(n), "{loop}", strconv.Itoa(loop)).Replace(o.ClientID)
}

// Result is what a replay has done. Now is what happened, as a recording: each
// session names the one that it was played from.
type Result struct {
	Now      *Recording
	Sessions int
	Failed   []error // one for each session that could not be played to its end
	Took     time.Duration
}

// Play plays the clients of a recording.
func Play(ctx context.Context, rec *Recording, o Options) (*Result, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	began := time.Now()
	res := &Result{Now: &Recording{Header: Header{Format: format, Program: "iotctl proxy replay", Began: began.UTC()}}}
	scripts := scriptsOf(rec)
	for loop := 1; loop <= o.Loops && ctx.Err() == nil; loop++ {
		var wg sync.WaitGroup
		var mu sync.Mutex
		start := time.Now()
		for n := 1; n <= o.Copies; n++ {
			for _, p := range cast(scripts, &o, began, start, n, loop) {
				wg.Go(func() {
					err := p.enter(ctx)
					mu.Lock()
					defer mu.Unlock()
					res.add(p, err)
				})
			}
		}
		wg.Wait()
	}
	res.finish(began)
	return res, ctx.Err()
}

func scriptsOf(rec *Recording) (all []*script) {
	for _, s := range rec.Sessions {
		if len(s.Packets) > 0 {
			all = append(all, newScript(s))
		}
	}
	return all
}

// cast makes the players of one copy, with turns between them.
func cast(scripts []*script, o *Options, began, start time.Time, n, loop int) (all []*player) {
	g := &gate{}
	base := time.Duration(math.MaxInt64)
	for _, sc := range scripts {
		base = min(base, sc.Began)
		p := newPlayer(sc, proxy.ToServer, nil, o)
		p.gate, p.began, p.start = g, began, start
		p.client = o.clientID(sc.ClientID, n, loop)
		p.live.ClientID, p.live.Copy = p.client, n
		p.turns = make([]*turn, len(sc.steps))
		for i := range sc.steps {
			if st := &sc.steps[i]; st.Direction == proxy.ToServer && st.p != nil {
				p.turns[i] = newTurn(st)
				g.add(p.turns[i])
			}
		}
		all = append(all, p)
	}
	g.sort()
	for _, p := range all {
		p.base = base
	}
	return all
}

// enter connects when the session began, and plays it.
func (p *player) enter(ctx context.Context) error {
	err := p.due(ctx, p.sc.Began)
	if err == nil {
		p.conn, err = p.opt.Dial(ctx)
	}
	p.live.Began = time.Since(p.began)
	if err != nil {
		p.live.End, p.live.Ended = "not connected", p.live.Began
		for _, t := range p.turns {
			if t != nil {
				t.send()
				t.settle()
			}
		}
		return err
	}
	return p.run(ctx)
}

func (r *Result) add(p *player, err error) {
	r.Sessions++
	if !p.opt.Forget {
		r.Now.Sessions = append(r.Now.Sessions, p.live)
	}
	if err != nil && p.endsEarly() {
		r.Failed = append(r.Failed, fmt.Errorf("client %q: %w", p.live.ClientID, err))
	}
}

// endsEarly tells whether there was more to send when the connection ended.
func (p *player) endsEarly() bool {
	sent := 0
	for _, i := range p.from {
		if i >= 0 && p.sc.steps[i].Direction == p.own {
			sent++
		}
	}
	for i := range p.sc.steps {
		if st := &p.sc.steps[i]; st.Direction == p.own && st.p != nil && (st.request < 0 || p.arrived[st.request] >= 0) {
			sent--
		}
	}
	return sent < 0
}

// finish brings the sessions in order and numbers what they are made of.
func (r *Result) finish(began time.Time) {
	r.Took = time.Since(began)
	slices.SortStableFunc(r.Now.Sessions, func(a, b *Session) int { return int(a.Began - b.Began) })
	for i, s := range r.Now.Sessions {
		s.Number = uint64(i + 1)
	}
}

// Broker plays the broker of a recording to clients that connect.
type Broker struct {
	opt     Options
	scripts []*script
	began   time.Time

	mu     sync.Mutex
	played map[*script]int
	res    Result
}

// NewBroker makes a broker of a recording.
func NewBroker(rec *Recording, o Options) (*Broker, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	began := time.Now()
	s := &Broker{opt: o.withDefaults(), scripts: scriptsOf(rec), began: began, played: map[*script]int{}}
	s.res.Now = &Recording{Header: Header{Format: format, Program: "iotctl proxy replay", Began: began.UTC()}}
	return s, nil
}

// Result is what has happened so far, once all of Serve have returned.
func (b *Broker) Result() *Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.res.finish(b.began)
	return &b.res
}

// Left is how many sessions have not been played as often as they are to be.
func (b *Broker) Left() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, sc := range b.scripts {
		if b.played[sc] < b.opt.Loops*b.opt.Copies {
			n++
		}
	}
	return n
}

// ErrNoSession is why a client is refused: no session of its identifier is left.
var ErrNoSession = errors.New("no session of that client is left in the recording")

// Serve plays to one client, and closes the connection.
func (b *Broker) Serve(ctx context.Context, conn net.Conn) error {
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(b.opt.Patience))
	first, err := readFrame(conn)
	if err != nil {
		return err
	}
	packet, first, err := clone(first, mqtt.V311, proxy.ToServer)
	c, ok := packet.(mqtt.Connect)
	if !ok {
		return errors.Join(errors.New("a client does not begin with CONNECT"), err)
	}
	sc, n := b.choose(c.ClientID)
	if sc == nil {
		if no, err := (mqtt.Connack{Code: mqtt.ClientIdentifierNotValid}).Append(nil, c.Version); err == nil {
			_, _ = conn.Write(no)
		}
		return fmt.Errorf("client %q: %w", c.ClientID, ErrNoSession)
	}
	_ = conn.SetReadDeadline(time.Time{})
	p := newPlayer(sc, proxy.ToClient, conn, &b.opt)
	p.version, p.began, p.start, p.base = c.Version, b.began, time.Now(), sc.Began
	p.live.ClientID, p.live.Version, p.live.Copy, p.live.Began = c.ClientID, c.Version, n, time.Since(b.began)
	if err = p.receive(first); err == nil {
		err = p.run(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.res.add(p, err)
	return nil
}

// choose takes the next session of a client, or the copy of one by the template.
func (b *Broker) choose(client string) (*script, int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for loop := 1; loop <= b.opt.Loops; loop++ {
		for _, sc := range b.scripts {
			for n := 1; n <= b.opt.Copies; n++ {
				if b.played[sc] < b.opt.Loops*b.opt.Copies && b.opt.clientID(sc.ClientID, n, loop) == client {
					b.played[sc]++
					return sc, n
				}
			}
		}
	}
	return nil, 0
}

// readFrame reads one packet, and no byte more.
func readFrame(conn net.Conn) ([]byte, error) {
	var b []byte
	one := make([]byte, 1)
	for {
		if _, err := conn.Read(one); err != nil {
			return nil, err
		}
		b = append(b, one[0])
		_, _, n, err := mqtt.Frame(b, proxy.DefaultConnectBytes)
		switch {
		case err == nil:
			return b, nil
		case !errors.Is(err, mqtt.ErrShort):
			return nil, err
		case n > 0:
			rest := make([]byte, n-len(b))
			for at := 0; at < len(rest); {
				k, err := conn.Read(rest[at:])
				at += k
				if err != nil && at < len(rest) {
					return nil, err
				}
			}
			return append(b, rest...), nil
		}
	}
}
