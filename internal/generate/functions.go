package generate

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Names are the generators that there are.
func Names() []string {
	return strings.Fields("n time int float normal hex uuid bool choice walk sine drift topic row field json")
}

// function finds what makes a generator of the words behind its name. To add one,
// add it here, to Names, and to the help topic of cmd/iotctl.
func function(name string) (func(*parser) (maker, error), bool) {
	switch name {
	case "n":
		return counter, true
	case "time":
		return clock, true
	case "int":
		return randomInt, true
	case "float":
		return randomFloat, true
	case "normal":
		return normal, true
	case "hex":
		return randomHex, true
	case "uuid":
		return uuid, true
	case "bool":
		return randomBool, true
	case "choice":
		return choice, true
	case "walk":
		return walk, true
	case "sine":
		return sine, true
	case "drift":
		return drift, true
	case "topic":
		return topicLevel, true
	}
	return nil, false
}

func text(s string) maker {
	return func(dst []byte, _ *state) ([]byte, bool, error) { return append(dst, s...), false, nil }
}

// counter is n [START [STEP [END]]]: behind END it begins again.
func counter(p *parser) (maker, error) {
	start, step, end := int64(1), int64(1), int64(math.MaxInt64)
	for _, n := range []struct {
		to   *int64
		what string
	}{{&start, "the start"}, {&step, "the step"}, {&end, "the end"}} {
		if !p.more() {
			break
		}
		at := p.all[p.used].offset
		var err error
		if *n.to, err = p.integer(n.what); err != nil {
			return nil, err
		}
		if n.to == &end && (step <= 0 || end < start) {
			return nil, p.fail(at, "the end: from %d in steps of %d there is no way to %d", start, step, end)
		}
	}
	rounds := int64(math.MaxInt64)
	if end != math.MaxInt64 {
		rounds = int64((uint64(end)-uint64(start))/uint64(step)) + 1
	}
	return func(dst []byte, c *state) ([]byte, bool, error) {
		n := int64(c.n)
		if rounds > 0 {
			n %= rounds
		}
		return strconv.AppendInt(dst, start+n*step, 10), true, nil
	}, nil
}

// clock is time [FORM].
func clock(p *parser) (maker, error) {
	form, at := "rfc3339", 0
	if p.more() {
		w, _ := p.next("")
		form, at = w.text, w.offset
	}
	layout := form
	switch form {
	case "rfc3339":
		layout = "2006-01-02T15:04:05.000Z07:00"
	case "date":
		layout = time.DateOnly
	case "clock":
		layout = time.TimeOnly
	case "unix":
		return stamp(time.Time.Unix), nil
	case "ms":
		return stamp(time.Time.UnixMilli), nil
	case "us":
		return stamp(time.Time.UnixMicro), nil
	case "ns":
		return stamp(time.Time.UnixNano), nil
	case "seconds":
		return func(dst []byte, c *state) ([]byte, bool, error) {
			return appendNumber(dst, float64(c.now.UnixMilli())/1000, 3), true, nil
		}, nil
	default:
		probe := time.Date(2033, 11, 22, 19, 44, 55, 0, time.UTC)
		if probe.Format(form) == form {
			return nil, p.fail(at, "%q is none of rfc3339, date, clock, unix, seconds, ms, us, ns and no layout such as '2006-01-02 15:04:05'", form)
		}
	}
	return func(dst []byte, c *state) ([]byte, bool, error) {
		return c.now.UTC().AppendFormat(dst, layout), false, nil
	}, nil
}

func stamp(of func(time.Time) int64) maker {
	return func(dst []byte, c *state) ([]byte, bool, error) {
		return strconv.AppendInt(dst, of(c.now), 10), true, nil
	}
}

// randomInt is int MIN MAX, both of them included.
func randomInt(p *parser) (maker, error) {
	from, err := p.integer("the smallest")
	if err != nil {
		return nil, err
	}
	to, err := p.integer("the greatest")
	if err != nil {
		return nil, err
	}
	if to < from {
		return nil, p.fail(p.start, "%d is less than %d", to, from)
	}
	r := source(p.seed, p.start)
	span := uint64(to) - uint64(from)
	return func(dst []byte, _ *state) ([]byte, bool, error) {
		n := r.Uint64()
		if span != math.MaxUint64 {
			n = r.Uint64N(span + 1)
		}
		return strconv.AppendInt(dst, int64(uint64(from)+n), 10), true, nil
	}, nil
}

// randomHex is hex BYTES.
func randomHex(p *parser) (maker, error) {
	const most = 64 << 10
	n, err := p.integer("the number of bytes")
	if err != nil {
		return nil, err
	}
	if n < 1 || n > most {
		return nil, p.fail(p.all[p.used-1].offset, "the number of bytes is from 1 to %d", most)
	}
	r := source(p.seed, p.start)
	return func(dst []byte, _ *state) ([]byte, bool, error) {
		for range n {
			dst = hex.AppendEncode(dst, []byte{byte(r.Uint32())})
		}
		return dst, false, nil
	}, nil
}

// uuid is a random one, version 4. // RFC 9562 §5.4
func uuid(p *parser) (maker, error) {
	r := source(p.seed, p.start)
	return func(dst []byte, _ *state) ([]byte, bool, error) {
		a, b := r.Uint64(), r.Uint64()
		a = a&^0xF000 | 0x4000
		b = b&^(3<<62) | 1<<63
		return fmt.Appendf(dst, "%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xFFFF, a&0xFFFF, b>>48, b&0xFFFFFFFFFFFF), false, nil
	}, nil
}

// randomBool is bool [PROBABILITY] of true.
func randomBool(p *parser) (maker, error) {
	probability := 0.5
	if p.more() {
		at := p.all[p.used].offset
		var err error
		if probability, err = p.number("the probability"); err != nil {
			return nil, err
		}
		if probability < 0 || probability > 1 {
			return nil, p.fail(at, "the probability is from 0 to 1")
		}
	}
	r := source(p.seed, p.start)
	return func(dst []byte, _ *state) ([]byte, bool, error) {
		return strconv.AppendBool(dst, r.Float64() < probability), true, nil
	}, nil
}

// choice is choice WORD[:WEIGHT]…
func choice(p *parser) (maker, error) {
	var words []string
	var until []float64 // the sum of the weights so far
	sum := 0.0
	for p.more() || len(words) == 0 {
		w, err := p.next("what to choose from")
		if err != nil {
			return nil, err
		}
		weight := 1.0
		if i := strings.LastIndexByte(w.text, ':'); i >= 0 && !w.quoted {
			w.text, w.weight = w.text[:i], w.text[i+1:]
		}
		if w.weight != "" {
			if weight, err = p.asNumber(word{text: w.weight, offset: w.offset}, "the weight"); err != nil {
				return nil, err
			}
		}
		if weight < 0 {
			return nil, p.fail(w.offset, "the weight is less than 0")
		}
		sum += weight
		words, until = append(words, w.text), append(until, sum)
	}
	if sum == 0 || math.IsInf(sum, 0) {
		return nil, p.fail(p.start, "the weights are %g together", sum)
	}
	r := source(p.seed, p.start)
	return func(dst []byte, _ *state) ([]byte, bool, error) {
		at, i := r.Float64()*sum, 0
		for i < len(until)-1 && at >= until[i] {
			i++
		}
		return append(dst, words[i]...), plainWord(words[i]), nil
	}, nil
}

// topicLevel is topic [LEVEL], counted from 1.
func topicLevel(p *parser) (maker, error) {
	if !p.more() {
		return func(dst []byte, c *state) ([]byte, bool, error) { return append(dst, c.topic...), false, nil }, nil
	}
	at := p.all[p.used].offset
	n, err := p.integer("the level")
	if err != nil {
		return nil, err
	}
	if n < 1 {
		return nil, p.fail(at, "levels are counted from 1")
	}
	return func(dst []byte, c *state) ([]byte, bool, error) {
		rest, level := c.topic, ""
		for i, more := int64(0), true; i < n; i++ {
			if !more {
				return dst, false, nil
			}
			level, rest, more = strings.Cut(rest, "/")
		}
		return append(dst, level...), isNumber([]byte(level)), nil
	}, nil
}
