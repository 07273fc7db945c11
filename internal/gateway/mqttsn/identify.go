package mqttsn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/codec/mqttsn"
	"github.com/iotctl/iotctl/internal/gateway"
)

// authenticate asks who a client is, and gives it a name if it has none. Nothing of
// any session has been touched before the answer.
func (g *Gateway) authenticate(s *setup) (mqttsn.ReturnCode, error) {
	clientID := s.connect.ClientID
	if clientID == "" {
		clientID = fmt.Sprintf("sn-%08x%08x", g.rand(), g.rand())
	}
	s.id = g.sessionID(clientID)
	id, err := g.identify(s.from, clientID, s.login)
	switch {
	case errors.Is(err, errUnanswered):
		return mqttsn.Congestion, err // it may try again later: SN-6.12
	case err != nil:
		return g.denied(), err
	}
	id.ClientID = gateway.PlainID(s.id) // of the same memory
	s.identity = id
	return mqttsn.Accepted, nil
}

// errUnanswered is an authenticator that fails.
var errUnanswered = errors.New("the authenticator has no answer")

// errNobody is for a gateway that is not configured.
var errNobody = errors.New("nobody may connect: no authenticator is configured")

// identify asks the authenticator who somebody at p is, who has said it with AUTH or
// not. It may wait.
func (g *Gateway) identify(p path, clientID string, said *login) (auth.Identity, error) {
	if g.auth == nil {
		return auth.Identity{}, errNobody
	}
	t := g.terms.Load()
	expand := func(s string) string { return strings.ReplaceAll(s, "${clientid}", clientID) }
	creds := auth.Credentials{
		ClientID: clientID, TLS: p.port.info.TLS, PSKIdentity: p.port.info.PSKIdentity,
		Listener: p.port.listener, Protocol: Protocol,
	}
	if o := &t.ClientinfoOverride; !p.port.proved() {
		creds.HasUsername, creds.Username = o.Username != "", expand(o.Username)
		if o.Password != "" {
			creds.HasPassword, creds.Password = true, []byte(expand(o.Password))
		}
	}
	if said != nil {
		creds.HasUsername, creds.Username = true, said.user
		creds.HasPassword, creds.Password = true, said.password
	}
	if a := p.remote(); a.IsValid() {
		creds.Remote = net.UDPAddrFromAddrPort(a)
	}
	ctx, cancel := context.WithTimeout(g.ctx, t.Timers.WillHandshake)
	defer cancel()
	id, verdict, err := g.auth.Authenticate(ctx, creds)
	pending := (*auth.Pending)(nil)
	switch {
	case err == nil && verdict == auth.Allow && !mayBeCalled(t.Sessions.ClientIDs, clientID, id.Name):
		return auth.Identity{}, fmt.Errorf("who is %q may not be called that: client_ids", gateway.Clip(id.Name))
	case err == nil && verdict == auth.Allow:
		id.ClientID = clientID
		return id, nil
	case errors.As(err, &pending):
		return auth.Identity{}, err
	case err == nil:
		return auth.Identity{}, errors.New("the client is not known, or its credentials are wrong")
	case g.rates.log(g.now()):
		g.log.Error("authentication failed", "client", gateway.Clip(clientID), "err", err)
	}
	return auth.Identity{}, fmt.Errorf("%w: %w", errUnanswered, err)
}

// mayBeCalled reports whether sessions.client_ids lets who is name use the client
// identifier.
func mayBeCalled(rule, clientID, name string) bool {
	switch rule {
	case clientIDsIdentity:
		return name != "" && clientID == name
	case clientIDsPrefix:
		return name != "" && strings.HasPrefix(clientID, name)
	}
	return true
}
