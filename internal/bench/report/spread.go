package report

import (
	"math"
	"slices"
	"sync"

	"github.com/iotctl/iotctl/internal/bench"
)

// spread is a histogram of which only the buckets in use are kept, in
// ascending order: thousands of them fit where one dense histogram would.
type spread []cell

type cell struct {
	bucket int32
	count  int64
}

// scale has the greatest latency, in nanoseconds, of each bucket.
type scale []int64

func newScale() scale {
	h := bench.NewHistogram()
	h.Record(math.MaxInt64)
	var s scale
	for _, bar := range h.Distribution() {
		s = append(s, bar.To)
	}
	return s
}

// bucketScale is what all recorded histograms have.
var bucketScale = sync.OnceValue(newScale)

func newSpread(h *bench.Histogram) spread {
	var s spread
	for i, n := range h.Export().Counts[:len(bucketScale())] {
		if n > 0 {
			s = append(s, cell{int32(i), n})
		}
	}
	return s
}

// histogram is the same, in the open again.
func (s spread) histogram() *bench.Histogram {
	h := bench.NewHistogram()
	for _, c := range s {
		_ = h.RecordValues(bucketScale()[c.bucket], c.count) // no value is out of bounds
	}
	return h
}

func (s spread) total() int64 {
	var n int64
	for _, c := range s {
		n += c.count
	}
	return n
}

// merge returns the sum of two.
func (s spread) merge(o spread) spread {
	out := make(spread, 0, max(len(s), len(o)))
	for len(s) > 0 && len(o) > 0 {
		switch a, b := s[0], o[0]; {
		case a.bucket < b.bucket:
			out, s = append(out, a), s[1:]
		case a.bucket > b.bucket:
			out, o = append(out, b), o[1:]
		default:
			out, s, o = append(out, cell{a.bucket, a.count + b.count}), s[1:], o[1:]
		}
	}
	return slices.Clip(append(append(out, s...), o...))
}

// quantiles are the latencies in nanoseconds that the shares qs, ascending, of
// all do not exceed.
func (s spread) quantiles(qs ...float64) []int64 {
	out := make([]int64, len(qs))
	total := s.total()
	seen, at := int64(0), 0
	for i, q := range qs {
		for at < len(s) && seen < rank(q, total) {
			seen += s[at].count
			at++
		}
		if at > 0 {
			out[i] = bucketScale()[s[at-1].bucket]
		}
	}
	return out
}

// rank is which of so many latencies, from 1, stands for a quantile: the one
// that bench.Histogram takes, so that all formats say the same.
func rank(q float64, total int64) int64 {
	return int64(min(max(q*100/100*float64(total)+.5, 1), float64(total)))
}
