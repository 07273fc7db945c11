package frame

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/iotctl/iotctl/internal/spelling"
)

// MaxSource is the most bytes of a definition.
const MaxSource = 1 << 20

// Bounds of a definition. A file beyond them is a mistake.
const (
	maxVisits  = 100_000 // nodes, aliases followed
	maxNesting = 16      // fields in fields
	maxErrors  = 50
)

// loader collects what is wrong with a file while it is compiled.
type loader struct {
	file   string
	errs   []error
	visits int

	slots     map[string]int // path of a field → its slot
	text      map[int]bool   // slots of fields that are text, false: numbers; foreign names are not in it
	codec     string
	le        bool           // endian of the file
	zone      *time.Location // tz of the file
	variants  []*variant     // for templates
	messages  []*message
	bags      []bag
	templates []*template
	inline    map[string]*checksum // checksums among the fields
	pending   []func()             // references to fields that may come later
}

func (l *loader) errorf(n *yaml.Node, format string, args ...any) {
	if len(l.errs) == maxErrors {
		l.errs = append(l.errs, errors.New("more mistakes follow"))
	}
	if len(l.errs) > maxErrors {
		return
	}
	line := 0
	if n != nil {
		line = n.Line
	}
	l.errs = append(l.errs, fmt.Errorf("%s:%d: %s", l.file, line, fmt.Sprintf(format, args...)))
}

// follow resolves aliases. It returns an empty node once the file has been
// visited too often, which ends every loop over it.
func (l *loader) follow(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
		l.visits++
	}
	l.visits++
	if l.visits == maxVisits {
		l.errorf(n, "the file is too large when its aliases are followed")
	}
	if n == nil || l.visits >= maxVisits {
		return &yaml.Node{}
	}
	return n
}

// mapping is a YAML mapping that knows which of its keys have been read.
type mapping struct {
	l      *loader
	node   *yaml.Node
	what   string // for messages: "framing"
	keys   []string
	values []*yaml.Node
	key    []*yaml.Node
	read   []bool
	asked  []string
}

// mapping reads n as a mapping; an empty one after an error.
func (l *loader) mapping(n *yaml.Node, what string) *mapping {
	m := &mapping{l: l, node: n, what: what}
	n = l.follow(n)
	m.node = n
	if n.Kind != yaml.MappingNode {
		l.errorf(n, "%s: want a mapping (key: value), have %s", what, describe(n))
		return m
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], l.follow(n.Content[i+1])
		key := l.follow(k)
		if key.Kind != yaml.ScalarNode {
			l.errorf(k, "%s: a key must be plain text", what)
			continue
		}
		if key.Style == 0 && isBooleanWord(key.Value) {
			l.errorf(k, "%s: key %q is a boolean for many YAML readers: use another word, or quote it", what, key.Value)
			continue
		}
		if slices.Contains(m.keys, key.Value) {
			l.errorf(k, "%s: %q is given twice", what, key.Value)
			continue
		}
		m.keys, m.values, m.key = append(m.keys, key.Value), append(m.values, v), append(m.key, key)
	}
	m.read = make([]bool, len(m.keys))
	return m
}

func isBooleanWord(s string) bool {
	switch strings.ToLower(s) {
	case "on", "off", "yes", "no", "y", "n":
		return true
	}
	return false
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "nothing"
		}
		return strconv.Quote(n.Value)
	}
	return "nothing"
}

// get returns the value of a key and marks it as read; nil if it is not there.
func (m *mapping) get(key string) *yaml.Node {
	m.asked = append(m.asked, key)
	i := slices.Index(m.keys, key)
	if i < 0 {
		return nil
	}
	m.read[i] = true
	return m.values[i]
}

func (m *mapping) has(key string) bool { return slices.Contains(m.keys, key) }

// done complains about keys that nobody has asked for.
func (m *mapping) done() {
	for i, key := range m.keys {
		if m.read[i] {
			continue
		}
		hint := ""
		if near := nearest(key, m.asked); near != "" {
			hint = fmt.Sprintf(": did you mean %q?", near)
		} else if len(m.asked) > 0 {
			asked := slices.Clone(m.asked)
			slices.Sort(asked)
			hint = ": there are " + strings.Join(slices.Compact(asked), ", ")
		}
		m.l.errorf(m.key[i], "%s: unknown key %q%s", m.what, key, hint)
	}
}

// suggest is what to write instead of a word, with a colon in front: what begins
// like it, what is near, or all there is, unless that is too much.
func suggest(word string, candidates []string) string {
	all := slices.Clone(candidates)
	slices.Sort(all)
	all = slices.Compact(all)
	like := slices.DeleteFunc(slices.Clone(all), func(c string) bool { return !strings.HasPrefix(c, word) })
	switch near := nearest(word, all); {
	case len(word) > 2 && len(like) > 1:
		return ": did you mean one of " + strings.Join(like, ", ") + "?"
	case near != "":
		return ": did you mean " + near + "?"
	case len(all) > 0 && len(all) <= 16:
		return ": there are " + strings.Join(all, ", ")
	}
	return ""
}

// nearest is the candidate at an edit distance of at most 2, "" if none.
func nearest(word string, candidates []string) string {
	best, at := "", 3
	for _, c := range candidates {
		if d := distance(word, c); d < at && d < len(word) {
			best, at = c, d
		}
	}
	return best
}

// distance is that of two words; long ones are far from all others.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	return spelling.Distance(a, b)
}

// text reads a string; a number or boolean is refused, because YAML may have
// changed it (7e2 is 700).
func (m *mapping) text(key string) string {
	n := m.get(key)
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		m.l.errorf(n, "%s: %s: want text, have %s", m.what, key, describe(n))
		return ""
	}
	return n.Value
}

func (m *mapping) flag(key string, otherwise bool) bool {
	n := m.get(key)
	if n == nil {
		return otherwise
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!bool" {
		return n.Value == "true"
	}
	m.l.errorf(n, "%s: %s: want true or false, have %s", m.what, key, describe(n))
	return otherwise
}

// number reads an integer within low and high.
func (m *mapping) number(key string, otherwise, low, high int) int {
	return int(m.number64(key, int64(otherwise), int64(low), int64(high)))
}

// number64 is number for what an int need not hold.
func (m *mapping) number64(key string, otherwise, low, high int64) int64 {
	n := m.get(key)
	if n == nil {
		return otherwise
	}
	return m.l.number64(n, m.what+": "+key, otherwise, low, high)
}

func (l *loader) number(n *yaml.Node, what string, otherwise, low, high int) int {
	return int(l.number64(n, what, int64(otherwise), int64(low), int64(high)))
}

func (l *loader) number64(n *yaml.Node, what string, otherwise, low, high int64) int64 {
	n = l.follow(n)
	v, err := strconv.ParseInt(n.Value, 0, 64)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil {
		l.errorf(n, "%s: want a whole number, have %s", what, describe(n))
		return otherwise
	}
	if v < low || v > high {
		l.errorf(n, "%s: %d is not between %d and %d", what, v, low, high)
		return otherwise
	}
	return v
}

func (m *mapping) float(key string, otherwise float64) float64 {
	n := m.get(key)
	if n == nil {
		return otherwise
	}
	v, ok := m.l.float(n)
	if !ok {
		m.l.errorf(n, "%s: %s: want a number, have %s", m.what, key, describe(n))
		return otherwise
	}
	return v
}

func (l *loader) float(n *yaml.Node) (float64, bool) {
	n = l.follow(n)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" && n.Tag != "!!float" {
		return 0, false
	}
	if i, err := strconv.ParseInt(n.Value, 0, 64); err == nil {
		return float64(i), true
	}
	v, err := strconv.ParseFloat(n.Value, 64)
	return v, err == nil && v-v == 0 // neither infinite nor NaN
}

func (m *mapping) duration(key string) time.Duration {
	n := m.get(key)
	if n == nil {
		return 0
	}
	d, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || d <= 0 {
		m.l.errorf(n, "%s: %s: want a duration such as 50ms, 30s or 5m, have %s", m.what, key, describe(n))
		return 0
	}
	return d
}

// choice reads one word of a list; "" if the key is missing.
func (m *mapping) choice(key string, words ...string) string {
	n := m.get(key)
	if n == nil {
		return ""
	}
	if n.Kind == yaml.ScalarNode && slices.Contains(words, n.Value) {
		return n.Value
	}
	m.l.errorf(n, "%s: %s: want %s, have %s", m.what, key, strings.Join(words, ", "), describe(n))
	return ""
}

// hex reads bytes: "7878", "0d 0a", "'##' 0d0a".
func (m *mapping) hex(key string) []byte {
	n := m.get(key)
	if n == nil {
		return nil
	}
	b, err := m.l.hex(n)
	if err != nil {
		m.l.errorf(n, "%s: %s: %v", m.what, key, err)
	}
	return b
}

func (l *loader) hex(n *yaml.Node) ([]byte, error) {
	n = l.follow(n)
	if err := quoted(n); err != nil {
		return nil, err
	}
	return parseBytes(n.Value)
}

// quoted refuses hex that YAML might have read as a number.
func quoted(n *yaml.Node) error {
	const quotes = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	switch {
	case n.Kind != yaml.ScalarNode:
		return fmt.Errorf("want hex in quotes, have %s", describe(n))
	case n.Style&quotes == 0:
		return fmt.Errorf("put hex in quotes, because YAML reads 7e2 as a number: %q", n.Value)
	}
	return nil
}

// list returns the elements of a sequence; a single value is a list of one.
func (m *mapping) list(key string) []*yaml.Node {
	n := m.get(key)
	if n == nil {
		return nil
	}
	if n.Kind == yaml.SequenceNode {
		return n.Content
	}
	return []*yaml.Node{n}
}

// pair reads [a, b].
func (m *mapping) pair(key string, a, b int) (int, int) {
	n := m.get(key)
	if n == nil {
		return a, b
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) != 2 {
		m.l.errorf(n, "%s: %s: want two numbers such as [2, -4], have %s", m.what, key, describe(n))
		return a, b
	}
	what := m.what + ": " + key
	const far = 1 << 20
	return m.l.number(n.Content[0], what, a, -far, far), m.l.number(n.Content[1], what, b, -far, far)
}

// texts reads a list of strings, or one.
func (m *mapping) texts(key string) []string {
	var out []string
	for _, n := range m.list(key) {
		n = m.l.follow(n)
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
			m.l.errorf(n, "%s: %s: want text, have %s", m.what, key, describe(n))
			continue
		}
		out = append(out, n.Value)
	}
	return out
}
