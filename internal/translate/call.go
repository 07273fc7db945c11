package translate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/spelling"
)

// takes is how many words follow an option.
type takes uint8

const (
	nothing  takes = iota
	value          // one
	optional       // one, unless it looks like an option
	boolean        // true or false may follow
	several        // as many as do not look like options
	property       // of mosquitto: command, name and value, or two values
)

// row is one option of a tool.
type row struct {
	names string // all spellings, with blanks between
	takes takes
	to    string // what it is called here; "=": the same
	// as is done in place of to.
	as func(c *call, v string)
	// note is a difference: with to, what differs; alone, why there is nothing.
	note string
	// idle: leaving it out changes nothing that could be seen.
	idle bool
	// secret: the value should not be typed.
	secret bool
}

// tool is one command that can be translated.
type tool struct {
	name string   // with its sub-command
	also []string // other spellings of the name
	to   string   // the command here
	// equals: short options may have their value behind an equals sign, too.
	equals bool
	rows   []row
	begin  func(*call)
	end    func(*call)
}

// tools is the table of them.
func tools() []*tool {
	return slices.Concat(mosquittoTools(), mqttxTools(), emqttBenchTools(), hiveMQTools())
}

// option is one that was found, in our spelling.
type option struct {
	name   string
	values []string
}

// call is one command line on its way.
type call struct {
	tool    *tool
	to      string // the command, where it differs from the tool's
	env     string // assignments before the command
	behind  string // redirections and pipes behind it
	options []option
	topics  []string // of publishing tools that take several
	qos     []string
	raws    map[string]string // how words were written
	notes   []Note

	// given are the tool's options by their first spelling.
	given map[string]string
}

// add gives an option of ours.
func (c *call) add(name string, values ...string) {
	c.options = append(c.options, option{name, values})
}

// has reports whether an option of ours is there.
func (c *call) has(name string) bool {
	return slices.ContainsFunc(c.options, func(o option) bool { return o.name == name })
}

// drop takes an option of ours out again.
func (c *call) drop(name string) {
	c.options = slices.DeleteFunc(c.options, func(o option) bool { return o.name == name })
}

// differs notes a difference, advise something that is none.
func (c *call) differs(format string, a ...any) { c.note(false, format, a...) }
func (c *call) advise(format string, a ...any)  { c.note(true, format, a...) }

func (c *call) note(advice bool, format string, a ...any) {
	n := Note{Text: fmt.Sprintf(format, a...), Advice: advice}
	if !slices.Contains(c.notes, n) {
		c.notes = append(c.notes, n)
	}
}

// user adds a user property, which has its separator between name and value.
func (c *call) user(command, text, separator string) {
	name, v, ok := strings.Cut(text, separator)
	if !ok {
		c.differs("user property %s: there is no %q in it", text, separator)
		return
	}
	c.add("-D", command, "user-property", name, v)
}

// to adds an MQTT 5.0 property.
func prop(command, name string) func(*call, string) {
	return func(c *call, v string) { c.add("-D", command, name, v) }
}

// on adds an MQTT 5.0 property that is 1 or 0.
func on(command, name, v string) func(*call, string) {
	return func(c *call, _ string) { c.add("-D", command, name, v) }
}

// find is the row of a spelling.
func (t *tool) find(name string) *row {
	for i := range t.rows {
		if slices.Contains(strings.Fields(t.rows[i].names), name) {
			return &t.rows[i]
		}
	}
	return nil
}

// read works through the words behind the tool's name.
func (c *call) read(words []token) error {
	c.given = map[string]string{}
	c.to = c.tool.to
	if c.tool.begin != nil {
		c.tool.begin(c)
	}
	for i := 0; i < len(words); {
		n, err := c.one(words[i:])
		if err != nil {
			return err
		}
		i += n
	}
	if c.tool.end != nil {
		c.tool.end(c)
	}
	return nil
}

// one reads an option and returns how many words that were.
func (c *call) one(words []token) (int, error) {
	first := words[0].text
	if !strings.HasPrefix(first, "-") || first == "-" {
		return 0, c.fail("%q is not an option, and nothing else is expected", first)
	}
	if r := c.tool.find(first); r != nil {
		return c.apply(r, first, words[1:])
	}
	name, v, ok := strings.Cut(first, "=")
	if r := c.tool.find(name); ok && r != nil && (strings.HasPrefix(first, "--") || c.tool.equals) {
		return 1, c.take(r, name, []string{v})
	}
	if strings.HasPrefix(first, "--") || len(first) < 3 {
		return 0, c.unknown(first)
	}
	r := c.tool.find(first[:2])
	switch {
	case r == nil:
		return 0, c.unknown(first)
	case r.takes == nothing, r.takes == boolean: // several letters behind one dash
		if err := c.take(r, first[:2], nil); err != nil {
			return 0, err
		}
		rest := slices.Clone(words)
		rest[0].text = "-" + first[2:]
		return c.one(rest)
	}
	return 1, c.take(r, first[:2], []string{first[2:]})
}

// apply takes the words that an option wants.
func (c *call) apply(r *row, name string, rest []token) (int, error) {
	want := 0
	looks := func(i int) bool { return i < len(rest) && strings.HasPrefix(rest[i].text, "-") && rest[i].text != "-" }
	switch r.takes {
	case value:
		want = 1
	case optional:
		if len(rest) > 0 && !looks(0) {
			want = 1
		}
	case boolean:
		if len(rest) > 0 && (rest[0].text == "true" || rest[0].text == "false") {
			want = 1
		}
	case several:
		for want < len(rest) && !looks(want) {
			want++
		}
	case property:
		if want = 3; len(rest) > 1 && rest[1].text == "user-property" {
			want = 4
		}
	}
	if want > len(rest) || r.takes == several && want == 0 {
		return 0, c.fail("%s needs a value", name)
	}
	var values []string
	for _, w := range rest[:want] {
		values = append(values, w.text)
	}
	return 1 + want, c.take(r, name, values)
}

// take does what the row says.
func (c *call) take(r *row, name string, values []string) error {
	first, _, _ := strings.Cut(r.names, " ")
	joined := strings.Join(values, " ")
	c.given[first] = joined
	if r.secret && joined != "" {
		c.advise("everybody on this machine can read the password: better --password-file FILE, --ask-password or IOTCTL_PASSWORD")
	}
	to := r.to
	if to == "=" {
		to = name
	}
	switch {
	case r.takes == boolean && joined == "false":
		return nil
	case r.as != nil && r.takes == several:
		for _, v := range values {
			r.as(c, v)
		}
	case r.as != nil:
		r.as(c, joined)
	case to != "" && (r.takes == nothing || r.takes == boolean):
		c.add(to)
	case to != "":
		c.add(to, values...)
	}
	if r.note != "" {
		shown := name
		if to != "" && r.as == nil && to != name {
			shown += " (" + to + ")"
		}
		c.note(r.idle, "%s: %s", shown, r.note)
	}
	return nil
}

func (c *call) fail(format string, a ...any) error {
	return &Error{Tool: c.tool.name, Problem: visible(fmt.Sprintf(format, a...))}
}

// visible takes the marks of expansions out.
func visible(s string) string {
	return strings.NewReplacer(string(opens), "", string(closes), "").Replace(s)
}

// unknown is an option that the tool does not have.
func (c *call) unknown(word string) error {
	name, _, _ := strings.Cut(word, "=")
	best, distance := "", 3
	for _, r := range c.tool.rows {
		for n := range strings.FieldsSeq(r.names) {
			if d := spelling.Distance(n, name); d < distance && len(n) > 3 {
				best, distance = n, d
			}
		}
	}
	e := &Error{Tool: c.tool.name, Problem: fmt.Sprintf("it has no option %s", Quote(visible(name)))}
	if best != "" {
		e.Hint = fmt.Sprintf("did you mean %s?", best)
	}
	return e
}

// text is the command for the shell.
func (c *call) text() string {
	if len(c.topics) == 0 {
		return c.command(c.options)
	}
	// A command for each topic: the options are the same.
	var all []string
	for i, topic := range c.topics {
		own := []option{{"-t", []string{topic}}}
		if len(c.qos) > 0 {
			own = append(own, option{"-q", []string{c.qos[min(i, len(c.qos)-1)]}})
		}
		all = append(all, c.command(append(own, c.options...)))
	}
	return strings.Join(all, " && ")
}

func (c *call) command(options []option) string {
	var b strings.Builder
	b.WriteString(c.env + "iotctl " + c.to)
	for _, o := range options {
		b.WriteString(" " + o.name)
		for _, v := range o.values {
			b.WriteByte(' ')
			if raw, ok := c.raws[v]; ok && strings.ContainsRune(v, opens) {
				b.WriteString(raw)
				continue
			}
			b.WriteString(Quote(v))
		}
	}
	return b.String() + c.behind
}

// number reads a value; ok is false where a shell will put it in.
func number(v string) (n int, ok bool) {
	n, err := strconv.Atoi(v)
	return n, err == nil
}
