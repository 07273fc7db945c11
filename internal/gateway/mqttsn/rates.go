package mqttsn

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/transport"
)

// rates bound what strangers can have the gateway do.
type rates struct {
	mu       sync.Mutex
	connects *transport.Bucket // CONNECTs of everybody
	answers  *transport.Bucket // to strangers, all of them
	lines    *transport.Bucket // of the log, about strangers
	notes    *transport.Bucket // of the log, about QoS -1 that is off
	refusals *transport.Bucket // of the log, about what clients may not do
	sources  sources
}

// Rates of networks and of everybody, as multiples of UnknownReplyRate.
const (
	networkShare = 10
	globalShare  = 1000
)

// minusOneNotes is how many lines say that QoS -1 is off.
var minusOneNotes = transport.Rate{Count: 1, Per: time.Minute}

// strangerLines is how many lines strangers may have in the log.
var strangerLines = transport.Rate{Count: 10, Per: time.Second}

// refusalLines is how many lines the requests may have that clients are refused.
var refusalLines = transport.Rate{Count: 10, Per: 10 * time.Second}

func (r *rates) init(t *terms, now time.Time) {
	r.sources.seed = maphash.MakeSeed()
	r.lines = transport.NewBucket(strangerLines, now)
	r.notes = transport.NewBucket(minusOneNotes, now)
	r.refusals = transport.NewBucket(refusalLines, now)
	r.set(t, now)
}

func (r *rates) set(t *terms, now time.Time) {
	perSecond := func(n int) *transport.Bucket {
		return transport.NewBucket(transport.Rate{Count: int64(n), Per: time.Second}, now)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.connects, r.answers = perSecond(t.ConnectRate), perSecond(t.UnknownReplyRate*globalShare)
	r.sources.rate = float64(t.UnknownReplyRate)
}

// connect reports whether another CONNECT may be worked off.
func (r *rates) connect(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.connects.Allow(now, 1)
}

// log reports whether the log may tell of another stranger.
func (r *rates) log(now time.Time) bool { return r.lines.Allow(now, 1) }

// note reports whether the log may tell again that QoS -1 is off.
func (r *rates) note(now time.Time) bool { return r.notes.Allow(now, 1) }

// refusal reports whether the log may tell of another request that was refused.
func (r *rates) refusal(now time.Time) bool { return r.refusals.Allow(now, 1) }

// answer reports whether a stranger at a may be answered.
func (r *rates) answer(a netip.Addr, now time.Time) bool {
	bits := 24
	if a = a.Unmap(); a.Is6() {
		bits = 56
	}
	network, _ := a.Prefix(bits) // the zero Addr has the zero Prefix
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.sources
	return s.allow(maphash.Comparable(s.seed, a), 1, now) &&
		s.allow(maphash.Comparable(s.seed, network), networkShare, now) &&
		r.answers.Allow(now, 1)
}

// sources is a token bucket per source in a fixed space: those that meet in one
// place share its bucket.
type sources struct {
	seed    maphash.Seed
	rate    float64 // per second, and the burst
	buckets [8192]struct {
		at     time.Time
		tokens float64
	}
}

// allow takes a token of the source with that hash, whose rate is share times as
// high as that of one address.
func (s *sources) allow(hash uint64, share float64, now time.Time) bool {
	b := &s.buckets[hash%uint64(len(s.buckets))]
	most := s.rate * share
	if d := now.Sub(b.at).Seconds(); b.at.IsZero() || d >= 1 { // a second fills it
		b.tokens = most
	} else if d > 0 {
		b.tokens = min(most, b.tokens+most*d)
	}
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
