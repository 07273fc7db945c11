package transport

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Rate is an amount per time, in messages, bytes or connections. Count is also
// the burst. The zero value is no limit.
type Rate struct {
	Count int64
	Per   time.Duration
}

// ParseRate reads "100/10s", "100KB/10s" or "1000" (per second). KB and MB are
// 1024 and 1024² as in EMQX. "" and "0" are no limit.
func ParseRate(s string) (Rate, error) {
	amount, per, has := strings.Cut(strings.TrimSpace(s), "/")
	r := Rate{Per: time.Second}
	if amount = strings.TrimSpace(amount); amount == "" && !has {
		return Rate{}, nil
	}
	unit := int64(1)
	upper := strings.ToUpper(amount)
	for _, u := range []struct {
		name string
		size int64
	}{{"KB", 1 << 10}, {"MB", 1 << 20}, {"GB", 1 << 30}, {"B", 1}} {
		if strings.HasSuffix(upper, u.name) {
			amount, unit = strings.TrimSpace(amount[:len(amount)-len(u.name)]), u.size
			break
		}
	}
	n, err := strconv.ParseInt(amount, 10, 32)
	if err != nil || n < 0 {
		return Rate{}, fmt.Errorf("parse rate %q: want an amount and a time, as in 100/10s or 100KB/10s", s)
	}
	if r.Count = n * unit; r.Count == 0 {
		return Rate{}, nil
	}
	if !has {
		return r, nil
	}
	per = strings.TrimSpace(per)
	if per != "" && (per[0] < '0' || per[0] > '9') {
		per = "1" + per // "100/s"
	}
	if r.Per, err = time.ParseDuration(per); err != nil || r.Per <= 0 {
		return Rate{}, fmt.Errorf("parse rate %q: the time after the slash is something like 10s or 1m", s)
	}
	return r, nil
}

// UnmarshalText makes Rate usable in configuration files.
func (r *Rate) UnmarshalText(b []byte) (err error) {
	*r, err = ParseRate(string(b))
	return err
}

// String is what ParseRate reads.
func (r Rate) String() string {
	if r.Count == 0 {
		return "0"
	}
	return strconv.FormatInt(r.Count, 10) + "/" + r.Per.String()
}

// Bucket is a token bucket that starts full and may go into debt: what has
// been read already is charged afterwards, and the debt is waited off. It is
// safe for concurrent use.
type Bucket struct {
	mu     sync.Mutex
	rate   Rate
	tokens float64
	at     time.Time
}

// NewBucket makes a full bucket; nil when r is no limit.
func NewBucket(r Rate, now time.Time) *Bucket {
	if r.Count <= 0 || r.Per <= 0 {
		return nil
	}
	return &Bucket{rate: r, tokens: float64(r.Count), at: now}
}

// Charge takes n tokens, going into debt when there are fewer.
func (b *Bucket) Charge(now time.Time, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(now)
	b.tokens -= float64(n)
}

// Allow takes n tokens if there are that many.
func (b *Bucket) Allow(now time.Time, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(now)
	if b.tokens < float64(n) {
		return false
	}
	b.tokens -= float64(n)
	return true
}

// Wait is the time until at least one token is there; 0 when one is.
func (b *Bucket) Wait(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(now)
	if b.tokens >= 1 {
		return 0
	}
	perToken := float64(b.rate.Per) / float64(b.rate.Count)
	return max(time.Duration((1-b.tokens)*perToken), time.Nanosecond)
}

func (b *Bucket) refill(now time.Time) {
	if d := now.Sub(b.at); d > 0 {
		b.tokens = min(float64(b.rate.Count), b.tokens+float64(b.rate.Count)*float64(d)/float64(b.rate.Per))
	}
	b.at = now
}

// pause holds reads back while a rate limit is exceeded. Time spent waiting
// here does not count against the read deadline, or a keep-alive deadline would
// close a client for our own slowness; a deadline that is set while a read
// waits does count, because that is how others interrupt reads.
type pause struct {
	bytes, messages *Bucket
	shift           func(time.Time) error // sets the deadline of the storeys below
	stop            chan struct{}
	wake            chan struct{} // buffered: a deadline was set

	mu       sync.Mutex
	deadline time.Time
	set      uint64 // counts calls of setDeadline
	stopped  bool   // reads are not held back any more
}

func newPause(bytes, messages Rate, shift func(time.Time) error) *pause {
	now := time.Now()
	b, m := NewBucket(bytes, now), NewBucket(messages, now)
	if b == nil && m == nil {
		return nil
	}
	return &pause{bytes: b, messages: m, shift: shift, stop: make(chan struct{}), wake: make(chan struct{}, 1)}
}

func (p *pause) bytesRead(n int) {
	if p.bytes != nil && n > 0 {
		p.bytes.Charge(time.Now(), n)
	}
}

func (p *pause) messagesRead(n int) {
	if p.messages != nil && n > 0 {
		p.messages.Charge(time.Now(), n)
	}
}

func (p *pause) due(now time.Time) time.Duration {
	var d time.Duration
	if p.bytes != nil {
		d = p.bytes.Wait(now)
	}
	if p.messages != nil {
		d = max(d, p.messages.Wait(now))
	}
	return d
}

func (p *pause) wait() error {
	begin := time.Now()
	d := p.due(begin)
	if d == 0 {
		return nil
	}
	p.mu.Lock()
	before, deadline, stopped := p.set, p.deadline, p.stopped
	p.mu.Unlock()
	if stopped {
		return nil
	}
	if !deadline.IsZero() && !begin.Before(deadline) {
		return os.ErrDeadlineExceeded
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-p.stop:
			return nil // if the connection is closed, the read that follows says so
		case <-p.wake:
		case <-timer.C:
		}
		again, err := p.look(before, begin)
		if again == 0 || err != nil {
			return err
		}
		timer.Reset(again)
	}
}

// look says when to look again at the pause that began at begin, when the
// deadline had been set before times; 0: it is over, and the deadline has moved
// by its length.
func (p *pause) look(before uint64, begin time.Time) (again time.Duration, err error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := p.set != before && !p.deadline.IsZero()
	if counts && !now.Before(p.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	if again = p.due(now); again > 0 {
		if counts {
			again = min(again, p.deadline.Sub(now))
		}
		return again, nil
	}
	if p.set != before || p.deadline.IsZero() {
		return 0, nil
	}
	p.deadline = p.deadline.Add(now.Sub(begin))
	return 0, p.shift(p.deadline)
}

func (p *pause) setDeadline(t time.Time) {
	p.mu.Lock()
	p.deadline = t
	p.set++
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// lift ends the pause of the moment and all to come.
func (p *pause) lift() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stopped {
		p.stopped = true
		close(p.stop)
	}
}
