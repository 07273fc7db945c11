package agents

import (
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/transport"
)

// Pattern says which URLs an agent may load: mqtt://10.0.0.*:1883. A star stands
// for any part of one label of the host, alone for any host, or for any port.
// Scheme and path are compared as they are.
type Pattern struct {
	text               string
	scheme, host, port string
	path               string
}

// ParsePattern reads one.
func ParsePattern(text string) (p Pattern, err error) {
	p.text = text
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return p, fmt.Errorf("%q is no URL pattern; one looks like mqtt://10.0.0.*:1883", text)
	}
	p.scheme = strings.ToLower(scheme)
	authority, tail, _ := strings.Cut(rest, "/")
	if tail != "" {
		p.path = "/" + tail
	}
	p.host = authority
	if at := strings.LastIndexByte(authority, ':'); at >= 0 && !strings.HasSuffix(authority, "]") {
		p.host, p.port = authority[:at], authority[at+1:]
	}
	p.host = strings.ToLower(strings.Trim(p.host, "[]"))
	probe := scheme + "://"
	if strings.Contains(p.host, ":") {
		probe += "[" + p.host + "]"
	} else {
		probe += strings.ReplaceAll(p.host, "*", "x")
	}
	if p.port != "" && p.port != "*" {
		probe += ":" + p.port
	}
	e, err := transport.Parse(probe+p.path, nil)
	if err != nil {
		return p, err
	}
	if e.User != nil {
		return p, fmt.Errorf("a URL pattern has no user information")
	}
	if _, err := path.Match(p.host, ""); err != nil {
		return p, fmt.Errorf("host %q: %w", p.host, err)
	}
	if p.port == "" {
		p.port = strconv.Itoa(int(e.Port))
	}
	p.path = e.Path
	return p, nil
}

func (p Pattern) String() string { return p.text }

// Match tells whether the pattern allows e.
func (p Pattern) Match(e transport.Endpoint) bool {
	if e.Scheme.Name != p.scheme || e.Path != p.path || p.port != "*" && p.port != strconv.Itoa(int(e.Port)) {
		return false
	}
	host := strings.ToLower(e.Host)
	if p.host == host || p.host == "*" && host != "" {
		return true
	}
	if net.ParseIP(host) != nil && strings.Contains(host, ":") {
		return false // nothing stands for a part of these
	}
	want, have := strings.Split(p.host, "."), strings.Split(host, ".")
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		if ok, _ := path.Match(want[i], have[i]); !ok {
			return false
		}
	}
	return true
}
