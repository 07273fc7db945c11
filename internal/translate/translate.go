// Package translate turns command lines of other MQTT tools into those of
// iotctl: mosquitto_pub, mosquitto_sub and mosquitto_rr, MQTTX, emqtt_bench and
// HiveMQ's mqtt.
//
// A tool is a table of its options (tool_*.go). Each row says what the option is
// called here, or what is done about it, or why there is nothing; an option
// that is not in the table is a mistake. What a tool does without being told
// (the version, the number of clients) is added where iotctl does otherwise.
//
// The package knows spellings and nothing else: it opens no files, and does not
// know the options of iotctl. That what it writes can be read again is for the
// tests of cmd/iotctl.
package translate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Note is what to know about a translation.
type Note struct {
	Text string
	// Advice is of use, but no difference.
	Advice bool
}

// Result is a translation.
type Result struct {
	Line  string // for the shell
	Notes []Note
	Found bool // a tool that is known was in it
}

// Exact reports that nothing is lost and nothing differs.
func (r *Result) Exact() bool {
	return !slices.ContainsFunc(r.Notes, func(n Note) bool { return !n.Advice })
}

// Error is a command line that cannot be translated.
type Error struct {
	Tool    string // "mqttx sub"
	Problem string
	Hint    string // what may be meant; "" for nothing
}

// Error implements error.
func (e *Error) Error() string { return e.Tool + ": " + e.Problem }

// ErrNothing is a command line without any tool that is known.
var ErrNothing = errors.New("there is no command of mosquitto, MQTTX, emqtt_bench or HiveMQ in it")

// maxLineBytes bounds a command line.
const maxLineBytes = 1 << 20

// Line translates what would be typed at a shell: pipes, lists and redirections
// stay, and so does all that is not a known tool.
func Line(line string) (Result, error) {
	if len(line) > maxLineBytes {
		return Result{}, fmt.Errorf("the command line is longer than %d bytes", maxLineBytes)
	}
	tokens, err := lex(line)
	if err != nil {
		return Result{}, err
	}
	var r Result
	var out strings.Builder
	for len(tokens) > 0 {
		n := 0
		for n < len(tokens) && tokens[n].kind != separator {
			n++
		}
		text, found, err := r.segment(tokens[:n])
		if err != nil {
			return r, err
		}
		r.Found = r.Found || found
		out.WriteString(text)
		if n < len(tokens) {
			out.WriteString(tokens[n].gap + tokens[n].raw)
			n++
		}
		tokens = tokens[n:]
	}
	r.Line = strings.TrimSpace(out.String())
	return r, nil
}

// Words translates arguments that a shell has split already.
func Words(args []string) (Result, error) {
	var tokens []token
	for _, a := range args {
		tokens = append(tokens, token{kind: word, text: a, raw: Quote(a), gap: " "})
	}
	var r Result
	text, found, err := r.segment(tokens)
	if err != nil {
		return r, err
	}
	if !found {
		return r, ErrNothing
	}
	r.Line, r.Found = strings.TrimSpace(text), true
	return r, nil
}

// wrappers are commands, and words of the shell, that the command stands behind.
var wrappers = []string{
	"do", "then", "else", "if", "while", "until", "!", "{",
	"sudo", "exec", "time", "nohup", "env", "nice", "timeout", "stdbuf", "watch", "command",
}

// containers run a command somewhere else; iotctl needs none.
var containers = []string{"docker", "podman", "nerdctl", "kubectl", "npx"}

// segment translates one command of a line. found is false if it is none of
// ours; the text is the command as it was then.
func (r *Result) segment(tokens []token) (text string, found bool, err error) {
	var words, redirections []token
	for i := 0; i < len(tokens); i++ {
		if tokens[i].kind == redirection {
			redirections = append(redirections, tokens[i:min(i+2, len(tokens))]...)
			i++
			continue
		}
		words = append(words, tokens[i])
	}
	at, rest, t, err := locate(words)
	if err != nil {
		return "", false, err
	}
	if t == nil {
		var b strings.Builder
		for _, x := range tokens {
			b.WriteString(x.gap + x.raw)
		}
		return b.String(), false, nil
	}
	c := &call{tool: t, raws: map[string]string{}}
	for _, w := range rest {
		c.raws[w.text] = w.raw
	}
	if err := c.read(rest); err != nil {
		return "", false, err
	}
	front := prefix(words[:at], &r.Notes)
	r.Notes = append(r.Notes, c.notes...)
	text = tokens[0].gap + front + c.text()
	for _, x := range redirections {
		text += x.gap + x.raw
	}
	return text, true, nil
}

// prefix is what stays of the words before the tool.
func prefix(words []token, notes *[]Note) string {
	i := 0
	for i < len(words) && assignment(words[i].text) {
		i++
	}
	if i < len(words) && slices.Contains(containers, base(words[i].text)) {
		*notes = append(*notes, Note{Advice: true, Text: base(words[i].text) + " is not needed: iotctl is one program. Host names and files are those of this machine then"})
		words = words[:i]
	}
	var b strings.Builder
	for _, w := range words {
		b.WriteString(w.raw + " ")
	}
	return b.String()
}

func assignment(s string) bool {
	name, _, ok := strings.Cut(s, "=")
	return ok && name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789") == ""
}

func base(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

// locate finds the tool in a command: where the words that stay end, and the
// words behind the tool's name and its sub-command.
func locate(words []token) (at int, rest []token, t *tool, err error) {
	i := 0
	for i < len(words) && assignment(words[i].text) {
		i++
	}
	if i == len(words) {
		return 0, nil, nil, nil
	}
	first := base(words[i].text)
	inContainer := slices.Contains(containers, first)
	if !inContainer && !slices.Contains(wrappers, first) {
		t, rest, err := toolAt(words[i:])
		return i, rest, t, err
	}
	for j := i + 1; j < len(words); j++ {
		if inContainer {
			if t, rest, err := imageAt(words[j:]); t != nil || err != nil {
				return j, rest, t, err
			}
		}
		if name := base(words[j].text); strings.Contains(words[j].text, ":") || names(name) == nil {
			continue
		}
		t, rest, err := toolAt(words[j:])
		return j, rest, t, err
	}
	return 0, nil, nil, nil
}

// names are the tools that begin with this command.
func names(command string) []*tool {
	if same, ok := map[string]string{"emqtt-bench": "emqtt_bench", "mqtt-cli": "mqtt", "mqttx-cli": "mqttx"}[command]; ok {
		command = same
	}
	var all []*tool
	for _, t := range tools() {
		if first, _, _ := strings.Cut(t.name, " "); first == command {
			all = append(all, t)
		}
	}
	return all
}

// toolAt reads the name of a tool and its sub-commands.
func toolAt(words []token) (*tool, []token, error) {
	all := names(base(words[0].text))
	if all == nil {
		return nil, nil, nil
	}
	return subCommand(all, words[1:])
}

func subCommand(all []*tool, words []token) (*tool, []token, error) {
	first, _, _ := strings.Cut(all[0].name, " ")
	for _, t := range all {
		for _, name := range append([]string{t.name}, t.also...) {
			sub := strings.Fields(name)[1:]
			if len(words) >= len(sub) && slices.EqualFunc(sub, words[:len(sub)], func(s string, w token) bool { return s == w.text }) {
				return t, words[len(sub):], nil
			}
		}
	}
	if len(words) == 0 {
		return nil, nil, &Error{Tool: first, Problem: "a sub-command is missing"}
	}
	e := &Error{Tool: first, Problem: fmt.Sprintf("there is nothing like %q here", words[0].text)}
	var known []string
	for _, t := range all {
		known = append(known, t.name)
	}
	e.Hint = "these are understood: " + strings.Join(known, ", ")
	if what, ok := elsewhere[first+" "+words[0].text]; ok {
		e.Hint = what
	}
	return nil, nil, e
}

// elsewhere says where to look for commands that have no options to translate.
var elsewhere = map[string]string{
	"mqttx init": "iotctl profile", "mqttx ls": "iotctl bench --help", "mqttx check": "iotctl version",
	"mqtt shell": "iotctl sub and iotctl pub in two terminals",
	"mqtt swarm": "iotctl bench --help",
}

// imageAt knows images that begin with a tool.
func imageAt(words []token) (*tool, []token, error) {
	name, _, _ := strings.Cut(base(words[0].text), ":")
	tool, ok := map[string]string{"mqtt-cli": "mqtt", "emqtt-bench": "emqtt_bench"}[name]
	if !ok || !strings.Contains(words[0].text, "/") || len(words) < 2 {
		return nil, nil, nil
	}
	return subCommand(names(tool), words[1:])
}
