package iottext

import (
	"bytes"
	"fmt"
	"iter"
)

// Lengths of a line in bytes, its line feed included.
const (
	DefaultLine = 4 << 10
	MaxLine     = 64 << 10
)

// Line is one line. Which of its values are used depends on Command and From;
// they are as meant, without escapes.
type Line struct {
	From     Side // Client or Server
	Command  Command
	Variable []byte // Sub, Unsub, Pub, Del
	Value    []byte // Pub, Msg; Sub from the server
	Device   []byte // Msg: to whom, and from the server: by whom
	ID       []byte // ID
	Password []byte // ID, optional
	Reason   []byte // Bad, Close; optional
	Time     []byte // Sub and Msg from the server, optional: of publication, RFC 3339
}

func (l *Line) at(k key) *[]byte {
	switch k {
	case keyVariable:
		return &l.Variable
	case keyValue:
		return &l.Value
	case keyDevice:
		return &l.Device
	case keyID:
		return &l.ID
	case keyPassword:
		return &l.Password
	case keyReason:
		return &l.Reason
	default:
		return &l.Time
	}
}

// Frame returns the first line in b without its line end, and how many bytes it
// takes with it. It returns ErrShort while b holds no line feed, and a
// *Malformed when there is none within limit bytes; 0 is MaxLine.
func Frame(b []byte, limit int) (line []byte, n int, err error) {
	if limit <= 0 || limit > MaxLine {
		limit = MaxLine
	}
	at := bytes.IndexByte(b[:min(len(b), limit)], '\n')
	switch {
	case at >= 0:
		line = b[:at]
		if at > 0 && line[at-1] == '\r' {
			line = line[:at-1]
		}
		return line, at + 1, nil
	case len(b) >= limit:
		return nil, 0, malformed(limit-1, "the line is longer than %d bytes", limit)
	}
	return nil, 0, ErrShort
}

// Blank reports whether a line says nothing: somebody has pressed return.
func Blank(line []byte) bool { return len(trim(line)) == 0 }

// Parse reads a line that from has said, without its line end. Its values alias
// line where they hold no escape.
func Parse(line []byte, from Side) (Line, error) {
	if err := checkText(line); err != nil {
		return Line{}, err
	}
	var l Line
	var have keySet
	started, ended := false, false
	for at, piece := range Pieces(line) {
		switch {
		case !started:
			if !equalFold(piece, "START") {
				return l, malformed(at, "a line begins with START and a bar")
			}
			started = true
		case len(piece) == 0:
		case ended:
			return l, malformed(at, "%q stands behind the closing word", clip(piece))
		case equalFold(piece, "END"):
			ended = true
		default:
			if err := l.field(piece, at, &have); err != nil {
				return l, err
			}
		}
	}
	switch {
	case !ended:
		return l, malformed(len(line), "the line is cut short: behind its last bar stands the closing word")
	case l.Command == 0:
		return l, malformed(len(line), "COMMAND is missing")
	}
	return l, l.conform(from, have, len(line))
}

// checkText refuses bytes that are no text.
func checkText(line []byte) error {
	for i, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return malformed(i, "byte 0x%02x is a control character, and no text", c)
		}
	}
	return nil
}

// Pieces yields what stands between the bars of a line, without spaces around
// it, and where in the line it begins.
func Pieces(line []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for from := 0; from >= 0; {
			end, next := len(line), -1
			if bar := bytes.IndexByte(line[from:], '|'); bar >= 0 {
				end, next = from+bar, from+bar+1
			}
			for from < end && isSpace(line[from]) {
				from++
			}
			for end > from && isSpace(line[end-1]) {
				end--
			}
			if !yield(from, line[from:end:end]) {
				return
			}
			from = next
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

func trim(b []byte) []byte {
	for len(b) > 0 && (isSpace(b[0]) || b[0] == '\r') {
		b = b[1:]
	}
	for len(b) > 0 && (isSpace(b[len(b)-1]) || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return b
}

// equalFold compares with a word in capitals.
func equalFold(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// field takes one KEY=VALUE.
func (l *Line) field(piece []byte, at int, have *keySet) error {
	name, text, ok := bytes.Cut(piece, []byte{'='})
	if !ok {
		return malformed(at, "%q is no field such as VALUE=21.5; a bar in a value is written \\x7c", clip(piece))
	}
	name, text = trim(name), trim(text)
	for i := range keyNames {
		k := key(i)
		if !equalFold(name, keyNames[k]) {
			continue
		}
		if have.has(k) {
			return malformed(at, "%s is there twice", keyNames[k])
		}
		*have |= setOf(k)
		if k != keyCommand {
			*l.at(k) = Value(text)
			return nil
		}
		return l.command(text, at)
	}
	return nil
}

func (l *Line) command(text []byte, at int) error {
	for c := Hello; int(c) < len(commandNames); c++ {
		if equalFold(text, commandNames[c]) {
			l.Command = c
			return nil
		}
	}
	return malformed(at, "COMMAND %q is not known", clip(text))
}

// conform compares the line with the form of its command, and drops what that
// does not take.
func (l *Line) conform(from Side, have keySet, end int) error {
	f := formOf(l.Command, from, have)
	if f == nil {
		return malformed(end, "%v is not for the %v to say", l.Command, from)
	}
	if k := f.missing(have); k != keyCommand {
		return malformed(end, "%v needs %s", l.Command, keyNames[k])
	}
	l.From = f.from
	for k := keyVariable; k < keyCommand; k++ {
		if have.has(k) && !f.takes().has(k) {
			*l.at(k) = nil
		}
	}
	return nil
}

const (
	head = "START | COMMAND="
	tail = " | END\n"
)

// Append appends the line with its line feed. On error, which is a combination
// of Command and From that there is not, dst is returned as it was given. How
// long the line becomes is for the caller to ask Size before.
func (l Line) Append(dst []byte) ([]byte, error) {
	f := l.form()
	if f == nil {
		return dst, fmt.Errorf("append line: %v is not for the %v to say", l.Command, l.From)
	}
	dst = append(dst, head...)
	dst = append(dst, commandNames[l.Command]...)
	for _, k := range f.needs {
		dst = appendField(dst, k, *l.at(k))
	}
	for _, k := range f.may {
		if v := *l.at(k); len(v) > 0 {
			dst = appendField(dst, k, v)
		}
	}
	return append(dst, tail...), nil
}

func (l *Line) form() *form {
	if l.From != Client && l.From != Server {
		return nil
	}
	return formOf(l.Command, l.From, 0)
}

func appendField(dst []byte, k key, value []byte) []byte {
	dst = append(dst, " | "...)
	dst = append(dst, keyNames[k]...)
	dst = append(dst, '=')
	return AppendValue(dst, value)
}

// Size is the exact number of bytes that Append adds, 0 where it refuses.
func (l Line) Size() int {
	f := l.form()
	if f == nil {
		return 0
	}
	n := len(head) + len(commandNames[l.Command]) + len(tail)
	for _, k := range f.needs {
		n += len(" | =") + len(keyNames[k]) + ValueSize(*l.at(k))
	}
	for _, k := range f.may {
		if v := *l.at(k); len(v) > 0 {
			n += len(" | =") + len(keyNames[k]) + ValueSize(v)
		}
	}
	return n
}
