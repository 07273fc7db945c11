package proxy

import (
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Pinger keeps a connection alive whose broker wants to hear more often from the
// client than the client knows, and keeps the answers to its own pings from the
// client. At most one of them is on its way.
type Pinger struct {
	stage Stage
	conn  *Conn

	mu     sync.Mutex
	every  time.Duration
	timer  *time.Timer
	last   time.Time // when something was sent to the broker
	ended  bool
	own    bool // a ping of ours is on its way
	before int  // pings of the client on their way, ahead of ours
	behind int  // and behind it, or all of them if there is none of ours
}

// NewPinger makes one that sends its pings from the place of stage.
func NewPinger(stage Stage, conn *Conn) *Pinger { return &Pinger{stage: stage, conn: conn} }

// Start begins to ping whenever nothing has been sent for half of keep.
func (p *Pinger) Start(keep time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || p.timer != nil {
		return
	}
	p.every, p.last = keep/2, time.Now()
	p.timer = time.AfterFunc(p.every, p.tick)
}

func (p *Pinger) tick() {
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return
	}
	now := time.Now()
	wait := p.last.Add(p.every).Sub(now)
	ping := wait <= 0 && !p.own
	if ping {
		p.own, p.before, p.behind, p.last = true, p.behind, 0, now
	}
	if wait <= 0 {
		wait = p.every
	}
	p.timer.Reset(wait)
	p.mu.Unlock()
	if !ping {
		return
	}
	_ = Send(func(f Frame) error { return p.conn.Inject(p.stage, f) }, ToServer, mqtt.V311, mqtt.Pingreq{})
}

// Stop ends the pings, for good.
func (p *Pinger) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.timer != nil {
		p.timer.Stop()
	}
}

// Sent says that something has been sent to the broker.
func (p *Pinger) Sent() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.last = time.Now()
	}
}

// Asked says that the client pings.
func (p *Pinger) Asked() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behind++
}

// Answered takes the broker's answer to the oldest ping and reports whether that was
// the client's.
func (p *Pinger) Answered() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.own && p.before > 0:
		p.before--
	case p.own:
		p.own = false
		return false
	case p.behind > 0:
		p.behind--
	}
	return true
}
