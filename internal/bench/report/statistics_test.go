package report

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/iotctl/iotctl/internal/bench"
)

// Histograms that are put away tightly say what they said before.
func TestSpreadsAgreeWithHistograms(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{1, 2, 7, 8, 100, 12345} {
		one, two := bench.NewHistogram(), bench.NewHistogram()
		for k := range n {
			d := int64(math.Exp(random.NormFloat64()*2) * 1e6)
			if k%3 == 0 {
				two.Record(d)
			} else {
				one.Record(d)
			}
		}
		s := newSpread(one).merge(newSpread(two))
		one.Add(two)
		qs := []float64{.1, .25, .5, .9, .99, .999, .9999, 1}
		got := s.quantiles(qs...)
		for i, q := range qs {
			if want := int64(one.Quantile(q)); got[i] != want {
				t.Errorf("quantile %v of %d: %d, want %d", q, n, got[i], want)
			}
		}
		if v := s.figures(); v.Count != int64(n) || v.Max != one.Max() || math.Abs(v.Mean-one.Mean()) > one.Mean()/1000 {
			t.Errorf("%+v, want a mean of %v", v, one.Mean())
		}
	}
}

// Critical values as tables of the test have them.
func TestMannWhitneyDistribution(t *testing.T) {
	for _, tt := range []struct {
		n, m, u int
		want    float64
	}{{3, 3, 0, 1. / 20}, {3, 3, 1, 2. / 20}, {3, 3, 4, 10. / 20}, {4, 4, 0, 1. / 70}, {4, 4, 1, 2. / 70}, {4, 4, 2, 4. / 70}, {5, 5, 2, 4. / 252}, {2, 4, 0, 1. / 15}, {3, 3, 9, 1}} {
		if got := mannWhitney(tt.n, tt.m)[tt.u]; math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("P(U <= %d) of %d and %d: %v, want %v", tt.u, tt.n, tt.m, got, tt.want)
		}
	}
	for _, tt := range []struct {
		n, m, outside int
		level         float64
	}{{2, 2, 0, 1 - 2./6}, {3, 3, 0, .9}, {4, 4, 0, 1 - 2./70}, {5, 5, 2, 1 - 8./252}} {
		if level, outside := interval(tt.n, tt.m); math.Abs(level-tt.level) > 1e-12 || outside != tt.outside {
			t.Errorf("%d and %d: %v, %d; want %v, %d", tt.n, tt.m, level, outside, tt.level, tt.outside)
		}
	}
}

// The intervals hold the truth as often as they say.
func TestIntervalsCover(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const trials = 2000
	held := 0
	for range trials {
		var a, b []float64
		for range 4 {
			a = append(a, math.Exp(random.NormFloat64()/5))
			b = append(b, 1.5*math.Exp(random.NormFloat64()/5))
		}
		if _, low, high, _ := ratioInterval(a, b); low <= 1.5 && 1.5 <= high {
			held++
		}
	}
	level, _ := interval(4, 4)
	if got := float64(held) / trials; math.Abs(got-level) > .015 {
		t.Errorf("%.1f %% of the intervals hold the truth, and %.1f %% should", 100*got, 100*level)
	}
}

// Few data give few claims.
func TestClaimsAreAsStrongAsTheData(t *testing.T) {
	side := func(n, seconds int, factor float64) []*Run {
		var runs []*Run
		for k := range n {
			runs = append(runs, read(t, "x", record(t, seconds, factor*(1+float64(k)/100), nil)))
		}
		return runs
	}
	row := func(c *Comparison, name string) Difference {
		for _, d := range c.Rows {
			if d.Name == name {
				return d
			}
		}
		t.Fatalf("no row %s", name)
		return Difference{}
	}
	for _, tt := range []struct {
		name               string
		a, b               []*Run
		method, p99, conns string
		level              float64
	}{
		{"short runs", side(1, 3, 1), side(1, 3, 2), None, Undecided, Undecided, 0},
		{"one run each", side(1, 12, 1), side(1, 12, 2), Bootstrap, Higher, Undecided, .95},
		{"the same", side(1, 12, 1), side(1, 12, 1), Bootstrap, NotSeen, Undecided, .95},
		{"two runs each", side(2, 3, 1), side(2, 3, 2), MannWhitney, Undecided, Undecided, 2. / 3},
		{"three runs each", side(3, 3, 2), side(3, 3, 1), MannWhitney, Lower, NotSeen, .9},
		{"three of the same", side(3, 3, 1), side(3, 3, 1), MannWhitney, NotSeen, NotSeen, .9},
	} {
		c := Compare(tt.a, tt.b)
		d := row(c, "e2e.p99")
		if c.Method != tt.method || d.Verdict != tt.p99 || math.Abs(d.Level-tt.level) > 1e-9 {
			t.Errorf("%s: %s, %+v", tt.name, c.Method, d)
		}
		if d := row(c, "connack.p50"); d.Verdict != tt.conns {
			t.Errorf("%s: %+v", tt.name, d)
		}
		for _, d := range c.Rows {
			if d.Name == "connack.p99" {
				t.Error("four latencies have a 99th percentile")
			}
		}
	}
}

func TestLimits(t *testing.T) {
	a, b := []*Run{read(t, "a", record(t, 12, 1, nil))}, []*Run{read(t, "b", record(t, 12, 1.2, func(records []any) {
		f := records[len(records)-1].(*bench.Final)
		f.Account.QoS[1].Lost, f.Account.QoS[2].Corrupted = 5, 1
	}))}
	for text, passed := range map[string]bool{
		"e2e.p99>+10%": true, "e2e.p99>10%": true, "e2e.p99>+30%": false, "e2e.p99<-10%": false, "rate<-1%": false, "broker.cpu>+5%": true,
		"loss>+100%": true, "corrupted>0%": true, "reordered>0%": false, "puback.p50>5%": true,
	} {
		l, err := ParseLimit(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		c := Compare(a, b)
		if c.Check([]Limit{l}); len(c.Failed) > 0 != passed {
			t.Errorf("%s: %v", text, c.Failed)
		}
	}
	for _, text := range []string{"", "e2e.p99", "e2e.p99>", "e2e.p99>5", "e2e.p99>5ms", "speed>5%"} {
		if _, err := ParseLimit(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}
