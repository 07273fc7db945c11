package mqttsn

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A dialogue is a script of lines. What the gateway sends, and what reaches the
// MQTT side, has to be in it, all of it and in this order.
//
//	config KEY: VALUE           of the gateway; before anything else
//	use NAME                    the lines of setup/NAME.txt
//	C[@PEER] BYTES              a client sends a datagram; PEER is a letter (a host, of a if
//	                            left out) and perhaps a digit (another port of it)
//	G[@PEER] BYTES              exactly this comes to the client
//	G?[@PEER] BYTES             this may come
//	G -                         nothing has come
//	publish TOPIC QOS TEXT [retain]   by the MQTT side
//	seen TOPIC QOS TEXT [retain]      at the MQTT side, subscribed to everything; seen -: nothing;
//	                            seen?: something, perhaps
//	deny ACTION TOPIC           the broker refuses publish, subscribe or receive
//	refuse ID                   the authenticator refuses this client
//	advance 1.5s                time passes
//	restart                     the process is killed, another goes on with its store
//	full, room                  the store has no room, or has again
//	fail, mend                  it takes nothing, or does again
//	count NAME N                a counter has risen by so much since the last line like this
//	dropped N                   so many datagrams were dropped since the client's last, with it
//	sessions N                  that the broker has
//	clients N                   that the gateway has
//
// BYTES are hexadecimal digits, "text", and $name: two bytes that the gateway
// chooses, bound where it is seen first and compared afterwards; 20/a0 is either. With the name of a
// message at the start, its length and type come by themselves; | puts an envelope
// around what follows. # begins a comment, == the next dialogue of a file.
type dialogue struct {
	name  string
	lines []scriptLine
}

type scriptLine struct {
	at   string // file:line
	text string
}

// readDialogues reads the scripts of one file.
func readDialogues(file string) ([]dialogue, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []dialogue
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(uncomment(line))
		if name, ok := strings.CutPrefix(line, "== "); ok {
			all = append(all, dialogue{name: strings.TrimSpace(name)})
			continue
		}
		if line == "" {
			continue
		}
		at := fmt.Sprintf("%s:%d", filepath.Base(file), i+1)
		if len(all) == 0 {
			return nil, fmt.Errorf("%s: a line before the first ==", at)
		}
		d := &all[len(all)-1]
		d.lines = append(d.lines, scriptLine{at, line})
	}
	return all, nil
}

// uncomment cuts what follows a # that is not in quotes.
func uncomment(line string) string {
	quoted := false
	for i, c := range line {
		switch {
		case c == '"':
			quoted = !quoted
		case c == '#' && !quoted:
			return line[:i]
		}
	}
	return line
}

func TestDialogues(t *testing.T) {
	root := filepath.Join("testdata", "dialogues")
	files, err := filepath.Glob(filepath.Join(root, "*", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		if filepath.Base(filepath.Dir(file)) == "setup" {
			continue
		}
		all, err := readDialogues(file)
		if err != nil {
			t.Fatal(err)
		}
		rel, _ := filepath.Rel(root, file)
		for _, d := range all {
			t.Run(strings.TrimSuffix(rel, ".txt")+"/"+d.name, func(t *testing.T) { play(t, d) })
		}
	}
}

// player acts a dialogue out.
type player struct {
	t      *testing.T
	w      *world
	config map[string]string
	bound  map[string][2]byte
	told   []string // for people
	last   string   // what was made to happen last
}

func play(t *testing.T, d dialogue) {
	t.Helper()
	p := &player{t: t, config: map[string]string{}, bound: map[string][2]byte{}}
	p.run(d.lines)
	if p.w != nil {
		p.settled("at the end")
	}
}

func (p *player) run(lines []scriptLine) {
	p.t.Helper()
	for _, l := range lines {
		p.told = append(p.told, "  "+l.at+"  "+l.text)
		if err := p.step(l.text); err != nil {
			p.fail(l.at, err)
		}
	}
}

// fail ends the test with everything that was said so far.
func (p *player) fail(at string, err error) {
	p.t.Helper()
	p.t.Fatalf("%s: %v\n%s", at, err, strings.Join(p.told, "\n"))
}

// step plays one line.
func (p *player) step(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	verb, peer, _ := strings.Cut(verb, "@")
	switch verb {
	case "config":
		if p.w != nil {
			return errors.New("config comes first")
		}
		key, value, ok := strings.Cut(rest, ":")
		if !ok {
			return errors.New("config KEY: VALUE")
		}
		p.config[key] = strings.TrimSpace(value)
		return nil
	case "use":
		all, err := readDialogues(filepath.Join("testdata", "dialogues", "setup", rest+".txt"))
		if err != nil {
			return err
		}
		for _, d := range all {
			p.run(d.lines)
		}
		return nil
	}
	if p.w == nil {
		p.w = newWorld(p.t, p.config)
	}
	switch verb {
	case "G", "G?":
		p.last = verb
		return p.gateway(peer, rest, verb == "G?")
	case "seen", "seen?":
		return p.seen(rest, verb == "seen?")
	case "count", "dropped", "sessions", "clients":
		return p.numbers(verb, rest)
	}
	if verb != "publish" || p.last != "publish" {
		p.settled("before " + line)
	}
	p.last = verb
	return p.stimulate(verb, peer, rest)
}

// stimulate makes something happen.
func (p *player) stimulate(verb, peer, rest string) error {
	words, err := splitWords(rest)
	if err != nil {
		return err
	}
	switch {
	case verb == "C":
		b, err := p.bytes(rest)
		if err != nil {
			return err
		}
		p.told[len(p.told)-1] += "   " + explain(b, false)
		p.w.dropped()
		p.w.receive(peerAddress(peer), b)
	case verb == "publish" && (len(words) == 3 || len(words) == 4 && words[3] == "retain"):
		qos, err := strconv.Atoi(words[1])
		if err != nil {
			return err
		}
		return p.w.mqtt.publish(words[0], byte(qos), words[2], len(words) == 4)
	case verb == "advance" && len(words) == 1:
		d, err := time.ParseDuration(words[0])
		if err != nil {
			return err
		}
		p.w.advance(d)
	case verb == "restart":
		p.w.restart()
	case verb == "full", verb == "room":
		p.w.store.full = verb == "full"
	case verb == "fail":
		p.w.store.err = errors.New("the disk is gone")
	case verb == "mend":
		p.w.store.err = nil
	case verb == "deny" && len(words) == 2:
		p.w.rules.deny(words[0], words[1])
	case verb == "refuse" && len(words) == 1:
		p.w.door.refuse(words[0])
	default:
		return fmt.Errorf("no such line: %s", verb)
	}
	return nil
}

// gateway compares the next datagram to a peer.
func (p *player) gateway(peer, rest string, optional bool) error {
	if rest == "-" {
		p.settled("where nothing was expected")
		return nil
	}
	to := peerAddress(peer)
	want, err := p.pattern(rest)
	if err != nil {
		return err
	}
	b, ok := p.w.air.next(to)
	if !ok {
		if optional {
			return nil
		}
		return errors.New("nothing comes")
	}
	if err := p.match(want, b); err != nil {
		if optional {
			p.w.air.back(to, b)
			return nil
		}
		return fmt.Errorf("%w\n  got  %x   %s\n  want %s", err, b, explain(b, true), rest)
	}
	p.told[len(p.told)-1] += "   " + explain(b, true)
	return nil
}

func (p *player) seen(rest string, optional bool) error {
	if optional {
		p.w.mqtt.next()
		return nil
	}
	got, ok := p.w.mqtt.next()
	if rest == "-" {
		if ok {
			return fmt.Errorf("the MQTT side got %s", got)
		}
		return nil
	}
	words, err := splitWords(rest)
	if err != nil {
		return err
	}
	if want := strings.Join(words, " "); !ok || got != want {
		return fmt.Errorf("the MQTT side got %q, want %q", got, want)
	}
	return nil
}

func (p *player) numbers(verb, rest string) error {
	words := strings.Fields(rest)
	want, err := strconv.Atoi(words[len(words)-1])
	if err != nil {
		return err
	}
	var got int
	switch verb {
	case "count":
		got = p.w.risen(words[0])
	case "dropped":
		got = p.w.dropped()
	case "sessions":
		got = p.w.sessions()
	case "clients":
		got = p.w.clients()
	}
	if got != want {
		return fmt.Errorf("%s %s: %d, want %d", verb, rest, got, want)
	}
	return nil
}

// settled wants nothing to be left of what the gateway has sent.
func (p *player) settled(when string) {
	p.t.Helper()
	var left []string
	for _, d := range p.w.air.queue {
		left = append(left, fmt.Sprintf("  to %s: %x   %s", d.Addr, d.Data, explain(d.Data, true)))
	}
	for m, ok := p.w.mqtt.next(); ok; m, ok = p.w.mqtt.next() {
		left = append(left, "  seen "+m)
	}
	if len(left) > 0 {
		p.fail(when, fmt.Errorf("this came, too:\n%s", strings.Join(left, "\n")))
	}
}

// splitWords splits at blanks that are not in quotes. A*3 is AAA.
func splitWords(s string) ([]string, error) {
	var words []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if s[0] == '"' {
			end := strings.IndexByte(s[1:], '"')
			if end < 0 {
				return nil, errors.New("a quote without an end")
			}
			words = append(words, s[1:1+end])
			s = s[2+end:]
			continue
		}
		w, rest, _ := strings.Cut(s, " ")
		if len(w) > 2 && w[1] == '*' {
			if n, err := strconv.Atoi(w[2:]); err == nil {
				w = strings.Repeat(w[:1], n)
			}
		}
		words, s = append(words, w), rest
	}
	return words, nil
}

// octet of a pattern: a value, or a part of a variable.
type octet struct {
	value, other byte   // either will do
	name         string // of a variable; index says which half
	index        int
}

// pattern reads BYTES.
func (p *player) pattern(s string) ([]octet, error) {
	head, rest, enveloped := strings.Cut(s, "|")
	if enveloped {
		outer, err := p.pattern(head)
		if err != nil {
			return nil, err
		}
		inner, err := p.pattern(rest)
		return append(outer, inner...), err
	}
	var out []octet
	name, rest, _ := strings.Cut(strings.TrimSpace(s), " ")
	kind, named := messageTypes[name]
	if !named {
		rest = s
	}
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		switch {
		case rest[0] == '"':
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				return nil, errors.New("a quote without an end")
			}
			for _, c := range []byte(rest[1 : 1+end]) {
				out = append(out, octet{value: c, other: c})
			}
			rest = rest[2+end:]
		case rest[0] == '$':
			word, after, _ := strings.Cut(rest, " ")
			out = append(out, octet{name: word, index: 0}, octet{name: word, index: 1})
			rest = after
		default:
			word, after, _ := strings.Cut(rest, " ")
			word, other, either := strings.Cut(word, "/")
			word, times, repeated := strings.Cut(word, "*")
			b, err := hex.DecodeString(word)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", word, err)
			}
			n := 1
			if repeated {
				if n, err = strconv.Atoi(times); err != nil {
					return nil, err
				}
			}
			for range n {
				for _, c := range b {
					out = append(out, octet{value: c, other: c})
				}
			}
			if either {
				v, err := hex.DecodeString(other)
				if err != nil || len(v) != 1 || len(b) != 1 {
					return nil, fmt.Errorf("%q is no alternative to %q", other, word)
				}
				out[len(out)-1].other = v[0]
			}
			rest = after
		}
	}
	if !named {
		return out, nil
	}
	if n := len(out) + 2; n <= 255 {
		return append(octets(byte(n), kind), out...), nil
	}
	n := len(out) + 4
	return append(octets(1, byte(n>>8), byte(n), kind), out...), nil
}

func octets(b ...byte) []octet {
	out := make([]octet, len(b))
	for i, c := range b {
		out[i] = octet{value: c, other: c}
	}
	return out
}

// bytes is a pattern whose variables are bound.
func (p *player) bytes(s string) ([]byte, error) {
	pattern, err := p.pattern(s)
	if err != nil {
		return nil, err
	}
	b := make([]byte, len(pattern))
	for i, o := range pattern {
		b[i] = o.value
		if o.name != "" {
			v, ok := p.bound[o.name]
			if !ok {
				return nil, fmt.Errorf("%s has not been seen yet", o.name)
			}
			b[i] = v[o.index]
		}
	}
	return b, nil
}

// match compares, and binds the variables that are seen for the first time.
func (p *player) match(want []octet, got []byte) error {
	if len(want) != len(got) {
		return fmt.Errorf("%d bytes, want %d", len(got), len(want))
	}
	news := map[string][2]byte{}
	for i, o := range want {
		value, other := o.value, o.other
		if o.name != "" {
			v, ok := p.bound[o.name]
			if !ok {
				if o.index == 0 {
					news[o.name] = [2]byte{got[i], got[i+1]}
				}
				v = news[o.name]
			}
			value, other = v[o.index], v[o.index]
		}
		if got[i] != value && got[i] != other {
			return fmt.Errorf("byte %d is %02x, want %02x", i, got[i], value)
		}
	}
	for name, v := range news {
		if v == [2]byte{} {
			return fmt.Errorf("%s is 0", name)
		}
		p.bound[name] = v
	}
	return nil
}
