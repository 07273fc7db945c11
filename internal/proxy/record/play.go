package record

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

// player plays one side of one session on one connection.
type player struct {
	sc      *script
	own     proxy.Direction
	conn    net.Conn
	version mqtt.Version
	opt     *Options
	start   time.Time     // when the recording begins anew
	base    time.Duration // what of the recording that is
	gate    *gate         // nil: no order between sessions
	turns   []*turn       // by step, of own ones
	client  string        // identifier to connect with

	mu      sync.Mutex
	changed chan struct{}    // closed when something arrives
	arrived []int            // by step of the peer: the packet of live, -1 if it has not come
	ids     []uint16         // by step of the peer: the identifier that it came with
	from    []int            // by packet of live: the step, -1 for none
	thread  *thread          // of live
	topics  [2]resolver      // of live
	live    *Session         // what happens now
	began   time.Time        // of what is recorded of it
	past    int              // no step before it is missing
	said    map[saying]int   // how many of script.says have arrived
	ended   error            // of the reader
	gaveUp  map[int]struct{} // steps that nobody waits for any more
}

func newPlayer(sc *script, own proxy.Direction, conn net.Conn, opt *Options) *player {
	p := &player{
		sc: sc, own: own, conn: conn, version: sc.Version, opt: opt, client: sc.ClientID, changed: make(chan struct{}),
		thread: newThread(), topics: [2]resolver{{}, {}}, gaveUp: map[int]struct{}{}, said: map[saying]int{},
		arrived: slices.Repeat([]int{-1}, len(sc.steps)), ids: make([]uint16, len(sc.steps)),
		live: &Session{ClientID: sc.ClientID, Username: sc.Username, Version: sc.Version, Of: sc.Number},
	}
	return p
}

// run plays to the end, and returns when the connection is closed. An error is why it
// could not go on.
func (p *player) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = p.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.read()
	}()
	err := p.send(ctx)
	p.live.End = "closed"
	if err == nil {
		p.linger(ctx)
	} else {
		p.live.End = "closed by the " + [...]string{proxy.ToServer: "broker", proxy.ToClient: "client"}[p.own]
	}
	_ = p.conn.Close()
	<-read
	p.live.Ended = time.Since(p.began)
	for _, t := range p.turns {
		if t != nil {
			t.send()
			t.settle()
		}
	}
	return err
}

// send sends each own step when everything before it has arrived.
func (p *player) send(ctx context.Context) error {
	for i := range p.sc.steps {
		st := &p.sc.steps[i]
		if st.Direction != p.own || st.p == nil {
			continue
		}
		if err := p.due(ctx, st.At); err != nil {
			return err
		}
		if err := p.before(ctx, i); err != nil {
			return err
		}
		if p.gate != nil {
			if err := p.gate.wait(ctx, p.turns[i]); err != nil {
				return err
			}
		}
		if err := p.sendStep(i); err != nil {
			return err
		}
		if p.gate != nil {
			p.turns[i].send()
		}
	}
	return nil
}

// due waits for a moment of the recording.
func (p *player) due(ctx context.Context, at time.Duration) error {
	if math.IsInf(p.opt.Speed, 1) {
		return ctx.Err()
	}
	wait := time.Until(p.start.Add(time.Duration(float64(at-p.base) / p.opt.Speed)))
	if wait <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// before waits until what the peer had sent before step i is there, or the patience
// is at its end.
func (p *player) before(ctx context.Context, i int) error {
	late := time.NewTimer(p.opt.Patience)
	defer late.Stop()
	for {
		p.mu.Lock()
		missing, ended, changed := p.missing(i), p.ended, p.changed
		p.mu.Unlock()
		if len(missing) == 0 {
			return nil
		}
		if ended != nil {
			return ended
		}
		select {
		case <-changed:
		case <-late.C:
			p.mu.Lock()
			for _, m := range missing {
				p.gaveUp[m] = struct{}{}
			}
			p.mu.Unlock()
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// missing lists the steps of the peer before i that have not arrived and may still.
func (p *player) missing(i int) (all []int) {
	for j := p.past; j < i; j++ {
		st := &p.sc.steps[j]
		_, gaveUp := p.gaveUp[j]
		if st.Direction != p.own && p.arrived[j] < 0 && st.p != nil && !gaveUp {
			all = append(all, j)
		} else if len(all) == 0 {
			p.past = j + 1
		}
	}
	return all
}

// sendStep sends a step of the own side.
func (p *player) sendStep(i int) error {
	st := &p.sc.steps[i]
	packet, b := st.p, st.Bytes
	if c, ok := packet.(mqtt.Connect); ok {
		c.ClientID = p.client
		if st.Hidden && p.opt.Password != nil {
			c.Password, c.HasPassword = p.opt.Password, true
		}
		packet, b = c, nil
	}
	p.mu.Lock()
	if r := st.request; r >= 0 {
		if p.arrived[r] < 0 {
			p.mu.Unlock()
			return nil // what it answers has not come
		}
		if id := p.ids[r]; id != st.id {
			packet, b = withID(packet, id), nil
		}
	}
	p.mu.Unlock()
	if b == nil || p.version != p.sc.Version {
		var err error
		if b, err = packet.Append(nil, p.version); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return p.write(b, packet, i)
}

// write sends a packet and takes note of it.
func (p *player) write(b []byte, packet mqtt.Packet, i int) error {
	p.mu.Lock()
	p.note(p.own, b, packet, i)
	p.mu.Unlock()
	_, err := p.conn.Write(b)
	return err
}

// note writes down a packet of now, and returns which one it answers. The caller
// holds the mutex.
func (p *player) note(d proxy.Direction, b []byte, packet mqtt.Packet, i int) (request int) {
	n := len(p.live.Packets)
	kept, hidden := redact(b, p.version)
	p.live.Packets = append(p.live.Packets, Packet{At: time.Since(p.began), Direction: d, Bytes: slices.Clone(kept), Hidden: hidden})
	p.from = append(p.from, i)
	return p.thread.take(d, p.topics[d].resolve(packet), n)
}

// read takes what the peer sends until it ends.
func (p *player) read() {
	var buf []byte
	room := make([]byte, 64<<10)
	for {
		n, err := p.conn.Read(room)
		buf = append(buf, room[:n]...)
		for err == nil {
			_, _, size, e := mqtt.Frame(buf, proxy.DefaultPacketBytes)
			if errors.Is(e, mqtt.ErrShort) {
				break
			}
			if e == nil {
				e = p.receive(buf[:size])
			}
			if err = e; err == nil {
				buf = buf[size:]
			}
		}
		if err != nil {
			p.mu.Lock()
			p.ended = err
			p.wake()
			p.mu.Unlock()
			return
		}
	}
}

// wake tells who waits that something has changed. The caller holds the mutex.
func (p *player) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// receive finds the step that a packet of the peer is, and answers it if there is
// none.
func (p *player) receive(b []byte) error {
	d := p.own.Back()
	packet, b, err := clone(b, p.version, d)
	if packet == nil {
		return err
	}
	p.mu.Lock()
	request := p.note(d, b, packet, -1)
	resolved := p.topics[d].resolve(packet)
	step, known := p.find(request, resolved)
	n := len(p.live.Packets) - 1
	if step >= 0 {
		p.from[n] = step
		p.arrived[step], p.ids[step] = n, idOf(packet)
		if r := p.sc.steps[step].request; r >= 0 && p.gate != nil && p.turns[r] != nil {
			p.turns[r].settle()
		}
	}
	p.wake()
	p.mu.Unlock()
	if step >= 0 || known {
		return nil
	}
	answer := proxy.Success(packet)
	if answer == nil {
		return nil
	}
	out, err := answer.Append(nil, p.version)
	if err != nil {
		return err
	}
	return p.write(out, answer, -1)
}

// find finds the step of the peer that a packet is: by what it answers, or else by
// what it says; -1 for none. known says that it answers a step that had fewer
// answers in the recording.
func (p *player) find(request int, packet mqtt.Packet) (step int, known bool) {
	if request >= 0 {
		r := p.from[request]
		if r < 0 {
			return -1, false
		}
		for _, a := range p.sc.steps[r].answers {
			if p.arrived[a] < 0 {
				return a, true
			}
		}
		return -1, true
	}
	says := saying{p.own.Back(), meaning(packet)}
	list := p.sc.says[says]
	if n := p.said[says]; n < len(list) {
		p.said[says] = n + 1
		return list[n], true
	}
	return -1, false
}

// linger waits for what the peer had sent last, and then for its end: a broker ends
// after DISCONNECT, and answers before it what the recording has no answers to.
func (p *player) linger(ctx context.Context) {
	_ = p.before(ctx, len(p.sc.steps)) // what is missing is for the comparison to tell
	if p.sc.End == "" || p.own == proxy.ToClient && p.leaves() {
		return
	}
	if c, ok := p.conn.(interface{ CloseWrite() error }); ok && p.own == proxy.ToServer && !p.leaves() {
		_ = c.CloseWrite() // as a client that goes without a word
	}
	p.awaitEnd(ctx)
}

// leaves tells whether the client has said DISCONNECT.
func (p *player) leaves() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range slices.Backward(p.live.Packets) {
		if q.Direction == proxy.ToServer {
			return mqtt.Type(q.Bytes[0]>>4) == mqtt.TypeDisconnect
		}
	}
	return false
}

// awaitEnd waits for the peer to close.
func (p *player) awaitEnd(ctx context.Context) {
	late := time.NewTimer(p.opt.Patience)
	defer late.Stop()
	for {
		p.mu.Lock()
		ended, changed := p.ended, p.changed
		p.mu.Unlock()
		if ended != nil {
			return
		}
		select {
		case <-changed:
		case <-late.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
