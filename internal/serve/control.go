package serve

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// A server that has a control socket does what it is asked there by programs
// of the same user or of root: one request and one answer per connection, each
// a line of JSON.
//
//	{"command":"store.backup","arguments":{"to":"/backups/monday"}}
//	{"answer":{"files":12}}
//	{"error":"what went wrong"}
//
// A request is MaxRequestBytes at most and has controlTimeout to arrive, an
// answer is MaxAnswerBytes at most. A client that hangs up, or closes its half of
// the connection before it has the answer, takes its request back. Who wants to add a command writes NewCommand into the table of the
// program (Builtin.Commands) and calls it with Call.
//
// The socket is a file with mode 0600. Where the system tells who is at the
// other end, others are turned away although they may have got past that.

// Bounds of the control socket.
const (
	MaxRequestBytes = 64 << 10
	MaxAnswerBytes  = 4 << 20

	controlTimeout  = 10 * time.Second // for a request to arrive, and an answer to be taken
	controlRequests = 16               // at a time
)

// Command is an entry of the table: something that a running server does when
// it is asked to on its control socket.
type Command struct {
	Name string // "store.backup"
	run  func(context.Context, *Server, json.RawMessage) (any, error)
}

// NewCommand makes an entry. run is called for each request, from several
// goroutines at a time; its context ends when the client has gone or the
// server ends. Q and A have the form of arguments and answer in JSON.
func NewCommand[Q, A any](name string, run func(context.Context, *Server, Q) (A, error)) Command {
	return Command{Name: name, run: func(ctx context.Context, s *Server, raw json.RawMessage) (any, error) {
		var q Q
		if len(raw) > 0 {
			dec := json.NewDecoder(bytes.NewReader(raw))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&q); err != nil {
				return nil, fmt.Errorf("arguments of %s: %w", name, err)
			}
		}
		return run(ctx, s, q)
	}}
}

type controlRequest struct {
	Command   string          `json:"command"`
	Arguments json.RawMessage `json:"arguments,omitempty"`
}

type controlAnswer struct {
	Answer json.RawMessage `json:"answer,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// control serves the control socket of a server.
type control struct {
	server *Server
	path   string
	l      *net.UnixListener
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// openControl opens the control socket of s. The caller has made sure that no
// other server has a right to that path.
func (s *Server) openControl(ctx context.Context, path string) (*control, error) {
	l, err := listenControl(path)
	if err != nil {
		return nil, err
	}
	c := &control{server: s, path: path, l: l}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.wg.Go(c.accept)
	return c, nil
}

// close ends all requests and returns when the last has ended. nil has none.
func (c *control) close() {
	if c == nil {
		return
	}
	c.cancel()
	_ = os.Remove(c.path) // before Close: afterwards another server may have put its own there
	_ = c.l.Close()
	c.wg.Wait()
}

func (c *control) accept() {
	room := make(chan struct{}, controlRequests)
	for {
		room <- struct{}{}
		nc, err := c.l.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			c.server.log.Warn("control socket", "err", err)
			select { // too many open files, for one: do not turn in circles
			case <-c.ctx.Done():
			case <-time.After(time.Second):
			}
			<-room
			continue
		}
		c.wg.Go(func() {
			defer func() { <-room }()
			defer nc.Close()
			c.serve(nc)
		})
	}
}

// serve answers the request of one connection.
func (c *control) serve(nc *net.UnixConn) {
	stop := context.AfterFunc(c.ctx, func() { _ = nc.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = nc.SetReadDeadline(time.Now().Add(controlTimeout))
	if c.ctx.Err() != nil {
		return
	}
	answer, err := c.answer(nc)
	line := encodeAnswer(answer, err)
	_ = nc.SetWriteDeadline(time.Now().Add(controlTimeout))
	if _, err := nc.Write(line); err != nil {
		c.server.log.Debug("control socket: answer not taken", "err", err)
	}
}

func (c *control) answer(nc *net.UnixConn) (any, error) {
	if err := checkPeer(nc); err != nil {
		c.server.log.Warn("control socket: refused", "err", err)
		return nil, err
	}
	line, err := readLine(nc, MaxRequestBytes)
	if err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	var q controlRequest
	if err := json.Unmarshal(line, &q); err != nil {
		return nil, fmt.Errorf("the request is no JSON object with a command: %w", err)
	}
	for _, cmd := range c.server.started.Builtin.Commands {
		if cmd.Name == q.Command {
			ctx, hungUp := c.untilHangup(nc)
			defer hungUp()
			return cmd.run(ctx, c.server, q.Arguments)
		}
	}
	return nil, fmt.Errorf("the broker knows no command %q: is it of another version?", q.Command)
}

// untilHangup returns a context that ends with the connection or the server.
// The function it returns must be called.
func (c *control) untilHangup(nc *net.UnixConn) (context.Context, func()) {
	ctx, cancel := context.WithCancel(c.ctx)
	_ = nc.SetReadDeadline(time.Time{})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = nc.Read(make([]byte, 1)) // there is nothing more to come
		cancel()
	}()
	return ctx, func() {
		cancel()
		_ = nc.SetReadDeadline(time.Unix(1, 0))
		<-gone
	}
}

func encodeAnswer(answer any, err error) []byte {
	var a controlAnswer
	if err == nil {
		a.Answer, err = json.Marshal(answer)
	}
	if err == nil && len(a.Answer) > MaxAnswerBytes {
		err = fmt.Errorf("the answer has %d bytes, more than %d", len(a.Answer), MaxAnswerBytes)
	}
	if err != nil {
		a = controlAnswer{Error: err.Error()}
	}
	line, _ := json.Marshal(a) // of a string or of JSON
	return append(line, '\n')
}

var errLongLine = errors.New("the line is too long")

// readLine reads up to the first newline, at most limit bytes.
func readLine(nc net.Conn, limit int) ([]byte, error) {
	r := bufio.NewReader(nc)
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return nil, errLongLine
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// ErrNoServer is what Call returns when nobody listens on the socket.
var ErrNoServer = errors.New("no server answers there")

// CommandError is an error that the server has answered with.
type CommandError struct{ Text string }

// Error implements error.
func (e *CommandError) Error() string { return e.Text }

// Call sends one request to the control socket at path, waits for the answer
// and decodes it into answer, unless that is nil.
func Call(ctx context.Context, path, command string, arguments, answer any) error {
	nc, err := dialControl(ctx, path)
	if err != nil {
		return err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := json.Marshal(arguments)
	if err != nil {
		return err
	}
	line, err := json.Marshal(controlRequest{Command: command, Arguments: raw})
	if err != nil {
		return err
	}
	if _, err = nc.Write(append(line, '\n')); err == nil {
		line, err = readLine(nc, MaxAnswerBytes+MaxRequestBytes)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var a controlAnswer
	if err == nil {
		err = json.Unmarshal(line, &a)
	}
	switch {
	case err != nil:
		return fmt.Errorf("ask the broker at %s: %w", path, err)
	case a.Error != "":
		return &CommandError{Text: a.Error}
	case answer == nil:
		return nil
	}
	return json.Unmarshal(a.Answer, answer)
}
