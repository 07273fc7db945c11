package exproto

import (
	"context"
	"errors"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway"
	pb "github.com/iotctl/iotctl/internal/gateway/exproto/exprotov1"
	"github.com/iotctl/iotctl/internal/session"
)

// Authenticate tells who the device is. A device that is refused stays
// connected: the handler may have something to say to it before Close.
func (s *service) Authenticate(ctx context.Context, r *pb.AuthenticateRequest) (*pb.CodeResponse, error) {
	return s.with(r.Conn, func(c *client) error { return c.authenticate(ctx, r) })
}

func (c *client) authenticate(ctx context.Context, r *pb.AuthenticateRequest) error {
	if err := checkClientInfo(r.Clientinfo); err != nil {
		return err
	}
	select { // one at a time
	case c.login <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.login }()
	c.mu.Lock()
	known := c.known
	c.mu.Unlock()
	switch {
	case known:
		return errDuplicate
	case c.over() != "":
		return errNoSocket
	}
	mp, err := c.mountpointFor(r.Clientinfo)
	if err != nil {
		return wrong(err)
	}
	id, err := c.vouch(ctx, r)
	if err != nil {
		c.watch.refused()
		return err
	}
	return c.attach(ctx, id, mp)
}

func checkClientInfo(info *pb.ClientInfo) error {
	const mostBytes = 65535 // as in MQTT
	switch {
	case info == nil:
		return missing("clientinfo")
	case info.ProtoName == "":
		return missing("clientinfo.proto_name")
	case info.Clientid == "":
		return missing("clientinfo.clientid")
	case len(info.Clientid) > mostBytes || len(info.Username) > mostBytes:
		return wrong(errors.New("the clientid or username is too long"))
	}
	for _, r := range info.Clientid + info.Username {
		if r == 0 {
			return wrong(errors.New("the clientid or username holds a NUL"))
		}
	}
	return nil
}

// mountpointFor is that of the configuration or, where that is allowed, of the
// handler.
func (c *client) mountpointFor(info *pb.ClientInfo) (string, error) {
	mp := c.p.mountpoint
	if mp == "" && info.Mountpoint != "" {
		if c.g.cfg.AllowClientMountpoint {
			mp = info.Mountpoint
		} else if yes, _ := c.g.mountpoints.now(); yes {
			c.Log().Warn("exproto: the mountpoint of a handler is ignored; allow_client_mountpoint: true would heed it")
		}
	}
	return mountpoint(mp, info.Clientid, info.Username)
}

// vouch asks who the device is.
func (c *client) vouch(ctx context.Context, r *pb.AuthenticateRequest) (auth.Identity, error) {
	if c.g.cfg.Authenticator == nil {
		c.Log().Info("nobody may connect: no authenticator is configured")
		return auth.Identity{}, errRefused
	}
	info := c.Info()
	id, verdict, err := c.g.cfg.Authenticator.Authenticate(ctx, auth.Credentials{
		ClientID:    r.Clientinfo.Clientid,
		HasUsername: r.Clientinfo.Username != "", Username: r.Clientinfo.Username,
		HasPassword: r.Password != "", Password: []byte(r.Password),
		TLS: info.TLS, PSKIdentity: info.PSKIdentity, Remote: remote(c), Listener: info.Listener, Protocol: Protocol,
	})
	var pending *auth.Pending
	switch {
	case errors.As(err, &pending):
		return id, err
	case err != nil:
		c.Log().Error("authentication failed", "err", err)
		return id, errRefused
	case verdict != auth.Allow:
		c.Log().Info("device refused", "clientid", gateway.Clip(r.Clientinfo.Clientid), "user", gateway.Clip(r.Clientinfo.Username))
		return id, errRefused
	}
	id.ClientID = r.Clientinfo.Clientid
	return id, nil
}

// inflight is how many messages of QoS 1 may be with the handler or wait for it.
const inflight = 1000

// attach gives the device its session, from which another connection with its
// client identifier is removed.
func (c *client) attach(ctx context.Context, id auth.Identity, mp string) error {
	c.mu.Lock()
	c.mountpoint = mp // before the first delivery
	c.mu.Unlock()
	link, _, err := c.g.b.Attach(ctx, id, broker.SessionOptions{
		ClientID:   gateway.SessionID(Protocol, id.ClientID, c.g.cfg.ShareClientRegistry),
		CleanStart: true,
		Window:     session.Window{ReceiveMaximum: inflight},
	}, c)
	if err != nil {
		return err
	}
	c.Name(id.ClientID)
	if err := c.Accept(link, nil); err != nil {
		return errNoSocket
	}
	c.mu.Lock()
	c.known = true
	c.mu.Unlock()
	c.watch.identified()
	return nil
}
