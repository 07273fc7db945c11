package display

import (
	"cmp"
	"errors"
	"math/bits"
	"slices"
	"strconv"
	"time"

	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/dissect"
)

// Stats counts packets: by stream, by type and direction, what they answer after how
// long, and what is wrong with them. Its memory is bounded.
type Stats struct {
	Style
	packets, bytes int64
	first, last    time.Time
	types          map[kindOf]*tally
	delays         map[string]*delays
	streams        map[*decode.Stream]*tally
	wrong          map[string]*tally
	more           int64 // problems beyond maxWrong
}

type kindOf struct {
	protocol, name string
	dir            dissect.Direction
}

// tally is a count, and the sizes.
type tally struct {
	packets, bytes    int64
	least, most       int
	errors, warnings  int64
	mark              mark
	client, server    int64 // packets of each side
	began, lastPacket time.Time
}

// Bounds of what is told apart, and of what is shown.
const (
	maxWrong     = 1000
	shownStreams = 50
	shownWrong   = 30
)

// NewStats begins to count.
func NewStats(s Style) *Stats {
	return &Stats{
		Style: s, types: map[kindOf]*tally{}, delays: map[string]*delays{},
		streams: map[*decode.Stream]*tally{}, wrong: map[string]*tally{},
	}
}

// Add counts p.
func (s *Stats) Add(p *decode.Packet) {
	n := len(p.Bytes)
	s.packets++
	s.bytes += int64(n)
	if !p.Time.IsZero() {
		if s.first.IsZero() {
			s.first = p.Time
		}
		s.last = p.Time
	}
	of(s.types, kindOf{p.Protocol, p.Type, p.Direction}).add(p, n)
	if p.Stream != nil {
		of(s.streams, p.Stream).add(p, n)
	}
	if p.Answers > 0 && !p.Time.IsZero() {
		d := s.delays[p.Type]
		if d == nil {
			d = &delays{}
			s.delays[p.Type] = d
		}
		d.add(p.After)
	}
	if p.Err != nil || len(p.Problems) > 0 {
		s.wrongs(p)
	}
}

// of returns the tally of k, which it makes at first.
func of[K comparable](m map[K]*tally, k K) *tally {
	t := m[k]
	if t == nil {
		t = &tally{}
		m[k] = t
	}
	return t
}

func (t *tally) add(p *decode.Packet, n int) {
	if t.packets == 0 || n < t.least {
		t.least = n
	}
	t.most = max(t.most, n)
	t.packets++
	t.bytes += int64(n)
	switch worst(p) {
	case broken:
		t.errors++
	case warning:
		t.warnings++
	}
	switch p.Direction {
	case dissect.FromClient:
		t.client++
	case dissect.FromServer:
		t.server++
	}
	if !p.Time.IsZero() {
		if t.began.IsZero() {
			t.began = p.Time
		}
		t.lastPacket = p.Time
	}
}

func (s *Stats) wrongs(p *decode.Packet) {
	for _, q := range problems(p) {
		key := cmp.Or(q.Rule, q.Text)
		if _, ok := s.wrong[key]; !ok && len(s.wrong) >= maxWrong {
			s.more++
			continue
		}
		t := of(s.wrong, key)
		t.packets++
		t.mark = t.mark.worse(markFor(&q))
	}
	if errors.Is(p.Err, dissect.ErrShort) {
		t := of(s.wrong, "incomplete")
		t.packets++
		t.mark = broken
	}
}

// delays is a histogram of 16 steps to each power of two, in nanoseconds: its
// percentiles are right to 7 %.
type delays struct {
	n       int64
	buckets [64 * 16]int64
	most    time.Duration
}

func bucketOf(d time.Duration) int {
	n := uint64(max(d, 1))
	if n < 16 {
		return int(n)
	}
	exponent := bits.Len64(n) - 1
	return exponent*16 + int(n>>(exponent-4)&15)
}

// upTo is the highest duration of a bucket.
func upTo(bucket int) time.Duration {
	if bucket < 16*4 {
		return time.Duration(bucket)
	}
	exponent := bucket / 16
	return time.Duration((uint64(16+bucket%16)+1)<<(exponent-4) - 1)
}

func (h *delays) add(d time.Duration) {
	h.n++
	h.buckets[bucketOf(d)]++
	h.most = max(h.most, d)
}

// percentile is what p per cent are not above.
func (h *delays) percentile(p float64) time.Duration {
	want := int64(float64(h.n)*p/100 + 0.999999)
	seen := int64(0)
	for i, n := range h.buckets {
		if seen += n; seen >= want {
			return min(upTo(i), h.most)
		}
	}
	return h.most
}

// Append appends the tables.
func (s *Stats) Append(dst []byte) []byte {
	dst = append(strconv.AppendInt(dst, s.packets, 10), " packets, "...)
	dst = appendBytes(dst, int(s.bytes))
	if span := s.last.Sub(s.first); span > 0 {
		dst = appendShort(append(dst, " in "...), span)
		dst = append(dst, ", "...)
		dst = strconv.AppendFloat(dst, float64(s.packets)/span.Seconds(), 'f', 1, 64)
		dst = append(dst, " packets/s"...)
	}
	dst = append(dst, '\n')
	dst = s.appendTypes(dst)
	dst = s.appendDelays(dst)
	dst = s.appendStreams(dst)
	return s.appendWrong(dst)
}

// table lays out rows of cells: the first to the left, the others to the right,
// those from text on to the left again.
func (s *Stats) table(dst []byte, text int, rows [][]string) []byte {
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			widths[i] = max(widths[i], columns(c))
		}
	}
	dst = append(dst, '\n')
	for n, r := range rows {
		if n == 0 {
			dst = s.Style.start(dst, dim)
		}
		for i, c := range r {
			switch {
			case i == 0 || i >= text:
				dst = appendPadded(dst, c, widths[i])
			default:
				dst = append(appendBlanks(dst, widths[i]-columns(c)), c...)
			}
			if i < len(r)-1 {
				dst = append(dst, "  "...)
			}
		}
		if n == 0 {
			dst = s.stop(dst, dim)
		}
		dst = append(trimRight(dst), '\n')
	}
	return dst
}

func (s *Stats) appendTypes(dst []byte) []byte {
	keys := sorted(s.types, func(a, b kindOf) int {
		return cmp.Or(cmp.Compare(s.types[b].packets, s.types[a].packets), cmp.Compare(a.name, b.name), cmp.Compare(a.dir, b.dir))
	})
	if len(keys) == 0 {
		return dst
	}
	rows := [][]string{{"type", "packets", "bytes", "least", "average", "most", "errors", "warnings", "from"}}
	for _, k := range keys {
		t := s.types[k]
		from := [...]string{"", "client", "server"}[k.dir]
		rows = append(rows, []string{
			Safe(k.name), count(t.packets), count(t.bytes), strconv.Itoa(t.least), count(t.bytes / t.packets), strconv.Itoa(t.most),
			count(t.errors), count(t.warnings), from,
		})
	}
	return s.table(dst, 8, rows)
}

func count(n int64) string { return strconv.FormatInt(n, 10) }

func sorted[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	var keys []K
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compare)
	return keys
}

func (s *Stats) appendDelays(dst []byte) []byte {
	keys := sorted(s.delays, cmp.Compare[string])
	if len(keys) == 0 {
		return dst
	}
	rows := [][]string{{"answer", "packets", "p50", "p90", "p99", "p99.9", "longest"}}
	for _, k := range keys {
		h := s.delays[k]
		row := []string{Safe(k), count(h.n)}
		for _, p := range []float64{50, 90, 99, 99.9} {
			row = append(row, string(appendShort(nil, h.percentile(p))))
		}
		rows = append(rows, append(row, string(appendShort(nil, h.most))))
	}
	return s.table(dst, len(rows[0]), rows)
}

func (s *Stats) appendStreams(dst []byte) []byte {
	keys := sorted(s.streams, func(a, b *decode.Stream) int { return cmp.Compare(a.Number, b.Number) })
	if len(keys) == 0 || len(keys) == 1 && keys[0].Transport == "" {
		return dst
	}
	more := len(keys) - shownStreams
	if more > 0 {
		slices.SortStableFunc(keys, func(a, b *decode.Stream) int { return cmp.Compare(s.streams[b].packets, s.streams[a].packets) })
		keys = keys[:shownStreams]
	}
	rows := [][]string{{"stream", "packets", "client's", "server's", "bytes", "lasted", "errors", "warnings", "what"}}
	for _, k := range keys {
		t := s.streams[k]
		what := k.Transport + " " + k.Client.String() + " → " + k.Server.String() + "  " + Protocol(k)
		if k.Joined {
			what += ", begun before"
		}
		rows = append(rows, []string{
			strconv.Itoa(k.Number), count(t.packets), count(t.client), count(t.server), count(t.bytes),
			string(appendShort(nil, t.lastPacket.Sub(t.began))), count(t.errors), count(t.warnings), Safe(what),
		})
	}
	dst = s.table(dst, 8, rows)
	if more > 0 {
		dst = append(append(dst, "… "...), counted(more, "stream")+" with fewer packets\n"...)
	}
	return dst
}

func (s *Stats) appendWrong(dst []byte) []byte {
	keys := sorted(s.wrong, func(a, b string) int {
		return cmp.Or(cmp.Compare(s.wrong[b].packets, s.wrong[a].packets), cmp.Compare(a, b))
	})
	if len(keys) == 0 {
		return dst
	}
	rows := [][]string{{"", "packets", "problem"}}
	for i, k := range keys {
		if i == shownWrong {
			rows = append(rows, []string{"", "", "… " + counted(len(keys)-i, "other")})
			break
		}
		rows = append(rows, []string{string(byte(max(s.wrong[k].mark, clean))), count(s.wrong[k].packets), Safe(k)})
	}
	return s.table(dst, 2, rows)
}
