package generate

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// shape is what the generators of numbers have in common.
type shape struct {
	min, max float64
	noise    float64 // standard deviation
	digits   int     // behind the point
	random   *rand.Rand
}

// shape reads the options min, max, noise and digits.
func (p *parser) shape() (s shape, err error) {
	s.random = source(p.seed, p.start)
	var digits float64
	for _, o := range []struct {
		name      string
		to        *float64
		otherwise float64
	}{{"min", &s.min, math.Inf(-1)}, {"max", &s.max, math.Inf(1)}, {"noise", &s.noise, 0}, {"digits", &digits, 2}} {
		if *o.to, err = p.option(o.name, o.otherwise); err != nil {
			return s, err
		}
	}
	switch s.digits = int(digits); {
	case digits != math.Trunc(digits) || digits < 0 || digits > 15:
		return s, p.fail(p.options["digits"].offset, "digits: a whole number from 0 to 15")
	case s.noise < 0:
		return s, p.fail(p.options["noise"].offset, "noise: less than 0")
	case s.max < s.min:
		return s, p.fail(p.options["max"].offset, "max is less than min")
	}
	return s, nil
}

// append adds noise to v, bounds it and writes it.
func (s *shape) append(dst []byte, v float64) ([]byte, bool, error) {
	if s.noise > 0 {
		v += s.random.NormFloat64() * s.noise
	}
	return appendNumber(dst, s.bound(v), s.digits), true, nil
}

func (s *shape) bound(v float64) float64 { return max(min(v, s.max), s.min) }

// appendNumber writes v with at most that many digits behind the point.
func appendNumber(dst []byte, v float64, digits int) []byte {
	v = max(min(v, math.MaxFloat64), -math.MaxFloat64)
	t := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(t, ".") {
		t = strings.TrimSuffix(strings.TrimRight(t, "0"), ".")
	}
	if t == "-0" {
		t = "0"
	}
	return append(dst, t...)
}

// two reads the numbers that nearly every generator begins with.
func (p *parser) two(first, second string) (a, b float64, s shape, err error) {
	if a, err = p.number(first); err == nil {
		b, err = p.number(second)
	}
	if err == nil {
		s, err = p.shape()
	}
	return a, b, s, err
}

// randomFloat is float MIN MAX.
func randomFloat(p *parser) (maker, error) {
	from, to, s, err := p.two("the smallest", "the greatest")
	if err != nil {
		return nil, err
	}
	if to < from {
		return nil, p.fail(p.start, "%g is less than %g", to, from)
	}
	return func(dst []byte, _ *state) ([]byte, bool, error) {
		f := s.random.Float64()
		return s.append(dst, from*(1-f)+to*f)
	}, nil
}

// normal is normal MEAN DEVIATION.
func normal(p *parser) (maker, error) {
	mean, deviation, s, err := p.two("the mean", "the standard deviation")
	if err != nil {
		return nil, err
	}
	return func(dst []byte, _ *state) ([]byte, bool, error) {
		return s.append(dst, mean+deviation*s.random.NormFloat64())
	}, nil
}

// walk is walk START STEP: each message is up to a step away from the one before
// it on that topic. At min and max it turns round.
func walk(p *parser) (maker, error) {
	start, step, s, err := p.two("the start", "the step")
	if err != nil {
		return nil, err
	}
	return func(dst []byte, c *state) ([]byte, bool, error) {
		at := c.keep()
		if at[1] == 0 {
			at[0], at[1] = s.bound(start), 1
		} else {
			at[0] = s.reflect(at[0] + step*(2*s.random.Float64()-1))
		}
		return s.append(dst, at[0])
	}, nil
}

// reflect mirrors v at the bound that it has passed.
func (s *shape) reflect(v float64) float64 {
	if v > s.max {
		v = 2*s.max - v
	}
	if v < s.min {
		v = 2*s.min - v
	}
	return s.bound(v)
}

// sine is sine MEAN AMPLITUDE PERIOD [phase=TIME].
func sine(p *parser) (maker, error) {
	mean, amplitude, s, err := p.two("the mean", "the amplitude")
	if err != nil {
		return nil, err
	}
	period, err := p.time("the period")
	if err != nil {
		return nil, err
	}
	phase := time.Duration(0)
	p.taken["phase"] = true
	if w, ok := p.options["phase"]; ok {
		if phase, err = time.ParseDuration(w.text); err != nil {
			return nil, p.fail(w.offset, "phase: %q is not a time such as 30s, 15m or 24h", w.text)
		}
	}
	return func(dst []byte, c *state) ([]byte, bool, error) {
		turns := float64((c.due+phase)%period) / float64(period)
		return s.append(dst, mean+amplitude*math.Sin(2*math.Pi*turns))
	}, nil
}

// drift is drift START CHANGE/TIME.
func drift(p *parser) (maker, error) {
	start, err := p.number("the start")
	if err != nil {
		return nil, err
	}
	w, err := p.next("the change, as in 0.5/h,")
	if err != nil {
		return nil, err
	}
	change, per, _ := strings.Cut(w.text, "/")
	each, ok := perTime(per)
	if !ok {
		return nil, p.fail(w.offset, "%q is not a change such as 0.1/s, 2/min or -0.5/h", w.text)
	}
	v, err := p.asNumber(word{text: change, offset: w.offset}, "the change")
	if err != nil {
		return nil, err
	}
	s, err := p.shape()
	if err != nil {
		return nil, err
	}
	return func(dst []byte, c *state) ([]byte, bool, error) {
		return s.append(dst, start+v*(float64(c.due)/float64(each)))
	}, nil
}

// isNumber tells whether b is a number in JSON.
func isNumber(b []byte) bool {
	return len(b) > 0 && (b[0] == '-' || b[0] >= '0' && b[0] <= '9') && json.Valid(b) && b[len(b)-1] != ' '
}

// plainWord tells whether a word that was typed is a value of JSON by itself.
func plainWord(s string) bool {
	return isNumber([]byte(s)) || s == "true" || s == "false" || s == "null"
}

// jsonOf writes text as a JSON string.
func jsonOf(text []byte) []byte {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(string(text)) // a string, so it cannot fail
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}
