package gateway_test

// What README.md grows, step by step; readme_test.go compares the two.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/message"
	"github.com/iotctl/iotctl/internal/router"
)

// EchoConfig is the gateway's part of the configuration file.
type EchoConfig struct {
	Authenticator auth.Authenticator // nil: nobody may connect
	Logger        *slog.Logger       // nil: discarded
	// ConnectTimeout is how long a device may take to say its name. 0: 15 s.
	ConnectTimeout time.Duration
	// MaxLineBytes is the longest line accepted, its end included. 0: 64 KiB.
	MaxLineBytes int
}

// Echo serves the echo protocol.
type Echo struct {
	*gateway.Server
	cfg EchoConfig
}

// NewEcho returns a gateway to b.
func NewEcho(cfg EchoConfig, b *broker.Broker) (*Echo, error) {
	if cfg.MaxLineBytes < 0 {
		return nil, fmt.Errorf("max_line_bytes: %d is negative", cfg.MaxLineBytes)
	}
	if cfg.MaxLineBytes == 0 {
		cfg.MaxLineBytes = 64 << 10
	}
	g := &Echo{cfg: cfg}
	g.Server = gateway.NewServer(gateway.ServerConfig{
		Broker:         b,
		Logger:         cfg.Logger,
		Open:           func() gateway.Client { return &device{g: g} },
		ConnectTimeout: cfg.ConnectTimeout,
	})
	return g, nil
}

// device is one connection.
type device struct {
	gateway.Conn
	g  *Echo
	up []byte // where its lines go
}

// Data implements gateway.Client.
func (d *device) Data(ctx context.Context, data []byte) (rest []byte, want int, err error) {
	for {
		line, more, ok := bytes.Cut(data, []byte{'\n'})
		if len(line) >= d.g.cfg.MaxLineBytes {
			return nil, 0, broken("a line is longer than %d bytes", d.g.cfg.MaxLineBytes)
		}
		if !ok {
			return data, 0, nil
		}
		if err := d.line(ctx, line); err != nil {
			return nil, 0, err
		}
		data = more
	}
}

// broken is the end of a connection for what the protocol does not allow.
func broken(format string, args ...any) *gateway.End {
	return &gateway.End{Why: "protocol", Err: fmt.Errorf(format, args...)}
}

// line works off one line.
func (d *device) line(ctx context.Context, line []byte) error {
	switch {
	case d.Link() == nil:
		return d.login(ctx, string(line))
	case string(line) == "bye":
		d.Farewell().Abnormal = false
		return gateway.Bye
	}
	return d.publish(line)
}

// login takes the first line, which is the device's name.
func (d *device) login(ctx context.Context, name string) error {
	up, down := "echo/"+name+"/up", "echo/"+name+"/dn"
	if strings.ContainsAny(name, "/+#$") || router.ValidateName(up) != nil || name == "" {
		return broken("%.64q is no name for a device", name)
	}
	d.Name(name)
	id, err := d.authenticate(ctx, name)
	if err != nil {
		return err
	}
	link, _, err := d.Broker().Attach(ctx, id, broker.SessionOptions{
		ClientID:   gateway.SessionID("echo", name, false),
		CleanStart: true,
	}, d)
	if err != nil {
		return &gateway.End{Why: "refused", Err: err}
	}
	d.up = []byte(up)
	if grant := link.Subscribe([]broker.Subscription{{Filter: down}})[0]; grant.Err != nil {
		d.Refused("subscribe", down, grant.Err)
	}
	d.Ready()
	return d.Accept(link, []byte("hello "+name+"\n"))
}

// authenticate asks who the device is.
func (d *device) authenticate(ctx context.Context, name string) (auth.Identity, error) {
	refused := &gateway.End{Why: "auth", Err: errors.New("not authorised")}
	if d.g.cfg.Authenticator == nil {
		return auth.Identity{}, refused
	}
	info := d.Info()
	creds := auth.Credentials{ClientID: name, TLS: info.TLS, Listener: info.Listener, Protocol: "echo"}
	if info.Remote.IsValid() {
		creds.Remote = net.TCPAddrFromAddrPort(info.Remote)
	}
	id, verdict, err := d.g.cfg.Authenticator.Authenticate(ctx, creds)
	if err != nil || verdict != auth.Allow {
		return auth.Identity{}, refused
	}
	id.ClientID = name
	return id, nil
}

// publish sends an uplink, and gives the line back once it has been committed.
func (d *device) publish(line []byte) error {
	d.Charge(1)
	_, err := d.Link().Publish(message.View{Topic: d.up, Payload: line})
	switch {
	case errors.Is(err, broker.ErrTakenOver), errors.Is(err, broker.ErrEnded):
		return &gateway.End{Why: "taken-over", Err: err, Mute: true}
	case err != nil:
		d.Refused("publish", string(d.up), err)
		d.Answer([]byte("! " + err.Error() + "\n"))
		return nil
	}
	answer := append(d.Answers(), "= "...)
	answer = append(answer, line...)
	d.Answered(append(answer, '\n'))
	return nil
}

// Deliver implements broker.Receiver.
func (d *device) Deliver(m *message.Delivery) bool {
	return d.Append(func(dst []byte) []byte {
		dst = append(dst, "> "...)
		for _, c := range m.Message.Payload {
			if c == '\n' { // which would end the line
				c = ' '
			}
			dst = append(dst, c)
		}
		return append(dst, '\n')
	})
}

// LastWords implements gateway.Client.
func (d *device) LastWords(e *gateway.End) []byte {
	return []byte("bye: " + e.Err.Error() + "\n")
}
