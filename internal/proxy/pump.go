package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

// pump moves one direction of a session on a goroutine of its own.
type pump struct {
	s   *session
	dir Direction
	src transport.Conn // nil: the broker, once it is there

	walk    walker
	partial []byte // of a packet that is not complete, where packets are needed whole
	want    int    // its size, 0 for unknown

	lastRead atomic.Int64 // Unix ns
	deadline time.Time    // that is set on src
	resting  bool         // nothing has come since its goroutine has given way
	plain    bool         // the source is a socket, which can be waited for
	gate     gate
}

func newPump(s *session, d Direction) *pump {
	p := &pump{s: s, dir: d}
	p.lastRead.Store(time.Now().UnixNano())
	p.walk.dir, p.walk.version, p.walk.limit = d, s.version, s.e.cfg.PacketBytes
	if d == ToServer {
		p.src = s.client
	}
	return p
}

// from is where the pump reads.
func (p *pump) from() transport.Conn {
	if p.src == nil {
		p.src = p.s.server
	}
	return p.src
}

// run moves what comes until the source ends, which is no error, or is quiet, which is
// errRest. after is called when a read has been worked off.
func (p *pump) run(ctx context.Context, after func()) error {
	for {
		err := p.once(ctx)
		after()
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return errInterrupted
		case errors.Is(err, io.EOF):
			return p.half()
		default:
			return err
		}
	}
}

// half passes the end of one direction on.
func (p *pump) half() error {
	if len(p.partial) > 0 {
		if err := p.s.state.sinks[p.dir].write(p.partial); err != nil { // as it would have been without a proxy
			return err
		}
	}
	sink := &p.s.state.sinks[p.dir]
	if sink.conn() == nil {
		return nil
	}
	st := p.s.state
	st.half[p.dir].Store(time.Now().UnixNano())
	_ = sink.conn().SetReadDeadline(time.Now().Add(p.s.e.cfg.HalfClosed))
	if st.ctx.Err() != nil { // that was to be interrupted, and must not wait now
		p.s.interrupt(st)
	}
	if err := sink.closeWrite(); err != nil {
		return &End{Why: "network", Err: err}
	}
	return nil
}

// once reads once and passes on what that has brought.
func (p *pump) once(ctx context.Context) error {
	p.arm()
	if ctx.Err() != nil { // before, or the deadline that interrupts is set after ours
		return errInterrupted
	}
	buf, n, err := p.from().ReadWith(p.s.e.borrow)
	defer p.s.e.release(buf)
	if err != nil {
		return p.readError(ctx, err)
	}
	p.lastRead.Store(time.Now().UnixNano())
	p.resting = false
	if err := p.gate.wait(ctx); err != nil {
		return err
	}
	return p.step(ctx, buf[:n])
}

// readError says what a failed read means; nil to read on.
func (p *pump) readError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case isTimeout(err):
		return p.timedOut()
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	e := &End{Why: "network", Err: fmt.Errorf("%s: %w", p.source(), err)}
	if p.s.e.cfg.Transparent && errors.Is(err, syscall.ECONNRESET) {
		e.Manner = Reset
	}
	return e
}

func (p *pump) source() string {
	if p.dir == ToServer {
		return "client"
	}
	return "broker"
}

// limit is how long the source may be silent; 0 for any time.
func (p *pump) limit() time.Duration {
	switch {
	case p.s.state.half[p.dir.Back()].Load() != 0:
		return p.s.e.cfg.HalfClosed
	case p.dir == ToServer:
		return p.s.idle
	}
	return 0
}

// restAfter is how long a source is silent when its goroutine gives way to a new one,
// whose stack is the smallest there is.
const restAfter = 3 * time.Second

// arm moves the read deadline, but not for every read: it may lie up to an eighth of
// its span too early, and timedOut looks again.
func (p *pump) arm() {
	limit := p.limit()
	if p.plain && !p.resting && (limit == 0 || limit > restAfter) {
		limit = restAfter
	}
	if limit == 0 {
		if !p.deadline.IsZero() {
			p.deadline = time.Time{}
			_ = p.from().SetReadDeadline(time.Time{})
		}
		return
	}
	now := time.Now()
	if at := now.Add(limit); at.Sub(p.deadline) > limit/8 || p.deadline.After(at) {
		p.deadline = at
		_ = p.from().SetReadDeadline(at)
	}
}

// timedOut tells whether the source has been silent for too long.
func (p *pump) timedOut() error {
	limit, silent := p.limit(), time.Since(time.Unix(0, p.lastRead.Load()))
	half := p.s.state.half[p.dir.Back()].Load()
	switch {
	case half != 0:
		silent = min(silent, time.Since(time.Unix(0, half)))
	case p.s.e.cfg.Transparent:
		silent = min(silent, time.Since(time.Unix(0, p.s.state.pumps[p.dir.Back()].lastRead.Load())))
	}
	p.deadline = time.Time{} // an old one
	switch {
	case limit > 0 && silent >= limit:
		return p.silent(half != 0, limit)
	case p.plain && !p.resting:
		p.resting = true
		p.arm()
		return errRest
	}
	_ = p.from().SetReadDeadline(time.Time{})
	return nil
}

// errRest: the direction goes on waiting on another goroutine.
var errRest = errors.New("resting")

// silent is the end of a source that has been silent for too long.
func (p *pump) silent(half bool, limit time.Duration) error {
	switch {
	case half:
		return &End{Why: "half-closed", Err: fmt.Errorf("the other side has ended, and the %s says nothing more", p.source())}
	case p.s.e.cfg.Transparent:
		return &End{Why: "idle", Err: fmt.Errorf("nothing came for %s", limit)}
	}
	return &End{Why: "keepalive", Err: fmt.Errorf("nothing came from the client for %s", limit), Client: mqtt.KeepAliveTimeout}
}

// step passes on data.
func (p *pump) step(ctx context.Context, data []byte) error {
	s := p.s
	if s.e.cfg.Transparent {
		s.e.m.bytes[p.dir].Add(uint64(len(data)))
		return s.state.sinks[p.dir].write(data)
	}
	if len(s.state.stages) > 0 || !s.answered {
		return p.frames(ctx, data)
	}
	if len(p.partial) > 0 {
		data = append(p.partial, data...)
		p.partial, p.want = nil, 0
	}
	early, n, err := p.walk.walk(data, p.seen)
	if len(early) > 0 {
		if werr := s.state.sinks[p.dir].write(early); werr != nil {
			return werr
		}
	}
	if n > 0 {
		if werr := s.state.sinks[p.dir].write(data[:n]); werr != nil {
			return werr
		}
	}
	return err
}

// seen notes a packet that passes without stages.
func (p *pump) seen(h mqtt.Header, size int, body []byte) {
	if h.Type == mqtt.TypeDisconnect && p.dir == ToServer {
		p.s.left.Store(true)
	}
	p.s.traffic.passed(p.dir, h, size, body)
}

// frames hands each whole packet of data to the stages.
func (p *pump) frames(ctx context.Context, data []byte) error {
	s := p.s
	if len(p.partial) > 0 {
		p.partial = append(p.partial, data...)
		data = p.partial
	}
	done := 0
	s.state.sinks[p.dir].begin()
	if len(data) >= p.want {
		p.want = 0
		for done < len(data) {
			h, _, n, err := mqtt.Frame(data[done:], s.e.cfg.PacketBytes)
			if errors.Is(err, mqtt.ErrShort) {
				p.want = n
				break
			}
			if err == nil {
				err = s.arrived(p.dir, h, data[done:done+n])
			}
			if err == nil {
				err = s.pass(ctx, Frame{Direction: p.dir, Header: h, Bytes: data[done : done+n : done+n]}, p.dir.entry(len(s.state.stages)))
			}
			if err != nil {
				return errors.Join(err, p.flush())
			}
			done += n
		}
	}
	p.keep(data[done:])
	return p.flush()
}

// keep copies what is left of an incomplete packet out of the read buffer.
func (p *pump) keep(rest []byte) {
	switch {
	case len(rest) == 0:
		p.partial, p.want = nil, 0
	case len(p.partial) > 0: // rest is its end
		p.partial = p.partial[:copy(p.partial, rest)]
	default:
		p.partial = append([]byte(nil), rest...)
	}
}

// entry is the place of the first stage of a direction among n.
func (d Direction) entry(n int) int {
	if d == ToServer {
		return 0
	}
	return n - 1
}

// flush writes what the pump has gathered, for both directions.
func (p *pump) flush() error {
	st := p.s.state
	return errors.Join(st.sinks[p.dir].finish(), st.sinks[p.dir.Back()].flushOther())
}

// gate holds a direction up.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // closed when it opens; nil: it is open
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case shut && g.shut == nil:
		g.shut = make(chan struct{})
	case !shut && g.shut != nil:
		close(g.shut)
		g.shut = nil
	}
}

func (g *gate) wait(ctx context.Context) error {
	for {
		g.mu.Lock()
		c := g.shut
		g.mu.Unlock()
		if c == nil {
			return nil
		}
		select {
		case <-c:
		case <-ctx.Done():
			return errInterrupted
		}
	}
}
