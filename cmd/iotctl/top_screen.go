package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// A screen is the terminal while a view has it: the alternate screen, so that what
// was there comes back, without cursor and without wrapped lines, and keys as they
// are pressed. close gives it back, however the view ends.
type screen struct {
	out   io.Writer
	shown []byte

	once  sync.Once
	keys  *os.File
	saved *term.State
}

const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	cursorHome  = "\x1b[H"
	clearBelow  = "\x1b[J"
)

// openScreen takes the terminal. Keys come from the process's terminal, even when
// standard input is something else.
func openScreen(t *terminal) (*screen, error) {
	if !t.outTTY {
		return nil, errors.New("standard output is no terminal")
	}
	if os.Getenv("TERM") == "dumb" {
		return nil, errors.New("the terminal cannot move its cursor: TERM is dumb")
	}
	keys, err := openKeys()
	if err != nil {
		return nil, fmt.Errorf("keyboard: %w", err)
	}
	s := &screen{out: t.out, keys: keys}
	if err := s.onKeys(func(fd int) (err error) { s.saved, err = term.MakeRaw(fd); return err }); err != nil {
		_ = keys.Close()
		return nil, fmt.Errorf("keyboard: %w", err)
	}
	_, _ = io.WriteString(s.out, enterScreen)
	return s, nil
}

// close gives the terminal back. It may be called more than once.
func (s *screen) close() {
	s.once.Do(func() {
		_, _ = io.WriteString(s.out, leaveScreen)
		_ = s.onKeys(func(fd int) error { return term.Restore(fd, s.saved) })
		_ = s.keys.Close()
	})
}

// onKeys calls fn with the keyboard's descriptor, which Fd would make one whose
// reads cannot be ended.
func (s *screen) onKeys(fn func(fd int) error) error {
	c, err := s.keys.SyscallConn()
	if err != nil {
		return err
	}
	var problem error
	err = c.Control(func(fd uintptr) { problem = fn(int(fd)) })
	return errors.Join(err, problem)
}

// terminalSize is how many cells the terminal behind w has.
func terminalSize(w io.Writer) (width, height int) {
	if f, ok := w.(*os.File); ok {
		width, height, err := term.GetSize(int(f.Fd()))
		if err == nil && width > 0 && height > 0 {
			return width, height
		}
	}
	return 80, 24
}

// draw shows lines from the top; what is shown already is not written again.
func (s *screen) draw(lines []string) error {
	var b bytes.Buffer
	b.WriteString(cursorHome)
	for i, l := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(l)
		b.WriteString(clearRest)
	}
	b.WriteString(clearBelow)
	if bytes.Equal(b.Bytes(), s.shown) {
		return nil
	}
	s.shown = b.Bytes()
	_, err := s.out.Write(s.shown)
	return err
}
