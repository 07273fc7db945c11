package iottext

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/iottext"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/session"
)

// authTimeout bounds one question to the authenticator.
const authTimeout = 10 * time.Second

// identify authorises the client by its unique id, and a password if it has one:
// the id is its user name then.
func (c *client) identify(ctx context.Context, l iottext.Line) error {
	if c.login == nil {
		return told(fmt.Sprintf("you are %q already", c.id))
	}
	if err := checkName(l.ID); err != nil {
		return err
	}
	info := c.Info()
	creds := &auth.Credentials{
		ClientID: string(l.ID), TLS: info.TLS, Listener: info.Listener, Protocol: Protocol,
	}
	if info.Remote.IsValid() {
		creds.Remote = net.TCPAddrFromAddrPort(info.Remote)
	}
	if len(l.Password) > 0 {
		creds.HasUsername, creds.Username = true, creds.ClientID
		creds.HasPassword, creds.Password = true, bytes.Clone(l.Password)
	}
	c.Name(creds.ClientID)
	c.login.waiting, c.login.code = nil, ""
	return c.authenticate(ctx, creds, time.Now())
}

// checkName is iottext.CheckName with an error that the client is told.
func checkName(name []byte) error {
	if err := iottext.CheckName(name); err != nil {
		return told(err.Error())
	}
	return nil
}

// authenticate asks who the client is.
func (c *client) authenticate(ctx context.Context, creds *auth.Credentials, now time.Time) error {
	if c.g.cfg.Authenticator == nil {
		return c.refuse(errors.New("nobody may connect: no authenticator is configured"))
	}
	asking, cancel := context.WithTimeout(ctx, authTimeout)
	defer cancel()
	id, verdict, err := c.g.cfg.Authenticator.Authenticate(asking, *creds)
	var pending *auth.Pending
	switch {
	case errors.As(err, &pending):
		return c.await(creds, pending, now)
	case err != nil:
		c.Log().Error("authentication failed", "err", err)
		return c.refuse(err)
	case verdict != auth.Allow:
		cause := errors.New("the client presents no password")
		if creds.HasPassword {
			cause = fmt.Errorf("user %q: name or password is wrong", creds.Username)
		}
		return c.refuse(cause)
	}
	id.ClientID = creds.ClientID
	return c.accept(ctx, id)
}

// refuse answers an ID that is not let in; all such clients get the same answer.
// err is for the log.
func (c *client) refuse(err error) error {
	c.login.waiting = nil
	if c.login.refused++; c.login.refused < maxRefused {
		c.Refused("login", "", err)
		c.Answered(c.g.bad(c.Answers(), errDenied.Error()))
		return nil
	}
	c.Answered(c.g.bad(c.Answers(), errDenied.Error()))
	return &gateway.End{Why: "auth", Err: fmt.Errorf("%w: %w", errTries, err)}
}

// await keeps a client that waits for an operator, who sees its code. It is told
// once, whatever HideReasons says: the code is for its display.
func (c *client) await(creds *auth.Credentials, p *auth.Pending, now time.Time) error {
	l := c.login
	first := l.waiting == nil
	if first {
		l.extend(now.Add(c.g.cfg.ApprovalTimeout))
	}
	l.waiting, l.askAgain = creds, now.Add(c.g.cfg.ApprovalInterval)
	if first || l.code != p.Code {
		l.code = p.Code
		c.Answered(say(c.Answers(), iottext.Line{Command: iottext.Bad, Reason: []byte(p.Error())}))
	}
	return nil
}

// extend gives a client that waits more time, but once: it may say ID again.
func (l *login) extend(until time.Time) {
	if !l.extended {
		l.extended, l.until = true, until
	}
}

// askOperator looks whether the operator has decided.
func (c *client) askOperator(ctx context.Context, now time.Time) error {
	err := c.authenticate(ctx, c.login.waiting, now)
	var end *gateway.End
	if err == nil || errors.As(err, &end) {
		return err
	}
	return c.bad(err)
}

// accept attaches the client to a new session and subscribes it to what is sent
// to its id.
func (c *client) accept(ctx context.Context, id auth.Identity) error {
	link, _, err := c.Broker().Attach(ctx, id, broker.SessionOptions{
		ClientID:   gateway.SessionID(Protocol, id.ClientID, c.g.cfg.ShareClientRegistry),
		CleanStart: true,
		Window:     session.Window{Fits: c.fits},
	}, c)
	if err != nil {
		c.login.waiting = nil
		return err
	}
	c.id = id.ClientID
	// OK leaves with the answers before it, when all of them have been done.
	if err := c.Accept(link, nil); err != nil {
		return err
	}
	c.login = nil
	c.ok()
	inbox := string(c.g.inbox(nil, []byte(c.id)))
	if g := link.Subscribe([]broker.Subscription{{Filter: inbox}})[0]; g.Err != nil {
		c.Refused("subscription", inbox, g.Err) // nobody can send to it; the rest works
	}
	c.Ready()
	c.Log().Debug("client connected", "user", cmp.Or(id.Name, "-"))
	return nil
}
