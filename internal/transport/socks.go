package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"golang.org/x/net/proxy"
)

// dialProxy connects through a SOCKS5 proxy, which resolves the host's name.
func dialProxy(ctx context.Context, d *net.Dialer, cfg *DialConfig, e Endpoint) (net.Conn, error) {
	address, auth, err := parseProxy(cfg.Proxy)
	if err != nil {
		return nil, err
	}
	nc, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		x := explainConnect(address, e, err)
		x.Op, x.Problem, x.Hint = "proxy", "cannot reach the proxy: "+x.Problem, ""
		return nil, x
	}
	cfg.tune(nc)
	if err := socksConnect(ctx, nc, address, auth, e.Address()); err != nil {
		_ = nc.Close()
		return nil, &Error{
			Op: "proxy", Target: address, Problem: fmt.Sprintf("the proxy did not connect to %s: %s", e.Address(), socksWords(err)),
			Timeout: isTimeout(err), Err: err,
		}
	}
	return nc, nil
}

// socksConnect does the SOCKS handshake on a connection of our own, so that
// the result is a kernel socket and not the library's wrapper around one.
func socksConnect(ctx context.Context, nc net.Conn, address string, auth *proxy.Auth, target string) error {
	d, err := proxy.SOCKS5("tcp", address, auth, nil)
	if err != nil {
		return err
	}
	over, ok := d.(interface {
		DialWithConn(ctx context.Context, c net.Conn, network, address string) (net.Addr, error)
	})
	if !ok {
		return errors.New("the SOCKS library cannot use an open connection")
	}
	if _, err = over.DialWithConn(ctx, nc, "tcp", target); err != nil {
		return err
	}
	return nc.SetDeadline(time.Time{})
}

func socksWords(err error) string {
	if oe := (*net.OpError)(nil); errors.As(err, &oe) && oe.Err != nil {
		return oe.Err.Error()
	}
	return err.Error()
}

// parseProxy reads socks5h://user:password@host:port. Its errors never quote
// the user information.
func parseProxy(raw string) (address string, auth *proxy.Auth, err error) {
	schemes := []Scheme{
		{Name: "socks5h", Network: "tcp", Port: 1080},
		{Name: "socks5", Network: "tcp", Port: 1080},
	}
	e, err := Parse(raw, schemes)
	if err != nil {
		return "", nil, fmt.Errorf("proxy: %w", err)
	}
	if e.Host == "" || e.Port == 0 {
		return "", nil, fmt.Errorf("proxy: URL %q names no host and port", redact(raw))
	}
	auth, err = proxyAuth(e.User)
	return e.Address(), auth, err
}

// proxyAuth is nil without a user name. RFC 1929 has one length byte each.
func proxyAuth(u *url.Userinfo) (*proxy.Auth, error) {
	if u == nil || u.Username() == "" {
		return nil, nil
	}
	password, _ := u.Password()
	if len(u.Username()) > 255 || len(password) > 255 {
		return nil, errors.New("proxy: user name and password have at most 255 bytes each")
	}
	return &proxy.Auth{User: u.Username(), Password: password}, nil
}
