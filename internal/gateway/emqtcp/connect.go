package emqtcp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/emqtcp"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/router"
	"github.com/iotctl/iotctl/internal/session"
)

// Messages of CONNACK beside those of the codec.
const (
	messageBadName     = "invalid client id"
	messageBadUser     = "invalid user name"
	messageUnavailable = "server unavailable"
)

// refuse ends the connection with a CONNACK. err is for the log.
func refuse(code emqtcp.AckCode, text, why string, err error) error {
	last, aerr := emqtcp.Connack{Code: code, Message: text}.Append(nil)
	return &gateway.End{Why: why, Err: errors.Join(err, aerr), Last: last}
}

// connect handles the first frame.
func (c *client) connect(ctx context.Context, h emqtcp.Header, body []byte) error {
	p, err := emqtcp.ParseConnect(body, h.Flags, &c.g.opts)
	if m := (*emqtcp.Malformed)(nil); errors.As(err, &m) && m.Code == emqtcp.IllegalVersion {
		return refuse(m.Code, emqtcp.MessageIllegalVersion, "version", err)
	}
	if err != nil {
		return broken(err)
	}
	c.Name(p.ClientID)
	if err := c.g.checkNames(&p); err != nil {
		return err
	}
	id, err := c.authenticate(ctx, &p)
	if err != nil {
		return err
	}
	up, dn, err := c.g.topics(&p, &id)
	if err != nil {
		return err
	}
	return c.accept(ctx, &p, id, up, dn)
}

// checkNames refuses what a device calls itself: a wildcard would give it the
// downlinks of others.
func (g *Gateway) checkNames(p *emqtcp.Connect) error {
	if err := g.checkName(p.ClientID); err != nil {
		return refuse(emqtcp.AuthFailed, messageBadName, "client-id", fmt.Errorf("client identifier %.64q %w", p.ClientID, err))
	}
	if err := g.checkName(p.Username); p.Username != "" && err != nil {
		return refuse(emqtcp.AuthFailed, messageBadUser, "client-id", fmt.Errorf("user name %.64q %w", p.Username, err))
	}
	return nil
}

// topics returns those of a device. The user in them is whom it has named, or
// else who it has turned out to be, by its certificate or an approval.
func (g *Gateway) topics(p *emqtcp.Connect, id *auth.Identity) (up, dn string, err error) {
	user := p.Username
	if user == "" && strings.Contains(g.cfg.UpTopic+g.cfg.DnTopic, "%u") {
		if id.Name == "" {
			return "", "", refuse(emqtcp.AuthFailed, messageBadUser, "client-id", errors.New("the topics hold %u and the device names no user"))
		}
		if err := g.checkName(id.Name); err != nil {
			return "", "", refuse(emqtcp.AuthFailed, messageBadUser, "client-id", fmt.Errorf("the topics hold %%u, and the name %.64q %w", id.Name, err))
		}
		user = id.Name
	}
	up, dn = expand(g.cfg.UpTopic, p.ClientID, user), expand(g.cfg.DnTopic, p.ClientID, user)
	if err := errors.Join(router.ValidateName(up), checkFilter(dn)); err != nil { // too long, or too deep
		return "", "", refuse(emqtcp.AuthFailed, messageBadName, "client-id", err)
	}
	return up, dn, nil
}

// checkName says what keeps a name, which is UTF-8 without NUL, out of topics.
func (g *Gateway) checkName(s string) error {
	switch {
	case s == "":
		return errors.New("is empty")
	case strings.ContainsAny(s, "+#"):
		return errors.New("holds a wildcard of topics")
	case s[0] == '$':
		return errors.New("begins with $")
	case g.cfg.RefuseSlash && strings.Contains(s, "/"):
		return errors.New("holds a slash, which refuse_slash forbids")
	}
	return nil
}

// authenticate asks who the device is. Nothing of any session has been touched
// before the answer.
func (c *client) authenticate(ctx context.Context, p *emqtcp.Connect) (auth.Identity, error) {
	denied := func(text, why string, err error) (auth.Identity, error) {
		return auth.Identity{}, refuse(emqtcp.AuthFailed, text, why, err)
	}
	if c.g.cfg.Authenticator == nil {
		return denied(emqtcp.MessageAuthFailed, "auth", errors.New("nobody may connect: no authenticator is configured"))
	}
	info := c.Info()
	creds := auth.Credentials{
		ClientID: p.ClientID, HasUsername: p.Username != "", Username: p.Username,
		HasPassword: p.HasPassword, Password: append([]byte(nil), p.Password...),
		TLS: info.TLS, Listener: info.Listener, Protocol: Protocol,
	}
	if info.Remote.IsValid() {
		creds.Remote = net.TCPAddrFromAddrPort(info.Remote)
	}
	ctx, cancel := context.WithTimeout(ctx, c.g.cfg.IdleTimeout)
	defer cancel()
	id, verdict, err := c.g.cfg.Authenticator.Authenticate(ctx, creds)
	if pending := (*auth.Pending)(nil); errors.As(err, &pending) {
		return denied(pending.Error(), "pending", err)
	}
	if err != nil {
		c.Log().Error("authentication failed", "err", err)
	}
	if err == nil && verdict == auth.Allow {
		id.ClientID = p.ClientID
		return id, nil
	}
	cause := errors.New("the device names no user")
	if creds.HasUsername {
		cause = fmt.Errorf("user %q: name or password is wrong", creds.Username)
	}
	return denied(emqtcp.MessageAuthFailed, "auth", cmp.Or(err, cause)) // the device learns only that
}

// accept attaches the device to a new session, subscribes it and answers.
func (c *client) accept(ctx context.Context, p *emqtcp.Connect, id auth.Identity, up, dn string) error {
	link, _, err := c.Broker().Attach(ctx, id, broker.SessionOptions{
		ClientID:   gateway.SessionID(Protocol, p.ClientID, c.g.cfg.ShareClientRegistry),
		CleanStart: true,
		Window:     session.Window{Fits: c.fits},
	}, c)
	switch {
	case errors.Is(err, broker.ErrNotOwner), errors.Is(err, broker.ErrNotAuthorized):
		return refuse(emqtcp.AuthFailed, emqtcp.MessageAuthFailed, "refused", err)
	case err != nil:
		return refuse(emqtcp.AuthFailed, messageUnavailable, "refused", err)
	}
	c.up, c.keepAlive = up, p.KeepAlive
	// Before the answer, so that nothing is lost that is published after it.
	grant := link.Subscribe([]broker.Subscription{{Filter: dn, RetainHandling: neverRetained}})[0]
	if grant.Err != nil { // it may send all the same
		if errors.Is(grant.Err, broker.ErrNotAuthorized) {
			c.g.counts.denied.Add(1)
		}
		c.Refused("subscribe", dn, grant.Err)
	}
	if err := c.Accept(link, c.g.accepted); err != nil {
		return err
	}
	if c.g.cfg.Logger.Enabled(ctx, slog.LevelDebug) { // a logger costs more than the rest of a login
		c.Log().Debug("device connected", "user", id.Name, "up", up, "down", dn)
	}
	return nil
}

// neverRetained is the retain handling of the downlink: the protocol has no
// retained messages.
const neverRetained = 2
