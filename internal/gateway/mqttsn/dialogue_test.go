package mqttsn

import (
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
//	reload KEY: VALUE           the operator changes a setting
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
	case verb == "reload":
		key, value, ok := strings.Cut(rest, ":")
		if !ok {
			return errors.New("reload KEY: VALUE")
		}
		return p.w.reload(key, strings.TrimSpace(value))
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
