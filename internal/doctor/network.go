package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/transport"
)

// mostAddresses bounds how many addresses are tried.
const mostAddresses = 16

func checkDNS(ctx context.Context, x *exam) Result {
	host := x.Target.Host
	switch {
	case x.Target.Scheme.Network == "unix":
		return skipped("a Unix socket has no host name")
	case x.Dial.Proxy != "":
		return skipped("the proxy looks the name up")
	case x.Dial.SRV:
		return x.checkSRV(ctx)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return fine("%s is an address", a).with("addresses", []string{a.String()})
	}
	began := time.Now()
	all, err := x.resolver().LookupNetIP(ctx, "ip", host)
	took := time.Since(began)
	if err != nil {
		return blameLookup(ctx, host, err)
	}
	var v4, v6 int
	var names []string
	for _, a := range all {
		if a = a.Unmap(); a.Is4() {
			v4++
		} else {
			v6++
		}
		names = append(names, a.String())
	}
	kinds := map[bool]string{true: "IPv4 and IPv6", false: "IPv6 only"}[v4 > 0]
	if v6 == 0 {
		kinds = "IPv4 only"
	}
	return fine("%s is %s (%s)", host, listed(names, 4), kinds).
		with("addresses", names).with("ipv4", v4).with("ipv6", v6).with("lookup_ms", ms(took))
}

func (x *exam) resolver() *net.Resolver {
	if x.Dial.Resolver != nil {
		return x.Dial.Resolver
	}
	return net.DefaultResolver
}

func blameLookup(ctx context.Context, host string, err error) Result {
	dns := (*net.DNSError)(nil)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return failed(Network, "no such host: %s", host).hint("check the spelling of the host name")
	case errors.As(err, &dns) && dns.IsTimeout, ctx.Err() != nil:
		return failed(Network, "the name servers do not answer").hint("an address in place of the name goes without them")
	}
	return failed(Network, "%s", err)
}

// checkSRV looks the service up that -S asks for.
func (x *exam) checkSRV(ctx context.Context) Result {
	s := x.Target.Scheme
	if s.SRV == "" {
		return failed(Network, "%s:// has no service records", s.Name).hint("without -S the host itself is asked")
	}
	_, records, err := x.resolver().LookupSRV(ctx, s.SRV, s.Network, x.Target.Host)
	if err != nil {
		return failed(Network, "no service record _%s._%s.%s", s.SRV, s.Network, x.Target.Host).hint("without -S the host itself is asked")
	}
	var all []string
	for _, r := range records {
		all = append(all, fmt.Sprintf("%s:%d", strings.TrimSuffix(r.Target, "."), r.Port))
	}
	return fine("_%s._%s.%s is %s", s.SRV, s.Network, x.Target.Host, listed(all, 3)).with("targets", all)
}

// listed joins the first most of all.
func listed(all []string, most int) string {
	if len(all) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
	}
	return strings.Join(all, ", ")
}

// bare is the target as a stream of bytes, without TLS and WebSocket.
func (x *exam) bare() transport.Endpoint {
	e := x.Target
	e.Scheme.TLS, e.Scheme.WebSocket, e.Scheme.Protocol = false, false, ""
	return e
}

func (x *exam) dialTimeout() transport.DialConfig {
	c := x.Dial
	c.Timeout = x.ConnectTimeout
	return c
}

func checkTCP(ctx context.Context, x *exam) Result {
	e := x.bare()
	switch {
	case e.Scheme.Network == "udp":
		return skipped("%s:// is UDP: nobody answers an empty datagram", e.Scheme.Name)
	case e.Scheme.Network == "unix":
		return x.dialBare(ctx, e, "the socket %s accepts connections", e.Path)
	case x.Dial.Proxy != "":
		return skipped("the proxy connects")
	case x.Dial.SRV:
		return x.dialBare(ctx, e, "one of the servers accepts connections")
	}
	addresses := []netip.Addr{}
	if a, err := netip.ParseAddr(e.Host); err == nil {
		addresses = append(addresses, a)
	} else if addresses, err = x.resolver().LookupNetIP(ctx, "ip", e.Host); err != nil {
		return blameLookup(ctx, e.Host, err)
	}
	addresses = addresses[:min(len(addresses), mostAddresses)]
	good, bad := []string{}, []string{}
	var best time.Duration
	var worst Result
	for _, a := range addresses {
		at := e
		at.Host = a.Unmap().String()
		began := time.Now()
		c, err := transport.DialEndpoint(ctx, at, x.dialTimeout())
		took := time.Since(began)
		if err != nil {
			worst = x.blame(ctx, err)
			bad = append(bad, fmt.Sprintf("%s: %s", at.Address(), worst.Summary))
			continue
		}
		_ = c.Close()
		if best == 0 || took < best {
			best = took
		}
		good = append(good, at.Address())
	}
	switch {
	case len(good) == 0:
		r := worst
		r.Summary = strings.Join(bad, "; ")
		return r.with("reached", good).with("failed", bad)
	case len(bad) > 0:
		r := warn("%s can be reached, but not %s", strings.Join(good, ", "), strings.Join(bad, "; "))
		return r.hint("clients that try the other address first lose time").with("reached", good).with("failed", bad).with("connect_ms", ms(best))
	}
	return fine("%s, in %.1f ms", listed(good, 3), ms(best)).with("reached", good).with("failed", bad).with("connect_ms", ms(best))
}

// dialBare opens one connection and closes it.
func (x *exam) dialBare(ctx context.Context, e transport.Endpoint, format string, a ...any) Result {
	began := time.Now()
	c, err := transport.DialEndpoint(ctx, e, x.dialTimeout())
	if err != nil {
		return x.blame(ctx, err)
	}
	_ = c.Close()
	return fine(format, a...).with("connect_ms", ms(time.Since(began)))
}

func checkProxy(ctx context.Context, x *exam) Result {
	r := x.dialBare(ctx, x.bare(), "the proxy connects to %s", x.Target.Address())
	if r.Verdict == Failed && r.Hint == "" {
		r.Hint = "is the proxy running, and does it let this user through?"
	}
	return r
}

func checkWebSocket(ctx context.Context, x *exam) Result {
	if !x.Target.Scheme.WebSocket {
		return skipped("%s:// is not WebSocket", x.Target.Scheme.Name)
	}
	began := time.Now()
	c, err := transport.DialEndpoint(ctx, x.Target, x.dialTimeout())
	if err != nil {
		return x.blame(ctx, err)
	}
	defer c.Close()
	chosen := c.Info().Subprotocol
	r := fine("%s switches to WebSocket, subprotocol %s", x.Target.Path, chosen)
	if chosen == "" {
		r = warn("%s switches to WebSocket, but names no subprotocol", x.Target.Path).hint("browsers refuse a server that does not answer with the subprotocol mqtt")
	}
	return r.with("path", x.Target.Path).with("subprotocol", chosen).with("upgrade_ms", ms(time.Since(began)))
}

func checkLogin(ctx context.Context, x *exam) Result {
	began := time.Now()
	if err := x.Device.Login(ctx); err != nil {
		r := x.blame(ctx, err)
		if errors.As(err, new(*client.RefusedError)) {
			r = failed(Refused, "%s", err)
		}
		if r.Hint == "" {
			r.Hint = x.Device.Try
		}
		return r
	}
	return fine("%s: the server lets this device in", x.Device.Name).hint("what becomes of messages is not checked: %s", x.Device.Try).with("login_ms", ms(time.Since(began)))
}
