package report

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
)

// Confidence. leastLevel is what a verdict needs.
const (
	wantedLevel = .95
	leastLevel  = .899 // three runs of each side give exactly 90 %
	bootLevel   = .95
	bootDraws   = 1000
)

// interval is the least confidence not below the wanted one that the
// Mann–Whitney distribution of n and m values gives, or the greatest that there
// is, and how many of the sorted pairs lie outside at each end.
func interval(n, m int) (level float64, outside int) {
	tails := mannWhitney(n, m)
	for outside+1 < len(tails) && 1-2*tails[outside+1] >= wantedLevel {
		outside++
	}
	return max(1-2*tails[outside], 0), outside
}

// maxRuns bounds the exact distribution; beyond it, the first so many count.
const maxRuns = 50

// mannWhitney is P(U <= k) for each k, of n and m values without ties, under
// the hypothesis that nothing differs.
func mannWhitney(n, m int) []float64 {
	// ways[j][u]: orders of i of one and j of the other with the statistic u.
	ways := make([][]float64, m+1)
	for j := range ways {
		ways[j] = make([]float64, n*m+1)
		ways[j][0] = 1
	}
	for i := 1; i <= n; i++ {
		for j := 1; j <= m; j++ {
			// The greatest value is one of the i, and has j of the other below
			// it, or is one of the j.
			next := make([]float64, n*m+1)
			for u := range next {
				if u >= j {
					next[u] = ways[j][u-j]
				}
				next[u] += ways[j-1][u]
			}
			ways[j] = next
		}
	}
	total, sum := 0.0, 0.0
	for _, w := range ways[m] {
		total += w
	}
	tails := make([]float64, n*m+1)
	for u, w := range ways[m] {
		sum += w
		tails[u] = sum / total
	}
	return tails
}

// ratioInterval is the median of all ratios of a value of b to one of a, which
// are above zero, and the interval that goes with it.
func ratioInterval(a, b []float64) (mid, low, high, level float64) {
	a, b = a[:min(len(a), maxRuns)], b[:min(len(b), maxRuns)]
	var ratios []float64
	for _, x := range a {
		for _, y := range b {
			ratios = append(ratios, y/x)
		}
	}
	slices.Sort(ratios)
	level, outside := interval(len(a), len(b))
	return median(ratios), ratios[outside], ratios[len(ratios)-1-outside], level
}

// bootstrap draws from the intervals of two runs, in blocks of neighbours,
// since what disturbs one interval disturbs the next.
type bootstrap struct {
	a, b         []Interval
	drawA, drawB []*draw // the same for each figure
	sums         []int64
}

// newBootstrap returns nil where there are too few intervals.
func newBootstrap(a, b *Run) *bootstrap {
	s := &bootstrap{a: a.measured(), b: b.measured(), sums: make([]int64, len(bucketScale()))}
	if len(s.a) < fewestIntervals || len(s.b) < fewestIntervals {
		return nil
	}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same runs give the same report
	for range bootDraws {
		s.drawA = append(s.drawA, newDraw(s.a, random))
		s.drawB = append(s.drawB, newDraw(s.b, random))
	}
	return s
}

// draw is as many intervals as a run has, drawn with repetition.
type draw struct {
	of          []Interval
	weights     []int64 // how often each was drawn
	counters    bench.Counters
	seconds     float64
	self, watch time.Duration

	phase  string // of values
	values [5]float64
}

func newDraw(of []Interval, random *rand.Rand) *draw {
	d := &draw{of: of, weights: make([]int64, len(of))}
	block := max(1, int(math.Round(math.Cbrt(float64(len(of))))))
	for n := 0; n < len(of); {
		first := random.IntN(len(of))
		for k := 0; k < block && n < len(of); k++ {
			d.weights[(first+k)%len(of)]++
			n++
		}
	}
	for i := range of {
		for range d.weights[i] {
			d.counters.Add(&of[i].Counters)
			d.seconds += of[i].Duration.Seconds()
			d.self += of[i].Self.CPU
			if of[i].Watch != nil {
				d.watch += of[i].Watch.CPU
			}
		}
	}
	return d
}

// quantile is one of phaseStats, in nanoseconds. All of a phase are found at
// once, with sums, which has room for every bucket, as scratch.
func (d *draw) quantile(phase string, stat int, sums []int64) (float64, bool) {
	if d.phase != phase {
		d.phase = phase
		d.find(sums)
	}
	return d.values[stat], d.values[stat] > 0
}

func (d *draw) find(sums []int64) {
	clear(sums)
	total := int64(0)
	for i, w := range d.weights {
		if w == 0 {
			continue
		}
		for _, c := range d.of[i].spreads[d.phase] {
			sums[c.bucket] += w * c.count
			total += w * c.count
		}
	}
	d.values = [5]float64{}
	seen, bucket := int64(0), 0
	for k, stat := range phaseStats {
		for ; bucket < len(sums) && seen < rank(stat.q, total); bucket++ {
			seen += sums[bucket]
		}
		if total > 0 {
			d.values[k] = float64(bucketScale()[bucket-1])
		}
	}
}

// interval of the ratio of b to a.
func (s *bootstrap) interval(value func(d *draw, sums []int64) (float64, bool)) (low, high float64, ok bool) {
	var ratios []float64
	for i := range s.drawA {
		a, okA := value(s.drawA[i], s.sums)
		b, okB := value(s.drawB[i], s.sums)
		if !okA || !okB || a <= 0 {
			return 0, 0, false
		}
		ratios = append(ratios, b/a)
	}
	slices.Sort(ratios)
	tail := int((1 - bootLevel) / 2 * float64(len(ratios)))
	return ratios[tail], ratios[len(ratios)-1-tail], true
}
