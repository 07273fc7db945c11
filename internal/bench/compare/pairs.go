package main

import "slices"

// pairs holds the results of runs in turns: theirs[i] and ours[i] were
// measured next to each other.
type pairs struct{ theirs, ours []float64 }

// ratio is the median over the pairs of ours through theirs.
func (p *pairs) ratio() float64 { return median(p.ratios()) }

// spread is the smallest and the largest ratio of a pair.
func (p *pairs) spread() (lo, hi float64) {
	r := p.ratios()
	return slices.Min(r), slices.Max(r)
}

func (p *pairs) ratios() []float64 {
	r := make([]float64, len(p.ours))
	for i := range r {
		r[i] = p.ours[i] / p.theirs[i]
	}
	return r
}

// median of an even number of values is the mean of the two in the middle.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
