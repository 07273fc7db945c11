package frame

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/frame"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/router"
)

// refused is the end of a connection that is not let in; last is what the device
// is told, if anything.
func refused(last []byte, why string, err error) error {
	return &gateway.End{Why: why, Err: err, Last: last, Mute: last == nil}
}

// login lets the device in under the name id. r is the frame that says it, nil
// when the connection alone does.
func (d *device) login(ctx context.Context, id string, r *frame.Record) error {
	d.Name(id)
	if err := checkID(id); err != nil {
		return refused(d.refusal(r), "client-id", fmt.Errorf("device name %.64q %w", id, err))
	}
	down, err := d.codec.AppendDownlinkTopic(nil, id)
	if err == nil && len(down) > 0 {
		err = router.ValidateName(down)
	}
	if err != nil {
		return refused(d.refusal(r), "client-id", fmt.Errorf("downlink topic: %w", err))
	}
	who, err := d.authenticate(ctx, id, r)
	if err != nil {
		return refused(d.refusal(r), "auth", err)
	}
	return d.accept(ctx, id, who, string(down), r)
}

// checkID keeps names out of the topics that would reach further than one
// device. A slash makes several levels of one.
func checkID(id string) error {
	if id != "" && id[0] == '$' {
		return errors.New("begins with $")
	}
	return frame.CheckLevel([]byte(id))
}

// refusal is what the definition has for a device that is not welcome.
func (d *device) refusal(r *frame.Record) []byte {
	if r == nil {
		return nil
	}
	last, some, err := d.codec.Refuse(nil, r, d.env(d.sent.Load()))
	if err != nil || !some {
		return nil
	}
	return last
}

// credentials is what the device presents: its name, which is the user name as
// well where the definition says which field is the password.
func (d *device) credentials(id string, r *frame.Record) auth.Credentials {
	info := d.Info()
	c := auth.Credentials{ClientID: id, TLS: info.TLS, PSKIdentity: info.PSKIdentity, Listener: info.Listener, Protocol: Protocol}
	if info.Remote.IsValid() {
		c.Remote = net.TCPAddrFromAddrPort(info.Remote)
	}
	if r == nil {
		return c
	}
	if secret := r.Password(); secret != nil {
		c.HasUsername, c.Username = true, id
		c.HasPassword, c.Password = true, append([]byte(nil), secret...)
	}
	return c
}

// authenticate asks who the device is. Nothing of any session has been touched
// before the answer.
func (d *device) authenticate(ctx context.Context, name string, r *frame.Record) (auth.Identity, error) {
	a := d.g.authenticator
	if a == nil {
		return auth.Identity{}, errors.New("nobody may connect: no authenticator is configured")
	}
	creds := d.credentials(name, r)
	ctx, cancel := context.WithTimeout(ctx, d.set.ConnectTimeout)
	defer cancel()
	id, verdict, err := a.Authenticate(ctx, creds)
	pending := (*auth.Pending)(nil)
	if err != nil && !errors.As(err, &pending) {
		d.Log().Error("authentication failed", "err", err)
	}
	if err == nil && verdict == auth.Allow {
		id.ClientID = name
		return id, nil
	}
	cause := errors.New("the device names no user")
	if creds.HasUsername {
		cause = fmt.Errorf("user %q: name or password is wrong", creds.Username)
	}
	return auth.Identity{}, cmp.Or(err, cause)
}

// accept attaches the device to a new session and subscribes it.
func (d *device) accept(ctx context.Context, name string, id auth.Identity, down string, r *frame.Record) error {
	link, _, err := d.Broker().Attach(ctx, id, broker.SessionOptions{
		ClientID:   gateway.SessionID(Protocol+"/"+d.codec.Name(), name, false),
		CleanStart: true,
	}, d)
	if err != nil {
		return refused(d.refusal(r), "refused", err)
	}
	d.id = name
	d.heard = d.LastRead()
	d.alive = d.heard
	if down != "" { // before the answer, so that nothing is lost that is published after it
		grant := link.Subscribe([]broker.Subscription{{Filter: down, RetainHandling: neverRetained}})[0]
		if grant.Err != nil { // it may send all the same
			if errors.Is(grant.Err, broker.ErrNotAuthorized) {
				d.g.counts.denied.Add(1)
			}
			d.Refused("subscribe", down, grant.Err)
		}
	}
	if err := d.Accept(link, nil); err != nil {
		return err
	}
	d.Log().Debug("device connected", "codec", d.codec.Name(), "user", id.Name, "down", down)
	return nil
}

// neverRetained is the retain handling of downlinks: an old command is not
// carried out again at each login.
const neverRetained = 2
