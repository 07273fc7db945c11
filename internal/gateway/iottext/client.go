package iottext

import (
	"context"
	"errors"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/codec/iottext"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/transport"
)

// What a client may get wrong before it is authorised.
const (
	maxStrange = 10 // lines
	maxRefused = 3  // tries of ID
)

// client is one connection. All but g and what gateway.Conn says belongs to its
// goroutine.
type client struct {
	gateway.Conn
	g  *Gateway
	id string

	vars  map[string]struct{} // that it is subscribed to; nil for none
	topic []byte              // scratch

	silence int       // HELLO? in a row without a sign of life
	said    time.Time // the last of them
	owed    int       // HELLO! that are answers to come
	login   *login    // nil when it has been accepted
}

// login is the way there.
type login struct {
	until    time.Time         // the end of patience
	extended bool              // for the operator
	strange  int               // lines that were not understood, or too early
	refused  int               // tries of ID
	waiting  *auth.Credentials // for an operator; nil: nobody waits
	code     string            // that the client has been told
	askAgain time.Time
}

// Opened implements gateway.Opener.
func (c *client) Opened(context.Context) error {
	c.login = &login{until: time.Now().Add(c.g.cfg.ConnectTimeout)}
	return nil
}

// Data implements gateway.Client.
func (c *client) Data(ctx context.Context, data []byte) (rest []byte, want int, err error) {
	c.silence = 0
	if c.login != nil {
		if other := transport.Sniff(data); other != "" {
			return nil, 0, &gateway.End{Why: "protocol", Err: told("this is a port for text, and what came seems to be " + other)}
		}
	}
	for len(data) > 0 {
		line, n, err := iottext.Frame(data, c.g.cfg.MaxLineBytes)
		if errors.Is(err, iottext.ErrShort) {
			break
		}
		if err != nil {
			return nil, 0, &gateway.End{Why: "protocol", Err: err}
		}
		if err := c.line(ctx, line); err != nil {
			return nil, 0, err
		}
		data = data[n:]
	}
	return data, 0, nil
}

// line works off one line.
func (c *client) line(ctx context.Context, text []byte) error {
	if iottext.Blank(text) {
		return nil
	}
	l, err := iottext.Parse(text, iottext.Client)
	if err == nil {
		err = c.command(ctx, l)
	}
	if err == nil {
		return nil
	}
	var end *gateway.End
	if errors.As(err, &end) {
		return end
	}
	return c.bad(err)
}

// bad answers a line that has not been done.
func (c *client) bad(err error) error {
	c.Answered(c.g.bad(c.Answers(), reasonOf(err)))
	if c.login == nil {
		return nil
	}
	if c.login.strange++; c.login.strange >= maxStrange {
		return &gateway.End{Why: "protocol", Err: errStrange}
	}
	return nil
}

var okLine = say(nil, iottext.Line{Command: iottext.OK})

func (c *client) ok() { c.Answer(okLine) }

// command does what a line says, and answers when it is done.
func (c *client) command(ctx context.Context, l iottext.Line) error {
	switch l.Command {
	case iottext.Hello:
		if c.owed > 0 { // it is an answer itself
			c.owed--
			return nil
		}
		c.ok()
		return nil
	case iottext.ID:
		return c.identify(ctx, l)
	case iottext.Close:
		c.Farewell().Abnormal = false
		return bye
	}
	if c.login != nil {
		return errFirstID
	}
	switch l.Command {
	case iottext.Pub:
		return c.publish(l)
	case iottext.Del:
		return c.remove(l)
	case iottext.Msg:
		return c.message(l)
	case iottext.Sub:
		return c.subscribe(l)
	case iottext.Unsub:
		return c.unsubscribe(l)
	default: // UnsubAll: the parser knows no other command of clients
		return c.unsubscribeAll()
	}
}

// Deadline implements gateway.Watch: silence, and before the client has been
// accepted the end of patience and the next look at what the operator says.
func (c *client) Deadline(lastRead time.Time) time.Time {
	at := c.heard(lastRead).Add(c.g.cfg.HelloInterval)
	if l := c.login; l != nil {
		at = earlier(at, l.until)
		if l.waiting != nil {
			at = earlier(at, l.askAgain)
		}
	}
	return at
}

// heard is when the silence began that is to be broken next.
func (c *client) heard(lastRead time.Time) time.Time {
	if c.said.After(lastRead) {
		return c.said
	}
	return lastRead
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Expired implements gateway.Watch.
func (c *client) Expired(ctx context.Context) error {
	now := time.Now()
	if l := c.login; l != nil {
		if !now.Before(l.until) {
			return &gateway.End{Why: "connect-timeout", Err: errLate}
		}
		if l.waiting != nil && !now.Before(l.askAgain) {
			if err := c.askOperator(ctx, now); err != nil {
				return err
			}
		}
	}
	if now.Sub(c.heard(c.LastRead())) < c.g.cfg.HelloInterval {
		return nil
	}
	if c.silence >= c.g.cfg.HelloUnanswered {
		return &gateway.End{Why: "keepalive", Err: gateway.ErrKeepAlive}
	}
	c.silence++
	c.owed++
	c.said = now
	c.Answer(askLine)
	return nil
}

var askLine = say(nil, iottext.Line{Command: iottext.Ask})

// LastWords implements gateway.Client.
func (c *client) LastWords(e *gateway.End) []byte { return c.g.farewell(nil, reasonOf(e.Err)) }
